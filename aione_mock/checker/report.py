"""The outcome of a run as one value, and its exit code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from aione_mock.checker import deduplication
from aione_mock.checker.budget import format_money
from aione_mock.checker.finding import LawFinding, MatrixCell
from aione_mock.checker.finding_collector import FindingCollector
from aione_mock.checker.law import ExchangeRule, Law
from aione_mock.checker.options import FailOn
from aione_mock.checker.run import INTERRUPTED, CheckRun

EXIT_KEPT, EXIT_FOUND, EXIT_COULD_NOT = 0, 1, 2
_AREAS_BY_IMPORTANCE = ("access", "isolation", "keys", "billing", "usage", "streams", "chat")
"""Others come after these."""


@dataclass(frozen=True, slots=True)
class LawInfo:
    """A law as reports show it."""

    name: str
    title: str
    sentence: str
    evidence: str
    area: str


@dataclass(frozen=True, slots=True)
class RunCounts:
    """What a run did, and the cells of the matrix by state."""

    operations: int
    laws: int
    requests: int
    cases: int
    """The generated ones of the requests."""
    paid_calls: int
    spent_rmb: str
    seconds: float
    statuses: Mapping[int, int] = field(default_factory=dict)
    kept: int = 0
    broken: int = 0
    not_checked: int = 0


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What was kept, broken and not checked, without credentials."""

    url: str
    findings: tuple[LawFinding, ...]
    """One for each law, operation and expectation, the most important first."""
    known_findings: tuple[LawFinding, ...]
    """Findings that are in the baseline."""
    fixed_fingerprints: tuple[str, ...]
    """Fingerprints of the baseline whose law is kept now."""
    matrix: Mapping[str, Mapping[str, MatrixCell]]
    """Law → operation → cell."""
    laws: tuple[LawInfo, ...]
    operations: tuple[str, ...]
    counts: RunCounts
    stopped: str = ""
    """Why the run ended early; empty if it did not."""
    could_not: str = ""
    """Why nothing could be checked; empty if something could."""
    keys_left: tuple[str, ...] = ()
    """Temporary keys that could not be deleted."""
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
    def known_fingerprints(self) -> list[str]:
        """Fingerprints of the known findings, one for each finding."""
        return [finding.fingerprint for finding in self.known_findings]

    @property
    def exit_code(self) -> int:
        """0 if all laws are kept, 1 with findings, 2 if nothing could be checked."""
        if self.could_not:
            return EXIT_COULD_NOT
        if self.findings if self.fail_on == "assumption" else self.violations:
            return EXIT_FOUND
        return EXIT_COULD_NOT if self.stopped == INTERRUPTED else EXIT_KEPT

    @property
    def kept(self) -> bool:
        """Whether all laws that were checked are kept."""
        return self.exit_code == EXIT_KEPT

    @property
    def verdict(self) -> str:
        """The result in one sentence."""
        if self.could_not:
            return f"Could not check: {self.could_not}{'' if self.could_not.endswith('?') else '.'}"
        counted = (
            _count_nouns(len(self.violations), "violation", "violations"),
            _count_nouns(len(self.assumptions), "assumption mismatch", "assumption mismatches"),
        )
        early = f" The run ended early: {self.stopped}." if self.stopped else ""
        return f"{' and '.join(filter(None, counted)) or 'No finding'}.{early}"

    @property
    def unchecked(self) -> list[tuple[str, tuple[str, ...]]]:
        """The reasons for not checking, each with its laws; the one of most laws first."""
        reasons: dict[str, set[str]] = {}
        for law, cells in self.matrix.items():
            for cell in cells.values():
                if cell.state == "not checked":
                    reasons.setdefault(cell.reason, set()).add(law)
        return [(reason, tuple(sorted(laws))) for reason, laws in sorted(reasons.items(), key=lambda i: -len(i[1]))]

    def __str__(self) -> str:
        lines = [
            f"- {f.law} · {f.operation} ({f.evidence}): expected {f.expected}; saw {f.seen}" for f in self.findings
        ]
        return "\n".join([self.verdict, *lines])

    def assert_kept(self) -> None:
        """Raise AssertionError with all findings unless the laws are kept."""
        if not self.kept:
            raise AssertionError(str(self))


