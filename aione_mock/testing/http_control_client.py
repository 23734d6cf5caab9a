"""The control API of a mock that runs elsewhere, over HTTP. Loaded when one is named: httpx2 takes its time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import httpx2
import orjson

from aione_mock.contract.loading import load_contract
from aione_mock.errors import ConfigError, ScenarioError
from aione_mock.settings import document_path
from aione_mock.testing.control_client import Reasons
from aione_mock.types import Json


class Remote:
    """Speaks HTTP to a mock that runs elsewhere. Raises ConfigError when none answers at `url`."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._operations = load_contract([document_path("control.yaml")]).operations
        # a proxy of the machine has no business between a test and its mock
        self._http = httpx2.Client(base_url=self.url, trust_env=False, timeout=10)
        try:
            self._http.get(self._operations["getHealth"].path).raise_for_status()
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            self._http.close()
            raise ConfigError(f"no mock answers at {url}: {error}; start one with `aione-mock serve`") from None

    def ask(self, session: str, operation: str, data: Json = None, **params: Json) -> Json:
        """See `Channel`."""
        __tracebackhide__ = True
        meant = self._operations[operation]
        inside = {name: quote(str(params.pop(name)), safe="") for name in list(params) if f"{{{name}}}" in meant.path}
        general = "name" in inside or operation == "createSession"
        answer = self._http.request(
            meant.method,
            meant.path.format(**inside),
            params=params,
            content=None if data is None else orjson.dumps(data),
            headers={} if general else {"x-mock-session": session},
        )
        if answer.is_error:
            raise ScenarioError(_message(answer))
        return orjson.loads(answer.content) if answer.content else None

    def weigh(self, session: str, when: Json, status: int | None) -> Reasons:
        """See `Channel`; over HTTP only the nearest misses come with reasons."""
        # more calls than there can be: so the nearest misses are told
        wanted = {"when": when, "at_least": 1 << 40, **({} if status is None else {"status": status})}
        verdict = self.ask(session, "verifyCalls", wanted)
        found: Reasons = dict.fromkeys(verdict["matches"], ())
        return found | {miss["number"]: tuple(miss["reasons"]) for miss in verdict["nearest"]}

    def replay(self, path: Path, *, only: bool) -> Callable[[str], None]:
        """See `Channel`; a cassette is a matter of the process that plays it."""
        raise ConfigError(
            f"replay='{path.name}' needs a mock in the process of the test; leave out --aione-mock-url, "
            f"or start that mock with `aione-mock serve --replay {path.name}` and leave out replay"
        )

    def close(self) -> None:
        """See `Channel`."""
        self._http.close()


def _message(answer: httpx2.Response) -> str:
    try:
        message = answer.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = answer.text[:200]
    return f"{message}" if answer.status_code < 500 else f"HTTP {answer.status_code} from the mock: {message}"
