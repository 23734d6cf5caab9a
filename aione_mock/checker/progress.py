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
from aione_mock.text.escaping import count_nouns, escape_unprintable

if TYPE_CHECKING:
    from rich.status import Status


class StatusLine:
    """A line that changes while something goes on, and lines above it; without a terminal, only the latter."""

    def __init__(self, echo: Callable[[str], None], *, live: bool) -> None:
        self._echo, self.live = echo, live
        self._status: Status | None = None

    def open(self) -> AbstractContextManager[object]:
        """Show the line as long as the context lasts."""
        if not self.live:
            return nullcontext()
        from rich.console import Console

        console = Console(stderr=True)
        self._status = console.status("connecting")
        # lines printed past the console would break the live line
        self._echo = partial(console.print, markup=False, highlight=False, soft_wrap=True)
        return self._status

    def print(self, text: str) -> None:
        """Print a line that stays."""
        self._echo(escape_unprintable(text))

    def update(self, text: str) -> None:
        """Change the line."""
        if self._status is not None:
            from rich.text import Text

            # a Text, as brackets in a string are markup
            self._status.update(Text(escape_unprintable(text)))


class ProgressDisplay:
    """Prints the events of a run."""

    def __init__(self, echo: Callable[[str], None], *, live: bool) -> None:
        self._line = StatusLine(echo, live=live)
        self._phase = ("", "")
        self._finished_laws = self._laws = self._findings = 0

    def watch(self, run: CheckRun) -> None:
        """Run to the end. However it ends, the run has cleaned up when this returns."""
        with closing(run.yield_events()) as events, self._line.open():
            for event in events:
                self._show_event(event)

    def _show_event(self, event: RunEvent) -> None:
        if isinstance(event, RunStarted):
            self._laws = event.laws
            what = f"{count_nouns(event.operations, 'operation')}, {count_nouns(event.laws, 'law')}"
            self._line.print(f"Checking {event.url}: {what}.")
        elif isinstance(event, PaidCallsAhead):
            more = "; generated cases may use the rest" if event.generated else ""
            calls = f"at most {event.calls} by the laws, about {event.estimate} of {event.limit} RMB"
            self._line.print(f"Model calls begin: {calls}{more}.")
        elif isinstance(event, LawStarted):
            self._update_status(f"[{self._finished_laws}/{self._laws}] {event.title}")
        elif isinstance(event, LawFinished):
            self._finished_laws += 1
        elif isinstance(event, LawFinding):
            self._findings += 1  # the report has them, by cause
        elif isinstance(event, PhaseProgress):
            self._show_phase(event)
        elif isinstance(event, RunFinished) and event.stopped:
            self._line.print(f"Stopped: {event.stopped}.")

    def _show_phase(self, event: PhaseProgress) -> None:
        phase = (event.document, event.phase)
        if phase != self._phase:
            self._phase = phase
            if not self._line.live:
                self._line.print(f"Generated cases of {event.document}: {event.phase}.")
        self._update_status(f"{event.phase}: {event.cases} cases, {event.operation}")

    def _update_status(self, text: str) -> None:
        self._line.update(text + (f" · {self._findings} found" if self._findings else ""))
