"""Report what happens as a stream of events."""

from __future__ import annotations

from functools import partial

from aione_mock.server.control.journal import FILTERS
from aione_mock.server.events import EventFeed
from aione_mock.server.journal import Exchange
from aione_mock.server.sessions import Session
from aione_mock.types import Call, Json, LiveReply, Reply


class EventControl:
    """Report calls and changes to listeners."""

    def __init__(self, feed: EventFeed) -> None:
        self._feed = feed

    async def listen_to_events(self, call: Call, session: Session) -> Reply:
        """Answer `GET /_mock/events`."""
        filters = [(FILTERS[name], value) for name, value in call.params.items() if name in FILTERS]
        accepts = partial(_accepts, filters) if filters else None
        last_id = call.header("last-event-id")
        return LiveReply(source=partial(self._feed.listen, call.params.get("session"), accepts, last_id))

    def announce_change(self, event: str, call: Call, session: Session) -> None:
        """Report a change that a control operation has made, by the name of the event."""
        name = session.name if event != "session" else (call.data or {}).get("name") or call.params["name"]
        self._feed.announce(event, name, {"operation": call.operation.id}, session)


def _accepts(filters: Json, exchange: Exchange) -> bool:
    return all(matches(exchange, value) for matches, value in filters)
