"""What is wrong with a request, measured against its operation: all findings, with their places.

The wording and the type names of findings follow Pydantic's, which FastAPI sends.
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
_INTEGER = re.compile(r"[+-]?\d{1,18}")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")
_BOOLEAN = {"true": True, "1": True, "false": False, "0": False}
_JSON_TYPES = ("application/json", "+json")


@frozen
class Finding:
    """One thing wrong with a request."""

    place: Place
    """`body`, `query`, `path` or `header`, then the way to the value."""
    message: str
    kind: str

    @property
    def param(self) -> str:
        """The place as OpenAI writes it: `messages[0].content`."""
        if self.kind == "json_invalid":
            return str(self.place[0])
        text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.place[1:])
        return text.removeprefix(".") or str(self.place[0])

    def as_dict(self) -> dict[str, Json]:
        """The member of FastAPI's `detail`."""
        return {"loc": list(self.place), "msg": self.message, "type": self.kind}


def parameters(
    operation: Operation, path: Mapping[str, str], query: str, header: Callable[[str], str | None]
) -> tuple[dict[str, Json], list[Finding]]:
    """The operation's parameters, converted to their types, and what is wrong with them."""
    values: dict[str, Json] = {}
    findings: list[Finding] = []
    if not operation.parameters:
        return values, findings
    asked = dict(parse_qsl(query, keep_blank_values=True)) if query else {}
    sources: dict[str, Callable[[str], str | None]] = {"path": path.get, "query": asked.get, "header": header}
    for parameter in operation.parameters:
        text = sources[parameter.location](parameter.name if parameter.location != "header" else parameter.name.lower())
        place = (parameter.location, parameter.name)
        if text is None:
            if parameter.required:
                findings.append(Finding(place, "Field required", "missing"))
            elif parameter.default is not None:
                values[parameter.name] = parameter.default
            continue
        value = _convert(parameter, text)
        errors = list(_findings(parameter.validator.iter_errors(value), place))
        findings += errors
        if not errors:
            values[parameter.name] = value
    return values, findings


def _convert(parameter: Parameter, text: str) -> Json:
    """Text as the first type that it can be read as; text again when it can be none."""
    if "integer" in parameter.types and _INTEGER.fullmatch(text):
        return int(text)
    if "number" in parameter.types and _NUMBER.fullmatch(text):
        return float(text)
    if "boolean" in parameter.types and text.lower() in _BOOLEAN:
        return _BOOLEAN[text.lower()]
    if "array" in parameter.types:
        return text.split(",") if text else []
    return text


def body(operation: Operation, media_type: str | None, raw: bytes) -> tuple[Json, list[Finding]]:
    """The JSON body, and what is wrong with it."""
    if operation.body_validator is None:
        return None, []
    if not raw:
        return None, [Finding(("body",), "Field required", "missing")] if operation.body_required else []
    essence = (media_type or _JSON_TYPES[0]).partition(";")[0].strip().lower()
    if not essence.endswith(_JSON_TYPES):
        return None, [
            Finding(("body",), f"Send content-type: application/json, not {essence[:80]}", "model_attributes_type")
        ]
    try:
        data = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        return None, [Finding(("body", error.pos), f"JSON decode error: {error.msg}", "json_invalid")]
    return data, schema_findings(operation.body_validator, data)


def schema_findings(validator: jsonschema_rs.Draft202012Validator, data: Json) -> list[Finding]:
    """What a schema has against a body."""
    try:
        if validator.is_valid(data):
            return []
        return list(_findings(validator.iter_errors(data), ("body",)))
    except ValueError:
        # what the parser still takes may be nested deeper than the validator goes
        return [Finding(("body",), "The body is nested too deeply", "recursion_loop")]


def refuse(findings: Iterable[Finding]) -> None:
    """Raise the operation's validation error when there are findings.

    One name per envelope: `validation_error` lists all findings, `invalid_request` tells the first.
    """
    if found := tuple(findings):
        first = found[0]
        raise APIError(
            "invalid_request",
            sentence(first),
            fields={"param": first.param},
            findings=tuple(f.as_dict() for f in found),
        )


def sentence(finding: Finding) -> str:
    """A finding in one sentence that names the parameter."""
    if finding.kind == "missing":
        return f"Missing required parameter: '{finding.param}'."
    if finding.kind == "json_invalid":
        return f"The body is not valid JSON: {finding.message.partition(': ')[2]} at byte {finding.place[-1]}."
    if finding.place == ("body",):
        return f"{finding.message}."
    return f"Invalid value for '{finding.param}': {finding.message[0].lower()}{finding.message[1:]}."


def _findings(errors: Iterable[jsonschema_rs.ValidationError], place: Place) -> Iterator[Finding]:
    for error in errors:
        kind: Any = error.kind
        here = (*place, *error.instance_path)
        if kind.name in ("oneOf", "anyOf") and getattr(kind, "context", None):
            yield from _nearest(kind.context, place)
        elif kind.name == "required":
            yield Finding((*here, kind.property), "Field required", "missing")
        else:
            yield Finding(here, *_words(error, kind))


