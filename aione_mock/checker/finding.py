"""The results of laws: what a law yields, what a report shows, and one cell of the matrix operation by law."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from aione_mock.checker.exchange import HttpExchange
from aione_mock.types import Json

Severity = Literal["violation", "assumption"]
OverlayAction = tuple[str, Json]
"""JSONPath of the target, and the update; None removes the target."""


@dataclass(frozen=True, slots=True)
class BrokenLaw:
    """An answer that breaks a law."""

    operation: str
    expected: str
    seen: str
    exchange: HttpExchange | None = None
    evidence: str | None = None
    """Evidence of this detail; None for that of the law and the operation."""
    overlay: tuple[OverlayAction, ...] = ()
    """Changes the contract to what was seen."""


@dataclass(frozen=True, slots=True)
class SkippedOperation:
    """An operation for which a law could not be checked."""

    operation: str
    reason: str


LawResults = Iterator[BrokenLaw | SkippedOperation]


@dataclass(frozen=True, slots=True)
class LawFinding:
    """A broken law as reports show it, without credentials."""

    law: str
    title: str
    operation: str
    evidence: str
    expected: str
    seen: str
    curl: str = ""
    python: str = ""
    overlay: str = ""
    """An overlay in YAML that makes the contract agree with the target."""
    count: int = 1
    """How often it was seen."""
    answer: str = ""
    """Status and first characters of the answer."""

    @property
    def severity(self) -> Severity:
        """`assumption` if the contract only assumes what was broken."""
        return "assumption" if self.evidence == "assumed" else "violation"

    @property
    def severity_name(self) -> str:
        """The severity in words."""
        return "violation" if self.severity == "violation" else "assumption mismatch"

    @property
    def fingerprint(self) -> str:
        """Identifies the finding in other runs."""
        return f"{self.law}:{self.operation}"

    @property
    def times(self) -> str:
        """The count in words, empty for one."""
        return f"{self.count} times" if self.count > 1 else ""


@dataclass(frozen=True, slots=True)
class MatrixCell:
    """The result of one law for one operation."""

    state: Literal["kept", "broken", "not checked"]
    reason: str = ""


SWITCHED_OFF = MatrixCell("not checked", "the contract switches this law off here")


@dataclass(frozen=True, slots=True)
class LawVerdict:
    """The results of one law for all its operations."""

    law: str
    cells: dict[str, MatrixCell] = field(default_factory=dict)
    findings: tuple[LawFinding, ...] = ()
