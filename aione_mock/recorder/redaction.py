"""Redact exchanges before they are stored: credentials always, contents on request.

Text is replaced by text of the same length. The pieces of a stream can therefore be joined, redacted, and split again
at the same places. Redacting again changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from copy import copy
from typing import Any

import orjson

from aione_mock.contract import Contract
from aione_mock.recorder.cassette import Interaction, RecordedEvent, RecordedRequest, RecordedResponse
from aione_mock.recorder.json_style import STYLES, read_event, read_json
from aione_mock.recorder.placeholder import collect_constants, is_number_or_date, replace_event_line, replace_text
from aione_mock.text import sse
from aione_mock.text.credentials import (
    MASK,
    CredentialMask,
    fill_with_letters,
    is_secret_header,
    is_secret_member,
    list_presented,
)
from aione_mock.types import Headers, Json

_MIN_KEY_CHARS = 16
"""Minimum length of a member `key` without a space that is taken for a credential."""
_MASKED = re.compile(rb"(sk-nex-|nex-console-)x+|x{8,}")
_CONTENT_MEMBERS = frozenset(
    ("content", "text", "arguments", "thinking", "reasoning", "reasoning_content", "partial_json", "delta")
)
_PROTOCOL_MEMBERS = frozenset(
    ("id", "object", "type", "role", "model", "models", "models_allowed", "modelVersion", "status", "code", "param",
     "event", "key_prefix", "required", "format", "mimeType", "mime_type", "media_type", "finish_reason",
     "stop_reason", "timezone", "loc")
)  # fmt: skip
"""Members that name things of the protocol, and no content."""
_MODEL_PROTOCOLS = ("openai", "anthropic", "gemini")
Piece = tuple[Json, Any]
"""The object or list that holds a string of an event, and the string's key in it."""


def unify_masks(raw: bytes) -> bytes:
    """Return text with all masks alike, so that requests with keys of different lengths are the same."""
    return _MASKED.sub(lambda match: (match[1] or b"") + MASK.encode(), raw)


