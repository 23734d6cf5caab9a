"""Same seed, same clock: the same bytes, in any process, under any hash seed, in any order of different requests."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aione_mock.clock import parse_instant
from aione_mock.contract import Operation
from aione_mock.server.app import Mock, create_app
from aione_mock.settings import Settings
from aione_mock.text.sse import decode
from aione_mock.types import Json

ROOT = Path(__file__).parent.parent
KEY = "sk-nex-demo-every-model"
NOW = "2026-11-20T10:30:00Z"

# Run as a program in another process: answers the requests of standard input, in that order.
PROGRAM = """
import asyncio, json, sys
from aione_mock.server.app import create_app
from aione_mock.settings import Settings
from aione_mock.clock import parse_instant
sys.path.insert(0, sys.argv[1])
from test_replay_bytes import ask

asked = json.load(sys.stdin)
app = create_app(Settings(seed=asked["seed"], now=parse_instant(asked["now"])))

async def main():
    return {name: await ask(app, *request) for name, request in asked["requests"].items()}

json.dump(asyncio.run(main()), sys.stdout)
"""


async def ask(app: Any, method: str, path: str, body: str, token: str = KEY) -> Json:
    """(status, headers, body) of one answer, straight from the application."""
    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(b"authorization", f"Bearer {token}".encode()), (b"content-type", b"application/json")],
        "client": ("127.0.0.1", 50000),
    }
    sent: list[Json] = []

    async def receive() -> Json:
        return {"type": "http.request", "body": body.encode()}

    async def send(message: Json) -> None:
        sent.append(message)

    await app(scope, receive, send)
    headers = [[name.decode(), value.decode()] for name, value in sent[0]["headers"]]
    return [sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:]).decode("utf-8")]


def _chat(model: str = "gpt-5.4", text: str = "Why do cats purr?", **more: Json) -> str:
    return json.dumps({"model": model, "messages": [{"role": "user", "content": text}], **more})


TOOL = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]}
FUNCTION = {"type": "function", "function": {"name": "get_weather", "parameters": TOOL}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "trip", "schema": TOOL}}
CONTENTS = json.dumps({"contents": [{"role": "user", "parts": [{"text": "为什么猫会打呼噜？"}]}]})
REQUESTS: dict[str, list[str]] = {
    "chat": ["POST", "/v1/chat/completions", _chat()],
    "chinese": ["POST", "/v1/chat/completions", _chat(text="为什么猫会打呼噜？", n=3)],
    "streamed": ["POST", "/v1/chat/completions", _chat(stream=True, logprobs=True, top_logprobs=3)],
    "tools": ["POST", "/v1/chat/completions", _chat(text="Weather in Oslo and Rome?", tools=[FUNCTION])],
    "schema": ["POST", "/v1/chat/completions", _chat(text="A trip to Kyoto", response_format=SCHEMA)],
    "json": ["POST", "/v1/chat/completions", _chat(response_format={"type": "json_object"})],
    "reasoning": ["POST", "/v1/chat/completions", _chat(reasoning_effort="low")],
    "picture": ["POST", "/v1/chat/completions", _chat("gemini-2.5-flash-image", "A lighthouse")],
    "unknown model": ["POST", "/v1/chat/completions", _chat("gpt-9")],
    "bad": ["POST", "/v1/chat/completions", _chat(temperature=9, n=0)],
    "message": ["POST", "/v1/messages", _chat("claude-sonnet-4-6", max_tokens=300)],
    "message streamed": ["POST", "/v1/messages", _chat("claude-sonnet-4-6", max_tokens=300, stream=True)],
    "message tools": [
        "POST",
        "/v1/messages",
        _chat("opus-4-6", "Weather in Oslo?", max_tokens=300, tools=[{"name": "get_weather", "input_schema": TOOL}]),
    ],
    "gemini": ["POST", "/v1beta/models/gemini-2.5-flash:generateContent", CONTENTS],
    "gemini streamed": ["POST", "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse", CONTENTS],
    "models": ["GET", "/v1/models", ""],
    "gemini models": ["GET", "/v1beta/models", ""],
    "keys": ["GET", "/api/v1/gateway/keys", ""],
    "key models": ["GET", "/api/v1/gateway/models", ""],
    "plan": ["GET", "/api/v1/billing/plan", ""],
    "invoices": ["GET", "/api/v1/billing/invoices", ""],
    "nothing": ["GET", "/v1/nothing", ""],
}
# Figures that live calls move depend on how many came before, so these are asked first in every order.
FIRST: dict[str, list[str]] = {
    "usage": ["GET", "/api/v1/obs/usage?group_by=model", ""],
    "dashboard": ["GET", "/api/v1/obs/dashboard?range_days=30", ""],
    "account": ["GET", "/api/v1/billing/account", ""],
}


def _start_replay(requests: dict[str, list[str]], hash_seed: str, seed: str = "0") -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(Path(__file__).parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "TZ": "Asia/Tokyo" if hash_seed == "1" else "UTC"},
        cwd=ROOT,
    )
    assert process.stdin
    process.stdin.write(json.dumps({"seed": seed, "now": NOW, "requests": requests}).encode())
    process.stdin.close()
    return process


def _read(process: subprocess.Popen[bytes]) -> Json:
    assert process.stdout
    answers = json.loads(process.stdout.read())
    assert process.wait(60) == 0
    return answers


def _shuffle_requests(seed: int) -> dict[str, list[str]]:
    names = list(REQUESTS)
    random.Random(seed).shuffle(names)
    return FIRST | {name: REQUESTS[name] for name in names}


def _assert_same(here: Json, there: Json) -> None:
    """Equal but for what counts earlier requests: how much of the minute's allowance is left."""
    assert here.keys() == there.keys()
    for name in here:
        mine, theirs = ([a[0], [h for h in a[1] if "ratelimit" not in h[0]], a[2]] for a in (here[name], there[name]))
        assert mine == theirs, name


