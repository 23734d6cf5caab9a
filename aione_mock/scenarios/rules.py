"""Select the rule that applies to a call: the first that matches. The others can explain why they do not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field

from aione_mock.scenarios.actions import NO_ACTION, Action, ActionStep, parse_steps
from aione_mock.scenarios.conditions import Condition, MatchContext, compile_conditions, explain_unmet, meets_all
from aione_mock.structs import frozen, replace
from aione_mock.types import Json

Counter = Callable[[str], Awaitable[int]]
"""Increments the count of a rule id atomically and returns it: `lambda id: store.increment(f"rules/{id}")`."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A compiled rule. `raw` is the rule as written."""

    id: str
    conditions: tuple[Condition, ...] = field(compare=False)
    steps: tuple[ActionStep, ...]
    nth: tuple[int, ...] = ()
    """Numbers of the calls it is for, ascending; empty for all."""
    every: int = 1
    cycle: bool = False
    enabled: bool = True
    """Whether it may apply; calls do not count for one that may not."""
    source: str = "control"
    raw: Mapping[str, Json] = field(default_factory=dict, repr=False)

    def get_turn(self, seen: int) -> int | None:
        """Return which turn of the rule the `seen`th matching call is, None if it is not the rule's turn."""
        if seen % self.every or (self.nth and seen not in self.nth):
            return None
        return self.count_turns(seen)

    def get_action(self, turn: int) -> Action | None:
        """Return the action of the rule's `turn`th turn, counted from 1; None when all turns are used."""
        total = self.total
        if total is not None and self.cycle:
            turn = (turn - 1) % total + 1
        for step in self.steps:
            if step.times is None or turn <= step.times:
                return step.action
            turn -= step.times
        return None

    def switch(self, enabled: bool) -> Rule:
        """Return the rule enabled or not, and written so."""
        raw = {name: value for name, value in self.raw.items() if name != "enabled"}
        return replace(self, enabled=enabled, raw=raw if enabled else {**raw, "enabled": False})

    @property
    def total(self) -> int | None:
        """Number of turns until the rule is spent or starts over; None if unlimited."""
        times = [step.times for step in self.steps]
        return None if None in times else sum(count for count in times if count)

    def is_spent(self, seen: int) -> bool:
        """Return whether the rule does nothing more after `seen` matching calls."""
        if self.nth and seen >= self.nth[-1]:
            return True
        return not self.cycle and self.total is not None and self.count_turns(seen) >= self.total

    def count_turns(self, seen: int) -> int:
        """Return how many turns the rule has had after `seen` matching calls, spent ones included."""
        if self.nth:
            return sum(1 for call in self.nth if call <= seen and call % self.every == 0)
        return seen // self.every


@frozen
class RuleMatch:
    """The result of matching a rule against a call: how many conditions are met, and why the others are not."""

    rule_id: str
    ok: bool
    satisfied: int
    reasons: tuple[str, ...] = ()


@frozen
class RuleSelection:
    """The rule that applies to a call, if any, with its action."""

    rule: Rule | None = None
    action: Action = NO_ACTION
    seen: int = 0
    """Number of calls that have met the rule's conditions, this one included."""
    passed: tuple[RuleMatch, ...] = ()
    """Rules whose conditions are met, but whose turn it is not or which are spent."""


def compile_rule(spec: Mapping[str, Json], rule_id: str, source: str = "control") -> Rule:
    """Compile a rule that `RuleCompiler` has validated."""
    when, then = spec.get("when", {}), spec["then"]
    nth = when.get("nth", [])
    return Rule(
        rule_id,
        compile_conditions(when, rule_id),
        parse_steps(then),
        tuple(sorted({nth} if isinstance(nth, int) else set(nth))),
        when.get("every", 1),
        then.get("cycle", False),
        spec.get("enabled", True),
        source,
        spec,
    )


def match_conditions(rule_id: str, conditions: tuple[Condition, ...], context: MatchContext) -> RuleMatch:
    """Match conditions against a call, without regard to `nth` and `every`."""
    reasons = tuple(explain_unmet(conditions, context))
    return RuleMatch(rule_id, not reasons, len(conditions) - len(reasons), reasons)


async def select_rule(rules: Iterable[Rule], context: MatchContext, counter: Counter) -> RuleSelection:
    """Return the first enabled rule that matches and has an action left. Counts each whose conditions are met."""
    passed: list[RuleMatch] = []
    for rule in rules:
        if not rule.enabled or not meets_all(rule.conditions, context):
            continue
        seen = await counter(rule.id)
        turn = rule.get_turn(seen)
        action = None if turn is None else rule.get_action(turn)
        if action is not None:
            return RuleSelection(rule, action, seen, tuple(passed))
        passed.append(RuleMatch(rule.id, False, len(rule.conditions), (_explain_turn(rule, seen),)))
    return RuleSelection(passed=tuple(passed))


def find_nearest(rules: Iterable[Rule], context: MatchContext, passed: Iterable[RuleMatch] = ()) -> RuleMatch | None:
    """Return the rule that came nearest to matching a call; `passed` is what `select_rule` has found."""
    known = {match.rule_id: match for match in passed}
    matches = [known.get(rule.id) or _match_rule(rule, context) for rule in rules]
    return min(matches, key=lambda m: (not m.ok, m.rule_id not in known, len(m.reasons), -m.satisfied), default=None)


def _match_rule(rule: Rule, context: MatchContext) -> RuleMatch:
    match = match_conditions(rule.id, rule.conditions, context)
    return match if rule.enabled else replace(match, ok=False, reasons=(*match.reasons, "it is switched off"))


def _explain_turn(rule: Rule, seen: int) -> str:
    if rule.get_turn(seen) is not None:
        return f"it is spent: all its {rule.total} turns are used"
    if rule.nth:
        return f"this is call {seen}, the rule is for {', '.join(map(str, rule.nth))}"
    return f"this is call {seen}, the rule is for one call in {rule.every}"