def _nearest(branches: list[list[jsonschema_rs.ValidationError]], place: Place) -> Iterator[Finding]:
    """What was meant: the branch that the telling member chooses, else the one that fails deepest."""
    branches = [branch for branch in branches if branch]
    depth = min((len(error.instance_path) for branch in branches for error in branch), default=0)
    meant = [branch for branch in branches if not any(_tells(error, depth) for error in branch)]
    if not meant and branches:
        telling = [next(error for error in branch if _tells(error, depth)) for branch in branches]
        if len({tuple(error.instance_path) for error in telling}) == 1:
            known = [value for error in telling for value in _expected(error.kind)]
            yield Finding(
                (*place, *telling[0].instance_path), f"Input should be {_alternatives(known)}", "literal_error"
            )
            return
    chosen = min(meant or branches, key=lambda branch: _distance(branch, depth), default=[])
    yield from _findings(chosen, place)


def _tells(error: jsonschema_rs.ValidationError, depth: int) -> bool:
    """Whether an error is about the member that tells the branches apart, such as `role` or `type`."""
    return error.kind.name in ("const", "enum") and len(error.instance_path) == depth + 1


def _expected(kind: Any) -> list[str]:
    return [repr(kind.expected_value)] if kind.name == "const" else [repr(o) for o in kind.options if o is not None]


def _distance(branch: list[jsonschema_rs.ValidationError], depth: int) -> tuple[bool, int, int]:
    typed = any(error.kind.name == "type" and len(error.instance_path) == depth for error in branch)
    return typed, -max(len(error.instance_path) for error in branch), len(branch)


_TYPE_WORDS = {
    "string": ("a valid string", "string_type"),
    "integer": ("a valid integer", "int_type"),
    "number": ("a valid number", "float_type"),
    "boolean": ("a valid boolean", "bool_type"),
    "array": ("a valid list", "list_type"),
    "object": ("a valid object", "dict_type"),
    "null": ("null", "none_required"),
}
_FORMAT_WORDS = {
    "ipv4": ("an IP address or a network in CIDR notation", "ip_any_network"),
    "uuid": ("a valid UUID", "uuid_parsing"),
    "date": ("a valid date in the form YYYY-MM-DD", "date_from_datetime_parsing"),
    "date-time": ("a valid date-time in the form YYYY-MM-DDThh:mm:ssZ", "datetime_parsing"),
}


def _words(error: jsonschema_rs.ValidationError, kind: Any) -> tuple[str, str]:
    """Message and type of one error."""
    match kind.name:
        case "type":
            types = [kind.types] if isinstance(kind.types, str) else list(kind.types)
            wanted = next((t for t in types if t != "null"), "null")
            if isinstance(error.instance, str) and wanted in ("integer", "number", "boolean"):
                words, name = _TYPE_WORDS[wanted]
                return f"Input should be {words}", name.replace("_type", "_parsing")
            return f"Input should be {_TYPE_WORDS[wanted][0]}", _TYPE_WORDS[wanted][1]
        case "enum":
            options = [repr(o) for o in kind.options if o is not None]
            return (
                f"Input should be {' or '.join([', '.join(options[:-1])] * bool(options[:-1]) + options[-1:])}",
                "literal_error",
            )
        case "const":
            return f"Input should be {kind.expected_value!r}", "literal_error"
        case "format":
            words, name = _FORMAT_WORDS.get(kind.format, (f"a valid {kind.format}", "value_error"))
            return f"Input should be {words}", name
        case "minLength":
            return f"String should have at least {_counted(kind.limit, 'character')}", "string_too_short"
        case "maxLength":
            return f"String should have at most {_counted(kind.limit, 'character')}", "string_too_long"
        case "pattern":
            return f"String should match pattern '{kind.pattern}'", "string_pattern_mismatch"
        case "minimum":
            return f"Input should be greater than or equal to {kind.limit}", "greater_than_equal"
        case "exclusiveMinimum":
            return f"Input should be greater than {kind.limit}", "greater_than"
        case "maximum":
            return f"Input should be less than or equal to {kind.limit}", "less_than_equal"
        case "exclusiveMaximum":
            return f"Input should be less than {kind.limit}", "less_than"
        case "minItems":
            return f"List should have at least {_counted(kind.limit, 'item')}", "too_short"
        case "maxItems":
            return f"List should have at most {_counted(kind.limit, 'item')}", "too_long"
        case "additionalProperties" | "unevaluatedProperties":
            return f"Extra inputs are not permitted: {', '.join(kind.unexpected)[:200]}", "extra_forbidden"
    return f"Value error, {error.message[:300]}", "value_error"


def _alternatives(options: list[str]) -> str:
    return f"{', '.join(options[:-1])} or {options[-1]}" if len(options) > 1 else "".join(options)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
