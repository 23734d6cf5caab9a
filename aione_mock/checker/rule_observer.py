"""Check the rules for every exchange of a run."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Container

from aione_mock.checker.context import LawContext
from aione_mock.checker.deduplication import OperationAnswers
from aione_mock.checker.errors import UnreadableAnswer
from aione_mock.checker.exchange import HttpExchange, HttpRequest
from aione_mock.checker.finding import SWITCHED_OFF, BrokenLaw, LawFinding, LawVerdict, MatrixCell
from aione_mock.checker.finding_collector import FindingCollector
from aione_mock.checker.law import ExchangeRule
from aione_mock.checker.law_entries import is_switched_off
from aione_mock.checker.overlay_actions import join_actions
from aione_mock.checker.plan import CheckPlan
from aione_mock.checker.schema_differences import find_unknown_members
from aione_mock.checker.schema_lookup import find_body_schema
from aione_mock.contract import Operation
from aione_mock.contract.json_pointer import format_pointer
from aione_mock.structs import replace

_MAX_POINTERS = 6
"""Members that a note names."""
_CONSEQUENCES = ("no-server-error", "status-declared", "content-type")
"""Rules that an answer breaks because it has another status than a law expects."""
_MAX_SAMPLES = 8
"""Findings alike that are kept apart until it is known which of them follow from what a law found."""
_MAX_SEARCHED = 8
"""Answers of an operation with one status that are searched for such members."""


class RuleObserver:
    """Collects what the rules find. `observe` is an observer of the client."""

    def __init__(self, context: LawContext, plan: CheckPlan) -> None:
        self.answers = OperationAnswers()
        self._context, self._plan = context, plan
        self._collector = FindingCollector(context)
        self._cells: dict[tuple[str, str], MatrixCell] = {}
        self._taken = 0
        self._unknown: dict[str, set[str]] = {}
        """Operation → pointers of members that the contract does not name."""
        self._statuses: dict[str, list[int]] = {}
        """Operation → statuses of its answers to requests with a credential of the target."""
        self._pending: dict[tuple[str, str, str, int], list[tuple[int, LawFinding]]] = {}
        """Findings since the last law, with the numbers of their exchanges."""
        self._searched: Counter[tuple[str, int]] = Counter()

    def observe(self, exchange: HttpExchange) -> None:
        """Check all rules, if the exchange is one of a planned operation."""
        operation = self._context.contract.operations.get(exchange.request.operation)
        if operation is None or operation.id not in self._plan.operations:
            return
        if exchange.request.method == operation.method:
            self.answers.add(operation, exchange)
            self._note_members(operation, exchange)
            if self._has_credential(exchange.request):
                self._statuses.setdefault(operation.id, []).append(exchange.status)
            for rule in self._plan.rules:
                if rule.applies(exchange):
                    self._check_rule(rule, operation, exchange)

    def _note_members(self, operation: Operation, exchange: HttpExchange) -> None:
        schema = find_body_schema(operation, exchange.status, exchange.media_type)
        if schema is None or exchange.failure or exchange.is_event_stream:
            return
        self._searched[operation.id, exchange.status] += 1
        if self._searched[operation.id, exchange.status] > _MAX_SEARCHED:
            return
        with contextlib.suppress(UnreadableAnswer):
            paths = find_unknown_members(operation, schema, exchange.json)
            self._unknown.setdefault(operation.id, set()).update(map(format_pointer, paths))

    def list_notes(self) -> list[str]:
        """Return a note for each operation that sends members which the contract does not name."""
        return [_describe_members(name, sorted(pointers)) for name, pointers in self._unknown.items() if pointers]

    def _check_rule(self, rule: ExchangeRule, operation: Operation, exchange: HttpExchange) -> None:
        place = (rule.name, operation.id)
        if is_switched_off(operation, rule.name):
            self._cells[place] = SWITCHED_OFF
            return
        self._cells.setdefault(place, MatrixCell("kept"))
        for broken in rule.check(operation, exchange):
            self._cells[place] = MatrixCell("broken", self._context.client.mask.apply(broken.seen))
            self._add_pending(rule, broken, exchange)

    def _add_pending(self, rule: ExchangeRule, broken: BrokenLaw, exchange: HttpExchange) -> None:
        key = (rule.name, broken.operation, broken.subject or broken.expected, exchange.status)
        samples = self._pending.setdefault(key, [])
        if len(samples) < _MAX_SAMPLES:
            samples.append((exchange.number, self._collector.build_finding(rule, broken)))
        else:
            number, last = samples[-1]
            actions = join_actions(last.actions, broken.overlay) if last.actions else ()
            samples[-1] = (number, replace(last, count=last.count + 1, actions=actions))

    def settle(self, blamed: Container[int] = ()) -> None:
        """Keep the findings since the last call, except those that follow from what a law found.

        `blamed` has the numbers of exchanges with an answer that broke a law.
        """
        for (rule, *_), samples in self._pending.items():
            for number, finding in samples:
                if rule not in _CONSEQUENCES or number not in blamed:
                    self._collector.add_finding(finding)
        self._pending.clear()

    def take_findings(self) -> tuple[LawFinding, ...]:
        """Return the findings that were kept since the last call."""
        new = self._collector.findings[self._taken :]
        self._taken += len(new)
        return new

    def find_failing_operations(self) -> dict[str, int]:
        """Return the operations that answered every request with a credential with one error, and its status."""
        return {
            name: statuses[0]
            for name, statuses in self._statuses.items()
            if len(statuses) > 1 and statuses[0] >= 400 and len(set(statuses)) == 1
        }

    def _has_credential(self, request: HttpRequest) -> bool:
        sent = [request.query, *(value for _, value in request.headers)]
        secrets = [credential.secret for credential in self._context.target.credentials.values()]
        return request.is_signed or any(secret in text for text in sent for secret in secrets)

    def build_verdict(self, rule: ExchangeRule, unseen: MatrixCell) -> LawVerdict:
        """Return the results of a rule; `unseen` is the cell of operations without an exchange."""
        self.settle()
        unread = {name: MatrixCell("not checked", why) for name, why in self._context.client.timed_out.items()}
        names = self._plan.list_operations_of(rule)
        cells = {name: self._cells.get((rule.name, name)) or unread.get(name, unseen) for name in names}
        return LawVerdict(rule.name, cells, tuple(f for f in self._collector.findings if f.law == rule.name))


def _describe_members(operation: str, pointers: list[str]) -> str:
    more = f" and {len(pointers) - _MAX_POINTERS} more" if len(pointers) > _MAX_POINTERS else ""
    return f"{operation} answers with members beyond the contract: {', '.join(pointers[:_MAX_POINTERS])}{more}"
