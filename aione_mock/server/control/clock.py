"""Read and change a session's clock, which limits, expiry, billing months and timestamps share."""

from __future__ import annotations

from datetime import UTC, datetime

from aione_mock.clock import format_timestamp, parse_duration, parse_instant
from aione_mock.errors import ConfigError
from aione_mock.server.sessions import Session
from aione_mock.types import Call, Reply

_FIRST, _LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""The range of a session's clock."""


def parse_clock_time(text: str) -> datetime:
    """Parse a time for a session's clock. Raises ConfigError if it is out of range."""
    return _check_range(parse_instant(text).timestamp(), text)


async def get_clock(call: Call, session: Session) -> Reply:
    """Answer `GET /_mock/clock`."""
    return Reply(_describe_clock(session))


async def change_clock(call: Call, session: Session) -> Reply:
    """Answer `POST /_mock/clock`: apply `set`, then `advance`, then `frozen`; nothing if one of them is invalid.

    Generated history still ends where the session began: changing the clock does not move it.
    """
    change = call.data
    if "set" in change or "advance" in change:
        start = parse_clock_time(change["set"]).timestamp() if "set" in change else session.clock.timestamp()
        seconds = parse_duration(change.get("advance", 0))
        session.clock.set(_check_range(start + seconds, str(change.get("advance", change.get("set")))))
    if "frozen" in change:
        (session.clock.freeze if change["frozen"] else session.clock.unfreeze)()
    return Reply(_describe_clock(session))


def _check_range(timestamp: float, text: str) -> datetime:
    if not _FIRST.timestamp() <= timestamp < _LAST.timestamp():
        raise ConfigError(f"'{text}' is outside the years {_FIRST.year} to {_LAST.year - 1}")
    return datetime.fromtimestamp(timestamp, UTC)


def _describe_clock(session: Session) -> dict[str, object]:
    now = session.clock.timestamp()
    return {"now": format_timestamp(now, "microseconds"), "timestamp": now, "frozen": session.clock.frozen}
