"""Send responses over ASGI, each packet at its due time.

Faults are data of a `Response`; this module carries them out.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from itertools import groupby
from operator import itemgetter
from typing import Any

from aione_mock.asgi import Connection, Receive, Scope, Send, raw_headers
from aione_mock.scenarios.plain_faults import prepend_head
from aione_mock.structs import replace
from aione_mock.types import Response

_FULL = 1 << 16
"""Unsent bytes for a slow client above which sending pauses."""
_LONG = 1.0
"""Waits longer than this many seconds get a timer of their own, which can be cancelled."""
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with a timeout of 0: closing sends RST instead of FIN."""


async def send_response(
    response: Response,
    scope: Scope,
    connection: Connection | None,
    receive: Receive,
    send: Send,
    wheel: Wheel,
    on_first_byte: Callable[[], None] | None = None,
) -> bool:
    """Send a response as the version of HTTP allows. Return False if the client disconnects before its end.

    `on_first_byte` is called when a body that is not sent whole begins.
    """
    if connection and scope["http_version"] == "1.0":
        response = avoid_chunks(response)
    return await play(response, connection, receive, send, wheel, on_first_byte)


async def play(
    response: Response,
    connection: Connection | None,
    receive: Receive,
    send: Send,
    wheel: Wheel,
    on_first_byte: Callable[[], None] | None = None,
) -> bool:
    """Send each packet when it is due. Return early, and False, if the client disconnects.

    The head is sent with the first packet, so that a delay delays everything.
    """
    if response.live is not None:
        return await _relay(response, response.live(), receive, send)
    sends = response.sends
    if response.end == "finish" and not response.raw and response.apart is None and _at_once(sends):
        body = sends[0][1] if len(sends) == 1 else b"".join([data for _, data in sends])
        await send(_start(response))
        await send({"type": "http.response.body", "body": body})
        return True
    if connection is None and response.raw:
        return True
    performance = _Performance(response, connection, receive, send, wheel)
    performance.on_first_byte = on_first_byte
    try:
        return await performance.run()
    finally:
        performance.close()


async def _relay(response: Response, chunks: AsyncIterator[bytes], receive: Receive, send: Send) -> bool:
    """Send what comes until it ends or the client disconnects, and return which. A slow client is waited for."""
    left = asyncio.ensure_future(_leaving(receive))
    following = asyncio.ensure_future(anext(chunks, None))
    try:
        await send(_start(response))
        while await asyncio.wait({left, following}, return_when=asyncio.FIRST_COMPLETED):
            chunk = None if left.done() else following.result()
            await send({"type": "http.response.body", "body": chunk or b"", "more_body": chunk is not None})
            if chunk is None:
                break
            following = asyncio.ensure_future(anext(chunks, None))
        return not left.done()
    finally:
        left.cancel()
        following.cancel()
        await asyncio.wait({following})
        await chunks.aclose()  # type: ignore[attr-defined]


def write_response(response: Response, connection: Connection | None, send: Send) -> bool:
    """Write an ordinary answer at once and return True; return False if it needs `play`."""
    if not response.ordinary or connection is None:
        return False
    body, text = response.sends[0][1], response.headers.text  # type: ignore[attr-defined]
    head = text.encode("latin-1", "replace")
    if "\ncontent-length: " in text:
        rest = b"%b\r\n\r\n%b" % (head, body)
    else:
        rest = b"%b\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (head, len(body), body)
    return connection.write_response(send, response.status, rest)


def avoid_chunks(response: Response) -> Response:
    """Return a response whose body ends with the connection, for clients of HTTP/1.0, unless it has a length."""
    if response.raw or any(name == "content-length" for name, _ in response.headers) or response.status in (204, 304):
        return response
    return prepend_head(replace(response, raw=True))


def _at_once(sends: tuple[tuple[float, bytes], ...]) -> bool:
    return not sends or sends[-1][0] <= 0


def _start(response: Response) -> Any:
    return {"type": "http.response.start", "status": response.status, "headers": raw_headers(response.headers)}


def _packets(response: Response) -> tuple[tuple[float, bytes], ...]:
    """Return the sends; those due at the same time are joined unless the answer forbids it."""
    if response.apart is not None:
        return response.sends
    packets: list[tuple[float, bytes]] = []
    for due, together in groupby(response.sends, itemgetter(0)):
        pairs = [*together]
        packets.append(pairs[0] if len(pairs) == 1 else (due, b"".join([data for _, data in pairs])))
    return tuple(packets)


class Wheel:
    """Call thousands of waiting callbacks with few timers: those due within one slot share a timer."""

    SLOT = 0.002
    """Timer resolution in seconds: callbacks run up to one slot late, never early."""

    __slots__ = ("_loop", "_slots")

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._slots: dict[int, list[Callable[[float], None]]] = {}

    def wake(self, loop: asyncio.AbstractEventLoop, when: float, sleeper: Callable[[float], None]) -> None:
        """Call `sleeper` with the loop's time, not before `when`."""
        if loop is not self._loop:
            self._loop, self._slots = loop, {}
        slot = int(when / self.SLOT) + 1
        sleepers = self._slots.get(slot)
        if sleepers is None:
            sleepers = self._slots[slot] = []
            loop.call_at(slot * self.SLOT, self._turn, loop, slot)
        sleepers.append(sleeper)

    def _turn(self, loop: asyncio.AbstractEventLoop, slot: int) -> None:
        # one reading of the clock for all: each was due before it
        now = loop.time()
        for sleeper in self._slots.pop(slot, ()):
            sleeper(now)


