"""The pages on the contract and on the control API, from the OpenAPI documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from aione_mock.cli.contract import load_bundled_contract
from aione_mock.contract import Operation
from aione_mock.settings import EXTENSIONS
from aione_mock.types import Json
from reference.markdown import flatten_headings, format_code, format_json, format_table, join_parts, quote
from reference.schemas import describe_type, format_members

PAGES: Mapping[str, tuple[str, str]] = {
    "contract-aione.md": ("aione.yaml", "Contract: AIone"),
    "contract-modelrouter.md": ("modelrouter.yaml", "Contract: ModelRouter"),
    "control-api.md": ("control.yaml", "Control API"),
}
"""File of a page → the document that it shows, and its title."""
_EXTENSION_TITLE = "Contract: embeddings and Responses API"
_EXTENSION_HEAD = "`serve --with embeddings,responses` adds these operations."
_HEAD = """\
The running mock shows the same at `/docs`, with a form to try each operation.
`aione-mock spec bundle --document {name}` writes the document as one file."""


def write_page(name: str) -> str:
    """Return the page of a document."""
    document, title = PAGES[name]
    contract = load_bundled_contract(None)
    operations = [each for each in contract.operations.values() if each.document == document]
    info = contract.documents[document]["info"]
    head = _HEAD.format(name=document.removesuffix(".yaml"))
    return join_parts(f"# {title}", info["summary"], head, flatten_headings(info["description"]), *_write(operations))


def write_extension_page() -> str:
    """Return the page of the operations that extensions add."""
    plain, extended = load_bundled_contract(None), load_bundled_contract(None, list(EXTENSIONS))
    added = [each for name, each in extended.operations.items() if name not in plain.operations]
    return join_parts(f"# {_EXTENSION_TITLE}", _EXTENSION_HEAD, *_write(added))


def _write(operations: list[Operation]) -> Iterator[str]:
    head = ("operation", "request", "evidence", "what it does")
    rows = [
        (f"[`{o.id}`](#{o.id.lower()})", f"`{o.method} {o.path}`", o.evidence, _read_summary(o)) for o in operations
    ]
    yield format_table(head, rows)
    for operation in operations:
        yield from _write_operation(operation)


def _read_summary(operation: Operation) -> str:
    return str(operation.raw.get("summary", ""))


def _write_operation(operation: Operation) -> Iterator[str]:
    yield f"## {operation.id}"
    yield format_code(f"{operation.method} {operation.path}", "http")
    yield f"{_read_summary(operation)}. Evidence: `{operation.evidence}`.".replace("..", ".")
    yield flatten_headings(operation.raw.get("description", ""))
    yield _list_parameters(operation)
    yield _describe_body(operation)
    yield format_table(("status", "answer", "errors"), _list_responses(operation))


def _list_parameters(operation: Operation) -> str:
    nodes = [operation.resolve(node) for node in operation.raw.get("parameters", ())]
    rows = [
        (
            f"`{node['name']}`{' (required)' if node.get('required') else ''}",
            node["in"],
            describe_type(operation.resolve(node.get("schema", {}))),
            node.get("description", ""),
        )
        for node in nodes
    ]
    return format_table(("parameter", "in", "type", "meaning"), rows)


def _describe_body(operation: Operation) -> str:
    body: Any = operation.resolve(operation.raw.get("requestBody", {}))
    content = body.get("content", {})
    if not content:
        return ""
    media: Json = next(iter(content.values()))
    members = format_members(_resolve_members(operation, media.get("schema", {})))
    example: Json = next(iter(media.get("examples", {}).values()), {})
    value = operation.resolve(example).get("value") if isinstance(example, dict) else None
    return join_parts("**Body**", members, "" if value is None else format_json(value)).rstrip("\n")


def _resolve_members(operation: Operation, schema: Json) -> Json:
    """Return a schema with the descriptions of its members that are references."""
    resolved = operation.resolve(schema)
    members = resolved.get("properties", {})
    texts = {name: operation.resolve(node).get("description", "") for name, node in members.items()}
    found = {name: {"description": texts[name], **node} for name, node in members.items() if isinstance(node, dict)}
    return {**resolved, "properties": found}


def _list_responses(operation: Operation) -> Iterator[tuple[str, str, str]]:
    for status, node in operation.raw.get("responses", {}).items():
        names = dict.fromkeys(error.name for error in operation.errors.values() if str(error.status) == str(status))
        text = operation.resolve(node).get("description", "")
        yield f"`{status}` {_name_status(status)}", text, quote(names)


def _name_status(status: str) -> str:
    return HTTPStatus(int(status)).phrase if str(status).isdigit() else ""
