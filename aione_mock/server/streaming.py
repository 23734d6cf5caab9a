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

from aione_mock.asgi import Connection, Receive, Scope, Send, encode_headers, wait_for_disconnect
from aione_mock.scenarios.plain_faults import prepend_head
from aione_mock.structs import replace
from aione_mock.types import Response

_MAX_UNSENT_BYTES = 1 << 16
"""Unsent bytes for a slow client above which sending pauses."""
_LONG_WAIT_SECONDS = 1.0
"""Waits longer than this many seconds get a timer of their own, which can be cancelled."""
_LINGER_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with a timeout of 0: closing sends RST instead of FIN."""


async def send_response(
    response: Response,
    scope: Scope,
    connection: Connection | None,
    receive: Receive,
    send: Send,
    timer_wheel: TimerWheel,
    on_first_byte: Callable[[], None] | None = None,
) -> bool:
    """Send a response as the version of HTTP allows. Return False if the client disconnects before its end.

    `on_first_byte` is called when a body that is not sent whole begins.
    """
    if connection and scope["http_version"] == "1.0":
        response = avoid_chunks(response)
    return await send_packets(response, connection, receive, send, timer_wheel, on_first_byte)


async def send_packets(
    response: Response,
    connection: Connection | None,
    receive: Receive,
    send: Send,
    timer_wheel: TimerWheel,
    on_first_byte: Callable[[], None] | None = None,
) -> bool:
    """Send each packet when it is due. Return early, and False, if the client disconnects.

    The head is sent with the first packet, so that a delay delays everything.
    """
    if response.live is not None:
        return await _relay_chunks(response, response.live(), receive, send)
    sends = response.sends
    if response.end == "finish" and not response.raw and response.apart is None and _is_immediate(sends):
        body = sends[0][1] if len(sends) == 1 else b"".join([data for _, data in sends])
        await send(_make_start_message(response))
        await send({"type": "http.response.body", "body": body})
        return True
    if connection is None and response.raw:
        return True
    sender = _PacketSender(response, connection, receive, send, timer_wheel)
    sender.on_first_byte = on_first_byte
    try:
        return await sender.run()
    finally:
        sender.close()


async def _relay_chunks(response: Response, chunks: AsyncIterator[bytes], receive: Receive, send: Send) -> bool:
    """Send what comes until it ends or the client disconnects, and return which. A slow client is waited for."""
    disconnected = asyncio.ensure_future(wait_for_disconnect(receive))
    next_chunk = asyncio.ensure_future(anext(chunks, None))
    try:
        await send(_make_start_message(response))
        while await asyncio.wait({disconnected, next_chunk}, return_when=asyncio.FIRST_COMPLETED):
            chunk = None if disconnected.done() else next_chunk.result()
            await send({"type": "http.response.body", "body": chunk or b"", "more_body": chunk is not None})
            if chunk is None:
                break
            next_chunk = asyncio.ensure_future(anext(chunks, None))
        return not disconnected.done()
    finally:
        disconnected.cancel()
        next_chunk.cancel()
        await asyncio.wait({next_chunk})
        await chunks.aclose()  # type: ignore[attr-defined]


def write_response(response: Response, connection: Connection | None, send: Send) -> bool:
    """Write an ordinary answer at once and return True; return False if it needs `send_packets`."""
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


def _is_immediate(sends: tuple[tuple[float, bytes], ...]) -> bool:
    return not sends or sends[-1][0] <= 0


def _make_start_message(response: Response) -> Any:
    return {"type": "http.response.start", "status": response.status, "headers": encode_headers(response.headers)}


def _join_packets(response: Response) -> tuple[tuple[float, bytes], ...]:
    """Return the sends; those due at the same time are joined unless the answer forbids it."""
    if response.apart is not None:
        return response.sends
    packets: list[tuple[float, bytes]] = []
    for due, together in groupby(response.sends, itemgetter(0)):
        pairs = [*together]
        packets.append(pairs[0] if len(pairs) == 1 else (due, b"".join([data for _, data in pairs])))
    return tuple(packets)


class TimerWheel:
    """Call thousands of waiting callbacks with few timers: those due within one slot share a timer."""

    SLOT = 0.002
    """Timer resolution in seconds: callbacks run up to one slot late, never early."""

    __slots__ = ("_loop", "_slots")

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._slots: dict[int, list[Callable[[float], None]]] = {}

    def call_at(self, loop: asyncio.AbstractEventLoop, when: float, callback: Callable[[float], None]) -> None:
        """Call `callback` with the loop's time, not before `when`."""
        if loop is not self._loop:
            self._loop, self._slots = loop, {}
        slot = int(when / self.SLOT) + 1
        callbacks = self._slots.get(slot)
        if callbacks is None:
            callbacks = self._slots[slot] = []
            loop.call_at(slot * self.SLOT, self._run_slot, loop, slot)
        callbacks.append(callback)

    def _run_slot(self, loop: asyncio.AbstractEventLoop, slot: int) -> None:
        # one reading of the clock for all: each was due before it
        now = loop.time()
        for callback in self._slots.pop(slot, ()):
            callback(now)


