"""What was asked and answered, without any credential."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from aione_mock.exchange import Headers, RawHeaders, Usage

_SECRET_HEADERS = frozenset(
    (b"authorization", b"x-api-key", b"x-goog-api-key", b"cookie", b"proxy-authorization", b"x-acs-security-token",
     b"x-acs-bearer-token")
)  # fmt: skip
_SECRET = re.compile(rb"(sk-nex-|nex-console-)[A-Za-z0-9_\-]+")
_SECRET_QUERY = re.compile(r"(^|&)(key|access_token|token)=[^&]*")
_OVERHEAD = 700
"""Bytes that an entry holds beside its bodies, roughly."""
MASK = "***"


def mask_body(raw: bytes) -> bytes:
    """A body in which every API key or console token is masked after its prefix."""
    return _SECRET.sub(rb"\1" + MASK.encode(), raw) if b"nex-" in raw else raw


def mask_text(text: str) -> str:
    """The same for text."""
    return mask_body(text.encode("utf-8", "replace")).decode() if "nex-" in text else text


def mask_query(query: str) -> str:
    """A query string with the values of credentials masked."""
    return mask_text(_SECRET_QUERY.sub(rf"\1\2={MASK}", query)) if query else query


def mask_headers(headers: RawHeaders) -> list[tuple[str, str]]:
    """Request headers with the values of credentials masked."""
    return [
        (name.decode("latin-1"), MASK if name in _SECRET_HEADERS else mask_text(value.decode("latin-1")))
        for name, value in headers
    ]


def safe_headers(headers: RawHeaders) -> list[tuple[bytes, bytes]]:
    """Request headers as they are kept: raw, credentials masked."""
    mask = MASK.encode()
    return [(name, mask if name in _SECRET_HEADERS else mask_body(value)) for name, value in headers]


@dataclass(slots=True)
class Entry:
    """One exchange. `status` 0 means that a fault sent none."""

    number: int
    at: float
    operation: str | None
    method: str
    path: str
    query: str
    headers: list[tuple[bytes, bytes]]
    body: bytes
    request_id: str
    key: str | None = None
    key_id: str | None = None
    model: str | None = None
    stream: bool = False
    status: int = 0
    response_headers: Headers = ()
    response_body: bytes = b""
    events: tuple[bytes, ...] = ()
    end: str = "finish"
    duration_ms: float = 0.0
    usage: Usage | None = None
    occurrence: int = 0
    rule: str | None = None
    scenario: str | None = None
    limit: str | None = None
    nearest: Any = None
    call: Any = None
    """What rules see of the call, for verification; holds no credential."""

    @property
    def size(self) -> int:
        """Bytes held, roughly."""
        return _OVERHEAD + len(self.body) + len(self.response_body) + sum(map(len, self.events))
