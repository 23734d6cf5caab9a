"""What can be read from a request alone: pure functions of its bytes, so whoever asks again finds them ready.

Nothing here looks at a session, a clock or a store.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import orjson

from aione_mock import protocols
from aione_mock.asgi import Connection, Scope, announced, split_session
from aione_mock.contract import Contract
from aione_mock.errors import APIError
from aione_mock.seed import Seed
from aione_mock.server.journal import Asked, credentials, head_size, kept_body, mask_query, mask_text, safe_headers
from aione_mock.store import Memo
from aione_mock.structs import frozen
from aione_mock.types import Json, RawHeaders, header

_REQUESTS = Seed.of("request")
_CONTROL_PATH = "/_mock/"
_REMEMBERED = 512
"""Requests and heads that are kept read."""
_LONGEST = 4096
"""Bytes of the longest head, and of the longest body, that is kept with what was read from it."""
_TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.S)
PROBE = "\0 other words \n😀"
_PROBES = ("", PROBE, PROBE * 1000)
"""Texts of which a schema that looks at texts would like one less than the others."""


class Head:
    """What a request says before its body, and where it leads. Two are the same only if they are one."""

    kind: object = None
    """The same for heads that differ in the length of a body alone; nothing for one that is not kept."""

    def __init__(self, contract: Contract, method: str, raw_path: bytes, query: bytes, headers: RawHeaders) -> None:
        """`raw_path`: percent-encoded, with the session that it may begin with."""
        named, path = split_session(raw_path.decode("latin-1"))
        match = contract.match(path)
        near = match.operations.get(method) or next(iter(match.operations.values()), None)
        self.method, self.path, self.query, self.headers = method, path, query.decode("latin-1"), headers
        self.operation, self.params = match.operations.get(method), match.params
        self.protocol = near.protocol if near else contract.find_protocol(path)
        """Whose envelope a refusal has, known even where no operation is meant."""
        self.allowed = tuple(sorted(match.operations))
        self.session = "" if self._of_the_server else header(headers, b"x-mock-session") or named
        """The session that is named, or nothing."""
        self.seed = _REQUESTS.child(method, path, self.query)
        self.scenario = header(headers, b"x-mock-scenario")
        self.explain = header(headers, b"x-mock-explain") is not None
        self.media_type = header(headers, b"content-type")
        self.words = protocols.WORDS.get(near.protocol) if near and near.paid else None
        """The member of the body whose last text may be the only difference to other requests."""
        self.length = announced(headers)
        self.forwarded = (header(headers, b"x-forwarded-for") or "").rpartition(",")[2].strip()
        self.secrets = credentials(headers)
        self.presented: tuple[tuple[str, str], ...] | None = None
        """Each credential, with the scheme that it came by, once `access` has looked."""
        self.kept = mask_text(path), mask_query(self.query), safe_headers(headers)
        """Path, query and headers as the journal keeps them."""
        self.size = head_size(*self.kept)

    def header(self, name: str) -> str | None:
        """The first value of a header, by its lower-case name."""
        return header(self.headers, name.encode())

    @property
    def _of_the_server(self) -> bool:
        """Whether the path is of the control API and about no single session, so that naming one makes none."""
        if self.operation is None or not self.path.startswith(_CONTROL_PATH):
            return False
        return all(parameter.name != "X-Mock-Session" for parameter in self.operation.parameters)

    def unmeant(self) -> APIError:
        """Why there is no operation: `not_found` or `method_not_allowed`."""
        if not self.allowed:
            return APIError("not_found", f"Unknown path {mask_text(self.path[:200])}. See `aione-mock spec routes`.")
        allowed = ", ".join(self.allowed)
        message = f"{self.method} is not allowed here; use {allowed}."
        return APIError("method_not_allowed", message, headers={"allow": allowed})


class Form:
    """What valid requests have in common that differ in one text alone, the last one of its kind in their bodies.

    The same form is the same object. Whatever the text, the contract has nothing against such a request.
    """

    __slots__ = ("clean", "other", "params", "read")

    def __init__(self, params: Mapping[str, Json], read: Callable[[bytes], Json], other: Json, clean: bool) -> None:
        """`read` makes a body JSON in the contract's spelling; `clean`: without its text it holds no credential."""
        self.params, self.read, self.clean = params, read, clean
        self.other = other
        """The JSON of a request of the form whose text is `PROBE`."""


@frozen
class Question:
    """A whole request."""

    key: bytes
    """Equal for requests with the same method, path, query and body."""
    asked: Asked
    """As the journal keeps it."""
    params: Mapping[str, Json]
    data: Json
    valid: bool = False
    """Whether its schemas are known to have nothing against it; `params` and `data` are empty until then."""
    form: Form | None = None
    """Its form, if that is known."""
    words: str = ""
    """The text in which it differs from others of its form."""


