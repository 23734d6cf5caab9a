"""Load that costs little: many connections in one event loop, which note of each answer what laws are about."""

from __future__ import annotations

import asyncio
import functools
import itertools
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import uvloop

from tests.wire_reader import build_request

_STATUS = slice(9, 12)
_OCCURRENCE = re.compile(rb"\r\nx-mock-occurrence: (\d+)")
_REQUEST_ID = re.compile(rb"\r\nx-request-id: (\S+)")
_RETRY_AFTER = re.compile(rb"\r\nretry-after: (\d+)")
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)")
_USAGE = re.compile(rb'"(?:usage|usageMetadata)":(\{(?:[^{}]|\{[^{}]*\})*\})')
_MODEL = re.compile(rb'"(?:model|modelVersion)":"([^"]*)"')
_CREATED = re.compile(rb'"created":(\d+)')
_LAST_CHUNK = b"0\r\n\r\n"
_PAUSE_SECONDS = 0.05
"""Between two attempts to connect."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request to send."""

    kind: str
    text: str
    raw: bytes


@dataclass(slots=True)
class Answer:
    """What came back. Times are those of the machine's monotonic clock."""

    call: Call
    port: int
    began: float
    first: float = 0.0
    """When the first byte came."""
    ended: float = 0.0
    """When the last byte came, or the connection ended."""
    head: bytes = b""
    body: bytes = b""
    status: int = 0
    """0 for a connection that ended before the answer did."""

    @property
    def occurrence(self) -> int:
        """How often the request had come."""
        return _find_integer(_OCCURRENCE, self.head)

    @property
    def request_id(self) -> str:
        """The id of the answer."""
        found = _REQUEST_ID.search(self.head)
        return found[1].decode() if found else ""

    @property
    def retry_after(self) -> int:
        """Seconds after which to try again."""
        return _find_integer(_RETRY_AFTER, self.head)

    @property
    def created(self) -> int:
        """Unix seconds of the session's clock."""
        return _find_integer(_CREATED, self.body)

    @property
    def usage(self) -> dict[str, Any]:
        """The tokens as the protocol names them."""
        found: dict[str, Any] = orjson.loads(_USAGE.findall(self.body)[-1])
        return found

    @property
    def tokens(self) -> int:
        """All tokens of an answer of OpenAI's protocol."""
        return int(self.usage["total_tokens"])

    @property
    def model(self) -> str:
        """The model that answered."""
        found = _MODEL.search(self.body)
        return found[1].decode() if found else ""


def _find_integer(pattern: re.Pattern[bytes], text: bytes) -> int:
    found = pattern.search(text)
    return int(found[1]) if found else 0


@functools.cache
def make_call(
    kind: str, text: str, key: str, scenario: str = "", *, stream: bool = False, claude: bool = False
) -> Call:
    """Return a question to a model in OpenAI's protocol, or in Anthropic's."""
    headers = {"authorization": f"Bearer {key}", "x-mock-explain": "1"}
    headers |= {"x-mock-scenario": scenario} if scenario else {}
    body: dict[str, Any] = {"model": "gpt-5.4", "messages": [{"role": "user", "content": text}]}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    if claude:
        body |= {"model": "claude-haiku-4-5", "max_tokens": 60}
    return Call(kind, text, build_request("/v1/messages" if claude else "/v1/chat/completions", body, headers=headers))


@dataclass(slots=True)
class Load:
    """Calls that are being sent to some ports."""

    waiting: deque[Call]
    ports: Sequence[int]
    answers: list[Answer] = field(default_factory=list)
    stopped: bool = False
    connections: int = 0
    """Connections to all ports together."""

    async def wait_for_answers(self, rounds: float) -> None:
        """Return when so many more answers have come for each connection, or all have."""
        goal = len(self.answers) + rounds * self.connections
        while self.waiting and len(self.answers) < goal:
            await asyncio.sleep(0.01)

    async def send(self, connections: int) -> None:
        """Send all calls, over that many connections to each port."""
        self.connections = connections * len(self.ports)
        await asyncio.gather(*[self._connect(port) for port in self.ports for _ in range(connections)])

    async def _connect(self, port: int) -> None:
        """Send calls over one connection after the other, each as soon as the call before it is answered."""
        loop = asyncio.get_running_loop()
        while self.waiting and not self.stopped:
            try:
                _, connection = await loop.create_connection(lambda: _Connection(self, port), "127.0.0.1", port)
            except OSError:
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                await connection.ended


class _Connection(asyncio.Protocol):
    def __init__(self, load: Load, port: int) -> None:
        self._load, self._port = load, port
        self._answer: Answer | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._send_next()

    def _send_next(self) -> None:
        if not self._load.waiting or self._load.stopped:
            self._answer = None
            self._transport.close()
            return
        call = self._load.waiting.popleft()
        self._data, self._end, self._answer = b"", -1, Answer(call, self._port, time.monotonic())
        self._transport.write(call.raw)

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        if answer is None:
            return
        answer.first = answer.first or time.monotonic()
        self._data += data
        if self._end < 0 and (at := self._data.find(b"\r\n\r\n")) >= 0:
            answer.head, self._end = self._data[: at + 2], at + 4
            found = _LENGTH.search(answer.head)
            self._length = int(found[1]) if found else None
        if self._end >= 0 and self._is_whole():
            answer.status, answer.body = int(self._data[_STATUS]), self._data[self._end :]
            self._finish(answer)
            self._send_next()

    def _is_whole(self) -> bool:
        if self._length is None:
            return self._data.endswith(_LAST_CHUNK)
        return len(self._data) - self._end >= self._length

    def _finish(self, answer: Answer) -> None:
        answer.ended = time.monotonic()
        self._load.answers.append(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None:
            self._finish(self._answer)
        self.ended.set_result(None)


def send_all(
    ports: Sequence[int],
    calls: Iterable[Call],
    connections: int,
    beside: Callable[[Load], Awaitable[None]] | None = None,
    seconds: float = 300.0,
) -> list[Answer]:
    """Send calls over so many connections to each port, and return the answers in the order in which they came.

    `beside` runs at the same time and is cancelled at the end; whatever it raises is raised.
    """

    async def run() -> list[Answer]:
        load = Load(deque(calls), ports)
        task = None if beside is None else asyncio.ensure_future(beside(load))
        await asyncio.wait_for(load.send(connections), seconds)
        if task is not None:
            load.stopped = True
            await task
        return load.answers

    return uvloop.run(run())


def take_turns(ports: Sequence[int]) -> Callable[[], int]:
    """Return a function that returns the ports one after the other."""
    return itertools.cycle(ports).__next__
