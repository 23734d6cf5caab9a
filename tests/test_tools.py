"""Tools are chosen by the rules of `docs/explanation/what-it-says.md`, and their arguments are always valid."""

from __future__ import annotations

import contextlib
from datetime import date
from typing import Any

import jsonschema_rs
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aione_mock.errors import APIError
from aione_mock.model.tools import choose_tool_calls
from aione_mock.seed import Seed
from aione_mock.types import Prompt, Tool, ToolCall, ToolResult, Turn
from tests.test_arguments import KEYWORDS, json_values
from tests.timing import cost

STRING, INTEGER = {"type": "string"}, {"type": "integer"}
SEED, TODAY = Seed.of(1), date(2026, 1, 7)


def tool(name: str, description: str = "", required: list[str] | None = None, **properties: Any) -> Tool:
    wanted = list(properties) if required is None else required
    return Tool(name, description, {"type": "object", "properties": properties, "required": wanted})


UNIT = {"type": "string", "enum": ["celsius", "fahrenheit"]}
WEATHER = tool("get_weather", "Get the current weather in a given city", ["location"], location=STRING, unit=UNIT)
TIME = tool("getTime", "Get the current time in a city", city=STRING)
EMAIL = tool("send_email", "Sends a message to a person", to={"type": "string", "format": "email"}, body=STRING)
SEARCH = tool("search", "Searches the web", query=STRING)
HAN = tool("query_tianqi", "查询指定城市的天气", 城市=STRING)


def prompt(text: str, *tools: Tool, more: tuple[Turn, ...] = (), **options: Any) -> Prompt:
    return Prompt("m", (Turn("system", "Be kind."), Turn("user", text), *more), tools=tools, **options)


def calls(*arguments: Any, **options: Any) -> list[tuple[str, Any]]:
    made = choose_tool_calls(prompt(*arguments, **options), SEED, TODAY)
    return [(call.name, orjson.loads(call.arguments)) for call in made]


def names(*arguments: Any, **options: Any) -> list[str]:
    return [name for name, _ in calls(*arguments, **options)]


def after(*names: str) -> tuple[Turn, ...]:
    made = tuple(ToolCall(str(n), name, "{}") for n, name in enumerate(names))
    return Turn("assistant", tool_calls=made), Turn("tool", results=tuple(ToolResult(c.id, c.name, "42") for c in made))


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("What's the weather in Paris?", ["get_weather"]),
        ("What time is it in Rome?", ["getTime"]),
        ("Could you search for otters?", ["search"]),
        ("I need to write to a person", ["send_email"]),
        ("北京的天气", ["query_tianqi"]),
        ("Tell me a joke", []),
        ("What is the capital city of France?", []),
        ("你好，请介绍一下你自己", []),
        ("", []),
        ("Email bob@example.com the weather in Oslo", ["send_email", "get_weather"]),
        ("weather and time in Oslo", ["get_weather", "getTime"]),
    ],
)
def test_the_question_names_tools(text: str, chosen: list[str]) -> None:
    assert names(text, WEATHER, TIME, EMAIL, SEARCH, HAN) == chosen


def test_a_description_decides_only_where_no_name_does() -> None:
    other = tool("umbrella_shop", "Sells things against the weather")
    assert calls("weather in Rome", other, WEATHER) == [("get_weather", {"location": "Rome"})]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Sorting and sorted things", "sort_things"),
        ("merged branches", "merge_branch"),
        ("two translations", "translate"),
        ("my orders", "findOrder"),
        ("add them", "add"),
    ],
)
def test_other_forms_of_a_word_are_the_same_word(text: str, name: str) -> None:
    assert names(text, SEARCH, tool(name)) == [name]


@pytest.mark.parametrize("text", ["my address", "a party of art lovers", "the weathercock's"])
def test_other_words_are_not(text: str) -> None:
    assert names(text, tool("add"), tool("art"), tool("cock")) in ([], ["art"])
    assert names(text, tool("add"), tool("par")) == []


def test_the_tool_with_more_words_in_common_has_a_word() -> None:
    flights, hotels = tool("search_flights"), tool("search_hotels")
    assert names("search hotels", flights, hotels) == ["search_hotels"]
    assert names("search flights and hotels", flights, hotels) == ["search_flights", "search_hotels"]
    assert names("search", flights, hotels) == ["search_flights"]


def test_several_values_make_several_calls() -> None:
    expected = [("get_weather", {"location": "Paris"}), ("get_weather", {"location": "Tokyo"})]
    assert calls("weather in Paris and Tokyo", WEATHER) == expected
    assert calls("weather in Paris and Tokyo", WEATHER, parallel=False) == expected[:1]
    assert calls("weather in Paris and Tokyo", WEATHER, parallel=False, more=after("get_weather")) == expected[1:]
    assert calls("weather in Paris and Tokyo", WEATHER, more=after("get_weather", "get_weather")) == []
    assert len(calls("weather in Paris, and in Paris", WEATHER)) == 1


def test_results_lead_to_the_next_tool_and_then_to_an_answer() -> None:
    text = "Get the weather in Rome, then email it to bob@example.com"
    assert names(text, WEATHER, EMAIL) == ["get_weather"]
    assert calls(text, WEATHER, EMAIL, more=after("get_weather"))[0][1]["to"] == "bob@example.com"
    assert calls(text, WEATHER, EMAIL, more=after("get_weather") + after("send_email")) == []
    again = (*after("get_weather"), Turn("assistant", "It is 42."), Turn("user", "And the weather in Oslo?"))
    assert calls("weather in Rome", WEATHER, more=again) == [("get_weather", {"location": "Oslo"})]


