"""Generated cases: Schemathesis as a library over the documents of the contract. Nothing is registered process-wide."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from aione_mock.checker.background_iterator import BackgroundIterator
from aione_mock.checker.case_adapter import CaseAdapter, adapt_document, find_case_evidence
from aione_mock.checker.deduplication import NO_SUCH_OPERATION
from aione_mock.checker.errors import INTERRUPTED, NotChecked, StopRun, TimeLimitReached
from aione_mock.checker.exchange import shorten_body
from aione_mock.checker.finding import SWITCHED_OFF, LawFinding, LawVerdict, MatrixCell
from aione_mock.checker.finding_collector import FindingCollector, list_members
from aione_mock.checker.law_entries import is_switched_off
from aione_mock.checker.options import CheckOptions
from aione_mock.checker.overlay_suggestions import switch_off
from aione_mock.checker.plan import CHECKS
from aione_mock.checker.reproduction import render_curl, render_python
from aione_mock.checker.run_events import PhaseProgress, RunEvent
from aione_mock.checker.schemathesis_transport import BASE_URL, PLACEHOLDER, CaseTransport, create_schema_class
from aione_mock.clock import SYSTEM_CLOCK
from aione_mock.contract import Operation
from aione_mock.seed import Seed
from aione_mock.types import Json

if TYPE_CHECKING:
    from aione_mock.checker.run import CheckRun

_PHASES = ("examples", "coverage", "fuzzing", "stateful")
_REJECTIONS = ["400", "401", "402", "403", "404", "405", "406", "409", "413", "415", "422", "428", "429"]
_START_SECONDS = 4.0
"""Schemathesis takes so long to start on a busy machine; with less time it is not started."""
_COVERAGE_SHARE = 10
"""Most cases of the coverage phase for each case of the fuzzing phase."""
_MAX_REASON_CHARACTERS = 160
_MAX_SEEN_CHARACTERS = 400


def run_generated_cases(run: CheckRun, options: CheckOptions) -> Iterator[RunEvent]:
    """Run all planned phases over all documents. Raises StopRun when the time is over or the target is gone."""
    from hypothesis.configuration import set_hypothesis_home_dir

    # Hypothesis would leave a folder `.hypothesis` in the current one
    # a case that is cut off may still write to it
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        set_hypothesis_home_dir(folder)
        try:
            yield from _CaseRunner(run, options).yield_events()
        finally:
            set_hypothesis_home_dir(None)


class _CaseRunner:
    def __init__(self, run: CheckRun, options: CheckOptions) -> None:
        self._run, self._context, self._options = run, run.context, options
        self._seed = Seed.of(str(options.seed))
        self._operations = run.context.contract.operations
        self._labels = {f"{o.method} {o.path}": o for o in self._operations.values()}
        self._transport = CaseTransport(run.context, run.plan.operations)
        self._cells: dict[str, dict[str, MatrixCell]] = {name: {} for name in run.plan.checks}
        """Check → operation → cell."""
        self._collector = FindingCollector(run.context)

    def yield_events(self) -> Iterator[RunEvent]:
        """Run the cases, then add the verdict of each check to the run."""
        try:
            for document in self._context.contract.documents:
                yield from self._check_document(document)
                if self._transport.stopped:
                    raise self._transport.stopped
            if self._count_seconds_left() <= 0:
                raise TimeLimitReached
        finally:
            self._run.cases += self._transport.sent
            self._run.verdicts += [self._build_verdict(check) for check in self._run.plan.checks]

    def _check_document(self, document: str) -> Iterator[RunEvent]:
        planned = [name for name in self._run.plan.operations if self._operations[name].document == document]
        names = [name for name in planned if self._is_allowed(name)]
        if names and self._count_seconds_left() < (0 if "schemathesis" in sys.modules else _START_SECONDS):
            self._transport.stop(TimeLimitReached())
        elif names:
            yield from self._run_phases(document, names)

    def _is_allowed(self, name: str) -> bool:
        """Return whether cases of an operation may be sent; if not, the reason goes into its cells."""
        operation = self._operations[name]
        reason = ""
        if (
            operation.method not in ("GET", "HEAD")
            and operation.protocol == "console"
            and not self._context.client.allow_writes
        ):
            reason = "it would change something (--allow-writes)"
        try:
            self._context.client.make_target_auth(operation)
        except NotChecked as error:
            reason = str(error)
        if name in self._run.missing:
            reason = NO_SUCH_OPERATION
        if reason:
            self._mark_unchecked(name, reason)
        return not reason

    def _run_phases(self, document: str, names: list[str]) -> Iterator[RunEvent]:
        from schemathesis.engine.events import FatalError, NonFatalError, ScenarioFinished

        stream = BackgroundIterator(lambda: self._execute_phases(document, names), self._count_seconds_left)
        try:
            for event in stream:
                if isinstance(event, ScenarioFinished):
                    yield from self._collect_results(event)
                    yield PhaseProgress(document, event.phase.value, event.label or "", self._transport.sent)
                elif isinstance(event, NonFatalError) and not self._transport.stopped:
                    self._note_error(event)
                elif isinstance(event, FatalError):
                    raise StopRun(f"Schemathesis failed: {event.exception}")
        except BaseException:
            self._transport.stop(StopRun(INTERRUPTED))
            # a key that is just being created has to be known before the run cleans up
            stream.join(self._context.client.timeout)
            raise
        if self._count_seconds_left() <= 0:
            self._transport.stop(TimeLimitReached())

    def _execute_phases(self, document: str, names: list[str]) -> Iterator[Any]:
        """Yield the events of Schemathesis, which ends by itself once the transport is stopped."""
        from schemathesis.engine import from_schema

        stream = from_schema(self._load_schema(document, names)).execute()
        for event in stream:
            if self._transport.stopped or self._count_seconds_left() <= 0:
                stream.stop()
            yield event

    def _load_schema(self, document: str, names: list[str]) -> Any:
        import schemathesis
        from schemathesis.config import SchemathesisConfig

        adapter = CaseAdapter(self._context)
        raw = adapt_document(copy.deepcopy(self._context.contract.documents[document]))
        config = SchemathesisConfig.from_dict(self._build_config(document, names))
        schema = schemathesis.openapi.from_dict(raw, config=config)
        schema.__class__ = create_schema_class(
            type(schema), adapter, self._transport, _COVERAGE_SHARE * self._options.cases, self._seed
        )

        def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
            return adapter.is_real_failure(failure, case, response)

        schema.hook(filter_failure)
        # with `operations` in the configuration, Schemathesis 4.32 ignores `include`
        others = [name for name in self._operations if name not in names]
        return schema.exclude(operation_id=others) if others else schema

    def _build_config(self, document: str, names: list[str]) -> dict[str, Json]:
        schemes = self._context.contract.schemes
        phases: dict[str, Json] = {name: {"enabled": name in self._run.plan.phases} for name in _PHASES}
        phases["stateful"] |= {"max-steps": 5}
        for phase in ("examples", "coverage", "fuzzing"):
            # what answers teach would make cases depend on ids and on the order of the workers
            phases[phase] |= {"extra-data-sources": {"responses": False}}
        phases["fuzzing"] |= {"error-feedback": {"enabled": False}}
        cases = self._options.cases
        return {
            "seed": self._seed.draw_integer("schemathesis") % (1 << 31),
            "suppress-health-check": ["all"],
            "workers": self._options.workers,
            "continue-on-failure": True,
            "base-url": BASE_URL,
            "max-stream-events": 2000,
            "request-timeout": self._context.client.timeout,
            "generation": {"max-examples": cases, "database": "none", "allow-x00": True},
            "phases": phases,
            "auth": {
                "openapi": {name: _choose_placeholder(scheme) for name, scheme in schemes.items() if name != "acs3"}
            },
            "checks": {
                "enabled": False,
                **{name: {"enabled": True} for name in self._run.plan.checks},
                "negative_data_rejection": {"enabled": True, "expected-statuses": _REJECTIONS},
            },
            "warnings": False,
            # models have rules of their own, so many cases of a paid operation show little
            "operations": [
                {"include-operation-id": name, "generation": {"max-examples": max(2, cases // 3)}}
                for name in names
                if self._operations[name].paid
            ],
        }

    def _count_seconds_left(self) -> float:
        deadline = self._context.client.deadline
        return float("inf") if deadline is None else deadline - SYSTEM_CLOCK.timestamp()

    # Results

    def _collect_results(self, event: Any) -> Iterator[LawFinding]:
        """Fill the cells of a scenario, and yield the findings that are new."""
        for case_id, nodes in event.recorder.checks.items():
            operation = self._labels.get(event.recorder.cases[case_id].value.operation.label)
            for node in nodes:
                planned = operation is not None and operation.id in self._run.plan.operations
                if operation is None or not planned or node.name not in self._cells:
                    continue
                if is_switched_off(operation, node.name):
                    self._cells[node.name][operation.id] = SWITCHED_OFF
                    continue
                if node.failure_info is None:
                    self._cells[node.name].setdefault(operation.id, MatrixCell("kept"))
                    continue
                failure = node.failure_info.failure
                title = self._context.client.mask.apply(failure.title)
                self._cells[node.name][operation.id] = MatrixCell("broken", title)
                count = len(self._collector.findings)
                self._collector.add_finding(self._build_finding(operation, node.name, failure, event.recorder, case_id))
                yield from self._collector.findings[count:]

    def _build_finding(self, operation: Operation, check: str, failure: Any, recorder: Any, case_id: str) -> LawFinding:
        mask, origin, title = self._context.client.mask, self._context.target.origin, CHECKS[check]
        interaction = recorder.interactions.get(failure.case_id) or recorder.interactions.get(case_id)
        request = self._transport.rebuild_request(interaction, operation) if interaction else None
        response = interaction.response if interaction else None
        answer = f"{response.status_code} {shorten_body(response.content)}" if response is not None else ""
        case = recorder.cases[case_id].value
        evidence = find_case_evidence(self._context.contract, operation, check, case, response)
        return LawFinding(
            law=check,
            title=title,
            operation=operation.id,
            evidence=evidence,
            actions=switch_off(operation, check) if evidence == "assumed" else (),
            expected=f"{title[0].lower()}{title[1:]}",
            seen=mask.apply(" ".join(f"{answer}: {failure.title}: {failure.message}".split())[:_MAX_SEEN_CHARACTERS]),
            curl=render_curl(request, origin, mask) if request else "",
            python=render_python(request, origin, mask) if request else "",
            answer=mask.apply_to_answer(answer),
            status=response.status_code if response is not None else 0,
            media_type=_read_media_type(response) if response is not None else "",
            members=list_members(response.content) if response is not None else (),
        )

    def _note_error(self, event: Any) -> None:
        operation = self._labels.get(event.label)
        if operation is not None:
            reason = str(event.value).replace(BASE_URL, self._context.target.url)
            self._mark_unchecked(operation.id, self._context.client.mask.apply(reason))

    def _mark_unchecked(self, name: str, reason: str) -> None:
        cell = MatrixCell("not checked", " ".join(reason.split())[:_MAX_REASON_CHARACTERS])
        for row in self._cells.values():
            row.setdefault(name, cell)

    def _build_verdict(self, check: str) -> LawVerdict:
        row = {name: self._cells[check].get(name) or self._explain_unseen(name) for name in self._run.plan.operations}
        return LawVerdict(check, row, tuple(f for f in self._collector.findings if f.law == check))

    def _explain_unseen(self, name: str) -> MatrixCell:
        stopped = self._transport.stopped or self._run.stopped
        if stopped:
            return MatrixCell("not checked", f"the run ended before: {stopped}")
        return MatrixCell("not checked", self._transport.not_sent.get(name, "no generated case showed it"))


def _read_media_type(response: Any) -> str:
    values = response.headers.get("content-type") or [""]
    return str(values[0]).partition(";")[0].strip().lower()


def _choose_placeholder(scheme: Json) -> dict[str, str]:
    return {"bearer": PLACEHOLDER} if scheme.get("type") == "http" else {"api_key": PLACEHOLDER}
