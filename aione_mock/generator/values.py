"""Instances of a schema: objects, arrays, alternatives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import reduce
from itertools import count, islice, product
from math import inf
from typing import Any

import orjson

from aione_mock.generator.numbers import number
from aione_mock.generator.patterns import Unmatchable, draw
from aione_mock.generator.plan import Flat, Impossible, Node, Plan
from aione_mock.generator.strings import string
from aione_mock.generator.words import pick, some
from aione_mock.seed import Seed
from aione_mock.structs import frozen, replace
from aione_mock.types import Json

Path = tuple[str | int, ...]
Hints = Callable[[Path, Mapping[str, Any]], Iterable[Json]]
"""Values to be tried first at a path, given the plain keywords there; those that do not fit are passed over."""

_TRIES = 24
_COMBINATIONS = 200
_DEEP = 12
_VISITS = 10_000
_ITEMS = 5_000
_STRING: Node = {"type": "string"}
_IMPLIED = {
    "object": ("properties", "required", "additionalProperties", "patternProperties", "minProperties", "propertyNames"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"),
    "string": ("pattern", "minLength", "maxLength", "format", "contentSchema"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}


@frozen
class Spot:
    """Where a value is drawn for, and from what."""

    seed: Seed
    path: Path = ()
    refs: frozenset[str] = frozenset()
    """The definitions that it lies within."""
    small: bool = False
    """Whether to draw the least that is valid, because a definition lies within itself."""
    retry: bool = False
    """Whether an earlier draw was refused, so that the usual order of alternatives led nowhere."""

    @property
    def name(self) -> str:
        """The nearest property's name."""
        return next((part for part in reversed(self.path) if isinstance(part, str)), "")

    def down(self, part: str | int) -> Spot:
        return replace(self, seed=self.seed.child(part), path=(*self.path, part))

    def within(self, refs: frozenset[str]) -> Spot:
        small = self.small or len(self.path) > _DEEP or not refs.isdisjoint(self.refs)
        return replace(self, refs=self.refs | refs, small=small) if refs or small else self

    def again(self, attempt: int) -> Spot:
        return replace(self, seed=self.seed.child("again", attempt), retry=True) if attempt else self


