"""Reports, baselines and the command line."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from html import escape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import orjson
import pytest
from pydantic import ValidationError
from pydantic_sarif.model import StaticAnalysisResultsFormatSarifVersion210JsonSchema

from aione_mock.checker.baseline import load_baseline, update_baseline
from aione_mock.checker.comparison import compare_targets
from aione_mock.checker.errors import CheckError
from aione_mock.checker.finding import LawFinding
from aione_mock.checker.options import CheckOptions
from aione_mock.checker.report import CheckReport, rank_findings
from aione_mock.checker.reports import RENDERERS
from aione_mock.checker.reports.json_report import FindingModel, ReportModel
from aione_mock.cli import main
from aione_mock.server.http import Server
from aione_mock.structs import replace
from tests.checker.conftest import CheckGateway, target
from tests.checker.faulty_gateway import (
    ACCESS,
    KEY,
    TOKEN,
    Fault,
    FaultyGateway,
    SeenRequest,
    SentResponse,
    answer_with,
    edit_json,
    edit_request,
    edit_stream,
    replace_status,
    set_headers,
)

WRONG = edit_json("/gateway/keys$", lambda value: {**value, "total": "<b>many</b>"})


@pytest.fixture
def broken(check_gateway: CheckGateway) -> CheckReport:
    """A report with a violation, an assumption mismatch, kept and unchecked places."""
    return check_gateway("schema", "key-list-order", "limit-headers", fault=WRONG)


def test_json_says_all(broken: CheckReport) -> None:
    value = orjson.loads(RENDERERS["json"](broken))
    assert value["exit_code"] == 1
    assert [cause["title"] for cause in value["causes"]] == [cause.title for cause in broken.causes]
    found = [finding["fingerprint"] for cause in value["causes"] for finding in cause["findings"]]
    assert found == [finding.fingerprint for finding in broken.findings]
    assert value["matrix"]["schema"]["listKeys"]["state"] == "broken"
    assert value["counts"]["requests"] == broken.counts.requests


def test_junit_has_a_case_for_each_place_and_a_failure_for_each_that_is_broken(broken: CheckReport) -> None:
    root = ElementTree.fromstring(RENDERERS["junit"](broken))
    cases = root.findall("testsuite/testcase")
    assert len(cases) == 1 + sum(len(cells) for cells in broken.matrix.values()), "one is about coverage"
    assert all(len(case.findall("failure")) <= 1 for case in cases)
    places = {finding.place for finding in broken.findings}
    assert len(root.findall("testsuite/testcase/failure")) == len(places)
    assert root.findall("testsuite/testcase/skipped")
    assert {suite.get("time") for suite in root.findall("testsuite[@name='key-list-order']")} - {None, "0.000"}
    for suite in root.findall("testsuite"):
        assert int(suite.get("failures", "0")) == len(suite.findall("testcase/failure"))


def test_every_report_tells_under_which_conditions_it_was_made(check_gateway: CheckGateway, tmp_path: Path) -> None:
    overlay = tmp_path / "ours.yaml"
    overlay.write_text("overlay: 1.0.0\ninfo: {title: a, version: '1'}\nactions: []\n")
    report = check_gateway("key-list-order", seed="77", overlays=(overlay,), timeout=7.0)
    details = report.details
    assert (details.seed, details.overlays, details.options["timeout"]) == ("77", (str(overlay),), "7")
    assert details.started.startswith("20")
    assert details.contract_versions["aione.yaml"]
    for name in ("json", "junit", "sarif"):
        text = RENDERERS[name](report).decode()
        for value in (details.started[:16], details.tool_version, "77", str(overlay)):
            assert value in text, (name, value)
        assert TOKEN not in text


def test_html_is_one_file_and_escapes_what_the_server_said(broken: CheckReport) -> None:
    text = RENDERERS["html"](broken).decode()
    assert "<b>many</b>" not in text
    assert "&lt;b&gt;many" in text
    for outside in ("http-equiv", "<script ", "<link", "src=", "@import", "fetch("):
        assert outside not in text
    assert "prefers-color-scheme: dark" in text
    for law in broken.laws:
        assert law.title in text
    for number, cause in enumerate(broken.causes, start=1):
        assert f'href="#cause-{number}"' in text
        card = text.partition(f'id="cause-{number}"')[2].partition("</summary>")[0]
        for shown in (cause.title, cause.principal.expected, cause.principal.seen):
            assert escape(shown) in card
        for operation in cause.operations:
            assert f'<option value="{operation}">' in text


def test_sarif_has_a_rule_for_each_law_and_a_result_for_each_cause(broken: CheckReport) -> None:
    run = orjson.loads(RENDERERS["sarif"](broken))["runs"][0]
    driver = run["tool"]["driver"]
    assert {rule["id"] for rule in driver["rules"]} == {law.name for law in broken.laws}
    assert not [rule for rule in driver["rules"] if rule["name"] == rule["id"]]
    assert driver["version"]
    assert driver["informationUri"].startswith("https://")
    assert [result["ruleId"] for result in run["results"]] == [cause.principal.law for cause in broken.causes]
    prints = [result["partialFingerprints"]["primaryLocationLineHash"] for result in run["results"]]
    assert all(re.fullmatch("[0-9a-f]{16}:1", text) for text in prints)
    assert len(set(prints)) == len(prints)
    assert all(result["locations"][0]["physicalLocation"]["region"]["startLine"] for result in run["results"])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((), None),
        (("version",), "2.0.0"),
        (("runs", 0, "tool"), {}),
        (("runs", 0, "invocations", 0, "startTimeUtc"), "yesterday"),
        (("runs", 0, "results", 0, "level"), "fatal"),
        (("runs", 0, "results", 0, "message"), None),
        (("runs", 0, "results", 0, "ruleid"), "misspelt"),
        (("runs", 0, "results", 0, "locations", 0, "physicalLocation", "region", "startLine"), 0),
    ],
)
def test_sarif_keeps_the_official_schema(broken: CheckReport, path: tuple[str | int, ...], value: Any) -> None:
    """The schema accepts a report, and refuses it with one member changed."""
    document = orjson.loads(RENDERERS["sarif"](broken))
    if path:
        *outer, last = path
        holder = document
        for step in outer:
            holder = holder[step]
        holder[last] = value
    with pytest.raises(ValidationError) if path else nullcontext():
        StaticAnalysisResultsFormatSarifVersion210JsonSchema.model_validate(document)


def test_sarif_points_at_the_line_of_a_file_that_names_the_operation(
    plain: FaultyGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("gateway.yml").write_text("routes:\n  - createKey\n  - listKeys\n")
    plain.fault = WRONG
    options = [
        "--token",
        TOKEN,
        "--only",
        "law:key-list-order",
        "--sarif",
        "a.sarif",
        "--sarif-location",
        "gateway.yml",
    ]
    assert main(["check", plain.url, *options]) == 1
    (result,) = orjson.loads(Path("a.sarif").read_bytes())["runs"][0]["results"]
    place = result["locations"][0]["physicalLocation"]
    assert (place["artifactLocation"]["uri"], place["region"]["startLine"]) == ("gateway.yml", 3)


@pytest.mark.parametrize(
    ("folder", "options", "uri"),
    [
        ("repository/src", ["--sarif-location", "../gw my.py"], "gw%20my.py"),
        ("repository/src", [], ".github/workflows/check.yml"),
        ("repository/src", ["--baseline", "../../known.txt"], ".github/workflows/check.yml"),
        ("elsewhere", [], "README.md"),
    ],
)
def test_sarif_points_into_the_repository(
    plain: FaultyGateway,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    folder: str,
    options: list[str],
    uri: str,
) -> None:
    for name in ("known.txt", "repository/.git/HEAD", "repository/gw my.py", "repository/.github/workflows/check.yml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / folder)
    plain.fault = WRONG
    given = ["--token", TOKEN, "--only", "law:key-list-order", "--sarif", "a.sarif", *options]
    assert main(["check", plain.url, *given]) == 1
    (result,) = orjson.loads(Path("a.sarif").read_bytes())["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == uri


def test_sarif_points_at_no_file_outside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outside = tmp_path / "gw.py"
    outside.write_text("")
    assert main(["check", "http://127.0.0.1:1", "--sarif-location", str(outside)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "is not in the repository" in line


def test_the_documented_members_are_those_of_the_report() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "reports.md").read_text(encoding="utf-8")
    report, finding = page.split("| member of a finding")
    for text, model in ((report.partition("| member |")[2], ReportModel), (finding, FindingModel)):
        rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
        assert set(re.findall("`(\\w+)`", " ".join(rows))) == set(model.model_fields)


def test_figures_say_what_they_count(plain: FaultyGateway, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    plain.fault = edit_json("/gateway/keys$", lambda value: {"items": [{}]})
    page = tmp_path / "report.html"
    assert (
        main(
            [
                "check",
                plain.url,
                "--token",
                TOKEN,
                "--only",
                "law:schema",
                "--only",
                "law:key-list-order",
                "--html",
                str(page),
            ]
        )
        == 1
    )
    told = re.search(r"Cells \(operation × law\): (\d+ kept), (\d+ broken)", text := capsys.readouterr().out)
    assert told, text
    assert re.search(r", shown by \d+ findings\.$", text.strip()), text
    shown = page.read_text(encoding="utf-8")
    assert "Each cell is one law at one operation." in shown
    assert f"✓ {told[1]}, ✗ {told[2]}, ·" in shown


def test_violations_come_before_assumptions(broken: CheckReport) -> None:
    severities = [finding.severity for finding in rank_findings(broken.findings)]
    assert severities == sorted(severities, reverse=True)


def test_a_baseline_takes_findings_out_and_tells_what_is_gone(check_gateway: CheckGateway, tmp_path: Path) -> None:
    first = check_gateway("schema", "key-list-order", fault=WRONG)
    path = tmp_path / "known" / "findings.txt"
    assert update_baseline(path, (), first, add=True, prune=False)
    again = check_gateway("schema", "key-list-order", fault=WRONG, baseline=load_baseline(path))
    assert again.all_kept
    assert "in the baseline" in again.verdict
    assert {f.fingerprint for f in again.known_findings} == {f.fingerprint for f in first.findings}
    mended = check_gateway("schema", "key-list-order", baseline=load_baseline(path))
    assert set(mended.fixed_fingerprints) == {f.fingerprint for f in first.findings}


def test_a_new_fault_is_not_hidden_by_a_known_one_of_the_same_law(check_gateway: CheckGateway, tmp_path: Path) -> None:
    def lose(*names: str) -> Fault:
        return edit_json("/v1/models$", lambda v: [item.pop(name, None) for item in v["data"] for name in names] and v)

    path = tmp_path / "known.txt"
    update_baseline(path, (), check_gateway("schema", "models-unique", fault=lose("created")), add=True, prune=False)
    report = check_gateway("schema", "models-unique", fault=lose("created", "owned_by"), baseline=load_baseline(path))
    assert [finding.fingerprint for finding in report.findings] == ["schema:listModels:2xx /data/*/owned_by"]
    assert report.known_findings


def test_what_a_model_says_is_not_in_the_baseline(check_gateway: CheckGateway) -> None:
    ignore_stop = edit_request("/chat/completions", lambda body: body.pop("stop", None))
    lose = edit_stream(lambda text: text.replace('"content":" ', '"content":"', 1), "/chat/completions")
    fault = replace(lose, on_request=ignore_stop.on_request)
    report = check_gateway("createChatCompletion", "stop", "stream-complete", fault=fault)
    assert [finding.fingerprint for finding in report.findings] == [
        "stream-complete:createChatCompletion:the words of the plain answer",
        "stop:createChatCompletion:an answer without its stop sequence",
    ]


@pytest.mark.parametrize(
    ("expected", "what"),
    [
        ("404 model_not_found", "404 model_not_found"),
        ("more than 112 prompt tokens", "more than N prompt tokens"),
        ("rotate_grace_until 2026-04-07T09:30:00Z", "rotate_grace_until N-N-N:N:N"),
    ],
)
def test_figures_are_not_in_the_baseline_but_a_status_is(expected: str, what: str) -> None:
    assert LawFinding("law", "t", "o", "", expected, "").fingerprint == f"law:o:{what}"


def test_each_model_and_each_rule_of_a_stream_has_a_line_of_its_own(check_gateway: CheckGateway) -> None:
    fault = edit_stream(lambda text: text.replace("data: [DONE]\n\n", "").replace('"role":"assistant",', ""), "/chat/")
    found = check_gateway("createChatCompletion", "stream-order", fault=fault).findings
    assert {finding.subject for finding in found} == {"order", "order of choices"}
    found = check_gateway("models-readable", fault=answer_with("/v1/models/gpt-", 404)).findings
    assert len({finding.fingerprint for finding in found}) == len(found) > 1


def test_an_entry_without_what_covers_the_place(check_gateway: CheckGateway, tmp_path: Path) -> None:
    path = tmp_path / "known.txt"
    path.write_text("# ours\n\nschema:listKeys\nkey-list-order:listKeys\n")
    assert check_gateway("schema", "key-list-order", fault=WRONG, baseline=load_baseline(path)).all_kept


def test_an_update_keeps_what_was_not_looked_at_and_prune_drops_what_is_kept(
    check_gateway: CheckGateway, tmp_path: Path
) -> None:
    path = tmp_path / "known.txt"
    other, gone = "stream-order:createMessage:x", "key-list-order:listKeys:total N"
    report = check_gateway("key-list-order", baseline=(known := {other, gone}))
    update_baseline(path, known, report, add=True, prune=False)
    assert load_baseline(path) == {other, gone}
    update_baseline(path, known, report, add=False, prune=True)
    assert load_baseline(path) == {other}


def test_a_run_that_could_not_check_leaves_the_baseline(plain: FaultyGateway, tmp_path: Path) -> None:
    path = tmp_path / "known.txt"
    path.write_text("schema:listKeys:2xx /total\n")
    for prune in ([], ["--prune"]):
        words = ["check", "http://127.0.0.1:1", "--key", KEY, "--baseline", str(path), "--update-baseline", *prune]
        assert main(words) == 2
        assert load_baseline(path) == {"schema:listKeys:2xx /total"}


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


def test_what_only_one_breaks_of_a_law_that_both_break(gateway: FaultyGateway) -> None:
    def lose(name: str, text: str) -> str:
        return re.sub(rf'"{name}":(null|"[^"]*"),?', "", text).replace(",}", "}")

    left, right = FaultyGateway(gateway.app), FaultyGateway(gateway.app)
    left.fault = edit_stream(lambda text: lose("role", text), "/chat/completions$")
    right.fault = edit_stream(lambda text: lose("finish_reason", lose("role", text)), "/chat/completions$")
    with Server(left) as a, Server(right) as b:
        options = CheckOptions(only=("createChatCompletion", "law:stream-adds-up"))
        found = compare_targets(target(a.url), target(b.url), options)
    told = {(d.kind, d.what.partition(": ")[2]) for d in found.differences if d.law == "stream-adds-up"}
    assert told == {("both break", ""), ("only A keeps", "/choices/*/finish_reason")}
    shapes = {(d.what, d.a, d.b) for d in found.differences if d.kind == "shape"}
    assert ("200 events /choices/*/finish_reason", "null or string", "absent") in shapes
    assert not any("/delta/role" in what for what, _, _ in shapes)


def test_an_operation_that_only_one_has_is_a_difference(gateway: FaultyGateway, server: object) -> None:
    def lose(request: SeenRequest, response: SentResponse) -> SentResponse:
        gone = "/billing/" in request.path or response.status == 404
        return response.with_json({"detail": "Not Found"}, 404) if gone else response

    gateway.fault = Fault(on_response=lose)
    try:
        options = CheckOptions(only=("listInvoices",))
        found = compare_targets(target(server.url), target(gateway.url), options)
        other = compare_targets(target(gateway.url), target(server.url), options)
    finally:
        gateway.fault = Fault()
    for comparison, kind in ((found, "only A keeps"), (other, "only B keeps")):
        assert comparison.exit_code == 1
        assert (kind, "operation-served") in {(d.kind, d.law) for d in comparison.differences}
    assert {finding.law for finding in found.only_second.findings} == {"operation-served"}


def test_a_baseline_takes_differences_out(gateway: FaultyGateway, server: object) -> None:
    gateway.fault = WRONG
    try:
        known = ("schema:listKeys", "key-list-order:listKeys", "shape:listKeys:200 /total")
        options = CheckOptions(only=("law:schema", "law:key-list-order"))
        found = compare_targets(target(server.url), target(gateway.url), options, baseline=known)
    finally:
        gateway.fault = Fault()
    assert found.exit_code == 0, found.differences


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
    assert "MISMATCH Keys are not listed oldest first at listKeys [key-list-order]" in told.out
    assert told.out.count("many</b>") == 2, "one line for each law"
    assert "many" not in told.err
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
        (["--only", "nothing"], "no tag, operation, law, area, phase or check"),
        (["--only", "OpenAI,Gemini"], "repeat the option for each name"),
        (["--sarif-location", "/no/such/file"], "--sarif-location names no file"),
        (["--max-time", "soon"], "is not a duration"),
        (["--max-time", "0s"], "is not a positive duration"),
        (["--rate-limit", "fast"], "is not a rate"),
        (["--spend-limit", "much"], "is not an amount"),
        (["--update-baseline"], "need --baseline"),
        (["--prune"], "need --baseline"),
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


def test_the_baseline_is_made_and_used(
    plain: FaultyGateway, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
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
    assert main([*words, "--update-baseline"]) == 0
    assert re.search(r"The baseline .* has [1-9]\d* findings?\.", capsys.readouterr().out)
    assert main(words) == 0
    plain.fault = Fault()
    capsys.readouterr()
    for prune, told in ([], "are fixed; --prune drops what is fixed."), (["--prune"], "are fixed.\n"):
        assert main([*words, *prune]) == 0
        assert told in capsys.readouterr().out
    assert not load_baseline(path)


def test_the_beginning_and_the_end_of_a_run_count_alike(
    plain: FaultyGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", plain.url, "--token", TOKEN, "--only", "getPlan", "--skip", "check:ignored_auth"]) == 0
    out, err = capsys.readouterr()
    begin, end = re.search(r"1 operation, \d+ laws", err), re.search(r"1 operation, \d+ laws", out)
    assert begin
    assert end
    assert begin[0] == end[0]
    assert "Generated cases of aione.yaml: coverage." in err
    assert "Model calls begin" not in err


def test_only_a_run_with_generated_cases_announces_them(
    plain: FaultyGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", plain.url, "--key", KEY, "--only", "law:stream-asked"]) == 0
    told = capsys.readouterr().err
    assert "Model calls begin: at most 3 by the laws, about " in told
    assert "generated cases" not in told


def test_diff_compares(plain: FaultyGateway, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["diff", plain.url, plain.url, "--token", TOKEN, "--only", "usage-rows"])
    assert code == 0
    told = capsys.readouterr().out
    assert "Both keep 1 cell of the matrix." in told
    assert told.endswith("They are alike.\n")


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


def test_a_report_that_cannot_be_written_costs_no_request(
    plain: FaultyGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (["check", plain.url], ["diff", plain.url, plain.url]):
        for option in ("--html", "--json", "--junit", "--sarif"):
            plain.seen.clear()
            assert main([*command, "--token", TOKEN, option, "/proc/no/such/file"]) == 2
            assert plain.seen == []
            assert capsys.readouterr().err.count("\n") == 1


def test_a_full_disk_behind_a_report_is_one_line_and_the_findings_are_printed(
    plain: FaultyGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    plain.fault = WRONG
    assert main(["check", plain.url, "--token", TOKEN, "--only", "law:key-list-order", "--html", "/dev/full"]) == 2
    told = capsys.readouterr()
    assert "many" in told.out
    assert told.err.splitlines()[-1] == "aione-mock: cannot write '/dev/full': No space left on device"


@pytest.mark.parametrize(
    "command",
    [["keys"], ["errors", "--json"], ["spec", "routes"], ["check", "--list"], ["--help"], ["serve", "--port", "0"]],
)
def test_a_full_disk_behind_the_output_is_one_line(command: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "aione_mock", *command], stdout=full, stderr=subprocess.PIPE, timeout=120
        )
    assert done.returncode == 2
    assert done.stderr == b"aione-mock: cannot write the output: No space left on device\n"


def test_python_code_repeats_a_request_with_the_standard_library(check_gateway: CheckGateway) -> None:
    finding = check_gateway("key-list-order", fault=WRONG).findings[0]
    assert "httpx" not in finding.python
    done = subprocess.run(
        [sys.executable, "-I", "-c", finding.python],
        capture_output=True,
        timeout=60,
        env={"AIONE_CONSOLE_TOKEN": TOKEN},
    )
    assert done.stdout.startswith(b"200 {"), done.stderr


def test_a_request_with_a_key_of_the_run_says_so(check_gateway: CheckGateway) -> None:
    report = check_gateway("access-deleted", fault=replace_status(401, 403, "/v1/models"))
    finding = next(f for f in report.findings if f.law == "access-deleted")
    for text in (finding.curl, finding.python):
        assert re.search(r"# \$AIONE_NEW_KEY_\w+ was a key of the run and is deleted", text)


def test_no_folder_of_hypothesis_is_left(plain: FaultyGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["check", plain.url, "--key", KEY, "--only", "listModels", "--only", "phase:examples"]) in (0, 1)
    assert list(tmp_path.iterdir()) == []
