"""Suggest overlay actions that change the contract to what was seen.

Source: OpenAPI Overlay Specification 1.0.0.
"""

from __future__ import annotations

from aione_mock.checker.exchange import HttpExchange
from aione_mock.checker.law_entries import EXTENSION
from aione_mock.checker.overlay_actions import OverlayAction, format_jsonpath
from aione_mock.contract import Operation
from aione_mock.contract.json_pointer import parse_pointer
from aione_mock.types import Json


def declare_status(operation: Operation, exchange: HttpExchange) -> tuple[OverlayAction, ...]:
    """Return actions that declare the status of an answer: with the bodies of the success, or with the one it has."""
    status = exchange.status
    declared = operation.responses.get(str(operation.success), {}) if 200 <= status < 300 else {}
    media = {name: {"schema": content["schema"]} for name, content in declared.get("content", {}).items()}
    content = media or ({exchange.media_type: {}} if exchange.body and exchange.media_type else {})
    response = {"description": "As the gateway answers it.", **({"content": content} if content else {})}
    return ((_format_operation_path(operation), {"responses": {str(status): response}}),)


def declare_content_type(operation: Operation, exchange: HttpExchange) -> tuple[OverlayAction, ...]:
    """Return actions that allow the content type of an answer."""
    if not exchange.media_type:
        return ()
    return ((_format_response_path(operation, exchange.status), {"content": {exchange.media_type: {}}}),)


def relax_header(operation: Operation, status: int, name: str, keyword: str) -> tuple[OverlayAction, ...]:
    """Return actions that make a header optional (`required`) or allow any value (`schema`)."""
    node = operation.responses[str(status)]["headers"][name]
    target = _format_component_path(node) or f"{_format_response_path(operation, status)}.headers['{name}']"
    return ((target, {"required": False}),) if keyword == "required" else ((f"{target}.schema", None),)


def accept_any_body(operation: Operation, exchange: HttpExchange) -> tuple[OverlayAction, ...]:
    """Return actions that remove the schema of an answer."""
    return ((f"{_format_response_path(operation, exchange.status)}.content['{exchange.media_type}'].schema", None),)


def change_example(
    operation: Operation, example: Json, path: tuple[str, ...], value: Json
) -> tuple[OverlayAction, ...]:
    """Return actions that give a member of an example another value; None removes it."""
    place = operation.find_place(example)
    if place is None:
        return ()
    holder = (*place, *path[:-1])
    if value is None:
        return ((format_jsonpath((*holder, path[-1])), None),)
    return ((format_jsonpath(holder), {path[-1]: value}),)


def remove_operation(operation: Operation) -> tuple[OverlayAction, ...]:
    """Return actions that take an operation out of the contract."""
    return ((_format_operation_path(operation), None),)


def switch_off(operation: Operation, law: str) -> tuple[OverlayAction, ...]:
    """Return actions that switch a law off for an operation."""
    return ((_format_operation_path(operation), {EXTENSION: {law: "off"}}),)


def _format_operation_path(operation: Operation) -> str:
    return f"$.paths['{operation.path}'].{operation.method.lower()}"


def _format_response_path(operation: Operation, status: int) -> str:
    """Return the JSONPath of a declared response, or of the component that it refers to."""
    component = _format_component_path(operation.raw["responses"].get(str(status), {}))
    return component or f"{_format_operation_path(operation)}.responses['{status}']"


def _format_component_path(node: Json) -> str:
    return format_jsonpath(parse_pointer(node["$ref"])) if "$ref" in node else ""
