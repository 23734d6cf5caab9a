"""What was asked and answered, without any credential."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from itertools import accumulate
from types import MappingProxyType
from typing import Any

import orjson

from aione_mock.contract import Operation
from aione_mock.recorder.credentials import GATEWAY_CREDENTIAL, MASK, is_secret_header, mask_parameters
from aione_mock.structs import frozen
from aione_mock.types import Call, Caller, EventStream, HeaderBlock, Headers, RawHeaders, Usage

_TEXT_PIECE = re.compile(rb'"(?:content|reasoning_content|text|thinking|partial_json|arguments)":"((?:[^"\\]|\\.)*+)"')
"""A piece of text in an event of a stream, of any protocol."""
_OVERHEAD, _HEADER_OVERHEAD = 1200, 210
"""Bytes that an entry and a header of a request hold beside their text, roughly; of a header, its name too."""
_KEPT, _KEPT_EVENTS = 64 << 10, 256 << 10
"""Bytes kept of a body, and of all events of a stream."""
_WORD = 8
"""Bytes of a word that may be a secret."""
_LONG, _DEEP = 4096, 64
"""Characters of a string, and levels of nesting, that are kept of a long JSON body."""
_MASK, _ESCAPED = MASK.encode(), b"\\u00"


def mask_body(raw: bytes, secrets: Iterable[bytes] = ()) -> bytes:
    """A body in which every API key or console token is masked after its prefix, and `secrets` wholly."""
    for secret in secrets:
        raw = raw.replace(secret, _MASK)
    # `in` takes three times as long for bytes
    if raw.find(b"nex-") < 0 and raw.find(b"access-secret") < 0:
        return raw
    return GATEWAY_CREDENTIAL.sub(rb"\1" + _MASK, raw)


def clean(said: bytes | EventStream) -> bool:
    """Whether a body or a stream can be kept as it is: short, and without any credential of this API."""
    raw = said if isinstance(said, bytes) else said.raw
    if not short(raw) or mask_body(raw) is not raw:
        return False
    return isinstance(said, bytes) or _gathered(raw, ()) is raw


def short(raw: bytes) -> bool:
    """Whether a body is kept whole."""
    return len(raw) <= _KEPT


def mask_text(text: str) -> str:
    """The same for text."""
    return mask_body(text.encode("utf-8", "replace")).decode() if "-" in text else text


def mask_query(query: str) -> str:
    """A query string with the values of credentials masked."""
    return mask_parameters(query, mask_text) if query else query


def safe_headers(headers: RawHeaders) -> tuple[tuple[bytes, bytes], ...]:
    """Request headers as they are kept: raw, credentials masked."""
    mask = MASK.encode()
    return tuple([(name, mask if is_secret_header(name) else mask_body(value)) for name, value in headers])


def credentials(headers: RawHeaders) -> tuple[bytes, ...]:
    """The words of a request's headers that may be secrets, so that no answer that repeats one is kept with it.

    Those that look like a credential of this API are masked anyway.
    """
    found = [word for name, value in headers if is_secret_header(name) for word in value.split()]
    return tuple([word for word in found if len(word) >= _WORD and not GATEWAY_CREDENTIAL.fullmatch(word)])


def kept_headers(headers: Headers, secrets: Iterable[bytes]) -> HeaderBlock:
    """Headers of an answer as they are kept, masked."""
    return HeaderBlock.of([(name, kept_text(value, secrets)) for name, value in headers])


def kept_text(text: str, secrets: Iterable[bytes]) -> str:
    """A text that the mock has made, masked."""
    return mask_body(text.encode("utf-8", "replace"), secrets).decode("utf-8", "replace")


def kept_body(raw: bytes, secrets: Iterable[bytes]) -> tuple[bytes, bool]:
    """A body as it is kept, masked, and whether it was too long to be kept whole.

    Of long JSON it is the long strings that are cut, so that it stays JSON where it can.
    """
    if raw.find(_ESCAPED) >= 0:
        raw = _unescaped(raw)
    if len(raw) <= _KEPT:
        return mask_body(raw, secrets), False
    with contextlib.suppress(orjson.JSONDecodeError):
        raw = orjson.dumps(_shortened(orjson.loads(raw)))
    return mask_body(raw, secrets)[:_KEPT], True


def _unescaped(raw: bytes) -> bytes:
    """JSON spelled plainly, since a credential that is escaped would be shown unescaped."""
    with contextlib.suppress(orjson.JSONDecodeError):
        data = orjson.loads(raw)
        try:
            return orjson.dumps(data)
        except orjson.JSONEncodeError:  # nested too deeply
            return orjson.dumps(_shortened(data))
    return raw


def _shortened(value: Any, depth: int = 0) -> Any:
    if isinstance(value, str):
        return value if len(value) <= _LONG else value[:_LONG] + "…"
    if isinstance(value, dict):
        return {key: _shortened(item, depth + 1) for key, item in value.items()} if depth < _DEEP else {}
    if isinstance(value, list):
        return [_shortened(item, depth + 1) for item in value] if depth < _DEEP else []
    return value


def kept_events(events: EventStream, secrets: Collection[bytes], *, spread: bool = True) -> tuple[EventStream, bool]:
    """Events of a stream as they are kept, masked, and whether there were too many to keep them all.

    `spread`: whether a credential may lie in pieces over several of them.
    """
    if spread:
        events = events.refilled(_gathered(events.raw, secrets))
    raw = events.raw
    cut = len(raw) > _KEPT_EVENTS
    if not cut and mask_body(raw, secrets) is raw:
        return events, False
    ends = accumulate(map(len, events))
    kept = [mask_body(event, secrets) for event, end in zip(events, ends, strict=True) if end <= _KEPT_EVENTS]
    return EventStream.of(kept), cut


def _gathered(raw: bytes, secrets: Iterable[bytes]) -> bytes:
    """Events with stars for the letters of every credential in the text that they bring piece by piece."""
    spans = [found.span(1) for found in _TEXT_PIECE.finditer(raw)]
    text = b"".join([raw[start:end] for start, end in spans])
    hidden = [(found.end(1), found.end()) for found in GATEWAY_CREDENTIAL.finditer(text)]
    hidden += [found.span() for secret in secrets for found in re.finditer(re.escape(secret), text)]
    masked, at = bytearray(raw), 0
    for start, end in spans if hidden else ():
        for first, last in hidden:
            low, high = max(first - at, 0), min(last - at, end - start)
            if low < high:
                masked[start + low : start + high] = b"*" * (high - low)
        at += end - start
    return bytes(masked) if hidden else raw


def kept_params(params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Parameters without any credential."""
    return {name: _masked_parameter(name, value) for name, value in params.items()} if params else params


