"""Explain what is wrong with rules: the errors of their schema in words, with an example from the schema."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jsonschema_rs
import orjson

from aione_mock.contract.json_pointer import format_pointer
from aione_mock.errors import did_you_mean
from aione_mock.scenarios.options import TYPE_NAMES, describe_bounds
from aione_mock.structs import frozen
from aione_mock.types import Json

DocumentPath = tuple[str | int, ...]
_Kind = jsonschema_rs.ValidationErrorKind
_MAX_QUOTED_CHARS = 60
_EMPTY = (_Kind.MinLength, _Kind.MinItems, _Kind.MinProperties)
_EXPLAINED = (_Kind.Type, _Kind.Pattern, _Kind.Minimum, _Kind.Maximum, *_EMPTY)
"""Kinds of errors for which it is enough to say what is expected."""


@frozen
class RuleMistake:
    """A mistake in a scenario document. The path may end in a member's name."""

    path: DocumentPath
    message: str

    @property
    def pointer(self) -> str:
        """The path as a JSON pointer."""
        return format_pointer(self.path)


def explain_errors(
    errors: Iterable[jsonschema_rs.ValidationError], schema: Mapping[str, Json], top: str
) -> list[RuleMistake]:
    """Return a validator's errors in words. `top` is how the whole document is called.

    A member that is missing is not reported where a misspelt one stands in its place.
    """
    found = list(errors)
    misspelt = {
        (tuple(error.instance_path), word)
        for error in found
        for word in _list_intended(error, _find_node(error, schema))
    }
    kept = [
        error for error in found if (tuple(error.instance_path), getattr(error.kind, "property", None)) not in misspelt
    ]
    return [mistake for error in kept for mistake in _explain_error(error, schema, top)]


def list_known(names: Iterable[str]) -> str:
    """Return `; known: a, b`."""
    return f"; known: {', '.join(names) or 'none'}"


def _explain_error(error: jsonschema_rs.ValidationError, schema: Mapping[str, Json], top: str) -> Iterator[RuleMistake]:
    path, kind, node = tuple(error.instance_path), error.kind, _find_node(error, schema)
    if isinstance(kind, _Kind.AdditionalProperties):
        for word in kind.unexpected:
            known = list(node.get("properties", ()))
            yield RuleMistake((*path, word), f"unknown member '{word}'{did_you_mean(word, known) or list_known(known)}")
    elif isinstance(kind, _Kind.Enum):
        options = [str(option) for option in kind.options]
        remedy = did_you_mean(str(error.instance), options) or list_known(options)
        yield RuleMistake(path, f"unknown value {_quote(error.instance)}{remedy}")
    elif isinstance(kind, _Kind.Required):
        example = f", as in {_write_examples(node)}" if "examples" in node else ""
        yield RuleMistake(path, f"'{kind.property}' is missing; add it{example}")
    else:
        message = _describe_expected(kind, node) if isinstance(kind, _EXPLAINED) else None
        is_value = f"{_name_place(path, top)} is {_quote(error.instance)}"
        yield RuleMistake(path, f"{is_value}, but should be {message}" if message else f"{is_value}: {error.message}")


def _list_intended(error: jsonschema_rs.ValidationError, node: Mapping[str, Json]) -> Iterator[str]:
    """Yield the members that unknown ones may be meant for."""
    if isinstance(error.kind, _Kind.AdditionalProperties):
        for word in error.kind.unexpected:
            near = did_you_mean(word, node.get("properties", ()))
            yield from (name for name in node.get("required", ()) if f"'{name}'" in near)


def _find_node(error: jsonschema_rs.ValidationError, schema: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return the schema that a value violates."""
    node: Any = schema
    for part in list(error.schema_path)[:-1]:
        node = node[part]
    found: Mapping[str, Json] = node
    return found


def _name_place(path: DocumentPath, top: str) -> str:
    """Return `'faults[0]'` for the path of an item, and `top` for the document."""
    names = [position for position, step in enumerate(path) if isinstance(step, str)]
    if not names:
        return top
    return f"'{path[names[-1]]}{''.join(f'[{step}]' for step in path[names[-1] + 1 :])}'"


def _describe_expected(kind: object, node: Mapping[str, Json]) -> str:
    """Return what is expected: `an integer of at least 1`, `a mapping, such as {"text": "Hello"}`."""
    types = node["type"] if isinstance(node["type"], list) else [node["type"]]
    words = " or ".join(TYPE_NAMES[each] + _describe_number(each, node) for each in types)
    empty = " that is not empty" if isinstance(kind, _EMPTY) else ""
    return words + empty + (f", such as {_write_examples(node)}" if "examples" in node else "")


def _describe_number(type_name: str, node: Mapping[str, Json]) -> str:
    return describe_bounds(node.get("minimum"), node.get("maximum")) if type_name in ("integer", "number") else ""


def _write_examples(node: Mapping[str, Json]) -> str:
    """Return the examples of a schema in the form that YAML, JSON and Python have in common."""
    return " or ".join(each if isinstance(each, str) else json.dumps(each) for each in node["examples"])


def _quote(value: Json) -> str:
    text = repr(value) if isinstance(value, str) else orjson.dumps(value).decode()
    return text if len(text) <= _MAX_QUOTED_CHARS else f"{text[:_MAX_QUOTED_CHARS]}…"
