"""Convert Gemini's dialect of JSON Schema.

Source: Gemini API reference, "Schema".
"""

from __future__ import annotations

from collections.abc import Mapping

from aione_mock.contract.json_schema import SCHEMA_KEYWORDS, SCHEMA_LIST_KEYWORDS, SCHEMA_MAP_KEYWORDS
from aione_mock.types import Json

_MAX_DEPTH = 64
_SNAKE_CASE = {
    "additional_properties": "additionalProperties",
    "all_of": "allOf",
    "any_of": "anyOf",
    "defs": "$defs",
    "max_items": "maxItems",
    "max_length": "maxLength",
    "max_properties": "maxProperties",
    "min_items": "minItems",
    "min_length": "minLength",
    "min_properties": "minProperties",
    "one_of": "oneOf",
    "prefix_items": "prefixItems",
    "property_ordering": "propertyOrdering",
    "ref": "$ref",
    "unique_items": "uniqueItems",
}
_MAX_DIGITS = 19
"""Digits of the longest count; a longer one stays a text, and so is refused."""
_COUNTS = frozenset(["minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"])


def convert_gemini_schema(schema: Json, depth: int = 0) -> Json:
    """Return JSON Schema for a schema with upper-case types, counts as text, snake case and `propertyOrdering`.

    What is JSON Schema already comes back equal.
    """
    if not isinstance(schema, Mapping) or depth > _MAX_DEPTH:
        return schema
    converted: dict[str, Json] = {}
    for name, value in schema.items():
        keyword = _SNAKE_CASE.get(str(name), str(name))
        converted[keyword] = _convert_value(keyword, value, depth + 1)
    if converted.get("type") == "type_unspecified":
        del converted["type"]
    if converted.get("format") == "enum":
        del converted["format"]
    order, properties = converted.get("propertyOrdering"), converted.get("properties")
    if isinstance(order, list) and isinstance(properties, dict):
        converted["properties"] = {**{name: properties[name] for name in order if name in properties}, **properties}
    return converted


def _convert_value(keyword: str, value: Json, depth: int) -> Json:
    if keyword == "type":
        if isinstance(value, list):
            return [kind.lower() if isinstance(kind, str) else kind for kind in value]
        return value.lower() if isinstance(value, str) else value
    if keyword in SCHEMA_KEYWORDS:
        return convert_gemini_schema(value, depth)
    if keyword in SCHEMA_LIST_KEYWORDS and isinstance(value, list):
        return [convert_gemini_schema(child, depth) for child in value]
    if keyword in SCHEMA_MAP_KEYWORDS and isinstance(value, Mapping):
        return {name: convert_gemini_schema(child, depth) for name, child in value.items()}
    if keyword in _COUNTS and isinstance(value, str) and value.isdecimal() and len(value) <= _MAX_DIGITS:
        return int(value)
    return value
