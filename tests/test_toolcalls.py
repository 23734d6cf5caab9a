"""The rule by which tools are chosen is the one that the module documents, and arguments are always valid."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aione_mock.errors import APIError
from aione_mock.model.tools import choose
from aione_mock.seed import Seed
from aione_mock.types import Prompt, Tool, ToolCall, ToolResult, Turn

STRING, INTEGER = {"type": "string"}, {"type": "integer"}
SEED = Seed.of(1)


def tool(name: str, description: str = "", required: list[str] | None = None, **properties: Any) -> Tool:
    wanted = list(properties) if required is None else required
    return Tool(name, description, {"type": "object", "properties": properties, "required": wanted})


UNIT = {"type": "string", "enum": ["celsius", "fahrenheit"]}
WEATHER = tool("get_weather", "Get the current weather in a given city", ["location"], location=STRING, unit=UNIT)
TIME = tool("getTime", "Get the current time in a city", city=STRING)
EMAIL = tool("send_email", "Sends a message to a person", to={"type": "string", "format": "email"}, body=STRING)
SEARCH = tool("search", "Searches the web", query=STRING)
ADD, MULTIPLY = (tool(name, a=INTEGER, b=INTEGER) for name in ("add", "multiply"))
HAN = tool("query_tianqi", "查询指定城市的天气", 城市=STRING)


def prompt(text: str, *tools: Tool, more: tuple[Turn, ...] = (), **options: Any) -> Prompt:
    return Prompt("m", (Turn("system", "Be kind."), Turn("user", text), *more), tools=tools, **options)


def calls(*arguments: Any, **options: Any) -> list[tuple[str, Any]]:
    return [(call.name, orjson.loads(call.arguments)) for call in choose(prompt(*arguments, **options), SEED)]


def after(*names: str) -> tuple[Turn, ...]:
    made = tuple(ToolCall(str(n), name, "{}") for n, name in enumerate(names))
    return Turn("assistant", tool_calls=made), Turn("tool", results=tuple(ToolResult(c.id, c.name, "42") for c in made))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("What's the weather in Paris?", ["get_weather"]),
        ("Will I need an umbrella in Paris?", ["get_weather"]),
        ("巴黎的天气怎么样？", ["get_weather"]),
        ("What time is it in Rome?", ["getTime"]),
        ("现在东京几点？", ["getTime"]),
        ("Could you look up otters?", ["search"]),
        ("Tell me a joke", []),
        ("What is the capital city of France?", []),
        ("你好，请介绍一下你自己", []),
        ("", []),
        ("Mail bob@example.com the weather in Oslo", ["send_email", "get_weather"]),
        ("weather and time in Oslo", ["get_weather", "getTime"]),
        ("I need to write to a person", ["send_email"]),
    ],
)
def test_auto(text: str, names: list[str]) -> None:
    assert [name for name, _ in calls(text, WEATHER, TIME, EMAIL, SEARCH)] == names


@pytest.mark.parametrize("text", ["What is 17 * 23 + 4?", "12 - 5", "3加4等于几？", "8 / 2"])
def test_a_sum_is_for_the_calculator(text: str) -> None:
    calculator = tool("calculator", expression=STRING)
    assert [name for name, _ in calls(text, WEATHER, calculator)] == ["calculator"]
    assert calls("meet from 2026-03-01 to 3/4 in room 12-5, 4x6 metres", WEATHER, calculator) == []


def test_an_operation_of_its_own_comes_before_the_calculator() -> None:
    assert [name for name, _ in calls("What is 3 * 12?", tool("calculate", expression=STRING), MULTIPLY)] == [
        "multiply"
    ]


def test_a_description_decides_only_where_no_name_does() -> None:
    other = tool("umbrella_shop", "Sells things against the weather")
    assert calls("weather in Rome", other, WEATHER) == [("get_weather", {"location": "Rome"})]
    assert calls("北京的天气", HAN) == [("query_tianqi", {"城市": "北京"})]


def test_a_quotation_names_a_tool_only_where_nothing_else_does() -> None:
    orders, reminder = tool("query_orders", customer=STRING), tool("create_reminder", title=STRING)
    assert calls('Remind me to "buy new milk"', orders, reminder) == [("create_reminder", {"title": "buy new milk"})]
    assert [name for name, _ in calls('"Where is my order?"', orders, reminder)] == ["query_orders"]
    assert [name for name, _ in calls("search, then `send_email` it to bob@example.com", SEARCH, EMAIL)] == ["search"]
    assert [name for name, _ in calls("use `search` and `send_email`", SEARCH, EMAIL)] == ["search", "send_email"]


def test_other_forms_of_a_word_are_the_same_word() -> None:
    assert calls("Sorting and sorted things", tool("sort_things"))
    assert calls("merged branches", tool("merge_branch"))


def test_parameters_decide_last() -> None:
    assert [name for name, _ in calls("in fahrenheit please", SEARCH, WEATHER)] == ["get_weather"]


def test_the_tool_with_more_words_in_common_has_a_word() -> None:
    flights, hotels = tool("search_flights"), tool("search_hotels")
    assert [name for name, _ in calls("search hotels", flights, hotels)] == ["search_hotels"]
    assert [name for name, _ in calls("search flights and hotels", flights, hotels)] == [
        "search_flights",
        "search_hotels",
    ]


def test_values_go_to_the_tool_beside_which_they_stand() -> None:
    assert calls("weather in Paris and time in Tokyo", WEATHER, TIME) == [
        ("get_weather", {"location": "Paris"}),
        ("getTime", {"city": "Tokyo"}),
    ]
    assert calls("What is 3 * 12? Also, what is 11 + 49?", ADD, MULTIPLY) == [
        ("multiply", {"a": 3, "b": 12}),
        ("add", {"a": 11, "b": 49}),
    ]


def test_several_values_make_several_calls() -> None:
    expected = [("get_weather", {"location": "Paris"}), ("get_weather", {"location": "Tokyo"})]
    assert calls("weather in Paris and Tokyo", WEATHER) == expected
    assert calls("weather in Paris and Tokyo", WEATHER, parallel=False) == expected[:1]
    assert calls("weather in Paris and Tokyo", WEATHER, parallel=False, more=after("get_weather")) == expected[1:]
    assert calls("weather in Paris and Tokyo", WEATHER, more=after("get_weather", "get_weather")) == []


def test_results_lead_to_the_next_tool_and_then_to_an_answer() -> None:
    text = "Get the weather in Rome, then email it to bob@example.com"
    assert [name for name, _ in calls(text, WEATHER, EMAIL)] == ["get_weather"]
    assert calls(text, WEATHER, EMAIL, more=after("get_weather"))[0][1]["to"] == "bob@example.com"
    assert calls(text, WEATHER, EMAIL, more=after("get_weather") + after("send_email")) == []
    again = (*after("get_weather"), Turn("assistant", "It is 42."), Turn("user", "And the weather in Oslo?"))
    assert calls("weather in Rome", WEATHER, more=again) == [("get_weather", {"location": "Oslo"})]


def test_results_in_a_user_turn_ask_nothing_new() -> None:
    made = Turn("assistant", tool_calls=(ToolCall("1", "get_weather", "{}"),))
    results = Turn("user", "here is the weather", results=(ToolResult("1", "get_weather", "42"),))
    assert calls("weather in Rome", WEATHER, more=(made, results)) == []


def test_choices_other_than_auto() -> None:
    assert calls("weather in Rome", WEATHER, tool_choice="none") == []
    assert calls("hello", WEATHER, TIME, tool_choice="=getTime")[0][0] == "getTime"
    assert calls("hello Rome", WEATHER, tool_choice="=get_weather", more=after("get_weather")) == [
        ("get_weather", {"location": "Rome"})
    ]
    assert [name for name, _ in calls("hello", WEATHER, TIME, tool_choice="required")] == ["get_weather"]
    assert [name for name, _ in calls("hello", WEATHER, TIME, tool_choice="required", more=after("get_weather"))] == [
        "getTime"
    ]
    assert [n for n, _ in calls("hello", WEATHER, TIME, tool_choice="required", allowed_tools=("getTime",))] == [
        "getTime"
    ]
    assert calls("weather", WEATHER, TIME, allowed_tools=("getTime",)) == []


def test_an_unknown_forced_tool_is_refused() -> None:
    with pytest.raises(APIError, match="'nope'") as caught:
        choose(prompt("hi", WEATHER, tool_choice="=nope"), SEED)
    assert (caught.value.name, caught.value.fields) == ("invalid_request", {"param": "tool_choice"})


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string"},
        {"$ref": "#/nowhere"},
        {"type": "objekt"},
        {"type": "object", "required": ["a"], "properties": {"a": False}},
        {"properties": {"a": {"const": 2**70}}},
    ],
)
def test_an_unusable_schema_is_refused(schema: Any) -> None:
    with pytest.raises(APIError, match="'f'") as caught:
        choose(prompt("x", Tool("f", "", schema), tool_choice="required"), SEED)
    assert (caught.value.name, caught.value.fields) == ("invalid_request", {"param": "tools"})


def test_parameters_that_contradict_each_other_are_named() -> None:
    impossible = tool("f", a={"type": "integer", "minimum": 3, "maximum": 2})
    with pytest.raises(APIError, match="'f': no value satisfies 'maximum', 'minimum', 'type' at '/properties/a'"):
        choose(prompt("x", impossible, tool_choice="required"), SEED)


@pytest.mark.parametrize(
    "schema", [{}, {"type": "object"}, {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}}]
)
def test_loose_and_google_schemas_are_usable(schema: Any) -> None:
    assert choose(prompt("x", Tool("f", "", schema), tool_choice="required"), SEED)[0].arguments == "{}"


def test_ids_are_letters_and_digits_and_differ() -> None:
    made = choose(prompt("weather in Paris and Tokyo", WEATHER), SEED)
    assert len({call.id for call in made}) == 2
    assert all(len(call.id) == 24 and call.id.isalnum() for call in made)
    assert made == choose(prompt("weather in Paris and Tokyo", WEATHER), SEED)


def test_one_of_128_tools() -> None:
    many = [tool(f"fetch_{'abcdefgh'[n % 8] * 3}{n}", f"Thing number {n}", query=STRING) for n in range(128)]
    assert [name for name, _ in calls("use fetch_ccc42", *many)] == ["fetch_ccc42"]
    assert calls("hello there", *many) == []


WORDS = st.sampled_from(
    ["weather", "in", "Paris", "Tokyo", "time", "email", "search", "3", "*", "5", "then", "北京", "天气", "?"]
)


@settings(deadline=None)
@given(st.lists(WORDS, max_size=12).map(" ".join), st.sampled_from(["auto", "required", "=send_email"]), st.booleans())
def test_arguments_are_always_valid(text: str, choice: str, parallel: bool) -> None:
    tools = {t.name: t for t in (WEATHER, TIME, EMAIL, SEARCH, ADD, MULTIPLY, HAN)}
    made = choose(prompt(text, *tools.values(), tool_choice=choice, parallel=parallel), SEED)
    assert parallel or len(made) <= 1
    assert choice == "auto" or made
    for call in made:
        validator = jsonschema_rs.Draft202012Validator(tools[call.name].schema, validate_formats=True)
        assert validator.is_valid(orjson.loads(call.arguments))
