"""Assertions about what was said, over all protocols, plain and streamed; and snapshots."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aione_mock.testing import MockServer, MockSession, start_server
from aione_mock.testing.messages import GUIDE
from aione_mock.testing.sdk_clients import make_anthropic_client, make_openai_client
from aione_mock.testing.snapshots import Snapshots
from tests.plugin.test_fixtures import suite
from tests.plugin.test_messages import read_failure

pytest_plugins = ["pytester"]
__all__ = ["suite"]
SCHEMA = {"type": "object", "properties": {"number": {"type": "integer"}}, "required": ["number"]}
Turn = Callable[[MockSession, bool], None]


@pytest.fixture(scope="module")
def host() -> Iterator[MockServer]:
    with start_server() as running:
        yield running


@pytest.fixture
def mock(host: MockServer) -> Iterator[MockSession]:
    with host.session() as session:
        session.reply(tool_calls={"find_order": {"number": 7}})
        session.reply(tool_calls=[{"name": "refund", "arguments": {"number": number}} for number in (7, 8)])
        session.reply("Done.")
        yield session


def talk_openai(mock: MockSession, stream: bool) -> None:
    tools: Any = [{"type": "function", "function": {"name": n, "parameters": SCHEMA}} for n in ("find_order", "refund")]
    messages: list[Any] = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Refund order 7"}]
    with make_openai_client(mock) as client:
        for _ in range(3):
            if stream:
                with client.chat.completions.stream(model="gpt-5.4", messages=messages, tools=tools) as events:
                    answer = events.get_final_completion().choices[0].message
            else:
                answer = (
                    client.chat.completions.create(model="gpt-5.4", messages=messages, tools=tools).choices[0].message
                )
            messages.append({"role": "assistant", "content": answer.content})
            if answer.tool_calls:
                messages[-1]["tool_calls"] = [
                    {
                        "id": c.id,
                        "type": "function",
                        "function": {"name": c.function.name, "arguments": c.function.arguments},
                    }
                    for c in answer.tool_calls
                ]
            messages += [{"role": "tool", "tool_call_id": c.id, "content": "ok"} for c in answer.tool_calls or ()]


def talk_anthropic(mock: MockSession, stream: bool) -> None:
    tools: Any = [{"name": name, "input_schema": SCHEMA} for name in ("find_order", "refund")]
    messages: list[Any] = [{"role": "user", "content": "Refund order 7"}]
    asked: dict[str, Any] = {"model": "claude-sonnet-4-6", "max_tokens": 500, "system": "Be kind.", "tools": tools}
    with make_anthropic_client(mock) as client:
        for _ in range(3):
            if stream:
                with client.messages.stream(messages=messages, **asked) as events:
                    blocks = events.get_final_message().content
            else:
                blocks = client.messages.create(messages=messages, **asked).content
            messages.append({"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in blocks]})
            uses = [block for block in blocks if block.type == "tool_use"]
            results = [{"type": "tool_result", "tool_use_id": use.id, "content": "ok"} for use in uses]
            messages.append({"role": "user", "content": results or "Thanks"})


def talk_gemini(mock: MockSession, stream: bool) -> None:
    from google import genai
    from google.genai import types

    options = types.HttpOptions(base_url=mock.base_url, api_version="v1beta")
    client = genai.Client(api_key=mock.api_key, http_options=options)
    functions: Any = [{"name": name, "parameters_json_schema": SCHEMA} for name in ("find_order", "refund")]
    config = types.GenerateContentConfig(
        system_instruction="Be kind.",
        tools=[types.Tool(function_declarations=functions)],
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    chat = client.chats.create(model="gemini-2.5-flash", config=config)
    message: Any = "Refund order 7"
    for _ in range(3):
        if stream:
            calls = [call for chunk in chat.send_message_stream(message) for call in chunk.function_calls or ()]
        else:
            calls = chat.send_message(message).function_calls or []
        message = [types.Part.from_function_response(name=c.name or "", response={"result": "ok"}) for c in calls]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("talk", [talk_openai, talk_anthropic, talk_gemini])
def test_the_same_conversation_in_every_protocol(mock: MockSession, tmp_path: Path, talk: Turn, stream: bool) -> None:
    talk(mock, stream)
    mock.assert_tool_trajectory(["find_order", "refund", "refund"])
    mock.assert_tool_trajectory([("find_order", {"number": 7}), "refund", ("refund", {"number": 8})])
    with pytest.raises(AssertionError, match="the application ran find_order, refund, refund"):
        mock.assert_tool_trajectory(["find_order", ("refund", {"number": 8}), "refund"])
    mock.assert_prompt(contains=["Refund", "ok"], matches=r"order \d", system="kind")
    with pytest.raises(AssertionError, match="the system message does not contain 'Refund'"):
        mock.assert_prompt(system="Refund")
    mock.assert_schema()
    mock.assert_tokens(max_total=sum(call.usage.prompt + call.usage.completion for call in mock.calls if call.usage))
    costs = [call.cost for call in mock.calls]
    total = sum(cost for cost in costs if cost)
    assert all(costs)
    mock.assert_cost(max_rmb=total)
    with pytest.raises(AssertionError, match=rf"expected at most 0\.0001 RMB, used {total} RMB"):
        mock.assert_cost(max_rmb="0.0001")
    with pytest.raises(TypeError, match="a float is not exact"):
        mock.assert_cost(max_rmb=0.5)  # type: ignore[arg-type]
    mock.assert_strict()
    mock.snapshots = Snapshots(tmp_path / "test_it.py", "talk", update=True)
    mock.assert_matches_snapshot()
    text = (tmp_path / "__snapshots__/test_it/talk.yaml").read_text()
    assert text.count("refund:\n        number: 8") == 1, text
    assert "text: Done." in text
    assert mock.api_key not in text


def test_answers_that_break_their_schema(host: MockServer) -> None:
    with host.session() as mock, make_openai_client(mock) as client:
        mock.reply(tool_calls={"find_order": {"number": "seven"}})
        mock.reply(tool_calls={"invent": {}})
        mock.reply("no JSON")
        messages: Any = [{"role": "user", "content": "Hello"}]
        tools: Any = [{"type": "function", "function": {"name": "find_order", "parameters": SCHEMA}}]
        wanted: Any = {"type": "json_schema", "json_schema": {"name": "order", "schema": SCHEMA}}
        for _ in range(2):
            client.chat.completions.create(model="gpt-5.4", messages=messages, tools=tools)
        client.chat.completions.create(model="gpt-5.4", messages=messages, response_format=wanted)
        with pytest.raises(AssertionError) as error:
            mock.assert_schema()
    for line in (
        "3 of 3 answers violate what the request asked for",
        'arguments of find_order: number: "seven" is not of type "integer"',
        "the tool 'invent' is none of find_order",
        "the answer is not JSON: ",
    ):
        assert line in str(error.value)


def test_order(suite: pytest.Pytester) -> None:
    assert read_failure(
        suite,
        """
