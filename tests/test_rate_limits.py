"""Limits that work: requests and tokens a minute, calls at a time, money; and what the answers say of them."""

from __future__ import annotations

import asyncio
import math
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast

import anthropic
import httpx2
import openai
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aione_mock.clock import parse_instant
from aione_mock.errors import APIError
from aione_mock.server import rate_limits
from aione_mock.server.app import Mock, create_app
from aione_mock.server.http import Server
from aione_mock.server.journal import Exchange
from aione_mock.server.request import Request
from aione_mock.server.sessions import Session
from aione_mock.settings import Settings
from aione_mock.store import Store
from aione_mock.structs import replace
from aione_mock.types import Call, Caller, Usage
from tests.tenant.calls import record
from tests.timing import at_best, cost, wait_until
from tests.wire_reader import ask, build_request

NOW = "2026-11-20T10:30:00Z"
RPM, TPM, SPENT, DEMO = (
    "sk-nex-rpm-two-a-minute",
    "sk-nex-tpm-few-tokens",
    "sk-nex-balance-used-up",
    "sk-nex-demo-every-model",
)
BODY = {"model": "gpt-5.2", "messages": [{"role": "user", "content": "Hello"}]}
MESSAGE = BODY | {"model": "claude-sonnet-4-6", "max_tokens": 50}


class Client:
    """Calls with a key, in a session of its own, whose clock can be moved."""

    def __init__(self, server: Server, name: str) -> None:
        self.server, self.name = server, name
        self.app: Mock = server.app
        self.app.sessions.delete(name)
        self.session: Session = self.app.sessions.get(name)

    def chat(self, key: str, **headers: str) -> httpx2.Response:
        return self.post("/v1/chat/completions", BODY, {"authorization": f"Bearer {key}", **headers})

    def message(self, key: str) -> httpx2.Response:
        return self.post("/v1/messages", MESSAGE, {"x-api-key": key})

    def post(self, path: str, body: Any, headers: dict[str, str]) -> httpx2.Response:
        return httpx2.post(self.server.url + path, json=body, headers={"x-mock-session": self.name, **headers})

    def advance(self, seconds: float) -> None:
        self.session.clock.advance(seconds)


@pytest.fixture
def client(server: Server, request: pytest.FixtureRequest) -> Client:
    return Client(server, f"limits-{abs(hash(request.node.name)) % 10**8}")


def test_requests_a_minute(client: Client) -> None:
    assert [client.chat(RPM).status_code for _ in range(2)] == [200, 200]
    client.advance(20)
    refused = client.chat(RPM)
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "40"
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert "2 requests per minute" in refused.json()["error"]["message"]
    client.advance(39)
    assert client.chat(RPM).status_code == 429
    client.advance(1)
    assert client.chat(RPM).status_code == 200


def test_a_frozen_clock_advanced_by_61_seconds_opens_the_window(client: Client) -> None:
    statuses = [client.chat(RPM).status_code for _ in range(4)]
    client.advance(61)
    assert [*statuses, client.chat(RPM).status_code] == [200, 200, 429, 429, 200]


def test_the_window_slides(client: Client) -> None:
    """No 60 seconds have three: there is no full minute at which all begins anew."""
    answers = []
    for _ in range(20):
        answers.append((client.session.clock.timestamp(), client.chat(RPM).status_code))
        client.advance(13)
    taken = [at for at, status in answers if status == 200]
    assert all(later - at >= 60 for at, later in zip(taken, taken[2:], strict=False))
    assert len(taken) >= 8


def test_tokens_a_minute(client: Client) -> None:
    answers = [client.chat(TPM) for _ in range(30)]
    good = [answer for answer in answers if answer.status_code == 200]
    used = [answer.json()["usage"]["total_tokens"] for answer in good]
    assert sum(used[:-1]) < 200 <= sum(used), "what is over the limit is known when it has been said"
    assert "200 tokens per minute" in answers[-1].json()["error"]["message"]
    assert [int(a.headers["x-ratelimit-remaining-tokens"]) for a in good] == [
        max(0, 200 - sum(used[: n + 1])) for n in range(len(used))
    ]
    client.advance(int(answers[-1].headers["retry-after"]))
    assert client.chat(TPM).status_code == 200


