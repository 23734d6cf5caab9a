"""What is checked: an address and the credentials for it, which never leave this module in the clear."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from aione_mock.errors import ConfigError
from aione_mock.settings import read_variable

_LEAST = 4
"""Characters below which a secret is too short to be told from ordinary text."""


@dataclass(frozen=True, slots=True)
class TargetCredential:
    """A secret and the variable that stands for it wherever something is shown."""

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
"""Field of `Target` → variable of the environment that it is read from and shown as."""


@dataclass(frozen=True, slots=True)
class Target:
    """An implementation to check. Without a credential, what needs it is not checked."""

    url: str
    """Where `/v1`, `/v1beta` and `/api` begin, without a slash at the end."""
    key: str | None = field(default=None, repr=False)
    """API key of the data plane."""
    token: str | None = field(default=None, repr=False)
    """Console token of the same organisation."""
    business_token: str | None = field(default=None, repr=False)
    """Console token of somebody with the business view."""
    other_token: str | None = field(default=None, repr=False)
    """Console token of another organisation."""
    access_key: str | None = field(default=None, repr=False)
    access_secret: str | None = field(default=None, repr=False)
    model: str | None = None
    """The model to call; the cheapest of the list if None."""
    verify: bool = True
    """Whether TLS certificates are checked."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", address(self.url))

    @classmethod
    def from_environment(
        cls, url: str, *, model: str | None = None, verify: bool = True, suffix: str = "", **given: str | None
    ) -> Target:
        """A target whose missing credentials come from the variables that `aione-mock keys --format env` prints.

        With a `suffix`, variables that end in it come before what is given. Raises ConfigError for an address that
        cannot be used.
        """
        found = {
            name: (suffix and read_variable(variable + suffix)) or given.get(name) or read_variable(variable)
            for name, variable in VARIABLES.items()
        }
        return cls(url, model=model, verify=verify, **found)

    @property
    def credentials(self) -> dict[str, TargetCredential]:
        """The credentials there are, by field name."""
        return {
            name: TargetCredential(secret, variable)
            for name, variable in VARIABLES.items()
            if (secret := getattr(self, name))
        }

    @property
    def local(self) -> bool:
        """Whether it runs on this machine."""
        return (urlsplit(self.url).hostname or "") in ("127.0.0.1", "::1", "localhost")


def address(url: str) -> str:
    """A base URL as it is used. Raises ConfigError."""
    url = url.strip()
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError(f"'{url}' is not an address such as http://127.0.0.1:8000")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError("the address holds a password, a query or a fragment; give only scheme, host, port and path")
    return parts.geturl().rstrip("/")


class SecretMask:
    """Replaces every credential in a text by its variable, also those learnt on the way."""

    def __init__(self, target: Target) -> None:
        self._known: dict[str, str] = {}
        for credential in target.credentials.values():
            self.learn(credential.secret, credential.variable)

    def learn(self, secret: str, variable: str) -> None:
        """Remember a secret."""
        if len(secret) >= _LEAST:
            for spelling in (secret, quote(secret, safe="")):
                self._known.setdefault(spelling, f"${variable}")

    def variable(self, secret: str) -> str | None:
        """The variable that stands for a secret, if it is known."""
        return self._known.get(secret)

    def text(self, text: str) -> str:
        """A text without credentials. The longest is replaced first, as one may hold another."""
        for secret in sorted(self._known, key=len, reverse=True):
            if secret in text:
                text = text.replace(secret, self._known[secret])
        return self._cut_off(text) if "…" in text else text

    def _cut_off(self, text: str) -> str:
        """A text that was shortened in the middle of a credential, without the beginning of it."""
        for secret, variable in self._known.items():
            for length in range(len(secret) - 1, 2 * _LEAST, -1):
                text = text.replace(f"{secret[:length]}…", f"{variable}…")
        return text
