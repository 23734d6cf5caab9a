"""Rules for every answer: declared status, content type, headers and schema, and the order of streams."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from http import HTTPStatus

from aione_mock.checker.errors import UnreadableAnswer
from aione_mock.checker.exchange import HttpExchange, shorten_body
from aione_mock.checker.finding import BrokenLaw
from aione_mock.checker.law import ExchangeRule
from aione_mock.checker.overlay_suggestions import (
    accept_any_body,
    declare_content_type,
    declare_status,
    relax_header,
)
from aione_mock.checker.schema_differences import SchemaDifference, find_differences
from aione_mock.checker.schema_lookup import (
    choose_weakest_evidence,
    find_body_evidence,
    find_body_schema,
    find_response,
    find_status_evidence,
    limit_evidence,
    read_evidence,
)
from aione_mock.contract import Operation
from aione_mock.contract.answer_check import convert_header, list_data_schemas
from aione_mock.contract.stream_grammar import decode_data
from aione_mock.types import Json

_MAX_SCHEMA_ERRORS = 20
"""Schema errors reported for one answer."""
_MAX_EVENT_CHARACTERS = 300
_END_MARKERS = ("[DONE]",)
"""Data of events that is not JSON."""


def check_answered(operation: Operation, exchange: HttpExchange) -> Iterator[BrokenLaw]:
    """Answer every request to its end."""
    if exchange.failure:
        yield BrokenLaw(operation.id, "a whole answer", exchange.summary, exchange, "documented")


def check_no_server_error(operation: Operation, exchange: HttpExchange) -> Iterator[BrokenLaw]:
    """Do not fail on any request."""
    if exchange.status in (500, 501) or exchange.status > 504:
        seen, subject = f"{exchange.summary}: {shorten_body(exchange.body)}", str(exchange.status)
        yield BrokenLaw(operation.id, "no server error", seen, exchange, "documented", subject=subject)


def check_status(operation: Operation, exchange: HttpExchange) -> Iterator[BrokenLaw]:
    """Answer with the statuses that the contract declares for the operation."""
    status = exchange.status
    # 405 belongs to no operation
    if status and status != HTTPStatus.METHOD_NOT_ALLOWED and str(status) not in operation.responses:
        expected = f"one of the statuses {', '.join(sorted(operation.responses))}"
        seen = f"{exchange.summary}: {shorten_body(exchange.body)}"
        evidence = find_status_evidence(operation, status)
        overlay = declare_status(operation, exchange)
        yield BrokenLaw(operation.id, expected, seen, exchange, evidence, overlay, subject=str(status))


def check_content_type(operation: Operation, exchange: HttpExchange) -> Iterator[BrokenLaw]:
    """Send a body with a content type that the contract declares for the status."""
    response = operation.responses.get(str(exchange.status))
    if response is None or exchange.failure:
        return
    declared = sorted(response.get("content", {}))
    evidence = find_status_evidence(operation, exchange.status)
    overlay = declare_content_type(operation, exchange)
    if declared and exchange.media_type not in declared:
        seen = f"{exchange.summary}: {shorten_body(exchange.body)}"
        expected = f"content type {' or '.join(declared)}"
        yield BrokenLaw(operation.id, expected, seen, exchange, evidence, overlay)
    elif not declared and exchange.body:
        seen = f"{len(exchange.body)} bytes of {exchange.media_type}"
        yield BrokenLaw(operation.id, "no body", seen, exchange, evidence, overlay)


def check_schema(operation: Operation, exchange: HttpExchange) -> Iterator[BrokenLaw]:
    """Send a body that matches its schema. Further members are no fault."""
    schema = find_body_schema(operation, exchange.status, exchange.media_type)
    if exchange.failure or schema is None or exchange.is_event_stream:
        return
    try:
        value = exchange.data.value
    except UnreadableAnswer as error:
        evidence = find_status_evidence(operation, exchange.status)
        overlay = accept_any_body(operation, exchange)
        yield BrokenLaw(operation.id, "a JSON body", str(error), exchange, evidence, overlay)
        return
    evidence = find_body_evidence(operation, exchange.status)
    for difference in _list_different(operation, schema, value, evidence):
        yield _describe_difference(operation, exchange, difference, difference.place, str(exchange.status))


def _list_different(operation: Operation, schema: Json, value: Json, evidence: str) -> list[SchemaDifference]:
    """Return the differences between a value and its schema. What differs alike in several items is one."""
    found: dict[object, SchemaDifference] = {}
    for difference in find_differences(operation, schema, value, evidence):
        found.setdefault((difference.pointer, str(difference.overlay or difference.message)), difference)
    return list(found.values())[:_MAX_SCHEMA_ERRORS]


def check_headers(operation: Operation, exchange: HttpExchange) -> Iterator[BrokenLaw]:
    """Send the required headers, and headers that match their schema."""
    response = operation.responses.get(str(exchange.status), {})
    for name, node in response.get("headers", {}).items():
        header = operation.resolve(node)
        value = exchange.header(name)
        evidence = read_evidence(header) or find_status_evidence(operation, exchange.status)
        schema = header.get("schema", {})
        types = schema.get("type", "string")
        if value is None:
            if header.get("required"):
                seen = f"no such header with {exchange.status}"
                overlay = relax_header(operation, exchange.status, name, "required")
                yield BrokenLaw(operation.id, f"header {name}", seen, exchange, evidence, overlay, subject=name)
        elif not operation.get_schema_validator(schema).is_valid(convert_header(value, types)):
            expected = f"header {name} of type {types}"
            overlay = relax_header(operation, exchange.status, name, "schema")
            seen, subject = f"{name}: {value[:80]}", f"{name} of type {types}"
            yield BrokenLaw(operation.id, expected, seen, exchange, evidence, overlay, subject=subject)


def check_stream_events(operation: Operation, exchange: HttpExchange) -> Iterator[BrokenLaw]:
    """Send events that match their schema. Further members are no fault."""
    schema = find_body_schema(operation, exchange.status, exchange.media_type)
    if not exchange.is_success or not exchange.is_event_stream or schema is None:
        return
    evidence = find_body_evidence(operation, exchange.status)
    data_schemas = list_data_schemas(operation, schema)
    for position, event in enumerate(exchange.events):
        envelope = {"data": event.data, **({"event": event.name} if event.name else {})}
        differences = _list_different(operation, schema, envelope, evidence)
        # a validator does not look into the JSON of a string, so it is parsed and validated here
        data = decode_data(event)
        if not differences and data_schemas and isinstance(data, str) and data not in _END_MARKERS:
            seen, excerpt = f"{event.data[:160]!r}", show_events(exchange, position)
            yield BrokenLaw(operation.id, "events that are JSON", seen, exchange, evidence, excerpt=excerpt)
            return
        if not differences and data_schemas and isinstance(data, dict | list):
            differences = _list_different(operation, {"anyOf": data_schemas}, data, evidence)
        if differences:
            for difference in differences:
                yield _describe_event(operation, exchange, position, difference)
            return


def _describe_event(
    operation: Operation, exchange: HttpExchange, position: int, difference: SchemaDifference
) -> BrokenLaw:
    found = _describe_difference(
        operation, exchange, difference, f"{difference.place} of events", f"event {position + 1}"
    )
    return replace(found, excerpt=show_events(exchange, position))


def _describe_difference(
    operation: Operation, exchange: HttpExchange, difference: SchemaDifference, what: str, where: str
) -> BrokenLaw:
    return BrokenLaw(
        operation.id,
        f"{what} as the contract describes it",
        f"{difference.place} of {where}: {difference.message}",
        exchange,
        limit_evidence(operation, exchange.status, difference.evidence),
        difference.overlay,
        subject=difference.pointer,
        component=difference.component,
    )


def show_events(exchange: HttpExchange, position: int) -> str:
    """Return an event of a stream, shortened, with those before and after it."""
    shown = exchange.events[max(0, position - 1) : position + 2]
    texts = [f"event: {event.name}, data: {event.data}" if event.name else f"data: {event.data}" for event in shown]
    before = f"after {position - 1} more events: " if position > 1 else ""
    return before + " | ".join(shorten_body(text.encode(), _MAX_EVENT_CHARACTERS) for text in texts)


def check_stream_order(operation: Operation, exchange: HttpExchange) -> Iterator[BrokenLaw]:
    """Send events in the order of the contract's grammar, and keep what is constant."""
    if not exchange.is_success or not exchange.is_event_stream or operation.stream is None:
        return
    media = find_response(operation, exchange.status)["content"][exchange.media_type]
    evidence = choose_weakest_evidence(read_evidence(media["x-stream"]), operation.evidence)
    if not exchange.events and exchange.body:
        yield BrokenLaw(operation.id, "server-sent events", shorten_body(exchange.body), exchange, evidence)
        return
    for problem in operation.stream.find_problems(exchange.events):
        expected, seen = (f"{problem.place}: {text}".removeprefix(": ") for text in (problem.expected, problem.seen))
        yield BrokenLaw(operation.id, expected, seen[:300], exchange, evidence, subject=problem.rule)


RULES = (
    ExchangeRule("answers", "Requests are answered to the end", check_answered),
    ExchangeRule("no-server-error", "No request causes a server error", check_no_server_error),
    ExchangeRule("status-declared", "Statuses are declared", check_status),
    ExchangeRule("content-type", "Content types are declared", check_content_type),
    ExchangeRule("schema", "Bodies match their schema", check_schema),
    ExchangeRule("headers", "Headers are as declared", check_headers),
    ExchangeRule("stream-events", "Events match their schema", check_stream_events, "streams", streams=True),
    ExchangeRule(
        "stream-order", "Streams have the declared order and end", check_stream_order, "streams", streams=True
    ),
)
