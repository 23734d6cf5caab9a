"""Generated cases: Schemathesis as a library over the contract's documents.

Schemathesis talks to `Gate`, which passes each request on through the run's own client. So it
never sees a credential, the budget and the rate hold, what must not be touched is not touched, and the rules of
`laws.conformance` see every exchange. Nothing is registered process-wide.
"""

from __future__ import annotations

import copy
import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aione_mock.checker import case_adapter
from aione_mock.checker.client import TimeUp
from aione_mock.checker.context import LawContext
from aione_mock.checker.finding import LawFinding, LawVerdict, MatrixCell, NotChecked
from aione_mock.checker.plan import CHECKS
from aione_mock.checker.schemathesis_transport import SchemathesisGate
from aione_mock.checker.traffic import curl, snippet
from aione_mock.clock import SYSTEM_CLOCK
from aione_mock.contract import Operation
from aione_mock.seed import Seed
from aione_mock.structs import replace
from aione_mock.types import Json

if TYPE_CHECKING:
    from aione_mock.checker.run import CheckRun, RunEvent


@dataclass(slots=True)
class GeneratedCases:
    """The generated part of a run."""

    workers: int = 1
    cases: int = 12
    seed: str = "0"
    seconds: float = 30.0
    """For all documents together."""
    _verdicts: dict[str, LawVerdict] = field(default_factory=dict)

    def events(self, context: LawContext, run: CheckRun) -> Iterator[RunEvent]:
        """Run all phases over all documents. Raises Stop when the time is up or the server is gone."""
        cells: dict[str, dict[str, MatrixCell]] = {name: {} for name in run.plan.checks}
        findings: dict[tuple[str, str, str], LawFinding] = {}
        gate = SchemathesisGate(context, run)
        try:
            for document in context.contract.documents:
                names = [n for n in run.plan.operations if context.contract.operations[n].document == document]
                wanted = [n for n in names if self._allowed(context, n, cells)]
                if wanted and _left(context) < (0 if "schemathesis" in sys.modules else _START):
                    gate.stopped = TimeUp("the time is up (--max-time)")
                elif wanted:
                    yield from self._document(context, run, gate, document, wanted, cells, findings)
                if gate.stopped:
                    raise gate.stopped
            if _left(context) <= 0:
                raise TimeUp("the time is up (--max-time)")
        finally:
            run.cases += gate.cases
            for name in run.plan.checks:
                row = {
                    n: cells[name].get(n, MatrixCell("not checked", _why(run, gate, n))) for n in run.plan.operations
                }
                told = tuple(finding for finding in findings.values() if finding.law == name)
                run.verdicts.append(LawVerdict(name, row, told))

    def _allowed(self, context: LawContext, name: str, cells: dict[str, dict[str, MatrixCell]]) -> bool:
        """Whether cases for an operation may be sent; why not goes into the matrix."""
        operation = context.contract.operations[name]
        reason = ""
        if operation.method not in ("GET", "HEAD") and operation.protocol == "console" and not context.client.writes:
            reason = "it would change something (--allow-writes)"
        try:
            context.client.credential(operation)
        except NotChecked as error:
            reason = str(error)
        if reason:
            for row in cells.values():
                row[name] = MatrixCell("not checked", reason)
        return not reason

    def _document(
        self,
        context: LawContext,
        run: CheckRun,
        gate: SchemathesisGate,
        document: str,
        names: list[str],
        cells: dict[str, dict[str, MatrixCell]],
        findings: dict[tuple[str, str, str], LawFinding],
    ) -> Iterator[RunEvent]:
        from schemathesis.engine import from_schema
        from schemathesis.engine.events import FatalError, Interrupted, NonFatalError, PhaseFinished, ScenarioFinished

        from aione_mock.checker.run import PhaseProgress

        schema = self._schema(context, run, gate, document, names)
        labels = {f"{o.method} {o.path}": o for o in context.contract.operations.values()}
        stream = from_schema(schema).execute()
        for event in stream:
            if gate.stopped or _left(context) <= 0:
                stream.stop()
            if isinstance(event, PhaseFinished) and event.phase.name.value == run.plan.phases[-1]:
                stream.stop()  # with time left, the last phases would begin again
            if isinstance(event, ScenarioFinished):
                for finding in self._judged(context, gate, event, labels, cells):
                    key = (finding.law, finding.operation, finding.expected)
                    known = findings.get(key)
                    findings[key] = replace(known, count=known.count + 1) if known else finding
                    if known is None:
                        yield finding
                yield PhaseProgress(event.phase.value, event.label or "", gate.cases)
            elif isinstance(event, NonFatalError) and not gate.stopped:
                reason = str(event.value).replace(_NOBODY, context.target.url)
                self._not_checked(event.label, context.client.mask.text(reason), labels, cells)
            elif isinstance(event, Interrupted):
                raise KeyboardInterrupt
            elif isinstance(event, FatalError):
                raise NotChecked(f"the generator of cases failed: {event.exception}")

    def _schema(
        self, context: LawContext, run: CheckRun, gate: SchemathesisGate, document: str, names: list[str]
    ) -> Any:
        import schemathesis
        from schemathesis.config import SchemathesisConfig

        paid = [n for n in names if context.contract.operations[n].paid]
        config = SchemathesisConfig.from_dict(self._config(context, run, document, paid))
        raw = case_adapter.document(copy.deepcopy(context.contract.documents[document]), context.contract)
        loaded = schemathesis.openapi.from_dict(raw, config=config)
        adapter = case_adapter.Adapter(context)
        loaded.__class__ = _tuned(type(loaded), adapter, gate)

        def filter_failure(_: Any, failure: Any, case: Any, response: Any) -> bool:
            return adapter.keeps(failure, case, response)

        loaded.hook(filter_failure)
        return loaded.include(operation_id=names)

    def _config(self, context: LawContext, run: CheckRun, document: str, paid: list[str]) -> dict[str, Json]:
        number = Seed.of(self.seed).draw_integer("schemathesis") % (1 << 31)
        phases: dict[str, Json] = {name: {"enabled": name in run.plan.phases} for name in _PHASES}
        phases["stateful"] |= {"max-steps": 5}
        placeholders = {name: gate_auth(scheme) for name, scheme in context.contract.schemes.items() if name != "acs3"}
        config: dict[str, Json] = {
            "seed": number,
            "workers": self.workers,
            "max-time": self._share(context, document),
            "continue-on-failure": True,
            # probes of capabilities would go past the gate: they find nobody here
            "base-url": _NOBODY,
            "max-stream-events": 2000,
            "request-timeout": context.client.timeout,
            "generation": {"max-examples": self.cases, "database": "none", "allow-x00": True},
            "phases": phases,
            "auth": {"openapi": placeholders},
            "checks": {
                "enabled": False,
                **{name: {"enabled": True} for name in run.plan.checks},
                "negative_data_rejection": {"enabled": True, "expected-statuses": _REFUSALS},
            },
            "warnings": False,
            # with rules of its own behind it, an operation that asks a model learns little from many cases
            "operations": [
                {"include-operation-id": name, "generation": {"max-examples": max(2, self.cases // 3)}} for name in paid
            ],
        }
        return config

    def _share(self, context: LawContext, document: str) -> int:
        """Seconds for one document: as many as its operations deserve of what there is."""
        operations = context.contract.operations.values()
        part = sum(o.document == document for o in operations) / len(operations)
        left = context.client.deadline
        whole = self.seconds if left is None else min(self.seconds, left - SYSTEM_CLOCK.timestamp())
        return max(1, int(whole * part + 0.5))

    def _judged(
        self,
        context: LawContext,
        gate: SchemathesisGate,
        event: Any,
        labels: dict[str, Operation],
        cells: dict[str, dict[str, MatrixCell]],
    ) -> Iterator[LawFinding]:
        recorder = event.recorder
        for case_id, nodes in recorder.checks.items():
            case = recorder.cases[case_id].value
            operation = labels.get(case.operation.label)
            for node in nodes:
                if operation is None or node.name not in cells:
                    continue
                if node.failure_info is None:
                    cells[node.name].setdefault(operation.id, MatrixCell("kept"))
                    continue
                failure = node.failure_info.failure
                cells[node.name][operation.id] = MatrixCell("broken", context.client.mask.text(failure.title))
                yield self._finding(context, gate, operation, node.name, failure, recorder, case_id)

    def _finding(
        self,
        context: LawContext,
        gate: SchemathesisGate,
        operation: Operation,
        check: str,
        failure: Any,
        recorder: Any,
        case_id: str,
    ) -> LawFinding:
        from aione_mock.checker.run import origin
        from aione_mock.checker.traffic import shown

        mask, base = context.client.mask, origin(context.target.url)
        at = failure.case_id if failure.case_id in recorder.interactions else case_id
        interaction = recorder.interactions.get(at)
        request = gate.sent(interaction, operation) if interaction else None
        response = interaction.response if interaction else None
        answer = f"{response.status_code} {shown(response.content, 400)}" if response is not None else ""
        return LawFinding(
            check,
            CHECKS[check],
            operation.id,
            case_adapter.evidence(operation, check, response),
            mask.text(f"{CHECKS[check][0].lower()}{CHECKS[check][1:]}"),
            mask.text(" ".join(f"{failure.title}: {failure.message}".split())[:400]),
            curl(request, base, mask) if request else "",
            snippet(request, base, mask) if request else "",
            answer=mask.text(answer),
        )

    def _not_checked(
        self, label: str, reason: str, labels: dict[str, Operation], cells: dict[str, dict[str, MatrixCell]]
    ) -> None:
        operation = labels.get(label)
        for row in cells.values() if operation else ():
            assert operation is not None
            row.setdefault(operation.id, MatrixCell("not checked", " ".join(reason.split())[:160]))


def _tuned(schema_class: Any, adapter: case_adapter.Adapter, gate: SchemathesisGate) -> Any:
    """The schema's class with a transport of its own: each case is adapted just before it is sent.

    The hook for this, `before_call`, exists only for the whole process.
    """
    import requests
    import urllib3
    from requests.adapters import HTTPAdapter
    from schemathesis.transport.requests import REQUESTS_TRANSPORT, RequestsTransport

    class Door(HTTPAdapter):
        """Where requests go instead of to the network."""

        def send(self, request: Any, *_: Any, **__: Any) -> Any:
            where, body = urlsplit(request.url), request.body or b""
            given = [
                (name, value.encode("latin-1").decode("utf-8", "surrogateescape") if isinstance(value, str) else value)
                for name, value in request.headers.items()
            ]
            raw = body.encode() if isinstance(body, str) else body
            status, headers, content = gate.answer(request.method, where.path, where.query, tuple(given), raw)
            answer = urllib3.HTTPResponse(
                io.BytesIO(b"" if request.method == "HEAD" else content),
                urllib3.HTTPHeaderDict(headers),
                status,
                version=11,
                preload_content=False,
                request_method=request.method,
            )
            return self.build_response(request, answer)

    class Adapting(RequestsTransport):
        def send(self, case: Any, **given: Any) -> Any:
            adapter.before_call(case)
            with requests.Session() as session:
                session.trust_env = False
                session.mount(_NOBODY, Door())
                return super().send(case, **{**given, "session": session})

    transport = Adapting()
    transport._copy_serializers_from(REQUESTS_TRANSPORT)
    return type("Tuned", (schema_class,), {"transport": property(lambda self: transport)})


_NOBODY = "http://127.0.0.1:9"
"""Where nobody listens."""
_PHASES = ("examples", "coverage", "fuzzing", "stateful")
_REFUSALS = ["400", "401", "402", "403", "404", "405", "406", "409", "413", "415", "422", "428", "429"]


def gate_auth(scheme: Json) -> dict[str, str]:
    """What stands for a credential until the gate puts the real one there."""
    from aione_mock.checker.schemathesis_transport import PLACEHOLDER

    if scheme.get("type") == "http":
        return {"bearer": PLACEHOLDER}
    return {"api_key": PLACEHOLDER}


def _why(run: CheckRun, gate: SchemathesisGate, name: str) -> str:
    if gate.stopped or run.stopped:
        return f"the run ended before: {gate.stopped or run.stopped}"
    return gate.refused.get(name, "no generated case showed it")


_START = 4.0
"""Seconds that the generator takes to start on a busy machine; with less left it does not begin."""


def _left(context: LawContext) -> float:
    """Seconds until the time is up."""
    deadline = context.client.deadline
    return float("inf") if deadline is None else deadline - SYSTEM_CLOCK.timestamp()
