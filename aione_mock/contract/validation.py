"""Validate requests against their operation and report every violation with its place.

Messages and type names follow Pydantic's, which FastAPI sends.
Source: Pydantic documentation, "Validation Errors"; FastAPI documentation, "Handling Errors".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

import jsonschema_rs
import orjson

from aione_mock.contract import Operation, Parameter
from aione_mock.errors import APIError
from aione_mock.structs import frozen
from aione_mock.types import Json

Place = tuple[str | int, ...]
SchemaValidator = jsonschema_rs.Draft202012Validator
SchemaErrors = Iterable[jsonschema_rs.ValidationError]
_INTEGER = re.compile(r"[+-]?\d{1,18}")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_JSON_TYPES = ("application/json", "+json")
LARGE_BODY = 1 << 20
"""Bytes from which on the parts of a body are counted."""
_MAX_CONTAINERS, _MAX_VALUES = 500_000, 2_000_000
"""Most lists and objects, and most values, of a body: more take seconds to read and gigabytes to hold."""


@frozen
class Violation:
    """One thing wrong with a request."""

    place: Place
    """`body`, `query`, `path` or `header`, then the way to the value."""
    message: str
    kind: str
    """Pydantic's name of the error type, such as `missing`."""

    @property
    def param(self) -> str:
        """The place as OpenAI writes it: `messages[0].content`."""
        if self.kind == "json_invalid":
            return str(self.place[0])
        text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.place[1:])
        return text.removeprefix(".") or str(self.place[0])

    @property
    def sentence(self) -> str:
        """One sentence that names the parameter."""
        if self.kind == "missing":
            return f"Missing required parameter: '{self.param}'."
        if self.kind == "json_invalid":
            return f"The body is not valid JSON: {self.message.partition(': ')[2]} at byte {self.place[-1]}."
        if self.place == ("body",):
            return f"{self.message}."
        return f"Invalid value for '{self.param}': {self.message[0].lower()}{self.message[1:]}."

    def to_detail(self) -> dict[str, Json]:
        """Return the member of FastAPI's `detail`."""
        return {"loc": list(self.place), "msg": self.message, "type": self.kind}


def parse_parameters(
    operation: Operation, path: Mapping[str, str], query: str, header: Callable[[str], str | None]
) -> tuple[dict[str, Json], list[Violation]]:
    """Convert the operation's parameters to their types. Invalid ones are left out and reported."""
    values: dict[str, Json] = {}
    violations: list[Violation] = []
    fields = dict(parse_qsl(query, keep_blank_values=True)) if query else {}
    sources: dict[str, Callable[[str], str | None]] = {
        "path": path.get,
        "query": fields.get,
        "header": lambda name: header(name.lower()),
    }
    for parameter in operation.parameters:
        text, place = sources[parameter.location](parameter.name), (parameter.location, parameter.name)
        if text is not None:
            value = _convert_text(parameter, text)
            errors = [*_read_errors(parameter.validator.iter_errors(value), place)]
            violations += errors
            if not errors:
                values[parameter.name] = value
        elif parameter.required:
            violations.append(Violation(place, "Field required", "missing"))
        elif parameter.default is not None:
            values[parameter.name] = parameter.default
    return values, violations


def _convert_text(parameter: Parameter, text: str) -> Json:
    """Convert text to the first type that fits, or leave it as it is."""
    if "integer" in parameter.types and _INTEGER.fullmatch(text):
        return int(text)
    if "number" in parameter.types and _NUMBER.fullmatch(text):
        return float(text)
    if "boolean" in parameter.types and text.lower() in _BOOLEANS:
        return _BOOLEANS[text.lower()]
    if "array" in parameter.types:
        return text.split(",") if text else []
    return text


def find_excess(raw: bytes) -> list[Violation]:
    """Return what a body has too much of. Brackets and commas inside strings count too, since nothing is parsed yet."""
    if raw.count(b"[") + raw.count(b"{") > _MAX_CONTAINERS:
        return [Violation(("body",), f"The body has more than {_MAX_CONTAINERS} lists and objects", "too_long")]
    if raw.count(b",") > _MAX_VALUES:
        return [Violation(("body",), f"The body has more than {_MAX_VALUES} values", "too_long")]
    return []


