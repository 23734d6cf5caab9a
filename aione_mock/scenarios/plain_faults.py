"""Damage to answers as a whole: bodies, lengths, types, and connections that break before they begin."""

from __future__ import annotations

from http import HTTPStatus

from aione_mock.scenarios.options import Options
from aione_mock.scenarios.stream_faults import APART, Scene
from aione_mock.structs import replace
from aione_mock.types import Headers, Response

_PAGE = """<!DOCTYPE html>
<html><head><title>{status} {phrase}</title></head>
<body><center><h1>{status} {phrase}</h1></center><hr><center>proxy</center></body></html>
"""


def wrong_content_type(transmission: Response, options: Options, scene: Scene) -> Response:
    """The content type is another; the content is not."""
    return replace(transmission, headers=_with(transmission.headers, "content-type", options["value"]))


def cut_body(transmission: Response, options: Options, scene: Scene) -> Response:
    """The connection drops after half of the body that `content-length` announces."""
    body = _body(transmission)
    headers = _with(transmission.headers, "content-length", str(len(body)))
    return replace(transmission, headers=headers, sends=((_due(transmission), body[: len(body) // 2]),), end="cut")


def content_length_long(transmission: Response, options: Options, scene: Scene) -> Response:
    """`content-length` announces more bytes than come before the connection closes."""
    length = len(_body(transmission)) + options["by"]
    return replace(transmission, headers=_with(transmission.headers, "content-length", str(length)), raw=True)


def content_length_short(transmission: Response, options: Options, scene: Scene) -> Response:
    """`content-length` announces fewer bytes than come."""
    length = max(0, len(_body(transmission)) - options["by"])
    return replace(transmission, headers=_with(transmission.headers, "content-length", str(length)), raw=True)


def html_page(transmission: Response, options: Options, scene: Scene) -> Response:
    """A proxy in between answers with a page for people."""
    status = options["status"]
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Error"
    page = _PAGE.format(status=status, phrase=phrase).encode()
    headers = (("content-type", "text/html"), ("content-length", str(len(page))))
    return replace(transmission, status=status, headers=headers, sends=((_due(transmission), page),))


def gzip_garbage(transmission: Response, options: Options, scene: Scene) -> Response:
    """The body is said to be compressed, begins as if it were, and goes on as rubbish."""
    rubbish = b"\x1f\x8b\x08\x00" + scene.seed.digest("gzip", size=60)
    headers = _with(_with(transmission.headers, "content-length", str(len(rubbish))), "content-encoding", "gzip")
    return replace(transmission, headers=headers, sends=((_due(transmission), rubbish),))


def empty_body(transmission: Response, options: Options, scene: Scene) -> Response:
    """The status and the headers come, the body does not."""
    headers = _with(transmission.headers, "content-length", "0")
    return replace(transmission, headers=headers, sends=((_due(transmission), b""),))


def slow_body(transmission: Response, options: Options, scene: Scene) -> Response:
    """The body comes in parts, spread evenly over some seconds."""
    body, start, parts = _body(transmission), _due(transmission), options["parts"]
    size = max(1, -(-len(body) // parts))
    pieces = [body[place : place + size] for place in range(0, len(body), size)]
    step = options["seconds"] / max(1, len(pieces) - 1)
    sends = tuple((round(start + step * number, 6), piece) for number, piece in enumerate(pieces))
    return replace(transmission, sends=sends, apart=APART)


def reset(transmission: Response, options: Options, scene: Scene) -> Response:
    """The connection drops before the status line."""
    return replace(transmission, status=0, headers=(), sends=(), end="cut", raw=True)


def hang(transmission: Response, options: Options, scene: Scene) -> Response:
    """The request is taken and nothing ever comes back."""
    return replace(transmission, status=0, headers=(), sends=(), end="hang", raw=True)


def headed(transmission: Response) -> Response:
    """A transmission that no HTTP layer would let through, with its status line and headers in the first send.

    Such are raw ones, and those whose `content-length` says another length than their body has. Status 0 has no head.
    """
    if not (transmission.raw or _misannounced(transmission)) or not transmission.status:
        return transmission
    status = transmission.status
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in transmission.headers)]
    head = "\r\n".join([*lines, "connection: close", "", ""]).encode("latin-1", "replace")
    due, first = transmission.sends[0] if transmission.sends else (0.0, b"")
    return replace(transmission, sends=((due, head + first), *transmission.sends[1:]), raw=True)


def _misannounced(transmission: Response) -> bool:
    announced = next((int(value) for name, value in transmission.headers if name == "content-length"), None)
    if announced is None:
        return False
    length = sum([len(raw) for _, raw in transmission.sends])
    return length > announced or (length < announced and transmission.end == "finish")


def _body(transmission: Response) -> bytes:
    return b"".join([raw for _, raw in transmission.sends])


def _due(transmission: Response) -> float:
    return transmission.sends[0][0] if transmission.sends else 0.0


def _with(headers: Headers, name: str, value: str) -> Headers:
    """The headers with one set, in its place if it was there."""
    if all(key.lower() != name for key, _ in headers):
        return (*headers, (name, value))
    return tuple((key, value if key.lower() == name else old) for key, old in headers)
