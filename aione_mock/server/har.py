"""Describe calls as an HTTP archive (HAR 1.2), which browsers and proxies open.

Source: W3C Web Performance Working Group, "HTTP Archive (HAR) format", version 1.2.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from http import HTTPStatus
from urllib.parse import parse_qsl

from aione_mock.clock import format_timestamp
from aione_mock.server.journal import Exchange
from aione_mock.settings import VERSION
from aione_mock.types import Json

_VERSION = "HTTP/1.1"
_UNKNOWN = -1
"""What the format says of a size that is not known."""
_TRUNCATED = "The journal holds only a part of this body."


def describe_archive(exchanges: Iterable[Exchange], url: str) -> Json:
    """Return the archive of exchanges in their order. `url` is what their paths follow."""
    creator = {"name": "aione-mock", "version": VERSION}
    entries = [_describe_entry(exchange, url) for exchange in exchanges]
    return {"log": {"version": "1.2", "creator": creator, "entries": entries}}


def _describe_entry(exchange: Exchange, url: str) -> Json:
    wait, receive = round(1000 * exchange.first_due, 3), round(1000 * (exchange.last_due - exchange.first_due), 3)
    return {
        "startedDateTime": format_timestamp(exchange.at),
        "time": round(wait + receive, 3),
        "request": _describe_request(exchange, url),
        "response": _describe_response(exchange),
        "cache": {},
        "timings": {"send": 0, "wait": wait, "receive": receive},
        # members of applications begin with an underscore
        "_number": exchange.number,
        "_operation": exchange.operation_id,
        "_model": exchange.model,
        "_finding": exchange.finding,
    }


def _describe_request(exchange: Exchange, url: str) -> Json:
    logged = exchange.logged_request
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in logged.headers]
    media_type = next((value for name, value in headers if name == "content-type"), "")
    text = logged.body.decode("utf-8", "replace")
    comment = {"comment": _TRUNCATED} if logged.truncated else {}
    return {
        "method": logged.method,
        "url": f"{url}{logged.path}{'?' if logged.query else ''}{logged.query}",
        "httpVersion": _VERSION,
        "cookies": [],
        "headers": _list_pairs(headers),
        "queryString": _list_pairs(parse_qsl(logged.query, keep_blank_values=True)),
        **({"postData": {"mimeType": media_type, "text": text, **comment}} if logged.body else {}),
        "headersSize": _UNKNOWN,
        "bodySize": len(exchange.request.body or b""),
    }


def _describe_response(exchange: Exchange) -> Json:
    headers = [*exchange.response_headers]
    content = exchange.events.raw if exchange.stream else exchange.response_body
    media_type = next((value for name, value in headers if name.lower() == "content-type"), "")
    return {
        "status": exchange.status,
        "statusText": _find_phrase(exchange.status),
        "httpVersion": _VERSION,
        "cookies": [],
        "headers": _list_pairs(headers),
        "content": {
            "size": len(content),
            "mimeType": media_type,
            **_encode_text(content),
            **({"comment": _TRUNCATED} if exchange.response_truncated else {}),
        },
        "redirectURL": "",
        "headersSize": _UNKNOWN,
        "bodySize": len(content),
        **({} if exchange.end == "finish" else {"comment": f"The connection ended early: {exchange.end}."}),
    }


def _find_phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in [*HTTPStatus] else ""


def _encode_text(content: bytes) -> dict[str, str]:
    try:
        return {"text": content.decode()}
    except UnicodeDecodeError:
        return {"text": base64.b64encode(content).decode(), "encoding": "base64"}


def _list_pairs(pairs: Iterable[tuple[str, str]]) -> list[Json]:
    return [{"name": name, "value": value} for name, value in pairs]
