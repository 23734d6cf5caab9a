"""How a test reaches the control API of a mock: by a call within the process, or over HTTP.

Everything else of the vocabulary is the same for both.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol, TypeVar

import orjson

from aione_mock.errors import APIError, ScenarioError
from aione_mock.server.control.verify import Verifier
from aione_mock.server.pipeline import Pipeline
from aione_mock.server.replay import Replay
from aione_mock.types import Call, Json, Reply

T = TypeVar("T")
Reasons = dict[int, tuple[str, ...]]
"""What is against each call, by its number; nothing for those that count."""


class Channel(Protocol):
    """The control API of one server."""

    @property
    def url(self) -> str:
        """The server's root, without a slash at the end."""
        ...

    def ask(self, session: str, operation: str, data: Json = None, **params: Json) -> Json:
        """The answer of an operation of `openapi/control.yaml`. Raises ScenarioError with its refusal."""
        ...

    def weigh(self, session: str, when: Json, status: int | None) -> Reasons:
        """Every call of the session held against conditions. Raises ScenarioError for conditions that cannot be."""
        ...

    def replay(self, path: Path, *, only: bool) -> Callable[[str], None]:
        """What lets a cassette answer in the session of a name. Raises ConfigError for one that cannot be played."""
        ...

    def close(self) -> None:
        """Let go of what the channel holds."""
        ...


class Direct:
    """Calls the handlers of an application in this process; no byte goes over a wire."""

    def __init__(self, pipeline: Pipeline, url: str) -> None:
        self._pipeline, self.url = pipeline, url
        self._verifier = Verifier(pipeline)

    def ask(self, session: str, operation: str, data: Json = None, **params: Json) -> Json:
        """See `Channel`."""
        __tracebackhide__ = True
        meant = self._pipeline.contract.operations[operation]
        # an operation about all sessions is asked in the one that always is
        asked = self._pipeline.sessions.get("default" if "name" in params or operation == "createSession" else session)
        call = Call(meant, meant.method, meant.path, "", (), b"", "127.0.0.1", params=params, data=data)
        try:
            reply = _done(self._pipeline.handlers[operation](call, asked))
        except APIError as error:
            raise ScenarioError(error.message) from None
        body = reply.body if isinstance(reply, Reply) else None
        return orjson.loads(body) if isinstance(body, bytes) else body

    def weigh(self, session: str, when: Json, status: int | None) -> Reasons:
        """See `Channel`."""
        __tracebackhide__ = True
        looks = self._verifier.looks(when, status, self._pipeline.sessions.get(session))
        return {look.number: look.reasons for look in looks}

    def replay(self, path: Path, *, only: bool) -> Callable[[str], None]:
        """See `Channel`."""
        played = Replay.load(path, self._pipeline.contract, only=only)

        def begin(session: str) -> None:
            self._pipeline.sessions.get(session).replay = played

        return begin

    def close(self) -> None:
        """See `Channel`."""


def _done(work: Awaitable[T]) -> T:
    """The result of a coroutine that never waits, as those of the control API do not."""
    try:
        next(work.__await__())
    except StopIteration as done:
        result: T = done.value
        return result
    raise RuntimeError("the control API waited for something")
