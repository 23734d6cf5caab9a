"""Render a request as a curl command and as Python code, with environment variables in place of credentials."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from aione_mock.checker.exchange import HttpRequest, shorten_body
from aione_mock.checker.target import SecretMask

_MAX_BODY_BYTES = 2000
_SIGNATURE_HEADERS = ("authorization", "x-acs-signature-nonce", "x-acs-date", "host")
"""Left out of signed requests: a signature is valid only once."""


def render_curl(request: HttpRequest, origin: str, mask: SecretMask) -> str:
    """Return a shell command that sends the request."""
    parts = ["curl", "-sS", "-X", request.method] if request.method != "GET" else ["curl", "-sS"]
    parts.append(_quote_shell(origin + request.path_and_query, mask))
    for name, value in _repeatable_headers(request):
        parts += ["-H", _quote_shell(f"{name}: {value}", mask)]
    if request.body is not None:
        parts += ["--data-binary", _quote_body(request.body, mask)]
    command = " ".join(parts)
    return f"{command}  # sign it first: ACS3-HMAC-SHA256" if request.is_signed else command


def _repeatable_headers(request: HttpRequest) -> Iterable[tuple[str, str]]:
    hidden = _SIGNATURE_HEADERS if request.is_signed else ()
    return [(name, value) for name, value in request.headers if name not in hidden]


def _quote_shell(text: str, mask: SecretMask) -> str:
    masked = mask.apply(text)
    if masked == text:
        return shlex.quote(text)
    escaped = masked.replace("\\", "\\\\").replace('"', '\\"').replace("`", "\\`")
    return f'"{escaped}"'


def _quote_body(body: bytes, mask: SecretMask) -> str:
    if len(body) > _MAX_BODY_BYTES:
        return shlex.quote(f"@body.bin ({len(body)} bytes, beginning {shorten_body(body, 60)})")
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return "$'" + "".join(f"\\x{byte:02x}" for byte in body) + "'"
    return _quote_shell(text, mask)


def render_python(request: HttpRequest, origin: str, mask: SecretMask) -> str:
    """Return Python code that sends the request with httpx2."""
    masked = "$" in mask.apply(repr(request.headers) + request.path_and_query)
    lines = ["import os, httpx2" if masked else "import httpx2"]
    arguments = [repr(request.method), _quote_python(origin + request.path_and_query, mask)]
    headers = ", ".join(f"{name!r}: {_quote_python(value, mask)}" for name, value in _repeatable_headers(request))
    if headers:
        arguments.append(f"headers={{{headers}}}")
    if request.body is not None:
        body = repr(request.body) if len(request.body) <= _MAX_BODY_BYTES else f"b'x' * {len(request.body)}"
        arguments.append(f"content={mask.apply(body)}")
    if request.is_signed:
        lines.append("# sign the headers with aione_mock.protocols.acs3_signature.sign_request(...) first")
    lines.append(f"answer = httpx2.request({', '.join(arguments)})")
    lines.append("print(answer.status_code, answer.text)")
    return "\n".join(lines)


def _quote_python(text: str, mask: SecretMask) -> str:
    masked = mask.apply(text)
    if masked == text:
        return repr(text)
    before, _, rest = masked.partition("$")
    length = next((i for i, c in enumerate(rest) if not (c.isalnum() or c == "_")), len(rest))
    variable, after = rest[:length], rest[length:]
    pieces = [repr(before)] * bool(before) + [f"os.environ[{variable!r}]"] + [repr(after)] * bool(after)
    return " + ".join(pieces)
