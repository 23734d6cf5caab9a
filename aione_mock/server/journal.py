"""Keep requests and their answers, and show them without credentials."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from itertools import accumulate
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import orjson

from aione_mock.contract import Operation
from aione_mock.recorder.credentials import GATEWAY_CREDENTIAL, MASK, is_secret_header, mask_parameters
from aione_mock.scenarios.rules import RuleMatch
from aione_mock.server.scenario_engine import NO_SCENARIO, ActiveScenario
from aione_mock.store import Window
from aione_mock.structs import frozen, replace
from aione_mock.types import (
    Call,
    Caller,
    EventStream,
    HeaderBlock,
    Headers,
    RawHeaders,
    Reply,
    Response,
    StreamReply,
    Usage,
)

if TYPE_CHECKING:
    from aione_mock.server.request import Request
    from aione_mock.server.sessions import Session

_TEXT_PIECE = re.compile(rb'"(?:content|reasoning_content|text|thinking|partial_json|arguments)":"((?:[^"\\]|\\.)*+)"')
"""A piece of text in an event of a stream, of any protocol."""
_OVERHEAD, _HEADER_OVERHEAD = 1200, 210
"""Approximate overhead in bytes of an entry, and of a request header including its name."""
_KEPT, _KEPT_EVENTS = 64 << 10, 256 << 10
"""Bytes kept of a body, and of all events of a stream."""
_WORD = 8
"""Shortest word that may be a secret, in bytes."""
_LONG, _DEEP = 4096, 64
"""Characters of a string and levels of nesting that are kept of a long JSON body."""
_MASK, _ESCAPED = MASK.encode(), b"\\u00"


def mask_body(raw: bytes, secrets: Iterable[bytes] = ()) -> bytes:
    """Mask every API key and console token in a body after its prefix, and all of each of `secrets`."""
    for secret in secrets:
        raw = raw.replace(secret, _MASK)
    # `in` takes three times as long for bytes
    if raw.find(b"nex-") < 0 and raw.find(b"access-secret") < 0:
        return raw
    return GATEWAY_CREDENTIAL.sub(rb"\1" + _MASK, raw)


def mask_text(text: str) -> str:
    """Mask every API key and console token in a text after its prefix."""
    return mask_body(text.encode("utf-8", "replace")).decode() if "-" in text else text


def mask_query(query: str) -> str:
    """Mask the values of credentials in a query string."""
    return mask_parameters(query, mask_text) if query else query


def safe_headers(headers: RawHeaders) -> tuple[tuple[bytes, bytes], ...]:
    """Return request headers as the journal keeps them: raw, with credentials masked."""
    mask = MASK.encode()
    return tuple([(name, mask if is_secret_header(name) else mask_body(value)) for name, value in headers])


def credentials(headers: RawHeaders) -> tuple[bytes, ...]:
    """List the words of a request's headers that may be secrets. An answer that repeats one is kept without it.

    Words that look like a credential of this API are left out, since they are masked everywhere.
    """
    found = [word for name, value in headers if is_secret_header(name) for word in value.split()]
    return tuple([word for word in found if len(word) >= _WORD and not GATEWAY_CREDENTIAL.fullmatch(word)])


def kept_headers(headers: Headers, secrets: Iterable[bytes]) -> HeaderBlock:
    """Return the headers of an answer as the journal keeps them, masked."""
    return HeaderBlock.of([(name, kept_text(value, secrets)) for name, value in headers])


def kept_text(text: str, secrets: Iterable[bytes]) -> str:
    """Mask credentials and `secrets` in a text that the mock has generated."""
    return mask_body(text.encode("utf-8", "replace"), secrets).decode("utf-8", "replace")


def kept_body(raw: bytes, secrets: Iterable[bytes]) -> tuple[bytes, bool]:
    """Return a body as the journal keeps it, masked, and whether it was shortened.

    In long JSON the long strings are cut, so that it usually stays valid JSON.
    """
    if raw.find(_ESCAPED) >= 0:
        raw = _unescaped(raw)
    if len(raw) <= _KEPT:
        return mask_body(raw, secrets), False
    with contextlib.suppress(orjson.JSONDecodeError):
        raw = orjson.dumps(_shortened(orjson.loads(raw)))
    return mask_body(raw, secrets)[:_KEPT], True


def _unescaped(raw: bytes) -> bytes:
    """Return JSON without escapes, since a credential written with escapes would not be masked."""
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
    """Return the events of a stream as the journal keeps them, masked, and whether some were dropped.

    `spread`: whether a credential may be split over several events.
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
    """Mask every credential in the text that the events carry in pieces."""
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
    """Return the parameters without credentials."""
    return {name: _masked_parameter(name, value) for name, value in params.items()} if params else params


