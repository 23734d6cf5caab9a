"""What the store holds of a session is bounded, and what gives way is the same as in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
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
def session(store: str, prefix: str) -> Session:
    """The session `default` of a mock of its own."""
    with Server(create_app(store=store, store_prefix=prefix)) as server:
        assert httpx2.get(f"{server.url}/v1/models", headers=AUTH).status_code == 200
    with redis.Redis.from_url(store, decode_responses=True) as client:
        generation: Any = client.hget(f"{prefix}:sessions", "default")
    return Session(store, prefix, int(generation))


@dataclass(frozen=True)
class Session:
    """A session in the store."""

    store: str
    prefix: str
    generation: int

    async def ask(self, operation: str, **arguments: Any) -> Any:
        """Run an operation of the script."""
        question = msgspec.msgpack.encode({"name": "default", "gen": self.generation, **arguments})
        return msgspec.msgpack.decode((await RedisScripts(self.store, self.prefix, 10.0).run(operation, question))[0])

    async def read(self, known: int = -1) -> Any:
        """Return what has changed since a version, or everything."""
        return await self.ask("open", known=known, most=10, confirmed=True)

    async def write(self, values: dict[str, str]) -> None:
        """Change values; those that are empty are deleted."""
        written = {"values": [*values.items()], "state": "", "uncounted": [], "clear": False}
        version = (await self.read())["version"]
        assert (await self.ask("commit", version=version, written=written))["status"] == "ok"

    async def touch(self, names: list[str]) -> list[bool]:
        """Return which prefixes of prompts were seen before, all at the same time."""
        found: list[bool] = (await self.ask("touch", prefixes=names, at=1.0, span=300.0))["found"]
        return found


async def test_names_of_deleted_values_are_forgotten_by_all(session: Session) -> None:
    many = [f"some/{number}" for number in range(300)]
    await session.write({"kept": "1", **dict.fromkeys(many, "1")})
    older = await session.read()
    await session.write(dict.fromkeys(many, ""))
    await session.write({"new": "2"})
    changes = await session.read(older["version"])
    assert changes["full"], "who knows them has to forget them"
    assert [name for name, _ in changes["values"]] == ["kept", "new"]
    assert not (await session.read(changes["version"]))["values"]


async def test_a_half_of_the_prefixes_is_kept_however_the_clock_stands(session: Session) -> None:
    names = [f"seen/{number}" for number in range(PREFIXES + 1)]
    for first in range(0, PREFIXES + 1, 1024):
        assert not any(await session.touch(names[first : first + 1024]))
    assert all(await session.touch(names[PREFIXES // 2 :]))
    assert not any(await session.touch(names[: PREFIXES // 2]))


async def test_a_session_that_has_lost_its_state_is_swept_like_others(session: Session) -> None:
    with redis.Redis.from_url(session.store) as client:
        assert client.delete(f"{session.prefix}:s:default:{session.generation}:meta") == 1
    assert (await session.ask("sweep", idle=60, expiry=60))["status"] == "ok"
    assert (await session.ask("increment", counter="any"))["status"] == "gone"


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
