"""The gateway behind the recording proxy: asked as the client asked, answers taken as they come."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx2

from aione_mock.errors import APIError, ConfigError
from aione_mock.types import Headers, RawHeaders

_HOPS = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
     "transfer-encoding", "upgrade")
)  # fmt: skip
"""Headers that concern one connection alone. Source: RFC 9110, section 7.6.1."""
_OWN = frozenset(("content-length", "accept-encoding", "expect"))
"""Request headers that the proxy writes itself."""
_DECODED = ("gzip", "x-gzip", "deflate")
_CONNECT = 10.0
"""Seconds for a connection."""


class Upstream:
    """A gateway by its base URL; `patience` is the seconds of silence after which it is given up."""

    def __init__(self, url: str, patience: float = 600.0) -> None:
        self.url, self.patience = checked(url), patience
        self._client: httpx2.AsyncClient | None = None

    def open(self) -> httpx2.AsyncClient:
        """The client that asks: it knows no proxy and no password of the environment, and follows nothing."""
        if self._client is None:
            timeout = httpx2.Timeout(self.patience, connect=min(_CONNECT, self.patience))
            limits = httpx2.Limits(max_connections=None, max_keepalive_connections=100)
            self._client = httpx2.AsyncClient(trust_env=False, timeout=timeout, limits=limits)
        return self._client

    async def close(self) -> None:
        """End all connections."""
        if self._client is not None:
            await self._client.aclose()

    async def ask(self, method: str, path: bytes, query: bytes, headers: RawHeaders, body: bytes) -> httpx2.Response:
        """The head of the answer, its body still to come.

        Raises APIError `upstream_failed` or `upstream_timeout`, with what happened in words, when none comes.
        """
        client = self.open()
        request = self._request(method, path, query, headers, body)
        request.extensions["timeout"] = client.timeout.as_dict()
        try:
            return await client.send(request, stream=True)
        except httpx2.ConnectTimeout:
            raise APIError("upstream_failed", f"{self.url} cannot be reached: no connection in time") from None
        except httpx2.TimeoutException:
            raise APIError("upstream_timeout", f"{self.url} said nothing for {self.patience:g} s") from None
        except httpx2.ConnectError as error:
            raise APIError("upstream_failed", f"{self.url} cannot be reached: {said(error)}") from None
        except httpx2.TransportError as error:
            raise APIError("upstream_failed", f"{self.url} gave no answer: {said(error)}") from None

    def _request(self, method: str, path: bytes, query: bytes, headers: RawHeaders, body: bytes) -> httpx2.Request:
        base = httpx2.URL(self.url)
        target = base.raw_path.rstrip(b"/") + path + (b"?" + query if query else b"")
        named = tuple([(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers])
        gone = hops(named) | _OWN
        # a Host that is part of a signature stays: another one would make every signature wrong
        if not any(name == "authorization" and "SignedHeaders" in value for name, value in named):
            gone |= {"host"}
        kept = [pair for pair, (name, _) in zip(headers, named, strict=True) if name not in gone]
        # unpacked, so that credentials can be found in it
        kept.append((b"accept-encoding", b"identity"))
        return httpx2.Request(method, base.copy_with(raw_path=target), headers=kept, content=body)


def checked(url: str) -> str:
    """A gateway's base URL without a slash at its end. Raises ConfigError for what is none."""
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        fine = False
    if not fine or parts.query or parts.fragment or parts.username:
        raise ConfigError(f"--upstream is a base URL such as https://gateway.example, not '{url}'")
    return url.rstrip("/")


def hops(headers: Headers) -> set[str]:
    """Names of the headers that go no further than this connection."""
    named = [value for name, value in headers if name == "connection"]
    return {*_HOPS, *[name.strip().lower() for value in named for name in value.split(",")]}


def answer_headers(response: httpx2.Response) -> Headers:
    """The headers of an answer that go on to the client."""
    pairs = tuple([(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in response.headers.raw])
    gone = hops(pairs)
    if response.headers.get("content-encoding", "").strip().lower() in _DECODED:
        gone |= {"content-encoding", "content-length"}
    return tuple([(name, value) for name, value in pairs if name not in gone])


def said(error: Exception) -> str:
    """An error in words."""
    return str(error) or type(error).__name__
