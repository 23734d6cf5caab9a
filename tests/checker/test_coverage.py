"""Coverage counts what was exercised of the contract, in a run and in the journal of a mock."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx2
import pytest

from aione_mock.checker.coverage import KINDS, ContractCoverage, CoverageRecorder, ObservedCall, PartsCoverage
from aione_mock.checker.report import EXIT_FOUND
from aione_mock.checker.reports import RENDERERS
from aione_mock.cli import main
from aione_mock.contract import Contract
from aione_mock.contract.loading import load_contract
from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.settings import DOCUMENTS, Settings, locate_document
from aione_mock.structs import replace
from tests.checker.conftest import CheckGateway
from tests.checker.faulty_gateway import KEY

QUESTION = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 5}


@pytest.fixture(scope="module")
def contract() -> Contract:
    return load_contract([locate_document(name) for name in DOCUMENTS])


@pytest.fixture
def mock() -> Iterator[httpx2.Client]:
    """Return a client of a mock whose journal is empty."""
    with (
        Server(create_app(Settings(control_token="secret"))) as server,
        httpx2.Client(base_url=server.url, headers={"authorization": f"Bearer {KEY}"}) as client,
    ):
        yield client


def measure(client: httpx2.Client, path: Path, *options: str) -> tuple[int, Any]:
    code = main(["coverage", "--url", str(client.base_url), "--control-token", "secret", "--json", str(path), *options])
    return code, json.loads(path.read_bytes()) if path.exists() else None


def test_what_clients_of_a_mock_did_is_told(mock: httpx2.Client, tmp_path: Path, capsys: Any) -> None:
    mock.post("/v1/chat/completions", json={**QUESTION, "stream": True})
    mock.post("/v1/chat/completions", json={"model": "gpt-5.4"})
    mock.get("/v1beta/models", params={"pageSize": "1"})
    mock.get("/no/such/path")
    code, coverage = measure(mock, tmp_path / "coverage.json")
    assert code == 0
    chat, gemini = coverage["operations"]["createChatCompletion"], coverage["operations"]["listGeminiModels"]
    assert chat["statuses"]["seen"] == ["200", "400"]
    assert chat["error codes"]["seen"] == ["400 invalid_request"]
    assert chat["forms"] == {"seen": ["text/event-stream"], "missing": ["application/json"]}
    assert set(chat["parameters"]["seen"]) == {"body model", "body messages", "body max_tokens", "body stream"}
    assert gemini["parameters"] == {"seen": ["query pageSize"], "missing": ["query pageToken"]}
    output = capsys.readouterr().out
    assert "everything: it was never called" in output
    assert f"Contract coverage: {coverage['percent']} %" in output


def test_a_minimum_can_be_demanded(mock: httpx2.Client, tmp_path: Path) -> None:
    mock.get("/v1/models")
    _, coverage = measure(mock, tmp_path / "coverage.json")
    assert 0 < coverage["percent"] < 2
    assert measure(mock, tmp_path / "coverage.json", "--min", str(coverage["percent"]))[0] == 0
    assert measure(mock, tmp_path / "coverage.json", "--min", str(coverage["percent"] + 0.1))[0] == 1


def test_each_session_has_its_own(mock: httpx2.Client, tmp_path: Path) -> None:
    mock.get("/v1/models", headers={"x-mock-session": "other"})
    assert measure(mock, tmp_path / "coverage.json", "--session", "other")[0] == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--control-token", "secret"], "has no calls in its journal; send some first"),
        (["--control-token", "wrong"], "cannot be read"),
        (["--url", "http://127.0.0.1:1"], "no mock answers at"),
        (["--min", "101"], "--min"),
        (
            ["--url", "{mock}/v1"],
            "/v1 is no aione-mock: it answers 404 to /_mock/health; the URL should not end in /v1",
        ),
    ],
)
def test_what_cannot_be_measured_is_one_line(options: list[str], words: str, mock: httpx2.Client, capsys: Any) -> None:
    url = str(mock.base_url)
    assert main(["coverage", "--url", url, *[option.format(mock=url.rstrip("/")) for option in options]]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_a_mock_of_another_version_is_one_line(
    mock: httpx2.Client, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    mock.get("/v1/models")
    monkeypatch.setattr("aione_mock.testing.calls.RecordedCall.from_exchange", lambda exchange: exchange["ticks"])
    assert main(["coverage", "--url", str(mock.base_url), "--control-token", "secret"]) == 2
    error = capsys.readouterr().err
    assert "call 1 has another form than this version reads; use one version of aione-mock on both sides" in error
    assert error.count("\n") == 1


def test_all_that_can_be_seen_is_all_that_is_counted(contract: Contract) -> None:
    recorder = CoverageRecorder(contract, contract.operations)
    for name, kinds in recorder.measure().operations.items():
        operation = contract.operations[name]
        forms = kinds["forms"].missing or ("",)
        for error in (*operation.errors.values(), None):
            for status in operation.responses:
                recorder.record(ObservedCall(operation=name, status=int(status), media_type=forms[0]))
            for form in forms:
                recorder.record(ObservedCall(operation=name, status=operation.success, media_type=form))
            if error:
                recorder.record(ObservedCall(operation=name, status=error.status, media_type="", answer=error.body))
        words = [part.split(" ", 1) for part in kinds["parameters"].missing]
        recorder.record(
            ObservedCall(
                operation=name,
                status=operation.success,
                media_type="",
                query=[word for place, word in words if place == "query"],
                headers=[word for place, word in words if place == "header"],
                body={word: 1 for place, word in words if place == "body"},
            )
        )
    assert recorder.measure().percent == 100
    assert all(recorder.measure().sum_kind(kind).total > 5 for kind in KINDS)


def test_a_share_is_never_rounded_up() -> None:
    parts = {kind: PartsCoverage((), ()) for kind in KINDS}
    nearly = ContractCoverage({"x": {**parts, "statuses": PartsCoverage(("1",) * 1999, ("2",))}})
    assert nearly.percent == 99.9


def test_a_run_measures_its_own_coverage(check_gateway: CheckGateway) -> None:
    report = check_gateway("listGeminiModels", coverage_min=90.0)
    assert list(report.coverage.operations) == ["listGeminiModels"]
    parts = report.coverage.operations["listGeminiModels"]
    assert {"200", "401"} <= set(parts["statuses"].seen)
    assert "500" in parts["statuses"].missing
    assert report.exit_code == EXIT_FOUND
    assert report.verdict.count("are required") == 1
    assert replace(report, require_checked=101.0).verdict.count("are required") == 2
    assert check_gateway("listGeminiModels", coverage_min=report.coverage.percent).all_kept


def test_each_report_has_the_table(check_gateway: CheckGateway) -> None:
    report = check_gateway("listGeminiModels", coverage_min=100.0)
    value = json.loads(RENDERERS["json"](report))
    assert value["coverage"]["percent"] == report.coverage.percent
    assert "503" in value["coverage"]["operations"]["listGeminiModels"]["statuses"]["missing"]
    run = json.loads(RENDERERS["sarif"](report))["runs"][0]
    assert run["properties"]["coverage"]["percent"] == report.coverage.percent
    for name in ("html", "junit"):
        text = RENDERERS[name](report).decode()
        assert report.coverage.summary in text
        assert "503 UNAVAILABLE" in text
    suite = ElementTree.fromstring(RENDERERS["junit"](report)).find("testsuite[@name='coverage']")
    assert suite is not None
    assert len(suite.findall("testcase/failure")) == 1
