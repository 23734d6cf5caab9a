"""All verdicts on a client, as a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["passed", "failed", "not applicable"]


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict on one client."""

    name: str
    title: str
    outcome: Outcome
    detail: str = ""
    """What it did, or why the verdict does not apply."""
    change: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All verdicts on one client."""

    findings: tuple[Finding, ...]

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the verdicts that are against it."""
        return tuple(finding.name for finding in self.findings if finding.outcome == "failed")

    def __str__(self) -> str:
        wide = max(len(finding.title) for finding in self.findings)
        return "\n".join(line for finding in self.findings for line in _lines(finding, wide))


def _lines(finding: Finding, wide: int) -> Iterator[str]:
    mark = {"passed": "ok  ", "failed": "FAIL", "not applicable": "-   "}[finding.outcome]
    yield f"{mark}  {finding.title:{wide}}  {finding.detail}".rstrip()
    if finding.outcome == "failed":
        yield f"      {'':{wide}}  {finding.change}"
