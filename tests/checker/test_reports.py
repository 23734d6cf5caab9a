"""Reports, baselines and the command line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import orjson
import pytest

from aione_mock.checker.baseline import load_baseline, save_baseline
from aione_mock.checker.comparison import compare_targets
from aione_mock.checker.errors import CheckError
from aione_mock.checker.options import CheckOptions
from aione_mock.checker.report import CheckReport, rank_findings
from aione_mock.checker.reports import RENDERERS
from aione_mock.cli import main
from tests.checker.conftest import CheckGateway, target
from tests.checker.faulty_gateway import ACCESS, KEY, TOKEN, Fault, FaultyGateway, edit_json, set_headers

WRONG = edit_json("/gateway/keys$", lambda value: {**value, "total": "<b>many</b>"})


@pytest.fixture
def broken(check_gateway: CheckGateway) -> CheckReport:
    """A report with a violation, an assumption mismatch, kept and unchecked places."""
    return check_gateway("schema", "key-list-order", "limit-headers", fault=WRONG)


def test_json_says_all(broken: CheckReport) -> None:
    value = orjson.loads(RENDERERS["json"](broken))
    assert value["exit_code"] == 1
    assert {finding["law"] for finding in value["findings"]} == {finding.law for finding in broken.findings}
    assert value["matrix"]["schema"]["listKeys"]["state"] == "broken"
    assert value["counts"]["requests"] == broken.counts.requests


def test_junit_has_a_case_for_each_place(broken: CheckReport) -> None:
    root = ElementTree.fromstring(RENDERERS["junit"](broken))
    cases = root.findall("testsuite/testcase")
    assert len(cases) == sum(len(cells) for cells in broken.matrix.values())
    assert len(root.findall("testsuite/testcase/failure")) == len(broken.findings)
    assert root.findall("testsuite/testcase/skipped")


def test_html_is_one_file_and_escapes_what_the_server_said(broken: CheckReport) -> None:
    text = RENDERERS["html"](broken).decode()
    assert "<b>many</b>" not in text
    assert "&lt;b&gt;many" in text
    for outside in ("http-equiv", "<script", "<link", "src=", "@import"):
        assert outside not in text
    assert "prefers-color-scheme: dark" in text
    for law in broken.laws:
        assert law.title in text


def test_sarif_has_a_rule_for_each_law_and_a_result_for_each_finding(broken: CheckReport) -> None:
    run = orjson.loads(RENDERERS["sarif"](broken))["runs"][0]
    assert {rule["id"] for rule in run["tool"]["driver"]["rules"]} == {law.name for law in broken.laws}
    assert [result["ruleId"] for result in run["results"]] == [finding.law for finding in broken.findings]


def test_violations_come_before_assumptions(broken: CheckReport) -> None:
    severities = [finding.severity for finding in rank_findings(broken.findings)]
    assert severities == sorted(severities, reverse=True)


def test_a_baseline_takes_findings_out_and_tells_what_is_gone(check_gateway: CheckGateway, tmp_path: Path) -> None:
    first = check_gateway("schema", "key-list-order", fault=WRONG)
    path = tmp_path / "known" / "findings.txt"
    save_baseline(path, first)
    again = check_gateway("schema", "key-list-order", fault=WRONG, baseline=load_baseline(path))
    assert again.kept
    assert {f.fingerprint for f in again.known_findings} == {f.fingerprint for f in first.findings}
    mended = check_gateway("schema", "key-list-order", baseline=load_baseline(path))
    assert set(mended.fixed_fingerprints) == {f.fingerprint for f in first.findings}


def test_a_baseline_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "baseline.txt"
    path.write_text("what is this\n")
    with pytest.raises(CheckError, match=r"baseline\.txt:1"):
        load_baseline(path)


def test_fail_on_violation_passes_over_assumptions(check_gateway: CheckGateway) -> None:
    report = check_gateway("limit-headers", fault=set_headers(x_ratelimit_remaining_requests="5"), fail_on="violation")
    assert report.assumptions
    assert report.exit_code == 0
    with pytest.raises(AssertionError, match="limit-headers"):
        check_gateway("limit-headers", fault=set_headers(x_ratelimit_remaining_requests="5")).assert_kept()


# Comparison


def test_two_that_are_alike(gateway: FaultyGateway) -> None:
    gateway.fault = Fault()
    found = compare_targets(
        target(gateway.url),
        target(gateway.url),
        CheckOptions(only=("usage-rows", "schema", "models-agree")),
    )
    assert found.exit_code == 0, list(found.render_text())
    assert found.both_keep > 0


def test_what_only_one_keeps_and_where_shapes_differ(gateway: FaultyGateway, server: object) -> None:
    gateway.fault = WRONG
    try:
        right = target(server.url)
        found = compare_targets(target(gateway.url), right, CheckOptions(only=("schema", "key-list-order")))
    finally:
        gateway.fault = Fault()
    assert found.exit_code == 1
    kinds = {(difference.kind, difference.operation) for difference in found.differences}
    assert ("only B keeps", "listKeys") in kinds
    shape = next(difference for difference in found.differences if difference.kind == "shape")
    assert (shape.what, shape.a, shape.b) == ("200 /total", "string", "integer")
    assert orjson.loads(found.render_json())["differences"]


# Command line


@pytest.fixture
def plain(gateway: FaultyGateway, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyGateway]:
    for name in ("AIONE_API_KEY", "AIONE_CONSOLE_TOKEN", "AIONE_OTHER_TOKEN", "AIONE_BUSINESS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    gateway.fault = Fault()
    yield gateway
    gateway.fault = Fault()


def test_check_takes_credentials_from_the_environment_and_writes_reports(
    plain: FaultyGateway, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AIONE_CONSOLE_TOKEN", TOKEN)
    files = {name: tmp_path / f"report.{name}" for name in ("html", "json", "junit", "sarif")}
    options = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    plain.fault = WRONG
    code = main(["check", plain.url, "--only", "key-list-order", "--only", "schema", *options])
    told = capsys.readouterr()
    assert code == 1
    assert "VIOLATION listKeys" in told.out or "ASSUMPTION MISMATCH listKeys" in told.out
    assert "$AIONE_CONSOLE_TOKEN" in told.out
    for text in (told.out, told.err, *(path.read_text() for path in files.values())):
        assert TOKEN not in text
    assert orjson.loads(files["json"].read_bytes())["exit_code"] == 1


def test_check_of_a_good_one_ends_with_0(plain: FaultyGateway, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["check", plain.url, "--token", TOKEN, "--only", "key-list-order"])
    assert code == 0
    assert "No finding." in capsys.readouterr().out


def test_check_of_nobody_ends_with_2_and_still_writes_the_report(plain: FaultyGateway, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    assert main(["check", "http://127.0.0.1:1", "--key", KEY, "--json", str(path)]) == 2
    assert orjson.loads(path.read_bytes())["could_not"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--only", "nothing"], "no tag, operation, law or phase"),
        (["--max-time", "soon"], "is not a duration"),
        (["--max-time", "0s"], "is not a positive duration"),
        (["--rate-limit", "fast"], "is not a rate"),
        (["--spend-limit", "much"], "is not an amount"),
        (["--update-baseline"], "needs --baseline"),
        (["--baseline", "/no/such/file"], "cannot read the baseline"),
        (["--overlay", "/no/such/file"], "cannot read the overlay"),
    ],
)
def test_options_that_cannot_be_used_are_one_line(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "http://127.0.0.1:1", "--key", KEY, *options]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    "url", ["", "nowhere://x", "http://", "http://user:pass@host", "http://host:99999", "http://h?x=1"]
)
def test_addresses_that_cannot_be_used(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", url, "--key", KEY]) == 2
    assert "pass" not in capsys.readouterr().err.replace("password", "")


def test_the_baseline_is_made_and_used(plain: FaultyGateway, tmp_path: Path) -> None:
    path = tmp_path / "baseline.txt"
    plain.fault = WRONG
    words = [
        "check",
        plain.url,
        "--token",
        TOKEN,
        "--only",
        "key-list-order",
        "--only",
        "schema",
        "--baseline",
        str(path),
    ]
    assert main([*words, "--update-baseline"]) == 1
    assert main(words) == 0


def test_diff_compares(plain: FaultyGateway, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["diff", plain.url, plain.url, "--token", TOKEN, "--only", "usage-rows"])
    assert code == 0
    assert "Both keep" in capsys.readouterr().out


def test_diff_takes_credentials_of_the_second_alone(
    plain: FaultyGateway, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIONE_CONSOLE_TOKEN", TOKEN)
    monkeypatch.setenv("AIONE_CONSOLE_TOKEN_B", "nobody-knows-this-token")
    code = main(["diff", plain.url, plain.url, "--only", "usage-rows"])
    said = capsys.readouterr().out
    assert code == 2
    assert re.search("^A .*No finding", said, re.MULTILINE)
    assert re.search("^B .*rejected", said, re.MULTILINE)
    assert "nobody-knows" not in said


def test_signed_requests_are_shown_without_their_signature(check_gateway: CheckGateway) -> None:
    report = check_gateway(
        "router-half-open",
        fault=edit_json("/metrics$", lambda v: v["data"].update(totalCalls=v["data"]["totalCalls"] + 1)),
    )
    assert report.findings, report.unchecked
    finding = report.findings[0]
    assert "sign it first" in finding.curl
    assert "Signature=" not in finding.curl
    assert not [secret for secret in ACCESS if secret in finding.curl]
