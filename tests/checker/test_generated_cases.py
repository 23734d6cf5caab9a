"""Generated cases: no false alarms, the right check for each fault, and nothing registered process-wide."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from aione_mock.checker.case_adapter import CaseAdapter
from aione_mock.checker.plan import CHECKS
from aione_mock.checker.report import CheckReport
from aione_mock.contract.loading import load_contract
from aione_mock.settings import DOCUMENTS, locate_document
from tests.checker.conftest import CheckGateway
from tests.checker.faulty_gateway import (
    Fault,
    FaultyGateway,
    SeenRequest,
    accept_any_credential,
    answer_with,
    edit_json,
    replace_status,
    set_headers,
)

KEYS, USAGE, ACCOUNT = "/gateway/keys$", "/obs/usage$", "/account$"


@pytest.mark.parametrize("phase", ["examples", "coverage", "fuzzing", "stateful"])
def test_the_mock_gives_no_finding(phase: str, check_gateway: CheckGateway) -> None:
    report = check_gateway(phase, phases=(phase,), cases=4)
    assert report.all_kept, str(report)
    assert report.counts.cases > 5
    assert set(report.matrix) >= set(CHECKS)


@pytest.mark.parametrize(
    ("check", "operation", "fault"),
    [
        ("no-server-error", "getBillingAccount", answer_with(ACCOUNT, 500, {"detail": "x"})),
        ("status-declared", "getBillingAccount", answer_with(ACCOUNT, 418, {"detail": "x"})),
        ("content-type", "getBillingAccount", set_headers(content_type="text/plain")),
        ("headers", "getBillingAccount", set_headers(x_request_id=None)),
        ("schema", "getBillingAccount", edit_json(ACCOUNT, lambda value: {"id": 7})),
        (
            "negative_data_rejection",
            "getDashboard",
            answer_with("/dashboard$", 200, when=lambda a: "range_days=0" in a.query),
        ),
        (
            "positive_data_acceptance",
            "queryUsage",
            answer_with(USAGE, 422, {"detail": [{"loc": ["query"], "msg": "", "type": ""}]}),
        ),
        ("unsupported_method", "getPlan", replace_status(405, 200)),
        ("allow_header_conformance", "getPlan", set_headers(allow="DELETE")),
        ("ignored_auth", "getPlan", accept_any_credential()),
    ],
)
def test_each_check_sees_what_it_is_there_for(
    check: str, operation: str, fault: Fault, check_gateway: CheckGateway
) -> None:
    phases = ("examples", "coverage")
    report = check_gateway(operation, check, fault=fault, phases=phases)
    assert (check, operation) in found(report)
    assert "curl" in next(f for f in report.findings if f.law == check).curl


def found(report: CheckReport) -> set[tuple[str, str]]:
    return {(finding.law, finding.operation) for finding in report.findings}


def test_keys_of_others_are_left_alone(gateway: FaultyGateway, check_gateway: CheckGateway) -> None:
    """A request that would change a key which the run did not create is not sent."""
    before = check_gateway("key-list-order")
    assert before.all_kept
    check_gateway("examples", "coverage", "API keys", phases=("examples", "coverage"))
    example = "0d3f9b62-8a14-4b7e-9c50-e6a1f27d4b83"
    changing = [request for request in gateway.seen if request.method in ("PUT", "DELETE") and example in request.path]
    assert not [request for request in changing if _is_authorised(request)]


def _is_authorised(request: SeenRequest) -> bool:
    return "nex-console-tech" in request.headers.get("authorization", "")


def test_nothing_is_registered_process_wide(check_gateway: CheckGateway) -> None:
    import schemathesis.checks
    from schemathesis.hooks import GLOBAL_HOOK_DISPATCHER

    before = schemathesis.checks.CHECKS.get_all_names()
    check_gateway("examples", "getPlan", phases=("examples",))
    assert schemathesis.checks.CHECKS.get_all_names() == before
    assert not GLOBAL_HOOK_DISPATCHER.get_all()


@pytest.mark.parametrize(
    ("operation", "body", "real"),
    [
        ("generateContent", {"contents": [{"role": None, "parts": [{"text": "Hi"}]}]}, False),
        ("generateContent", {"contents": [{"role": 7, "parts": [{"text": "Hi"}]}]}, True),
        ("generateContent", {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}, True),
        ("createChatCompletion", {"model": "gpt-5.4", "messages": None}, True),
    ],
    ids=["null in Gemini's JSON", "a wrong type", "wrong elsewhere", "null in another protocol"],
)
def test_another_spelling_of_a_valid_body_may_be_accepted(operation: str, body: Any, real: bool) -> None:
    contract = load_contract([locate_document(name) for name in DOCUMENTS])
    found = contract.operations[operation]
    failure = type("AcceptedNegativeData", (), {})()
    case = SimpleNamespace(operation=SimpleNamespace(path=found.path, method=found.method), body=body)
    adapter = CaseAdapter(cast("Any", SimpleNamespace(contract=contract)))
    assert adapter.is_real_failure(failure, case, SimpleNamespace(headers={}, status_code=200)) is real
