"""Alibaba Cloud's request signature ACS3-HMAC-SHA256, which ModelRouter's clients send.

`parse_signature` reads the signature from the headers, `check_signature` verifies it; both are pure functions. Only
the caller knows which access keys exist and which nonces were used. Every error is `permission_denied`, with a message
that says what to fix.
Source: the vendor's signature description (V3), with its published example among the tests.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable
from datetime import datetime
from urllib.parse import quote, unquote_to_bytes

from aione_mock.clock import format_instant
from aione_mock.errors import APIError
from aione_mock.structs import frozen

ALGORITHM = "ACS3-HMAC-SHA256"
WINDOW = 15 * 60
"""Seconds by which `x-acs-date` may differ from real time, and during which a nonce must not be used again."""
REQUIRED = ("host", "x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce", "x-acs-content-sha256")
"""Headers that must be present and signed."""

Pairs = Iterable[tuple[str, str]]

_CREDENTIALS = re.compile(
    r"Credential=([^,\s]+)\s*,\s*SignedHeaders=([^,\s]+)\s*,\s*Signature=([0-9a-fA-F]{64})", re.ASCII
)
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_SESSION_TOKEN = re.compile(r"^(x-acs-security-token:).*$", re.MULTILINE)


@frozen
class SigningKey:
    """An access key: its id, its secret and whether it is enabled."""

    id: str
    secret: str
    active: bool = True


@frozen
class RequestSignature:
    """A signature parsed from the headers of a request, not yet verified."""

    access_key_id: str
    signed_headers: str
    """Names joined by `;`, as sent."""
    value: str
    """64 lower-case hex digits."""
    date: float
    """`x-acs-date` in seconds since 1970."""
    nonce: str
    content_sha256: str
    """`x-acs-content-sha256` as sent."""
    action: str
    version: str


def _make_error(message: str) -> APIError:
    return APIError("permission_denied", message, fields={"detail": message})


def make_unknown_access_key_error(access_key_id: str) -> APIError:
    """Create the error for an access key that does not exist."""
    return _make_error(f"Specified access key is not found: '{access_key_id[:64]}'.")


def make_inactive_access_key_error(access_key_id: str) -> APIError:
    """Create the error for an access key that is disabled."""
    return _make_error(f"Access key '{access_key_id}' is disabled.")


def make_nonce_used_error(nonce: str) -> APIError:
    """Create the error for a nonce that was used less than `WINDOW` seconds ago."""
    return _make_error(f"x-acs-signature-nonce '{nonce[:64]}' was used before; every request needs a new one.")


def parse_signature(headers: Pairs) -> RequestSignature:
    """Parse the signature in a request's headers.

    Raise APIError `permission_denied` if it is missing, malformed or of another scheme, or if a header of `REQUIRED`
    is absent or unsigned.
    """
    values = _group_headers(headers)
    access_key_id, signed_headers, value = _parse_authorization(values)
    names = signed_headers.lower().split(";")
    for name in REQUIRED:
        if not values.get(name, [""])[0]:
            raise _make_error(f"Header {name} is missing.")
        if name not in names:
            raise _make_error(f"Header {name} is not signed: add it to SignedHeaders.")
    for name in names:
        if name not in values:
            raise _make_error(f"Header {name} is in SignedHeaders but not in the request.")
    first = {name: values[name][0] for name in REQUIRED}
    return RequestSignature(
        access_key_id,
        signed_headers,
        value.lower(),
        date=_parse_date(first["x-acs-date"]),
        nonce=first["x-acs-signature-nonce"],
        content_sha256=first["x-acs-content-sha256"],
        action=first["x-acs-action"],
        version=first["x-acs-version"],
    )


def check_signature(
    signature: RequestSignature,
    method: str,
    path: str,
    query: str,
    headers: Pairs,
    body: bytes,
    secret: str,
    now: float,
) -> None:
    """Check a signature against its request. Raise APIError `permission_denied` if date, body or signature is wrong.

    `path` and `query` are percent-encoded, as received; `now` is real time in seconds since 1970.
    """
    _check_date(signature.date, now)
    if signature.content_sha256.lower() != hashlib.sha256(body).hexdigest():
        raise _make_error("x-acs-content-sha256 is not the SHA-256 of the body that arrived.")
    request = build_canonical_request(method, path, query, headers, signature.signed_headers, signature.content_sha256)
    if not hmac.compare_digest(signature.value, _compute_signature(request, secret)):
        raise _make_error(
            f"The signature does not match. The server signed this canonical request: {_mask_request(request)}"
        )


def verify_request(
    method: str,
    path: str,
    query: str,
    headers: Pairs,
    body: bytes,
    find: Callable[[str], SigningKey | None],
    now: float,
) -> RequestSignature:
    """Return the signature of a request once it is verified. Raise APIError `permission_denied` if it is not valid.

    `find` looks up an access key by its id. The caller must check that the nonce is new (see `make_nonce_used_error`).
    """
    headers = tuple(headers)
    signature = parse_signature(headers)
    key = find(signature.access_key_id)
    if key is None:
        raise make_unknown_access_key_error(signature.access_key_id)
    if not key.active:
        raise make_inactive_access_key_error(signature.access_key_id)
    check_signature(signature, method, path, query, headers, body, key.secret, now)
    return signature


def sign_request(
    method: str, path: str, query: str, headers: Pairs, body: bytes, access_key_id: str, secret: str
) -> str:
    """Return the `Authorization` header for a request. Every given header is signed.

    `headers` should contain those of `REQUIRED`. Without `x-acs-content-sha256`, the hash of `body` is used.
    """
    values = _group_headers(headers)
    names = ";".join(sorted(name for name in values if name != "authorization"))
    content = values.get("x-acs-content-sha256", [hashlib.sha256(body).hexdigest()])[0]
    request = build_canonical_request(method, path, query, headers, names, content)
    return (
        f"{ALGORITHM} Credential={access_key_id},SignedHeaders={names},Signature={_compute_signature(request, secret)}"
    )


def make_required_headers(
    action: str, version: str, host: str, body: bytes, moment: datetime, nonce: str
) -> tuple[tuple[str, str], ...]:
    """Return the headers of `REQUIRED` for a request at a moment; `nonce` must be new."""
    values = (host, action, version, format_instant(moment), nonce, hashlib.sha256(body).hexdigest())
    return tuple(zip(REQUIRED, values, strict=True))


def build_canonical_request(
    method: str, path: str, query: str, headers: Pairs, signed_headers: str, content_sha256: str
) -> str:
    """Build the text whose hash is signed: six parts, of which the fourth is the block of headers."""
    values = _group_headers(headers)
    block = "".join(
        f"{name}:{','.join(sorted(values.get(name.lower(), [''])))}\n" for name in signed_headers.split(";")
    )
    return "\n".join((method, path or "/", canonicalize_query(query), block, signed_headers, content_sha256))


def canonicalize_query(query: str) -> str:
    """Decode a query as a form, sort it by name and encode it by RFC 3986.

    Clients send a space as `+` or as `%20` and parameters in any order, but all of them sign this form.
    """
    raw = query.encode("utf-8", "surrogatepass").replace(b"+", b" ")
    pairs = [part.partition(b"=")[::2] for part in raw.split(b"&") if part]
    decoded = sorted(((unquote_to_bytes(name), unquote_to_bytes(value)) for name, value in pairs), key=lambda p: p[0])
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in decoded)


def _group_headers(headers: Pairs) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for name, value in headers:
        values.setdefault(name.lower(), []).append(value.strip())
    return values


def _parse_authorization(values: dict[str, list[str]]) -> tuple[str, str, str]:
    """Return access key id, names of the signed headers, and signature."""
    authorization = values.get("authorization", [""])[0]
    if not authorization:
        bearer = "x-acs-bearer-token" in values
        hint = "; bearer tokens are not supported here" if bearer else ""
        raise _make_error(f"Header Authorization is missing: sign the request with {ALGORITHM}{hint}.")
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "acs":
        raise _make_error(f"The signature scheme acs (HMAC-SHA1) is not supported: sign with {ALGORITHM}.")
    if scheme != ALGORITHM:
        raise _make_error(f"Signature algorithm '{scheme[:40]}' is not supported: sign with {ALGORITHM}.")
    match = _CREDENTIALS.fullmatch(rest.strip())
    if match is None:
        raise _make_error(
            f"Header Authorization is malformed; it reads {ALGORITHM} Credential=ID,SignedHeaders=a;b,Signature=HEX64."
        )
    return match[1], match[2], match[3]


def _parse_date(text: str) -> float:
    try:
        if _DATE.fullmatch(text):
            return datetime.fromisoformat(text).timestamp()
    except ValueError:
        pass
    raise _make_error(f"x-acs-date '{text[:40]}' is not a UTC time such as 2026-01-31T09:00:00Z.")


def _check_date(date: float, now: float) -> None:
    seconds = date - now
    if abs(seconds) > WINDOW:
        side = "ahead of" if seconds > 0 else "behind"
        raise _make_error(f"x-acs-date is {abs(seconds):.0f} seconds {side} the server's clock; {WINDOW} are allowed.")


def _compute_signature(request: str, secret: str) -> str:
    text = f"{ALGORITHM}\n{hashlib.sha256(request.encode('utf-8', 'surrogatepass')).hexdigest()}"
    return hmac.new(secret.encode("utf-8", "surrogatepass"), text.encode(), hashlib.sha256).hexdigest()


def _mask_request(request: str) -> str:
    """Return a canonical request on one line, with a temporary credential masked."""
    return _SESSION_TOKEN.sub(r"\1***", request).replace("\n", "\\n")[:2000]
