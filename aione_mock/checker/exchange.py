"""A request to the target and its answer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import orjson

from aione_mock.checker.errors import UnreadableAnswer
from aione_mock.checker.json_reader import JsonReader
from aione_mock.sse import Event, decode
from aione_mock.types import Json

HeaderPairs = tuple[tuple[str, str], ...]
_MAX_DEPTH = 100
"""Nested levels of a JSON body; Python cannot process many more."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request, ready to be sent."""

    operation: str
    """The operationId."""
    method: str
    path: str
    """Percent-encoded, with the path of the base URL."""
    query: str = ""
    headers: HeaderPairs = ()
    body: bytes | None = None

    @property
    def path_and_query(self) -> str:
        """The request target of the request line."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def is_signed(self) -> bool:
        """Whether it carries a signature, which is valid only once."""
        return any(name == "x-acs-signature-nonce" for name, _ in self.headers)


@dataclass(frozen=True)
class HttpExchange:
    """A request and its answer, as far as one arrived."""

    request: HttpRequest
    status: int = 0
    """0 if there was no answer."""
    headers: HeaderPairs = ()
    body: bytes = b""
    elapsed: float = 0.0
    """Seconds."""
    failure: str = ""
    """Why the answer is missing or incomplete."""

    def header(self, name: str) -> str | None:
        """Return the first value of a header."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def media_type(self) -> str:
        """The content type without parameters, in lower case."""
        return (self.header("content-type") or "").partition(";")[0].strip().lower()

    @property
    def is_event_stream(self) -> bool:
        """Whether the body is declared as server-sent events."""
        return self.media_type.endswith("event-stream")

    @cached_property
    def json(self) -> Json:
        """The parsed body. Raises UnreadableAnswer."""
        try:
            value = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            shown = shorten_body(self.body)
            raise UnreadableAnswer(f"the answer of {self.request.operation} is not JSON: {shown}") from None
        if _is_deeper(value, _MAX_DEPTH):
            raise UnreadableAnswer(f"the answer of {self.request.operation} has more than {_MAX_DEPTH} nested levels")
        return value

    @property
    def data(self) -> JsonReader:
        """The parsed body for reading. Raises UnreadableAnswer."""
        return JsonReader(self.json, self.request.operation)

    @cached_property
    def events(self) -> list[Event]:
        """The complete events of the body."""
        return list(decode([self.body]))

    @property
    def summary(self) -> str:
        """Status, content type and failure, for messages."""
        if not self.status:
            return self.failure or "no answer"
        answer = f"{self.status} {self.media_type or 'without a content type'}"
        return f"{answer}, {self.failure}" if self.failure else answer


def _is_deeper(value: Json, depth: int) -> bool:
    level = [value]
    for _ in range(depth):
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return False
    return True


def shorten_body(body: bytes, limit: int = 200) -> str:
    """Return the first characters of a body on one line, quoted."""
    text = body[: limit * 4].decode("utf-8", "replace")
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return repr(text if len(text) <= limit else text[: limit - 1] + "…")
