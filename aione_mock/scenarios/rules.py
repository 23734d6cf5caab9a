"""Which rule answers a call. The first that fits does; the others can say why they do not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field

from aione_mock.scenarios.conditions import Condition, Facts, conditions, missing
from aione_mock.scenarios.outcomes import ORDINARY, Outcome, Step, steps
from aione_mock.structs import frozen
from aione_mock.types import Json

Counter = Callable[[str], Awaitable[int]]
"""Counts a rule up, atomically, and gives its new count: `lambda id: store.increment(f"rules/{id}")`."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A compiled rule; `raw` is as it was written."""

    id: str
    conditions: tuple[Condition, ...] = field(compare=False)
    steps: tuple[Step, ...]
    nth: tuple[int, ...] = ()
    """The calls it is for, ascending; empty for all."""
    every: int = 1
    cycle: bool = False
    source: str = "control"
    raw: Mapping[str, Json] = field(default_factory=dict, repr=False)

    def turn(self, seen: int) -> int | None:
        """How often the rule has had its turn when the `seen`th call fits, None if it is not this call's turn."""
        if self.nth:
            turns = [call for call in self.nth if call <= seen and call % self.every == 0]
            return len(turns) if turns and turns[-1] == seen else None
        return seen // self.every if seen % self.every == 0 else None

    def outcome(self, turn: int) -> Outcome | None:
        """What happens at its `turn`th turn (from 1), None when it is spent."""
        total = self.total
        if total is not None and self.cycle:
            turn = (turn - 1) % total + 1
        for step in self.steps:
            if step.times is None or turn <= step.times:
                return step.outcome
            turn -= step.times
        return None

    @property
    def total(self) -> int | None:
        """Turns until it is spent or begins again; None if never."""
        times = [step.times for step in self.steps]
        return None if None in times else sum(count for count in times if count)

    def spent(self, seen: int) -> bool:
        """Whether nothing is left to do after `seen` calls that fitted."""
        if self.nth and seen >= self.nth[-1]:
            return True
        return not self.cycle and self.total is not None and self._turns(seen) >= self.total

    def _turns(self, seen: int) -> int:
        if self.nth:
            return sum(1 for call in self.nth if call <= seen and call % self.every == 0)
        return seen // self.every


@frozen
class Match:
    """How a rule stands to a call: whether it fits, how many conditions are met, and what is against it."""

    rule_id: str
    ok: bool
    satisfied: int
    reasons: tuple[str, ...] = ()


@frozen
class Selection:
    """The rule that answers a call, if any, and what it has happen."""

    rule: Rule | None = None
    outcome: Outcome = ORDINARY
    seen: int = 0
    """Calls that fitted the rule's conditions, this one included."""
    passed: tuple[Match, ...] = ()
    """Rules whose conditions are met, but whose turn it was not, or which are spent."""


def compile_rule(spec: Mapping[str, Json], rule_id: str, source: str = "control") -> Rule:
    """A rule that has been checked by `Rulebook`, as a value."""
    when, then = spec.get("when", {}), spec["then"]
    nth = when.get("nth", [])
    return Rule(
        rule_id,
        conditions(when, rule_id),
        steps(then),
        tuple(sorted({nth} if isinstance(nth, int) else set(nth))),
        when.get("every", 1),
        then.get("cycle", False),
        source,
        spec,
    )


def match(rule: Rule, facts: Facts) -> Match:
    """Whether a call meets the rule's conditions, counts aside, and if not, why."""
    return weigh(rule.id, rule.conditions, facts)


def weigh(rule_id: str, wanted: tuple[Condition, ...], facts: Facts) -> Match:
    """The same for conditions alone, as in `verify`."""
    reasons = tuple(missing(wanted, facts))
    return Match(rule_id, not reasons, len(wanted) - len(reasons), reasons)


async def select(rules: Iterable[Rule], facts: Facts, counter: Counter) -> Selection:
    """The first rule that fits and has something left to do. Counts each rule whose conditions are met on the way."""
    passed: list[Match] = []
    for rule in rules:
        if not all(condition.test(facts) for condition in rule.conditions):
            continue
        seen = await counter(rule.id)
        turn = rule.turn(seen)
        outcome = None if turn is None else rule.outcome(turn)
        if outcome is not None:
            return Selection(rule, outcome, seen, tuple(passed))
        passed.append(Match(rule.id, False, len(rule.conditions), (_not_now(rule, seen),)))
    return Selection(passed=tuple(passed))


def candidates(rules: Iterable[Rule], facts: Facts, passed: Iterable[Match] = ()) -> tuple[Match, ...]:
    """Every rule and what is against it, those that came nearest first; `passed` is what `select` found."""
    known = {found.rule_id: found for found in passed}
    found = [known.get(rule.id) or match(rule, facts) for rule in rules]
    return tuple(sorted(found, key=lambda m: (not m.ok, m.rule_id not in known, len(m.reasons), -m.satisfied)))


def nearest(rules: Iterable[Rule], facts: Facts, passed: Iterable[Match] = ()) -> Match | None:
    """The rule that came nearest to answering a call that none answered."""
    return next(iter(candidates(rules, facts, passed)), None)


def _not_now(rule: Rule, seen: int) -> str:
    if rule.turn(seen) is not None:
        return f"it is spent: all its {rule.total} turns are over"
    if rule.nth:
        return f"this is call {seen}, the rule is for {', '.join(map(str, rule.nth))}"
    return f"this is call {seen}, the rule is for every {rule.every}."
