"""Answers of one turn of the event loop are written together, in order, and none is lost."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import Any

import orjson
import pytest

from aione_mock.server.answer_batch import AnswerBatch
from aione_mock.server.http import Server
from tests.test_http import MODEL, Client


class FakeTransport(asyncio.Transport):
    """A transport that remembers what was written, in one list with others."""

    def __init__(self, name: str, written: list[tuple[str, bytes]]) -> None:
        super().__init__()
        self._name, self._written, self.closing = name, written, False

    def write(self, data: Any) -> None:
        self._written.append((self._name, bytes(data)))

    def is_closing(self) -> bool:
        return self.closing


@pytest.fixture
def written() -> list[tuple[str, bytes]]:
    return []


@pytest.fixture
def transports(written: list[tuple[str, bytes]]) -> list[FakeTransport]:
    return [FakeTransport(f"c{number}", written) for number in range(40)]


def batch_of(transports: list[FakeTransport]) -> AnswerBatch:
    batch = AnswerBatch()
    batch.connections = transports
    return batch


def test_answers_wait_for_the_end_of_the_turn(
    transports: list[FakeTransport], written: list[tuple[str, bytes]]
) -> None:
    async def answer() -> None:
        batch = batch_of(transports)
        for transport in transports[:3]:
            batch.write(transport, b"answer")
        assert written == []
        await asyncio.sleep(0)
        assert written == [("c0", b"answer"), ("c1", b"answer"), ("c2", b"answer")]
        batch.write(transports[0], b"next")
        await asyncio.sleep(0)
        assert written[3:] == [("c0", b"next")]

    asyncio.run(answer())


def test_few_wait_for_each_other(transports: list[FakeTransport], written: list[tuple[str, bytes]]) -> None:
    async def answer() -> None:
        batch = batch_of(transports)
        for transport in transports:
            batch.write(transport, b"answer")
        assert len(written) == 32
        await asyncio.sleep(0)
        assert len(written) == 40

    asyncio.run(answer())


def test_the_only_connection_waits_for_nobody(
    transports: list[FakeTransport], written: list[tuple[str, bytes]]
) -> None:
    batch_of(transports[:1]).write(transports[0], b"answer")
    assert written == [("c0", b"answer")]


def test_what_waits_comes_before_what_follows(
    transports: list[FakeTransport], written: list[tuple[str, bytes]]
) -> None:
    async def answer() -> None:
        batch = batch_of(transports)
        batch.write(transports[0], b"answer")
        batch.write(transports[1], b"answer")
        batch.flush_before(transports[2])
        assert written == []
        batch.flush_before(transports[1])
        assert written == [("c0", b"answer"), ("c1", b"answer")]
        batch.write(transports[3], b"answer")
        transports[3].closing = True
        await asyncio.sleep(0)
        assert len(written) == 2, "its client has left"

    asyncio.run(answer())


def test_every_connection_gets_its_own_answers(server: Server) -> None:
    """Requests of many connections that arrive in the same turns, some of them pipelined."""
    models = ["gpt-5.4", "claude-sonnet-4-6", "gemini-2.5-flash"]
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(server)) for _ in range(50)]
        for turn in range(10):
            asked = [[models[(turn + number + part) % 3] for part in range(1 + number % 3)] for number in range(50)]
            for client, names in zip(clients, asked, strict=True):
                client.send(b"".join([MODEL.replace(b"gpt-5.4", name.encode()) + b"\r\n\r\n" for name in names]))
            for client, names in zip(clients, asked, strict=True):
                answers = [client.answer() for _ in names]
                assert [(status, orjson.loads(body)["id"]) for status, body in answers] == [(200, n) for n in names]


@pytest.mark.parametrize("event", ["another request", "end of input", "shutdown"])
def test_an_answer_comes_before_what_happens_in_its_turn(server: Server, event: str) -> None:
    """Systems may report two events of a connection in one turn of the event loop."""
    with Client(server) as client:
        client.send(MODEL + b"\r\n\r\n")
        assert client.answer()[0] == 200
        port = client.socket.getsockname()[1]
        connections = server._uvicorn.server_state.connections
        protocol: Any = next(each for each in connections if each.transport.get_extra_info("peername")[1] == port)

        async def turn() -> None:
            protocol.data_received(MODEL + b"\r\n\r\n")
            if event == "another request":
                protocol.data_received(MODEL.replace(b"gpt-5.4", b"gemini-2.5-flash") + b"\r\n\r\n")
            elif event == "shutdown":
                protocol.shutdown()
            elif not protocol.eof_received():
                protocol.transport.close()

        server.run(turn())
        assert orjson.loads(client.answer()[1])["id"] == "gpt-5.4"
        if event == "another request":
            assert orjson.loads(client.answer()[1])["id"] == "gemini-2.5-flash"
        else:
            assert client.rest() == b""
