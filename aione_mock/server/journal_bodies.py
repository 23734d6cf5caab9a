"""Shorten and mask the bodies and events that the journal keeps."""

from __future__ import annotations

import contextlib
import re
from itertools import accumulate
from typing import Any

import orjson

from aione_mock.text.credentials import CredentialMask
from aione_mock.types import EventStream

_TEXT_PIECE = re.compile(
    rb'"(?:content|reasoning_content|text|thinking|partial_json|arguments|delta)":"((?:[^"\\]|\\.)*+)"'
)
"""A piece of text in an event of a stream, of any protocol."""
_INDEX = re.compile(rb'"index":(\d+)')
"""Which of several texts a piece belongs to."""
KEPT, KEPT_EVENTS = 64 << 10, 256 << 10
"""Bytes kept of a body, and of all events of a stream."""
_LONG, _DEEP = 4096, 64
"""Characters of a string and levels of nesting that are kept of a long JSON body."""
_MAX_PARTS = 50_000
"""Most parts of a long JSON body that is read to shorten it."""
MARGIN = 1024
"""Characters kept beyond each cut until the body is masked."""


def shorten_body(raw: bytes, margin: int = 0) -> bytes:
    """Return as much of a long body as the journal keeps.

    In JSON the long strings are cut, so that it usually stays valid JSON. `margin` bytes more are left at each cut: a
    credential that ends there can then still be recognized.
    """
    if raw.count(b",") + raw.count(b"[") + raw.count(b"{") > _MAX_PARTS:
        return raw[: KEPT + margin]  # reading all of it would take longer than the answer
    with contextlib.suppress(orjson.JSONDecodeError):
        raw = orjson.dumps(_shorten_strings(orjson.loads(raw), _LONG + margin, [KEPT + margin]))
    return raw[: KEPT + margin]


def _shorten_strings(value: Any, limit: int, room: list[int], depth: int = 0) -> Any:
    """Return a value with short strings, and without what comes after as many characters as `room` holds."""
    if isinstance(value, str):
        room[0] -= min(len(value), limit)
        return value if len(value) <= limit else value[:limit] + "…"
    if isinstance(value, dict):
        items = value.items() if depth < _DEEP else ()
        return {key: _shorten_strings(item, limit, room, depth + 1) for key, item in items if room[0] > 0}
    if isinstance(value, list):
        kept = value if depth < _DEEP else ()
        return [_shorten_strings(item, limit, room, depth + 1) for item in kept if room[0] > 0]
    return value


def mask_body(raw: bytes, mask: CredentialMask, truncated: bool) -> bytes:
    """Return a body without credentials, cut where the journal has cut it."""
    masked = mask.mask_bytes(raw)
    return shorten_body(masked) if truncated else masked


def shorten_events(events: EventStream) -> tuple[EventStream, bool]:
    """Return the events of a stream that the journal keeps, and whether some were dropped."""
    if len(events.raw) <= KEPT_EVENTS:
        return events, False
    ends = accumulate(map(len, events))
    return EventStream.of([event for event, end in zip(events, ends, strict=True) if end <= KEPT_EVENTS]), True


def mask_events(events: EventStream, mask: CredentialMask) -> EventStream:
    """Mask credentials in the events of a stream, and in the texts that several events carry in pieces."""
    masked = [bytearray(event) for event in events]
    texts: dict[tuple[bytes, ...], list[tuple[bytearray, int, int]]] = {}
    for event in masked:
        pieces = [(event, *found.span(1)) for found in _TEXT_PIECE.finditer(event)]
        if pieces:
            texts.setdefault(tuple(_INDEX.findall(event)), []).extend(pieces)
    for pieces in texts.values():
        _mask_pieces(pieces, mask)
    return EventStream.of([mask.mask_bytes(bytes(event)) for event in masked])


def _mask_pieces(pieces: list[tuple[bytearray, int, int]], mask: CredentialMask) -> None:
    at = 0
    spans = mask.find(b"".join([event[start:end] for event, start, end in pieces]).decode("latin-1"))
    for event, start, end in pieces if spans else ():
        for span in spans:
            low, high = max(span.start - at, 0), min(span.end - at, end - start)
            if low < high:
                event[start + low : start + high] = b"*" * (high - low)
        at += end - start
