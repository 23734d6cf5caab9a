"""The outcome of a run as one value, and its exit code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aione_mock.checker import deduplication
from aione_mock.checker.budget import format_money
from aione_mock.checker.causes import Cause, GatewayFacts, group_by_cause
from aione_mock.checker.coverage import ContractCoverage
from aione_mock.checker.errors import INTERRUPTED
from aione_mock.checker.finding import LawFinding, MatrixCell
from aione_mock.checker.finding_collector import FindingCollector
from aione_mock.checker.law import ExchangeRule, Law
from aione_mock.checker.law_entries import find_law_evidence
from aione_mock.checker.options import FailOn
from aione_mock.checker.outages import OUTAGE_LAWS, STREAM_LAW, describe_outages, list_dead_operations
from aione_mock.checker.run import CheckRun
from aione_mock.checker.run_details import RunDetails, describe_run
from aione_mock.checker.schema_lookup import EVIDENCE_ORDER
from aione_mock.checker.target import HOW_TO_GIVE
from aione_mock.text.escaping import count_nouns, escape_unprintable

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
    causes: tuple[Cause, ...]
    """What is wrong, the most important first, without what is in the baseline."""
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
    coverage: ContractCoverage = field(default_factory=ContractCoverage)
    coverage_min: float = 0.0
    """The percentage below which the run fails."""
    require_checked: float = 0.0
    """The percentage of cells that were checked below which the run fails."""
    notices: tuple[str, ...] = ()
    """Sentences about the run that have to be said first."""
    notes: tuple[str, ...] = ()
    """What is no finding, but worth knowing: further members of answers, examples that an overlay does not allow."""
    details: RunDetails = field(default_factory=RunDetails)
    law_seconds: Mapping[str, float] = field(default_factory=dict)
    """Law → how long its check took; only of laws that send requests of their own."""
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Tag → its planned operations, in the order of the contract."""
    location: Path | None = None
    """The file that results of code scanning point at."""

    @property
    def findings(self) -> tuple[LawFinding, ...]:
        """The findings of all causes: one for each law, operation and what differs or was expected."""
        return tuple(finding for cause in self.causes for finding in cause.findings)

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
        if self.shortfall:
            return EXIT_FOUND
        return EXIT_COULD_NOT if self.stopped == INTERRUPTED else EXIT_KEPT

    @property
    def all_kept(self) -> bool:
        """Whether all laws that were checked are kept."""
        return self.exit_code == EXIT_KEPT

    @property
    def verdict(self) -> str:
        """What the run found, in a few sentences."""
        return f"{self.headline} {self.result}".strip() if self.headline and not self.could_not else self.result

    @property
    def result(self) -> str:
        """The verdict without what has to be said first."""
        if self.could_not:
            return f"Could not check: {self.could_not}{'' if self.could_not.endswith('?') else '.'}"
        severities = Counter(cause.severity for cause in self.causes)
        counted = (
            _count_found(severities["violation"], "violation", "violations"),
            _count_found(severities["assumption"], "assumption mismatch", "assumption mismatches"),
        )
        found = " and ".join(filter(None, counted)) or ("No new finding" if self.known_findings else "No finding")
        places = (
            f", shown by {count_nouns(len(self.findings), 'finding')}" if len(self.findings) > len(self.causes) else ""
        )
        known = _count_found(len(self.known_findings), "is", "are")
        early = f" The run ended early: {self.stopped}." if self.stopped else ""
        uncovered = f" {self.shortfall}" if self.shortfall else ""
        return f"{found}{places}{f'; {known} in the baseline' if known else ''}.{uncovered}{early}"

    @property
    def headline(self) -> str:
        """What has to be said first: credentials that are rejected, and what does not work at all."""
        return " ".join(filter(None, (*self.notices, describe_outages(self.findings, self.tags))))

    @property
    def shortfall(self) -> str:
        """What the run lacks of what is required of it, a sentence each; empty if it lacks nothing."""
        counts, lacks = self.counts, []
        checked = counts.kept + counts.broken
        percent = 100 * checked / ((checked + counts.not_checked) or 1)
        if percent < self.require_checked:
            lacks.append(f"The run checked {percent:.0f} % of the matrix, {self.require_checked:g} % are required.")
        if (covered := self.coverage.percent) < self.coverage_min:
            lacks.append(f"The run exercised {covered} % of the contract, {self.coverage_min:g} % are required.")
        return " ".join(lacks)

    @property
    def unchecked(self) -> list[tuple[str, tuple[str, ...]]]:
        """The reasons for not checking, each with its laws; the one of most laws first.

        A law that was checked elsewhere is followed by the operations where it was not.
        """
        reasons: dict[str, set[str]] = {}
        for law, cells in self.matrix.items():
            places: dict[str, list[str]] = {}
            for operation, cell in cells.items():
                if cell.state == "not checked":
                    places.setdefault(cell.reason, []).append(operation)
            partly = any(cell.state != "not checked" for cell in cells.values())
            for reason, operations in places.items():
                reasons.setdefault(reason, set()).add(f"{law} at {_list_some(operations)}" if partly else law)
        return [(reason, tuple(sorted(laws))) for reason, laws in sorted(reasons.items(), key=lambda i: -len(i[1]))]

    def __str__(self) -> str:
        lines = [
            escape_unprintable(f"- {cause.title} [{f.law}] ({f.evidence}): expected {f.expected}; saw {f.seen}")
            for cause in self.causes
            for f in [cause.principal]
        ]
        return "\n".join([self.verdict, *lines])

    def assert_kept(self) -> None:
        """Raise AssertionError with all findings unless the laws are kept."""
        if not self.all_kept:
            raise AssertionError(str(self))


