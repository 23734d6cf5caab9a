"""Booking: what a call leaves on the ledger, and how little it costs to write it down."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aione_mock.server.app import Mock
from aione_mock.server.metering import record_usage
from aione_mock.server.sessions import Session
from aione_mock.tenant.live_usage import ModelCall, load_usage
from aione_mock.types import Call, Caller, Reply, Response, StreamReply, Usage
from tests.timing import cost

USAGE = Usage(10, 15)


@pytest.fixture
def session(app: Mock) -> Session:
    return app.sessions.create("booking")


def a_call(app: Mock, session: Session, operation: str = "createChatCompletion", **more: Any) -> Call:
    org = next(iter(session.tenants.organisations))
    caller = more.pop("caller", Caller(org, "key-1", "team-1"))
    data = more.pop("data", {"model": "gpt-5.4"})
    found = app.contract.operations[operation]
    at = session.clock.timestamp()
    return Call(found, "POST", "/", "", (), b"", "127.0.0.1", "req_1", data=data, caller=caller, at=at, **more)


def make_response(status: int, *dues: float) -> Response:
    return Response(status, (), tuple((due, b"x") for due in dues))


async def list_booked(session: Session, call: Call, reply: Reply | StreamReply, *dues: float) -> list[ModelCall]:
    record_usage(call, session, reply, make_response(reply.status, *dues))
    return list((await load_usage(session.store, next(iter(session.tenants.organisations)))).calls)


async def test_an_answer_counts_with_its_usage_and_its_request_id(app: Mock, session: Session) -> None:
    call = a_call(app, session)
    (row,) = await list_booked(session, call, Reply({}, usage=USAGE, model="claude-haiku-4-5"), 0.0)
    assert (row.at, row.key_id, row.team_id) == (session.clock.timestamp(), "key-1", "team-1")
    assert (row.model, row.failed, row.prompt, row.completion) == ("claude-haiku-4-5", 0, 10, 15)
    assert (row.request_id, row.status, row.ticks) == ("req_1", 200, 6)
    assert row.latency_ms == 600 + 125


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_failure_counts_without_tokens(app: Mock, session: Session, status: int) -> None:
    (row,) = await list_booked(session, a_call(app, session), Reply({}, status), 0.0)
    assert (row.model, row.failed, row.status) == ("gpt-5.4", 1, status)
    assert (row.prompt, row.completion, row.ticks, row.latency_ms) == (0, 0, 0, 900)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 499])
async def test_a_refusal_is_in_no_figure(app: Mock, session: Session, status: int) -> None:
    assert await list_booked(session, a_call(app, session), Reply({}, status), 0.0) == []


async def test_what_calls_no_model_is_in_no_figure(app: Mock, session: Session) -> None:
    assert await list_booked(session, a_call(app, session, "listKeys"), Reply({}), 0.0) == []
    assert await list_booked(session, a_call(app, session, caller=None), Reply({}, usage=USAGE, model="gpt-5.4")) == []


async def test_no_model_can_fail_that_does_not_exist(app: Mock, session: Session) -> None:
    call = a_call(app, session, data={"model": "no-such-model"})
    assert await list_booked(session, call, Reply({}, 500)) == []
    (row,) = await list_booked(session, call, Reply({}, usage=USAGE, model="from-a-recording"), 0.25)
    assert (row.model, row.prompt, row.ticks, row.latency_ms) == ("from-a-recording", 10, 0, 250)


async def test_a_model_may_stand_in_the_path(app: Mock, session: Session) -> None:
    call = a_call(app, session, "generateContent", params={"model": "gemini-2.5-flash"}, data={"contents": []})
    (row,) = await list_booked(session, call, Reply({}, 503))
    assert row.model == "gemini-2.5-flash"


async def test_a_slow_answer_took_as_long_as_it_took(app: Mock, session: Session) -> None:
    stream = StreamReply((b"x",) * 3, usage=USAGE, model="gpt-5.4")
    (row,) = await list_booked(session, a_call(app, session), stream, 0.1, 2.0, 30.5)
    assert row.latency_ms == 30_500


def test_booking_is_cheap(app: Mock, session: Session) -> None:
    """A few microseconds, however much is on the ledger already."""
    call, reply, transmission = a_call(app, session), Reply({}, usage=USAGE, model="gpt-5.4"), make_response(200, 0.0)

    async def books() -> None:
        for _ in range(1000):
            record_usage(call, session, reply, transmission)

    first = cost(lambda: asyncio.run(books()))
    for _ in range(10):
        asyncio.run(books())
    assert cost(lambda: asyncio.run(books())) < 3 * first
    assert first < 1000 * 100e-6
