"""The checker on another gateway, and the report of it that is kept as an example."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson
import pytest

from aione_mock.checker.reports.json_report import ReportModel

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "example-report"
ENVIRONMENT = os.environ.get("AIONE_LITELLM_ENV", "")
HIDDEN = re.compile(r"sk-(?!nex-this-key-was-never-made)|/home/|/root/|site-packages")
"""What a committed report must not have: keys, except one made up to be rejected, and paths of a machine."""


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads((FOLDER / "litellm.json").read_bytes())
    return found


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_litellm", ROOT / "scripts" / "check_litellm.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(not ENVIRONMENT, reason="AIONE_LITELLM_ENV names no environment with litellm")
def test_the_proxy_is_found_as_the_example_says(golden: dict[str, Any]) -> None:
    report = _script().run(Path(ENVIRONMENT), phases=(), only=("OpenAI", "Anthropic"))
    found = {finding.fingerprint for finding in report.findings}
    assert not report.could_not
    assert not report.stopped
    assert len(found) > 10
    assert found <= {finding["fingerprint"] for finding in golden["findings"]}


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
    assert {finding["fingerprint"] for finding in golden["findings"]} <= broken
    assert all(finding["expected"] and finding["seen"] and finding["curl"] for finding in golden["findings"])


def test_what_the_proxy_does_not_have_is_told_once_for_each_operation(golden: dict[str, Any]) -> None:
    missing = [f["operation"] for f in golden["findings"] if f["law"] == "operation-served"]
    assert {"listKeys", "queryUsage", "ModelRouterQueryObservationLogs"} <= set(missing)
    assert all(f["law"] == "operation-served" for f in golden["findings"] if f["operation"] in missing)


@pytest.mark.parametrize("name", ["litellm.json", "litellm.html"])
def test_the_example_holds_no_credential_and_no_place(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert _script().SHOWN in text
    assert _script().KEY not in text
    assert HIDDEN.findall(text) == []
