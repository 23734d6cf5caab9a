"""A run as pytest needs it: one outcome for each operation and law, requested one at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from aione_mock.checker.deduplication import UNSEEN
from aione_mock.checker.errors import INTERRUPTED, CheckError
from aione_mock.checker.finding import LawFinding, MatrixCell, Severity
from aione_mock.checker.plan import CheckPlan, find_asking_laws
from aione_mock.checker.report import build_report
from aione_mock.checker.run import CheckRun
from aione_mock.structs import replace
from aione_mock.text.escaping import escape_unprintable


@dataclass(frozen=True, slots=True)
class MatrixPlace:
    """A place of the matrix operation by law."""

    operation: str
    law: str

    def __str__(self) -> str:
        return f"{self.operation}-{self.law}"


@dataclass(frozen=True, slots=True)
class PlaceOutcome:
    """The result for one place, without credentials."""

    cell: MatrixCell
    findings: tuple[LawFinding, ...] = ()

    @property
    def severity(self) -> Severity:
        """The highest severity of the findings."""
        return "violation" if any(f.severity == "violation" for f in self.findings) else "assumption"

    def __str__(self) -> str:
        text = "\n\n".join(_describe_finding(finding) for finding in self.findings) or self.cell.reason
        return escape_unprintable(text, lines=True)


def _describe_finding(finding: LawFinding) -> str:
    times = f" ({finding.times})" if finding.times else ""
    rows = (
        ("expected", finding.expected),
        ("seen", finding.seen),
        ("answer", finding.answer),
        ("repeat", finding.curl),
        ("overlay", finding.overlay.rstrip()),
    )
    lines = [f"{finding.severity_name} at {finding.operation}: {finding.title} [{finding.law}]{times}"]
    return "\n".join(
        lines + [f"  {name:<9} {text.replace(chr(10), chr(10) + ' ' * 12)}" for name, text in rows if text]
    )


def list_places(plan: CheckPlan) -> list[MatrixPlace]:
    """Return the places of a plan in the order in which a run gets to them."""
    places = [MatrixPlace(name, law.name) for law in plan.laws for name in plan.list_operations_of(law)]
    places += [MatrixPlace(name, check) for check in plan.checks if plan.phases for name in plan.operations]
    return places + [MatrixPlace(name, rule.name) for rule in plan.rules for name in plan.list_operations_of(rule)]


def narrow_plan(plan: CheckPlan, places: Iterable[MatrixPlace]) -> CheckPlan:
    """Return the part of a plan that has to be run for some places."""
    chosen = set(places)
    operations, names = {place.operation for place in chosen}, {place.law for place in chosen}
    laws = tuple(law for law in plan.laws if law.name in names)
    rules = tuple(rule for rule in plan.rules if rule.name in names)
    known = (*plan.laws, *plan.asking_laws)
    return replace(
        plan,
        operations=tuple(name for name in plan.operations if name in operations),
        laws=laws,
        rules=rules,
        phases=plan.phases if names & set(plan.checks) else (),
        asking_laws=find_asking_laws(rules, known, operations) if rules and not laws else (),
    )


class ContractSuite:
    """A run that continues only as far as an outcome needs."""

    def __init__(self, run: CheckRun) -> None:
        self._run = run
        self._events = run.yield_events()
        self._ended = False

    @property
    def places(self) -> list[MatrixPlace]:
        """The places that have an outcome."""
        return list_places(self._run.plan)

    def narrow(self, places: Iterable[MatrixPlace]) -> None:
        """Run only what some places need. Call it before the first outcome."""
        self._run.plan = narrow_plan(self._run.plan, places)
        if not self._run.plan.phases:
            self._run.generated = None

    @property
    def target_gone(self) -> bool:
        """Whether the target has stopped answering."""
        return self._run.target_gone

    def find_outcome(self, place: MatrixPlace) -> PlaceOutcome:
        """Run until the result of a place is known.

        Raises CheckError if there is nothing to check, and KeyboardInterrupt if that ended the run.
        """
        while (cell := self._find_cell(place)) is None and self._advance():
            pass
        mask = self._run.context.client.mask
        if self._run.obstacle:
            raise CheckError(mask.apply(f"could not check: {build_report(self._run).could_not}"))
        cell = cell or self._find_cell(place) or MatrixCell("not checked", UNSEEN)
        cell = replace(cell, reason=mask.apply(cell.reason))
        findings = [f for f in self._run.findings if (f.operation, f.law) == (place.operation, place.law)]
        return PlaceOutcome(cell, tuple(findings) if cell.state == "broken" else ())

    def _find_cell(self, place: MatrixPlace) -> MatrixCell | None:
        rows = [verdict.cells for verdict in self._run.verdicts if verdict.law == place.law]
        return rows[0].get(place.operation) if rows else None

    def _advance(self) -> bool:
        """Continue the run by one event; return whether there was one."""
        if not self._ended and next(self._events, None) is None:
            self._ended = True
            if self._run.stopped == INTERRUPTED:
                raise KeyboardInterrupt
        return not self._ended

    def close(self) -> tuple[str, ...]:
        """End the run; return the temporary keys that could not be deleted."""
        self._events.close()
        self._run.context.client.close()
        return self._run.keys_left