ask(aione_openai, "one")
aione_openai.models.list()
ask(aione_openai, "two")
aione_mock.assert_order(["createChatCompletion", "listModels", {"text": "two"}])
aione_mock.assert_order([{"text": "two"}, {"text": "one"}])
""",
    ) == [
        "AssertionError: step 2 of 2 did not come after call 3: text 'one'",
        "",
        "step 1: call 3",
        "",
        "Calls in session 'test_it-1':",
        "1. POST /v1/chat/completions  → 200  gpt-5.4  “one”",
        "matches, but came before",
        "2. GET /v1/models  → 200",
        "the last user message '' does not contain 'one'",
        "3. POST /v1/chat/completions  → 200  gpt-5.4  “two”",
        "the last user message 'two' does not contain 'one'",
        "",
        f"See {GUIDE}, “Inspecting calls”.",
    ]


def test_too_many_tokens(suite: pytest.Pytester) -> None:
    lines = read_failure(suite, "ask(aione_openai, 'one')\naione_mock.assert_tokens(max_prompt=100, max_completion=2)")
    assert lines[0].startswith("AssertionError: expected at most 2, used ")
    assert lines[0].endswith(" completion tokens")
    assert "8 prompt tokens" in lines[4]


def test_snapshots(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        test_it="""
        import os
        from helper import ask

        def test_talk(aione, aione_openai):
            aione.reply("Five days.")
            ask(aione_openai, os.environ["QUESTION"])
            aione.assert_matches_snapshot()
        """
    )
    path = suite.path / "__snapshots__" / "test_it" / "test_talk.yaml"

    def run(question: str, *options: str) -> pytest.RunResult:
        suite._monkeypatch.setenv("QUESTION", question)
        return suite.runpytest("-p", "no:cacheprovider", *options)

    first = run("A refund")
    first.assert_outcomes(failed=1)
    first.stdout.fnmatch_lines(["E*there is no snapshot __snapshots__/test_it/test_talk.yaml yet"])
    run("A refund", "--aione-mock-update-snapshots").assert_outcomes(passed=1)
    assert "- user: A refund" in path.read_text()
    run("A refund").assert_outcomes(passed=1)
    changed = run("A credit")
    changed.assert_outcomes(failed=1)
    changed.stdout.fnmatch_lines(
        ["E*-*user: A refund", "E*+*user: A credit", "E*pytest --aione-mock-update-snapshots*"]
    )
