"""Find where a value differs from its schema, with the evidence of each place and the overlay that allows the value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from aione_mock.checker.overlay_actions import OverlayAction, format_jsonpath
from aione_mock.checker.schema_lookup import JsonPath, choose_weakest_evidence, list_layers, read_evidence
from aione_mock.contract import Operation
from aione_mock.contract.json_pointer import parse_pointer
from aione_mock.contract.validation import choose_branch, describe_unknown_branch
from aione_mock.types import Json

_UNION_KEYWORDS = ("anyOf", "oneOf")
_UNKNOWN_MEMBERS = ("additionalProperties", "unevaluatedProperties")
_MAX_MESSAGE_CHARACTERS = 300
_MAX_ITEMS = 8
"""Items of a list that are searched for further members; the others are alike."""
_JSON_TYPES = (
    (bool, "boolean"),
    (str, "string"),
    (int, "integer"),
    (float, "number"),
    (list, "array"),
    (dict, "object"),
)


@dataclass(frozen=True, slots=True)
class SchemaDifference:
    """A place where a value differs from its schema."""

    path: JsonPath
    """Member names and list indexes; of a missing member too."""
    keyword: str
    """The keyword of the schema that fails."""
    message: str
    evidence: str
    overlay: tuple[OverlayAction, ...]
    """Allows the value; empty if no small change does."""
    component: str = ""
    """The named schema that the keyword stands in; empty if it has none."""

    @property
    def pointer(self) -> str:
        """The path as a JSON pointer with `*` for list indexes; `/` is the body."""
        return "/" + "/".join(step if isinstance(step, str) else "*" for step in self.path)

    @property
    def place(self) -> str:
        """The pointer, or `the body`."""
        return self.pointer if self.path else "the body"


def find_differences(operation: Operation, schema: Json, value: Json, evidence: str) -> Iterator[SchemaDifference]:
    """Yield each difference between a value and a schema of an operation's document.

    `evidence` is that of the schema as a whole. Further members of objects are no differences. Of `anyOf` and `oneOf`,
    the branch counts that the value comes nearest to.
    """
    for error, message in _list_leaves(operation.get_schema_validator(schema).iter_errors(value)):
        if error.kind.name not in _UNKNOWN_MEMBERS:
            yield _describe_error(operation, schema, error, message, evidence)


def _list_leaves(errors: Iterable[Any]) -> Iterator[tuple[Any, str]]:
    """Yield each error with its message; of a union, those of the branch that was meant."""
    for error in errors:
        branches = getattr(error.kind, "context", None) if error.kind.name in _UNION_KEYWORDS else None
        nearest = list(_list_leaves(choose_branch(branches))) if branches else []
        if nearest and branches and (unknown := describe_unknown_branch(branches)):
            nearest = [(nearest[0][0], unknown[1])]
        yield from nearest or [(error, error.message)]


def _describe_error(operation: Operation, schema: Json, error: Any, message: str, evidence: str) -> SchemaDifference:
    tokens, missing = list(error.evaluation_path), getattr(error.kind, "property", None)
    evidence, holder = _follow_path(operation, schema, tokens, evidence)
    path = tuple(error.instance_path)
    if missing is not None:
        path, evidence = (*path, missing), _judge_absence(operation, holder, missing, evidence)
    return SchemaDifference(
        path,
        error.kind.name,
        message[:_MAX_MESSAGE_CHARACTERS],
        evidence,
        tuple(_allow_value(operation.find_place(holder), holder, error)),
        _find_component(error),
    )


def _find_component(error: Any) -> str:
    tokens = parse_pointer(getattr(error, "absolute_keyword_location", None) or "")
    return tokens[2] if tokens[:2] == ["components", "schemas"] else ""


def _follow_path(operation: Operation, schema: Json, tokens: list[Any], evidence: str) -> tuple[str, Json]:
    """Return the evidence of the keyword at the end of a path through schemas, and the schema that has it."""
    node = schema
    for token in tokens[:-1]:
        evidence = read_evidence(node, token) or evidence
        node = operation.resolve({"$ref": node["$ref"]}) if token == "$ref" else node[token]
    return read_evidence(node, tokens[-1]) or evidence if tokens else evidence, node


def _judge_absence(operation: Operation, holder: Json, name: str, evidence: str) -> str:
    """Return the evidence that an object has a member: no page shows that a null is written out."""
    member = holder.get("properties", {}).get(name)
    if member is None:
        return evidence
    if operation.get_schema_validator(member).is_valid(None):
        return "assumed"
    own = read_evidence(member) or read_evidence(operation.resolve(member))
    return choose_weakest_evidence(own or evidence, read_evidence(holder, "required") or own or evidence)


# Overlays


def _allow_value(place: tuple[str, ...] | None, holder: Json, error: Any) -> Iterator[OverlayAction]:
    """Yield the actions that change the failing keyword so that it allows the value."""
    keyword = error.kind.name
    if place is None or keyword not in holder:
        return
    parent = format_jsonpath(place)
    target = f"{parent}['{keyword}']"
    if keyword == "required":
        yield f"{target}[?@ == '{error.kind.property}']", None
    elif keyword == "enum":
        yield target, [error.instance]
    elif keyword == "const":
        yield from ((target, None), (parent, {"enum": [holder["const"], error.instance]}))
    elif keyword == "type":
        known = holder["type"] if isinstance(holder["type"], list) else [holder["type"]]
        yield parent, {"type": [*known, name_json_type(error.instance)]}
    else:
        yield target, None


def name_json_type(value: Json) -> str:
    """Return the JSON Schema type of a value."""
    return next((name for kind, name in _JSON_TYPES if isinstance(value, kind)), "null")


# Further members


def find_unknown_members(operation: Operation, schema: Json, value: Json, path: JsonPath = ()) -> Iterator[JsonPath]:
    """Yield the paths of members that no schema names, in the first items of lists. List indexes are `*`."""
    nodes = list(_list_branches(operation, schema))
    if isinstance(value, list):
        items = [node["items"] for node in nodes if isinstance(node.get("items"), dict)]
        for child in value[:_MAX_ITEMS] if items else ():
            yield from find_unknown_members(operation, {"anyOf": items}, child, (*path, "*"))
    elif isinstance(value, dict) and any("properties" in node for node in nodes):
        if any("additionalProperties" in node and node["additionalProperties"] is not False for node in nodes):
            return
        for name, child in value.items():
            known = [node["properties"][name] for node in nodes if name in node.get("properties", {})]
            if known:
                yield from find_unknown_members(operation, {"anyOf": known}, child, (*path, name))
            else:
                yield (*path, name)


def prune_value(operation: Operation, schema: Json, value: Json) -> Json:
    """Return a value without nulls and without members that no schema names."""
    nodes = list(_list_branches(operation, schema))
    if isinstance(value, list):
        items = [node["items"] for node in nodes if isinstance(node.get("items"), dict)]
        return [prune_value(operation, {"anyOf": items}, child) for child in value]
    if not isinstance(value, dict):
        return value
    known = {name: [n["properties"][name] for n in nodes if name in n.get("properties", {})] for name in value}
    is_open = not any(known.values())
    return {
        name: prune_value(operation, {"anyOf": known[name]}, child)
        for name, child in value.items()
        if child is not None and (known[name] or is_open)
    }


def _list_branches(operation: Operation, schema: Json) -> Iterator[dict[str, Json]]:
    """Yield a schema and all schemas that it is combined of."""
    for node in list_layers(operation, schema):
        yield node
        for keyword in ("allOf", *_UNION_KEYWORDS):
            for branch in node.get(keyword, ()):
                yield from _list_branches(operation, branch)


def list_member_evidence(operation: Operation, schema: Json, value: Json, evidence: str) -> Iterator[str]:
    """Yield the evidence of a schema and of each member of a value that it names."""
    nodes = list(_list_branches(operation, schema))
    evidence = next((mark for mark in map(read_evidence, reversed(nodes)) if mark), evidence)
    yield evidence
    if isinstance(value, dict):
        for name, child in value.items():
            known = [node["properties"][name] for node in nodes if name in node.get("properties", {})]
            if known:
                yield from list_member_evidence(operation, {"anyOf": known}, child, evidence)
    elif isinstance(value, list):
        items = [node["items"] for node in nodes if isinstance(node.get("items"), dict)]
        for child in value if items else ():
            yield from list_member_evidence(operation, {"anyOf": items}, child, evidence)
