"""Run a client under the faults and check what it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aione_mock.clock import SYSTEM_CLOCK
from aione_mock.errors import ConfigError, did_you_mean
from aione_mock.seed import Seed
from aione_mock.testing.resilience.awkward_checks import AWKWARD_CHECKS, AWKWARD_SCENARIOS
from aione_mock.testing.resilience.checks import CHECKS, EVERY_FAULT, ResilienceCheck
from aione_mock.testing.resilience.faults import (
    FAULT_SCENARIOS,
    FaultScenario,
    Feature,
    Rules,
    is_silent,
    list_features,
)
from aione_mock.testing.resilience.observation import Observation, Thresholds
from aione_mock.testing.resilience.report import ResilienceReport, ResilienceResult

if TYPE_CHECKING:
    from aione_mock.testing.resilience.progress import CheckProgress
    from aione_mock.testing.session import MockSession

ALL_CHECKS: Mapping[str, ResilienceCheck] = {**CHECKS, **AWKWARD_CHECKS}
GROUPS: Mapping[str, tuple[str, ...]] = {"awkward": tuple(AWKWARD_CHECKS)}
"""Groups of checks that run only where they are asked for."""
_SCENARIOS: Mapping[str, FaultScenario] = {**FAULT_SCENARIOS, **AWKWARD_SCENARIOS}
_MISSING: Mapping[Feature, str] = {
    "stream": "the client streams nothing",
    "tools": "the client offers no tools",
    "json": "the client asks for no JSON",
    "schema": "the client asks for no JSON schema",
    "thinking": "the client asks for no thinking",
}
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
        self._features = list_features(self._healthy.calls)
        self._observations: dict[str, Observation] = {}

    def run_check(self, name: str) -> ResilienceResult:
        """Return the result of one check."""
        check = ALL_CHECKS[name]
        faults = FAULT_SCENARIOS if check.fault == EVERY_FAULT else (check.fault,)
        runs = [self._healthy] if check.fault == EVERY_FAULT else []
        runs += [self._run_under(fault) for fault in faults if _SCENARIOS[fault].needs in (None, *self._features)]
        if not runs:
            needs = _SCENARIOS[check.fault].needs
            return ResilienceResult(name, check.title, "not applicable", _MISSING[needs] if needs else "")
        problems = (check.find_problem(run, self._healthy, self._thresholds) for run in runs)
        problem = next((problem for problem in problems if problem), None)
        return ResilienceResult(name, check.title, "failed" if problem else "passed", problem or "", check.remedy)

    def _run_under(self, fault: str) -> Observation:
        if fault not in self._observations:
            rules = _SCENARIOS[fault].build_rules(self._thresholds, self._healthy)
            self._observations[fault] = self._observe(rules)
        return self._observations[fault]


def run_checks(
    observe: Callable[[Rules], Observation],
    thresholds: Thresholds,
    only: Sequence[str] = (),
    include: Sequence[str] = (),
    progress: CheckProgress | None = None,
) -> ResilienceReport:
    """Run the usual checks of a client and the groups to `include`, or `only` the checks and groups named.

    `observe` runs the client under rules. Raises ConfigError for an unknown check or group, for a client that fails
    without a fault, and for one that never calls the mock.
    """
    names = list_checks(only, include)
    runner = ResilienceRunner(observe, thresholds)
    results = []
    for number, name in enumerate(names, start=1):
        if progress is not None:
            progress.show(number, len(names), ALL_CHECKS[name].title)
        results.append(runner.run_check(name))
    return ResilienceReport(tuple(results))


def list_checks(only: Sequence[str], include: Sequence[str]) -> list[str]:
    """Return the names of the checks to run, each once. Raises ConfigError for an unknown check or group."""
    if isinstance(only, str) or isinstance(include, str):
        raise ConfigError("only= and include= take a list such as ['awkward'], not a text")
    for name in include:
        if name not in GROUPS:
            raise ConfigError(
                f"unknown group '{name}'{did_you_mean(name, GROUPS) or '; there is ' + ', '.join(GROUPS)}"
            )
    for name in only:
        if name not in ALL_CHECKS and name not in GROUPS:
            known = (*CHECKS, *GROUPS)
            remedy = did_you_mean(name, (*ALL_CHECKS, *GROUPS)) or "; there are " + ", ".join(known)
            raise ConfigError(f"unknown check '{name}'{remedy}")
    chosen = [*(only or CHECKS), *include]
    return list(dict.fromkeys(name for each in chosen for name in GROUPS.get(each, (each,))))


def _describe_ending(run: Observation) -> str:
    return f": {run.error}" if run.error else ": it did not finish" if run.timed_out else ""
