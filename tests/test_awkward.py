"""Awkward answers: each by its name, over sockets in all three protocols, plain and streamed, and their laws."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import jsonschema_rs
import openai
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aione_mock.clock import parse_instant
from aione_mock.model import awkward
from aione_mock.model.answers import count_usage
from aione_mock.model.near_misses import violate_schema
from aione_mock.protocols import anthropic, gemini
from aione_mock.protocols import openai as openai_protocol
from aione_mock.scenarios.awkward import AWKWARD_ANSWERS
from aione_mock.seed import Seed
from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings
from aione_mock.structs import replace
from aione_mock.text.sse import decode
from aione_mock.types import Completion, Prompt
from tests.conftest import KEY, NOW
from tests.protocols.completions import body_problems, call, contract, event_problems, look, read_events

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
QUESTION = "Which city has the best lamps, and in how many days are they here?"
PROTOCOLS = {"openai": openai_protocol, "anthropic": anthropic, "gemini": gemini}
OPERATIONS = {
    "openai": ("createChatCompletion", "createChatCompletion"),
    "anthropic": ("createMessage", "createMessage"),
    "gemini": ("generateContent", "streamGenerateContent"),
}
FILTERED = {"openai": "content_filter", "anthropic": "refusal", "gemini": "SAFETY"}
CUT = {"openai": "length", "anthropic": "max_tokens", "gemini": "MAX_TOKENS"}
CALLED = {"openai": "tool_calls", "anthropic": "tool_use", "gemini": "STOP"}
STOPPED = {"openai": "stop", "anthropic": "end_turn", "gemini": "STOP"}
NEEDS = {name: {answer.needs} - {None} for name, answer in AWKWARD_ANSWERS.items()}


def make_body(protocol: str, needs: set[str], question: str = QUESTION, schema: Any = SCHEMA, **more: Any) -> Any:
    """Return a request that has what an awkward answer needs."""
    described = {"name": "plan_trip", "description": "Plan a trip."}
    if protocol == "openai":
        tools = {"tools": [{"type": "function", "function": {**described, "parameters": schema}}]}
        form = {"type": "json_schema", "json_schema": {"name": "trip", "schema": schema}}
        return {
            "model": "gpt-5.4",
            "messages": [{"role": "user", "content": question}],
            **(tools if "tools" in needs else {}),
            **({"response_format": form} if "schema" in needs else {}),
            **({"reasoning_effort": "low"} if "thinking" in needs else {}),
            **more,
        }
    if protocol == "anthropic":
        return {
            "model": "claude-sonnet-4-6",
            "max_tokens": 20_000,
            "messages": [{"role": "user", "content": question}],
            **({"tools": [{**described, "input_schema": schema}]} if "tools" in needs else {}),
            **({"output_config": {"format": {"type": "json_schema", "schema": schema}}} if "schema" in needs else {}),
            **({"thinking": {"type": "enabled", "budget_tokens": 1024}} if "thinking" in needs else {}),
            **more,
        }
    settings: dict[str, Any] = {"responseMimeType": "application/json", "responseJsonSchema": schema}
    settings = settings if "schema" in needs else {}
    settings |= {"thinkingConfig": {"includeThoughts": True}} if "thinking" in needs else {}
    tool = {"functionDeclarations": [{**described, "parametersJsonSchema": schema}]}
    return {
        "contents": [{"role": "user", "parts": [{"text": question}]}],
        **({"tools": [tool]} if "tools" in needs else {}),
        **({"generationConfig": settings} if settings else {}),
        **more,
    }


def read(protocol: str, body: Any) -> tuple[str, list[tuple[str, Any]], str]:
    """Return text, calls and finish reason of a plain answer."""
    if protocol == "openai":
        choice = body["choices"][0]
        message = choice["message"]
        calls = [(c["function"]["name"], c["function"]["arguments"]) for c in message.get("tool_calls", ())]
        return message["content"] or "", calls, choice["finish_reason"]
    if protocol == "anthropic":
        text = "".join(block["text"] for block in body["content"] if block["type"] == "text")
        calls = [(block["name"], block["input"]) for block in body["content"] if block["type"] == "tool_use"]
        return text, calls, body["stop_reason"]
    candidate = body["candidates"][0]
    parts = [part for part in candidate["content"]["parts"] if not part.get("thought")]
    calls = [(part["functionCall"]["name"], part["functionCall"]["args"]) for part in parts if "functionCall" in part]
    return "".join(part.get("text", "") for part in parts), calls, candidate["finishReason"]


@pytest.fixture(scope="module")
def strict() -> Iterator[Server]:
    """A mock that answers 500 instead of anything against the contract."""
    with Server(create_app(Settings(now=parse_instant(NOW), check_answers="strict"))) as running:
        yield running


@pytest.fixture
def client(strict: Server) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=strict.url, headers={"authorization": f"Bearer {KEY}"}, timeout=30) as found:
        yield found
        found.post("/_mock/sessions/default/reset")


def ask(client: httpx2.Client, protocol: str, body: Any, *, stream: bool = False, scenario: str = "") -> Any:
    """Return the answer; of a stream the one that its events add up to."""
    headers = {"x-mock-scenario": scenario} if scenario else {}
    if protocol == "gemini":
        verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
        path = f"/v1beta/models/gemini-2.5-flash:{verb}"
    else:
        path = "/v1/chat/completions" if protocol == "openai" else "/v1/messages"
        body = {**body, "stream": True} if stream else body
        if stream and protocol == "openai":
            body["stream_options"] = {"include_usage": True}
    answer = client.post(path, json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    if not stream:
        return answer.json()
    grammar = contract().operations[OPERATIONS[protocol][1]].stream
    events = list(decode([answer.content]))
    assert grammar.find_problems(events) == []
    folded = grammar.fold(events)
    if protocol == "openai":
        folded["usage"] = orjson.loads(events[-2].data)["usage"]
    return folded


def remove_ids(protocol: str, body: Any) -> Any:
    """Return an answer without what is another for each call."""
    text, calls, finish = read(protocol, body)
    return text, calls, finish, body.get("usage") or body["usageMetadata"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", AWKWARD_ANSWERS)
def test_plain_and_streamed_say_the_same_and_keep_the_contract(client: httpx2.Client, name: str, protocol: str) -> None:
    body = make_body(protocol, NEEDS[name])
    plain = ask(client, protocol, body, scenario=name)
    streamed = ask(client, protocol, body, stream=True, scenario=name)
    assert remove_ids(protocol, streamed) == remove_ids(protocol, plain)
    entries = client.get("/_mock/journal").json()["items"]
    assert [entry["scenario"] for entry in entries] == [name, name]
    assert not any(entry["finding"] for entry in entries)
    usage = plain.get("usage") or plain["usageMetadata"]
    booked = entries[0]["usage"]
    outputs = ("completion_tokens", "output_tokens", "candidatesTokenCount")
    said = next(usage[key] for key in outputs if key in usage) + usage.get("thoughtsTokenCount", 0)
    assert booked["completion"] == said


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_answers_in_words(client: httpx2.Client, protocol: str) -> None:
    def say(name: str, question: str = QUESTION) -> tuple[str, str]:
        text, calls, finish = read(protocol, ask(client, protocol, make_body(protocol, set(), question), scenario=name))
        assert calls == []
        return text, finish

    ordinary = read(protocol, ask(client, protocol, make_body(protocol, set())))[0]
    assert say("refusal")[0] in awkward._load_words()["en"]["refusal"]
    assert say("refusal", "请介绍一下杭州。")[0] in awkward._load_words()["zh"]["refusal"]
    filtered, finish = say("content_filter")
    assert ordinary.startswith(filtered)
    assert 0 < len(filtered) < len(ordinary)
    assert finish == FILTERED[protocol]
    assert say("empty_answer") == ("", STOPPED[protocol])
    assert say("whitespace_only")[0].strip() == "" != say("whitespace_only")[0]
    assert len(say("very_long")[0].encode()) > 65_535
    assert any(0x590 <= ord(char) < 0x700 for char in say("right_to_left")[0])
    assert any(0x300 <= ord(char) < 0x370 for char in say("combining_characters")[0])
    assert "\u4e00" <= say("wrong_language")[0][0] < "\ua000"
    assert say("wrong_language", "请介绍一下杭州的天气。")[0].isascii()
    assert say("echoed_prompt")[0] == QUESTION
    assert "10.5555" in say("hallucinated_citation")[0] or "example.org" in say("hallucinated_citation")[0]
    own = {"openai": "ChatGPT", "anthropic": "Claude", "gemini": "Gemini"}[protocol]
    assert own not in say("wrong_model_name")[0]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_answers_in_json(client: httpx2.Client, protocol: str) -> None:
    body = make_body(protocol, {"schema"})
    plain = orjson.loads(read(protocol, ask(client, protocol, body))[0])
    fenced = read(protocol, ask(client, protocol, body, scenario="fenced_json"))[0]
    assert orjson.loads(fenced.removeprefix("```json\n").removesuffix("\n```")) == plain
    assert len(fenced.splitlines()) == 6
    comma = read(protocol, ask(client, protocol, body, scenario="trailing_comma_json"))[0]
    assert orjson.loads(comma.replace(",}", "}")) == plain
    cut, _, finish = read(protocol, ask(client, protocol, body, scenario="truncated_json"))
    assert (orjson.dumps(plain).decode().startswith(cut), finish) == (True, CUT[protocol])
    missed = orjson.loads(read(protocol, ask(client, protocol, body, scenario="almost_schema"))[0])
    assert not jsonschema_rs.is_valid(SCHEMA, missed)
    assert len({*missed} & {*plain}) >= 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_calls_of_tools(client: httpx2.Client, protocol: str) -> None:
    body = make_body(protocol, {"tools"})

    def call_tools(name: str) -> tuple[str, list[tuple[str, Any]], str]:
        return read(protocol, ask(client, protocol, body, scenario=name))

    _, [(invented, _)], finish = call_tools("invented_tool")
    assert (invented != "plan_trip", finish) == (True, CALLED[protocol])
    text, calls, _ = call_tools("tool_and_text")
    assert text
    assert [name for name, _ in calls] == ["plan_trip"]
    _, [(name, arguments)], _ = call_tools("arguments_against_schema")
    arguments = orjson.loads(arguments) if isinstance(arguments, str) else arguments
    assert (name, jsonschema_rs.is_valid(SCHEMA, arguments)) == ("plan_trip", False)
    _, calls, finish = call_tools("arguments_not_json")
    if protocol == "gemini":
        assert (calls, finish) == ([], "MALFORMED_FUNCTION_CALL")
        return
    ((name, broken),) = calls
    broken = broken if protocol == "openai" else broken["INVALID_JSON"]
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(broken)
    assert (name, finish) == ("plan_trip", CALLED[protocol])


def test_the_same_tool_is_called_with_the_same_arguments_whatever_it_returns(client: httpx2.Client) -> None:
    body = make_body("openai", {"tools"})
    seen = set()
    for _ in range(4):
        message = ask(client, "openai", body, scenario="same_tool_again")["choices"][0]["message"]
        (made,) = message["tool_calls"]
        seen.add((made["function"]["name"], made["function"]["arguments"]))
        result = {"role": "tool", "tool_call_id": made["id"], "content": "Booked."}
        body = {**body, "messages": [*body["messages"], {**message, "refusal": None}, result]}
    assert len(seen) == 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_thinking_without_an_answer(client: httpx2.Client, protocol: str) -> None:
    body = ask(client, protocol, make_body(protocol, {"thinking"}), scenario="thinking_only")
    assert read(protocol, body) == ("", [], CUT[protocol])
    assert "think" in str(body).lower() or "reason" in str(body).lower()


def test_a_refusal_stands_in_its_own_member_where_a_schema_was_to_be_followed(client: httpx2.Client) -> None:
    body = make_body("openai", {"schema"})
    for stream in (False, True):
        message = ask(client, "openai", body, stream=stream, scenario="refusal")["choices"][0]["message"]
        assert message["content"] is None
        assert message["refusal"]
    message = ask(client, "openai", make_body("openai", set()), scenario="refusal")["choices"][0]["message"]
    assert (message["content"] != "", message["refusal"]) == (True, None)


def test_emoji_end_within_a_character_between_two_events(strict: Server) -> None:
    with openai.OpenAI(base_url=f"{strict.url}/v1", api_key=KEY, max_retries=0) as client:
        chunks = client.chat.completions.create(
            **make_body("openai", set()), stream=True, extra_headers={"x-mock-scenario": "split_emoji"}
        )
        pieces = [chunk.choices[0].delta.content or "" for chunk in chunks]
    assert "\u200d" in pieces
    assert all(len(piece) <= 1 for piece in pieces)


@pytest.mark.parametrize("name", [name for name, needs in NEEDS.items() if needs])
def test_a_request_without_what_an_answer_needs_is_told_so_and_rules_pass_over_it(
    client: httpx2.Client, name: str
) -> None:
    body = make_body("openai", set())
    refused = client.post("/v1/chat/completions", json=body, headers={"x-mock-scenario": name})
    assert refused.status_code == 400
    assert refused.json()["error"]["message"].startswith(f"'{name}' needs ")
    client.put("/_mock/rules", json={"rules": [{"id": "awkward", "then": {"awkward": name, "times": 1}}]})
    assert ask(client, "openai", body)["choices"][0]["finish_reason"] == "stop"
    entry = client.get("/_mock/journal").json()["items"][0]
    nearest = client.get(f"/_mock/journal/{entry['number']}").json()["explain"]["nearest"]
    assert nearest["reasons"][0].startswith(f"'{name}' needs ")
    # the rule still waits for its call
    ask(client, "openai", make_body("openai", NEEDS[name]))
    assert client.get("/_mock/journal").json()["items"][0]["scenario"] == name


def test_tools_that_may_not_be_called_are_none(client: httpx2.Client) -> None:
    body = {**make_body("openai", {"tools"}), "tool_choice": "none"}
    refused = client.post("/v1/chat/completions", json=body, headers={"x-mock-scenario": "invented_tool"})
    assert refused.status_code == 400


def test_other_operations_have_no_awkward_answers(client: httpx2.Client) -> None:
    body = make_body("anthropic", set())
    del body["max_tokens"]
    refused = client.post("/v1/messages/count_tokens", json=body, headers={"x-mock-scenario": "refusal"})
    assert refused.status_code == 400
    message = refused.json()["error"]["message"]
    assert message == "countMessageTokens calls no model, so it cannot answer 'refusal'"


def test_the_catalogue_says_what_each_needs(client: httpx2.Client) -> None:
    items = client.get("/_mock/scenarios", params={"kind": "awkward"}).json()["items"]
    assert {item["name"]: item.get("needs") for item in items} == {a.name: a.needs for a in AWKWARD_ANSWERS.values()}


def test_a_rule_has_one_answer(client: httpx2.Client) -> None:
    then = {"awkward": "refusal", "reply": {"text": "Yes."}}
    refused = client.put("/_mock/rules", json={"rules": [{"then": then}]})
    assert "'reply' and 'awkward' exclude each other" in refused.json()["error"]["message"]
    headers = {"x-mock-scenario": "refusal, empty_answer"}
    refused = client.post("/v1/chat/completions", json=make_body("openai", set()), headers=headers)
    assert "has more than one awkward answer" in refused.json()["error"]["message"]


def test_every_name_has_a_composer_and_stands_in_the_contract() -> None:
    assert [*awkward._COMPOSERS] == [*AWKWARD_ANSWERS]
    document = contract().documents["control.yaml"]
    assert document["components"]["schemas"]["AwkwardName"]["enum"] == [*AWKWARD_ANSWERS]


# Laws

names = st.sampled_from(sorted(AWKWARD_ANSWERS))
protocols = st.sampled_from(sorted(PROTOCOLS))
questions = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60) | st.sampled_from(
    ["Say hello.", "请用中文回答。", 'Give "name" and "price" as JSON.', "Book a trip to Oslo for 3 days."]
)
properties = st.dictionaries(
    st.text("abcdefgh_", min_size=1, max_size=8),
    st.sampled_from(
        [
            {"type": "string"},
            {"type": "integer"},
            {"type": "boolean"},
            {"enum": ["red", "green"]},
            {"type": "array", "items": {"type": "number"}, "minItems": 1},
            {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]},
        ]
    ),
    max_size=4,
)
schemas = st.builds(
    lambda members, closed: {
        "type": "object",
        "properties": members,
        "required": [*members],
        **({"additionalProperties": False} if closed else {}),
    },
    properties,
    st.booleans(),
)
limits = st.none() | st.integers(1, 60)


def compose(protocol: str, name: str, data: Any, number: int, *, stream: bool) -> tuple[Any, Completion, Prompt]:
    """Return the call, the completion and the prompt of an awkward answer."""
    asked = call(OPERATIONS[protocol][stream], data, model="gemini-2.5-flash", alt="sse")
    prompt = PROTOCOLS[protocol].read_prompt(asked, look)
    choices = tuple(
        replace(choice, tool_calls=tuple(replace(tool, id=f"a{place}") for place, tool in enumerate(choice.tool_calls)))
        for choice in awkward.compose_awkward(name, prompt, Seed.of(number), 20_000)
    )
    return asked, Completion("abc", 1, prompt.model, choices, count_usage(7, choices, {})), prompt


@given(names, protocols, questions, schemas, limits, st.integers(0, 9), st.sampled_from([set(), {"schema"}]))
def test_the_events_of_every_awkward_answer_add_up_to_the_plain_one(
    name: str, protocol: str, question: str, schema: Any, limit: int | None, number: int, more: set[str]
) -> None:
    data = make_body(protocol, NEEDS[name] | more, question, schema)
    if limit is not None and NEEDS[name] != {"thinking"}:
        if protocol == "gemini":
            data.setdefault("generationConfig", {})["maxOutputTokens"] = limit
        else:
            data["max_tokens"] = limit
    asked, completion, prompt = compose(protocol, name, data, number, stream=False)
    plain = orjson.loads(PROTOCOLS[protocol].render_body(completion, asked))
    assert body_problems(contract().operations[OPERATIONS[protocol][0]], plain) == []
    data = {**data, "stream": True} if protocol != "gemini" else data
    asked, completion, _ = compose(protocol, name, data, number, stream=True)
    operation = contract().operations[OPERATIONS[protocol][1]]
    events = read_events(PROTOCOLS[protocol].render_stream(completion, asked))
    assert operation.stream.find_problems(events) == []
    assert event_problems(operation, events) == []
    folded = operation.stream.fold(events)
    if protocol == "openai":
        del plain["usage"]
    assert folded == plain
    assert prompt.max_tokens is None or completion.usage.completion <= prompt.max_tokens


@given(schemas, st.integers(0, 99))
def test_a_near_miss_violates_the_schema_if_anything_can(schema: Any, number: int) -> None:
    from aione_mock.generator import generate

    value = generate(schema, Seed.of(number))
    changed = violate_schema(value, schema, Seed.of(number))
    assert jsonschema_rs.is_valid(schema, value)
    possible = bool(schema["properties"]) or "additionalProperties" in schema
    assert jsonschema_rs.is_valid(schema, changed) is not possible


@given(questions, schemas, st.integers(0, 99))
def test_broken_and_cut_json_is_no_json(question: str, schema: Any, number: int) -> None:
    data = make_body("openai", {"tools", "schema"}, question, schema)
    for name in ("truncated_json", "trailing_comma_json", "fenced_json", "arguments_not_json"):
        _, completion, _ = compose("openai", name, data, number, stream=False)
        choice = completion.choices[0]
        text = choice.tool_calls[0].arguments if choice.tool_calls else choice.text.text
        with pytest.raises(orjson.JSONDecodeError):
            orjson.loads(text)


@given(names, protocols, st.integers(0, 9))
def test_the_same_seed_says_the_same(name: str, protocol: str, number: int) -> None:
    data = make_body(protocol, NEEDS[name])
    first = compose(protocol, name, data, number, stream=False)[1]
    assert compose(protocol, name, data, number, stream=False)[1] == first
