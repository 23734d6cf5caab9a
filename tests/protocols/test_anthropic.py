"""Anthropic's spelling: a stream is its plain answer in pieces, and a request means what it says."""

from __future__ import annotations

import base64

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aione_mock.errors import APIError
from aione_mock.protocols import anthropic
from aione_mock.structs import replace
from aione_mock.types import Choice, Completion, Prompt, Tool, ToolCall, ToolResult, Turn, Usage

from .completions import PIXEL, body_problems, call, completions, contract, event_problems, look, make_text, read_events

OPERATION = contract().operations["createMessage"]
ASKED = {"model": "claude-sonnet-4-6", "max_tokens": 4096, "messages": [{"role": "user", "content": "hi"}]}
THINKING = {"type": "enabled", "budget_tokens": 2048}
DETAILS = st.sampled_from([{}, {"thinking": THINKING}, {"thinking": {**THINKING, "display": "omitted"}}])


@given(completions(), DETAILS)
def test_a_stream_adds_up_to_the_plain_answer(completion, details):
    asked = call("createMessage", ASKED | details)
    plain = orjson.loads(anthropic.render_body(completion, asked))
    events = read_events(anthropic.render_stream(completion, asked))
    assert OPERATION.stream.find_problems(events) == []
    assert event_problems(OPERATION, events) == []
    assert body_problems(OPERATION, plain) == []
    assert OPERATION.stream.fold(events) == plain


@given(completions())
def test_the_input_counters_add_up_to_the_prompt(completion):
    usage = anthropic.render_usage(completion.usage)
    cached = usage["cache_creation_input_tokens"] + usage["cache_read_input_tokens"]
    assert usage["input_tokens"] + cached == completion.usage.prompt
    assert usage["output_tokens"] == completion.usage.completion


def render_choice(choice: Choice, **details: object) -> dict:
    return orjson.loads(
        anthropic.render_body(Completion("x1", 1, "m", (choice,), Usage(1, 1)), call("createMessage", ASKED | details))
    )


@pytest.mark.parametrize(
    ("finish", "word"),
    [
        ("stop", "end_turn"),
        ("stop_sequence", "stop_sequence"),
        ("length", "max_tokens"),
        ("tool_calls", "tool_use"),
        ("content_filter", "refusal"),
    ],
)
def test_stop_reasons(finish, word):
    body = render_choice(Choice(make_text("a"), finish=finish, stop_sequence="END"))
    assert body["stop_reason"] == word
    assert body["stop_sequence"] == ("END" if finish == "stop_sequence" else None)


def test_thinking_comes_before_text_and_calls():
    call_ = ToolCall("1", "f", '{"a":1}')
    body = render_choice(
        Choice(make_text("so"), make_text("hm", "m"), (call_,), finish="tool_calls"), thinking=THINKING
    )
    thinking, text, tool = body["content"]
    assert thinking == {"type": "thinking", "thinking": "hmm", "signature": anthropic.sign_thinking("hmm")}
    assert text == {"type": "text", "text": "so"}
    assert tool == {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}


def test_omitted_thinking_keeps_its_signature():
    body = render_choice(Choice(make_text("so"), make_text("hmm")), thinking={**THINKING, "display": "omitted"})
    assert body["content"][0] == {"type": "thinking", "thinking": "", "signature": anthropic.sign_thinking("hmm")}
    assert len(base64.b64decode(body["content"][0]["signature"])) == 48


def test_events_are_named_and_a_ping_follows_the_start():
    events = read_events(
        anthropic.render_stream(
            Completion("x", 1, "m", (Choice(make_text("a", "b")),), Usage(1, 2)), call("createMessage", ASKED)
        )
    )
    assert [event.name for event in events] == [
        "message_start",
        "ping",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert all(orjson.loads(event.data)["type"] == event.name for event in events)


CONVERSATION = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 3000,
    "system": [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
                {"type": "text", "text": "What is this?", "cache_control": {"type": "ephemeral"}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "toolu_1", "name": "see", "input": {"a": 1}},
                {"type": "tool_use", "id": "toolu_2", "name": "zoom", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "dot"}],
                },
                {"type": "tool_result", "tool_use_id": "toolu_2", "is_error": True, "content": "no"},
                {"type": "text", "text": "Well?"},
            ],
        },
    ],
    "tools": [
        {"name": "see", "description": "Looks.", "input_schema": {"type": "object"}},
        {"type": "web_search_20250305", "name": "web_search"},
    ],
    "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
    "stop_sequences": ["END"],
    "thinking": {"type": "enabled", "budget_tokens": 2048},
    "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
}