def _list_some(operations: Sequence[str]) -> str:
    return operations[0] if len(operations) == 1 else f"{len(operations)} operations"


def _count_found(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}" if count else ""


def build_report(
    run: CheckRun,
    *,
    fail_on: FailOn = "assumption",
    baseline: Iterable[str] = (),
    coverage_min: float = 0.0,
    require_checked: float = 0.0,
) -> CheckReport:
    """Return the outcome of a run that has ended, early or not."""
    collector = FindingCollector(run.context)
    for finding in deduplication.remove_consequences(run.findings, run.missing):
        collector.add_finding(finding)
    findings = rank_findings(collector.findings)
    matrix = {
        verdict.law: deduplication.clear_missing(verdict.law, verdict.cells, run.missing) for verdict in run.verdicts
    }
    known = frozenset(baseline)
    new = group_by_cause([f for f in findings if not known & {f.fingerprint, f.place}], _collect_facts(run, findings))
    return CheckReport(
        url=run.context.target.url,
        causes=new,
        known_findings=tuple(f for f in findings if known & {f.fingerprint, f.place}),
        fixed_fingerprints=tuple(_list_fixed(known, matrix)),
        matrix=matrix,
        laws=tuple(_describe_laws(run, matrix)),
        operations=run.plan.operations,
        counts=_count_results(run, matrix),
        stopped=run.stopped,
        could_not=_explain_failure(run, matrix, findings),
        keys_left=run.keys_left,
        fail_on=fail_on,
        details=describe_run(run),
        law_seconds={verdict.law: round(verdict.seconds, 3) for verdict in run.verdicts if verdict.seconds},
        coverage=run.coverage.measure(),
        coverage_min=coverage_min,
        require_checked=require_checked,
        notices=tuple(run.notices),
        notes=run.notes,
        tags=_list_tags(run),
    )


def _list_tags(run: CheckRun) -> dict[str, tuple[str, ...]]:
    tags: dict[str, tuple[str, ...]] = {}
    for name in run.plan.operations:
        for tag in run.context.contract.operations[name].tags:
            tags[tag] = (*tags.get(tag, ()), name)
    return tags


def _collect_facts(run: CheckRun, findings: Iterable[LawFinding]) -> GatewayFacts:
    operations, dead = run.context.contract.operations.values(), list_dead_operations(findings)
    envelopes: dict[str, set[str]] = {}
    for operation in operations:
        for error in operation.errors.values():
            envelopes.setdefault(operation.protocol, set()).update(error.body)
    return GatewayFacts(
        protocols={operation.id: operation.protocol for operation in operations},
        areas={law.name: law.area for law in run.plan.laws},
        envelopes={protocol: frozenset(names) for protocol, names in envelopes.items()},
        failing={name: status for name, status in run.failing.items() if status >= 500 or name in dead},
        failing_streams={f.operation: f.status for f in findings if f.law == STREAM_LAW and f.status >= 500},
        accepting=frozenset(f.operation for f in findings if f.law == "access-wrong" and f.status // 100 == 2),
    )


def _list_fixed(known: Iterable[str], matrix: Mapping[str, Mapping[str, MatrixCell]]) -> Iterator[str]:
    """Yield the fingerprints of a baseline whose law is kept now."""
    for fingerprint in sorted(known):
        law, operation, *_ = fingerprint.split(":", 2)
        cell = matrix.get(law, {}).get(operation)
        if cell and cell.state == "kept":
            yield fingerprint


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


def _explain_failure(
    run: CheckRun, matrix: Mapping[str, Mapping[str, MatrixCell]], findings: Sequence[LawFinding]
) -> str:
    """Return why nothing could be checked; empty if something could."""
    if run.target_gone or run.obstacle:
        return run.obstacle or run.stopped
    client = run.context.client
    if not (any(client.statuses) or run.cases):
        unanswered = client.last.failure if client.last else "no request was sent; " + HOW_TO_GIVE
        return run.stopped or unanswered
    cells = [cell for row in matrix.values() for cell in row.values()]
    if all(cell.state == "not checked" for cell in cells) and not findings:
        reasons = Counter(cell.reason for cell in cells).most_common(1)
        return f"nothing was checked: {run.stopped or reasons[0][0]}"
    return ""


def _describe_laws(run: CheckRun, matrix: Mapping[str, object]) -> Iterable[LawInfo]:
    laws: tuple[Law | ExchangeRule, ...] = (*run.plan.rules, deduplication.OPERATION_SERVED, *run.plan.laws)
    by_name = {law.name: law for law in laws}
    titles = {finding.law: finding.title for finding in run.findings}
    for name in matrix:
        law = by_name.get(name)
        if law is None:
            yield LawInfo(name, titles.get(name, name), "", "documented", "generated")
        else:
            evidence = find_law_evidence(run.context.contract, name) if isinstance(law, Law) else EVIDENCE_ORDER[-1]
            yield LawInfo(name, law.title, law.sentence, evidence, law.area)


def rank_findings(findings: Iterable[LawFinding]) -> tuple[LawFinding, ...]:
    """Sort findings: violations first, then by area, then by count."""
    from aione_mock.checker.laws import AREAS

    def rank(finding: LawFinding) -> tuple[bool, int, int, str, str]:
        area = AREAS.get(finding.law, "")
        known = area in _AREAS_BY_IMPORTANCE
        importance = _AREAS_BY_IMPORTANCE.index(area) if known else len(_AREAS_BY_IMPORTANCE)
        importance = -1 if finding.law in OUTAGE_LAWS else importance
        return (finding.severity == "assumption", importance, -finding.count, finding.law, finding.operation)

    return tuple(sorted(findings, key=rank))
