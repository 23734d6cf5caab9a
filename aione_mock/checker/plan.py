"""Which operations and which laws a run is about."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from aione_mock.checker.law import ExchangeRule, Law
from aione_mock.contract import Contract, Operation
from aione_mock.errors import ConfigError, did_you_mean

PHASES = ("examples", "coverage", "fuzzing", "stateful")
"""The generated phases."""


CHECKS: dict[str, str] = {
    "not_a_server_error": "Nothing that is sent makes the server fail",
    "status_code_conformance": "Only declared statuses",
    "content_type_conformance": "Declared content types",
    "response_headers_conformance": "Promised headers, in their declared form",
    "response_schema_conformance": "Bodies of their declared shape",
    "negative_data_rejection": "Data that the contract forbids is refused",
    "positive_data_acceptance": "Data that the contract allows is taken",
    "missing_required_header": "Requests without a required header are refused",
    "unsupported_method": "Methods that are not declared are refused",
    "allow_header_conformance": "405 says which methods there are",
    "ignored_auth": "Declared credentials are demanded",
    "use_after_free": "What was deleted is gone",
    "ensure_resource_availability": "What was made is there",
}
"""Check → what it enforces. Each is a column of the report of its own."""


@dataclass(frozen=True, slots=True)
class CheckPlan:
    """What is left after `--only` and `--skip`."""

    operations: tuple[str, ...]
    laws: tuple[Law, ...]
    rules: tuple[ExchangeRule, ...]
    phases: tuple[str, ...] = PHASES
    checks: tuple[str, ...] = tuple(CHECKS)
    """Checks of the generated phases."""

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
    rules: Iterable[ExchangeRule],
    only: Iterable[str] = (),
    skip: Iterable[str] = (),
    phases: Iterable[str] = PHASES,
) -> CheckPlan:
    """What to check. `only` and `skip` name tags, operations, laws, areas of laws, or phases, in any case.

    Raises ConfigError for a name that is none of these.
    """
    laws, rules = tuple(laws), tuple(rules)
    every: tuple[Law | ExchangeRule, ...] = (*laws, *rules)
    operations = [o for o in contract.operations.values() if o.protocol != "control"]
    known = _names(operations, every)
    wanted, unwanted = _resolved(only, known), _resolved(skip, known)

    def about(*names: str) -> set[str]:
        return {name.casefold() for name in names}

    kept = [
        o.id
        for o in operations
        if not about(o.id, *o.tags) & unwanted
        and (not wanted & _operation_words(operations) or about(o.id, *o.tags) & wanted)
    ]
    named = bool(wanted & ({w for law in every for w in about(law.name, law.area)} | {*PHASES, *CHECKS}))

    def chosen(law: Law | ExchangeRule) -> bool:
        words = about(law.name, law.area)
        return not words & unwanted and (not named or bool(words & wanted))

    asked = tuple(law for law in laws if chosen(law) and set(law.operations) & set(kept))
    # rules and checks need somebody who sends requests
    asking = any(chosen(rule) for rule in rules) and not (asked or wanted & set(PHASES))
    generated = not named or bool(wanted & set(CHECKS)) or asking
    return CheckPlan(
        tuple(kept),
        asked,
        tuple(rule for rule in rules if chosen(rule)),
        tuple(phase for phase in phases if phase not in unwanted and (generated or phase in wanted)),
        tuple(c for c in CHECKS if c not in unwanted and (not wanted & set(CHECKS) or c in wanted)),
    )


def _operation_words(operations: list[Operation]) -> set[str]:
    return {word.casefold() for operation in operations for word in (operation.id, *operation.tags)}


def _names(operations: list[Operation], laws: Iterable[Law | ExchangeRule]) -> dict[str, str]:
    words = [*_operation_words(operations), *PHASES, *CHECKS]
    words += [word for law in laws for word in (law.name, law.area)]
    return {word.casefold(): word for word in words}


def _resolved(names: Iterable[str], known: dict[str, str]) -> set[str]:
    found = set()
    for name in names:
        if name.casefold() not in known:
            raise ConfigError(f"no tag, operation, law or phase '{name}'{did_you_mean(name.casefold(), known)}")
        found.add(name.casefold())
    return found
