"""Requests that differ in one text alone are read, validated and answered in a shorter way, and nobody can tell."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import httpx2
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from aione_mock.clock import parse_instant
from aione_mock.server.app import create_app
from aione_mock.server.handlers.outline import Outline
from aione_mock.server.http import Server
from aione_mock.settings import Settings
from aione_mock.store import Memo
from tests.conftest import KEY, NOW

HOLE, THIRD = "@@", "a third of 3 things"
SYSTEM = {"role": "system", "content": "You are brief."}
TOLD = {"role": "user", "content": "Tell me about cats."}
USER = {"role": "user", "content": HOLE}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}]
OPENAI = {"model": "gpt-5.4", "messages": [SYSTEM, USER]}
ANTHROPIC = {"model": "claude-haiku-4-5", "max_tokens": 300, "messages": [USER]}
GEMINI = {"contents": [{"role": "user", "parts": [{"text": HOLE}]}]}
CHAT, MESSAGES, GENERATE = (
    "/v1/chat/completions",
    "/v1/messages",
    "/v1beta/models/gemini-2.5-flash:generateContent",
)
PROSE: list[tuple[str, dict[str, Any]]] = [
    (CHAT, OPENAI),
    (CHAT, OPENAI | {"max_tokens": 20, "temperature": 0.5}),
    (CHAT, OPENAI | {"messages": [TOLD, {"role": "assistant", "content": "Well."}, USER]}),
    (CHAT, OPENAI | {"messages": [{"role": "system", "content": "%b %d %%"}, USER], "max_completion_tokens": 1}),
    (MESSAGES, ANTHROPIC | {"system": "Be kind."}),
    (GENERATE, {"systemInstruction": {"parts": [{"text": "Be kind."}]}} | GEMINI),
    (GENERATE, {"generationConfig": {"maxOutputTokens": 30}, **GEMINI}),
    (CHAT, OPENAI | {"stream": True}),
    (CHAT, OPENAI | {"stream": True, "stream_options": {"include_usage": True}, "max_tokens": 7}),
    (MESSAGES, ANTHROPIC | {"stream": True, "system": "%s"}),
    (MESSAGES, ANTHROPIC | {"stream": True, "max_tokens": 1}),
]
"""Requests whose answer is prose about their last text."""
OTHER: list[tuple[str, dict[str, Any]]] = [
    *[
        (CHAT, OPENAI | more)
        for more in (
            {"stream": True, "logprobs": True},
            {"stream": True, "n": 2},
            {"tools": TOOLS},
            {"n": 2},
            {"logprobs": True, "top_logprobs": 2},
            {"stop": ["the"]},
            {"response_format": {"type": "json_object"}},
            {"reasoning_effort": "low"},
            {"messages": [{"role": "system", "content": "\0"}, USER]},
            {"messages": [USER, USER]},
            {"metadata": {"content": HOLE}},
            {"messages": [USER, {"role": "assistant", "content": HOLE}]},
            {"messages": [{"role": "user", "content": THIRD}], "prediction": {"type": "content", "content": HOLE}},
            {"model": "no-such-model"},
            {"temperature": 3},
        )
    ],
    (CHAT, OPENAI | {"messages": [{"role": "user", "content": [{"type": "text", "text": HOLE}]}]}),
    (MESSAGES, ANTHROPIC | {"messages": [USER], "thinking": {"type": "enabled", "budget_tokens": 100}}),
    (MESSAGES, ANTHROPIC | {"messages": [USER, USER]}),
    (MESSAGES, {"messages": [USER], "model": "claude-haiku-4-5"}),
    ("/v1/messages/count_tokens", {"messages": [USER], "model": "claude-haiku-4-5"}),
    (GENERATE, GEMINI | {"generationConfig": {"responseLogprobs": True}}),
    (GENERATE, GEMINI | {"system_instruction": {"parts": [{"text": "Be kind."}]}}),
    (GENERATE, GEMINI | {"system_instruction": {"parts": [{"text": HOLE}]}}),
    (GENERATE.replace("generateContent", "streamGenerateContent") + "?alt=sse", GEMINI),
    (GENERATE.replace("generateContent", "streamGenerateContent"), GEMINI),
]
WARM = ("one", "hello", THIRD)
TEXTS = [
    "",
    " ",
    "hello",
    "Hi, name three rivers, please. Case 4711",
    "Name 5 rivers. Case 4712",
    "Say: 12345",
    "What is 1200 + 34?",
    "Write a Python function for order 1234",
    'quotes " and \\ and \\" and \u2028, 你好 😀 \0 \n\t',
    '","role":"assistant"},{"role":"user","content":"mine',
    "请介绍一下杭州的天气，订单 12345 号",
    "{topic} %s %(id)b %d",
    f"my key is {KEY}",
    "word " * 600,
    "a1" * 700,
    "长" * 1500,
]
anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=200) | st.sampled_from(TEXTS)


class Pair(NamedTuple):
    """A mock as it is, and one that learns no forms."""

    usual: httpx2.Client
    plain: httpx2.Client


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with ExitStack() as stack:
        clients = []
        for learns in (True, False):
            app = create_app(Settings(now=parse_instant(NOW)))
            if not learns:
                app.pipeline.reader.learn = lambda *_: None  # type: ignore[method-assign]
            server = stack.enter_context(Server(app))
            clients.append(stack.enter_context(httpx2.Client(base_url=server.url)))
        yield Pair(*clients)


_SESSIONS = count()


def body(template: dict[str, Any], text: str, *, spaced: bool = False, plainly: bool = True) -> bytes:
    """The request with a text in its holes, spelled as one client or another does."""
    separators = None if spaced else (",", ":")
    raw = json.dumps(template, separators=separators, ensure_ascii=False)
    return raw.replace(f'"{HOLE}"', json.dumps(text, ensure_ascii=not plainly)).encode()


def asked(client: httpx2.Client, session: str, path: str, raw: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
    headers = {
        "host": "mock",
        "x-mock-session": session,
        "content-type": "application/json",
        "authorization": f"Bearer {KEY}",
        "x-mock-explain": "1",
    }
    answer = client.post(path, content=raw, headers=headers, timeout=30)
    return answer.status_code, answer.headers.multi_items(), answer.content


def journal(client: httpx2.Client, session: str) -> list[Any]:
    """All that is kept of a session's calls, but how long they took."""
    headers = {"x-mock-session": session}
    items = client.get("/_mock/journal", headers=headers).json()["items"]
    kept = [client.get(f"/_mock/journal/{item['number']}", headers=headers).json() for item in items]
    return [{name: value for name, value in entry.items() if name != "duration_ms"} for entry in kept]


