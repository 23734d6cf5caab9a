"""One conversation, three spellings, one meaning: the model is asked the same over every protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aione_mock.model import answers
from aione_mock.protocols import anthropic, gemini, openai
from aione_mock.types import Json, Prompt

from .completions import PIXEL, call, contract, look, objects, words

MODEL = "gemini-2.5-flash"


@dataclass(frozen=True)
class Message:
    """A turn as a test thinks of it: `results` are the answers to the calls of the message before."""

    role: str
    texts: tuple[str, ...] = ()
    pictures: int = 0
    calls: tuple[tuple[str, Json], ...] = ()
    results: tuple[Json, ...] = ()


@dataclass(frozen=True)
class Talk:
    """A whole request."""

    system: str | None
    messages: tuple[Message, ...]
    tools: tuple[tuple[str, Json], ...] = ()
    choice: str = "auto"
    schema: Json = None
    thinks: bool = False


def as_openai(talk: Talk) -> Prompt:
    messages: list[Json] = [{"role": "system", "content": talk.system}] if talk.system is not None else []
    asked: list[str] = []
    for at, message in enumerate(talk.messages):
        messages += [
            {"role": "tool", "tool_call_id": identity, "content": _text(result)}
            for identity, result in zip(asked, message.results, strict=True)
        ]
        asked = [f"call_{at}_{place}" for place in range(len(message.calls))]
        if not message.results or message.texts:
            messages.append(_openai_message(message, asked))
    data: dict[str, Json] = {"model": MODEL, "messages": messages, "tool_choice": talk.choice}
    if talk.choice.startswith("="):
        data["tool_choice"] = {"type": "function", "function": {"name": talk.choice[1:]}}
    if talk.tools:
        data["tools"] = [{"type": "function", "function": {"name": n, "parameters": s}} for n, s in talk.tools]
    if talk.schema:
        data["response_format"] = {"type": "json_schema", "json_schema": {"name": "x", "schema": talk.schema}}
    if talk.thinks:
        data["reasoning_effort"] = "medium"
    return _read(openai, "createChatCompletion", data)


def _openai_message(message: Message, asked: list[str]) -> Json:
    content: list[Json] = [{"type": "text", "text": text} for text in message.texts]
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    found: dict[str, Json] = {"role": message.role, "content": content + [picture] * message.pictures}
    if message.calls:
        # blanks between members are the client's own affair
        found["tool_calls"] = [
            {"id": identity, "type": "function", "function": {"name": n, "arguments": _dump_with_spaces(arguments)}}
            for identity, (n, arguments) in zip(asked, message.calls, strict=True)
        ]
        found["content"] = content or None
    return found


def _dump_with_spaces(arguments: Json) -> str:
    return orjson.dumps(arguments, option=orjson.OPT_INDENT_2).decode()


def _text(result: Json) -> str:
    return result if isinstance(result, str) else orjson.dumps(result).decode()


def as_anthropic(talk: Talk) -> Prompt:
    messages: list[Json] = []
    asked: list[str] = []
    for at, message in enumerate(talk.messages):
        content: list[Json] = [
            {"type": "tool_result", "tool_use_id": identity, "content": [{"type": "text", "text": _text(result)}]}
            for identity, result in zip(asked, message.results, strict=True)
        ]
        content += [{"type": "text", "text": text} for text in message.texts]
        source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
        content += [{"type": "image", "source": source}] * message.pictures
        asked = [f"toolu_{at}_{place}" for place in range(len(message.calls))]
        content += [
            {"type": "tool_use", "id": identity, "name": n, "input": arguments}
            for identity, (n, arguments) in zip(asked, message.calls, strict=True)
        ]
        messages.append({"role": message.role, "content": content})
    choice = {"auto": {"type": "auto"}, "required": {"type": "any"}, "none": {"type": "none"}}
    data: dict[str, Json] = {"model": MODEL, "max_tokens": 4096, "messages": messages}
    data["tool_choice"] = choice.get(talk.choice) or {"type": "tool", "name": talk.choice[1:]}
    if talk.system is not None:
        data["system"] = talk.system
    if talk.tools:
        data["tools"] = [{"name": n, "input_schema": s} for n, s in talk.tools]
    if talk.schema:
        data["output_config"] = {"format": {"type": "json_schema", "schema": talk.schema}}
    if talk.thinks:
        data["thinking"] = {"type": "enabled", "budget_tokens": 1024}
    return _read(anthropic, "createMessage", data)


def as_gemini(talk: Talk) -> Prompt:
    contents: list[Json] = []
    asked: list[str] = []
    for message in talk.messages:
        parts: list[Json] = [
            {"functionResponse": {"name": n, "response": _response(result)}}
            for n, result in zip(asked, message.results, strict=True)
        ]
        parts += [{"text": text} for text in message.texts]
        parts += [{"inlineData": {"mimeType": "image/png", "data": PIXEL}}] * message.pictures
        asked = [n for n, _ in message.calls]
        parts += [{"functionCall": {"name": n, "args": arguments}} for n, arguments in message.calls]
        contents.append({"role": "model" if message.role == "assistant" else "user", "parts": parts})
    mode, allowed = ("ANY", [talk.choice[1:]]) if talk.choice.startswith("=") else (talk.choice, [])
    config = {"mode": "ANY" if mode == "required" else mode.upper(), "allowedFunctionNames": allowed}
    data: dict[str, Json] = {"contents": contents, "toolConfig": {"functionCallingConfig": config}}
    if talk.system is not None:
        data["systemInstruction"] = {"parts": [{"text": talk.system}]}
    if talk.tools:
        declared = [{"name": n, "parametersJsonSchema": s} for n, s in talk.tools]
        data["tools"] = [{"functionDeclarations": declared}]
    settings: dict[str, Json] = {}
    if talk.schema:
        settings |= {"responseMimeType": "application/json", "responseJsonSchema": talk.schema}
    if talk.thinks:
        settings["thinkingConfig"] = {"thinkingBudget": 1024}
    return _read(gemini, "generateContent", data | {"generationConfig": settings}, model=MODEL)


def _response(result: Json) -> Json:
    return {"result": result} if isinstance(result, str) else result


def _read(protocol: Any, operation: str, data: Json, **params: str) -> Prompt:
    problems = [error.message for error in contract().operations[operation].body_validator.iter_errors(data)]
    assert problems == []
    return protocol.read_prompt(call(operation, data, **params), look)


SPELLINGS = (as_openai, as_anthropic, as_gemini)
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
results = texts | st.dictionaries(
    words.filter(lambda word: word not in ("result", "output", "content", "error")), texts
)
SCHEMAS = st.sampled_from(
    [
        {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0}}},
    ]
)


@st.composite
def talks(draw: st.DrawFn) -> Talk:
    messages: list[Message] = []
    for _ in range(draw(st.integers(0, 2))):
        messages.append(Message("user", tuple(draw(st.lists(texts, min_size=1, max_size=2))), draw(st.integers(0, 2))))
        called = tuple(draw(st.lists(st.tuples(words, objects), max_size=2)))
        messages.append(Message("assistant", tuple(draw(st.lists(texts, min_size=not called, max_size=1))), 0, called))
        if called:
            answers = tuple(draw(st.lists(results, min_size=len(called), max_size=len(called))))
            messages.append(Message("user", tuple(draw(st.lists(texts, max_size=1))), results=answers))
            messages.append(Message("assistant", (draw(texts),)))
    messages.append(Message("user", (draw(texts),)))
    tools = tuple(draw(st.lists(st.tuples(words, SCHEMAS), max_size=2, unique_by=lambda tool: tool[0])))
    choices = ["auto", "none", "required", *[f"={n}" for n, _ in tools]] if tools else ["auto"]
    return Talk(
        draw(st.none() | texts),
        tuple(messages),
        tools,
        draw(st.sampled_from(choices)),
        draw(st.none() | SCHEMAS),
        draw(st.booleans()),
    )


@given(talks())
def test_the_same_conversation_is_the_same_prompt_over_all_protocols(talk):
    prompts = [spell(talk) for spell in SPELLINGS]
    assert len({answers.conversation_key(prompt) for prompt in prompts}) == 1
    assert len({answers.count_prompt_tokens(prompt) for prompt in prompts}) == 1
    shapes = [[(turn.role, turn.text, len(turn.images)) for turn in prompt.turns] for prompt in prompts]
    assert shapes[0] == shapes[1] == shapes[2]


OTHER = [
    Talk(None, (Message("user", ("Hi",)),)),
    Talk("Be brief.", (Message("user", ("hi",)),)),
    Talk(None, (Message("user", ("hi",), 1),)),
    Talk(None, (Message("user", ("hi",)),), (("f", {"type": "object"}),)),
    Talk(None, (Message("user", ("hi",)),), schema={"type": "object"}),
    Talk(None, (Message("user", ("hi",)),), thinks=True),
    Talk(None, (Message("user", ("hi",)), Message("assistant", ("hi",)), Message("user", ("hi",)))),
]


@pytest.mark.parametrize("spell", SPELLINGS)
def test_another_conversation_is_another_prompt(spell):
    keys = {answers.conversation_key(spell(talk)) for talk in [Talk(None, (Message("user", ("hi",)),)), *OTHER]}
    assert len(keys) == 1 + len(OTHER)


@pytest.mark.parametrize("spell", SPELLINGS)
def test_an_answer_of_calls_can_be_sent_back(spell):
    talk = Talk(
        None,
        (
            Message("user", ("Weather?",)),
            Message("assistant", ("I look.",), calls=(("get_weather", {"city": "成都"}), ("get_time", {}))),
            Message("user", results=("21 °C", {"hour": 9})),
        ),
    )
    prompt = spell(talk)
    assert [turn.role for turn in prompt.turns] == ["user", "assistant", "tool", "tool"]
    names = [(result.name, result.text) for turn in prompt.turns for result in turn.results]
    assert names == [("get_weather", "21 °C"), ("get_time", '{"hour":9}')]
    asked = [call.id for call in prompt.turns[1].tool_calls]
    assert [result.call_id for turn in prompt.turns for result in turn.results] == asked
