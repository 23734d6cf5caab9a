"""A correct gateway causes no findings: laws and generated cases over twenty seeds of the mock."""

from __future__ import annotations

import pytest

from aione_mock.checker import check
from aione_mock.checker.report import CheckReport
from aione_mock.checker.target import Target
from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings
from aione_mock.tenant.organisation_file import list_credentials
from tests.timing import duration


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_the_mock_gives_no_finding(seed: int) -> None:
    app = create_app(Settings(seed=str(seed)))
    given = {name: value for c in list_credentials() for name, value in c.env}
    with Server(app) as server:
        target = Target(
            server.url,
            key=given["AIONE_API_KEY"],
            token=given["AIONE_CONSOLE_TOKEN"],
            business_token=given["AIONE_BUSINESS_TOKEN"],
            other_token=given["AIONE_OTHER_TOKEN"],
            access_key=given["AIONE_ACCESS_KEY_ID"],
            access_secret=given["AIONE_ACCESS_KEY_SECRET"],
        )
        report = check(target, allow_writes=True, seed=seed, cases=2)
    assert report.all_kept, str(report)
    assert report.counts.cases > 0


@pytest.mark.slow
def test_a_default_run_takes_less_than_a_minute_and_says_what_it_did() -> None:
    app = create_app(Settings(seed="default"))
    given = {name: value for c in list_credentials() for name, value in c.env}
    with Server(app) as server:
        target, reports = (
            Target(server.url, key=given["AIONE_API_KEY"], token=given["AIONE_CONSOLE_TOKEN"]),
            list[CheckReport](),
        )
        assert duration(lambda: reports.append(check(target)), 1) < 60
    (report,) = reports
    assert report.all_kept, str(report)
    counts = report.counts
    assert min(counts.operations, counts.laws, counts.cases, counts.paid_calls) > 0