def test_headers_of_openai(client: Client) -> None:
    first = client.chat(RPM).headers
    assert (first["x-ratelimit-limit-requests"], first["x-ratelimit-remaining-requests"]) == ("2", "1")
    assert first["x-ratelimit-reset-requests"] == "1m0s"
    client.advance(45)
    second = client.chat(RPM).headers
    assert (second["x-ratelimit-remaining-requests"], second["x-ratelimit-reset-requests"]) == ("0", "1m0s")
    client.advance(14.75)
    refused = client.chat(RPM)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert refused.headers["x-ratelimit-reset-requests"] == "46s", "when all of it is free again"
    assert refused.headers["x-ratelimit-limit-tokens"] == first["x-ratelimit-limit-tokens"] == "20000000"


def test_headers_of_anthropic(client: Client) -> None:
    first = client.message(RPM)
    assert first.headers["anthropic-ratelimit-requests-limit"] == "2"
    assert first.headers["anthropic-ratelimit-requests-remaining"] == "1"
    reset = parse_instant(first.headers["anthropic-ratelimit-requests-reset"])
    assert reset == datetime(2026, 11, 20, 10, 31, tzinfo=UTC)
    usage = first.json()["usage"]
    spent = usage["input_tokens"] + usage["output_tokens"]
    assert int(first.headers["anthropic-ratelimit-tokens-remaining"]) == 20_000_000 - spent
    client.message(RPM)
    refused = client.message(RPM)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "60")
    assert refused.headers["anthropic-ratelimit-requests-remaining"] == "0"
    assert not [name for name in refused.headers if name.startswith("x-ratelimit")]


def test_one_key_over_all_protocols(client: Client) -> None:
    path = "/v1beta/models/gemini-2.5-flash:generateContent"
    body = {"contents": [{"parts": [{"text": "Hello"}]}]}
    assert client.chat(RPM).status_code == client.message(RPM).status_code == 200
    refused = client.post(path, body, {"x-goog-api-key": RPM})
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "60")
    assert refused.json()["error"]["status"] == "RESOURCE_EXHAUSTED"


def test_other_keys_and_sessions_have_their_own(client: Client, server: Server) -> None:
    assert [client.chat(RPM).status_code for _ in range(3)][-1] == 429
    assert client.chat(DEMO).status_code == 200
    assert Client(server, "limits-another").chat(RPM).status_code == 200


def test_a_refused_request_does_not_count(client: Client) -> None:
    for _ in range(10):
        client.chat(RPM)
    client.advance(60)
    assert [client.chat(RPM).status_code for _ in range(3)] == [200, 200, 429]


def test_calls_that_call_no_model_are_not_counted(client: Client) -> None:
    url, headers = client.server.url + "/v1/models", {"authorization": f"Bearer {RPM}", "x-mock-session": client.name}
    assert {httpx2.get(url, headers=headers).status_code for _ in range(5)} == {200}


def test_the_balance(client: Client) -> None:
    refused = client.chat(SPENT)
    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "insufficient_balance")
    assert client.message(SPENT).json()["error"]["type"] == "billing_error"


def test_the_balance_runs_out_by_what_is_used(client: Client) -> None:
    billing = client.session.tenants.billing[next(iter(client.session.tenants.organisations))]
    room = billing.compute_spending_limit(client.session.clock.timestamp())
    asyncio.run(client.session.store.increment(f"usage/spent/{billing.organisation.id}", room - 1))
    assert client.chat(DEMO, **{"x-mock-scenario": "reply; text=Dear"}).status_code == 200
    assert client.chat(DEMO).status_code == 402


