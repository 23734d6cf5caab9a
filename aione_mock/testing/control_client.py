"""Clients for the control API of a mock: within the process, or over HTTP.

`HttpControlClient` is in a module of its own, which is imported only where a URL is given: httpx2 is slow to import.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, urlencode

import orjson

from aione_mock.contract import Contract, Operation
from aione_mock.errors import ScenarioError
from aione_mock.server.app import Mock
from aione_mock.server.control.verify import Verifier
from aione_mock.server.http import Server
from aione_mock.server.replay import Replay
from aione_mock.tenant.organisation_file import SeededCredential, list_credentials
from aione_mock.testing.calls import RecordedCall
from aione_mock.types import Json

MismatchReasons = dict[int, tuple[str, ...]]
"""For each call, by its number, the reasons why it does not match; empty for a call that matches."""
_MORE_CALLS_THAN_POSSIBLE = 1 << 40


class ControlClient(ABC):
    """Send requests to the control API of one server."""

    def __init__(self, url: str, operations: Mapping[str, Operation]) -> None:
        self.url, self._operations = url, operations

    def read_call(self, session: str, number: int) -> RecordedCall:
        """Return a call of a session's journal by its number. Raises ScenarioError."""
        exchange = self.request(session, "getExchange", number=number)
        try:
            return RecordedCall.from_exchange(exchange)
        except (KeyError, TypeError, ValueError):
            raise ScenarioError(
                f"call {number} has another form than this version reads; use one version of aione-mock on both sides"
            ) from None

    def read_journal(self, session: str) -> Iterator[RecordedCall]:
        """Yield the calls that a session's journal holds, newest first. Raises ScenarioError."""
        page = self.request(session, "queryJournal", limit=1)
        newest = page["items"][0]["number"] if page["items"] else 0
        for number in range(newest, newest - page["held"], -1):
            yield self.read_call(session, number)

    def request(self, session: str, operation: str, data: Json = None, **params: Json) -> Json:
        """Call an operation of `openapi/control.yaml` and return its answer. Raises ScenarioError if it is refused."""
        __tracebackhide__ = True
        target = self._operations[operation]
        in_path = {name: quote(str(params.pop(name)), safe="") for name in list(params) if f"{{{name}}}" in target.path}
        body = b"" if data is None else orjson.dumps(data)
        status, answer = self._send(target.method, target.path.format(**in_path), urlencode(params), session, body)
        if status >= 400:
            raise ScenarioError(_read_error_message(status, answer))
        return orjson.loads(answer) if answer else None

    def replace_rules(self, session: str, rules: list[Mapping[str, Json]]) -> None:
        """Replace the rules of the session. Raises ScenarioError if one is not valid, and then changes nothing."""
        __tracebackhide__ = True
        self.request(session, "replaceRules", {"rules": rules})

    def explain_matches(self, session: str, when: Json, status: int | None) -> MismatchReasons:
        """Compare the calls of the session with conditions. Raises ScenarioError for conditions that are not valid.

        The control API gives reasons for the nearest misses only, and only if too few calls match.
        """
        __tracebackhide__ = True
        expected = {"when": when, "at_least": _MORE_CALLS_THAN_POSSIBLE} | (
            {} if status is None else {"status": status}
        )
        verdict = self.request(session, "verifyCalls", expected)
        reasons: MismatchReasons = dict.fromkeys(verdict["matches"], ())
        return reasons | {miss["number"]: tuple(miss["reasons"]) for miss in verdict["nearest"]}

    def list_credentials(self) -> tuple[SeededCredential, ...]:
        """Return the secrets of the organisations: the bundled ones, for a server whose own are not known here."""
        return list_credentials()

    @property
    @abstractmethod
    def contract(self) -> Contract:
        """The contract of the server, as far as it is known here."""

    @abstractmethod
    def _send(self, method: str, path: str, query: str, session: str, body: bytes) -> tuple[int, bytes]:
        """Send a request and return status and body of the answer."""

    @abstractmethod
    def play_cassette(self, session: str, path: Path, *, only: bool) -> None:
        """Answer calls of the session from a cassette. Raises ConfigError if it cannot be played."""

    @abstractmethod
    def close(self) -> None:
        """Release what the client holds."""


class InProcessControlClient(ControlClient):
    """Call the ASGI application of a server in this process, in that server's event loop."""

    def __init__(self, app: Mock, server: Server) -> None:
        super().__init__(server.url, app.contract.operations)
        self._app, self._server = app, server
        self._verifier = Verifier(app.pipeline.scenarios.compiler)

    @property
    def contract(self) -> Contract:
        """See `ControlClient`."""
        return self._app.contract

    def _send(self, method: str, path: str, query: str, session: str, body: bytes) -> tuple[int, bytes]:
        headers = [(b"x-mock-session", session.encode()), (b"content-length", b"%d" % len(body))]
        scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "headers": headers}
        return self._server.run(self._call_app({**scope, "query_string": query.encode()}, body))

    async def _call_app(self, scope: dict[str, Json], body: bytes) -> tuple[int, bytes]:
        sent: list[Json] = []

        async def receive() -> Json:
            return {"type": "http.request", "body": body}

        async def send(message: Json) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)

    def list_credentials(self) -> tuple[SeededCredential, ...]:
        """See `ControlClient`."""
        return self._app.sessions.world.list_credentials()

    def explain_matches(self, session: str, when: Json, status: int | None) -> MismatchReasons:
        """See `ControlClient`; the reasons for every call are known here."""
        __tracebackhide__ = True
        matches = self._verifier.match_exchanges(when, status, self._app.sessions.get(session))
        return {match.number: match.reasons for match in matches}

    def play_cassette(self, session: str, path: Path, *, only: bool) -> None:
        """See `ControlClient`."""
        self._app.sessions.get(session).replay = Replay(path, self._app.contract, only=only)

    def close(self) -> None:
        """Stop the server."""
        self._server.stop()


def _read_error_message(status: int, body: bytes) -> str:
    try:
        message = str(orjson.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        message = body.decode("utf-8", "replace")[:200]
    return message if status < 500 else f"HTTP {status} from the mock: {message}"
