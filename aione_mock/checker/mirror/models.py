"""The models of a gateway: what its lists show, and the other names that it knows them by."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from aione_mock.checker.errors import NotChecked, UnreadableAnswer
from aione_mock.checker.json_reader import JsonReader
from aione_mock.checker.mirror.entries import Entry, fit_entry, read_members, read_money
from aione_mock.checker.mirror.reader import GatewayReader
from aione_mock.checker.protocols import PROTOCOLS
from aione_mock.tenant.catalogue import Model

SECTION = "models"
Models = dict[str, Entry]
"""By their ids, in the order of the lists."""
_MAX_NAMES = 200
"""Names that the gateway is asked about, whether they are other names of listed models."""
_PRICES = {
    "input": "input_price_rmb",
    "cached_input": "cached_input_price_rmb",
    "output": "output_price_rmb",
}
"""Prices of the file → members of the console's list."""


@dataclass(frozen=True, slots=True)
class _ModelList:
    """A list of models, and which of its members are which of the file's."""

    operation: str
    member: str
    field: str
    """The credential."""
    lost: str
    names: Mapping[str, str]


_SHARED = {
    "id": "id",
    "display_name": "display_name",
    "protocols": "protocols",
    "context_length": "context_length",
    "max_output_tokens": "max_output_tokens",
    "capabilities": "abilities",
}
_LISTS = (
    _ModelList("listGatewayModels", "items", "token", "prices of models", _SHARED | {"provider": "owner"}),
    _ModelList("listModels", "data", "key", "the models of the key", _SHARED | {"owned_by": "owner"}),
    _ModelList(
        "listGeminiModels",
        "models",
        "key",
        "the models of Gemini's protocol",
        {
            "name": "id",
            "displayName": "display_name",
            "inputTokenLimit": "context_length",
            "outputTokenLimit": "max_output_tokens",
        },
    ),
)


def read_models(reader: GatewayReader) -> Models:
    """Return the models of all lists; what several lists show is taken from the first."""
    found: Models = {}
    listed: dict[str, set[str]] = {}
    for source in _LISTS:
        rows = reader.read_rows(SECTION, source.operation, source.lost, _choose_field(reader, source), source.member)
        entries = [_read_model(reader, row, source) for row in rows or ()]
        named = {entry["id"]: entry for entry in reversed(entries) if isinstance(entry.get("id"), str)}
        for name in reversed(named):
            found[name] = named[name] | found.get(name, {})
        if rows is not None:
            listed[source.operation] = set(named)
    for name, entry in found.items():
        if "protocols" not in entry and (protocols := _find_protocols(name, listed)):
            entry["protocols"] = protocols
    fitted = [fit_entry(reader, SECTION, Model, entry) for entry in found.values()]
    models = {entry["id"]: entry for entry in fitted if entry}
    reader.used += bool(models)
    return models


def _choose_field(reader: GatewayReader, source: _ModelList) -> str:
    """Return the credential of a list: the business token if there is no other console token."""
    target = reader.context.target
    return "business_token" if source.field == "token" and target.business_token and not target.token else source.field


def _find_protocols(name: str, listed: Mapping[str, Container[str]]) -> list[str]:
    """Return the protocols of a model that does not tell them; empty if the lists do not tell them either."""
    *others, last = (source.operation for source in _LISTS)
    if last not in listed:
        return []
    is_gemini, is_other = name in listed[last], any(name in listed.get(operation, ()) for operation in others)
    return [each for each in PROTOCOLS if (is_gemini if each == "gemini" else is_other)]


def _read_model(reader: GatewayReader, row: JsonReader, source: _ModelList) -> Entry:
    entry = read_members(reader, row, source.names)
    if isinstance(entry.get("id"), str):
        entry["id"] = entry["id"].removeprefix("models/")
    with suppress(UnreadableAnswer, ValueError, OverflowError, OSError):
        entry["created"] = datetime.fromtimestamp(row.read_integer("created"), UTC).date()
    amounts = {name: read_money(reader, SECTION, row, member) for name, member in _PRICES.items()}
    if prices := {name: amount for name, amount in amounts.items() if amount is not None}:
        entry["prices"] = prices
    return entry


def read_aliases(reader: GatewayReader, models: Models, names: Iterable[str]) -> None:
    """Add to the models the other names, of those that the contract or the organisations mention."""
    try:
        known = list(reader.context.find_figure("models-aliases", "aliases"))
    except NotChecked:
        known = []
    asked = [name for name in dict.fromkeys((*known, *names)) if name not in models]
    for name in asked[:_MAX_NAMES] if models else ():
        reader.watch(f"retrieveModel: {name}")
        target = _find_model(reader, name)
        if target in models:
            models[target].setdefault("aliases", []).append(name)


def _find_model(reader: GatewayReader, name: str) -> str | None:
    """Return the id of the model that a gateway knows by a name."""
    answer, _ = reader.ask("retrieveModel", "key", {"model": name})
    found = answer.find("id") if answer else None
    return found if isinstance(found, str) else None
