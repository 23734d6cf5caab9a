"""Answer with what the request header `Prefer` chooses: a documented example, a status, or a generated body.

Precedence: a reply or an error of `X-Mock-Scenario`, then `Prefer`, then rules.
Source: RFC 7240; Prism documentation, "HTTP Mocking".
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from aione_mock import protocols
from aione_mock.contract import STREAM, Operation
from aione_mock.errors import APIError, MockError, did_you_mean
from aione_mock.protocols.errors import DEFAULT_HEADERS, set_request_id
from aione_mock.server.handlers.from_schema import find_first_example, generate_body, generate_headers
from aione_mock.server.match_context import asks_for_stream
from aione_mock.server.sessions import Session
from aione_mock.structs import frozen, replace
from aione_mock.types import Call, Headers, Json, RawHeaders, Reply, StreamReply, clean_header_value

_ITEM = re.compile(r'(?:[^,;"]|"(?:[^"\\]|\\.)*"?)+')
"""A preference or a parameter of one, which counts as one too."""
_TOKEN = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)
_DYNAMIC = {"true": True, "false": False}


@frozen
class Preferences:
    """What a request prefers. Other preferences are ignored, as RFC 7240 asks."""

    code: str | None = None
    """The status."""
    example: str | None = None
    """The name of an example."""
    dynamic: bool = False
    """Whether the body is generated from its schema."""

    @classmethod
    def read(cls, headers: RawHeaders) -> Preferences | None:
        """Return the preferences of a request; None if it has none of these. Raises APIError `invalid_request`."""
        given: dict[str, str] = {}
        for item in _ITEM.findall(",".join([value.decode("latin-1") for name, value in headers if name == b"prefer"])):
            name, _, value = item.partition("=")
            given.setdefault(name.strip().lower(), _unquote(value.strip()))
        dynamic = given.get("dynamic", "false").lower()
        if dynamic not in _DYNAMIC:
            raise _refuse("dynamic", dynamic, _DYNAMIC)
        found = cls(given.get("code"), given.get("example"), _DYNAMIC[dynamic])
        return None if found == _NONE else found

    @property
    def applied(self) -> Headers:
        """The header that says what was applied."""
        values = {"code": self.code, "example": self.example, "dynamic": "true" if self.dynamic else None}
        items = [f"{name}={_quote(value)}" for name, value in values.items() if value is not None]
        return (("preference-applied", ", ".join(items)),)

    def mark(self, reply: Reply | StreamReply) -> Reply | StreamReply:
        """Return a reply with the header that says what was applied."""
        return replace(reply, headers=(*reply.headers, *self.applied))

    def choose_reply(self, call: Call, session: Session) -> Reply | StreamReply | None:
        """Return the answer that is asked for, None for the ordinary one.

        Raises APIError `invalid_request`, which names the choices, for a status or an example that does not exist.
        """
        operation = call.operation
        statuses = [status for status in operation.responses if status.isdigit()]
        if self.code is not None and self.code not in statuses:
            raise _refuse("code", self.code, statuses, operation)
        status = self.code or str(operation.success)
        if self.example is not None:
            status, value = self._find_example(operation, statuses)
        elif self.dynamic:
            value = _generate_body(call, status, session)
        elif status == str(operation.success):
            return None
        else:
            value = _find_first_example(call, status, session)
        code = int(status)
        if code < 300 and asks_for_stream(call):
            return _answer_stream(call, code, None if self.dynamic else value)
        seed = session.seed.child("prefer", operation.id, call.token)
        headers = {**dict(generate_headers(operation, code, seed)), **_find_default_headers(operation, code)}
        return _answer_plain(call, code, value, tuple(headers.items()))

    def _find_example(self, operation: Operation, statuses: list[str]) -> tuple[str, Json]:
        """Return the status and the value of the example, that of the success before those of errors."""
        success = str(operation.success)
        searched = [self.code] if self.code else sorted(statuses, key=lambda status: (status != success, status))
        found = {
            name: (status, example["value"])
            for status in reversed(searched)
            for name, example in _find_media(operation, status)[1].get("examples", {}).items()
        }
        if self.example not in found:
            raise _refuse("example", str(self.example), found, operation)
        return found[self.example]


_NONE = Preferences()


def _find_media(operation: Operation, status: str) -> tuple[str, Mapping[str, Any]]:
    """Return the first media type of a plain answer, and what the contract says about it."""
    content = operation.responses[status].get("content", {})
    return next(((name, media) for name, media in content.items() if name != STREAM), ("application/json", {}))


def _find_first_example(call: Call, status: str, session: Session) -> Json:
    """Return the first example of a status; without one, a generated body."""
    example = find_first_example(_find_media(call.operation, status)[1])
    return example[0] if example else _generate_body(call, status, session)


def _generate_body(call: Call, status: str, session: Session) -> Json:
    """Return a body that the schema of a status allows, another one for each request; None without a schema."""
    operation, media = call.operation, _find_media(call.operation, status)[1]
    seed = session.seed.child("prefer", operation.id, call.token)
    try:
        return generate_body(operation, media, seed)
    except MockError as error:
        message = f"Prefer: dynamic=true: no body of {operation.id} can be generated: {error}"
        raise APIError("invalid_request", message, fields={"param": "Prefer"}) from None


def _find_default_headers(operation: Operation, status: int) -> dict[str, str]:
    declared = operation.response_headers.get(status, frozenset())
    return {name: value for name, value in DEFAULT_HEADERS.items() if name in declared}


def _answer_stream(call: Call, status: int, value: Json) -> StreamReply:
    split = protocols.STREAM_SPLITTERS.get(call.operation.prompt_format)
    events = None
    with contextlib.suppress(KeyError, TypeError, AttributeError):  # an overlay may allow answers of other shapes
        events = split(value, call) if split and value is not None else None
    if events is None:
        message = "Prefer: this answer cannot be streamed; ask without a stream."
        raise APIError("invalid_request", message, fields={"param": "Prefer"})
    return StreamReply(events, status=status)


def _answer_plain(call: Call, status: int, value: Json, headers: Headers) -> Reply:
    media_type, media = _find_media(call.operation, str(status))
    if not media or not media_type.endswith("json"):
        return Reply(str("" if value is None else value).encode(), status, headers, media_type)
    if status >= 400 and isinstance(value, dict):
        value = set_request_id(value, call.request_id)
    return Reply(value, status, headers)


def _refuse(name: str, value: str, choices: Iterable[str], operation: Operation | None = None) -> APIError:
    known = [*choices]
    of = f" of {operation.id}" if operation else ""
    remedy = did_you_mean(value, known) or "."
    message = f"Prefer: {name}={_quote(value[:80])} is none{of}{remedy} Choose from {', '.join(known) or 'nothing'}."
    return APIError("invalid_request", message, fields={"param": "Prefer"})


def _quote(value: str) -> str:
    """Return a value as RFC 7240 writes it: in quotation marks unless it is a token."""
    if _TOKEN.fullmatch(value):
        return value
    return clean_header_value('"{}"'.format(value.replace("\\", "\\\\").replace('"', '\\"')))


def _unquote(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:].removesuffix('"')) if text.startswith('"') else text
