"""Mutants as data: the mock with changed requests or responses of a few operations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from aione_mock.contract import Operation
from aione_mock.structs import replace
from aione_mock.types import Json, RawHeaders


@dataclass(frozen=True, slots=True)
class MutantRequest:
    """A request before the mock reads it."""

    operation: Operation
    method: str
    path: str
    query: bytes
    headers: RawHeaders
    body: bytes
    memory: dict[Any, Any] = field(repr=False, compare=False)
    """What the mutant remembers between requests."""

    @property
    def data(self) -> Json:
        """The parsed body, None if it is not JSON."""
        return _parse_json(self.body)

    def header(self, name: bytes) -> bytes:
        """Return the value of a header, empty if it is absent."""
        return next((value for key, value in self.headers if key == name), b"")

    def with_header(self, name: bytes, value: bytes) -> MutantRequest:
        """Return the request with another value of a header."""
        return replace(self, headers=(*[pair for pair in self.headers if pair[0] != name], (name, value)))

    def with_data(self, data: Json) -> MutantRequest:
        """Return the request with another JSON body."""
        body = orjson.dumps(data)
        return replace(self, body=body).with_header(b"content-length", str(len(body)).encode())


@dataclass(frozen=True, slots=True)
class MutantResponse:
    """A complete response of the mock before it is sent."""

    status: int
    headers: RawHeaders
    body: bytes

    @property
    def is_success(self) -> bool:
        """Whether the status is below 300."""
        return self.status < 300

    @property
    def is_event_stream(self) -> bool:
        """Whether the body is server-sent events."""
        return any(name == b"content-type" and value.startswith(b"text/event-stream") for name, value in self.headers)

    @property
    def data(self) -> Json:
        """The parsed body, None if it is not JSON."""
        return _parse_json(self.body)

    @property
    def events(self) -> list[bytes]:
        """The events of a stream, each with its final blank line."""
        return [event + b"\n\n" for event in self.body.split(b"\n\n") if event]

    def with_body(self, body: bytes, status: int | None = None) -> MutantResponse:
        """Return the response with another body, and another status if one is given."""
        headers = [(n, str(len(body)).encode() if n == b"content-length" else v) for n, v in self.headers]
        return MutantResponse(status or self.status, tuple(headers), body)

    def with_data(self, data: Json, status: int | None = None) -> MutantResponse:
        """Return the response with another JSON body, and another status if one is given."""
        return self.with_body(orjson.dumps(data), status)


def _parse_json(body: bytes) -> Json:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


RequestChange = Callable[[MutantRequest], MutantRequest]
ResponseChange = Callable[[MutantResponse, MutantRequest], MutantResponse]


@dataclass(frozen=True, slots=True)
class Mutant:
    """A deliberately wrong variant of the mock."""

    name: str
    title: str
    """What is wrong."""
    found_by: tuple[str, ...]
    """Laws or checks that find it for the right reason."""
    operations: tuple[str, ...] = ()
    """Ids of the operations that it changes; empty for all."""
    area: str = ""
    extensions: tuple[str, ...] = ()
    """Extensions whose operations it changes; they are served with it."""
    request: RequestChange = lambda request: request
    response: ResponseChange = lambda response, request: response
