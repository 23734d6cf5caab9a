"""Answer every request in the same steps. Start reading here.

    match ▶ identify ▶ admit ▶ parse ▶ select ▶ handle ▶ render ▶ commit

Replay, scripted replies, mutants and the test kit go through it; nothing else answers a request.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from aione_mock.asgi import Disconnected
from aione_mock.contract import Contract, Operation
from aione_mock.contract.openapi import RouteMatch
from aione_mock.errors import APIError, ConfigError, ScenarioError
from aione_mock.protocols.errors import ErrorRenderer
from aione_mock.server import rate_limits
from aione_mock.server.auth import Authenticator
from aione_mock.server.handlers import CHECKS, from_schema
from aione_mock.server.journal import Exchange, mask_text
from aione_mock.server.render import Renderer
from aione_mock.server.request import Request, explain_no_operation, make_call, parse_request, validate_call
from aione_mock.server.scenario_engine import ScenarioEngine
from aione_mock.server.sessions import Session, Sessions
from aione_mock.server.state import MemoryState
from aione_mock.settings import Settings
from aione_mock.tenant.organisation_file import list_credentials
from aione_mock.types import Call, Reply, Response, StreamReply

if TYPE_CHECKING:
    from aione_mock.server.replay import Replay

Explanation = Callable[[Call], None]
Handler = Callable[[Call, Session], Awaitable[Reply | StreamReply]]
_log = logging.getLogger("aione_mock")


class Pipeline:
    """Answer requests as the contract defines."""

    def __init__(
        self,
        contract: Contract,
        sessions: Sessions,
        handlers: Mapping[str, Handler],
        settings: Settings,
        replay: Replay | None = None,
    ) -> None:
        self.contract, self.sessions, self.handlers, self.settings = contract, sessions, handlers, settings
        self.replay, self.state, self.errors = replay, MemoryState(), ErrorRenderer(contract)
        self.scenarios = ScenarioEngine(contract, settings)
        self.renderer = Renderer(self.errors, self.scenarios, flush_interval=0.0 if settings.flush == "each" else None)
        demo = next(c.secret for c in list_credentials() if c.kind == "key")
        self.auth = Authenticator(
            contract, any_key=settings.auth == "any", demo_key=demo, control_token=settings.control_token
        )
        self.explanations: Mapping[str, Explanation] = {}
        # read for each request, and slower to read from a pydantic model
        self._max_body, self._scenario_files = settings.max_body, bool(settings.scenarios)

    async def respond(self, exchange: Exchange) -> Response:
        """Answer a request. Every error, and every bug, becomes an answer in the protocol of its operation."""
        try:
            reply = await self._answer(exchange)
            response = self.renderer.render(exchange, reply)
        except Disconnected:
            raise
        except Exception as error:
            reply = self._render_error(exchange, error)
            response = self.renderer.render(exchange, reply)
        await self.state.commit(exchange, reply, response)
        return response

    async def _answer(self, exchange: Exchange) -> Reply | StreamReply:
        """Run the steps of the pipeline. tests/test_side_effects.py pins the order of their side effects."""
        request = exchange.request
        match = self.contract.match(request.path)
        operation = match.operations.get(request.method)
        exchange.path_params = match.params
        exchange.protocol = operation.protocol if operation else self._find_protocol(request, match)
        session = self._find_session(exchange, operation) if request.session_name else exchange.session
        if operation is None:
            raise explain_no_operation(request, match.operations)  # 404, 405
        exchange.operation = operation  # not before: a session's name may be wrong where no 400 is declared
        if request.body is None or len(request.body) > self._max_body:
            await request.read_body(self._max_body)  # 413
        exchange.at = session.clock.timestamp()
        if replay := session.replay or self.replay:
            reply = await self._replay(replay, exchange, operation)  # 404
            if reply is not None:
                return reply
        exchange.caller = await self.auth.identify(operation, exchange)  # 401, 403
        await self.state.admit(operation, exchange)  # 402, 429
        call = exchange.call = self._parse(operation, exchange)  # 400, 422
        if b"x-mock-scenario" in request.fields or session.rules or session.scenarios or self._scenario_files:
            scenario = exchange.scenario = await self.scenarios.select(call, session, exchange.occurrence)
            call = exchange.call = scenario.script_call(call)  # the error that a scenario asks for
        if call.script is not None and call.script.whole:
            return from_schema.answer_with_body(call)
        handler = self.handlers.get(operation.id) or from_schema.answer_from_schema
        reply = await handler(call, session)
        if exchange.limits is not None and reply.usage is not None:
            exchange.limits = exchange.limits.add((0, reply.usage.total))
        return reply

    def _find_session(self, exchange: Exchange, operation: Operation | None) -> Session:
        if operation is None or not self._concerns_server(operation):
            exchange.session = self.sessions.get(exchange.request.session_name)
        return exchange.session

    def _find_protocol(self, request: Request, match: RouteMatch) -> str:
        """Return the protocol of a path that leads to no operation."""
        near = next(iter(match.operations.values()), None)
        return near.protocol if near else self.contract.find_protocol(request.path)

    def _concerns_server(self, operation: Operation) -> bool:
        """Return whether a control operation is about no single session, so that naming one must not create it."""
        return operation.protocol == "control" and all(p.name != "X-Mock-Session" for p in operation.parameters)

    async def _replay(self, replay: Replay, exchange: Exchange, operation: Operation) -> Reply | StreamReply | None:
        """Return the recorded answer, if there is one. It counts against no limit and is not billed."""
        self.state.count(exchange)
        # whether a request was recorded is said even where the contract declares no 404
        exchange.damaged = replay.only
        exchange.call = make_call(exchange, operation, {}, None)
        reply = await replay.answer(exchange.call, exchange.session.store)
        if reply is not None:
            with contextlib.suppress(APIError, ValueError):  # ValueError: nested too deeply to be validated
                exchange.call = self._parse(operation, exchange)
        return reply

    def _parse(self, operation: Operation, exchange: Exchange) -> Call:
        """Return the call of a request. Raises APIError for everything that violates the contract."""
        request, cache, check = exchange.request, exchange.session.cache, CHECKS.get(operation.id)
        # a check looks at the clock and the session; most requests never come again
        repeated = exchange.occurrence > 1 and check is None
        key = (exchange.key, request.headers)
        known = cache.get(key) if repeated else None
        if known is None:
            params, data, findings = parse_request(self.contract, operation, request, exchange.path_params)
            call = make_call(exchange, operation, params, data)
            if findings and (explanation := self.explanations.get(operation.id)):
                explanation(call)
            if findings or check is not None:
                validate_call(call, exchange.session, findings, check)
            if repeated:
                cache.put(key, (params, data), size=request.size)
        else:
            call = make_call(exchange, operation, *known)
        exchange.valid = True
        return call

    def _render_error(self, exchange: Exchange, error: Exception) -> Reply:
        """Return the answer to a request that failed: the contract's example of that error, or of a bug."""
        if not exchange.occurrence:
            self.state.count(exchange)
        if isinstance(error, ScenarioError | ConfigError):
            error = APIError("invalid_request", str(error))
        if not isinstance(error, APIError):
            method, path = exchange.request.method, mask_text(exchange.request.path)
            _log.error("bug while answering %s %s", method, path, exc_info=error)
            error = APIError("internal_error", "The mock has a bug here; its log has the details.")
        elif error.name == "rate_limit_exceeded" and exchange.limits is None:
            exchange.limits = rate_limits.read_window(exchange.caller, exchange.at, exchange.session)
        protocol = exchange.protocol or "openai"
        return self.errors.render(protocol, exchange.operation, error, exchange.request_id)
