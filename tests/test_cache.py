"""The cache changes nothing: with and without it the same requests get the same bytes, journal and ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aione_mock.clock import parse_instant
from aione_mock.model import answers
from aione_mock.server.app import Mock, create_app
from aione_mock.server.cache import Cache
from aione_mock.server.http import Server
from aione_mock.settings import Settings
from tests import wire_reader
from tests.conftest import NOW

TECH = "nex-console-tech"
SESSION = "walk"
KEY, KEY_PATH = "sk-nex-support-chat-service", "gateway/keys/0d3f9b62-8a14-4b7e-9c50-e6a1f27d4b83"
SONNET = "claude-sonnet-4-6"
SECRETS = (
    *("", "sk-nex-nobody-knows-this", "sk-nex-models-sonnet-only", "sk-nex-address-203-0-113"),
    *("sk-nex-rpm-two-a-minute", "sk-nex-disabled-by-hand", "sk-nex-expired-ten-days-ago"),
    *("sk-nex-other-organisation", "sk-nex-balance-used-up"),
)
PRIMED = " ".join("abcdefghijk"[number % 11] for number in range(1200))
"""A prompt that is long enough for the prompt cache of the model and short enough for ours."""
TEXTS = (
    "Why do cats purr?",
    "A table for tomorrow in Paris",
    "明天天气怎么样？",
    f"Say {KEY}",
    PRIMED,
    "A long text. " * 400,
)
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "day": {"type": "string", "format": "date"}},
    "required": ["city", "day"],
}
Answer = tuple[Any, ...]
"""Status, headers and body of an answer, as far as they came."""


@dataclass(frozen=True)
class Ask:
    """A request to the session of the walk, which is sent `times` times."""

    method: str
    path: str
    body: bytes = b""
    secret: str = ""
    header: str = "authorization"
    more: tuple[tuple[str, str], ...] = ()
    times: int = 1

    @property
    def headers(self) -> list[tuple[str, str]]:
        """All headers of the request."""
        found = [("host", "mock"), ("x-mock-session", SESSION), *self.more]
        if self.secret:
            found.append((self.header, f"Bearer {self.secret}" if self.header == "authorization" else self.secret))
        if self.method in ("POST", "PUT"):
            found.append(("content-length", str(len(self.body))))
        if self.method in ("POST", "PUT") and "content-type" not in dict(self.more):
            found.append(("content-type", "application/json"))
        return found


def control(method: str, path: str, body: Any = None) -> Ask:
    """Return a request to the control API."""
    return Ask(method, f"/_mock/{path}", b"" if body is None else orjson.dumps(body))


def console(method: str, path: str, body: Any = None) -> Ask:
    """Return a request to the console API."""
    return Ask(method, f"/api/v1/{path}", b"" if body is None else orjson.dumps(body), TECH)


VIEWS = (
    *[console("GET", f"obs/usage?group_by={by}") for by in ("key", "model", "team")],
    console("GET", "obs/dashboard"),
    console("GET", "billing/account"),
    console("GET", "gateway/keys?page_size=100"),
    control("GET", "rules"),
    control("GET", "clock"),
)
"""Everything that shows what a walk left behind, except the journal."""


FUNCTION = {"name": "get_weather", "description": "The weather of a city", "parameters": SCHEMA}
OPENAI = (
    {},
    {"tools": [{"type": "function", "function": FUNCTION}]},
    {"tools": [{"type": "function", "function": FUNCTION}], "tool_choice": "required", "stream": True},
    {"response_format": {"type": "json_schema", "json_schema": {"name": "trip", "schema": SCHEMA}}},
    {"response_format": {"type": "json_object"}, "n": 2},
    {"logprobs": True, "max_tokens": 20},
    {"stream": True, "stream_options": {"include_usage": True}, "reasoning_effort": "low"},
    {"max_tokens": 2_000_000},
    {"n": 0},
    {"model": "no-such-model"},
)
ANTHROPIC = (
    {},
    {"tools": [{"name": "get_weather", "input_schema": SCHEMA}], "tool_choice": {"type": "any"}},
    {"tools": [{"name": "get_weather", "input_schema": SCHEMA}], "stream": True},
    {"system": [{"type": "text", "text": PRIMED, "cache_control": {"type": "ephemeral"}}]},
    {"thinking": {"type": "enabled", "budget_tokens": 1024}, "stream": True},
    {"thinking": {"type": "enabled", "budget_tokens": 2000}},
    {"stop_sequences": ["e"]},
    {"temperature": 7},
    {"model": "no-such-model"},
)
GEMINI = (
    {},
    {"tools": [{"functionDeclarations": [FUNCTION]}]},
    {"tools": [{"functionDeclarations": [FUNCTION]}], "toolConfig": {"functionCallingConfig": {"mode": "ANY"}}},
    {"generationConfig": {"responseMimeType": "application/json", "responseSchema": SCHEMA}},
    {"generationConfig": {"candidateCount": 2, "maxOutputTokens": 30}},
    {"generationConfig": {"thinkingConfig": {"includeThoughts": True, "thinkingBudget": 100}}},
    {"generationConfig": {"maxOutputTokens": "many"}},
)
PROTOCOLS: dict[str, tuple[tuple[dict[str, Any], ...], tuple[str, ...]]] = {
    "openai": (OPENAI, ("/v1/chat/completions",)),
    "anthropic": (ANTHROPIC, ("/v1/messages", "/v1/messages/count_tokens")),
    "gemini": (
        GEMINI,
        tuple(
            f"/v1beta/models/gemini-2.5-flash:{method}"
            for method in ("generateContent", "streamGenerateContent?alt=sse", "streamGenerateContent", "countTokens")
        ),
    ),
}
"""What bodies may have besides their text, and the paths of a protocol; the first is the most usual."""
HEADERS = (
    (),
    (("x-mock-explain", "1"),),
    (("x-forwarded-for", "203.0.113.7"),),
    (("content-type", "text/plain"),),
    (("anthropic-beta", "interleaved-thinking-2025-05-14"),),
    (("x-mock-scenario", "rate_limit_exceeded; times=1"),),
    (("x-mock-scenario", "cut; after=2"),),
    (("x-mock-scenario", "nonsense"),),
)


RULES: tuple[list[Any], ...] = (
    [],
    [{"id": "r", "then": {"reply": {"text": "Scripted for {{model}}"}}}],
    [{"id": "r", "when": {"every": 2}, "then": {"error": "upstream_timeout"}}],
    [{"id": "r", "when": {"probability": 0.5}, "then": {"headers": {"set": {"x-probe": "{{model}}"}}}}],
    [{"id": "r", "when": {"text": "purr"}, "then": {"reply": {"tool_calls": [{"name": "get_weather"}]}}}],
)
FIELDS: tuple[Any, ...] = (
    {"models_allowed": [SONNET]},
    {"models_allowed": None},
    {"rpm_limit": 3},
    {"allowed_ips": ["203.0.113.0/24"]},
    {"allowed_ips": None},
)
TIMES = ("61s", "6m", "13h", "-13h", "1d", "-11d", "-1s")
CHANGES = (
    control("POST", f"sessions/{SESSION}/snapshot", {"label": "s"}),
    control("POST", f"sessions/{SESSION}/restore", {"label": "s"}),
    control("POST", f"sessions/{SESSION}/reset"),
    Ask("GET", "/v1/models", secret=KEY),
    Ask("GET", "/v1/models/gpt-5.4", secret=KEY),
    Ask("GET", "/nowhere"),
    Ask("DELETE", "/v1/messages", secret=KEY),
    console("GET", "obs/usage?limit=x"),
    *[control("PUT", "rules", {"rules": rules}) for rules in RULES],
    *[control("POST", "clock", {"advance": text}) for text in TIMES],
    *[console("PUT", KEY_PATH, fields) for fields in FIELDS],
    *[console("PUT", f"{KEY_PATH}/{verb}") for verb in ("enable", "disable")],
    console("PUT", f"{KEY_PATH}/rotate", {"grace_hours": 1}),
    console("DELETE", KEY_PATH),
)
"""What may change the answer to a request that came before."""


CONSOLE = (
    console("POST", "gateway/keys", {"name": "Short", "expires_at": "2026-11-20T20:00:00Z"}),
    console("GET", "obs/usage?start_date=2026-11-19"),
    console("GET", "gateway/keys?page_size=100"),
    Ask("GET", "/v1/models", secret=KEY),
)
"""Requests whose answers depend on the clock and the store."""


def call_model(protocol: str, path: str, text: str, more: dict[str, Any]) -> Ask:
    """Return a call of a model."""
    messages = [{"role": "user", "content": text}]
    if protocol == "openai":
        return Ask("POST", path, orjson.dumps({"model": "gpt-5.4", "messages": messages, **more}), KEY)
    if protocol == "anthropic":
        limit = {} if path.endswith("count_tokens") else {"max_tokens": 2000}
        body = {"model": SONNET, **limit, "messages": messages, **more}
        return Ask("POST", path, orjson.dumps(body), KEY, "x-api-key")
    body = {"contents": [{"role": "user", "parts": [{"text": text}]}], **more}
    return Ask("POST", path, orjson.dumps(body), KEY, "x-goog-api-key")


@st.composite
def calls(draw: st.DrawFn) -> Ask:
    """Return a call of a model in any protocol, mostly one that is answered, or another request."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from(CONSOLE))
    protocol = draw(st.sampled_from([*PROTOCOLS]))
    bodies, paths = PROTOCOLS[protocol]
    more, path = draw(st.sampled_from(bodies)), draw(st.sampled_from([paths[0], *paths]))
    ask = call_model(protocol, path, draw(st.sampled_from(TEXTS)), more)
    bodies_of_all = [ask.body] * 8 + [b'{"model":', b"[]"]
    return replace(ask, body=draw(st.sampled_from(bodies_of_all)))


