"""A client for the control API of a mock that runs elsewhere, over HTTP."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import httpx2
import orjson

from aione_mock.contract.loading import load_contract
from aione_mock.errors import ConfigError, ScenarioError
from aione_mock.settings import document_path
from aione_mock.testing.control_client import MismatchReasons
from aione_mock.types import Json

_MORE_CALLS_THAN_POSSIBLE = 1 << 40


class HttpControlClient:
    """Control a mock over HTTP. Raises ConfigError if no mock answers at `url`."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._operations = load_contract([document_path("control.yaml")]).operations
        # ignore proxy settings of the environment
        self._http = httpx2.Client(base_url=self.url, trust_env=False, timeout=10)
        try:
            self._http.get(self._operations["getHealth"].path).raise_for_status()
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            self._http.close()
            raise ConfigError(f"no mock answers at {url}: {error}; start one with `aione-mock serve`") from None

    def request(self, session: str, operation: str, data: Json = None, **params: Json) -> Json:
        """See `ControlClient`."""
        __tracebackhide__ = True
        target = self._operations[operation]
        about_sessions = "name" in params or operation == "createSession"
        in_path = {name: quote(str(params.pop(name)), safe="") for name in list(params) if f"{{{name}}}" in target.path}
        response = self._http.request(
            target.method,
            target.path.format(**in_path),
            params=params,
            content=None if data is None else orjson.dumps(data),
            headers={} if about_sessions else {"x-mock-session": session},
        )
        if response.is_error:
            raise ScenarioError(_error_message(response))
        return orjson.loads(response.content) if response.content else None

    def explain_matches(self, session: str, when: Json, status: int | None) -> MismatchReasons:
        """See `ControlClient`; over HTTP only the nearest misses come with reasons."""
        # the answer holds the nearest misses only if too few calls match
        expected = {"when": when, "at_least": _MORE_CALLS_THAN_POSSIBLE} | (
            {} if status is None else {"status": status}
        )
        verdict = self.request(session, "verifyCalls", expected)
        reasons: MismatchReasons = dict.fromkeys(verdict["matches"], ())
        return reasons | {miss["number"]: tuple(miss["reasons"]) for miss in verdict["nearest"]}

    def play_cassette(self, session: str, path: Path, *, only: bool) -> None:
        """Raise ConfigError: a cassette can only be played by the process that reads it."""
        raise ConfigError(
            f"replay='{path.name}' needs a mock in the process of the test; leave out --aione-mock-url, "
            f"or start that mock with `aione-mock serve --replay {path.name}` and leave out replay"
        )

    def close(self) -> None:
        """See `ControlClient`."""
        self._http.close()


def _error_message(response: httpx2.Response) -> str:
    try:
        message = str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        message = response.text[:200]
    return message if response.status_code < 500 else f"HTTP {response.status_code} from the mock: {message}"
