"""Normalize Gemini requests, which Google accepts in more than one form.

Members may be in snake_case, a list of one object may be the object itself, null counts as absent, and a system
instruction may be plain text. The schema of the request decides: names that it does not declare belong to the caller
(in `args`, `response` and JSON Schemas) and stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from aione_mock.contract import Operation
from aione_mock.types import Json

_SNAKE = re.compile(r"_([a-z0-9])")
_SYSTEM = "systemInstruction"


def normalize_request(data: Json, operation: Operation) -> Json:
    """Return a request's JSON in the form that the contract declares."""
    media = operation.request_body.get("content", {}).get("application/json", {})
    return _normalize(data, media.get("schema", {}), operation.resolve)


def _normalize(data: Json, schema: Json, resolve: Callable[[Json], Json]) -> Json:
    schema = resolve(schema)
    if not isinstance(schema, dict):
        return data
    if isinstance(data, dict) and schema.get("type") == "array":
        data = [data]
    if isinstance(data, list):
        items = schema.get("items")
        return [_normalize(item, items, resolve) for item in data] if items else data
    return _normalize_members(data, schema, resolve) if isinstance(data, dict) else data


def _normalize_members(data: dict[str, Json], schema: Json, resolve: Callable[[Json], Json]) -> Json:
    declared = schema.get("properties", {})
    other = schema.get("additionalProperties")
    if not declared and not isinstance(other, dict):
        return data
    normalized: dict[str, Json] = {}
    for key, value in data.items():
        name = key if key in declared else to_camel_case(key)
        if name not in declared:
            normalized[key] = _normalize(value, other, resolve) if isinstance(other, dict) else value
        elif name == _SYSTEM and isinstance(value, str):
            normalized[name] = {"parts": [{"text": value}]}
        elif isinstance(value, dict | list):
            normalized[name] = _normalize(value, declared[name], resolve)
        elif value is not None:
            normalized[name] = value
    return normalized


def to_camel_case(name: str) -> str:
    """Convert `snake_case` to `camelCase`."""
    return _SNAKE.sub(lambda match: match[1].upper(), name)
