"""An ASGI app on a port: in the foreground for the command line, in a thread for tests."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import socket
import threading
from collections.abc import Callable, Coroutine, Generator, Iterator
from functools import partial
from types import coroutine
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from aione_mock.asgi import CONNECTION
from aione_mock.errors import ConfigError
from aione_mock.store import Memo

_PORT_ERRORS = (errno.EADDRINUSE, errno.EACCES)
_END_OF_HEAD = b"\r\n\r\n"
_FRAMING = (b"transfer-encoding", b"upgrade")
"""Headers with which a request ends elsewhere than its length says."""
_HEADS, _LONGEST = 512, 4096
"""How many heads are remembered, and the bytes of the longest of them."""
_NO_SCOPE: dict[str, Any] = {}


class Connection:
    """One request's hold on its connection (`wire.Connection`).

    It does not know uvicorn's cycle, which holds it: a ring of references would wait for a collector that seldom comes.
    """

    __slots__ = ("arrived", "body", "known", "transport")

    def __init__(
        self,
        transport: asyncio.Transport,
        arrived: float,
        body: bytes | None = None,
        known: dict[Any, Any] | None = None,
    ) -> None:
        self.transport, self.arrived, self.body = transport, arrived, body
        self.known = {} if known is None else known

    def answer(self, send: Any, status: int, rest: bytes) -> bool:
        """Write a whole answer; `rest` is its head behind the status line, and its body.

        What uvicorn's own `send` does for an answer in one piece, without a look at each header. False, and nothing
        done, where more is to be done than that, or where an application around the mock listens to what is sent.
        """
        cycle = getattr(send, "__self__", None)
        if not isinstance(cycle, RequestResponseCycle) or cycle.response_started or cycle.disconnected:
            return False
        if cycle.flow.write_paused or not (type(cycle) is _Again or _plain(cycle)):
            return False
        # nobody waits for the client to leave: the request was read, and the answer is out
        cycle.response_started = cycle.response_complete = True
        cycle.transport.write(STATUS_LINE[status] + rest)
        cycle.on_response()
        return True


def _plain(cycle: RequestResponseCycle) -> bool:
    """Whether nothing in a request asks for more than an answer."""
    if not cycle.keep_alive or cycle.waiting_for_100_continue or cycle.scope["method"] == "HEAD":
        return False
    return not (cycle.access_log or cycle.default_headers)


class _Again(RequestResponseCycle):
    """Uvicorn's cycle for a `_plain` request whose head came before: most of what it holds is always the same."""

    access_log = disconnected = waiting_for_100_continue = more_body = response_started = response_complete = False
    keep_alive = True
    default_headers: list[tuple[bytes, bytes]] = []  # noqa: RUF012 (never changed)
    chunked_encoding = None
    expected_content_length = 0
    _event: asyncio.Event | None = None

    def __init__(self, protocol: Protocol, scope: Any, body: bytes) -> None:
        self.scope, self.body = scope, body  # type: ignore[assignment]
        self.transport, self.flow, self.logger = protocol.transport, protocol.flow, protocol.logger
        self.on_response = protocol.on_response_complete

    @property
    def message_event(self) -> asyncio.Event:  # type: ignore[override]
        """Made for those who wait: the whole request is here."""
        if self._event is None:
            self._event = asyncio.Event()
            self._event.set()
        return self._event


