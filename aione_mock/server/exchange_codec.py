"""Write exchanges as bytes, and read them again. Credentials are masked before they are written.

The journal of a session that many workers share is in the store, which others can read.
"""

from __future__ import annotations

from typing import Any

import msgspec

from aione_mock.contract import Contract
from aione_mock.scenarios.rules import RuleMatch
from aione_mock.server.journal import Exchange
from aione_mock.server.request import Request
from aione_mock.server.scenario_engine import NO_SCENARIO
from aione_mock.store import Window
from aione_mock.structs import frozen
from aione_mock.text.credentials import MASK, is_secret_header, mask_text
from aione_mock.types import Caller, HeaderBlock, Headers, RawHeaders, Response, Usage

Sends = tuple[tuple[float, bytes], ...]
_MASK = MASK.encode()


@frozen
class LoggedScenario:
    """What is known of a scenario that was applied to a call."""

    rule_id: str | None = None
    label: str | None = None
    nearest: RuleMatch | None = None
    action: dict[str, Any] | None = None

    def describe(self) -> dict[str, Any] | None:
        """Return the action as a rule has it; None for the ordinary response."""
        return self.action


class _Entry(msgspec.Struct, array_like=True):
    """An exchange as it is stored."""

    method: str
    path: str
    query: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    client: str
    session_name: str
    mount_path: str
    operation: str | None
    path_params: dict[str, str]
    protocol: str
    occurrence: int
    at: float
    key: bytes
    token: str
    request_id: str
    caller: Caller | None
    limits: tuple[tuple[int, int], tuple[int, int], float, bool] | None
    """Totals, limits, time, and whether the call was taken."""
    valid: bool
    rule_id: str | None
    label: str | None
    nearest: RuleMatch | None
    action: dict[str, Any] | None
    checked: bool
    findings: tuple[str, ...]
    damaged: bool
    params: dict[str, Any]
    status: int
    response_headers: str
    sends: tuple[tuple[float, bytes], ...]
    end: str
    raw: bool
    ordinary: bool
    stream: bool
    model: str | None
    usage: Usage | None
    ticks: int | None
    limit: str | None
    error: str | None
    refusal: str | None
    open: bool
    duration_ms: float
    size: int
    request_truncated: bool
    response_truncated: bool


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Entry)


def encode_exchange(exchange: Exchange) -> bytes:
    """Return an exchange that is closed as bytes, masked."""
    return _ENCODER.encode(_describe_plainly(exchange) or _describe(exchange))


def _describe_plainly(exchange: Exchange) -> _Entry | None:
    """Return the entry of a call in which nothing but its headers is secret; None if that is not sure.

    A model answers in words of its own and of the request, so its answer need not be searched.
    """
    request, operation = exchange.request, exchange.operation
    if operation is None or not operation.paid or exchange.scenario is not NO_SCENARIO or exchange.damaged:
        return None
    if any(exchange.truncated_parts) or (headers := _find_plain_headers(exchange)) is None:
        return None
    body = request.body or b""
    response = exchange.response
    params = {name: MASK if is_secret_header(name.encode()) else value for name, value in exchange.params.items()}
    return _make_entry(
        exchange,
        request.path,
        request.query,
        headers,
        body,
        dict(exchange.path_params),
        params,
        _get_text(response.headers),
        response.sends,
    )


def _find_plain_headers(exchange: Exchange) -> RawHeaders | None:
    """Return the headers of a request, masked, if nothing else in it is secret."""
    cache, key = exchange.session.cache, ("plain", exchange.key, exchange.request.headers)
    known: RawHeaders | None = cache.get(key) if exchange.occurrence > 1 else None
    if known is not None:
        return known
    request, mask = exchange.request, exchange.mask
    headers = tuple([(name, _MASK if is_secret_header(name) else value) for name, value in request.headers])
    values = [value.decode("latin-1") for _, value in headers]
    text = "\n".join([request.path, request.query, *values, (request.body or b"").decode("latin-1")])
    if mask.find(text) or mask.mask_parameters(request.query) != request.query:
        return None
    if exchange.occurrence > 1:
        cache.put(key, headers, size=request.size)
    return headers


