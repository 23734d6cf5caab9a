"""Calls that change a session at the same time at several workers: some are answered again, which nobody notices."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx2
import pytest

from aione_mock.clock import parse_instant
from aione_mock.server import pipeline, scenario_engine, shared_pipeline, stored_responses
from aione_mock.server.app import Mock, create_app
from aione_mock.server.http import Server
from aione_mock.settings import EXTENSIONS
from tests.conftest import KEY, NOW
from tests.control.conftest import Client
from tests.control.test_events import listen_to_events
from tests.store.servers import new_prefix, require_store, shared_redis
from tests.timing import wait_until

HEADERS = {"authorization": f"Bearer {KEY}"}
STREAM = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Why do cats purr?"}], "stream": True}
HANGING = {"x-mock-scenario": "stall; after=1; then=hang"}
AT_ONCE = 8


@pytest.fixture
def apps() -> tuple[Mock, Mock]:
    """Two mocks with a state of their own in the store."""
    require_store()
    prefix = new_prefix()
    options = {"store": shared_redis(), "store_prefix": prefix, "extensions": EXTENSIONS}
    one, other = [create_app(now=parse_instant(NOW), **options) for _ in range(2)]
    return one, other


@pytest.fixture
def workers(apps: tuple[Mock, Mock]) -> Iterator[tuple[str, str]]:
    with Server(apps[0]) as one, Server(apps[1]) as other:
        yield one.url, other.url


def count_scripts() -> int:
    """Return how many scripts the store has run."""
    import redis

    with redis.Redis.from_url(shared_redis()) as client:
        return int(client.info("commandstats")["cmdstat_evalsha"]["calls"])


def respond(url: str, text: str = "Why do cats purr?") -> Any:
    body = {"model": "gpt-5.4", "input": text, "max_output_tokens": 16}
    answer = httpx2.post(f"{url}/v1/responses", json=body, headers=HEADERS, trust_env=False)
    assert answer.is_success, answer.text
    return answer.json()


def post(url: str, path: str, body: Any) -> int:
    return httpx2.post(url + path, json=body, headers=HEADERS, trust_env=False).status_code


def add_rule(url: str, number: int) -> int:
    return post(url, "/_mock/rules", {"id": f"rule-{number}", "when": {"text": "never"}, "then": {"delay": 0}})


def test_a_change_that_was_made_again_is_announced_once(workers: tuple[str, str]) -> None:
    count = 5 * AT_ONCE
    with Client(base_url=workers[0]) as client, listen_to_events(client) as reader, ThreadPoolExecutor(AT_ONCE) as pool:
        added = [pool.submit(add_rule, workers[number % 2], number) for number in range(count)]
        assert Counter(each.result() for each in added) == {201: count}
        for url in workers:  # what a worker publishes comes in order
            assert post(url, "/_mock/clock", {"advance": 1}) == 200
        events = reader.until("clock") + reader.until("clock")
    assert Counter(name for name, _, _ in events) == {"rules": count, "clock": 2}


def test_calls_that_store_a_response_are_not_in_each_others_way(workers: tuple[str, str]) -> None:
    count = 5 * AT_ONCE
    for url in workers:
        respond(url)
    before = count_scripts()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = [*pool.map(respond, itertools.islice(itertools.cycle(workers), count))]
    assert count_scripts() - before < 2.5 * count, "one to admit a call, one to record it"
    for answer in answers:
        found = httpx2.get(f"{workers[0]}/v1/responses/{answer['id']}", headers=HEADERS, trust_env=False)
        assert found.json() == answer


def test_the_responses_are_kept_that_are_kept_in_memory(
    workers: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_responses, "MAX_BYTES", 20_000)

    def list_kept(*urls: str) -> list[bool]:
        names = [respond(url, "灯" * number)["id"] for number, url in zip(range(40), itertools.cycle(urls))]
        get = partial(httpx2.get, headers=HEADERS, trust_env=False)
        return [get(f"{urls[0]}/v1/responses/{name}").is_success for name in names]

    with Server(create_app(now=parse_instant(NOW), extensions=EXTENSIONS)) as alone:
        kept = list_kept(alone.url)
    assert 3 < sum(kept) < 30
    assert list_kept(*workers) == kept


def test_a_call_is_read_and_matched_once(workers: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    counted: Counter[str] = Counter()

    def count(module: Any, name: str) -> None:
        function = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *given: (counted.update([name]), function(*given))[1])

    for module in (pipeline, shared_pipeline):
        count(module, "parse_request")
    for module in (scenario_engine, shared_pipeline):
        count(module, "make_match_context")
    count(scenario_engine, "_explain_impossible_rule")
    for number in range(3):
        rule = {
            "id": f"rule-{number}",
            "when": {"model": "gpt-5.4"},
            "then": {"reply": {"text": str(number)}, "times": 1},
        }
        assert post(workers[0], "/_mock/rules", rule) == 201
    for url in workers:
        assert httpx2.get(f"{url}/v1/models", headers=HEADERS, trust_env=False).is_success, "it reads the rules"
    counted.clear()
    body = {name: value for name, value in STREAM.items() if name != "stream"}
    answers = [
        httpx2.post(f"{url}/v1/chat/completions", json=body, headers=HEADERS, trust_env=False).json()
        for url in (*workers, workers[0])
    ]
    assert [each["choices"][0]["message"]["content"] for each in answers] == ["0", "1", "2"]
    assert counted == {"parse_request": 3, "make_match_context": 3, "_explain_impossible_rule": 9}


def test_a_client_that_is_cancelled_leaves_no_open_stream(apps: tuple[Mock, Mock]) -> None:
    import redis

    state: Any = apps[0].pipeline.state

    async def leave() -> None:
        transport = httpx2.ASGITransport(app=apps[0])
        async with httpx2.AsyncClient(transport=transport, base_url="http://mock", headers=HEADERS) as client:
            for _ in range(2):
                asking = asyncio.create_task(client.post("/v1/chat/completions", json=STREAM, headers=HANGING))
                while not (state._open or asking.done()):
                    await asyncio.sleep(0)
                assert asking.cancel()
                await asyncio.wait({asking})
            assert not state._open
            await state.scripts.check()  # what was sent before is done

    with redis.Redis.from_url(shared_redis()) as client:
        asyncio.run(leave())
        assert wait_until(lambda: not client.zcard(f"{state.scripts.prefix}:open"))
