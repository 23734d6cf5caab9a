"""Find the places of a schema that take a value, and the kind of value that each takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from aione_mock.errors import ContractError
from aione_mock.generator.plan import resolve_reference
from aione_mock.generator.values import ValuePath
from aione_mock.generator.words import cache_names, find_kind, split_name
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
    _add_slots(slots, schema, schema, ())
    return slots


def _add_slots(slots: list[Slot], root: Json, node: Json, path: ValuePath) -> None:
    view = _merge_parts(root, node)
    if view is None or len(path) > _MAX_DEPTH or len(slots) == _MAX_SLOTS:
        return
    if isinstance(properties := view.get("properties"), dict):
        for name, child in properties.items():
            _add_slots(slots, root, child, (*path, name))
        return
    items = _merge_parts(root, view["items"]) if "items" in view else None
    if items is None:
        slots.append(_make_slot(path, view, is_array=False))
    elif "properties" in items:
        _add_slots(slots, root, items, (*path, 0))
    else:
        slots.append(_make_slot(path, items, is_array=True))


def _merge_parts(root: Json, node: Json, depth: int = 0) -> Mapping[str, Json] | None:
    """Return the keywords of a node with its references and its first alternative that is not null merged in."""
    if not isinstance(node, dict) or depth > _MAX_DEPTH:
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
    name = path[-1] if path else ""
    if not isinstance(name, str):
        name = next((part for part in reversed(path) if isinstance(part, str)), "")
    kind, beside, takes = _read_name(name)
    found = node.get("type")
    types = frozenset([found] if isinstance(found, str) else filter(_is_text, get_list(node, "type")))
    if "enum" in node or "const" in node:
        takes = ()
    elif types & NUMERIC:
        takes = ("number",)
    elif types and "string" not in types:
        takes = ()
    elif "format" in node:
        takes = _BY_FORMAT.get(str(node["format"]), ())
    return Slot(path, node, is_array, types, name, kind, takes, beside)


def _is_text(value: Json) -> bool:
    return isinstance(value, str)


@cache_names
def _read_name(name: str) -> tuple[str | None, tuple[str, ...], tuple[str, ...]]:
    """Return the kind that a property's name stands for, words beside its value, and what a string of it takes."""
    kind, words = find_kind(name), split_name(name)
    direction = next((_DIRECTIONS[word] for word in words if word in _DIRECTIONS), None)
    if direction and kind is None:
        takes: tuple[str, ...] = ("place",) if direction is _ORIGIN else ("email", "place", "name")
    elif not _FREE_TEXT_NAMES.isdisjoint(words):
        takes = FREE_TEXT
    else:
        takes = THING if kind in _THINGS else _BY_KIND.get(kind or "", ())
    return kind, direction or tuple([word[:5] for word in words]), takes