def parse_body(operation: Operation, media_type: str | None, raw: bytes) -> tuple[Json, list[Violation]]:
    """Parse the JSON body and validate it."""
    if operation.body_validator is None:
        return None, []
    if not raw:
        return None, [Violation(("body",), "Field required", "missing")] if operation.body_required else []
    essence = (media_type or _JSON_TYPES[0]).partition(";")[0].strip().lower()
    if not essence.endswith(_JSON_TYPES):
        message = f"Send content-type: application/json, not {essence[:80]}"
        return None, [Violation(("body",), message, "model_attributes_type")]
    try:
        data = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        return None, [Violation(("body", error.pos), f"JSON decode error: {error.msg}", "json_invalid")]
    return data, find_violations(operation.body_validator, data)


def find_violations(validator: jsonschema_rs.Draft202012Validator, data: Json) -> list[Violation]:
    """Find everything in a body that violates a schema."""
    try:
        if validator.is_valid(data):
            return []
        return list(_read_errors(validator.iter_errors(data), ("body",)))
    except ValueError:
        # the parser accepts deeper nesting than the validator
        return [Violation(("body",), "The body is nested too deeply", "recursion_loop")]


def raise_violations(violations: Iterable[Violation]) -> None:
    """Raise APIError `invalid_request` if there are violations: with all of them, and the first one in words."""
    if found := tuple(violations):
        first = found[0]
        raise APIError(
            "invalid_request",
            first.sentence,
            fields={"param": first.param},
            findings=tuple(violation.to_detail() for violation in found),
        )


def _read_errors(errors: SchemaErrors, place: Place) -> Iterator[Violation]:
    for error in errors:
        kind: Any = error.kind
        here = (*place, *error.instance_path)
        if kind.name in ("oneOf", "anyOf") and getattr(kind, "context", None):
            yield from _read_branches(kind.context, place)
        elif kind.name == "required":
            yield Violation((*here, kind.property), "Field required", "missing")
        else:
            yield Violation(here, *_describe_error(error))


def _read_branches(branches: list[list[jsonschema_rs.ValidationError]], place: Place) -> Iterator[Violation]:
    """Report the nearest branch, or all constants of a discriminator that has none of them."""
    if unknown := describe_unknown_branch(branches):
        yield Violation((*place, *unknown[0]), unknown[1], "literal_error")
    else:
        yield from _read_errors(choose_branch(branches), place)


def describe_unknown_branch(branches: list[list[jsonschema_rs.ValidationError]]) -> tuple[Place, str] | None:
    """Return the place of a discriminator that has the constant of no branch, and all constants in words.

    None if it has one, or if there is no discriminator.
    """
    branches = [branch for branch in branches if branch]
    depth = _find_depth(branches)
    if not branches or _list_meant(branches, depth):
        return None
    errors = [next(error for error in branch if _is_discriminator(error, depth)) for branch in branches]
    if len({tuple(error.instance_path) for error in errors}) > 1:
        return None
    options = dict.fromkeys(option for error in errors for option in _list_options(error.kind))
    return tuple(errors[0].instance_path), f"Input should be {_join_options(list(options))}"


def choose_branch(branches: list[list[jsonschema_rs.ValidationError]]) -> list[jsonschema_rs.ValidationError]:
    """Return the errors of the branch that was meant: that of the discriminator, else the one that fails deepest.

    A discriminator is a member with a constant for each branch, such as `role` or `type`.
    """
    branches = [branch for branch in branches if branch]
    depth = _find_depth(branches)
    meant = _list_meant(branches, depth) or branches
    return min(meant, key=lambda branch: _measure_distance(branch, depth), default=[])


def _find_depth(branches: list[list[jsonschema_rs.ValidationError]]) -> int:
    return min((len(error.instance_path) for branch in branches for error in branch), default=0)


def _list_meant(
    branches: list[list[jsonschema_rs.ValidationError]], depth: int
) -> list[list[jsonschema_rs.ValidationError]]:
    return [branch for branch in branches if not any(_is_discriminator(error, depth) for error in branch)]


def _is_discriminator(error: jsonschema_rs.ValidationError, depth: int) -> bool:
    return error.kind.name in ("const", "enum") and len(error.instance_path) == depth + 1


def _list_options(kind: Any) -> list[str]:
    return [repr(kind.expected_value)] if kind.name == "const" else [repr(o) for o in kind.options if o is not None]


