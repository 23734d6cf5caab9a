"""A JSON Schema made ready for drawing: its references bundled, its parts merged, its validators compiled.

Everything a `Plan` finds out is kept, so that the second instance of a schema costs the drawing alone.
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
from aione_mock.types import Json

Node = Mapping[str, Any] | bool
Resolve = Callable[[str], Any]

# Bundling makes identifiers meaningless, and a validator would follow them to elsewhere.
_DROPPED = frozenset(["$schema", "$id", "$anchor", "$dynamicAnchor", "$comment"])
_HARD = {
    "unevaluatedItems",
    "unevaluatedProperties",
    "not",
    "contains",
    "minContains",
    "maxContains",
    "dependentSchemas",
    "if",
}
_DEEPEST = 100
_DETOUR = 1 / 1024
"""What following a reference adds to a height, so that an alternative which leads back is never the least one."""


class Impossible(Exception):
    """No instance of a schema node was found."""


class NoInstance(ContractError):
    """A schema can be read, but nothing was found that satisfies it."""


def resolve_reference(root: Json, reference: str) -> Json:
    """Return what a local reference (`#/a/b`) points to. Raise ContractError if there is nothing."""
    if not reference.startswith("#") or (len(reference) > 1 and reference[1] != "/"):
        raise ContractError(f"the reference '{reference}' is not local; only '#/…' is supported")
    try:
        return resolve_pointer(root, reference[1:])
    except KeyError:
        raise ContractError(f"the reference '{reference}' points to nothing") from None


class _Bundle:
    """Copies a schema so that each reference points into `defs`, however far away it pointed."""

    def __init__(self, resolve: Resolve) -> None:
        self.defs: dict[str, Node] = {}
        self.names: dict[str, str] = {}
        self._resolve = resolve

    def copy(self, node: Json, depth: int = 0) -> Node:
        if isinstance(node, bool):
            return node
        if not isinstance(node, Mapping):
            raise ContractError(f"a schema must be an object or a boolean, not {type(node).__name__}")
        if depth > _DEEPEST:
            raise ContractError(f"the schema is nested deeper than {_DEEPEST} levels")
        out = {key: self._member(key, value, depth + 1) for key, value in node.items() if key not in _DROPPED}
        return _nullable(out) if out.pop("nullable", False) is True else out

    def _member(self, key: str, value: Json, depth: int) -> Json:
        if key == "$ref":
            return "#/$defs/" + self._name(str(value), depth)
        if key in SCHEMA_KEYWORDS:
            return self.copy(value, depth)
        if key in SCHEMA_LIST_KEYWORDS and isinstance(value, list):
            return [self.copy(child, depth) for child in value]
        if key in ("$defs", "definitions"):
            return {}
        if key in SCHEMA_MAP_KEYWORDS and isinstance(value, Mapping):
            return {name: self.copy(child, depth) for name, child in value.items()}
        return value

    def _name(self, reference: str, depth: int) -> str:
        if reference not in self.names:
            name = self.names[reference] = str(len(self.names))
            self.defs[name] = self.copy(self._resolve(reference), depth)
        return self.names[reference]


def _nullable(schema: dict[str, Any]) -> Node:
    """OpenAPI 3.0's and Gemini's `nullable: true` in the words of JSON Schema."""
    kinds = schema.get("type")
    if not isinstance(kinds, str | list):
        return {"anyOf": [schema, {"type": "null"}]}
    out = schema | {"type": [*([kinds] if isinstance(kinds, str) else kinds), "null"]}
    if "enum" in out and None not in out["enum"]:
        out["enum"] = [*out["enum"], None]
    return out


class Plan:
    """A schema, bundled; answers what a node means, how deep it must go and whether a value fits it."""

    def __init__(self, schema: Json, resolve: Resolve | None = None) -> None:
        """Raises ContractError for a schema that cannot be read."""
        bundle = _Bundle(resolve or (lambda reference: resolve_reference(schema, reference)))
        self.root = bundle.copy(schema)
        self.defs = bundle.defs
        self.root_refs = frozenset(name for reference, name in bundle.names.items() if reference == "#")
        self._flat: dict[int, tuple[Node, Flat | None]] = {}
        self._patterns: dict[str, Node] = {}
        self._joined: dict[tuple[int, int], Node] = {}
        self._validators: dict[int, tuple[Node, jsonschema_rs.Validator]] = {}
        self.accepts(self.root, None)  # compiled at once, so that all below may rely on a valid schema
        self._heights: dict[str, float] = dict.fromkeys(self.defs, math.inf)
        while self._raised():
            pass
        self._height_of: dict[int, tuple[Node, float]] = {}

    def accepts(self, node: Node, value: Json) -> bool:
        """Whether a value is valid; formats are checked. Raises ContractError for an invalid schema."""
        known = self._validators.get(id(node))
        if known is None:
            known = self._validators[id(node)] = (node, self._compile(node))
        return known[1].is_valid(value)

    def _compile(self, node: Node) -> jsonschema_rs.Validator:
        whole = node if isinstance(node, bool) else {**node, "$defs": self._reachable(node)}
        try:
            return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
        except (ValueError, jsonschema_rs.ReferencingError) as problem:
            raise ContractError(f"invalid schema: {str(problem).splitlines()[0]}") from None

    def _reachable(self, node: Node) -> dict[str, Node]:
        found: dict[str, Node] = {}
        todo: list[Any] = [node]
        while todo:
            schema = todo.pop()
            if isinstance(schema, bool):
                continue
            name = schema.get("$ref", "")[8:]
            if name and name not in found:
                found[name] = self.defs[name]
                todo.append(self.defs[name])
            todo.extend(child for _, child in iter_subschemas(schema))
        return found

    def flat(self, node: Node) -> Flat | None:
        """The node with its reference and `allOf` merged in; None if they contradict each other."""
        known = self._flat.get(id(node))
        if known is None:
            self._flat[id(node)] = (node, None)  # a reference that leads straight back to itself means nothing
            try:
                flat: Flat | None = self._flatten(node)
            except Impossible:
                flat = None
            known = self._flat[id(node)] = (node, flat)
        return known[1]

    def _flatten(self, node: Node) -> Flat:
        if isinstance(node, bool):
            if not node:
                raise Impossible("the schema false")
            return Flat({}, (), frozenset(), False)
        words = {k: v for k, v in node.items() if k not in ("$ref", "allOf", "anyOf", "oneOf", "if", "then", "else")}
        choices = [tuple(node[key]) for key in ("anyOf", "oneOf") if key in node]
        if "if" in node:
            choices.append(({"allOf": [node["if"], node.get("then", True)]}, node.get("else", True)))
        hard = not _HARD.isdisjoint(node) or "oneOf" in node or len(choices) > 1
        flat = Flat(words, tuple(choices), frozenset(), hard)
        others = list(node.get("allOf", ()))
        if "$ref" in node:
            name = node["$ref"][8:]
            others.append(self.defs[name])
            flat = Flat(flat.words, flat.choices, frozenset([name]), flat.hard)
        for other in others:
            merged = self.flat(other)
            if merged is None:
                raise Impossible("allOf")
            flat = merge(flat, merged)
        return flat

    def join(self, node: Node, other: Node) -> Node:
        """The node that demands both; the same object each time, so that what is known of it is kept."""
        key = (id(node), id(other))
        if key not in self._joined:
            self._joined[key] = {"allOf": [node, other]}
        return self._joined[key]

    def pattern(self, pattern: str) -> Node:
        """The schema of strings that match a regular expression."""
        return self._patterns.setdefault(pattern, {"pattern": pattern})

    def height(self, node: Node) -> float:
        """How many levels the least instance of a node has; infinite if it never ends."""
        known = self._height_of.get(id(node))
        if known is None:
            known = self._height_of[id(node)] = (node, self._measure(node))
        return known[1]

    def _raised(self) -> bool:
        before = dict(self._heights)
        self._heights.update({name: self._measure(node) for name, node in self.defs.items()})
        return before != self._heights

    def _measure(self, node: Node) -> float:
        if isinstance(node, bool):
            return 0 if node else math.inf
        if "const" in node or "enum" in node:
            return 0
        least: float = self._heights[node["$ref"][8:]] + _DETOUR if "$ref" in node else 0
        kinds = node.get("type", ())
        names = node.get("properties", {})
        if "object" in kinds if isinstance(kinds, list) else kinds == "object" or (not kinds and names):
            least = max([least, *(1 + self._measure(names.get(name, True)) for name in node.get("required", ()))])
        if kinds == "array" and node.get("minItems", 0) > len(node.get("prefixItems", ())):
            least = max(least, 1 + self._measure(node.get("items", True)))
        if kinds == "array" and node.get("minItems", 0):
            least = max([least, *(1 + self._measure(c) for c in node.get("prefixItems", ())[: node["minItems"]])])
        for key in ("anyOf", "oneOf"):
            if node.get(key):
                least = max(least, min(self._measure(child) for child in node[key]))
        return max([least, *(self._measure(child) for child in node.get("allOf", ()))])


class Flat:
    """A node without `$ref` and `allOf`: plain keywords, and the choices still to be made."""

    __slots__ = ("choices", "hard", "refs", "words")

    def __init__(self, words: dict[str, Any], choices: tuple[tuple[Node, ...], ...], refs: frozenset[str], hard: bool):
        self.words = words
        self.choices = choices
        """Each a tuple of nodes one of which must hold as well."""
        self.refs = refs
        """The definitions that went into it, to notice recursion."""
        self.hard = hard
        """Whether a drawn value must be checked, because drawing follows some keywords only in part."""


def merge(a: Flat, b: Flat) -> Flat:
    """What satisfies both. Raises Impossible where that is plain to see."""
    words, hard = dict(a.words), a.hard or b.hard
    mine, theirs = _closed(a.words, b.words), _closed(b.words, a.words)
    for key, value in b.words.items():
        if key not in words:
            words[key] = value
        elif key in _MEET:
            words[key] = _MEET[key](words[key], value)
        elif key in ("pattern", "format", "not", "const", "unevaluatedProperties") and words[key] != value:
            hard = True
    if mine or theirs:
        words["properties"] = {**words.get("properties", {}), **mine, **theirs}
    return Flat(words, a.choices + b.choices, a.refs | b.refs, hard or len(a.choices + b.choices) > 1)


def _closed(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Node]:
    """Properties that b names and a does not, under a's `additionalProperties`."""
    rest = a.get("additionalProperties", True)
    if rest is True or "patternProperties" in a:
        return {}
    known = a.get("properties", {})
    return {name: _both(node, rest) for name, node in b.get("properties", {}).items() if name not in known}


