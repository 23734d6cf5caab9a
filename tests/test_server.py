"""Our server under the application: connections that uvicorn's own care, and ours, must both keep right."""

from __future__ import annotations

import contextlib
import gc
import random
import socket
import time
from itertools import accumulate, pairwise
from typing import Any

import pytest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from aione_mock.clock import parse_instant
from aione_mock.server.app import Mock, create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings
from tests.conftest import KEY, NOW
from tests.wire_reader import receive_bytes

BODY = b'{"model": "gpt-5.4", "messages": [{"role": "user", "content": "Case %d"}]}'


def request(number: int, version: bytes = b"1.1", *headers: bytes) -> bytes:
    body = BODY % number
    lines = [
        b"POST /v1/chat/completions HTTP/%b" % version,
        b"host: localhost",
        b"authorization: Bearer " + KEY.encode(),
        b"content-type: application/json",
        b"content-length: %d" % len(body),
        *headers,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def receive_answers(connection: socket.socket, until: int) -> bytes:
    """Return all that comes up to so many answers, or the end of the connection."""
    got = b""
    while got.count(b"HTTP/1.1 ") < until or not got.endswith(b"}"):
        data = connection.recv(1 << 16)
        if not data:
            break
        got += data
    return got


def test_requests_that_come_at_once_are_answered_in_their_order(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(b"".join([request(number) for number in range(400)]))
        got = receive_answers(connection, 400)
    assert got.count(b"HTTP/1.1 200 OK") == 400
    ids = [line for line in got.split(b"\r\n") if line.startswith(b"x-request-id: ")]
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(b"".join([request(number, b"1.1", b"x-mock-session: order") for number in range(5)]))
        alone = receive_answers(connection, 5)
    again = [line for line in alone.split(b"\r\n") if line.startswith(b"x-request-id: ")]
    assert len(set(ids)) == 400
    assert ids[:5] == again, "the same as of the same requests in a session of their own"


@pytest.mark.parametrize(
    ("version", "headers"), [(b"1.0", ()), (b"1.1", (b"connection: close",))], ids=["http-1.0", "close"]
)
def test_a_client_that_wants_no_more_gets_one_answer_and_the_end(
    server: Server, version: bytes, headers: tuple[bytes, ...]
) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(request(1, version, *headers))
        got = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    head, _, body = got.partition(b"\r\n\r\n")
    assert b"connection: close" in head
    assert b"content-length: %d\r\n" % len(body) in head + b"\r\n"


def test_a_body_that_comes_in_parts(server: Server) -> None:
    raw = request(7)
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        for part in (raw[:20], raw[20:-30], raw[-30:-1], raw[-1:]):
            connection.sendall(part)
        assert receive_answers(connection, 1).startswith(b"HTTP/1.1 200 OK")


def conversation(raw: bytes, cuts: list[int], answers: int) -> bytes:
    """Return what a fresh mock answers on one connection to bytes that come in parts, cut at these places."""
    with (
        Server(create_app(Settings(now=parse_instant(NOW)))) as running,
        socket.create_connection(("127.0.0.1", running.port), timeout=60) as connection,
    ):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start, end in pairwise([0, *cuts, len(raw)]):
            connection.sendall(raw[start:end])
            time.sleep(0.002)
        return receive_answers(connection, answers)


@pytest.mark.parametrize("chance", range(8))
def test_however_the_bytes_are_cut_the_answers_are_the_same(chance: int) -> None:
    """Heads that came before are recognised only where a whole request comes at once, which the client decides."""
    rng = random.Random(chance)
    requests = [request(rng.randrange(3), b"1.1", *((b"x-odd: yes",) if rng.random() < 0.3 else ())) for _ in range(12)]
    raw, whole = b"".join(requests), [*accumulate(map(len, requests))][:-1]
    apart = conversation(raw, whole, 12)
    assert apart.count(b"HTTP/1.1 200 OK") == 12
    cuts = sorted({*rng.sample(whole, 4), *rng.sample(range(1, len(raw)), 6)})
    assert conversation(raw, cuts, 12) == apart


def test_an_answer_to_head_has_no_body_however_often_it_is_asked_for(server: Server) -> None:
    raw = request(1).replace(b"POST", b"HEAD", 1)
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        for _ in range(3):
            connection.sendall(raw)
            got = b""
            while not got.endswith(b"\r\n\r\n"):
                got += receive_bytes(connection)
            assert got.count(b"\r\n\r\n") == 1
            assert b"content-length: " in got


def test_a_body_in_chunks_is_read_each_time(server: Server) -> None:
    head = request(1).partition(b"content-length")[0] + b"transfer-encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        for number in (1, 1, 12, 1):
            body = BODY % number
            connection.sendall(head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
            assert receive_answers(connection, 1).startswith(b"HTTP/1.1 200 OK")


def test_a_connection_is_kept_while_it_is_used_and_no_longer(app: Mock) -> None:
    with (
        Server(app, timeout_keep_alive=1) as running,
        socket.create_connection(("127.0.0.1", running.port), timeout=60) as connection,
    ):
        for _ in range(8):
            connection.sendall(request(3))
            assert receive_answers(connection, 1).startswith(b"HTTP/1.1 200 OK")
            time.sleep(0.2)
        begun = time.monotonic()
        assert connection.recv(1) == b""
        assert 0.5 < time.monotonic() - begun < 30


@pytest.mark.parametrize("header", [b"", b"x-mock-scenario: stall; after=1; seconds=600\r\n"])
def test_stopping_waits_for_no_client(app: Mock, header: bytes) -> None:
    """Not for one that is being answered, nor for one that may ask again."""
    streamed = BODY.replace(b"{", b'{"stream": true, ', 1) % 1
    head = request(1).partition(b"content-length")[0] + b"content-length: %d\r\n%b" % (len(streamed), header)
    with (
        Server(app) as running,
        socket.create_connection(("127.0.0.1", running.port), timeout=60) as connection,
    ):
        connection.sendall(head + b"\r\n" + streamed)
        assert connection.recv(1 << 16)
        begun = time.monotonic()
        running.stop()
        assert time.monotonic() - begun < 8
        with contextlib.suppress(ConnectionResetError):
            while connection.recv(1 << 16):
                pass
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", running.port), timeout=60)


def test_who_asks_whether_to_go_on_is_told_to(server: Server) -> None:
    head, _, body = request(8, b"1.1", b"expect: 100-continue").partition(b"\r\n\r\n")
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(head + b"\r\n\r\n")
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 100 Continue")
        connection.sendall(body)
        assert receive_answers(connection, 1).startswith(b"HTTP/1.1 200 OK")


def test_an_application_around_the_mock_hears_its_answers(app: Mock) -> None:
    heard: list[str] = []

    async def around(scope: Any, receive: Any, send: Any) -> None:
        async def hearing(message: Any) -> None:
            heard.append(message["type"])
            await send(message)

        await app(scope, receive, hearing if scope["type"] == "http" else send)

    with Server(around) as running, socket.create_connection(("127.0.0.1", running.port), timeout=60) as connection:
        connection.sendall(request(9))
        assert receive_answers(connection, 1).startswith(b"HTTP/1.1 200 OK")
    assert heard == ["http.response.start", "http.response.body"]


def test_an_answered_request_leaves_no_ring_of_references(server: Server) -> None:
    def cycles() -> int:
        return sum(isinstance(thing, RequestResponseCycle) for thing in gc.get_objects())

    gc.collect()
    before = cycles()
    gc.disable()
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
            for number in range(100):
                connection.sendall(request(number))
                assert receive_answers(connection, 1).startswith(b"HTTP/1.1 200 OK")
        assert cycles() - before < 20, "a collector would have to find them"
    finally:
        gc.enable()
