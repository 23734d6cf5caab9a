"""Damage whole responses: bodies, lengths, types, and connections that end before the status line."""

from __future__ import annotations

from http import HTTPStatus

from aione_mock.scenarios.options import OptionValues
from aione_mock.scenarios.stream_faults import PACKET_GAP, FaultContext
from aione_mock.structs import replace
from aione_mock.types import Headers, Response

_HTML_PAGE = """<!DOCTYPE html>
<html><head><title>{status} {phrase}</title></head>
<body><center><h1>{status} {phrase}</h1></center><hr><center>proxy</center></body></html>
"""


def change_content_type(response: Response, options: OptionValues, context: FaultContext) -> Response:
    """Change the content type, not the content."""
    return replace(response, headers=_set_header(response.headers, "content-type", options["value"]))


def cut_body(response: Response, options: OptionValues, context: FaultContext) -> Response:
    """Drop the connection after half of the announced body."""
    body = _join_body(response)
    headers = _set_header(response.headers, "content-length", str(len(body)))
    return replace(response, headers=headers, sends=((_find_first_due(response), body[: len(body) // 2]),), end="cut")


def announce_more_bytes(response: Response, options: OptionValues, context: FaultContext) -> Response:
    """Announce more bytes than are sent before the connection closes."""
    length = len(_join_body(response)) + options["by"]
    return replace(response, headers=_set_header(response.headers, "content-length", str(length)), raw=True)


def announce_fewer_bytes(response: Response, options: OptionValues, context: FaultContext) -> Response:
    """Announce fewer bytes than are sent."""
    length = max(0, len(_join_body(response)) - options["by"])
    return replace(response, headers=_set_header(response.headers, "content-length", str(length)), raw=True)


def send_html_page(response: Response, options: OptionValues, context: FaultContext) -> Response:
    """Answer with the HTML error page of a proxy."""
    status = options["status"]
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Error"
    page = _HTML_PAGE.format(status=status, phrase=phrase).encode()
    headers = (("content-type", "text/html"), ("content-length", str(len(page))))
    return replace(response, status=status, headers=headers, sends=((_find_first_due(response), page),))


def send_invalid_gzip(response: Response, options: OptionValues, context: FaultContext) -> Response:
    """Declare the body as gzip and send a gzip header with invalid data."""
    invalid = b"\x1f\x8b\x08\x00" + context.seed.digest("gzip", size=60)
    headers = _set_header(
        _set_header(response.headers, "content-length", str(len(invalid))), "content-encoding", "gzip"
    )
    return replace(response, headers=headers, sends=((_find_first_due(response), invalid),))


def send_no_body(response: Response, options: OptionValues, context: FaultContext) -> Response:
    """Send status and headers without a body."""
    headers = _set_header(response.headers, "content-length", "0")
    return replace(response, headers=headers, sends=((_find_first_due(response), b""),))


def send_slowly(response: Response, options: OptionValues, context: FaultContext) -> Response:
    """Send the body in parts, spread evenly over some seconds."""
    body, start, parts = _join_body(response), _find_first_due(response), options["parts"]
    size = max(1, -(-len(body) // parts))
    pieces = [body[place : place + size] for place in range(0, len(body), size)]
    step = options["seconds"] / max(1, len(pieces) - 1)
    sends = tuple((round(start + step * number, 6), piece) for number, piece in enumerate(pieces))
    return replace(response, sends=sends, apart=PACKET_GAP)


def reset_connection(response: Response, options: OptionValues, context: FaultContext) -> Response:
    """Drop the connection before the status line."""
    return replace(response, status=0, headers=(), sends=(), end="cut", raw=True)


def hang_connection(response: Response, options: OptionValues, context: FaultContext) -> Response:
    """Accept the request and never send anything."""
    return replace(response, status=0, headers=(), sends=(), end="hang", raw=True)


def prepend_head(response: Response) -> Response:
    """Write status line and headers into the first send of a response that the HTTP layer would reject.

    These are raw responses, and those whose `content-length` is wrong. A response with status 0 has no head.
    """
    if not (response.raw or _announces_wrong_length(response)) or not response.status:
        return response
    status = response.status
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in response.headers)]
    head = "\r\n".join([*lines, "connection: close", "", ""]).encode("latin-1", "replace")
    due, first = response.sends[0] if response.sends else (0.0, b"")
    return replace(response, sends=((due, head + first), *response.sends[1:]), raw=True)


def _announces_wrong_length(response: Response) -> bool:
    announced = next((int(value) for name, value in response.headers if name == "content-length"), None)
    if announced is None:
        return False
    length = sum([len(raw) for _, raw in response.sends])
    return length > announced or (length < announced and response.end == "finish")


def _join_body(response: Response) -> bytes:
    return b"".join([raw for _, raw in response.sends])


def _find_first_due(response: Response) -> float:
    return response.sends[0][0] if response.sends else 0.0


def _set_header(headers: Headers, name: str, value: str) -> Headers:
    """Return headers with one set, in its old place if it was present."""
    if all(key.lower() != name for key, _ in headers):
        return (*headers, (name, value))
    return tuple((key, value if key.lower() == name else old) for key, old in headers)