def variants(ask: Ask) -> list[Ask]:
    """Return the same request with other credentials and other headers."""
    secrets = [replace(ask, secret=secret) for secret in SECRETS]
    # operations that call no model declare no answer to a scenario that cannot be theirs
    return secrets + [replace(ask, more=more) for more in HEADERS if ask not in CONSOLE or "scenario" not in str(more)]


@st.composite
def walks(draw: st.DrawFn) -> list[Ask]:
    """Return requests that come again and again, with something new in between."""
    pool = draw(st.lists(calls(), min_size=1, max_size=2))
    steps = [replace(ask, times=3) for ask in pool]
    for _ in range(draw(st.integers(1, 6))):
        ask = draw(st.sampled_from(pool))
        steps.append(draw(st.one_of(st.sampled_from(CHANGES), st.sampled_from(variants(ask)), calls())))
        steps.append(replace(ask, times=draw(st.integers(1, 3))))
    return steps


@dataclass
class Client:
    """Sends requests to one of the two applications."""

    app: Mock
    send: Callable[[Ask], Answer]

    def walk(self, steps: list[Ask], views: tuple[Ask, ...] = VIEWS) -> list[Any]:
        """Return all answers to the requests, the journal and the state that they leave, in a session that is new."""
        self.app.sessions.delete(SESSION)
        found: list[Any] = [self.send(step) for step in (*steps, *views) for _ in range(step.times)]
        session = self.app.sessions.get(SESSION)
        found += [self._exchange(exchange.number) for exchange in session.journal]
        return [*found, session.store.dump(), session.occurrences, session.calls, session.in_flight]

    def _exchange(self, number: int) -> Any:
        """Return the JSON of an exchange, without the time that passed on the machine."""
        _, _, body = self.send(control("GET", f"journal/{number}"))
        return {name: value for name, value in orjson.loads(body).items() if name != "duration_ms"}


