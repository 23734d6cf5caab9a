"""Overlay actions that make the contract say what was seen.

Source: OpenAPI Overlay Specification 1.0.0.
"""

from __future__ import annotations

from collections.abc import Iterable

import yaml

from aione_mock.checker.schema_lookup import Path, component_at, schema_at
from aione_mock.contract import Operation
from aione_mock.types import Json

Action = tuple[str, Json]
SWITCH = "x-laws"
"""Extension of an operation: law name → `off` for what an implementation deliberately does otherwise."""


def operation_path(operation: Operation) -> str:
    """The JSONPath of an operation."""
    return f"$.paths['{operation.path}'].{operation.method.lower()}"


def adopt_status(operation: Operation, status: int) -> tuple[Action, ...]:
    """Declare a status."""
    return ((operation_path(operation), {"responses": {str(status): {"description": "As the gateway answers it."}}}),)


def adopt_field(
    operation: Operation, status: str, media_type: str, path: Path, seen: Json, kind: str = "", name: str = ""
) -> tuple[Action, ...]:
    """Describe a member as what it was seen to be, beside what it was before, so that examples stay good.

    `kind` is the keyword that did not hold, `name` the member that it is about.
    """
    if kind in ("Required", "AdditionalProperties"):
        found = component_at(operation, status, media_type, path)
        if found is None or found[1]:
            return ()
        target = f"$.components.schemas['{found[0]}']"
        return ((f"{target}.required[?@ == '{name}']", None),) if kind == "Required" else ((target, {_ANY: True}),)
    if not path or not isinstance(path[-1], str):
        return ()
    found = component_at(operation, status, media_type, path[:-1])
    before = schema_at(operation, status, media_type, path, opened=False)
    if found is None or before is None:
        return ()
    holder = f"$.components.schemas['{found[0]}']" + "".join(
        f".properties['{step}']" if isinstance(step, str) else ".items" for step in found[1]
    )
    widened = {"anyOf": [before, {"type": json_type(seen)}], "x-evidence": "documented"}
    return (
        (f"{holder}.properties['{path[-1]}']", None),
        (holder, {"properties": {path[-1]: widened}}),
    )


_ANY = "additionalProperties"


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
