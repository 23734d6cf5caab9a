"""Read the answers of recorded calls, independent of their protocol, and hold them against the requested schemas."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from aione_mock.checker.errors import UnreadableAnswer
from aione_mock.checker.json_reader import JsonReader
from aione_mock.checker.protocols import (
    PROTOCOLS,
    ReportedToolCall,
    read_response_text,
    read_response_tool_calls,
)
from aione_mock.testing.conversation import read_prompt
from aione_mock.text.sse import Event
from aione_mock.types import Json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aione_mock.contract import Contract
    from aione_mock.testing.calls import RecordedCall


_READERS = {
    **{name: (protocol.read_text, protocol.read_tool_calls) for name, protocol in PROTOCOLS.items()},
    "responses": (read_response_text, read_response_tool_calls),
}
"""Functions that read text and tool calls of an answer, by the `prompt_format` of its operation."""


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What a model said."""

    text: str
    tool_calls: tuple[ReportedToolCall, ...]


def read_answer(call: RecordedCall, contract: Contract) -> ModelAnswer | None:
    """Return what a model answered; None for an error, a damaged answer and a call to no model."""
    operation = contract.operations.get(call.operation or "")
    reader = _READERS.get(operation.prompt_format) if operation is not None else None
    if operation is None or reader is None or not 200 <= call.status < 300:
        return None
    with contextlib.suppress(UnreadableAnswer, AttributeError, LookupError, TypeError, ValueError):
        body = call.response
        if call.stream and operation.stream is not None:
            body = operation.stream.fold(_encode(event) for event in call.events)
        read_text, read_tool_calls = reader
        answer = JsonReader(body, call.operation or "")
        return ModelAnswer(read_text(answer), tuple(read_tool_calls(answer)))
    return None


def _encode(event: Json) -> Event:
    return Event(event if isinstance(event, str) else orjson.dumps(event).decode())


def list_schema_problems(call: RecordedCall, contract: Contract) -> tuple[str, ...]:
    """Return how an answer violates the schema of the structured output, or of the tools, that its request names."""
    prompt, answer = read_prompt(call, contract), read_answer(call, contract)
    if prompt is None or answer is None:
        return ()
    problems = list[str]()
    if prompt.schema is not None and not answer.tool_calls:
        problems += _check_text(answer.text, prompt.schema)
    schemas = {tool.name: tool.schema for tool in prompt.tools}
    for tool_call in answer.tool_calls:
        name = str(tool_call.name)
        if name not in schemas:
            problems.append(f"the tool {name!r} is none of {', '.join(schemas) or 'the request, which offers none'}")
        else:
            problems += [f"arguments of {name}: {problem}" for problem in _validate(tool_call.arguments, schemas[name])]
    return tuple(problems)


def _check_text(text: str, schema: Mapping[str, Json]) -> Iterator[str]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        yield f"the answer is not JSON: {error}"
        return
    yield from _validate(value, schema)


def _validate(value: Json, schema: Mapping[str, Json]) -> Iterator[str]:
    import jsonschema_rs

    try:
        violations = list(jsonschema_rs.validator_for(dict(schema)).iter_errors(value))
    except (jsonschema_rs.ValidationError, ValueError) as error:
        yield f"the schema cannot be used: {str(error).splitlines()[0]}"
        return
    for violation in violations:
        where = "/".join(map(str, violation.instance_path))
        yield f"{where}: {violation.message}" if where else violation.message
