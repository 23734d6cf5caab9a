"""Days and months of Asia/Shanghai, in which everything is counted and billed.

A day is a whole number: days since 1970-01-01. A month is `year * 12 + month - 1`. The offset is always
UTC+8: China has had no summer time since 1991.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

from aione_mock.clock import parse_instant
from aione_mock.errors import ConfigError

SHANGHAI = timezone(timedelta(hours=8), "Asia/Shanghai")
DAY = 86400
HOUR = 3600
_OFFSET = 8 * HOUR
_EPOCH = date(1970, 1, 1).toordinal()
_LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()


def day_of(at: float) -> int:
    """The day that an instant (Unix seconds) lies in."""
    return int((at + _OFFSET) // DAY)


def start_of(day: int) -> int:
    """Unix seconds at which a day begins."""
    return day * DAY - _OFFSET


def date_of(day: int) -> date:
    """The day as a date."""
    return date.fromordinal(_EPOCH + day)


def day_on(at: date) -> int:
    """The day of a date."""
    return at.toordinal() - _EPOCH


def month_of(day: int) -> int:
    """The month that a day lies in."""
    at = date_of(day)
    return at.year * 12 + at.month - 1


def month_start(month: int) -> int:
    """The first day of a month."""
    return day_on(date(month // 12, month % 12 + 1, 1))


def spell(at: float) -> str:
    """`2026-01-31T09:00:00Z`; milliseconds are shown where there are any."""
    moment = datetime.fromtimestamp(round(at, 3), UTC)
    spelling = moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds")
    return spelling.replace("+00:00", "Z")


def read(text: str) -> float | None:
    """Unix seconds of an RFC 3339 date-time; None for one that no calendar has, such as in the year 0."""
    try:
        at = parse_instant(text.upper()).timestamp()
    except ConfigError:
        return None
    return at if at <= _LAST else None
