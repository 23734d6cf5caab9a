"""Which operations, laws and generated phases a run includes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aione_mock.checker.law import ExchangeRule, Law
from aione_mock.checker.options import PHASES
from aione_mock.contract import Contract, Operation
from aione_mock.errors import ConfigError, did_you_mean

CHECKS: dict[str, str] = {
    "not_a_server_error": "No request causes a server error",
    "status_code_conformance": "Statuses are declared",
    "content_type_conformance": "Content types are declared",
    "response_headers_conformance": "Headers match their schema",
    "response_schema_conformance": "Bodies match their schema",
    "negative_data_rejection": "Invalid data is rejected",
    "positive_data_acceptance": "Valid data is accepted",
    "missing_required_header": "Requests without a required header are rejected",
    "unsupported_method": "Undeclared methods are rejected",
    "allow_header_conformance": "405 lists the allowed methods",
    "ignored_auth": "Declared credentials are required",
    "use_after_free": "Deleted resources are gone",
    "ensure_resource_availability": "Created resources are available",
}
"""Check of generated cases → what it enforces."""


@dataclass(frozen=True, slots=True)
class CheckPlan:
    """What is left after `only` and `skip`."""

    operations: tuple[str, ...]
    laws: tuple[Law, ...]
    rules: tuple[ExchangeRule, ...]
    phases: tuple[str, ...] = PHASES
    checks: tuple[str, ...] = tuple(CHECKS)
    """Checks of generated cases."""

    def operations_of(self, law: Law) -> list[str]:
        """Return the planned operations of a law."""
        return [name for name in law.operations if name in self.operations]

    @property
    def paid_calls(self) -> int:
        """Most paid calls of the laws."""
        return sum(law.paid for law in self.laws)


@dataclass(frozen=True, slots=True)
class _Selection:
    """The names in `only` and `skip`, in lower case."""

    only: frozenset[str]
    skip: frozenset[str]

    def includes(self, names: Iterable[str], all_names: Iterable[str]) -> bool:
        """Whether something with these names is selected; `only` matters if it has any of `all_names`."""
        folded = _fold_names(names)
        return not folded & self.skip and (not self.only & _fold_names(all_names) or bool(folded & self.only))


def make_plan(
    contract: Contract,
    laws: Iterable[Law],
    rules: Iterable[ExchangeRule],
    only: Iterable[str] = (),
    skip: Iterable[str] = (),
    phases: Iterable[str] = PHASES,
) -> CheckPlan:
    """Return what to check. `only` and `skip` have tags, operations, laws, areas, phases and checks, in any case.

    Raises ConfigError for another name.
    """
    laws, rules = tuple(laws), tuple(rules)
    operations = [operation for operation in contract.operations.values() if operation.protocol != "control"]
    operation_names = {name for operation in operations for name in _operation_names(operation)}
    law_names = {law.name for law in laws} | {rule.name for rule in rules}
    areas = {law.area for law in laws} | {rule.area for rule in rules}
    law_words = {*law_names, *areas, *PHASES, *CHECKS}
    known = {name.casefold(): name for name in (*operation_names, *law_words)}
    selection = _Selection(_resolve_names(only, known), _resolve_names(skip, known))

    planned = {o.id for o in operations if selection.includes(_operation_names(o), operation_names)}
    chosen_laws = [law for law in laws if selection.includes((law.name, law.area), law_words)]
    chosen_laws = [law for law in chosen_laws if planned & set(law.operations)]
    chosen_rules = [rule for rule in rules if selection.includes((rule.name, rule.area), law_words)]
    # rules need somebody who sends requests
    rules_alone = bool(chosen_rules) and not chosen_laws and not selection.only & _fold_names(PHASES)
    generates = not selection.only & _fold_names(law_words) or bool(selection.only & _fold_names(CHECKS)) or rules_alone
    return CheckPlan(
        tuple(o.id for o in operations if o.id in planned),
        tuple(chosen_laws),
        tuple(chosen_rules),
        tuple(p for p in phases if p not in selection.skip and (generates or p in selection.only)),
        tuple(check for check in CHECKS if selection.includes([check], CHECKS)),
    )


def _operation_names(operation: Operation) -> tuple[str, ...]:
    return (operation.id, *operation.tags)


def _fold_names(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name.casefold() for name in names)


def _resolve_names(names: Iterable[str], known: Mapping[str, str]) -> frozenset[str]:
    names = tuple(names)
    for name in names:
        if name.casefold() not in known:
            raise ConfigError(f"no tag, operation, law or phase '{name}'{did_you_mean(name.casefold(), known)}")
    return _fold_names(names)
