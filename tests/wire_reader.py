"""Reads an answer from a raw socket: every byte, in the packets in which they came, and how it ended."""

from __future__ import annotations

import select
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import Literal

import orjson

_DATA_SEGMENTS = 152
"""Where `struct tcp_info` of Linux counts the segments with data that came in."""


@dataclass(frozen=True)
class Wire:
    """What came: raw bytes with their seconds since the request began to be sent."""

    reads: list[tuple[float, bytes]]
    end: Literal["closed", "reset", "open"]
    """By the server, properly or not, or not at all."""
    segments: int = 0
    """TCP segments that carried data; 0 where the system does not say."""
    head: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    chunks: list[bytes] = field(default_factory=list)
    """The body as the chunks of its chunked encoding, or as one."""
    whole: bool = False
    """Whether the body ended as its encoding or its length says."""

    @property
    def raw(self) -> bytes:
        """Everything."""
        return b"".join(data for _, data in self.reads)

    @property
    def status(self) -> int:
        """0 if none came."""
        return int(self.head.split(" ", 2)[1]) if self.head else 0

    @property
    def body(self) -> bytes:
        """The body without its encoding."""
        return b"".join(self.chunks)

    @property
    def first(self) -> float:
        """Seconds until the first byte."""
        return self.reads[0][0]

    @property
    def last(self) -> float:
        """Seconds until the last byte."""
        return self.reads[-1][0]


def build_request(
    path: str,
    body: object = None,
    *,
    method: str | None = None,
    headers: dict[str, str] | None = None,
) -> bytes:
    """Return the bytes of a request; `body` is JSON."""
    raw = b"" if body is None else orjson.dumps(body)
    lines = [f"{method or ('GET' if body is None else 'POST')} {path} HTTP/1.1", "host: localhost"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body is not None:
        lines += ["content-type: application/json", f"content-length: {len(raw)}"]
    return "\r\n".join([*lines, "", ""]).encode() + raw


def receive_bytes(connection: socket.socket, size: int = 65536) -> bytes:
    """Return what comes next, at most `size` bytes. Raise ConnectionError if the connection has ended."""
    if data := connection.recv(size):
        return data
    raise ConnectionError("the connection ended before what was waited for")


def ask(port: int, raw: bytes, *, patience: float = 30.0, pause: float = 0.0) -> Wire:
    """Send bytes and read until the answer is whole or the server closes; `open` after so many silent seconds.

    `pause` waits before each read, like a client that is slow to take what comes.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        # before the bytes are on their way: what must not come too soon is never seen too soon
        start, reads = time.perf_counter(), list[tuple[float, bytes]]()
        connection.sendall(raw)
        while True:
            time.sleep(pause)
            if not select.select([connection], [], [], patience)[0]:
                return _parse_wire(reads, "open", connection)
            try:
                data = connection.recv(1 << 20)
            except ConnectionResetError:
                return _parse_wire(reads, "reset", None)
            if not data:
                return _parse_wire(reads, "closed", connection)
            reads.append((time.perf_counter() - start, data))
            # nothing may follow a whole answer, so look once more for a moment
            if _parse_wire(reads, "open", None).whole and not select.select([connection], [], [], 0.02)[0]:
                return _parse_wire(reads, "open", connection)


def _parse_wire(
    reads: list[tuple[float, bytes]], end: Literal["closed", "reset", "open"], conn: socket.socket | None
) -> Wire:
    raw = b"".join(data for _, data in reads)
    head, found, rest = raw.partition(b"\r\n\r\n")
    segments = _count_segments(conn) if conn is not None else 0
    if not found:
        return Wire(reads, end, segments)
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    if headers.get("transfer-encoding") == "chunked":
        chunks, whole = _split_chunks(rest)
    else:
        length = headers.get("content-length")
        chunks = [rest] if rest else []
        whole = end == "closed" if length is None else len(rest) == int(length)
        whole = whole or first.split(" ")[1] == "204"
    return Wire(reads, end, segments, first, headers, chunks, whole)


def _split_chunks(rest: bytes) -> tuple[list[bytes], bool]:
    chunks: list[bytes] = []
    while True:
        size, found, after = rest.partition(b"\r\n")
        if not found:
            return chunks, False
        length = int(size, 16)
        if length == 0:
            return chunks, after == b"\r\n"
        if len(after) < length + 2:
            return chunks + ([after[:length]] if after else []), False
        chunks.append(after[:length])
        rest = after[length + 2 :]


def _count_segments(connection: socket.socket) -> int:
    if not hasattr(socket, "TCP_INFO"):
        return 0
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _DATA_SEGMENTS + 4)
    return int(struct.unpack_from("I", info, _DATA_SEGMENTS)[0]) if len(info) >= _DATA_SEGMENTS + 4 else 0
