"""Clients for the control API of a mock: by function call within the process, or over HTTP.

`InProcessControlClient` is here; `http_control_client` is imported only where a URL is given, because httpx2 is slow
to import.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import Protocol, TypeVar

import orjson

from aione_mock.errors import APIError, ScenarioError
from aione_mock.server.control.verify import Verifier
from aione_mock.server.pipeline import Pipeline
from aione_mock.server.replay import Replay
from aione_mock.types import Call, Json, Reply

T = TypeVar("T")
MismatchReasons = dict[int, tuple[str, ...]]
"""For each call, by its number, the reasons why it does not match; empty for a call that matches."""


class ControlClient(Protocol):
    """The control API of one server."""

    @property
    def url(self) -> str:
        """The server's root, without a trailing slash."""
        ...

    def request(self, session: str, operation: str, data: Json = None, **params: Json) -> Json:
        """Call an operation of `openapi/control.yaml` and return its answer. Raises ScenarioError if it is refused."""
        ...

    def explain_matches(self, session: str, when: Json, status: int | None) -> MismatchReasons:
        """Compare every call of the session with conditions. Raises ScenarioError for conditions that are not valid."""
        ...

    def play_cassette(self, session: str, path: Path, *, only: bool) -> None:
        """Answer calls of the session from a cassette. Raises ConfigError if it cannot be played."""
        ...

    def close(self) -> None:
        """Release the connections."""
        ...


class InProcessControlClient:
    """Control an application that runs in this process, without sending bytes."""

    def __init__(self, pipeline: Pipeline, url: str) -> None:
        self._pipeline, self.url = pipeline, url
        self._verifier = Verifier(pipeline)

    def request(self, session: str, operation: str, data: Json = None, **params: Json) -> Json:
        """See `ControlClient`."""
        __tracebackhide__ = True
        # an operation on sessions by name runs in the one that always exists
        about_sessions = "name" in params or operation == "createSession"
        return self._send("default" if about_sessions else session, operation, data, params)

    def _send(self, session: str, operation_id: str, data: Json, params: Mapping[str, Json]) -> Json:
        """Run one operation. This is the only place that knows how the application is called."""
        __tracebackhide__ = True
        operation = self._pipeline.contract.operations[operation_id]
        call = Call(operation, operation.method, operation.path, "", (), b"", "127.0.0.1", params=params, data=data)
        try:
            reply = _run_now(self._pipeline.handlers[operation_id](call, self._pipeline.sessions.get(session)))
        except APIError as error:
            raise ScenarioError(error.message) from None
        body = reply.body if isinstance(reply, Reply) else None
        return orjson.loads(body) if isinstance(body, bytes) else body

    def explain_matches(self, session: str, when: Json, status: int | None) -> MismatchReasons:
        """See `ControlClient`."""
        __tracebackhide__ = True
        looks = self._verifier.looks(when, status, self._pipeline.sessions.get(session))
        return {look.number: look.reasons for look in looks}

    def play_cassette(self, session: str, path: Path, *, only: bool) -> None:
        """See `ControlClient`."""
        replay = Replay.load(path, self._pipeline.contract, only=only)
        self._pipeline.sessions.get(session).replay = replay

    def close(self) -> None:
        """See `ControlClient`."""


def _run_now(awaitable: Awaitable[T]) -> T:
    """Run a coroutine that never suspends, as those of the control API do not, and return its result."""
    try:
        next(awaitable.__await__())
    except StopIteration as stopped:
        result: T = stopped.value
        return result
    raise RuntimeError("a handler of the control API suspended")
