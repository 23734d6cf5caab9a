"""Validate and compile rules: by the schema `Rule` of openapi/control.yaml, and by what a schema cannot express."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b

import jsonschema_rs
import orjson

from aione_mock.clock import parse_duration
from aione_mock.errors import ConfigError, ScenarioError, did_you_mean
from aione_mock.scenarios import templates
from aione_mock.scenarios.catalogue import ANSWERS, ScenarioCatalogue
from aione_mock.scenarios.conditions import compile_pattern
from aione_mock.scenarios.faults import FAULTS
from aione_mock.scenarios.rule_mistakes import DocumentPath, RuleMistake, explain_errors, list_known
from aione_mock.scenarios.rules import Rule, compile_rule
from aione_mock.text.credentials import mask_text
from aione_mock.types import Json

_WILDCARD = re.compile(r"[*?\[]")
_MAX_DEPTH = 200
"""Nested levels of rules and conditions. Answers hold them a few levels deeper, and JSON is written up to 254."""
_TOO_DEEP = f"nested deeper than {_MAX_DEPTH} levels"
_CONNECTION_HEADERS = ("connection", "content-length", "transfer-encoding")


class RuleCompiler:
    """Validate and compile rules."""

    def __init__(
        self, document: Mapping[str, Json], catalogue: ScenarioCatalogue, operations: Iterable[str] = ()
    ) -> None:
        """`document` is the control API's; `operations` are the ids that `when.operation` may name, empty for any."""
        self.schema = make_rule_schema(document)
        self.catalogue = catalogue
        self.operations = tuple(operations)
        self._file = jsonschema_rs.Draft202012Validator(self.schema, validate_formats=True)
        when = {**self.schema, "$ref": "#/$defs/When"}
        self._when = jsonschema_rs.Draft202012Validator({k: when[k] for k in ("$schema", "$ref", "$defs")})

    def find_mistakes(self, document: Json) -> list[RuleMistake]:
        """Return all violations of the schema in a scenario file's content, or else all other mistakes."""
        if _is_too_deep(document):
            return [RuleMistake(("rules",), _TOO_DEEP)]
        found = explain_errors(self._file.iter_errors(document), self.schema, "the file")
        if found:
            return sorted(found, key=lambda mistake: [str(part) for part in mistake.path])
        return list(self._check_rules(document["rules"]))

    def compile(self, specs: Json, source: str = "control", taken: Iterable[str] = ()) -> tuple[Rule, ...]:
        """Compile rules. `taken` are ids in use. Raises ScenarioError with the JSON pointer of the first mistake."""
        if found := self.find_mistakes({"rules": specs}):
            where = found[0].pointer.removeprefix("/rules")
            raise ScenarioError(f"rules{where}: {found[0].message}")
        return self.compile_valid(specs, taken, [source] * len(specs))

    def compile_valid(self, specs: Json, taken: Iterable[str], sources: list[str]) -> tuple[Rule, ...]:
        """Compile rules without mistakes. A rule without an id gets one made from its content."""
        used, compiled = set(taken), []
        for spec, source in zip(specs, sources, strict=True):
            rule_id = _make_unique(spec.get("id") or _derive_id(spec), used)
            used.add(rule_id)
            compiled.append(compile_rule(spec, rule_id, source))
        return tuple(compiled)

    def check_when(self, when: Json) -> None:
        """Raise ScenarioError for conditions that cannot be matched against past calls."""
        if _is_too_deep(when):
            raise ScenarioError(f"when: {_TOO_DEEP}")
        found = explain_errors(self._when.iter_errors(when), self.schema, "'when'")
        found = found or [*_check_when(when, (), self.operations, top=False), *_check_probability(when)]
        if found:
            raise ScenarioError(f"when{found[0].pointer}: {found[0].message}")

    def _check_rules(self, rules: list[Json]) -> Iterator[RuleMistake]:
        ids: set[str] = set()
        for position, rule in enumerate(rules):
            here: DocumentPath = ("rules", position)
            if rule.get("id") in ids:
                yield RuleMistake((*here, "id"), f"there are two rules '{rule['id']}'")
            ids |= {rule["id"]} if "id" in rule else set()
            yield from _check_when(rule.get("when", {}), (*here, "when"), self.operations, top=True)
            yield from self._check_then(rule["then"], (*here, "then"))

    def _check_then(self, then: Json, here: DocumentPath) -> Iterator[RuleMistake]:
        if "sequence" not in then:
            if "cycle" in then:
                yield RuleMistake((*here, "cycle"), "only a sequence can start over")
            yield from self._check_action(then, here)
            return
        for member in then:
            if member not in ("sequence", "cycle"):
                yield RuleMistake((*here, member), f"'{member}' belongs inside the steps of the sequence")
        for position, action in enumerate(then["sequence"]):
            yield from self._check_action(action, (*here, "sequence", position))

    def _check_action(self, action: Json, here: DocumentPath) -> Iterator[RuleMistake]:
        name = action.get("error")
        if name is not None and name not in self.catalogue.errors:
            yield RuleMistake((*here, "error"), f"unknown error '{name}'{did_you_mean(name, self.catalogue.errors)}")
        answers = [member for member in ANSWERS if member in action]
        if len(answers) > 1:
            yield RuleMistake((*here, answers[1]), f"'{answers[0]}' and '{answers[1]}' exclude each other")
        for member in ("message", "retry_after"):
            if member in action and name is None:
                yield RuleMistake((*here, member), f"'{member}' belongs to an error")
        for position, fault in enumerate(action.get("faults", ())):
            yield from self._check_fault(fault, (*here, "faults", position))
        yield from _check_reply(action.get("reply", {}), (*here, "reply"))
        yield from _check_headers_and_delay(action, here)

    def _check_fault(self, fault: Json, here: DocumentPath) -> Iterator[RuleMistake]:
        known = {option.name: option for option in FAULTS[fault["name"]].options}
        for key, value in fault.items():
            if key == "name":
                continue
            if key not in known:
                yield RuleMistake((*here, key), f"fault '{fault['name']}' has no option '{key}'{list_known(known)}")
            elif not known[key].accepts(value):
                yield RuleMistake((*here, key), f"option '{key}' is {value!r}, but should be {known[key].expected}")
            elif key == "error" and value not in self.catalogue.errors:
                yield RuleMistake((*here, key), f"unknown error '{value}'{did_you_mean(value, self.catalogue.errors)}")


