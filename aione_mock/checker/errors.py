"""Exceptions of the checker."""

from __future__ import annotations

from pathlib import PurePath
from traceback import extract_tb
from typing import TYPE_CHECKING

from aione_mock.errors import MockError

if TYPE_CHECKING:
    from aione_mock.checker.exchange import HttpExchange

INTERRUPTED = "interrupted"
"""Why a run ended early if somebody ended it."""


class NotChecked(Exception):
    """A law cannot be checked; `str()` says why."""


class UnreadableAnswer(NotChecked):
    """An answer lacks what a law reads, or has it as another type."""


class CallFailed(NotChecked):
    """A call that a law builds on was answered with an error."""

    def __init__(self, reason: str, exchange: HttpExchange) -> None:
        super().__init__(reason)
        self.exchange = exchange


class AnswerTimedOut(NotChecked):
    """An answer did not come, or did not end, within its time."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}; a longer --timeout or --model-timeout may help")


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


def describe_bug(error: Exception) -> str:
    """Return in one line what an unexpected error says and where it was raised."""
    place = extract_tb(error.__traceback__)[-1]
    where = f" at {PurePath(place.filename).name}, line {place.lineno}"
    message = " ".join(str(error).split())
    return f"internal error{where}: {type(error).__name__}: {message}"
