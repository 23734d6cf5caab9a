"""Send requests to the control API, over HTTP or within the process."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

import httpx2
import orjson

from aione_mock.contract import Operation
from aione_mock.contract.loading import load_contract
from aione_mock.errors import ConfigError, ScenarioError
from aione_mock.settings import locate_document
from aione_mock.structs import frozen
from aione_mock.text.addresses import parse_base_url
from aione_mock.text.credentials import CredentialMask, make_bearer_header
from aione_mock.types import Json

_TIMEOUT = 30.0
"""Seconds."""


class _Unreachable(ScenarioError):
    """Nothing answers at the URL."""


@frozen
class ControlRequest:
    """What to ask an operation."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Json = None
    session: str = "default"


class ControlAPI:
    """Call the operations of `openapi/control.yaml` on one mock."""

    def __init__(self, url: str, token: str | None = None, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        """`url` is the mock's root. With a `transport` into this process, it only names the mock."""
        self.url = parse_base_url(url, "the URL of the mock")
        self.operations: Mapping[str, Operation] = load_contract([locate_document("control.yaml")]).operations
        self._headers = {} if token is None else make_bearer_header(token, "the control token")
        self._mask = CredentialMask([token] if token else [])
        self._transport = transport
        # reads the certificates of the system, which calls within the process do without
        self._tls = httpx2.create_ssl_context(trust_env=False) if transport is None else True

    async def call(self, operation: str, request: ControlRequest) -> Json:
        """Return the answer of an operation. Raises ScenarioError with the message of a refusal."""
        target = self.operations[operation]
        content = None if request.body is None else orjson.dumps(request.body)
        headers = {"x-mock-session": quote(request.session)}  # names that need it are refused
        if content is not None:
            headers["content-type"] = "application/json"
        path = target.path.format(**{name: quote(value, safe="") for name, value in request.path.items()})
        response = await self._send(target.method, path, params=request.query, content=content, headers=headers)
        return _parse_answer(response) if response.content else {"done": True}

    async def read_document(self, path: str) -> str:
        """Return what the mock answers at a path. Raises ScenarioError."""
        response = await self._send("GET", path)
        return response.text

    async def check_reachable(self) -> None:
        """Raise ConfigError if no mock answers."""
        try:
            answer = _parse_answer(await self._send("GET", self.operations["getHealth"].path))
            if not isinstance(answer, dict) or "uptime_seconds" not in answer:
                raise ScenarioError("it is another server")
        except _Unreachable as error:
            raise ConfigError(f"{error}; start one with `aione-mock serve`") from None
        except ScenarioError as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"{self.url} is no aione-mock: {reason}") from None

    async def _send(self, method: str, path: str, **options: Json) -> httpx2.Response:
        headers = {**self._headers, **options.pop("headers", {})}
        try:
            async with self._open_client() as client:
                response = await client.request(method, path, headers=headers, **options)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise _Unreachable(f"no mock answers at {self.url}: {error}") from None
        if response.status_code >= 400:
            raise ScenarioError(self._mask.mask_text(_read_message(response)))
        return response

    def _open_client(self) -> httpx2.AsyncClient:
        # a connection of its own for each call: the tools of one process may run in several event loops
        return httpx2.AsyncClient(
            base_url=self.url, verify=self._tls, transport=self._transport, trust_env=False, timeout=_TIMEOUT
        )


def _parse_answer(response: httpx2.Response) -> Json:
    try:
        return orjson.loads(response.content)
    except orjson.JSONDecodeError:
        raise ScenarioError(f"it answers HTTP {response.status_code} without JSON") from None


def _read_message(response: httpx2.Response) -> str:
    try:
        message = str(orjson.loads(response.content)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        message = response.text[:200]
    return message if response.status_code < 500 else f"HTTP {response.status_code} from the mock: {message}"
