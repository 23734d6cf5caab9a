"""Sessions: prepared replies and their order, time, recorded calls. In this process and over HTTP alike."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletionMessage

from aione_mock.errors import ConfigError, ScenarioError
from aione_mock.server.http import Server
from aione_mock.testing import MockServer, MockSession, RecordedCall, connect_to_server, start_server
from aione_mock.testing.resilience.in_process import to_text
from aione_mock.testing.sdk_clients import make_anthropic_client, make_openai_client
from aione_mock.types import Usage
from tests.timing import at_best


@pytest.fixture(scope="module", params=["here", "elsewhere"])
def host(request: pytest.FixtureRequest, server: Server) -> Iterator[MockServer]:
    with start_server() if request.param == "here" else connect_to_server(server.url, label="t") as running:
        yield running


@pytest.fixture
def mock(host: MockServer) -> Iterator[MockSession]:
    with host.session() as session:
        yield session


@pytest.fixture
def client(mock: MockSession) -> Iterator[openai.OpenAI]:
    with make_openai_client(mock) as made:
        yield made


def ask(client: openai.OpenAI, text: str = "Hello", **more: Any) -> Any:
    messages = [{"role": "user", "content": text}]
    return client.chat.completions.create(model="gpt-5.4", messages=messages, **more).choices[0].message


def stream(client: openai.OpenAI, text: str = "Hello") -> list[str]:
    messages = [{"role": "user", "content": text}]
    chunks = client.chat.completions.create(model="gpt-5.4", messages=messages, stream=True)
    return [piece for chunk in chunks for choice in chunk.choices if (piece := choice.delta.content)]


def test_a_second_user_has_a_session_of_its_own(host: MockServer) -> None:
    with host.session(seed=7, now="2026-01-31T23:59:00Z", api_key="sk-nex-demo-every-model") as mock:
        mock.reply("mine")
        with mock.session(seed=8) as other, make_openai_client(other) as client:
            assert other.now == mock.now
            assert ask(client).content != "mine"
            assert (len(other.calls), len(mock.calls)) == (1, 0)
        with pytest.raises(TypeError, match="session\\(\\) has no option 'sed'"):
            mock.session(sed=8)


def test_replies_come_in_their_order(mock: MockSession, client: openai.OpenAI) -> None:
    mock.reply("standing", times=None)
    mock.reply("one")
    mock.reply("refunds", when={"text": "refund"}, times=None)
    mock.reply("two", times=2)
    said = [ask(client, text).content for text in ("a", "b", "c", "d", "refund")]
    assert said == ["one", "two", "two", "standing", "refunds"]
    mock.assert_no_unused_replies()


def test_every_kind_of_reply(mock: MockSession, client: openai.OpenAI) -> None:
    mock.reply(json={"ok": True})
    mock.reply("Let me see.", tool_calls={"find_order": {"id": 7}})
    mock.reply(tool_calls=[{"name": "a", "arguments": {}, "id": "call_1"}, {"name": "b"}], finish="tool_calls")
    mock.reply("cut off", finish="length", usage={"prompt": 3, "completion": 4})
    assert ask(client).content == '{"ok":true}'
    called = ask(client)
    assert called.content == "Let me see."
    assert [(c.function.name, c.function.arguments) for c in called.tool_calls] == [("find_order", '{"id":7}')]
    assert [call.function.name for call in ask(client).tool_calls] == ["a", "b"]
    ask(client)
    assert mock.last_call.usage == Usage(3, 4)
    assert mock.last_call.response["choices"][0]["finish_reason"] == "length"


def test_chunks_are_streamed_as_they_are(mock: MockSession, client: openai.OpenAI) -> None:
    mock.reply(chunks=["Your order ", "is on ", "its way."])
    assert stream(client) == ["Your order ", "is on ", "its way."]
    assert mock.last_call.text == "Your order is on its way."
    assert mock.last_call.events[-1] == "[DONE]"
    assert mock.last_call.stream


def test_a_whole_body(mock: MockSession) -> None:
    body = {"object": "list", "data": []}
    mock.reply(body=body, when={"operation": "listModels"})
    headers = {"authorization": f"Bearer {mock.api_key}"}
    assert httpx2.get(f"{mock.openai_base_url}/models", headers=headers).json() == body


def test_failures(mock: MockSession, client: openai.OpenAI) -> None:
    mock.fail("rate_limit_exceeded", times=2, retry_after=3, message="Slowly, please.")
    mock.fail("upstream_timeout", when={"text": "slow"}, times=None)
    for _ in range(2):
        with pytest.raises(openai.RateLimitError, match="Slowly, please") as caught:
            ask(client)
        assert caught.value.response.headers["retry-after"] == "3"
    assert ask(client).content
    for _ in range(3):
        with pytest.raises(openai.APIStatusError):
            ask(client, "slow")
    assert [call.status for call in mock.calls] == [429, 429, 200, 504, 504, 504]
    assert mock.calls[0].rule == "fail-1"
    assert mock.calls[0].scenario == "rate_limit_exceeded"


def test_faults(mock: MockSession, client: openai.OpenAI) -> None:
    mock.reply("A whole answer in a few words.")
    mock.stream_fault("cut", after=3)
    mock.fault("html_page", status=502)
    assert ask(client).content == "A whole answer in a few words."
    with pytest.raises(openai.APIStatusError) as caught:
        ask(client)
    assert caught.value.status_code == 502
    with pytest.raises(openai.APIConnectionError):
        stream(client)
    assert mock.last_call.ended == "cut"
    assert len(mock.last_call.events) == 3
    mock.assert_no_unused_replies()


@at_best
def test_pace(mock: MockSession, client: openai.OpenAI) -> None:
    def seconds(text: str = "Hello") -> float:
        began = time.perf_counter()
        ask(client, text)
        return time.perf_counter() - began

    mock.reset()
    mock.reply("soon")
    mock.pace(ttft=0.4)
    mock.reply("late")
    mock.pace(ttft=0.8, when={"text": "patience"})
    assert seconds() < 0.3
    assert seconds() > 0.35
    assert seconds() > 0.35
    assert seconds("patience") > 0.75
    mock.pace("instant")
    assert seconds() < 0.3


def test_time(mock: MockSession) -> None:
    assert mock.now == datetime(2026, 4, 7, 9, 30, tzinfo=UTC)
    mock.advance("1d12h")
    mock.advance(-1.5)
    assert mock.now == datetime(2026, 4, 8, 21, 29, 58, 500000, tzinfo=UTC)
    mock.freeze("2026-01-31T09:00:00+08:00")
    assert mock.now == datetime(2026, 1, 31, 1, tzinfo=UTC)
    mock.run()
    first = mock.now
    time.sleep(0.02)
    assert mock.now > first
    mock.freeze(datetime(2027, 1, 1, tzinfo=UTC))
    assert mock.now == datetime(2027, 1, 1, tzinfo=UTC)


def test_a_key_expires_when_time_passes(mock: MockSession) -> None:
    headers = {"authorization": "Bearer nex-console-tech"}
    wanted = {"name": "short", "expires_at": "2026-04-08T00:00:00Z"}
    key = httpx2.post(f"{mock.base_url}/api/v1/gateway/keys", json=wanted, headers=headers).json()["key"]
    models = f"{mock.openai_base_url}/models"
    assert httpx2.get(models, headers={"authorization": f"Bearer {key}"}).status_code == 200
    mock.advance("1d")
    assert httpx2.get(models, headers={"authorization": f"Bearer {key}"}).status_code == 401


def test_what_a_call_holds(mock: MockSession, client: openai.OpenAI) -> None:
    ask(client, "Hello there", max_tokens=5, extra_headers={"X-Trace": "abc"})
    (call,) = mock.calls
    assert (call.number, call.operation, call.method, call.path) == (
        1, "createChatCompletion", "POST", "/v1/chat/completions")  # fmt: skip
    assert call.body == {
        "model": "gpt-5.4",
        "messages": [{"role": "user", "content": "Hello there"}],
        "max_tokens": 5,
    }
    assert call.headers["x-trace"] == "abc"
    assert mock.api_key not in str(call.headers)
    assert (call.status, call.model, call.ended, call.stream, call.events) == (200, "gpt-5.4", "finish", False, ())
    assert call.response_headers["content-type"] == "application/json"
    assert call.text == call.response["choices"][0]["message"]["content"]
    assert call.asked == "Hello there"
    assert call.usage is not None
    assert call.usage.total == call.response["usage"]["total_tokens"]
    assert call.at == mock.now.timestamp()
    assert str(call) == "POST /v1/chat/completions  → 200  gpt-5.4  “Hello there”"


def test_words_and_results_over_every_protocol(mock: MockSession) -> None:
    mock.reply("Yes, of course.", times=None)
    asked = [{"role": "user", "content": [{"type": "text", "text": "Really?"}]}]
    with make_anthropic_client(mock) as client:
        client.messages.create(model="claude-sonnet-4-6", max_tokens=50, messages=asked)
        plain = mock.last_call
        for _ in client.messages.create(model="claude-sonnet-4-6", max_tokens=50, messages=asked, stream=True):
            pass
    assert plain.text == mock.last_call.text == "Yes, of course."
    assert plain.asked == mock.last_call.asked == "Really?"
    gemini = f"{mock.base_url}/v1beta/models/gemini-2.5-flash"
    body = {"contents": [{"role": "user", "parts": [{"text": "Really?"}]}]}
    headers = {"x-goog-api-key": mock.api_key}
    for method in (":generateContent", ":streamGenerateContent", ":streamGenerateContent?alt=sse"):
        assert httpx2.post(gemini + method, json=body, headers=headers).status_code == 200
        assert mock.last_call.text == "Yes, of course."
        assert mock.last_call.asked == "Really?"


def test_unknown_paths_are_calls_too(mock: MockSession) -> None:
    httpx2.get(f"{mock.base_url}/nowhere")
    assert mock.last_call.operation is None
    assert mock.last_call.status == 404
    mock.assert_called(status=404, times=1)


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda mock: mock.reply("x", when="refund"), "reply “x”: 'when' is 'refund', but should be a mapping"),
        (lambda mock: mock.fail(429), "fail 429: 'error' is 429, but should be text, such as rate_limit_exceeded"),
        (lambda mock: mock.fail("internal_error", times="3"), "'times' is '3', but should be an integer of at least 1"),
        (lambda mock: mock.reply(tool_calls=["f"]), "'tool_calls[0]' is 'f', but should be a mapping, such as {"),
    ],
)
def test_a_wrong_argument_is_named(mock: MockSession, prepare: Callable[[Any], None], message: str) -> None:
    with pytest.raises(ScenarioError, match=re.escape(message)):
        prepare(mock)


def test_a_wrong_answer_leaves_the_others(mock: MockSession, client: openai.OpenAI) -> None:
    mock.reply("kept", times=None)
    for wrong in (lambda: mock.fail("nonsense"), lambda: mock.set_rules([{"when": {}}]), lambda: mock.pace(tps=-1)):
        with pytest.raises(ScenarioError):
            wrong()
    assert ask(client).content == "kept"
    mock.reply("and more")
    assert ask(client).content == "and more"


def test_reset(mock: MockSession, client: openai.OpenAI) -> None:
    mock.reply("prepared", times=None)
    mock.advance("1h")
    ask(client)
    mock.reset()
    assert mock.calls == []
    assert mock.now == datetime(2026, 4, 7, 9, 30, tzinfo=UTC)
    assert ask(client).content != "prepared"


def test_a_reset_session_always_exists(mock: MockSession) -> None:
    """A client that is still running cannot take its name."""
    stopped = threading.Event()

    def keep_calling() -> None:
        with httpx2.Client() as http:
            while not stopped.is_set():
                http.get(f"{mock.openai_base_url}/models")

    thread = threading.Thread(target=keep_calling)
    thread.start()
    try:
        for _ in range(50):
            mock.reset()
    finally:
        stopped.set()
        thread.join()


def test_sessions_do_not_see_each_other(host: MockServer) -> None:
    with host.session("a b/c") as one, host.session("a b/c") as other:
        one.reply("one", times=None)
        with make_openai_client(one) as first, make_openai_client(other) as second:
            assert ask(first).content == "one"
            assert ask(second).content != "one"
        assert len(one.calls) == len(other.calls) == 1
        assert one.base_url != other.base_url


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (None, ""),
        ("words", "words"),
        (iter(["a", "b", None]), "ab"),
        ({"a": [1]}, '{"a":[1]}'),
        ({1: 2}, '{"1":2}'),
        ((x for x in "xyz"), "xyz"),
        ({2**70: "big"}, "{1180591620717411303424: 'big'}"),
        (ChatCompletionMessage(role="assistant", content="Hi"), '{"content":"Hi",'),
    ],
)
def test_a_result_as_text(result: object, text: str) -> None:
    assert to_text(result).startswith(text)


@pytest.mark.parametrize(
    ("body", "results"),
    [
        ({"messages": [{"role": "tool", "tool_call_id": "a"}, {"role": "tool", "tool_call_id": "b"}]}, ("a", "b")),
        ({"messages": [{"content": [{"type": "tool_result", "tool_use_id": "a"}]}]}, ("a",)),
        ({"contents": [{"parts": [{"functionResponse": {"name": "find"}}]}]}, ("find",)),
        ({"contents": [{"parts": [{"function_response": {"name": "find", "id": "a"}}]}]}, ("a",)),
        ("text", ()),
        (None, ()),
    ],
)
def test_results_that_a_request_brings(body: Any, results: tuple[str, ...]) -> None:
    assert RecordedCall(1, None, "POST", "/", body=body).tool_results == results


@pytest.mark.parametrize(
    ("content", "message"),
    [("rules: [", "is not YAML"), ("- a", "has no list `rules:`"), ("rules: 3", "has no list `rules:`")],
)
def test_a_scenario_file_that_is_none(host: MockServer, tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "mine.yaml").write_text(content)
    with pytest.raises(ConfigError, match=f"mine.yaml {message}"):
        host.session(folder=tmp_path, rules="mine.yaml").open()


def test_what_answers_elsewhere_may_be_no_mock() -> None:
    def other(environ: Any, start_response: Any) -> list[bytes]:
        healthy = environ["PATH_INFO"].endswith("health")
        start_response("200 OK" if healthy else "500 Oh", [("content-type", "text/plain")])
        return [b"something else"]

    class Quiet(WSGIRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with make_server("127.0.0.1", 0, other, handler_class=Quiet) as stranger:
        threading.Thread(target=stranger.serve_forever, daemon=True).start()
        refused = pytest.raises(ScenarioError, match="HTTP 500 from the mock: something else")
        with connect_to_server(f"http://127.0.0.1:{stranger.server_port}", label="t") as found, refused:
            found.session().open()
        stranger.shutdown()
