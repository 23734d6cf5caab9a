"""Generated cases: no false alarm on the mock, the right check for what is wrong, nothing left behind in the
process.
"""

from __future__ import annotations

import pytest

from aione_mock.checker.plan import CHECKS
from aione_mock.checker.report import CheckReport
from tests.checker.broken import Asked, Change, Layer, answers, anyone, edits, headers, restatus
from tests.checker.conftest import Checked, given_time

KEYS, USAGE, ACCOUNT = "/gateway/keys$", "/obs/usage$", "/account$"


@pytest.mark.parametrize("phase", ["examples", "coverage", "fuzzing", "stateful"])
def test_the_mock_gives_no_finding(phase: str, checked: Checked) -> None:
    report = given_time(
        lambda seconds: checked(phase, phases=(phase,), generate_time=seconds, cases=4),
        lambda report: not report.kept or report.counts.cases > 5,
        15.0,
    )
    assert report.kept, str(report)
    assert report.counts.cases > 5
    assert set(report.matrix) >= set(CHECKS)


@pytest.mark.parametrize(
    ("check", "operation", "change"),
    [
        ("not_a_server_error", "getBillingAccount", answers(ACCOUNT, 500, {"detail": "x"})),
        ("status_code_conformance", "getBillingAccount", answers(ACCOUNT, 418, {"detail": "x"})),
        ("content_type_conformance", "getBillingAccount", headers(content_type="text/plain")),
        ("response_headers_conformance", "getBillingAccount", headers(x_request_id=None)),
        ("response_schema_conformance", "getBillingAccount", edits(ACCOUNT, lambda value: {"id": 7})),
        (
            "negative_data_rejection",
            "getDashboard",
            answers("/dashboard$", 200, when=lambda a: "range_days=0" in a.query),
        ),
        (
            "positive_data_acceptance",
            "queryUsage",
            answers(USAGE, 422, {"detail": [{"loc": ["query"], "msg": "", "type": ""}]}),
        ),
        ("unsupported_method", "getPlan", restatus(405, 200)),
        ("allow_header_conformance", "getPlan", headers(allow="DELETE")),
        ("ignored_auth", "getPlan", anyone()),
    ],
)
def test_each_check_sees_what_it_is_there_for(check: str, operation: str, change: Change, checked: Checked) -> None:
    phases = ("examples", "coverage")
    report = given_time(
        lambda seconds: checked(operation, check, change=change, phases=phases, generate_time=seconds),
        lambda report: (check, operation) in found(report),
        6.0,
    )
    assert (check, operation) in found(report)
    assert "curl" in next(f for f in report.findings if f.law == check).curl


def found(report: CheckReport) -> set[tuple[str, str]]:
    return {(finding.law, finding.operation) for finding in report.findings}


def test_keys_of_others_are_left_alone(layer: Layer, checked: Checked) -> None:
    """Examples name keys that exist: a request that would change one is not passed on."""
    before = checked("key-list-order")
    assert before.kept
    checked("examples", "coverage", "API keys", phases=("examples", "coverage"), generate_time=6.0)
    example = "0d3f9b62-8a14-4b7e-9c50-e6a1f27d4b83"
    changing = [asked for asked in layer.seen if asked.method in ("PUT", "DELETE") and example in asked.path]
    assert not [asked for asked in changing if _authorised(asked)]


def _authorised(asked: Asked) -> bool:
    return "nex-console-tech" in asked.headers.get("authorization", "")


def test_nothing_is_registered_process_wide(checked: Checked) -> None:
    import schemathesis.checks
    from schemathesis.hooks import GLOBAL_HOOK_DISPATCHER

    before = schemathesis.checks.CHECKS.get_all_names()
    checked("examples", "getPlan", phases=("examples",), generate_time=3.0)
    assert schemathesis.checks.CHECKS.get_all_names() == before
    assert not GLOBAL_HOOK_DISPATCHER.get_all()
