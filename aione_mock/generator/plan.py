"""Prepare a JSON Schema for generating instances: bundle its references, merge its parts, compile its validators.

A `SchemaPlan` keeps what it computes, so that further instances of a schema are cheap.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import jsonschema_rs

from aione_mock.contract.json_pointer import resolve_pointer
from aione_mock.contract.json_schema import (
    SCHEMA_KEYWORDS,
    SCHEMA_LIST_KEYWORDS,
    SCHEMA_MAP_KEYWORDS,
    iter_subschemas,
)
from aione_mock.errors import ContractError
from aione_mock.generator.budget import MAX_MEMBERS, WorkBudget, check_pattern
from aione_mock.structs import frozen
from aione_mock.types import Json

Node = Mapping[str, Any] | bool
Resolve = Callable[[str], Any]

# bundling makes identifiers meaningless, and a validator would follow them
_IGNORED_KEYWORDS = frozenset(["$schema", "$id", "$anchor", "$dynamicAnchor", "$comment"])
_UNFOLLOWED_KEYWORDS = {
    "unevaluatedItems",
    "unevaluatedProperties",
    "not",
    "contains",
    "minContains",
    "maxContains",
    "dependentSchemas",
    "if",
}
_MAX_DEPTH = 100
_PATTERNS = jsonschema_rs.FancyRegexOptions(backtrack_limit=10_000, size_limit=4 << 20, dfa_size_limit=256 << 10)
"""Look-around and backreferences may take some steps back, but not so many that other requests wait."""
_REFERENCE_DEPTH = 1 / 1024
"""Added to a depth for each reference, so that the alternative that leads back is never the one of least depth."""


class Unsatisfiable(Exception):
    """No instance of a schema node was found."""


class NoInstance(ContractError):
    """No instance of a valid schema was found."""


def resolve_reference(root: Json, reference: str) -> Json:
    """Return what a local reference (`#/a/b`) points to. Raise ContractError if there is nothing."""
    if not reference.startswith("#") or (len(reference) > 1 and reference[1] != "/"):
        raise ContractError(f"the reference '{reference}' is not local; only '#/…' is supported")
    try:
        return resolve_pointer(root, reference[1:])
    except KeyError:
        raise ContractError(f"the reference '{reference}' points to nothing") from None


class _SchemaBundler:
    """Copies a schema so that every reference points into `defs`."""

    def __init__(self, resolve: Resolve, work: WorkBudget) -> None:
        self._work = work
        self.defs: dict[str, Node] = {}
        self.names: dict[str, str] = {}
        self._resolve = resolve
        self._members = 0

    def copy(self, node: Json, depth: int = 0) -> Node:
        if isinstance(node, bool):
            return node
        if not isinstance(node, Mapping):
            raise ContractError(f"a schema must be an object or a boolean, not {type(node).__name__}")
        if depth > _MAX_DEPTH:
            raise ContractError(f"the schema is nested deeper than {_MAX_DEPTH} levels")
        self._work.spend()
        kept = node.keys() - _IGNORED_KEYWORDS
        out = {key: self._copy_member(key, value, depth + 1) for key, value in node.items() if key in kept}
        return _allow_null(out) if out.pop("nullable", False) is True else out

    def _copy_member(self, key: str, value: Json, depth: int) -> Json:
        if key == "$ref":
            return "#/$defs/" + self._define(str(value), depth)
        if key in SCHEMA_KEYWORDS:
            return self.copy(value, depth)
        if key in SCHEMA_LIST_KEYWORDS and isinstance(value, list):
            return [self.copy(child, depth) for child in value]
        if key in ("$defs", "definitions"):
            return {}
        if key in SCHEMA_MAP_KEYWORDS and isinstance(value, Mapping):
            if key == "patternProperties":
                for pattern in value:
                    check_pattern(pattern)
            return {name: self.copy(child, depth) for name, child in value.items()}
        if key == "pattern":
            check_pattern(str(value))
        elif key == "enum" and isinstance(value, list):
            self._count_members(len(value))
        return value

    def _count_members(self, number: int) -> None:
        self._members += number
        if self._members > MAX_MEMBERS:
            raise ContractError(f"its enums have {self._members} members; at most {MAX_MEMBERS} are allowed")

    def _define(self, reference: str, depth: int) -> str:
        if reference not in self.names:
            name = self.names[reference] = str(len(self.names))
            self.defs[name] = self.copy(self._resolve(reference), depth)
        return self.names[reference]


def _allow_null(schema: dict[str, Any]) -> Node:
    """Express `nullable: true` of OpenAPI 3.0 and Gemini in JSON Schema."""
    kinds = schema.get("type")
    if not isinstance(kinds, str | list):
        return {"anyOf": [schema, {"type": "null"}]}
    out = schema | {"type": [*([kinds] if isinstance(kinds, str) else kinds), "null"]}
    if "enum" in out and None not in out["enum"]:
        out["enum"] = [*out["enum"], None]
    return out


class SchemaPlan:
    """A bundled schema. Tells what a node requires, how deep its instances must be and whether a value is valid."""

    def __init__(self, schema: Json, resolve: Resolve | None = None, work: WorkBudget | None = None) -> None:
        """Prepare a schema. Raise ContractError if it cannot be read, TooComplex if that takes too long."""
        self.work = work or WorkBudget()
        """The work that the present search for an instance may still do."""
        bundler = _SchemaBundler(resolve or (lambda reference: resolve_reference(schema, reference)), self.work)
        self.root = bundler.copy(schema)
        self.defs = bundler.defs
        self.root_refs = frozenset(name for reference, name in bundler.names.items() if reference == "#")
        self._flattened: dict[int, tuple[Node, FlatSchema | None]] = {}
        self._patterns: dict[str, Node] = {}
        self._joined: dict[tuple[int, int], Node] = {}
        self._validators: dict[int, tuple[Node, jsonschema_rs.Validator]] = {}
        self.accepts(self.root, None)  # compiles the schema, so that the rest may rely on a valid one
        self._def_depths: dict[str, float] = dict.fromkeys(self.defs, math.inf)
        while self._update_depths():
            pass
        self._depths: dict[int, tuple[Node, float]] = {}

    def accepts(self, node: Node, value: Json) -> bool:
        """Return whether a value is valid, formats included. Raise ContractError for an invalid schema."""
        self.work.spend()
        known = self._validators.get(id(node))
        if known is None:
            known = self._validators[id(node)] = (node, self._compile(node))
        return known[1].is_valid(value)

    def _compile(self, node: Node) -> jsonschema_rs.Validator:
        whole = node if isinstance(node, bool) else {**node, "$defs": self._collect_defs(node)}
        try:
            return jsonschema_rs.Draft202012Validator(whole, validate_formats=True, pattern_options=_PATTERNS)
        except (ValueError, jsonschema_rs.ReferencingError) as error:
            raise ContractError(f"invalid schema: {str(error).splitlines()[0]}") from None

    def _collect_defs(self, node: Node) -> dict[str, Node]:
        found: dict[str, Node] = {}
        todo: list[Any] = [node]
        while todo:
            schema = todo.pop()
            self.work.spend()
            if isinstance(schema, bool):
                continue
            name = schema.get("$ref", "")[8:]
            if name and name not in found:
                found[name] = self.defs[name]
                todo.append(self.defs[name])
            todo.extend(child for _, child in iter_subschemas(schema))
        return found

    def flatten(self, node: Node) -> FlatSchema | None:
        """Merge a node with its reference and `allOf`. Return None if they contradict each other."""
        known = self._flattened.get(id(node))
        if known is None:
            self.work.spend(1 if isinstance(node, bool) else 1 + len(node.get("properties", ())))
            self._flattened[id(node)] = (node, None)  # a reference that leads directly back to itself is ignored
            try:
                flat: FlatSchema | None = self._merge_parts(node)
            except Unsatisfiable:
                flat = None
            known = self._flattened[id(node)] = (node, flat)
        return known[1]

    def _merge_parts(self, node: Node) -> FlatSchema:
        if isinstance(node, bool):
            if not node:
                raise Unsatisfiable("the schema false")
            return FlatSchema({})
        keywords = {k: v for k, v in node.items() if k not in ("$ref", "allOf", "anyOf", "oneOf", "if", "then", "else")}
        choices = [tuple(node[key]) for key in ("anyOf", "oneOf") if key in node]
        if "if" in node:
            choices.append(({"allOf": [node["if"], node.get("then", True)]}, node.get("else", True)))
        verify = not _UNFOLLOWED_KEYWORDS.isdisjoint(node) or "oneOf" in node or len(choices) > 1
        refs = [node["$ref"][8:]] if "$ref" in node else []
        flat = FlatSchema(keywords, tuple(choices), frozenset(refs), verify)
        for other in (*node.get("allOf", ()), *(self.defs[name] for name in refs)):
            merged = self.flatten(other)
            if merged is None:
                raise Unsatisfiable("allOf")
            flat = merge_schemas(flat, merged)
        return flat

    def join(self, node: Node, other: Node) -> Node:
        """Return the node that requires both, always as the same object, so that what is computed for it is kept."""
        key = (id(node), id(other))
        if key not in self._joined:
            self._joined[key] = {"allOf": [node, other]}
        return self._joined[key]

    def pattern_schema(self, pattern: str) -> Node:
        """Return the schema of strings that match a regular expression."""
        return self._patterns.setdefault(pattern, {"pattern": pattern})

    def min_depth(self, node: Node) -> float:
        """Return the number of levels of the shallowest instance of a node; infinite if there is none."""
        known = self._depths.get(id(node))
        if known is None:
            known = self._depths[id(node)] = (node, self._compute_depth(node))
        return known[1]

    def _update_depths(self) -> bool:
        before = dict(self._def_depths)
        self._def_depths.update({name: self._compute_depth(node) for name, node in self.defs.items()})
        return before != self._def_depths

    def _compute_depth(self, node: Node) -> float:
        self.work.spend()
        if isinstance(node, bool):
            return 0 if node else math.inf
        if "const" in node or "enum" in node:
            return 0
        least: float = self._def_depths[node["$ref"][8:]] + _REFERENCE_DEPTH if "$ref" in node else 0
        kinds = node.get("type", ())
        names = node.get("properties", {})
        if "object" in kinds if isinstance(kinds, list) else kinds == "object" or (not kinds and names):
            least = max([least, *(1 + self._compute_depth(names.get(name, True)) for name in node.get("required", ()))])
        if kinds == "array" and node.get("minItems", 0) > len(node.get("prefixItems", ())):
            least = max(least, 1 + self._compute_depth(node.get("items", True)))
        if kinds == "array" and node.get("minItems", 0):
            least = max([least, *(1 + self._compute_depth(c) for c in node.get("prefixItems", ())[: node["minItems"]])])
        for key in ("anyOf", "oneOf"):
            if node.get(key):
                least = max(least, min(self._compute_depth(child) for child in node[key]))
        return max([least, *(self._compute_depth(child) for child in node.get("allOf", ()))])


@frozen
class FlatSchema:
    """A node without `$ref` and `allOf`: plain keywords, and choices between alternatives."""

    keywords: dict[str, Any]
    choices: tuple[tuple[Node, ...], ...] = ()
    """Each choice is a tuple of nodes, one of which must hold as well."""
    refs: frozenset[str] = frozenset()
    """Names of the merged definitions, to detect recursion."""
    verify: bool = False
    """Whether a generated value must be validated, because some keywords are followed only in part."""


def merge_schemas(a: FlatSchema, b: FlatSchema) -> FlatSchema:
    """Return the schema that requires both. Raise Unsatisfiable if they obviously contradict each other."""
    keywords, verify = dict(a.keywords), a.verify or b.verify
    from_a, from_b = _constrain_properties(a.keywords, b.keywords), _constrain_properties(b.keywords, a.keywords)
    for key, value in b.keywords.items():
        if key not in keywords:
            keywords[key] = value
        elif key in _MERGE_KEYWORDS:
            keywords[key] = _MERGE_KEYWORDS[key](keywords[key], value)
        elif key in ("pattern", "format", "not", "const", "unevaluatedProperties") and keywords[key] != value:
            verify = True
    if from_a or from_b:
        keywords["properties"] = {**keywords.get("properties", {}), **from_a, **from_b}
    return FlatSchema(keywords, a.choices + b.choices, a.refs | b.refs, verify or len(a.choices + b.choices) > 1)


def _constrain_properties(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Node]:
    """Return the properties that only `b` names, constrained by `additionalProperties` of `a`."""
    rest = a.get("additionalProperties", True)
    if rest is True or "patternProperties" in a:
        return {}
    known = a.get("properties", {})
    return {name: _require_both(node, rest) for name, node in b.get("properties", {}).items() if name not in known}


def _require_both(a: Any, b: Any) -> Any:
    if a is True or a == b:
        return b
    if b is True:
        return a
    return False if a is False or b is False else {"allOf": [a, b]}


def _intersect_types(a: Any, b: Any) -> Any:
    left, right = ([k] if isinstance(k, str) else k for k in (a, b))
    common = [k for k in left if k in right or (k == "integer" and "number" in right)]
    common += [k for k in right if k == "integer" and "number" in left and k not in common]
    if not common:
        raise Unsatisfiable(f"type {a} and {b}")
    return common[0] if len(common) == 1 else common


def _intersect_enums(a: list[Any], b: list[Any]) -> list[Any]:
    common = [member for member in a if member in b]
    if not common:
        raise Unsatisfiable("enum")
    return common


def _common_multiple(a: float, b: float) -> int | float:
    x, y = Fraction(str(a)), Fraction(str(b))
    least = Fraction(math.lcm(x.numerator * y.denominator, y.numerator * x.denominator), x.denominator * y.denominator)
    return least.numerator if least.denominator == 1 else float(least)


def _merge_by_name(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _require_both(a.get(name, True), b.get(name, True)) for name in {**a, **b}}


def _merge_by_position(a: list[Any], b: list[Any]) -> list[Any]:
    longest = max(len(a), len(b))
    return [_require_both(*(nodes[at] if at < len(nodes) else True for nodes in (a, b))) for at in range(longest)]


_MERGE_KEYWORDS: dict[str, Callable[[Any, Any], Any]] = {
    "type": _intersect_types,
    "enum": _intersect_enums,
    "multipleOf": _common_multiple,
    "required": lambda a, b: [*a, *(name for name in b if name not in a)],
    "uniqueItems": lambda a, b: a or b,
    "properties": _merge_by_name,
    "patternProperties": _merge_by_name,
    "dependentSchemas": _merge_by_name,
    "dependentRequired": lambda a, b: {name: [*a.get(name, ()), *b.get(name, ())] for name in {**a, **b}},
    "prefixItems": _merge_by_position,
    **dict.fromkeys(("items", "additionalProperties", "propertyNames", "contains"), _require_both),
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "maxContains"), min),
}
