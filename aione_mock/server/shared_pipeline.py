"""The pipeline of a worker that shares its state with others.

Two things differ: what a rule needs is read before a call is admitted, so that one round trip counts everything; and a
call whose changes come too late, because another worker has changed the session meanwhile, is answered again.
"""

from __future__ import annotations

import contextlib
from functools import partial
from typing import Any, cast

from aione_mock.asgi import Disconnected
from aione_mock.contract import Operation
from aione_mock.errors import APIError, MockError
from aione_mock.scenarios.rules import Rule
from aione_mock.server import origin
from aione_mock.server.handlers import CHECKS
from aione_mock.server.journal import Exchange
from aione_mock.server.match_context import make_match_context
from aione_mock.server.pipeline import Pipeline
from aione_mock.server.request import make_call, parse_request, validate_call
from aione_mock.server.scenario_engine import NO_SCENARIO
from aione_mock.server.sessions import Session, digest_header
from aione_mock.server.shared_session import Replica, find_replica
from aione_mock.server.shared_sessions import SharedSessions
from aione_mock.server.shared_state import SharedState
from aione_mock.server.state import digest_request, number_exchange
from aione_mock.store.redis import StoreUnavailable
from aione_mock.types import Call, Reply, Response, StreamReply

_ATTEMPTS = 50
"""How often a call is answered again because its session has changed."""


