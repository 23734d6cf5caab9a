"""Suggest overlay actions that change the contract to what was seen.

Source: OpenAPI Overlay Specification 1.0.0.
"""

from __future__ import annotations

from collections.abc import Iterable

import yaml

from aione_mock.checker.exchange import HttpExchange
from aione_mock.checker.finding import OverlayAction
from aione_mock.checker.law_entries import EXTENSION
from aione_mock.contract import Operation
from aione_mock.contract.json_pointer import parse_pointer
from aione_mock.types import Json

_TITLE = "As the gateway does it"


def declare_status(operation: Operation, exchange: HttpExchange) -> tuple[OverlayAction, ...]:
    """Return actions that declare the status of an answer: with the bodies of the success, or with the one it has."""
    status = exchange.status
    declared = operation.responses.get(str(operation.success), {}) if 200 <= status < 300 else {}
    media = {name: {"schema": content["schema"]} for name, content in declared.get("content", {}).items()}
    content = media or ({exchange.media_type: {}} if exchange.body and exchange.media_type else {})
    response = {"description": "As the gateway answers it.", **({"content": content} if content else {})}
    return ((_operation_path(operation), {"responses": {str(status): response}}),)


def declare_content_type(operation: Operation, exchange: HttpExchange) -> tuple[OverlayAction, ...]:
    """Return actions that allow the content type of an answer."""
    if not exchange.media_type:
        return ()
    return ((_response_path(operation, exchange.status), {"content": {exchange.media_type: {}}}),)


def relax_header(operation: Operation, status: int, name: str, keyword: str) -> tuple[OverlayAction, ...]:
    """Return actions that make a header optional (`required`) or allow any value (`schema`)."""
    node = operation.responses[str(status)]["headers"][name]
    target = _component_path(node) or f"{_response_path(operation, status)}.headers['{name}']"
    return ((target, {"required": False}),) if keyword == "required" else ((f"{target}.schema", None),)


def switch_off(operation: Operation, law: str) -> tuple[OverlayAction, ...]:
    """Return actions that switch a law off for an operation."""
    return ((_operation_path(operation), {EXTENSION: {law: "off"}}),)


def _operation_path(operation: Operation) -> str:
    return f"$.paths['{operation.path}'].{operation.method.lower()}"


def _response_path(operation: Operation, status: int) -> str:
    """Return the JSONPath of a declared response, or of the component that it refers to."""
    component = _component_path(operation.raw["responses"].get(str(status), {}))
    return component or f"{_operation_path(operation)}.responses['{status}']"


def _component_path(node: Json) -> str:
    return "$" + "".join(f"['{token}']" for token in parse_pointer(node["$ref"])) if "$ref" in node else ""


def render_overlay(actions: Iterable[OverlayAction]) -> str:
    """Return an overlay as YAML. Equal actions are listed once."""
    listed: list[Json] = []
    for target, update in actions:
        action = {"target": target, "remove": True} if update is None else {"target": target, "update": update}
        if action not in listed:
            listed.append(action)
    document = {"overlay": "1.0.0", "info": {"title": _TITLE, "version": "1.0.0"}, "actions": listed}
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)