@pytest.mark.parametrize(("path", "template"), PROSE + OTHER)
@given(
    third=st.sampled_from(TEXTS),
    texts=st.lists(anything, min_size=1, max_size=3),
    spaced=st.booleans(),
    plainly=st.booleans(),
)
@example(third="Why?", texts=TEXTS, spaced=False, plainly=True)
@example(third="Say exactly: a", texts=TEXTS, spaced=False, plainly=True)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=8)
def test_what_is_answered_and_kept_does_not_depend_on_what_was_learned(
    pair: Pair, path: str, template: dict[str, Any], third: str, texts: list[str], spaced: bool, plainly: bool
) -> None:
    session = f"s{next(_SESSIONS)}"
    # the third one is what an outline is made of
    for text in (*WARM[:2], third, *texts, *texts):
        raw = body(template, text, spaced=spaced, plainly=plainly)
        assert asked(pair.usual, session, path, raw) == asked(pair.plain, session, path, raw)
    kept = journal(pair.usual, session)
    assert kept == journal(pair.plain, session)
    assert len(kept) == 3 + 2 * len(texts)


@pytest.mark.parametrize(("path", "template"), PROSE)
@pytest.mark.parametrize("spaced", [False, True])
def test_prose_comes_from_an_outline(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, path: str, template: dict[str, Any], spaced: bool
) -> None:
    session, used, reply = f"s{next(_SESSIONS)}", list[bool](), Outline.reply

    def noted(self: Outline, *given: Any) -> Any:
        answer = reply(self, *given)
        used.append(answer is not None)
        return answer

    for text in WARM:
        assert asked(pair.usual, session, path, body(template, text, spaced=spaced))[0] == 200
    monkeypatch.setattr(Outline, "reply", noted)
    for text in ("Why?", 'A "length" of its own,\nand so a head of its own'):
        assert asked(pair.usual, session, path, body(template, text, spaced=spaced))[0] == 200
    assert used == [True, True]


