"""The grammar of rules: the schema `Rule` of openapi/control.yaml, and what a schema cannot say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Any

import jsonschema_rs
import orjson

from aione_mock.clock import parse_duration
from aione_mock.contract.json_pointer import format_pointer
from aione_mock.errors import ConfigError, ScenarioError, did_you_mean
from aione_mock.scenarios import templates
from aione_mock.scenarios.catalogue import Catalogue
from aione_mock.scenarios.faults import TABLE
from aione_mock.scenarios.rules import Rule, compile_rule
from aione_mock.structs import frozen
from aione_mock.types import Json

Path = tuple[str | int, ...]
_WILD = re.compile(r"[*?\[]")
_SERVERS_OWN = ("connection", "content-length", "transfer-encoding")


@frozen
class Finding:
    """Something wrong with a scenario document, and where. The path may end in a member's name."""

    path: Path
    message: str

    @property
    def pointer(self) -> str:
        """The place as a JSON pointer."""
        return format_pointer(self.path)


class Rulebook:
    """Checks and compiles rules.

    `document` is the bundled control document, `operations` the ids that `when.operation` may name (none: any).
    """

    def __init__(self, document: Mapping[str, Json], catalogue: Catalogue, operations: Iterable[str] = ()) -> None:
        self.schema = rule_schema(document)
        self.catalogue = catalogue
        self.operations = tuple(operations)
        self._file = jsonschema_rs.Draft202012Validator(self.schema, validate_formats=True)
        when = {**self.schema, "$ref": "#/$defs/When"}
        self._when = jsonschema_rs.Draft202012Validator({k: when[k] for k in ("$schema", "$ref", "$defs")})

    def findings(self, document: Json) -> list[Finding]:
        """Everything wrong with a scenario file's content; by the schema first, then by sense."""
        found = [self._explained(error) for error in self._file.iter_errors(document)]
        if found:
            return sorted(found, key=lambda finding: [str(part) for part in finding.path])
        return list(self._senseless(document["rules"]))

    def rules(self, specs: Json, source: str = "control", taken: Iterable[str] = ()) -> tuple[Rule, ...]:
        """Compiled rules. `taken` are ids in use. Raises ScenarioError with the JSON pointer of the first mistake."""
        document = {"rules": specs}
        if found := self.findings(document):
            where = found[0].pointer.removeprefix("/rules")
            raise ScenarioError(f"rules{where}: {found[0].message}")
        return self.compile(document, taken, [source] * len(specs))

    def compile(self, document: Json, taken: Iterable[str], sources: list[str]) -> tuple[Rule, ...]:
        """The rules of a document without findings. A rule without an id gets one made from its content."""
        used, compiled = set(taken), []
        for spec, source in zip(document["rules"], sources, strict=True):
            rule_id = _free(spec.get("id") or _named(spec), used)
            used.add(rule_id)
            compiled.append(compile_rule(spec, rule_id, source))
        return tuple(compiled)

    def check_when(self, when: Json) -> None:
        """Raises ScenarioError for conditions that cannot be used to look at calls that are over."""
        found = [self._explained(error) for error in self._when.iter_errors(when)]
        found = found or [*_when(when, (), self.operations, top=False), *_by_chance(when)]
        if found:
            raise ScenarioError(f"when{found[0].pointer}: {found[0].message}")

    def _explained(self, error: jsonschema_rs.ValidationError) -> Finding:
        """A validator's error in words, with the nearest match for a misspelt name."""
        path: Path = tuple(error.instance_path)
        kind = error.kind
        if isinstance(kind, jsonschema_rs.ValidationErrorKind.AdditionalProperties):
            known = self._members(list(error.schema_path))
            word = str(kind.unexpected[0])
            return Finding((*path, word), f"unknown member '{word}'{did_you_mean(word, known) or _known(known)}")
        if isinstance(kind, jsonschema_rs.ValidationErrorKind.Enum):
            options = [str(option) for option in kind.options]
            return Finding(
                path, f"unknown value {error.instance!r}{did_you_mean(str(error.instance), options) or _known(options)}"
            )
        return Finding(path, error.message)

    def _members(self, schema_path: list[str | int]) -> list[str]:
        node: Any = self.schema
        for part in schema_path[:-1]:
            node = node[part]
        return list(node.get("properties", ()))

    def _senseless(self, rules: list[Json]) -> Iterator[Finding]:
        ids: set[str] = set()
        for position, rule in enumerate(rules):
            here: Path = ("rules", position)
            if rule.get("id") in ids:
                yield Finding((*here, "id"), f"there are two rules '{rule['id']}'")
            ids |= {rule["id"]} if "id" in rule else set()
            yield from _when(rule.get("when", {}), (*here, "when"), self.operations, top=True)
            yield from self._then(rule["then"], (*here, "then"))

    def _then(self, then: Json, here: Path) -> Iterator[Finding]:
        if "sequence" not in then:
            if "cycle" in then:
                yield Finding((*here, "cycle"), "only a sequence can begin again")
            yield from self._outcome(then, here)
            return
        for member in then:
            if member not in ("sequence", "cycle"):
                yield Finding((*here, member), f"'{member}' belongs inside the outcomes of the sequence")
        for position, outcome in enumerate(then["sequence"]):
            yield from self._outcome(outcome, (*here, "sequence", position))

    def _outcome(self, outcome: Json, here: Path) -> Iterator[Finding]:
        name = outcome.get("error")
        if name is not None and name not in self.catalogue.errors:
            yield Finding((*here, "error"), f"unknown error '{name}'{did_you_mean(name, self.catalogue.errors)}")
        if name is not None and "reply" in outcome:
            yield Finding((*here, "reply"), "a call is either refused or replied to, not both")
        for member in ("message", "retry_after"):
            if member in outcome and name is None:
                yield Finding((*here, member), f"'{member}' belongs to an error")
        for position, fault in enumerate(outcome.get("faults", ())):
            yield from self._fault(fault, (*here, "faults", position))
        yield from _reply(outcome.get("reply", {}), (*here, "reply"))
        yield from _rest(outcome, here)

    def _fault(self, fault: Json, here: Path) -> Iterator[Finding]:
        known = {option.name: option for option in TABLE[fault["name"]].options}
        for key, value in fault.items():
            if key == "name":
                continue
            if key not in known:
                yield Finding((*here, key), f"fault '{fault['name']}' has no option '{key}'{_known(known)}")
            elif not known[key].takes(value):
                yield Finding((*here, key), f"option '{key}' is {value!r}, but should be {known[key].wanted}")
            elif key == "error" and value not in self.catalogue.errors:
                yield Finding((*here, key), f"unknown error '{value}'{did_you_mean(value, self.catalogue.errors)}")


