"""A gateway that speaks one protocol: what it lacks is said once, and hides nothing of the rest."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aione_mock.checker import Target, check
from aione_mock.checker.deduplication import NO_SUCH_OPERATION
from aione_mock.checker.outages import STREAM_LAW
from aione_mock.checker.report import EXIT_COULD_NOT, CheckReport
from aione_mock.server.http import Server
from tests.checker.openai_gateway import KEY, OpenAIGateway

OPENAI = "tag:OpenAI"


@pytest.fixture
def gateway() -> OpenAIGateway:
    return OpenAIGateway()


@pytest.fixture
def url(gateway: OpenAIGateway) -> Iterator[str]:
    with Server(gateway) as server:
        yield server.url


def run(url: str, *only: str, phases: tuple[str, ...] = ()) -> CheckReport:
    return check(Target(url, key=KEY), only=only, phases=phases, cases=2)


@pytest.mark.parametrize("law", ["stream-order", "stream-events"])
def test_a_law_that_was_asked_for_is_checked_where_it_can_be(url: str, law: str) -> None:
    report = run(url, law)
    assert (report.exit_code, report.findings) == (0, ())
    states = {name: (cell.state, cell.reason) for name, cell in report.matrix[law].items()}
    assert states["createChatCompletion"] == ("kept", "")
    assert states["streamGenerateContent"] == ("not checked", NO_SUCH_OPERATION)
    assert (NO_SUCH_OPERATION, (f"{law} at streamGenerateContent",)) in report.unchecked


def test_a_law_about_answers_says_nothing_of_operations_that_do_not_exist(url: str) -> None:
    report = run(url, "usage-sums")
    assert (report.exit_code, report.findings) == (0, ())
    assert report.matrix["usage-sums"]["createChatCompletion"].state == "kept"


def test_a_run_that_could_check_nothing_says_so(url: str) -> None:
    report = run(url, "usage-sums", "tag:Gemini")
    assert report.exit_code == EXIT_COULD_NOT
    assert NO_SUCH_OPERATION in report.verdict


@pytest.mark.parametrize("only", [(), ("tag:Gemini",), (f"law:{STREAM_LAW}",)])
def test_what_does_not_exist_is_a_violation_unless_laws_are_named(url: str, only: tuple[str, ...]) -> None:
    report = run(url, *only)
    assert report.headline.startswith("Does not work: ")
    missing = {finding.operation for finding in report.findings if finding.law == "operation-served"}
    assert "streamGenerateContent" in missing


def test_no_case_is_generated_for_an_operation_that_does_not_exist(url: str, gateway: OpenAIGateway) -> None:
    report = run(url, "tag:OpenAI", "tag:Gemini", phases=("coverage", "fuzzing"))
    assert report.counts.cases > 20
    generated = [path for method, path, _ in gateway.asked[-report.counts.cases :] if method == "POST"]
    assert any(path.startswith("v1/chat") or path.startswith("/v1/chat") for path in generated)
    assert not any("generateContent" in path for path in generated)
    assert report.matrix["negative_data_rejection"]["generateContent"].reason == NO_SUCH_OPERATION
