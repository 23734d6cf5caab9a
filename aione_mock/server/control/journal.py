"""Search the journal of requests and their responses. Credentials are masked in it, and again in each reply."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from aione_mock import sse
from aione_mock.clock import parse_instant
from aione_mock.errors import APIError
from aione_mock.recorder.json_style import read_json_or_text
from aione_mock.scenarios.rules import RuleMatch
from aione_mock.server.control.clock import format_timestamp
from aione_mock.server.journal import Exchange, mask_body, mask_text
from aione_mock.server.sessions import Session
from aione_mock.types import Call, Json, Reply, Usage

_LABEL = re.compile(r"(?P<name>.*) \((?P<prefix>.*?)(\.\.\.)?\)", re.DOTALL)


async def query_journal(call: Call, session: Session) -> Reply:
    """Answer `GET /_mock/journal`, newest first."""
    filters = [(_FILTERS[name], value) for name, value in call.params.items() if name in _FILTERS]
    held = session.journal.latest(len(session.journal))
    matching = [exchange for exchange in held if all(matches(exchange, value) for matches, value in filters)]
    return make_masked_reply(
        {
            "items": [_summarize(exchange) for exchange in matching[: call.params["limit"]]],
            "matched": len(matching),
            "held": len(held),
            "total": session.journal.total,
        }
    )


async def clear_journal(call: Call, session: Session) -> Reply:
    """Answer `DELETE /_mock/journal`. Numbering continues."""
    session.journal.clear()
    return Reply(None, 204)


async def get_exchange(call: Call, session: Session) -> Reply:
    """Answer `GET /_mock/journal/{number}`."""
    number = call.params["number"]
    exchange = next((exchange for exchange in session.journal if exchange.number == number), None)
    if exchange is None:
        raise APIError("not_found", f"exchange {number} is not in the journal; {_describe_range(session)}")
    return make_masked_reply({**_summarize(exchange), **_describe(exchange, session)})


def make_masked_reply(body: Json) -> Reply:
    """Return a reply without credentials, however they were escaped in the request."""
    return Reply(mask_body(orjson.dumps(body)))


def _summarize(exchange: Exchange) -> dict[str, Json]:
    return {
        "number": exchange.number,
        "at": format_timestamp(exchange.at),
        "operation": exchange.operation_id,
        "method": exchange.logged_request.method,
        "path": exchange.logged_request.path,
        "status": exchange.status,
        "key": _list_key_names(exchange)[0],
        "model": exchange.model,
        "stream": exchange.stream,
        "duration_ms": round(exchange.duration_ms, 3),
        "request_id": exchange.request_id,
        "rule": exchange.rule,
    }


def _describe(exchange: Exchange, session: Session) -> dict[str, Json]:
    request = exchange.logged_request
    return {
        "request": {
            "query": request.query,
            "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.headers],
            "body": _show_body(request.body),
            "truncated": request.truncated,
        },
        "response": {
            "headers": [[name, value] for name, value in exchange.response_headers],
            "body": _show_body(exchange.response_body),
            "events": [event.decode("utf-8", "replace") for event in exchange.events],
            "end": exchange.end,
            "truncated": exchange.response_truncated,
        },
        "usage": _describe_usage(exchange.usage),
        "explain": {
            "seed": session.seed_text,
            "occurrence": exchange.occurrence,
            "scenario": exchange.scenario_label,
            "limit": exchange.limit,
            "nearest": _describe_match(exchange.nearest),
        },
    }


def _show_body(raw: bytes) -> Json:
    """Return a body as JSON, or as text if it is none or nested too deeply to be serialized again."""
    value = read_json_or_text(raw)
    try:
        orjson.dumps([[value]])  # it will be two levels below the reply
    except orjson.JSONEncodeError:
        return raw.decode("utf-8", "replace")
    return value


def _describe_usage(usage: Usage | None) -> Json:
    names = ("prompt", "completion", "reasoning", "cached", "cache_write")
    return {name: getattr(usage, name) for name in names} if usage else None


def _describe_match(match: RuleMatch | None) -> Json:
    return match and {"rule": match.rule_id, "satisfied": match.satisfied, "reasons": list(match.reasons)}


def _describe_range(session: Session) -> str:
    numbers = [exchange.number for exchange in session.journal]
    return f"it holds {numbers[0]} to {numbers[-1]}" if numbers else "it is empty"


def _list_key_names(exchange: Exchange) -> tuple[str | None, ...]:
    """Return the names by which a filter may call the key: its label, id and public prefix."""
    key_id = exchange.caller.key_id if exchange.caller else None
    label = _LABEL.fullmatch(exchange.key_label or "")
    if label is None:
        return exchange.key_label, key_id
    return label["name"], key_id, label["prefix"], exchange.key_label


def _has_status(exchange: Exchange, wanted: str) -> bool:
    return str(exchange.status) == wanted or (wanted.endswith("xx") and exchange.status // 100 == int(wanted[0]))


def _has_text(exchange: Exchange, wanted: str) -> bool:
    """Return whether request or response contain a text: as sent, unescaped, or joined from the events of a stream."""
    folded = mask_text(wanted).casefold()
    request, response = exchange.logged_request, exchange.response_body
    raw = b"\n".join([request.query.encode(), request.body, response, *exchange.events])
    if folded in raw.decode("utf-8", "replace").casefold():
        return True
    values = [read_json_or_text(request.body), read_json_or_text(response), _fold_events(exchange)]
    return any(folded in text.casefold() for value in values for text in _list_strings(value))


def _fold_events(exchange: Exchange) -> Json:
    """Return the body that the events of a stream make; None if they make none."""
    grammar = exchange.logged_call.operation.stream if exchange.logged_call and exchange.events else None
    try:
        return grammar and grammar.fold(sse.decode(exchange.events))
    except (ValueError, TypeError, LookupError, AttributeError):
        # a fault has damaged the stream; its bytes have been searched already
        return None


def _list_strings(value: Json) -> Iterator[str]:
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict | list):
            pending += item.values() if isinstance(item, dict) else item


_FILTERS: dict[str, Callable[[Exchange, Any], bool]] = {
    "operation": lambda exchange, wanted: exchange.operation_id == wanted,
    "status": _has_status,
    "key": lambda exchange, wanted: wanted in _list_key_names(exchange),
    "since": lambda exchange, wanted: exchange.at >= parse_instant(wanted).timestamp(),
    "until": lambda exchange, wanted: exchange.at < parse_instant(wanted).timestamp(),
    "text": _has_text,
}
