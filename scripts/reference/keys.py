"""The page on the keys and tokens that every mock has."""

from __future__ import annotations

from aione_mock.tenant.organisation_file import list_credentials
from reference.markdown import format_table, join_parts

_HEAD = """\
# Seeded keys

Every mock has these keys and tokens, whatever its seed is. `aione-mock keys` prints them, and
`eval "$(aione-mock keys --format env)"` sets the variables. `serve --auth any` accepts any other API key as the demo
key. The [configuration file](../how-to/configuration.md#organisations-and-keys) adds keys of your own.

Send an API key as `Authorization: Bearer KEY`, `x-api-key: KEY`, `x-goog-api-key: KEY` or `?key=KEY`. Console tokens
are bearer tokens for `/api/v1`. Access keys sign requests of ModelRouter."""


def write_page() -> str:
    """Return the page."""
    credentials = list_credentials()
    kinds = dict.fromkeys(each.kind for each in credentials)
    rows = {
        kind: [
            (f"`{each.secret}`", each.purpose, ", ".join(f"`{name}`" for name, _ in each.env), each.organisation)
            for each in credentials
            if each.kind == kind
        ]
        for kind in kinds
    }
    head = ("secret", "what happens", "variable", "organisation")
    return join_parts(_HEAD, *(f"## {kind}\n\n{format_table(head, found)}" for kind, found in rows.items()))
