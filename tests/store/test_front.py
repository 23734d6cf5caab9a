"""The front of the store tests changes no byte, and gives each request to the next server."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aione_mock.clock import parse_instant
from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings
from tests.conftest import KEY, NOW
from tests.faults.conftest import build_chat
from tests.store.front import Front, RequestSplitter
from tests.timing import PATIENCE, wait_until
from tests.wire_reader import Wire, ask, build_request, receive_bytes

CHUNKED = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    b'5;a=b\r\n{"a":\r\n3\r\n 1}\r\n0\r\n\r\n'
)
REQUESTS = (
    build_request("/v1/models"),
    build_request("/v1/chat/completions", {"model": "x" * 50}),
    CHUNKED,
    build_request("/v1/messages", {"max_tokens": 1}, headers={"x-y": "z"}),
)


@pytest.fixture(scope="module")
def two() -> Iterator[tuple[Server, Server]]:
    """Two mocks that share nothing."""
    settings = Settings(now=parse_instant(NOW))
    with Server(create_app(settings)) as first, Server(create_app(settings)) as second:
        yield first, second


@pytest.fixture
def front(two: tuple[Server, Server]) -> Iterator[Front]:
    with Front([each.port for each in two]) as front:
        yield front


def comparable(answer: Wire) -> tuple[str, dict[str, str], bytes, str]:
    return answer.head, {**answer.headers, "date": ""}, answer.body, answer.end


@given(st.lists(st.sampled_from(REQUESTS), max_size=5), st.randoms(use_true_random=False))
def test_requests_are_split_wherever_the_bytes_are_cut(sent: list[bytes], random: object) -> None:
    splitter, found, rest = RequestSplitter(), list[bytes](), b"".join(sent)
    while rest:
        size = random.randint(1, len(rest))  # type: ignore[attr-defined]
        for begins, piece in splitter.split(rest[:size]):
            if begins:
                found.append(b"")
            found[-1] += piece
        rest = rest[size:]
    assert found == sent


@pytest.mark.parametrize("garbage", [b"\x16\x03\x01\x02", b"GET / HTTP/1.1\r\ncontent-length: many\r\n\r\nabc\r\n\r\n"])
def test_what_is_no_request_stays_in_one_piece(garbage: bytes) -> None:
    splitter = RequestSplitter()
    assert sum(begins for _ in range(3) for begins, _ in splitter.split(garbage)) == 1


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("protocol", ["openai", "anthropic", "gemini"])
def test_an_answer_has_the_bytes_of_either_server(
    front: Front, two: tuple[Server, Server], protocol: str, stream: bool
) -> None:
    raw = build_chat(protocol, f"{protocol} {stream}", stream=stream)
    there = [comparable(ask(front.port, raw)) for _ in range(4)]
    sessions = ["again-0", "again-1"]
    here = [
        comparable(ask(two[0].port, raw.replace(b"\r\n", f"\r\nx-mock-session: {name}\r\n".encode(), 1)))
        for name in sessions
        for _ in range(2)
    ]
    assert there == [here[0], here[0], here[1], here[1]], "the first of each server, then the second of each"


def test_requests_of_one_connection_go_to_each_in_turn(front: Front, two: tuple[Server, Server]) -> None:
    raw = build_request("/v1/models", headers={"authorization": f"Bearer {KEY}"})
    with socket.create_connection(("127.0.0.1", front.port), timeout=PATIENCE) as connection:
        for _ in range(6):
            connection.sendall(raw)
            read_answer(connection)
    assert front.forwarded == {each.port: 3 for each in two}


def test_requests_in_one_write_are_answered_in_their_order(front: Front) -> None:
    names = [f"no-model-{number}" for number in range(4)]
    headers = {"authorization": f"Bearer {KEY}"}
    with socket.create_connection(("127.0.0.1", front.port), timeout=PATIENCE) as connection:
        connection.sendall(b"".join(build_request(f"/v1/models/{name}", headers=headers) for name in names))
        answers = [read_answer(connection) for _ in names]
    assert all(name.encode() in answer for name, answer in zip(names, answers, strict=True))
    assert sorted(front.forwarded.values()) == [0, 1]


@pytest.mark.parametrize(("scenario", "end"), [("reset", "reset"), ("cut", "closed")])
def test_the_end_of_a_connection_is_that_of_the_server(front: Front, scenario: str, end: str) -> None:
    answers = [ask(front.port, build_chat("openai", "How it ends", scenario=scenario)) for _ in range(2)]
    assert [answer.end for answer in answers] == [end, end]
    assert not any(answer.whole for answer in answers)


def test_a_client_that_leaves_is_noticed(front: Front, two: tuple[Server, Server]) -> None:
    with socket.create_connection(("127.0.0.1", front.port), timeout=PATIENCE) as connection:
        connection.sendall(build_chat("openai", "Who leaves", scenario="hang"))
    assert wait_until(lambda: not any(each.app.sessions.default.in_flight for each in two))


def read_answer(connection: socket.socket) -> bytes:
    """Read one answer with a content-length."""
    raw = b""
    while b"\r\n\r\n" not in raw:
        raw += receive_bytes(connection, 1)
    length = next(int(line.split(b":")[1]) for line in raw.split(b"\r\n") if line.startswith(b"content-length"))
    while length > 0:
        raw += (data := receive_bytes(connection, length))
        length -= len(data)
    return raw
