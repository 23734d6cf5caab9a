"""Read JSON answers with type checks.

Laws read answers through `JsonReader` alone. Whatever a gateway answers, a reader returns a value of the requested
type, small enough for any calculation, or raises UnreadableAnswer.
"""

from __future__ import annotations

import reprlib
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation

import orjson

from aione_mock.checker.errors import UnreadableAnswer
from aione_mock.clock import parse_instant
from aione_mock.errors import ConfigError
from aione_mock.types import Json

MAX_DEPTH = 100
"""Nested levels of JSON; Python cannot process many more."""
_MAX_NUMBER = 10**15
_YEARS = range(1900, 3000)
_SHOWN_CHARACTERS = 60
_BRIEF = reprlib.Repr()
"""Shows a part of a large value."""
_BRIEF.maxstring = _BRIEF.maxother = _SHOWN_CHARACTERS


@dataclass(frozen=True, slots=True)
class JsonReader:
    """A JSON value of an answer. Paths are member names and list indexes."""

    value: Json
    source: str
    """What the value is part of, for messages: an operationId and a path."""

    def at(self, *path: str | int) -> JsonReader:
        """Return a reader of the value at a path."""
        value, source = self.value, self.source
        for step in path:
            if isinstance(step, str):
                present = isinstance(value, dict) and step in value
            else:
                present = isinstance(value, list) and step < len(value)
            if not present:
                raise UnreadableAnswer(f"the answer of {source} has no {step!r}")
            value, source = value[step], f"{source}/{step}"
        return JsonReader(value, source)

    def find(self, *path: str | int) -> Json:
        """Return the value at a path, None if there is none."""
        try:
            return self.at(*path).value
        except UnreadableAnswer:
            return None

    def list_rows(self, *path: str | int) -> list[JsonReader]:
        """Return a reader of each item of a list."""
        reader = self.at(*path)
        if not isinstance(reader.value, list):
            raise reader._make_mismatch_error("a list")
        return [JsonReader(item, f"{reader.source}/{index}") for index, item in enumerate(reader.value)]

    def read_members(self, *path: str | int) -> dict[str, Json]:
        """Return the members of an object."""
        reader = self.at(*path)
        if not isinstance(reader.value, dict):
            raise reader._make_mismatch_error("an object")
        return reader.value

    def read_text(self, *path: str | int) -> str:
        """Return a string."""
        reader = self.at(*path)
        if not isinstance(reader.value, str):
            raise reader._make_mismatch_error("a string")
        return reader.value

    def read_number(self, *path: str | int) -> float:
        """Return a number of at most 15 digits before the point."""
        reader = self.at(*path)
        value = reader.value
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _MAX_NUMBER:
            raise reader._make_mismatch_error("a number")
        return value

    def read_integer(self, *path: str | int) -> int:
        """Return a whole number of at most 15 digits."""
        value = self.read_number(*path)
        if value != int(value):
            raise self.at(*path)._make_mismatch_error("a whole number")
        return int(value)

    def read_decimal(self, *path: str | int) -> Decimal:
        """Return a decimal number of at most 15 digits before the point, written as a string or as a number."""
        reader = self.at(*path)
        try:
            value = Decimal(reader.value if isinstance(reader.value, str) else str(reader.read_number()))
            if value.is_finite() and value.copy_abs() < _MAX_NUMBER:
                return value
        except InvalidOperation:
            pass
        raise reader._make_mismatch_error("a decimal number")

    def read_instant(self, *path: str | int) -> datetime:
        """Return an ISO 8601 time in UTC, of the years from 1900 to 2999."""
        reader = self.at(*path)
        try:
            moment = parse_instant(reader.read_text())
            if moment.year in _YEARS:
                return moment
        except ConfigError:
            pass
        raise reader._make_mismatch_error("an ISO 8601 time")

    def read_day(self, *path: str | int) -> date:
        """Return an ISO 8601 date of the years from 1900 to 2999."""
        reader = self.at(*path)
        try:
            day = date.fromisoformat(reader.read_text())
            if day.year in _YEARS:
                return day
        except ValueError:
            pass
        raise reader._make_mismatch_error("an ISO 8601 date")

    def _make_mismatch_error(self, expected: str) -> UnreadableAnswer:
        return UnreadableAnswer(f"{self.source} is not {expected}: {_BRIEF.repr(self.value)[:_SHOWN_CHARACTERS]}")


def is_too_deep(text: str | bytes) -> bool:
    """Return whether a text is JSON of more than `MAX_DEPTH` nested levels."""
    opened = text.count("[") + text.count("{") if isinstance(text, str) else text.count(b"[") + text.count(b"{")
    if opened <= MAX_DEPTH:
        return False
    try:
        return _is_deeper(orjson.loads(text), MAX_DEPTH)
    except orjson.JSONDecodeError as error:
        return "depth" in str(error)


def _is_deeper(value: Json, depth: int) -> bool:
    level = [value]
    for _ in range(depth):
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return False
    return True
