"""A client put through the trials."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aione_mock.errors import ConfigError, did_you_mean
from aione_mock.testing.resilience.checks import EVERY, VERDICTS, Verdict
from aione_mock.testing.resilience.faults import TRIALS, Rules, abilities
from aione_mock.testing.resilience.observation import Run, Setting
from aione_mock.testing.resilience.report import Finding, Report


def examine(run: Callable[[Rules], Run], setting: Setting, only: Sequence[str] = ()) -> Report:
    """Put a client through the trials. `run` plays rules to it and tells what it did; `only` names verdicts.

    Raises ConfigError for an unknown verdict, for a client that fails when nothing is wrong, and for one that never
    calls the mock.
    """
    for name in only:
        if name not in VERDICTS:
            raise ConfigError(f"unknown verdict '{name}'{did_you_mean(name, VERDICTS)}")
    healthy = run([])
    if not healthy.calls:
        raise ConfigError(f"the client never called the mock{_ended(healthy)}; is it aimed at the session's base URL?")
    if not healthy.content:
        raise ConfigError(f"the client fails even when nothing is wrong{_ended(healthy)}")
    runs: dict[str, Run | None] = {"healthy": healthy}
    findings = []
    for name in only or VERDICTS:
        findings.append(_finding(name, VERDICTS[name], runs, run, healthy, setting))
    return Report(tuple(findings))


def _finding(
    name: str,
    verdict: Verdict,
    runs: dict[str, Run | None],
    run: Callable[[Rules], Run],
    healthy: Run,
    setting: Setting,
) -> Finding:
    wanted = TRIALS if verdict.trial == EVERY else (verdict.trial,)
    for trial in wanted:
        if trial not in runs:
            fits = TRIALS[trial].needs in ("", *abilities(healthy.calls))
            runs[trial] = run(TRIALS[trial].rules(setting, healthy)) if fits else None
    found = [done for trial in wanted if (done := runs[trial]) is not None]
    if not found:
        why = "the client streams nothing" if TRIALS[verdict.trial].needs == "stream" else "the client offers no tools"
        return Finding(name, verdict.title, "not applicable", why)
    problem = next((problem for done in found if (problem := verdict.judge(done, healthy, setting))), None)
    return Finding(name, verdict.title, "failed" if problem else "passed", problem or "", verdict.change)


def _ended(run: Run) -> str:
    return f": {run.error}" if run.error else ": it did not come to an end" if run.timed_out else ""
