"""Read the base URLs that people give."""

from __future__ import annotations

from urllib.parse import urlsplit

from aione_mock.errors import ConfigError


def parse_base_url(url: str, name: str, *, scheme: str = "") -> str:
    """Return an http or https URL without a final slash; `scheme` is that of a URL without one.

    Raises ConfigError, which says `name` and shows no password.
    """
    url = url.strip()
    try:
        parts = urlsplit(url if "://" in url or not scheme else f"{scheme}://{url}")
        # as the HTTP client does, which raises for an empty label, and for what is no text
        host = (parts.hostname or "").encode("idna")
        usable = parts.scheme in ("http", "https") and host and parts.port != 0 and url.isprintable()
    except ValueError:
        usable = False
    if not usable:
        # what follows `@` or `?` cannot be found in it, so none of it is shown
        shown = "" if "@" in url or "?" in url else f", not '{url}'"
        raise ConfigError(f"{name} is a base URL such as http://127.0.0.1:8000{shown}")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError(f"{name} has a user, password, query or fragment; give only scheme, host, port and path")
    return parts.geturl().rstrip("/")
