"""A run: the laws in their order, then the generated cases, as a stream of events."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from aione_mock.checker.budget import format_money
from aione_mock.checker.context import LawContext
from aione_mock.checker.deduplication import OPERATION_SERVED
from aione_mock.checker.errors import BudgetSpent, NotChecked, StopRun, TargetGone
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
from aione_mock.checker.overlay_suggestions import is_switched_off
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

INTERRUPTED = "interrupted"
"""Why a run ended early if somebody ended it."""
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
    cases: int = 0
    """Generated requests."""
    seconds: float = 0.0
    _budget_announced: bool = False

    def events(self) -> Generator[RunEvent, None, None]:
        """Run and yield what happens. Temporary keys are deleted at the end, whatever ended the run."""
        client = self.context.client
        started = SYSTEM_CLOCK.timestamp()
        rules = RuleObserver(self.context, self.plan)
        client.observers = [rules.observe, *self.observers]
        try:
            yield RunStarted(client.target.url, len(self.plan.operations), len(self.plan.laws), self.plan.paid_calls)
            self.obstacle = find_obstacle(self.context)
            if not self.obstacle:
                yield from self._check_laws(rules)
                yield from self._check_generated()
        except (StopRun, KeyboardInterrupt) as error:
            self.stopped = str(error) or INTERRUPTED
            self.target_gone = isinstance(error, TargetGone)
        except BaseException as error:
            self.stopped = INTERRUPTED if isinstance(error, GeneratorExit) else f"internal error: {error!r}"
            raise
        finally:
            client.observers = []
            with ignore_signals():
                self._finish(rules)
                self.seconds = SYSTEM_CLOCK.timestamp() - started
        yield RunFinished(self.stopped, self.keys_left)

    def _finish(self, rules: RuleObserver) -> None:
        ended = self.stopped or self.obstacle
        reason = f"the run ended before: {ended}" if ended else "no request showed it"
        finished = {verdict.law for verdict in self.verdicts}
        for law in self.plan.laws:
            if law.name not in finished:
                cells = {name: MatrixCell("not checked", reason) for name in self.plan.operations_of(law)}
                self.verdicts.append(LawVerdict(law.name, cells))
        self._add_rule_verdicts(rules)
        if not ended:
            self._add_missing_operations(rules)
        self.keys_left = tuple(self.context.delete_keys())

    def _add_rule_verdicts(self, rules: RuleObserver) -> None:
        unseen = MatrixCell("not checked", "no request was sent" + (f": {self.stopped}" if self.stopped else ""))
        if self.obstacle and not any(self.context.client.statuses):
            # the only status is 0: there was nobody to keep or break anything
            cells = dict.fromkeys(self.plan.operations, unseen)
            self.verdicts += [LawVerdict(rule.name, cells) for rule in self.plan.rules]
        else:
            self.verdicts += [rules.build_verdict(rule, unseen) for rule in self.plan.rules]

    def _add_missing_operations(self, rules: RuleObserver) -> None:
        collector = FindingCollector(self.context)
        for broken in rules.answers.find_missing(self.context):
            collector.add(OPERATION_SERVED, broken)
        if collector.findings:
            cells = {finding.operation: MatrixCell("broken", finding.seen) for finding in collector.findings}
            self.verdicts.append(LawVerdict(OPERATION_SERVED.name, cells, collector.findings))

    # Course

    def _check_laws(self, rules: RuleObserver) -> Iterator[RunEvent]:
        for law in self.plan.laws:
            if law.paid and not explain_missing(law, self.context):
                yield from self._announce_budget()
            yield LawStarted(law.name, law.title)
            verdict = self._check_law(law)
            yield from rules.take_findings()
            yield from verdict.findings
            yield LawFinished(verdict)

    def _check_generated(self) -> Iterator[RunEvent]:
        if self.generated is not None:
            if any(self.context.contract.operations[name].paid for name in self.plan.operations):
                yield from self._announce_budget()
            yield from self.generated(self)

    def _announce_budget(self) -> Iterator[PaidCallsAhead]:
        budget = self.context.client.budget
        if self._budget_announced or not budget.max_calls:
            return
        self._budget_announced = True
        laws = [law for law in self.plan.laws if not explain_missing(law, self.context)]
        # without a law that calls a model, generated cases may use the whole budget
        calls = min(sum(law.paid for law in laws) or budget.max_calls, budget.max_calls)
        try:
            self.context.list_models()
            model: str | None = self.context.choose_model("openai")
        except NotChecked:
            model = self.context.target.model
        estimate = budget.price(model).cost(calls * _PROMPT_TOKENS, calls * _COMPLETION_TOKENS)
        estimate += sum((law.extra_cost(self.context) for law in laws if law.extra_cost), Decimal(0))
        yield PaidCallsAhead(calls, format_money(min(estimate, budget.limit)), format_money(budget.limit))

    def _check_law(self, law: Law) -> LawVerdict:
        """Return the results of a law, and keep them. Raises StopRun after having kept the results so far."""
        operations = [self.context.contract.operations[name] for name in self.plan.operations_of(law)]
        cells = {o.id: SWITCHED_OFF if is_switched_off(o, law.name) else MatrixCell("kept") for o in operations}
        collector = FindingCollector(self.context)
        reason = explain_missing(law, self.context)
        try:
            if not reason and any(cell.state == "kept" for cell in cells.values()):
                self._collect_results(law, cells, collector)
        except (NotChecked, BudgetSpent) as error:
            reason = str(error)
        except BaseException as error:
            reason = str(error) or INTERRUPTED
            raise
        finally:
            if reason:
                self._mark_unchecked(cells, reason)
            verdict = LawVerdict(law.name, cells, collector.findings)
            self.verdicts.append(verdict)
        return verdict

    def _collect_results(self, law: Law, cells: dict[str, MatrixCell], collector: FindingCollector) -> None:
        for result in law.check(self.context):
            name = result.operation
            if name not in cells or cells[name] is SWITCHED_OFF:
                continue
            if isinstance(result, BrokenLaw) and not _is_rate_limited(law, result):
                cells[name] = MatrixCell("broken", self.context.client.mask.apply(result.seen))
                collector.add(law, result)
            elif cells[name].state == "kept":
                reason = result.reason if isinstance(result, SkippedOperation) else RATE_LIMITED
                cells[name] = MatrixCell("not checked", reason)

    def _mark_unchecked(self, cells: dict[str, MatrixCell], reason: str) -> None:
        cell = MatrixCell("not checked", self.context.client.mask.apply(reason))
        cells |= {name: cell for name, old in cells.items() if old.state == "kept"}

    @property
    def findings(self) -> list[LawFinding]:
        """All findings so far."""
        return [finding for verdict in self.verdicts for finding in verdict.findings]


def _is_rate_limited(law: Law, broken: BrokenLaw) -> bool:
    """Whether a rate limit kept a law from seeing the answer. Laws about limits reach them on purpose."""
    return law.area != "limits" and broken.exchange is not None and broken.exchange.status == 429
