"""HTTP/1.1 over a connection: uvicorn's protocol with bounds and time-outs, and a hold on the connection for faults."""

from __future__ import annotations

import asyncio
import contextlib
import re
import select
from collections import deque
from collections.abc import Coroutine, Generator
from types import coroutine
from typing import Any
from urllib.parse import quote

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from aione_mock.asgi import CONNECTION
from aione_mock.server.answer_batch import AnswerBatch
from aione_mock.types import HeaderBlock, Headers

REQUEST_TIMEOUT = 30.0
"""Seconds within which a request has to arrive whole."""
_MAX_HEAD = 64 << 10
"""Bytes of the longest head, and of the longest trailer section."""
_LINGER = 1.0
"""Seconds that a client has to read why its request was refused, while what it still sends is dropped."""
_GRACE = 0.25
"""Seconds that a connection without a request has to send one while the server shuts down."""
_REFUSALS = {
    400: "Invalid HTTP request received.",
    408: "The request did not arrive whole within {seconds:g} seconds.",
    431: f"The head of the request is longer than {_MAX_HEAD} bytes.",
}
_LEFT = getattr(select, "POLLRDHUP", 0) | getattr(select, "POLLHUP", 0)
_RAW_TARGET = re.compile(rb"(?:^[A-Z]*|[A-Z]{3}) ?(/[!-~]*[\x80-\xff])")
"""The beginning of a path with a raw byte that a parser refuses, with what may be left of the method before it."""
_ASCII = bytes(range(128)).decode()
# uvicorn has those up to 599; gateways and rules may send others
STATUS_LINE.update({status: b"HTTP/1.1 %d \r\n" % status for status in range(600, 1000)})


class HeadTooLarge(Exception):
    """The head of a request is longer than is read."""


class UvicornConnection:
    """One request's hold on its connection (`asgi.Connection`).

    It holds no reference to uvicorn's cycle: that would create a reference cycle, and the collector runs rarely.
    """

    __slots__ = ("arrived", "batch", "body", "transport")

    def __init__(self, transport: asyncio.Transport, arrived: float, batch: AnswerBatch) -> None:
        self.transport, self.arrived, self.batch = transport, arrived, batch
        self.body: bytes | None = None

    def is_own_send(self, send: Any) -> bool:
        """Return whether `send` is uvicorn's own: no middleware waits for, or changes, what is sent."""
        return isinstance(getattr(send, "__self__", None), RequestResponseCycle)

    def write_response(self, send: Any, status: int, rest: bytes) -> bool:
        """Write a whole answer at once, as uvicorn's `send` does, but without examining each header.

        Return False, with nothing written, if the request needs more than an answer, or if an application around the
        mock observes what is sent.
        """
        cycle = getattr(send, "__self__", None)
        if not isinstance(cycle, RequestResponseCycle) or cycle.response_started or cycle.disconnected:
            return False
        if not cycle.keep_alive or cycle.waiting_for_100_continue or cycle.flow.write_paused:
            return False
        if cycle.access_log or cycle.default_headers or cycle.scope["method"] == "HEAD":
            return False
        cycle.response_started = cycle.response_complete = True
        self.batch.write(self.transport, STATUS_LINE[status] + rest)
        cycle.on_response()
        return True


class PipelineFlow(FlowControl):
    """Flow control that exerts back pressure: nothing more is read while requests wait for earlier answers."""

    def __init__(self, transport: asyncio.Transport, waiting: deque[Any]) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        """Read on, unless requests wait."""
        if not self._waiting:
            super().resume_reading()


class DiscardingParser:
    """The parser of a connection whose request was refused."""

    def feed_data(self, data: bytes) -> None:
        """Drop what a client still sends."""


class RequestLineParser:
    """Percent-encode the bytes of a request line that no URL may have, such as those of `curl http://…/模型`."""

    def __init__(self) -> None:
        self._line = b""

    def feed_data(self, data: bytes) -> None:
        """Collect a request line. Raise RequestLineEnd at its end, HttpParserError if nothing can be encoded."""
        self._line += data
        line, end, rest = self._line.partition(b"\n")
        if end and line.isascii():
            raise httptools.HttpParserError
        if end:
            raise RequestLineEnd(quote(line, safe=_ASCII).encode() + end + rest)


class RequestLineEnd(Exception):
    """A request line is complete; the argument is that line, encoded, with all that follows."""


