"""What a correct gateway may do otherwise than the mock is no violation: some thirty variations, three seeds."""

from __future__ import annotations

import random

import pytest

from aione_mock.checker import check
from aione_mock.checker.options import PHASES
from aione_mock.checker.report import EXIT_FOUND, CheckReport
from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings
from tests.checker.conftest import target
from tests.checker.variations import VARIATIONS, VariedGateway

LISTED = (
    "creation answers 200",
    "deletion answers 200 with a body",
    "the list of keys has no total",
    "both views of the dashboard are filled",
    "amounts have two places",
    "a disabled key is inactive",
    "the console has more members",
    "every delta has the role",
)
"""What was a violation once."""
WAITING = ("access-expired", "limit-retry-after")
"""Laws that wait for seconds."""


def check_varied(*names: str, seed: int = 0, **options: object) -> CheckReport:
    gateway = VariedGateway(create_app(Settings(seed=str(seed))), *(VARIATIONS[name]() for name in names))
    with Server(gateway) as server:
        given = {"phases": (), "allow_writes": True, "seed": seed, "fail_on": "violation", **options}
        return check(target(server.url), **given)


@pytest.mark.slow
def test_what_was_a_violation_once_is_none() -> None:
    report = check_varied(*LISTED)
    assert not report.violations, str(report)
    assert report.exit_code != EXIT_FOUND
    assert {finding.law for finding in report.assumptions} >= {"status-declared", "schema"}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_generated_cases_find_no_violation_either(seed: int) -> None:
    report = check_varied(*LISTED, seed=seed, phases=PHASES, only=PHASES)
    assert not report.violations, str(report)
    assert report.counts.cases


@pytest.mark.slow
@pytest.mark.parametrize("name", list(VARIATIONS))
def test_a_variation_is_no_violation(name: str) -> None:
    report = check_varied(name, skip=WAITING)
    assert not report.violations, str(report)
    assert report.exit_code != EXIT_FOUND
    assert report.counts.kept > 500


def group_variations(seed: int) -> list[tuple[str, ...]]:
    """Return all variations in groups of three."""
    names = list(VARIATIONS)
    random.Random(seed).shuffle(names)
    return [tuple(names[start : start + 3]) for start in range(0, len(names), 3)]


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "names"), [(seed, names) for seed in (1, 2) for names in group_variations(seed)])
def test_variations_together_are_no_violation(seed: int, names: tuple[str, ...]) -> None:
    report = check_varied(*names, seed=seed, skip=WAITING)
    assert not report.violations, str(report)
    assert report.exit_code != EXIT_FOUND
