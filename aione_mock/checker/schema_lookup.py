"""Find where the contract describes a member of an answer, and with which evidence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from aione_mock.contract import Operation
from aione_mock.structs import replace
from aione_mock.types import Json

JsonPath = tuple[str | int, ...]
_MAX_BRANCH_DEPTH = 8
"""Nested `allOf`, `anyOf` and `oneOf` that are searched."""


@dataclass(frozen=True, slots=True)
class SchemaLocation:
    """A place in the answers of an operation."""

    operation: Operation
    status: str
    media_type: str
    path: JsonPath
    """Member names and list indexes from the body."""

    def at(self, path: Iterable[str | int]) -> SchemaLocation:
        """Return another place in the same answers."""
        return replace(self, path=tuple(path))


@dataclass(frozen=True, slots=True)
class ComponentReference:
    """A named schema, and the path from it to a member."""

    name: str
    rest: JsonPath


@dataclass(frozen=True, slots=True)
class _VisitedSchema:
    pointer: str
    """The `$ref` that led to it, or empty."""
    schema: dict[str, Json]
    depth: int
    """Steps of the path from the body to it."""


def find_schema(location: SchemaLocation) -> Json:
    """Return the schema of a member, as a reference if the contract has one; None if there is no schema."""
    found = [visited for visited in _walk_schemas(location) if visited.depth == len(location.path)]
    if not found:
        return None
    return {"$ref": found[-1].pointer} if found[-1].pointer else found[-1].schema


def find_component(location: SchemaLocation) -> ComponentReference | None:
    """Return the nearest named schema that contains a member."""
    named = [visited for visited in _walk_schemas(location) if visited.pointer]
    if not named:
        return None
    return ComponentReference(named[-1].pointer.rpartition("/")[2], location.path[named[-1].depth :])


def find_evidence(location: SchemaLocation) -> str:
    """Return the nearest `x-evidence` above a member, or else the operation's."""
    response = location.operation.responses.get(location.status, {})
    evidence = response.get("x-evidence", location.operation.evidence)
    for visited in _walk_schemas(location):
        evidence = visited.schema.get("x-evidence", evidence)
    return str(evidence)


def _walk_schemas(location: SchemaLocation) -> Iterator[_VisitedSchema]:
    """Yield all schemas from the body to a member, the outermost first."""
    operation = location.operation
    content = operation.responses.get(location.status, {}).get("content", {})
    node = content.get(location.media_type, {}).get("schema")
    if node is None:
        return
    yield from _visit_node(operation, node, 0)
    nodes = [node]
    for depth, step in enumerate(location.path, start=1):
        nodes = [child for node in nodes for child in _find_children(operation, node, step)]
        for node in nodes:
            yield from _visit_node(operation, node, depth)


def _visit_node(operation: Operation, node: Json, depth: int) -> Iterator[_VisitedSchema]:
    pointer = node.get("$ref", "") if isinstance(node, dict) else ""
    schema = operation.resolve(node)
    if isinstance(schema, dict):
        yield _VisitedSchema(pointer, schema, depth)


def _find_children(operation: Operation, node: Json, step: str | int, depth: int = 0) -> Iterator[Json]:
    schema = operation.resolve(node)
    if not isinstance(schema, dict) or depth > _MAX_BRANCH_DEPTH:
        return
    if isinstance(step, int) and isinstance(schema.get("items"), dict):
        yield schema["items"]
    elif step in schema.get("properties", {}):
        yield schema["properties"][step]
    for keyword in ("allOf", "anyOf", "oneOf"):
        for branch in schema.get(keyword, ()):
            yield from _find_children(operation, branch, step, depth + 1)
