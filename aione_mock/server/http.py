"""Run an ASGI application with uvicorn: in the main thread for the command line, in its own thread for tests."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import uvicorn

from aione_mock.errors import ConfigError
from aione_mock.server.answer_batch import AnswerBatch
from aione_mock.server.http_protocol import REQUEST_TIMEOUT, Protocol

T = TypeVar("T")
_PORT_ERRORS = (errno.EADDRINUSE, errno.EACCES)
_START_TIMEOUT = 30
"""Seconds."""
EXIT_TIMEOUT = 3.0
"""Seconds after which a process that was told to end, and does not, is ended by the system."""
_BACKLOG = 4096
"""Connections that may wait to be accepted."""
_KEEP_ALIVE = 75
"""Seconds after which an idle connection is closed: later than clients close theirs (httpx 5, aiohttp 15), because a
request that is sent while the server closes is lost."""


def create_uvicorn_config(app: Any, request_timeout: float = REQUEST_TIMEOUT, **options: Any) -> uvicorn.Config:
    """Configure uvicorn for the mock: no header that depends on the time, no log line for each request.

    `request_timeout`: seconds within which a request has to arrive whole.
    """
    settings: dict[str, Any] = {
        "http": partial(Protocol, request_timeout=request_timeout, batch=AnswerBatch()),
        "ws": "none",
        "lifespan": "on",
        "access_log": False,
        "log_level": "warning",
        "date_header": False,
        "server_header": False,
        "proxy_headers": False,
        "backlog": _BACKLOG,
        "timeout_keep_alive": _KEEP_ALIVE,
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


def bind_sockets(host: str, port: int, count: int) -> list[socket.socket]:
    """Return listening sockets for processes that share an address, one each where the system spreads connections.

    Of processes that share one socket, the first to wake accepts all connections that wait. Raises ConfigError if the
    address cannot be used.
    """
    listener = bind_socket(host, port)
    if count == 1 or sys.platform != "linux":
        return [listener]
    # alone first, because sockets that share a port would share it with another mock's too
    port = listener.getsockname()[1]
    listener.close()
    return [bind_socket(host, port, shared=True) for _ in range(count)]


def bind_socket(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Return a listening socket; `shared` ones may have the same port. Raises ConfigError for an unusable address."""
    if not host.strip():  # the system would take it for every address
        raise ConfigError("--host is empty; name an address, such as 127.0.0.1")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
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


def bind_unix_socket(path: Path) -> socket.socket:
    """Return a listening Unix socket, in place of one that nobody listens on. Raises ConfigError."""
    if not hasattr(socket, "AF_UNIX"):
        raise ConfigError("--uds: this system has no Unix sockets; use --port")
    listener = socket.socket(socket.AF_UNIX)
    try:
        if path.is_socket() and not _is_answered(path):
            path.unlink()
        listener.bind(str(path))
    except OSError as error:
        listener.close()
        reason = (error.strerror or str(error)).rstrip(".")
        raise ConfigError(f"cannot listen on {path}: {reason}; choose another with --uds") from None
    listener.listen(_BACKLOG)
    return listener


def _is_answered(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


class UvicornServer(uvicorn.Server):
    """Run uvicorn, call `on_ready` when requests are answered, and end in time whatever happens."""

    def __init__(
        self,
        config: uvicorn.Config,
        on_ready: Callable[[], None],
        drain: float = 0.0,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        """`drain`: seconds that SIGTERM leaves to requests that are being answered.

        `on_end` is called last: a signal ends the process as soon as this server has ended.
        """
        super().__init__(config)
        self._on_ready, self._on_end, self._drain, self._has_timer = on_ready, on_end, drain, False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then call `on_ready`. What it raises ends the server as a signal would, and is raised again."""
        self._call_hook("set_draining", False)
        await super().startup(sockets)
        try:
            self._on_ready()
        except BaseException:
            await self.shutdown(sockets)
            raise

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End at SIGTERM or Ctrl-C; at a second one, or if the event loop does not get to it, at once."""
        if self.should_exit:
            signal.signal(sig, signal.SIG_DFL)
            signal.raise_signal(sig)
        super().handle_exit(sig, frame)
        if sig != signal.SIGTERM:
            self._drain = 0.0
        self._has_timer = hasattr(signal, "setitimer")
        if self._has_timer:
            # the system ends the process, since nothing in it may get a turn
            signal.setitimer(signal.ITIMER_REAL, self._drain + EXIT_TIMEOUT)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the port, wait for open requests, close all connections, then run the shutdown of the lifespan."""
        self._call_hook("set_draining", True)
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        if self._drain:
            await self._finish_requests()
        self._call_hook("note_end")
        await asyncio.sleep(0)  # answers of this turn are written at its end
        for connection in tuple(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        # a task needs a few turns to notice that its client has left; cancelling it earlier would log a traceback
        if tasks := tuple(self.server_state.tasks):
            await asyncio.wait(tasks, timeout=0.5)
        await self.lifespan.shutdown()
        self._on_end()
        if self._has_timer:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _call_hook(self, method: str, *values: bool) -> None:
        """Call a method of the application, if it has one of that name."""
        if (hook := getattr(self.config.app, method, None)) is not None:
            hook(*values)

    async def _finish_requests(self) -> None:
        """Close each connection when its request is answered; return when all are closed or time is up."""
        connections, end = self.server_state.connections, time.monotonic() + self._drain
        notified: set[Any] = set()
        while connections and time.monotonic() < end:
            # one that was accepted last is made in a later turn of the event loop
            for connection in connections - notified:
                connection.shutdown()
                notified.add(connection)
            await asyncio.sleep(0.01)


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
