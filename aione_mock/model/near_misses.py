"""Change an instance of a schema so that it almost satisfies it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice

from aione_mock.errors import ContractError
from aione_mock.generator import plan_schema
from aione_mock.seed import Seed
from aione_mock.types import Json

_MAX_CHANGES = 200
_MAX_DEPTH = 5
_WORD_START = re.compile(r"_([a-z])")
_CAPITAL = re.compile(r"(?<=[a-z0-9])([A-Z])")
_EXTRA = "note"
"""The member that is added to an object."""


def violate_schema(value: Json, schema: Mapping[str, Json], seed: Seed) -> Json:
    """Return an instance with one change by which it violates its schema.

    Numbers and booleans become text, members get another name, are missing or are added, words change their case, and
    lists of one item become the item. Returns the instance itself if no change violates the schema.
    """
    found: dict[str, list[Json]] = {}
    try:
        plan = plan_schema(schema)
        for kind, changed in islice(_list_changes(value, 0), _MAX_CHANGES):
            if not plan.accepts(plan.root, changed):
                found.setdefault(kind, []).append(changed)
    except ContractError:  # the schema allows more than can be tried
        pass
    if not found:
        return value
    kinds = sorted(found)
    changes = found[kinds[seed.draw_integer("kind of near miss") % len(kinds)]]
    return changes[seed.draw_integer("near miss") % len(changes)]


def _list_changes(value: Json, depth: int) -> Iterator[tuple[str, Json]]:
    """Yield the kind of each change, and the changed value."""
    if isinstance(value, dict):
        yield from _change_object(value, depth)
    elif isinstance(value, list):
        yield from _change_list(value, depth)
    elif isinstance(value, bool):
        yield "text", "true" if value else "false"
    elif isinstance(value, int | float):
        yield "text", f"{value}"
    elif isinstance(value, str) and (other := value.upper() if value != value.upper() else value.lower()) != value:
        yield "case", other


def _change_object(value: Mapping[str, Json], depth: int) -> Iterator[tuple[str, Json]]:
    for name in value:
        rest = {key: item for key, item in value.items() if key != name}
        yield "missing", rest
        if (other := _respell(name)) not in value:
            yield "renamed", {(other if key == name else key): item for key, item in value.items()}
    if _EXTRA not in value:
        yield "extra", {**value, _EXTRA: ""}
    if depth < _MAX_DEPTH:
        for name, item in value.items():
            yield from ((kind, {**value, name: changed}) for kind, changed in _list_changes(item, depth + 1))


def _change_list(value: list[Json], depth: int) -> Iterator[tuple[str, Json]]:
    if len(value) == 1:
        yield "item", value[0]
    if depth < _MAX_DEPTH:
        for place, item in enumerate(value):
            changes = _list_changes(item, depth + 1)
            yield from ((kind, [*value[:place], changed, *value[place + 1 :]]) for kind, changed in changes)


def _respell(name: str) -> str:
    """Return a name in camel case instead of snake case, or the reverse; with a capital if it is one word."""
    if "_" in name:
        return _WORD_START.sub(lambda match: match[1].upper(), name)
    snake = _CAPITAL.sub(lambda match: f"_{match[1].lower()}", name)
    return snake if snake != name else name[:1].swapcase() + name[1:]