class Protocol(HttpToolsProtocol):
    """Uvicorn's HTTP protocol, which also hands over the connection, so that faults below HTTP can be played.

    An application that says `eager` is run as soon as its request has been read, and gets a task only when it first
    waits for something. Most answers of the mock wait for nothing, and a task costs as much as a tenth of one. For the
    same application a head that came before, byte for byte, is not parsed again: what was read then holds now.
    """

    _feeding = False
    _between = True
    """Whether the parser has seen whole requests only."""
    _quick = False
    """Whether heads may be remembered: nothing is set that wants a look at each request."""
    _ready: tuple[RequestResponseCycle, Any] | None = None
    _under_way: RequestResponseCycle | None = None
    """The request that is answered, if any is; others may have been read behind it."""
    _answered = 0.0
    """The loop's time of the last answer."""

    def __init__(self, *arguments: Any, heads: Memo, **options: Any) -> None:
        """`heads`: for each that came before, an ASGI scope without its connection, and the body's length."""
        super().__init__(*arguments, **options)
        self._heads, self._last, self._template = heads, b"", (_NO_SCOPE, 0)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Note whether heads may be remembered."""
        super().connection_made(transport)
        usual = self.limit_concurrency is None and not (self.access_log or self.root_path)
        self._quick = usual and getattr(self.app, "eager", False) and not self.server_state.default_headers

    def data_received(self, data: bytes) -> None:
        """Read, and start what has come."""
        if not (self._quick and self._between):
            self._parse(data)
            return
        head, _, body = data.partition(_END_OF_HEAD)
        if head != self._last and not self._recalls(head):
            self._parse(data, head, len(body))
            return
        template, length = self._template
        if length != len(body) or not (self.cycle is None or self.cycle.response_complete):
            self._parse(data)
            return
        scope = template.copy()
        known = scope["extensions"]
        scope["extensions"] = {CONNECTION: Connection(self.transport, self.loop.time(), body, known)}
        scope["state"] = self.app_state.copy()
        self.cycle = self._under_way = cycle = _Again(self, scope, body)
        self._run(cycle, self.app)

    def _recalls(self, head: bytes) -> bool:
        """Whether a head came before, if on another connection."""
        known = self._heads.get(head)
        if known is None:
            return False
        read, length = known
        whence = {"server": self.server, "client": self.client, "scheme": self.scheme}
        self._last, self._template = head, ({**read, **whence}, length)
        return True

    def _parse(self, data: bytes, head: bytes | None = None, length: int = 0) -> None:
        """Let uvicorn read; `head` and `length` of the body if the data may be a whole request."""
        self._feeding = True
        super().data_received(data)
        self._feeding = False
        if self._ready is None:
            return
        (cycle, app), self._ready = self._ready, None
        if not cycle.more_body:
            cycle.body = body = bytes(cycle.body)  # type: ignore[assignment]
            extensions: Any = cycle.scope["extensions"]
            extensions[CONNECTION].body = body
            if head is not None and self._between and cycle is self.cycle and len(body) == length:
                self._remember(head, cycle, length)
        self._run(cycle, app)

    def _remember(self, head: bytes, cycle: RequestResponseCycle, length: int) -> None:
        """Keep what was read from a head, if it says all that there is to know about where its request ends."""
        scope: Any = cycle.scope
        unframed = scope["http_version"] == "1.1" and not any(name in _FRAMING for name, _ in scope["headers"])
        if unframed and len(head) <= _LONGEST and _plain(cycle):
            known = scope["extensions"][CONNECTION].known
            self._heads.put(head, ({**scope, "headers": tuple(scope["headers"]), "extensions": known}, length))

    def on_message_begin(self) -> None:
        """A request has begun."""
        self._between = False
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """A request has been read."""
        self._between = True
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the request under way too: uvicorn tells the one that was read last."""
        self.pipeline.clear()
        if (cycle := self._under_way) is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._under_way = cycle
        cycle.scope["extensions"] = {CONNECTION: Connection(cycle.transport, self.loop.time(), None, {})}  # type: ignore[dict-item]
        # one that waited for the answer before it is started by that answer, which is no place to run it in
        if self._feeding and getattr(app, "eager", False):
            self._ready = cycle, app
        else:
            super()._start_asgi_task(cycle, app)

    def _run(self, cycle: RequestResponseCycle, app: Any) -> None:
        running = cycle.run_asgi(app)
        try:
            awaited = running.send(None)
        except StopIteration:
            return
        task = self.loop.create_task(_resumed(running, awaited))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def on_response_complete(self) -> None:
        """Go on with the next request, or wait for it; one timer a connection sees to it that this has an end."""
        self._answered = self.loop.time()
        if self.timeout_keep_alive_task is None or self.pipeline:
            super().on_response_complete()
        else:
            self.server_state.total_requests += 1
            self.flow.resume_reading()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection on which nothing has come for long."""
        self.timeout_keep_alive_task = None
        if self.cycle is not None and not self.cycle.response_complete:
            return  # its end will set the timer again
        left = self._answered + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self.timeout_keep_alive_task = self.loop.call_later(left, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()


@coroutine
def _resumed(running: Coroutine[Any, Any, None], awaited: Any) -> Generator[Any, Any, None]:
    """Go on with a coroutine that has run up to the first future that it awaits."""
    with contextlib.suppress(StopIteration):
        while True:
            try:
                sent = yield awaited
            except BaseException as error:  # such as a cancellation, which is the coroutine's own affair
                awaited = running.throw(error)
            else:
                awaited = running.send(sent)


def configure(app: Any, **options: Any) -> uvicorn.Config:
    """Uvicorn as the mock wants it: no header that depends on the day, no log line a request."""
    settings: dict[str, Any] = {
        "http": partial(Protocol, heads=Memo(_HEADS)),
        "ws": "none",
        "lifespan": "on",
        "access_log": False,
        "log_level": "warning",
        "date_header": False,
        "server_header": False,
        "proxy_headers": False,
        "timeout_graceful_shutdown": 1,
        "backlog": 4096,
    }
    return uvicorn.Config(app, **{**settings, **options})


@contextlib.contextmanager
def unswept() -> Iterator[None]:
    """No garbage collection while a process starts: nearly all that is made stays."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def steady() -> None:
    """Keep the garbage collector from stopping the streams of a process that does nothing but serve.

    What start-up made stays for ever and is never looked at again. Of the rest only young objects are: with two
    thousand open streams a look at all takes 100 ms. Requests leave no old rings of references, so nothing piles up.
    """
    gc.freeze()
    gc.set_threshold(5_000, 5, 1_000_000)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ConfigError when the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or str(error)
        mend = "--port" if isinstance(error, OverflowError) or error.errno in _PORT_ERRORS else "--host"
        raise ConfigError(f"cannot listen on {host}:{port}: {reason.rstrip('.')}; choose another with {mend}") from None
    listener.listen(4096)
    return listener


