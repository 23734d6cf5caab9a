"""A limit of time ends a run in time and gives no verdict."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from aione_mock.checker import check
from aione_mock.checker.report import EXIT_FOUND
from aione_mock.checker.run_events import PhaseProgress, RunEvent
from aione_mock.testing import start_server
from aione_mock.testing.servers import MockServer
from tests.checker.conftest import CheckGateway, target
from tests.checker.faulty_gateway import Fault, FaultyGateway, SeenRequest
from tests.timing import at_best

PROGRAM = """if 1:
    import json, sys
    from aione_mock.checker import check
    from tests.checker.conftest import target
    from tests.timing import duration
    seconds, reports = float(sys.argv[2]), []
    limits = {"max_time": seconds, "rate_limit": float(sys.argv[3]) or None}
    late = duration(lambda: reports.append(check(target(sys.argv[1]), **limits)), 1) - seconds
    print(json.dumps({"late": late, "exit": reports[0].exit_code, "text": str(reports[0])}))
"""
ALLOWED_SECONDS = 2.0


@dataclass(frozen=True)
class Limits:
    """A run to make."""

    seconds: float
    rate: float
    pace: str


def list_limits() -> Iterator[Limits]:
    """Yield 50 runs from 1 to 30 seconds, with and without a rate limit, the longest first."""
    times = {
        ("instant", 0): (30, 22, 18, 15, 12, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1.5, 1),
        ("instant", 20): (25, 15, 12, 10, 7, 7, 5, 4, 3.3, 3, 2, 1.2, 1),
        ("realistic", 0): (30, 20, 15, 10, 8, 6, 5, 4, 3, 2, 1.7, 1),
        ("realistic", 5): (20, 12, 8, 6, 5, 4, 3, 2, 1),
    }
    runs = [Limits(seconds, rate, pace) for (pace, rate), row in times.items() for seconds in row]
    assert len(runs) == 50
    yield from sorted(runs, key=lambda run: -run.seconds)


def run_limited(server: MockServer, limits: Limits) -> list[str]:
    """Check the correct mock within limits of time; return what is wrong with the outcome."""
    with server.session(pace=limits.pace, now=None) as session:
        words = [sys.executable, "-c", PROGRAM, session.base_url, str(limits.seconds), str(limits.rate)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    if done.returncode or done.stderr.strip():
        return [f"{limits}: {done.stderr}"]
    outcome = json.loads(done.stdout)
    problems = []
    if outcome["exit"] == EXIT_FOUND:
        problems.append(f"{limits}: {outcome['text']}")
    if outcome["late"] > ALLOWED_SECONDS:
        problems.append(f"{limits}: {outcome['late']:.1f} s late")
    return problems


@pytest.mark.slow
def test_fifty_runs_of_the_correct_mock_end_in_time_without_a_finding() -> None:
    with start_server() as server, ThreadPoolExecutor(6) as pool:
        problems = list(pool.map(lambda limits: run_limited(server, limits), list_limits()))
    assert [problem for found in problems for problem in found] == []


def slow_answers(gateway: FaultyGateway) -> Fault:
    """Let every answer to a question take longer than any limit."""

    def on_request(request: SeenRequest) -> SeenRequest:
        if request.path.endswith("/chat/completions"):
            time.sleep(1.5)
        return request

    return Fault(on_request=on_request)


def test_an_answer_that_is_cut_is_neither_kept_nor_broken(gateway: FaultyGateway, check_gateway: CheckGateway) -> None:
    """Neither --timeout nor --max-time says anything about the gateway."""
    for limits in ({"model_timeout": 0.3}, {"max_time": 0.9}):
        report = check_gateway("question-answered", "answers", "usage-sums", fault=slow_answers(gateway), **limits)
        assert not report.findings, str(report)
        cell = report.matrix["usage-sums"]["createChatCompletion"]
        assert cell.state == "not checked"
        assert "--model-timeout" in cell.reason or "--max-time" in cell.reason
    time.sleep(2)


@at_best
def test_a_wait_for_the_rate_limit_does_not_outlast_the_run(gateway: FaultyGateway) -> None:
    gateway.fault = Fault()
    started = time.monotonic()
    report = check(target(gateway.url), max_time=1.5, rate_limit=0.2, phases=())
    assert time.monotonic() - started < 1.5 + ALLOWED_SECONDS
    assert report.exit_code != EXIT_FOUND


@pytest.mark.slow
@at_best
def test_generated_cases_do_not_outlast_the_run(gateway: FaultyGateway) -> None:
    gateway.fault = Fault()
    phases: list[RunEvent] = []
    started = time.monotonic()
    report = check(target(gateway.url), only=("phase:coverage",), max_time=9.0, listen=phases.append)
    assert time.monotonic() - started < 9.0 + ALLOWED_SECONDS
    assert any(isinstance(event, PhaseProgress) for event in phases)
    assert report.exit_code != EXIT_FOUND
    assert report.stopped != "interrupted"
