"""How a mutant is made: the mock, with what goes in or comes out of a few operations changed.

A mutant is data. It knows nothing of the pipeline, so the mock it distorts is the very one that users get.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from aione_mock.asgi import read_raw_path, split_session
from aione_mock.contract import Contract, Operation
from aione_mock.structs import replace
from aione_mock.types import Json

App = Callable[[Any, Any, Any], Awaitable[None]]
RawHeaders = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """A request on its way in."""

    operation: Operation | None
    method: str
    path: str
    query: bytes
    headers: RawHeaders
    body: bytes
    memory: dict[Any, Any] = field(repr=False, compare=False)
    """What this mutant remembers between requests."""

    @property
    def data(self) -> Json:
        """The JSON body, None when it is none."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None

    def header(self, name: bytes) -> bytes:
        """A header's value, empty when it is absent."""
        return next((value for key, value in self.headers if key == name), b"")

    def with_header(self, name: bytes, value: bytes) -> Ask:
        """The request with another value of a header."""
        return replace(self, headers=(*[pair for pair in self.headers if pair[0] != name], (name, value)))

    def with_data(self, data: Json) -> Ask:
        """The request with another JSON body."""
        body = orjson.dumps(data)
        return replace(self, body=body).with_header(b"content-length", str(len(body)).encode())


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer on its way out."""

    status: int
    headers: RawHeaders
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether it is a success."""
        return self.status < 300

    @property
    def streamed(self) -> bool:
        """Whether it is an event stream."""
        return any(name == b"content-type" and value.startswith(b"text/event-stream") for name, value in self.headers)

    @property
    def data(self) -> Json:
        """The JSON body, None when it is none."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None

    @property
    def events(self) -> list[bytes]:
        """The events of a stream, each with its blank line."""
        return [event + b"\n\n" for event in self.body.split(b"\n\n") if event]

    def with_body(self, body: bytes) -> Answer:
        """The answer with other bytes."""
        headers = [(n, str(len(body)).encode() if n == b"content-length" else v) for n, v in self.headers]
        return replace(self, headers=tuple(headers), body=body)

    def with_data(self, data: Json) -> Answer:
        """The answer with another JSON body."""
        return self.with_body(orjson.dumps(data))

    def with_events(self, events: list[bytes]) -> Answer:
        """The answer with other events."""
        return self.with_body(b"".join(events))


Change = Callable[[Answer, Ask], Answer]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One deliberately wrong variant of the mock."""

    name: str
    area: str
    title: str
    """What is wrong, in words."""
    found_by: tuple[str, ...]
    """Laws or checks that name the right cause."""
    operations: tuple[str, ...] = ()
    """Operation ids that it distorts; empty means all."""
    ask: Callable[[Ask], Ask] = lambda ask: ask
    answer: Change = lambda answer, ask: answer


class Mutation:
    """The mock distorted by one mutant, as an ASGI application."""

    def __init__(self, app: App, contract: Contract, mutant: Mutant) -> None:
        self._app, self._contract, self._mutant = app, contract, mutant
        self._memory: dict[Any, Any] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        operation = self._operation(scope)
        wanted = self._mutant.operations
        if operation is None or operation.protocol == "control" or (wanted and operation.id not in wanted):
            await self._app(scope, receive, send)
            return
        ask = self._mutant.ask(await self._read(scope, receive, operation))
        answer = self._mutant.answer(await self._ask(scope, ask, receive), ask)
        await send({"type": "http.response.start", "status": answer.status, "headers": [*answer.headers]})
        await send({"type": "http.response.body", "body": answer.body})

    def _operation(self, scope: Any) -> Operation | None:
        _, path = split_session(read_raw_path(scope))
        return self._contract.match(path).operations.get(scope["method"])

    async def _read(self, scope: Any, receive: Any, operation: Operation) -> Ask:
        parts, more = [], True
        while more:
            message = await receive()
            parts.append(message.get("body", b""))
            more = message.get("more_body", False)
        raw_path = read_raw_path(scope)
        headers = tuple((name, value) for name, value in scope["headers"])
        return Ask(operation, scope["method"], raw_path, scope["query_string"], headers, b"".join(parts), self._memory)

    async def _ask(self, scope: Any, ask: Ask, receive: Any) -> Answer:
        """What the mock itself answers, whole."""
        start: Mapping[str, Any] = {}
        body: list[bytes] = []
        waiting = True

        async def once() -> Any:
            nonlocal waiting
            if waiting:
                waiting = False
                return {"type": "http.request", "body": ask.body, "more_body": False}
            return await receive()

        async def keep(message: Any) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
            else:
                body.append(message.get("body", b""))

        path = ask.path.encode("latin-1")
        inner = {**scope, "headers": [*ask.headers], "query_string": ask.query, "raw_path": path, "path": ask.path}
        # buffered here, so the wire below must not write to the socket itself
        inner["extensions"] = {}
        await self._app(inner, once, keep)
        return Answer(start.get("status", 500), tuple(start.get("headers", ())), b"".join(body))
