"""An exchange in a line, as the journal lists it and as events report it."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

from aione_mock.clock import format_timestamp
from aione_mock.server.journal import Exchange
from aione_mock.text.credentials import mask_text
from aione_mock.types import Json, Usage

_LABEL = re.compile(r"(?P<name>.*) \((?P<prefix>.*?)(\.\.\.)?\)", re.DOTALL)
_LONGEST = 500
"""Characters of a model's name."""
_TOKENS = ("prompt", "completion", "reasoning", "cached", "cache_write")


def summarize_exchange(exchange: Exchange) -> dict[str, Json]:
    """Return the row of an exchange, without credentials."""
    times = exchange.event_times if exchange.stream else ()
    operation, path = exchange.operation, exchange.request.path
    return {
        "number": exchange.number,
        "at": format_timestamp(exchange.at),
        "operation": exchange.operation_id,
        "method": _mask(exchange.request.method),
        # a path without parameters holds nothing of the client's
        "path": path if operation is not None and operation.path == path else exchange.path,
        "status": exchange.status,
        "key": _mask(list_key_names(exchange)[0]),
        "model": _mask(exchange.model),
        "asked_model": find_asked_model(exchange),
        "stream": exchange.stream,
        "duration_ms": round(exchange.duration_ms, 3),
        "request_id": exchange.request_id,
        "rule": _mask(exchange.rule),
        "open": exchange.open,
        "first_event_ms": round(1000 * times[0], 3) if times else None,
        "events": len(times),
        "end": exchange.end,
        "usage": _describe_usage(exchange.usage),
        "cost": None if exchange.ticks is None else f"{Decimal(exchange.ticks) / 10_000:f}",
        "scenario": _mask(exchange.scenario_label),
        "limit": _mask(exchange.limit),
        "error": exchange.error,
        "finding": exchange.finding,
    }


def _mask(text: str | None) -> str | None:
    return _mask_short(text) if text is not None and len(text) < _LONGEST else text and mask_text(text)


@lru_cache(1024)
def _mask_short(text: str) -> str:
    """Mask the text of one row: most rows have the same few."""
    return mask_text(text)


def list_key_names(exchange: Exchange) -> tuple[str | None, ...]:
    """Return the names by which a filter may call the key: its label, id and public prefix."""
    key_id = exchange.caller.key_id if exchange.caller else None
    label = _LABEL.fullmatch(exchange.key_label or "")
    if label is None:
        return exchange.key_label, key_id
    return label["name"], key_id, label["prefix"], exchange.key_label


def find_asked_model(exchange: Exchange) -> str | None:
    """Return the model that was asked for, where none has answered."""
    named = exchange.read_model() if exchange.model is None else None
    # a credential that is cut must be recognized before
    return named and exchange.mask.mask_text(named[: 2 * _LONGEST])[:_LONGEST]


def _describe_usage(usage: Usage | None) -> Json:
    return {name: getattr(usage, name) for name in _TOKENS} if usage else None
