"""The results of all checks of a client, as a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class ResilienceResult:
    """The result of one check of a client."""

    name: str
    title: str
    outcome: Literal["passed", "failed", "not applicable"]
    detail: str = ""
    """What the client did, or why the check does not apply."""
    remedy: str = ""
    """What to change in the client."""


@dataclass(frozen=True, slots=True)
class ResilienceReport:
    """The results of all checks of a client. As text it is a table."""

    results: tuple[ResilienceResult, ...]

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the failed checks."""
        return tuple(result.name for result in self.results if result.outcome == "failed")

    def __str__(self) -> str:
        width = max(len(result.title) for result in self.results)
        return "\n".join(line for result in self.results for line in _format_result(result, width))


def _format_result(result: ResilienceResult, width: int) -> Iterator[str]:
    mark = {"passed": "ok  ", "failed": "FAIL", "not applicable": "-   "}[result.outcome]
    yield f"{mark}  {result.title:{width}}  {result.detail}".rstrip()
    if result.outcome == "failed":
        yield f"      {'':{width}}  {result.remedy}"