@pytest.fixture(scope="module")
def answers() -> dict[str, Json]:
    """All requests answered in three other processes, and under another seed."""
    processes = {
        "one": _start_replay(FIRST | REQUESTS, "0"),
        "again": _start_replay(FIRST | REQUESTS, "1"),
        "shuffled": _start_replay(_shuffle_requests(7), "4242"),
        "other seed": _start_replay(FIRST | REQUESTS, "0", seed="1"),
    }
    return {name: _read(process) for name, process in processes.items()}


def test_processes_and_hash_seeds(answers: dict[str, Json]) -> None:
    assert answers["one"] == answers["again"]
    for name, (status, _, body) in answers["one"].items():
        expected = {"unknown model": 404, "bad": 400, "nothing": 404}.get(name, 200)
        assert status == expected, (name, body)


def test_orders_of_requests(answers: dict[str, Json]) -> None:
    _assert_same(answers["one"], answers["shuffled"])


async def test_this_process_after_other_work(answers: dict[str, Json]) -> None:
    app = create_app(Settings(now=parse_instant(NOW)))
    # another session's calls and the state of this process change nothing
    for request in REQUESTS.values():
        await ask(app, request[0], "/_session/busy" + request[1], request[2])
    here = {name: await ask(app, *request) for name, request in (FIRST | REQUESTS).items()}
    assert here == answers["one"]


async def test_concurrent_requests(answers: dict[str, Json]) -> None:
    app = create_app(Settings(now=parse_instant(NOW)))
    first = {name: await ask(app, *request) for name, request in FIRST.items()}
    found = await asyncio.gather(*(ask(app, *request) for request in REQUESTS.values()))
    _assert_same(first | dict(zip(REQUESTS, found, strict=True)), answers["one"])


def test_another_seed_gives_other_words(answers: dict[str, Json]) -> None:
    one, other = answers["one"], answers["other seed"]
    for name in ("chat", "chinese", "streamed", "json", "message", "gemini", "picture", "usage", "dashboard"):
        assert one[name][2] != other[name][2], name
    said = [json.loads(a["chat"][2])["choices"][0]["message"]["content"] for a in (one, other)]
    assert said[0] != said[1]
    assert one["models"][2] == other["models"][2]