def in_process(app: Mock, runner: asyncio.Runner) -> Client:
    """Return a client that calls the application by ASGI."""

    def send(ask: Ask) -> Answer:
        sent: list[Any] = []
        path, _, query = ask.path.partition("?")
        scope = {
            "type": "http",
            "method": ask.method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in ask.headers],
        }

        async def receive() -> Any:
            return {"type": "http.request", "body": ask.body}

        async def take(message: Any) -> None:
            sent.append(message)

        runner.run(app(scope, receive, take))
        start = sent[0] if sent else {"status": 0, "headers": []}
        return start["status"], start["headers"], b"".join([message["body"] for message in sent[1:]])

    return Client(app, send)


def over_http(server: Server) -> Client:
    """Return a client that talks to a server through a socket of its own for each request."""

    def send(ask: Ask) -> Answer:
        lines = [f"{ask.method} {ask.path} HTTP/1.1", *[f"{name}: {value}" for name, value in ask.headers], "", ""]
        wire = wire_reader.ask(server.port, "\r\n".join(lines).encode() + ask.body)
        return wire.status, (wire.head, wire.headers, wire.end), wire.body

    return Client(server.app, send)


def make_mock_pair() -> tuple[Mock, Mock]:
    """Return the mock with and without its cache."""
    now = parse_instant(NOW)
    return create_app(Settings(now=now, cache=True)), create_app(Settings(now=now, cache=False))


