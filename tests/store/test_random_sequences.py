"""Whatever is asked in whatever order, two workers on a store answer as one mock in memory does."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from types import MappingProxyType
from typing import Any, NamedTuple

import httpx2
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from aione_mock.clock import SYSTEM_CLOCK, format_instant, parse_instant
from aione_mock.protocols import acs3_signature
from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.settings import EXTENSIONS, Settings
from tests.conftest import KEY, NOW
from tests.console.client import ACCESS, OBSERVATION
from tests.store.servers import new_prefix, require_store, shared_redis
from tests.store.test_same_bytes import KEYS, TECH, show
from tests.timing import PATIENCE

SESSIONS = ("default", "one", "two")
_VOLATILE = re.compile(
    r'"(duration_ms|time|send|wait|receive|startedDateTime|uptime_seconds|streams_open|journal_bytes)":("[^"]*"|[\d.]+)'
)
_VOLATILE_HEADERS = frozenset({"date", "content-length"})
LONG = "A long prompt whose beginning is cached. " * 200
EMPTY_DIGEST = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

RULES: dict[str, dict[str, Any]] = {
    "twice": {"when": {"text": "hello"}, "then": {"error": "internal_error", "times": 2}},
    "chance": {"when": {"text": "hello", "probability": 0.5}, "then": {"reply": {"text": "lucky"}}},
    "inner": {
        "when": {"or": [{"text": "long"}, {"probability": 0.4}]},
        "then": {"reply": {"text": "inner"}, "times": 2},
    },
    "nth": {"when": {"nth": [2, 3]}, "then": {"reply": {"text": "second or third"}}},
    "every": {"when": {"every": 2, "text": "hello"}, "then": {"delay": 0, "reply": {"text": "each other"}}},
    "turns": {
        "when": {"text": "hello"},
        "then": {"sequence": [{"reply": {"text": "one"}}, {}, {"error": "internal_error"}], "cycle": True},
    },
    "broken": {"when": {"stream": True}, "then": {"faults": [{"name": "cut", "after": 2}]}},
}


class Request(NamedTuple):
    """What both are asked."""

    method: str
    path: str
    body: Any = None
    headers: Mapping[str, str] = MappingProxyType({})


class Sides:
    """A mock in memory, and two workers that answer in turn."""

    def __init__(self, memory: str, workers: Sequence[str]) -> None:
        options: dict[str, Any] = {"timeout": PATIENCE, "trust_env": False, "headers": {"host": "localhost"}}
        self._memory = httpx2.Client(base_url=memory, **options)
        self._workers = [httpx2.Client(base_url=each, **options) for each in workers]
        self._turn = 0
        self.asked: list[str] = []
        self.keys: list[tuple[str, str]] = []
        """Ids and secrets of the keys that were made."""
        self.responses: list[str] = []
        self.nonces = 0

    def close(self) -> None:
        """Close all connections."""
        for each in (self._memory, *self._workers):
            each.close()

    def start_again(self) -> None:
        """Delete all sessions."""
        self.asked, self.keys, self.responses = [], [], []
        for name in (*SESSIONS, "fork"):
            self.ask(Request("DELETE", f"/_mock/sessions/{name}"))
        self.asked = []

    def ask(self, wanted: Request) -> httpx2.Response:
        """Ask both, whose answers must be the same. What is read may be late for a moment."""
        self._turn += 1
        self.asked.append(f"{self._turn % 2} {wanted.method} {wanted.path} {wanted.body} {wanted.headers}"[:200])
        attempts = 1 if wanted.method != "GET" or wanted.path.startswith(OBSERVATION) else 8
        for _ in range(attempts):
            ours, theirs = self._send(self._workers[self._turn % 2], wanted), self._send(self._memory, wanted)
            mine, other = describe(ours), describe(theirs)
            if mine == other:
                return ours
            time.sleep(0.05)
        pytest.fail("\n".join([*self.asked, f"store:  {show(mine, other)}", f"memory: {show(other, mine)}"]))

    def _send(self, client: httpx2.Client, wanted: Request) -> httpx2.Response:
        try:
            return client.request(wanted.method, wanted.path, json=wanted.body, headers=wanted.headers)
        except httpx2.RemoteProtocolError as error:
            return httpx2.Response(599, text=str(error))


def describe(answer: httpx2.Response) -> Any:
    """Return what must be the same of an answer."""
    headers = [f"{name}: {value}" for name, value in answer.headers.items() if name not in _VOLATILE_HEADERS]
    return "\n".join([str(answer.status_code), *sorted(headers), _VOLATILE.sub("", answer.text)]).encode()


# --- steps

Step = Callable[[Sides], Any]
sessions = st.sampled_from(SESSIONS)


def chat(session: str, text: str, key: int, stream: bool, scenario: str) -> Step:
    """Ask a model with a bundled key or one that was made."""

    def run(sides: Sides) -> None:
        secrets = [KEY, "sk-nex-rpm-two-a-minute", "sk-nex-tpm-few-tokens", *[secret for _, secret in sides.keys]]
        headers = {"authorization": f"Bearer {secrets[key % len(secrets)]}", "x-mock-explain": "1"}
        headers |= {"x-mock-session": session} | ({"x-mock-scenario": scenario} if scenario else {})
        body = {"model": "gpt-5.4", "messages": [{"role": "user", "content": text}], "stream": stream}
        sides.ask(Request("POST", "/v1/chat/completions", body, headers))

    return run


def respond(session: str, text: str, previous: int) -> Step:
    """Ask the Responses API, perhaps in a conversation; read the answer again."""

    def run(sides: Sides) -> None:
        headers = {"authorization": f"Bearer {KEY}", "x-mock-session": session}
        body: dict[str, Any] = {"model": "gpt-5.4", "input": text}
        if sides.responses and previous:
            body["previous_response_id"] = sides.responses[previous % len(sides.responses)]
        answer = sides.ask(Request("POST", "/v1/responses", body, headers))
        if answer.status_code == 200:
            sides.responses.append(answer.json()["id"])
            sides.ask(Request("GET", f"/v1/responses/{answer.json()['id']}", None, headers))

    return run


def change_key(session: str, action: str, number: int) -> Step:
    """Make a key, or change one."""

    def run(sides: Sides) -> None:
        headers = {**TECH, "x-mock-session": session}
        if action == "create" or not sides.keys:
            fields = {"name": f"Key {number}", "rpm_limit": number + 1}
            made = sides.ask(Request("POST", KEYS, fields, headers)).json()
            sides.keys.append((made["id"], made["key"]))
            return
        path = f"{KEYS}/{sides.keys[number % len(sides.keys)][0]}"
        wanted = {
            "delete": Request("DELETE", path, None, headers),
            "update": Request("PUT", path, {"rpm_limit": 2 + number}, headers),
        }.get(action) or Request("PUT", f"{path}/{action}", {} if action == "rotate" else None, headers)
        sides.ask(wanted)

    return run


def control(method: str, path: str, body: Any = None) -> Callable[[str], Step]:
    """Return what calls the control API in a session; `{}` in the path is its name."""

    def name(session: str) -> Step:
        headers = {} if "{}" in path else {"x-mock-session": session}
        return lambda sides: sides.ask(Request(method, f"/_mock/{path.format(session)}", body, headers))

    return name


def read(path: str) -> Callable[[str], Step]:
    """Return what reads figures of the console in a session."""
    return lambda session: lambda sides: sides.ask(Request("GET", path, None, {**TECH, "x-mock-session": session}))


def sign(session: str, *, again: bool) -> Step:
    """Read logs with a signed request; its nonce may have been used before, in any session."""

    def run(sides: Sides) -> None:
        sides.nonces += not again
        path = f"{OBSERVATION}logs"
        headers = {
            "host": "localhost",
            "x-acs-action": "ModelRouterQueryObservationLogs",
            "x-acs-version": "20240611",
            "x-acs-date": format_instant(SYSTEM_CLOCK.now()),
            "x-acs-signature-nonce": f"nonce-{sides.nonces}",
            "x-acs-content-sha256": EMPTY_DIGEST,
        }
        signature = acs3_signature.sign_request("GET", path, "", list(headers.items()), b"", *ACCESS)
        sides.ask(Request("GET", path, None, {**headers, "authorization": signature, "x-mock-session": session}))

    return run


CONTROLS = [
    *[control("POST", "rules", {"id": name, **rule}) for name, rule in RULES.items()],
    *[control("POST", "rules?first=true", {"id": name, **RULES[name]}) for name in ("chance", "inner")],
    *[control("DELETE", f"rules/{name}") for name in RULES],
    *[control("PATCH", f"rules/{name}", {"enabled": flag}) for name in ("twice", "chance") for flag in (True, False)],
    control("PUT", "rules", {"rules": [{"id": name, **rule} for name, rule in RULES.items()][:4]}),
    control("PUT", "rules", {"rules": []}),
    control("GET", "rules"),
    control("POST", "scenarios", {"scenario": "upstream_timeout", "times": 2}),
    control("DELETE", "scenarios"),
    *[control("POST", "clock", {"advance": seconds}) for seconds in (1, 59, 301, 90_000)],
    control("POST", "clock", {"set": "2026-11-20T10:30:20Z"}),
    control("GET", "clock"),
    control("GET", "limits"),
    control("GET", "journal?limit=50"),
    *[control("GET", f"journal/{number}") for number in range(1, 5)],
    control("DELETE", "journal"),
    control("POST", "verify", {"when": {"text": "hello"}, "at_least": 2}),
    control("POST", "sessions", {"name": "one", "seed": 7}),
    control("POST", "sessions", {"name": "two", "rules": [RULES["chance"]]}),
    control("GET", "sessions"),
    control("GET", "sessions/{}"),
    control("DELETE", "sessions/{}"),
    control("DELETE", "sessions/fork"),
    control("POST", "sessions/{}/reset"),
    control("POST", "sessions/fork/reset"),
    *[control("POST", f"sessions/{{}}/{step}", {"label": label}) for step in ("snapshot", "restore") for label in "ab"],
    control("POST", "sessions/{}/fork", {"name": "fork"}),
    control("POST", "sessions/fork/fork", {"name": "two"}),
    control("GET", "stats"),
    read(KEYS),
    read("/api/v1/obs/usage"),
    read("/api/v1/billing/account"),
]
FIGURES = [
    control("GET", "journal?limit=50"),
    control("GET", "rules"),
    control("GET", "limits"),
    control("GET", "clock"),
    control("GET", "sessions/{}"),
    read(KEYS),
    read("/api/v1/obs/usage"),
]
"""What is read of each session at the end."""
TEXTS = ("hello", "hello again", "something else", LONG)
STEPS: st.SearchStrategy[Step] = st.one_of(
    st.builds(
        chat,
        sessions | st.just("fork"),
        st.sampled_from(TEXTS),
        st.integers(0, 5),
        st.booleans(),
        st.sampled_from(["", "", "", "2*overloaded_error", "upstream_unavailable"]),
    ),
    st.builds(respond, sessions, st.sampled_from(TEXTS), st.integers(0, 2)),
    st.builds(
        change_key,
        sessions,
        st.sampled_from(["create", "update", "rotate", "disable", "enable", "delete"]),
        st.integers(0, 2),
    ),
    st.builds(lambda make, session: make(session), st.sampled_from(CONTROLS), sessions),
    st.builds(lambda make, session: make(session), st.sampled_from(CONTROLS), sessions),
    st.builds(lambda session, again: sign(session, again=again), sessions, st.booleans()),
)


@pytest.fixture(scope="module")
def sides() -> Iterator[Sides]:
    require_store()
    given = {"now": parse_instant(NOW), "extensions": EXTENSIONS}
    shared = {**given, "store": shared_redis(), "store_prefix": new_prefix()}
    with ExitStack() as stack:
        servers = [stack.enter_context(Server(create_app(Settings(**each)))) for each in (given, shared, shared)]
        found = Sides(servers[0].url, [each.url for each in servers[1:]])
        stack.callback(found.close)
        yield found


@settings(max_examples=30, phases=[Phase.generate])
@given(steps=st.lists(STEPS, min_size=10, max_size=40))
def test_two_workers_answer_as_one_in_memory(sides: Sides, steps: list[Step]) -> None:
    sides.start_again()
    for step in steps:
        step(sides)
    for look in FIGURES:
        for session in SESSIONS:
            look(session)(sides)
