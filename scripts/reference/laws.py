"""The page on the laws that `aione-mock check` checks: sentence, evidence, needs, and the mutants that break them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import groupby
from pathlib import Path

import orjson

from aione_mock.checker.law import ExchangeRule, Law
from aione_mock.checker.law_entries import find_law_entry, find_law_evidence
from aione_mock.checker.laws import LAWS, RULES
from aione_mock.cli.contract import load_bundled_contract
from aione_mock.contract import Contract
from aione_mock.mutants import MUTANTS
from aione_mock.settings import EXTENSIONS
from reference.markdown import format_table, join_parts, quote

_HEAD = """\
# Laws

A *law* is one sentence about what a gateway has to do. `aione-mock check` sends requests and reports each law as kept,
broken or not checked. `aione-mock check --list` prints the same names, and `--only` and `--skip` take them.

*Evidence* says how it is known that a gateway keeps a law: `documented`, `deduced` or `assumed`. See
[evidence](../explanation/evidence.md). *Mutants* are wrong variants of the mock. Those named with a law break it, which
[proof](../explanation/proof.md) shows; `serve --mutant NAME` runs one."""
_EVERY_EXCHANGE = "Checked for every answer of the run."
_EVIDENCE_OF_RULES = "That of the part of the contract that an answer contradicts."


def write_page(proof: Path) -> str:
    """Return the page; `proof` is the file of measured results."""
    found = orjson.loads(proof.read_bytes())["mutants"]["result"]
    breaking = {law: list(_list_mutants(law, found)) for law in [each.name for each in (*RULES, *LAWS)]}
    laws = sorted((*RULES, *LAWS), key=lambda law: _list_areas().index(law.area))
    parts = [
        join_parts(f"## {area}", *(_write_law(law, breaking[law.name]) for law in members))
        for area, members in groupby(laws, key=lambda law: law.area)
    ]
    return join_parts(_HEAD, *parts)


@cache
def _load_contract() -> Contract:
    return load_bundled_contract(None, list(EXTENSIONS))


def _list_areas() -> list[str]:
    return list(dict.fromkeys(law.area for law in (*LAWS, *RULES)))


def _list_mutants(law: str, found: dict[str, dict[str, list[str]]]) -> Iterator[str]:
    for mutant in MUTANTS.values():
        if law in mutant.found_by or law in found.get(mutant.name, {}).get("with_writes", ()):
            yield mutant.name


def _write_law(law: Law | ExchangeRule, mutants: list[str]) -> str:
    contract = _load_contract()
    figures = {key: value for key, value in find_law_entry(contract, law.name).items() if key != "evidence"}
    rows = [
        ("evidence", f"`{find_law_evidence(contract, law.name)}`" if isinstance(law, Law) else _EVIDENCE_OF_RULES),
        ("figures", quote(f"{key}: {value}" for key, value in figures.items())),
        ("operations", quote(law.operations) if isinstance(law, Law) else _EVERY_EXCHANGE),
        ("needs", quote(law.needs) if isinstance(law, Law) else ""),
        ("paid calls", law.paid if isinstance(law, Law) else 0),
        ("mutants", quote(mutants)),
    ]
    table = format_table(("", ""), [row for row in rows if row[1]])
    return join_parts(f"### {law.name}", f"{law.sentence} A report says: *{law.title}*.", table).rstrip("\n")
