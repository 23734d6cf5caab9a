"""What does not work at all is a finding, and the first line names it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from aione_mock.checker.report import EXIT_COULD_NOT, EXIT_FOUND, CheckReport
from aione_mock.checker.run_setup import load_gateway_contract
from tests.checker.conftest import CheckGateway
from tests.checker.faulty_gateway import KEY, Fault, FaultyGateway, SeenRequest, answer_with

CONTRACT = load_gateway_contract()
PATHS = {o.id: (o.method, re.compile(re.sub(r"\{\w+\}", "[^/:]+", o.path) + "$")) for o in CONTRACT.operations.values()}
BASICS = ("area:basics", "stream-asked")
TAGS = sorted({tag for operation in CONTRACT.operations.values() for tag in operation.tags})
STREAMED = ("createChatCompletion", "createMessage", "streamGenerateContent")
ENVELOPE = {"error": {"message": "Something went wrong", "type": "api_error"}}


def is_for(request: SeenRequest, names: Iterable[str]) -> bool:
    """Return whether a request is one of some operations."""
    return any(PATHS[name][0] == request.method and PATHS[name][1].search(request.path) for name in names)


def lose(names: Iterable[str], status: int = 503, when: Callable[[SeenRequest], bool] = lambda request: True) -> Fault:
    """Answer every request to some operations with an error."""
    return answer_with("", status, ENVELOPE, when=lambda request: is_for(request, names) and when(request))


def asks_for_stream(request: SeenRequest) -> bool:
    return b'"stream":true' in request.body or "streamGenerateContent" in request.path


def expect_loss(report: CheckReport, *names: str) -> None:
    """Expect the report to say in its first line that operations do not work."""
    first = str(report).splitlines()[0]
    assert report.exit_code == EXIT_FOUND, str(report)
    assert first.startswith("Does not work: "), first
    for name in names:
        assert name in first, (name, first)
    if any(CONTRACT.operations[name].evidence != "assumed" for name in names):
        assert report.violations, str(report)
    assert set(report.causes[0].operations) & set(names)


@pytest.mark.parametrize("name", [o.id for o in CONTRACT.operations.values()])
def test_one_operation_that_is_lost(name: str, check_gateway: CheckGateway) -> None:
    expect_loss(check_gateway(*BASICS, fault=lose([name])), name)


@pytest.mark.parametrize("name", STREAMED)
def test_streams_of_one_protocol(name: str, check_gateway: CheckGateway) -> None:
    report = check_gateway(*BASICS, fault=lose([name], when=asks_for_stream))
    expect_loss(report, name)
    assert f"streams of {name}" in str(report).splitlines()[0]
    assert {finding.operation for finding in report.findings} == {name}


def test_the_command_says_first_that_no_stream_works(gateway: FaultyGateway) -> None:
    gateway.fault = lose(STREAMED, when=asks_for_stream)
    words = ["check", gateway.url, "--only", "streams"]
    variables = {**os.environ, "AIONE_API_KEY": KEY}
    done = subprocess.run([sys.executable, "-m", "aione_mock", *words], env=variables, capture_output=True, text=True)
    gateway.fault = Fault()
    assert done.returncode == EXIT_FOUND
    first = done.stdout.strip().splitlines()[0]
    assert first == f"Does not work: {', '.join(f'streams of {name}' for name in STREAMED)}."


def test_of_many_operations_that_are_lost_the_tags_are_named(check_gateway: CheckGateway) -> None:
    lost = [name for name in PATHS if name not in ("createChatCompletion", "listModels", "getPlan")]
    report = check_gateway(*BASICS, fault=lose(lost))
    first = str(report).splitlines()[0]
    assert first.startswith("Does not work: all 2 operations of Anthropic, all 2 operations of Usage, all 3 operations")
    assert "retrieveModel" in first
    assert "getPlan" not in first


def test_nothing_kept_is_no_success(check_gateway: CheckGateway) -> None:
    report = check_gateway("isolation-listed", fault=lose(["listKeys"]), allow_writes=False)
    assert report.exit_code == EXIT_COULD_NOT
    assert "nothing was checked: listKeys answered 503" in report.verdict


def test_a_run_that_checked_too_little_fails(check_gateway: CheckGateway) -> None:
    given: dict[str, Any] = {"allow_writes": False, "fault": Fault()}
    report = check_gateway("key-list-order", "key-life", **given, require_checked=50.0)
    assert report.exit_code == EXIT_FOUND
    assert "The run checked 11 % of the matrix, 50 % are required." in report.verdict
    assert check_gateway("key-list-order", "key-life", **given, require_checked=10.0).all_kept


@pytest.mark.slow
@pytest.mark.parametrize("status", [404, 500, 503])
@pytest.mark.parametrize("protocol", ["openai", "anthropic", "gemini"])
def test_a_whole_protocol(protocol: str, status: int, check_gateway: CheckGateway) -> None:
    names = [o.id for o in CONTRACT.operations.values() if o.protocol == protocol]
    report = check_gateway("basics", "streams", "chat", "schema", fault=lose(names, status))
    expect_loss(report, *[name for name in names if CONTRACT.operations[name].evidence != "assumed"])


@pytest.mark.slow
@pytest.mark.parametrize("tag", TAGS)
def test_a_whole_area(tag: str, check_gateway: CheckGateway) -> None:
    names = [o.id for o in CONTRACT.operations.values() if tag in o.tags]
    report = check_gateway(fault=lose(names), allow_writes=False)
    reads = [o for o in names if CONTRACT.operations[o].method == "GET" and o != "getKey"]
    expect_loss(report, *(reads or names))


@pytest.mark.slow
def test_all_streams(check_gateway: CheckGateway) -> None:
    report = check_gateway(fault=lose(STREAMED, when=asks_for_stream), allow_writes=False)
    expect_loss(report, *STREAMED)
