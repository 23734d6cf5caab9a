"""Gemini's dialect of JSON Schema is converted, and JSON Schema is left as it is."""

from __future__ import annotations

from typing import Any

import pytest

from aione_mock.protocols.gemini_schema import convert_gemini_schema
from tests.test_structured import SCHEMAS


def test_google_schemas() -> None:
    google = {
        "type": "OBJECT",
        "properties": {
            "b": {"type": "STRING", "nullable": True, "format": "enum", "enum": ["x"]},
            "a": {"type": "ARRAY", "items": {"type": "INTEGER"}, "min_items": "2"},
        },
        "propertyOrdering": ["a", "b"],
    }
    normal = convert_gemini_schema(google)
    assert list(normal["properties"]) == ["a", "b"]
    assert normal["properties"]["a"] == {"type": "array", "items": {"type": "integer"}, "minItems": 2}
    assert normal["type"] == "object"


@pytest.mark.parametrize("schema", SCHEMAS)
def test_json_schema_is_its_own_normal_form(schema: Any) -> None:
    assert convert_gemini_schema(schema) == schema
