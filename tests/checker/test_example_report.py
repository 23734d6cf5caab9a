"""The report of another gateway that is kept as an example."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from aione_mock.checker.reports.json_report import ReportModel
from aione_mock.tenant.organisation_file import list_credentials

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "example-report"
HIDDEN = re.compile(r"sk-(?!nex-this-key-was-never-made|nex-\W)|/home/|/root/|site-packages")
"""What a committed report must not have: keys, except those made up to be rejected, and paths of a machine."""


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads((FOLDER / "litellm.json").read_bytes())
    return found


def _list_findings(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [finding for cause in report["causes"] for finding in cause["findings"]]


def test_the_example_has_the_format_of_reports(golden: dict[str, Any]) -> None:
    report = ReportModel.model_validate(golden)
    assert report.model_dump(mode="json") == golden
    assert (report.exit_code, report.could_not, report.stopped) == (1, None, None)
    states = [cell["state"] for row in golden["matrix"].values() for cell in row.values()]
    for state in ("kept", "broken", "not checked"):
        assert states.count(state) == golden["counts"][state.replace(" ", "_")] > 0
    assert {law["name"] for law in golden["laws"]} == set(golden["matrix"])


def test_each_finding_of_the_example_stands_in_its_matrix(golden: dict[str, Any]) -> None:
    broken = {f"{law}:{o}" for law, row in golden["matrix"].items() for o, c in row.items() if c["state"] == "broken"}
    findings = _list_findings(golden)
    assert {f"{finding['law']}:{finding['operation']}" for finding in findings} <= broken
    assert all(finding["expected"] and finding["seen"] and finding["curl"] for finding in findings)


def test_the_example_tells_each_cause_once(golden: dict[str, Any]) -> None:
    titles = [cause["title"] for cause in golden["causes"]]
    assert len(titles) == len(set(titles))
    assert len(titles) <= 40
    assert len(titles) * 3 < len(_list_findings(golden))


def test_what_the_proxy_does_not_have_is_told_once(golden: dict[str, Any]) -> None:
    (missing,) = [cause for cause in golden["causes"] if "operation-served" in cause["laws"]]
    assert {"listKeys", "queryUsage", "ModelRouterQueryObservationLogs"} <= set(missing["operations"])
    others = [cause for cause in golden["causes"] if cause is not missing]
    assert not {o for cause in others for o in cause["operations"]} & set(missing["operations"])


@pytest.mark.parametrize("name", ["litellm.json", "litellm.html"])
def test_the_example_holds_no_credential_and_no_place(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert "http://127.0.0.1:4000" in text
    assert not [credential.secret for credential in list_credentials() if credential.secret in text]
    assert HIDDEN.findall(text) == []
