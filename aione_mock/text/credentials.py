"""Find and mask credentials in any text, however they are encoded there.

Journal, cassettes, reports, messages and logs share these rules. A credential is known by its form, by the name of the
header, parameter or member that holds it, or because the request presented it. It is also found when it is
percent-encoded, escaped as in JSON (within JSON), written in UTF-16 or base64, or several of these.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from itertools import accumulate
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote

from aione_mock.errors import ConfigError

MASK = "***"
_SECRET_PARAMETERS = frozenset(
    "key api_key apikey api-key x-api-key x-goog-api-key subscription-key access_key access_token refresh_token token"
    " securitytoken x-amz-security-token client_secret password authorization signature x-amz-signature"
    " x-goog-signature sig".split()
)
"""Query parameters whose values are credentials."""
_SECRET_MEMBERS = frozenset(
    "secret api_key apikey x_api_key x_goog_api_key access_token accesstoken refresh_token refreshtoken client_secret"
    " clientsecret password authorization proxy_authorization cookie set_cookie".split()
)
"""Members of JSON that always hold credentials, in lower case with `_`."""
_SECRET_HEADER = re.compile(
    rb"authorization|authentication|cookie|(?:^|-)(?:auth|api-?key|key|secret|credential|password|signature|token)$",
    re.IGNORECASE,
)
_MAX_CACHED_NAME = 4 << 10
"""Bytes of the longest name of a header that is kept in memory."""
_KEY_PREFIXES = {
    16: ("sk-", "xai-", "pplx-", "nvapi-", "AKIA", "ASIA", "LTAI"),
    30: ("AIza", "AQ.", "ya29.", "hf_", "gsk_", "r8_", "ghp_", "gho_", "ghs_", "ghu_", "github_pat_", "glpat-"),
}
"""Minimum length after the prefix → prefixes of the keys of other makers."""
_FORMS = re.compile(
    r"sk-nex-([\w-]{5,})|nex-console-([\w-]+)|aione-mock-(?:other-)?(access-secret[\w-]*)"
    r"|(?<![\w-])eyJ([\w-]{10,}\.[\w.-]{10,})|"
    + "|".join(
        f"(?<![A-Za-z0-9]){re.escape(prefix)}(?:ant-|proj-|or-)?([\\w.-]{{{length},}})"
        for length, prefixes in _KEY_PREFIXES.items()
        for prefix in prefixes
    ),
    re.ASCII,
)
"""Credentials of this API, JSON web tokens, and keys of other makers; the last group is what is hidden.

