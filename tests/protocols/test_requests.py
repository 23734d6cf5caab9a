"""Whatever the contract takes, a protocol can read: a prompt comes of it or a refusal, never a traceback."""

from __future__ import annotations

import copy
from contextlib import suppress

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aione_mock import protocols
from aione_mock.errors import APIError
from aione_mock.model import answers
from aione_mock.protocols import anthropic, gemini, openai
from aione_mock.types import Choice, Completion, Usage

from .completions import call, contract, look, make_text

MODULES = {"openai": openai, "anthropic": anthropic, "gemini": gemini}
OPERATIONS = [
    "createChatCompletion",
    "createMessage",
    "countMessageTokens",
    "generateContent",
    "streamGenerateContent",
    "countTokens",
]
JUNK = st.sampled_from(
    [None, True, 0, 1, 2.0, -1, "", "x", "auto", [], ["x"], [{}], {}, {"type": "text"}, {"name": "f"}]
)
MEMBERS = [
    *[
        "model",
        "max_tokens",
        "messages",
        "contents",
        "system",
        "systemInstruction",
        "tools",
        "tool_choice",
        "toolConfig",
    ],
    *["generationConfig", "thinking", "output_config", "output_format", "stop", "stop_sequences", "stream_options"],
    *[
        "response_format",
        "functions",
        "function_call",
        "input_schema",
        "text",
        "content",
        "parts",
        "role",
        "cache_control",
    ],
    *[
        "logprobs",
        "top_logprobs",
        "n",
        "seed",
        "reasoning_effort",
        "max_completion_tokens",
        "thinkingConfig",
        "imageConfig",
    ],
]


def examples(operation: str) -> list:
    media = contract().operations[operation].request_body["content"]["application/json"]
    return [example["value"] for example in media["examples"].values()]


def holders(value):
    """All objects and lists inside a value."""
    if isinstance(value, dict | list):
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from holders(inner)


@st.composite
def requests(draw: st.DrawFn, operation: str):
    data = copy.deepcopy(draw(st.sampled_from(examples(operation))))
    for _ in range(draw(st.integers(1, 2))):
        holder = draw(st.sampled_from(list(holders(data))))
        if isinstance(holder, list):
            holder.append(copy.deepcopy(draw(JUNK)))
        else:
            holder[draw(st.sampled_from([*holder, *MEMBERS]))] = copy.deepcopy(draw(JUNK))
    return data


@pytest.mark.parametrize("operation", OPERATIONS)
def test_whatever_the_contract_takes_is_read(operation):
    found = contract().operations[operation]
    protocol = MODULES[found.protocol]

    @given(requests(operation))
    def law(data):
        if normalize := protocols.NORMALIZERS.get(found.protocol):
            data = normalize(data, found)
        assume(found.body_validator.is_valid(data))
        asked = call(operation, data, model="gemini-2.5-flash")
        with suppress(APIError):
            prompt = protocol.read_prompt(asked, look)
            assert answers.conversation_key(prompt)
            assert answers.count_prompt_tokens(prompt) > 0
            assert range(prompt.n)
            assert prompt.max_tokens is None or range(prompt.max_tokens)
        if "ount" not in operation:
            answer = Completion("x1", 1, "m", (Choice(make_text("a", "b")),), Usage(1, 2))
            assert protocol.render_body(answer, asked)
            assert list(protocol.render_stream(answer, asked))

    law()
