"""Hold an answer against the contract. Problems quote nothing of its content."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Literal

import orjson

from aione_mock.contract import STREAM, Operation, validation
from aione_mock.contract.stream_grammar import decode_data
from aione_mock.contract.validation import Violation
from aione_mock.structs import frozen
from aione_mock.text import sse
from aione_mock.types import Json

_INTEGER = re.compile(r"-?[0-9]{1,18}")
_BODILESS = (204, 304)
_EVENT_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")

AnswerPart = Literal["connection", "status", "header", "content_type", "body", "event", "stream"]
"""What of an answer differs; `stream` is the order of its events."""


@frozen
class AnswerProblem:
    """One way in which an answer differs from the contract."""

    message: str
    event: int | None = None
    """The number of the event that differs, from 1; None if it is about the answer as a whole."""
    part: AnswerPart = "body"
    member: str | None = None
    """The header or the member of the body that differs, such as `usage.total_tokens`; None for all of it."""

    def __str__(self) -> str:
        return self.message if self.event is None else f"event {self.event}: {self.message}"


@frozen
class Answer:
    """The answer to a request for an operation."""

    status: int
    find_header: Callable[[str], str | None]
    """Returns the value of a header, by its lower-case name."""
    content: bytes
    method: str = "GET"
    """Of the request."""
    cut: bool = False
    """Whether the connection was lost before the end."""

    @property
    def media_type(self) -> str:
        """The content type without parameters."""
        return (self.find_header("content-type") or "").partition(";")[0].strip().lower()


def find_answer_problems(operation: Operation, answer: Answer) -> Iterator[AnswerProblem]:
    """Yield everything in which an answer differs from the contract."""
    if answer.cut:
        yield AnswerProblem(f"cut off after {len(answer.content)} bytes", part="connection")
    spec = operation.responses.get(str(answer.status))
    if spec is None:
        yield AnswerProblem(f"status {answer.status}, which {operation.id} does not declare", part="status")
        return
    for name, described in spec.get("headers", {}).items():
        header, value = operation.resolve(described), answer.find_header(name.lower())
        schema = header.get("schema", {})
        if value is None:
            if header.get("required"):
                yield AnswerProblem(f"header {name} is missing", part="header", member=name)
        elif not operation.get_schema_validator(schema).is_valid(convert_header(value, schema.get("type", "string"))):
            yield AnswerProblem(f"header {name} does not fit its schema", part="header", member=name)
    if answer.method == "HEAD" or answer.status in _BODILESS:
        return
    if not spec.get("content"):
        if answer.content:
            yield AnswerProblem(f"a body, which {operation.id} does not declare for {answer.status}")
    elif answer.media_type not in spec["content"]:
        declared = ", ".join(spec["content"])
        yield AnswerProblem(f"content type {answer.media_type or 'none'}, not {declared}", part="content_type")
    elif answer.media_type == STREAM:
        yield from _find_in_stream(operation, answer)
    else:
        yield from _find_in_body(operation, answer)


def convert_header(value: str, types: Json) -> Json:
    """Return the value of a header as the type of its schema, or as it is."""
    if types == "integer" and _INTEGER.fullmatch(value):
        return int(value)
    if types == "number":
        with contextlib.suppress(orjson.JSONDecodeError):
            return orjson.loads(value)
    return value


def _find_in_body(operation: Operation, answer: Answer) -> Iterator[AnswerProblem]:
    if not answer.media_type.endswith("json"):
        return
    try:
        data = orjson.loads(answer.content)
    except orjson.JSONDecodeError as error:
        if not answer.cut:
            yield AnswerProblem(f"the body is not JSON: {error.msg} at byte {error.pos}")
        return
    validator = operation.get_response_validator(answer.status, answer.media_type)
    if validator is not None:
        yield from map(_describe_problem, validation.find_violations(validator, data))


def _find_in_stream(operation: Operation, answer: Answer) -> Iterator[AnswerProblem]:
    events = list(sse.decode([answer.content]))
    validator = operation.get_response_validator(answer.status, answer.media_type)
    inner = _find_data_validator(operation, answer)
    # first, since it explains others, and a recording names a few only
    if answer.content and not answer.content.endswith(_EVENT_ENDS):
        yield AnswerProblem("the stream ends within an event", part="stream")
    for number, event in enumerate(events, start=1):
        value = {"data": event.data, **({"event": event.name} if event.name else {})}
        found = validation.find_violations(validator, value) if validator else []
        data = decode_data(event)
        if not found and inner is not None and isinstance(data, dict | list):
            # a validator does not look into the JSON of a text
            found = validation.find_violations(inner, data)
        yield from (_describe_problem(violation, number) for violation in found)
        if not found and isinstance(data, str) and operation.stream and operation.stream.find_kind(data) == "unknown":
            yield AnswerProblem("the data is not JSON", number, "event")
    if operation.stream is not None:
        yield from (AnswerProblem(str(each), part="stream") for each in operation.stream.find_problems(events))


def _describe_problem(violation: Violation, event: int | None = None) -> AnswerProblem:
    member = violation.param if len(violation.place) > 1 else None
    return AnswerProblem(describe_violation(violation), event, "body" if event is None else "event", member)


def _find_data_validator(operation: Operation, answer: Answer) -> validation.SchemaValidator | None:
    media = operation.responses[str(answer.status)]["content"][answer.media_type]
    schemas = list_data_schemas(operation, media.get("schema", {}))
    return operation.get_schema_validator({"anyOf": schemas}) if schemas else None


def list_data_schemas(operation: Operation, event_schema: Json) -> list[Json]:
    """Return schemas of the JSON in the data of events; one of them must accept it."""
    event = operation.resolve(event_schema)
    schemas = []
    for schema in (event, *map(operation.resolve, event.get("oneOf", ()))):
        data = operation.resolve(schema.get("properties", {}).get("data", {}))
        for branch in map(operation.resolve, (data, *data.get("oneOf", ()), *data.get("anyOf", ()))):
            if "contentSchema" in branch:
                schemas.append(branch["contentSchema"])
    return schemas


def describe_violation(violation: Violation) -> str:
    """Describe a violation without the value."""
    # a schema's own message may quote the value
    if violation.kind == "value_error":
        return f"'{violation.param}' does not fit its schema."
    return violation.sentence
