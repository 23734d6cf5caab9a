"""Our server under the application: connections that uvicorn's own care, and ours, must both keep right."""

from __future__ import annotations

import gc
import socket
from typing import Any

import pytest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from aione_mock.app import Mock
from aione_mock.server import Server
from tests.conftest import KEY

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


def received(connection: socket.socket, until: int) -> bytes:
    """All that comes up to so many answers, or the end of the connection."""
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
        got = received(connection, 400)
    assert got.count(b"HTTP/1.1 200 OK") == 400
    ids = [line for line in got.split(b"\r\n") if line.startswith(b"x-request-id: ")]
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(b"".join([request(number, b"1.1", b"x-mock-session: order") for number in range(5)]))
        alone = received(connection, 5)
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
        assert received(connection, 1).startswith(b"HTTP/1.1 200 OK")


def test_who_asks_whether_to_go_on_is_told_to(server: Server) -> None:
    head, _, body = request(8, b"1.1", b"expect: 100-continue").partition(b"\r\n\r\n")
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(head + b"\r\n\r\n")
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 100 Continue")
        connection.sendall(body)
        assert received(connection, 1).startswith(b"HTTP/1.1 200 OK")


def test_an_application_around_the_mock_hears_its_answers(app: Mock) -> None:
    heard: list[str] = []

    async def around(scope: Any, receive: Any, send: Any) -> None:
        async def hearing(message: Any) -> None:
            heard.append(message["type"])
            await send(message)

        await app(scope, receive, hearing if scope["type"] == "http" else send)

    with Server(around) as running, socket.create_connection(("127.0.0.1", running.port), timeout=60) as connection:
        connection.sendall(request(9))
        assert received(connection, 1).startswith(b"HTTP/1.1 200 OK")
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
                assert received(connection, 1).startswith(b"HTTP/1.1 200 OK")
        assert cycles() - before < 20, "a collector would have to find them"
    finally:
        gc.enable()
