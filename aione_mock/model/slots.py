"""Find the places of a schema that take a value, and the kind of value that each takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from aione_mock.errors import ContractError
from aione_mock.generator.plan import resolve_reference
from aione_mock.generator.values import ValuePath
from aione_mock.generator.words import find_kind, split_name
from aione_mock.types import Json

_MAX_DEPTH = 5
_MAX_SLOTS = 200
NUMERIC = frozenset(["number", "integer"])
_MERGED = frozenset(["$ref", "allOf", "anyOf", "oneOf"])
_BY_FORMAT = {
    **{form: (form,) for form in ("email", "url", "uuid", "date", "time")},
    "uri": ("url",),
    "date-time": ("datetime", "date"),
}
_BY_KIND = {
    **{kind: (kind,) for kind in ("email", "url", "phone", "date", "time")},
    **dict.fromkeys(("city", "country", "street"), ("place",)),
    **dict.fromkeys(("full_name", "first_name", "last_name", "username"), ("quoted", "name")),
    **dict.fromkeys(("currency", "symbol"), ("code",)),
    "datetime": ("datetime", "date"),
    "id": ("id", "uuid", "number"),
    "language": ("capitalised",),
}
"""What a string takes, by the kind of thing that its name stands for, best first."""
_THINGS = (None, "company", "product", "title")
THING, FREE_TEXT = ("quoted", "capitalised"), ("quoted",)
"""What the name of a thing takes, and what free text takes before the whole question."""
_FREE_TEXT_NAMES = frozenset(
    "query q question prompt input search keyword keywords message text content body expression "
    "查询 问题 关键词 内容 文本".split()
)
_ORIGIN, _DESTINATION = ("from", "从"), ("to", "到", "去", "飞往")
_DIRECTIONS = {
    **dict.fromkeys(("from", "origin", "departure", "source", "start", "出发地", "起点"), _ORIGIN),
    **dict.fromkeys(("to", "destination", "arrival", "target", "recipient", "end", "目的地", "终点"), _DESTINATION),
}
"""The prepositions before the value of a property, by a word of its name."""


class Slot(NamedTuple):
    """Represent a place of a schema that takes a value."""

    path: ValuePath
    node: Mapping[str, Json]
    """The keywords of the value, or of an array's items."""
    is_array: bool
    types: frozenset[str]
    """JSON types; empty means any."""
    name: str
    """The nearest property's name."""
    kind: str | None
    """The kind of thing that the name stands for (`generator.words.find_kind`)."""
    takes: tuple[str, ...]
    """The kinds of mentions that fit, best first."""
    beside: tuple[str, ...]
    """Words, or their beginnings, beside which a text has the value."""


def collect_slots(schema: Mapping[str, Json]) -> list[Slot]:
    """Return the places of a schema that take a scalar or a list of scalars, in the order of the schema."""
    slots: list[Slot] = []
    for slot in _walk_schema(schema, schema, ()):
        slots.append(slot)
        if len(slots) == _MAX_SLOTS:
            break
    return slots


def _walk_schema(root: Json, node: Json, path: ValuePath) -> Iterator[Slot]:
    view = _merge_parts(root, node)
    if view is None or len(path) > _MAX_DEPTH:
        return
    if isinstance(properties := view.get("properties"), Mapping):
        for name, child in properties.items():
            yield from _walk_schema(root, child, (*path, name))
        return
    items = _merge_parts(root, view["items"]) if "items" in view else None
    if items is None:
        yield _make_slot(path, view, is_array=False)
    elif "properties" in items:
        yield from _walk_schema(root, items, (*path, 0))
    else:
        yield _make_slot(path, items, is_array=True)


def _merge_parts(root: Json, node: Json, depth: int = 0) -> Mapping[str, Json] | None:
    """Return the keywords of a node with its references and its first alternative that is not null merged in."""
    if not isinstance(node, Mapping) or depth > _MAX_DEPTH:
        return None
    if _MERGED.isdisjoint(node):
        return node
    others = [*get_list(node, "allOf")]
    if "$ref" in node:
        try:
            others.append(resolve_reference(root, str(node["$ref"])))
        except ContractError:
            return None
    for alternatives in (get_list(node, "anyOf"), get_list(node, "oneOf")):
        others += [branch for branch in alternatives if branch != {"type": "null"}][:1]
    merged: dict[str, Json] = {}
    for other in others:
        merged |= _merge_parts(root, other, depth + 1) or {}
    return {**merged, **node}


def get_list(node: Mapping[str, Json], keyword: str) -> Sequence[Json]:
    """Return the list that a keyword should have, empty if it has none. The schema may be invalid."""
    value = node.get(keyword)
    return value if isinstance(value, list) else ()


def _make_slot(path: ValuePath, node: Mapping[str, Json], *, is_array: bool) -> Slot:
    name = next((part for part in reversed(path) if isinstance(part, str)), "")
    found = node.get("type")
    types = frozenset([found] if isinstance(found, str) else filter(_is_text, get_list(node, "type")))
    known, words = find_kind(name), split_name(name)
    beside = next((_DIRECTIONS[word] for word in words if word in _DIRECTIONS), None)
    takes = _choose_kinds(node, types, known, words, beside)
    return Slot(path, node, is_array, types, name, known, takes, beside or tuple([word[:5] for word in words]))


def _is_text(value: Json) -> bool:
    return isinstance(value, str)


def _choose_kinds(
    node: Mapping[str, Json],
    types: frozenset[str],
    known: str | None,
    words: tuple[str, ...],
    direction: tuple[str, ...] | None,
) -> tuple[str, ...]:
    if "enum" in node or "const" in node:
        return ()
    if types & NUMERIC:
        return ("number",)
    if types and "string" not in types:
        return ()
    if "format" in node:
        return _BY_FORMAT.get(str(node["format"]), ())
    if direction and known is None:
        return ("place",) if direction is _ORIGIN else ("email", "place", "name")
    if not _FREE_TEXT_NAMES.isdisjoint(words):
        return FREE_TEXT
    return THING if known in _THINGS else _BY_KIND.get(known or "", ())
