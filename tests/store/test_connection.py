"""The connection to the store: how long a call waits for it at most, and what it costs to lose it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings
from aione_mock.store.redis import RedisScripts, StoreUnavailable
from tests.store.servers import new_prefix
from tests.store.test_failures import TIMEOUT, Database, list_journal, send
from tests.timing import at_best, wait_until

PING = b"\x90"
"""Arguments of an operation that does nothing."""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    found = Database(tmp_path)
    yield found
    found.stop()


@pytest.fixture
def mock(database: Database) -> Iterator[Server]:
    settings = Settings(store=database.url, store_prefix=new_prefix(), store_timeout=TIMEOUT)
    with Server(create_app(settings)) as server:
        yield server


async def time_call(scripts: RedisScripts) -> float:
    """Return the seconds until a call is refused."""
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match="in time"):
        await scripts.run("ping", PING)
    return time.monotonic() - began


async def time_calls(url: str, count: int) -> list[float]:
    """Return how long calls wait that come at the same moment."""
    scripts = RedisScripts(url, "one", TIMEOUT)
    return await asyncio.gather(*[time_call(scripts) for _ in range(count)])


def test_an_operation_that_fails_takes_none_of_its_batch_along(database: Database) -> None:
    async def run() -> list[Any]:
        scripts = RedisScripts(database.url, "one", 10.0)
        names = ["ping", "no-such-operation", "ping"] * 30  # more than one run of the script answers
        return await asyncio.gather(*[scripts.run(name, PING) for name in names], return_exceptions=True)

    for good, bad, after in split_batches(asyncio.run(run())):
        assert good == after != []
        assert isinstance(bad, StoreUnavailable)


def split_batches(answers: list[Any]) -> Iterator[list[Any]]:
    yield from (answers[place : place + 3] for place in range(0, len(answers), 3))


async def answer_too_little(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each command with an empty list."""
    while commands := await reader.read(1 << 16):
        writer.write(b"*0\r\n" * commands.count(b"*"))
    writer.close()


def test_a_store_that_answers_too_little_is_unavailable() -> None:
    async def run() -> None:
        async with await asyncio.start_server(answer_too_little, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            scripts = RedisScripts(f"redis://127.0.0.1:{port}/0", "one", 10.0)
            with pytest.raises(StoreUnavailable):
                await asyncio.wait_for(scripts.run("ping", PING), 5.0)

    asyncio.run(run())


@at_best
def test_a_store_that_hangs_keeps_no_call_waiting_longer_than_another(database: Database) -> None:
    database.hang()
    took = asyncio.run(time_calls(database.url, 1000))
    assert TIMEOUT * 0.9 < min(took) < max(took) < 3 * TIMEOUT, (min(took), max(took))


async def answer_slowly(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one command after the other, each just in time."""
    while not writer.is_closing():
        await asyncio.sleep(TIMEOUT / 2)
        writer.write(b"*0\r\n")


@at_best
def test_a_store_that_is_slow_keeps_no_call_waiting_longer_than_it_may() -> None:
    async def run() -> list[float]:
        async with await asyncio.start_server(answer_slowly, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            scripts = RedisScripts(f"redis://127.0.0.1:{port}/0", "one", TIMEOUT)
            return await asyncio.gather(*[time_call(scripts) for _ in range(20)])

    assert max(asyncio.run(run())) < 3 * TIMEOUT


async def test_a_worker_that_is_busy_does_not_blame_the_store(database: Database) -> None:
    scripts = RedisScripts(database.url, "one", TIMEOUT)
    await scripts.run("ping", PING)
    asking = asyncio.ensure_future(scripts.run("ping", PING))
    asyncio.get_running_loop().call_soon(time.sleep, 2 * TIMEOUT)  # after the call is waiting, before it is sent
    assert await asking


def wait_until_closed(database: Database) -> None:
    """Wait until nobody but this test is connected."""
    assert wait_until(lambda: len(database.tell("CLIENT", "LIST").splitlines()) == 1, 10)
    time.sleep(0.05)


def kill_idle(database: Database) -> None:
    """Close the connections of all others."""
    database.tell("CLIENT", "KILL", "TYPE", "NORMAL", "SKIPME", "YES")
    wait_until_closed(database)


def restart(database: Database) -> None:
    """Start the server again, with what it had."""
    database.shut_down()
    database.start()


@pytest.mark.parametrize("lose", [kill_idle, restart])
def test_the_first_call_after_an_idle_connection_was_lost_is_answered_once(
    database: Database, mock: Server, lose: Callable[[Database], Any]
) -> None:
    assert send(mock.url, "openai").status_code == 200
    before = list_journal(mock.url)["total"]
    lose(database)
    answer = send(mock.url, "openai")
    assert answer.status_code == 200, answer.text
    lose(database)
    assert list_journal(mock.url)["total"] == before + 1