class _Performance:
    """Send one response by absolute deadlines, so that delays do not add up.

    While it lasts one task watches for the client leaving. Where our own server gave us the connection, packets of a
    chunked answer go to it directly: neither a task nor a future wakes up for an event, which is what lets thousands
    of streams keep their schedule.
    """

    def __init__(
        self,
        response: Response,
        connection: Connection | None,
        receive: Receive,
        send: Send,
        wheel: Wheel,
    ) -> None:
        self._response, self._send, self._wheel = response, send, wheel
        self._loop = asyncio.get_running_loop()
        self._transport: Any = connection.transport if connection else None
        self._direct = connection is not None and connection.is_own_send(send)
        """Whether packets may be written to the connection itself, past any middleware."""
        self._began = connection.arrived if connection else self._loop.time()
        self._left: asyncio.Future[None] = asyncio.ensure_future(_leaving(receive))
        self._packets = _packets(response)
        self._next = 0
        self._done: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.on_first_byte: Callable[[], None] | None = None

    async def run(self) -> bool:
        """Send everything, up to and including the requested end. Return False if the client left before."""
        raw = self._response.raw
        if self._packets and not await self._until(self._packets[0][0]):
            return False
        if not raw:
            await self._send(_start(self._response))
        chunked = all(name != "content-length" for name, _ in self._response.headers)
        whole = await (self._written() if raw or (self._direct and chunked) else self._sent())
        if whole:
            await self._end()
        return whole

    def close(self) -> None:
        """Stop watching and drop what has not been sent."""
        self._left.cancel()
        self._packets = ()
        if self._timer is not None:
            self._timer.cancel()

    async def _until(self, due: float) -> bool:
        """Wait. Return False if the client has disconnected."""
        wait = self._began + due - self._loop.time()
        if wait > 0:
            await asyncio.wait({self._left}, timeout=wait)
        return not self._left.done()

    async def _sent(self) -> bool:
        """Pass the packets to the HTTP layer one by one. Return whether the client is still connected."""
        for due, data in self._packets:
            if not await self._until(due):
                return False
            await self._send({"type": "http.response.body", "body": data, "more_body": True})
            if data and self.on_first_byte is not None:
                self._note_first_byte()
            if self._response.apart is not None:
                await asyncio.sleep(self._response.apart)
        return True

    async def _written(self) -> bool:
        """Write the packets to the connection. Return whether the client is still connected."""
        self._done = self._loop.create_future()
        self._go_on()
        await asyncio.wait({self._left, self._done}, return_when=asyncio.FIRST_COMPLETED)
        return not self._left.done()

    def _go_on(self) -> None:
        self._step(self._loop.time())

    def _step(self, now: float) -> None:
        """Write what is due, and schedule the rest."""
        packets, transport, place = self._packets, self._transport, self._next
        if not packets or transport.is_closing():
            return self._over()
        elapsed, raw, apart = now - self._began, self._response.raw, self._response.apart
        while place < len(packets):
            due, data = packets[place]
            if due > elapsed:
                return self._later(due, elapsed)
            if transport.get_write_buffer_size() > _FULL:
                return self._later(elapsed + 0.01, elapsed)
            self._next = place = place + 1
            if data:
                transport.write(data if raw else b"%x\r\n%b\r\n" % (len(data), data))
                if self.on_first_byte is not None:
                    self._note_first_byte()
            if apart is not None:
                self._timer = self._loop.call_later(apart, self._go_on)
                return None
        return self._over()

    def _note_first_byte(self) -> None:
        note, self.on_first_byte = self.on_first_byte, None
        if note is not None:
            note()

    def _later(self, due: float, elapsed: float) -> None:
        if due - elapsed > _LONG:
            self._timer = self._loop.call_at(self._began + due, self._go_on)
        else:
            self._wheel.wake(self._loop, self._began + due, self._step)

    def _over(self) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_result(None)

    async def _end(self) -> None:
        """Finish, hang or cut, and let the server see that the connection is gone, so that it does not complain."""
        end = self._response.end
        if end == "finish" and not self._response.raw:
            await self._send({"type": "http.response.body", "body": b""})
            return
        if end == "hang":
            await asyncio.wait({self._left})
        if self._transport is None:
            return
        if not self._direct and not self._response.raw:
            # middleware takes this only when it has passed on what came before
            await self._send({"type": "http.response.body", "body": b"", "more_body": True})
        _drop(self._transport, reset=not self._response.status)
        await asyncio.wait({self._left})
        if not self._direct and self._response.raw:
            # middleware may insist on a response; nobody is there to receive it
            await self._send({"type": "http.response.start", "status": 500, "headers": []})
            await self._send({"type": "http.response.body", "body": b""})


async def _leaving(receive: Receive) -> None:
    """Wait until the client disconnects."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _drop(transport: Any, *, reset: bool) -> None:
    """Close the connection without a proper end of the answer, with a reset if `reset`."""
    if not reset:
        transport.close()
        return
    if not transport.is_closing():
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()
