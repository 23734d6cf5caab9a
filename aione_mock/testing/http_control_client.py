"""A client for the control API of a mock that runs elsewhere, over HTTP."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx2

from aione_mock.contract import Contract
from aione_mock.contract.loading import load_contract
from aione_mock.errors import ConfigError
from aione_mock.settings import DOCUMENTS, locate_document
from aione_mock.testing.control_client import ControlClient
from aione_mock.text.addresses import parse_base_url
from aione_mock.text.credentials import CredentialMask, make_bearer_header


class HttpControlClient(ControlClient):
    """Control a mock over HTTP. Raises ConfigError if no mock answers at `url`."""

    def __init__(self, url: str, token: str | None = None) -> None:
        super().__init__(
            parse_base_url(url, "the URL of the mock"), load_contract([locate_document("control.yaml")]).operations
        )
        # ignore proxy settings of the environment
        headers = {} if token is None else make_bearer_header(token, "the control token")
        self._http = httpx2.Client(base_url=self.url, headers=headers, trust_env=False, timeout=10)
        self._mask = CredentialMask([token] if token else [])
        path = self._operations["getHealth"].path
        try:
            status = self._http.get(path).status_code
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            self._http.close()
            raise ConfigError(f"no mock answers at {url}: {error}; start one with `aione-mock serve`") from None
        if status >= 400:
            self._http.close()
            raise ConfigError(f"{url} is no aione-mock: it answers {status} to {path}{_suggest_base(self.url)}")

    def _send(self, method: str, path: str, query: str, session: str, body: bytes) -> tuple[int, bytes]:
        url = f"{path}?{query}" if query else path
        # names that need quoting are refused
        response = self._http.request(method, url, content=body, headers={"x-mock-session": quote(session)})
        # an answer that refuses may quote the request, and is shown
        content = response.content if response.status_code < 400 else self._mask.mask_bytes(response.content)
        return response.status_code, content

    def play_cassette(self, session: str, path: Path, *, only: bool) -> None:
        """Raise ConfigError: a cassette can only be played by the process that reads it."""
        raise ConfigError(
            f"replay='{path.name}' needs a mock in the process of the test; leave out --aione-mock-url, "
            f"or start that mock with `aione-mock serve --replay {path.name}` and leave out replay"
        )

    @cached_property
    def contract(self) -> Contract:
        """See `ControlClient`. Overlays of the server are not known here."""
        return load_contract([locate_document(name) for name in DOCUMENTS])

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


def _suggest_base(url: str) -> str:
    """Return what to change in a URL with a path; the mock's own API is not below /v1."""
    path = urlsplit(url).path
    return f"; the URL should not end in {path}" if path else ""
