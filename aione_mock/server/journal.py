"""Keep requests and their answers, and show them without credentials."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import orjson

from aione_mock.contract import Operation
from aione_mock.scenarios.rules import RuleMatch
from aione_mock.server.journal_bodies import (
    KEPT,
    KEPT_EVENTS,
    MARGIN,
    mask_body,
    mask_events,
    shorten_body,
    shorten_events,
)
from aione_mock.server.scenario_engine import NO_SCENARIO, ActiveScenario
from aione_mock.store import Window
from aione_mock.structs import frozen, replace
from aione_mock.text.credentials import MASK, CredentialMask, is_secret_header, list_presented
from aione_mock.types import (
    Call,
    Caller,
    EventStream,
    HeaderBlock,
    Json,
    RawHeaders,
    Reply,
    Response,
    StreamReply,
    Usage,
)

if TYPE_CHECKING:
    from aione_mock.contract.validation import Violation
    from aione_mock.scenarios.conditions import MatchContext
    from aione_mock.scenarios.rules import Rule
    from aione_mock.server.request import Request
    from aione_mock.server.sessions import Session

_OVERHEAD, _HEADER_OVERHEAD = 1200, 210
"""Approximate overhead in bytes of an entry, and of a request header."""
_INVALID = (400, 413, 415, 422)
"""Statuses of requests that violate the contract; others failed before they were validated."""


def mask_params(params: Mapping[str, Any], mask: CredentialMask) -> Mapping[str, Any]:
    """Return the parameters without credentials."""
    return {
        name: MASK if is_secret_header(name.encode()) else mask.mask_text(value) if isinstance(value, str) else value
        for name, value in params.items()
    }


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
class StatisticsReport:
    """Figures of a server."""

    requests: int
    streams_open: int
    operations: Mapping[str, int]
    statuses: Mapping[int, int]
    scenarios: Mapping[str, int]
    sessions: int
    journal_entries: int
    journal_bytes: int
    uptime: float | None = None
    """Seconds for which they were counted; None for those since the start of this process."""


def _decode_headers(headers: RawHeaders) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]


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
    parsed: tuple[Mapping[str, Json], Json, list[Violation]] | None = None
    """Parameters, body and violations of the request, if they were read before it was admitted."""
    matched: tuple[MatchContext, Sequence[Rule]] | None = None
    """What rules see of the call, and those whose conditions it meets, if that was found before it was admitted."""
    valid = False
    """Whether the request satisfies its schemas."""
    scenario: ActiveScenario = NO_SCENARIO
    """What a rule or a header makes of the answer (`scenario_engine.ActiveScenario`)."""
    checked = False
    """Whether the answer was held against the contract."""
    findings: tuple[str, ...] = ()
    """How the answer differs from the contract, masked; empty unless answers are checked."""
    damaged = False
    """Whether the answer may violate the contract: a fault or a recording."""
    params: Mapping[str, Any] = MappingProxyType({})
    number = 0
    response: Response
    stream = False
    model: str | None = None
    usage: Usage | None = None
    ticks: int | None = None
    """Its cost on the ledger in 0.0001 RMB; None if it is not on it."""
    limit: str | None = None
    """The limit that refused the request, in words."""
    error: str | None = None
    """The name of the error that was answered."""
    refusal: str | None = None
    """Why the request was refused: the name of the error and its message, as it was sent."""
    lease = ""
    """What holds its place among the concurrent calls of its key, where many workers share them."""
    open_id = ""
    """What says that its answer is still being sent, where many workers share the journal."""
    generation = 0
    """Which of the sessions of its name it began in, where many workers share them."""
    opened: tuple[tuple[bytes, int], float, dict[str, Any], int] = (b"", 0), 0.0, {}, 0
    """What a view of its session is opened with."""
    started = 0.0
    """When its head was read, by the clock of this machine."""
    open = True
    """Whether its answer is still being sent."""
    duration_ms = 0.0
    size = 0
    """Approximate size in bytes."""
    _request_truncated = _response_truncated = False

    def __init__(self, request: Request, session: Session) -> None:
        self.request, self.session = request, session

    @classmethod
    def make_logged(cls, request: Request) -> Exchange:
        """Return an exchange that was read from a store, and belongs to no session."""
        made = cls.__new__(cls)
        made.request = request
        return made

    def mark_truncated(self, *, request: bool, response: bool) -> None:
        """Note whether request and answer were too long to be kept whole."""
        self._request_truncated, self._response_truncated = request, response

    def close(self, reply: Reply | StreamReply, response: Response) -> None:
        """Store the answer, and drop what is not needed to show the exchange."""
        request, call = self.request, self.call
        self.response, self.stream = response, isinstance(reply, StreamReply)
        self.model, self.usage = reply.model, reply.usage
        if call is not None:
            self.params = call.params
            self.call = self.parsed = self.matched = None
        request.receive = request.scope = None
        body, sends = request.body or b"", response.sends
        if len(body) > KEPT:
            request.body, self._request_truncated = shorten_body(body, MARGIN), True
        sent = len(sends[0][1]) if len(sends) == 1 else sum([len(data) for _, data in sends])
        if sent > (KEPT_EVENTS if self.stream else KEPT):
            self._shorten(response)
            sent = sum([len(data) for _, data in self.response.sends])
        head = len(request.path) + len(request.query) + sum(map(len, chain.from_iterable(request.headers)))
        self.size = _OVERHEAD + head + _HEADER_OVERHEAD * len(request.headers) + len(request.body or b"") + sent

    def _shorten(self, response: Response) -> None:
        if self.stream:
            events, self._response_truncated = shorten_events(self._make_events())
            sends = tuple(zip(self.event_times, events, strict=False))
        else:
            raw = b"".join([data for _, data in response.sends])
            self._response_truncated = True
            sends = ((0.0, shorten_body(raw, MARGIN)),)
        self.response = Response(response.status, response.headers, sends, response.end)

    @property
    def mask(self) -> CredentialMask:
        """What masks credentials in it: those of a known form, and those that the request presented."""
        return CredentialMask(list_presented(_decode_headers(self.request.headers), self.request.query))

    @property
    def path(self) -> str:
        """The path, masked."""
        return self.mask.mask_text(self.request.path)

    @property
    def logged_request(self) -> LoggedRequest:
        """The request, masked."""
        request, mask = self.request, self.mask
        headers = tuple([(n, MASK.encode() if is_secret_header(n) else mask.mask_bytes(v)) for n, v in request.headers])
        return LoggedRequest(
            self.operation,
            request.method,
            mask.mask_text(request.path),
            mask.mask_parameters(request.query),
            headers,
            mask_body(request.body or b"", mask, self._request_truncated),
            self._request_truncated,
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
        mask = self.mask
        return HeaderBlock.of([(name, mask.mask_text(value)) for name, value in self.response.headers])

    @property
    def response_body(self) -> bytes:
        """The body of a plain answer, masked."""
        if self.stream:
            return b""
        raw = b"".join([data for _, data in self.response.sends])
        return mask_body(raw, self.mask, self._response_truncated)

    @property
    def events(self) -> EventStream:
        """The events of a streamed answer, masked."""
        return mask_events(self._make_events(), self.mask) if self.stream else EventStream(b"", ())

    @property
    def event_times(self) -> tuple[float, ...]:
        """When each event of a stream was due, in seconds after the request was read."""
        if self.response.ordinary:
            return (0.0,) * len(self._make_events())
        return tuple([due for due, data in self.response.sends if data])

    @property
    def first_due(self) -> float:
        """When the first byte of the body was due, in seconds after the request was read; 0 without a body."""
        return next((due for due, data in self.response.sends if data), 0.0)

    @property
    def last_due(self) -> float:
        """When the end of the answer was due, in seconds after the request was read."""
        return self.response.sends[-1][0] if self.response.sends else 0.0

    def _make_events(self) -> EventStream:
        sends = self.response.sends
        if self.response.ordinary:
            return EventStream(sends[0][1])
        return EventStream.of([data for _, data in sends if data])

    @property
    def response_truncated(self) -> bool:
        """Whether the answer was too long to be kept whole."""
        return self._response_truncated

    @property
    def truncated_parts(self) -> tuple[bool, bool]:
        """Whether request and answer were too long to be kept whole."""
        return self._request_truncated, self._response_truncated

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
    def action(self) -> Mapping[str, Json] | None:
        """What a scenario did, as rules have it, masked; None for an ordinary answer."""
        described = self.scenario.describe()
        if described is None:
            return None
        masked: Mapping[str, Json] = orjson.loads(self.mask.mask_bytes(orjson.dumps(described)))
        return masked

    def read_model(self) -> str | None:
        """Return the model that a call of one names in its path or body, not masked."""
        model = self.path_params.get("model")
        if model is None and self.request.body and self.operation is not None and self.operation.paid:
            with contextlib.suppress(orjson.JSONDecodeError):
                data = orjson.loads(self.request.body)
                model = data.get("model") if isinstance(data, dict) else None
        return model if isinstance(model, str) else None

    @property
    def finding(self) -> str | None:
        """What is remarkable about it, the cause before the effect; None for an ordinary exchange."""
        if self.operation is None:
            return "unknown_operation"
        if self.limit is not None:
            return "limited"
        if self.damaged:
            return "damaged"
        if self.findings:
            return "wrong_answer"
        return "invalid_request" if not self.valid and self.status in _INVALID else None

    @property
    def nearest(self) -> RuleMatch | None:
        """The rule that came nearest to being applied, its reasons masked."""
        nearest = self.scenario.nearest
        if nearest is None:
            return None
        return replace(nearest, reasons=tuple(map(self.mask.mask_text, nearest.reasons)))

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
            mask_params(self.params, self.mask),
            caller=self.caller,
        )
