"""Errors, faults, paces and replies by name, and rules that say when they come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aione_mock.errors import APIError, ScenarioError, did_you_mean
from aione_mock.scenarios.catalogue import Scenario
from aione_mock.scenarios.rules import Rule
from aione_mock.server.scenario_engine import ScenarioEngine
from aione_mock.server.sessions import Session
from aione_mock.types import Call, Json, Reply

_ACTIVE, _RULES = 100, 1000
"""Scenarios and rules of one session."""


class ScenarioControl:
    """What a session plays: its scenarios, then its rules, then those of files."""

    def __init__(self, engine: ScenarioEngine) -> None:
        self._engine = engine

    async def list_scenarios(self, call: Call, session: Session) -> Reply:
        """`GET /_mock/scenarios`."""
        kind = call.params.get("kind")
        items = [_scenario(each) for each in self._engine.catalogue if kind in (None, each.kind)]
        return Reply({"items": items, "total": len(items), "active": await _states(session.scenarios, session)})

    async def activate(self, call: Call, session: Session) -> Reply:
        """`POST /_mock/scenarios`: a rule made of a name, before all other rules."""
        await self._make_room(session)
        spec = {
            "id": await self._next_id(session),
            **({"when": call.data["when"]} if "when" in call.data else {}),
            "then": self._engine.catalogue.parse_then(call.data["scenario"], call.data.get("times")),
        }
        rule = self._compiled(spec, self._taken(session))
        session.scenarios = (rule, *session.scenarios)
        return Reply(await _state(rule, session), 201)

    async def clear(self, call: Call, session: Session) -> Reply:
        """`DELETE /_mock/scenarios`."""
        await _forget(session.scenarios, session)
        session.scenarios = ()
        return Reply(None, 204)

    async def list_rules(self, call: Call, session: Session) -> Reply:
        """`GET /_mock/rules`: all that is in force, in the order in which it is asked."""
        files = self._engine.rule_files
        items = await _states((*session.scenarios, *session.rules, *files.rules), session)
        return Reply({"items": items, "total": len(items), "errors": list(files.errors)})

    async def replace_rules(self, call: Call, session: Session) -> Reply:
        """`PUT /_mock/rules`: all or, if one is wrong, none. A rule that stays the same keeps its counts."""
        specs = call.data["rules"]
        taken = {rule.id: rule for rule in (*session.scenarios, *self._engine.rule_files.rules)}
        for other in [taken[spec["id"]] for spec in specs if spec.get("id") in taken]:
            raise ScenarioError(f"there is a rule '{other.id}' already, from {other.source}")
        rules = self._engine.compiler.compile(specs, taken=taken)
        same = {rule.id: rule.raw for rule in rules}
        await _forget([rule for rule in session.rules if same.get(rule.id) != rule.raw], session)
        session.rules = rules
        return await self.list_rules(call, session)

    async def add_rule(self, call: Call, session: Session) -> Reply:
        """`POST /_mock/rules`."""
        taken = self._taken(session)
        if call.data.get("id") in taken:
            raise APIError("conflict", f"There is a rule '{call.data['id']}' already.")
        if len(session.rules) >= _RULES:
            raise APIError("conflict", f"There are {_RULES} rules already.")
        rule = self._compiled(call.data, taken)
        session.rules = (*session.rules, rule)
        return Reply(await _state(rule, session), 201)

    async def delete_rule(self, call: Call, session: Session) -> Reply:
        """`DELETE /_mock/rules/{rule_id}`."""
        rule_id = call.params["rule_id"]
        gone = [rule for rule in (*session.scenarios, *session.rules) if rule.id == rule_id]
        if not gone:
            raise self._not_here(rule_id, session)
        session.scenarios = tuple(rule for rule in session.scenarios if rule.id != rule_id)
        session.rules = tuple(rule for rule in session.rules if rule.id != rule_id)
        await _forget(gone, session)
        return Reply(None, 204)

    async def rule_schema(self, call: Call, session: Session) -> Reply:
        """`GET /_mock/rule-schema`."""
        return Reply(self._engine.compiler.schema)

    def _not_here(self, rule_id: str, session: Session) -> APIError:
        for rule in self._engine.rule_files.rules:
            if rule.id == rule_id:
                return APIError("conflict", f"The rule '{rule_id}' stands in a file, {rule.source}; change it there.")
        return APIError("not_found", f"no rule '{rule_id}'{did_you_mean(rule_id, self._taken(session))}")

    def _taken(self, session: Session) -> set[str]:
        return {rule.id for rule in (*session.scenarios, *session.rules, *self._engine.rule_files.rules)}

    def _compiled(self, spec: Json, taken: Iterable[str]) -> Rule:
        try:
            return self._engine.compiler.compile([spec], taken=taken)[0]
        except ScenarioError as error:
            # there is one rule only, so its place in a list would puzzle
            raise ScenarioError(str(error).removeprefix("rules/0").lstrip("/: ")) from None

    async def _next_id(self, session: Session) -> str:
        taken = self._taken(session)
        while (name := f"scenario-{await session.store.increment('scenarios')}") in taken:
            pass
        return name

    async def _make_room(self, session: Session) -> None:
        """Take away scenarios that have nothing left to do when there are many. Raises ScenarioError if none has."""
        if len(session.scenarios) < _ACTIVE:
            return
        spent = [rule for rule in session.scenarios if rule.is_spent(await _seen(rule, session))]
        if not spent:
            raise ScenarioError(f"{_ACTIVE} scenarios are active already; clear them first")
        session.scenarios = tuple(rule for rule in session.scenarios if rule not in spent)
        await _forget(spent, session)


async def _seen(rule: Rule, session: Session) -> int:
    return await session.store.get(f"rules/{rule.id}") or 0


async def _state(rule: Rule, session: Session) -> dict[str, Json]:
    seen = await _seen(rule, session)
    return {"id": rule.id, "source": rule.source, "rule": rule.raw, "seen": seen, "spent": rule.is_spent(seen)}


async def _states(rules: Iterable[Rule], session: Session) -> list[dict[str, Json]]:
    return [await _state(rule, session) for rule in rules]


async def _forget(rules: Iterable[Rule], session: Session) -> None:
    for rule in rules:
        await session.store.delete(f"rules/{rule.id}")


def _scenario(scenario: Scenario) -> Mapping[str, Json]:
    return {
        "name": scenario.name,
        "kind": scenario.kind,
        "title": scenario.title,
        "applies_to": scenario.applies_to,
        "options": [
            {
                "name": option.name,
                "type": option.type,
                "default": option.default,
                "description": option.description,
                **({"choices": list(option.choices)} if option.choices else {}),
            }
            for option in scenario.options
        ],
        "header": scenario.header,
    }