class _PacketSender:
    """Send one response by absolute deadlines, so that delays do not add up.

    Meanwhile one task waits for the client to disconnect. Where our own server gave us the connection, packets of a
    chunked answer are written to it directly. Neither a task nor a future wakes up for an event. Thousands of streams
    can therefore keep their schedule.
    """

    def __init__(
        self,
        response: Response,
        connection: Connection | None,
        receive: Receive,
        send: Send,
        timer_wheel: TimerWheel,
    ) -> None:
        self._response, self._send, self._timer_wheel = response, send, timer_wheel
        self._loop = asyncio.get_running_loop()
        self._transport: Any = connection.transport if connection else None
        self._direct = connection is not None and connection.is_own_send(send)
        """Whether packets may be written to the connection itself, past any middleware."""
        self._start_time = connection.arrived if connection else self._loop.time()
        self._disconnected: asyncio.Future[None] = asyncio.ensure_future(wait_for_disconnect(receive))
        self._packets = _join_packets(response)
        self._next = 0
        self._done: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.on_first_byte: Callable[[], None] | None = None

    async def run(self) -> bool:
        """Send everything, up to and including the requested end. Return False if the client disconnects before."""
        raw = self._response.raw
        if self._packets and not await self._wait_until(self._packets[0][0]):
            return False
        if not raw:
            await self._send(_make_start_message(self._response))
        chunked = all(name != "content-length" for name, _ in self._response.headers)
        whole = await (self._write_packets() if raw or (self._direct and chunked) else self._send_messages())
        if whole:
            await self._end_response()
        return whole

    def close(self) -> None:
        """Stop watching and drop what has not been sent."""
        self._disconnected.cancel()
        self._packets = ()
        if self._timer is not None:
            self._timer.cancel()

    async def _wait_until(self, due: float) -> bool:
        """Wait. Return False if the client has disconnected."""
        wait = self._start_time + due - self._loop.time()
        if wait > 0:
            await asyncio.wait({self._disconnected}, timeout=wait)
        return not self._disconnected.done()

    async def _send_messages(self) -> bool:
        """Pass the packets to the HTTP layer one by one. Return whether the client is still connected."""
        for due, data in self._packets:
            if not await self._wait_until(due):
                return False
            await self._send({"type": "http.response.body", "body": data, "more_body": True})
            if data and self.on_first_byte is not None:
                self._note_first_byte()
            if self._response.apart is not None:
                await asyncio.sleep(self._response.apart)
        return True

    async def _write_packets(self) -> bool:
        """Write the packets to the connection. Return whether the client is still connected."""
        self._done = self._loop.create_future()
        self._resume_writing()
        await asyncio.wait({self._disconnected, self._done}, return_when=asyncio.FIRST_COMPLETED)
        return not self._disconnected.done()

    def _resume_writing(self) -> None:
        self._write_due_packets(self._loop.time())

    def _write_due_packets(self, now: float) -> None:
        """Write what is due, and schedule the rest."""
        packets, transport, place = self._packets, self._transport, self._next
        if not packets or transport.is_closing():
            return self._finish_writing()
        elapsed, raw, apart = now - self._start_time, self._response.raw, self._response.apart
        while place < len(packets):
            due, data = packets[place]
            if due > elapsed:
                return self._schedule_writing(due, elapsed)
            if transport.get_write_buffer_size() > _MAX_UNSENT_BYTES:
                return self._schedule_writing(elapsed + 0.01, elapsed)
            self._next = place = place + 1
            if data:
                transport.write(data if raw else b"%x\r\n%b\r\n" % (len(data), data))
                if self.on_first_byte is not None:
                    self._note_first_byte()
            if apart is not None:
                self._timer = self._loop.call_later(apart, self._resume_writing)
                return None
        return self._finish_writing()

    def _note_first_byte(self) -> None:
        note, self.on_first_byte = self.on_first_byte, None
        if note is not None:
            note()

    def _schedule_writing(self, due: float, elapsed: float) -> None:
        if due - elapsed > _LONG_WAIT_SECONDS:
            self._timer = self._loop.call_at(self._start_time + due, self._resume_writing)
        else:
            self._timer_wheel.call_at(self._loop, self._start_time + due, self._write_due_packets)

    def _finish_writing(self) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_result(None)

    async def _end_response(self) -> None:
        """Finish, hang or cut, and let the server see that the connection is gone, so that it does not complain."""
        end = self._response.end
        if end == "finish" and not self._response.raw:
            await self._send({"type": "http.response.body", "body": b""})
            return
        if end == "hang":
            await asyncio.wait({self._disconnected})
        if self._transport is None:
            return
        if not self._direct and not self._response.raw:
            # middleware takes this only when it has passed on what came before
            await self._send({"type": "http.response.body", "body": b"", "more_body": True})
        _abort_connection(self._transport, reset=not self._response.status)
        await asyncio.wait({self._disconnected})
        if not self._direct and self._response.raw:
            # middleware may insist on a response; nobody is there to receive it
            await self._send({"type": "http.response.start", "status": 500, "headers": []})
            await self._send({"type": "http.response.body", "body": b""})


def _abort_connection(transport: Any, *, reset: bool) -> None:
    """Close the connection without a proper end of the answer, with a reset if `reset`."""
    if not reset:
        transport.close()
        return
    if not transport.is_closing():
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
    transport.abort()
