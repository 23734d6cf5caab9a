"""Where in the contract a member of an answer is described, and how it is known."""

from __future__ import annotations

from collections.abc import Iterator

from aione_mock.contract import Operation
from aione_mock.types import Json

Path = tuple[str | int, ...]


def schema_at(operation: Operation, status: str, media_type: str, path: Path, *, opened: bool = True) -> Json:
    """The schema of the member at `path` of an answer; None where the contract has none.

    A reference is followed unless `opened` is False.
    """
    found = [item for item in _trace(operation, status, media_type, path) if item[2] == len(path)]
    if not found:
        return None
    pointer, schema, _ = found[-1]
    return {"$ref": pointer} if pointer and not opened else schema


def component_at(operation: Operation, status: str, media_type: str, path: Path) -> tuple[str, Path] | None:
    """The named schema nearest above a member, and the way from there to it."""
    name, rest = "", Path()
    for pointer, _, steps in _trace(operation, status, media_type, path):
        if pointer:
            name, rest = pointer.rpartition("/")[2], path[steps:]
    return (name, rest) if name else None


def evidence_at(operation: Operation, status: str, media_type: str, path: Path) -> str:
    """How a member is known: the nearest `x-evidence` above it, at last the operation's."""
    evidence = operation.evidence
    response = operation.responses.get(status, {})
    evidence = response.get("x-evidence", evidence)
    for _, schema in _walk(operation, status, media_type, path):
        evidence = schema.get("x-evidence", evidence)
    return str(evidence)


def _walk(operation: Operation, status: str, media_type: str, path: Path) -> list[tuple[int, Json]]:
    """(steps taken, schema) of all schemas from the answer to the member, the outermost first."""
    return [(steps, schema) for _, schema, steps in _trace(operation, status, media_type, path)]


def _trace(operation: Operation, status: str, media_type: str, path: Path) -> Iterator[tuple[str, Json, int]]:
    content = operation.responses.get(status, {}).get("content", {})
    node = content.get(media_type, {}).get("schema")
    if node is None:
        return
    yield from _opened(operation, node, 0)
    nodes = [node]
    for steps, token in enumerate(path, start=1):
        nodes = [child for node in nodes for child in _children(operation, node, token)]
        if not nodes:
            return
        for node in nodes:
            yield from _opened(operation, node, steps)


def _opened(operation: Operation, node: Json, steps: int) -> Iterator[tuple[str, Json, int]]:
    pointer = node.get("$ref", "") if isinstance(node, dict) else ""
    schema = operation.resolve(node)
    if isinstance(schema, dict):
        yield pointer, schema, steps


def _children(operation: Operation, node: Json, token: str | int, depth: int = 0) -> Iterator[Json]:
    schema = operation.resolve(node)
    if not isinstance(schema, dict) or depth > 8:
        return
    if isinstance(token, int) and isinstance(schema.get("items"), dict):
        yield schema["items"]
    elif token in schema.get("properties", {}):
        yield schema["properties"][token]
    for keyword in ("allOf", "anyOf", "oneOf"):
        for branch in schema.get(keyword, ()):
            yield from _children(operation, branch, token, depth + 1)
