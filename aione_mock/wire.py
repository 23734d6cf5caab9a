"""The border: ASGI messages to values, and values to bytes at the right time.

Stream faults are data on a `Transmission`; here they only get carried out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from typing import Any

from aione_mock.exceptions import APIError
from aione_mock.exchange import Headers, Transmission

Scope = Any
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
CONNECTION = "aione_mock.connection"
"""Scope extension under which our server hands over the transport; without it raw faults only cut."""


class Disconnected(Exception):
    """The client left before its request was whole."""


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The request's body. Raises APIError `request_too_large` before more than `limit` bytes are held."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value) > limit:
            raise _too_large(limit)
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Disconnected
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        if len(body) > limit:
            raise _too_large(limit)
        return body
    parts, size = [body], len(body)
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise _too_large(limit)
    return b"".join(parts)


def _too_large(limit: int) -> APIError:
    # the rest of the body is not read, so the connection cannot be used again
    return APIError(
        "request_too_large",
        f"The request body is larger than the limit of {limit} bytes.",
        headers={"connection": "close"},
    )


def raw_headers(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Headers as ASGI wants them."""
    return [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers]


async def play(transmission: Transmission, scope: Scope, receive: Receive, send: Send) -> int:
    """Send what is due when it is due; the number of body bytes handed over.

    Returns early when the client leaves.
    """
    if transmission.raw:
        return await _play_raw(transmission, scope, receive)
    await send(
        {"type": "http.response.start", "status": transmission.status, "headers": raw_headers(transmission.headers)}
    )
    sends = transmission.sends
    if transmission.end == "finish" and transmission.corked and (not sends or sends[-1][0] <= 0):
        body = sends[0][1] if len(sends) == 1 else b"".join([data for _, data in sends])
        await send({"type": "http.response.body", "body": body})
        return len(body)
    sent = 0
    pacer = _Pacer(scope, receive)
    try:
        for due, data in _packets(transmission):
            if not await pacer.until(due):
                return sent
            await send({"type": "http.response.body", "body": data, "more_body": True})
            sent += len(data)
            if not transmission.corked:
                await asyncio.sleep(0)
        if transmission.end == "hang":
            await pacer.gone()
        elif transmission.end == "finish":
            await send({"type": "http.response.body", "body": b""})
        else:
            _drop(scope, abort=False)
    finally:
        pacer.close()
    return sent


def _packets(transmission: Transmission) -> Iterable[tuple[float, bytes]]:
    """Sends, with those that are due together joined when they may be."""
    if not transmission.corked:
        return transmission.sends
    packets: list[tuple[float, list[bytes]]] = []
    for due, data in transmission.sends:
        if packets and packets[-1][0] == due:
            packets[-1][1].append(data)
        else:
            packets.append((due, [data]))
    return [(due, b"".join(parts)) for due, parts in packets]


async def _play_raw(transmission: Transmission, scope: Scope, receive: Receive) -> int:
    """Bytes that no HTTP layer would let through, written to the socket itself."""
    transport = scope.get("extensions", {}).get(CONNECTION)
    sent = 0
    pacer = _Pacer(scope, receive)
    try:
        for due, data in transmission.sends:
            if transport is None or not await pacer.until(due):
                break
            transport.write(data)
            sent += len(data)
        if transmission.end == "hang":
            await pacer.gone()
    finally:
        pacer.close()
    _drop(scope, abort=not transmission.sends)
    if transport is not None:
        while not transport.is_closing():
            await asyncio.sleep(0)
        await asyncio.sleep(0)
    return sent


def _drop(scope: Scope, *, abort: bool) -> None:
    """End the connection without a proper end of the answer."""
    transport = scope.get("extensions", {}).get(CONNECTION)
    if transport is None:
        return
    if abort:
        transport.abort()
    else:
        transport.close()


def status_line(status: int, headers: Headers) -> bytes:
    """The head of an answer as raw bytes, for faults below HTTP."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


_LONG = 0.25
"""Seconds of a wait that is worth a watch on the connection."""


class _Pacer:
    """Waits until absolute deadlines, so that lag does not add up; notices when the client leaves."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._loop = asyncio.get_running_loop()
        self._start = self._loop.time()
        self._transport = scope.get("extensions", {}).get(CONNECTION)
        self._receive = receive
        self._watch: asyncio.Task[Any] | None = None

    async def until(self, due: float) -> bool:
        """Wait; False when the client has gone."""
        if self._transport is not None and self._transport.is_closing():
            return False
        at = self._start + due
        if at <= self._loop.time():
            return True
        if self._transport is None or at - self._loop.time() > _LONG:
            return await self._watched(at)
        future = self._loop.create_future()
        handle = self._loop.call_at(at, _wake, future)
        try:
            await future
        finally:
            handle.cancel()
        return not self._transport.is_closing()

    async def _watched(self, at: float) -> bool:
        """The same, waking at once when the client leaves: dearer, so for long waits and foreign servers."""
        watch = self._watcher()
        await asyncio.wait({watch}, timeout=at - self._loop.time())
        return not watch.done()

    def _watcher(self) -> asyncio.Task[Any]:
        if self._watch is None:
            self._watch = asyncio.ensure_future(self._left())
        return self._watch

    async def _left(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def gone(self) -> None:
        """Wait until the client leaves."""
        await self._watcher()

    def close(self) -> None:
        """Stop watching."""
        if self._watch is not None:
            self._watch.cancel()


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
