"""The JSON Schemas of the files that people write, for editors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from aione_mock.cli.contract import load_bundled_contract
from aione_mock.settings import DOCUMENTS
from aione_mock.types import Json

SchemaName = Literal["configuration", "scenarios", "cassette", "overlay"]
_ACTION: Json = {
    "type": "object",
    "required": ["target"],
    "properties": {
        "target": {"type": "string", "description": "A JSONPath: what the action changes, such as $.info."},
        "description": {"type": "string"},
        "update": {"description": "What is merged into each target."},
        "remove": {"type": "boolean", "description": "Whether each target is removed."},
    },
    "patternProperties": {"^x-": True},
    "additionalProperties": False,
}
_OVERLAY: Json = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "OpenAPI Overlay 1.0",
    "type": "object",
    "required": ["overlay", "actions"],
    "properties": {
        "overlay": {"type": "string", "pattern": "^1[.]", "description": "Version of the format: 1.0.0."},
        "info": {
            "type": "object",
            "required": ["title", "version"],
            "properties": {"title": {"type": "string"}, "version": {"type": "string"}},
        },
        "extends": {"type": "string", "description": f"The document to change: {', '.join(DOCUMENTS)}."},
        "actions": {"type": "array", "description": "Applied in this order.", "items": _ACTION},
    },
    "patternProperties": {"^x-": True},
    "additionalProperties": False,
}


def make_schema(name: SchemaName) -> Json:
    """Return the schema of a kind of file."""
    return _MAKERS[name]()


def _make_configuration_schema() -> Json:
    from aione_mock.tenant import configuration_schema

    return configuration_schema.make_schema(_make_scenario_schema())


def _make_scenario_schema() -> Json:
    from aione_mock.scenarios.rule_compiler import make_rule_schema

    return make_rule_schema(load_bundled_contract(None).documents["control.yaml"])


def _make_cassette_schema() -> Json:
    from aione_mock.recorder.cassette_schema import make_cassette_schema

    return make_cassette_schema()


_MAKERS: Mapping[SchemaName, Callable[[], Json]] = {
    "configuration": _make_configuration_schema,
    "scenarios": _make_scenario_schema,
    "cassette": _make_cassette_schema,
    "overlay": lambda: _OVERLAY,
}
