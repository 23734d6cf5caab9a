"""Calls that change a session at the same time at several workers: some are answered again, which nobody notices."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from aione_mock.clock import parse_instant
from aione_mock.server.app import Mock, create_app
from aione_mock.server.http import Server
from tests.conftest import KEY, NOW
from tests.control.conftest import Client
from tests.control.test_events import listening
from tests.store.servers import new_prefix, require_store, shared_redis
from tests.timing import until

HEADERS = {"authorization": f"Bearer {KEY}"}
STREAM = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Why do cats purr?"}], "stream": True}
HANGING = {"x-mock-scenario": "stall; after=1; then=hang"}
AT_ONCE = 8


@pytest.fixture
def apps() -> tuple[Mock, Mock]:
    """Two mocks with a state of their own in the store."""
    require_store()
    prefix = new_prefix()
    one, other = [create_app(now=parse_instant(NOW), store=shared_redis(), store_prefix=prefix) for _ in range(2)]
    return one, other


@pytest.fixture
def workers(apps: tuple[Mock, Mock]) -> Iterator[tuple[str, str]]:
    with Server(apps[0]) as one, Server(apps[1]) as other:
        yield one.url, other.url


def post(url: str, path: str, body: Any) -> int:
    return httpx2.post(url + path, json=body, headers=HEADERS, trust_env=False).status_code


def add_rule(url: str, number: int) -> int:
    return post(url, "/_mock/rules", {"id": f"rule-{number}", "when": {"text": "never"}, "then": {"delay": 0}})


def test_a_change_that_was_made_again_is_announced_once(workers: tuple[str, str]) -> None:
    count = 5 * AT_ONCE
    with Client(base_url=workers[0]) as client, listening(client) as reader, ThreadPoolExecutor(AT_ONCE) as pool:
        added = [pool.submit(add_rule, workers[number % 2], number) for number in range(count)]
        assert Counter(each.result() for each in added) == {201: count}
        for url in workers:  # what a worker publishes comes in order
            assert post(url, "/_mock/clock", {"advance": 1}) == 200
        events = reader.until("clock") + reader.until("clock")
    assert Counter(name for name, _, _ in events) == {"rules": count, "clock": 2}


def test_a_client_that_is_cancelled_leaves_no_open_stream(apps: tuple[Mock, Mock]) -> None:
    import redis

    state: Any = apps[0].pipeline.state

    async def leave() -> None:
        transport = httpx2.ASGITransport(app=apps[0])
        async with httpx2.AsyncClient(transport=transport, base_url="http://mock", headers=HEADERS) as client:
            for _ in range(2):
                asking = asyncio.create_task(client.post("/v1/chat/completions", json=STREAM, headers=HANGING))
                while not (state._streams or asking.done()):
                    await asyncio.sleep(0)
                assert asking.cancel()
                await asyncio.wait({asking})
            assert not state._streams
            await state.scripts.check()  # what was sent before is done

    with redis.Redis.from_url(shared_redis()) as client:
        asyncio.run(leave())
        assert until(lambda: not client.zcard(f"{state.scripts.prefix}:open"))
