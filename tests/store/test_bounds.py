"""What the store holds of a session is bounded, and what gives way is the same as in memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import httpx2
import msgspec
import pytest
import redis

from aione_mock.clock import parse_instant
from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.store.redis import RedisScripts
from tests.conftest import KEY, NOW
from tests.redis_server import running_redis
from tests.store.servers import new_prefix

AUTH = {"authorization": f"Bearer {KEY}"}
PREFIXES = 8192
"""Most prefixes of prompts that a session remembers."""


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    with running_redis() as url:
        yield url


@pytest.fixture
def prefix() -> str:
    return new_prefix()


@pytest.fixture
def clients(store: str, prefix: str) -> Iterator[tuple[httpx2.Client, ...]]:
    """Clients of two workers with a state of their own."""
    settings: dict[str, Any] = {
        "now": parse_instant(NOW),
        "store": store,
        "store_prefix": prefix,
        "extensions": ("responses",),
    }
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(Server(create_app(**settings))) for _ in range(2)]
        yield tuple([stack.enter_context(httpx2.Client(base_url=each.url, headers=AUTH)) for each in servers])


def find_place(client: redis.Redis, prefix: str) -> str:
    """Return what the keys of the session `default` begin with."""
    return f"{prefix}:s:default:{client.hget(f'{prefix}:sessions', 'default').decode()}:"  # type: ignore[union-attr]


def respond(client: httpx2.Client, text: str) -> str:
    """Return the path of a new response that is kept."""
    answer = client.post("/v1/responses", json={"model": "gpt-5.4", "input": text})
    assert answer.status_code == 200, answer.text
    return f"/v1/responses/{answer.json()['id']}"


def test_names_of_deleted_values_are_forgotten(clients: tuple[httpx2.Client, ...], store: str, prefix: str) -> None:
    one, other = clients
    kept, gone = respond(one, "keep"), respond(one, "delete")
    assert [other.get(path).status_code for path in (kept, gone)] == [200, 200]
    for path in [gone, *[respond(one, str(number)) for number in range(300)]]:
        assert one.delete(path).status_code == 200
    with redis.Redis.from_url(store) as client:
        place = find_place(client, prefix)
        assert client.zcard(f"{place}vers") < 150 + client.hlen(f"{place}vals")  # type: ignore[operator]
    for worker in (other, one):
        assert [worker.get(path).status_code for path in (kept, gone)] == [200, 404]


async def touch(scripts: RedisScripts, generation: int, names: list[str]) -> list[bool]:
    """Return which prefixes of prompts were seen before, all at the same time."""
    question = {"name": "default", "gen": generation, "prefixes": names, "at": 1.0, "span": 300.0}
    answer = await scripts.run("touch", msgspec.msgpack.encode(question))
    found: list[bool] = msgspec.msgpack.decode(answer[0])["found"]
    return found


async def test_a_half_of_the_prefixes_is_kept_however_the_clock_stands(
    clients: tuple[httpx2.Client, ...], store: str, prefix: str
) -> None:
    assert clients[0].get("/v1/models").status_code == 200
    with redis.Redis.from_url(store) as client:
        generation = int(find_place(client, prefix).split(":")[-2])
    scripts = RedisScripts(store, prefix, 10.0)
    names = [f"seen/{number}" for number in range(PREFIXES + 1)]
    for first in range(0, PREFIXES + 1, 1024):
        assert not any(await touch(scripts, generation, names[first : first + 1024]))
    newest = names[PREFIXES // 2 :]
    assert all(await touch(scripts, generation, newest))
    assert not any(await touch(scripts, generation, names[: PREFIXES // 2]))


def read_journals(settings: dict[str, Any]) -> list[list[int]]:
    """Return the numbers of the calls that the journals of two sessions hold, after the second has used up the room."""
    with Server(create_app(**settings)) as server, httpx2.Client(base_url=server.url, headers=AUTH) as client:
        for session, count in (("large", 12), ("small", 6)):
            for number in range(count):
                body = {"model": "gpt-5.4", "messages": [{"role": "user", "content": f"{number}" * 400}]}
                headers = {"x-mock-session": session}
                assert client.post("/v1/chat/completions", json=body, headers=headers).status_code == 200
        journals = [client.get("/_mock/journal", headers={"x-mock-session": each}) for each in ("large", "small")]
        return [[item["number"] for item in journal.json()["items"]] for journal in journals]


@pytest.mark.parametrize("total", [0, 20_000, 80_000])
def test_the_largest_journal_gives_way_as_it_does_in_memory(store: str, prefix: str, total: int) -> None:
    settings: dict[str, Any] = {"now": parse_instant(NOW), "journals_total": total}
    held = read_journals(settings)
    assert held == read_journals({**settings, "store": store, "store_prefix": prefix})
    if total == 80_000:
        large, small = held
        assert small == [6, 5, 4, 3, 2, 1]
        assert 0 < len(large) < 12
