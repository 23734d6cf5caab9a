"""Rules for every answer: declared status, content type, headers and schema, and the order of streams."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import orjson

from aione_mock.checker.errors import UnreadableAnswer
from aione_mock.checker.exchange import HttpExchange, shorten_body
from aione_mock.checker.finding import BrokenLaw
from aione_mock.checker.json_reader import JsonReader
from aione_mock.checker.law import ExchangeRule
from aione_mock.checker.overlay_suggestions import declare_status, widen_member
from aione_mock.checker.schema_lookup import SchemaLocation, find_evidence
from aione_mock.contract import Operation
from aione_mock.contract.stream_grammar import decode_data
from aione_mock.types import Json

_MAX_SCHEMA_ERRORS = 5
"""Schema errors reported for one answer."""
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_END_MARKERS = ("[DONE]",)
"""Data of events that is not JSON."""


def check_answered(operation: Operation, exchange: HttpExchange) -> Iterator[BrokenLaw]:
    """Answer every request to its end."""
    if exchange.failure:
        yield BrokenLaw(operation.id, "a whole answer", exchange.summary, exchange, "documented")


def check_no_server_error(operation: Operation, exchange: HttpExchange) -> Iterator[BrokenLaw]:
    """Do not fail on any request."""
    if exchange.status in (500, 501) or exchange.status > 504:
        yield BrokenLaw(operation.id, "no server error", exchange.summary, exchange, "documented")


def check_status(operation: Operation, exchange: HttpExchange) -> Iterator[BrokenLaw]:
    """Answer with the statuses that the contract declares for the operation."""
    status = exchange.status
    # 405 belongs to no operation
    if status and status != 405 and str(status) not in operation.responses:
        expected = f"one of the statuses {', '.join(sorted(operation.responses))}"
        seen = f"{exchange.summary}: {shorten_body(exchange.body)}"
        yield BrokenLaw(operation.id, expected, seen, exchange, overlay=declare_status(operation, status))


def check_content_type(operation: Operation, exchange: HttpExchange) -> Iterator[BrokenLaw]:
    """Send a body with a content type that the contract declares for the status."""
    response = operation.responses.get(str(exchange.status))
    if response is None or exchange.failure:
        return
    declared = sorted(response.get("content", {}))
    if declared and exchange.media_type not in declared:
        seen = f"{exchange.summary}: {shorten_body(exchange.body)}"
        yield BrokenLaw(operation.id, f"content type {' or '.join(declared)}", seen, exchange)
    elif not declared and exchange.body:
        yield BrokenLaw(operation.id, "no body", f"{len(exchange.body)} bytes of {exchange.media_type}", exchange)


def check_schema(operation: Operation, exchange: HttpExchange) -> Iterator[BrokenLaw]:
    """Send a body that matches its schema."""
    validator = operation.response_validator(exchange.status, exchange.media_type)
    if exchange.failure or validator is None or exchange.is_event_stream:
        return
    try:
        data = exchange.data
    except UnreadableAnswer as error:
        yield BrokenLaw(operation.id, "a JSON body", str(error), exchange)
        return
    for problem in list(validator.iter_errors(data.value))[:_MAX_SCHEMA_ERRORS]:
        yield _describe_schema_error(operation, exchange, data, problem)


def _describe_schema_error(operation: Operation, exchange: HttpExchange, data: JsonReader, error: Any) -> BrokenLaw:
    """Return a schema error with the evidence of its member, and the overlay that allows what was seen."""
    path = tuple(error.instance_path)
    place = "/" + "/".join(str(step) if isinstance(step, str) else "*" for step in path) if path else "the body"
    keyword = type(error.kind).__name__.rpartition("_")[2]
    name = str(getattr(error.kind, "property", ""))
    location = SchemaLocation(operation, str(exchange.status), exchange.media_type, path)
    return BrokenLaw(
        operation.id,
        f"{place} as the contract describes it",
        f"{place} of {exchange.status}: {error.message[:300]}",
        exchange,
        find_evidence(location),
        widen_member(location, data.find(*path), keyword, name),
    )


def check_headers(operation: Operation, exchange: HttpExchange) -> Iterator[BrokenLaw]:
    """Send the required headers, and headers that match their schema."""
    response = operation.responses.get(str(exchange.status), {})
    for name, node in response.get("headers", {}).items():
        header = operation.resolve(node)
        value, evidence = exchange.header(name), header.get("x-evidence")
        schema = header.get("schema", {})
        types = schema.get("type", "string")
        if value is None:
            if header.get("required"):
                seen = f"no such header with {exchange.status}"
                yield BrokenLaw(operation.id, f"header {name}", seen, exchange, evidence)
        elif not operation.schema_validator(schema).is_valid(_convert_header(value, types)):
            expected = f"header {name} of type {types}"
            yield BrokenLaw(operation.id, expected, f"{name}: {value[:80]}", exchange, evidence)


def _convert_header(value: str, types: Json) -> Json:
    """Return the value of a header as the type of its schema, or as it is."""
    if types == "integer" and _INTEGER.fullmatch(value):
        return int(value)
    if types == "number":
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            return value
    return value


def check_stream_events(operation: Operation, exchange: HttpExchange) -> Iterator[BrokenLaw]:
    """Send events that match their schema."""
    validator = operation.response_validator(exchange.status, exchange.media_type)
    if exchange.status != operation.success or not exchange.is_event_stream or validator is None:
        return
    data_validators = _list_data_validators(operation, exchange)
    for event in exchange.events:
        envelope = {"data": event.data, **({"event": event.name} if event.name else {})}
        error = next(iter(validator.iter_errors(envelope)), None)
        # a validator does not look into the JSON of a string, so it is parsed and validated here
        data = decode_data(event)
        if error is None and data_validators and isinstance(data, str) and data not in _END_MARKERS:
            yield BrokenLaw(operation.id, "events that are JSON", f"{event.data[:160]!r}", exchange)
            return
        if error is None and data_validators and isinstance(data, dict | list):
            error = _find_data_error(data, data_validators)
        if error is not None:
            seen = f"{error.message[:200]} in {event.data[:160]}"
            yield BrokenLaw(operation.id, "events that match their schema", seen, exchange)
            return


def _find_data_error(data: Json, validators: list[Any]) -> Any:
    if any(validator.is_valid(data) for validator in validators):
        return None
    return next(iter(validators[0].iter_errors(data)))


def _list_data_validators(operation: Operation, exchange: HttpExchange) -> list[Any]:
    """Return validators of the JSON in the data of events; one of them must accept it."""
    content = operation.responses[str(exchange.status)]["content"][exchange.media_type]
    event = operation.resolve(content["schema"])
    validators = []
    for schema in (event, *map(operation.resolve, event.get("oneOf", ()))):
        data = operation.resolve(schema.get("properties", {}).get("data", {}))
        for branch in map(operation.resolve, (data, *data.get("oneOf", ()), *data.get("anyOf", ()))):
            if "contentSchema" in branch:
                validators.append(operation.schema_validator(branch["contentSchema"]))
    return validators


def check_stream_order(operation: Operation, exchange: HttpExchange) -> Iterator[BrokenLaw]:
    """Send events in the order of the contract's grammar, and keep what is constant."""
    if exchange.status != operation.success or not exchange.is_event_stream or operation.stream is None:
        return
    if not exchange.events and exchange.body:
        yield BrokenLaw(operation.id, "server-sent events", shorten_body(exchange.body), exchange)
        return
    for problem in operation.stream.find_violations(exchange.events):
        expected = f"events ordered as '{operation.stream.order.text}'"
        yield BrokenLaw(operation.id, expected, problem[:300], exchange)


RULES = (
    ExchangeRule("answers", "Requests are answered to the end", check_answered),
    ExchangeRule("no-server-error", "No request causes a server error", check_no_server_error),
    ExchangeRule("status-declared", "Statuses are declared", check_status),
    ExchangeRule("content-type", "Content types are declared", check_content_type),
    ExchangeRule("schema", "Bodies match their schema", check_schema),
    ExchangeRule("headers", "Headers are as declared", check_headers),
    ExchangeRule("stream-events", "Events match their schema", check_stream_events, area="streams"),
    ExchangeRule("stream-order", "Streams have the declared order and end", check_stream_order, area="streams"),
)
