"""Exceptions of the checker."""

from __future__ import annotations

from aione_mock.errors import MockError


class NotChecked(Exception):
    """A law cannot be checked; `str()` says why."""


class UnreadableAnswer(NotChecked):
    """An answer lacks what a law reads, or has it as another type."""


class BudgetSpent(Exception):
    """The next paid call would exceed a limit; `str()` says which."""


class StopRun(Exception):
    """The run ends early; `str()` says why."""


class TimeLimitReached(StopRun):
    """The time limit of the run is over."""

    def __init__(self) -> None:
        super().__init__("the time is up (--max-time)")


class TargetGone(StopRun):
    """The target no longer answers."""


class CheckError(MockError):
    """The target cannot be checked, or a report or baseline cannot be read or written."""
