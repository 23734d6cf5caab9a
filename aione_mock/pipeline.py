"""The one line along which every request runs. Open this first.

    bytes ▶ route ▶ parse ▶ authenticate ▶ admit ▶ validate ▶ select ▶ play(handler) ▶ record ▶ render ▶ bytes

A second way to answer a request is a bug.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import orjson

from aione_mock import access, booking, dialects, sse, validation, wire
from aione_mock.access import Access, Limits
from aione_mock.config import Config
from aione_mock.contract import Contract, ErrorSpec, Operation
from aione_mock.determinism import WALL, Seed
from aione_mock.exceptions import APIError
from aione_mock.exchange import Call, Headers, Reply, StreamReply, Transmission, header_value
from aione_mock.generator import generate
from aione_mock.handlers import CHECKS
from aione_mock.journal import (
    Entry,
    Tally,
    credentials,
    kept_body,
    kept_events,
    kept_headers,
    kept_params,
    kept_text,
    mask_query,
    mask_text,
    safe_headers,
)
from aione_mock.play import NOTHING, Player
from aione_mock.recording.replay import Replay, Replayed, ReplayedStream
from aione_mock.sessions import DEFAULT, Session, Sessions
from aione_mock.store import Memo
from aione_mock.wire import Disconnected, Receive, Scope, Send

Json = Any
Handler = Callable[[Call, Session], Awaitable[Reply | StreamReply]]
_REQUESTS = Seed.of("request")
_SESSION_PATH, _CONTROL_PATH = "/_session/", "/_mock/"
_log = logging.getLogger("aione_mock")


_REMEMBERED, _REMEMBERED_BODY = 512, 4096
"""Valid bodies that are kept parsed, and the bytes of the longest."""


class Pipeline:
    """Answers requests as the contract says. An ASGI application for `http` scopes."""

    def __init__(self, contract: Contract, sessions: Sessions, handlers: Mapping[str, Handler], config: Config) -> None:
        self.contract, self.sessions, self.handlers, self.config = contract, sessions, handlers, config
        self.player = Player(contract, config)
        self.tally = Tally()
        self.wheel = wire.Wheel()
        self.valid = Memo(_REMEMBERED)
        """Bodies that have passed validation, parsed; a pure function of the contract, kept for speed alone."""
        self.replay = Replay.open(config, contract)
        demo = next(c.secret for c in sessions.get().world.credentials() if c.kind == "key")
        self.access = Access(contract, any_key=config.auth == "any", demo_key=demo, control_token=config.control_token)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(self, scope)
        try:
            transmission = await exchange.answer(receive)
            await wire.play(transmission, scope, receive, send, self.wheel)
        except Disconnected:
            return
        finally:
            exchange.finished()

    async def respond(self, call: Call, session: Session) -> Reply | StreamReply:
        """The handler's answer; an operation without a handler is answered from its schema."""
        handler = self.handlers.get(call.operation.id)
        return await handler(call, session) if handler else self._generic(call, session)

    def _generic(self, call: Call, session: Session) -> Reply:
        operation = call.operation
        response = operation.responses[str(operation.success)]
        media = response.get("content", {}).get("application/json")
        if media is None:
            return Reply(None, operation.success)
        example = next((e["value"] for e in media.get("examples", {}).values()), None)
        if example is not None:
            return Reply(example, operation.success)
        seed = session.seed.child("generic", operation.id, call.path, call.query, call.body)
        resolve = partial(self.contract.locate, operation.document)
        return Reply(generate(media["schema"], seed, resolve=resolve), operation.success)

    def refuse(self, dialect: str, operation: Operation | None, failure: APIError, request_id: str) -> Reply:
        """A refusal in the dialect's envelope, under the status that the contract gives it."""
        spec = self._spec(dialect, operation, failure.name)
        body = self.spell(spec, failure, request_id)
        headers = dict(failure.headers)
        for name in spec.headers:
            if name in _DEFAULT_HEADERS:
                headers.setdefault(name, _DEFAULT_HEADERS[name])
        return Reply(body, spec.status, tuple(headers.items()))

    def spell(self, spec: ErrorSpec, failure: APIError, request_id: str) -> Json:
        """The body of a refusal: the contract's example, with the message of what happened if there is one."""
        if failure.message:
            return dialects.ERROR[spec.dialect](spec, failure, request_id)
        own = {name: request_id for name in ("request_id", "requestId") if name in spec.body}
        return {**spec.body, **own}

    def _spec(self, dialect: str, operation: Operation | None, name: str) -> ErrorSpec:
        name = dialects.SYNONYMS.get(dialect, {}).get(name, name)
        declared = operation.errors.get(name) if operation else None
        found = declared or self.contract.error(dialect, name)
        if found is None:
            _log.error("the contract has no error '%s' for %s", name, dialect)
            found = self.contract.error(
                dialect, dialects.SYNONYMS.get(dialect, {}).get("internal_error", "internal_error")
            )
        assert found is not None
        return found


