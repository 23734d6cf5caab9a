"""Convert between timestamps, days and months of Asia/Shanghai, in which usage is counted and billed.

A timestamp is in Unix seconds. A day is the number of days since 1970-01-01. A month is `year * 12 + month - 1`.
The offset is always UTC+8: China has had no summer time since 1991.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

from aione_mock.clock import parse_instant
from aione_mock.errors import ConfigError

SHANGHAI = timezone(timedelta(hours=8), "Asia/Shanghai")
DAY = 86400
"""Seconds."""
HOUR = 3600
"""Seconds."""
_OFFSET = 8 * HOUR
_EPOCH = date(1970, 1, 1).toordinal()
_LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()


def timestamp_to_day(at: float) -> int:
    """Return the day in which a timestamp lies."""
    return int((at + _OFFSET) // DAY)


def day_to_timestamp(day: int) -> int:
    """Return the timestamp at which a day begins."""
    return day * DAY - _OFFSET


def day_to_date(day: int) -> date:
    """Return a day as a date."""
    return date.fromordinal(_EPOCH + day)


def date_to_day(at: date) -> int:
    """Return a date as a day."""
    return at.toordinal() - _EPOCH


def day_to_month(day: int) -> int:
    """Return the month in which a day lies."""
    at = day_to_date(day)
    return at.year * 12 + at.month - 1


def month_to_day(month: int) -> int:
    """Return the first day of a month."""
    return date_to_day(date(month // 12, month % 12 + 1, 1))


def is_weekend(day: int) -> bool:
    """Return whether a day is a Saturday or a Sunday."""
    return (day + 3) % 7 >= 5


def format_timestamp(at: float) -> str:
    """Return a timestamp as `2026-01-31T09:00:00Z`, with milliseconds if there are any."""
    moment = datetime.fromtimestamp(round(at, 3), UTC)
    text = moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds")
    return text.replace("+00:00", "Z")


def parse_timestamp(text: str) -> float | None:
    """Parse an RFC 3339 date-time. Return None for one that does not exist, such as in the year 0."""
    try:
        at = parse_instant(text.upper()).timestamp()
    except ConfigError:
        return None
    return at if at <= _LAST else None
