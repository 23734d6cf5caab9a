"""Find how a JSON Schema differs from an older one: what it allows no longer, and what it allows now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Literal

import orjson

from aione_mock.structs import frozen
from aione_mock.types import Json

Effect = Literal["narrower", "wider", "other", "added", "removed", "opened", "closed", "default", "words"]
"""What a change does: fewer values, more values, other values, a member more or less, further members allowed or not,
another default, or other words."""
Resolve = Callable[[Json], Json]
_TYPES = frozenset({"null", "boolean", "object", "array", "number", "integer", "string"})
_LOWER = {"minimum": "at least", "exclusiveMinimum": "above", "minLength": "at least", "minItems": "at least"}
_LOWER |= {"minProperties": "at least"}
_UPPER = {"maximum": "at most", "exclusiveMaximum": "below", "maxLength": "at most", "maxItems": "at most"}
_UPPER |= {"maxProperties": "at most"}
_NOUNS = {"Length": " characters", "Items": " items", "Properties": " members"}
_FORMS = ("pattern", "format", "contentMediaType", "contentEncoding")
_UNIONS = ("anyOf", "oneOf")
_WORDS = ("description", "title", "example", "examples", "deprecated", "x-evidence")
_COMPARED = {"$ref", "type", "enum", "const", "required", "properties", "additionalProperties", "items", "default"}
_COMPARED |= {*_LOWER, *_UPPER, *_FORMS, *_UNIONS, *_WORDS}


@frozen
class SchemaChange:
    """One way in which a schema differs from the older one."""

    effect: Effect
    pointer: str
    """Where in a value, such as `/choices/*/text`; empty for all of it."""
    message: str


class SchemaComparison:
    """Compare schemas of two documents; each pair of schemas once."""

    def __init__(self, resolve_old: Resolve, resolve_new: Resolve) -> None:
        self._resolve_old, self._resolve_new = resolve_old, resolve_new
        self._seen: dict[tuple[int, int], tuple[Json, Json]] = {}
        """By identity, and kept so that no other schema gets the same one."""

    def compare(self, old: Json, new: Json, pointer: str = "") -> Iterator[SchemaChange]:
        """Yield each change. Members are compared by name, branches of a union by what tells them apart."""
        old, new = _merge(old, self._resolve_old), _merge(new, self._resolve_new)
        if old == new and "$ref" not in orjson.dumps(new).decode():
            return
        kept = old.get("properties", old), new.get("properties", new)
        pair = id(kept[0]), id(kept[1])
        if pair in self._seen:
            return
        self._seen[pair] = kept
        for effect, message in _compare_values(old, new):
            yield SchemaChange(effect, pointer, message)
        yield from self._compare_members(old, new, pointer)
        if "items" in old and "items" in new:
            yield from self.compare(old["items"], new["items"], f"{pointer}/*")
        elif "items" in old or "items" in new:
            yield SchemaChange("wider" if "items" in old else "narrower", pointer, "other items")
        for keyword in _UNIONS:
            if keyword in old and keyword in new:
                yield from self._compare_branches(old[keyword], new[keyword], pointer)
            elif keyword in old or keyword in new:
                yield SchemaChange("wider" if keyword in old else "narrower", pointer, f"{keyword} is another")

    def _compare_members(self, old: Json, new: Json, pointer: str) -> Iterator[SchemaChange]:
        before, after = old.get("properties", {}), new.get("properties", {})
        for name in before.keys() - after.keys():
            yield SchemaChange("removed", f"{pointer}/{name}", "removed")
        for name in after.keys() - before.keys():
            yield SchemaChange("added", f"{pointer}/{name}", "added")
        for name in sorted(set(new.get("required", ())) - set(old.get("required", ()))):
            yield SchemaChange("narrower", f"{pointer}/{name}", "required now")
        for name in sorted(set(old.get("required", ())) - set(new.get("required", ()))):
            yield SchemaChange("wider", f"{pointer}/{name}", "optional now")
        was, now = old.get("additionalProperties", True), new.get("additionalProperties", True)
        if (was is False) != (now is False):
            message = "no further members any more" if now is False else "further members allowed"
            yield SchemaChange("closed" if now is False else "opened", pointer, message)
        elif isinstance(was, dict) and isinstance(now, dict):
            yield from self.compare(was, now, f"{pointer}/*")
        for name in before.keys() & after.keys():
            yield from self.compare(before[name], after[name], f"{pointer}/{name}")

    def _compare_branches(self, old: list[Json], new: list[Json], pointer: str) -> Iterator[SchemaChange]:
        before, after = _name_branches(old, self._resolve_old), _name_branches(new, self._resolve_new)
        for name in before.keys() - after.keys():
            yield SchemaChange("narrower", pointer, f"no longer {name[:80]}")
        for name in after.keys() - before.keys():
            yield SchemaChange("wider", pointer, f"also {name[:80]}")
        for name in before.keys() & after.keys():
            yield from self.compare(before[name], after[name], pointer)


def _merge(schema: Json, resolve: Resolve) -> dict[str, Json]:
    """Return a schema with its reference followed; `true` and `false` as schemas with keywords."""
    if not isinstance(schema, dict):
        return {} if schema else {"not": {}}
    if "$ref" not in schema:
        return schema
    beside = {name: value for name, value in schema.items() if name != "$ref"}
    target: dict[str, Json] = resolve({"$ref": schema["$ref"]})
    return {**target, **beside} if beside else target


def _name_branches(branches: list[Json], resolve: Resolve) -> dict[str, Json]:
    """Return the branches of a union by what tells each from the others."""
    names = [_name_branch(branch, resolve) for branch in branches]
    unique = [name if names.count(name) == 1 else _dump(branch) for name, branch in zip(names, branches, strict=True)]
    return dict(zip(unique, branches, strict=True))


def _name_branch(schema: Json, resolve: Resolve) -> str:
    """Return the reference of a branch, its constants, its type, or all of it."""
    if isinstance(schema, dict) and "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    merged = _merge(schema, resolve)
    constants = {name: node["const"] for name, node in merged.get("properties", {}).items() if "const" in node}
    return _dump(constants or merged.get("type") or merged)


def _dump(value: Json) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _compare_values(old: Mapping[str, Json], new: Mapping[str, Json]) -> Iterator[tuple[Effect, str]]:
    """Yield the changes of the keywords of one schema, without those of its parts."""
    yield from _compare_sets(_list_types(old), _list_types(new), "type ")
    yield from _compare_sets(_list_options(old), _list_options(new), "")
    for bounds, sign in ((_LOWER, 1), (_UPPER, -1)):
        for keyword, words in bounds.items():
            was, now = old.get(keyword), new.get(keyword)
            if was != now:
                narrower = was is None or (now is not None and (now - was) * sign > 0)
                noun = next((noun for part, noun in _NOUNS.items() if keyword.endswith(part)), "")
                yield "narrower" if narrower else "wider", _describe(words, was, now, noun)
    for keyword in _FORMS:
        was, now = old.get(keyword), new.get(keyword)
        if was != now:
            yield "narrower" if was is None else "wider" if now is None else "other", _describe(keyword, was, now)
    for keyword in sorted((old.keys() | new.keys()) - _COMPARED):
        if old.get(keyword) != new.get(keyword):
            yield "words" if keyword.startswith("x-") else "other", f"another {keyword}"
    if old.get("default") != new.get("default"):
        yield "default", _describe("default", old.get("default"), new.get("default"))
    if changed := [keyword for keyword in _WORDS if old.get(keyword) != new.get(keyword)]:
        yield "words", f"another {', '.join(changed)}"


def _list_types(schema: Mapping[str, Json]) -> frozenset[str] | None:
    types = schema.get("type")
    if types is None:
        return None
    found = {types} if isinstance(types, str) else set(types)
    return frozenset(found | ({"integer"} if "number" in found else set()))


def _list_options(schema: Mapping[str, Json]) -> frozenset[str] | None:
    options = [schema["const"]] if "const" in schema else schema.get("enum")
    return None if options is None else frozenset(orjson.dumps(option).decode() for option in options)


def _compare_sets(old: frozenset[str] | None, new: frozenset[str] | None, noun: str) -> Iterator[tuple[Effect, str]]:
    """Compare what is allowed; None allows everything."""
    if old is None or new is None:
        if old is not new:
            named = ", ".join(sorted(old or new or ()))
            yield ("narrower", f"{noun}only {named}") if old is None else ("wider", f"{noun}no longer only {named}")
        return
    if gone := sorted(old - new):
        yield "narrower", f"{noun}no longer {', '.join(gone)}"
    if more := sorted(new - old):
        yield "wider", f"{noun}also {', '.join(more)}"


def _describe(words: str, was: Json, now: Json, noun: str = "") -> str:
    after = "no longer" if now is None else orjson.dumps(now).decode() + noun
    before = "" if was is None else f", was {orjson.dumps(was).decode()}"
    return f"{words} {after}{before}"[:200]
