"""Apply the scenarios of a mock to traffic that passes through the recording proxy.

Rules, scenarios, paces, the control API, the journal and the page are those of `serve`. What the mock would answer is
asked of the upstream, unless a scenario says an error or a reply. An answer that a scenario changes is read to its end
first, and then sent with the pauses with which it came.
"""

from __future__ import annotations

from aione_mock import asgi
from aione_mock.asgi import CONNECTION, Connection, Receive, Scope, Send
from aione_mock.contract import Contract, Operation, validation
from aione_mock.errors import APIError
from aione_mock.recorder.cassette import HEADER_CONTROLS, RecordedEvent, RecordedResponse, RecordedScenario
from aione_mock.recorder.interception import InterceptedAnswer
from aione_mock.scenarios.conditions import MatchContext
from aione_mock.server.app import Mock, create_app
from aione_mock.server.handlers import CHECKS, from_schema
from aione_mock.server.journal import Exchange
from aione_mock.server.match_context import make_match_context
from aione_mock.server.pipeline import Pipeline
from aione_mock.server.request import Request, make_call, parse_request, validate_call
from aione_mock.server.streaming import TimerWheel, send_response
from aione_mock.settings import ANY, MEMORY, Settings
from aione_mock.structs import replace
from aione_mock.types import Call, EventStream, Headers, RawHeaders, Reply, Response, StreamReply

_OWN_HEADERS = b"x-mock-"
"""Beginning of the names of request headers that are for the proxy, not for the upstream."""


def create_scenario_proxy(settings: Settings) -> ScenarioProxy:
    """Create the mock behind a proxy. It takes every key and model: those are the gateway's to refuse.

    Raises ConfigError, ContractError or ScenarioError.
    """
    update = {"auth": "any", "models": settings.models or ANY, "control": settings.control or True, "store": MEMORY}
    return ScenarioProxy(create_app(settings.model_copy(update=update)), control=bool(settings.control))


