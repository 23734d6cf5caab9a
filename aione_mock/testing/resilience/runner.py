"""Run a client under the faults and check what it does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aione_mock.clock import SYSTEM_CLOCK
from aione_mock.errors import ConfigError, did_you_mean
from aione_mock.seed import Seed
from aione_mock.testing.resilience.checks import CHECKS, EVERY_FAULT
from aione_mock.testing.resilience.faults import FAULT_SCENARIOS, Rules, features_used, is_silent
from aione_mock.testing.resilience.observation import Observation, Thresholds
from aione_mock.testing.resilience.report import ResilienceReport, ResilienceResult

if TYPE_CHECKING:
    from aione_mock.testing.session import MockSession

_WORKING_SECONDS = 30.0
"""How long a client may take besides waiting for a silent gateway."""


@dataclass(slots=True)
class ClientRun:
    """How a client ended."""

    result: str = ""
    error: str | None = None
    timed_out: bool = False
    log: str = ""


class ClientObserver:
    """Run a client in a session under rules. `run_client` is given the seconds after which to abandon it."""

    def __init__(self, mock: MockSession, run_client: Callable[[float], ClientRun], patience: float) -> None:
        self._mock, self._run_client, self._patience = mock, run_client, patience
        self._usual_seconds = 0.0

    def observe(self, rules: Rules) -> Observation:
        """Return what the client does under these rules. The first rules should hold no fault."""
        self._mock.reset()
        self._mock.run()
        self._mock.set_rules(rules)
        limit = self._patience + self._usual_seconds + (0.0 if is_silent(rules) else _WORKING_SECONDS)
        started = SYSTEM_CLOCK.timestamp()
        run = self._run_client(limit)
        seconds = SYSTEM_CLOCK.timestamp() - started
        self._usual_seconds = self._usual_seconds or seconds
        return Observation(tuple(self._mock.calls), run.result, run.error, run.timed_out, seconds, run.log)


def make_api_key(url: str) -> str:
    """Return an API key that is used nowhere else, so that it is recognized in a log."""
    return f"sk-nex-{Seed.of('resilience').draw_token(16, 'key', url)}"


class ResilienceRunner:
    """Check one client; each fault is injected once. Raises ConfigError for a client that cannot be checked."""

    def __init__(self, observe: Callable[[Rules], Observation], thresholds: Thresholds) -> None:
        self._observe, self._thresholds = observe, thresholds
        self._healthy = observe([])
        ending = _describe_ending(self._healthy)
        if not self._healthy.calls:
            raise ConfigError(f"the client never called the mock{ending}; does it use the session's base URL?")
        if not self._healthy.succeeded:
            raise ConfigError(f"the client fails even without a fault{ending}")
        self._features = features_used(self._healthy.calls)
        self._observations: dict[str, Observation] = {}

    def run_check(self, name: str) -> ResilienceResult:
        """Return the result of one check."""
        check = CHECKS[name]
        faults = FAULT_SCENARIOS if check.fault == EVERY_FAULT else (check.fault,)
        runs = [self._healthy] if check.fault == EVERY_FAULT else []
        runs += [self._run_under(fault) for fault in faults if FAULT_SCENARIOS[fault].needs in ("", *self._features)]
        if not runs:
            stream = FAULT_SCENARIOS[check.fault].needs == "stream"
            reason = f"the client {'streams nothing' if stream else 'offers no tools'}"
            return ResilienceResult(name, check.title, "not applicable", reason)
        problems = (check.find_problem(run, self._healthy, self._thresholds) for run in runs)
        problem = next((problem for problem in problems if problem), None)
        return ResilienceResult(name, check.title, "failed" if problem else "passed", problem or "", check.remedy)

    def _run_under(self, fault: str) -> Observation:
        if fault not in self._observations:
            rules = FAULT_SCENARIOS[fault].build_rules(self._thresholds, self._healthy)
            self._observations[fault] = self._observe(rules)
        return self._observations[fault]


def run_checks(
    observe: Callable[[Rules], Observation], thresholds: Thresholds, only: Sequence[str] = ()
) -> ResilienceReport:
    """Run all checks of a client, or `only` those named. `observe` runs the client under rules.

    Raises ConfigError for an unknown check, for a client that fails without a fault, and for one that never calls the
    mock.
    """
    for name in only:
        if name not in CHECKS:
            remedy = did_you_mean(name, CHECKS) or "; there are " + ", ".join(CHECKS)
            raise ConfigError(f"unknown check '{name}'{remedy}")
    runner = ResilienceRunner(observe, thresholds)
    return ResilienceReport(tuple(runner.run_check(name) for name in only or CHECKS))


def _describe_ending(run: Observation) -> str:
    return f": {run.error}" if run.error else ": it did not finish" if run.timed_out else ""
