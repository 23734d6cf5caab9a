"""Which operations and which laws a run is about."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from aione_mock.checker.law import Law, Rule
from aione_mock.contract import Contract
from aione_mock.exceptions import ConfigError, did_you_mean

PHASES = ("examples", "coverage", "fuzzing", "stateful")
"""The generated phases."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is left after `--only` and `--skip`."""

    operations: tuple[str, ...]
    laws: tuple[Law, ...]
    rules: tuple[Rule, ...]
    phases: tuple[str, ...] = PHASES

    def of(self, law: Law) -> list[str]:
        """The operations that a law is about, as far as they are in the plan."""
        return [name for name in law.operations if name in self.operations]

    @property
    def paid(self) -> int:
        """Paid calls that the laws make at most."""
        return sum(law.paid for law in self.laws)


def plan(
    contract: Contract,
    laws: Iterable[Law],
    rules: Iterable[Rule],
    only: Iterable[str] = (),
    skip: Iterable[str] = (),
    phases: Iterable[str] = PHASES,
) -> Plan:
    """What to check. `only` and `skip` name tags, operations, laws, areas of laws, or phases, in any case.

    Raises ConfigError for a name that is none of these.
    """
    laws, rules = tuple(laws), tuple(rules)
    operations = [o for o in contract.operations.values() if o.dialect != "control"]
    known = _names(operations, laws, rules)
    wanted, unwanted = _resolved(only, known), _resolved(skip, known)

    def about(*names: str) -> set[str]:
        return {name.casefold() for name in names}

    kept = [
        o.id
        for o in operations
        if not about(o.id, *o.tags) & unwanted
        and (not wanted & _operation_words(operations) or about(o.id, *o.tags) & wanted)
    ]
    law_words = {w for law in (*laws, *rules) for w in about(law.name, law.area)}
    named = bool(wanted & (law_words | set(PHASES)))

    def chosen(law: Law | Rule) -> bool:
        words = about(law.name, law.area)
        return not words & unwanted and (not named or bool(words & wanted))

    return Plan(
        tuple(kept),
        tuple(law for law in laws if chosen(law) and set(law.operations) & set(kept)),
        tuple(rule for rule in rules if chosen(rule)),
        tuple(p for p in phases if p not in unwanted and (not named or p in wanted)),
    )


def _operation_words(operations: Iterable[object]) -> set[str]:
    return {
        word.casefold()
        for operation in operations
        for word in (operation.id, *operation.tags)  # type: ignore[attr-defined]
    }


def _names(operations: Iterable[object], laws: tuple[Law, ...], rules: tuple[Rule, ...]) -> dict[str, str]:
    words = [*_operation_words(operations), *PHASES]
    words += [word for law in (*laws, *rules) for word in (law.name, law.area)]
    return {word.casefold(): word for word in words}


def _resolved(names: Iterable[str], known: dict[str, str]) -> set[str]:
    found = set()
    for name in names:
        if name.casefold() not in known:
            raise ConfigError(f"no tag, operation, law or phase '{name}'{did_you_mean(name.casefold(), known)}")
        found.add(name.casefold())
    return found