def test_a_request_read():
    calls = (ToolCall("toolu_1", "see", '{"a":1}'), ToolCall("toolu_2", "zoom", "{}"))
    picture = look(f"data:image/png;base64,{PIXEL}", "")
    assert anthropic.read_prompt(call("createMessage", CONVERSATION), look) == Prompt(
        model="claude-sonnet-4-6",
        turns=(
            Turn("system", "Be brief.\nBe kind."),
            Turn("user", "What is this?", (picture,), cache=True),
            Turn("assistant", "I look.", (), calls),
            Turn("tool", results=(ToolResult("toolu_1", "see", "a\ndot"),)),
            Turn("tool", results=(ToolResult("toolu_2", "zoom", "no", True),)),
            Turn("user", "Well?"),
        ),
        tools=(Tool("see", "Looks.", {"type": "object"}),),
        tool_choice="required",
        parallel=False,
        format="schema",
        schema={"type": "object"},
        max_tokens=3000,
        stops=("END",),
        reasoning=2048,
        show_reasoning=True,
        image_size="",
    )


@pytest.mark.parametrize(
    ("choice", "meaning"),
    [
        ({"type": "auto"}, "auto"),
        ({"type": "any"}, "required"),
        ({"type": "tool", "name": "see"}, "=see"),
        ({"type": "none"}, "none"),
    ],
)
def test_tool_choices(choice, meaning):
    prompt = anthropic.read_prompt(call("createMessage", ASKED | {"tool_choice": choice}), look)
    assert (prompt.tool_choice, prompt.parallel) == (meaning, True)


def test_a_breakpoint_of_the_whole_request_is_on_its_last_turn():
    data = ASKED | {"system": "Be brief.", "cache_control": {"type": "ephemeral"}}
    assert [turn.cache for turn in anthropic.read_prompt(call("createMessage", data), look).turns] == [False, True]


def test_documents_are_read_as_far_as_they_are_text():
    documents = [
        {"type": "document", "title": "T", "source": {"type": "text", "media_type": "text/plain", "data": "body"}},
        {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "inner"}]}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}},
        {"type": "search_result", "source": "s", "title": "Hit", "content": [{"type": "text", "text": "found"}]},
    ]
    data = ASKED | {"messages": [{"role": "user", "content": documents}]}
    assert anthropic.read_prompt(call("createMessage", data), look).turns == (
        Turn("user", "T\nbody\ninner\nHit\nfound"),
    )


@pytest.mark.parametrize("block", ["text", "image"])
def test_what_comes_before_a_tool_result_is_a_turn_of_its_own(block):
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    first = {"type": "text", "text": "hi"} if block == "text" else {"type": "image", "source": source}
    content = [first, {"type": "tool_result", "tool_use_id": "toolu_1", "content": "found"}]
    data = ASKED | {"messages": [{"role": "user", "content": content}]}
    turn, result = anthropic.read_prompt(call("createMessage", data), look).turns
    assert (turn.role, turn.text, len(turn.images)) == ("user", "hi" if block == "text" else "", block == "image")
    assert result.results == (ToolResult("toolu_1", "", "found"),)


def test_pictures_by_address_stay_unseen():
    sources = [{"type": "url", "url": "https://pictures.example/cat.png"}, {"type": "file", "file_id": "file_1"}]
    content = [{"type": "image", "source": source} for source in sources]
    prompt = anthropic.read_prompt(
        call("createMessage", ASKED | {"messages": [{"role": "user", "content": content}]}), look
    )
    assert [image.mime for image in prompt.turns[0].images] == ["image/*", "image/*"]


@pytest.mark.parametrize(
    ("thinking", "effort", "tokens"), [("adaptive", None, 1024), ("adaptive", "high", 4096), ("disabled", "high", 0)]
)
def test_thinking_as_the_model_sees_fit(thinking, effort, tokens):
    data = ASKED | {"thinking": {"type": thinking}, "output_config": {"effort": effort}}
    prompt = anthropic.read_prompt(call("createMessage", data), look)
    assert (prompt.reasoning, prompt.show_reasoning) == (tokens, tokens > 0)


def test_a_thinking_budget_leaves_room_for_the_answer():
    asked = call("createMessage", ASKED | {"thinking": {"type": "enabled", "budget_tokens": 4096}})
    with pytest.raises(APIError, match="must be greater"):
        anthropic.read_prompt(asked, look)
    interleaved = replace(asked, headers=((b"anthropic-beta", b"interleaved-thinking-2025-05-14"),))
    assert anthropic.read_prompt(interleaved, look).reasoning == 4096


def test_threads_are_refused_so_that_the_sdk_sends_whole_conversations():
    with pytest.raises(APIError) as refused:
        anthropic.read_prompt(call("createMessage", ASKED | {"thread": {"type": "create"}}), look)
    body = anthropic.render_error(contract().find_error("anthropic", "invalid_request"), refused.value, "req_1")
    assert body["error"]["details"] == {"error_code": "thread_unsupported_request"}
    assert OPERATION.get_response_validator(400, "application/json").is_valid(body)


def test_a_refusal_carries_the_request_id():
    spec = contract().find_error("anthropic", "model_not_found")
    assert anthropic.render_error(spec, APIError("model_not_found", "No."), "req_1") == {
        "type": "error",
        "error": {"type": "not_found_error", "message": "No."},
        "request_id": "req_1",
    }
