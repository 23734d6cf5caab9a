"""The page docs/explanation/proof.md, from what scripts/proof.py has measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from aione_mock.contract.loading import load_contract
from aione_mock.settings import DOCUMENTS, locate_document
from aione_mock.text.escaping import count_nouns

Json = Any
_INTRODUCTION = """\
# Proof

What `aione-mock check` finds, what it overlooks and how often it is wrong, measured. `make proof` measures all of it
again and writes this page; [proof.json](proof.json) has every single result. Durations, and what Schemathesis gets done
in its time, depend on the machine; the figures here are from two cores with much else to do.
"""
_DEVIATIONS = """\
## What the mock does otherwise than a gateway

Known and intended; the laws do not ask for it.

- Answers have no meaning. Text, tool calls and JSON follow [twelve rules](what-it-says.md).
- Tokens are estimated by one rule for all models, so counts differ from a provider's own. Sums and costs are exact.
- Pictures, sound and web search are not made: pictures are coloured tiles, other media are accepted and not looked at.
- A balance, budgets and failures of an upstream change only by requests, rules and faults, not by themselves.
- Sessions, limits and the ledger belong to one process, or to all workers that share a store.
  They do not outlive the mock or its store.
"""


def render_proof(proof: Mapping[str, Json]) -> str:
    """Return the page as Markdown."""
    return "\n".join(line for part in _render_parts(proof) for line in part).rstrip() + "\n"


def _render_parts(proof: Mapping[str, Json]) -> Iterator[Iterator[str]]:
    yield iter([_INTRODUCTION])
    for name, render in _PARTS.items():
        if name in proof:
            yield render(proof[name]["result"], f"Measured on {proof[name]['day']}, in {proof[name]['seconds']} s.")
    yield _render_deviations()


def _render_mutants(mutants: Json, measured: str) -> Iterator[str]:
    total = len(mutants)
    yield "## Mutants\n"
    yield f"{total} wrong variants of the mock (`aione-mock mutants`), each checked with the laws that name its cause"
    yield f"and without generated cases. A mutant is killed if one of these laws breaks. {measured}\n"
    yield "| | killed | of |\n|---|---|---|"
    for words, key in (("with `--allow-writes`", "with_writes"), ("without, as by default", "without_writes")):
        yield f"| {words} | {sum(bool(mutant[key]) for mutant in mutants.values())} | {total} |"
    yield "\n| mutant | what is wrong | found by | without writes |\n|---|---|---|---|"
    for name, mutant in mutants.items():
        found, without = ", ".join(mutant["with_writes"]) or "**not found**", "yes" if mutant["without_writes"] else "–"
        yield f"| {name} | {mutant['title']} | {found} | {without} |"
    yield ""


def _render_schemathesis(result: Json, measured: str) -> Iterator[str]:
    mutants = result["mutants"]
    caught = [name for name, found in mutants.items() if found["new"]]
    yield "## Schemathesis alone\n"
    yield f"Schemathesis 4 on {len(mutants)} of the mutants, with the contract, the credentials, and all its phases and"
    yield f"checks, for {result['seconds']} s each. A mutant counts as caught by a kind of failure that it does not"
    yield f"report for the correct mock under two seeds. Those are noise: {', '.join(result['noise']) or 'none'}."
    yield f"{measured}\n"
    yield f"It catches {len(caught)} of {len(mutants)}.\n\n| mutant | new failures | requests |\n|---|---|---|"
    for name, found in mutants.items():
        yield f"| {name} | {'; '.join(found['new'][:2]) or '–'} | {found['requests']} |"
    yield ""


def _render_alarms(result: Json, measured: str) -> Iterator[str]:
    plain = [run for run in result["runs"] if run["variation"] is None]
    varied = [run for run in result["runs"] if run["variation"] is not None]
    wrong = [run for run in plain if run["violations"] or run["mismatches"]]
    yield "## False findings\n\nThe correct mock, all laws, with writes, and the mock behind a layer with one harmless"
    yield f"variation each: what a correct gateway may do otherwise. {measured}\n"
    yield "| | runs | with a finding | violations | assumption mismatches |\n|---|---|---|---|---|"
    for pace in result["paces"]:
        runs = [run for run in plain if run["pace"] == pace]
        yield _format_alarm_row(f"{len({run['seed'] for run in runs})} seeds, pace {pace}", runs)
    yield _format_alarm_row(f"{len(varied)} variations", varied)
    yield "\nMismatches of the variations are right where the contract assumes what is changed; violations are not."
    for run in [*wrong, *[run for run in varied if run["violations"]]]:
        what = ", ".join([*run["violations"], *([] if run["variation"] else run["mismatches"])])
        yield f"\n- seed {run['seed']}, {run['pace']}, {run['variation'] or 'no variation'}: {what}"
    yield "\nThe variations: " + "; ".join(result["variations"]) + ".\n"


def _format_alarm_row(words: str, runs: list[Json]) -> str:
    found = sum(bool(run["violations"] or run["mismatches"]) for run in runs)
    counts = [sum(len(run[kind]) for run in runs) for kind in ("violations", "mismatches")]
    return f"| {words} | {len(runs)} | {found} | {counts[0]} | {counts[1]} |"


def _render_gateways(result: Json, measured: str) -> Iterator[str]:
    yield "## Gateways and mocks by other people\n"
    yield "Each with an API key only, default options, in front of this mock where it"
    yield "passes requests on, for at most four minutes. A finding is a cause, with all places that show it. None of"
    yield "them promised to keep this contract, so a finding is a difference and no fault"
    yield f"by itself. {measured}\n"
    columns = ("", "version", "protocols", "requests", "kept", "not checked", "findings", "places")
    yield f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|"
    for gateway in result:
        yield _format_gateway_row(gateway)
    for gateway in result:
        if gateway.get("causes"):
            yield f"\n### {gateway['name']} {gateway['version']}\n\n{gateway['verdict']}\n"
            yield from (
                f"- {cause['title']} ({cause['severity']}, {count_nouns(cause['findings'], 'place')})"
                for cause in gateway["causes"]
            )
    yield ""


def _format_gateway_row(gateway: Json) -> str:
    if "missing" in gateway:
        return f"| {gateway['name']} | not installed: {gateway['missing'][:100]} | | | | | | |"
    causes, findings = len(gateway["causes"]), sum(cause["findings"] for cause in gateway["causes"])
    selected = ", ".join(f"{word} {', '.join(names)}" for word, names in gateway["options"].items()) or "all"
    cells = (
        gateway["name"],
        gateway["version"],
        selected,
        gateway["requests"],
        gateway["kept"],
        gateway["not_checked"],
    )
    return f"| {' | '.join(map(str, cells))} | {causes} | {findings} |"


def _render_deviations() -> Iterator[str]:
    yield _DEVIATIONS
    counts = Counter({name: _count_assumptions(load_contract([locate_document(name)]).documents) for name in DOCUMENTS})
    yield "What is not documented is marked `x-evidence: assumed` in the contract, and a difference there is no"
    yield f"violation: {', '.join(f'{count} places in {name}' for name, count in counts.items() if count)}."


def _count_assumptions(node: Json) -> int:
    if isinstance(node, dict):
        return (node.get("x-evidence") == "assumed") + sum(map(_count_assumptions, node.values()))
    return sum(map(_count_assumptions, node)) if isinstance(node, list) else 0


_PARTS = {
    "mutants": _render_mutants,
    "schemathesis": _render_schemathesis,
    "alarms": _render_alarms,
    "gateways": _render_gateways,
}