@pytest.mark.parametrize(
    "raw",
    [
        b'{"model":"gpt-5.4","messages":[{"role":"user","content":"a\nb"}]}',
        b'{"model":"gpt-5.4","messages":[{"role":"user","content":"\xff"}]}',
        b'{"model":"gpt-5.4","messages":[{"role":"user","content":"\\x"}]}',
        b'{"model":"gpt-5.4","messages":[{"role":"user","content":"a\\"}]}',
        b'{"model":"gpt-5.4","messages":[{"role":"user","content":"',
        b'{"model":"gpt-5.4","messages":[{"role":"user","content":',
        b'{"model":"gpt-5.4","messages":[{"role":"user","content":7}]}',
    ],
)
def test_a_text_that_is_none_is_refused_in_a_known_form_too(pair: Pair, raw: bytes) -> None:
    session = f"s{next(_SESSIONS)}"
    for text in WARM:
        known = b'{"model":"gpt-5.4","messages":[{"role":"user","content":"%b"}]}' % text.encode()
        assert asked(pair.usual, session, CHAT, known) == asked(pair.plain, session, CHAT, known)
    found = asked(pair.usual, session, CHAT, raw)
    assert found == asked(pair.plain, session, CHAT, raw)
    assert found[0] == 400


def test_a_contract_that_looks_at_texts_is_asked_about_each(tmp_path: Path) -> None:
    overlay = tmp_path / "banned.yaml"
    overlay.write_text(
        """
        overlay: 1.0.0
        info: {title: Banned words, version: 1.0.0}
        actions:
          - target: $.paths['/v1/chat/completions'].post.requestBody.content['application/json'].schema
            update: {properties: {messages: {items: {properties: {content: {not: {type: string, pattern: banned}}}}}}}
        """,
        encoding="utf-8",
    )
    app = create_app(Settings(overlays=(overlay,)))
    with Server(app) as server, httpx2.Client(base_url=server.url) as client:
        statuses = [asked(client, "default", CHAT, body(OPENAI, text))[0] for text in (*WARM, *WARM, "banned words")]
    assert statuses == [200] * 6 + [400]


@pytest.mark.parametrize("spelled", [KEY, KEY.replace("-", "\\u002d"), "a-token-of-my-own"])
def test_a_secret_in_the_words_is_not_kept(spelled: str) -> None:
    secret = spelled.replace("\\u002d", "-")
    app, in_front = create_app(Settings(auth="any")), {"messages": [{"role": "system", "content": "@secret"}, USER]}
    streamed = OPENAI | {"stream": True}
    with Server(app) as server, httpx2.Client(base_url=server.url) as client:
        said = (*WARM, f"Say {HOLE}", HOLE)
        bodies = [
            body(way, text).replace(HOLE.encode(), spelled.encode()) for way in (OPENAI, streamed) for text in said
        ]
        in_fronts = [body(OPENAI | in_front, text) for text in (*WARM, "Why?")]
        for raw in (*bodies, *[raw.replace(b"@secret", spelled.encode()) for raw in in_fronts]):
            headers = {"content-type": "application/json", "authorization": f"Bearer {secret}"}
            assert client.post(CHAT, content=raw, headers=headers).status_code == 200
    kept = [(e.asked.body, bytes(e.response_body) + e.events.raw) for e in app.sessions.default.journal]
    assert [b"***" in asked for asked, _ in kept] == ([False] * 3 + [True] * 2) * 2 + [True] * 4
    assert secret.encode() not in b"".join([part for parts in kept for part in parts])


def test_what_is_kept_of_a_known_form_is_spelled_as_ever() -> None:
    kept = []
    for learns in (True, False):
        app = create_app(Settings(now=parse_instant(NOW)))
        if not learns:
            app.pipeline.reader.learn = lambda *_: None  # type: ignore[method-assign]
        with Server(app) as server, httpx2.Client(base_url=server.url) as client:
            for text in (*WARM, "caf\u00e9", "two\nlines"):
                asked(client, "default", CHAT, body(OPENAI, text, plainly=False))
        kept.append([(entry.asked.body, entry.asked.size) for entry in app.sessions.default.journal])
    assert kept[0] == kept[1]


