"""Network input and output that ends at a given time, however slowly a server sends."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore2
import httpx2

from aione_mock.clock import SYSTEM_CLOCK


class RequestTimer:
    """The time at which the request of a thread has to end, in seconds since 1970."""

    def __init__(self) -> None:
        self._local = threading.local()

    @contextmanager
    def end_at(self, end: float) -> Iterator[None]:
        """Let all input and output of this thread end at a time."""
        self._local.end = end
        try:
            yield
        finally:
            del self._local.end

    def shorten(self, timeout: float | None) -> float | None:
        """Return the shorter one of a timeout and the time that is left. Raises ReadTimeout if none is."""
        end = getattr(self._local, "end", None)
        if end is None:
            return timeout
        left = float(end) - SYSTEM_CLOCK.timestamp()
        if left <= 0:
            raise httpcore2.ReadTimeout("the time limit was reached")
        return left if timeout is None else min(timeout, left)


class _TimedStream(httpcore2.NetworkStream):
    """A connection whose reads and writes end in time. The timeout of httpx2 begins anew with each byte."""

    def __init__(self, stream: httpcore2.NetworkStream, timer: RequestTimer) -> None:
        self._stream, self._timer = stream, timer

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._timer.shorten(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._timer.shorten(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, self._timer.shorten(timeout))
        return _TimedStream(stream, self._timer)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _TimedBackend(httpcore2.SyncBackend):
    """Opens connections whose reads and writes end in time."""

    def __init__(self, timer: RequestTimer) -> None:
        self._timer = timer

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        timeout = self._timer.shorten(timeout)
        stream = super().connect_tcp(host, port, timeout, local_address, socket_options)
        return _TimedStream(stream, self._timer)


def limit_time(client: httpx2.Client) -> RequestTimer:
    """Let the requests of a client end in time; return its timer.

    httpx2 has no public way to choose the network backend, so this sets a private attribute of each connection pool.
    """
    timer = RequestTimer()
    for transport in (client._transport, *client._mounts.values()):
        if isinstance(transport, httpx2.HTTPTransport):
            transport._pool._network_backend = _TimedBackend(timer)
    return timer
