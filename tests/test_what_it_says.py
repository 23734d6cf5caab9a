"""`docs/explanation/what-it-says.md` lists rules by number; each has the test here that bears its number."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import jsonschema_rs
import orjson
import pytest

from aione_mock.types import Json

KEY = "sk-nex-demo-every-model"
STRING, INTEGER = {"type": "string"}, {"type": "integer"}
Ask = Callable[..., Json]


def function(name: str, description: str = "", /, **parameters: Json) -> Json:
    schema = {"type": "object", "properties": parameters, "required": [*parameters]}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


WEATHER = function("get_weather", "Current weather of a city", city=STRING)
ORDER = function("find_order", "Find an order by its number", number=INTEGER)
EMAIL = function("send_email", "Sends a message to a person", to={"type": "string", "format": "email"})


@pytest.fixture
def ask(session_url: str) -> Iterator[Ask]:
    """Ask over OpenAI's protocol; returns the message of the answer."""
    with httpx2.Client(trust_env=False, headers={"authorization": f"Bearer {KEY}"}) as http:

        def ask(question: str | list[Json], **more: Json) -> Json:
            messages = question if isinstance(question, list) else [{"role": "user", "content": question}]
            headers = more.pop("headers", None)
            body = {"model": "gemini-2.5-flash", "messages": messages, **more}
            answer = http.post(f"{session_url}/v1/chat/completions", json=body, headers=headers)
            assert answer.status_code == 200, answer.text
            return answer.json()["choices"][0]["message"]

        yield ask


def calls(message: Json) -> list[tuple[str, Json]]:
    made = message.get("tool_calls") or []
    return [(call["function"]["name"], orjson.loads(call["function"]["arguments"])) for call in made]


def reply_to(question: str, message: Json, *results: str) -> list[Json]:
    """Return the conversation with the results of the calls that a message makes."""
    made = zip(message["tool_calls"], results, strict=True)
    told = [{"role": "tool", "tool_call_id": call["id"], "content": result} for call, result in made]
    return [{"role": "user", "content": question}, message, *told]


def test_every_rule_has_a_test() -> None:
    page = Path(__file__).parent.parent.joinpath("docs/explanation/what-it-says.md").read_text(encoding="utf-8")
    rules = [int(number) for number in re.findall(r"^(\d+)\. \*\*", page, re.MULTILINE)]
    tests = {int(found[1]) for name in globals() if (found := re.match(r"test_rule_(\d+)_", name))}
    assert rules == sorted(tests) == [*range(1, 13)]


def test_rule_1_a_scripted_reply_says_what_it_is_told(ask: Ask) -> None:
    told = {"x-mock-scenario": "reply; text=Good night"}
    assert ask("What is the weather in Oslo?", tools=[WEATHER], headers=told)["content"] == "Good night"
    assert ask("Why?", headers=told, max_tokens=1)["content"] == "Good"


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("What's the weather in Paris?", ["get_weather"]),
        ("Where are my orders?", ["find_order"]),
        ("Write to a person, please", ["send_email"]),
        ("北京的天气", ["query_tianqi"]),
        ("Tell me a joke about a city", []),
        ("Why do cats purr?", []),
    ],
)
def test_rule_2_a_tool_is_called_if_the_question_mentions_it(ask: Ask, question: str, names: list[str]) -> None:
    tools = [WEATHER, ORDER, EMAIL, function("query_tianqi", "查询指定城市的天气", 城市=STRING)]
    message = ask(question, tools=tools)
    assert [name for name, _ in calls(message)] == names
    assert bool(message["content"]) == (not names)


def test_rule_3_the_only_tool_is_called_for_its_values(ask: Ask) -> None:
    assert calls(ask("巴黎怎么样？", tools=[WEATHER])) == [("get_weather", {"city": "巴黎"})]
    assert calls(ask("巴黎怎么样？", tools=[WEATHER, ORDER])) == []
    assert calls(ask("Name 3 rivers", tools=[ORDER])) == []


def test_rule_4_tool_choice_decides(ask: Ask) -> None:
    tools, named = [WEATHER, ORDER], {"type": "function", "function": {"name": "find_order"}}
    weather = "What is the weather in Oslo?"
    assert calls(ask(weather, tools=tools, tool_choice="none")) == []
    assert [name for name, _ in calls(ask(weather, tools=tools, tool_choice=named))] == ["find_order"]
    assert [name for name, _ in calls(ask(weather, tools=tools, tool_choice="required"))] == ["get_weather"]
    first = ask("Hello", tools=tools, tool_choice="required")
    second = ask(reply_to("Hello", first, "sunny"), tools=tools, tool_choice="required")
    assert [name for message in (first, second) for name, _ in calls(message)] == ["get_weather", "find_order"]
    custom = {"type": "custom", "custom": {"name": "run_python", "description": "Run Python code."}}
    assert calls(ask("Run Python code", tools=[custom])) == []


def test_rule_5_calls_are_made_once_each(ask: Ask) -> None:
    both = "What is the weather in Paris and Tokyo?"
    message = ask(both, tools=[WEATHER])
    assert calls(message) == [("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Tokyo"})]
    assert calls(ask(reply_to(both, message, "sunny", "rain"), tools=[WEATHER])) == []
    assert calls(ask(both, tools=[WEATHER], parallel_tool_calls=False)) == [("get_weather", {"city": "Paris"})]
    order = "Find order 7, then email bob@example.com."
    message = ask(order, tools=[EMAIL, ORDER])
    assert calls(message) == [("find_order", {"number": 7})]
    assert calls(ask(reply_to(order, message, "sent"), tools=[EMAIL, ORDER])) == [
        ("send_email", {"to": "bob@example.com"})
    ]