def make_rule_schema(document: Mapping[str, Json]) -> dict[str, Json]:
    """Return the JSON Schema of scenario files, self-contained, from the control API's document."""
    schemas = document["components"]["schemas"]
    wanted, found = ["RuleFile"], dict[str, Json]()
    while wanted:
        name = wanted.pop()
        if name not in found:
            found[name] = _localize(schemas[name], wanted)
    top = found.pop("RuleFile")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Scenarios of aione-mock",
        **top,
        "$defs": dict(sorted(found.items())),
    }


def _localize(node: Json, wanted: list[str]) -> Json:
    """Return a schema whose references lead into `$defs`, and add their names to `wanted`."""
    if isinstance(node, list):
        return [_localize(item, wanted) for item in node]
    if not isinstance(node, dict):
        return node
    result = {key: _localize(value, wanted) for key, value in node.items()}
    if isinstance(node.get("$ref"), str):
        wanted.append(node["$ref"].rsplit("/", 1)[-1])
        result["$ref"] = f"#/$defs/{wanted[-1]}"
    return result


def _check_when(when: Json, here: DocumentPath, operations: tuple[str, ...], *, top: bool) -> Iterator[RuleMistake]:
    for member in ("nth", "every"):
        if member in when and not top:
            yield RuleMistake(
                (*here, member), f"'{member}' counts the calls of a rule, so it stands directly under `when`"
            )
    named = when.get("operation", [])
    for name in [named] if isinstance(named, str) else named:
        if operations and name not in operations and not _WILDCARD.search(name):
            yield RuleMistake((*here, "operation"), f"unknown operation '{name}'{did_you_mean(name, operations)}")
    keys = when.get("key", [])
    if any(mask_text(name) != name for name in ([keys] if isinstance(keys, str) else keys)):
        remedy = "write its label, such as Demo, its id, or its first 11 characters"
        yield RuleMistake((*here, "key"), f"'key' is a secret, which no rule matches; {remedy}")
    try:
        compile_pattern(when.get("pattern", ""))
    except ValueError as error:
        yield RuleMistake((*here, "pattern"), str(error))
    for member in ("and", "or", "not"):
        for position, part in enumerate(when.get(member, ())):
            yield from _check_when(part, (*here, member, position), operations, top=False)


def _check_probability(when: Json) -> Iterator[RuleMistake]:
    for member, value in when.items():
        if member == "probability":
            yield RuleMistake((member,), "'probability' cannot be matched against past calls")
        elif member in ("and", "or", "not"):
            yield from (finding for part in value for finding in _check_probability(part))


def _check_reply(reply: Json, here: DocumentPath) -> Iterator[RuleMistake]:
    words = [member for member in ("text", "chunks", "json", "body") if member in reply]
    if len(words) > 1:
        yield RuleMistake((*here, words[1]), f"'{words[0]}' and '{words[1]}' exclude each other")
    if "body" in reply and len(reply) > 1:
        yield RuleMistake((*here, "body"), "'body' is the whole answer and excludes other members")
    for mistake in templates.explain_unknown(reply):
        yield RuleMistake(here, mistake)


def _check_headers_and_delay(action: Json, here: DocumentPath) -> Iterator[RuleMistake]:
    headers = action.get("headers", {})
    for name in [*headers.get("set", {}), *headers.get("remove", ())]:
        if name.lower() in _CONNECTION_HEADERS:
            yield RuleMistake((*here, "headers"), f"header '{name}' belongs to the connection; use a fault instead")
    changes = action.get("body", {}).get("set", {})
    for mistake in templates.explain_unknown([action.get("message"), headers.get("set", {}), changes]):
        yield RuleMistake(here, mistake)
    try:
        parse_duration(action.get("delay", 0))
    except ConfigError as error:
        yield RuleMistake((*here, "delay"), str(error))


def _is_too_deep(value: Json) -> bool:
    level = [value]
    for _ in range(_MAX_DEPTH + 1):
        level = [child for item in level if isinstance(item, dict | list) for child in _list_children(item)]
    return bool(level)


def _list_children(item: Json) -> Iterable[Json]:
    return item.values() if isinstance(item, dict) else item


def _derive_id(spec: Mapping[str, Json]) -> str:
    """Derive an id from the content, so that a rule keeps its counts and draws when other rules change.

    It keeps them when it is switched off and on too.
    """
    content = {name: value for name, value in spec.items() if name != "enabled"}
    return "rule-" + blake2b(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), digest_size=4).hexdigest()


def _make_unique(name: str, used: set[str]) -> str:
    number, free = 1, name
    while free in used:
        number += 1
        free = f"{name}-{number}"
    return free
