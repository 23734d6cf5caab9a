"""What Google takes in more than one spelling, brought to the one that the contract has.

Members may be in snake_case, a list of one object may be the object itself, null is as good as absent, and a system
instruction may be a plain text. The request's schema is the guide: names that it does not know are the caller's own
(in `args`, `response`, JSON Schemas) and stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from aione_mock.contract import Operation
from aione_mock.types import Json

_SNAKE = re.compile(r"_([a-z0-9])")
_SYSTEM = "systemInstruction"
_NESTED = (dict, list)


def google(data: Json, operation: Operation) -> Json:
    """A request's JSON in the contract's spelling."""
    media = operation.request_body.get("content", {}).get("application/json", {})
    return _respelt(data, media.get("schema", {}), operation.resolve)


def _respelt(data: Json, schema: Json, resolve: Callable[[Json], Json]) -> Json:
    schema = resolve(schema)
    if not isinstance(schema, dict):
        return data
    if isinstance(data, dict) and schema.get("type") == "array":
        data = [data]
    if isinstance(data, list):
        items = schema.get("items")
        return [_respelt(item, items, resolve) for item in data] if items else data
    return _members(data, schema, resolve) if isinstance(data, dict) else data


def _members(data: dict[str, Json], schema: Json, resolve: Callable[[Json], Json]) -> Json:
    known = schema.get("properties", {})
    other = schema.get("additionalProperties")
    if not known and not isinstance(other, dict):
        return data
    found: dict[str, Json] = {}
    for key, value in data.items():
        name = key if key in known else camel(key)
        if name not in known:
            found[key] = _respelt(value, other, resolve) if isinstance(other, dict) else value
        elif name == _SYSTEM and isinstance(value, str):
            found[name] = {"parts": [{"text": value}]}
        elif isinstance(value, _NESTED):
            found[name] = _respelt(value, known[name], resolve)
        elif value is not None:
            found[name] = value
    return found


def camel(name: str) -> str:
    """`snake_case` as `camelCase`."""
    return _SNAKE.sub(lambda match: match[1].upper(), name)
