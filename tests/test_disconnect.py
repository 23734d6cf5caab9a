"""Clients that leave in the middle of a stream leave nothing behind: no task, no connection, no memory."""

from __future__ import annotations

import asyncio
import gc
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from aione_mock.clock import parse_instant
from aione_mock.server.app import Mock, create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings
from tests.timing import PATIENCE, wait_until

KEY = "sk-nex-demo-every-model"
RESET = struct.pack("ii", 1, 0)
BODY = orjson.dumps(
    {"model": "gpt-5.4", "stream": True, "messages": [{"role": "user", "content": "Why do cats purr?"}]}
)


class Watched:
    """The mock, and the event loop that it runs in."""

    def __init__(self, mock: Mock) -> None:
        self.mock = mock
        self.loop: asyncio.AbstractEventLoop | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.loop = asyncio.get_running_loop()
        await self.mock(scope, receive, send)

    def left(self) -> int:
        """Tasks that have not ended, and streams that are still open."""
        assert self.loop is not None
        return len(asyncio.all_tasks(self.loop)) + self.mock.pipeline.state.statistics.streams_open


@pytest.fixture(scope="module")
def watched() -> Iterator[tuple[Watched, Server]]:
    app = Watched(create_app(Settings(now=parse_instant("2026-11-20T10:30:00Z"), journal_entries=20)))
    with Server(app, timeout_keep_alive=1) as server:
        yield app, server


def leave(server: Server, number: int, scenario: str, *, read: int, rudely: bool) -> None:
    """Ask for so many streams at once, read so much of each, and go away."""
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n"
        f"content-type: application/json\r\nx-mock-scenario: {scenario}\r\ncontent-length: {len(BODY)}\r\n\r\n"
    )
    connections = [socket.create_connection((server.host, server.port), timeout=PATIENCE) for _ in range(number)]
    for connection in connections:
        connection.sendall(head.encode() + BODY)
    for connection in connections:
        assert not read or connection.recv(read)
        if rudely:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        connection.close()


def count_settled(app: Watched, allowed: int) -> int:
    """Return what is left once nothing more goes away."""
    wait_until(lambda: app.left() <= allowed)
    return app.left()


def objects() -> int:
    gc.collect()
    return len(gc.get_objects())


@pytest.mark.parametrize(
    ("scenario", "read"),
    [
        ("pace; ttft=0.01; tps=1", 64),
        pytest.param("pace; ttft=30", 0, marks=pytest.mark.slow),
        pytest.param("instant", 64, marks=pytest.mark.slow),
        ("stall; after=3; then=hang", 64),
    ],
    ids=["paced", "before the first token", "instant", "hanging"],
)
def test_a_thousand_leave(watched: tuple[Watched, Server], scenario: str, read: int) -> None:
    app, server = watched
    session = app.mock.sessions.reset(app.mock.sessions.get())
    leave(server, 1, "instant", read=64, rudely=False)
    idle = count_settled(app, 0 if app.loop is None else 3)
    for _ in range(2):  # what is made once and kept
        leave(server, 50, scenario, read=read, rudely=False)
    assert count_settled(app, idle) <= idle
    time.sleep(1.1)  # the server keeps a connection for that long
    before, calls = objects(), session.calls
    for batch in range(20):
        leave(server, 50, scenario, read=read, rudely=batch % 2 == 1)
    assert count_settled(app, idle) <= idle
    time.sleep(1.1)
    made = session.calls - calls
    # each call is a row of the usage log; beyond that, less than one object for every second client
    assert wait_until(lambda: objects() - before - made < 500, 30), objects() - before - made
    assert made >= (1000 if read else 500)  # who leaves at once may not be heard at all
    assert app.mock.pipeline.state.statistics.streams_open == 0


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("wait", [0.05, 0.3, 0.5])
def test_a_client_may_leave_while_any_of_its_pipelined_requests_runs(
    capfd: pytest.CaptureFixture[str], wait: float, known: bool
) -> None:
    mock = create_app(Settings(pace="pace; tps=100; ttft=0ms"))
    body = orjson.dumps({**orjson.loads(BODY), "max_tokens": 20})
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    with Server(mock) as server:
        connection = socket.create_connection((server.host, server.port), timeout=PATIENCE)
        if known:
            # a head that came before, byte for byte
            with socket.create_connection((server.host, server.port), timeout=PATIENCE) as before:
                before.sendall(head.encode() + body)
                assert before.recv(1)
            connection.sendall(head.encode() + body)
            time.sleep(wait / 2)
        connection.sendall((head.encode() + body) * (3 if known else 4))
        assert connection.recv(1)
        time.sleep(wait / 2 if known else wait)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        connection.close()
        assert wait_until(lambda: mock.pipeline.state.statistics.streams_open == 0)
        assert mock.pipeline.state.statistics.requests < 4 + known
    assert capfd.readouterr().err == ""
