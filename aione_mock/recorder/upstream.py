"""Forward requests to the gateway behind the recording proxy."""

from __future__ import annotations

import re
from urllib.parse import unquote

import httpx2

from aione_mock.contract import Contract
from aione_mock.errors import APIError, ConfigError
from aione_mock.text.addresses import parse_base_url
from aione_mock.types import Headers, RawHeaders

_HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
     "transfer-encoding", "upgrade")
)  # fmt: skip
"""Headers of a single connection. Source: RFC 9110, section 7.6.1."""
_SET_BY_PROXY = frozenset(("content-length", "accept-encoding", "expect"))
"""Request headers that the proxy sets itself."""
_CONNECT_SECONDS = 10.0
_MAX_DECODINGS = 4
"""Times that a path is decoded in search of `..`: gateways behind gateways decode it again."""


class Upstream:
    """A gateway, by its base URL."""

    def __init__(self, url: str, timeout: float = 600.0) -> None:
        """`timeout` is the longest silence in seconds."""
        self.url, self.timeout = check_url(url), timeout
        self._client: httpx2.AsyncClient | None = None

    def open(self) -> httpx2.AsyncClient:
        """Return the HTTP client. It ignores proxies and passwords of the environment and follows no redirects."""
        if self._client is None:
            timeout = httpx2.Timeout(self.timeout, connect=min(_CONNECT_SECONDS, self.timeout))
            limits = httpx2.Limits(max_connections=None, max_keepalive_connections=100)
            self._client = httpx2.AsyncClient(trust_env=False, timeout=timeout, limits=limits)
        return self._client

    async def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            await self._client.aclose()

    async def send(self, method: str, path: bytes, query: bytes, headers: RawHeaders, body: bytes) -> httpx2.Response:
        """Send a request and return the response, its body still to be read.

        Raises APIError `upstream_failed` or `upstream_timeout` when there is none, `not_found` for a path with `..`,
        which could lead out of the base URL.
        """
        if has_dot_segments(path.decode("latin-1")):
            raise APIError("not_found", "the path has a segment '..' and was not forwarded")
        client = self.open()
        request = self._build_request(method, path, query, headers, body)
        request.extensions["timeout"] = client.timeout.as_dict()
        try:
            return await client.send(request, stream=True)
        except httpx2.ConnectTimeout:
            raise APIError("upstream_failed", f"{self.url} cannot be reached: no connection in time") from None
        except httpx2.TimeoutException:
            raise APIError("upstream_timeout", f"{self.url} did not answer for {self.timeout:g} s") from None
        except httpx2.ConnectError as error:
            raise APIError("upstream_failed", f"{self.url} cannot be reached: {describe_error(error)}") from None
        except httpx2.TransportError as error:
            raise APIError("upstream_failed", f"{self.url} gave no answer: {describe_error(error)}") from None

    def _build_request(
        self, method: str, path: bytes, query: bytes, headers: RawHeaders, body: bytes
    ) -> httpx2.Request:
        base = httpx2.URL(self.url)
        target = base.raw_path.rstrip(b"/") + path + (b"?" + query if query else b"")
        named = tuple([(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers])
        dropped = list_hop_by_hop(named) | _SET_BY_PROXY
        # a signed Host is kept, because the signature would not match another one
        if not any(name == "authorization" and "SignedHeaders" in value for name, value in named):
            dropped |= {"host"}
        kept = [pair for pair, (name, _) in zip(headers, named, strict=True) if name not in dropped]
        # so that credentials in it can be masked
        kept.append((b"accept-encoding", b"identity"))
        return httpx2.Request(method, base.copy_with(raw_path=target), headers=kept, content=body)


def check_url(url: str) -> str:
    """Return a base URL without a trailing slash. Raises ConfigError for anything else."""
    return parse_base_url(url, "--upstream")


def check_prefix(base: str, contract: Contract) -> None:
    """Raise ConfigError for a base URL that ends with what paths of the contract begin with, such as `/v1`."""
    root, _, last = base.rpartition("/")
    if any(operation.path.startswith(f"/{last}/") for operation in contract.operations.values()):
        raise ConfigError(f"--upstream must not end in /{last}, with which paths begin; write {root}")


def list_hop_by_hop(headers: Headers) -> set[str]:
    """Return the names of headers that must not be forwarded."""
    named = [value for name, value in headers if name == "connection"]
    return {*_HOP_BY_HOP, *[name.strip().lower() for value in named for name in value.split(",")]}


def list_forwarded_headers(response: httpx2.Response) -> Headers:
    """Return the headers of a response that are forwarded to the client."""
    pairs = tuple([(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in response.headers.raw])
    dropped = list_hop_by_hop(pairs)
    return tuple([(name, value) for name, value in pairs if name not in dropped])


def has_dot_segments(path: str) -> bool:
    """Return whether a path has a segment `..`, however it is encoded."""
    for _ in range(_MAX_DECODINGS):
        decoded = unquote(path)
        if decoded == path:
            break
        path = decoded
    return ".." in re.split(r"[/\\;?#]", path)


def describe_error(error: Exception) -> str:
    """Return the message of an error, or its type's name if it has none."""
    return str(error) or type(error).__name__