def _count_nouns(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}" if count else ""


def build_report(run: CheckRun, *, fail_on: FailOn = "assumption", baseline: Iterable[str] = ()) -> CheckReport:
    """Return the outcome of a run that has ended, early or not."""
    collector = FindingCollector(run.context)
    for finding in deduplication.remove_consequences(run.findings):
        collector.add_finding(finding)
    findings = rank_findings(collector.findings)
    missing = {f.operation for f in findings if f.law == deduplication.OPERATION_SERVED.name}
    matrix = {verdict.law: deduplication.clear_missing(verdict.law, verdict.cells, missing) for verdict in run.verdicts}
    kept = {f"{law}:{name}" for law, row in matrix.items() for name, cell in row.items() if cell.state == "kept"}
    known = frozenset(baseline)
    return CheckReport(
        url=run.context.target.url,
        findings=tuple(f for f in findings if f.fingerprint not in known),
        known_findings=tuple(f for f in findings if f.fingerprint in known),
        fixed_fingerprints=tuple(sorted(known & kept)),
        matrix=matrix,
        laws=tuple(_describe_laws(run, matrix)),
        operations=run.plan.operations,
        counts=_count_results(run, matrix),
        stopped=run.stopped,
        could_not=_explain_failure(run),
        keys_left=run.keys_left,
        fail_on=fail_on,
    )


def _count_results(run: CheckRun, matrix: Mapping[str, Mapping[str, MatrixCell]]) -> RunCounts:
    client = run.context.client
    states = Counter(cell.state for row in matrix.values() for cell in row.values())
    return RunCounts(
        operations=len(run.plan.operations),
        laws=len(run.plan.laws) + len(run.plan.rules),
        requests=client.requests,
        cases=run.cases,
        paid_calls=client.budget.calls,
        spent_rmb=format_money(client.budget.spent),
        seconds=round(run.seconds, 1),
        statuses=dict(sorted(client.statuses.items())),
        kept=states["kept"],
        broken=states["broken"],
        not_checked=states["not checked"],
    )


def _explain_failure(run: CheckRun) -> str:
    """Return why nothing could be checked; empty if something could."""
    if run.target_gone or run.obstacle:
        return run.obstacle or run.stopped
    client = run.context.client
    if any(client.statuses) or run.cases:
        return ""
    unanswered = client.last.failure if client.last else "no request was sent; give a credential such as --key"
    return run.stopped or unanswered


def _describe_laws(run: CheckRun, matrix: Mapping[str, object]) -> Iterable[LawInfo]:
    laws: tuple[Law | ExchangeRule, ...] = (*run.plan.rules, deduplication.OPERATION_SERVED, *run.plan.laws)
    by_name = {law.name: law for law in laws}
    titles = {finding.law: finding.title for finding in run.findings}
    for name in matrix:
        law = by_name.get(name)
        if law is None:
            yield LawInfo(name, titles.get(name, name), "", "documented", "generated")
        else:
            yield LawInfo(name, law.title, law.sentence, law.evidence, law.area)


def rank_findings(findings: Iterable[LawFinding]) -> tuple[LawFinding, ...]:
    """Sort findings: violations first, then by area, then by count."""
    from aione_mock.checker.laws import AREAS

    def rank(finding: LawFinding) -> tuple[bool, int, int, str, str]:
        area = AREAS.get(finding.law, "")
        known = area in _AREAS_BY_IMPORTANCE
        importance = _AREAS_BY_IMPORTANCE.index(area) if known else len(_AREAS_BY_IMPORTANCE)
        return (finding.severity == "assumption", importance, -finding.count, finding.law, finding.operation)

    return tuple(sorted(findings, key=rank))
