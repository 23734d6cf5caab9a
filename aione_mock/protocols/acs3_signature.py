"""Alibaba Cloud's request signature ACS3-HMAC-SHA256, as ModelRouter's clients send it.

`parse` reads what the headers claim, `check` holds it against the request; both are pure. Whether an
access key exists and whether a nonce was seen before is the caller's to know: `verify` shows the order.
Every refusal is `APIError("permission_denied", …)` with a message that names what to mend.
Source: the vendor's signature description (V3), with its published example among the tests.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable
from datetime import datetime
from urllib.parse import quote, unquote_to_bytes

from aione_mock.errors import APIError
from aione_mock.structs import frozen

ALGORITHM = "ACS3-HMAC-SHA256"
WINDOW = 15 * 60
"""Seconds by which `x-acs-date` may differ from real time, and for which a nonce is remembered."""
REQUIRED = ("host", "x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce", "x-acs-content-sha256")
"""Headers that must be present and signed."""

Pairs = Iterable[tuple[str, str]]

_CREDENTIALS = re.compile(
    r"Credential=([^,\s]+)\s*,\s*SignedHeaders=([^,\s]+)\s*,\s*Signature=([0-9a-fA-F]{64})", re.ASCII
)
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_SESSION_TOKEN = re.compile(r"^(x-acs-security-token:).*$", re.MULTILINE)


@frozen
class AccessKey:
    """An access key as the caller knows it."""

    id: str
    secret: str
    active: bool = True


@frozen
class Signature:
    """What a request's headers claim, not yet believed."""

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


def denied(message: str) -> APIError:
    """The refusal of this family: 403 `B.Permission.DeniedException`."""
    return APIError("permission_denied", message)


def unknown_access_key(access_key_id: str) -> APIError:
    """The refusal of an access key that does not exist."""
    return denied(f"Specified access key is not found: '{access_key_id[:64]}'.")


def inactive_access_key(access_key_id: str) -> APIError:
    """The refusal of an access key that is switched off."""
    return denied(f"Access key '{access_key_id}' is disabled.")


def nonce_used(nonce: str) -> APIError:
    """The refusal of a nonce seen less than `WINDOW` seconds ago."""
    return denied(f"x-acs-signature-nonce '{nonce[:64]}' was used before; every request needs a new one.")


def parse(headers: Pairs) -> Signature:
    """The signature that a request's headers carry.

    Raises APIError(permission_denied) where it is missing, of another scheme, misshapen, or where a header of
    `REQUIRED` is absent or unsigned.
    """
    values = _collect(headers)
    access_key_id, signed_headers, value = _credentials(values)
    names = signed_headers.lower().split(";")
    for name in REQUIRED:
        if not values.get(name, [""])[0]:
            raise denied(f"Header {name} is missing.")
        if name not in names:
            raise denied(f"Header {name} is not signed: add it to SignedHeaders.")
    for name in names:
        if name not in values:
            raise denied(f"Header {name} stands in SignedHeaders but not in the request.")
    first = {name: values[name][0] for name in REQUIRED}
    return Signature(
        access_key_id,
        signed_headers,
        value.lower(),
        date=_instant(first["x-acs-date"]),
        nonce=first["x-acs-signature-nonce"],
        content_sha256=first["x-acs-content-sha256"],
        action=first["x-acs-action"],
        version=first["x-acs-version"],
    )


def check(
    signature: Signature, method: str, path: str, query: str, headers: Pairs, body: bytes, secret: str, now: float
) -> None:
    """Hold a signature against the request it came with.

    `path` and `query` are as received, percent-encoded; `now` is real time in seconds since 1970.
    Raises APIError(permission_denied) where date, body or signature is wrong.
    """
    _check_date(signature.date, now)
    if signature.content_sha256.lower() != hashlib.sha256(body).hexdigest():
        raise denied("x-acs-content-sha256 is not the SHA-256 of the body that arrived.")
    request = canonical_request(method, path, query, headers, signature.signed_headers, signature.content_sha256)
    if not hmac.compare_digest(signature.value, _digest(request, secret)):
        raise denied(f"The signature does not match. The server signed this canonical request: {_shown(request)}")