class Protocol(HttpToolsProtocol):
    """Uvicorn's HTTP protocol, extended to bound what a client may send and to pass on the connection.

    An application that is `direct` runs as soon as its request has been read, and gets a task only when it first waits
    for something. Most answers of the mock wait for nothing, and a task costs a tenth of one.
    """

    parser: Any
    _feeding = False
    _ready: RequestResponseCycle | None = None
    """The request that was read and can be answered at once."""
    _direct: Any = None
    """What answers it."""
    _current: RequestResponseCycle | None = None
    """The request that is being answered; others may have been read behind it."""
    _unfinished = False
    """Whether a request has begun and has not ended."""
    _began = 0.0
    """The loop's time at which the unfinished request began; 0 before the end of its first packet."""
    _idle_since = 0.0
    _packet_size = 0
    _head_size = 0
    """Bytes of the unfinished request since the last byte of a body."""
    _refusal = 0
    """The status with which the connection ends as soon as earlier requests are answered."""
    _closing = False
    """Whether the connection ends with the request that comes, or is answered."""

    def __init__(
        self,
        *args: Any,
        request_timeout: float = REQUEST_TIMEOUT,
        batch: AnswerBatch | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        # uvicorn looks for handlers of its logger instead, and those of pytest would make it log each request
        self.access_log = self.config.access_log
        self._batch = batch or AnswerBatch()
        self._batch.connections = self.server_state.connections
        self._request_timeout = request_timeout
        self._interval = min(self.timeout_keep_alive, request_timeout)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the one timer of the connection; a timer for each request would cost more than parsing it."""
        super().connection_made(transport)
        self.flow = PipelineFlow(transport, self.pipeline)
        self._idle_since = self.loop.time()
        self._timer = self.loop.call_later(self._interval, self._check_time)

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived, and answer the request that it completes."""
        self._feeding, self._packet_size = True, len(data)
        while True:
            try:
                self.parser.feed_data(data)
                break
            except httptools.HttpParserUpgrade as upgrade:
                data = self._rebuild_head() + data[upgrade.args[0] :]
                self.parser = _make_parser(self)
            except httptools.HttpParserInvalidURLError:
                data = self._rebuild_target(data)
                self.parser = RequestLineParser()
            except RequestLineEnd as line:
                data = line.args[0]
                self.parser = _make_parser(self)
            except httptools.HttpParserError as error:
                self._refuse(431 if isinstance(error.__context__, HeadTooLarge) else 400)
                break
        self._feeding = False
        cycle = self._ready
        if cycle is not None:
            self._ready = None
            if not cycle.more_body:
                extensions: Any = cycle.scope["extensions"]
                extensions[CONNECTION].body = bytes(cycle.body)
            self._run(cycle)
        if self._unfinished:
            self._check_unfinished()

    def connection_lost(self, exc: Exception | None) -> None:
        """Notify the request that is being answered; uvicorn notifies the one that was read last."""
        self._timer.cancel()
        self.pipeline.clear()
        if (cycle := self._current) is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)
        # each of them refers to this protocol: without this a closed connection would be a reference cycle
        self.cycle = self._current = self._ready = None  # type: ignore[assignment]

    def eof_received(self) -> None:
        """Write what waits: the connection is closed when this returns."""
        self._batch.flush_before(self.transport)

    def shutdown(self) -> None:
        """Close after the request that is answered, is arriving, or is about to arrive on a new connection."""
        self._closing = True
        self._batch.flush_before(self.transport)
        if self._unfinished or self.cycle is None:
            self.loop.call_later(_GRACE, self._close_unused)
        else:
            super().shutdown()

    def _close_unused(self) -> None:
        if not self._unfinished and not self._is_answering():
            self.transport.close()

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._unfinished, self._began = True, 0.0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Start the request. A wish to speak another protocol is ignored, as RFC 9110 section 7.8 allows."""
        if (self._began or self._packet_size > _MAX_HEAD) and self._measure_head() > _MAX_HEAD:
            raise HeadTooLarge
        if not self.parser.should_upgrade() or self.parser.get_method() == b"CONNECT":
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Keep a part of a body."""
        self._head_size = -self._packet_size
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request."""
        if self.parser.should_upgrade():
            return
        self._unfinished, cycle = False, self.cycle
        if not cycle.response_complete:
            cycle.more_body = False
            cycle.message_event.set()

    def on_response_complete(self) -> None:
        """Go on with the next request. Uvicorn would start a timer for each answer."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._refusal:
            self._send_refusal()
        else:
            self.flow.resume_reading()
            self._idle_since = self.loop.time()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._current = cycle
        if self._closing:
            cycle.keep_alive = False
        connection: Any = UvicornConnection(cycle.transport, self.loop.time(), self._batch)
        cycle.scope["extensions"] = {CONNECTION: connection}
        # a request that waited for the previous answer is started while that answer is sent, so it needs a task
        direct = getattr(app, "direct", None) if self._feeding else None
        if direct is not None:
            self._ready, self._direct = cycle, direct
        else:
            super()._start_asgi_task(cycle, app)

    def _run(self, cycle: RequestResponseCycle) -> None:
        self._batch.flush_before(self.transport)
        running = cycle.run_asgi(self._direct)
        try:
            awaited = running.send(None)
        except StopIteration:
            return
        task = self.loop.create_task(_resume_coroutine(running, awaited))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def _rebuild_head(self) -> bytes:
        """Return the head that was read without its wish for an upgrade, after which no parser reads HTTP."""
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        for name, value in self.headers:
            if name == b"connection":
                options = [option.strip() for option in value.split(b",")]
                value = b", ".join([option for option in options if option.lower() != b"upgrade"])
            lines.append(b"%b: %b" % (name, value))
        return b"\r\n".join([*lines, b"", b""])

    def _rebuild_target(self, data: bytes) -> bytes:
        """Return the request whose path was refused, from its method on."""
        found = None if self.url else _RAW_TARGET.search(data)
        rest = data[found.start(1) :] if found else data
        return b"%b %b%b" % (self.parser.get_method(), self.url, rest)

    def _measure_head(self) -> int:
        """Return the bytes of the request line and of the headers that were read."""
        return len(self.url) + sum([len(name) + len(value) + 4 for name, value in self.headers])

    def _find_unread(self) -> RequestResponseCycle | None:
        """Return the request whose head was read and whose body has not ended."""
        cycle = self.cycle
        return cycle if cycle is not None and cycle.scope is self.scope and cycle.more_body else None

    def _is_answering(self) -> bool:
        """Return whether a request that was read whole has not been answered yet."""
        cycle = self._current
        return cycle is not None and not cycle.response_complete and cycle is not self._find_unread()

    def _check_unfinished(self) -> None:
        """Send a refusal, or else bound the head and the trailers of a request that has not ended."""
        if self.transport.is_closing():
            return
        if not self._refusal:
            if self._began:
                self._head_size += self._packet_size
            else:
                self._began, self._head_size = self.loop.time(), 0 if self._find_unread() else self._measure_head()
            if self._head_size <= _MAX_HEAD:
                return
            self._refuse(431)
        if not self._is_answering():
            self._send_refusal()

    def _check_time(self) -> None:
        """End a request that takes too long to arrive, and a connection that is not used."""
        now, wait = self.loop.time(), self._interval
        if self._is_answering():
            # while nothing is read, nobody else notices that the client has left
            if self.flow.read_paused and _has_left(self.transport):
                return self.transport.abort()
            self._began = now
        elif self._unfinished:
            wait = self._began + self._request_timeout - now
            if wait <= 0:
                self._refuse(408)
                return self._send_refusal()
        else:
            wait = self._idle_since + (self.timeout_keep_alive if self._current else self._request_timeout) - now
            if wait <= 0:
                return self.transport.close()
        self._timer = self.loop.call_later(min(wait, self._interval), self._check_time)
        return None

    def _refuse(self, status: int) -> None:
        """Read no further request, and end with this status once earlier requests are answered."""
        self._refusal, self._unfinished, self.parser = status, True, DiscardingParser()
        unread = self._find_unread()
        if unread is None:
            return
        if self._ready is unread:
            self._ready = None
        if self.pipeline and self.pipeline[0][0] is unread:
            self.pipeline.popleft()

    def _send_refusal(self) -> None:
        """Send the refusal, unless the request was answered before its end, and close."""
        self._batch.flush_before(self.transport)
        self._unfinished, unread = False, self._find_unread()
        if unread is not None:
            if unread.response_started:
                return self.transport.close()
            unread.disconnected = True
            unread.message_event.set()
        status = self._refusal
        text = _REFUSALS[status].format(seconds=self._request_timeout)
        self.logger.warning(text)
        path = bytes(self.url).partition(b"?")[0].decode("latin-1")
        headers, body = getattr(self.app, "render_refusal", _render_plain)(path, status, text)
        head = HeaderBlock.of([*headers, ("content-length", str(len(body))), ("connection", "close")])
        self.transport.write(STATUS_LINE[status] + f"{head.text}\r\n\r\n".encode("latin-1") + body)
        # closing now could reset the connection before the client has read this
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._timer.cancel()
        self._timer = self.loop.call_later(_LINGER, self.transport.close)
        return None


