"""Fit what a gateway shows to the models of the configuration file."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from pydantic import ValidationError

from aione_mock.checker.errors import UnreadableAnswer
from aione_mock.checker.json_reader import JsonReader
from aione_mock.checker.mirror.reader import GatewayReader
from aione_mock.text.data_files import Location, YamlModel, describe_details

Entry = dict[str, Any]
_SMALLEST_AMOUNT = Decimal("0.0001")
_MAX_ROUNDS = 20
"""Validations after which an entry is given up; each removes what the one before refused."""


def read_members(reader: GatewayReader, row: JsonReader, names: Mapping[str, str]) -> Entry:
    """Return members of a row under other names, without credentials. Those that are absent or null are left out."""
    found = {new: row.find(old) for old, new in names.items()}
    return {name: _mask_texts(reader, value) for name, value in found.items() if value is not None}


def _mask_texts(reader: GatewayReader, value: Any) -> Any:
    if isinstance(value, list):
        return [_mask_texts(reader, item) for item in value]
    return reader.mask(value) if isinstance(value, str) else value


def read_money(reader: GatewayReader, section: str, row: JsonReader, name: str) -> str | None:
    """Return an amount of RMB as the file has it, with at most four decimal places; None if there is none."""
    if row.find(name) is None:
        return None
    try:
        amount = row.read_decimal(name)
    except UnreadableAnswer as error:
        reader.note(section, f"{name} is left out: {error}")
        return None
    rounded = amount.quantize(_SMALLEST_AMOUNT, ROUND_HALF_EVEN)
    if rounded != amount:
        reader.note(section, f"{name} is rounded to four decimal places", str(amount))
    return str(rounded)


def fit_entry(reader: GatewayReader, section: str, model: type[YamlModel], entry: Entry) -> Entry | None:
    """Return an entry without what its model refuses, which is noted; None if nothing usable is left."""
    for _ in range(_MAX_ROUNDS):
        try:
            model.model_validate(entry)
        except ValidationError as error:
            refused = [(details["loc"], details, details["type"] == "missing") for details in error.errors()]
            for location, details, is_missing in reversed(refused):
                if not is_missing:
                    message = describe_details(details, model)
                    reader.note(section, f"{location[0]} is left out: {message}", reprlib.repr(details["input"]))
                if not _remove(entry, location[:-1] if is_missing else location):
                    return None
        else:
            return entry
    return None


def _remove(entry: Entry, location: Location) -> bool:
    """Remove the value at a location, or the innermost one around it; return whether there was one."""
    holder: Any = None
    value: Any = entry
    last: Any = None
    step: Any
    for step in location:
        if not (step in value if isinstance(value, dict) else isinstance(value, list) and step in range(len(value))):
            break
        holder, last, value = value, step, value[step]
    if holder is None:
        return False
    del holder[last]
    return True
