"""Several servers behind one address: each request goes to the next of them, and no byte is changed on the way."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import struct
import threading
from collections.abc import Iterator, Sequence

from aione_mock.server.http import bind_socket

_READ = 1 << 16
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER for which closing a socket resets the connection."""


class RequestSplitter:
    """Find where the requests of a connection begin. What is no HTTP/1.1 belongs to the request before it."""

    def __init__(self) -> None:
        self._head, self._left, self._chunked, self._lost = b"", 0, False, False

    def split(self, data: bytes) -> Iterator[tuple[bool, bytes]]:
        """Yield pieces of `data`, each with whether it begins a request."""
        while data:
            begins = not self._head and not self._left and not self._chunked and not self._lost
            size = len(data) if self._lost else self._take(data)
            yield begins, data[:size]
            data = data[size:]

    def _take(self, data: bytes) -> int:
        """Return how many bytes belong to the part of the request that is under way, and note what follows."""
        if self._left:
            size = min(self._left, len(data))
            self._left -= size
            return size
        return self._take_head(data)

    def _take_head(self, data: bytes) -> int:
        """The same for a head, or for the line before a chunk and the lines after the last one."""
        before, end = len(self._head), b"\r\n" if self._chunked else b"\r\n\r\n"
        text = self._head + data
        at = text.find(end)
        if at < 0:
            self._head = text
            return len(data)
        self._head = b""
        try:
            self._note(text[:at])
        except ValueError:
            self._lost = True
        return at + len(end) - before

    def _note(self, head: bytes) -> None:
        if self._chunked:
            size = int(head.partition(b";")[0], 16)
            self._left, self._chunked = size + 2, size > 0  # no client of the tests sends trailers
            return
        fields = dict(line.lower().partition(b":")[::2] for line in head.split(b"\r\n")[1:])
        self._chunked = b"chunked" in fields.get(b"transfer-encoding", b"")
        self._left = 0 if self._chunked else int(fields.get(b"content-length", b"0"))


class Front:
    """An address that forwards each request to the next of several ports of this machine; a context manager."""

    def __init__(self, ports: Sequence[int], host: str = "127.0.0.1", port: int = 0) -> None:
        self._socket = bind_socket(host, port)
        self.host, self.port = host, self._socket.getsockname()[1]
        self._ports, self._turns = ports, itertools.count()
        self.forwarded = dict.fromkeys(ports, 0)
        """How many requests each port has got."""
        self._tasks: set[asyncio.Task[None] | None] = set()
        """Those that serve clients, to which the event loop itself keeps no reference."""
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="front", daemon=True)

    def __enter__(self) -> Front:
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def choose_port(self) -> int:
        """Return the port whose turn it is."""
        port = self._ports[next(self._turns) % len(self._ports)]
        self.forwarded[port] += 1
        return port

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, sock=self._socket))
        self._loop.call_soon(self._ready.set)
        self._loop.run_forever()
        server.close()
        while tasks := asyncio.all_tasks(self._loop):
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.wait(tasks))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client, task = _Client(self, writer), asyncio.current_task()
        self._tasks.add(task)
        with contextlib.suppress(asyncio.CancelledError):
            try:
                await client.forward(reader)
            except ConnectionError:
                client.reset()
            finally:
                client.close()
                self._tasks.discard(task)


class _Client:
    """A connection of a client, with one to each server that it has been forwarded to."""

    def __init__(self, front: Front, writer: asyncio.StreamWriter) -> None:
        self._front, self._writer = front, writer
        self._servers: dict[int, asyncio.StreamWriter] = {}
        self._pumps: dict[int, asyncio.Task[None]] = {}
        self._current, self._answered = 0, True

    async def forward(self, reader: asyncio.StreamReader) -> None:
        splitter = RequestSplitter()
        while data := await reader.read(_READ):
            rest = b""
            for begins, piece in splitter.split(data):
                # a request that comes before the answer to the one before it has to wait for it at the same server
                if begins and self._answered:
                    await self._send(rest)
                    self._current, self._answered, rest = self._front.choose_port(), False, b""
                rest += piece
            await self._send(rest)
        if (server := self._servers.get(self._current)) is not None:
            server.write_eof()
            await self._pumps[self._current]

    async def _send(self, data: bytes) -> None:
        if not data:
            return
        server = self._servers.get(self._current)
        if server is None:
            try:
                reader, server = await asyncio.open_connection("127.0.0.1", self._current)
            except OSError:  # the server is gone; so is the connection of its client
                raise ConnectionResetError from None
            self._servers[self._current] = server
            self._pumps[self._current] = asyncio.create_task(self._pump(self._current, reader))
        server.write(data)
        await server.drain()

    async def _pump(self, port: int, reader: asyncio.StreamReader) -> None:
        """Forward what a server answers. The client sees how the connection to the server whose turn it is ends."""
        with contextlib.suppress(asyncio.CancelledError):
            try:
                while data := await reader.read(_READ):
                    self._answered = True
                    self._writer.write(data)
                    await self._writer.drain()
            except ConnectionError:
                if port == self._current:
                    self.reset()
            self._servers.pop(port).close()
            if port == self._current:
                self._writer.close()

    def reset(self) -> None:
        connection = self._writer.get_extra_info("socket")
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._writer.transport.abort()

    def close(self) -> None:
        for pump in self._pumps.values():
            pump.cancel()
        for server in self._servers.values():
            server.close()
        self._writer.close()
