"""What can be read from a request alone: pure functions of its bytes, so whoever asks again finds them ready.

Nothing here looks at a session, a clock or a store.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aione_mock.contract import Contract, Operation
from aione_mock.determinism import Seed
from aione_mock.exceptions import APIError
from aione_mock.exchange import RawHeaders, header
from aione_mock.journal import Asked, credentials, head_size, kept_request, mask_text, safe_headers
from aione_mock.store import Memo
from aione_mock.values import frozen
from aione_mock.wire import announced

Json = Any
_REQUESTS = Seed.of("request")
_SESSION_PATH, _CONTROL_PATH = b"/_session/", "/_mock/"
_REMEMBERED = 512
"""Requests, heads and places that are kept read."""
_LONGEST = 4096
"""Bytes of the longest body that is kept with what was read from it."""


class Sender:
    """What the head of a request says beside its credentials. Two are the same only if they are one."""

    __slots__ = ("explain", "forwarded", "kept", "length", "media_type", "scenario", "secrets", "session", "size")

    def __init__(self, headers: RawHeaders) -> None:
        self.session = header(headers, b"x-mock-session") or ""
        self.scenario = header(headers, b"x-mock-scenario")
        self.explain = header(headers, b"x-mock-explain") is not None
        self.media_type = header(headers, b"content-type")
        self.length = announced(headers)
        self.forwarded = (header(headers, b"x-forwarded-for") or "").rpartition(",")[2].strip()
        self.kept = safe_headers(headers)
        self.size = head_size(self.kept)
        self.secrets = credentials(headers)


@frozen
class Target:
    """Where a method and a path lead."""

    path: str
    """Percent-encoded as it came, without the session that it may begin with."""
    session: str
    """The session that the path names, or nothing."""
    operation: Operation | None
    params: Mapping[str, str]
    dialect: str
    """Whose envelope a refusal has, known even where no operation is meant."""
    allowed: tuple[str, ...]
    """Methods that the path takes."""

    @property
    def of_the_server(self) -> bool:
        """Whether the path is of the control API and about no single session, so that naming one makes none."""
        if self.operation is None or not self.path.startswith(_CONTROL_PATH):
            return False
        return all(parameter.name != "X-Mock-Session" for parameter in self.operation.parameters)

    def meant(self, method: str) -> Operation:
        """The operation. Raises APIError `not_found` or `method_not_allowed`."""
        if self.operation is not None:
            return self.operation
        if not self.allowed:
            raise APIError("not_found", f"Unknown path {mask_text(self.path[:200])}. See `aione-mock spec routes`.")
        allowed = ", ".join(self.allowed)
        message = f"{method} is not allowed here; use {allowed}."
        raise APIError("method_not_allowed", message, headers={"allow": allowed})


@frozen
class Question:
    """A request that its schemas have nothing against."""

    key: bytes
    """Equal for requests with the same method, path, query and body."""
    params: Mapping[str, Json]
    data: Json


class Reader:
    """Reads requests, and remembers what it has read. The memory is bounded and changes no answer."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._senders, self._targets = Memo(_REMEMBERED), Memo(_REMEMBERED)
        self._questions, self._kept = Memo(_REMEMBERED), Memo(_REMEMBERED)

    def sender(self, headers: RawHeaders) -> Sender:
        """What the head of a request says."""
        head = tuple(headers)
        known: Sender | None = self._senders.get(head)
        if known is None:
            known = Sender(head)
            self._senders.put(head, known)
        return known

    def target(self, method: str, path: bytes) -> Target:
        """Where a request leads; `path` is percent-encoded."""
        place = (method, path)
        known: Target | None = self._targets.get(place)
        if known is None:
            known = self._target(method, path)
            if len(path) <= _LONGEST:
                self._targets.put(place, known)
        return known

    def _target(self, method: str, raw: bytes) -> Target:
        name = b""
        if raw.startswith(_SESSION_PATH):
            name, _, rest = raw[len(_SESSION_PATH) :].partition(b"/")
            raw = b"/" + rest
        path = raw.decode("latin-1")
        match = self._contract.match(path)
        operation = match.operations.get(method)
        near = operation or next(iter(match.operations.values()), None)
        dialect = near.dialect if near else self._contract.dialect_of(path)
        return Target(path, name.decode("latin-1"), operation, match.params, dialect, tuple(sorted(match.operations)))

    def question(self, place: tuple[Any, ...]) -> Question | None:
        """What was found out about a request that came before; `place` is all that its schemas look at."""
        known: Question | None = self._questions.get(place)
        return known

    def remember(self, place: tuple[Any, ...], body: bytes, question: Question) -> None:
        """Keep what was found out, unless the body is long."""
        if len(body) <= _LONGEST:
            self._questions.put(place, question)

    @staticmethod
    def key(method: str, path: str, query: str, body: bytes) -> bytes:
        """The digest of a request."""
        return _REQUESTS.digest(method, path, query, body)

    def kept(self, method: str, target: Target, query: str, body: bytes, sender: Sender) -> Asked:
        """The request as the journal keeps it, masked and bounded."""
        place = (method, target.path, query, body, sender)
        known: Asked | None = self._kept.get(place)
        if known is None:
            head = sender.kept, sender.size, sender.secrets
            known = kept_request(target.operation, method, target.path, query, *head, body)
            if len(body) <= _LONGEST:
                self._kept.put(place, known)
        return known
