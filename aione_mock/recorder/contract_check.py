"""Check recorded exchanges against the contract. Findings quote nothing of their content."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

import orjson

from aione_mock import protocols, sse
from aione_mock.contract import STREAM, Contract, Operation, validation
from aione_mock.contract.validation import Violation
from aione_mock.recorder.cassette import Interaction, RecordedRequest, RecordedResponse
from aione_mock.types import Json

_MAX_FINDINGS = 5
"""Findings listed for a request or a response; the rest are counted."""
_BODILESS = (204, 304)


def find_operation(contract: Contract, method: str, path: str) -> tuple[Operation | None, Mapping[str, str]]:
    """Return the operation of a request, None if the contract has none, and its path parameters."""
    match = contract.match(path)
    return match.operations.get(method), match.params


def check_interaction(contract: Contract, interaction: Interaction) -> list[str]:
    """Return all findings in an exchange. A request that the server has rejected is not checked."""
    rejected = 400 <= interaction.response.status < 500
    found = [] if rejected else check_request(contract, interaction.request)
    return found + check_response(contract, interaction.request, interaction.response)


def check_request(contract: Contract, request: RecordedRequest) -> list[str]:
    """Return how a request violates the contract."""
    operation, params = find_operation(contract, request.method, request.path)
    if operation is None:
        return [f"request: the contract has no {request.method} {request.path[:200]}"]
    return [f"request: {finding}" for finding in _limit(_find_in_request(operation, params, request))]


def check_response(contract: Contract, request: RecordedRequest, response: RecordedResponse) -> list[str]:
    """Return how a response violates the contract."""
    operation, _ = find_operation(contract, request.method, request.path)
    if operation is None:
        return []
    return [f"answer: {finding}" for finding in _limit(_find_in_response(contract, operation, request, response))]


def _find_in_request(operation: Operation, params: Mapping[str, str], request: RecordedRequest) -> Iterator[str]:
    _, found = validation.parse_parameters(operation, params, request.query, request.find_header)
    yield from map(_describe_violation, found)
    data, found = validation.parse_body(operation, request.find_header("content-type"), request.body)
    normalize = protocols.NORMALIZERS.get(operation.protocol)
    if normalize and operation.body_validator and data is not None:
        found = validation.find_violations(operation.body_validator, normalize(data, operation))
    yield from map(_describe_violation, found)


def _find_in_response(
    contract: Contract, operation: Operation, request: RecordedRequest, response: RecordedResponse
) -> Iterator[str]:
    if response.end == "cut":
        yield f"cut off after {len(response.content)} bytes"
    spec = operation.responses.get(str(response.status))
    if spec is None:
        yield f"status {response.status}, which {operation.id} does not declare"
        return
    for name, described in spec.get("headers", {}).items():
        required = contract.resolve(operation.document, described).get("required")
        if required and response.find_header(name.lower()) is None:
            yield f"header {name} is missing"
    if request.method == "HEAD" or response.status in _BODILESS:
        return
    if not spec.get("content"):
        if response.content:
            yield f"a body, which {operation.id} does not declare for {response.status}"
    elif response.media_type not in spec["content"]:
        declared = ", ".join(spec["content"])
        yield f"content type {response.media_type or 'none'}, not {declared}"
    elif response.media_type == STREAM:
        yield from _find_in_stream(operation, response)
    else:
        yield from _find_in_body(operation, response)


def _find_in_body(operation: Operation, response: RecordedResponse) -> Iterator[str]:
    try:
        data = orjson.loads(response.content)
    except orjson.JSONDecodeError as error:
        if response.end != "cut":
            yield f"the body is not JSON: {error.msg} at byte {error.pos}"
        return
    yield from _find_by_schema(operation, response, data)


def _find_in_stream(operation: Operation, response: RecordedResponse) -> Iterator[str]:
    content = response.content
    events = list(sse.decode([content]))
    for number, event in enumerate(events, start=1):
        value = {"data": event.data, **({"event": event.name} if event.name else {})}
        yield from (f"event {number}: {finding}" for finding in _find_by_schema(operation, response, value))
    if content and not content.endswith((b"\n\n", b"\r\n\r\n", b"\r\r")):
        yield "the stream ends within an event"
    if operation.stream is not None:
        yield from operation.stream.find_violations(events)


def _find_by_schema(operation: Operation, response: RecordedResponse, data: Json) -> Iterator[str]:
    validator = operation.response_validator(response.status, response.media_type)
    if validator is not None:
        yield from map(_describe_violation, validation.find_violations(validator, data))


def _describe_violation(violation: Violation) -> str:
    # a schema's own message may quote the value
    if violation.kind == "value_error":
        return f"'{violation.param}' does not fit its schema."
    return violation.sentence


def _limit(found: Iterator[str]) -> list[str]:
    try:
        first = list(islice(found, _MAX_FINDINGS))
        more = sum(1 for _ in found)
    except (ValueError, RecursionError):
        return ["nested too deeply to be checked"]
    return [*first, f"and {more} more"] if more else first