def _masked_parameter(name: str, value: Any) -> Any:
    if is_secret_header(name.encode()):
        return MASK
    return mask_text(value) if isinstance(value, str) else value


class Tally:
    """Counts of a server since its start, over all sessions; what is counted is bounded by the contract."""

    def __init__(self) -> None:
        self.streams_open = 0
        self.scenarios: Counter[str] = Counter()
        self._answers: Counter[tuple[str | None, int]] = Counter()
        """By operation and status."""

    def add(self, entry: Entry) -> None:
        """Count an exchange, what was played in it, and a stream as open."""
        operation = entry.asked.operation
        self._answers[operation.id if operation else None, entry.status] += 1
        self.streams_open += entry.stream
        if entry.scenario:
            self.scenarios.update(entry.scenario.split("+"))

    @property
    def requests(self) -> int:
        """All exchanges."""
        return self._answers.total()

    def operations(self) -> Counter[str]:
        """Exchanges by operation."""
        found: Counter[str] = Counter()
        for (operation, _), count in self._answers.items():
            found[operation or "unknown"] += count
        return found

    def statuses(self) -> Counter[int]:
        """Exchanges by status."""
        found: Counter[int] = Counter()
        for (_, status), count in self._answers.items():
            found[status] += count
        return found


@frozen
class Asked:
    """A request as it is kept: masked, and bounded."""

    operation: Operation | None
    """The operation that was meant, None for an unknown path."""
    method: str
    path: str
    query: str
    headers: RawHeaders
    body: bytes
    truncated: bool
    """Whether the body was too long to be kept whole."""
    size: int
    """Bytes held, roughly."""


def head_size(path: str, query: str, headers: RawHeaders) -> int:
    """Bytes that the head of a request holds, roughly."""
    return len(path) + len(query) + _HEADER_OVERHEAD * len(headers) + sum([len(value) for _, value in headers])


class Entry:
    """One exchange, without any credential; filled in as it becomes known."""

    asked: Asked
    number = 0
    at = 0.0
    request_id = ""
    occurrence = 0
    caller: Caller | None = None
    params: Mapping[str, Any] = MappingProxyType({})
    valid = False
    """Whether the request passed validation."""
    status = 0
    """0 means that a fault sent none."""
    response_headers = HeaderBlock("")
    response_body = b""
    events = EventStream(b"", ())
    response_truncated = False
    end = "finish"
    stream = False
    model: str | None = None
    usage: Usage | None = None
    limit: str | None = None
    """The limit that refused it, in words."""
    rule: str | None = None
    scenario: str | None = None
    nearest: Any = None
    duration_ms = 0.0

    @property
    def size(self) -> int:
        """Bytes held, roughly."""
        said = len(self.response_headers.text) + len(self.response_body) + len(self.events.raw)
        return _OVERHEAD + self.asked.size + said

    @property
    def operation(self) -> str | None:
        """The id of the operation that was meant, None for an unknown path."""
        return self.asked.operation.id if self.asked.operation else None

    @property
    def key(self) -> str | None:
        """The name of the caller's credential."""
        return self.caller.label if self.caller else None

    @property
    def call(self) -> Call | None:
        """The call without its body, for verification; None where no operation was meant. Holds no credential."""
        asked = self.asked
        if asked.operation is None:
            return None
        return Call(
            asked.operation,
            asked.method,
            asked.path,
            asked.query,
            asked.headers,
            b"",
            "",
            self.request_id,
            self.params,
            caller=self.caller,
        )
