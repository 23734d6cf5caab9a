"""Run an ASGI application with uvicorn: in the main thread for the command line, in its own thread for tests."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import socket
import threading
from collections.abc import Callable, Coroutine, Generator, Iterator
from types import coroutine
from typing import Any, TypeVar

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from aione_mock.asgi import CONNECTION
from aione_mock.errors import ConfigError

T = TypeVar("T")
_PORT_ERRORS = (errno.EADDRINUSE, errno.EACCES)
_START_TIMEOUT = 30
"""Seconds."""
_BACKLOG = 4096
"""Connections that may wait to be accepted."""


class UvicornConnection:
    """One request's hold on its connection (`asgi.Connection`).

    It holds no reference to uvicorn's cycle: that would create a reference cycle, and the collector runs rarely.
    """

    __slots__ = ("arrived", "body", "transport")

    def __init__(self, transport: asyncio.Transport, arrived: float) -> None:
        self.transport, self.arrived = transport, arrived
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
        cycle.transport.write(STATUS_LINE[status] + rest)
        cycle.on_response()
        return True


class Protocol(HttpToolsProtocol):
    """Uvicorn's HTTP protocol, extended to pass on the connection for faults below HTTP.

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
        """Notify the request that is being answered; uvicorn notifies the one that was read last."""
        self.pipeline.clear()
        if (cycle := self._current) is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._current = cycle
        cycle.scope["extensions"] = {CONNECTION: UvicornConnection(cycle.transport, self.loop.time())}  # type: ignore[dict-item]
        # a request that waited for the previous answer is started while that answer is sent, so it needs a task
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
    """Continue a coroutine that has run up to the first future that it awaits."""
    with contextlib.suppress(StopIteration):
        while True:
            try:
                sent = yield awaited
            except BaseException as error:  # such as a cancellation, which the coroutine handles
                awaited = running.throw(error)
            else:
                awaited = running.send(sent)


def create_uvicorn_config(app: Any, **options: Any) -> uvicorn.Config:
    """Configure uvicorn for the mock: no header that depends on the time, no log line for each request."""
    settings: dict[str, Any] = {
        "http": Protocol,
        "ws": "none",
        "lifespan": "on",
        "access_log": False,
        "log_level": "warning",
        "date_header": False,
        "server_header": False,
        "proxy_headers": False,
        "backlog": _BACKLOG,
    }
    return uvicorn.Config(app, **{**settings, **options})


@contextlib.contextmanager
def pause_gc() -> Iterator[None]:
    """Disable the garbage collector during start-up; almost nothing allocated there is garbage."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def tune_gc() -> None:
    """Keep garbage collection from delaying the streams of a process that only serves.

    Objects made during start-up are never collected. Of the others only young ones are examined often: with two
    thousand open streams a full collection takes 100 ms. Requests leave no reference cycles, so memory does not grow.
    """
    gc.freeze()
    gc.set_threshold(5_000, 5, 1_000_000)


def bind_socket(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises ConfigError if the address cannot be used."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or str(error)
        option = "--port" if isinstance(error, OverflowError) or error.errno in _PORT_ERRORS else "--host"
        message = f"cannot listen on {host}:{port}: {reason.rstrip('.')}; choose another with {option}"
        raise ConfigError(message) from None
    listener.listen(_BACKLOG)
    return listener


class UvicornServer(uvicorn.Server):
    """Run uvicorn, call `on_ready` when requests are answered, and stop without waiting for open streams."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then call `on_ready`."""
        await super().startup(sockets)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the port and all connections, then run the shutdown of the lifespan."""
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        for connection in tuple(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        # a task needs a few turns to notice that its client has left; cancelling it earlier would log a traceback
        if tasks := tuple(self.server_state.tasks):
            await asyncio.wait(tasks, timeout=0.5)
        await self.lifespan.shutdown()


class Server:
    """A server in its own thread, on a free port by default; a context manager."""

    def __init__(self, app: Any, host: str = "127.0.0.1", port: int = 0, **options: Any) -> None:
        self.app = app
        self._socket = bind_socket(host, port)
        self.host, self.port = host, self._socket.getsockname()[1]
        self._ready = threading.Event()
        self._uvicorn = UvicornServer(create_uvicorn_config(app, **options), self._on_ready)
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="aione-mock", daemon=True)

    @property
    def url(self) -> str:
        """`http://host:port`, without a trailing slash."""
        return f"http://{self.host}:{self.port}"

    def start(self) -> Server:
        """Start, and return when requests are answered. Raises what kept the application from starting."""
        self._thread.start()
        started = self._ready.wait(_START_TIMEOUT)
        if self._failure is not None:
            raise self._failure
        if not started:
            raise TimeoutError(f"the application has not started within {_START_TIMEOUT} s")
        return self

    def stop(self) -> None:
        """Close all connections and end the thread."""
        self._uvicorn.should_exit = True
        self._thread.join(10)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the server's event loop and return its result."""
        assert self._loop is not None, "the server has not been started"
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            # clients that connect early wait, because the socket listens already
            self._uvicorn.run(sockets=[self._socket])
        except BaseException as error:  # raised again by `start`
            self._failure = error
        finally:
            self._ready.set()
            self._socket.close()

    def _on_ready(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ready.set()
