"""Check the shape of OpenAPI documents, as far as this package reads them.

Source: OpenAPI Specification 3.1.0, whose own JSON Schema allows more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jsonschema_rs

from aione_mock.contract.json_pointer import format_pointer
from aione_mock.contract.openapi import METHODS
from aione_mock.types import Json

EVIDENCE = ("documented", "deduced", "assumed")
LOCATIONS = ("path", "query", "header")
_STATUS = "^([1-5][0-9][0-9]|default)$"
_TEXT = {"type": "string", "minLength": 1}
_SCHEMA = {"type": ["object", "boolean"]}
_SECURITY = {"type": "array", "items": {"type": "object"}}


def _allow_reference(schema: Json) -> Json:
    """Return a schema of objects that may be references."""
    return {
        "type": "object",
        "if": {"required": ["$ref"]},
        "then": {"properties": {"$ref": _TEXT}},
        "else": schema,
    }


def _make_map_schema(name: str) -> Json:
    return {"type": "object", "additionalProperties": {"$ref": f"#/$defs/{name}"}}


_DOCUMENT: Json = {
    "type": "object",
    "required": ["paths"],
    "properties": {
        "info": {"type": "object"},
        "paths": {
            "type": "object",
            "propertyNames": {"pattern": "^/"},
            "additionalProperties": {"$ref": "#/$defs/item"},
        },
        "components": {
            "type": "object",
            "properties": {
                "responses": _make_map_schema("response"),
                "parameters": _make_map_schema("parameter"),
                "headers": _make_map_schema("header"),
                "requestBodies": _make_map_schema("body"),
                "securitySchemes": {
                    "type": "object",
                    "additionalProperties": {"type": "object", "required": ["type"], "properties": {"type": _TEXT}},
                },
            },
            "additionalProperties": {"type": "object"},
        },
        "security": _SECURITY,
        "x-laws": {"type": "object"},
    },
    "$defs": {
        "item": {
            "type": "object",
            "properties": {
                "parameters": {"type": "array", "items": {"$ref": "#/$defs/parameter"}},
                **{method: {"$ref": "#/$defs/operation"} for method in METHODS},
            },
        },
        "operation": {
            "type": "object",
            "required": ["operationId", "responses"],
            "properties": {
                "operationId": _TEXT,
                "tags": {"type": "array", "items": _TEXT},
                "parameters": {"type": "array", "items": {"$ref": "#/$defs/parameter"}},
                "requestBody": {"$ref": "#/$defs/body"},
                "responses": {"type": "object", "propertyNames": {"pattern": _STATUS}, **_make_map_schema("response")},
                "security": _SECURITY,
                "x-dialect": _TEXT,
                "x-evidence": {"enum": [*EVIDENCE]},
                "x-paid": {"type": "boolean"},
                "x-prompt": {"type": "string"},
                "x-ram-action": _TEXT,
                "x-laws": {"type": "object"},
            },
        },
        "parameter": _allow_reference(
            {
                "required": ["name", "in", "schema"],
                "properties": {
                    "name": _TEXT,
                    "in": {"enum": [*LOCATIONS]},
                    "required": {"type": "boolean"},
                    "schema": {"type": "object"},
                },
            }
        ),
        "body": _allow_reference(
            {
                "required": ["content"],
                "properties": {
                    "required": {"type": "boolean"},
                    "content": {
                        "type": "object",
                        "additionalProperties": {"$ref": "#/$defs/media", "required": ["schema"]},
                    },
                },
            }
        ),
        "response": _allow_reference(
            {
                "properties": {
                    "headers": _make_map_schema("header"),
                    "content": _make_map_schema("media"),
                    "x-dialect": _TEXT,
                }
            }
        ),
        "header": _allow_reference({"properties": {"required": {"type": "boolean"}, "schema": {"type": "object"}}}),
        "media": {
            "type": "object",
            "properties": {
                "schema": _SCHEMA,
                "examples": {
                    "type": "object",
                    "additionalProperties": {"type": "object", "required": ["value"]},
                },
                "x-stream": {"type": "object"},
            },
        },
    },
}
_VALIDATOR = jsonschema_rs.Draft202012Validator(_DOCUMENT)
_WORDS = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "boolean": "true or false",
}


def find_structure_problems(documents: Mapping[str, Json]) -> Iterator[str]:
    """Yield a line for each place where a document has another shape than the package can read."""
    for name, document in documents.items():
        for error in _VALIDATOR.iter_errors(document):
            yield f"{name}#{format_pointer(error.instance_path)}: {_describe_error(error)}"


def _describe_error(error: jsonschema_rs.ValidationError) -> str:
    describe = _DESCRIPTIONS.get(error.kind.name)
    return describe(error.kind, error.instance) if describe else error.message[:200]


def _describe_type(kind: Any, _: Json) -> str:
    types = [kind.types] if isinstance(kind.types, str) else kind.types
    return f"must be {' or '.join(sorted(_WORDS[name] for name in types))}"


def _describe_name(kind: Any, names: Json) -> str:
    error = kind.error
    if error.kind.pattern == _STATUS:
        return f"'{error.instance}' is no status; write one such as '200', or default"
    return f"'{error.instance}' is no path; begin it with /"


_DESCRIPTIONS: dict[str, Callable[[Any, Json], str]] = {
    "required": lambda kind, _: f"{kind.property} is missing; add it",
    "type": _describe_type,
    "enum": lambda kind, _: f"must be one of {', '.join(kind.options)}",
    "minLength": lambda kind, _: "must not be empty",
    "propertyNames": _describe_name,
}
"""Keyword to a function of the error's kind and value that says what is wrong and how to fix it."""
