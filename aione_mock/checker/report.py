"""The outcome of a run as one value, and its exit code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from aione_mock.checker import deduplication
from aione_mock.checker.budget import money
from aione_mock.checker.finding import LawFinding, MatrixCell
from aione_mock.checker.law import ExchangeRule, Law
from aione_mock.checker.run import INTERRUPTED, CheckRun
from aione_mock.errors import MockError
from aione_mock.structs import replace

FailOn = Literal["violation", "assumption"]
KEPT, FOUND, COULD_NOT = 0, 1, 2
"""Exit codes."""


@dataclass(frozen=True, slots=True)
class LawInfo:
    """A law as a report shows it."""

    name: str
    title: str
    sentence: str
    evidence: str
    area: str


@dataclass(frozen=True, slots=True)
class Counts:
    """What a run did."""

    operations: int
    laws: int
    requests: int
    cases: int
    """Generated ones among the requests."""
    paid_calls: int
    spent_rmb: str
    seconds: float
    statuses: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What was kept, broken and not checked. Holds no credential."""

    url: str
    findings: tuple[LawFinding, ...]
    """Grouped by law and operation, the most important first."""
    known: tuple[LawFinding, ...]
    """Findings that the baseline has already."""
    gone: tuple[str, ...]
    """Fingerprints of the baseline that were looked for and not found any more."""
    matrix: Mapping[str, Mapping[str, MatrixCell]]
    """Law → operation → cell."""
    laws: tuple[LawInfo, ...]
    operations: tuple[str, ...]
    counts: Counts
    stopped: str = ""
    """Why the run ended early; empty when it did not."""
    could_not: str = ""
    """Why nothing could be checked; empty when something could."""
    unclean: tuple[str, ...] = ()
    """Keys that the run has made and could not delete."""
    fail_on: FailOn = "assumption"

    @property
    def violations(self) -> tuple[LawFinding, ...]:
        """Findings against what is documented or deduced."""
        return tuple(f for f in self.findings if f.severity == "violation")

    @property
    def assumptions(self) -> tuple[LawFinding, ...]:
        """Findings against what the contract only assumes."""
        return tuple(f for f in self.findings if f.severity == "assumption")

    @property
    def exit_code(self) -> int:
        """0 kept, 1 findings, 2 could not check."""
        if self.could_not:
            return COULD_NOT
        if self.findings if self.fail_on == "assumption" else self.violations:
            return FOUND
        return COULD_NOT if self.stopped == INTERRUPTED else KEPT

    @property
    def kept(self) -> bool:
        """Whether the run has nothing to say against the target."""
        return self.exit_code == KEPT

    @property
    def verdict(self) -> str:
        """One sentence."""
        if self.could_not:
            return f"Could not check: {self.could_not}{'' if self.could_not.endswith('?') else '.'}"
        early = f" The run ended early: {self.stopped}." if self.stopped else ""
        if not self.findings:
            return f"No finding.{early}"
        parts = [
            f"{len(found)} {word}{'s' if len(found) != 1 else ''}"
            for found, word in ((self.violations, "violation"), (self.assumptions, "assumption mismatch"))
            if found
        ]
        return f"{' and '.join(parts)}.{early}".replace("mismatchs", "mismatches")

    @property
    def unchecked(self) -> list[tuple[str, tuple[str, ...]]]:
        """Why something was not checked, and the laws it was asked by; what concerns most of them first."""
        reasons: dict[str, set[str]] = {}
        for law, cells in self.matrix.items():
            for cell in cells.values():
                if cell.state == "not checked":
                    reasons.setdefault(cell.reason, set()).add(law)
        return [(reason, tuple(sorted(laws))) for reason, laws in sorted(reasons.items(), key=lambda i: -len(i[1]))]

    def cells(self, state: str) -> int:
        """How many places of the matrix are `kept`, `broken` or `not checked`."""
        return sum(cell.state == state for row in self.matrix.values() for cell in row.values())

    def __str__(self) -> str:
        lines = [self.verdict]
        lines += [
            f"- {f.law} · {f.operation} ({f.evidence}): expected {f.expected}; saw {f.seen}" for f in self.findings
        ]
        return "\n".join(lines)

    def assert_kept(self) -> None:
        """Raises AssertionError with all findings, for tests."""
        if not self.kept:
            raise AssertionError(str(self))


