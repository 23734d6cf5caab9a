"""Parse JSON and events such that serializing them again yields the same bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import orjson

from aione_mock.text import sse
from aione_mock.types import Json

_EMPTY_LINE = re.compile(rb"(?:\r\n|\n|\r(?=[^\n])){2}")
"""The end of an event. A CR at the very end may be half of a CRLF."""
_LINE_ENDS = re.compile(rb"[\r\n]*")
_plain = partial(json.dumps, ensure_ascii=False)
STYLES: Mapping[str, Callable[[Json], bytes]] = {
    "compact": orjson.dumps,
    "spaced": lambda value: _plain(value).encode(),
    "escaped": lambda value: json.dumps(value).encode(),
    "compact-escaped": lambda value: json.dumps(value, separators=(",", ":")).encode(),
    "indented": lambda value: _plain(value, indent=2).encode(),
    "indented-line": lambda value: _plain(value, indent=2).encode() + b"\n",
}
"""Ways in which servers serialize JSON; `compact` is the default of cassettes."""


def read_json(raw: bytes) -> tuple[Json, str] | None:
    """Return a JSON object or list with the style that yields its bytes again; None when no style does."""
    if raw.lstrip()[:1] not in (b"{", b"["):
        return None
    try:
        value = orjson.loads(raw)
        style = next((name for name, dump in STYLES.items() if dump(value) == raw), None)
    except (ValueError, RecursionError, TypeError):
        return None
    return (value, style) if style else None


def read_json_or_text(raw: bytes) -> Json:
    """Return a body as JSON, or as text if it is none; None for an empty one."""
    if not raw:
        return None
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return raw.decode("utf-8", "replace")


def read_event(raw: bytes) -> tuple[str | None, str] | None:
    """Return name and data of an event that `sse.encode` would write the same way, None for any other."""
    events = list(sse.decode([raw]))
    if len(events) != 1:
        return None
    event = events[0]
    name = event.name.encode() if event.name is not None else None
    if "\n" in event.data or sse.encode(event.data.encode(), name) != raw:
        return None
    return event.name, event.data


class EventSplitter:
    """Split arriving bytes after each empty line that ends an event. Empty lines before an event belong to it."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._content = self._seen = 0
        """Where the event begins after empty lines, and where the search for its end continues."""

    def feed(self, chunk: bytes, *, final: bool = False) -> Iterator[bytes]:
        """Yield the events that `chunk` completes; with `final` also the rest."""
        self._held += chunk
        while match := self._find_end():
            yield bytes(self._held[: match.end()])
            del self._held[: match.end()]
            self._content = self._seen = 0
        if final and self._held:
            yield bytes(self._held)
            self._held.clear()

    def _find_end(self) -> re.Match[bytes] | None:
        if self._seen == self._content:
            lines = _LINE_ENDS.match(self._held, self._content)
            self._content = self._seen = lines.end() if lines else 0
        match = _EMPTY_LINE.search(self._held, self._seen)
        # a line end may be cut in two, and an empty line has up to four bytes
        self._seen = max(self._content, len(self._held) - 4)
        return match
