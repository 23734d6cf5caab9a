"""The one line along which every request runs. Open this first.

    bytes ▶ route ▶ parse ▶ authenticate ▶ admit ▶ validate ▶ select ▶ play(handler) ▶ record ▶ render ▶ bytes

A second way to answer a request is a bug.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from itertools import chain
from typing import TYPE_CHECKING

import orjson

from aione_mock import asgi, protocols
from aione_mock.asgi import CONNECTION, Connection, Disconnected, Receive, Scope, Send
from aione_mock.clock import WALL
from aione_mock.contract import Contract, Operation, validation
from aione_mock.errors import APIError
from aione_mock.protocols.errors import ErrorRenderer
from aione_mock.recorder.credentials import MASK
from aione_mock.seed import letters
from aione_mock.server import auth, metering, streaming
from aione_mock.server.auth import Access
from aione_mock.server.handlers import CHECKS, from_schema
from aione_mock.server.journal import (
    Entry,
    Tally,
    kept_body,
    kept_events,
    kept_headers,
    kept_params,
    kept_text,
    mask_text,
)
from aione_mock.server.request import Question, Reader
from aione_mock.server.scenario_engine import NOTHING, Player, Playing
from aione_mock.server.sessions import Session, Sessions
from aione_mock.settings import Settings
from aione_mock.store import Window
from aione_mock.structs import replace
from aione_mock.types import (
    Call,
    Caller,
    EventStream,
    HeaderBlock,
    Headers,
    Json,
    Replayed,
    ReplayedStream,
    Reply,
    Response,
    StreamReply,
    header_value,
)

if TYPE_CHECKING:
    from aione_mock.server.replay import Replay

Handler = Callable[[Call, Session], Awaitable[Reply | StreamReply]]
_LOOPBACK = ("127.0.0.1", "::1")
_NOTHING_MORE: Mapping[str, Json] = {}
_ID_LINES = {key: "\r\n".join([f"{name}: @" for name in names]) for key, names in protocols.REQUEST_ID.items()}
"""Headers with the request's id, for each protocol that has its own."""
_ID_LINE = _ID_LINES["openai"]
_TOKEN = 29
"""Letters of a call's own token."""
_TOLD = 1000
"""Characters of one explanation."""
_LIMITS = ("rate_limit_exceeded", "insufficient_balance")
_MASK = MASK.encode()
_log = logging.getLogger("aione_mock")


class Pipeline:
    """Answers requests as the contract says. An ASGI application for `http` scopes."""

    def __init__(
        self, contract: Contract, sessions: Sessions, handlers: Mapping[str, Handler], config: Settings
    ) -> None:
        self.contract, self.sessions, self.handlers, self.config = contract, sessions, handlers, config
        self.reader, self.errors = Reader(contract, known=not config.overlays), ErrorRenderer(contract)
        self.player = Player(contract, config)
        self.tally = Tally()
        self.wheel = streaming.Wheel()
        self.apart = 0.0 if config.flush == "each" else None
        self.replay = _replay(config, contract)
        demo = next(c.secret for c in sessions.get().world.credentials() if c.kind == "key")
        self.access = Access(contract, any_key=config.auth == "any", demo_key=demo, control_token=config.control_token)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(self, scope)
        try:
            transmission, connection = await exchange.answer(receive), exchange.connection
            if not streaming.written(transmission, connection, send):
                await streaming.play(transmission, connection, receive, send, self.wheel)
        except Disconnected:
            return
        finally:
            exchange.finished()


def _replay(config: Settings, contract: Contract) -> Replay | None:
    """What the server was told to replay. Raises ConfigError."""
    if config.replay is None:
        return None
    # most servers replay nothing, and need not wait for what reads and redacts cassettes
    from aione_mock.server.replay import Replay

    return Replay.load(
        config.replay,
        contract,
        only=config.replay_only,
        timing=config.replay_timing,
        cycle=config.replay_cycle,
        scale=config.time_scale,
    )


