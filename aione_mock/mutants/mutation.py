"""How a mutant is made: the mock, with what goes in or comes out of a few operations changed.

A mutant is data. It knows nothing of the pipeline, so the mock it distorts is the very one that users get.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from aione_mock.contract import Operation
from aione_mock.structs import replace
from aione_mock.types import Json

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
