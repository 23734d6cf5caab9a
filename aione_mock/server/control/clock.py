"""Read and change a session's clock, which limits, expiry, billing months and timestamps share."""

from __future__ import annotations

from aione_mock.clock import check_clock_time, format_timestamp, parse_clock_time, parse_duration
from aione_mock.server.sessions import Session
from aione_mock.types import Call, Reply


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
        session.clock.set(check_clock_time(start + seconds, str(change.get("advance", change.get("set")))))
    if "frozen" in change:
        (session.clock.freeze if change["frozen"] else session.clock.unfreeze)()
    return Reply(_describe_clock(session))


def _describe_clock(session: Session) -> dict[str, object]:
    now = session.clock.timestamp()
    return {"now": format_timestamp(now, "microseconds"), "timestamp": now, "frozen": session.clock.frozen}
