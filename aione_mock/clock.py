"""Clocks, instants and durations. `Clock` is the only source of time in the package."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Literal

from aione_mock.errors import ConfigError

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, None: 1.0}
_FIRST, _LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""The range of a session's clock: its generated history lies before it, and what expires after it."""
LONGEST_WAIT = 366 * 86400.0
"""Seconds that a timeout may have at most: the operating system does not wait for any number of them."""


class Clock:
    """The clock of a session: real time, possibly shifted, or frozen until it is moved.

    Quotas, expiry, billing months and `created` all read it.
    """

    __slots__ = ("_fixed", "_offset", "_read")

    def __init__(self, frozen_at: datetime | None = None, read: Callable[[], float] = time.time) -> None:
        """`read` returns the real time, in seconds since 1970."""
        self._fixed = frozen_at.timestamp() if frozen_at else None
        self._offset, self._read = 0.0, read

    @property
    def frozen(self) -> bool:
        """Whether time stands still."""
        return self._fixed is not None

    def timestamp(self) -> float:
        """Return seconds since 1970-01-01T00:00:00Z."""
        return self._read() + self._offset if self._fixed is None else self._fixed

    def now(self) -> datetime:
        """Return the time as an aware datetime in UTC."""
        return datetime.fromtimestamp(self.timestamp(), UTC)

    def freeze(self, at: datetime | None = None) -> None:
        """Stop the clock at `at`, or at the present instant."""
        self._fixed = at.timestamp() if at else self.timestamp()

    def unfreeze(self) -> None:
        """Let time pass again, from the instant that the clock shows."""
        if self._fixed is not None:
            self._offset, self._fixed = self._fixed - self._read(), None

    def set(self, at: datetime) -> None:
        """Move the clock to `at`. A frozen clock stays frozen, a running one continues from there."""
        if self._fixed is None:
            self._offset = at.timestamp() - self._read()
        else:
            self._fixed = at.timestamp()

    def advance(self, seconds: float) -> None:
        """Move the clock by `seconds`, which may be negative."""
        if self._fixed is None:
            self._offset += seconds
        else:
            self._fixed += seconds

    def save_state(self) -> dict[str, float | None]:
        """Return the state as JSON, for `restore_state`."""
        return {"fixed": self._fixed, "offset": self._offset}

    def restore_state(self, state: dict[str, float | None]) -> None:
        """Set the clock to a state made by `save_state`."""
        self._fixed, self._offset = state["fixed"], state["offset"] or 0.0


class _SystemClock(Clock):
    """Real time, which nothing moves."""

    timestamp = staticmethod(time.time)


SYSTEM_CLOCK = _SystemClock()
"""Real time: for measuring, and for what no frozen clock may decide, such as the dates of signatures."""


def parse_instant(text: str) -> datetime:
    """Parse an ISO 8601 date or date-time; without an offset it is in UTC. Raise ConfigError for anything else."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"'{text}' is not an ISO 8601 time such as 2026-01-31T09:00:00Z") from None
    try:
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        raise ConfigError(f"'{text}' is outside the years 1 to 9999") from None


def parse_clock_time(text: str) -> datetime:
    """Parse a time for a session's clock, as `parse_instant`. Raise ConfigError also if it is out of range."""
    return check_clock_time(parse_instant(text).timestamp(), text)


def check_clock_time(timestamp: float, text: str) -> datetime:
    """Return the time for a session's clock. Raise ConfigError, which says `text`, if it is out of range."""
    if not _FIRST.timestamp() <= timestamp < _LAST.timestamp():
        raise ConfigError(f"'{text}' is outside the years {_FIRST.year} to {_LAST.year - 1}")
    return datetime.fromtimestamp(timestamp, UTC)


def parse_duration(text: str | float) -> float:
    """Parse `61s`, `1.5h`, `2d`, `1d12h`, `250ms` or a number of seconds. Raise ConfigError for anything else."""
    __tracebackhide__ = True
    if isinstance(text, int | float):
        return float(text)
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text)
    parts = _DURATION.findall(rest)
    if not parts or "".join(_DURATION.sub("", rest).split()):
        raise ConfigError(f"'{text}' is not a duration such as 250ms, 61s, 15m, 2h or 30d")
    seconds: float = sum(float(number) * _UNITS[unit or None] for number, unit in parts)
    if seconds > timedelta.max.total_seconds():
        raise ConfigError(f"'{text}' is too long")
    return sign * seconds


def format_instant(at: datetime) -> str:
    """Format an instant as `2026-01-31T09:00:00Z`, in UTC and whole seconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_timestamp(timestamp: float, precision: Literal["auto", "microseconds"] = "auto") -> str:
    """Format Unix seconds as `2026-04-07T09:30:00Z`, by default with microseconds only if there are any."""
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec=precision).replace("+00:00", "Z")
