"""The journal: what was asked and what was answered. Credentials are masked in it, and once more on the way out."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import orjson

from aione_mock import sse
from aione_mock.clock import parse_instant
from aione_mock.errors import APIError
from aione_mock.scenarios.rules import RuleMatch
from aione_mock.server.control.clock import instant
from aione_mock.server.journal import Exchange, mask_body, mask_text
from aione_mock.server.sessions import Session
from aione_mock.types import Call, Json, Reply, Usage

_LABEL = re.compile(r"(?P<name>.*) \((?P<prefix>.*?)(\.\.\.)?\)", re.DOTALL)


async def query_journal(call: Call, session: Session) -> Reply:
    """`GET /_mock/journal`, newest first."""
    asked = [(_FILTERS[name], value) for name, value in call.params.items() if name in _FILTERS]
    entries = session.journal.latest(len(session.journal))
    fitting = [entry for entry in entries if all(fits(entry, value) for fits, value in asked)]
    return masked(
        {
            "items": [summary(entry) for entry in fitting[: call.params["limit"]]],
            "matched": len(fitting),
            "held": len(entries),
            "total": session.journal.total,
        }
    )


async def clear_journal(call: Call, session: Session) -> Reply:
    """`DELETE /_mock/journal`; the numbers go on."""
    session.journal.clear()
    return Reply(None, 204)


async def get_exchange(call: Call, session: Session) -> Reply:
    """`GET /_mock/journal/{number}`."""
    number = call.params["number"]
    entry = next((entry for entry in session.journal if entry.number == number), None)
    if entry is None:
        raise APIError("not_found", f"exchange {number} is not in the journal; {_held(session)}")
    return masked({**summary(entry), **_whole(entry, session)})


def masked(answer: Json) -> Reply:
    """An answer in which no credential is left, however it was escaped when it came."""
    return Reply(mask_body(orjson.dumps(answer)))


def summary(entry: Exchange) -> dict[str, Json]:
    """An exchange in a line."""
    return {
        "number": entry.number,
        "at": instant(entry.at),
        "operation": entry.operation_id,
        "method": entry.logged_request.method,
        "path": entry.logged_request.path,
        "status": entry.status,
        "key": _names(entry)[0],
        "model": entry.model,
        "stream": entry.stream,
        "duration_ms": round(entry.duration_ms, 3),
        "request_id": entry.request_id,
        "rule": entry.rule,
    }


def json_of(raw: bytes) -> Json:
    """A body as JSON, or as text where it is none; None for an empty one."""
    if not raw:
        return None
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return raw.decode("utf-8", "replace")


def _shown(raw: bytes) -> Json:
    """A body as part of an answer: text where it is nested too deeply to be spelled out again."""
    value = json_of(raw)
    try:
        orjson.dumps([[value]])  # two levels below the answer, where it will be
    except orjson.JSONEncodeError:
        return raw.decode("utf-8", "replace")
    return value


def _whole(entry: Exchange, session: Session) -> dict[str, Json]:
    return {
        "request": {
            "query": entry.logged_request.query,
            "headers": [
                [name.decode("latin-1"), value.decode("latin-1")] for name, value in entry.logged_request.headers
            ],
            "body": _shown(entry.logged_request.body),
            "truncated": entry.logged_request.truncated,
        },
        "response": {
            "headers": [[name, value] for name, value in entry.response_headers],
            "body": _shown(entry.response_body),
            "events": [event.decode("utf-8", "replace") for event in entry.events],
            "end": entry.end,
            "truncated": entry.response_truncated,
        },
        "usage": _usage(entry.usage),
        "explain": {
            "seed": session.seed_text,
            "occurrence": entry.occurrence,
            "scenario": entry.scenario_label,
            "limit": entry.limit,
            "nearest": _nearest(entry.nearest),
        },
    }


def _usage(usage: Usage | None) -> Json:
    names = ("prompt", "completion", "reasoning", "cached", "cache_write")
    return {name: getattr(usage, name) for name in names} if usage else None


def _nearest(match: RuleMatch | None) -> Json:
    return match and {"rule": match.rule_id, "satisfied": match.satisfied, "reasons": list(match.reasons)}


def _held(session: Session) -> str:
    numbers = [entry.number for entry in session.journal]
    return f"it holds {numbers[0]} to {numbers[-1]}" if numbers else "it is empty"


def _names(entry: Exchange) -> tuple[str | None, ...]:
    """What a key may be called: its label, id and shown prefix."""
    key_id = entry.caller.key_id if entry.caller else None
    found = _LABEL.fullmatch(entry.key_label or "")
    if found is None:
        return entry.key_label, key_id
    return found["name"], key_id, found["prefix"], entry.key_label


def _has_status(entry: Exchange, wanted: str) -> bool:
    return str(entry.status) == wanted or (wanted.endswith("xx") and entry.status // 100 == int(wanted[0]))


def _has_text(entry: Exchange, wanted: str) -> bool:
    """Whether the words stand in what was asked or answered, as sent, unescaped, or put together from a stream."""
    folded = mask_text(wanted).casefold()
    request, response = entry.logged_request, entry.response_body
    raw = b"\n".join([request.query.encode(), request.body, response, *entry.events])
    if folded in raw.decode("utf-8", "replace").casefold():
        return True
    values = [json_of(request.body), json_of(response), _told(entry)]
    return any(folded in text.casefold() for value in values for text in _texts(value))


def _told(entry: Exchange) -> Json:
    """What the events of a stream add up to; None where they do not add up."""
    grammar = entry.logged_call.operation.stream if entry.logged_call and entry.events else None
    try:
        return grammar and grammar.fold(sse.decode(entry.events))
    except (ValueError, TypeError, LookupError, AttributeError):
        # a fault has damaged the stream; its bytes were looked at already
        return None


def _texts(value: Json) -> list[str]:
    """All strings of a JSON value."""
    found, rest = list[str](), [value]
    while rest:
        here = rest.pop()
        if isinstance(here, str):
            found.append(here)
        elif isinstance(here, dict):
            rest += here.values()
        elif isinstance(here, list):
            rest += here
    return found


_FILTERS: dict[str, Callable[[Exchange, Any], bool]] = {
    "operation": lambda entry, wanted: entry.operation_id == wanted,
    "status": _has_status,
    "key": lambda entry, wanted: wanted in _names(entry),
    "since": lambda entry, wanted: entry.at >= parse_instant(wanted).timestamp(),
    "until": lambda entry, wanted: entry.at < parse_instant(wanted).timestamp(),
    "text": _has_text,
}
