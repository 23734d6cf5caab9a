"""One run: the laws in their order, then the generated cases; told as a stream of events."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from aione_mock.checker import overlay_suggestions
from aione_mock.checker.budget import BudgetSpent, money
from aione_mock.checker.client import Stop, TargetGone
from aione_mock.checker.context import LawContext
from aione_mock.checker.deduplication import SERVED, OperationAnswers
from aione_mock.checker.finding import BrokenLaw, LawFinding, LawVerdict, MatrixCell, NotChecked, SkippedOperation
from aione_mock.checker.law import ExchangeRule, Law, missing
from aione_mock.checker.plan import CheckPlan
from aione_mock.checker.preflight import obstacle
from aione_mock.checker.traffic import HttpExchange, Unreadable, curl, shown, snippet
from aione_mock.clock import SYSTEM_CLOCK
from aione_mock.structs import replace


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The run begins."""

    url: str
    operations: int
    laws: int
    paid_calls: int
    """Paid calls that the laws make at most."""


@dataclass(frozen=True, slots=True)
class PaidCallsAhead:
    """The first paid call is about to be sent."""

    calls: int
    estimate: str
    """RMB."""
    limit: str


@dataclass(frozen=True, slots=True)
class LawStarted:
    """A law begins."""

    law: str
    title: str


@dataclass(frozen=True, slots=True)
class LawFinished:
    """A law has had its say."""

    verdict: LawVerdict


