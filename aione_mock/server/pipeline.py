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
from aione_mock.errors import APIError, ConfigError, ScenarioError
from aione_mock.protocols.errors import ErrorRenderer
from aione_mock.server import origin, rate_limits
from aione_mock.server.auth import Authenticator
from aione_mock.server.cors import CrossOriginPolicy
from aione_mock.server.handlers import CHECKS, from_schema
from aione_mock.server.hints import OWN_PREFIX, check_own_headers, explain_no_operation
from aione_mock.server.journal import Exchange
from aione_mock.server.page import PageFiles
from aione_mock.server.preferences import Preferences
from aione_mock.server.render import Renderer
from aione_mock.server.request import Request, make_call, parse_request, validate_call
from aione_mock.server.scenario_engine import ScenarioEngine
from aione_mock.server.served_contract import ServedContract
from aione_mock.server.sessions import Session, Sessions
from aione_mock.server.state import MemoryState
from aione_mock.settings import Settings, locate_page
from aione_mock.text.credentials import mask_text
from aione_mock.types import Call, Reply, Response, StreamReply

if TYPE_CHECKING:
    from aione_mock.server.metrics import Metrics
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
        state: MemoryState | None = None,
    ) -> None:
        self.contract, self.sessions, self.handlers, self.settings = contract, sessions, handlers, settings
        self.replay, self.state, self.errors = replay, state or MemoryState(), ErrorRenderer(contract)
        self.scenarios = ScenarioEngine(contract, settings)
        self.renderer = self._create_renderer()
        self.auth = Authenticator(
            contract,
            any_key=settings.auth == "any",
            needs_key=not settings.as_upstream,
            control_token=settings.control_token,
            allowed_hosts=settings.allowed_hosts,
        )
        self.cors = CrossOriginPolicy(settings.cors, contract)
        self.page = PageFiles(
            locate_page(), enabled=settings.ui, control=bool(settings.control), scheme=settings.scheme
        )
        self.served_contract = ServedContract(contract, lambda: sessions.default.catalogue, settings.scheme)
        self.explanations: Mapping[str, Explanation] = {}
        self.draining = False
        """Whether the server only ends what it has begun."""
        self.metrics: Metrics | None = None
        # read for each request, and slower to read from a pydantic model
        self._max_body, self._scenario_files = settings.max_body, bool(self.scenarios.rule_files.paths)

    def _create_renderer(self) -> Renderer:
        interval, mode = 0.0 if self.settings.flush == "each" else None, self.settings.check_answers
        if mode == "off":
            return Renderer(self.errors, self.scenarios, flush_interval=interval)
        from aione_mock.server.answer_check import CheckingRenderer

        strict = mode == "strict"
        return CheckingRenderer(self.errors, self.scenarios, self.contract, flush_interval=interval, strict=strict)

    async def respond(self, exchange: Exchange) -> Response:
        """Answer a request. Every error, and every bug, becomes an answer in the protocol of its operation."""
        try:
            reply = await self._answer(exchange)
            response = self.renderer.render(exchange, reply)
        except Disconnected:
            raise
        except Exception as error:
            reply = self.render_error(exchange, error)
            response = self.renderer.render(exchange, reply)
        if b"origin" in exchange.request.fields:
            response = self._add_origin(exchange, response)
        try:
            await self.state.commit(exchange, reply, response)
        except Exception as error:
            exchange.stream = False
            return self.renderer.render(exchange, self.render_error(exchange, error))
        return response

    def _add_origin(self, exchange: Exchange, response: Response) -> Response:
        origin = exchange.request.fields[b"origin"].decode("latin-1")
        return self.cors.add_headers(response, origin, exchange.protocol)

    async def _answer(self, exchange: Exchange) -> Reply | StreamReply:
        """Run the steps of the pipeline. tests/test_side_effects.py pins the order of their side effects."""
        request = exchange.request
        match = self.contract.match(request.path)
        operation = match.operations.get(request.method)
        exchange.path_params = match.params
        if operation is not None:
            exchange.protocol = operation.protocol
        else:
            exchange.protocol, error = explain_no_operation(request, match, self.contract)
        if request.session_name:
            await self._open_session(exchange, operation)
        if operation is None:
            if (page := self._find_page(request)) is not None:
                exchange.protocol = "control"  # the journal holds what applications ask
                self.auth.check_host(request)  # 421
                await self._count(exchange, with_body=False)
                return page
            raise error  # 404, 405
        if OWN_PREFIX in b" ".join(request.fields):  # quicker than a look at each
            check_own_headers(request.fields)  # 400
        exchange.operation = operation  # not before: a session's name may be wrong where no 400 is declared
        if request.body is None or len(request.body) > self._max_body:
            await request.read_body(self._max_body)  # 413
        if b"content-encoding" in request.fields and request.body and operation.body_validator is not None:
            request.decode_body(self._max_body)  # 400 413 415
        exchange.at = exchange.session.clock.timestamp()
        if replay := exchange.session.replay or self.replay:
            reply = await self._replay(replay, exchange, operation)  # 404
            if reply is not None:
                return reply
        await self._admit(operation, exchange)  # 401, 402, 403, 429
        return await self._answer_admitted(operation, exchange)

    async def _admit(self, operation: Operation, exchange: Exchange) -> None:
        exchange.caller = await self.auth.identify(operation, exchange)  # 401, 403
        if not exchange.session.confirmed and (exchange.caller is not None or operation.protocol == "control"):
            self.sessions.confirm(exchange.session)
        await self.state.admit(operation, exchange)  # 402, 429

    async def _answer_admitted(self, operation: Operation, exchange: Exchange) -> Reply | StreamReply:
        session, request = exchange.session, exchange.request
        call = exchange.call = self._parse(operation, exchange)  # 400, 422
        preferences = None
        if b"prefer" in request.fields and operation.protocol != "control":
            preferences = Preferences.read(request.headers)
        rules = preferences is None and (session.rules or session.scenarios or self._scenario_files)
        if rules or b"x-mock-scenario" in request.fields:
            context, candidates = exchange.matched or (None, None)
            scenario = await self.scenarios.select(call, session, exchange.occurrence, context, candidates)
            exchange.scenario = scenario
            call = exchange.call = scenario.script_call(call)  # the error that a scenario asks for
        if call.script is not None and call.script.whole:
            return from_schema.answer_with_body(call)
        if preferences is not None and call.script is None:
            reply = preferences.choose_reply(call, session)  # 400
            return preferences.mark(reply or await self._handle(call, session))
        handler = self.handlers.get(operation.id) or from_schema.answer_from_schema
        return await handler(call, session)

    async def _handle(self, call: Call, session: Session) -> Reply | StreamReply:
        return await (self.handlers.get(call.operation.id) or from_schema.answer_from_schema)(call, session)

    async def _count(self, exchange: Exchange, *, with_body: bool = True) -> None:
        self.state.count(exchange, with_body=with_body)

    async def _open_session(self, exchange: Exchange, operation: Operation | None) -> None:
        self.find_session(exchange, operation)

    def _find_page(self, request: Request) -> Reply | None:
        """Return what a browser or a tool asks for beside the API: the page, its files, or the contract."""
        contract = self.served_contract.find(request) if self.settings.control else None
        return contract or self.page.find(request)

    def find_session(self, exchange: Exchange, operation: Operation | None) -> Session:
        """Return the session that a request names, and enter it in the exchange. Raises APIError for a bad name."""
        if operation is None or not self.concerns_server(operation):
            name = exchange.request.session_name
            exchange.session = self.sessions.use(name) or self._create_session(name, exchange.request)
        return exchange.session

    def _create_session(self, name: str, request: Request) -> Session:
        """Create the session of a new name. For a page of another site it is one that no other request finds."""
        if origin.is_cross_site(request):
            return self.sessions.make(name)
        return self.sessions.create(name, confirmed=False)

    def concerns_server(self, operation: Operation) -> bool:
        """Return whether a control operation is about no single session, so that naming one must not create it."""
        return operation.protocol == "control" and all(p.name != "X-Mock-Session" for p in operation.parameters)

    async def _replay(self, replay: Replay, exchange: Exchange, operation: Operation) -> Reply | StreamReply | None:
        """Return the recorded answer, if there is one. It counts against no limit and is not billed."""
        await self._count(exchange)
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
            params, data, findings = exchange.parsed or parse_request(operation, request, exchange.path_params)
            call = make_call(exchange, operation, params, data)
            # a body that is no JSON has nothing that could be explained
            if findings and data is not None and (explanation := self.explanations.get(operation.id)):
                explanation(call)
            if findings or check is not None:
                validate_call(call, exchange.session, findings, check)
            if repeated:
                cache.put(key, (params, data), size=request.size)
        else:
            call = make_call(exchange, operation, *known)
        exchange.valid = True
        return call

    def render_error(self, exchange: Exchange, error: Exception) -> Reply:
        """Return the answer to a request that failed: the contract's example of that error, or of a bug."""
        if not exchange.occurrence:
            # without an operation, a body counts no more if it came together with the head than if it did not
            self.state.count(exchange, with_body=exchange.operation is not None)
        if isinstance(error, ScenarioError | ConfigError):
            error = APIError("invalid_request", str(error))
        if not isinstance(error, APIError):
            method, path = exchange.request.method, mask_text(exchange.request.path)
            _log.error("bug while answering %s %s", method, path, exc_info=error)
            error = APIError("internal_error", "The mock has a bug here; its log has the details.")
        elif error.name in rate_limits.LIMIT_ERRORS and exchange.limits is None:
            exchange.limits = rate_limits.read_window(exchange.caller, exchange.at, exchange.session)
        exchange.error = error.name
        exchange.refusal = f"{error.name}: {error.message}" if error.message else error.name
        protocol = exchange.protocol or "openai"
        return self.errors.render(protocol, exchange.operation, error, exchange.request_id)
