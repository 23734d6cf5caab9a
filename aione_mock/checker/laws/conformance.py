"""What holds for every answer: a declared status, content type, body and headers, and an id of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from aione_mock.checker.finding import BrokenLaw
from aione_mock.checker.law import ExchangeRule
from aione_mock.checker.overlay_suggestions import adopt_field, adopt_status
from aione_mock.checker.schema_lookup import evidence_at
from aione_mock.checker.traffic import HttpExchange, Unreadable, shown
from aione_mock.contract import Operation
from aione_mock.contract.stream_grammar import decode_data
from aione_mock.types import Json

_MOST = 5
"""Schema errors shown of one answer."""


def answers(operation: Operation, exchange: HttpExchange) -> Iterator[BrokenLaw]:
    """A request is answered, and its answer comes to an end."""
    if exchange.failure:
        yield BrokenLaw(operation.id, "a whole answer", exchange.outcome, exchange, evidence="documented")


def no_server_error(operation: Operation, exchange: HttpExchange) -> Iterator[BrokenLaw]:
    """Nothing that a client sends makes the server fail."""
    if exchange.status in (500, 501) or exchange.status > 504:
        yield BrokenLaw(operation.id, "no server error", exchange.outcome, exchange, evidence="documented")


def status_declared(operation: Operation, exchange: HttpExchange) -> Iterator[BrokenLaw]:
    """An operation answers with the statuses that the contract declares for it."""
    status = exchange.status
    if status and str(status) not in operation.responses and not _without_operation(exchange):
        known = ", ".join(sorted(operation.responses))
        yield BrokenLaw(
            operation.id,
            f"one of the statuses {known}",
            f"{exchange.outcome}: {shown(exchange.body)}",
            exchange,
            adopt=adopt_status(operation, status),
        )


def _without_operation(exchange: HttpExchange) -> bool:
    # an unknown path or method is answered by no operation
    return exchange.status == 405


def content_type(operation: Operation, exchange: HttpExchange) -> Iterator[BrokenLaw]:
    """A body comes as the media type that the contract declares for its status."""
    response = operation.responses.get(str(exchange.status))
    if response is None or exchange.failure:
        return
    declared = sorted(response.get("content", {}))
    if declared and exchange.media_type not in declared:
        seen = f"{exchange.outcome}: {shown(exchange.body)}"
        yield BrokenLaw(operation.id, f"content type {' or '.join(declared)}", seen, exchange)
    elif not declared and exchange.body:
        yield BrokenLaw(operation.id, "no body", f"{len(exchange.body)} bytes of {exchange.media_type}", exchange)


def schema(operation: Operation, exchange: HttpExchange) -> Iterator[BrokenLaw]:
    """A body has the shape that the contract gives it; of a stream, each event."""
    if exchange.failure:
        return
    validator = operation.response_validator(exchange.status, exchange.media_type)
    if validator is None:
        return
    if exchange.media_type.endswith("event-stream"):
        return
    try:
        data = exchange.json
    except Unreadable as unreadable:
        yield BrokenLaw(operation.id, "a JSON body", str(unreadable), exchange)
        return
    for error in list(validator.iter_errors(data))[:_MOST]:
        kind = type(error.kind).__name__.rpartition("_")[2]
        name = str(getattr(error.kind, "property", ""))
        yield shape_finding(operation, exchange, tuple(error.instance_path), error.message, kind, name)


def shape_finding(
    operation: Operation,
    exchange: HttpExchange,
    path: tuple[str | int, ...],
    message: str,
    kind: str = "",
    name: str = "",
) -> BrokenLaw:
    """A schema error as a finding: with the evidence of the member it stands at, and what would adopt it."""
    place = "/" + "/".join(str(step) if isinstance(step, str) else "*" for step in path) if path else "the body"
    try:
        seen = exchange.json
        for step in path:
            seen = seen[step]
    except (Unreadable, KeyError, IndexError, TypeError):
        seen = None
    status, media = str(exchange.status), exchange.media_type
    return BrokenLaw(
        operation.id,
        f"{place} as the contract describes it",
        f"{place} of {exchange.status}: {message[:300]}",
        exchange,
        evidence=evidence_at(operation, status, media, path),
        adopt=adopt_field(operation, status, media, path, seen, kind, name),
    )


def headers(operation: Operation, exchange: HttpExchange) -> Iterator[BrokenLaw]:
    """An answer has the headers that the contract promises, in the form that it gives them."""
    response = operation.responses.get(str(exchange.status))
    if response is None:
        return
    for name, header in response.get("headers", {}).items():
        header = operation.resolve(header)
        value, evidence = exchange.header(name), header.get("x-evidence")
        if value is None:
            if header.get("required"):
                seen = f"no such header with {exchange.status}"
                yield BrokenLaw(operation.id, f"header {name}", seen, exchange, evidence)
            continue
        validator = operation.schema_validator(header.get("schema", {}))
        types = header.get("schema", {}).get("type", "string")
        if not validator.is_valid(_converted(value, types)):
            yield BrokenLaw(operation.id, f"header {name} of type {types}", f"{name}: {value[:80]}", exchange, evidence)


def _converted(value: str, types: Json) -> Json:
    if types == "integer" and value.lstrip("-").isdigit():
        return int(value)
    if types == "number":
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            return value
    return value


def stream_events(operation: Operation, exchange: HttpExchange) -> Iterator[BrokenLaw]:
    """Each event of a stream has the shape that the contract gives it."""
    if exchange.status != operation.success or not exchange.media_type.endswith("event-stream"):
        return
    validator = operation.response_validator(exchange.status, exchange.media_type)
    if validator is None:
        return
    inner = _inner(operation, exchange)
    for event in exchange.events:
        value = {"data": event.data, **({"event": event.name} if event.name else {})}
        problem = next(iter(validator.iter_errors(value)), None)
        # validators take what stands in a string for a remark, so it is read and held against its schema here
        decoded = decode_data(event)
        if (
            problem is None
            and inner
            and isinstance(decoded, dict | list)
            and not any(v.is_valid(decoded) for v in inner)
        ):
            problem = next(iter(inner[0].iter_errors(decoded)))
        elif problem is None and inner and isinstance(decoded, str) and decoded not in _END:
            yield BrokenLaw(operation.id, "events that are JSON", f"{event.data[:160]!r}", exchange)
            return
        if problem is not None:
            seen = f"{problem.message[:200]} in {event.data[:160]}"
            yield BrokenLaw(operation.id, "events of the declared shape", seen, exchange)
            return


_END = ("[DONE]",)


def _inner(operation: Operation, exchange: HttpExchange) -> list[Any]:
    """Validators of the JSON in an event's data."""
    content = operation.responses[str(exchange.status)]["content"][exchange.media_type]
    event = operation.resolve(content["schema"])
    schemas = [event, *(operation.resolve(branch) for branch in event.get("oneOf", ()))]
    found = []
    for one in schemas:
        data = operation.resolve(one.get("properties", {}).get("data", {}))
        for branch in [data, *data.get("oneOf", ()), *data.get("anyOf", ())]:
            branch = operation.resolve(branch)
            if "contentSchema" in branch:
                found.append(operation.schema_validator(branch["contentSchema"]))
    return found


def stream_order(operation: Operation, exchange: HttpExchange) -> Iterator[BrokenLaw]:
    """The events of a stream come in the order that the contract's grammar gives, and what is constant stays so."""
    if exchange.status != operation.success or not exchange.media_type.endswith("event-stream"):
        return
    if operation.stream is None:
        return
    if not exchange.events and exchange.body:
        yield BrokenLaw(operation.id, "server-sent events", shown(exchange.body), exchange)
        return
    for problem in operation.stream.find_violations(exchange.events):
        yield BrokenLaw(operation.id, f"events ordered as '{operation.stream.order.text}'", problem[:300], exchange)


RULES = (
    ExchangeRule("answers", "Every request is answered to its end", answers),
    ExchangeRule("no-server-error", "Nothing makes the server fail", no_server_error),
    ExchangeRule("status-declared", "Only declared statuses", status_declared),
    ExchangeRule("content-type", "Declared content types", content_type),
    ExchangeRule("schema", "Bodies have their declared shape", schema),
    ExchangeRule("headers", "Promised headers are there", headers),
    ExchangeRule("stream-events", "Events have their declared shape", stream_events, area="streams"),
    ExchangeRule("stream-order", "Streams keep their order and end as they should", stream_order, area="streams"),
)