def test_results_in_a_user_turn_ask_nothing_new() -> None:
    made = Turn("assistant", tool_calls=(ToolCall("1", "get_weather", "{}"),))
    results = Turn("user", "here is the weather", results=(ToolResult("1", "get_weather", "42"),))
    assert calls("weather in Rome", WEATHER, more=(made, results)) == []


@pytest.mark.parametrize(
    ("text", "tools", "chosen"),
    [
        ("巴黎现在怎么样", [TIME], ["getTime"]),
        ("How about Paris?", [TIME], ["getTime"]),
        ("How about Paris?", [TIME, SEARCH], []),
        ("Write to bob@example.com", [tool("post", to={"type": "string", "format": "email"})], ["post"]),
        ("Write to bob@example.com", [tool("post", to={"type": "string", "format": "email"}, when=INTEGER)], []),
        ("Name 3 rivers", [tool("wait", n=INTEGER)], []),
        ("Who is Ada Lovelace?", [tool("look", query=STRING)], []),
        ("How about Paris?", [tool("look", required=[], city=STRING)], []),
        ("Why do cats purr?", [TIME], []),
    ],
)
def test_the_only_tool_is_called_for_the_values_it_requires(text: str, tools: list[Tool], chosen: list[str]) -> None:
    assert names(text, *tools) == chosen


def test_choices_other_than_auto() -> None:
    assert calls("weather in Rome", WEATHER, tool_choice="none") == []
    assert names("hello", WEATHER, TIME, tool_choice="=getTime") == ["getTime"]
    assert calls("hello Rome", WEATHER, tool_choice="=get_weather", more=after("get_weather")) == [
        ("get_weather", {"location": "Rome"})
    ]
    assert names("hello", WEATHER, TIME, tool_choice="required") == ["get_weather"]
    assert names("hello", WEATHER, TIME, tool_choice="required", more=after("get_weather")) == ["getTime"]
    assert names("hello", WEATHER, TIME, tool_choice="required", allowed_tools=("getTime",)) == ["getTime"]
    assert calls("weather", WEATHER, TIME, allowed_tools=("getTime",)) == []


def test_an_unknown_forced_tool_is_refused() -> None:
    with pytest.raises(APIError, match="'nope'") as caught:
        calls("hi", WEATHER, tool_choice="=nope")
    assert (caught.value.name, caught.value.fields) == ("invalid_request", {"param": "tool_choice"})


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string"},
        {"$ref": "#/nowhere"},
        {"type": "objekt"},
        {"type": "object", "required": ["a"], "properties": {"a": False}},
    ],
)
def test_an_unusable_schema_is_refused(schema: Any) -> None:
    with pytest.raises(APIError, match="'f'") as caught:
        calls("x", Tool("f", "", schema), tool_choice="required")
    assert (caught.value.name, caught.value.fields) == ("invalid_request", {"param": "tools"})


def test_parameters_that_contradict_each_other_are_named() -> None:
    impossible = tool("f", a={"type": "integer", "minimum": 3, "maximum": 2})
    with pytest.raises(APIError, match="'f': no value satisfies 'maximum', 'minimum', 'type' at '/properties/a'"):
        calls("x", impossible, tool_choice="required")


@pytest.mark.parametrize("required", [None, "a", ["a"], [["a"]], {"a": 1}])
def test_the_only_tool_may_require_anything(required: Any) -> None:
    assert calls("How about Paris?", Tool("f", "", {"required": required})) == []


@pytest.mark.parametrize("schema", [{}, {"type": "object"}, {"properties": {"city": STRING}}])
def test_loose_schemas_are_usable(schema: Any) -> None:
    assert calls("x", Tool("f", "", schema), tool_choice="required") == [("f", {})]


def test_one_of_128_tools() -> None:
    many = [tool(f"fetch_{'abcdefgh'[n % 8] * 3}{n}", f"Thing number {n}", query=STRING) for n in range(128)]
    assert names("use fetch_ccc42", *many) == ["fetch_ccc42"]
    assert calls("hello there", *many) == []


WORDS = st.sampled_from(
    [
        "weather",
        "in",
        "Paris",
        "Tokyo",
        "time",
        "email",
        "search",
        "3",
        "bob@x.co",
        "celsius",
        "then",
        "北京",
        "天气",
        "?",
    ]
)


@settings(deadline=None)
@given(st.lists(WORDS, max_size=12).map(" ".join), st.sampled_from(["auto", "required", "=send_email"]), st.booleans())
def test_arguments_are_always_valid(text: str, choice: str, parallel: bool) -> None:
    tools = {t.name: t for t in (WEATHER, TIME, EMAIL, SEARCH, HAN, tool("count", n={**INTEGER, "maximum": 2}))}
    made = choose_tool_calls(prompt(text, *tools.values(), tool_choice=choice, parallel=parallel), SEED, TODAY)
    assert parallel or len(made) <= 1
    assert choice == "auto" or made
    for call in made:
        validator = jsonschema_rs.Draft202012Validator(tools[call.name].schema, validate_formats=True)
        assert validator.is_valid(orjson.loads(call.arguments))


@given(st.dictionaries(st.sampled_from(KEYWORDS), json_values, max_size=5), st.sampled_from(["auto", "required"]))
def test_any_schema_is_used_or_refused(schema: dict[str, Any], choice: str) -> None:
    with contextlib.suppress(APIError):
        calls("Ada, 3 days in Paris from 2026-03-01", Tool("f", "", schema), tool_choice=choice)


def test_choosing_is_cheap() -> None:
    asked = [prompt(f"What is the weather in Paris? Case {n}", WEATHER, TIME, SEARCH) for n in range(100)]
    assert cost(lambda: [choose_tool_calls(one, SEED, TODAY) for one in asked]) / len(asked) < 300e-6