@dataclass(frozen=True, slots=True)
class PhaseProgress:
    """Generated cases."""

    phase: str
    operation: str
    cases: int


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The run is over."""

    stopped: str
    """Why it ended early; empty when it did not."""
    unclean: tuple[str, ...] = ()
    """What could not be cleaned up."""


INTERRUPTED = "interrupted"
"""Why a run ended early that somebody ended."""
_PROMPT, _ANSWER = 60, 40
"""Tokens of a mean call of the laws, for the estimate."""

RunEvent = RunStarted | PaidCallsAhead | LawStarted | LawFinished | PhaseProgress | LawFinding | RunFinished
Generated = Callable[[LawContext, "CheckRun"], Iterator[RunEvent]]


@dataclass(slots=True)
class CheckRun:
    """The course of one run and what it has found so far."""

    context: LawContext
    plan: CheckPlan
    generated: Generated | None = None
    witness: Callable[[HttpExchange], None] | None = None
    """Sees every exchange."""
    verdicts: list[LawVerdict] = field(default_factory=list)
    stopped: str = ""
    gone: bool = False
    obstacle: str = ""
    """Why checking is pointless; empty when it is not."""
    unclean: tuple[str, ...] = ()
    cases: int = 0
    answers: OperationAnswers = field(default_factory=OperationAnswers)
    started: float = 0.0
    seconds: float = 0.0
    _seen: dict[tuple[str, str], MatrixCell] = field(default_factory=dict)
    _found: dict[tuple[str, str, str], LawFinding] = field(default_factory=dict)
    _observed: int = 0

    def events(self) -> Generator[RunEvent, None, None]:
        """Run, and tell what happens. Cleans up at its end, whatever ended it."""
        client = self.context.client
        self.started = SYSTEM_CLOCK.timestamp()
        original, client.send = client.send, self._observing(client.send)  # type: ignore[method-assign]
        try:
            yield RunStarted(client.target.url, len(self.plan.operations), len(self.plan.laws), self.plan.paid)
            self.obstacle = obstacle(self.context)
            if not self.obstacle:
                yield from self._course()
        except (Stop, KeyboardInterrupt) as error:
            self.stopped = str(error) or INTERRUPTED
            self.gone = isinstance(error, TargetGone)
        except GeneratorExit:
            self.stopped = INTERRUPTED
            raise
        finally:
            client.send = original  # type: ignore[method-assign]
            with uninterrupted():
                self._finish()
        yield RunFinished(self.stopped, self.unclean)

    def _finish(self) -> None:
        told = {verdict.law for verdict in self.verdicts}
        ended = self.stopped or self.obstacle
        reason = f"the run ended before: {ended}" if ended else "nothing was asked that shows it"
        for law in self.plan.laws:
            if law.name not in told:
                self.verdicts.append(
                    LawVerdict(law.name, {name: MatrixCell("not checked", reason) for name in self.plan.of(law)})
                )
        self.verdicts += [self._rule_verdict(rule) for rule in self.plan.rules]
        self._missing()
        self.unclean = tuple(self.context.clean())
        self.seconds = SYSTEM_CLOCK.timestamp() - self.started

    def _missing(self) -> None:
        found = [] if self.stopped or self.obstacle else list(self.answers.absent(self.context))
        if found:
            cells = {said.operation: MatrixCell("broken", self.context.client.mask.text(said.seen)) for said in found}
            self.verdicts.append(LawVerdict(SERVED.name, cells, tuple(self.finding(SERVED, said) for said in found)))

    def _course(self) -> Iterator[RunEvent]:
        announced = False
        for law in self.plan.laws:
            if law.paid and self.context.client.budget.max_calls and not announced and not missing(law, self.context):
                announced = True
                yield self._ahead()
            yield LawStarted(law.name, law.title)
            verdict = self.judge(law)
            yield from self._observed_since()
            yield from verdict.findings
            yield LawFinished(verdict)
        if self.generated is not None:
            operations, budget = self.context.contract.operations, self.context.client.budget
            if not announced and budget.max_calls and any(operations[name].paid for name in self.plan.operations):
                yield self._ahead()
            yield from self.generated(self.context, self)

    def _ahead(self) -> PaidCallsAhead:
        budget = self.context.client.budget
        laws = [law for law in self.plan.laws if not missing(law, self.context)]
        # where no law calls a model, generated cases may take all that is allowed
        calls = min(sum(law.paid for law in laws) or budget.max_calls, budget.max_calls)
        try:
            self.context.rows()
            model: str | None = self.context.model("openai")
        except NotChecked:
            model = self.context.target.model
        estimate = budget.price(model).cost(calls * _PROMPT, calls * _ANSWER)
        estimate += sum((law.dear(self.context) for law in laws if law.dear), Decimal(0))
        return PaidCallsAhead(calls, money(min(estimate, budget.limit)), money(budget.limit))

    # Laws

    def judge(self, law: Law) -> LawVerdict:
        """What one law says. Raises Stop, after having kept what it said so far."""
        began = SYSTEM_CLOCK.timestamp()
        names = self.plan.of(law)
        cells = {name: MatrixCell("kept") for name in names}
        for name in names:
            if overlay_suggestions.switched_off(self.context.contract.operations[name], law.name):
                cells[name] = MatrixCell("not checked", "the contract switches this law off here")
        found: dict[tuple[str, str], LawFinding] = {}
        stop: BaseException | None = None
        if reason := missing(law, self.context):
            cells = {name: MatrixCell("not checked", reason) for name in names}
        elif any(cell.state == "kept" for cell in cells.values()):
            stop = self._listen(law, cells, found)
        verdict = LawVerdict(law.name, cells, tuple(found.values()), SYSTEM_CLOCK.timestamp() - began)
        self.verdicts.append(verdict)
        if stop is not None:
            raise stop
        return verdict

    def _listen(
        self, law: Law, cells: dict[str, MatrixCell], found: dict[tuple[str, str], LawFinding]
    ) -> BaseException | None:
        reason, stop = "", None
        try:
            for said in law.check(self.context):
                if said.operation not in cells or cells[said.operation].reason.startswith("the contract switches"):
                    continue
                if isinstance(said, BrokenLaw) and _throttled(law, said):
                    said = SkippedOperation(said.operation, THROTTLED)
                if isinstance(said, SkippedOperation):
                    if cells[said.operation].state == "kept":
                        cells[said.operation] = MatrixCell("not checked", said.reason)
                    continue
                cells[said.operation] = MatrixCell("broken", self.context.client.mask.text(said.seen))
                self._add(found, self.finding(law, said))
        except (NotChecked, BudgetSpent) as error:
            reason = str(error)
        except Unreadable as error:
            reason = f"an answer was {error}"
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            # an answer of another shape than the contract's, which the rule `schema` reports
            last = self.context.client.last
            where = f" of {last.request.operation}" if last else ""
            reason = f"the answer{where} lacks what this law reads ({type(error).__name__}: {str(error)[:80]})"
        except (Stop, KeyboardInterrupt) as error:
            reason, stop = str(error) or INTERRUPTED, error
        if reason:
            cells |= {
                n: MatrixCell("not checked", self.context.client.mask.text(reason))
                for n, c in cells.items()
                if c.state == "kept"
            }
        return stop

    def _add(self, found: dict[tuple[str, str], LawFinding], finding: LawFinding) -> None:
        key = (finding.operation, finding.expected)
        old = found.get(key)
        found[key] = replace(old, count=old.count + 1) if old else finding

    def finding(self, law: Law | ExchangeRule, said: BrokenLaw) -> LawFinding:
        """What a law saw, as something that people act on."""
        operation = self.context.contract.operations[said.operation]
        mask, base = self.context.client.mask, origin(self.context.target.url)
        evidence = said.evidence or _weaker(law.evidence, operation.evidence)
        actions = said.adopt or overlay_suggestions.switch_off(operation, law.name)
        exchange = said.exchange
        return LawFinding(
            law.name,
            law.title,
            said.operation,
            evidence,
            mask.text(said.expected),
            mask.text(said.seen),
            curl(exchange.request, base, mask) if exchange else "",
            snippet(exchange.request, base, mask) if exchange else "",
            overlay_suggestions.overlay(actions, f"As {base} does it") if evidence == "assumed" else "",
            answer=mask.text(f"{exchange.outcome} {shown(exchange.body, 400)}") if exchange else "",
        )

    # Rules

    def _observing(self, send: Callable[..., HttpExchange]) -> Callable[..., HttpExchange]:
        def observed(*args: Any, **given: Any) -> HttpExchange:
            try:
                exchange = send(*args, **given)
            except TargetGone:
                if self.context.client.last:
                    self.observe(self.context.client.last)
                raise
            self.observe(exchange)
            return exchange

        return observed

    def observe(self, exchange: HttpExchange) -> None:
        """Hold an exchange against the rules."""
        if self.witness is not None:
            self.witness(exchange)
        operation = self.context.contract.operations.get(exchange.request.operation)
        if operation is None or operation.id not in self.plan.operations or exchange.request.method != operation.method:
            return
        self.answers.note(operation, exchange)
        for rule in self.plan.rules:
            place = (rule.name, operation.id)
            if overlay_suggestions.switched_off(operation, rule.name):
                self._seen[place] = MatrixCell("not checked", "the contract switches this law off here")
                continue
            self._seen.setdefault(place, MatrixCell("kept"))
            for said in rule.check(operation, exchange):
                self._seen[place] = MatrixCell("broken", self.context.client.mask.text(said.seen))
                key = (rule.name, said.operation, said.expected)
                old = self._found.get(key)
                self._found[key] = replace(old, count=old.count + 1) if old else self.finding(rule, said)

    def _observed_since(self) -> Iterator[LawFinding]:
        new = list(self._found.values())[self._observed :]
        self._observed = len(self._found)
        yield from new

    def _rule_verdict(self, rule: ExchangeRule) -> LawVerdict:
        none = MatrixCell("not checked", "no request was sent" + (f": {self.stopped}" if self.stopped else ""))
        if self.obstacle and not any(self.context.client.statuses):
            # status 0 is that of no answer: nobody was there to keep or break anything
            return LawVerdict(rule.name, dict.fromkeys(self.plan.operations, none), ())
        cells = {name: self._seen.get((rule.name, name), none) for name in self.plan.operations}
        return LawVerdict(rule.name, cells, tuple(f for f in self._found.values() if f.law == rule.name))

    @property
    def findings(self) -> list[LawFinding]:
        """All findings so far."""
        return [finding for verdict in self.verdicts for finding in verdict.findings]


THROTTLED = "the gateway refused the request for its rate (429); a lower --rate-limit may help"
"""Why a law has nothing to say of an answer."""


def _throttled(law: Law, said: BrokenLaw) -> bool:
    """Whether a law was kept from seeing what it asked for. Laws about limits provoke refusals themselves."""
    return law.area != "limits" and said.exchange is not None and said.exchange.status == 429


def _weaker(left: str, right: str) -> str:
    return "assumed" if "assumed" in (left, right) else left


def origin(url: str) -> str:
    """Scheme, host and port of an address."""
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


class Signals:
    """A stretch of code during which Ctrl-C and a request to terminate are handled so."""

    def __init__(self, handler: Any, *signals: signal.Signals) -> None:
        self._handler, self._signals = handler, signals
        self._old: dict[signal.Signals, Any] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._old = {number: signal.signal(number, self._handler) for number in self._signals}

    def __exit__(self, *_: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)


def uninterrupted() -> Signals:
    """For cleaning up, which nothing ends."""
    return Signals(signal.SIG_IGN, signal.SIGINT, signal.SIGTERM)


def terminable() -> Signals:
    """For commands: a job that is cancelled cleans up as after Ctrl-C."""
    return Signals(signal.default_int_handler, signal.SIGTERM)
