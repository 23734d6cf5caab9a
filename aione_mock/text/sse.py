"""Encode and decode server-sent events.

Source: WHATWG HTML, section "Server-sent events".
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator

from aione_mock.structs import frozen

_LINE_END = re.compile(r"\r\n|\n|\r")


@frozen
class Event:
    """A server-sent event: its data, and its name if the protocol names events."""

    data: str
    name: str | None = None


def encode(data: bytes, name: bytes | None = None) -> bytes:
    """Encode an event. `data` must not contain a line break; JSON has none."""
    if name is None:
        return b"data: " + data + b"\n\n"
    return b"event: " + name + b"\ndata: " + data + b"\n\n"


class Decoder:
    """Decodes a stream that arrives in chunks of any size.

    Comments are skipped. An event that the end of the stream cuts off is dropped, as the standard demands.
    """

    def __init__(self) -> None:
        self._text = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._line: list[str] = []
        self._held = ""
        self._data: list[str] = []
        self._name: str | None = None

    def feed(self, chunk: bytes, *, final: bool = False) -> Iterator[Event]:
        """Yield the events that `chunk` completes."""
        text = self._held + self._text.decode(chunk, final)
        # a CR at the very end may be half of a CRLF
        self._held = "\r" if text.endswith("\r") and not final else ""
        text = text.removesuffix(self._held)
        start = 0
        try:
            for match in _LINE_END.finditer(text):
                line = "".join([*self._line, text[start : match.start()]])
                self._line, start = [], match.end()
                if event := self._read_line(line):
                    yield event
        finally:
            self._line.append(text[start:])

    def _read_line(self, line: str) -> Event | None:
        if not line:
            event = Event("\n".join(self._data), self._name) if self._data else None
            self._data, self._name = [], None
            return event
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._name = value
        return None


def decode(chunks: Iterable[bytes]) -> Iterator[Event]:
    """Yield all complete events of a stream."""
    decoder = Decoder()
    for chunk in chunks:
        yield from decoder.feed(chunk)
    yield from decoder.feed(b"", final=True)