class Reader:
    """Reads requests, and remembers what it has read. The memory is bounded and changes no answer."""

    def __init__(self, contract: Contract, *, known: bool = True) -> None:
        """`known`: whether the contract is ours, whose schemas have nothing against a text but its length."""
        self._contract, self._known = contract, known
        self._heads, self._questions = Memo(_REMEMBERED), Memo(_REMEMBERED)
        self._kinds, self._forms, self._tried = Memo(_REMEMBERED), Memo(_REMEMBERED), Memo(_REMEMBERED)

    def head(self, scope: Scope, connection: Connection | None = None) -> Head:
        """What the head of a request says."""
        known: Head | None = connection.known.get(self) if connection is not None else None
        if known is None:
            raw_path = scope.get("raw_path") or scope["path"].encode()
            known = self._head(scope["method"], raw_path, scope["query_string"], tuple(scope["headers"]))
            if connection is not None:
                connection.known[self] = known
        return known

    def _head(self, method: str, raw_path: bytes, query: bytes, headers: RawHeaders) -> Head:
        place = method, raw_path, query, headers
        known: Head | None = self._heads.get(place)
        if known is None:
            known = Head(self._contract, *place)
            if known.size <= _LONGEST:
                same = method, raw_path, query, tuple([header for header in headers if header[0] != b"content-length"])
                known.kind = self._kinds.get(same)
                if known.kind is None:
                    known.kind = object()
                    self._kinds.put(same, known.kind)
                self._heads.put(place, known)
        return known

    def question(self, head: Head, body: bytes) -> Question:
        """A head with its body."""
        known: Question | None = self._questions.get((head, body))
        if known is not None:
            return known
        key = head.seed.hashed(b"request", body)
        form, words = self._form(head, body)
        if form is None:
            return Question(key, _asked(head, *kept_body(body, head.secrets)), {}, None)
        # there is no credential without a hyphen, and nothing that is spelled otherwise without an escape
        plain = form.clean and "-" not in words and body.find(b"\\") < 0
        kept = (body, False) if plain else kept_body(body, head.secrets)
        return Question(key, _asked(head, *kept), form.params, form.read(body), True, form, words)

    def _form(self, head: Head, body: bytes) -> tuple[Form | None, str]:
        """The form of a request, if it is known, and its text."""
        if (span := _span(head, body)) is None:
            return None, ""
        start, end = span
        form: Form | None = self._forms.get((head.kind, body[:start], body[end:]))
        if form is None:
            return None, ""
        try:
            return form, orjson.loads(body[start:end])
        except orjson.JSONDecodeError:  # such as a bare line end
            return None, ""

    def learn(
        self,
        head: Head,
        body: bytes,
        params: Mapping[str, Json],
        read: Callable[[bytes], Json],
        sound: Callable[[bytes], bool],
    ) -> None:
        """Take note of a valid request whose form is not known.

        `read` makes such a body JSON in the contract's spelling, `sound` tells whether one is valid.
        """
        if not self._known or (span := _span(head, body)) is None:
            return
        start, end = span
        before, after = body[:start], body[end:]
        place = head.kind, before, after
        # most forms never come again, so only the second time is worth the trials and the room
        tried: bool | None = self._tried.get(place)
        if tried is None:
            self._tried.put(place, False)
        elif not tried:
            self._tried.put(place, True)
            others = [before + orjson.dumps(probe) + after for probe in _PROBES]
            if all(map(sound, others)):
                clean = not head.secrets and kept_body(others[0], ()) == (others[0], False)
                self._forms.put(place, Form(params, read, read(others[1]), clean))

    def remember(self, head: Head, body: bytes, question: Question) -> None:
        """Keep what was found out, unless head or body are long."""
        if head.kind is not None and len(body) <= _LONGEST:
            self._questions.put((head, body), question)


def _asked(head: Head, kept: bytes, truncated: bool) -> Asked:
    path, query, headers = head.kept
    return Asked(head.operation, head.method, path, query, headers, kept, truncated, head.size + len(kept))


def _span(head: Head, body: bytes) -> tuple[int, int] | None:
    """Where the text stands that may be the only difference to other requests, with its quotes."""
    if head.words is None or head.kind is None or len(body) > _LONGEST or (at := body.rfind(head.words)) < 0:
        return None
    start = at + len(head.words)
    if body[start : start + 1] == b" ":
        start += 1
    end = body.find(b'"', start + 1) + 1
    if body[start : start + 1] != b'"' or not end:
        return None
    if body.find(b"\\", start, end) < 0:
        return start, end
    # a quote behind a backslash ends nothing
    found = _TEXT.match(body, start)
    return found.span() if found else None
