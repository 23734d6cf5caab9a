"""What the contract has against a recorded exchange, in words that quote nothing of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

import orjson

from aione_mock import protocols, sse
from aione_mock.contract import STREAM, Contract, Operation, validation
from aione_mock.contract.validation import Violation
from aione_mock.recorder.cassette import Answered, Asked, Interaction, header
from aione_mock.types import Json

_TOLD = 5
"""Findings of one kind that are told; the rest are counted."""
_BODILESS = (204, 304)


def locate(contract: Contract, method: str, path: str) -> tuple[Operation | None, Mapping[str, str]]:
    """The operation of a request and its path parameters; None where the contract has none."""
    match = contract.match(path)
    return match.operations.get(method), match.params


def findings(contract: Contract, interaction: Interaction) -> list[str]:
    """Everything wrong with an exchange. What is wrong with a request that was refused is no news."""
    refused = 400 <= interaction.response.status < 500
    asked = [] if refused else request_findings(contract, interaction.request)
    return asked + response_findings(contract, interaction.request, interaction.response)


def request_findings(contract: Contract, request: Asked) -> list[str]:
    """What the contract has against a request."""
    operation, params = locate(contract, request.method, request.path)
    if operation is None:
        return [f"request: the contract has no {request.method} {request.path[:200]}"]
    return [f"request: {said}" for said in _told(_request(contract, operation, params, request))]


def response_findings(contract: Contract, request: Asked, response: Answered) -> list[str]:
    """What the contract has against an answer."""
    operation, _ = locate(contract, request.method, request.path)
    if operation is None:
        return []
    return [f"answer: {said}" for said in _told(_answer(contract, operation, request, response))]


def _request(contract: Contract, operation: Operation, path: Mapping[str, str], request: Asked) -> Iterator[str]:
    _, found = validation.parse_parameters(operation, path, request.query, lambda name: header(request.headers, name))
    yield from map(_sentence, found)
    data, found = validation.parse_body(operation, header(request.headers, "content-type"), request.body)
    normalize = protocols.NORMALIZERS.get(operation.protocol)
    if normalize and operation.body_validator and data is not None:
        found = validation.find_violations(operation.body_validator, normalize(data, operation))
    yield from map(_sentence, found)


def _answer(contract: Contract, operation: Operation, request: Asked, response: Answered) -> Iterator[str]:
    if response.end == "cut":
        yield f"cut off after {len(response.body)} bytes"
    spec = operation.responses.get(str(response.status))
    if spec is None:
        yield f"status {response.status}, which {operation.id} does not declare"
        return
    for name, described in spec.get("headers", {}).items():
        required = contract.resolve(operation.document, described).get("required")
        if required and header(response.headers, name.lower()) is None:
            yield f"header {name} is missing"
    if request.method == "HEAD" or response.status in _BODILESS:
        return
    if not spec.get("content"):
        if response.body:
            yield f"a body, which {operation.id} does not declare for {response.status}"
    elif response.media_type not in spec["content"]:
        declared = ", ".join(spec["content"])
        yield f"content type {response.media_type or 'none'}, not {declared}"
    elif response.media_type == STREAM:
        yield from _stream(operation, response)
    else:
        yield from _body(operation, response)


def _body(operation: Operation, response: Answered) -> Iterator[str]:
    try:
        data = orjson.loads(response.body)
    except orjson.JSONDecodeError as error:
        if response.end != "cut":
            yield f"the body is not JSON: {error.msg} at byte {error.pos}"
        return
    yield from _schema(operation, response, data)


def _schema(operation: Operation, response: Answered, data: Json) -> Iterator[str]:
    validator = operation.response_validator(response.status, response.media_type)
    if validator is not None:
        yield from map(_sentence, validation.find_violations(validator, data))


def _stream(operation: Operation, response: Answered) -> Iterator[str]:
    events = list(sse.decode([response.body]))
    for number, event in enumerate(events, start=1):
        value = {"data": event.data, **({"event": event.name} if event.name else {})}
        yield from (f"event {number}: {said}" for said in _schema(operation, response, value))
    if response.body and not response.body.endswith((b"\n\n", b"\r\n\r\n", b"\r\r")):
        yield "the stream ends within an event"
    if operation.stream is not None:
        yield from operation.stream.find_violations(events)


def _sentence(finding: Violation) -> str:
    """A finding in words; a schema's own words may quote the value, so they are left out."""
    if finding.kind == "value_error":
        return f"'{finding.param}' does not fit its schema."
    return finding.sentence


def _told(found: Iterator[str]) -> list[str]:
    try:
        first = list(islice(found, _TOLD))
        more = sum(1 for _ in found)
    except (ValueError, RecursionError):
        return ["nested too deeply to be checked"]
    return [*first, f"and {more} more"] if more else first
