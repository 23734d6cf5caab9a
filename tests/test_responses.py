"""The Responses API: the words of chat, a stream that adds up, and answers that are kept, continued and forgotten."""

from __future__ import annotations

from typing import Any

import httpx2
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aione_mock.contract.stream_grammar import StreamGrammar
from aione_mock.scenarios.awkward import AWKWARD_ANSWERS
from aione_mock.server import stored_responses
from aione_mock.server.app import Mock
from aione_mock.server.http import Server
from aione_mock.text.sse import Event, decode
from tests.conftest import KEY

AUTH = {"authorization": f"Bearer {KEY}"}
MODEL = "gpt-5.4"
QUESTION = "Why do cats purr?"
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"type": "function", "name": "get_weather", "description": "Weather of a city", "parameters": WEATHER}]
CHAT_TOOLS = [
    {"type": "function", "function": {name: TOOLS[0][name] for name in ("name", "description", "parameters")}}
]
TEXTS = st.text(min_size=1, max_size=60)


def ask(url: str, given: Any = QUESTION, **body: Any) -> httpx2.Response:
    return httpx2.post(f"{url}/v1/responses", json={"model": MODEL, "input": given, **body}, headers=AUTH)


def chat(url: str, messages: Any, **body: Any) -> Any:
    body = {"model": MODEL, "messages": messages, **body}
    return httpx2.post(f"{url}/v1/chat/completions", json=body, headers=AUTH).json()["choices"][0]["message"]


def read_text(body: Any) -> str:
    return "".join(part["text"] for item in body["output"] for part in item.get("content", ()))


def fetch(url: str, path: str, method: str = "GET", **query: Any) -> httpx2.Response:
    return httpx2.request(method, f"{url}/v1/responses/{path}", params=query, headers=AUTH)