def _measure_distance(branch: list[jsonschema_rs.ValidationError], depth: int) -> tuple[bool, int, int]:
    wrong_type = any(error.kind.name == "type" and len(error.instance_path) == depth for error in branch)
    return wrong_type, -max(len(error.instance_path) for error in branch), len(branch)


_TYPES = {
    "string": ("a valid string", "string_type"),
    "integer": ("a valid integer", "int_type"),
    "number": ("a valid number", "float_type"),
    "boolean": ("a valid boolean", "bool_type"),
    "array": ("a valid list", "list_type"),
    "object": ("a valid object", "dict_type"),
    "null": ("null", "none_required"),
}
_PARSED_TYPES = ("integer", "number", "boolean")
"""Types for which text is tried."""
_FORMATS = {
    "ipv4": ("an IP address or a network in CIDR notation", "ip_any_network"),
    "uuid": ("a valid UUID", "uuid_parsing"),
    "date": ("a valid date in the form YYYY-MM-DD", "date_from_datetime_parsing"),
    "date-time": ("a valid date-time in the form YYYY-MM-DDThh:mm:ssZ", "datetime_parsing"),
}


def _describe_type(kind: Any, value: Json) -> tuple[str, str]:
    types = [kind.types] if isinstance(kind.types, str) else list(kind.types)
    wanted = next((name for name in types if name != "null"), "null")
    words, error_type = _TYPES[wanted]
    if isinstance(value, str) and wanted in _PARSED_TYPES:
        error_type = error_type.replace("_type", "_parsing")
    return f"Input should be {words}", error_type


def _describe_format(kind: Any, _: Json) -> tuple[str, str]:
    words, error_type = _FORMATS.get(kind.format, (f"a valid {kind.format}", "value_error"))
    return f"Input should be {words}", error_type


def _describe_options(kind: Any, _: Json) -> tuple[str, str]:
    return f"Input should be {_join_options(_list_options(kind))}", "literal_error"


def _describe_unknown(kind: Any, _: Json) -> tuple[str, str]:
    return f"Extra inputs are not permitted: {', '.join(kind.unexpected)[:200]}", "extra_forbidden"


def _describe_size(subject: str, bound: str, noun: str, error_type: str) -> Callable[[Any, Json], tuple[str, str]]:
    def describe(kind: Any, _: Json) -> tuple[str, str]:
        return f"{subject} should have {bound} {kind.limit} {noun}{'' if kind.limit == 1 else 's'}", error_type

    return describe


def _describe_limit(relation: str, error_type: str) -> Callable[[Any, Json], tuple[str, str]]:
    return lambda kind, _: (f"Input should be {relation} {kind.limit}", error_type)


_DESCRIPTIONS: dict[str, Callable[[Any, Json], tuple[str, str]]] = {
    "type": _describe_type,
    "format": _describe_format,
    "enum": _describe_options,
    "const": _describe_options,
    "pattern": lambda kind, _: (f"String should match pattern '{kind.pattern}'", "string_pattern_mismatch"),
    "minLength": _describe_size("String", "at least", "character", "string_too_short"),
    "maxLength": _describe_size("String", "at most", "character", "string_too_long"),
    "minItems": _describe_size("List", "at least", "item", "too_short"),
    "maxItems": _describe_size("List", "at most", "item", "too_long"),
    "minimum": _describe_limit("greater than or equal to", "greater_than_equal"),
    "exclusiveMinimum": _describe_limit("greater than", "greater_than"),
    "maximum": _describe_limit("less than or equal to", "less_than_equal"),
    "exclusiveMaximum": _describe_limit("less than", "less_than"),
    "additionalProperties": _describe_unknown,
    "unevaluatedProperties": _describe_unknown,
}
"""Keyword of the schema to a function of the error's kind and value that returns message and type."""


def _describe_error(error: jsonschema_rs.ValidationError) -> tuple[str, str]:
    describe = _DESCRIPTIONS.get(error.kind.name)
    if describe is None:
        return f"Value error, {error.message[:300]}", "value_error"
    return describe(error.kind, error.instance)


def _join_options(options: list[str]) -> str:
    return f"{', '.join(options[:-1])} or {options[-1]}" if len(options) > 1 else "".join(options)