def _masked_parameter(name: str, value: Any) -> Any:
    if is_secret_header(name.encode()):
        return MASK
    return mask_text(value) if isinstance(value, str) else value


class Statistics:
    """Count requests since the start of a server, over all sessions. The contract bounds the number of counters."""

    def __init__(self) -> None:
        self.streams_open = 0
        self.scenarios: Counter[str] = Counter()
        self._answers: Counter[tuple[str | None, int]] = Counter()
        """By operation and status."""

    def add(self, exchange: Exchange) -> None:
        """Count an exchange, the scenario that was applied to it, and a stream as open."""
        operation, place = exchange.operation, exchange.response.status
        where = operation.id if operation else None, place
        self._answers[where] = self._answers.get(where, 0) + 1
        self.streams_open += exchange.stream
        if exchange.scenario is not NO_SCENARIO and (label := exchange.scenario.label):
            self.scenarios.update(label.split("+"))

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
class LoggedRequest:
    """A request as the journal shows it: masked and bounded."""

    operation: Operation | None
    """The operation that was called, None for an unknown path."""
    method: str
    path: str
    query: str
    headers: RawHeaders
    body: bytes
    truncated: bool
    """Whether the body was too long to be kept whole."""


class Exchange:
    """One request and its answer: filled in while it is answered, then kept by the journal.

    It holds what was received and sent as it was. Credentials are masked by the properties through which it is read.
    """

    operation: Operation | None = None
    """The operation that is called, None for an unknown path or method."""
    protocol = ""
    """The protocol in which errors are rendered, known even without an operation."""
    path_params: Mapping[str, str] = MappingProxyType({})
    occurrence = 0
    """How often the session has received this request, including now; 0 until it is counted."""
    at = 0.0
    """When it was counted, by the session's clock, in Unix seconds."""
    key = b""
    """A digest of method, path, query and body."""
    token = ""
    """Letters and digits that the ids in the answer are made of."""
    request_id = ""
    caller: Caller | None = None
    limits: Window | None = None
    """The caller's rate limits as they stand."""
    admitted: str | None = None
    """The key among whose concurrent calls it counts, until it is released."""
    call: Call | None = None
    valid = False
    """Whether the request satisfies its schemas."""
    scenario: ActiveScenario = NO_SCENARIO
    """What a rule or a header makes of the answer (`scenario_engine.ActiveScenario`)."""
    damaged = False
    """Whether the answer may violate the contract: a fault or a recording."""
    params: Mapping[str, Any] = MappingProxyType({})
    number = 0
    response: Response
    stream = False
    model: str | None = None
    usage: Usage | None = None
    limit: str | None = None
    """The limit that refused the request, in words."""
    duration_ms = 0.0
    size = 0
    """Approximate size in bytes."""
    _request_truncated = _response_truncated = False

    def __init__(self, request: Request, session: Session) -> None:
        self.request, self.session = request, session

    def close(self, reply: Reply | StreamReply, response: Response) -> None:
        """Store the answer, and drop what is not needed to show the exchange."""
        request, call = self.request, self.call
        self.response, self.stream = response, isinstance(reply, StreamReply)
        self.model, self.usage = reply.model, reply.usage
        if call is not None:
            self.params = call.params
            self.call = None
        request.receive, body, sends = None, request.body or b"", response.sends
        if len(body) > _KEPT:
            request.body, self._request_truncated = kept_body(body, self.secrets)
        sent = len(sends[0][1]) if len(sends) == 1 else sum([len(data) for _, data in sends])
        if sent > (_KEPT_EVENTS if self.stream else _KEPT):
            self._shorten(response)
            sent = sum([len(data) for _, data in self.response.sends])
        head = len(request.path) + len(request.query) + sum(map(len, request.fields.values()))
        self.size = _OVERHEAD + head + _HEADER_OVERHEAD * len(request.headers) + len(request.body or b"") + sent

    def _shorten(self, response: Response) -> None:
        if self.stream:
            events, self._response_truncated = kept_events(self._events(), self.secrets)
            sends = tuple([(0.0, event) for event in events])
        else:
            raw = b"".join([data for _, data in response.sends])
            body, self._response_truncated = kept_body(raw, self.secrets)
            sends = ((0.0, body),)
        self.response = Response(response.status, response.headers, sends, response.end)

    @property
    def secrets(self) -> tuple[bytes, ...]:
        """Words of the request's headers that may be credentials."""
        return credentials(self.request.headers)

    @property
    def logged_request(self) -> LoggedRequest:
        """The request, masked."""
        request = self.request
        body, truncated = kept_body(request.body or b"", self.secrets)
        return LoggedRequest(
            self.operation,
            request.method,
            mask_text(request.path),
            mask_query(request.query),
            safe_headers(request.headers),
            body,
            truncated or self._request_truncated,
        )

    @property
    def status(self) -> int:
        """The status that was sent; 0 means that a fault sent none."""
        return self.response.status

    @property
    def end(self) -> str:
        """How the answer ended: `finish`, `cut` or `hang`."""
        return self.response.end

    @property
    def response_headers(self) -> HeaderBlock:
        """The headers that were sent, masked."""
        return kept_headers(self.response.headers, self.secrets)

    @property
    def response_body(self) -> bytes:
        """The body of a plain answer, masked."""
        if self.stream:
            return b""
        return kept_body(b"".join([data for _, data in self.response.sends]), self.secrets)[0]

    @property
    def events(self) -> EventStream:
        """The events of a streamed answer, masked."""
        return kept_events(self._events(), self.secrets)[0] if self.stream else EventStream(b"", ())

    def _events(self) -> EventStream:
        sends = self.response.sends
        if self.response.ordinary:
            return EventStream(sends[0][1])
        return EventStream.of([data for _, data in sends if data])

    @property
    def response_truncated(self) -> bool:
        """Whether the answer was too long to be kept whole."""
        return self._response_truncated

    @property
    def operation_id(self) -> str | None:
        """The id of the operation that was called, None for an unknown path."""
        return self.operation.id if self.operation else None

    @property
    def key_label(self) -> str | None:
        """The name of the caller's credential."""
        return self.caller.label if self.caller else None

    @property
    def rule(self) -> str | None:
        """The id of the rule that was applied."""
        return self.scenario.rule_id

    @property
    def scenario_label(self) -> str | None:
        """What a scenario did, None for an ordinary answer."""
        return self.scenario.label

    @property
    def nearest(self) -> RuleMatch | None:
        """The rule that came nearest to being applied, its reasons masked."""
        nearest = self.scenario.nearest
        if nearest is None:
            return None
        return replace(nearest, reasons=tuple([kept_text(reason, self.secrets) for reason in nearest.reasons]))

    @property
    def logged_call(self) -> Call | None:
        """The call without its body, masked, for verification; None for an unknown path."""
        if self.operation is None:
            return None
        logged = self.logged_request
        return Call(
            self.operation,
            logged.method,
            logged.path,
            logged.query,
            logged.headers,
            b"",
            "",
            self.request_id,
            kept_params(self.params),
            caller=self.caller,
        )
