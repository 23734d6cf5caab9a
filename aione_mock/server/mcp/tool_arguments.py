"""The arguments of a tool that calls an operation: their JSON Schema, and the request that they make.

Parameters and members of the body stand side by side, as agents fill in flat objects best. Schemas go one level deep:
the control API validates what it gets, and says what is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import orjson

from aione_mock.contract import Operation
from aione_mock.errors import ScenarioError, did_you_mean
from aione_mock.server.mcp.control_api import ControlRequest
from aione_mock.types import Json

SESSION = "session"
SESSION_SCHEMA = {
    "type": "string",
    "description": "Session of the mock, a world of its own; clients name it in the header X-Mock-Session.",
    "default": "default",
}
_SESSION_HEADER = "X-Mock-Session"
_KEPT = ("type", "description", "enum", "default", "minimum", "maximum", "pattern", "minLength", "minItems", "examples")
"""Keywords of a schema that are shown."""


def describe_arguments(operation: Operation) -> dict[str, Json]:
    """Return the JSON Schema of the arguments for an operation."""
    properties: dict[str, Json] = {}
    required: list[str] = []
    for name, node in _list_parameters(operation):
        properties[name] = SESSION_SCHEMA if name == SESSION else _describe_parameter(operation, node)
        required += [name] if node.get("required") else []
    body = find_body_schema(operation)
    properties |= {name: describe_value(operation, node) for name, node in body.get("properties", {}).items()}
    return make_object_schema(properties, [*required, *body.get("required", ())])


def make_object_schema(properties: Mapping[str, Json], required: list[str]) -> dict[str, Json]:
    """Return the schema of an object without other members."""
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def describe_value(operation: Operation, schema: Json) -> dict[str, Json]:
    """Return the first level of a schema of the operation's document."""
    schema = operation.resolve(schema)
    shown = {name: schema[name] for name in _KEPT if name in schema}
    if "items" in schema:
        shown["items"] = describe_value(operation, schema["items"])
    if "properties" in schema:
        members = ", ".join(schema["properties"])
        shown["description"] = f"{shown.get('description', '').strip()} Members: {members}.".strip()
    return shown


def find_body_schema(operation: Operation) -> Mapping[str, Json]:
    """Return the schema of the operation's JSON body; empty if it takes none."""
    media = operation.request_body.get("content", {}).get("application/json")
    schema: Mapping[str, Json] = operation.resolve(media["schema"]) if media else {}
    return schema


def build_request(operation: Operation, arguments: Mapping[str, Json]) -> ControlRequest:
    """Return the request that arguments make. Raises ScenarioError for unknown and missing ones."""
    check_arguments(arguments, describe_arguments(operation))
    places = {name: node["in"] for name, node in _list_parameters(operation)}
    body = {name: value for name, value in arguments.items() if name not in places}
    given = {name: _format_value(value) for name, value in arguments.items() if name in places}
    return ControlRequest(
        path={name: value for name, value in given.items() if places[name] == "path"},
        query={name: value for name, value in given.items() if places[name] == "query"},
        body=body if operation.body_required else None,
        session=given.get(SESSION, "default"),
    )


def check_arguments(arguments: Mapping[str, Json], schema: Mapping[str, Json]) -> None:
    """Raise ScenarioError for an argument that does not exist or cannot be sent, and for one that is missing."""
    known = schema["properties"]
    for name in arguments:
        if name not in known:
            raise ScenarioError(f"there is no argument '{name}'{did_you_mean(name, known) or _list_names(known)}")
    for name in schema["required"]:
        if name not in arguments:
            raise ScenarioError(f"the argument '{name}' is missing")
    try:
        orjson.dumps(arguments)
    except orjson.JSONEncodeError as error:  # deep nesting, integers beyond 64 bits, lone surrogates
        raise ScenarioError(f"the arguments are no JSON that can be sent: {error}") from None


def _list_names(names: Mapping[str, Json]) -> str:
    return f"; there are {', '.join(names)}" if names else "; there are none"


def _list_parameters(operation: Operation) -> Iterator[tuple[str, Json]]:
    """Yield argument and parameter; other headers than that of the session are left out."""
    for node in map(operation.resolve, operation.parameter_nodes):
        if node["name"] == _SESSION_HEADER:
            yield SESSION, node
        elif node["in"] != "header":
            yield node["name"], node


def _describe_parameter(operation: Operation, node: Json) -> Json:
    return {**describe_value(operation, node["schema"]), "description": node.get("description", "")}


def _format_value(value: Json) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
