"""Overlay actions that make the contract say what was seen.

Source: OpenAPI Overlay Specification 1.0.0.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

from aione_mock.checker.shape import Path, component_at
from aione_mock.contract import Operation

Json = Any
Action = tuple[str, Json]
SWITCH = "x-laws"
"""Extension of an operation: law name → `off` for what an implementation deliberately does otherwise."""


def operation_path(operation: Operation) -> str:
    """The JSONPath of an operation."""
    return f"$.paths['{operation.path}'].{operation.method.lower()}"


def adopt_status(operation: Operation, status: int) -> tuple[Action, ...]:
    """Declare a status."""
    return ((operation_path(operation), {"responses": {str(status): {"description": "As the gateway answers it."}}}),)


def adopt_field(operation: Operation, status: str, media_type: str, path: Path, seen: Json) -> tuple[Action, ...]:
    """Describe a member as what it was seen to be."""
    found = component_at(operation, status, media_type, path)
    if found is None:
        return ()
    name, rest = found
    steps = "".join(f".properties['{step}']" if isinstance(step, str) else ".items" for step in rest)
    target = f"$.components.schemas['{name}']{steps}"
    adopted: Json = {"type": json_type(seen), "x-evidence": "documented"}
    if isinstance(seen, dict):
        adopted = {"additionalProperties": True}
    elif steps:
        # a reference or a pattern beside the new type would still hold
        parent, _, member = steps.rpartition(".properties[")
        if member:
            update = {"properties": {member.strip("'[]"): adopted}}
            return ((target, None), (f"$.components.schemas['{name}']{parent}", update))
    return ((target, adopted),)


def switch_off(operation: Operation, law: str) -> tuple[Action, ...]:
    """Say that a law does not hold for an operation."""
    return ((operation_path(operation), {SWITCH: {law: "off"}}),)


def switched_off(operation: Operation, law: str) -> bool:
    """Whether the contract says that a law does not hold for an operation."""
    laws = operation.raw.get(SWITCH, {})
    return isinstance(laws, dict) and str(laws.get(law)) in ("off", "False")


def overlay(actions: Iterable[Action], title: str) -> str:
    """An overlay as YAML text."""
    listed = [
        {"target": target, "remove": True} if update is None else {"target": target, "update": update}
        for target, update in actions
    ]
    document = {"overlay": "1.0.0", "info": {"title": title, "version": "1.0.0"}, "actions": listed}
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)


def json_type(value: Json) -> str:
    """The JSON Schema type of a value."""
    if isinstance(value, bool):
        return "boolean"
    for kind, name in ((str, "string"), (int, "integer"), (float, "number"), (list, "array"), (dict, "object")):
        if isinstance(value, kind):
            return name
    return "null"
