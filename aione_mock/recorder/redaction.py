"""What may be kept of an exchange: no credential ever and, on request, no content.

Both replace text by text of the same length, so that the pieces of a stream can be read together, replaced, and cut
apart again where they were cut before. Both leave alone what they made themselves.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable
from copy import copy
from typing import Any
from urllib.parse import parse_qsl

import orjson

from aione_mock import sse
from aione_mock.contract import Contract
from aione_mock.recorder.cassette import Answered, Asked, Interaction
from aione_mock.recorder.credentials import ANY_CREDENTIAL, MASK, SECRET_PARAMETERS, is_secret_header, mask_parameters
from aione_mock.recorder.json_style import STYLES, read_event, read_json
from aione_mock.recorder.placeholder import FIGURE, filled, filled_line, vocabulary
from aione_mock.structs import replace
from aione_mock.types import Headers, Json

_MEMBERS = frozenset(("secret", "api_key", "apikey", "access_token", "refresh_token", "client_secret", "password"))
"""Members of JSON that hold nothing else, whatever it looks like."""
_KEY_LENGTH = 16
"""Characters from which on a member `key` without a blank is taken for a secret."""
_TELLING = 8
"""Characters of a credential from a header, from which on it is also looked for elsewhere: `test` is everywhere."""
_FOLD = re.compile(rb"(sk-nex-|nex-console-)x+|x{8,}")
_CONTENT = frozenset(("content", "text", "arguments", "thinking", "reasoning", "reasoning_content", "partial_json"))
_FIXED = frozenset(
    ("id", "object", "type", "role", "model", "models", "models_allowed", "modelVersion", "status", "code", "param",
     "event", "key_prefix", "required", "format", "mimeType", "mime_type", "media_type", "finish_reason",
     "stop_reason", "timezone", "loc")
)  # fmt: skip
"""Members that name things of the protocol."""


def fold(raw: bytes) -> bytes:
    """Masked text with all masks alike, so that a longer key makes no other request."""
    return _FOLD.sub(lambda match: (match[1] or b"") + MASK.encode(), raw)


class Redactor:
    """Removes credentials, those of a known look and those seen in headers, and contents if it is told to."""

    def __init__(self, contract: Contract, *, contents: bool = False) -> None:
        self.contents = contents
        self._known: tuple[str, ...] = ()
        self._contract = contract
        self._words: frozenset[str] = vocabulary(contract) if contents else frozenset()

    def fresh(self) -> Redactor:
        """The same without any credential that was seen."""
        other = copy(self)
        other._known = ()
        return other

    def learn(self, headers: Headers, query: str) -> list[str]:
        """Remember the credentials that a request presents; those that are new."""
        found = [secret for name, value in headers if _secret(name) for secret in _credentials(value)]
        found += [value for name, value in parse_qsl(query) if name.lower() in SECRET_PARAMETERS]
        new = [secret for secret in dict.fromkeys(found) if len(secret) >= _TELLING and secret not in self._known]
        self._known = tuple(sorted((*self._known, *new), key=len, reverse=True))
        return new

    def interaction(self, interaction: Interaction) -> Interaction:
        """The interaction as it may be kept."""
        request, response = interaction.request, interaction.response
        names = self._names(request.operation)
        return replace(
            interaction,
            request=self.request(request),
            response=self._response(response, names),
            findings=tuple([self.text(finding) for finding in interaction.findings]),
        )

    def request(self, request: Asked) -> Asked:
        """A request as it may be kept."""
        return replace(
            request,
            path=self.text(request.path),
            query=self.query(request.query),
            headers=self._headers(request.headers),
            body=self._body(request.body, self._names(request.operation)),
        )

    def text(self, text: str) -> str:
        """Text with every credential replaced by its prefix and as many `x` as it had letters."""
        masked = ANY_CREDENTIAL.sub(_crossed, text) if "-" in text or "AIza" in text or "eyJ" in text else text
        for secret in self._known:
            if secret in masked:
                masked = masked.replace(secret, "x" * len(secret))
        return masked

    def query(self, query: str) -> str:
        """A query string without the values of credentials."""
        return mask_parameters(query, self.text)

    def _headers(self, headers: Headers) -> Headers:
        return tuple([(name, _hidden(value) if _secret(name) else self.text(value)) for name, value in headers])

    def _names(self, operation: str | None) -> bool:
        """Whether a member `name` is code (a tool, a model) and no person's or team's words."""
        found = self._contract.operations.get(operation or "")
        return found is not None and found.protocol in ("openai", "anthropic", "gemini")

    def _response(self, response: Answered, names: bool) -> Answered:
        headers = self._headers(response.headers)
        if response.events is None:
            return replace(response, headers=headers, body=self._body(response.body, names))
        raws = self._stream([raw for _, raw in response.events], names)
        events = tuple([(at, raw) for (at, _), raw in zip(response.events, raws, strict=True)])
        return replace(response, headers=headers, body=b"".join(raws), events=events)

    def _body(self, raw: bytes, names: bool) -> bytes:
        known = read_json(raw)
        try:
            value = orjson.loads(raw)
            hidden = self._walked(value, "", lambda text, member: self._leaf(text, member, names))
            if hidden != value:
                return STYLES[known[1] if known else "compact"](hidden)
        except (ValueError, TypeError, RecursionError):
            # no JSON, or nested more deeply than can be walked
            return self._loose(raw)
        # what no style reproduces may hold more than its value shows, such as one member twice
        return raw if known else self._loose(raw)

    def _loose(self, raw: bytes) -> bytes:
        """Bytes that are no JSON."""
        text = self.text(raw.decode("utf-8", "surrogateescape"))
        if self.contents:
            text = "".join([filled_line(line, self._words) for line in text.splitlines(keepends=True)])
        return text.encode("utf-8", "surrogateescape")

    def _walked(self, value: Json, member: str, leaf: Callable[[str, str], str]) -> Json:
        """JSON with `leaf(string, name of its member)` in place of each string."""
        if isinstance(value, str):
            return leaf(value, member)
        if isinstance(value, dict):
            return {self.text(key): self._walked(item, key, leaf) for key, item in value.items()}
        if not isinstance(value, list):
            return value
        if self.contents and member == "bytes":  # of a token, beside its probability
            return [ord("x")] * len(value)
        return [self._walked(item, member, leaf) for item in value]

    def _leaf(self, text: str, member: str, names: bool) -> str:
        if member in _MEMBERS or (member == "key" and len(text) >= _KEY_LENGTH and " " not in text):
            masked = self.text(text)
            return masked if masked != text else "x" * len(text)
        masked = self.text(text)
        return filled(masked) if self.contents and not self._kept(masked, member, names) else masked

    def _kept(self, text: str, member: str, names: bool) -> bool:
        """Whether a string is no content: an id, a figure, a date, or a word of the contract's own."""
        if member in _CONTENT:
            return False
        if member in _FIXED or (names and member == "name") or member.endswith(("_id", "Id", "_ids", "Ids")):
            return True
        return text in self._words or FIGURE.fullmatch(text) is not None

    def _stream(self, raws: list[bytes], names: bool) -> list[bytes]:
        """The events of a stream; a text is read over all events that bring a piece of it."""
        parsed = [_parsed(raw) for raw in raws]
        chains: dict[tuple[Any, ...], list[tuple[Json, Any]]] = {}
        before = [orjson.dumps(found[1]) if found else b"" for found in parsed]
        for found in filter(None, parsed):
            found[1] = self._walked(found[1], "", lambda text, _: self.text(text))
            _gather(found[1], (), chains)
        for path, pieces in chains.items():
            self._rewrite(pieces, next((step for step in reversed(path) if isinstance(step, str)), ""), names)
        return [
            (raw if orjson.dumps(found[1]) == old else _event(found)) if found else self._loose(raw)
            for raw, found, old in zip(raws, parsed, before, strict=True)
        ]

    def _rewrite(self, pieces: list[tuple[Json, Any]], member: str, names: bool) -> None:
        texts = [holder[key] for holder, key in pieces]
        joined = "".join(texts)
        # an id or a word of the protocol that every event repeats is no text in pieces
        fixed = all(self._kept(text, member, names) for text in set(texts))
        hidden = self.text(joined) if fixed else self._leaf(joined, member, names)
        if hidden == joined:
            return
        at = 0
        for (holder, key), text in zip(pieces, texts, strict=True):
            holder[key] = hidden[at : at + len(text)]
            at += len(text)


