"""What requests change: occurrence numbers, limits, the ledger and the journal.

The pipeline consults it twice a request: `admit` before the handler, `commit` after it. Neither suspends here, where
all state is in this process; over a network each could be one round trip.
"""

from __future__ import annotations

from hashlib import blake2b
from itertools import islice

from aione_mock.contract import Operation
from aione_mock.errors import APIError
from aione_mock.seed import BASE62
from aione_mock.server import metering, rate_limits
from aione_mock.server.journal import Exchange, Statistics
from aione_mock.tenant.live_usage import SPENT
from aione_mock.types import Reply, Response, StreamReply

_KEY, _ID, _TOKEN = 16, 12, 29
"""Bytes of a request's key, of its id and of the token that ids in its answer are made of."""
_REMEMBERED_REQUESTS = 10_000
"""Different requests of a session whose occurrences are counted; the oldest are dropped first."""


class MemoryState:
    """State of one process."""

    def __init__(self) -> None:
        self.statistics = Statistics()

    async def admit(self, operation: Operation, exchange: Exchange) -> None:
        """Count a request and take it from its caller's limits.

        Raises APIError `insufficient_balance` or `rate_limit_exceeded`.
        """
        if not exchange.occurrence:  # a replay that had no recording has counted it
            self.count(exchange)
        caller, session = exchange.caller, exchange.session
        if caller is None or caller.key_id is None or not operation.paid:
            return
        spent = session.store.read_counter(SPENT + caller.org_id)
        if spent >= session.tenants.billing[caller.org_id].spending_limit(exchange.at):
            exchange.limit = "Balance and credit are used up; top up the account to go on."
            raise APIError("insufficient_balance", exchange.limit)
        try:
            exchange.limits = rate_limits.take_request(caller.key_id, caller, exchange.at, session)
        except APIError as error:
            exchange.limit = error.message
            raise
        exchange.admitted = caller.key_id

    def count(self, exchange: Exchange) -> None:
        """Give a request its occurrence number, its time, and the ids that follow from them."""
        request, session = exchange.request, exchange.session
        exchange.at = exchange.at or session.clock.timestamp()
        line = f"{request.method} {request.path}?{request.query}\n".encode("latin-1")
        chance = blake2b(line + (request.body or b""), key=session.seed.key, digest_size=_KEY + _ID + _TOKEN).digest()
        key = exchange.key = chance[:_KEY]
        occurrences = session.occurrences
        number = exchange.occurrence = occurrences.get(key, 0) + 1
        if number > 1:
            chance = blake2b(b"%b%d" % (key, number), key=session.seed.key, digest_size=_KEY + _ID + _TOKEN).digest()
        elif len(occurrences) >= _REMEMBERED_REQUESTS:
            for oldest in list(islice(occurrences, 1 + _REMEMBERED_REQUESTS // 8)):
                del occurrences[oldest]
        occurrences[key] = number
        exchange.request_id = f"req_{chance[_KEY : _KEY + _ID].hex()}"
        exchange.token = chance[_KEY + _ID :].translate(BASE62).decode("ascii")

    async def commit(self, exchange: Exchange, reply: Reply | StreamReply, response: Response) -> None:
        """Record an answer in the ledger and in the journal."""
        session = exchange.session
        if exchange.admitted is not None and reply.usage is not None:
            rate_limits.take_tokens(exchange.admitted, reply.usage.total, session)
        if exchange.valid and exchange.call is not None:
            metering.record_usage(exchange.call, session, reply, response)
        if exchange.protocol == "control":
            return
        session.calls += 1
        exchange.number = session.journal.total + 1
        exchange.close(reply, response)
        session.journal.add(exchange)
        self.statistics.add(exchange)

    def release(self, exchange: Exchange) -> None:
        """End an exchange whose answer is out, or whose client has left."""
        if exchange.admitted is not None:
            rate_limits.release_call(exchange.admitted, exchange.session)
        if exchange.stream:
            self.statistics.streams_open -= 1
        # the session's journal holds the exchange: without this a deleted session would be a reference cycle
        del exchange.session
