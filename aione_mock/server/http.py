"""An ASGI app on a port: in the foreground for the command line, in a thread for tests."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import socket
import threading
from collections.abc import Callable, Coroutine, Generator, Iterator
from types import coroutine
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from aione_mock.asgi import CONNECTION
from aione_mock.errors import ConfigError

_PORT_ERRORS = (errno.EADDRINUSE, errno.EACCES)


class Connection:
    """One request's hold on its connection (`asgi.Connection`).

    It does not refer to uvicorn's cycle, which refers to it: the garbage collector rarely looks for reference cycles.
    """

    __slots__ = ("arrived", "body", "transport")

    def __init__(self, transport: asyncio.Transport, arrived: float) -> None:
        self.transport, self.arrived = transport, arrived
        self.body: bytes | None = None

    def write_response(self, send: Any, status: int, rest: bytes) -> bool:
        """Write a whole answer at once, as uvicorn's own `send` does, but without a look at each header.

        Returns False, with nothing written, where the request asks for more than an answer, or where an application
        around the mock listens to what is sent.
        """
        cycle = getattr(send, "__self__", None)
        if not isinstance(cycle, RequestResponseCycle) or cycle.response_started or cycle.disconnected:
            return False
        if not cycle.keep_alive or cycle.waiting_for_100_continue or cycle.flow.write_paused:
            return False
        if cycle.access_log or cycle.default_headers or cycle.scope["method"] == "HEAD":
            return False
        cycle.response_started = cycle.response_complete = True
        cycle.transport.write(STATUS_LINE[status] + rest)
        cycle.on_response()
        return True


class Protocol(HttpToolsProtocol):
    """Uvicorn's HTTP protocol, which hands over the connection so that faults below HTTP can be played.

    An application that is `eager` runs as soon as its request has been read, and gets a task only when it first waits
    for something. Most answers of the mock wait for nothing, and a task costs a tenth of one.
    """

    _feeding = False
    _ready: RequestResponseCycle | None = None
    """The request that was read and can be answered at once."""
    _current: RequestResponseCycle | None = None
    """The request that is being answered; others may have been read behind it."""

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived, and answer the request that it completes."""
        self._feeding = True
        super().data_received(data)
        self._feeding = False
        cycle, self._ready = self._ready, None
        if cycle is None:
            return
        if not cycle.more_body:
            extensions: Any = cycle.scope["extensions"]
            extensions[CONNECTION].body = bytes(cycle.body)
        self._run(cycle)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the request that is being answered: uvicorn tells the one that was read last."""
        self.pipeline.clear()
        if (cycle := self._current) is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._current = cycle
        cycle.scope["extensions"] = {CONNECTION: Connection(cycle.transport, self.loop.time())}  # type: ignore[dict-item]
        # a request that waited for the previous answer is started by that answer, which is no place to run it in
        if self._feeding and getattr(app, "eager", False):
            self._ready = cycle
        else:
            super()._start_asgi_task(cycle, app)

    def _run(self, cycle: RequestResponseCycle) -> None:
        running = cycle.run_asgi(self.app)
        try:
            awaited = running.send(None)
        except StopIteration:
            return
        task = self.loop.create_task(_resume(running, awaited))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)


@coroutine
def _resume(running: Coroutine[Any, Any, None], awaited: Any) -> Generator[Any, Any, None]:
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
        "http": Protocol,
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
