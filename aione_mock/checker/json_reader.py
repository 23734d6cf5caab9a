"""Read JSON answers with type checks.

Laws read answers through `JsonReader` alone. Whatever a gateway answers, a reader returns a value of the requested
type, small enough for any calculation, or raises UnreadableAnswer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation

from aione_mock.checker.errors import UnreadableAnswer
from aione_mock.clock import parse_instant
from aione_mock.errors import ConfigError
from aione_mock.types import Json

_MAX_NUMBER = 10**15
_YEARS = range(1900, 3000)
_SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class JsonReader:
    """A JSON value of an answer. Paths are member names and list indexes."""

    value: Json
    source: str
    """What the value is part of, for messages: an operationId and a path."""

    def at(self, *path: str | int) -> JsonReader:
        """Return a reader of the value at a path."""
        reader = self
        for step in path:
            reader = reader._step(step)
        return reader

    def _step(self, step: str | int) -> JsonReader:
        if isinstance(step, str):
            present = isinstance(self.value, dict) and step in self.value
        else:
            present = isinstance(self.value, list) and step < len(self.value)
        if not present:
            raise UnreadableAnswer(f"the answer of {self.source} has no {step!r}")
        return JsonReader(self.value[step], f"{self.source}/{step}")

    def find(self, *path: str | int) -> Json:
        """Return the value at a path, None if there is none."""
        try:
            return self.at(*path).value
        except UnreadableAnswer:
            return None

    def rows(self, *path: str | int) -> list[JsonReader]:
        """Return a reader of each item of a list."""
        reader = self.at(*path)
        if not isinstance(reader.value, list):
            raise reader._mismatch("a list")
        return [JsonReader(item, f"{reader.source}/{index}") for index, item in enumerate(reader.value)]

    def members(self, *path: str | int) -> dict[str, Json]:
        """Return the members of an object."""
        reader = self.at(*path)
        if not isinstance(reader.value, dict):
            raise reader._mismatch("an object")
        return reader.value

    def text(self, *path: str | int) -> str:
        """Return a string."""
        reader = self.at(*path)
        if not isinstance(reader.value, str):
            raise reader._mismatch("a string")
        return reader.value

    def number(self, *path: str | int) -> float:
        """Return a number of at most 15 digits before the point."""
        reader = self.at(*path)
        value = reader.value
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _MAX_NUMBER:
            raise reader._mismatch("a number")
        return value

    def integer(self, *path: str | int) -> int:
        """Return a whole number of at most 15 digits."""
        value = self.number(*path)
        if value != int(value):
            raise self.at(*path)._mismatch("a whole number")
        return int(value)

    def decimal(self, *path: str | int) -> Decimal:
        """Return a decimal number, written as a string or as a number."""
        reader = self.at(*path)
        try:
            value = Decimal(reader.value if isinstance(reader.value, str) else str(reader.number()))
        except InvalidOperation:
            raise reader._mismatch("a decimal number") from None
        if not value.is_finite() or value.copy_abs() >= _MAX_NUMBER:
            raise reader._mismatch("a decimal number")
        return value

    def instant(self, *path: str | int) -> datetime:
        """Return an ISO 8601 time in UTC."""
        reader = self.at(*path)
        try:
            moment = parse_instant(reader.text())
        except ConfigError:
            raise reader._mismatch("an ISO 8601 time") from None
        if moment.year not in _YEARS:
            raise reader._mismatch("a time of this age")
        return moment

    def day(self, *path: str | int) -> date:
        """Return an ISO 8601 date."""
        reader = self.at(*path)
        try:
            day = date.fromisoformat(reader.text())
        except ValueError:
            raise reader._mismatch("an ISO 8601 date") from None
        if day.year not in _YEARS:
            raise reader._mismatch("a date of this age")
        return day

    def _mismatch(self, expected: str) -> UnreadableAnswer:
        shown = repr(self.value)[:_SHOWN_CHARACTERS]
        return UnreadableAnswer(f"{self.source} is not {expected}: {shown}")
