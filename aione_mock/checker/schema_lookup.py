"""Find how the contract knows a member of an answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from aione_mock.contract import Operation
from aione_mock.types import Json

JsonPath = tuple[str | int, ...]
_MAX_BRANCH_DEPTH = 8
"""Nested `allOf`, `anyOf` and `oneOf` that are searched."""
EVIDENCE_ORDER = ("assumed", "deduced", "documented")
"""From the weakest to the strongest."""


@dataclass(frozen=True, slots=True)
class SchemaLocation:
    """A place in the answers of an operation."""

    operation: Operation
    status: int
    media_type: str
    path: JsonPath
    """Member names and list indexes from the body."""


def choose_weakest_evidence(*words: str | None) -> str:
    """Return the weakest of some kinds of evidence; None is none."""
    return min((word for word in words if word), key=EVIDENCE_ORDER.index, default="documented")


def read_evidence(node: Json, keyword: Json = None) -> str:
    """Return the evidence that a node of the contract gives for itself, or for one of its keywords; else nothing.

    `x-evidence` is a word, or a mapping of keywords to words.
    """
    evidence = node.get("x-evidence", "") if isinstance(node, dict) else ""
    return str(evidence.get(keyword, "")) if isinstance(evidence, dict) else str(evidence)


def find_parameter_evidence(operation: Operation, node: Json) -> str:
    """Return how a parameter and its values are known."""
    return choose_weakest_evidence(
        operation.evidence, read_evidence(node), read_evidence(operation.resolve(node["schema"]))
    )


def find_response(operation: Operation, status: int) -> Json:
    """Return the declared response with a status, that of the success for another 2xx, or nothing."""
    found = operation.responses.get(str(status))
    if found is None and 200 <= status < 300:
        found = operation.responses.get(str(operation.success))
    return found or {}


def find_body_schema(operation: Operation, status: int, media_type: str) -> Json:
    """Return the schema of an answer, or of one event of a stream; None if there is none."""
    return find_response(operation, status).get("content", {}).get(media_type, {}).get("schema")


def find_status_evidence(operation: Operation, status: int) -> str:
    """Return the evidence that an operation answers with a status. What no page names is assumed."""
    response = find_response(operation, status)
    if 200 <= status < 300:
        return choose_weakest_evidence(operation.evidence, read_evidence(response))
    return read_evidence(response) or (operation.evidence if response else "assumed")


def find_body_evidence(operation: Operation, status: int) -> str:
    """Return the evidence of a body as a whole. Schemas with a mark of their own differ from it."""
    if 200 <= status < 300:
        return operation.evidence
    return find_status_evidence(operation, status)


def limit_evidence(operation: Operation, status: int, evidence: str) -> str:
    """Return the evidence of a detail of an answer: what an assumed operation answers is assumed."""
    return choose_weakest_evidence(evidence, operation.evidence if 200 <= status < 300 else None)


def find_evidence(location: SchemaLocation) -> str:
    """Return the nearest `x-evidence` above a member, or else that of the body."""
    evidence = find_body_evidence(location.operation, location.status)
    for node in _walk_schemas(location):
        evidence = read_evidence(node) or read_evidence(node, "enum") or evidence
    return limit_evidence(location.operation, location.status, evidence)


def _walk_schemas(location: SchemaLocation) -> Iterator[Json]:
    """Yield all schemas from the body to a member, the outermost first."""
    root = find_body_schema(location.operation, location.status, location.media_type)
    nodes = [] if root is None else [root]
    for step in (None, *location.path):
        if step is not None:
            nodes = [child for node in nodes for child in find_children(location.operation, node, step)]
        for node in nodes:
            yield from list_layers(location.operation, node)


def list_layers(operation: Operation, node: Json) -> list[dict[str, Json]]:
    """Return the schema that a node refers to, then what the node itself has beside its `$ref`."""
    target = operation.resolve(node)
    layers = [target] if target is node else [target, node]
    return [layer for layer in layers if isinstance(layer, dict)]


def find_children(operation: Operation, node: Json, step: str | int, depth: int = 0) -> Iterator[Json]:
    """Yield the schemas of a member, or of the items of a list for any index."""
    for schema in list_layers(operation, node) if depth <= _MAX_BRANCH_DEPTH else ():
        if isinstance(step, int) and isinstance(schema.get("items"), dict):
            yield schema["items"]
        elif step in schema.get("properties", {}):
            yield schema["properties"][step]
        for keyword in ("allOf", "anyOf", "oneOf"):
            for branch in schema.get(keyword, ()):
                yield from find_children(operation, branch, step, depth + 1)
