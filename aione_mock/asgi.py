"""ASGI: types, request bodies, and the extension under which our own server hands over a connection."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from aione_mock.errors import APIError
from aione_mock.types import Headers, RawHeaders, header

Scope = Any
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
SESSION_PREFIX = "/_session/"
"""Path under which each session has the whole API: `/_session/NAME/v1/…`."""
CONNECTION = "aione_mock.connection"
"""Scope extension under which our server hands over a `Connection`; without it there are no faults below HTTP."""


_CODINGS = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}
"""Content codings with the window bits by which zlib decodes them."""


class Connection(Protocol):
    """What our own server offers beyond ASGI."""

    @property
    def transport(self) -> Any:
        """The connection to the client."""

    @property
    def arrived(self) -> float:
        """The loop's time at which the request was read; delays count from here."""

    @property
    def body(self) -> bytes | None:
        """The body of the request; None where it has to be received."""

    def is_own_send(self, send: Send) -> bool:
        """Return whether `send` is the server's own: no middleware waits for, or changes, what is sent."""

    def write_response(self, send: Send, status: int, rest: bytes) -> bool:
        """Write a whole answer, `rest` being all that follows its status line, and return whether that was possible.

        It is not possible where `send` is not the server's own, or where the request asks for more than an answer.
        """


class Disconnected(Exception):
    """The client disconnected before its request was complete."""


def decode_body(body: bytes, coding: bytes, limit: int) -> bytes:
    """Decode a request body by its `content-encoding`, to at most `limit` bytes. Raise ValueError for broken data.

    Raise APIError `unsupported_media_type` for a coding that is not known, and `request_too_large`.
    """
    name = coding.strip().lower()
    if name in (b"", b"identity"):
        return body
    if name not in _CODINGS:
        shown = name[:40].decode("latin-1")
        message = f"The content encoding '{shown}' is not supported; use gzip, deflate or identity."
        raise APIError("unsupported_media_type", message, headers={"accept-encoding": "gzip, deflate"})
    decoder = zlib.decompressobj(_CODINGS[name])
    try:
        decoded = decoder.decompress(body, limit + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if len(decoded) > limit:
        raise make_body_too_large_error(limit)
    if not decoder.eof or decoder.unused_data:
        raise ValueError("incomplete or followed by other data")
    return decoded


def read_content_length(headers: RawHeaders) -> int:
    """Return the `content-length` of a request, 0 where it has none."""
    length = header(headers, b"content-length") or ""
    return int(length) if length.isdigit() else 0


async def read_body(announced: int, receive: Receive, limit: int) -> bytes:
    """Read the body of a request whose `content-length` is `announced`.

    Raise APIError `request_too_large` before more than `limit` bytes are held.
    """
    if announced > limit:
        raise make_body_too_large_error(limit)
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Disconnected
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        if len(body) > limit:
            raise make_body_too_large_error(limit)
        return body
    parts, size = [body], len(body)
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise make_body_too_large_error(limit)
    return b"".join(parts)


async def wait_for_disconnect(receive: Receive) -> None:
    """Wait until the client disconnects."""
    while (await receive())["type"] != "http.disconnect":
        pass


def make_body_too_large_error(limit: int) -> APIError:
    """Return the error for a body of more than `limit` bytes."""
    # the rest of the body is not read, so the connection cannot be used again
    return APIError(
        "request_too_large",
        f"The request body is larger than the limit of {limit} bytes.",
        headers={"connection": "close"},
    )


def read_raw_path(scope: Scope) -> str:
    """Return the path of a request as it arrived, percent-encoded."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return raw.decode("latin-1")


def split_session(path: str) -> tuple[str, str]:
    """Split a path into the session it names, empty without one, and the path within it."""
    if not path.startswith(SESSION_PREFIX):
        return "", path
    name, _, rest = path[len(SESSION_PREFIX) :].partition("/")
    return name, "/" + rest


def encode_headers(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Encode headers for ASGI."""
    return [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers]
