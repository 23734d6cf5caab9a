"""Generate instances of a planned schema: objects, arrays and alternatives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import reduce
from itertools import count, islice, product
from math import inf
from typing import Any

import orjson

from aione_mock.generator.numbers import draw_number
from aione_mock.generator.patterns import Unmatchable, draw_match
from aione_mock.generator.plan import FlatSchema, Node, SchemaPlan, Unsatisfiable
from aione_mock.generator.strings import draw_string
from aione_mock.generator.words import pick_one, pick_word
from aione_mock.seed import Seed
from aione_mock.structs import frozen, replace
from aione_mock.types import Json

ValuePath = tuple[str | int, ...]
Hints = Callable[[ValuePath, Mapping[str, Any]], Iterable[Json]]
"""Returns values to try first at a path with the given keywords. Those that are not valid are skipped."""

_MAX_ATTEMPTS = 24
_MAX_COMBINATIONS = 200
_MAX_DEPTH = 12
"""Values below this depth are as small as possible."""
_MAX_VALUES = 10_000
_MAX_ITEMS = 5_000
_STRING: Node = {"type": "string"}
_TYPE_KEYWORDS = {
    "object": ("properties", "required", "additionalProperties", "patternProperties", "minProperties", "propertyNames"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"),
    "string": ("pattern", "minLength", "maxLength", "format", "contentSchema"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}


@frozen
class Location:
    """The place of a value in the instance, and the seed for it."""

    seed: Seed
    path: ValuePath = ()
    refs: frozenset[str] = frozenset()
    """The definitions that contain the value."""
    small: bool = False
    """Whether the value must be as small as possible, because a definition contains itself."""
    retry: bool = False
    """Whether an earlier attempt failed, so that alternatives are tried in another order."""

    @property
    def name(self) -> str:
        """The name of the nearest property."""
        return next((part for part in reversed(self.path) if isinstance(part, str)), "")

    def child(self, part: str | int) -> Location:
        return replace(self, seed=self.seed.child(part), path=(*self.path, part))

    def enter(self, refs: frozenset[str]) -> Location:
        small = self.small or len(self.path) > _MAX_DEPTH or not refs.isdisjoint(self.refs)
        return replace(self, refs=self.refs | refs, small=small) if refs or small else self

    def retry_with(self, attempt: int) -> Location:
        return replace(self, seed=self.seed.child("again", attempt), retry=True) if attempt else self


class InstanceBuilder:
    """Builds one instance of a schema."""

    def __init__(
        self, plan: SchemaPlan, hints: Hints | None, *, use_examples: bool, sparse: bool, realistic: bool
    ) -> None:
        self._plan = plan
        self._hints = hints
        self._use_examples = use_examples
        self._sparse = sparse
        self._realistic = realistic
        self._value_count = 0

    def build(self, node: Node, location: Location) -> Json:
        """Return a value for a node. Raise Unsatisfiable if none is found."""
        self._value_count += 1
        self._plan.work.spend()
        flat = self._plan.flatten(node)
        if flat is None or self._value_count > _MAX_VALUES:
            raise Unsatisfiable("nothing satisfies all parts of the schema")
        for candidate in self._iter_candidates(flat, location):
            if self._plan.accepts(node, candidate):
                return candidate
        if not flat.choices and ("const" in flat.keywords or "enum" in flat.keywords):
            raise Unsatisfiable("no member of the enum fits")
        location = location.enter(flat.refs)
        if not flat.verify and not flat.choices:
            return self._build_type(node, flat.keywords, location)
        return self._build_valid(node, flat, location)

    def _build_valid(self, node: Node, flat: FlatSchema, location: Location) -> Json:
        """Build values until one is valid for the whole node."""
        for together, again in islice(self._iter_alternatives(flat, location), _MAX_ATTEMPTS):
            try:
                value = self.build(together, again) if flat.choices else self._build_type(node, flat.keywords, again)
            except Unsatisfiable:
                continue
            if self._plan.accepts(node, value):
                return value
        raise Unsatisfiable("no value found")

    def _iter_alternatives(self, flat: FlatSchema, location: Location) -> Iterator[tuple[Node, Location]]:
        """Yield the node with its choices made, in the order to try; then again with other seeds."""
        orders = [self._sort_branches(branches, location, at) for at, branches in enumerate(flat.choices)]
        plain: Node = flat.keywords
        for turn in count():
            possible = False
            for combination in islice(product(*orders), _MAX_COMBINATIONS):
                together = reduce(self._plan.join, combination, plain)
                if self._plan.flatten(together) is not None:
                    possible = True
                    yield together, location.retry_with(turn)
            if not possible:
                return

    def _iter_candidates(self, flat: FlatSchema, location: Location) -> Iterator[Json]:
        keywords = flat.keywords
        if self._hints:
            for view in self._iter_views(flat):
                yield from self._hints(location.path, view)
        if "const" in keywords:
            yield keywords["const"]
            return
        if self._use_examples:
            yield from _rotate(keywords.get("examples"), location.seed)
            yield from (keywords[key] for key in ("example", "default") if key in keywords)
        yield from _rotate(keywords.get("enum"), location.seed)

    def _iter_views(self, flat: FlatSchema) -> Iterator[Mapping[str, Any]]:
        """Yield the plain keywords, then those together with the keywords of each alternative."""
        yield flat.keywords
        for branch in (branch for branches in flat.choices for branch in branches):
            joined = self._plan.flatten(branch)
            if joined and not joined.choices and joined.keywords.get("type") not in ("object", None):
                yield {**flat.keywords, **joined.keywords}

    def _sort_branches(self, branches: tuple[Node, ...], location: Location, at: int) -> list[Node]:
        """Return the branches that end in the order to try: null last, or the smallest first if it must be small."""
        finite = [branch for branch in branches if self._plan.min_depth(branch) != inf]
        if not finite:
            raise Unsatisfiable("no alternative ends")
        rotated = _rotate(finite, location.seed.child("choice", at))
        if location.retry:
            return rotated
        return sorted(rotated, key=self._plan.min_depth if location.small else _is_null)

    def _build_type(self, node: Node, keywords: Mapping[str, Any], location: Location) -> Json:
        kind = _choose_type(keywords, location)
        if kind == "object":
            return self._build_object(keywords, location)
        if kind == "array":
            return self._build_array(keywords, location)
        if kind == "string" and "contentSchema" in keywords:
            return orjson.dumps(self.build(keywords["contentSchema"], location)).decode()
        if kind == "string":
            return draw_string(
                keywords,
                location.name,
                location.seed,
                lambda text: self._plan.accepts(node, text),
                realistic=self._realistic,
                work=self._plan.work,
            )
        if kind in ("integer", "number"):
            return draw_number(keywords, location.name, location.seed, whole=kind == "integer")
        return location.seed.draw_integer("boolean") % 2 == 0 if kind == "boolean" else None

    def _build_object(self, keywords: Mapping[str, Any], location: Location) -> Json:
        required = dict.fromkeys(keywords.get("required", ()))
        names = {**keywords.get("properties", {}), **required}
        most = keywords.get("maxProperties", len(names) + 3)
        room = most - len(required)
        out: dict[str, Json] = {}
        for name in names:
            node = self._property_schema(keywords, name)
            if name in required:
                out[name] = self.build(node, location.child(name))
            elif room > 0 and not location.small and self._is_wanted(node, (*location.path, name)):
                with suppress(Unsatisfiable):
                    out[name] = self.build(node, location.child(name))
                    room -= 1
        self._add_dependents(keywords, out, location)
        least = int(keywords.get("minProperties", 0))
        ideal = 0 if location.small or names or self._sparse else min(2, most)
        return self._add_properties(keywords, out, least, max(least, ideal), location)

    def _is_wanted(self, node: Node, path: ValuePath) -> bool:
        """Return whether an optional property is generated."""
        self._plan.work.spend()
        if self._plan.min_depth(node) == inf:
            return False
        if not self._sparse:
            return True
        flat = self._plan.flatten(node)
        if flat is None or not self._hints:
            return False
        hints = self._hints
        return any(self._plan.accepts(node, hint) for view in self._iter_views(flat) for hint in hints(path, view))

    def _property_schema(self, keywords: Mapping[str, Any], name: str) -> Node:
        """Return everything that the property of this name must satisfy."""
        nodes: list[Node] = [keywords["properties"][name]] if name in keywords.get("properties", {}) else []
        for pattern, node in keywords.get("patternProperties", {}).items():
            if self._plan.accepts(self._plan.pattern_schema(pattern), name):
                nodes.append(node)
        if not nodes:
            nodes.append(keywords.get("additionalProperties", keywords.get("unevaluatedProperties", True)))
        return reduce(self._plan.join, nodes)

    def _add_dependents(self, keywords: Mapping[str, Any], out: dict[str, Json], location: Location) -> None:
        """Add the properties that `dependentRequired` and `dependentSchemas` require."""
        schemas, wanted = keywords.get("dependentSchemas", {}), keywords.get("dependentRequired", {})
        todo = list(out)
        for name in todo:
            flat = self._plan.flatten(schemas[name]) if name in schemas else None
            more = flat.keywords if flat else {}
            for other in (*wanted.get(name, ()), *more.get("required", ())):
                if other not in out:
                    source = more if other in more.get("properties", {}) else keywords
                    out[other] = self.build(self._property_schema(source, other), location.child(other))
                    todo.append(other)

    def _add_properties(
        self, keywords: Mapping[str, Any], out: dict[str, Json], least: int, ideal: int, location: Location
    ) -> dict[str, Json]:
        """Add properties with free names until there are `ideal` ones. Raise Unsatisfiable for fewer than `least`."""
        if least > _MAX_ITEMS:
            raise Unsatisfiable(f"an object of {least} properties")
        for at in range(ideal * 8):
            if len(out) >= ideal:
                break
            name = self._draw_name(keywords, location.seed.child("name", at), at)
            node = self._property_schema(keywords, name) if name is not None else False
            if name is None or name in out or node is False:
                continue
            with suppress(Unsatisfiable):
                out[name] = self.build(node, location.child(name))
        if len(out) < least:
            raise Unsatisfiable("too few properties can be named")
        return out

    def _draw_name(self, keywords: Mapping[str, Any], seed: Seed, at: int) -> str | None:
        patterns = list(keywords.get("patternProperties", {}))
        try:
            if "propertyNames" in keywords:
                return str(self.build(self._plan.join(keywords["propertyNames"], _STRING), Location(seed)))
            if patterns and not isinstance(keywords.get("additionalProperties"), dict):
                return draw_match(pick_one(patterns, seed), seed)
        except (Unsatisfiable, Unmatchable):
            return None
        name = pick_word("word", "en", seed)
        return name if at < 8 else f"{name}_{at}"

    def _build_array(self, keywords: Mapping[str, Any], location: Location) -> Json:
        prefix, rest = keywords.get("prefixItems", ()), keywords.get("items", True)
        least, most = int(keywords.get("minItems", 0)), min(keywords.get("maxItems", _MAX_ITEMS), _MAX_ITEMS)
        needed = int(keywords.get("minContains", 1)) if "contains" in keywords else 0
        endless = rest is False or self._plan.min_depth(rest) == inf
        ideal = len(prefix) if prefix or endless else 1 + location.seed.draw_integer("length") % 3
        least = max(least, len(prefix) + needed) if needed else least
        if least > most:
            raise Unsatisfiable(f"an array of {least} items")
        out: list[Json] = []
        seen: set[bytes] | None = set() if keywords.get("uniqueItems") else None
        for at in range(max(least, 0 if location.small else min(ideal, most))):
            node = prefix[at] if at < len(prefix) else rest
            if 0 <= at - len(prefix) < needed:
                node = self._plan.join(node, keywords["contains"])
            try:
                out.append(self._build_item(node, location.child(at), seen))
            except Unsatisfiable:
                if at < least:
                    raise
                break
        return out

    def _build_item(self, node: Node, location: Location, seen: set[bytes] | None) -> Json:
        """Return an item; one that differs from those `seen`, which it joins."""
        if seen is None:
            return self.build(node, location)
        for attempt in range(_MAX_ATTEMPTS):
            value = self._retry_item(node, location, attempt)
            key = _comparison_key(value)
            if key not in seen:
                seen.add(key)
                return value
        raise Unsatisfiable("no further distinct item")

    def _retry_item(self, node: Node, location: Location, attempt: int) -> Json:
        allowed, self._use_examples = self._use_examples, self._use_examples and attempt == 0
        try:
            return self.build(node, location.retry_with(attempt))
        finally:
            self._use_examples = allowed


def _comparison_key(value: Json) -> bytes:
    """Return a key that is equal for values that JSON Schema considers equal, such as 1 and 1.0."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        value = int(value)
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _is_null(node: Node) -> bool:
    return isinstance(node, dict) and (node.get("type") == "null" or node.get("const", 0) is None)


def _rotate(members: Any, seed: Seed) -> list[Json]:
    """Return the members of a list, starting at one that the seed picks."""
    if not isinstance(members, list) or not members:
        return []
    start = seed.draw_integer("member") % len(members)
    return members[start:] + members[:start]


def _choose_type(keywords: Mapping[str, Any], location: Location) -> str:
    """Return the type to generate: null only if nothing else is allowed or the value must be small."""
    kinds = keywords.get("type")
    if kinds is None:
        implied = (kind for kind, keys in _TYPE_KEYWORDS.items() if any(key in keywords for key in keys))
        return next(implied, "string")
    if isinstance(kinds, str):
        return kinds
    if location.small and "null" in kinds:
        return "null"
    others = [kind for kind in kinds if kind != "null"]
    return str(pick_one(others, location.seed, "type")) if others else "null"
