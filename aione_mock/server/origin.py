"""Which hosts and pages may reach the control API.

A page of another site can send requests to this machine from a browser, under a name of its own too (DNS rebinding).
Source: Fetch Standard, "Origin header"; Fetch Metadata Request Headers; RFC 9110, section 15.5.20.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from aione_mock.server.request import Request

_LOCAL = ("localhost", "127.0.0.1", "::1")
ANY_HOST = "*"
"""The name among allowed hosts that allows all."""


def is_loopback(host: str) -> bool:
    """Return whether only programs on this machine can reach an address."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host.lower() == "localhost"
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def is_foreign_host(request: Request, allowed: Collection[str]) -> bool:
    """Return whether a request reached this machine by a name that is neither its own nor among `allowed`.

    A request that came over the network is not foreign: that address was opened on purpose.
    """
    server, host = (request.scope or {}).get("server"), request.header("host")
    if not server or host is None or ANY_HOST in allowed or not is_loopback(server[0]):
        return False
    name = _read_host(f"//{host}")
    return name not in _LOCAL and name not in allowed


def is_foreign_page(request: Request) -> bool:
    """Return whether a page of another origin sent a request.

    Programs send neither header; a link that is followed reads nothing.
    """
    origin = request.header("origin")
    if origin is not None:
        # a proxy on this machine may have ended TLS; no page can set this header without asking first
        scheme = request.header("x-forwarded-proto") or (request.scope or {}).get("scheme", "http")
        return origin != f"{scheme}://{request.header('host')}"
    site, mode = request.header("sec-fetch-site"), request.header("sec-fetch-mode")
    return site in ("cross-site", "same-site") and mode != "navigate"


def is_cross_site(request: Request) -> bool:
    """Return whether a page or a link of another site sent a request; other ports of a host are the same site."""
    origin = request.header("origin")
    if origin is not None and _read_host(origin) != _read_host(f"//{request.header('host')}"):
        return True
    return request.header("sec-fetch-site") == "cross-site"


def _read_host(url: str) -> str | None:
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return None
