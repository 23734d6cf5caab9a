"""A run as somebody watches it: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from aione_mock.checker.finding import LawFinding
from aione_mock.checker.run import (
    CheckRun,
    LawFinished,
    LawStarted,
    PaidCallsAhead,
    PhaseProgress,
    RunEvent,
    RunFinished,
    RunStarted,
)

if TYPE_CHECKING:
    from rich.status import Status

Echo = Callable[[str], None]


class Progress:
    """Listens to a run and says what it hears."""

    def __init__(self, echo: Echo, *, live: bool, quiet: bool = False) -> None:
        self._echo, self._live, self._quiet = echo, live, quiet
        self._status: Status | None = None
        self._phase = ""
        self._done = self._laws = 0

    def watch(self, run: CheckRun) -> None:
        """Run to the end. However it ends, the run has cleaned up when this returns."""
        with closing(run.events()) as events, self._screen():
            for event in events:
                if not self._quiet:
                    self._hear(event)

    def _screen(self) -> AbstractContextManager[object]:
        if not self._live or self._quiet:
            return nullcontext()
        from rich.console import Console

        console = Console(stderr=True)
        self._status = console.status("connecting")
        # what is said while the line lives must go through it
        self._echo = partial(console.print, markup=False, highlight=False, soft_wrap=True)
        return self._status

    def _hear(self, event: RunEvent) -> None:
        if isinstance(event, RunStarted):
            self._laws = event.laws
            self._echo(f"Checking {event.url}: {event.operations} operations, {event.laws} laws.")
        elif isinstance(event, PaidCallsAhead):
            self._echo(
                f"Calls to models begin: at most {event.calls} by the laws, about {event.estimate} RMB; "
                f"generated cases may spend the rest, up to the limit of {event.limit} RMB."
            )
        elif isinstance(event, LawStarted):
            self._show(f"[{self._done}/{self._laws}] {event.title}")
        elif isinstance(event, LawFinished):
            self._done += 1
        elif isinstance(event, LawFinding):
            self._found(event)
        elif isinstance(event, PhaseProgress):
            self._cases(event)
        elif isinstance(event, RunFinished) and event.stopped:
            self._echo(f"Stopped: {event.stopped}.")

    def _show(self, text: str) -> None:
        if self._status is not None:
            self._status.update(text)

    def _found(self, finding: LawFinding) -> None:
        word = "violation" if finding.severity == "violation" else "assumption mismatch"
        self._echo(f"  {word}: {finding.law} at {finding.operation}: expected {finding.expected}; saw {finding.seen}")

    def _cases(self, event: PhaseProgress) -> None:
        if event.phase != self._phase:
            self._phase = event.phase
            if not self._live:
                self._echo(f"Generated cases: {event.phase}.")
        self._show(f"{event.phase}: {event.cases} cases, {event.operation}")