async def test_a_repeated_request_gets_the_same_words_under_a_new_id() -> None:
    app = create_app(Settings(now=parse_instant(NOW)))
    (_, heads, first), (_, more_heads, second) = [await ask(app, *REQUESTS["chat"]) for _ in range(2)]
    one, two = json.loads(first), json.loads(second)
    assert one.pop("id") != two.pop("id")
    assert one == two
    assert dict(heads)["x-request-id"] != dict(more_heads)["x-request-id"]


def test_over_a_socket_as_in_process(session_url: str, answers: dict[str, Json]) -> None:
    with httpx2.Client(trust_env=False, headers={"authorization": f"Bearer {KEY}"}) as client:
        for name, (method, path, body) in (FIRST | REQUESTS).items():
            if name == "nothing":  # the message tells the path without its session
                continue
            answer = client.request(
                method, session_url + path, content=body, headers={"content-type": "application/json"}
            )
            assert [answer.status_code, answer.text] == [answers["one"][name][0], answers["one"][name][2]]


# Streamed folds to plain, whatever is asked for.

TEXTS = [
    "Why do cats purr?",
    "为什么猫会打呼噜？",
    "What is the weather in Oslo and in Rome?",
    "Say 👩‍👩‍👧 to Zoë, please: 'naïve café'",
    "",
]
POLITE = [{"role": "system", "content": "Be kind."}]


@st.composite
def chats(draw: st.DrawFn) -> Json:
    """A request for a chat completion: every option there or not."""
    asked: Json = {
        "model": draw(st.sampled_from(["gpt-5.4", "opus-4-6", "gemini-2.5-flash"])),
        "messages": [*draw(st.sampled_from([[], POLITE])), {"role": "user", "content": draw(st.sampled_from(TEXTS))}],
    }
    options: dict[str, st.SearchStrategy[Json]] = {
        "n": st.integers(1, 3),
        "stop": st.sampled_from([" ", ["the", "。"], ["never said"], "a"]),
        "max_tokens": st.integers(1, 60),
        "max_completion_tokens": st.integers(1, 60),
        "tools": st.just([FUNCTION]),
        "tool_choice": st.sampled_from(["auto", "none"]),
        "response_format": st.sampled_from([{"type": "text"}, {"type": "json_object"}, SCHEMA]),
        "logprobs": st.booleans(),
        "reasoning_effort": st.sampled_from(["none", "low", "high"]),
        "seed": st.integers(0, 5),
        "parallel_tool_calls": st.booleans(),
        "temperature": st.floats(0, 2),
    }
    for name in draw(st.sets(st.sampled_from(sorted(options)))):
        asked[name] = draw(options[name])
    if asked.get("logprobs") and draw(st.booleans()):
        asked["top_logprobs"] = draw(st.integers(0, 5))
    if "tools" in asked and draw(st.booleans()):
        asked["tool_choice"] = draw(
            st.sampled_from(["required", {"type": "function", "function": {"name": "get_weather"}}])
        )
    if "tools" not in asked:
        asked.pop("tool_choice", None)
    return asked


@st.composite
def messages(draw: st.DrawFn) -> Json:
    """The same for `POST /v1/messages`."""
    asked: Json = {
        "model": draw(st.sampled_from(["claude-sonnet-4-6", "gpt-5.4"])),
        "max_tokens": draw(st.integers(1, 80) | st.just(4000)),
        "messages": [{"role": "user", "content": draw(st.sampled_from(TEXTS[:4]))}],
    }
    if draw(st.booleans()):
        asked["tools"] = [{"name": "get_weather", "input_schema": TOOL}]
        asked["tool_choice"] = draw(st.sampled_from([{"type": "auto"}, {"type": "any"}, {"type": "none"}]))
    if draw(st.booleans()):
        asked["stop_sequences"] = draw(st.sampled_from([["the"], ["。", "a"]]))
    if draw(st.booleans()):
        asked["system"] = "Be kind."
    if asked["max_tokens"] > 2000 and draw(st.booleans()):
        asked["thinking"] = {"type": "enabled", "budget_tokens": 1024}
    return asked