class Server:
    """A server in a thread of its own, on a free port unless told otherwise; a context manager."""

    def __init__(self, app: Any, host: str = "127.0.0.1", port: int = 0, **options: Any) -> None:
        self.app = app
        self._socket = bind(host, port)
        self.host, self.port = host, self._socket.getsockname()[1]
        self._ready = threading.Event()
        self._uvicorn = uvicorn.Server(configure(app, **options))
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="aione-mock", daemon=True)

    @property
    def url(self) -> str:
        """`http://host:port`, without a slash at the end."""
        return f"http://{self.host}:{self.port}"

    def start(self) -> Server:
        """Returns when requests are answered. Raises what kept the app from starting."""
        self._thread.start()
        self._ready.wait(30)
        if self._failure is not None:
            raise self._failure
        return self

    def stop(self) -> None:
        """Ends all connections and the thread."""
        self._uvicorn.should_exit = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._hang_up)
        self._thread.join(10)

    def _hang_up(self) -> None:
        # what still streams or hangs ends as if its client had left, and so without a word in the log
        for connection in tuple(self._uvicorn.server_state.connections):
            connection.transport.abort()

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            # the socket listens already, so clients that come early only wait
            self._announce(self._ready.set)
            self._uvicorn.run(sockets=[self._socket])
        except BaseException as error:  # handed to the thread that waits
            self._failure = error
        finally:
            self._ready.set()
            self._socket.close()

    def _announce(self, ready: Callable[[], None]) -> None:
        startup = self._uvicorn.startup

        async def announced(sockets: list[socket.socket] | None = None) -> None:
            await startup(sockets)
            self._loop = asyncio.get_running_loop()
            ready()

        self._uvicorn.startup = announced  # type: ignore[method-assign]
