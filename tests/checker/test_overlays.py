"""Every overlay that a run proposes can be applied, alone and with all others, and ends what it was proposed for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from aione_mock.checker import Target, check
from aione_mock.checker.report import CheckReport
from aione_mock.cli import main
from aione_mock.contract.loading import load_contract
from aione_mock.mutants import MUTANTS
from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.settings import DOCUMENTS, Settings, locate_document
from tests.checker.conftest import CheckGateway, target
from tests.checker.faulty_gateway import ignore_parameters
from tests.checker.test_mutants_found import ASKING
from tests.checker.tiny_gateway import TINY_KEY, create_tiny_gateway

CheckWithOverlays = Callable[[tuple[Path, ...]], CheckReport]


def lint(*overlays: Path) -> None:
    """Load overlays as `spec lint` does."""
    load_contract([locate_document(name) for name in DOCUMENTS], overlays, cache=False)


def adopt_all(run: CheckWithOverlays, folder: Path) -> tuple[CheckReport, CheckReport, tuple[Path, ...]]:
    """Return the report of a gateway, that with all proposed overlays, and these. Each can be applied alone."""
    report = run(())
    texts = list(dict.fromkeys(finding.overlay for finding in report.assumptions))
    paths = tuple(folder / f"{number}.yaml" for number in range(len(texts)))
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text, encoding="utf-8")
        lint(path)
    for number, cause in enumerate(report.causes):
        merged = folder / f"cause {number}.yaml"
        merged.write_text(cause.overlay, encoding="utf-8")
        lint(*([merged] if cause.severity == "assumption" else []))
    return report, run(paths), paths


@pytest.mark.slow
def test_all_overlays_for_a_small_gateway_can_be_applied(tmp_path: Path) -> None:
    with Server(create_tiny_gateway()) as server:
        before, after, paths = adopt_all(
            lambda overlays: check(Target(server.url, key=TINY_KEY), phases=(), overlays=overlays), tmp_path
        )
    assert len(paths) > 15
    missing = [cause for cause in before.causes if cause.laws == ("operation-served",)]
    assert [(cause.severity, len(cause.operations)) for cause in missing] == [("violation", 11), ("assumption", 8)]
    assert missing[1].overlay.count("remove: true") == 8
    assert after.assumptions == ()
    assert {finding.fingerprint for finding in after.violations} == {f.fingerprint for f in before.violations}
    assert main(["spec", "lint", *(word for path in paths for word in ("--overlay", str(path)))]) == 0


@pytest.mark.parametrize(
    "name",
    ["errors_nested", "unknown_model_400", "malformed_json_500", "rate_headers_missing", "money_as_numbers"],
)
def test_all_overlays_for_a_mutant_can_be_applied(name: str, tmp_path: Path) -> None:
    laws = MUTANTS[name].found_by
    only = (*laws, *(asking for law in laws for asking in ASKING.get(law, ())))
    with Server(create_app(Settings(mutant=name))) as server:
        before, after, _ = adopt_all(
            lambda overlays: check(target(server.url), phases=(), allow_writes=True, only=only, overlays=overlays),
            tmp_path,
        )
    assert before.assumptions
    assert not {f.fingerprint for f in before.assumptions} & {f.fingerprint for f in after.assumptions}


def test_a_wrong_code_widens_its_list_of_codes_alone() -> None:
    with Server(create_tiny_gateway()) as server:
        report = check(Target(server.url, key=TINY_KEY), phases=(), only=("schema", "error-malformed"))
    finding = next(f for f in report.assumptions if f.law == "schema" and f.subject == "/error/code")
    ((target_path, update),) = finding.actions
    assert target_path.endswith("['error']['properties']['code']['enum']")
    assert update == ["no_list"]


@pytest.mark.parametrize(
    "action",
    [
        "{target: \"$.components.schemas.OpenAIModel.required[?@ == 'protocols']\", remove: true}",
        "{target: $.components.schemas.OpenAIModel.properties.created, update: {type: [integer, 'null']}}",
    ],
    ids=["removal", "value"],
)
def test_an_action_may_be_repeated_by_another_overlay(action: str, tmp_path: Path) -> None:
    paths = tmp_path / "one.yaml", tmp_path / "two.yaml"
    for path in paths:
        path.write_text(f"overlay: 1.0.0\nactions: [{action}]", encoding="utf-8")
    lint(*paths)


def test_a_generated_case_has_an_overlay_that_ends_it(check_gateway: CheckGateway, tmp_path: Path) -> None:
    fault = ignore_parameters("/obs/usage$", "group_by", "start_date", "end_date", "team_id", "model")
    names = ("operation:queryUsage", "negative_data_rejection", "coverage")
    report = check_gateway(*names, phases=("coverage",), fault=fault)
    (finding,) = [finding for finding in report.assumptions if finding.law == "negative_data_rejection"]
    overlay = tmp_path / "accepts.yaml"
    overlay.write_text(finding.overlay, encoding="utf-8")
    lint(overlay)
    again = check_gateway(*names, phases=("coverage",), fault=fault, overlays=(overlay,))
    assert again.assumptions == ()
    assert again.matrix["negative_data_rejection"]["queryUsage"].state == "not checked"
