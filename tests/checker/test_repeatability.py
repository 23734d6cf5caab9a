"""The same seed and the same gateway give the same requests and findings, however fast the gateway is."""

from __future__ import annotations

from random import Random
from typing import Any

from aione_mock.checker import Target, check
from aione_mock.checker.report import CheckReport
from aione_mock.server.http import Server
from tests.checker.openai_gateway import KEY, OpenAIGateway

ONLY = ("createChatCompletion", "listModels", "phase:coverage", "phase:fuzzing", "no-server-error", "schema")
Requests = list[tuple[str, str, bytes]]


def check_slowly(seed: int, delays: int, **options: Any) -> tuple[Requests, CheckReport]:
    """Check a gateway whose answers take random times; return what it was asked, and the report."""
    gateway = OpenAIGateway(Random(delays))
    with Server(gateway) as server:
        report = check(Target(server.url, key=KEY), only=ONLY, seed=seed, cases=2, **options)
    return gateway.asked, report


def test_the_same_seed_gives_the_same_requests_and_findings() -> None:
    asked, report = check_slowly(seed=1, delays=1)
    assert report.counts.cases > 20
    assert report.findings
    again, same = check_slowly(seed=1, delays=2, rate_limit=40)
    assert again == asked
    assert [finding.fingerprint for finding in same.findings] == [finding.fingerprint for finding in report.findings]
    assert same.matrix == report.matrix
    others, _ = check_slowly(seed=2, delays=1)
    assert others != asked
