"""Search the journal of requests and their responses. Credentials are masked in it, and again in each reply."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson

from aione_mock.clock import parse_instant
from aione_mock.errors import APIError
from aione_mock.recorder.json_style import read_json_or_text
from aione_mock.scenarios.rules import RuleMatch
from aione_mock.server.journal import Exchange
from aione_mock.server.sessions import Session
from aione_mock.server.summary import find_asked_model, list_key_names, summarize_exchange
from aione_mock.text import sse
from aione_mock.text.credentials import mask_bytes, mask_text
from aione_mock.types import Call, Json, Reply

_LIMITS = ("requests_per_minute", "tokens_per_minute")


async def query_journal(call: Call, session: Session) -> Reply:
    """Answer `GET /_mock/journal`, newest first."""
    filters = [(FILTERS[name], value) for name, value in call.params.items() if name in FILTERS]
    held = session.journal.list_latest(len(session.journal))
    matching = [exchange for exchange in held if all(matches(exchange, value) for matches, value in filters)]
    return Reply(
        {
            "items": [summarize_exchange(exchange) for exchange in matching[: call.params["limit"]]],
            "matched": len(matching),
            "held": len(held),
            "total": session.journal.total,
        }
    )


async def clear_journal(call: Call, session: Session) -> Reply:
    """Answer `DELETE /_mock/journal`. Numbering continues."""
    session.clear_journal()
    return Reply(None, 204)


async def get_exchange(call: Call, session: Session) -> Reply:
    """Answer `GET /_mock/journal/{number}`."""
    number = call.params["number"]
    exchange = next((exchange for exchange in session.journal if exchange.number == number), None)
    if exchange is None:
        raise APIError("not_found", f"exchange {number} is not in the journal; {_describe_range(session)}")
    return make_masked_reply({**summarize_exchange(exchange), **_describe(exchange, session)})


def make_masked_reply(body: Json) -> Reply:
    """Return a reply without credentials, however they were escaped in the request."""
    return Reply(mask_bytes(orjson.dumps(body)))


def _describe(exchange: Exchange, session: Session) -> dict[str, Json]:
    # start-up does not wait for what looks at answers
    from aione_mock.server.control.violations import describe_contract, find_request_violations, find_violations

    request = exchange.logged_request
    return {
        "request": {
            "query": request.query,
            "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.headers],
            "body": _show_body(request.body),
            "truncated": request.truncated,
            "violations": find_request_violations(exchange),
        },
        "response": {
            "headers": [[name, value] for name, value in exchange.response_headers],
            "body": _show_body(exchange.response_body),
            "events": [event.decode("utf-8", "replace") for event in exchange.events],
            "times_ms": [round(1000 * due, 3) for due in exchange.event_times] if exchange.stream else [],
            "end_ms": round(1000 * exchange.last_due, 3),
            "violations": find_violations(exchange),
            "end": exchange.end,
            "truncated": exchange.response_truncated,
        },
        "explain": {
            "seed": session.seed_text,
            "occurrence": exchange.occurrence,
            "scenario": exchange.scenario_label,
            "action": exchange.action,
            "error": exchange.error,
            "limit": exchange.limit,
            "key_id": exchange.caller.key_id if exchange.caller else None,
            "valid": exchange.valid,
            "limits": _describe_limits(exchange),
            "nearest": _describe_match(exchange.nearest),
            "findings": list(exchange.findings),
        },
        "contract": describe_contract(exchange),
    }


def _show_body(raw: bytes) -> Json:
    """Return a body as JSON, or as text if it is none or nested too deeply to be serialized again."""
    value = read_json_or_text(raw)
    try:
        orjson.dumps([[value]])  # it will be two levels below the reply
    except orjson.JSONEncodeError:
        return raw.decode("utf-8", "replace")
    return value


def _describe_limits(exchange: Exchange) -> Json:
    """Return what the caller's key has used of its limits in the last minute, this exchange included."""
    if exchange.limits is None:
        return None
    (requests, tokens), most = exchange.limits.totals, exchange.limits.most
    tokens += exchange.usage.total if exchange.usage else 0
    return {
        name: {"used": used, "most": limit} for name, used, limit in zip(_LIMITS, (requests, tokens), most, strict=True)
    }


def _describe_match(match: RuleMatch | None) -> Json:
    return match and {"rule": match.rule_id, "satisfied": match.satisfied, "reasons": list(match.reasons)}


def _describe_range(session: Session) -> str:
    numbers = [exchange.number for exchange in session.journal]
    return f"it holds {numbers[0]} to {numbers[-1]}" if numbers else "it is empty"


def _has_status(exchange: Exchange, wanted: str) -> bool:
    return str(exchange.status) == wanted or (wanted.endswith("xx") and exchange.status // 100 == int(wanted[0]))


def _has_text(exchange: Exchange, wanted: str) -> bool:
    """Return whether request or response contain a text: as sent, unescaped, or joined from the events of a stream."""
    folded = mask_text(wanted).casefold()
    request, response = exchange.logged_request, exchange.response_body
    raw = b"\n".join([request.query.encode(), request.body, response, *exchange.events])
    if folded in raw.decode("utf-8", "replace").casefold():
        return True
    values = [read_json_or_text(request.body), read_json_or_text(response), fold_events(exchange)]
    return any(folded in text.casefold() for value in values for text in list_strings(value))


def fold_events(exchange: Exchange) -> Json:
    """Return the body that the events of a stream make; None if they make none."""
    grammar = exchange.logged_call.operation.stream if exchange.logged_call and exchange.events else None
    try:
        return grammar and grammar.fold(sse.decode(exchange.events))
    except (ValueError, TypeError, LookupError, AttributeError):
        # a fault has damaged the stream; its bytes have been searched already
        return None


def list_strings(value: Json) -> Iterator[str]:
    """Yield all strings in a JSON value, in no order."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict | list):
            pending += item.values() if isinstance(item, dict) else item


FILTERS: dict[str, Callable[[Exchange, Any], bool]] = {
    "operation": lambda exchange, wanted: exchange.operation_id == wanted,
    "model": lambda exchange, wanted: wanted in (exchange.model, find_asked_model(exchange)),
    "status": _has_status,
    "finding": lambda exchange, wanted: exchange.finding == wanted,
    "key": lambda exchange, wanted: wanted in list_key_names(exchange),
    "since": lambda exchange, wanted: exchange.at >= parse_instant(wanted).timestamp(),
    "until": lambda exchange, wanted: exchange.at < parse_instant(wanted).timestamp(),
    "text": _has_text,
}
