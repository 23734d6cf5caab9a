"""Every error of the contract can be had from every operation that declares it, and is what the contract says."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from aione_mock.contract import ErrorSpec, Operation
from tests.faults.conftest import CONTRACT, OPERATIONS, SessionClient, build_call, read_json
from tests.wire_reader import Wire

CASES = [(operation, spec) for operation in OPERATIONS for spec in operation.errors.values()]
IDS = [f"{operation.id}-{spec.name}" for operation, spec in CASES]
RUN_TIME = ("message", "request_id", "requestId", "detail", "errMessage", "param", "msg")
"""Members whose values say what happened this time."""


def shape(value: Any) -> Any:
    """Return a body without what differs from one time to the next."""
    if isinstance(value, dict):
        return {key: type(item).__name__ if key in RUN_TIME else shape(item) for key, item in value.items()}
    return [shape(item) for item in value] if isinstance(value, list) else value


def check(wire: Wire, operation: Operation, spec: ErrorSpec) -> None:
    assert wire.whole
    assert wire.status == spec.status
    assert wire.headers["content-type"] == "application/json"
    declared = operation.responses[str(spec.status)]
    for name in declared.get("headers", {}):
        assert name in wire.headers, f"the contract declares header {name}"
        node = CONTRACT.resolve(operation.document, declared["headers"][name])
        schema = CONTRACT.resolve(operation.document, node["schema"])
        value = int(wire.headers[name]) if schema["type"] == "integer" else wire.headers[name]
        assert CONTRACT.get_schema_validator(operation.document, node["schema"]).is_valid(value), (name, value)
    body = read_json(wire)
    validator = operation.get_response_validator(spec.status, "application/json")
    assert validator is not None
    assert [error.message for error in validator.iter_errors(body)] == []
    assert shape(body) == shape(spec.body)


@pytest.mark.parametrize(("operation", "spec"), CASES, ids=IDS)
def test_every_operation_answers_every_error_it_declares(
    operation: Operation, spec: ErrorSpec, asking: SessionClient
) -> None:
    wire = asking(build_call(operation, x_mock_scenario=spec.name))
    check(wire, operation, spec)
    own = {"request_id", "requestId"} & set(read_json(wire))
    assert all(read_json(wire)[name] == wire.headers["x-request-id"] for name in own)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)
def test_an_error_may_say_something_of_its_own(operation: Operation, asking: SessionClient) -> None:
    name, spec = next(iter(operation.errors.items()))
    wire = asking(build_call(operation, x_mock_scenario=f'{name}; message="Nothing goes today; try later"'))
    assert wire.status == spec.status
    assert b"Nothing goes today; try later" in wire.body


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)
def test_what_waits_says_how_long(operation: Operation, asking: SessionClient) -> None:
    for name, spec in operation.errors.items():
        waits = [header for header in spec.headers if header.endswith("retry-after")]
        wire = asking(build_call(operation, x_mock_scenario=f"{name}; retry_after=7"))
        assert [wire.headers[header] for header in waits] == ["7"] * len(waits)
        assert waits or "retry-after" not in wire.headers


def test_an_unknown_name_is_told_with_the_nearest(asking: SessionClient) -> None:
    wire = asking(build_call(CONTRACT.operations["createChatCompletion"], x_mock_scenario="rate_limted"))
    assert wire.status == 400
    assert "rate_limit" in read_json(wire)["error"]["message"]


def test_an_error_that_is_not_declared_is_refused_by_name(asking: SessionClient) -> None:
    wire = asking(build_call(CONTRACT.operations["countTokens"], x_mock_scenario="insufficient_balance"))
    assert wire.status == 400
    assert "countTokens cannot answer 'insufficient_balance'; it declares" in read_json(wire)["error"]["message"]


def test_an_error_with_a_delay_waits(asking: SessionClient) -> None:
    wire = asking(build_call(CONTRACT.operations["createMessage"], x_mock_scenario="upstream_timeout; delay=300ms"))
    assert wire.status == 504
    assert wire.first >= 0.29


def test_times_is_counted_for_each_session(asking: SessionClient) -> None:
    raw = build_call(CONTRACT.operations["createChatCompletion"], x_mock_scenario="internal_error; times=2")
    asking.app.sessions.delete("one")
    asking.app.sessions.delete("two")
    assert [asking(raw, session="one").status for _ in range(4)] == [500, 500, 200, 200]
    assert asking(raw, session="two").status == 500


def test_the_body_is_only_what_json_writes(asking: SessionClient) -> None:
    raw = build_call(CONTRACT.operations["createChatCompletion"], x_mock_scenario="internal_error")
    wire = asking(raw)
    assert orjson.dumps(read_json(wire)) == wire.body
    assert int(wire.headers["content-length"]) == len(wire.body)
