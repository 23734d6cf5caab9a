"""The contract checker: how far an implementation keeps the contract.

`check(target)` is the whole of it for tests; `aione-mock check` is the same from a terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from aione_mock.checker.budget import Budget
from aione_mock.checker.client import TargetClient
from aione_mock.checker.context import LawContext
from aione_mock.checker.finding import BrokenLaw, LawFinding, MatrixCell, NotChecked, SkippedOperation
from aione_mock.checker.plan import PHASES, plan
from aione_mock.checker.report import CheckReport, FailOn, report
from aione_mock.checker.run import CheckRun, RunEvent
from aione_mock.checker.target import Target
from aione_mock.clock import SYSTEM_CLOCK
from aione_mock.contract import Contract
from aione_mock.contract.loading import load_contract
from aione_mock.errors import ConfigError
from aione_mock.settings import DOCUMENTS, document_path

__all__ = [
    "BrokenLaw",
    "CheckReport",
    "LawFinding",
    "MatrixCell",
    "NotChecked",
    "SkippedOperation",
    "Target",
    "check",
    "prepare",
]

SERVED = tuple(name for name in DOCUMENTS if name != "control.yaml")
"""Documents of the gateway; the control API is the mock's alone."""


def check(target: Target | str, **options: Any) -> CheckReport:
    """Check a target and say what was found; options are those of `prepare`.

    Raises ConfigError or ContractError for options that cannot be used; whatever the target does ends up in the report.
    """
    fail_on: FailOn = options.pop("fail_on", "assumption")
    baseline = options.pop("baseline", None)
    listen: Callable[[RunEvent], None] | None = options.pop("listen", None)
    run = prepare(target, **options)
    for event in run.events():
        if listen:
            listen(event)
    run.context.client.close()
    return report(run, fail_on=fail_on, baseline=baseline)


def prepare(
    target: Target | str,
    *,
    contract: Contract | None = None,
    overlays: Iterable[Path] = (),
    only: Iterable[str] = (),
    skip: Iterable[str] = (),
    phases: Iterable[str] = PHASES,
    seed: str | int = "0",
    max_time: float | None = None,
    timeout: float = 20.0,
    workers: int = 1,
    cases: int = 12,
    generate_time: float = 25.0,
    rate_limit: float | None = None,
    allow_writes: bool = False,
    spend_limit: Decimal | str = "5",
    max_paid_calls: int = 250,
) -> CheckRun:
    """A run that has not begun. `max_time` and `timeout` are seconds, `spend_limit` is RMB, `rate_limit` requests
    a second.

    `cases` is how many requests the fuzzing phase makes for each operation, `generate_time` the seconds of all
    generated phases. A `target` that is only an address takes its
    credentials from the environment. Raises ConfigError or ContractError.
    """
    from aione_mock.checker.laws import LAWS, RULES

    if isinstance(target, str):
        target = Target.from_environment(target)
    contract = contract or load_contract([document_path(name) for name in SERVED], tuple(overlays))
    chosen = plan(contract, LAWS, RULES, only, skip, phases)
    if not (chosen.laws or chosen.phases):
        raise ConfigError("these options leave nothing to check")
    if chosen.phases and find_spec("schemathesis") is None:
        raise ConfigError("generated cases need Schemathesis: pip install 'aione-mock[check]'")
    client = TargetClient(
        target,
        contract,
        budget=Budget(max_paid_calls, Decimal(spend_limit)),
        writes=allow_writes,
        rate=rate_limit,
        timeout=timeout,
        deadline=None if max_time is None else SYSTEM_CLOCK.timestamp() + max_time,
        seed=str(seed),
    )
    generated = None
    if chosen.phases:
        from aione_mock.checker.generated_cases import GeneratedCases

        generated = GeneratedCases(workers=workers, cases=cases, seed=str(seed), seconds=generate_time).events
    return CheckRun(LawContext(client, str(seed)), chosen, generated)