class Source:
    """One drawing of one instance."""

    def __init__(self, plan: Plan, hints: Hints | None, examples: bool, sparse: bool) -> None:
        self._plan = plan
        self._hints = hints
        self._examples = examples
        self._sparse = sparse
        self._visits = 0

    def value(self, node: Node, spot: Spot) -> Json:
        """A value for a node. Raises Impossible."""
        self._visits += 1
        flat = self._plan.flat(node)
        if flat is None or self._visits > _VISITS:
            raise Impossible("nothing satisfies all parts of the schema")
        for candidate in self._candidates(flat, spot):
            if self._plan.accepts(node, candidate):
                return candidate
        if not flat.choices and ("const" in flat.words or "enum" in flat.words):
            raise Impossible("no member of the enum fits")
        spot = spot.within(flat.refs)
        if not flat.hard and not flat.choices:
            return self._drawn(node, flat.words, spot)
        return self._tried(node, flat, spot)

    def _tried(self, node: Node, flat: Flat, spot: Spot) -> Json:
        """Draw until the whole node agrees."""
        for together, again in islice(self._alternatives(flat, spot), _TRIES):
            try:
                drawn = self.value(together, again) if flat.choices else self._drawn(node, flat.words, again)
            except Impossible:
                continue
            if self._plan.accepts(node, drawn):
                return drawn
        raise Impossible("no value found")

    def _alternatives(self, flat: Flat, spot: Spot) -> Iterator[tuple[Node, Spot]]:
        """What the node says once its choices are made, in the order of trying; then again, otherwise drawn."""
        orders = [self._order(branches, spot, at) for at, branches in enumerate(flat.choices)]
        plain: Node = flat.words
        for turn in count():
            possible = False
            for combination in islice(product(*orders), _COMBINATIONS):
                together = reduce(self._plan.join, combination, plain)
                if self._plan.flat(together) is not None:
                    possible = True
                    yield together, spot.again(turn)
            if not possible:
                return

    def _candidates(self, flat: Flat, spot: Spot) -> Iterator[Json]:
        words = flat.words
        if self._hints:
            for view in self._views(flat):
                yield from self._hints(spot.path, view)
        if "const" in words:
            yield words["const"]
            return
        if self._examples:
            yield from _turned(words.get("examples"), spot.seed)
            yield from (words[key] for key in ("example", "default") if key in words)
        yield from _turned(words.get("enum"), spot.seed)

    def _views(self, flat: Flat) -> Iterator[Mapping[str, Any]]:
        """The plain keywords, and those of each alternative beside them."""
        yield flat.words
        for branch in (branch for branches in flat.choices for branch in branches):
            joined = self._plan.flat(branch)
            if joined and not joined.choices and joined.words.get("type") not in ("object", None):
                yield {**flat.words, **joined.words}

    def _order(self, branches: tuple[Node, ...], spot: Spot, at: int) -> list[Node]:
        """Branches in the order of trying: only those that end, null last; the least first where it must be small."""
        ending = [branch for branch in branches if self._plan.height(branch) != inf]
        if not ending:
            raise Impossible("no alternative ends")
        turned = _turned(ending, spot.seed.child("choice", at))
        if spot.retry:
            return turned
        return sorted(turned, key=self._plan.height if spot.small else _is_null)

    def _drawn(self, node: Node, words: Mapping[str, Any], spot: Spot) -> Json:
        kind = _kind(words, spot)
        if kind == "object":
            return self._object(words, spot)
        if kind == "array":
            return self._array(words, spot)
        if kind == "string" and "contentSchema" in words:
            return orjson.dumps(self.value(words["contentSchema"], spot)).decode()
        if kind == "string":
            return string(words, spot.name, spot.seed, lambda text: self._plan.accepts(node, text))
        if kind in ("integer", "number"):
            return number(words, spot.name, spot.seed, whole=kind == "integer")
        return spot.seed.draw_integer("boolean") % 2 == 0 if kind == "boolean" else None

    def _object(self, words: Mapping[str, Any], spot: Spot) -> Json:
        required = dict.fromkeys(words.get("required", ()))
        names = {**words.get("properties", {}), **required}
        most = words.get("maxProperties", len(names) + 3)
        room = most - len(required)
        out: dict[str, Json] = {}
        for name in names:
            node = self._property(words, name)
            if name in required:
                out[name] = self.value(node, spot.down(name))
            elif room > 0 and not spot.small and self._wanted(node, (*spot.path, name)):
                with suppress(Impossible):
                    out[name] = self.value(node, spot.down(name))
                    room -= 1
        self._depend(words, out, spot)
        least = int(words.get("minProperties", 0))
        ideal = 0 if spot.small or names or self._sparse else min(2, most)
        return self._filled(words, out, least, max(least, ideal), spot)

    def _wanted(self, node: Node, path: Path) -> bool:
        """Whether an optional property is drawn."""
        if self._plan.height(node) == inf:
            return False
        if not self._sparse:
            return True
        flat = self._plan.flat(node)
        if flat is None or not self._hints:
            return False
        hints = self._hints
        return any(self._plan.accepts(node, hint) for view in self._views(flat) for hint in hints(path, view))

    def _property(self, words: Mapping[str, Any], name: str) -> Node:
        """Everything that must hold for the property of this name."""
        nodes: list[Node] = [words["properties"][name]] if name in words.get("properties", {}) else []
        for pattern, node in words.get("patternProperties", {}).items():
            if self._plan.accepts(self._plan.pattern(pattern), name):
                nodes.append(node)
        if not nodes:
            nodes.append(words.get("additionalProperties", words.get("unevaluatedProperties", True)))
        return reduce(self._plan.join, nodes)

    def _depend(self, words: Mapping[str, Any], out: dict[str, Json], spot: Spot) -> None:
        """Add what `dependentRequired` and `dependentSchemas` want of properties that are there."""
        schemas, wanted = words.get("dependentSchemas", {}), words.get("dependentRequired", {})
        todo = list(out)
        for name in todo:
            flat = self._plan.flat(schemas[name]) if name in schemas else None
            more = flat.words if flat else {}
            for other in (*wanted.get(name, ()), *more.get("required", ())):
                if other not in out:
                    source = more if other in more.get("properties", {}) else words
                    out[other] = self.value(self._property(source, other), spot.down(other))
                    todo.append(other)

    def _filled(
        self, words: Mapping[str, Any], out: dict[str, Json], least: int, ideal: int, spot: Spot
    ) -> dict[str, Json]:
        """Add free names until there are enough."""
        if least > _ITEMS:
            raise Impossible(f"an object of {least} properties")
        for at in range(ideal * 8):
            if len(out) >= ideal:
                break
            name = self._free_name(words, spot.seed.child("name", at), at)
            node = self._property(words, name) if name is not None else False
            if name is None or name in out or node is False:
                continue
            with suppress(Impossible):
                out[name] = self.value(node, spot.down(name))
        if len(out) < least:
            raise Impossible("too few properties can be named")
        return out

    def _free_name(self, words: Mapping[str, Any], seed: Seed, at: int) -> str | None:
        spellings = list(words.get("patternProperties", {}))
        try:
            if "propertyNames" in words:
                return str(self.value(self._plan.join(words["propertyNames"], _STRING), Spot(seed)))
            if spellings and not isinstance(words.get("additionalProperties"), dict):
                return draw(pick(spellings, seed), seed)
        except (Impossible, Unmatchable):
            return None
        name = some("word", "en", seed)
        return name if at < 8 else f"{name}_{at}"

    def _array(self, words: Mapping[str, Any], spot: Spot) -> Json:
        prefix, rest = words.get("prefixItems", ()), words.get("items", True)
        least, most = int(words.get("minItems", 0)), min(words.get("maxItems", _ITEMS), _ITEMS)
        needed = int(words.get("minContains", 1)) if "contains" in words else 0
        endless = rest is False or self._plan.height(rest) == inf
        ideal = len(prefix) if prefix or endless else 1 + spot.seed.draw_integer("length") % 3
        least = max(least, len(prefix) + needed) if needed else least
        if least > most:
            raise Impossible(f"an array of {least} items")
        out: list[Json] = []
        for at in range(max(least, 0 if spot.small else min(ideal, most))):
            node = prefix[at] if at < len(prefix) else rest
            if 0 <= at - len(prefix) < needed:
                node = self._plan.join(node, words["contains"])
            try:
                out.append(self._item(node, spot.down(at), out if words.get("uniqueItems") else ()))
            except Impossible:
                if at < least:
                    raise
                break
        return out

    def _item(self, node: Node, spot: Spot, taken: Sequence[Json]) -> Json:
        """An item unlike those taken."""
        seen = [_same(other) for other in taken]
        for attempt in range(_TRIES if seen else 1):
            drawn = self._unlike(node, spot, attempt)
            if _same(drawn) not in seen:
                return drawn
        raise Impossible("no further distinct item")

    def _unlike(self, node: Node, spot: Spot, attempt: int) -> Json:
        examples, self._examples = self._examples, self._examples and attempt == 0
        try:
            return self.value(node, spot.again(attempt))
        finally:
            self._examples = examples


def _same(value: Json) -> bytes:
    """Equal for values that JSON Schema counts as equal: 1 and 1.0, members in any order."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _is_null(node: Node) -> bool:
    return isinstance(node, dict) and (node.get("type") == "null" or node.get("const", 0) is None)


def _turned(members: Any, seed: Seed) -> list[Json]:
    """The members of a list, starting at one that the seed picks."""
    if not isinstance(members, list) or not members:
        return []
    start = seed.draw_integer("member") % len(members)
    return members[start:] + members[:start]


def _kind(words: Mapping[str, Any], spot: Spot) -> str:
    """The type to draw: never null where another is allowed, unless it must be small."""
    kinds = words.get("type")
    if kinds is None:
        implied = (kind for kind, keys in _IMPLIED.items() if any(key in words for key in keys))
        return next(implied, "string")
    if isinstance(kinds, str):
        return kinds
    if spot.small and "null" in kinds:
        return "null"
    others = [kind for kind in kinds if kind != "null"]
    return str(pick(others, spot.seed, "type")) if others else "null"
