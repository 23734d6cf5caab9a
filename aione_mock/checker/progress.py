"""Show the progress of a run: as a live line on a terminal, as plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from aione_mock.checker.finding import LawFinding
from aione_mock.checker.run import CheckRun
from aione_mock.checker.run_events import (
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


class ProgressDisplay:
    """Prints the events of a run."""

    def __init__(self, echo: Callable[[str], None], *, live: bool) -> None:
        self._echo, self._live = echo, live
        self._status: Status | None = None
        self._phase = ""
        self._finished_laws = self._laws = 0

    def watch(self, run: CheckRun) -> None:
        """Run to the end. However it ends, the run has cleaned up when this returns."""
        with closing(run.events()) as events, self._open_status():
            for event in events:
                self._show_event(event)

    def _open_status(self) -> AbstractContextManager[object]:
        if not self._live:
            return nullcontext()
        from rich.console import Console

        console = Console(stderr=True)
        self._status = console.status("connecting")
        # lines printed past the console would break the live line
        self._echo = partial(console.print, markup=False, highlight=False, soft_wrap=True)
        return self._status

    def _show_event(self, event: RunEvent) -> None:
        if isinstance(event, RunStarted):
            self._laws = event.laws
            self._echo(f"Checking {event.url}: {event.operations} operations, {event.laws} laws.")
        elif isinstance(event, PaidCallsAhead):
            self._echo(
                f"Model calls begin: at most {event.calls} by the laws, about {event.estimate} RMB; "
                f"generated cases may use the rest of the limit of {event.limit} RMB."
            )
        elif isinstance(event, LawStarted):
            self._update_status(f"[{self._finished_laws}/{self._laws}] {event.title}")
        elif isinstance(event, LawFinished):
            self._finished_laws += 1
        elif isinstance(event, LawFinding):
            where = f"{event.severity_name}: {event.law} at {event.operation}"
            self._echo(f"  {where}: expected {event.expected}; saw {event.seen}")
        elif isinstance(event, PhaseProgress):
            self._show_phase(event)
        elif isinstance(event, RunFinished) and event.stopped:
            self._echo(f"Stopped: {event.stopped}.")

    def _show_phase(self, event: PhaseProgress) -> None:
        if event.phase != self._phase:
            self._phase = event.phase
            if not self._live:
                self._echo(f"Generated cases: {event.phase}.")
        self._update_status(f"{event.phase}: {event.cases} cases, {event.operation}")

    def _update_status(self, text: str) -> None:
        if self._status is not None:
            self._status.update(text)
