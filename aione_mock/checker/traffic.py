"""One request and what came back, and both as somebody can send them again."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import orjson

from aione_mock.checker.target import SecretMask
from aione_mock.sse import Event, decode
from aione_mock.types import Json

Pairs = tuple[tuple[str, str], ...]
_SHOWN = 2000
"""Bytes of a body that a finding shows."""


class Unreadable(Exception):
    """An answer that cannot be read as what it should be; `str()` says why."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request, ready to be sent."""

    operation: str
    method: str
    path: str
    """Percent-encoded, without the base URL."""
    query: str = ""
    headers: Pairs = ()
    body: bytes | None = None

    @property
    def target(self) -> str:
        """Path and query."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def signed(self) -> bool:
        """Whether it carries a signature, which cannot be repeated."""
        return any(name == "x-acs-signature-nonce" for name, _ in self.headers)


@dataclass(frozen=True)
class HttpExchange:
    """A request and its answer. `failure` says why there is no answer, or only part of one."""

    request: HttpRequest
    status: int = 0
    """0 when no answer came."""
    headers: Pairs = ()
    body: bytes = b""
    elapsed: float = 0.0
    """Seconds."""
    failure: str = ""

    def header(self, name: str) -> str | None:
        """A header's first value."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def media_type(self) -> str:
        """The content type without its parameters, in lower case."""
        return (self.header("content-type") or "").partition(";")[0].strip().lower()

    @cached_property
    def json(self) -> Json:
        """The body as JSON. Raises Unreadable."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            raise Unreadable(f"a body that is not JSON: {shown(self.body)}") from None

    @cached_property
    def events(self) -> list[Event]:
        """The whole events of the body."""
        return list(decode([self.body]))

    @property
    def outcome(self) -> str:
        """What happened, in a few words."""
        if not self.status:
            return self.failure or "no answer"
        what = f"{self.status} {self.media_type or 'without a content type'}"
        return f"{what}, {self.failure}" if self.failure else what


def shown(body: bytes, limit: int = 200) -> str:
    """The beginning of a body on one line."""
    text = body[: limit * 4].decode("utf-8", "replace")
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return repr(text if len(text) <= limit else text[: limit - 1] + "…")


def curl(request: HttpRequest, base: str, mask: SecretMask) -> str:
    """The request as a line for a shell, with credentials as variables of the environment."""
    parts = ["curl", "-sS", "-X", request.method] if request.method != "GET" else ["curl", "-sS"]
    parts.append(_word(base + request.target, mask))
    for name, value in _headers(request):
        parts += ["-H", _word(f"{name}: {value}", mask)]
    if request.body is not None:
        parts += ["--data-binary", _body_word(request.body, mask)]
    line = " ".join(parts)
    return f"{line}  # sign it first: ACS3-HMAC-SHA256" if request.signed else line


def _headers(request: HttpRequest) -> Iterable[tuple[str, str]]:
    # a signature is good once, so it is not shown
    hidden = ("authorization", "x-acs-signature-nonce", "x-acs-date", "host") if request.signed else ()
    return [(name, value) for name, value in request.headers if name not in hidden]


def _word(text: str, mask: SecretMask) -> str:
    masked = mask.text(text)
    if masked == text:
        return shlex.quote(text)
    escaped = masked.replace("\\", "\\\\").replace('"', '\\"').replace("`", "\\`")
    return f'"{escaped}"'


def _body_word(body: bytes, mask: SecretMask) -> str:
    if len(body) > _SHOWN:
        return shlex.quote(f"@body.bin ({len(body)} bytes, beginning {shown(body, 60)})")
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return "$'" + "".join(f"\\x{byte:02x}" for byte in body) + "'"
    return _word(text, mask)


def snippet(request: HttpRequest, base: str, mask: SecretMask) -> str:
    """The request as a few lines of Python, with credentials read from the environment."""
    lines = ["import os, httpx2"] if "$" in mask.text(repr(request.headers) + request.target) else ["import httpx2"]
    arguments = [repr(request.method), _python(base + request.target, mask)]
    headers = ", ".join(f"{name!r}: {_python(value, mask)}" for name, value in _headers(request))
    if headers:
        arguments.append(f"headers={{{headers}}}")
    if request.body is not None:
        body = repr(request.body) if len(request.body) <= _SHOWN else f"b'x' * {len(request.body)}"
        arguments.append(f"content={mask.text(body)}")
    if request.signed:
        lines.append("# sign the headers with aione_mock.protocols.acs3_signature.sign_request(...) first")
    lines.append(f"answer = httpx2.request({', '.join(arguments)})")
    lines.append("print(answer.status_code, answer.text)")
    return "\n".join(lines)


def _python(text: str, mask: SecretMask) -> str:
    masked = mask.text(text)
    if masked == text:
        return repr(text)
    name = masked[masked.index("$") + 1 :]
    variable = name[: next((i for i, c in enumerate(name) if not (c.isalnum() or c == "_")), len(name))]
    before, _, after = masked.partition(f"${variable}")
    pieces = [repr(before)] * bool(before) + [f"os.environ[{variable!r}]"] + [repr(after)] * bool(after)
    return " + ".join(pieces)