def _both(a: Any, b: Any) -> Any:
    if a is True or a == b:
        return b
    if b is True:
        return a
    return False if a is False or b is False else {"allOf": [a, b]}


def _types(a: Any, b: Any) -> Any:
    left, right = ([k] if isinstance(k, str) else k for k in (a, b))
    met = [k for k in left if k in right or (k == "integer" and "number" in right)]
    met += [k for k in right if k == "integer" and "number" in left and k not in met]
    if not met:
        raise Impossible(f"type {a} and {b}")
    return met[0] if len(met) == 1 else met


def _members(a: list[Any], b: list[Any]) -> list[Any]:
    met = [member for member in a if member in b]
    if not met:
        raise Impossible("enum")
    return met


def _multiple(a: float, b: float) -> int | float:
    x, y = Fraction(str(a)), Fraction(str(b))
    least = Fraction(math.lcm(x.numerator * y.denominator, y.numerator * x.denominator), x.denominator * y.denominator)
    return least.numerator if least.denominator == 1 else float(least)


def _by_name(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _both(a.get(name, True), b.get(name, True)) for name in {**a, **b}}


def _by_place(a: list[Any], b: list[Any]) -> list[Any]:
    longest = max(len(a), len(b))
    return [_both(*(nodes[at] if at < len(nodes) else True for nodes in (a, b))) for at in range(longest)]


_MEET: dict[str, Callable[[Any, Any], Any]] = {
    "type": _types,
    "enum": _members,
    "multipleOf": _multiple,
    "required": lambda a, b: [*a, *(name for name in b if name not in a)],
    "uniqueItems": lambda a, b: a or b,
    "properties": _by_name,
    "patternProperties": _by_name,
    "dependentSchemas": _by_name,
    "dependentRequired": lambda a, b: {name: [*a.get(name, ()), *b.get(name, ())] for name in {**a, **b}},
    "prefixItems": _by_place,
    **dict.fromkeys(("items", "additionalProperties", "propertyNames", "contains"), _both),
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "maxContains"), min),
}
