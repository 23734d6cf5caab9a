"""The contract checker: how far a gateway keeps the contract.

`check(target)` is for tests; `aione-mock check` does the same from a terminal. This module imports nothing expensive,
as pytest loads the options of the checker in every run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from aione_mock.checker.options import CheckOptions
from aione_mock.checker.target import Target

if TYPE_CHECKING:
    from aione_mock.checker.report import CheckReport
    from aione_mock.checker.run import CheckRun
    from aione_mock.checker.run_events import RunEvent

__all__ = ["CheckOptions", "Target", "check", "prepare"]


def check(target: Target | str, *, listen: Callable[[RunEvent], None] | None = None, **options: Any) -> CheckReport:
    """Check a target. Keywords are the fields of `CheckOptions`; `listen` is called with each event of the run.

    A `target` that is only an address takes its credentials from the environment. Raises ConfigError or ContractError
    for unusable options; whatever the target does is in the report.
    """
    from aione_mock.checker.report import build_report

    chosen = CheckOptions(**options)
    run = prepare(target, chosen)
    for event in run.yield_events():
        if listen:
            listen(event)
    run.context.client.close()
    return build_report(
        run,
        fail_on=chosen.fail_on,
        baseline=chosen.baseline,
        coverage_min=chosen.coverage_min,
        require_checked=chosen.require_checked,
    )


def prepare(target: Target | str, options: CheckOptions | None = None, **changes: Any) -> CheckRun:
    """Return a run that has not begun. Keywords are fields of `CheckOptions`, before those of `options`.

    Raises ConfigError or ContractError for unusable options.
    """
    from aione_mock.checker.run_setup import set_up_run

    if isinstance(target, str):
        target = Target.from_environment(target)
    return set_up_run(target, replace(options or CheckOptions(), **changes))