def assert_same(one: list[Any], other: list[Any]) -> None:
    """Compare two walks step by step, which says more than comparing them whole."""
    for place, (with_cache, without) in enumerate(zip(one, other, strict=True)):
        assert with_cache == without, place


@pytest.fixture(scope="module")
def apps() -> Iterator[tuple[Client, Client]]:
    with asyncio.Runner() as runner:
        one, other = make_mock_pair()
        yield in_process(one, runner), in_process(other, runner)


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Client, Client]]:
    one, other = make_mock_pair()
    with Server(one) as first, Server(other) as second:
        yield over_http(first), over_http(second)


@pytest.mark.parametrize("share", [7, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "all"])
@pytest.mark.parametrize("group", [*PROTOCOLS, "others"])
def test_no_change_leaves_an_outdated_answer(apps: tuple[Client, Client], group: str, share: int) -> None:
    bodies, paths = PROTOCOLS.get(group, ((), ()))
    asks = [call_model(group, paths[0], "A table for tomorrow in Paris", more) for more in bodies] or CONSOLE
    pairs = [(ask, new) for ask in asks for new in (*CHANGES, *variants(ask))]
    for ask, new in pairs[::share]:
        steps = [CHANGES[0], replace(ask, times=3), new, replace(ask, times=2)]
        one, other = [client.walk(steps, views=()) for client in apps]
        assert one == other, (ask, new)


@given(steps=walks())
@settings(max_examples=40)
def test_answers_journal_and_ledger_are_the_same_without_the_cache(
    apps: tuple[Client, Client], steps: list[Ask]
) -> None:
    one, other = apps
    assert_same(one.walk(steps), other.walk(steps))


@given(steps=walks())
@settings(max_examples=6)
def test_so_they_are_over_sockets(servers: tuple[Client, Client], steps: list[Ask]) -> None:
    one, other = servers
    assert_same(one.walk(steps), other.walk(steps))


@pytest.mark.parametrize(
    ("text", "composed"), [("Hello", (2, 4)), ("A long text. " * 400, (4, 4))], ids=["short", "long"]
)
def test_short_answers_are_composed_until_they_were_asked_for_twice(
    apps: tuple[Client, Client], monkeypatch: pytest.MonkeyPatch, text: str, composed: tuple[int, int]
) -> None:
    compose, seen = answers.compose_answer, list[int]()

    def composing(*given: Any) -> Any:
        seen.append(1)
        return compose(*given)

    monkeypatch.setattr(answers, "compose_answer", composing)
    for client, expected in zip(apps, composed, strict=True):
        seen.clear()
        client.walk([replace(call_model("openai", "/v1/chat/completions", text, {}), times=4)])
        assert len(seen) == expected


def test_a_cache_is_bounded_in_entries() -> None:
    cache = Cache()
    for number in range(2000):
        cache.put(number, "value", size=1)
        assert cache.get(number) == "value"
    held = [number for number in range(2000) if cache.get(number)]
    assert 256 < len(held) <= 512
    assert held == [*range(2000 - len(held), 2000)], "the oldest give way"


@pytest.mark.parametrize(("size", "kept"), [(4096, True), (4097, False)])
def test_a_cache_holds_nothing_longer_than_four_kilobytes(size: int, kept: bool) -> None:
    cache = Cache()
    cache.put("long", "value", size=size)
    assert cache.get("long") == ("value" if kept else None)


def test_a_cache_that_is_switched_off_holds_nothing() -> None:
    cache = Cache(enabled=False)
    cache.put("key", "value", size=1)
    assert cache.get("key") is None
