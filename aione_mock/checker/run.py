"""A run: the laws in their order, then the generated cases, as a stream of events."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from aione_mock.checker.budget import format_money
from aione_mock.checker.context import LawContext
from aione_mock.checker.coverage import CoverageRecorder
from aione_mock.checker.deduplication import OPERATION_SERVED, UNSEEN
from aione_mock.checker.errors import (
    INTERRUPTED,
    BudgetSpent,
    CheckError,
    NotChecked,
    StopRun,
    TargetGone,
    describe_bug,
)
from aione_mock.checker.exchange import HttpExchange
from aione_mock.checker.finding import (
    SWITCHED_OFF,
    BrokenLaw,
    LawFinding,
    LawVerdict,
    MatrixCell,
    SkippedOperation,
)
from aione_mock.checker.finding_collector import FindingCollector
from aione_mock.checker.law import Law, explain_missing
from aione_mock.checker.law_entries import is_switched_off
from aione_mock.checker.options import CheckOptions
from aione_mock.checker.plan import CheckPlan
from aione_mock.checker.preflight import find_obstacle
from aione_mock.checker.rule_observer import RuleObserver
from aione_mock.checker.run_events import (
    LawFinished,
    LawStarted,
    PaidCallsAhead,
    RunEvent,
    RunFinished,
    RunStarted,
)
from aione_mock.checker.signals import ignore_signals
from aione_mock.clock import SYSTEM_CLOCK
from aione_mock.text.escaping import count_nouns

RATE_LIMITED = "the gateway rejected the request with 429; a lower --rate-limit may help"
_PROMPT_TOKENS, _COMPLETION_TOKENS = 60, 40
"""Tokens of an average call of the laws, for the estimate."""

GeneratedPart = Callable[["CheckRun"], Iterator[RunEvent]]


@dataclass(slots=True)
class CheckRun:
    """The course of a run and its results so far."""

    context: LawContext
    plan: CheckPlan
    generated: GeneratedPart | None = None
    observers: tuple[Callable[[HttpExchange], None], ...] = ()
    """Called with each exchange until the run cleans up."""
    verdicts: list[LawVerdict] = field(default_factory=list)
    stopped: str = ""
    """Why it ended early; empty if it did not."""
    target_gone: bool = False
    obstacle: str = ""
    """Why nothing can be checked; empty if something can."""
    keys_left: tuple[str, ...] = ()
    """Temporary keys that could not be deleted."""
    notes: tuple[str, ...] = ()
    """What is no finding, but worth knowing."""
    failing: dict[str, int] = field(default_factory=dict)
    """Operation → the one error that it always answered with."""
    cases: int = 0
    """Generated requests."""
    options: CheckOptions = field(default_factory=CheckOptions)
    started: float = 0.0
    """Seconds since 1970."""
    seconds: float = 0.0
    coverage: CoverageRecorder = field(init=False)
    missing: frozenset[str] = frozenset()
    """Operations that the gateway does not have."""
    notices: list[str] = field(default_factory=list)
    """Sentences about the run that have to be said first."""
    _budget_announced: bool = False
    _blamed: set[int] = field(default_factory=set)
    """Numbers of the exchanges that broke the law that is being checked."""

    def __post_init__(self) -> None:
        self.coverage = CoverageRecorder(self.context.contract, self.plan.operations)

    def yield_events(self) -> Generator[RunEvent, None, None]:
        """Run and yield what happens. Temporary keys are deleted at the end, whatever ended the run.

        Raises CheckError for a bug of a law.
        """
        client = self.context.client
        self.started = SYSTEM_CLOCK.timestamp()
        rules = RuleObserver(self.context, self.plan)
        client.observers = [rules.observe, self.coverage.observe, *self.observers]
        try:
            laws = len(self.plan.laws) + len(self.plan.rules)
            yield RunStarted(client.target.url, len(self.plan.operations), laws, self.plan.paid_calls)
            self.obstacle = client.mask.apply(find_obstacle(self.context, self.plan))
            reasons = map(client.mask.apply, client.rejections)
            self.notices += [f"{reason[0].upper()}{reason[1:]}." for reason in reasons]
            if not self.obstacle:
                if client.allow_writes and client.target.token:
                    self.context.protect_listed_keys()
                yield from self._check_laws(rules)
                yield from self._check_generated(rules)
        except (StopRun, KeyboardInterrupt) as error:
            self.stopped = str(error) or INTERRUPTED
            self.target_gone = isinstance(error, TargetGone)
        except GeneratorExit:
            self.stopped = INTERRUPTED
            raise
        except Exception as error:
            self.stopped = client.mask.apply(describe_bug(error))
            # the traceback of Python would show the message with its credentials
            raise CheckError(f"{self.stopped}; please report it") from None
        finally:
            client.observers = []
            with ignore_signals():
                self._finish(rules)
                self.seconds = SYSTEM_CLOCK.timestamp() - self.started
        yield RunFinished(self.stopped, self.keys_left)

    def _finish(self, rules: RuleObserver) -> None:
        ended = self.stopped or self.obstacle
        reason = f"the run ended before: {ended}" if ended else UNSEEN
        finished = {verdict.law for verdict in self.verdicts}
        for law in self.plan.laws:
            if law.name not in finished:
                cells = {name: MatrixCell("not checked", reason) for name in self.plan.list_operations_of(law)}
                self.verdicts.append(LawVerdict(law.name, cells))
        self._add_rule_verdicts(rules)
        mask = self.context.client.mask.apply
        passed = _describe_passed(self.context.client.passed_failures)
        notes = (*self.context.contract.notes.values(), *passed, *rules.list_notes())
        self.notes = tuple(map(mask, notes))
        self.failing = rules.find_failing_operations()
        if not ended:
            self._add_missing_operations(rules)
        self.keys_left = tuple(self.context.delete_keys())

    def _add_rule_verdicts(self, rules: RuleObserver) -> None:
        unseen = MatrixCell("not checked", UNSEEN + (f": {self.stopped}" if self.stopped else ""))
        if self.obstacle:
            # answers that show that there is no gateway neither keep nor break anything
            ended = MatrixCell("not checked", f"the run ended before: {self.obstacle}")
            for rule in self.plan.rules:
                self.verdicts.append(LawVerdict(rule.name, dict.fromkeys(self.plan.list_operations_of(rule), ended)))
        else:
            self.verdicts += [rules.build_verdict(rule, unseen) for rule in self.plan.rules]

    def _add_missing_operations(self, rules: RuleObserver) -> None:
        collector = FindingCollector(self.context)
        missing = list(rules.answers.find_missing(self.context))
        self.missing = frozenset(broken.operation for broken in missing)
        for broken in missing if self.plan.judges_missing else ():
            collector.add(OPERATION_SERVED, broken)
        if collector.findings:
            cells = {finding.operation: MatrixCell("broken", finding.seen) for finding in collector.findings}
            self.verdicts.append(LawVerdict(OPERATION_SERVED.name, cells, collector.findings))

    # Course

    def _check_laws(self, rules: RuleObserver) -> Iterator[RunEvent]:
        for law in self.plan.asking_laws:
            if law.paid and not explain_missing(law, self.context):
                yield from self._announce_budget()
            self._check_law(law)
            yield from rules.take_findings()
        for law in self.plan.laws:
            if law.paid and not explain_missing(law, self.context):
                yield from self._announce_budget()
            yield LawStarted(law.name, law.title)
            self._blamed.clear()
            verdict = self._check_law(law)
            rules.settle(self._blamed)
            yield from rules.take_findings()
            yield from verdict.findings
            yield LawFinished(verdict)

    def _check_generated(self, rules: RuleObserver) -> Iterator[RunEvent]:
        if self.generated is not None:
            self.missing = frozenset(broken.operation for broken in rules.answers.find_missing(self.context))
            if any(self.context.contract.operations[name].paid for name in self.plan.operations):
                yield from self._announce_budget()
            yield from self.generated(self)

    def _announce_budget(self) -> Iterator[PaidCallsAhead]:
        budget = self.context.client.budget
        if self._budget_announced or not budget.max_calls:
            return
        self._budget_announced = True
        laws = [law for law in (*self.plan.laws, *self.plan.asking_laws) if not explain_missing(law, self.context)]
        # without a law that calls a model, generated cases may use the whole budget
        calls = min(sum(law.paid for law in laws) or budget.max_calls, budget.max_calls)
        try:
            self.context.list_models()
            model: str | None = self.context.choose_model("openai")
        except NotChecked:
            model = self.context.target.model
        estimate = budget.price(model).compute_cost(calls * _PROMPT_TOKENS, calls * _COMPLETION_TOKENS)
        estimate += sum((law.extra_cost(self.context) for law in laws if law.extra_cost), Decimal(0))
        limit = format_money(budget.limit)
        yield PaidCallsAhead(calls, format_money(min(estimate, budget.limit)), limit, self.generated is not None)

    def _check_law(self, law: Law) -> LawVerdict:
        """Return the results of a law, and keep them. Raises StopRun after having kept the results so far."""
        collector, started = FindingCollector(self.context), SYSTEM_CLOCK.timestamp()
        cells: dict[str, MatrixCell] = {}
        reason = explain_missing(law, self.context)
        try:
            for operations in self._divide_operations(law) if not reason else ():
                self._check_operations(law, operations, cells, collector)
        except BaseException as error:
            reason = str(error) or INTERRUPTED
            raise
        finally:
            unchecked = MatrixCell("not checked", self.context.client.mask.apply(reason))
            row = {name: cells.get(name, unchecked) for name in self.plan.list_operations_of(law)}
            verdict = LawVerdict(law.name, row, collector.findings, SYSTEM_CLOCK.timestamp() - started)
            if law in self.plan.laws:
                self.verdicts.append(verdict)
        return verdict

    def _divide_operations(self, law: Law) -> list[list[str]]:
        """Return the planned operations of a law in groups, so that no protocol hides what another one breaks."""
        groups: dict[str, list[str]] = {}
        for name in self.plan.list_operations_of(law):
            protocol = "" if law.together else self.context.contract.operations[name].protocol
            groups.setdefault(protocol, []).append(name)
        return list(groups.values())

    def _check_operations(
        self, law: Law, operations: list[str], cells: dict[str, MatrixCell], collector: FindingCollector
    ) -> None:
        known = self.context.contract.operations
        own = {
            name: SWITCHED_OFF if is_switched_off(known[name], law.name) else MatrixCell("kept") for name in operations
        }
        reason = ""
        try:
            with self.context.limit_scope(operations):
                if any(cell.state == "kept" for cell in own.values()):
                    self._collect_results(law, own, collector)
        except (NotChecked, BudgetSpent) as error:
            reason = str(error)
        except BaseException as error:
            reason = str(error) or INTERRUPTED
            raise
        finally:
            if reason:
                self._mark_unchecked(own, reason)
            cells |= own

    def _collect_results(self, law: Law, cells: dict[str, MatrixCell], collector: FindingCollector) -> None:
        for result in law.check(self.context):
            name = result.operation
            if name not in cells or cells[name] is SWITCHED_OFF:
                continue
            excuse = _find_excuse(law, result) if isinstance(result, BrokenLaw) else ""
            if isinstance(result, BrokenLaw) and not excuse:
                cells[name] = MatrixCell("broken", self.context.client.mask.apply(result.seen))
                collector.add(law, result)
                if result.exchange:
                    self._blamed.add(result.exchange.number)
            elif cells[name].state == "kept":
                reason = result.reason if isinstance(result, SkippedOperation) else excuse
                cells[name] = MatrixCell("not checked", self.context.client.mask.apply(reason))

    def _mark_unchecked(self, cells: dict[str, MatrixCell], reason: str) -> None:
        cell = MatrixCell("not checked", self.context.client.mask.apply(reason))
        cells |= {name: cell for name, old in cells.items() if old.state == "kept"}

    @property
    def findings(self) -> list[LawFinding]:
        """All findings so far."""
        return [finding for verdict in self.verdicts for finding in verdict.findings]


def _find_excuse(law: Law, broken: BrokenLaw) -> str:
    """Return what kept a law from seeing the answer; empty if nothing did."""
    if broken.exchange is not None and broken.exchange.unsent:
        return f"the gateway was not reached: {broken.exchange.failure}"
    # laws about limits reach them on purpose
    is_limited = law.area != "limits" and broken.exchange is not None and broken.exchange.status == 429
    return RATE_LIMITED if is_limited else ""


def _describe_passed(failures: Mapping[str, int]) -> list[str]:
    """Return a note about the operations that failed and answered the repeated request; none without such ones."""
    shown = [f"{name} ({count_nouns(count, 'time')})" for name, count in failures.items()]
    return [f"failed with 502 or 503, and answered the repeated request: {', '.join(shown)}"] if shown else []
