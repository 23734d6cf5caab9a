"""Describe JSON Schemas in words, for tables."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from types import MappingProxyType

from aione_mock.cli.schemas import SchemaName, make_schema
from aione_mock.types import Json
from reference.markdown import format_table, join_parts

_BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
}
_MAX_CHOICES = 12


@cache
def find_schema(name: SchemaName) -> Json:
    """Return the JSON Schema of a kind of file."""
    return make_schema(name)


def describe_type(schema: Json) -> str:
    """Return the type of a value in words, such as `integer, at least 1`."""
    if not isinstance(schema, dict):
        return "anything"
    if "$ref" in schema:
        return f"`{schema['$ref'].rsplit('/', 1)[-1]}`"
    if "const" in schema:
        return f"`{_show(schema['const'])}`"
    if "enum" in schema:
        shown = [f"`{_show(value)}`" for value in schema["enum"][:_MAX_CHOICES]]
        return ", ".join([*shown, *(["…"] if len(schema["enum"]) > _MAX_CHOICES else [])])
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " or ".join(dict.fromkeys(describe_type(each) for each in schema[key]))
    if "allOf" in schema:
        return " and ".join(dict.fromkeys(describe_type(each) for each in schema["allOf"]))
    return ", ".join([_name_type(schema), *_list_bounds(schema)])


def write_definition(name: str, schema: Json, level: str = "###", definitions: Json = MappingProxyType({})) -> str:
    """Return a heading and a table of the members of an object."""
    return join_parts(f"{level} {name}", schema.get("description", ""), format_members(schema, definitions)).rstrip(
        "\n"
    )


def format_members(schema: Json, definitions: Json = MappingProxyType({})) -> str:
    """Return the table of an object's members. One without a meaning of its own has that of its definition."""
    required: Collection[str] = schema.get("required", ())
    rows = [
        (f"`{name}`{' (required)' if name in required else ''}", describe_type(member), _describe(member, definitions))
        for name, member in schema.get("properties", {}).items()
    ]
    return format_table(("member", "type", "meaning"), rows)


def _describe(member: Json, definitions: Json) -> str:
    if not isinstance(member, dict):
        return ""
    definition = definitions.get(member.get("$ref", "").rsplit("/", 1)[-1], {})
    default = member.get("default")
    tail = "" if default in (None, [], {}, "") else f" Default: `{_show(default)}`."
    return f"{member.get('description') or definition.get('description', '').strip()}{tail}"


def _name_type(schema: Json) -> str:
    kind = schema.get("type", "object" if "properties" in schema else "anything")
    if isinstance(kind, list):
        return " or ".join(kind)
    if kind == "array":
        return f"list of {describe_type(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {describe_type(schema['additionalProperties'])}"
    return f"{kind} ({schema['format']})" if "format" in schema else str(kind)


def _list_bounds(schema: Json) -> list[str]:
    return [words.format(schema[key]) for key, words in _BOUNDS.items() if key in schema]


def _show(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)
