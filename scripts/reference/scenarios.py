"""The pages on faults, awkward answers, paces and errors, with what each sends."""

from __future__ import annotations

from collections.abc import Iterator

from aione_mock.cli.contract import load_bundled_contract
from aione_mock.scenarios.catalogue import Scenario, ScenarioCatalogue
from aione_mock.server.control.error_catalogue import ErrorCatalogue
from aione_mock.server.http import Server
from aione_mock.settings import Settings
from aione_mock.tenant.organisation_file import list_credentials
from aione_mock.types import Json
from reference import wire
from reference.markdown import format_code, format_json, format_table, join_parts, quote

_HEAD = """\
# Faults and other scenarios

A *scenario* changes what a call gets. Each can be asked for in four ways, here for `cut`:

- for one call, by the header `X-Mock-Scenario: cut; after=3`; several are separated by commas;
- for the next calls, by `POST /_mock/scenarios` with `{"scenario": "cut; after=3", "times": 2}`;
- in a [scenario file](rules.md), as `then: {faults: [{name: cut, after: 3}]}`;
- in a test, as `aione_mock.stream_fault("cut", after=3)`.

Below each scenario you find the header and what a socket then receives: the status line, some headers, and the body,
without chunked encoding and without members that are the same in each event. `\\r` is a carriage return. All scenarios
also take `times`, the number of calls that they apply to, and `delay`, the seconds before anything is sent.
[Client faults](client-faults.md) and [awkward answers](awkward-answers.md) show how official clients react."""
_KINDS = {
    "fault": "Faults damage what goes over the wire.",
    "awkward": "Awkward answers are what real models sometimes say. They keep the contract.",
    "pace": "Paces say how fast answers come.",
    "reply": "A reply says what the model answers.",
}
_TITLES = {"fault": "Faults", "awkward": "Awkward answers", "pace": "Paces", "reply": "Reply"}
_ERRORS_HEAD = """\
# Errors

Every error of the contract, by name, in the format of each protocol that has it. `aione-mock errors` prints the same.
An error is asked for by its name, as other [scenarios](scenarios.md) are: `X-Mock-Scenario: rate_limit_exceeded`."""
_COMMON = ("times", "delay")
_FIT = {"stream": "streams", "plain": "plain answers", "both": "streams and plain answers"}


def write_page() -> str:
    """Return the page on faults, awkward answers, paces and replies."""
    found = [each for each in ScenarioCatalogue() if each.kind != "error"]
    with wire.run_server() as server:
        parts = [
            join_parts(f"## {_TITLES[kind]}", text, *(_write(server, each) for each in found if each.kind == kind))
            for kind, text in _KINDS.items()
        ]
    return join_parts(_HEAD, *parts)


def write_error_page() -> str:
    """Return the page on errors."""
    items = ErrorCatalogue(
        load_bundled_contract(None),
        list_credentials(),
        base_url="http://127.0.0.1:8000",
        max_body=Settings.model_fields["max_body"].default,
    ).list_errors()
    names = sorted({entry["name"] for entry in items})
    return join_parts(_ERRORS_HEAD, *(_write_error(name, items) for name in names))


def _write(server: Server, scenario: Scenario) -> str:
    header, sent = wire.record_scenario(server, scenario)
    options = [
        (f"`{o.name}`", o.expected, "–" if o.default is None else f"`{o.default}`".lower(), o.description)
        for o in scenario.options
        if o.name not in _COMMON
    ]
    needs = f" The request must have {quote([scenario.needs])}." if scenario.needs else ""
    return join_parts(
        f"### {scenario.name}",
        f"{scenario.title}. Fits {_FIT[scenario.applies_to]}.{needs}",
        format_table(("option", "value", "default", "meaning"), options),
        format_code(f"{header}\n\n{sent}", "text"),
    ).rstrip("\n")


def _write_error(name: str, items: list[Json]) -> str:
    return join_parts(f"## {name}", *_write_entries(entry for entry in items if entry["name"] == name))


def _write_entries(entries: Iterator[Json]) -> Iterator[str]:
    for entry in entries:
        operations = quote(entry["operations"]) or "unknown paths, wrong methods"
        yield f"**{entry['dialect']}, {entry['status']}**: {operations}."
        yield format_table(("header", "value"), [(f"`{n}`", f"`{v}`") for n, v in entry["headers"].items()])
        yield format_json(entry["body"])
        yield format_table(("get it by", "how"), [(t["by"], f"`{t['how']}`") for t in entry["triggers"]])