def test_no_long_head_is_remembered() -> None:
    app = create_app(Settings())
    with Server(app) as server, httpx2.Client(base_url=server.url) as client:
        for number in range(4):
            headers = {
                "x-own": f"{number // 2}" * 8000,
                "authorization": f"Bearer {KEY}",
                "content-type": "application/json",
            }
            assert client.post(CHAT, content=body(OPENAI, f"Case {number // 2}"), headers=headers).status_code == 200
    reader = app.pipeline.reader
    assert not [memo for memo in vars(reader).values() if isinstance(memo, Memo) and memo._values]


class Walk:
    """Many steps of a session on both mocks, each the same on both."""

    def __init__(self, pair: Pair, number: int) -> None:
        self.pair, self.chance, self.session = pair, Random(number), f"walk{number}"
        self.keys, self.ids, self.kept, self.statuses = [KEY], list[str](), False, Counter[int]()
        self.told(self.step("POST", "/_mock/sessions", {"name": self.session, "seed": number, "frozen": True}))

    def told(self, answer: tuple[int, list[tuple[str, str]], bytes]) -> Any:
        assert answer[0] < 300, answer
        return json.loads(answer[2])

    def step(self, method: str, path: str, data: Any, key: str = "nex-console-tech") -> Any:
        """One request to both; the answer, which is the same."""
        raw = b"" if data is None else data if isinstance(data, bytes) else json.dumps(data).encode()
        headers = {"host": "mock", "authorization": f"Bearer {key}", "content-type": "application/json"}
        if not path.startswith("/_mock/sessions"):
            headers["x-mock-session"] = self.session
        answers = [client.request(method, path, content=raw, headers=headers, timeout=30) for client in self.pair]
        usual, plain = [(answer.status_code, answer.headers.multi_items(), answer.content) for answer in answers]
        assert usual == plain
        return usual

    def chat(self) -> None:
        forms = [(path, form) for path, form in PROSE if path == CHAT] + OTHER[:3]
        path, template = self.chance.choice(forms)
        text = self.chance.choice(
            ["Why?", "refuse", f"Case {self.chance.randrange(1000)}", "Name three rivers, please."]
        )
        self.statuses[self.step("POST", path, body(template, text), self.chance.choice(self.keys))[0]] += 1

    def key(self) -> None:
        made = self.told(self.step("POST", "/api/v1/gateway/keys", {"name": f"key {len(self.ids)}"}))
        self.keys.append(made["key"])
        self.ids.append(made["id"])

    def change(self) -> None:
        changes: list[dict[str, Any]] = [{"models_allowed": ["gpt-5.2"]}, {"models_allowed": None}, {"rpm_limit": 3}]
        if self.ids:
            self.step("PUT", f"/api/v1/gateway/keys/{self.chance.choice(self.ids)}", self.chance.choice(changes))

    def turn(self) -> None:
        if self.ids:
            what = self.chance.choice(["disable", "enable", "enable", "rotate"])
            self.step("PUT", f"/api/v1/gateway/keys/{self.chance.choice(self.ids)}/{what}", None)

    def clock(self) -> None:
        self.step("POST", "/_mock/clock", {"advance": self.chance.choice(["1s", "40s", "1d"])})

    def rule(self) -> None:
        then = self.chance.choice([{"error": "internal_error"}, {"reply": {"text": "As scripted."}}])
        rules = [{"id": "r", "when": {"text": "refuse"}, "then": then}] * self.chance.randrange(2)
        self.told(self.step("PUT", "/_mock/rules", {"rules": rules}))

    def snap(self) -> None:
        self.told(self.step("POST", f"/_mock/sessions/{self.session}/snapshot", {"label": "kept"}))
        self.kept = True

    def back(self) -> None:
        if self.kept:
            self.told(self.step("POST", f"/_mock/sessions/{self.session}/restore", {"label": "kept"}))

    def look(self) -> None:
        for path in ("/api/v1/obs/dashboard?range_days=7", "/api/v1/billing/account"):
            self.step("GET", path, None)


@pytest.mark.parametrize("number", range(6))
def test_nor_does_anything_that_happens_between_calls(pair: Pair, number: int) -> None:
    walk = Walk(pair, number)
    steps = [walk.chat] * 14 + [
        walk.key,
        walk.change,
        walk.turn,
        walk.clock,
        walk.rule,
        walk.snap,
        walk.back,
        walk.look,
    ]
    for _ in range(250):
        walk.chance.choice(steps)()
    assert walk.statuses[200] > 30
    assert len(walk.statuses) > 2
    assert journal(pair.usual, walk.session) == journal(pair.plain, walk.session)