@pytest.mark.parametrize(
    ("question", "parameters", "arguments"),
    [
        ("Where is order 4711?", {"number": INTEGER}, {"number": 4711}),
        ("Where is order 4711?", {"order_id": STRING}, {"order_id": "4711"}),
        (
            "Create a customer named '你好啊集团' (Hello Group)",
            {"customer_name": STRING},
            {"customer_name": "你好啊集团"},
        ),
        ("Make it dark blue", {"colour": {"enum": ["red", "dark_blue"]}}, {"colour": "dark_blue"}),
        ("2 adults and 1 child", {"children": INTEGER, "adults": INTEGER}, {"children": 1, "adults": 2}),
        ("to Rome from Oslo", {"origin": STRING, "destination": STRING}, {"origin": "Oslo", "destination": "Rome"}),
        ("Jane is 54", {"name": STRING, "age": INTEGER}, {"name": "Jane", "age": 54}),
        ("tomorrow at 7pm", {"date": STRING, "time": STRING}, {"date": "2026-11-21", "time": "19:00"}),
        ("See https://example.com/a.", {"page": STRING}, {"page": "https://example.com/a"}),
        ("Who wrote it?", {"query": STRING}, {"query": "Who wrote it?"}),
    ],
)
def test_rule_6_arguments_hold_the_values_of_the_question(
    ask: Ask, question: str, parameters: Json, arguments: Json
) -> None:
    tool = function("act", **parameters)
    assert calls(ask(question, tools=[tool], tool_choice="required")) == [("act", arguments)]


def test_rule_7_json_satisfies_its_schema(ask: Ask) -> None:
    schema = {
        "type": "object",
        "properties": {"nights": {"type": "integer", "minimum": 1}, "city": STRING, "mail": {"format": "email"}},
        "required": ["nights", "city", "mail"],
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "trip", "schema": schema}}
    trip = orjson.loads(ask("5 nights in Kyoto", response_format=wanted)["content"])
    jsonschema_rs.validate(schema, trip)
    assert [*trip.items()][:2] == [("nights", 5), ("city", "Kyoto")]


def test_rule_8_json_without_a_schema_has_the_keys_that_are_quoted(ask: Ask) -> None:
    plain = {"response_format": {"type": "json_object"}}
    asked = ask('Jason is 25. Reply in JSON with "name" and "age".', **plain)["content"]
    assert orjson.loads(asked) == {"name": "Jason", "age": 25}
    (answer,) = orjson.loads(ask("Tell me about cats in JSON", **plain)["content"]).items()
    assert answer[0] == "answer"
    assert "cats" in answer[1]


def test_rule_9_results_are_quoted(ask: Ask) -> None:
    question = "What is the weather in Paris and Tokyo?"
    message = ask(question, tools=[WEATHER])
    answer = ask(reply_to(question, message, "sunny, 23 °C", "word " * 100), tools=[WEATHER])["content"]
    assert "sunny, 23 °C" in answer
    assert answer.count("word") == 60


def test_rule_9_errors_are_regretted(session_url: str) -> None:
    use = {"type": "tool_use", "id": "t1", "name": "find_order", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": "no such order", "is_error": True}
    messages = [
        {"role": "user", "content": "Where is order 4711?"},
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [result]},
    ]
    body = {"model": "claude-sonnet-4-6", "max_tokens": 100, "messages": messages}
    answer = httpx2.post(f"{session_url}/v1/messages", json=body, headers={"x-api-key": KEY}, trust_env=False).json()
    assert re.search("sorry|unfortunately", answer["content"][0]["text"], re.IGNORECASE)
    assert "no such order" in answer["content"][0]["text"]


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("Reply with exactly: pong", "pong"),
        ("This is a test. Respond with only the word 'pong'.", "pong"),
        ("Say this is a test", "this is a test"),
        ("Please repeat: one, two", "one, two"),
        ("请只回复“收到”", "收到"),
    ],
)
def test_rule_10_the_text_asked_for_is_said(ask: Ask, question: str, text: str) -> None:
    assert ask(question)["content"] == text


def test_rule_11_everything_else_is_prose(ask: Ask) -> None:
    english, chinese = ask("Explain photosynthesis to a child")["content"], ask("为什么天空是蓝色的？")["content"]
    assert "photosynthesis" in english
    assert "天空" in chinese
    assert not re.search("[a-z]", chinese)
    assert len({ask("Explain photosynthesis", seed=seed)["content"] for seed in range(20)}) == 20
    assert re.match("Hello|Hi|Hey", ask("Hello!")["content"])
    assert "\n- " in ask("Give me a list of rivers")["content"]
    assert "```python\n" in ask("写一段排序代码")["content"]


def test_rule_12_thinking_keeps_its_budget(session_url: str) -> None:
    lengths = []
    for budget in (16, 64, 256, 2048):
        body: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": "Why do cats purr?"}]}]}
        body["generationConfig"] = {"thinkingConfig": {"thinkingBudget": budget, "includeThoughts": True}}
        url = f"{session_url}/v1beta/models/gemini-2.5-flash:generateContent"
        answer = httpx2.post(url, json=body, headers={"x-goog-api-key": KEY}, trust_env=False).json()
        lengths.append(answer["usageMetadata"]["thoughtsTokenCount"])
        assert 0 < lengths[-1] <= budget
    assert lengths == sorted(set(lengths))
