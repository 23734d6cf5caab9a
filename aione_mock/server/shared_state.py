"""What requests change, where many workers share it: `admit` and `commit` are one round trip to the store each.

Operations that read the ledger or the journal get what is new of it with `admit`. Four rare things need one more round
trip: prompts long enough for the prompt cache, rules with a probability, replayed recordings, and stored responses that
are read.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import msgspec
import orjson

from aione_mock.clock import SYSTEM_CLOCK
from aione_mock.contract import Contract, Operation
from aione_mock.errors import APIError
from aione_mock.scenarios.rules import Rule
from aione_mock.seed import make_unique_id
from aione_mock.server import metering, rate_limits
from aione_mock.server.exchange_codec import decode_exchange, encode_exchange
from aione_mock.server.journal import Exchange, StatisticsReport
from aione_mock.server.sessions import MAX_HEADERS, Session, Sessions
from aione_mock.server.shared_feed import SharedFeed
from aione_mock.server.shared_session import Changes, Replica, View, find_replica
from aione_mock.server.state import (
    BALANCE_USED,
    KEY_BALANCE_USED,
    REMEMBERED_REQUESTS,
    digest_request,
    number_exchange,
)
from aione_mock.settings import Settings
from aione_mock.store import Window
from aione_mock.store.redis import RedisScripts, StoreUnavailable
from aione_mock.tenant.live_usage import CALLS, MINUTES, SPENT, TICKS
from aione_mock.types import Caller, Reply, Response, StreamReply

_RENEWAL_SECONDS = 3.0
"""Interval at which a worker says that the calls it has admitted are still being answered."""
_SWEEP_SECONDS = 60.0
_IDLE_SECONDS = 24 * 3600
"""Seconds after which a session that nobody uses is deleted."""
_LEDGER_READERS = ("console", "modelrouter")
"""Protocols whose operations read the ledger of the caller's organisation."""


class Limits(msgspec.Struct):
    """The limits of a call."""

    org: str
    key: str
    credit: int
    balance: int
    rpm: int
    tpm: int
    most: int
    span: float
    lease: str


class CountedRule(msgspec.Struct):
    """When a rule has its turn."""

    id: str
    every: int
    nth: tuple[int, ...]
    total: int
    cycle: bool


class Admission(msgspec.Struct, omit_defaults=True):
    """What `admit` is asked."""

    name: str
    gen: int
    version: int
    key: str
    confirmed: bool = msgspec.field()
    rules: list[CountedRule]
    remembered: int = msgspec.field()
    headers: int = msgspec.field()
    nonce: tuple[str, int] | None = None
    limits: Limits | None = None
    header: str | None = None
    wanted: dict[str, Any] | None = None


class Admitted(msgspec.Struct):
    """The answer of `admit`."""

    status: str
    real: float = 0.0
    at: float = 0.0
    occurrence: int = 0
    refused: str = ""
    window: tuple[int, int, float, float, bool, list[tuple[float, int, int]]] | None = None
    seen: list[int] = []
    header: int = 0
    ledger: dict[str, Any] | None = None
    journal: dict[str, Any] | None = None
    counts: list[tuple[str, int]] = []
    windows: list[tuple[str, list[tuple[float, int, int]]]] = []
    leases: list[tuple[str, int]] = []
    calls: int = 0
    labels: list[str] = []


class _Status(msgspec.Struct):
    status: str
    number: int = 0


class _SessionList(msgspec.Struct):
    sessions: list[Changes]


_encode = msgspec.msgpack.Encoder().encode
_decode_status = msgspec.msgpack.Decoder(_Status).decode
_decode_admitted = msgspec.msgpack.Decoder(Admitted).decode
_decode_sessions = msgspec.msgpack.Decoder(_SessionList, strict=False).decode
_decode_changes = msgspec.msgpack.Decoder(Changes, strict=False).decode


