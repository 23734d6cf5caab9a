"""The same requests get the same bytes from one mock in memory, one on Redis, and two on Redis that answer in turn."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import zip_longest
from typing import Any

import orjson
import pytest

from aione_mock.clock import parse_instant
from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings
from tests.conftest import KEY, NOW
from tests.faults.conftest import PROTOCOLS, build_chat
from tests.store.front import Front
from tests.store.servers import new_prefix, require_store, shared_redis
from tests.wire_reader import Wire, ask, build_request

TECH = {"authorization": "Bearer nex-console-tech"}
KEYS = "/api/v1/gateway/keys"
RULES = [
    {"id": "twice", "when": {"text": "unlucky"}, "then": {"error": "internal_error", "times": 2}},
    {"id": "chance", "when": {"text": "maybe", "probability": 0.5}, "then": {"error": "upstream_unavailable"}},
    {
        "id": "turns",
        "when": {"text": "turns"},
        "then": {"sequence": [{"reply": {"text": "one"}}, {}, {"error": "internal_error"}], "cycle": True},
    },
]
_VOLATILE = re.compile(rb'"(duration_ms|time|send|wait|receive|startedDateTime)":("[^"]*"|[\d.]+)')
_DATE = re.compile(rb"(?m)^date: .*\r\n")
_LENGTH = re.compile(rb"(?m)^(date|content-length): .*\r\n")
"""Members and headers that real time decides: the date, and how long an exchange took."""


class Conversation:
    """Requests to a port, and all that was answered."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.answers: list[tuple[str, bytes]] = []

    def send(self, raw: bytes) -> Wire:
        """Send a request and note its answer."""
        answer = ask(self._port, raw)
        name = raw.partition(b" HTTP/1.1")[0].decode()
        self.answers.append((name, mask_times(answer)))
        return answer

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Do the same with JSON; return that of the answer."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self.send(build_request(path, body, method=method, headers=named))
        assert answer.status < 500, answer.body
        return orjson.loads(answer.body) if answer.body and "json" in answer.headers.get("content-type", "") else None

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Call the control API, which must succeed."""
        answer = self.send(build_request(f"/_mock/{path}", body, method=method))
        assert answer.status < 300, answer.body
        return orjson.loads(answer.body) if answer.headers.get("content-type") == "application/json" else None

    def chat(self, text: str = "Hello", key: str = KEY, **more: Any) -> None:
        """Ask a model, and ask how the answer came to be."""
        body = {"model": "gpt-5.4", "messages": [{"role": "user", "content": text}], **more}
        headers = {"authorization": f"Bearer {key}", "x-mock-explain": "1"}
        self.send(build_request("/v1/chat/completions", body, headers=headers))


def mask_times(answer: Wire) -> bytes:
    """Return the bytes of an answer without those that real time decides, and how it ended."""
    head, _, body = answer.raw.partition(b"\r\n\r\n")
    shown, count = _VOLATILE.subn(b"", body)
    return b"\n".join([answer.end.encode(), (_LENGTH if count else _DATE).sub(b"", head), shown])


def speak_all_protocols(talk: Conversation) -> None:
    """Ask in three protocols, plain and streamed, the same again and again."""
    for _ in range(3):
        for protocol in PROTOCOLS:
            for stream in (False, True):
                talk.send(build_chat(protocol, "What is new?", stream=stream, x_mock_explain="1"))
    talk.send(build_chat("openai", "Break off", scenario="cut"))
    talk.call("GET", "/v1/models", authorization=f"Bearer {KEY}")
    talk.call("POST", "/v1/chat/completions", {"model": 7}, authorization=f"Bearer {KEY}")
    talk.call("GET", "/no/such/path")


def live_with_keys(talk: Conversation) -> None:
    """Make a key, change, limit, renew and delete it."""
    made = talk.call("POST", KEYS, {"name": "Test", "rpm_limit": 3}, **TECH)
    path, secret = f"{KEYS}/{made['id']}", made["key"]
    for _ in range(4):
        talk.chat("Limited", secret)
    for step, change in (("", {"rpm_limit": 5}), ("/disable", None), ("/enable", None)):
        talk.call("PUT", path + step, change, **TECH)
        talk.chat("Changed", secret)
    renewed = talk.call("PUT", f"{path}/rotate", {}, **TECH)
    for each in (secret, renewed.get("key", secret)):
        talk.chat("Renewed", each)
    talk.call("DELETE", path, **TECH)
    talk.chat("Gone", secret)
    talk.call("GET", KEYS, **TECH)


def reach_limits(talk: Conversation) -> None:
    """Use up requests and tokens a minute, and money; let the clock free what time frees."""
    for key in ("sk-nex-rpm-two-a-minute", "sk-nex-tpm-few-tokens", "sk-nex-balance-used-up"):
        for seconds in (0, 20, 20, 20.5, 61):
            talk.control("POST", "clock", {"advance": seconds})
            for _ in range(4):
                talk.chat("How much is left?", key)
    talk.control("GET", "limits")


def play_rules(talk: Conversation) -> None:
    """Play rules for n calls, by chance and in turns, and a scenario by header."""
    talk.control("PUT", "rules", {"rules": RULES})
    for text in ("unlucky", "maybe", "turns"):
        for _ in range(5):
            talk.chat(text)
    talk.control("POST", "scenarios", {"scenario": "upstream_timeout", "times": 3})
    for _ in range(4):
        talk.chat("Whatever")
        talk.send(build_chat("anthropic", "By header", scenario="2*overloaded_error"))
    talk.control("GET", "rules")
    talk.control("PATCH", "rules/twice", {"enabled": False})
    talk.control("DELETE", "scenarios")
    talk.chat("unlucky")


def keep_sessions(talk: Conversation) -> None:
    """Make sessions, keep, restore, fork, reset and delete them."""
    talk.control("POST", "sessions", {"name": "kept", "seed": 7, "now": "2026-04-07T09:30:00Z", "frozen": True})
    named = {"x_mock_session": "kept", "authorization": f"Bearer {KEY}"}
    body = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Kept"}]}
    talk.call("POST", "/v1/chat/completions", body, **named)
    talk.control("POST", "sessions/kept/snapshot", {"label": "one"})
    for step in ("", "restore", "fork", "reset"):
        given = {"restore": {"label": "one"}, "fork": {"name": "forked"}}.get(step)
        if step:
            talk.control("POST", f"sessions/kept/{step}", given)
        for _ in range(2):
            talk.call("POST", "/v1/chat/completions", body, **named)
    talk.call("POST", "/v1/chat/completions", body, x_mock_session="forked", authorization=f"Bearer {KEY}")
    talk.control("DELETE", "sessions/forked")
    talk.control("GET", "sessions")


def read_figures(talk: Conversation) -> None:
    """Read what was written down: usage, dashboard, billing, journal, verification and exports."""
    for path in ("obs/usage", "obs/dashboard?range_days=7", "billing/account", "billing/invoices", "billing/plan"):
        talk.call("GET", f"/api/v1/{path}", **TECH)
    total = talk.control("GET", "journal?limit=200")["total"]
    for number in range(1, total + 1):
        talk.control("GET", f"journal/{number}")
    talk.control("POST", "verify", {"when": {"text": "unlucky"}, "at_least": 0})
    talk.control("GET", "har")
    talk.control("GET", "cassette")
    talk.control("GET", "clock")


PARTS = (speak_all_protocols, live_with_keys, reach_limits, play_rules, keep_sessions)


def in_memory(count: int) -> Iterator[Server]:
    """Yield mocks that keep their state in memory."""
    return (Server(create_app(Settings(now=parse_instant(NOW)))) for _ in range(count))


def on_redis(count: int) -> Iterator[Server]:
    """Yield mocks that share a store of their own."""
    require_store()
    given = {"store": shared_redis(), "store_prefix": new_prefix()}
    return (Server(create_app(Settings(now=parse_instant(NOW), **given))) for _ in range(count))


@contextmanager
def in_turn(servers: Iterator[Server]) -> Iterator[int]:
    """Run servers; yield the port at which they answer in turn."""
    with ExitStack() as stack:
        yield stack.enter_context(Front([stack.enter_context(each).port for each in servers])).port


def hear(servers: Iterator[Server], parts: Sequence[Callable[[Conversation], None]]) -> list[tuple[str, bytes]]:
    """Return what servers answer to all requests of some parts."""
    with in_turn(servers) as port:
        talk = Conversation(port)
        for part in parts:
            part(talk)
    return talk.answers


def differences(ours: Sequence[tuple[str, bytes]], theirs: Sequence[tuple[str, bytes]]) -> list[str]:
    """Return some lines for each answer that is not the same: the request, and where the two begin to differ."""
    pairs = zip_longest(ours, theirs, fillvalue=("", b""))
    return [
        f"{number}: {a[0]}\n  {show(a[1], b[1])}\n  {show(b[1], a[1])}" for number, (a, b) in enumerate(pairs) if a != b
    ]


def show(text: bytes, other: bytes) -> str:
    """Return the part of a text at which it begins to differ from another."""
    at = next((at for at, pair in enumerate(zip(text, other, strict=False)) if pair[0] != pair[1]), len(text))
    return repr(text[max(0, at - 60) : at + 120])


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
@pytest.mark.parametrize(
    "servers",
    [pytest.param((in_memory, 1), id="memory"), *[pytest.param((on_redis, n), id=f"redis-{n}") for n in (1, 2)]],
)
def test_the_same_bytes_from_whatever_keeps_the_state(
    servers: tuple[Callable[[int], Iterator[Server]], int], part: Callable[[Conversation], None]
) -> None:
    make, count = servers
    parts = (part, read_figures)
    found = differences(hear(in_memory(1), parts), hear(make(count), parts))
    assert not found, "\n".join(found[:5])


@pytest.mark.parametrize("part", [speak_all_protocols, live_with_keys, reach_limits])
def test_two_that_share_nothing_do_differ(part: Callable[[Conversation], None]) -> None:
    assert differences(hear(in_memory(1), (part,)), hear(in_memory(2), (part,)))
