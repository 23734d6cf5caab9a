"""Write the calls of a session as a cassette."""

from __future__ import annotations

from collections.abc import Sequence

from aione_mock.contract import Contract
from aione_mock.recorder.cassette import (
    Interaction,
    RecordedEvent,
    RecordedRequest,
    RecordedResponse,
    RecordedTiming,
    dump_head,
    dump_interaction,
)
from aione_mock.recorder.contract_check import check_interaction
from aione_mock.recorder.redaction import Redactor
from aione_mock.recorder.upstream import list_hop_by_hop
from aione_mock.server.journal import Exchange


def dump_session(contract: Contract, exchanges: Sequence[Exchange], url: str, started: str) -> str:
    """Return a cassette of exchanges, in their order; a comment counts those that cannot be replayed.

    These are still being sent, or have no status, or were too long for the journal to keep them whole.
    """
    redactor = Redactor(contract)
    for exchange in exchanges:
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in exchange.request.headers]
        redactor.learn_credentials(headers, exchange.request.query)
    kept = [exchange for exchange in exchanges if _is_whole(exchange)]
    items = [dump_interaction(_make_interaction(contract, redactor, exchange)) for exchange in kept]
    left = len(exchanges) - len(kept)
    note = f"# Calls left out because they are not whole: {left}\n" if left else ""
    return note + dump_head(url, started=started) + "".join(items)


def _is_whole(exchange: Exchange) -> bool:
    truncated = exchange.logged_request.truncated or exchange.response_truncated
    # a fault below HTTP has made the head itself
    return exchange.status > 0 and not exchange.open and not truncated and not exchange.response.raw


def _make_interaction(contract: Contract, redactor: Redactor, exchange: Exchange) -> Interaction:
    recorded = redactor.redact_interaction(
        Interaction(
            request=_make_request(exchange),
            response=_make_response(exchange),
            timing=RecordedTiming(first=round(exchange.first_due, 4), total=round(exchange.last_due, 4)),
        )
    )
    return recorded.model_copy(update={"findings": tuple(check_interaction(contract, recorded))})


def _make_request(exchange: Exchange) -> RecordedRequest:
    logged = exchange.logged_request
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in logged.headers]
    dropped = {*list_hop_by_hop(headers), "host"}
    return RecordedRequest(
        operation=exchange.operation_id,
        method=logged.method,
        path=logged.path,
        query=logged.query,
        headers=tuple([pair for pair in headers if pair[0] not in dropped]),
        body=logged.body,
    )


def _make_response(exchange: Exchange) -> RecordedResponse:
    events = None
    if exchange.stream:
        pairs = zip(exchange.event_times, exchange.events, strict=False)
        events = tuple([RecordedEvent(at=round(due, 4), raw=raw) for due, raw in pairs])
    return RecordedResponse(
        status=exchange.status,
        headers=tuple([(name.lower(), value) for name, value in exchange.response_headers]),
        body=exchange.response_body,
        events=events,
        end="finish" if exchange.end == "finish" else "cut",
    )