@st.composite
def contents(draw: st.DrawFn) -> Json:
    """The same for `:generateContent`."""
    config: Json = {}
    options: dict[str, st.SearchStrategy[Json]] = {
        "candidateCount": st.integers(1, 3),
        "maxOutputTokens": st.integers(1, 60),
        "stopSequences": st.sampled_from([["the"], ["。", " "]]),
        "responseMimeType": st.just("application/json"),
        "thinkingConfig": st.fixed_dictionaries(
            {"thinkingBudget": st.sampled_from([0, 128]), "includeThoughts": st.booleans()}
        ),
        "responseLogprobs": st.just(True),
        "seed": st.integers(0, 3),
    }
    for name in draw(st.sets(st.sampled_from(sorted(options)))):
        config[name] = draw(options[name])
    asked: Json = {"contents": [{"role": "user", "parts": [{"text": draw(st.sampled_from(TEXTS[:4]))}]}]}
    if config:
        asked["generationConfig"] = config
    if draw(st.booleans()):
        asked["tools"] = [{"functionDeclarations": [{"name": "get_weather", "parameters": TOOL}]}]
    return asked


def _fold_answer(operation: Operation, text: str) -> Json:
    events = list(decode([text.encode()]))
    assert not list(operation.stream.find_problems(events))
    return operation.stream.fold(events)


def _but_ids(answer: Json) -> Json:
    """Return an answer without the ids that every call has of its own."""
    if isinstance(answer, dict):
        return {key: _but_ids(value) for key, value in answer.items() if key not in ("id", "responseId")}
    return [_but_ids(value) for value in answer] if isinstance(answer, list) else answer


def _pair(path: str, plain: Json, streamed: Json, stream_path: str = "") -> tuple[Json, Json, Mock]:
    """Return the answers to both, each the first in its session, and the app that gave them."""

    async def both() -> tuple[Json, Json, Mock]:
        app = _app()
        app.sessions.reset(app.sessions.get())
        one = await ask(app, "POST", path, orjson.dumps(plain).decode())
        app.sessions.reset(app.sessions.get())
        two = await ask(app, "POST", stream_path or path, orjson.dumps(streamed).decode())
        return one, two, app

    return asyncio.run(both())


@cache
def _app() -> Mock:
    return create_app(Settings(now=parse_instant(NOW)))


_often = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@_often
@given(asked=chats(), counted=st.booleans())
def test_chat_streams_fold(asked: Json, counted: bool) -> None:
    more = {"stream_options": {"include_usage": True}} if counted else {}
    plain, streamed, app = _pair("/v1/chat/completions", asked, {**asked, "stream": True, **more})
    assert (plain[0], streamed[0]) == (200, 200), plain[2]
    said, folded = (
        _but_ids(json.loads(plain[2])),
        _fold_answer(app.contract.operations["createChatCompletion"], streamed[2]),
    )
    if not counted:
        del said["usage"]
    assert _but_ids(folded) == said


@_often
@given(asked=messages())
def test_message_streams_fold(asked: Json) -> None:
    plain, streamed, app = _pair("/v1/messages", asked, {**asked, "stream": True})
    assert (plain[0], streamed[0]) == (200, 200), plain[2]
    folded = _fold_answer(app.contract.operations["createMessage"], streamed[2])
    assert _but_ids(folded) == _but_ids(json.loads(plain[2]))


@_often
@given(asked=contents())
def test_gemini_streams_fold(asked: Json) -> None:
    path = "/v1beta/models/gemini-2.5-flash"
    plain, streamed, app = _pair(f"{path}:generateContent", asked, asked, f"{path}:streamGenerateContent?alt=sse")
    assert (plain[0], streamed[0]) == (200, 200), plain[2]
    folded = _fold_answer(app.contract.operations["streamGenerateContent"], streamed[2])
    assert _but_ids(folded) == _but_ids(json.loads(plain[2]))
