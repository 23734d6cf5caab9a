"""Recognize credentials. The journal and cassettes share these rules."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

MASK = "***"
SECRET_PARAMETERS = frozenset(("key", "api_key", "apikey", "access_token", "token", "signature"))
"""Query parameters whose values are credentials."""
GATEWAY_CREDENTIAL = re.compile(rb"(sk-nex-|nex-console-|aione-mock-(?=(?:other-)?access-secret))[A-Za-z0-9_\-]+")
"""A credential of this API. Its group is the prefix that may be shown."""
ANY_CREDENTIAL = re.compile(
    r"(sk-nex-)[A-Za-z0-9_-]{5,}|(nex-console-)[A-Za-z0-9_-]+|((?:aione-mock-)(?:other-)?)access-secret[A-Za-z0-9_-]*"
    r"|(?<![A-Za-z0-9_-])(sk-)[A-Za-z0-9_-]{16,}|(?<![A-Za-z0-9_-])(AIza)[A-Za-z0-9_-]{30,}"
    r"|(?<![A-Za-z0-9_-])(eyJ)[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_.-]{10,}"
)
"""A credential of this API, an API key of OpenAI or Google, or a JSON web token.

`sk-nex-` and four characters is the public prefix of a key."""
_SECRET_HEADER = re.compile(
    rb"authorization|cookie|(?:^|-)(?:api-?key|key|secret|credential|password|signature|token)$", re.IGNORECASE
)


@lru_cache(maxsize=512)
def is_secret_header(name: bytes) -> bool:
    """Return whether the values of a header are credentials."""
    return b"idempotency" not in name.lower() and _SECRET_HEADER.search(name) is not None


def mask_parameters(query: str, mask_text: Callable[[str], str]) -> str:
    """Mask the values of secret parameters in a query string; `mask_text` masks the other parts."""
    parts = [part.partition("=") for part in query.split("&")] if query else []
    return "&".join(
        [
            f"{name}={MASK}" if name.lower() in SECRET_PARAMETERS else mask_text(name + equals + value)
            for name, equals, value in parts
        ]
    )