def _describe(exchange: Exchange) -> _Entry:
    """Return the entry of any exchange, everything in it masked."""
    logged, response, mask = exchange.logged_request, exchange.response, exchange.mask
    if not exchange.stream:
        sends: Sends = ((exchange.last_due, exchange.response_body),) if response.sends else ()
    elif response.ordinary:
        sends = ((0.0, exchange.events.raw),)
    else:
        sends = tuple(zip(exchange.event_times, exchange.events, strict=False))
    call = exchange.logged_call
    return _make_entry(
        exchange,
        logged.path,
        logged.query,
        logged.headers,
        logged.body,
        {name: mask.mask_text(value) for name, value in exchange.path_params.items()},
        {} if call is None else dict(call.params),
        exchange.response_headers.text,
        sends,
    )


def _make_entry(
    exchange: Exchange,
    path: str,
    query: str,
    headers: RawHeaders,
    body: bytes,
    path_params: dict[str, str],
    params: dict[str, Any],
    response_headers: str,
    sends: Sends,
) -> _Entry:
    response, limits, scenario, request = exchange.response, exchange.limits, exchange.scenario, exchange.request
    return _Entry(
        request.method,
        path,
        query,
        headers,
        body,
        request.client,
        request.session_name,
        request.mount_path,
        exchange.operation_id,
        path_params,
        exchange.protocol,
        exchange.occurrence,
        exchange.at,
        exchange.key,
        exchange.token,
        exchange.request_id,
        exchange.caller,
        None if limits is None else (limits.totals, limits.most, limits.now, limits.taken),
        exchange.valid,
        scenario.rule_id,
        scenario.label,
        exchange.nearest,
        None if exchange.action is None else dict(exchange.action),
        exchange.checked,
        exchange.findings,
        exchange.damaged,
        params,
        response.status,
        response_headers,
        sends,
        response.end,
        response.raw,
        response.ordinary,
        exchange.stream,
        exchange.model,
        exchange.usage,
        exchange.ticks,
        mask_text(exchange.limit) if exchange.limit else None,
        exchange.error,
        exchange.mask.mask_text(exchange.refusal) if exchange.refusal else None,
        exchange.open,
        exchange.duration_ms,
        exchange.size,
        *exchange.truncated_parts,
    )


def _get_text(headers: Headers) -> str:
    return headers.text if isinstance(headers, HeaderBlock) else HeaderBlock.of(headers).text


def decode_exchange(raw: bytes, number: int, contract: Contract) -> Exchange:
    """Return the exchange that was written. It belongs to no session."""
    entry = _DECODER.decode(raw)
    request = Request(
        entry.method,
        entry.path.encode("latin-1"),
        entry.query.encode("latin-1"),
        entry.headers,
        entry.body,
        entry.client,
    )
    request.session_name, request.mount_path, request.path = entry.session_name, entry.mount_path, entry.path
    exchange = Exchange.make_logged(request)
    exchange.number, exchange.stream = number, entry.stream
    exchange.operation = contract.operations.get(entry.operation) if entry.operation else None
    exchange.response = Response(
        entry.status,
        HeaderBlock(entry.response_headers),
        entry.sends,
        entry.end,  # type: ignore[arg-type]
        entry.raw,
        ordinary=entry.ordinary,
    )
    if entry.limits is not None:
        totals, most, now, taken = entry.limits
        exchange.limits = Window((), totals, (now, now), most, 0.0, now, taken)
    if entry.rule_id is not None or entry.label is not None or entry.nearest is not None:
        played = LoggedScenario(entry.rule_id, entry.label, entry.nearest, entry.action)
        exchange.scenario = played  # type: ignore[assignment]
    exchange.mark_truncated(request=entry.request_truncated, response=entry.response_truncated)
    for name in _PLAIN:
        setattr(exchange, name, getattr(entry, name))
    return exchange


_PLAIN = (
    "path_params protocol occurrence at key token request_id caller valid checked findings damaged params model usage"
    " ticks limit error refusal open duration_ms size"
).split()
"""Members that an entry and an exchange share."""
