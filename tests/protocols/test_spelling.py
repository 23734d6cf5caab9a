"""Google's looser spellings mean what the contract's own one means."""

from __future__ import annotations

import re

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aione_mock.protocols import NORMALIZERS, gemini_aliases
from tests.conftest import KEY

from .completions import contract

PLAIN = contract().operations["generateContent"]
EXAMPLES = [
    (operation, example["value"])
    for operation in ("generateContent", "countTokens")
    for example in contract().operations[operation].request_body["content"]["application/json"]["examples"].values()
]
OWN = ("args", "response", "parametersJsonSchema", "responseJsonSchema", "labels", "properties")


def read(data, operation="generateContent"):
    return NORMALIZERS["gemini"](data, contract().operations[operation])


def draw_snake_case(value, draw):
    """The same request with some of its members in snake_case; names of the caller's own stay."""
    if isinstance(value, list):
        return [draw_snake_case(item, draw) for item in value]
    if not isinstance(value, dict):
        return value
    found = {}
    for key, member in value.items():
        name = re.sub(r"[A-Z]", lambda m: f"_{m[0].lower()}", key) if draw(st.booleans()) else key
        if key == "properties":
            found[name] = {own: draw_snake_case(schema, draw) for own, schema in member.items()}
        else:
            found[name] = member if key in OWN else draw_snake_case(member, draw)
    return found


@given(st.data(), st.sampled_from(EXAMPLES))
def test_members_may_be_in_snake_case(data, example):
    operation, value = example
    assert read(draw_snake_case(value, data.draw), operation) == value


@pytest.mark.parametrize(
    "config", [{"generationConfig": {"maxOutputTokens": 2}}, {"generation_config": {"max_output_tokens": 2}}]
)
def test_a_request_in_either_spelling_is_read(session_url, config):
    body = {"contents": [{"parts": [{"text": "Why do cats purr?"}]}], **config}
    answer = httpx2.post(f"{session_url}/v1beta/models/gemini-2.5-flash:generateContent?key={KEY}", json=body)
    assert answer.json()["candidates"][0]["finishReason"] == "MAX_TOKENS"


@pytest.mark.parametrize(("operation", "value"), EXAMPLES)
def test_the_contracts_own_spelling_stays(operation, value):
    assert read(value, operation) == value


def test_names_of_the_callers_own_stay():
    data = {
        "contents": [
            {"parts": [{"function_call": {"name": "f", "args": {"mime_type": 1, "inline_data": None}}}]},
            {"parts": [{"function_response": {"name": "f", "response": {"system_instruction": [{"top_p": 1}]}}}]},
        ],
        "generation_config": {
            "response_schema": {"type": "OBJECT", "properties": {"top_k": {"type": "STRING", "max_length": 3}}},
            "response_json_schema": {"properties": {"any_of": {}}},
        },
        "labels": {"cost_centre": "x"},
        "unknown_member": {"top_p": 1},
    }
    found = read(data)
    assert found["contents"][0]["parts"][0]["functionCall"]["args"] == {"mime_type": 1, "inline_data": None}
    assert found["contents"][1]["parts"][0]["functionResponse"]["response"] == {"system_instruction": [{"top_p": 1}]}
    config = found["generationConfig"]
    assert config["responseSchema"]["properties"] == {"top_k": {"type": "STRING", "maxLength": 3}}
    assert config["responseJsonSchema"] == {"properties": {"any_of": {}}}
    assert found["labels"] == {"cost_centre": "x"}
    assert found["unknown_member"] == {"top_p": 1}


def test_one_object_is_taken_for_a_list_of_one():
    data = {"contents": {"parts": {"text": "hi"}}, "tools": {"functionDeclarations": {"name": "f"}}}
    assert read(data) == {
        "contents": [{"parts": [{"text": "hi"}]}],
        "tools": [{"functionDeclarations": [{"name": "f"}]}],
    }


def test_a_system_instruction_may_be_a_text():
    expected = {"parts": [{"text": "Be brief."}]}
    assert read({"contents": [], "system_instruction": "Be brief."})["systemInstruction"] == expected
    inner = {"generate_content_request": {"contents": [], "systemInstruction": "Be brief."}}
    assert read(inner, "countTokens")["generateContentRequest"]["systemInstruction"] == expected


def test_null_is_as_good_as_absent():
    data = {"contents": [{"role": None, "parts": [{"text": "hi"}]}], "tools": None, "generationConfig": {"seed": None}}
    assert read(data) == {"contents": [{"parts": [{"text": "hi"}]}], "generationConfig": {}}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["contents", "parts", "tools", "system_instruction", "x_y"]), inner, max_size=3
        )
    ),
    max_leaves=10,
)


@given(json_values)
def test_whatever_comes_is_read_and_reading_again_changes_nothing(value):
    once = read(value)
    assert read(once) == once


def test_camel_case():
    assert [gemini_aliases.to_camel_case(name) for name in ("top_p", "x_1_y", "topP", "_", "a_")] == [
        "topP",
        "x1Y",
        "topP",
        "_",
        "a_",
    ]
