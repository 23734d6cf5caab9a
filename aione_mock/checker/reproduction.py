"""Render a request as a curl command and as Python code, with environment variables in place of credentials."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

from aione_mock.checker.exchange import HttpRequest, shorten_body
from aione_mock.checker.target import RUN_KEY, SecretMask

_MAX_BODY_BYTES = 2000
_SIGNATURE_HEADERS = ("authorization", "x-acs-signature-nonce", "x-acs-date", "host")
"""Left out of signed requests: a signature is valid only once."""

_DEFAULTS = (("accept", "*/*"),)
"""Headers that curl sends by itself."""
_RUN_KEY = re.compile(rf"\$({RUN_KEY}\w+)")
"""Stands for a secret that the run made."""
_SEND = (
    "try:",
    "    answer = urllib.request.urlopen(request)",
    "except urllib.request.HTTPError as error:",
    "    answer = error",
    "print(answer.status, answer.read().decode('utf-8', 'replace'))",
)
_CASE_HEADERS = ("x-schemathesis-testcaseid",)
"""Headers that only name a generated case."""


def render_curl(request: HttpRequest, origin: str, mask: SecretMask) -> str:
    """Return a shell command that sends the request."""
    parts = ["curl", "-sS", "-X", request.method] if request.method != "GET" else ["curl", "-sS"]
    parts.append(_quote_shell(origin + request.path_and_query, mask))
    for name, value in _list_repeatable_headers(request):
        parts += ["-H", _quote_shell(f"{name}: {value}", mask)]
    if request.body is not None:
        parts += ["--data-binary", _quote_body(request.body, mask)]
    command = " ".join(parts)
    if request.is_signed:
        return f"{command}  # sign it first: ACS3-HMAC-SHA256"
    key = _RUN_KEY.search(command)
    return f"{command}  # ${key[1]} was a key of the run and is deleted: make one with createKey" if key else command


def _list_repeatable_headers(request: HttpRequest) -> Iterable[tuple[str, str]]:
    hidden = _SIGNATURE_HEADERS if request.is_signed else ()
    sent = [(name, value) for name, value in request.headers if name not in hidden]
    return [(name, value) for name, value in sent if (name, value) not in _DEFAULTS and name not in _CASE_HEADERS]


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
    """Return Python code that sends the request with the standard library."""
    headers = ", ".join(f"{name!r}: {_quote_python(value, mask)}" for name, value in _list_repeatable_headers(request))
    arguments = [_quote_python(origin + request.path_and_query, mask), f"method={request.method!r}"]
    if headers:
        arguments.append(f"headers={{{headers}}}")
    if request.body is not None:
        body = repr(request.body) if len(request.body) <= _MAX_BODY_BYTES else f"b'x' * {len(request.body)}"
        arguments.append(f"data={mask.apply(body)}")
    lines = ["import urllib.request"]
    if any("os.environ" in argument for argument in arguments):
        lines.insert(0, "import os")
    if request.is_signed:
        lines.append("# sign the headers with aione_mock.protocols.acs3_signature.sign_request(...) first")
    if key := _RUN_KEY.search(mask.apply(repr(request.headers) + request.path_and_query)):
        lines.append(f"# ${key[1]} was a key of the run and is deleted: make one with createKey")
    return "\n".join([*lines, f"request = urllib.request.Request({', '.join(arguments)})", *_SEND])


def _quote_python(text: str, mask: SecretMask) -> str:
    masked = mask.apply(text)
    if masked == text:
        return repr(text)
    before, _, rest = masked.partition("$")
    length = next((i for i, c in enumerate(rest) if not (c.isalnum() or c == "_")), len(rest))
    variable, after = rest[:length], rest[length:]
    pieces = [repr(before)] * bool(before) + [f"os.environ[{variable!r}]"] + [repr(after)] * bool(after)
    return " + ".join(pieces)
