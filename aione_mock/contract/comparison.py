"""Find what has changed between two contracts, and what of it breaks clients."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from aione_mock.contract.openapi import Contract, Operation
from aione_mock.contract.schema_comparison import Effect, SchemaComparison
from aione_mock.structs import frozen
from aione_mock.types import Json

Level = Literal["breaking", "additive", "cosmetic"]
"""Breaks clients or tests that were right; only adds something; changes words alone."""
LEVELS: tuple[Level, ...] = ("breaking", "additive", "cosmetic")
_IN_REQUESTS: Mapping[Effect, Level] = {
    "narrower": "breaking",
    "wider": "additive",
    "other": "breaking",
    "added": "additive",
    "removed": "breaking",
    "opened": "additive",
    "closed": "breaking",
    "default": "breaking",
    "words": "cosmetic",
}
_IN_RESPONSES: Mapping[Effect, Level] = {
    **_IN_REQUESTS,
    "narrower": "additive",
    "wider": "breaking",
    "closed": "additive",  # and clients have to ignore members that they do not know
    "default": "cosmetic",
}
_WORDS = ("summary", "description", "tags", "x-evidence", "deprecated", "externalDocs")


@frozen
class ContractChange:
    """One change of an operation."""

    level: Level
    operation: str
    place: str
    """`request`, `parameter page`, `200 application/json`, with a pointer into the body; empty for all of it."""
    message: str


def compare_contracts(old: Contract, new: Contract) -> list[ContractChange]:
    """Return every change from an old contract to a new one, operation by operation, breaking ones first."""
    found: list[ContractChange] = []
    for name, operation in old.operations.items():
        if name not in new.operations:
            found.append(ContractChange("breaking", name, "", f"{operation.method} {operation.path} removed"))
    for name, operation in new.operations.items():
        if name not in old.operations:
            found.append(ContractChange("additive", name, "", f"{operation.method} {operation.path} added"))
        else:
            changes = dict.fromkeys(_compare_operations(old.operations[name], operation))
            found += sorted(changes, key=lambda change: LEVELS.index(change.level))
    return found


def _compare_operations(old: Operation, new: Operation) -> Iterator[ContractChange]:
    def change(level: Level, place: str, message: str) -> ContractChange:
        return ContractChange(level, new.id, place, message)

    if (old.method, old.path) != (new.method, new.path):
        yield change("breaking", "", f"{new.method} {new.path}, was {old.method} {old.path}")
    if gone := set(old.security) - set(new.security):
        yield change(
            "breaking", "", f"no longer takes {_join_words(' and '.join(each) or 'no credential' for each in gone)}"
        )
    if more := set(new.security) - set(old.security):
        yield change(
            "additive", "", f"also takes {_join_words(' and '.join(each) or 'no credential' for each in more)}"
        )
    if words := [name for name in _WORDS if old.raw.get(name) != new.raw.get(name)]:
        yield change("cosmetic", "", f"another {_join_words(words)}")
    yield from _compare_parameters(old, new)
    yield from _compare_request_bodies(old, new)
    yield from _compare_responses(old, new)


def _compare_parameters(old: Operation, new: Operation) -> Iterator[ContractChange]:
    before, after = _list_parameters(old), _list_parameters(new)
    for name in before.keys() - after.keys():
        yield ContractChange("breaking", new.id, f"parameter {name}", "removed")
    for name in after.keys() - before.keys():
        required = after[name].get("required", False)
        level: Level = "breaking" if required else "additive"
        yield ContractChange(level, new.id, f"parameter {name}", "added, required" if required else "added")
    for name in before.keys() & after.keys():
        was, now = before[name], after[name]
        if was.get("required", False) != now.get("required", False):
            required = now.get("required", False)
            message = "required now" if required else "optional now"
            yield ContractChange("breaking" if required else "additive", new.id, f"parameter {name}", message)
        if any(was.get(word) != now.get(word) for word in ("description", "example", "examples", "x-evidence")):
            yield ContractChange("cosmetic", new.id, f"parameter {name}", "other words")
        yield from _compare_schemas(old, new, was["schema"], now["schema"], f"parameter {name}", _IN_REQUESTS)


def _list_parameters(operation: Operation) -> dict[str, Json]:
    nodes = [operation.resolve(node) for node in operation.parameter_nodes]
    return {f"{node['name']} in {node['in']}": node for node in nodes}


def _compare_request_bodies(old: Operation, new: Operation) -> Iterator[ContractChange]:
    if old.body_required != new.body_required:
        message = "required now" if new.body_required else "optional now"
        yield ContractChange("breaking" if new.body_required else "additive", new.id, "request", message)
    before, after = old.request_body.get("content", {}), new.request_body.get("content", {})
    yield from _compare_media(old, new, before, after, "request", _IN_REQUESTS)


def _compare_responses(old: Operation, new: Operation) -> Iterator[ContractChange]:
    for status in old.responses.keys() - new.responses.keys():
        level: Level = "breaking" if status.startswith("2") else "additive"
        yield ContractChange(level, new.id, status, "removed")
    for status in new.responses.keys() - old.responses.keys():
        yield ContractChange("additive", new.id, status, "added")
    for status in sorted(old.responses.keys() & new.responses.keys()):
        was, now = old.responses[status], new.responses[status]
        if was.get("description") != now.get("description"):
            yield ContractChange("cosmetic", new.id, status, "another description")
        yield from _compare_headers(old, new, status)
        yield from _compare_media(old, new, was.get("content", {}), now.get("content", {}), status, _IN_RESPONSES)


def _compare_headers(old: Operation, new: Operation, status: str) -> Iterator[ContractChange]:
    before, after = (
        {name: operation.resolve(node) for name, node in operation.responses[status].get("headers", {}).items()}
        for operation in (old, new)
    )
    for name in before.keys() - after.keys():
        yield ContractChange("breaking", new.id, f"{status} header {name}", "removed")
    for name in after.keys() - before.keys():
        yield ContractChange("additive", new.id, f"{status} header {name}", "added")
    for name in before.keys() & after.keys():
        was, now = before[name], after[name]
        if was.get("required", False) != now.get("required", False):
            level: Level = "additive" if now.get("required") else "breaking"
            message = "always sent now" if now.get("required") else "not always sent now"
            yield ContractChange(level, new.id, f"{status} header {name}", message)
        place = f"{status} header {name}"
        yield from _compare_schemas(old, new, was.get("schema", {}), now.get("schema", {}), place, _IN_RESPONSES)


def _compare_media(
    old: Operation, new: Operation, before: Json, after: Json, place: str, levels: Mapping[Effect, Level]
) -> Iterator[ContractChange]:
    for media in before.keys() - after.keys():
        yield ContractChange("breaking", new.id, f"{place} {media}", "removed")
    for media in after.keys() - before.keys():
        yield ContractChange("additive", new.id, f"{place} {media}", "added")
    for media in before.keys() & after.keys():
        was, now = before[media], after[media]
        if was.get("x-stream", {}).get("order") != now.get("x-stream", {}).get("order"):
            yield ContractChange("breaking", new.id, f"{place} {media}", "another order of events")
        if any(was.get(word) != now.get(word) for word in ("example", "examples")):
            yield ContractChange("cosmetic", new.id, f"{place} {media}", "other examples")
        yield from _compare_schemas(old, new, was.get("schema", {}), now.get("schema", {}), f"{place} {media}", levels)


def _compare_schemas(
    old: Operation, new: Operation, before: Json, after: Json, place: str, levels: Mapping[Effect, Level]
) -> Iterator[ContractChange]:
    for found in SchemaComparison(old.resolve, new.resolve).compare(before, after):
        where = f"{place} {found.pointer}" if found.pointer else place
        yield ContractChange(levels[found.effect], new.id, where, found.message)


def _join_words(words: Iterable[str]) -> str:
    return ", ".join(sorted(words))