`sk-nex-` and four characters is the public prefix of a key."""
_FORM_STARTS = ("sk-", "nex-console-", "aione-mock-", "eyJ", *[p for ps in _KEY_PREFIXES.values() for p in ps])
"""How credentials of these forms begin."""
_NAMES = r"api[-_]?key|access[-_]?token|refresh[-_]?token|client[-_]?secret|password|authorization|cookie"
_PAIRS = re.compile(
    rf"""(?:{_NAMES}|"secret|'secret)["']\s*:\s*(?:"((?:[^"\\]|\\.)+)"|'((?:[^'\\]|\\.)+)')"""
    rf"""|[?&](?:x[-_])?(?:goog[-_])?(?:{_NAMES}|key|token|signature|sig)=([^&\#\s"'<>\\]+)"""
    r"""|cookie["']?\s*[:=]\s*["']?([^\r\n"'<>\\]{8,})"""
    rf"""|(?:{_NAMES})["']?\s*[:=]\s*["']?(?:[\w-]{{1,30}}\s+)?(?=[^\s"'&,;<>\\]{{0,200}}\d)([^\s"'&,;<>\\]{{8,}})"""
)
"""A name and its value in text in lower case: members of JSON, parameters of a URL, headers, assignments.

In a text a value counts if it has 8 characters and a digit, so that `api_key=YOUR_API_KEY` stays."""
_PAIR_MARKS = (
    "apikey", "api_key", "api-key", "accesstoken", "access_token", "access-token", "refreshtoken", "refresh_token",
    "refresh-token", "clientsecret", "client_secret", "client-secret", "password", "authorization", "cookie", "key=",
    "token=", "signature=", "sig=", "secret'", 'secret"',
)  # fmt: skip
"""One of them is in every text with such a pair."""
_ESCAPE = re.compile(
    r"%(?:25)*(?P<percent>[0-9A-Fa-f]{2})"
    r"""|\\(?<!\\\\)\\*+(?:u(?P<unicode>00[0-7][0-9A-Fa-f]|[0-9A-Fa-f]{4}(?=[A-Za-z]))|x(?P<hex>[0-7][0-9A-Fa-f])|(?P<char>["'/bfnrt]))"""
    r"|&\#[xX](?P<entity>[0-7][0-9A-Fa-f]);|&\#(?P<decimal>[0-9]{1,3});|\0"
)
"""A character that is written with others, and NUL, which stands between the characters of UTF-16.

Of JSON's escapes only ASCII counts, and what stands before a letter, where a key may begin."""
_ESCAPE_MARKS = ("%", "\\", "&#", "\0")
_CHARS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{12,}+(?:\r?\n[A-Za-z0-9+/_-]+)*+")
_NO_WORDS = re.compile(r"[A-Z0-9+]")
"""What base64 of any length has, and most words have not."""
_PRINTABLE = re.compile(r"[\t\n\r -~\0]{8,}+")
"""Where a decoded text can hold a credential: pictures are long, and decoded in vain."""
_TO_STANDARD = str.maketrans("-_", "+/", "\r\n")
_MAX_SHORT_RUN = 200
_MAX_LAYERS = 4
"""Encodings within each other that are undone."""
_MIN_KNOWN_CHARS = 8
"""Minimum length of a presented credential that is masked everywhere: `test` is in many texts."""


class Span(NamedTuple):
    """Where a credential stands in a text, and which of the known ones it is; empty if it was found by its form."""

    start: int
    end: int
    secret: str = ""


Fill = Callable[[Span], str]


def fill_with_mask(span: Span) -> str:
    """Return `***` in place of a credential."""
    return MASK


def fill_with_letters(span: Span) -> str:
    """Return an `x` for each character of a credential."""
    return "x" * (span.end - span.start)


class CredentialMask:
    """Masks credentials in texts: those of a known form, and the `known` ones."""

    def __init__(self, known: Iterable[str] = (), fill: Fill = fill_with_mask, *, forms: bool = True) -> None:
        """`fill` returns what is written instead; without `forms`, only the `known` are masked."""
        self.known: tuple[str, ...] = ()
        self._fill, self._forms = fill, forms
        self.learn(known)

    def learn(self, secrets: Iterable[str]) -> list[str]:
        """Mask more credentials from now on. Return those that are new and not known by their form."""
        new = [
            secret
            for secret in dict.fromkeys(secrets)
            if secret not in self.known and not (self._forms and _FORMS.fullmatch(secret))
        ]
        if new:
            self.known = tuple(sorted((*self.known, *new), key=len, reverse=True))
        return new

    def mask_text(self, text: str) -> str:
        """Return a text without credentials. The public prefix of a key stays."""
        pieces, at = [], 0
        for span in self.find(text):
            pieces += [text[at : span.start], self._fill(span)]
            at = span.end
        return "".join([*pieces, text[at:]]) if pieces else text

    def mask_bytes(self, raw: bytes) -> bytes:
        """Return bytes of any encoding without credentials; the same object if there are none."""
        text = raw.decode("latin-1")
        masked = self.mask_text(text)
        return raw if masked is text else masked.encode("latin-1")

    def mask_parameters(self, query: str) -> str:
        """Mask the values of secret parameters in a query string, and credentials anywhere in it."""
        parts = [part.partition("=") for part in self.mask_text(query).split("&")] if query else []
        named = [(n, "=", MASK) if unquote(n).lower() in _SECRET_PARAMETERS else (n, e, v) for n, e, v in parts]
        return "&".join(map("".join, named))

    def find(self, text: str) -> list[Span]:
        """Return where credentials stand, in order and without overlap."""
        merged: list[Span] = []
        for span in sorted(self._find(text, _MAX_LAYERS), key=lambda span: (span.start, -span.end)):
            if merged and span.start < merged[-1].end:
                last = merged.pop()
                span = Span(last.start, max(last.end, span.end), last.secret or span.secret)
            merged.append(span)
        return merged

    def _find(self, text: str, layers: int) -> list[Span]:
        found = self._search(text)
        for decoded, locate in _decode(text) if layers else ():
            found += [locate(span) for span in self._find(decoded, layers - 1)]
        return found

    def _search(self, text: str) -> list[Span]:
        """Return the credentials that are written in clear, some perhaps twice."""
        found = []
        if self._forms:
            found += [span for start in _FORM_STARTS if start in text for span in _find_forms(text, start)]
            lower = _lower_text(text) if "=" in text or ":" in text else ""
            if any(mark in lower for mark in _PAIR_MARKS):
                found += [_find_last_group(match) for match in _PAIRS.finditer(lower)]
        found += [Span(at, at + len(secret), secret) for secret in self.known for at in _find_all(text, secret)]
        return found


def _find_forms(text: str, start: str) -> Iterator[Span]:
    """Yield the credentials of known forms that begin with `start`."""
    at = text.find(start)
    while at >= 0:
        match = _FORMS.match(text, at)
        if match:
            yield _find_last_group(match)
        at = text.find(start, match.end() if match else at + len(start))


def _find_all(text: str, part: str) -> Iterator[int]:
    at = text.find(part)
    while at >= 0:
        yield at
        at = text.find(part, at + len(part))


def _lower_text(text: str) -> str:
    lower = text.lower()
    # a few letters become two
    return lower if len(lower) == len(text) else text.encode("latin-1", "replace").decode("latin-1").lower()


def _find_last_group(match: re.Match[str]) -> Span:
    return Span(*match.span(match.lastindex or 0))


_URL_PASSWORD = re.compile(r"(?<=://)([^/?#:@]*:)[^/?#]*(?=@)")


def mask_url(url: str) -> str:
    """Return a URL without its password, and without the values of its secret parameters."""
    place, mark, query = _URL_PASSWORD.sub(rf"\g<1>{MASK}", url).partition("?")
    return place + mark + _MASK.mask_parameters(query)


def list_spellings(secret: str) -> list[str]:
    """Return a credential as texts may show it: as it is, and with escapes for what is not ASCII."""
    escaped = (json.dumps(secret)[1:-1], ascii(secret)[1:-1], ascii(secret.encode())[2:-1], quote(secret, safe=""))
    as_read = secret.encode("utf-8", "surrogatepass").decode("latin-1")
    # the message of an error may quote one that is escaped already
    twice = [text.replace("\\", "\\\\") for text in escaped]
    return [secret] if secret.isascii() else list(dict.fromkeys((secret, as_read, *escaped, *twice)))


# --- by form

_EDGES = {"\n": "a line break", "\r": "a line break", "\t": "a tab", " ": "a space"}


def check_credential(secret: str, name: str) -> str:
    """Return a credential that can be sent in a header. Raises ConfigError, which does not show it."""
    problem = find_header_problem(secret)
    if problem:
        raise ConfigError(f"{name} {problem}; remove it")
    return secret


def make_bearer_header(token: str, name: str) -> dict[str, str]:
    """Return the header that carries a token. Raises ConfigError, which does not show it."""
    return {"authorization": f"Bearer {check_credential(token, name)}"}


def find_header_problem(secret: str) -> str:
    """Return why a credential cannot be sent in a header, as the rest of a sentence about it; empty if it can."""
    for verb, char in (("ends", secret[-1:]), ("begins", secret[:1])):
        if char in _EDGES:
            return f"{verb} with {_EDGES[char]}"
    if not secret.isascii():
        return "has a character that is not ASCII"
    unprintable = next((char for char in secret if not char.isprintable()), None)
    return f"has {_EDGES.get(unprintable, 'a control character')} inside" if unprintable else ""


# --- by name


def is_secret_header(name: bytes) -> bool:
    """Return whether the values of a header are credentials."""
    return _is_secret_header(name) if len(name) <= _MAX_CACHED_NAME else _is_secret_header.__wrapped__(name)


@lru_cache(maxsize=512)
def _is_secret_header(name: bytes) -> bool:
    return b"idempotency" not in name.lower() and _SECRET_HEADER.search(name) is not None


def is_secret_member(name: str) -> bool:
    """Return whether a member of JSON always holds a credential."""
    return name.lower().replace("-", "_") in _SECRET_MEMBERS


def list_presented(headers: Iterable[tuple[str, str]], query: str) -> list[str]:
    """Return the credentials that a request presents and that are long enough to be looked for elsewhere."""
    found = [secret for name, value in headers if is_secret_header(name.encode("latin-1")) for secret in _split(value)]
    found += [value for name, value in parse_qsl(query) if name.lower() in _SECRET_PARAMETERS]
    return [secret for secret in dict.fromkeys(_add_variants(found)) if len(secret) >= _MIN_KNOWN_CHARS]


def _split(value: str) -> Iterable[str]:
    """Return the credentials in the value of a header: of a signature, cookies, `Basic` or another scheme."""
    if "Credential=" in value or ";" in value or re.match(r"[\w.-]+=[^=]", value):
        return [part.partition("=")[2].strip() for part in re.split(r"[,;]", value) if "SignedHeaders" not in part]
    scheme, space, rest = value.partition(" ")
    if scheme.lower() != "basic":
        return [rest.strip() if space else value]
    try:
        user, _, password = base64.b64decode(rest).decode("utf-8", "replace").partition(":")
    except (binascii.Error, ValueError):
        return [rest]
    return [rest, user, password]


def _add_variants(secrets: Iterable[str]) -> Iterator[str]:
    """Yield secrets also without percent-encoding, and as UTF-8, since headers are read as Latin-1."""
    for secret in secrets:
        yield secret
        yield unquote(secret)
        if not secret.isascii():
            yield secret.encode("utf-8").decode("latin-1")
            yield secret.encode("latin-1", "ignore").decode("utf-8", "ignore")


# --- encodings

Locate = Callable[[Span], Span]
"""From a place in a decoded text to the place in the text that it was decoded from."""


def _decode(text: str) -> Iterator[tuple[str, Locate]]:
    """Yield what a text says without its escapes, and what each piece of base64 in it says."""
    if any(mark in text for mark in _ESCAPE_MARKS) and _ESCAPE.search(text):
        yield _unescape(text)
    for match in _BASE64.finditer(text):
        if _NO_WORDS.search(match[0]):
            yield from _decode_base64(match[0], match.start())


def _unescape(text: str) -> tuple[str, Locate]:
    pieces: list[str] = []
    sources: list[int] = []
    """Where each piece begins in `text`."""
    at = 0
    for match in _ESCAPE.finditer(text):
        pieces += [text[at : match.start()], _unescape_match(match)]
        sources += [at, match.start()]
        at = match.end()
    pieces.append(text[at:])
    sources.append(at)
    starts = [0, *accumulate(map(len, pieces))]

    def find_source(place: int) -> int:
        number = bisect_right(starts, place) - 1
        return len(text) if number == len(pieces) else sources[number] + place - starts[number]

    return "".join(pieces), lambda span: Span(find_source(span.start), find_source(span.end), span.secret)


def _unescape_match(match: re.Match[str]) -> str:
    name = match.lastgroup
    if name is None:
        return ""
    if name == "char":
        return _CHARS.get(match[name], match[name])
    return chr(int(match[name], 10 if name == "decimal" else 16))


def _decode_base64(run: str, offset: int) -> Iterator[tuple[str, Locate]]:
    """Yield the printable pieces that a run of base64 holds."""
    pieces = _decode_short_run(run) if len(run) <= _MAX_SHORT_RUN else _decode_run(run)
    if not pieces:
        return
    places = [index for index, char in enumerate(run) if char not in "\r\n"] if "\n" in run else range(len(run))

    def locate(first: int, byte: int, span: Span) -> Span:
        # a byte has 8 bits, a character 6
        start, end = first + 8 * (byte + span.start) // 6, first + (8 * (byte + span.end) - 1) // 6
        return Span(offset + places[start], offset + places[min(end, len(places) - 1)] + 1, span.secret)

    for text, first, byte in pieces:
        yield text, partial(locate, first, byte)


def _decode_run(run: str) -> list[tuple[str, int, int]]:
    """Decode base64 from each of its first four characters, because other text may stand before it.

    Return the printable pieces with that character and the number of their first byte.
    """
    chars, found = run.translate(_TO_STANDARD), []
    for first in range(4):
        rest = chars[first:]
        text = binascii.a2b_base64(rest + "A" * (-len(rest) % 4)).decode("latin-1")
        found += [(match[0], first, match.start()) for match in _PRINTABLE.finditer(text)]
    return found


_decode_short_run = lru_cache(maxsize=1024)(_decode_run)  # the ids of a stream are in each of its events


# --- logs


class MaskLogs(logging.Filter):
    """Masks credentials in the messages and tracebacks of log records."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change a record; keep all."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):  # as of any other message, logging must not raise
            message = f"{record.msg} (its arguments do not fit: {record.args!r})"
        record.msg, record.args = _MASK.mask_text(message), ()
        if record.exc_info:
            text = record.exc_text or logging.Formatter().formatException(record.exc_info)
            record.exc_text = _MASK.mask_text(text)
        return True


_MASK, _MASK_LOGS = CredentialMask(), MaskLogs()
mask_text, mask_bytes = _MASK.mask_text, _MASK.mask_bytes


def configure_logs(level: str) -> None:
    """Print log messages on standard error, without credentials."""
    logging.basicConfig(level=level.upper(), format="%(levelname)s %(name)s: %(message)s")
    for handler in logging.getLogger().handlers:
        handler.addFilter(_MASK_LOGS)
