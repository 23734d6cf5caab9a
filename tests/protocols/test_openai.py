"""OpenAI's spelling: a stream is its plain answer in pieces, and a request means what it says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aione_mock.errors import APIError
from aione_mock.protocols import openai
from aione_mock.types import Choice, Completion, Prompt, Tool, ToolCall, ToolResult, Turn, Usage

from .completions import PIXEL, body_problems, call, completions, contract, event_problems, look, make_text, read_events

OPERATION = contract().operations["createChatCompletion"]
ASKED = {"model": "gpt-5.2", "messages": [{"role": "user", "content": "hi"}]}
DETAILS = st.fixed_dictionaries(
    {},
    optional={
        "logprobs": st.booleans(),
        "top_logprobs": st.integers(0, 20),
        "functions": st.just([{"name": "f"}]),
        "stream_options": st.just({"include_usage": True}),
    },
)


@given(completions(), DETAILS)
def test_a_stream_adds_up_to_the_plain_answer(completion, details):
    asked = call("createChatCompletion", ASKED | details)
    plain = orjson.loads(openai.render_body(completion, asked))
    events = read_events(openai.render_stream(completion, asked))
    assert OPERATION.stream.find_problems(events) == []
    assert event_problems(OPERATION, events) == []
    if "stream_options" not in details:
        del plain["usage"]
    assert OPERATION.stream.fold(events) == plain


@given(completions(pictured=True), DETAILS)
def test_plain_answers_keep_the_contract(completion, details):
    assert (
        body_problems(
            OPERATION, orjson.loads(openai.render_body(completion, call("createChatCompletion", ASKED | details)))
        )
        == []
    )


def render_choice(choice: Choice, **details: object) -> dict:
    completion = Completion("x1", 1, "gpt-5.2", (choice,), Usage(1, 1))
    return orjson.loads(openai.render_body(completion, call("createChatCompletion", ASKED | details)))["choices"][0]


@pytest.mark.parametrize(
    ("finish", "word"),
    [
        ("stop", "stop"),
        ("stop_sequence", "stop"),
        ("length", "length"),
        ("tool_calls", "tool_calls"),
        ("content_filter", "content_filter"),
    ],
)
def test_finish_reasons(finish, word):
    assert render_choice(Choice(make_text("a"), finish=finish))["finish_reason"] == word


def test_an_answer_of_tool_calls_alone_has_no_text():
    choice = render_choice(Choice(tool_calls=(ToolCall("1", "f", "{}"),), finish="tool_calls"))
    assert choice["message"]["content"] is None
    assert choice["message"]["tool_calls"] == [
        {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    ]


def test_the_old_functions_parameter_has_its_own_words():
    choice = render_choice(
        Choice(tool_calls=(ToolCall("1", "f", "{}"),), finish="tool_calls"), functions=[{"name": "f"}]
    )
    assert choice["finish_reason"] == "function_call"
    assert choice["message"]["function_call"] == {"name": "f", "arguments": "{}"}


def test_log_probabilities_name_each_token_and_its_rivals():
    entries = render_choice(Choice(make_text("Hel", "lo")), logprobs=True, top_logprobs=3)["logprobs"]["content"]
    assert [entry["token"] for entry in entries] == ["Hel", "lo"]
    for entry in entries:
        ranks = [rival["logprob"] for rival in entry["top_logprobs"]]
        assert len(ranks) == 3
        assert ranks == sorted(ranks, reverse=True)
        assert entry["top_logprobs"][0]["token"] == entry["token"]
    assert bytes(entries[0]["bytes"]) == b"Hel"


def test_a_request_read():
    data = {
        "model": "gpt-5.2",
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is"},
                    {"type": "text", "text": "this?"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "see", "arguments": '{ "a": 1 }'}}
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "a dot"},
        ],
        "tools": [{"type": "function", "function": {"name": "see", "parameters": {"type": "object"}}}],
        "tool_choice": {"type": "function", "function": {"name": "see"}},
        "parallel_tool_calls": False,
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}},
        "max_completion_tokens": 7,
        "stop": "END",
        "n": 2,
        "seed": 3,
        "reasoning_effort": "low",
        "aspect_ratio": "16:9",
    }
    picture = look(f"data:image/png;base64,{PIXEL}", "")
    assert openai.read_prompt(call("createChatCompletion", data), look) == Prompt(
        model="gpt-5.2",
        turns=(
            Turn("system", "Be brief."),
            Turn("user", "What is\nthis?", (picture,)),
            Turn("assistant", tool_calls=(ToolCall("c1", "see", '{"a":1}'),)),
            Turn("tool", results=(ToolResult("c1", "see", "a dot"),)),
        ),
        tools=(Tool("see", "", {"type": "object"}),),
        tool_choice="=see",
        parallel=False,
        format="schema",
        schema={"type": "object"},
        max_tokens=7,
        stops=("END",),
        n=2,
        seed=3,
        reasoning=256,
        show_reasoning=True,
        aspect_ratio="16:9",
        image_size="",
    )


@pytest.mark.parametrize(
    ("effort", "tokens"),
    [(None, 0), ("none", 0), ("minimal", 64), ("low", 256), ("medium", 1024), ("high", 4096), ("xhigh", 8192)],
)
def test_reasoning_efforts(effort, tokens):
    prompt = openai.read_prompt(call("createChatCompletion", ASKED | {"reasoning_effort": effort}), look)
    assert (prompt.reasoning, prompt.show_reasoning) == (tokens, tokens > 0)


def test_a_broken_picture_is_refused_by_its_place():
    content = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    with pytest.raises(APIError) as refused:
        openai.read_prompt(
            call("createChatCompletion", ASKED | {"messages": [{"role": "user", "content": content}]}), look
        )
    assert refused.value.fields["param"] == "messages[0].content[0].image_url.url"


def test_arguments_that_are_no_json_are_taken_as_they_are():
    function = {"name": "f", "arguments": "{oops"}
    messages = [{"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": function}]}]
    prompt = openai.read_prompt(call("createChatCompletion", ASKED | {"messages": messages}), look)
    assert prompt.turns[0].tool_calls[0].arguments == "{oops"


def test_a_refusal_names_its_parameter_only_where_there_is_one():
    spec = contract().find_error("openai", "invalid_request")
    body = openai.render_error(spec, APIError("invalid_request", "No.", fields={"param": "n"}), "req_1")
    assert (body["error"]["message"], body["error"]["param"]) == ("No.", "n")
    assert "param" not in openai.render_error(spec, APIError("invalid_request", "No."), "req_1")["error"]
    assert orjson.dumps(body)


def test_only_the_assistants_messages_are_read_for_calls():
    messages = [{"role": "user", "content": "hi", "function_call": True, "tool_calls": 7}]
    asked = call("createChatCompletion", ASKED | {"messages": messages})
    assert OPERATION.body_validator.is_valid(asked.data)
    assert openai.read_prompt(asked, look).turns == (Turn("user", "hi"),)


@pytest.mark.parametrize(
    "more", [{}, {"max_tokens": 5}, {"max_completion_tokens": 7, "stream": True}, {"tools": []}, {"temperature": 0.2}]
)
def test_usual_requests_are_read_as_all_others(more: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    data = {"model": "gpt-5.4", "messages": messages, **more}
    call: Any = SimpleNamespace(data=data)
    short = openai.read_prompt(call, None)  # type: ignore[arg-type]
    monkeypatch.setattr(openai, "_USUAL", frozenset())
    assert short == openai.read_prompt(call, None)  # type: ignore[arg-type]
