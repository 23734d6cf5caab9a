"""The target of a check: its address and its credentials, which are masked in all output."""

from __future__ import annotations

import re
from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass, field
from operator import not_
from typing import Annotated, Any
from urllib.parse import urlsplit

from aione_mock.checker.options import Flag
from aione_mock.errors import ConfigError
from aione_mock.text.addresses import parse_base_url
from aione_mock.text.credentials import CredentialMask, check_credential, list_spellings, mask_text

_MIN_SECRET_LENGTH = 4
"""Shorter secrets are not masked: they could be any text."""


@dataclass(frozen=True, slots=True)
class TargetCredential:
    """A secret and the environment variable shown in its place."""

    secret: str = field(repr=False)
    variable: str


VARIABLES = {
    "key": "AIONE_API_KEY",
    "token": "AIONE_CONSOLE_TOKEN",
    "business_token": "AIONE_BUSINESS_TOKEN",
    "other_token": "AIONE_OTHER_TOKEN",
    "access_key": "AIONE_ACCESS_KEY_ID",
    "access_secret": "AIONE_ACCESS_KEY_SECRET",
}
"""Field of `Target` → environment variable."""
RUN_KEY = "AIONE_NEW_KEY_"
"""Begins the variables that stand for keys that the run makes."""


OPTIONS = {
    "key": "the API key (--key)",
    "token": "the console token (--token)",
    "business_token": "the business token (--business-token)",
    "other_token": "the token of the second organisation (--other-token)",
    "access_secret": "the access key (--access-key, --access-secret)",
}
"""Field of `Target` → how messages call the credential."""
HOW_TO_GIVE = (
    "give --key or $AIONE_API_KEY, --token or $AIONE_CONSOLE_TOKEN, or both of --access-key and --access-secret;"
    " `aione-mock keys --format env` sets those of the mock"
)
"""The remedy where no credential was given."""
_NAMES = OPTIONS | {"access_key": "the id of the access key (--access-key)"}
HeaderPair = tuple[str, str]
_SENSITIVE_HEADER = re.compile("auth|cookie|key|secret|token|password|credential|session", re.IGNORECASE)
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")


def parse_header(text: str) -> HeaderPair:
    """Return name and value of a header. Raises ConfigError."""
    match = _HEADER.fullmatch(text.strip())
    if match is None:
        raise ConfigError("a header is written as 'Name: value'")
    return match[1], match[2]


def _make_credential_flag(name: str, help_: str, metavar: str = "SECRET") -> Flag:
    return Flag(metavar, f"{help_}; ${VARIABLES[name]} if not given.")


