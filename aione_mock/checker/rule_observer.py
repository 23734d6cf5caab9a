"""Check the rules for every exchange of a run."""

from __future__ import annotations

from aione_mock.checker.context import LawContext
from aione_mock.checker.deduplication import OperationAnswers
from aione_mock.checker.exchange import HttpExchange
from aione_mock.checker.finding import SWITCHED_OFF, LawFinding, LawVerdict, MatrixCell
from aione_mock.checker.finding_collector import FindingCollector
from aione_mock.checker.law import ExchangeRule
from aione_mock.checker.overlay_suggestions import is_switched_off
from aione_mock.checker.plan import CheckPlan
from aione_mock.contract import Operation


class RuleObserver:
    """Collects what the rules find. `observe` is an observer of the client."""

    def __init__(self, context: LawContext, plan: CheckPlan) -> None:
        self.answers = OperationAnswers()
        self._context, self._plan = context, plan
        self._collector = FindingCollector(context)
        self._cells: dict[tuple[str, str], MatrixCell] = {}
        self._taken = 0

    def observe(self, exchange: HttpExchange) -> None:
        """Check all rules, if the exchange is one of a planned operation."""
        operation = self._context.contract.operations.get(exchange.request.operation)
        if operation is None or operation.id not in self._plan.operations:
            return
        if exchange.request.method == operation.method:
            self.answers.add(operation, exchange)
            for rule in self._plan.rules:
                self._check_rule(rule, operation, exchange)

    def _check_rule(self, rule: ExchangeRule, operation: Operation, exchange: HttpExchange) -> None:
        place = (rule.name, operation.id)
        if is_switched_off(operation, rule.name):
            self._cells[place] = SWITCHED_OFF
            return
        self._cells.setdefault(place, MatrixCell("kept"))
        for broken in rule.check(operation, exchange):
            self._cells[place] = MatrixCell("broken", self._context.client.mask.apply(broken.seen))
            self._collector.add(rule, broken)

    def take_findings(self) -> tuple[LawFinding, ...]:
        """Return the findings since the last call."""
        new = self._collector.findings[self._taken :]
        self._taken += len(new)
        return new

    def build_verdict(self, rule: ExchangeRule, unseen: MatrixCell) -> LawVerdict:
        """Return the results of a rule; `unseen` is the cell of operations without an exchange."""
        cells = {name: self._cells.get((rule.name, name), unseen) for name in self._plan.operations}
        return LawVerdict(rule.name, cells, tuple(f for f in self._collector.findings if f.law == rule.name))