def rule_schema(document: Mapping[str, Json]) -> dict[str, Json]:
    """The JSON Schema of scenario files, self-contained, from the control document."""
    schemas = document["components"]["schemas"]
    wanted, found = ["RuleFile"], dict[str, Json]()
    while wanted:
        name = wanted.pop()
        if name not in found:
            found[name] = _local(schemas[name], wanted)
    top = found.pop("RuleFile")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Scenarios of aione-mock",
        **top,
        "$defs": dict(sorted(found.items())),
    }


def _local(node: Json, wanted: list[str]) -> Json:
    """A schema whose references lead into `$defs`; their names are added to `wanted`."""
    if isinstance(node, list):
        return [_local(item, wanted) for item in node]
    if not isinstance(node, dict):
        return node
    result = {key: _local(value, wanted) for key, value in node.items()}
    if isinstance(node.get("$ref"), str):
        wanted.append(node["$ref"].rsplit("/", 1)[-1])
        result["$ref"] = f"#/$defs/{wanted[-1]}"
    return result


def _when(when: Json, here: Path, operations: tuple[str, ...], *, top: bool) -> Iterator[Finding]:
    for member in ("nth", "every"):
        if member in when and not top:
            yield Finding((*here, member), f"'{member}' counts the calls of a rule, so it stands directly under `when`")
    named = when.get("operation", [])
    for name in [named] if isinstance(named, str) else named:
        if operations and name not in operations and not _WILD.search(name):
            yield Finding((*here, "operation"), f"unknown operation '{name}'{did_you_mean(name, operations)}")
    try:
        re.compile(when.get("pattern", ""))
    except re.error as error:
        yield Finding((*here, "pattern"), f"not a regular expression: {error}")
    for member in ("and", "or", "not"):
        for position, part in enumerate(when.get(member, ())):
            yield from _when(part, (*here, member, position), operations, top=False)


def _by_chance(when: Json) -> Iterator[Finding]:
    for member, value in when.items():
        if member == "probability":
            yield Finding((member,), "chance has no part in looking back")
        elif member in ("and", "or", "not"):
            yield from (finding for part in value for finding in _by_chance(part))


def _reply(reply: Json, here: Path) -> Iterator[Finding]:
    words = [member for member in ("text", "chunks", "json", "body") if member in reply]
    if len(words) > 1:
        yield Finding((*here, words[1]), f"'{words[0]}' and '{words[1]}' exclude each other")
    if "body" in reply and len(reply) > 1:
        yield Finding((*here, "body"), "'body' is the whole answer and stands alone")
    for mistake in templates.mistakes(reply):
        yield Finding(here, mistake)


def _rest(outcome: Json, here: Path) -> Iterator[Finding]:
    headers = outcome.get("headers", {})
    for name in [*headers.get("set", {}), *headers.get("remove", ())]:
        if name.lower() in _SERVERS_OWN:
            yield Finding((*here, "headers"), f"header '{name}' belongs to the connection; there are faults for it")
    for mistake in templates.mistakes([outcome.get("message"), headers.get("set", {})]):
        yield Finding(here, mistake)
    try:
        parse_duration(outcome.get("delay", 0))
    except ConfigError as error:
        yield Finding((*here, "delay"), str(error))


def _known(names: Iterable[str]) -> str:
    return f"; known: {', '.join(names) or 'none'}"


def _named(spec: Mapping[str, Json]) -> str:
    """An id from the content, so that a rule keeps its counts and its luck when others come and go."""
    return "rule-" + blake2b(orjson.dumps(spec, option=orjson.OPT_SORT_KEYS), digest_size=4).hexdigest()


def _free(name: str, used: set[str]) -> str:
    number, free = 1, name
    while free in used:
        number += 1
        free = f"{name}-{number}"
    return free
