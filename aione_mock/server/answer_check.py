"""Hold every answer of the mock against the contract, before faults damage it.

`log` records what differs in the journal and in the log. `strict` also replaces the answer: a plain one by a 500, a
stream from the first wrong event on by an error event.
"""

from __future__ import annotations

import logging
from itertools import islice
from typing import TYPE_CHECKING

from aione_mock.contract import Contract, Operation
from aione_mock.contract.answer_check import Answer, AnswerProblem, find_answer_problems
from aione_mock.errors import APIError
from aione_mock.protocols.errors import ErrorRenderer
from aione_mock.server.render import Renderer
from aione_mock.server.scenario_engine import ScenarioEngine
from aione_mock.structs import replace
from aione_mock.text.credentials import mask_text
from aione_mock.types import EventStream, Replayed, ReplayedStream, Reply, Response, StreamReply

if TYPE_CHECKING:
    from aione_mock.server.journal import Exchange

_log = logging.getLogger("aione_mock")
_MAX_FINDINGS = 5
"""Findings of one answer that are kept."""
_MAX_CHARS = 300


class CheckingRenderer(Renderer):
    """Render replies, and record how they differ from the contract."""

    def __init__(
        self,
        errors: ErrorRenderer,
        scenarios: ScenarioEngine,
        contract: Contract,
        *,
        flush_interval: float | None,
        strict: bool,
    ) -> None:
        super().__init__(errors, scenarios, flush_interval=flush_interval)
        self._strict, self._shared = strict, _list_shared_statuses(contract)
        self._protocol_statuses = {(spec.protocol, spec.status) for spec in contract.errors.values()}

    def render(self, exchange: Exchange, reply: Reply | StreamReply) -> Response:
        """Return the response to send. Raises APIError `internal_error` in place of a wrong answer if strict."""
        operation = exchange.operation
        if operation is None or operation.protocol == "control" or exchange.checked or exchange.damaged:
            return super().render(exchange, reply)
        exchange.checked = True
        problems = self._find_problems(operation, exchange, reply)
        if not problems:
            return super().render(exchange, reply)
        exchange.findings = tuple([mask_text(str(problem))[:_MAX_CHARS] for problem in problems])
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        first = exchange.findings[0] + more
        _log.warning("the answer %d of %s violates the contract: %s", reply.status, operation.id, first)
        if not self._strict:
            return super().render(exchange, reply)
        if isinstance(reply, StreamReply):
            return super().render(exchange, self._cut_stream(exchange, reply, problems))
        error = APIError("internal_error", f"The mock's answer violates the contract: {exchange.findings[0]}")
        if reply.status < 400:
            raise error
        # this is the answer to an error already
        return super().render(exchange, self._errors.render(operation.protocol, operation, error, exchange.request_id))

    def _find_problems(
        self, operation: Operation, exchange: Exchange, reply: Reply | StreamReply
    ) -> list[AnswerProblem]:
        status = reply.status
        if str(status) not in operation.responses and self._is_shared(operation, status):
            return []
        response = _get_recording(reply) or self.serialize(exchange, reply, whole=True)
        headers = {name.lower(): value for name, value in response.headers}
        content = b"".join([data for _, data in response.sends])
        answer = Answer(response.status, headers.get, content, exchange.request.method, response.end == "cut")
        try:
            return list(islice(find_answer_problems(operation, answer), _MAX_FINDINGS))
        except (ValueError, RecursionError):
            return [AnswerProblem("nested too deeply to be checked")]

    def _is_shared(self, operation: Operation, status: int) -> bool:
        """Return whether an error belongs to the protocol: to all its operations, or where an overlay has added one."""
        known = self._protocol_statuses if operation.added else self._shared
        return (operation.protocol, status) in known

    def _cut_stream(self, exchange: Exchange, reply: StreamReply, problems: list[AnswerProblem]) -> StreamReply:
        """Return the events before the first wrong one, or before the last, and then an error."""
        recording = _get_recording(reply)
        events = list(reply.events) if recording is None else [data for _, data in recording.sends if data]
        first = min([problem.event for problem in problems if problem.event is not None], default=len(events))
        kept = events[: max(0, first - 1)]
        error = self._errors.render_event(exchange.protocol, "internal_error", exchange.request_id)
        weights = (*reply.weights[: len(kept)], 0) if reply.weights else ()
        if recording is None:
            return replace(reply, events=EventStream.of([*kept, error]), weights=weights)
        return StreamReply(EventStream.of([*kept, error]), status=recording.status)


def _get_recording(reply: Reply | StreamReply) -> Response | None:
    return reply.response if isinstance(reply, Replayed | ReplayedStream) else None


def _list_shared_statuses(contract: Contract) -> set[tuple[str, int]]:
    """Return protocol and status of the errors that no operation declares, such as for a wrong method."""
    responses = [r for d in contract.documents.values() for r in d.get("components", {}).get("responses", {}).values()]
    return {(response["x-dialect"], int(response["x-status"])) for response in responses if "x-status" in response}
