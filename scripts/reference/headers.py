"""The page on headers: those of the mock, and those that the contract declares."""

from __future__ import annotations

from aione_mock.cli.contract import load_bundled_contract
from reference.markdown import format_table, join_parts, quote

_HEAD = """\
# Headers

## Of a request, for the mock

No real gateway knows these headers. [Faults without headers](../how-to/faults.md) shows other ways."""
REQUEST_HEADERS = {
    "X-Mock-Scenario": "A [scenario](scenarios.md) for this call alone: `cut; after=3`. Commas separate several.",
    "X-Mock-Session": "The session of this call. A base URL that ends in `/_session/NAME` does the same.",
    "X-Mock-Explain": "`1` adds the headers below to the answer.",
    "X-Mock-Journal": "`off` keeps the call out of the journal.",
    "Prefer": "Chooses one of the [documented answers](../how-to/overlays.md#prefer-one-of-the-documented-answers).",
}
EXPLANATIONS = {
    "x-mock-session": "The session.",
    "x-mock-seed": "Its seed.",
    "x-mock-occurrence": "How often the session has received this request: 1 for the first time.",
    "x-mock-rule": "The rule that made the answer.",
    "x-mock-played": "What the rule or the header played: the name of an error, a fault, or `reply`.",
    "x-mock-limits": "What the key has used of its limits within the last minute.",
    "x-mock-nearest": "The rule that came nearest, and why it did not match.",
}


def write_page() -> str:
    """Return the page."""
    return join_parts(
        _HEAD,
        format_table(("header", "meaning"), [(f"`{name}`", text) for name, text in REQUEST_HEADERS.items()]),
        "## Of an answer, with `X-Mock-Explain: 1`",
        format_table(("header", "meaning"), [(f"`{name}`", text) for name, text in EXPLANATIONS.items()]),
        "## Of an answer, by the contract",
        format_table(("header", "protocols", "meaning"), _list_declared()),
    )


def _list_declared() -> list[tuple[str, str, str]]:
    found: dict[str, tuple[set[str], str]] = {}
    for operation in load_bundled_contract(None).operations.values():
        for response in operation.responses.values():
            for name, node in operation.resolve(response).get("headers", {}).items():
                protocols, _ = found.setdefault(name.lower(), (set(), operation.resolve(node).get("description", "")))
                protocols.add(operation.protocol)
    return [(f"`{name}`", quote(sorted(protocols)), text) for name, (protocols, text) in sorted(found.items())]
