"""Totals of usage rows, and the days that they belong to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from aione_mock.checker.context import LawContext
from aione_mock.checker.json_reader import JsonReader
from aione_mock.structs import replace


@dataclass(frozen=True, slots=True)
class UsageTotals:
    """The sums of usage rows."""

    requests: int = 0
    prompt: int = 0
    completion: int = 0
    total: int = 0
    cost: Decimal = Decimal(0)
    """RMB."""
    rounding: Decimal = field(default=Decimal(0), compare=False)
    """How far the cost may be off, because the amounts that it is the sum of are rounded."""

    @classmethod
    def from_rows(cls, rows: Iterable[JsonReader]) -> UsageTotals:
        """Add up usage rows. Raises UnreadableAnswer."""
        rows = list(rows)
        return cls(
            sum(row.read_integer("requests") for row in rows),
            sum(row.read_integer("prompt_tokens") for row in rows),
            sum(row.read_integer("completion_tokens") for row in rows),
            sum(row.read_integer("total_tokens") for row in rows),
            sum_decimals(rows, "cost_rmb"),
            sum_rounding(rows, "cost_rmb"),
        )

    def agrees_with(self, other: UsageTotals) -> bool:
        """Return whether all figures are equal, the cost to what rounding allows."""
        close = abs(self.cost - other.cost) <= self.rounding + other.rounding
        return close and self == replace(other, cost=self.cost)

    def subtract(self, other: UsageTotals) -> UsageTotals:
        """Return the differences."""
        return UsageTotals(
            self.requests - other.requests,
            self.prompt - other.prompt,
            self.completion - other.completion,
            self.total - other.total,
            self.cost - other.cost,
            self.rounding + other.rounding,
        )

    def __str__(self) -> str:
        return f"{self.requests} requests, {self.prompt} + {self.completion} = {self.total} tokens, {self.cost} RMB"


def query_totals(context: LawContext, **query: str) -> UsageTotals:
    """Return the totals of the usage rows that a query selects. Raises NotChecked."""
    return UsageTotals.from_rows(context.read("queryUsage", query=query).list_rows())


def sum_decimals(rows: Iterable[JsonReader], name: str) -> Decimal:
    """Add up a decimal member of rows. Raises UnreadableAnswer."""
    return sum((row.read_decimal(name) for row in rows), Decimal(0))


def sum_rounding(rows: Iterable[JsonReader], name: str) -> Decimal:
    """Return how far the sum of a rounded member of rows may be off. Raises UnreadableAnswer."""
    return sum((compute_half_unit(row.read_decimal(name)) for row in rows), Decimal(0))


def compute_half_unit(value: Decimal) -> Decimal:
    """Return half of what the last digit of an amount counts: how far it may be off by rounding."""
    return Decimal(1).scaleb(int(value.as_tuple().exponent)) / 2


def read_today(context: LawContext) -> date:
    """Return the present day of usage figures by the clock of the dashboard. Raises NotChecked."""
    zone = ZoneInfo(context.find_figure("usage-window", "zone"))
    return context.read("getDashboard").read_instant("data_freshness").astimezone(zone).date()


def list_days(first: date, last: date) -> list[str]:
    """Return all days of a range as usage rows write them."""
    return [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]


def make_date_query(first: date, last: date) -> dict[str, str]:
    """Return the query parameters of a range of days."""
    return {"start_date": first.isoformat(), "end_date": last.isoformat()}


def is_between(low: Any, value: Any, high: Any, rounding: Any = 0) -> bool:
    """Return whether a figure agrees with another one that was read before and after it and may have grown."""
    return bool(low - rounding <= value <= high + rounding)
