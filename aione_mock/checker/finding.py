"""The results of laws: what a law yields, what a report shows, and one cell of the matrix operation by law."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from aione_mock.checker.exchange import HttpExchange
from aione_mock.checker.overlay_actions import OverlayAction, render_overlay
from aione_mock.text.escaping import escape_unprintable

Severity = Literal["violation", "assumption"]
_FIGURE = re.compile(r"(?!\A[1-5]\d\d\b)\b\w*\d\w*")
"""Numbers, times and ids, which differ between runs; a status at the beginning does not."""
_MAX_FINGERPRINT_CHARACTERS = 160


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
    subject: str = ""
    """What differs: a JSON pointer into the body, or the name of a header; empty if `expected` says it."""
    component: str = ""
    """The named schema that the member belongs to."""
    excerpt: str = ""
    """The part of the answer that is at fault; empty for its beginning."""


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
    actions: tuple[OverlayAction, ...] = ()
    """Actions of an overlay that makes the contract agree with the target."""
    count: int = 1
    """How often it was seen."""
    answer: str = ""
    """Status of the answer, and its first characters or the part at fault."""
    status: int = 0
    """Status of the answer, 0 without one."""
    media_type: str = ""
    """Content type of the answer."""
    members: tuple[str, ...] = ()
    """Names at the top of the answer's body."""
    subject: str = ""
    """What differs: a JSON pointer into the body, or the name of a header."""
    component: str = ""
    """The named schema that the member belongs to."""

    @property
    def severity(self) -> Severity:
        """`assumption` if the contract only assumes what was broken."""
        return "assumption" if self.evidence == "assumed" else "violation"

    @property
    def overlay(self) -> str:
        """An overlay in YAML that makes the contract agree with the target; empty if no small change does."""
        return render_overlay(self.actions)

    @property
    def severity_name(self) -> str:
        """The severity in words."""
        return "violation" if self.severity == "violation" else "assumption mismatch"

    @property
    def fingerprint(self) -> str:
        """Identifies the finding in other runs: law, operation, and what differs or was expected."""
        subject = f"{self.status // 100}xx {self.subject}" if self.subject.startswith("/") else self.subject
        what = subject or _FIGURE.sub("N", self.expected)
        return f"{self.place}:{escape_unprintable(what)[:_MAX_FINGERPRINT_CHARACTERS].strip()}"

    @property
    def place(self) -> str:
        """Law and operation: the cell of the matrix."""
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
    seconds: float = 0.0
    """How long the check took."""
