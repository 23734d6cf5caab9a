"""A run as a test runner wants it: one outcome for each operation and law, asked for one at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from aione_mock.checker.finding import LawFinding, MatrixCell, Severity
from aione_mock.checker.plan import CheckPlan
from aione_mock.checker.report import CheckError, report
from aione_mock.checker.run import CheckRun
from aione_mock.structs import replace


@dataclass(frozen=True, slots=True)
class MatrixPlace:
    """One place of the matrix operation by law."""

    operation: str
    law: str

    def __str__(self) -> str:
        return f"{self.operation}-{self.law}"


@dataclass(frozen=True, slots=True)
class PlaceOutcome:
    """What there is to say about one place. Holds no credential."""

    cell: MatrixCell
    findings: tuple[LawFinding, ...] = ()

    @property
    def severity(self) -> Severity:
        """`assumption` if nothing was found against what is more than assumed."""
        return "violation" if any(f.severity == "violation" for f in self.findings) else "assumption"

    def __str__(self) -> str:
        return "\n\n".join(_told(finding) for finding in self.findings) or self.cell.reason


def _told(finding: LawFinding) -> str:
    word = "violation" if finding.severity == "violation" else "assumption mismatch"
    often = f" ({finding.count} times)" if finding.count > 1 else ""
    rows = (
        ("expected", finding.expected),
        ("seen", finding.seen),
        ("answer", finding.answer),
        ("again", finding.curl),
        ("adopt", finding.overlay.rstrip()),
    )
    lines = [f"{word} at {finding.operation}: {finding.title} [{finding.law}]{often}"]
    return "\n".join(
        lines + [f"  {name:<9} {text.replace(chr(10), chr(10) + ' ' * 12)}" for name, text in rows if text]
    )


def places(plan: CheckPlan) -> list[MatrixPlace]:
    """Every place of a plan, in the order in which a run comes to know about them."""
    found = [MatrixPlace(name, law.name) for law in plan.laws for name in plan.of(law)]
    found += [MatrixPlace(name, check) for check in plan.checks if plan.phases for name in plan.operations]
    return found + [MatrixPlace(name, rule.name) for rule in plan.rules for name in plan.operations]


def narrowed(plan: CheckPlan, wanted: Iterable[MatrixPlace]) -> CheckPlan:
    """What of a plan has to be run for these places."""
    chosen = set(wanted)
    operations, names = {place.operation for place in chosen}, {place.law for place in chosen}
    laws = tuple(law for law in plan.laws if law.name in names)
    # rules and checks need somebody who sends requests
    generated = len(laws) < len(names)
    return replace(
        plan,
        operations=tuple(name for name in plan.operations if name in operations),
        laws=laws,
        rules=tuple(rule for rule in plan.rules if rule.name in names),
        phases=plan.phases if generated else (),
    )


class ContractSuite:
    """A run that goes on as far as an outcome asks for."""

    def __init__(self, run: CheckRun) -> None:
        self._run = run
        self._events = run.events()
        self._ended = False

    @property
    def places(self) -> list[MatrixPlace]:
        """What outcomes can be asked for."""
        return places(self._run.plan)

    def narrow(self, wanted: Iterable[MatrixPlace]) -> None:
        """Run no more than these places need. Before the first outcome."""
        self._run.plan = narrowed(self._run.plan, wanted)
        if not self._run.plan.phases:
            self._run.generated = None

    @property
    def gone(self) -> bool:
        """Whether the target has stopped answering."""
        return self._run.gone

    def outcome(self, place: MatrixPlace) -> PlaceOutcome:
        """What the run says about a place.

        Raises CheckError when there is nothing to check at the address, KeyboardInterrupt if that has ended the run.
        """
        while (cell := self._cell(place)) is None and self._goes_on():
            pass
        if self._run.obstacle:
            raise CheckError(self._run.context.client.mask.text(f"could not check: {report(self._run).could_not}"))
        if cell is None:
            cell = self._cell(place) or MatrixCell("not checked", "nothing was asked that shows it")
        cell = replace(cell, reason=self._run.context.client.mask.text(cell.reason))
        found = [f for f in self._run.findings if (f.operation, f.law) == (place.operation, place.law)]
        return PlaceOutcome(cell, tuple(found) if cell.state == "broken" else ())

    def _cell(self, place: MatrixPlace) -> MatrixCell | None:
        rows = [verdict.cells for verdict in self._run.verdicts if verdict.law == place.law]
        return rows[0].get(place.operation) if rows else None

    def _goes_on(self) -> bool:
        if not self._ended and next(self._events, None) is None:
            self._ended = True
            if self._run.stopped == "interrupted":
                raise KeyboardInterrupt
        return not self._ended

    def close(self) -> tuple[str, ...]:
        """End the run where it is; the keys it has made and could not delete."""
        self._events.close()
        self._run.context.client.close()
        return self._run.unclean