def _make_secret_field() -> Any:
    return field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Target:
    """A gateway to check. What needs a missing credential is not checked."""

    url: str
    """Where `/v1`, `/v1beta` and `/api` begin, without a final slash."""
    key: Annotated[str | None, _make_credential_flag("key", "API key of the data plane")] = _make_secret_field()
    token: Annotated[str | None, _make_credential_flag("token", "Console token")] = _make_secret_field()
    business_token: Annotated[
        str | None, _make_credential_flag("business_token", "Console token with the business view")
    ] = _make_secret_field()
    other_token: Annotated[
        str | None, _make_credential_flag("other_token", "Console token of another organisation")
    ] = _make_secret_field()
    access_key: Annotated[str | None, _make_credential_flag("access_key", "ModelRouter access key id", "ID")] = (
        _make_secret_field()
    )
    access_secret: Annotated[str | None, _make_credential_flag("access_secret", "ModelRouter access key secret")] = (
        _make_secret_field()
    )
    model: Annotated[str | None, Flag("ID", "Model to call; the cheapest if not given.")] = None
    headers: Annotated[
        tuple[HeaderPair, ...],
        Flag("'NAME: VALUE'", "Header of every request. Repeatable.", parse_header, "header"),
    ] = field(default=(), repr=False)
    verify: Annotated[bool, Flag("", "Do not verify TLS certificates.", not_, "insecure")] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", parse_url(self.url))
        for name in VARIABLES:
            check_credential(getattr(self, name) or "", _NAMES[name])
        object.__setattr__(self, "headers", tuple([parse_header(f"{name}: {value}") for name, value in self.headers]))

    @classmethod
    def from_environment(
        cls,
        url: str,
        *,
        model: str | None = None,
        headers: Iterable[HeaderPair] = (),
        verify: bool = True,
        suffix: str = "",
        **given: str | None,
    ) -> Target:
        """Return a target whose missing credentials come from environment variables.

        The variables are those that `aione-mock keys --format env` prints. With a `suffix`, variables that end in it
        take precedence over `given`. Raises ConfigError for an unusable address or credential.
        """
        credentials = {name: _find_credential(name, given.get(name), suffix) for name in VARIABLES}
        return cls(url, model=model, headers=tuple(headers), verify=verify, **credentials)

    @property
    def credentials(self) -> dict[str, TargetCredential]:
        """The credentials that are present, by field name."""
        return {
            name: TargetCredential(secret, variable)
            for name, variable in VARIABLES.items()
            if (secret := getattr(self, name))
        }

    @property
    def is_local(self) -> bool:
        """Whether it runs on this machine."""
        return (urlsplit(self.url).hostname or "") in ("127.0.0.1", "::1", "localhost")

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def base_path(self) -> str:
        """The path of the address, empty for most."""
        return urlsplit(self.url).path


def _find_credential(name: str, given: str | None, suffix: str) -> str | None:
    """Return a given credential or that of the environment. Raises ConfigError, which says where a bad one is from."""
    from aione_mock.settings import read_variable

    variable = VARIABLES[name]
    sources = ((variable + suffix, suffix and read_variable(variable + suffix)), (_write_option(name), given))
    for source, secret in (*sources, (variable, read_variable(variable))):
        if secret:
            return check_credential(secret, source)
    return None


def _write_option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def parse_url(url: str) -> str:
    """Return a base URL without a final slash; it begins with http:// if no scheme is given. Raises ConfigError."""
    return parse_base_url(url, "the address of the gateway", scheme="http")


class SecretMask:
    """Replaces secrets in texts by their environment variables."""

    def __init__(self, target: Target) -> None:
        self._variables: dict[str, str] = {}
        self._mask = CredentialMask(fill=lambda span: f"${self._variables[span.secret]}", forms=False)
        for credential in target.credentials.values():
            self.add(credential.secret, credential.variable)
        for name, value in target.headers:
            if _SENSITIVE_HEADER.search(name):
                self.add(value, f"AIONE_HEADER_{name.upper().replace('-', '_')}")

    def add(self, secret: str, variable: str) -> None:
        """Mask a secret from now on, in every encoding."""
        if len(secret) >= _MIN_SECRET_LENGTH:
            for spelling in list_spellings(secret):
                self._variables.setdefault(spelling, variable)
                self._mask.learn([spelling])

    def with_own_key(self) -> SecretMask:
        """Return a mask that shows the target's own key in place of keys that the run made."""
        mask = copy(self)
        made, own = f"${RUN_KEY}", f"${VARIABLES['key']}"
        mask._variables = {secret: own if name.startswith(made) else name for secret, name in self._variables.items()}
        return mask

    def apply(self, text: str) -> str:
        """Return a text without secrets."""
        text = self._mask.mask_text(text)
        return self._mask_cut_secrets(text) if "…" in text else text

    def apply_to_answer(self, text: str) -> str:
        """Return an answer without secrets, and without credentials of others that it may hold."""
        return mask_text(self.apply(text))

    def _mask_cut_secrets(self, text: str) -> str:
        """Replace the beginning of a secret where a text was cut within it."""
        for secret, variable in self._variables.items():
            for length in range(len(secret) - 1, 2 * _MIN_SECRET_LENGTH, -1):
                text = text.replace(f"{secret[:length]}…", f"${variable}…")
        return text
