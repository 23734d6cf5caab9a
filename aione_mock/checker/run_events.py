"""The events of a run, for whoever shows its progress."""

from __future__ import annotations

from dataclasses import dataclass

from aione_mock.checker.finding import LawFinding, LawVerdict


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The run begins."""

    url: str
    operations: int
    laws: int
    """Laws and rules."""
    paid_calls: int
    """Most paid calls of the laws."""


@dataclass(frozen=True, slots=True)
class PaidCallsAhead:
    """The first paid call is about to be sent."""

    calls: int
    estimate: str
    """RMB."""
    limit: str
    """RMB."""
    generated: bool
    """Whether generated cases follow, which call models too."""


@dataclass(frozen=True, slots=True)
class LawStarted:
    """The check of a law begins."""

    law: str
    title: str


@dataclass(frozen=True, slots=True)
class LawFinished:
    """The check of a law has ended."""

    verdict: LawVerdict


@dataclass(frozen=True, slots=True)
class PhaseProgress:
    """Generated cases of an operation were sent."""

    document: str
    phase: str
    operation: str
    cases: int
    """All generated cases so far."""


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The run has ended."""

    stopped: str
    """Why it ended early; empty if it did not."""
    keys_left: tuple[str, ...] = ()
    """Temporary keys that could not be deleted."""


RunEvent = RunStarted | PaidCallsAhead | LawStarted | LawFinished | PhaseProgress | LawFinding | RunFinished
