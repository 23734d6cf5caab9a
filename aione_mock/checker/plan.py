"""Which operations, laws and generated phases a run includes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain

from aione_mock.checker.law import ExchangeRule, Law
from aione_mock.checker.options import PHASES
from aione_mock.checker.outages import OUTAGE_LAWS
from aione_mock.contract import Contract, Operation
from aione_mock.errors import ConfigError, did_you_mean
from aione_mock.settings import EXTENSIONS

CHECKS: dict[str, str] = {
    "negative_data_rejection": "Invalid data is rejected",
    "positive_data_acceptance": "Valid data is accepted",
    "missing_required_header": "Requests without a required header are rejected",
    "unsupported_method": "Undeclared methods are rejected",
    "allow_header_conformance": "405 lists the allowed methods",
    "ignored_auth": "Declared credentials are required",
    "use_after_free": "Deleted resources are gone",
    "ensure_resource_availability": "Created resources are available",
}
"""Check of generated cases → what it enforces. Statuses, headers and bodies are left to rules."""
_PHASE_SENTENCES = {
    "examples": "Send the examples of the contract.",
    "coverage": "Send each boundary and each violation of every parameter and member.",
    "fuzzing": "Send random valid and invalid requests.",
    "stateful": "Send requests that use the answers of others.",
}
_AREA_SENTENCES = {
    "basics": "Each operation answers a plain valid request.",
    "access": "Credentials are accepted and rejected as they should be.",
    "errors": "Errors have the status, envelope, type and code of their protocol.",
    "keys": "API keys are created, read, changed, rotated, disabled and deleted.",
    "isolation": "No organisation sees what belongs to another.",
    "usage": "Usage figures add up and grow by what a call used.",
    "billing": "The account, the plan and the invoices agree with the usage.",
    "modelrouter": "Signatures are checked; charts, metrics and logs agree.",
    "streams": "Streams are complete, in order, and agree with the plain answer.",
    "chat": "Answers of models have the right usage, finish reason and tool calls.",
    "limits": "Rate limits are enforced and reported.",
    "robustness": "Unusual requests cause no server error.",
    "models": "The lists of models are complete, and their models can be called.",
    "embeddings": "Vectors have length 1, and depend on their text alone.",
    "responses": "Responses are streamed, kept, continued and deleted.",
    "conformance": "Every answer has a declared status, content type, headers and schema.",
}
_OPERATION_KINDS = ("tag", "operation")
_ASKING_LAWS = {"streams": ("stream-asked",)}
"""Area of a rule → laws whose requests show it; those of the area `basics` show all others."""


@dataclass(frozen=True, slots=True)
class SelectableName:
    """A name for `only` and `skip`."""

    kind: str
    """`tag`, `operation`, `law`, `area`, `phase` or `check`."""
    name: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True, slots=True)
class CheckPlan:
    """What is left after `only` and `skip`."""

    operations: tuple[str, ...]
    laws: tuple[Law, ...]
    rules: tuple[ExchangeRule, ...]
    phases: tuple[str, ...] = PHASES
    checks: tuple[str, ...] = tuple(CHECKS)
    """Checks of generated cases."""
    asking_laws: tuple[Law, ...] = ()
    """Laws that send requests for the rules and are not judged."""
    forbidden: frozenset[str] = frozenset()
    """Operations that are not called, whatever a law needs."""
    covered: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Rule → operations whose answers can break it."""
    judges_missing: bool = True
    """Whether it is a violation that an operation does not exist; else its laws are not checked there."""

    def list_operations_of(self, law: Law | ExchangeRule) -> list[str]:
        """Return the planned operations of a law or rule."""
        if isinstance(law, Law):
            return [name for name in law.operations if name in self.operations]
        return [name for name in self.operations if name in self.covered[law.name]]

    @property
    def paid_calls(self) -> int:
        """Most paid calls of the laws."""
        return sum(law.paid for law in (*self.laws, *self.asking_laws))


@dataclass(frozen=True, slots=True)
class _Selection:
    """What `only` and `skip` name."""

    only: frozenset[SelectableName]
    skip: frozenset[SelectableName]

    def has_only(self, *kinds: str) -> bool:
        """Return whether `only` names something of some kinds."""
        return any(name.kind in kinds for name in self.only)

    def includes(self, *names: tuple[str, str], among: tuple[str, ...]) -> bool:
        """Return whether something of these kinds and names is selected; `only` matters if it has one of the kinds."""
        skipped = {(name.kind, name.name) for name in self.skip}
        chosen = {(name.kind, name.name) for name in self.only}
        return not skipped & set(names) and (not self.has_only(*among) or bool(chosen & set(names)))


