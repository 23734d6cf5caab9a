"""Look up operations of the contract, as the mock serves it: with overlays and its own models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import orjson

from aione_mock.contract.openapi import list_operations, locate_node
from aione_mock.errors import ScenarioError, did_you_mean
from aione_mock.server.mcp.control_api import ControlAPI
from aione_mock.settings import DOCUMENTS
from aione_mock.types import Json

_EXAMPLES = ("example", "examples")
NAMES = tuple(name.removesuffix(".yaml") for name in DOCUMENTS)
"""The documents, as their URLs name them."""


async def list_served_operations(api: ControlAPI) -> Json:
    """Return id, method, path and summary of every operation."""
    documents = await _read_documents(api)
    items = [
        {"id": raw.get("operationId"), "method": method.upper(), "path": path, "summary": raw.get("summary", "")}
        for _, path, method, raw in _list_operations(documents)
    ]
    return {"items": items, "total": len(items)}


async def describe_operation(api: ControlAPI, name: str, *, examples: bool) -> Json:
    """Return an operation with every component that it refers to. Raises ScenarioError if there is none."""
    documents = await _read_documents(api)
    for document, path, method, raw in _list_operations(documents):
        if raw.get("operationId") == name:
            shared = documents[document]["paths"][path].get("parameters", [])
            node = {**raw, "parameters": [*shared, *raw.get("parameters", [])]}
            node, components = _strip([node, _collect_components(documents[document], node)], examples)
            return {"id": name, "method": method.upper(), "path": path, "operation": node, "components": components}
    names = [raw.get("operationId", "") for *_, raw in _list_operations(documents)]
    raise ScenarioError(
        f"there is no operation '{name}'{did_you_mean(name, names) or '; leave it out to list them all'}"
    )


async def _read_documents(api: ControlAPI) -> Mapping[str, Json]:
    return {name: orjson.loads(await api.read_document(f"/openapi/{name}.json")) for name in NAMES}


def _list_operations(documents: Mapping[str, Json]) -> Iterator[tuple[str, str, str, Json]]:
    for document, path, method, item in list_operations(documents):
        yield document, path, method, item[method]


def _collect_components(document: Json, node: Json) -> dict[str, Json]:
    """Return everything that a node refers to, directly or not, by its reference."""
    found: dict[str, Json] = {}
    waiting = [node]
    while waiting:
        for reference in _list_references(waiting.pop()):
            if reference not in found:
                found[reference] = locate_node(document, reference)
                waiting.append(found[reference])
    return found


def _list_references(node: Json) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _list_references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _list_references(value)


def _strip(node: Json, examples: bool) -> Json:
    """Return a node without its examples, unless they are wanted."""
    if examples or not isinstance(node, dict | list):
        return node
    if isinstance(node, list):
        return [_strip(value, examples) for value in node]
    # a property may be called `example`, but then its value is a schema among others
    return {name: _strip(value, examples) for name, value in node.items() if name not in _EXAMPLES}
