"""What requests change: occurrence numbers, limits, the ledger and the journal.

The pipeline consults it twice a request: `admit` before the handler, `commit` after it. Neither suspends here, where
all state is in this process; over a network each could be one round trip.
"""

from __future__ import annotations

from hashlib import blake2b

from aione_mock import protocols
from aione_mock.contract import Operation
from aione_mock.errors import APIError
from aione_mock.seed import BASE62
from aione_mock.server import metering, rate_limits
from aione_mock.server.cache import drop_oldest
from aione_mock.server.events import EventFeed
from aione_mock.server.journal import Exchange, Statistics, StatisticsReport
from aione_mock.server.sessions import Sessions
from aione_mock.tenant.live_usage import KEY_SPENT, SPENT
from aione_mock.types import Reply, Response, StreamReply

_KEY, _ID, _TOKEN = 16, 12, 29
"""Bytes of a request's key, of its id and of the token that ids in its answer are made of."""
REMEMBERED_REQUESTS = 10_000
"""Different requests of a session whose occurrences are counted; the oldest are dropped first."""
BALANCE_USED = "Balance and credit are used up; top up the account to go on."
KEY_BALANCE_USED = "The balance of this key is used up; give it more in the configuration to go on."


def digest_request(exchange: Exchange, *, with_body: bool = True) -> bytes:
    """Return the key of a request, and behind it what the ids of its first occurrence are made of."""
    request = exchange.request
    body = (request.body or b"") if with_body else b""
    line = f"{request.method} {request.path}?{request.query}\n".encode("latin-1")
    return blake2b(line + body, key=exchange.session.seed.key, digest_size=_KEY + _ID + _TOKEN).digest()


def number_exchange(exchange: Exchange, chance: bytes, number: int) -> None:
    """Enter the `number`th occurrence of a request, and the ids that follow from it."""
    key = exchange.key = chance[:_KEY]
    exchange.occurrence = number
    if number > 1:
        seed = exchange.session.seed.key
        chance = blake2b(b"%b%d" % (key, number), key=seed, digest_size=_KEY + _ID + _TOKEN).digest()
    random = chance[_KEY:]
    make_id = protocols.REQUEST_IDS.get(exchange.protocol)
    exchange.request_id = make_id(random) if make_id else f"req_{random[:_ID].hex()}"
    exchange.token = random[_ID:].translate(BASE62).decode("ascii")


class MemoryState:
    """State of one process."""

    def __init__(self) -> None:
        self.statistics, self.feed = Statistics(), EventFeed()

    async def check_store(self) -> str | None:
        """Return why the store cannot be used, in one sentence; None if it can."""
        return None

    async def admit(self, operation: Operation, exchange: Exchange) -> None:
        """Count a request and take it from its caller's limits.

        Raises APIError `insufficient_balance`, `rate_limit_exceeded` or `concurrency_limit_exceeded`.
        """
        if not exchange.occurrence:  # a replay that had no recording has counted it
            self.count(exchange)
        caller, session = exchange.caller, exchange.session
        if caller is None or caller.key_id is None or not operation.paid or session.as_upstream:
            return
        spent = session.store.read_counter(SPENT + caller.org_id)
        if spent >= session.tenants.billing[caller.org_id].compute_spending_limit(exchange.at):
            exchange.limit = BALANCE_USED
            raise APIError("insufficient_balance", exchange.limit)
        if caller.balance_ticks is not None and session.store.read_counter(KEY_SPENT + caller.key_id) >= (
            caller.balance_ticks
        ):
            exchange.limit = KEY_BALANCE_USED
            raise APIError("insufficient_balance", exchange.limit)
        try:
            exchange.limits = rate_limits.take_request(caller.key_id, caller, exchange.at, session)
        except APIError as error:
            exchange.limit = error.message
            raise
        exchange.admitted = caller.key_id

    def count(self, exchange: Exchange, *, with_body: bool = True) -> None:
        """Give a request its occurrence number, its time, and the ids that follow from them."""
        session = exchange.session
        exchange.at = exchange.at or session.clock.timestamp()
        chance, occurrences = digest_request(exchange, with_body=with_body), session.occurrences
        key = chance[:_KEY]
        number = occurrences.get(key, 0) + 1
        if number == 1 and len(occurrences) >= REMEMBERED_REQUESTS:
            drop_oldest(occurrences, REMEMBERED_REQUESTS)
        occurrences[key] = number
        number_exchange(exchange, chance, number)

    async def commit(self, exchange: Exchange, reply: Reply | StreamReply, response: Response) -> None:
        """Record an answer in the ledger and in the journal."""
        session = exchange.session
        if exchange.admitted is not None and reply.usage is not None:
            rate_limits.take_tokens(exchange.admitted, reply.usage.total, exchange.at, session)
        if exchange.valid and exchange.call is not None:
            exchange.ticks = metering.record_usage(exchange.call, session, reply, response)
        if exchange.protocol == "control" or exchange.request.fields.get(b"x-mock-journal") == b"off":
            exchange.model, exchange.usage = reply.model, reply.usage
            return
        session.calls += 1
        exchange.number = session.journal.total + 1
        exchange.close(reply, response)
        session.journal.add(exchange)
        self.statistics.add(exchange)
        if self.feed.listening:
            self.feed.start_call(exchange, reply)

    async def read_statistics(self, sessions: Sessions) -> StatisticsReport:
        """Return the figures of the server."""
        figures = self.statistics
        return StatisticsReport(
            figures.requests,
            figures.streams_open,
            figures.operations(),
            figures.statuses(),
            figures.scenarios,
            len(sessions),
            sum([len(each.journal) for each in sessions]),
            sum([each.journal.bytes_held for each in sessions]),
        )

    def release(self, exchange: Exchange) -> None:
        """End an exchange whose answer is out, or whose client has left."""
        if exchange.admitted is not None:
            rate_limits.release_call(exchange.admitted, exchange.session)
        if exchange.stream:
            self.statistics.streams_open -= 1
        exchange.open = False
        if self.feed.listening and exchange.number:
            self.feed.finish_call(exchange)
        # the session's journal holds the exchange: without this a deleted session would be a reference cycle
        del exchange.session