def _render_plain(path: str, status: int, message: str) -> tuple[Headers, bytes]:
    """Return headers and body of a refusal for applications that have no envelope for it."""
    return (("content-type", "text/plain; charset=utf-8"),), message.encode()


def _make_parser(protocol: Protocol) -> httptools.HttpRequestParser:
    """Return a parser as uvicorn makes one: it reads on behind a request that closes the connection."""
    parser = httptools.HttpRequestParser(protocol)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


def _has_left(transport: asyncio.Transport) -> bool:
    """Return whether a client has closed its side, as far as the system tells without reading."""
    if not _LEFT:
        return False
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), _LEFT)
    return bool(poll.poll(0))


async def _resume_coroutine(running: Coroutine[Any, Any, None], awaited: Any) -> None:
    """Continue a coroutine that has run up to the first future that it awaits."""
    await _drive_coroutine(running, awaited)


@coroutine  # since Python 3.12 no generator is a task
def _drive_coroutine(running: Coroutine[Any, Any, None], awaited: Any) -> Generator[Any, Any, None]:
    with contextlib.suppress(StopIteration):
        while True:
            try:
                sent = yield awaited
            except BaseException as error:  # such as a cancellation, which the coroutine handles
                awaited = running.throw(error)
            else:
                awaited = running.send(sent)