def verify(
    method: str,
    path: str,
    query: str,
    headers: Pairs,
    body: bytes,
    find: Callable[[str], AccessKey | None],
    now: float,
) -> Signature:
    """`parse`, look the access key up with `find`, `check`: the signature of a request that may be believed.

    The caller then sees to it that `nonce` is new (`nonce_used`). Raises APIError(permission_denied).
    """
    headers = tuple(headers)
    signature = parse(headers)
    key = find(signature.access_key_id)
    if key is None:
        raise unknown_access_key(signature.access_key_id)
    if not key.active:
        raise inactive_access_key(signature.access_key_id)
    check(signature, method, path, query, headers, body, key.secret, now)
    return signature


def sign(method: str, path: str, query: str, headers: Pairs, body: bytes, access_key_id: str, secret: str) -> str:
    """The `Authorization` value for a request; every header given is signed.

    `headers` should hold `REQUIRED`; without `x-acs-content-sha256` the hash of `body` takes part.
    """
    values = _collect(headers)
    names = ";".join(sorted(name for name in values if name != "authorization"))
    content = values.get("x-acs-content-sha256", [hashlib.sha256(body).hexdigest()])[0]
    request = canonical_request(method, path, query, headers, names, content)
    return f"{ALGORITHM} Credential={access_key_id},SignedHeaders={names},Signature={_digest(request, secret)}"


def canonical_request(
    method: str, path: str, query: str, headers: Pairs, signed_headers: str, content_sha256: str
) -> str:
    """The text whose hash is signed: six lines, the fourth being the header block with its own line ends."""
    values = _collect(headers)
    block = "".join(
        f"{name}:{','.join(sorted(values.get(name.lower(), [''])))}\n" for name in signed_headers.split(";")
    )
    return "\n".join((method, path or "/", canonical_query(query), block, signed_headers, content_sha256))


def canonical_query(query: str) -> str:
    """A raw query decoded form style, sorted by name and encoded again by RFC 3986.

    Decoding comes first because clients send a blank as `+` or as `%20`, in any order, yet all sign this form.
    """
    raw = query.encode("utf-8", "surrogatepass").replace(b"+", b" ")
    pairs = [part.partition(b"=")[::2] for part in raw.split(b"&") if part]
    decoded = sorted(((unquote_to_bytes(name), unquote_to_bytes(value)) for name, value in pairs), key=lambda p: p[0])
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in decoded)


def _collect(headers: Pairs) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for name, value in headers:
        values.setdefault(name.lower(), []).append(value.strip())
    return values


def _credentials(values: dict[str, list[str]]) -> tuple[str, str, str]:
    """Access key id, signed headers and signature from the Authorization header."""
    authorization = values.get("authorization", [""])[0]
    if not authorization:
        bearer = "x-acs-bearer-token" in values
        hint = "; bearer tokens are not supported here" if bearer else ""
        raise denied(f"Header Authorization is missing: sign the request with {ALGORITHM}{hint}.")
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "acs":
        raise denied(f"The signature scheme acs (HMAC-SHA1) is not supported: sign with {ALGORITHM}.")
    if scheme != ALGORITHM:
        raise denied(f"Signature algorithm '{scheme[:40]}' is not supported: sign with {ALGORITHM}.")
    found = _CREDENTIALS.fullmatch(rest.strip())
    if found is None:
        raise denied(
            f"Header Authorization is malformed; it reads {ALGORITHM} Credential=ID,SignedHeaders=a;b,Signature=HEX64."
        )
    return found[1], found[2], found[3]


def _instant(text: str) -> float:
    try:
        if _DATE.fullmatch(text):
            return datetime.fromisoformat(text).timestamp()
    except ValueError:
        pass
    raise denied(f"x-acs-date '{text[:40]}' is not a UTC time such as 2026-01-31T09:00:00Z.")


def _check_date(date: float, now: float) -> None:
    seconds = date - now
    if abs(seconds) > WINDOW:
        side = "ahead of" if seconds > 0 else "behind"
        raise denied(f"x-acs-date is {abs(seconds):.0f} seconds {side} the server's clock; {WINDOW} are allowed.")


def _digest(request: str, secret: str) -> str:
    text = f"{ALGORITHM}\n{hashlib.sha256(request.encode('utf-8', 'surrogatepass')).hexdigest()}"
    return hmac.new(secret.encode("utf-8", "surrogatepass"), text.encode(), hashlib.sha256).hexdigest()


def _shown(request: str) -> str:
    """A canonical request on one line, without the temporary credential it may hold."""
    return _SESSION_TOKEN.sub(r"\1***", request).replace("\n", "\\n")[:2000]