def _secret(name: str) -> bool:
    return is_secret_header(name.encode("latin-1"))


def _hidden(value: str) -> str:
    scheme, blank, _ = value.partition(" ")
    return f"{scheme} {MASK}" if blank and scheme.replace("-", "").isalnum() and "=" not in scheme else MASK


def _credentials(value: str) -> Iterable[str]:
    """What is secret in a header's value."""
    if "Credential=" in value or ";" in value:
        return [part.partition("=")[2].strip() for part in re.split(r"[,;]", value) if "SignedHeaders" not in part]
    scheme, blank, rest = value.partition(" ")
    if scheme.lower() != "basic":
        return [rest.strip() if blank else value]
    try:
        _, _, password = base64.b64decode(rest).decode("utf-8", "replace").partition(":")
    except (binascii.Error, ValueError):
        password = ""
    return [rest, password]


def _crossed(match: re.Match[str]) -> str:
    prefix = next((group for group in match.groups() if group), "")
    return prefix + "x" * (len(match[0]) - len(prefix))


# --- streams


def _parsed(raw: bytes) -> list[Any] | None:
    """[name, value, style] of an event that brings JSON in the usual spelling, else None."""
    found = read_event(raw)
    value = read_json(found[1].encode()) if found else None
    return [found[0], *value] if found and value else None


def _event(parsed: list[Any]) -> bytes:
    name, value, style = parsed
    return sse.encode(STYLES[style](value), name.encode() if name else None)


def _gather(value: Json, path: tuple[Any, ...], chains: dict[tuple[Any, ...], list[tuple[Json, Any]]]) -> None:
    """Every string of an event, under the path that it shares with the other pieces of its text."""
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
            chains.setdefault(here, []).append((value, key))
        else:
            _gather(item, here, chains)
