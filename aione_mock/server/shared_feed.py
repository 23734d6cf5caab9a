"""Events of all workers: each publishes in the store what it answers while anybody listens, at any worker."""

from __future__ import annotations

import asyncio
import contextlib

import msgspec

from aione_mock.contract import Contract
from aione_mock.server.events import EventFeed
from aione_mock.server.exchange_codec import decode_exchange
from aione_mock.server.journal import Exchange
from aione_mock.server.sessions import Session
from aione_mock.server.shared_session import View
from aione_mock.store.redis import RedisScripts, StoreUnavailable
from aione_mock.structs import frozen
from aione_mock.types import Json, Reply

_encode = msgspec.msgpack.Encoder().encode
_LISTENING = _encode({"leases": [], "open": [], "listening": True})
_PATIENCE_SECONDS = 2.0
"""Seconds to wait for the store before events are sent without those of other workers."""
_PAUSE_SECONDS = 1.0
"""Pause after the connection to the store was lost."""
_FINISHED, _STARTED, _ENDED, _CHANGED = range(4)


@frozen
class _Named:
    """The session of an exchange that another worker may have answered."""

    name: str


class SharedFeed(EventFeed):
    """The events of all workers."""

    def __init__(self, scripts: RedisScripts, contract: Contract) -> None:
        super().__init__()
        self._scripts, self._contract = scripts, contract
        self._subscriber: asyncio.Task[None] | None = None
        self._subscribed = asyncio.Event()
        self._open_calls: dict[tuple[str, int], Exchange] = {}

    def start_listening(self) -> None:
        """Receive what all workers publish."""
        if self._subscriber is None:
            self._subscriber = asyncio.get_running_loop().create_task(self._receive_messages())
            self.renew()

    async def prepare(self) -> None:
        """Wait until all workers know that somebody listens."""
        with contextlib.suppress(StoreUnavailable, TimeoutError):
            await asyncio.wait_for(self._subscribed.wait(), _PATIENCE_SECONDS)
            await self._scripts.run("renew", _LISTENING)

    def stop_listening(self) -> None:
        """Receive nothing more."""
        if self._subscriber is not None:
            self._subscriber.cancel()
            self._subscriber = None
        self._open_calls.clear()

    def renew(self) -> None:
        """Tell all workers that somebody listens."""
        if self.listening:
            self._scripts.run_later("renew", _LISTENING)

    def announce(self, name: str, session: str, data: Json, source: Session) -> None:
        """Keep the report with the view of the call, which may have to be answered again."""
        if isinstance(source, View):
            source.announced.append({"event": name, "session": session, "data": data})

    def publish(self, source: Session) -> None:
        """Publish to the listeners of all workers what a call has announced, once its changes are in the store."""
        if isinstance(source, View) and source.announced:
            self._scripts.run_later("announce", _encode({"events": source.announced}))

    async def _receive_messages(self) -> None:
        while True:
            with contextlib.suppress(Exception):
                await self._read_channel()
            self._subscribed.clear()
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _read_channel(self) -> None:
        async with self._scripts.client.pubsub() as channel:
            await channel.subscribe(f"{self._scripts.prefix}:events")
            await channel.get_message(timeout=_PATIENCE_SECONDS)
            self._subscribed.set()
            while True:
                message = await channel.get_message(ignore_subscribe_messages=True, timeout=_PAUSE_SECONDS)
                if message is not None:
                    self._handle_message(message["data"])

    def _handle_message(self, raw: bytes) -> None:
        head, _, entry = raw.partition(b"\n")
        name, number, kind, ms = head.decode().split(" ")
        if int(kind) == _CHANGED:
            event = msgspec.json.decode(entry)
            self.report_change(event["event"], name, event["data"])
            return
        if int(kind) == _ENDED:
            exchange = self._open_calls.pop((name, int(number)), None)
            if exchange is not None:
                exchange.open, exchange.duration_ms = False, float(ms)
                self.finish_call(exchange)
            return
        exchange = decode_exchange(entry, int(number), self._contract)
        exchange.session = _Named(name)  # type: ignore[assignment]
        if int(kind) == _FINISHED:
            self.finish_call(exchange)
        else:
            self._open_calls[name, int(number)] = exchange
            self.start_call(exchange, Reply(None))
