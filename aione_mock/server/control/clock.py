"""One clock for limits, expiry, billing months and timestamps; it can stand still or jump."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from aione_mock.clock import parse_duration, parse_instant
from aione_mock.errors import ConfigError
from aione_mock.server.sessions import Session
from aione_mock.types import Call, Reply

FIRST, LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""The instants that a session's clock can show."""


def instant(timestamp: float, precision: Literal["auto", "microseconds"] = "auto") -> str:
    """Unix seconds as `2026-04-07T09:30:00Z`, with microseconds where there are any."""
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec=precision).replace("+00:00", "Z")


def read_instant(text: str) -> datetime:
    """An instant for a session's clock. Raises ConfigError for one that it cannot show."""
    return _within(parse_instant(text).timestamp(), text)


async def get_clock(call: Call, session: Session) -> Reply:
    """`GET /_mock/clock`."""
    return Reply(_state(session))


async def change_clock(call: Call, session: Session) -> Reply:
    """`POST /_mock/clock`: `set`, then `advance`, then `frozen`; nothing is changed if one of them is wrong.

    History goes on from where the session began: moving the clock does not move that.
    """
    change = call.data
    if "set" in change or "advance" in change:
        start = read_instant(change["set"]).timestamp() if "set" in change else session.clock.timestamp()
        seconds = parse_duration(change.get("advance", 0))
        session.clock.set(_within(start + seconds, str(change.get("advance", change.get("set")))))
    if "frozen" in change:
        (session.clock.freeze if change["frozen"] else session.clock.unfreeze)()
    return Reply(_state(session))


def _within(timestamp: float, text: str) -> datetime:
    if not FIRST.timestamp() <= timestamp < LAST.timestamp():
        raise ConfigError(f"'{text}' leads outside the years {FIRST.year} to {LAST.year - 1}")
    return datetime.fromtimestamp(timestamp, UTC)


def _state(session: Session) -> dict[str, object]:
    now = session.clock.timestamp()
    return {"now": instant(now, "microseconds"), "timestamp": now, "frozen": session.clock.frozen}