def list_names(contract: Contract, laws: Iterable[Law], rules: Iterable[ExchangeRule]) -> list[SelectableName]:
    """Return every name that `only` and `skip` accept."""
    # laws of extensions are for contracts that have them
    judged: list[Law | ExchangeRule] = [
        law for law in laws if law.area not in EXTENSIONS or contract.operations.keys() & set(law.operations)
    ]
    judged += rules
    tags = {tag["name"]: tag for document in contract.documents.values() for tag in document.get("tags", ())}
    operations = _list_operations(contract)
    areas = dict.fromkeys(law.area for law in judged)
    used: dict[str, None] = {tag: None for operation in operations for tag in operation.tags}
    return [
        *(SelectableName("tag", tag, _read_first_sentence(tags.get(tag, {}).get("description", ""))) for tag in used),
        *(SelectableName("operation", o.id, _read_first_sentence(o.raw.get("summary", ""))) for o in operations),
        *(SelectableName("area", area, _AREA_SENTENCES.get(area, "")) for area in areas),
        *(SelectableName("law", law.name, law.sentence) for law in judged),
        *(SelectableName("phase", phase, _PHASE_SENTENCES[phase]) for phase in PHASES),
        *(SelectableName("check", check, f"{sentence}.") for check, sentence in CHECKS.items()),
    ]


def _list_operations(contract: Contract) -> list[Operation]:
    return [operation for operation in contract.operations.values() if operation.protocol != "control"]


def _read_first_sentence(text: str) -> str:
    sentence = " ".join(text.split()).partition(". ")[0].rstrip(".")
    return f"{sentence}." if sentence else ""


def make_plan(
    contract: Contract,
    laws: Iterable[Law],
    rules: Iterable[ExchangeRule],
    only: Iterable[str] = (),
    skip: Iterable[str] = (),
    phases: Iterable[str] = PHASES,
) -> CheckPlan:
    """Return what to check. `only` and `skip` have names such as `tag:Billing` or, if it means one thing, `Billing`.

    Raises ConfigError for an unknown or ambiguous name, and if nothing is left.
    """
    laws, rules = tuple(laws), tuple(rules)
    names = list_names(contract, laws, rules)
    selection = _Selection(
        frozenset(_resolve_name(text, names) for text in only), frozenset(_resolve_name(text, names) for text in skip)
    )
    only_skip = _Selection(frozenset(), selection.skip)
    operations = [o for o in _list_operations(contract) if _includes_operation(selection, o)]
    planned = {operation.id for operation in operations}
    # a phase says what is sent, so it leaves the rules in force
    chosen = [law for law in laws if _includes_law(selection, law, "phase") and planned & set(law.operations)]
    chosen_rules = [rule for rule in rules if _includes_law(selection, rule)]
    chosen_phases = tuple(phase for phase in phases if _includes_phase(selection, phase)) if planned else ()
    if not chosen and not chosen_phases and not (chosen_rules and planned):
        raise ConfigError("nothing was checked: these options leave nothing to check")
    covered = {rule.name: frozenset(o.id for o in operations if rule.covers(o)) for rule in chosen_rules}
    judged = {*chain(*covered.values(), *(law.operations for law in chosen))}
    return CheckPlan(
        tuple(o.id for o in operations if chosen_phases or o.id in judged),
        tuple(chosen),
        tuple(chosen_rules),
        chosen_phases,
        tuple(check for check in CHECKS if selection.includes(("check", check), among=("check",))),
        () if chosen or chosen_phases else find_asking_laws(chosen_rules, laws, planned),
        frozenset(o.id for o in _list_operations(contract) if not _includes_operation(only_skip, o)),
        covered,
        bool(chosen_phases) or any(law.name in OUTAGE_LAWS for law in chosen),
    )


def _includes_operation(selection: _Selection, operation: Operation) -> bool:
    tags = [("tag", tag) for tag in operation.tags]
    return selection.includes(("operation", operation.id), *tags, among=_OPERATION_KINDS)


def _includes_law(selection: _Selection, law: Law | ExchangeRule, *kinds: str) -> bool:
    return selection.includes(("law", law.name), ("area", law.area), among=("law", "area", "check", *kinds))


def _includes_phase(selection: _Selection, phase: str) -> bool:
    if selection.has_only("check") and not selection.has_only("phase"):
        return selection.includes(("phase", phase), among=())
    return selection.includes(("phase", phase), among=("law", "area", "phase"))


def find_asking_laws(rules: Iterable[ExchangeRule], laws: Iterable[Law], planned: Iterable[str]) -> tuple[Law, ...]:
    """Return the laws whose requests show what rules are about."""
    asking = {name for rule in rules for name in _ASKING_LAWS.get(rule.area, ("",))}
    by_default = "" in asking
    names = set(planned)
    return tuple(
        law
        for law in laws
        if names & set(law.operations) and (law.name in asking or (by_default and law.area == "basics"))
    )


def _resolve_name(text: str, names: Iterable[SelectableName]) -> SelectableName:
    """Return what a text names. Raises ConfigError."""
    wanted = text.strip().casefold()
    kind, _, rest = wanted.partition(":")
    rest = rest.strip()
    named = [
        name for name in names if wanted == name.name.casefold() or (kind, rest) == (name.kind, name.name.casefold())
    ]
    if len(named) == 1:
        return named[0]
    if named:
        raise ConfigError(f"'{text}' means {' and '.join(map(str, named))}; write one of them")
    # a kind that is right would make any of its names look near
    is_near = did_you_mean(rest or wanted, [name.name.casefold() for name in names])
    known = [spelling for name in names for spelling in (name.name.casefold(), str(name).casefold())]
    near = (is_near and did_you_mean(wanted, known)) or "; `aione-mock check --list` shows all names"
    hint = "; repeat the option for each name" if "," in text else near
    raise ConfigError(f"no tag, operation, law, area, phase or check '{text}'{hint}")
