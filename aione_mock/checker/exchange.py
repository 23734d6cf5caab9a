"""A request to the target and its answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import count

import orjson

from aione_mock.checker.errors import UnreadableAnswer
from aione_mock.checker.json_reader import JsonReader, is_too_deep
from aione_mock.text.sse import Event, decode
from aione_mock.types import Json

HeaderPairs = tuple[tuple[str, str], ...]


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
    timed_out: bool = False
    """Whether it is missing or incomplete because the time for it was over."""
    unsent: bool = False
    """Whether no connection could be made, so that nobody has seen the request."""
    number: int = field(default_factory=count(1).__next__, compare=False)
    """Tells exchanges apart that are otherwise alike."""

    def header(self, name: str) -> str | None:
        """Return the first value of a header."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

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
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            shown = shorten_body(self.body)
            raise UnreadableAnswer(f"the answer of {self.request.operation} is not JSON: {shown}") from None

    @property
    def data(self) -> JsonReader:
        """The parsed body for reading. Raises UnreadableAnswer."""
        return JsonReader(self.json, self.request.operation)

    @cached_property
    def events(self) -> list[Event]:
        """The complete events of the body."""
        return list(decode([self.body]))

    @property
    def is_too_deep(self) -> bool:
        """Whether JSON in the body is nested too deeply to be read."""
        if not self.is_event_stream:
            return is_too_deep(self.body)
        return any(is_too_deep(event.data) for event in self.events)

    @property
    def summary(self) -> str:
        """Status, content type and failure, for messages."""
        if not self.status:
            return self.failure or "no answer"
        answer = f"{self.status} {self.media_type or 'without a content type'}"
        return f"{answer}, {self.failure}" if self.failure else answer


def shorten_body(body: bytes, limit: int = 200) -> str:
    """Return the first characters of a body on one line, quoted."""
    text = body[: limit * 4].decode("utf-8", "replace")
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return repr(text if len(text) <= limit else text[: limit - 1] + "…")
