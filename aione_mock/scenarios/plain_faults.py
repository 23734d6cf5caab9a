"""Damage to answers as a whole: bodies, lengths, types, and connections that break before they begin."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus

from aione_mock.exchange import Headers, Transmission
from aione_mock.scenarios.options import Options
from aione_mock.scenarios.stream_faults import Scene

_PAGE = """<!DOCTYPE html>
<html><head><title>{status} {phrase}</title></head>
<body><center><h1>{status} {phrase}</h1></center><hr><center>proxy</center></body></html>
"""


def wrong_content_type(transmission: Transmission, options: Options, scene: Scene) -> Transmission:
    """The content type is another; the content is not."""
    return replace(transmission, headers=_with(transmission.headers, "content-type", options["value"]))


def cut_body(transmission: Transmission, options: Options, scene: Scene) -> Transmission:
    """The connection drops after half of the body that `content-length` announces."""
    body = _body(transmission)
    headers = _with(transmission.headers, "content-length", str(len(body)))
    return replace(transmission, headers=headers, sends=((_due(transmission), body[: len(body) // 2]),), end="cut")


def content_length_long(transmission: Transmission, options: Options, scene: Scene) -> Transmission:
    """`content-length` announces more bytes than come before the connection closes."""
    length = len(_body(transmission)) + options["by"]
    return replace(transmission, headers=_with(transmission.headers, "content-length", str(length)), raw=True)


def content_length_short(transmission: Transmission, options: Options, scene: Scene) -> Transmission:
    """`content-length` announces fewer bytes than come."""
    length = max(0, len(_body(transmission)) - options["by"])
    return replace(transmission, headers=_with(transmission.headers, "content-length", str(length)), raw=True)


def html_page(transmission: Transmission, options: Options, scene: Scene) -> Transmission:
    """A proxy in between answers with a page for people."""
    status = options["status"]
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Error"
    page = _PAGE.format(status=status, phrase=phrase).encode()
    return replace(
        transmission, status=status, headers=(("content-type", "text/html"),), sends=((_due(transmission), page),)
    )


def gzip_garbage(transmission: Transmission, options: Options, scene: Scene) -> Transmission:
    """The body is said to be compressed, begins as if it were, and goes on as rubbish."""
    rubbish = b"\x1f\x8b\x08\x00" + scene.seed.digest("gzip", size=60)
    headers = _with(_without(transmission.headers, "content-length"), "content-encoding", "gzip")
    return replace(transmission, headers=headers, sends=((_due(transmission), rubbish),))


def empty_body(transmission: Transmission, options: Options, scene: Scene) -> Transmission:
    """The status and the headers come, the body does not."""
    return replace(
        transmission,
        headers=_without(transmission.headers, "content-length"),
        sends=((_due(transmission), b""),) if transmission.sends else (),
    )


def slow_body(transmission: Transmission, options: Options, scene: Scene) -> Transmission:
    """The body comes in parts, spread evenly over some seconds."""
    body, start, parts = _body(transmission), _due(transmission), options["parts"]
    size = max(1, -(-len(body) // parts))
    pieces = [body[place : place + size] for place in range(0, len(body), size)]
    step = options["seconds"] / max(1, len(pieces) - 1)
    sends = tuple((round(start + step * number, 6), piece) for number, piece in enumerate(pieces))
    return replace(transmission, sends=sends, corked=False)


def reset(transmission: Transmission, options: Options, scene: Scene) -> Transmission:
    """The connection drops before the status line."""
    return replace(transmission, status=0, headers=(), sends=(), end="cut", raw=True)


def hang(transmission: Transmission, options: Options, scene: Scene) -> Transmission:
    """The request is taken and nothing ever comes back."""
    return replace(transmission, status=0, headers=(), sends=(), end="hang", raw=True)


def headed(transmission: Transmission) -> Transmission:
    """A raw transmission with its status line and headers in the first send; status 0 has none."""
    if not transmission.raw or not transmission.status:
        return transmission
    status = transmission.status
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in transmission.headers)]
    head = "\r\n".join([*lines, "connection: close", "", ""]).encode("latin-1", "replace")
    due, first = transmission.sends[0] if transmission.sends else (0.0, b"")
    return replace(transmission, sends=((due, head + first), *transmission.sends[1:]))


def _body(transmission: Transmission) -> bytes:
    return b"".join([raw for _, raw in transmission.sends])


def _due(transmission: Transmission) -> float:
    return transmission.sends[0][0] if transmission.sends else 0.0


def _without(headers: Headers, name: str) -> Headers:
    return tuple(pair for pair in headers if pair[0].lower() != name)


def _with(headers: Headers, name: str, value: str) -> Headers:
    """The headers with one set, in its place if it was there."""
    if all(key.lower() != name for key, _ in headers):
        return (*headers, (name, value))
    return tuple((key, value if key.lower() == name else old) for key, old in headers)