_TOLD = 1000
"""Characters of one explanation."""
_LIMITS = ("rate_limit_exceeded", "insufficient_balance")
_DEFAULT_HEADERS = {"retry-after": "1", "x-acs-retry-after": "1", "www-authenticate": "Bearer"}
"""For refusals that are made to happen and so have no reason of their own."""


class Exchange:
    """One request on its way through the pipeline: the line itself, and what it leaves behind."""

    def __init__(self, pipeline: Pipeline, scope: Scope) -> None:
        self.pipeline, self.scope = pipeline, scope
        self.started = WALL.timestamp()
        self.path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        self.query = scope["query_string"].decode("latin-1")
        self.headers = scope["headers"]
        self.session: Session = pipeline.sessions.get()
        self.operation: Operation | None = None
        self.dialect = ""
        self.body = b""
        self.request_id = ""
        self.call: Call | None = None
        self.limits: Limits | None = None
        self.admitted = False
        self.playing = NOTHING
        self.occurrence = 0
        self.key = b""
        self.damaged = False
        self.valid = False
        self.limit: str | None = None
        self.entry: Entry | None = None

    async def answer(self, receive: Receive) -> Transmission:
        """What will be sent. Every refusal, and every bug, becomes an answer of the operation's dialect."""
        try:
            reply = await self._line(receive)
        except APIError as failure:
            if self.playing is NOTHING and failure.name in _LIMITS:
                self.limit = failure.message
            if failure.name == "rate_limit_exceeded" and self.limits is None and self.call is not None:
                self.limits = await access.standing(self.call, self.session)
            if not self.key:
                self._name()
            reply = self.pipeline.refuse(self.dialect, self.operation, failure, self.request_id)
        except Disconnected:
            raise
        except Exception:
            _log.exception("bug while answering %s %s", self.scope["method"], mask_text(self.path))
            bug = APIError("internal_error", "The mock has a bug here; its log has the details.")
            reply = self.pipeline.refuse(self.dialect or "openai", self.operation, bug, self.request_id)
        transmission = self._render(reply)
        if self.valid and self.call is not None:
            await booking.book(self.call, self.session, reply, transmission)
        self._journal(reply, transmission)
        return transmission

    async def _line(self, receive: Receive) -> Reply | StreamReply:
        self._choose_session()
        operation, path_params = self._route()
        self.body = await wire.read_body(self.scope, receive, self.pipeline.config.max_body)
        self._name()
        self.call = call = self._parse(operation, path_params)
        if replay := self.session.replay or self.pipeline.replay:
            # that it was never recorded is said whether or not the contract lets the operation say so
            self.damaged = replay.only
            replayed = await replay.answer(call, self.session.store)
            if replayed is not None:
                return self._told_of(replayed, call, path_params)
        self.call = call = replace(call, caller=await self.pipeline.access.identify(call, self.session))
        self.limits = await access.admit(call, self.session)
        self.admitted = self.limits is not None
        self.call = call = self._validated(call, path_params)
        self.valid = True
        self.playing = await self.pipeline.player.choose(call, self.session, self.key, self.occurrence)
        self.call = call = self._scripted(call)
        if call.script is not None and call.script.whole:
            return _whole(call)
        reply = await self.pipeline.respond(call, self.session)
        if self.limits and reply.usage:
            self.limits = await access.spend(call, self.session, reply.usage.total, self.limits)
        return reply

    def _told_of(
        self, replayed: Replayed | ReplayedStream, call: Call, path_params: Mapping[str, str]
    ) -> Reply | StreamReply:
        """A recorded answer, with the call made ready for the journal; nobody's limits or bills know of it."""
        # ValueError: nested too deeply to be validated
        with contextlib.suppress(APIError, ValueError):
            self.call = self._validated(call, path_params)
            self.valid = True
        return replayed

    def _scripted(self, call: Call) -> Call:
        """The call with what a scenario wants said. Raises the APIError that a scenario wants."""
        playing = self.playing
        if playing is NOTHING or playing.facts is None:
            return call
        if failure := self.pipeline.player.refusal(playing, call.operation):
            raise failure
        return replace(call, script=playing.outcome.script(playing.facts, playing.seen))

    def _choose_session(self) -> None:
        name = next((value.decode("latin-1") for key, value in self.headers if key == b"x-mock-session"), "")
        if self.path.startswith(_SESSION_PATH):
            in_path, _, rest = self.path[len(_SESSION_PATH) :].partition("/")
            name, self.path = name or in_path, "/" + rest
        if not name or name == DEFAULT or self._of_the_server():
            return
        try:
            self.session = self.pipeline.sessions.get(name)
        except APIError:
            self.dialect = self.pipeline.contract.dialect_of(self.path)
            raise

    def _of_the_server(self) -> bool:
        """Whether the path is of the control API and about no single session, so that naming one makes none."""
        if not self.path.startswith(_CONTROL_PATH):
            return False
        operation = self.pipeline.contract.match(self.path).operations.get(self.scope["method"])
        return operation is not None and all(p.name != "X-Mock-Session" for p in operation.parameters)

    def _route(self) -> tuple[Operation, Mapping[str, str]]:
        match = self.pipeline.contract.match(self.path)
        operation = match.operations.get(self.scope["method"])
        if operation is not None:
            self.operation, self.dialect = operation, operation.dialect
            return operation, match.params
        self.dialect = next((o.dialect for o in match.operations.values()), "") or self.pipeline.contract.dialect_of(
            self.path
        )
        if not match.operations:
            raise APIError("not_found", f"Unknown path {mask_text(self.path[:200])}. See `aione-mock spec routes`.")
        allowed = ", ".join(sorted(match.operations))
        raise APIError(
            "method_not_allowed",
            f"{self.scope['method']} is not allowed here; use {allowed}.",
            headers={"allow": allowed},
        )

    def _name(self) -> None:
        """The request's id: the same for the same request in the same place of the same session."""
        self.key = _REQUESTS.digest(self.scope["method"], self.path, self.query, self.body)
        self.occurrence = self.session.occurrence(self.key)
        self.request_id = "req_" + self.session.seed.digest("request", self.key, self.occurrence, size=12).hex()

    def _parse(self, operation: Operation, path_params: Mapping[str, str]) -> Call:
        client = self.scope.get("client") or ("127.0.0.1", 0)
        return Call(
            operation,
            self.scope["method"],
            self.path,
            self.query,
            self.headers,
            self.body,
            client[0],
            self.request_id,
            path_params,
        )

    def _validated(self, call: Call, path_params: Mapping[str, str]) -> Call:
        params, findings = validation.parameters(call.operation, path_params, call.query, call.header)
        media_type = None if call.operation.dialect == "control" else call.header("content-type")
        place = (call.operation.id, media_type, call.body)
        if not findings and (known := self.pipeline.valid.get(place)) is not None:
            return replace(call, params=params, data=known)
        data, more = validation.body(call.operation, media_type, call.body)
        respell = dialects.READ.get(call.operation.dialect)
        if respell and call.operation.body and data is not None:
            data = respell(data, call.operation, self.pipeline.contract)
            more = validation.schema_findings(call.operation.body, data)
        findings += more
        call = replace(call, params=params, data=data)
        if check := CHECKS.get(call.operation.id):
            seen = {finding.place for finding in findings}
            findings += [finding for finding in check(call, self.session) if finding.place not in seen]
        validation.refuse(findings)
        if call.body and len(call.body) <= _REMEMBERED_BODY and call.operation.id not in CHECKS:
            self.pipeline.valid.put(place, data)
        return call

    def _render(self, reply: Reply | StreamReply) -> Transmission:
        """The answer as it goes over the wire: spelled out, paced, and damaged where a scenario says so."""
        if isinstance(reply, Replayed | ReplayedStream):
            # whatever was recorded: it may have been wrong, or cut off, even then
            self.damaged = True
            return reply.transmission
        sent = self._spelled(reply)
        if self.call is None or self.dialect == "control":
            return sent
        player, playing, session = self.pipeline.player, self.playing, self.session
        stream = isinstance(reply, StreamReply)
        if playing is NOTHING and player.instant(session):
            return sent
        seed = session.seed.child("call", self.key, self.occurrence)
        weights = reply.weights if isinstance(reply, StreamReply) else (reply.usage.completion if reply.usage else 1,)
        pace = player.pace(playing, session, self.call, usual=reply.status < 400)
        paced = player.paced(sent, weights, playing, pace, seed)
        damaged = player.damaged(paced, playing, stream=stream, seed=seed, error_event=self._error_event)
        self.damaged = damaged is not paced
        return player.settled(damaged, playing, stream=stream)

    def _error_event(self, name: str) -> bytes:
        """An error after 200, as this protocol spells it within a stream."""
        spec = self.pipeline.contract.error(self.dialect, name)
        assert spec is not None
        body = orjson.dumps(self.pipeline.spell(spec, APIError(name, ""), self.request_id))
        return sse.encode(body, b"error" if self.dialect == "anthropic" else None)

    def _spelled(self, reply: Reply | StreamReply) -> Transmission:
        names = dialects.REQUEST_ID.get(self.dialect, dialects.REQUEST_ID["openai"])
        headers: Headers = (*[(name, self.request_id) for name in names], *reply.headers)
        if self.limits is not None and self.operation is not None and reply.status in (200, 429):
            headers += access.limit_headers(self.limits, self.operation, reply.status)
        if any(name == b"x-mock-explain" for name, _ in self.headers):
            headers += self._explained()
        if isinstance(reply, StreamReply):
            head = (("content-type", reply.media_type), ("cache-control", "no-cache"), *headers)
            return Transmission(reply.status, head, tuple((0.0, event) for event in reply.events))
        if reply.status == 204:
            return Transmission(204, headers, ())
        body = reply.body if isinstance(reply.body, bytes) else orjson.dumps(reply.body)
        head = (("content-type", reply.media_type), ("content-length", str(len(body))), *headers)
        return Transmission(reply.status, head, ((0.0, body),))

    def _explained(self) -> Headers:
        """Which rule, seed, occurrence and limit made the answer, and which rule came nearest."""
        told = {
            "x-mock-session": self.session.name,
            "x-mock-seed": self.session.seed_text,
            "x-mock-occurrence": str(self.occurrence),
            "x-mock-rule": self.playing.rule,
            "x-mock-played": self.playing.label,
            "x-mock-limits": self.limits
            and f"rpm {self.limits.requests.total}/{self.limits.rpm}, tpm {self.limits.tokens.total}/{self.limits.tpm}",
            "x-mock-nearest": self.playing.nearest
            and f"{self.playing.nearest.rule_id}: {'; '.join(self.playing.nearest.reasons)}",
        }
        return tuple((name, header_value(value)[:_TOLD]) for name, value in told.items() if value)

    def _journal(self, reply: Reply | StreamReply, transmission: Transmission) -> None:
        if self.dialect == "control":
            return
        session, caller = self.session, self.call.caller if self.call else None
        session.calls += 1
        operation = self.operation.id if self.operation else None
        played = self.playing.label
        self.pipeline.tally.add(operation, transmission.status, played.split("+") if played else ())
        stream = isinstance(reply, StreamReply)
        headers = safe_headers(self.headers)
        secrets = credentials(self.headers)
        body, truncated = kept_body(self.body, secrets)
        sent = [data for _, data in transmission.sends if data]
        events, more = kept_events(sent, secrets) if stream else ((), False)
        answer, cut = (b"", False) if stream else kept_body(b"".join(sent), secrets)
        nearest = self.playing.nearest
        if nearest is not None:
            nearest = replace(nearest, reasons=tuple(kept_text(reason, secrets) for reason in nearest.reasons))
        self.entry = Entry(
            session.journal.total + 1,
            session.clock.timestamp(),
            operation,
            self.scope["method"],
            mask_text(self.path),
            mask_query(self.query),
            headers,
            body,
            self.request_id,
            key=caller.label if caller else None,
            key_id=caller.key_id if caller else None,
            model=reply.model,
            stream=stream,
            status=transmission.status,
            response_headers=kept_headers(transmission.headers, secrets),
            response_body=answer,
            events=events,
            end=transmission.end,
            usage=reply.usage,
            occurrence=self.occurrence,
            rule=self.playing.rule,
            scenario=played,
            limit=self.limit,
            nearest=nearest,
            meant=self.operation,
            params=kept_params(self.call.params) if self.call else {},
            caller=caller,
            valid=self.valid,
            truncated=truncated,
            response_truncated=more or cut,
        )
        session.journal.add(self.entry)
        self.pipeline.tally.streams_open += stream

    def finished(self) -> None:
        """The answer is out, or the client gone."""
        if self.admitted and self.call is not None:
            access.release(self.call, self.session)
        if self.entry is not None:
            self.entry.duration_ms = max(0.0, (WALL.timestamp() - self.started) * 1000)
            self.pipeline.tally.streams_open -= self.entry.stream


def _whole(call: Call) -> Reply:
    """The body that a scenario wants of an operation that calls no model.

    Raises APIError `invalid_request` with what the contract has against it.
    """
    operation, body = call.operation, call.script.body
    validator = operation.response_validator(operation.success, "application/json")
    if validator is None:
        raise APIError("invalid_request", f"{operation.id} answers without a body, so none can be scripted.")
    if findings := validation.schema_findings(validator, body):
        message = f"The scripted body does not fit {operation.id}: {validation.sentence(findings[0])}"
        raise APIError("invalid_request", message, findings=tuple(found.as_dict() for found in findings))
    return Reply(body, operation.success)