def stream(url: str, given: Any = QUESTION, **body: Any) -> list[Event]:
    answer = ask(url, given, stream=True, **body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    return list(decode([answer.content]))


@pytest.fixture(scope="module")
def grammar(extended_app: Mock) -> StreamGrammar:
    """The grammar of streamed responses."""
    found = extended_app.contract.operations["createResponse"].stream
    assert found is not None
    return found


# The words


@pytest.mark.parametrize("question", [QUESTION, "天空为什么是蓝色的？", "Reply with exactly: OK"])
def test_the_words_are_those_of_chat(extended_url: str, question: str) -> None:
    plain = ask(extended_url, question).json()
    assert read_text(plain) == chat(extended_url, [{"role": "user", "content": question}])["content"]
    told = ask(extended_url, question, instructions="Be brief.").json()
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": question}]
    assert read_text(told) == chat(extended_url, messages)["content"]


def test_a_conversation_of_any_spelling_is_that_of_chat(extended_url: str) -> None:
    items = [
        {"role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]},
        {"type": "message", "role": "user", "content": "Do I need an umbrella in Hangzhou?"},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Let me see."}]},
        {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": '{"city": "Hangzhou"}'},
        {"type": "function_call_output", "call_id": "call_1", "output": [{"type": "input_text", "text": "rain"}]},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
    ]
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Hangzhou"}'}}
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Do I need an umbrella in Hangzhou?"},
        {"role": "assistant", "content": "Let me see.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
    ]
    said = chat(extended_url, messages, tools=CHAT_TOOLS)
    answer = ask(extended_url, items, tools=TOOLS).json()
    assert read_text(answer) == said["content"] != ""


def test_tools_json_and_reasoning_are_those_of_chat(extended_url: str) -> None:
    question = "What is the weather in Hangzhou?"
    (item,) = ask(extended_url, question, tools=TOOLS).json()["output"]
    (call,) = chat(extended_url, [{"role": "user", "content": question}], tools=CHAT_TOOLS)["tool_calls"]
    assert (item["name"], item["arguments"]) == (call["function"]["name"], call["function"]["arguments"])
    wanted = {"name": "city", "schema": WEATHER}
    said = ask(extended_url, question, text={"format": {"type": "json_schema", **wanted}}).json()
    told = chat(
        extended_url,
        [{"role": "user", "content": question}],
        response_format={"type": "json_schema", "json_schema": wanted},
    )
    assert read_text(said) == told["content"]
    thought = ask(extended_url, reasoning={"effort": "low", "summary": "auto"}).json()
    message = chat(extended_url, [{"role": "user", "content": QUESTION}], reasoning_effort="low")
    assert thought["output"][0]["summary"][0]["text"] == message["reasoning_content"]
    assert thought["usage"]["output_tokens_details"]["reasoning_tokens"] > 0
    silent = ask(extended_url, reasoning={"effort": "low"}).json()
    assert silent["output"][0] == {**thought["output"][0], "id": silent["output"][0]["id"], "summary": []}
    assert [item["type"] for item in ask(extended_url, tools=TOOLS, tool_choice="none").json()["output"]] == ["message"]


# The stream


@settings(max_examples=12)
@given(
    question=TEXTS | st.just("What is the weather in Hangzhou?"),
    options=st.fixed_dictionaries(
        {},
        optional={
            "tools": st.just(TOOLS),
            "reasoning": st.sampled_from([{"effort": "low"}, {"effort": "low", "summary": "auto"}]),
            "max_output_tokens": st.integers(1, 40),
            "instructions": TEXTS,
            "text": st.just({"format": {"type": "json_object"}}),
        },
    ),
)
def test_the_events_add_up_to_the_plain_answer(
    extended_server: Server, grammar: StreamGrammar, question: str, options: Any
) -> None:
    events = stream(extended_server.url, question, **options)
    data = [orjson.loads(event.data) for event in events]
    assert [event.name for event in events] == [each["type"] for each in data]
    assert [each["sequence_number"] for each in data] == list(range(len(data)))
    folded, last = grammar.fold(events), data[-1]["response"]
    assert folded == last
    plain = ask(extended_server.url, question, **options).json()
    assert [item["type"] for item in plain["output"]] == [item["type"] for item in last["output"]]
    assert (read_text(plain), plain["usage"], plain["status"]) == (read_text(last), last["usage"], last["status"])


def test_pieces_are_the_model_s_tokens(extended_url: str) -> None:
    events = [orjson.loads(event.data) for event in stream(extended_url)]
    deltas = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
    assert len(deltas) == events[-1]["response"]["usage"]["output_tokens"]


# What is kept


def test_an_answer_is_kept_continued_and_deleted(extended_url: str) -> None:
    first = ask(extended_url, "My name is Ann.").json()
    assert fetch(extended_url, first["id"]).json() == first
    second = ask(extended_url, "Who am I?", previous_response_id=first["id"]).json()
    assert second["previous_response_id"] == first["id"]
    messages = [
        {"role": "user", "content": "My name is Ann."},
        {"role": "assistant", "content": read_text(first)},
        {"role": "user", "content": "Who am I?"},
    ]
    assert read_text(second) == chat(extended_url, messages)["content"]
    deleted = fetch(extended_url, first["id"], "DELETE")
    assert deleted.json() == {"id": first["id"], "object": "response", "deleted": True}
    for path in (first["id"], f"{first['id']}/input_items"):
        gone = fetch(extended_url, path)
        assert (gone.status_code, gone.json()["error"]["code"]) == (404, "response_not_found")
    refused = ask(extended_url, "And now?", previous_response_id=first["id"])
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "previous_response_id")
    # what goes on from it can still be continued
    assert ask(extended_url, "And now?", previous_response_id=second["id"]).status_code == 200


def test_the_result_of_a_function_finds_its_call(extended_url: str) -> None:
    first = ask(extended_url, "What is the weather in Hangzhou?", tools=TOOLS).json()
    result = {"type": "function_call_output", "call_id": first["output"][0]["call_id"], "output": "rain"}
    second = ask(extended_url, [result], previous_response_id=first["id"], tools=TOOLS).json()
    assert "get_weather" in read_text(second)
    third = ask(extended_url, "Thank you.", previous_response_id=second["id"], tools=TOOLS).json()
    assert third["usage"]["input_tokens"] > second["usage"]["input_tokens"]


def test_a_streamed_answer_is_kept_and_an_unstored_one_is_not(extended_url: str) -> None:
    last = orjson.loads(stream(extended_url)[-1].data)["response"]
    assert fetch(extended_url, last["id"]).json() == last
    unstored = ask(extended_url, store=False).json()
    assert unstored["store"] is False
    assert fetch(extended_url, unstored["id"]).status_code == 404


def test_input_items_come_in_pages(extended_url: str) -> None:
    items = [{"role": "user", "content": f"Number {number}"} for number in range(5)]
    name = ask(extended_url, items).json()["id"]
    whole = fetch(extended_url, f"{name}/input_items", order="asc").json()
    assert [item["content"][0]["text"] for item in whole["data"]] == [item["content"] for item in items]
    assert (whole["first_id"], whole["has_more"]) == (whole["data"][0]["id"], False)
    first = fetch(extended_url, f"{name}/input_items", limit=2).json()
    assert [item["content"][0]["text"] for item in first["data"]] == ["Number 4", "Number 3"]
    assert first["has_more"]
    rest = fetch(extended_url, f"{name}/input_items", limit=3, after=first["last_id"]).json()
    assert ([*first["data"], *rest["data"]], rest["has_more"]) == (whole["data"][::-1], False)
    nothing = fetch(extended_url, f"{name}/input_items", after="none").json()
    assert nothing == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
    assert fetch(extended_url, f"{name}/input_items", limit=0).status_code == 400


def test_another_organisation_finds_nothing(extended_url: str) -> None:
    name = ask(extended_url).json()["id"]
    other = {"authorization": "Bearer sk-nex-other-organisation"}
    assert httpx2.get(f"{extended_url}/v1/responses/{name}", headers=other).status_code == 404
    body = {"model": MODEL, "input": "Hello", "previous_response_id": name}
    assert httpx2.post(f"{extended_url}/v1/responses", json=body, headers=other).status_code == 400


def test_what_is_kept_is_the_session_s(extended_url: str) -> None:
    name = ask(extended_url).json()["id"]
    root, _, session = extended_url.partition("/_session/")
    control = f"{root}/_mock/sessions/{session}"
    httpx2.post(f"{control}/snapshot", json={"label": "one"}).raise_for_status()
    assert fetch(extended_url, name, "DELETE").status_code == 200
    httpx2.post(f"{control}/restore", json={"label": "one"}).raise_for_status()
    assert fetch(extended_url, name).status_code == 200
    httpx2.post(f"{control}/reset").raise_for_status()
    assert fetch(extended_url, name).status_code == 404


def test_what_is_kept_is_bounded(extended_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_responses, "MAX_BYTES", 20_000)
    names = [ask(extended_url, "灯" * 200, max_output_tokens=16).json()["id"] for _ in range(40)]
    kept = [name for name in names if fetch(extended_url, name).is_success]
    assert kept == names[-len(kept) :], "the oldest are dropped first"
    assert 7 <= len(kept) <= 15
    for name in kept:
        assert fetch(extended_url, name, "DELETE").is_success
    again = [ask(extended_url, "灯" * 200, max_output_tokens=16).json()["id"] for _ in kept]
    assert all(fetch(extended_url, name).is_success for name in again), "what was deleted takes no room"
    huge = ask(extended_url, "x" * 10_000).json()["id"]
    assert fetch(extended_url, huge).status_code == 404, "one that takes more than half is not kept"


# Everything else of the mock works on it


def test_rules_errors_and_faults_apply(extended_url: str) -> None:
    rules = [
        {"id": "tool", "when": {"text": "refund"}, "then": {"reply": {
            "reasoning": "Check the order.", "tool_calls": [{"name": "refund", "arguments": {"order": 7}}]}}},
        {"id": "text", "then": {"reply": {"text": "Prepared.", "finish": "content_filter"}}},
    ]  # fmt: skip
    httpx2.put(f"{extended_url}/_mock/rules", json={"rules": rules}).raise_for_status()
    cut = ask(extended_url).json()
    assert (read_text(cut), cut["status"]) == ("Prepared.", "incomplete")
    assert cut["incomplete_details"] == {"reason": "content_filter"}
    called = ask(extended_url, "I want a refund").json()["output"]
    assert [item["type"] for item in called] == ["reasoning", "function_call"]
    assert called[1]["arguments"] == '{"order":7}'
    body = {"model": MODEL, "input": "Hello", "stream": True}
    answer = httpx2.post(
        f"{extended_url}/v1/responses", json=body, headers={**AUTH, "x-mock-scenario": "rate_limit_exceeded"}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    with pytest.raises(httpx2.HTTPError):
        httpx2.post(f"{extended_url}/v1/responses", json=body, headers={**AUTH, "x-mock-scenario": "cut"})
    chosen = httpx2.post(f"{extended_url}/v1/responses", json=body, headers={**AUTH, "prefer": "example=tool_call"})
    kinds = [event.name for event in decode([chosen.content])]
    assert kinds[2:4] == ["response.output_item.added", "response.function_call_arguments.delta"]


@pytest.mark.parametrize("name", list(AWKWARD_ANSWERS))
def test_awkward_answers_come_whole_and_in_events(extended_url: str, grammar: StreamGrammar, name: str) -> None:
    form = {"format": {"type": "json_schema", "name": "city", "schema": WEATHER}}
    body = {"model": MODEL, "input": "The weather in Hangzhou?", "tools": TOOLS, "text": form}
    body["reasoning"] = {"effort": "low"}
    header = {**AUTH, "x-mock-scenario": name}
    url = f"{extended_url}/v1/responses"
    plain = httpx2.post(url, json=body, headers=header)
    assert plain.status_code == 200, plain.text
    streamed = httpx2.post(url, json={**body, "stream": True}, headers=header)
    events = list(decode([streamed.content]))
    last = orjson.loads(events[-1].data)["response"]
    assert grammar.fold(events) == last
    contents = [[item.get("content") for item in answer["output"]] for answer in (plain.json(), last)]
    assert contents[0] == contents[1]
    assert (name == "refusal") is any(part["type"] == "refusal" for content in contents[0] for part in content or ())


def test_a_call_is_counted_paid_for_and_shown(extended_url: str) -> None:
    answer = ask(extended_url)
    used = answer.json()["usage"]
    entry = httpx2.get(f"{extended_url}/_mock/journal").json()["items"][0]
    assert (entry["operation"], entry["model"]) == ("createResponse", MODEL)
    assert (entry["usage"]["prompt"], entry["usage"]["completion"]) == (used["input_tokens"], used["output_tokens"])
    assert float(entry["cost"]) > 0
    limit, left = (int(answer.headers[f"x-ratelimit-{name}-tokens"]) for name in ("limit", "remaining"))
    assert limit - left == used["total_tokens"]


def test_credentials_in_pieces_are_masked_in_the_journal(extended_url: str) -> None:
    secret = "sk-nex-secret-of-somebody-else-1234"
    stream(extended_url, f"Reply with exactly: {secret}")
    exchange = httpx2.get(f"{extended_url}/_mock/journal/1").text
    assert "response.output_text.delta" in exchange
    assert secret not in exchange
    deltas = [orjson.loads(e.data) for e in stream(extended_url, f"Reply with exactly: {secret}")]
    assert "".join(each.get("delta", "") for each in deltas) == secret


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ({"input": []}, 400, "invalid_request", "input"),
        ({"max_output_tokens": 0}, 400, "invalid_request", "max_output_tokens"),
        ({"text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "nothing"}}}}, 400,
         "invalid_request", "text.format.schema"),
        ({"input": "word " * 400_001}, 400, "context_length_exceeded", "input"),
        ({"model": "gemini-2.5-flash-image"}, 400, "unsupported_operation", "model"),
        ({"model": "text-embedding-3-small"}, 400, "unsupported_operation", "model"),
        ({"model": "none"}, 404, "model_not_found", "model"),
        ({"previous_response_id": "resp_none"}, 400, "invalid_request", "previous_response_id"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_refused(extended_url: str, body: Any, status: int, code: str, param: str) -> None:
    answer = httpx2.post(f"{extended_url}/v1/responses", json={"model": MODEL, "input": "Hi", **body}, headers=AUTH)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param)


def test_nothing_is_served_without_the_extension(session_url: str) -> None:
    answer = ask(session_url)
    assert answer.status_code == 404
    assert "serve --with responses" in answer.json()["error"]["message"]
