"""Suggest overlay actions that change the contract to what was seen.

Source: OpenAPI Overlay Specification 1.0.0.
"""

from __future__ import annotations

from collections.abc import Iterable

import yaml

from aione_mock.checker.finding import OverlayAction
from aione_mock.checker.schema_lookup import SchemaLocation, find_component, find_schema
from aione_mock.contract import Operation
from aione_mock.types import Json

_SWITCH = "x-laws"
"""Extension of an operation: law → `off` where an implementation differs on purpose."""
_OFF = ("off", "False")
"""YAML reads a bare `off` as false."""


def declare_status(operation: Operation, status: int) -> tuple[OverlayAction, ...]:
    """Return actions that declare a status."""
    response = {"description": "As the gateway answers it."}
    return ((_operation_path(operation), {"responses": {str(status): response}}),)


def widen_member(location: SchemaLocation, seen: Json, keyword: str = "", name: str = "") -> tuple[OverlayAction, ...]:
    """Return actions that allow a member to be what was seen, besides what the contract allows.

    `keyword` is the keyword that failed, `name` the member that it is about.
    """
    if keyword in ("Required", "AdditionalProperties"):
        return _relax_object(location, keyword, name)
    if not location.path or not isinstance(location.path[-1], str):
        return ()
    *parent, last = location.path
    component = find_component(location.at(parent))
    allowed = find_schema(location)
    if component is None or allowed is None:
        return ()
    steps = (f".properties['{step}']" if isinstance(step, str) else ".items" for step in component.rest)
    holder = f"$.components.schemas['{component.name}']" + "".join(steps)
    widened = {"anyOf": [allowed, {"type": json_type(seen)}], "x-evidence": "documented"}
    return ((f"{holder}.properties['{last}']", None), (holder, {"properties": {last: widened}}))


def _relax_object(location: SchemaLocation, keyword: str, name: str) -> tuple[OverlayAction, ...]:
    component = find_component(location)
    if component is None or component.rest:
        return ()
    target = f"$.components.schemas['{component.name}']"
    if keyword == "Required":
        return ((f"{target}.required[?@ == '{name}']", None),)
    return ((target, {"additionalProperties": True}),)


def switch_off(operation: Operation, law: str) -> tuple[OverlayAction, ...]:
    """Return actions that switch a law off for an operation."""
    return ((_operation_path(operation), {_SWITCH: {law: "off"}}),)


def is_switched_off(operation: Operation, law: str) -> bool:
    """Whether the contract switches a law off for an operation."""
    laws = operation.raw.get(_SWITCH, {})
    return isinstance(laws, dict) and str(laws.get(law)) in _OFF


def _operation_path(operation: Operation) -> str:
    return f"$.paths['{operation.path}'].{operation.method.lower()}"


def render_overlay(actions: Iterable[OverlayAction], title: str) -> str:
    """Return an overlay as YAML."""
    listed = [
        {"target": target, "remove": True} if update is None else {"target": target, "update": update}
        for target, update in actions
    ]
    document = {"overlay": "1.0.0", "info": {"title": title, "version": "1.0.0"}, "actions": listed}
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)


def json_type(value: Json) -> str:
    """Return the JSON Schema type of a value."""
    if isinstance(value, bool):
        return "boolean"
    types = ((str, "string"), (int, "integer"), (float, "number"), (list, "array"), (dict, "object"))
    return next((name for kind, name in types if isinstance(value, kind)), "null")