class Redactor:
    """Mask credentials, by their form or because a header presented them, and contents if asked to."""

    def __init__(self, contract: Contract, *, contents: bool = False) -> None:
        self.contents = contents
        self._mask = CredentialMask(fill=fill_with_letters)
        self.mask_text = self._mask.mask_text
        self._contract = contract
        self._constants: frozenset[str] = collect_constants(contract) if contents else frozenset()

    @property
    def credentials(self) -> tuple[str, ...]:
        """The credentials that it has learned."""
        return self._mask.known

    def copy_without_credentials(self) -> Redactor:
        """Return a redactor that has learned no credential."""
        other = copy(self)
        other._mask = CredentialMask(fill=fill_with_letters)
        other.mask_text = other._mask.mask_text
        return other

    def learn_credentials(self, headers: Headers, query: str) -> list[str]:
        """Learn the credentials that a request presents. Return those that were not masked until now."""
        return self._mask.learn(list_presented(headers, query))

    def redact_interaction(self, interaction: Interaction) -> Interaction:
        """Return an interaction as it may be stored."""
        return Interaction(
            request=self.redact_request(interaction.request),
            response=self._redact_response(interaction.response, interaction.request.operation),
            scenario=interaction.scenario,
            findings=tuple([self.mask_text(finding) for finding in interaction.findings]),
            timing=interaction.timing,
        )

    def redact_request(self, request: RecordedRequest) -> RecordedRequest:
        """Return a request as it may be stored."""
        return RecordedRequest(
            operation=request.operation,
            method=request.method,
            path=self.mask_text(request.path),
            query=self._mask.mask_parameters(request.query),
            headers=self._mask_headers(request.headers),
            body=self._redact_body(request.body, self._keeps_names(request.operation)),
        )

    def _mask_headers(self, headers: Headers) -> tuple[tuple[str, str], ...]:
        return tuple(
            [(name, _mask_header(value) if _is_secret(name) else self.mask_text(value)) for name, value in headers]
        )

    def _keeps_names(self, operation: str | None) -> bool:
        """Return whether a member `name` is a tool's or a model's, and not what people call a key or a team."""
        found = self._contract.operations.get(operation or "")
        return found is not None and found.protocol in _MODEL_PROTOCOLS

    def _redact_response(self, response: RecordedResponse, operation: str | None) -> RecordedResponse:
        keep_names, events = self._keeps_names(operation), response.events
        if events is not None:
            raws = self._redact_stream([event.raw for event in events], keep_names)
            events = tuple([RecordedEvent(at=e.at, raw=raw) for e, raw in zip(events, raws, strict=True)])
        return RecordedResponse(
            status=response.status,
            headers=self._mask_headers(response.headers),
            body=self._redact_body(response.body, keep_names),
            events=events,
            end=response.end,
            from_proxy=response.from_proxy,
        )

    def _redact_body(self, raw: bytes, keep_names: bool) -> bytes:
        known = read_json(raw)
        try:
            value = orjson.loads(raw)
            redacted = self._map_strings(value, "", lambda text, member: self._redact_string(text, member, keep_names))
            if redacted != value:
                return STYLES[known[1] if known else "compact"](redacted)
        except (ValueError, TypeError, RecursionError):
            # not JSON, or nested too deeply
            return self._redact_text(raw)
        # bytes that no style yields may hold more than their value, such as the same member twice
        return raw if known else self._redact_text(raw)

    def _redact_text(self, raw: bytes) -> bytes:
        raw = self._mask.mask_bytes(raw)
        if not self.contents:
            return raw
        lines = raw.decode("utf-8", "surrogateescape").splitlines(keepends=True)
        text = "".join([replace_event_line(line, self._constants) for line in lines])
        return text.encode("utf-8", "surrogateescape")

    def _map_strings(self, value: Json, member: str, change: Callable[[str, str], str]) -> Json:
        """Return JSON with `change(string, name of its member)` in place of each string."""
        if isinstance(value, str):
            return change(value, member)
        if isinstance(value, dict):
            return {self.mask_text(key): self._map_strings(item, key, change) for key, item in value.items()}
        if not isinstance(value, list):
            return value
        if self.contents and member == "bytes":  # those of a token, next to its log probability
            return [ord("x")] * len(value)
        return [self._map_strings(item, member, change) for item in value]

    def _redact_string(self, text: str, member: str, keep_names: bool) -> str:
        masked = self.mask_text(text)
        if is_secret_member(member) or (member == "key" and len(text) >= _MIN_KEY_CHARS and " " not in text):
            return masked if masked != text else "x" * len(text)
        return replace_text(masked) if self.contents and not self._is_no_content(masked, member, keep_names) else masked

    def _is_no_content(self, text: str, member: str, keep_names: bool) -> bool:
        """Return whether a string is an id, a number, a date, or a constant of the contract."""
        if member in _CONTENT_MEMBERS:
            return False
        if member in _PROTOCOL_MEMBERS or (keep_names and member == "name"):
            return True
        return member.endswith(("_id", "Id", "_ids", "Ids")) or text in self._constants or is_number_or_date(text)

    def _redact_stream(self, raws: list[bytes], keep_names: bool) -> list[bytes]:
        """Redact the events of a stream; a text is joined from the pieces in all events."""
        parsed = [_parse_event(raw) for raw in raws]
        texts: dict[tuple[Any, ...], list[Piece]] = {}
        before = [orjson.dumps(event[1]) if event else b"" for event in parsed]
        for event in filter(None, parsed):
            event[1] = self._map_strings(event[1], "", lambda text, _: self.mask_text(text))
            _collect_pieces(event[1], (), texts)
        for path, pieces in texts.items():
            member = next((step for step in reversed(path) if isinstance(step, str)), "")
            self._redact_pieces(pieces, member, keep_names)
        return [
            (raw if orjson.dumps(event[1]) == old else _serialize_event(event)) if event else self._redact_text(raw)
            for raw, event, old in zip(raws, parsed, before, strict=True)
        ]

    def _redact_pieces(self, pieces: list[Piece], member: str, keep_names: bool) -> None:
        texts = [holder[key] for holder, key in pieces]
        joined = "".join(texts)
        # an id or a constant that every event repeats is not a text in pieces
        repeated = all(self._is_no_content(text, member, keep_names) for text in set(texts))
        redacted = self.mask_text(joined) if repeated else self._redact_string(joined, member, keep_names)
        if redacted == joined:
            return
        start = 0
        for (holder, key), text in zip(pieces, texts, strict=True):
            holder[key] = redacted[start : start + len(text)]
            start += len(text)


def _is_secret(name: str) -> bool:
    return is_secret_header(name.encode("latin-1"))


def _mask_header(value: str) -> str:
    scheme, space, _ = value.partition(" ")
    return f"{scheme} {MASK}" if space and scheme.replace("-", "").isalnum() and "=" not in scheme else MASK


# --- streams


def _parse_event(raw: bytes) -> list[Any] | None:
    """Return [name, value, style] of an event with JSON in a usual style, else None."""
    event = read_event(raw)
    value = read_json(event[1].encode()) if event else None
    return [event[0], *value] if event and value else None


def _serialize_event(event: list[Any]) -> bytes:
    name, value, style = event
    return sse.encode(STYLES[style](value), name.encode() if name else None)


def _collect_pieces(value: Json, path: tuple[Any, ...], texts: dict[tuple[Any, ...], list[Piece]]) -> None:
    """Collect every string of an event under the path that the pieces of a text have in common."""
    if isinstance(value, dict):
        path = (*path, value["index"]) if type(value.get("index")) is int else path
        steps: Iterable[tuple[Any, Any]] = value.items()
    elif isinstance(value, list):
        steps = enumerate(value)
    else:
        return
    for key, item in steps:
        indexed = isinstance(value, list) and isinstance(item, dict) and type(item.get("index")) is int
        here = path if indexed else (*path, key)
        if isinstance(item, str):
            texts.setdefault(here, []).append((value, key))
        else:
            _collect_pieces(item, here, texts)
