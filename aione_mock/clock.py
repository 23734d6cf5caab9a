"""Time. `Clock` is the only source of time in the package."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta

from aione_mock.errors import ConfigError

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, None: 1.0}


class Clock:
    """Tells the time: the real one (perhaps shifted), or one that stands still until moved.

    A session has one; quotas, expiry, billing months and `created` all read it.
    """

    __slots__ = ("_fixed", "_offset")

    def __init__(self, frozen_at: datetime | None = None) -> None:
        self._fixed = frozen_at.timestamp() if frozen_at else None
        self._offset = 0.0

    @property
    def frozen(self) -> bool:
        """Whether time stands still."""
        return self._fixed is not None

    def timestamp(self) -> float:
        """Seconds since 1970-01-01T00:00:00Z."""
        return time.time() + self._offset if self._fixed is None else self._fixed

    def now(self) -> datetime:
        """The same instant as an aware datetime in UTC."""
        return datetime.fromtimestamp(self.timestamp(), UTC)

    def freeze(self, at: datetime | None = None) -> None:
        """Stop at `at`, or at the present instant."""
        self._fixed = at.timestamp() if at else self.timestamp()

    def unfreeze(self) -> None:
        """Let time pass again, from the instant it shows."""
        if self._fixed is not None:
            self._offset, self._fixed = self._fixed - time.time(), None

    def set(self, at: datetime) -> None:
        """Jump to `at`; a frozen clock stays frozen, a running one goes on from there."""
        if self._fixed is None:
            self._offset = at.timestamp() - time.time()
        else:
            self._fixed = at.timestamp()

    def advance(self, seconds: float) -> None:
        """Move by `seconds`, which may be negative."""
        if self._fixed is None:
            self._offset += seconds
        else:
            self._fixed += seconds

    def save_state(self) -> dict[str, float | None]:
        """What `restore` needs, as JSON."""
        return {"fixed": self._fixed, "offset": self._offset}

    def restore_state(self, state: dict[str, float | None]) -> None:
        """Take over a state made by `state`."""
        self._fixed, self._offset = state["fixed"], state["offset"] or 0.0


class _SystemClock(Clock):
    """The real time; nothing moves it."""

    timestamp = staticmethod(time.time)


SYSTEM_CLOCK = _SystemClock()
"""Real time, for what no frozen clock may judge (signature dates) and for measuring."""


def parse_instant(text: str) -> datetime:
    """An ISO 8601 date or date-time, UTC where no offset is given.

    Raises ConfigError for anything else.
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"'{text}' is not an ISO 8601 time such as 2026-01-31T09:00:00Z") from None
    try:
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        raise ConfigError(f"'{text}' is outside the years 1 to 9999") from None


def parse_duration(text: str | float) -> float:
    """Seconds from `61s`, `1.5h`, `2d`, `1d12h`, `250ms` or a bare number.

    Raises ConfigError for anything else.
    """
    __tracebackhide__ = True
    if isinstance(text, int | float):
        return float(text)
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text)
    parts = _DURATION.findall(rest)
    if not parts or "".join(_DURATION.sub("", rest).split()):
        raise ConfigError(f"'{text}' is not a duration such as 250ms, 61s, 15m, 2h or 30d")
    seconds: float = sum(float(number) * _UNITS[unit or None] for number, unit in parts)
    if seconds > timedelta.max.total_seconds():
        raise ConfigError(f"'{text}' is longer than any clock can show")
    return sign * seconds


def format_instant(at: datetime) -> str:
    """`2026-01-31T09:00:00Z`, whole seconds, UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