class SharedPipeline(Pipeline):
    """Answer requests as the contract defines, with state in a store."""

    state: SharedState  # type: ignore[assignment]
    sessions: SharedSessions

    async def respond(self, exchange: Exchange) -> Response:
        """Answer a request. Without a store the answer is the protocol's 503."""
        exchange.session = find_replica(exchange.session)
        try:
            return await self._respond(exchange)
        except StoreUnavailable as error:
            return self._refuse(exchange, error)
        except Disconnected:
            raise
        except Exception as error:
            exchange.stream = False
            return self.renderer.render(exchange, self.render_error(exchange, error))

    async def _respond(self, exchange: Exchange) -> Response:
        reply, response = await self._attempt(exchange, self._answer(exchange))
        body = exchange.request.body
        if await self.state.commit(exchange, reply, response):
            return response
        # one call of a worker at a time, or many that change a session would be in each other's way for long
        async with find_replica(exchange.session).changing:
            for _ in range(_ATTEMPTS):
                exchange.request.body, exchange.error, exchange.refusal = body, None, None
                exchange.scenario, exchange.damaged, exchange.valid = NO_SCENARIO, False, False
                exchange.matched = None  # rules may have changed
                exchange.mark_truncated(request=False, response=False)
                self.state.reopen(exchange)
                operation = cast("Operation", exchange.operation)
                reply, response = await self._attempt(exchange, self._answer_admitted(operation, exchange))
                if await self.state.commit(exchange, reply, response):
                    return response
        raise StoreUnavailable("the session changes faster than it can be read")

    async def _attempt(self, exchange: Exchange, answer: Any) -> tuple[Reply | StreamReply, Response]:
        try:
            reply = await answer
            response = self.renderer.render(exchange, reply)
        except (Disconnected, StoreUnavailable):
            raise
        except Exception as error:
            if not exchange.occurrence:
                await self._count(exchange, with_body=exchange.operation is not None)
            reply = self.render_error(exchange, error)
            response = self.renderer.render(exchange, reply)
        return reply, self._add_origin(exchange, response) if b"origin" in exchange.request.fields else response

    async def _count(self, exchange: Exchange, *, with_body: bool = True) -> None:
        if exchange.operation is None and exchange.protocol == "control":  # the page, which is there without a store
            number_exchange(exchange, digest_request(exchange, with_body=False), 1)
            return
        await self._enter(partial(self.state.admit, exchange.operation if with_body else None), exchange)

    async def _enter(self, admit: Any, exchange: Exchange) -> None:
        """Admit a request to its session, which is read anew when it is not the present one."""
        for _ in range(_ATTEMPTS):
            if (status := await admit(exchange)) == "ok":
                return
            if status == "gone":
                await self._reopen(exchange)
        raise StoreUnavailable("the session changes faster than it can be read")

    async def _reopen(self, exchange: Exchange) -> None:
        confirmed = exchange.caller is not None or exchange.protocol == "control"
        make = not origin.is_cross_site(exchange.request)
        exchange.session = await self.sessions.reopen(find_replica(exchange.session), confirmed=confirmed, make=make)

    async def _admit(self, operation: Operation, exchange: Exchange) -> None:
        if operation.raw.get("x-stateless"):
            await self.auth.identify(operation, exchange)
            number_exchange(exchange, digest_request(exchange), 1)
            return
        await self._enter(partial(self._identify_and_admit, operation), exchange)

    async def _identify_and_admit(self, operation: Operation, exchange: Exchange) -> str:
        """Identify the caller by what is known of the session, and count the request if that is the present state."""
        exchange.session = find_replica(exchange.session)
        failure: APIError | None = None
        rules: list[Rule] = []
        header: str | None = None
        exchange.at = exchange.session.clock.timestamp()
        try:
            exchange.caller = await self.auth.identify(operation, exchange)
        except APIError as error:
            exchange.caller, failure = None, error
        else:
            rules, header = self._find_scenarios(operation, exchange)
        status = await self.state.admit(operation, exchange, rules, header)
        if failure is not None and status == "ok":
            raise failure
        return status

    def _find_scenarios(self, operation: Operation, exchange: Exchange) -> tuple[list[Rule], str | None]:
        """Return the rules that the store counts for a call, and what it counts its scenario header by."""
        session, fields = exchange.session, exchange.request.fields
        exchange.matched = None
        if operation.protocol == "control":
            return [], None
        if (header := fields.get(b"x-mock-scenario")) is not None:
            return [], self._find_counted_header(header.decode("latin-1"), operation, exchange)
        if not (session.rules or session.scenarios or self._scenario_files) or b"prefer" in fields:
            return [], None
        with contextlib.suppress(APIError, MockError, ValueError):
            # whether chance decides for a rule depends on how often the request has come, which the store says
            if not any("probability" in str(rule.raw.get("when", "")) for rule in self._list_rules(session)):
                return self._match_rules(operation, exchange, session), None
        return [], None

    def _list_rules(self, session: Session) -> tuple[Rule, ...]:
        return (*session.scenarios, *session.rules, *self.scenarios.rule_files.rules)

    def _find_counted_header(self, header: str, operation: Operation, exchange: Exchange) -> str | None:
        with contextlib.suppress(MockError, APIError, ValueError):
            if self.scenarios.catalogue.parse_header(header).times is not None:
                self._read_call(operation, exchange)  # what is not valid is not counted
                return digest_header(header).hex()
        return None

    def _read_call(self, operation: Operation, exchange: Exchange) -> Call:
        """Return a call before it has ids. Raises APIError if it is not valid."""
        exchange.parsed = parse_request(operation, exchange.request, exchange.path_params)
        params, data, findings = exchange.parsed
        exchange.key = digest_request(exchange)[:16]
        call = make_call(exchange, operation, params, data)
        validate_call(call, exchange.session, findings, CHECKS.get(operation.id))
        return call

    def _match_rules(self, operation: Operation, exchange: Exchange, session: Session) -> list[Rule]:
        call = self._read_call(operation, exchange)
        context = make_match_context(call, session, f"{call.key.hex()}/1")
        candidates = self.scenarios.list_candidates(call, session, context)
        exchange.matched = context, candidates
        return candidates

    async def _open_session(self, exchange: Exchange, operation: Operation | None) -> None:
        if operation is None or not self.concerns_server(operation):
            session = self.sessions.use(exchange.request.session_name)
            assert isinstance(session, Replica)
            exchange.session = session

    def _refuse(self, exchange: Exchange, error: StoreUnavailable) -> Response:
        """Return the answer to a request that the store could not be asked about."""
        if not exchange.occurrence:
            number_exchange(exchange, digest_request(exchange), 1)
        exchange.scenario, exchange.stream, exchange.session = NO_SCENARIO, False, find_replica(exchange.session)
        failure = APIError("store_unavailable", f"The mock cannot answer now: {error}.")
        reply = self.render_error(exchange, failure)
        response = self.renderer.render(exchange, reply)
        return self._add_origin(exchange, response) if b"origin" in exchange.request.fields else response