class Watched:
    """A store, and what is asked of it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        self.asked.append(name)
        return getattr(self.store, name)


def test_the_check_of_the_balance_is_cheap(app: Mock) -> None:
    """It comes with every call to a model: one look into the store, however many calls there have been."""
    session = app.sessions.create("balance")
    billing, now = next(iter(session.tenants.billing.values())), session.clock.timestamp()
    ledger, org = session.tenants.ledgers[billing.organisation.id], billing.organisation
    caller = Caller(org.id, "key-1", "team-1")

    async def checks() -> None:
        for _ in range(500):
            await billing.is_used_up(session.store, now)

    async def calls() -> None:
        for number in range(2000):
            await record(ledger, session.store, now, caller, "gpt-5.4", Usage(10, 15), True, 1, f"req_{number}")

    fresh = cost(lambda: asyncio.run(checks()))
    asyncio.run(calls())
    watched = Watched(session.store)
    assert not asyncio.run(billing.is_used_up(cast("Store", watched), now))
    assert len(watched.asked) <= 1
    assert cost(lambda: asyncio.run(checks())) < 3 * fresh
    assert fresh < 500 * 20e-6


# Calls at a time


@pytest.fixture
def narrow(app: Mock) -> Iterator[tuple[str, Session]]:
    """A session whose plan allows three calls of a key at a time."""
    app.sessions.delete("narrow")
    session = app.sessions.get("narrow")
    tenants = session.tenants
    org = next(iter(tenants.organisations.values()))
    tight = replace(org, plan=org.plan.model_copy(update={"concurrency_limit": 3}))
    session.tenants = replace(tenants, organisations={**tenants.organisations, org.id: tight})
    yield "narrow", session
    app.sessions.delete("narrow")


def test_calls_at_a_time(server: Server, narrow: tuple[str, Session]) -> None:
    name, session = narrow
    headers = {"authorization": f"Bearer {DEMO}", "x-mock-session": name}
    slow = build_request("/v1/chat/completions", BODY | {"stream": True}, headers=headers | {"x-mock-scenario": "hang"})
    quick = build_request("/v1/chat/completions", BODY, headers=headers)
    connections = [socket.create_connection(("127.0.0.1", server.port), timeout=60) for _ in range(3)]
    for connection in connections:
        connection.sendall(slow)
    assert wait_until(lambda: sum(session.in_flight.values()) == 3)
    refused = ask(server.port, quick)
    assert (refused.status, refused.headers["retry-after"]) == (429, "1")
    assert b"Concurrency limit exceeded: 3 calls at a time" in refused.body
    assert b'"code":"concurrency_limit_exceeded"' in refused.body
    assert refused.headers["x-ratelimit-remaining-requests"] == "9999997", "it is not counted"
    other = build_request(
        "/v1/chat/completions", BODY, headers=headers | {"authorization": "Bearer sk-nex-sandbox-for-trying"}
    )
    assert ask(server.port, other).status == 200, "each key has its own"
    for left in (2, 1):
        connections.pop().close()
        assert wait_until(lambda left=left: sum(session.in_flight.values()) == left)  # type: ignore[misc]
    for _ in range(2):
        connections.append(socket.create_connection(("127.0.0.1", server.port), timeout=60))
        connections[-1].sendall(slow)
    assert wait_until(lambda: sum(session.in_flight.values()) == 3)
    assert ask(server.port, quick).status == 429, "two that end make room for two"
    for connection in connections:
        connection.close()
    assert wait_until(lambda: not session.in_flight)
    assert ask(server.port, quick).status == 200
    assert wait_until(lambda: not session.in_flight)


@pytest.mark.parametrize(
    "scenario", ["stall; then=hang", "hang", "cut", "reset", "internal_error", "upstream_timeout; delay=10"]
)
def test_a_call_that_breaks_is_over(server: Server, narrow: tuple[str, Session], scenario: str) -> None:
    name, session = narrow
    headers = {"authorization": f"Bearer {DEMO}", "x-mock-session": name, "x-mock-scenario": scenario}
    raw = build_request("/v1/chat/completions", BODY | {"stream": True}, headers=headers)
    for _ in range(4):
        ask(server.port, raw, patience=0.1)
    assert wait_until(lambda: not session.in_flight)


# Honesty

CALLS = st.lists(st.tuples(st.sampled_from([0.0, 0.01, 0.5, 1.0, 7.25, 31.0, 59.99]), st.integers(1, 90)), max_size=40)


@settings(max_examples=60)
@given(calls=CALLS, rpm=st.integers(1, 6), tpm=st.integers(1, 200), fraction=st.floats(0, 1, exclude_max=True))
def test_after_retry_after_the_call_succeeds(
    calls: list[tuple[float, int]], rpm: int, tpm: int, fraction: float
) -> None:
    """Whatever was called when: exactly that many seconds later a call is admitted; one second earlier it is not."""
    session = WORLD.sessions.create("honest", now=datetime.fromtimestamp(1_795_000_000 + fraction, UTC), frozen=True)
    caller = asyncio.run(identify(session))
    call = replace(CALL, caller=replace(caller, rpm_limit=rpm, tpm_limit=tpm))

    async def admit_call(tokens: int) -> int | None:
        """None, or the seconds to wait."""
        now = replace(call, at=session.clock.timestamp())
        try:
            limits = rate_limits.take_request(now.caller.key_id, now.caller, now.at, session)
        except APIError as refusal:
            return int(refusal.headers["retry-after"])
        assert limits is not None
        rate_limits.release_call(call.caller.key_id, session)
        if tokens:
            rate_limits.take_tokens(call.caller.key_id, tokens, session.clock.timestamp(), session)
        return None

    async def story() -> None:
        for pause, tokens in calls:
            session.clock.advance(pause)
            wait = await admit_call(tokens)
            if wait is None:
                continue
            state = session.dump()
            if wait > 1:
                session.clock.advance(wait - 1.001)
                assert await admit_call(0) is not None
                session.load(state)
            session.clock.advance(wait)
            assert await admit_call(tokens) is None, f"told to wait {wait} s"

    asyncio.run(story())


WORLD = create_app(Settings(now=parse_instant(NOW)))
CALL = Call(
    WORLD.contract.operations["createChatCompletion"],
    "POST",
    "/v1/chat/completions",
    "",
    ((b"authorization", f"Bearer {DEMO}".encode()),),
    orjson.dumps(BODY),
    "127.0.0.1",
)


async def identify(session: Session) -> Any:
    request = Request(CALL.method, CALL.path.encode(), b"", CALL.headers, CALL.body, CALL.client)
    return await WORLD.pipeline.auth.identify(CALL.operation, Exchange(request, session))


# Official clients, in real time

QUESTION: Any = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module")
def real() -> Iterator[Server]:
    with Server(create_app(Settings())) as running:
        yield running


def nearly_open(server: Server, name: str) -> Client:
    """A session in which the two calls a minute were made 58.05 seconds ago: 1.95 are left, and some to get ready."""
    client = Client(server, name)
    record = next(k for org in client.session.tenants.organisations.values() for k in org.keys if k.rpm_limit == 2)
    past = client.session.clock.timestamp() - 58.05
    asyncio.run(client.session.store.window(f"limits/{record.id}", past, rate_limits.SPAN_SECONDS, (2, 0)))
    assert client.chat(RPM).headers["retry-after"] == "2"
    return client


@at_best
def test_a_retrying_openai_client_gets_through(real: Server) -> None:
    nearly_open(real, "retrying-openai")
    client = openai.OpenAI(base_url=f"{real.url}/_session/retrying-openai/v1", api_key=RPM, max_retries=2)
    start = time.monotonic()
    answer = client.chat.completions.create(model="gpt-5.2", messages=QUESTION)
    assert answer.choices[0].message.content
    assert 1.0 < time.monotonic() - start < 30.0, "after two seconds, not after a whole minute"
    impatient = client.with_options(max_retries=0)
    with pytest.raises(openai.RateLimitError):
        [impatient.chat.completions.create(model="gpt-5.2", messages=QUESTION) for _ in range(3)]


@at_best
def test_a_retrying_anthropic_client_gets_through(real: Server) -> None:
    nearly_open(real, "retrying-anthropic")
    client = anthropic.Anthropic(base_url=f"{real.url}/_session/retrying-anthropic", api_key=RPM, max_retries=2)
    answer = client.messages.create(
        model="claude-sonnet-4-6", max_tokens=50, messages=[{"role": "user", "content": "Hello"}]
    )
    assert answer.content
    assert math.isfinite(answer.usage.output_tokens)