class Exchange:
    """One request on its way through the pipeline: the line itself, and what it leaves behind."""

    operation: Operation | None = None
    """What is meant, once it is known that the request may be about it."""
    question: Question | None = None
    call: Call | None = None
    limits: Window | None = None
    admitted: str | None = None
    """The key among whose calls under way it counts."""
    damaged = False
    """Whether the answer may be against the contract: damaged on purpose, or recorded."""
    playing: Playing = NOTHING

    def __init__(self, pipeline: Pipeline, scope: Scope) -> None:
        self.pipeline, self.scope, self.started = pipeline, scope, WALL.timestamp()
        self.connection: Connection | None = scope.get("extensions", _NOTHING_MORE).get(CONNECTION)
        self.head = head = pipeline.reader.head(scope, self.connection)
        self.protocol = head.protocol
        self.session: Session = pipeline.sessions.default
        self.entry = Entry()
        """What the journal keeps, filled in as it becomes known."""

    async def answer(self, receive: Receive) -> Response:
        """What will be sent. Every refusal, and every bug, becomes an answer of the operation's protocol."""
        try:
            reply = await self._line(receive)
        except APIError as failure:
            reply = await self._refused(failure)
        except Disconnected:
            raise
        except Exception:
            _log.exception("bug while answering %s %s", self.head.method, mask_text(self.head.path))
            bug = APIError("internal_error", "The mock has a bug here; its log has the details.")
            reply = self._refusal(bug)
        transmission = self._render(reply)
        if self.entry.valid and self.call is not None:
            await metering.book(self.call, self.session, reply, transmission)
        if self.protocol != "control":
            self._journal(reply, transmission)
        # a stream may take long, and needs nothing of what was asked
        self.call = self.question = None
        return transmission

    async def _line(self, receive: Receive) -> Reply | StreamReply:
        pipeline, head = self.pipeline, self.head
        if head.session:
            self.session = pipeline.sessions.get(head.session)
        session, self.operation = self.session, head.operation
        if (operation := self.operation) is None:
            raise head.unmeant()
        body, limit = self.connection.body if self.connection else None, pipeline.config.max_body
        if body is None or len(body) > limit:
            body = await asgi.read_body(head.length, receive, limit)
        question, client = self._name(body), self._client()
        if replay := session.replay or pipeline.replay:
            # that it was never recorded is said whether or not the contract lets the operation say so
            self.damaged = replay.only
            self.call = call = self._call(operation, question, body, client, None)
            replayed = await replay.answer(call, session.store)
            if replayed is not None:
                # ValueError: nested too deeply to be validated; nobody's limits or bills know of such a call
                with contextlib.suppress(APIError, ValueError):
                    self.call = self._validated(operation, question, body, client, None)
                    self.entry.valid = True
                return replayed
        caller = await pipeline.access.identify(operation, head, body, client, self.entry.at, session)
        self.entry.caller = caller
        if operation.paid and caller is not None and caller.key_id is not None:
            self.limits = await auth.admit(caller.key_id, caller, self.entry.at, session)
            self.admitted = caller.key_id
        if question.valid:
            call = self._call(operation, question, body, client, caller)
        else:
            call = self._validated(operation, question, body, client, caller)
        self.call = call
        self.entry.valid = True
        if not pipeline.player.idle(head.scenario, session):
            self.playing = await pipeline.player.choose(call, session, self.entry.occurrence)
            self.call = call = self._scripted(call)
            if call.script is not None and call.script.whole:
                return _whole(call)
        handler = pipeline.handlers.get(operation.id)
        reply = await handler(call, session) if handler else from_schema.answer(pipeline.contract, call, session)
        if self.limits is not None and reply.usage:
            self.limits = await auth.spend(self.admitted, session, reply.usage.total, self.limits)
        return reply

    async def _refused(self, failure: APIError) -> Reply:
        if self.playing is NOTHING and failure.name in _LIMITS:
            self.entry.limit = failure.message
        if failure.name == "rate_limit_exceeded" and self.limits is None:
            self.limits = await auth.standing(self.entry.caller, self.entry.at, self.session)
        if self.question is None:
            self._name(b"")
        return self._refusal(failure)

    def _refusal(self, failure: APIError) -> Reply:
        protocol = self.protocol or "openai"
        return self.pipeline.errors.render(protocol, self.operation, failure, self.entry.request_id)

    def _scripted(self, call: Call) -> Call:
        """The call with what a scenario wants said. Raises the APIError that a scenario wants."""
        playing = self.playing
        if playing is NOTHING or playing.facts is None:
            return call
        if failure := self.pipeline.player.refusal(playing, call.operation):
            raise failure
        return replace(call, script=playing.outcome.script(playing.facts, playing.seen))

    def _name(self, body: bytes) -> Question:
        """The request, whole, and its id: the same for the same request in the same place of the same session."""
        session, entry = self.session, self.entry
        self.question = question = self.pipeline.reader.question(self.head, body)
        entry.asked, entry.at = question.asked, session.clock.timestamp()
        entry.occurrence = occurrence = session.occurrence(question.key)
        if occurrence == 2 and question.form is not None:
            self.pipeline.reader.remember(self.head, body, question)
        chance = session.seed.hashed(b"call", b"%b%d" % (question.key, occurrence), 12 + _TOKEN)
        entry.request_id, self.token = "req_" + chance[:12].hex(), letters(chance[12:])
        return question

    def _client(self) -> str:
        """The caller's address."""
        client: str = (self.scope.get("client") or _LOOPBACK)[0]
        # a proxy on this machine says whom it speaks for
        return self.head.forwarded if self.head.forwarded and client in _LOOPBACK else client

    def _call(self, operation: Operation, question: Question, body: bytes, client: str, caller: Caller | None) -> Call:
        head, entry = self.head, self.entry
        return Call(
            operation,
            head.method,
            head.path,
            head.query,
            head.headers,
            body,
            client,
            entry.request_id,
            question.params,
            question.data,
            caller,
            None,
            entry.at,
            question.key,
            self.token,
            question.form,
            question.words,
        )

    def _validated(
        self, operation: Operation, question: Question, body: bytes, client: str, caller: Caller | None
    ) -> Call:
        """The call, its parameters and body read. Raises APIError with what the contract has against them."""
        head, session, reader = self.head, self.session, self.pipeline.reader
        params, data, findings = self._read(operation, body)
        known = Question(question.key, question.asked, params, data, valid=True)
        call = self._call(operation, known, body, client, caller)
        check = CHECKS.get(operation.id)
        if check is not None:
            seen = {finding.place for finding in findings}
            findings += [finding for finding in check(call, session) if finding.place not in seen]
        validation.refuse(findings)
        if check is None:
            # most requests never come again, so only the second time is worth the room
            if session.came_before(known.key):
                reader.remember(head, body, known)
            else:
                read = protocols.reader(operation, self.pipeline.contract)
                reader.learn(head, body, params, read, lambda other: not self._read(operation, other)[2])
        return call

    def _read(self, operation: Operation, body: bytes) -> tuple[Mapping[str, Json], Json, list[validation.Finding]]:
        """Parameters, the body's JSON, and what the contract has against them."""
        head, respell = self.head, protocols.READ.get(operation.protocol)
        params, findings = validation.parameters(operation, head.params, head.query, head.header)
        media_type = None if operation.protocol == "control" else head.media_type
        data, more = validation.body(operation, media_type, body)
        if respell and operation.body and data is not None:
            data = respell(data, operation, self.pipeline.contract)
            more = validation.schema_findings(operation.body, data)
        return params, data, findings + more

    def _render(self, reply: Reply | StreamReply) -> Response:
        """The answer as it goes over the wire: spelled out, paced, and damaged where a scenario says so."""
        if isinstance(reply, (Replayed, ReplayedStream)):
            # whatever was recorded: it may have been wrong, or cut off, even then
            self.damaged = True
            return reply.transmission
        player, playing, session = self.pipeline.player, self.playing, self.session
        stream = isinstance(reply, StreamReply)
        if playing is NOTHING and player.instant and not session.pace:
            return self._spelled(reply, whole=self.pipeline.apart is None or not stream)
        sent = self._spelled(reply, whole=False)
        if self.call is None or self.protocol == "control":
            return sent
        seed = session.seed.child("call", self.call.key, self.entry.occurrence)
        weights = reply.weights if isinstance(reply, StreamReply) else (reply.usage.completion if reply.usage else 1,)
        pace = player.pace(playing, session, self.call, usual=reply.status < 400)
        paced = player.paced(sent, weights, playing, pace, seed)
        damaged = player.damaged(paced, playing, stream=stream, seed=seed, error_event=self._error_event)
        self.damaged = damaged is not paced
        return player.settled(damaged, playing, stream=stream)

    def _error_event(self, name: str) -> bytes:
        return self.pipeline.errors.render_event(self.protocol, name, self.entry.request_id)

    def _spelled(self, reply: Reply | StreamReply, *, whole: bool) -> Response:
        """The answer at once; the events of a stream apart unless `whole`."""
        status, text = reply.status, _ID_LINES.get(self.protocol, _ID_LINE).replace("@", self.entry.request_id)
        if reply.headers:
            text += "\r\n" + HeaderBlock.of(reply.headers).text
        if self.limits is not None and self.operation is not None and status in (200, 429):
            text += auth.limit_lines(self.limits, self.operation, status)
        if self.head.explain:
            text += "\r\n" + HeaderBlock.of(self._explained()).text
        if isinstance(reply, StreamReply):
            headers = HeaderBlock(f"content-type: {reply.media_type}\r\ncache-control: no-cache\r\n{text}")
            if whole:
                return Response(status, headers, ((0.0, reply.events.raw),), ordinary=True)
            events = tuple([(0.0, event) for event in reply.events])
            return Response(status, headers, events, apart=self.pipeline.apart)
        if status == 204:
            return Response(204, HeaderBlock(text), ())
        body = reply.body if isinstance(reply.body, bytes) else orjson.dumps(reply.body)
        headers = HeaderBlock(f"content-type: {reply.media_type}\r\ncontent-length: {len(body)}\r\n{text}")
        # refusals may have a word to say on the connection itself
        return Response(status, headers, ((0.0, body),), ordinary=whole and status < 400)

    def _explained(self) -> Headers:
        """Which rule, seed, occurrence and limit made the answer, and which rule came nearest."""
        told = {
            "x-mock-session": self.session.name,
            "x-mock-seed": self.session.seed_text,
            "x-mock-occurrence": str(self.entry.occurrence),
            "x-mock-rule": self.playing.rule,
            "x-mock-played": self.playing.label,
            "x-mock-limits": self.limits
            and "rpm {}/{}, tpm {}/{}".format(*chain(*zip(self.limits.totals, self.limits.most, strict=True))),
            "x-mock-nearest": self.playing.nearest
            and f"{self.playing.nearest.rule_id}: {'; '.join(self.playing.nearest.reasons)}",
        }
        return tuple((name, header_value(value)[:_TOLD]) for name, value in told.items() if value)

    def _journal(self, reply: Reply | StreamReply, sent: Response) -> None:
        session, call, playing, entry, secrets = self.session, self.call, self.playing, self.entry, self.head.secrets
        session.calls += 1
        entry.number = session.journal.total + 1
        usual, sends = playing is NOTHING and not self.damaged, sent.sends
        as_it_is = usual and reply.clean and not secrets
        if isinstance(reply, StreamReply):
            entry.stream, said = True, reply.events if usual else EventStream.of([data for _, data in sends if data])
            # what the mock says of itself holds a credential only where one was asked about
            spread = not usual or entry.asked.body.find(_MASK) >= 0
            kept = (said, False) if as_it_is else kept_events(said, secrets, spread=spread)
            entry.events, entry.response_truncated = kept
        elif sends:
            raw = sends[0][1] if len(sends) == 1 else b"".join([data for _, data in sends])
            entry.response_body, entry.response_truncated = (raw, False) if as_it_is else kept_body(raw, secrets)
        entry.status, entry.end, headers = sent.status, sent.end, sent.headers
        # those that the mock makes of itself hold nothing to mask
        if usual and not reply.headers and not self.head.explain and isinstance(headers, HeaderBlock):
            entry.response_headers = headers
        else:
            entry.response_headers = kept_headers(headers, secrets)
        entry.model, entry.usage = reply.model, reply.usage
        if call is not None and call.params:
            entry.params = kept_params(call.params)
        if playing is not NOTHING:
            self._note(entry, playing)
        session.journal.add(entry)
        self.pipeline.tally.add(entry)

    def _note(self, entry: Entry, playing: Playing) -> None:
        """What was played, and which rule came nearest."""
        entry.rule, entry.scenario, nearest = playing.rule, playing.label, playing.nearest
        if nearest is not None:
            reasons = tuple(kept_text(reason, self.head.secrets) for reason in nearest.reasons)
            entry.nearest = replace(nearest, reasons=reasons)

    def finished(self) -> None:
        """The answer is out, or the client gone."""
        if self.admitted is not None:
            auth.release(self.admitted, self.session)
        entry = self.entry
        entry.duration_ms = max(0.0, (WALL.timestamp() - self.started) * 1000)
        if entry.stream:
            self.pipeline.tally.streams_open -= 1


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
