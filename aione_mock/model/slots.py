"""The places of a schema that a thing named in a prompt may fill."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from aione_mock.generator import SchemaPlan
from aione_mock.generator.plan import Node
from aione_mock.generator.values import ValuePath
from aione_mock.generator.words import find_kind

_DEEP = 5
_SLOTS = 200


@dataclass(frozen=True, slots=True)
class Slot:
    """A place of a schema that a mention may fill."""

    path: ValuePath
    node: Node
    words: Mapping[str, Any]
    """The plain keywords there."""
    array: bool
    """Whether it takes a list of what `words` describes."""

    name: str
    """The nearest property's name."""
    kind: str | None
    """What the name stands for (`words.kind`)."""
    types: frozenset[str]
    """The JSON types it takes; empty means any."""


def _slot(path: ValuePath, node: Node, words: Mapping[str, Any], array: bool) -> Slot:
    name = next((part for part in reversed(path) if isinstance(part, str)), "")
    types = words.get("type", ())
    return Slot(
        path, node, words, array, name, find_kind(name), frozenset([types] if isinstance(types, str) else types)
    )


@lru_cache(512)
def slots(plan: SchemaPlan) -> tuple[Slot, ...]:
    """The places of a schema that take a scalar or a list of scalars, in the schema's order."""
    found: list[Slot] = []
    for slot in _walk(plan, plan.root, ()):
        found.append(slot)
        if len(found) == _SLOTS:
            break
    return tuple(found)


def _walk(plan: SchemaPlan, node: Node, path: ValuePath) -> Iterator[Slot]:
    words = _view(plan, node)
    if words is None or len(path) > _DEEP:
        return
    for name, child in words.get("properties", {}).items():
        yield from _walk(plan, child, (*path, name))
    if "properties" in words:
        return
    items = words.get("items")
    inner = _view(plan, items) if isinstance(items, dict) and words.get("type") != "object" else None
    if inner is None:
        yield _slot(path, node, words, False)
    elif "properties" in inner:
        yield from _walk(plan, items if isinstance(items, dict) else {}, (*path, 0))
    else:
        yield _slot(path, node, {**inner, "description": words.get("description", "")}, True)


def _view(plan: SchemaPlan, node: Node) -> Mapping[str, Any] | None:
    """The plain keywords of a node, with the first alternative that is not null."""
    flat = plan.flatten(node)
    if flat is None:
        return None
    branches = [plan.flatten(branch) for branch in flat.choices[0]] if flat.choices else []
    return next(
        ({**flat.keywords, **b.keywords} for b in branches if b and b.keywords.get("type") != "null"), flat.keywords
    )
