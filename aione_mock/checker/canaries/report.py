"""The result of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from aione_mock.checker.canaries.verdicts import VERDICTS, CanaryFinding
from aione_mock.text.escaping import count_nouns, escape_unprintable
from aione_mock.types import Json

_SHOWN = 10
"""Findings of a verdict that are printed; JSON has them all."""


@dataclass(frozen=True, slots=True)
class CanaryReport:
    """What became of the questions."""

    url: str
    upstream: str
    model: str
    calls: int
    concurrency: int
    asked: tuple[str, ...]
    """The kinds of questions: `openai, plain`."""
    not_spoken: tuple[str, ...]
    """Protocols that were tried and left out, each with the reason."""
    findings: tuple[CanaryFinding, ...]

    @property
    def failed(self) -> bool:
        """Whether anything is wrong."""
        return bool(self.findings)

    @property
    def counts(self) -> dict[str, int]:
        """Questions by verdict. One question may have several."""
        found = Counter(verdict for verdict, _ in {(each.verdict, each.mark) for each in self.findings})
        right = self.calls - len({each.mark for each in self.findings})
        return {"right": right, **{verdict: found[verdict] for verdict in VERDICTS}}

    def describe(self) -> dict[str, Json]:
        """Return the report as JSON."""
        names = ("verdict", "mark", "kind", "detail")
        return {
            "url": self.url,
            "upstream": self.upstream,
            "model": self.model,
            "calls": self.calls,
            "concurrency": self.concurrency,
            "asked": list(self.asked),
            "not_spoken": list(self.not_spoken),
            "counts": self.counts,
            "findings": [{name: getattr(each, name) for name in names} for each in self.findings],
        }

    def list_lines(self) -> Iterator[str]:
        """Yield the report as lines of text."""
        ways = "; ".join(self.asked)
        yield f"{count_nouns(self.calls, 'question')} through {self.url}, {self.concurrency} at a time ({ways})"
        for reason in self.not_spoken:
            yield escape_unprintable(f"left out: {reason}")
        for name, count in self.counts.items():
            meaning = VERDICTS.get(name, "came back to who asked, as the upstream said it")  # type: ignore[call-overload]
            yield f"  {name:<8}{count:>6}  {meaning}"
        for verdict in VERDICTS:
            found = [each for each in self.findings if each.verdict == verdict]
            for each in found[:_SHOWN]:
                yield escape_unprintable(f"{verdict}: {each.mark} ({each.kind}): {each.detail}")
            if len(found) > _SHOWN:
                yield f"{verdict}: and {len(found) - _SHOWN} more (--json has all)"
