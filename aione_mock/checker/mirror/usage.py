"""The past usage of an organisation, as far as sums over keys and over models show it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aione_mock.checker.errors import UnreadableAnswer
from aione_mock.checker.json_reader import JsonReader
from aione_mock.checker.mirror.entries import Entry
from aione_mock.checker.mirror.models import Models
from aione_mock.checker.mirror.organisation import OrganisationReading
from aione_mock.checker.mirror.reader import GatewayReader

_DAYS = 7
"""Of usage that is shown when no dates are given."""
_MAX_KEYS = 50
"""Keys that get a past, those that cost most; each makes the start of the mock slower."""


def add_past_usage(reader: GatewayReader, reading: OrganisationReading, models: Models) -> None:
    """Give keys the calls of a day, with mean tokens and the organisation's models."""
    section = f"{reading.label}.keys"
    by_key = reader.read_rows(section, "queryUsage", "past usage", reading.token, group_by="key")
    if not by_key:
        return
    by_model = reader.read_rows(section, "queryUsage", "models of past usage", reading.token, group_by="model")
    shares = {name: count for name, count in _read_shares(by_model or ()) if not models or name in models}
    keys = {key["id"]: key for key in reading.list_entries("keys") if "id" in key}
    for row in by_key[:_MAX_KEYS]:
        key = keys.get(str(row.find("key_id")).lower())
        if key and shares and (past := _read_past(row, shares)):
            key["past"] = past
    if any("past" in key for key in keys.values()):
        text = "past usage has the means of the last days, and the models of the organisation for each key"
        reader.note(section, text)


def _read_shares(rows: Iterable[JsonReader]) -> Iterable[tuple[str, int]]:
    """Yield models and how many calls they had."""
    for row in rows:
        try:
            model, requests = row.read_text("model"), row.read_integer("requests")
        except UnreadableAnswer:
            continue
        if requests > 0:
            yield model, requests


def _read_past(row: JsonReader, shares: Mapping[str, int]) -> Entry | None:
    try:
        requests, prompt, completion = (
            row.read_integer(name) for name in ("requests", "prompt_tokens", "completion_tokens")
        )
    except UnreadableAnswer:
        return None
    if requests <= 0 or prompt <= 0 or completion <= 0:
        return None
    total = sum(shares.values())
    return {
        "calls": max(1, round(requests / _DAYS)),
        "prompt": max(1, prompt // requests),
        "completion": max(1, completion // requests),
        "cached": 0,
        "models": {name: max(1, round(100 * count / total)) for name, count in shares.items()},
    }