class ScenarioProxy:
    """Answer, delay and change the exchanges of a proxy as the rules of a mock say."""

    def __init__(self, mock: Mock, *, control: bool = True) -> None:
        """`control`: whether the proxy has the control API and the page; otherwise their paths are forwarded."""
        self._mock, self._control, self._timer_wheel = mock, control, TimerWheel()

    def owns(self, path: str) -> bool:
        """Return whether a path belongs to the control API or the page."""
        return self._control and self._mock.contract.find_protocol(path) == "control"

    @property
    def contract(self) -> Contract:
        """The contract, with the control API."""
        return self._mock.contract

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request to the control API or the page."""
        await self._mock.gateway(scope, receive, send)

    async def intercept(self, scope: Scope, body: bytes) -> InterceptedExchange:
        """Select the scenario of a request. Whatever is wrong becomes the answer to it."""
        client = scope.get("client")
        request = Request(
            scope["method"],
            asgi.read_raw_path(scope).encode("latin-1"),
            scope["query_string"],
            tuple([(name, value) for name, value in scope["headers"]]),
            body,
            client[0] if client else "127.0.0.1",
            scope=scope,
        )
        intercepted = InterceptedExchange(self._mock.pipeline, request, scope, self._timer_wheel)
        await intercepted.select_scenario()
        return intercepted

    def set_draining(self, draining: bool) -> None:
        """Note whether the server shuts down, and then end the streams of events."""
        self._mock.set_draining(draining)


class InterceptedExchange:
    """An exchange of the proxy as the mock sees it."""

    def __init__(self, pipeline: Pipeline, request: Request, scope: Scope, timer_wheel: TimerWheel) -> None:
        self._pipeline, self._scope, self._timer_wheel = pipeline, scope, timer_wheel
        self._exchange = Exchange(request, pipeline.sessions.default)
        self._call: Call | None = None
        self._findings: list[validation.Violation] = []
        self._error: Exception | None = None
        self._sent: Response | None = None
        self._reply: Reply | StreamReply | None = None
        self.path = request.path
        """The path to forward, without the session that it may name."""
        self.headers: RawHeaders = tuple([pair for pair in request.headers if not pair[0].startswith(_OWN_HEADERS)])
        self.scenario: RecordedScenario | None = None

    @property
    def delay(self) -> float:
        """Seconds to wait before the upstream is asked."""
        return self._exchange.scenario.action.delay / self._pipeline.settings.time_scale

    @property
    def needs_whole_answer(self) -> bool:
        """Whether the answer has to be read to its end because it is changed."""
        exchange = self._exchange
        return self._call is not None and self._pipeline.scenarios.needs_whole_answer(
            exchange.scenario, exchange.session
        )

    async def select_scenario(self) -> None:
        """Find the operation, the session and the scenario of the request."""
        exchange, pipeline = self._exchange, self._pipeline
        request = exchange.request
        match = pipeline.contract.match(request.path)
        operation = match.operations.get(request.method)
        exchange.path_params = match.params
        exchange.protocol = operation.protocol if operation else pipeline.contract.find_protocol(request.path)
        try:
            if request.session_name:
                pipeline.find_session(exchange, operation)
            pipeline.state.count(exchange)
            if operation is not None:
                exchange.operation = operation
                await self._select_for(operation)
            elif request.header("x-mock-scenario") is not None:
                message = f"The contract has no {request.method} {request.path}, so no scenario can be played for it."
                raise APIError("invalid_request", message)
        except Exception as error:
            # such as an unknown scenario in the header
            self._error = error

    async def _select_for(self, operation: Operation) -> None:
        exchange, session = self._exchange, self._exchange.session
        call = self._read_call(operation)
        context = self._read_context(call)
        self._call = exchange.call = call
        exchange.scenario = await self._pipeline.scenarios.select(call, session, exchange.occurrence, context)
        if exchange.scenario.action.delay:
            self._mark_scenario()

    def _read_call(self, operation: Operation) -> Call:
        """Return the call of a request, with what the mock finds wrong with it; the upstream may see it otherwise."""
        exchange, pipeline = self._exchange, self._pipeline
        forwarded = exchange.request.body
        try:
            if b"content-encoding" in exchange.request.fields and forwarded:
                exchange.request.decode_body(pipeline.settings.max_body)
            params, data, self._findings = parse_request(operation, exchange.request, exchange.path_params)
        except (APIError, ValueError, RecursionError):
            params, data = {}, None
            self._findings = [validation.Violation(("body",), "The body cannot be read.", "value_error")]
        finally:
            exchange.request.body = forwarded
        exchange.valid = not self._findings
        return make_call(exchange, operation, params, data)

    def _read_context(self, call: Call) -> MatchContext:
        exchange = self._exchange
        call_id = f"{exchange.key.hex()}/{exchange.occurrence}"
        try:
            return make_match_context(call, exchange.session, call_id, valid=exchange.valid)
        except APIError:
            return make_match_context(call, exchange.session, call_id, valid=False)

    async def answer(self) -> InterceptedAnswer | None:
        """Return the answer to a request whose scenario is an error or a reply; None if the upstream is asked."""
        exchange, renderer = self._exchange, self._pipeline.renderer
        try:
            reply = await self._make_reply()
            if reply is None:
                return None
            plain, sent = renderer.serialize(exchange, reply, whole=False), renderer.render(exchange, reply)
        except Exception as error:
            reply = self._pipeline.render_error(exchange, error)
            plain, sent = renderer.serialize(exchange, reply, whole=False), renderer.render(exchange, reply)
        self._reply, self._sent = reply, sent
        label = exchange.scenario.label or exchange.refusal or "reply"
        self.scenario = RecordedScenario(rule=self._rule, played=label.partition(":")[0], answered=True)
        return InterceptedAnswer(_record_response(plain, stream=isinstance(reply, StreamReply)), sent)

    async def _make_reply(self) -> Reply | StreamReply | None:
        """Return what a scenario replies. Raises the APIError that it asks for."""
        if self._error is not None:
            raise self._error
        exchange, call, pipeline = self._exchange, self._call, self._pipeline
        if call is None or exchange.operation is None:
            return None
        call = exchange.scenario.script_call(call)
        if call.script is None:
            return None
        if call.script.whole:
            return from_schema.answer_with_body(call)
        exchange.caller = await pipeline.auth.identify(call.operation, exchange)
        validate_call(call, exchange.session, self._findings, CHECKS.get(call.operation.id))
        exchange.call = call = replace(call, caller=exchange.caller)
        handler = pipeline.handlers.get(call.operation.id) or from_schema.answer_from_schema
        return await handler(call, exchange.session)

    def change(self, response: RecordedResponse, elapsed: float) -> Response:
        """Return a response with the pace, the changes and the faults of the scenario.

        It begins `elapsed` seconds after the request, when the upstream's response has come to its end.
        """
        exchange, session, call, pipeline = self._exchange, self._exchange.session, self._call, self._pipeline
        assert call is not None
        seed = session.seed.child("call", exchange.key, exchange.occurrence)
        scale = pipeline.settings.time_scale
        original = _to_response(response, scale)
        action = exchange.scenario.action
        scenario = replace(exchange.scenario, action=replace(action, delay=0.0)) if action.delay else exchange.scenario
        changed, exchange.damaged = pipeline.scenarios.apply(
            scenario,
            original,
            _to_reply(response),
            call,
            session,
            seed,
            lambda name: pipeline.errors.render_event(exchange.protocol, name, exchange.request_id),
        )
        if exchange.damaged or changed.sends != _to_response(response, 1.0).sends:
            self._mark_scenario()
        self._sent = replace(changed, sends=tuple([(due + elapsed, data) for due, data in changed.sends]))
        return self._sent

    @property
    def _rule(self) -> str:
        if self._exchange.scenario.rule_id is not None:
            return self._exchange.scenario.rule_id
        return "header" if self._exchange.request.header("x-mock-scenario") else "pace"

    def _mark_scenario(self) -> None:
        self.scenario = RecordedScenario(rule=self._rule, played=self._exchange.scenario.label or "pace")

    async def send_response(self, response: Response, receive: Receive, send: Send) -> None:
        """Send a response."""
        connection: Connection | None = self._scope.get("extensions", {}).get(CONNECTION)
        await send_response(response, self._scope, connection, receive, send, self._timer_wheel)

    async def commit(self, response: RecordedResponse) -> None:
        """Enter the exchange in the journal, with what was sent to the client."""
        exchange = self._exchange
        reply = self._reply or _to_reply(response, exchange.read_model() if exchange.operation else None)
        await self._pipeline.state.commit(exchange, reply, self._sent or _to_response(response, 1.0, from_start=True))

    def release(self, elapsed: float) -> None:
        """End the exchange."""
        self._exchange.duration_ms = 1000 * elapsed
        self._pipeline.state.release(self._exchange)


def _to_reply(response: RecordedResponse, model: str | None = None) -> Reply | StreamReply:
    if response.events is None:
        return Reply(status=response.status, model=model)
    events = EventStream.of([event.raw for event in response.events])
    return StreamReply(events, status=response.status, model=model)


def _to_response(response: RecordedResponse, scale: float, *, from_start: bool = False) -> Response:
    """Return a recorded response to be sent; its pauses are to be divided by `scale`.

    Times count from its first event or, with `from_start`, from the request.
    """
    headers: Headers = [(name, HEADER_CONTROLS.sub(" ", value)) for name, value in response.headers]
    kept = [pair for pair in headers if pair[0] != "content-length"]
    if response.events is None:
        if response.end == "finish":
            kept.append(("content-length", str(len(response.body))))
        return Response(response.status, tuple(kept), ((0.0, response.body),), response.end)
    first = response.events[0].at if response.events and not from_start else 0.0
    sends = tuple([(scale * max(0.0, event.at - first), event.raw) for event in response.events])
    return Response(response.status, tuple(kept), sends, response.end)


def _record_response(response: Response, *, stream: bool) -> RecordedResponse:
    headers = tuple(response.headers)
    if stream:
        events = tuple([RecordedEvent(at=0.0, raw=data) for _, data in response.sends])
        return RecordedResponse(status=response.status, headers=headers, events=events)
    return RecordedResponse(
        status=response.status, headers=headers, body=b"".join([data for _, data in response.sends])
    )
