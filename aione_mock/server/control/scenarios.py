"""Activate scenarios and set the rules of a session."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aione_mock.errors import APIError, ScenarioError, did_you_mean
from aione_mock.scenarios.catalogue import Scenario
from aione_mock.scenarios.rule_files import check_rule_text
from aione_mock.scenarios.rules import Rule
from aione_mock.server.scenario_engine import ScenarioEngine
from aione_mock.server.sessions import Session
from aione_mock.types import Call, Json, Reply

_MAX_SCENARIOS, _MAX_RULES = 100, 1000
"""Most scenarios and rules of one session."""


class ScenarioControl:
    """Handlers about scenarios and rules. Scenarios apply before rules, and these before rules of files."""

    def __init__(self, engine: ScenarioEngine) -> None:
        self._engine = engine

    async def list_scenarios(self, call: Call, session: Session) -> Reply:
        """Answer `GET /_mock/scenarios`."""
        kind = call.params.get("kind")
        items = [_describe_scenario(each) for each in self._engine.catalogue if kind in (None, each.kind)]
        return Reply({"items": items, "total": len(items), "active": await _describe_rules(session.scenarios, session)})

    async def activate_scenario(self, call: Call, session: Session) -> Reply:
        """Answer `POST /_mock/scenarios`: add a rule made of a scenario's name, before all other rules."""
        await self._make_room(session)
        spec = {
            "id": await self._make_id(session),
            **({"when": call.data["when"]} if "when" in call.data else {}),
            "then": self._engine.catalogue.parse_then(call.data["scenario"], call.data.get("times")),
        }
        rule = self._compile_rule(spec, self._list_ids(session))
        session.scenarios = (rule, *session.scenarios)
        return Reply(await _describe_rule(rule, session), 201)

    async def clear_scenarios(self, call: Call, session: Session) -> Reply:
        """Answer `DELETE /_mock/scenarios`."""
        await _reset_counts(session.scenarios, session)
        session.scenarios = ()
        return Reply(None, 204)

    async def list_rules(self, call: Call, session: Session) -> Reply:
        """Answer `GET /_mock/rules`: list all rules in force, in order of precedence."""
        files = self._engine.rule_files
        items = await _describe_rules((*session.scenarios, *session.rules, *files.rules), session)
        return Reply({"items": items, "total": len(items), "errors": list(files.errors)})

    async def replace_rules(self, call: Call, session: Session) -> Reply:
        """Answer `PUT /_mock/rules`: set all rules, or none if one is invalid. Unchanged rules keep their counts."""
        specs = call.data["rules"]
        taken = {rule.id: rule for rule in (*session.scenarios, *self._engine.rule_files.rules)}
        for other in [taken[spec["id"]] for spec in specs if spec.get("id") in taken]:
            raise ScenarioError(f"there is a rule '{other.id}' already, from {other.source}")
        rules = self._engine.compiler.compile(specs, taken=taken)
        same = {rule.id: rule.switch(True).raw for rule in rules}
        changed = [rule for rule in session.rules if same.get(rule.id) != rule.switch(True).raw]
        await _reset_counts(changed, session)
        session.rules = rules
        return await self.list_rules(call, session)

    async def add_rule(self, call: Call, session: Session) -> Reply:
        """Answer `POST /_mock/rules`."""
        taken = self._list_ids(session)
        if call.data.get("id") in taken:
            raise APIError("conflict", f"There is a rule '{call.data['id']}' already.")
        if len(session.rules) >= _MAX_RULES:
            raise APIError("conflict", f"There are {_MAX_RULES} rules already.")
        rule = self._compile_rule(call.data, taken)
        session.rules = (rule, *session.rules) if call.params["first"] else (*session.rules, rule)
        return Reply(await _describe_rule(rule, session), 201)

    async def switch_rule(self, call: Call, session: Session) -> Reply:
        """Answer `PATCH /_mock/rules/{rule_id}`: switch a rule or a scenario off or on. It keeps place and count."""
        rule_id = call.params["rule_id"]
        switched = self._find_rule(rule_id, session).switch(call.data["enabled"])
        session.scenarios = tuple(switched if rule.id == rule_id else rule for rule in session.scenarios)
        session.rules = tuple(switched if rule.id == rule_id else rule for rule in session.rules)
        return Reply(await _describe_rule(switched, session))

    def explain_rule(self, call: Call) -> None:
        """Raise ScenarioError with what is wrong with a rule, in better words than its schema has."""
        self._compile_rule(call.data, ())

    def explain_rules(self, call: Call) -> None:
        """Raise ScenarioError with what is wrong with a list of rules, if there is one."""
        if isinstance(call.data, dict) and "rules" in call.data:
            self._engine.compiler.compile(call.data["rules"])

    async def delete_rule(self, call: Call, session: Session) -> Reply:
        """Answer `DELETE /_mock/rules/{rule_id}`."""
        rule_id = call.params["rule_id"]
        gone = self._find_rule(rule_id, session)
        session.scenarios = tuple(rule for rule in session.scenarios if rule.id != rule_id)
        session.rules = tuple(rule for rule in session.rules if rule.id != rule_id)
        await _reset_counts([gone], session)
        return Reply(None, 204)

    async def check_rules(self, call: Call, session: Session) -> Reply:
        """Answer `POST /_mock/rule-check`: read the text of a scenario file, and change nothing."""
        rules, mistakes = check_rule_text(call.data["text"], self._engine.compiler)
        described = [{"line": each.line, "path": each.pointer, "message": each.message} for each in mistakes]
        return Reply({"rules": rules, "mistakes": described})

    async def get_rule_schema(self, call: Call, session: Session) -> Reply:
        """Answer `GET /_mock/rule-schema`."""
        return Reply(self._engine.compiler.schema)

    def _find_rule(self, rule_id: str, session: Session) -> Rule:
        rules: tuple[Rule, ...] = (*session.scenarios, *session.rules)
        found = next((rule for rule in rules if rule.id == rule_id), None)
        if found is None:
            raise self._explain_missing(rule_id, session)
        return found

    def _explain_missing(self, rule_id: str, session: Session) -> APIError:
        for rule in self._engine.rule_files.rules:
            if rule.id == rule_id:
                return APIError("conflict", f"The rule '{rule_id}' is in a file, {rule.source}; change it there.")
        return APIError("not_found", f"no rule '{rule_id}'{did_you_mean(rule_id, self._list_ids(session))}")

    def _list_ids(self, session: Session) -> set[str]:
        return {rule.id for rule in (*session.scenarios, *session.rules, *self._engine.rule_files.rules)}

    def _compile_rule(self, spec: Json, taken: Iterable[str]) -> Rule:
        try:
            return self._engine.compiler.compile([spec], taken=taken)[0]
        except ScenarioError as error:
            # the place in a list of one rule would confuse
            raise ScenarioError(str(error).removeprefix("rules/0").lstrip("/: ")) from None

    async def _make_id(self, session: Session) -> str:
        taken = self._list_ids(session)
        while (name := f"scenario-{await session.store.increment('scenarios')}") in taken:
            pass
        return name

    async def _make_room(self, session: Session) -> None:
        """Remove spent scenarios when there are too many. Raises ScenarioError if none is spent."""
        if len(session.scenarios) < _MAX_SCENARIOS:
            return
        spent = [rule for rule in session.scenarios if rule.is_spent(await _count_seen(rule, session))]
        if not spent:
            raise ScenarioError(f"{_MAX_SCENARIOS} scenarios are active already; clear them first")
        session.scenarios = tuple(rule for rule in session.scenarios if rule not in spent)
        await _reset_counts(spent, session)


async def _count_seen(rule: Rule, session: Session) -> int:
    return await session.store.get(f"rules/{rule.id}") or 0


async def _describe_rule(rule: Rule, session: Session) -> dict[str, Json]:
    seen = await _count_seen(rule, session)
    return {"id": rule.id, "source": rule.source, "rule": rule.raw, "seen": seen, "spent": rule.is_spent(seen)}


async def _describe_rules(rules: Iterable[Rule], session: Session) -> list[dict[str, Json]]:
    return [await _describe_rule(rule, session) for rule in rules]


async def _reset_counts(rules: Iterable[Rule], session: Session) -> None:
    for rule in rules:
        await session.store.delete(f"rules/{rule.id}")


def _describe_scenario(scenario: Scenario) -> Mapping[str, Json]:
    return {
        "name": scenario.name,
        "kind": scenario.kind,
        "title": scenario.title,
        "applies_to": scenario.applies_to,
        "options": [
            {
                **{name: getattr(option, name) for name in ("name", "type", "default", "description")},
                **({"choices": list(option.choices)} if option.choices else {}),
            }
            for option in scenario.options
        ],
        "header": scenario.header,
        **({"needs": scenario.needs} if scenario.needs else {}),
    }