def report(run: CheckRun, *, fail_on: FailOn = "assumption", baseline: Iterable[str] | None = None) -> CheckReport:
    """The outcome of a run that has ended, early or not."""
    client = run.context.client
    found = ranked(_grouped(deduplication.once(run.findings)))
    known_before = set(baseline or ())
    missing = {finding.operation for finding in found if finding.law == deduplication.SERVED.name}
    matrix = {verdict.law: deduplication.cells(verdict.law, verdict.cells, missing) for verdict in run.verdicts}
    fresh = tuple(f for f in found if f.fingerprint not in known_before)
    old = tuple(f for f in found if f.fingerprint in known_before)
    looked = {f"{law}:{name}" for law, cells in matrix.items() for name, cell in cells.items() if cell.state == "kept"}
    return CheckReport(
        client.target.url,
        fresh,
        old,
        tuple(sorted(known_before & looked)),
        matrix,
        tuple(_infos(run, matrix)),
        run.plan.operations,
        Counts(
            len(run.plan.operations),
            len(run.plan.laws) + len(run.plan.rules),
            client.requests,
            run.cases,
            client.budget.calls,
            money(client.budget.spent),
            round(run.seconds, 1),
            dict(sorted(client.statuses.items())),
        ),
        run.stopped,
        _hopeless(run),
        run.unclean,
        fail_on,
    )


def _hopeless(run: CheckRun) -> str:
    """Why nothing could be checked."""
    if run.gone or run.obstacle:
        return run.obstacle or run.stopped
    statuses = run.context.client.statuses
    answered = {status: n for status, n in statuses.items() if status}
    if not answered and not run.cases:
        last = run.context.client.last
        return run.stopped or (last.failure if last else "nothing was asked; give a credential such as --key")
    return ""


def _infos(run: CheckRun, matrix: Mapping[str, Mapping[str, MatrixCell]]) -> Iterable[LawInfo]:
    every: tuple[Law | ExchangeRule, ...] = (*run.plan.rules, deduplication.SERVED, *run.plan.laws)
    known = {law.name: law for law in every}
    titles = {finding.law: finding.title for finding in run.findings}
    for name in matrix:
        law = known.get(name)
        if law is None:
            yield LawInfo(name, titles.get(name, name), "", "documented", "generated")
        else:
            yield LawInfo(name, law.title, law.sentence, law.evidence, law.area)


def _grouped(findings: Iterable[LawFinding]) -> list[LawFinding]:
    """One finding for each law, operation and expectation, with how often it was made."""
    found: dict[tuple[str, str, str], LawFinding] = {}
    for finding in findings:
        key = (finding.law, finding.operation, finding.expected)
        old = found.get(key)
        found[key] = replace(old, count=old.count + finding.count) if old else finding
    return list(found.values())


_GRAVE = ("access", "isolation", "keys", "billing", "usage", "streams", "chat")
"""Areas in the order of what hurts most; others come after them."""


def ranked(findings: Iterable[LawFinding]) -> tuple[LawFinding, ...]:
    """The most important first: violations, then by area, then by how often."""
    from aione_mock.checker.laws import AREAS

    def rank(finding: LawFinding) -> tuple[bool, int, int, str, str]:
        area = AREAS.get(finding.law, "")
        place = _GRAVE.index(area) if area in _GRAVE else len(_GRAVE)
        return (finding.severity == "assumption", place, -finding.count, finding.law, finding.operation)

    return tuple(sorted(findings, key=rank))


class CheckError(MockError):
    """A report or baseline that cannot be read or written."""
