"""Each mutant is found by a law that names the right cause. `make mutants` prints the rate."""

from __future__ import annotations

import pytest

from aione_mock.checker import check
from aione_mock.checker.laws import LAWS, RULES
from aione_mock.checker.report import CheckReport
from aione_mock.checker.target import Target
from aione_mock.mutants import MUTANTS
from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.settings import EXTENSIONS, Settings

# A rule only looks at what laws ask; these ask for what the mutants of each rule distort.
ASKING = {
    "stream-order": ("stream-adds-up", "stream-usage-asked", "tool-fragments"),
    "stream-events": ("stream-adds-up",),
    "schema": ("usage-rows", "dashboard-sums", "router-views", "error-router"),
    "headers": ("usage-sums",),
    "status-declared": ("key-read-back",),
    "no-server-error": ("robust-languages",),
    "stream-adds-up": (),
}


def check_server(url: str, only: tuple[str, ...], extensions: tuple[str, ...] = EXTENSIONS) -> CheckReport:
    target = Target(
        url,
        key="sk-nex-demo-every-model",
        token="nex-console-tech",
        business_token="nex-console-business",
        other_token="nex-console-other",
        access_key="aione-mock-access-key",
        access_secret="aione-mock-access-secret",
    )
    asking = tuple(name for law in only for name in ASKING.get(law, ()))
    return check(target, phases=(), allow_writes=True, only=(*only, *asking), extensions=extensions)


def test_every_mutant_names_laws_that_there_are() -> None:
    known = {law.name for law in LAWS} | {rule.name for rule in RULES}
    assert {law for mutant in MUTANTS.values() for law in mutant.found_by} <= known


@pytest.mark.parametrize("name", list(MUTANTS))
def test_it_is_found_for_the_right_reason(name: str) -> None:
    mutant = MUTANTS[name]
    with Server(create_app(Settings(mutant=name))) as server:
        report = check_server(server.url, mutant.found_by, mutant.extensions)
    assert {finding.law for finding in report.findings} & set(mutant.found_by), report


def test_the_mock_itself_is_not() -> None:
    every = {law for mutant in MUTANTS.values() for law in mutant.found_by}
    with Server(create_app(Settings(extensions=EXTENSIONS))) as server:
        report = check_server(server.url, tuple(sorted(every)))
    assert [finding.law for finding in report.findings] == []
