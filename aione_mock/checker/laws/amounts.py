"""Reading figures: days in Shanghai, money as decimals, sums that may grow while they are looked at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from aione_mock.checker.context import LawContext, instant
from aione_mock.types import Json

SHANGHAI = ZoneInfo("Asia/Shanghai")
"""Where the days of the figures begin."""


@dataclass(frozen=True, slots=True)
class UsageTotals:
    """Totals of usage."""

    requests: int = 0
    prompt: int = 0
    completion: int = 0
    total: int = 0
    cost: Decimal = Decimal(0)

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Json]]) -> UsageTotals:
        """The totals of usage rows."""
        rows = list(rows)
        return cls(
            sum(row["requests"] for row in rows),
            sum(row["prompt_tokens"] for row in rows),
            sum(row["completion_tokens"] for row in rows),
            sum(row["total_tokens"] for row in rows),
            sum((Decimal(str(row["cost_rmb"])) for row in rows), Decimal(0)),
        )

    def minus(self, other: UsageTotals) -> UsageTotals:
        """The difference."""
        return UsageTotals(
            self.requests - other.requests,
            self.prompt - other.prompt,
            self.completion - other.completion,
            self.total - other.total,
            self.cost - other.cost,
        )

    def __str__(self) -> str:
        return f"{self.requests} requests, {self.prompt} + {self.completion} = {self.total} tokens, {self.cost} RMB"


def today(context: LawContext) -> date:
    """The present day in Shanghai by the server's clock, as the dashboard's `data_freshness` shows it. Raises
    NotChecked.
    """
    return instant(context.read("getDashboard")["data_freshness"]).astimezone(SHANGHAI).date()


def days(first: date, last: date) -> list[str]:
    """All days from one to another, as the figures write them."""
    return [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]


def between(low: Any, value: Any, high: Any) -> bool:
    """Whether a figure read between two readings of another, which may have grown, agrees with it."""
    return bool(low <= value <= high)
