"""What a law says: kept, broken, or not checked and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from aione_mock.checker.traffic import HttpExchange
from aione_mock.types import Json

Severity = Literal["violation", "assumption"]


class NotChecked(Exception):
    """A law that cannot be applied; `str()` says why."""


@dataclass(frozen=True, slots=True)
class BrokenLaw:
    """What a law saw that should not be. Laws yield these."""

    operation: str
    expected: str
    seen: str
    exchange: HttpExchange | None = None
    evidence: str | None = None
    """How this detail is known; that of law and operation if None."""
    adopt: tuple[tuple[str, Json], ...] = ()
    """Overlay actions (JSONPath, update) that would make what was seen right."""


@dataclass(frozen=True, slots=True)
class SkippedOperation:
    """One operation that a law could not look at. Laws yield these."""

    operation: str
    reason: str


@dataclass(frozen=True, slots=True)
class LawFinding:
    """What people act on. Holds no credential."""

    law: str
    title: str
    operation: str
    evidence: str
    expected: str
    seen: str
    curl: str = ""
    python: str = ""
    overlay: str = ""
    count: int = 1
    answer: str = ""
    """The beginning of the answer, masked."""

    @property
    def severity(self) -> Severity:
        """`assumption` where the contract only assumes."""
        return "assumption" if self.evidence == "assumed" else "violation"

    @property
    def fingerprint(self) -> str:
        """Names the same finding in another run."""
        return f"{self.law}:{self.operation}"


@dataclass(frozen=True, slots=True)
class MatrixCell:
    """One place of the matrix operation by law."""

    state: Literal["kept", "broken", "not checked"]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class LawVerdict:
    """What one law had to say about all its operations."""

    law: str
    cells: dict[str, MatrixCell] = field(default_factory=dict)
    findings: tuple[LawFinding, ...] = ()
    seconds: float = 0.0