def _require(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer about a session. Raises StoreUnavailable if the session has ended meanwhile."""
    if answer["status"] != "ok":
        raise StoreUnavailable("the session has ended meanwhile")
    return answer


class SharedStore:
    """Operations of the store that handlers ask for one by one."""

    def __init__(self, scripts: RedisScripts) -> None:
        self.scripts = scripts

    async def increment(self, session: Replica, counter: str) -> int:
        """Add one to a counter of a session, and return the new count."""
        answer = _require(await self.ask("increment", name=session.name, gen=session.gen, counter=counter))
        return int(answer["count"])

    async def touch(self, session: Replica, keys: Sequence[str], now: float, span: float) -> Sequence[bool]:
        """Return which keys were touched in the last `span` seconds; all of them are from now on."""
        question = {"name": session.name, "gen": session.gen, "prefixes": keys, "at": now, "span": span}
        answer = _require(await self.ask("touch", **question))
        return tuple(answer["found"])

    async def read_texts(self, session: Replica, name: str, most: int) -> Sequence[bytes]:
        """Return a text of a session and, up to `most` of them, those that it continues."""
        question = {"name": session.name, "gen": session.gen, "text": name, "most": most}
        raw = await self.scripts.run("texts", _encode(question))
        _require(msgspec.msgpack.decode(raw[0]))
        return raw[1:]

    async def ask(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """Run an operation of the script."""
        raw = await self.scripts.run(operation, _encode(arguments))
        answer: dict[str, Any] = msgspec.msgpack.decode(raw[0])
        return answer

    async def list_sessions(self) -> list[Changes]:
        """Return all sessions."""
        raw = await self.scripts.run("list", _encode({}))
        return _decode_sessions(raw[0]).sessions

    async def ask_session(self, operation: str, **arguments: Any) -> Changes:
        """Run an operation that answers with a session."""
        raw = await self.scripts.run(operation, _encode(arguments))
        status = _decode_status(raw[0]).status
        if status != "ok":
            return Changes(0, False, 0.0, "", 0.0, 0, 0, status=status)
        return _decode_changes(raw[0])


class SharedState:
    """State that many workers share."""

    def __init__(self, settings: Settings, contract: Contract) -> None:
        self._settings, self._contract = settings, contract
        self.scripts = RedisScripts(settings.store, settings.store_prefix, settings.store_timeout)
        self.store = SharedStore(self.scripts)
        self.feed = SharedFeed(self.scripts, contract)
        self.skew = 0.0
        """Seconds by which the store's clock is ahead of this machine's."""
        self._id, self._numbers = make_unique_id(), count(1)
        self._leases: dict[str, tuple[str, int, str, str]] = {}
        """Calls in progress that count against a limit, by the id of their lease."""
        self._open: set[str] = set()
        """Ids of answers that are being sent."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._swept_at = 0.0

    def read_time(self) -> float:
        """Return the real time, as far as this worker knows the store's clock."""
        return SYSTEM_CLOCK.timestamp() + self.skew

    async def check_store(self) -> str | None:
        """Return why the store cannot be used, None if it can."""
        return await self.scripts.check()

    async def admit(
        self, operation: Operation | None, exchange: Exchange, rules: Sequence[Rule] = (), header: str | None = None
    ) -> str:
        """Count a request, take it from its caller's limits and count the rules that it meets.

        Return `ok`, or `stale` or `gone` if the session has changed or ended: then nothing was counted. Raises APIError
        `insufficient_balance`, `rate_limit_exceeded` or `concurrency_limit_exceeded`.
        """
        self._keep_alive()
        self.scripts.drop_lost_connection()  # what is known of the session may be of a later state than the store's
        replica = find_replica(exchange.session)
        nonce, replica.nonce = replica.nonce, None
        chance = digest_request(exchange, with_body=operation is not None)
        limits = self._make_limits(operation, exchange, replica)
        question = Admission(
            replica.name,
            replica.gen,
            replica.store.version,
            "" if exchange.occurrence else chance[:16].hex(),
            exchange.caller is not None or exchange.protocol == "control",
            [_describe_rule(rule) for rule in rules],
            REMEMBERED_REQUESTS,
            MAX_HEADERS,
            nonce,
            limits,
            header,
            _choose_wanted(operation, exchange.caller, replica),
        )
        raw = await self.scripts.run("admit", _encode(question))
        status = _decode_status(raw[0]).status
        if status == "stale":
            self._apply(replica, _decode_changes(raw[0]))
        if status != "ok":
            return status
        exchange.generation = question.gen
        self._finish_admission(exchange, replica, chance, limits, rules, _decode_admitted(raw[0]), raw[1:])
        return status

    def _make_limits(self, operation: Operation | None, exchange: Exchange, replica: Replica) -> Limits | None:
        caller = exchange.caller
        if operation is None or caller is None or caller.key_id is None or not operation.paid or replica.as_upstream:
            return None
        plan = replica.tenants.organisations[caller.org_id].plan
        return Limits(
            caller.org_id,
            caller.key_id,
            replica.tenants.billing[caller.org_id].compute_spending_limit(exchange.at),
            -1 if caller.balance_ticks is None else caller.balance_ticks,
            caller.rpm_limit or plan.rpm_limit,
            caller.tpm_limit or plan.tpm_limit,
            caller.concurrency_limit or plan.concurrency_limit,
            rate_limits.SPAN_SECONDS,
            f"{self._id}-{next(self._numbers)}",
        )

    def _apply(self, replica: Replica, changes: Changes) -> None:
        self._note_time(changes.real)
        replica.apply(changes)

    def _note_time(self, real: float) -> None:
        self.skew = real - SYSTEM_CLOCK.timestamp()

    def _finish_admission(
        self,
        exchange: Exchange,
        replica: Replica,
        chance: bytes,
        limits: Limits | None,
        rules: Sequence[Rule],
        answer: Admitted,
        raw: list[bytes],
    ) -> None:
        self._note_time(answer.real)
        if answer.occurrence:
            number_exchange(exchange, chance, answer.occurrence)
        exchange.at = answer.at
        if answer.window is not None and limits is not None:
            exchange.limits = _make_window(answer, limits)
        _sync(replica, answer, raw, exchange.caller, self._contract)
        if answer.refused:
            raise _refuse(answer.refused, exchange, limits)
        if limits is not None:
            exchange.admitted = limits.key
            self._leases[limits.lease] = replica.name, exchange.generation, limits.key, limits.lease
            exchange.lease = limits.lease
        counted = {f"rules/{rule.id}": seen for rule, seen in zip(rules, answer.seen, strict=False)}
        exchange.opened = (exchange.key, exchange.occurrence), answer.real, counted, answer.header
        exchange.session = replica.open_view(*exchange.opened)

    def reopen(self, exchange: Exchange) -> None:
        """Give an exchange a fresh view of its session, after its changes came too late."""
        replica = find_replica(exchange.session)
        exchange.session = replica.open_view(*exchange.opened)

    async def commit(self, exchange: Exchange, reply: Reply | StreamReply, response: Response) -> bool:
        """Record an answer, and what its handler has changed. Return False if somebody else was quicker."""
        session = exchange.session
        replica = find_replica(session)
        # a call ends in the session in which it began
        question: dict[str, Any] = {"name": replica.name, "gen": exchange.generation or replica.gen}
        logged = b""
        if isinstance(session, View) and (written := _list_changes(session)) is not None:
            question["version"], question["written"] = session.store.version, written
        if isinstance(session, View):
            question |= _list_texts(session)
        if exchange.admitted is not None and reply.usage is not None:
            span = rate_limits.SPAN_SECONDS
            question["tokens"] = [exchange.admitted, exchange.at, reply.usage.total, span]
        if exchange.valid and exchange.call is not None:
            self._add_ledger_entry(exchange, session, reply, response, question)
        at_once = response.ordinary  # its client waits for nothing more
        if at_once and exchange.lease:
            question["released"] = [exchange.admitted, exchange.lease]
        if exchange.protocol != "control" and exchange.request.fields.get(b"x-mock-journal") != b"off":
            logged = self._log(exchange, reply, response, question, at_once=at_once)
        else:
            exchange.model, exchange.usage = reply.model, reply.usage
        if len(question) == 2:
            self.feed.publish(session)
            return True
        answer = await self.scripts.run("commit", _encode(question), logged)
        status = _decode_status(answer[0])
        if status.status == "stale":
            self._apply(replica, _decode_changes(answer[0]))
            return False
        if status.status == "ok":
            self.feed.publish(session)
        exchange.number = status.number
        if at_once and exchange.lease:
            self._leases.pop(exchange.lease, None)
            exchange.lease = ""
        return True

    def _add_ledger_entry(
        self,
        exchange: Exchange,
        session: Session,
        reply: Reply | StreamReply,
        response: Response,
        question: dict[str, Any],
    ) -> None:
        call = exchange.call
        assert call is not None
        record, caller = metering.price_usage(call, session, reply, response), call.caller
        if record is None or caller is None:
            return
        exchange.ticks = record[TICKS]
        question["booked"] = {
            "org": caller.org_id,
            "ticks": record[TICKS],
            "key": caller.key_id if caller.balance_ticks is not None and caller.key_id else "",
            "row": orjson.dumps(record).decode(),
        }

    def _log(
        self,
        exchange: Exchange,
        reply: Reply | StreamReply,
        response: Response,
        question: dict[str, Any],
        *,
        at_once: bool,
    ) -> bytes:
        """Add the journal's part to a question, and return the entry."""
        settings = self._settings
        exchange.close(reply, response)
        exchange.open = not at_once
        if at_once:
            exchange.duration_ms = max(0.0, (SYSTEM_CLOCK.timestamp() - exchange.started) * 1000)
        if not at_once:
            kind = "stream" if exchange.stream else "answer"
            exchange.open_id = exchange.open_id or f"{kind}-{self._id}-{next(self._numbers)}"
            self._open.add(exchange.open_id)
        question["journal"] = {
            "size": exchange.size,
            "entries": settings.journal_entries,
            "bytes": settings.journal_bytes,
            "total": settings.journals_total,
        }
        scenarios = (exchange.scenario.label or "").split("+")
        where = exchange.operation_id or "unknown"
        question["stats"] = [f"answer {where} {response.status}", *[f"scenario {name}" for name in scenarios if name]]
        question["open"] = exchange.open_id if exchange.open else ""
        return encode_exchange(exchange)

    def release(self, exchange: Exchange) -> None:
        """End an exchange whose answer is out, or whose client has left."""
        session = exchange.session
        replica = find_replica(session)
        if exchange.lease or exchange.open_id:
            self._leases.pop(exchange.lease, None)
            self._open.discard(exchange.open_id)
            ended = {
                "name": replica.name,
                "gen": exchange.generation or replica.gen,
                "key": exchange.admitted if exchange.lease else "",
                "lease": exchange.lease,
                "number": exchange.number if exchange.open else 0,
                "ms": exchange.duration_ms,
                "open": exchange.open_id,
            }
            with contextlib.suppress(RuntimeError):  # the event loop has ended
                self.scripts.run_later("release", _encode({"calls": [ended]}))
        exchange.open = False
        del exchange.session

    async def read_statistics(self, sessions: Sessions) -> StatisticsReport:
        """Return the figures of all workers together."""
        answer = await self.store.ask("stats")
        operations: dict[str, int] = {}
        statuses: dict[int, int] = {}
        scenarios: dict[str, int] = {}
        requests, size = 0, 0
        for name, number in answer["counts"]:
            kind, _, rest = name.partition(" ")
            if kind == "answer":
                operation, _, status = rest.rpartition(" ")
                operations[operation] = operations.get(operation, 0) + number
                statuses[int(status)] = statuses.get(int(status), 0) + number
                requests += number
            elif kind == "scenario":
                scenarios[rest] = number
            else:
                size = number
        return StatisticsReport(
            requests,
            answer["streams"],
            operations,
            statuses,
            scenarios,
            answer["sessions"],
            answer["entries"],
            size,
            answer["uptime"],
        )

    def _keep_alive(self) -> None:
        """Renew leases and delete idle sessions from now on, in the running event loop."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop = loop
            loop.call_later(_RENEWAL_SECONDS, self._renew)

    def _renew(self) -> None:
        assert self._loop is not None
        self._loop.call_later(_RENEWAL_SECONDS, self._renew)
        if self._leases or self._open:
            held = {"leases": [*self._leases.values()], "open": [*self._open]}
            self.scripts.run_later("renew", _encode(held))
        self.feed.renew()
        if (now := self._loop.time()) - self._swept_at > _SWEEP_SECONDS:
            self._swept_at = now
            sweep = {"idle": _IDLE_SECONDS, "expiry": 2 * _IDLE_SECONDS}
            self.scripts.run_later("sweep", _encode(sweep))


def _describe_rule(rule: Rule) -> CountedRule:
    return CountedRule(rule.id, rule.every, rule.nth, -1 if rule.total is None else rule.total, rule.cycle)


def _choose_wanted(operation: Operation | None, caller: Caller | None, replica: Replica) -> dict[str, Any] | None:
    """Return what the handler of an operation reads of ledger and journal, and how much of it is known."""
    if operation is None:
        return None
    if operation.protocol == "control":
        return {"journal": replica.journal.total}
    if operation.protocol in _LEDGER_READERS and not operation.paid:
        org_id = replica.tenants.find_organisation(caller).id
        folds, held = replica.ledgers.get(org_id, (-1, 0))
        return {"ledger": {"org": org_id, "folds": folds, "held": held}}
    return None


def _make_window(answer: Admitted, limits: Limits) -> Window:
    assert answer.window is not None
    often, much, often_at, much_at, taken, entries = answer.window
    most = limits.rpm, limits.tpm
    return Window(entries, (often, much), (often_at, much_at), most, limits.span, answer.at, taken)


def _refuse(reason: str, exchange: Exchange, limits: Limits | None) -> APIError:
    if reason == "nonce":
        from aione_mock.protocols import acs3_signature

        exchange.caller = None  # as for any other signature that is not valid
        return acs3_signature.make_nonce_used_error(exchange.request.fields[b"x-acs-signature-nonce"].decode("latin-1"))
    if reason in ("balance", "key_balance"):
        exchange.limit = BALANCE_USED if reason == "balance" else KEY_BALANCE_USED
        return APIError("insufficient_balance", exchange.limit)
    assert limits is not None
    assert exchange.limits is not None
    rate = reason == "rate"
    error = rate_limits.refuse_rate(exchange.limits) if rate else rate_limits.refuse_concurrency(limits.most)
    exchange.limit = error.message
    return error


def _sync(replica: Replica, answer: Admitted, raw: list[bytes], caller: Caller | None, contract: Contract) -> None:
    """Enter what is new of ledger and journal."""
    if answer.ledger is not None:
        _sync_ledger(replica, replica.tenants.find_organisation(caller).id, answer.ledger)
    if answer.journal is not None:
        _sync_journal(replica, answer.journal, raw, contract)
        replica.counts = dict(answer.counts)
        replica.store.set_windows(answer.windows, rate_limits.SPAN_SECONDS)  # type: ignore[attr-defined]
        replica.in_flight = dict(answer.leases)
        replica.calls, replica.snapshots = answer.calls, dict.fromkeys(answer.labels)


def _sync_ledger(replica: Replica, org_id: str, found: Mapping[str, Any]) -> None:
    store, rows = replica.store, [tuple(orjson.loads(row)) for row in found["rows"]]
    known, start = store.read(CALLS + org_id) or (), found["from"]
    folds, _ = replica.ledgers.get(org_id, (-1, 0))
    if start and (folds != found["folds"] or start > len(known)):
        return  # another call has read a later state meanwhile
    if folds == found["folds"] and start + len(rows) < len(known):
        return
    store.replace(CALLS + org_id, [*known[:start], *rows])
    if found["minutes"] or replica.ledgers.get(org_id, (0, 0))[0] != found["folds"]:
        sums = [(orjson.loads(group), orjson.loads(sums)) for group, sums in found["minutes"]]
        sums.sort(key=lambda pair: pair[1][0])
        store.replace(MINUTES + org_id, [[*group, *map(int, totals[1:])] for group, totals in sums])
    store.replace(SPENT + org_id, found["spent"])
    replica.ledgers[org_id] = found["folds"], len(store.read(CALLS + org_id))


def _sync_journal(replica: Replica, found: Mapping[str, Any], raw: list[bytes], contract: Contract) -> None:
    journal, known = replica.journal, replica.journal.total
    for number, entry in zip(found["numbers"], raw, strict=True):
        if number > known:  # another call may have read it meanwhile
            journal.add(decode_exchange(entry, number, contract))
    journal.drop_before(found["first"])
    journal.total = max(known, found["total"])
    ends = {int(number): ms for number, ms in found["ends"]}
    for exchange in journal:
        if exchange.open and exchange.number in ends:
            exchange.open, exchange.duration_ms = False, ends[exchange.number]


def _list_changes(view: View) -> dict[str, Any] | None:
    """Return what a call has changed, None if it is nothing."""
    store = view.store
    state, clock = view.describe_state(), view.describe_clock()
    changes, uncounted = store.changes, store.uncounted  # type: ignore[attr-defined]
    if not (changes or uncounted or state or clock or view.cleared):
        return None
    values = [(name, "" if value is None else orjson.dumps(value).decode()) for name, value in changes.items()]
    return {"values": values, "state": state or "", "clock": clock, "uncounted": uncounted, "clear": view.cleared}


def _list_texts(view: View) -> dict[str, Any]:
    """Return the texts that a call keeps and drops, as far as there are any."""
    store: Any = view.store
    return {name: texts for name, texts in (("kept", store.kept), ("dropped", store.dropped)) if texts}
