"""Report what happens in a server to those who listen, as server-sent events.

While nobody listens, a request costs the reading of one attribute. A listener is never waited for: what it does not
read in time, and what happens faster than is reported, it is told as a number of lost events.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import AsyncIterator, Callable
from itertools import accumulate
from typing import TYPE_CHECKING
from weakref import ref

import orjson

from aione_mock.clock import SYSTEM_CLOCK
from aione_mock.server.summary import summarize_exchange
from aione_mock.structs import frozen
from aione_mock.types import Json, Reply, StreamReply

if TYPE_CHECKING:
    from aione_mock.server.journal import Exchange
    from aione_mock.server.sessions import Session

_TICK = 0.1
"""Seconds between reports."""
_PER_TICK, _WAITING = 30, 200
"""Most calls in one report, since describing one takes a quarter as long as answering it, and most that wait for it."""
_OPEN = 256
"""Most open calls whose progress is followed."""
_HELD, _QUEUED = 1000, 500
"""Events that are held for listeners who come back, and most that wait for one listener."""
_GRACE = 10.0
"""Seconds that events are held for after the last listener has left."""
_SILENCE = 15.0
"""Seconds after which a comment shows that the connection still stands."""
Accepts = Callable[["Exchange"], bool]


@frozen
class ServerEvent:
    """One event."""

    number: int
    session: str
    exchange: ref[Exchange] | None
    """The call that it is about; the journal decides how long that is held."""
    text: bytes


@frozen
class _OpenCall:
    """A call whose answer is being sent."""

    session: str
    began: float
    times: tuple[float, ...]
    tokens: tuple[int, ...]
    """Tokens up to and including each event."""
    reported: int = 0
    """How many events were reported, plus one."""


class _Listener:
    """One reader, with what it has not read yet."""

    def __init__(self, session: str | None, accepts: Accepts | None) -> None:
        self.session, self._accepts = session, accepts
        self.waiting: deque[ServerEvent] = deque()
        self.lost, self.ended = 0, False
        self.changed = asyncio.Event()

    def add_event(self, event: ServerEvent) -> None:
        """Queue an event that its filters accept; drop all for a reader that is too slow."""
        if not self.accepts_event(event):
            return
        if len(self.waiting) >= _QUEUED:
            self.note_lost(len(self.waiting))
            self.waiting.clear()
        self.waiting.append(event)
        self.changed.set()

    def note_lost(self, count: int) -> None:
        """Note that events were lost."""
        self.lost += count
        self.changed.set()

    def accepts_event(self, event: ServerEvent) -> bool:
        """Return whether its filters let an event pass."""
        if self.session is not None and self.session != event.session:
            return False
        if self._accepts is None or event.exchange is None:
            return True
        exchange = event.exchange()
        return exchange is not None and self._accepts(exchange)


class EventFeed:
    """The events of one server."""

    def __init__(self) -> None:
        self.listening = False
        """Whether anybody listens, or may come back."""
        self._listeners: set[_Listener] = set()
        self._held: deque[ServerEvent] = deque(maxlen=_HELD)
        self._number, self._run = 0, ""
        self._finished: deque[tuple[str, Exchange]] = deque()
        self._dropped = 0
        self._open: dict[Exchange, _OpenCall] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._stopping: asyncio.TimerHandle | None = None
        self._reported_at = 0.0

    def start_call(self, exchange: Exchange, reply: Reply | StreamReply) -> None:
        """Note that the answer of a call begins. Call it only while `listening`."""
        if len(self._open) >= _OPEN:
            return
        times = exchange.event_times if exchange.stream else ()
        weights = reply.weights if isinstance(reply, StreamReply) else ()
        most = exchange.usage.completion if exchange.usage else 0
        tokens = tuple([min(sent, most) for sent in accumulate(weights or (1,) * len(times))])
        now = asyncio.get_running_loop().time()
        self._open[exchange] = _OpenCall(exchange.session.name, now, times, tokens)
        self._schedule_report()

    def finish_call(self, exchange: Exchange) -> None:
        """Note that the answer of a call has ended. Call it only while `listening`."""
        self._open.pop(exchange, None)
        if len(self._finished) < _WAITING:
            self._finished.append((exchange.session.name, exchange))
        else:
            self._dropped += 1
        self._schedule_report()

    def announce(self, name: str, session: str, data: Json, source: Session) -> None:
        """Report that a call, which sees the session `source`, has changed something else."""
        self.report_change(name, session, data)

    def report_change(self, name: str, session: str, data: Json) -> None:
        """Report at once that something else has changed."""
        if self.listening:
            self._publish_event(name, session, None, {"session": session, **data})

    def close(self) -> None:
        """End all streams of events. The application may be served again, and listened to."""
        for listener in self._listeners:
            listener.ended = True
            listener.changed.set()
        for timer in (self._timer, self._stopping):
            if timer is not None:
                timer.cancel()
        self._timer = None
        self._stop_reporting()

    async def listen(
        self, session: str | None = None, accepts: Accepts | None = None, last_id: str | None = None
    ) -> AsyncIterator[bytes]:
        """Yield events as they come, of one session or all, from the one behind `last_id` on."""
        listener = self._add_listener(session, accepts)
        await self.prepare()
        try:
            yield b"retry: 1000\nid: %b-%d\n\n" % (self._run.encode(), self._number)
            self._replay_missed(listener, last_id)
            while not listener.ended:
                try:
                    await asyncio.wait_for(listener.changed.wait(), _SILENCE)
                except TimeoutError:
                    yield b": still here\n\n"
                    continue
                listener.changed.clear()
                if text := _drain_queue(listener):
                    yield text
        finally:
            self._remove_listener(listener)

    def _add_listener(self, session: str | None, accepts: Accepts | None) -> _Listener:
        self._run = self._run or f"{int(SYSTEM_CLOCK.timestamp() * 1000):x}"
        if self._stopping is not None:
            self._stopping.cancel()
            self._stopping = None
        listener = _Listener(session, accepts)
        self._listeners.add(listener)
        self.listening = True
        self.start_listening()
        return listener

    async def prepare(self) -> None:
        """Wait until no event can be missed any more."""

    def start_listening(self) -> None:
        """Prepare for listeners; here is nothing to do."""

    def stop_listening(self) -> None:
        """End what `start_listening` began."""

    def _remove_listener(self, listener: _Listener) -> None:
        self._listeners.discard(listener)
        if not self._listeners and self._stopping is None:
            self._stopping = asyncio.get_running_loop().call_later(_GRACE, self._stop_reporting)

    def _stop_reporting(self) -> None:
        """Stop reporting, because nobody listens any more."""
        self.listening, self._stopping = False, None
        self.stop_listening()
        self._held.clear()
        self._finished.clear()
        self._open.clear()
        self._number += 1  # whoever comes back has missed an unknown number, at least this one

    def _replay_missed(self, listener: _Listener, last_id: str | None) -> None:
        """Queue what came after an event, or report how much of it is gone."""
        if not last_id:
            return
        run, _, number = last_id.rpartition("-")
        last = int(number) if run == self._run and number.isdigit() else -1
        missed = [event for event in self._held if event.number > last]
        gone = self._number - last - len(missed)
        if last < 0 or gone > 0:
            listener.note_lost(max(gone, 1))
        for event in missed if last >= 0 else ():
            listener.add_event(event)

    def _schedule_report(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(max(loop.time(), self._reported_at + _TICK), self._report_calls)

    def _report_calls(self) -> None:
        """Report the calls that have begun, gone on and ended since the last report."""
        loop = asyncio.get_running_loop()
        self._timer, self._reported_at = None, loop.time()
        for exchange, call in [*self._open.items()]:
            self._report_open(exchange, call)
        for _ in range(min(len(self._finished), _PER_TICK)):
            session, exchange = self._finished.popleft()
            self._publish_event("call.finished", session, exchange, _describe_call(exchange, session))
        if self._dropped:
            for listener in self._listeners:
                listener.note_lost(self._dropped)
            self._dropped = 0
        if self._open or self._finished:
            self._schedule_report()

    def _report_open(self, exchange: Exchange, call: _OpenCall) -> None:
        events = bisect_right(call.times, self._reported_at - call.began)
        if not call.reported:
            self._publish_event("call.started", call.session, exchange, _describe_call(exchange, call.session))
        if events + 1 == call.reported:
            return
        tokens = call.tokens[min(events, len(call.tokens)) - 1] if events and call.tokens else 0
        progress = {"number": exchange.number, "session": call.session, "events": events, "tokens": tokens}
        if events:
            self._publish_event("call.progress", call.session, exchange, progress)
        self._open[exchange] = _OpenCall(call.session, call.began, call.times, call.tokens, events + 1)

    def _publish_event(self, name: str, session: str, exchange: Exchange | None, data: Json) -> None:
        self._number += 1
        body = orjson.dumps(data)
        text = b"id: %b-%d\nevent: %b\ndata: %b\n\n" % (self._run.encode(), self._number, name.encode(), body)
        event = ServerEvent(self._number, session, ref(exchange) if exchange is not None else None, text)
        self._held.append(event)
        for listener in self._listeners:
            listener.add_event(event)


def _describe_call(exchange: Exchange, session: str) -> Json:
    return {**summarize_exchange(exchange), "session": session}


def _drain_queue(listener: _Listener) -> bytes:
    """Return what waits for a listener, and empty its queue."""
    lost, listener.lost = listener.lost, 0
    parts = [event.text for event in listener.waiting]
    listener.waiting.clear()
    if lost:
        parts.insert(0, b'event: lost\ndata: {"count":%d}\n\n' % lost)
    return b"".join(parts)
