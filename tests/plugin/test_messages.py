"""The failure messages, line by line."""

from __future__ import annotations

import pytest

from aione_mock.testing.messages import GUIDE
from tests.plugin.test_fixtures import fails, suite

pytest_plugins = ["pytester"]
__all__ = ["suite"]
HEAD = """
import pytest
from helper import ask

"""


def read_failure(suite: pytest.Pytester, body: str) -> list[str]:
    """Return the lines that a test with this body shows when it fails."""
    lines = "\n".join("    " + line for line in body.strip().splitlines())
    return fails(suite, f"{HEAD}def test_it(aione_mock, aione_openai):\n{lines}\n")


def test_calls_of_another_kind(suite: pytest.Pytester) -> None:
    assert read_failure(
        suite,
        """
aione_mock.reply("Hello to you")
aione_mock.fail("rate_limit_exceeded", when={"text": "again"})
ask(aione_openai, "Where is my order?")
with pytest.raises(Exception):
    ask(aione_openai, "Where is it? I ask again.")
aione_openai.models.list()
aione_mock.assert_called("createChatCompletion", times=2, text="order")
""",
    ) == [
        "AssertionError: expected 2 calls to createChatCompletion with text 'order', found 1",
        "",
        "Calls in session 'test_it-1':",
        "1. POST /v1/chat/completions  → 200  gpt-5.4  “Where is my order?”",
        "matches",
        "2. POST /v1/chat/completions  → 429  “Where is it? I ask again.”",
        "the last user message 'Where is it? I ask again.' does not contain 'order'",
        "3. GET /v1/models  → 200",
        "operation is 'listModels', not 'createChatCompletion'",
        "the last user message '' does not contain 'order'",
        "",
        f"See {GUIDE}, “Inspecting calls”.",
    ]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("'listModels'", "at least 1 call to listModels"),
        ("'listModels', times=1", "1 call to listModels"),
        ("at_least=2, status=429", "at least 2 calls with status 429"),
        ("at_most=0, model=['gpt-*']", "at most 0 calls with model ['gpt-*']"),
        ("stream=True, when={'header': {'x-a': 'b'}}", "at least 1 call with header {'x-a': 'b'}, stream True"),
    ],
)
def test_what_was_expected(suite: pytest.Pytester, asked: str, expected: str) -> None:
    first = read_failure(suite, f"ask(aione_openai)\naione_mock.assert_called({asked})")[0]
    found = 1 if "at_most" in asked else 0
    assert first == f"AssertionError: expected {expected}, found {found}"


def test_no_call_at_all(suite: pytest.Pytester) -> None:
    assert read_failure(suite, "aione_mock.assert_called('listModels')") == [
        "AssertionError: expected at least 1 call to listModels, found 0; the session 'test_it-1' has received no call",
        "",
        f"See {GUIDE}, “Inspecting calls”.",
    ]
    lines = read_failure(suite, "aione_mock.last_call")
    assert lines[0] == "AssertionError: the session 'test_it-1' has received no call"
    assert lines[2].startswith("Its base URL is http://127.0.0.1:")
    assert lines[2].endswith("/_session/test_it-1. Does the code under test use it?")
    assert lines[3] == "The fixture aione_env sets it in the environment, for clients that are created after it."


def test_answers_left_over(suite: pytest.Pytester) -> None:
    assert read_failure(
        suite,
        """
aione_mock.reply("Hello")
aione_mock.reply("Five days.", when={"text": "refund"}, times=3)
aione_mock.stream_fault("cut", after=2)
aione_mock.fail("insufficient_balance", times=2, when={"text": "model list"})
aione_mock.reply("for everybody", times=None)
ask(aione_openai, "refund?")
ask(aione_openai, "a refund, please")
aione_openai.models.list()
aione_mock.assert_no_unused_replies()
""",
    ) == [
        "AssertionError: 3 of 4 prepared replies were not used up",
        "",
        "reply-2: reply “Five days.” when {'text': 'refund'}",
        "used 1 of 3 times",
        "call 1, POST /v1/chat/completions  → 200  gpt-5.4  “refund?”",
        "answered by reply-1, which has priority",
        "call 2, POST /v1/chat/completions  → 200  gpt-5.4  “a refund, please”",
        "answered by this reply",
        "call 3, GET /v1/models  → 200",
        "the last user message '' does not contain 'refund'",
        "",
        "stream_fault-1: stream_fault cut when {'stream': True}",
        "used 0 of 1 times",
        "call 1, POST /v1/chat/completions  → 200  gpt-5.4  “refund?”",
        "it asks for no stream",
        "call 2, POST /v1/chat/completions  → 200  gpt-5.4  “a refund, please”",
        "it asks for no stream",
        "call 3, GET /v1/models  → 200",
        "it asks for no stream",
        "",
        "fail-1: fail insufficient_balance when {'text': 'model list'}",
        "used 0 of 2 times",
        "call 1, POST /v1/chat/completions  → 200  gpt-5.4  “refund?”",
        "the last user message 'refund?' does not contain 'model list'",
        "call 2, POST /v1/chat/completions  → 200  gpt-5.4  “a refund, please”",
        "the last user message 'a refund, please' does not contain 'model list'",
        "call 3, GET /v1/models  → 200",
        "the last user message '' does not contain 'model list'",
        "",
        f"See {GUIDE}, “Preparing answers”.",
    ]


def test_an_answer_that_no_such_call_can_have(suite: pytest.Pytester) -> None:
    lines = read_failure(
        suite,
        "aione_mock.fault('cut_body', when={'stream': True})\nlist(ask(aione_openai, stream=True))\n"
        "aione_mock.assert_no_unused_replies()",
    )
    assert lines[:5] == [
        "AssertionError: 1 of 1 prepared replies was not used up",
        "",
        "fault-1: fault cut_body when {'stream': True}",
        "used 0 of 1 times",
        "call 1, POST /v1/chat/completions  → 200  gpt-5.4  streamed  “Hello”",
    ]
    assert lines[5].startswith("its conditions are met, but this reply is not possible for it: an error must be one")


def test_of_many_calls_the_last_are_told(suite: pytest.Pytester) -> None:
    lines = read_failure(suite, "for n in range(25): ask(aione_openai, str(n))\naione_mock.assert_called('listModels')")
    assert lines[3] == "… 5 earlier calls"
    assert lines[4].startswith("6. ")
    assert len([line for line in lines if line.startswith("operation is")]) == 20


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("fail('rate_limted')", "fail rate_limted: unknown error 'rate_limted'; did you mean 'rate_limit_exceeded'?"),
        ("stream_fault('cut', aftr=5)", "stream_fault cut: unknown member 'aftr'; did you mean 'after'?"),
        ("stream_fault('cutt')", "stream_fault cutt: unknown value 'cutt'; did you mean 'cut'?"),
        ("awkward('fenced_jsn')", "awkward fenced_jsn: unknown value 'fenced_jsn'; did you mean 'fenced_json'?"),
        (
            "reply('x', when={'modle': 'y'})",
            "reply “x”: unknown member 'modle'; did you mean 'model'?",
        ),
        (
            "reply('x', when={'operation': 'createChat'})",
            "reply “x”: unknown operation 'createChat'; did you mean 'createChatCompletion'?",
        ),
        ("reply('x', json={})", "reply “x” json={}: 'text' and 'json' exclude each other"),
        ("advance('soon')", "'soon' is not a duration such as 250ms, 61s, 15m, 2h or 30d"),
        ("freeze('soon')", "'soon' is not an ISO 8601 time such as 2026-01-31T09:00:00Z"),
        ("pace(ttft=-1)", "pace ttft=-1: *"),
        (
            "assert_called('createChatCompletio')",
            "unknown operation 'createChatCompletio'; did you mean 'createChatCompletion'?",
        ),
    ],
)
def test_a_slip_is_told_where_it_is_made(suite: pytest.Pytester, line: str, message: str) -> None:
    lines = read_failure(suite, f"aione_mock.{line}")
    kind, _, told = lines[0].partition(": ")
    assert kind in ("aione_mock.errors.ScenarioError", "aione_mock.errors.ConfigError")
    assert told == message or (message.endswith("*") and told.startswith(message[:-1]))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("reply()", "reply() needs a text, tool_calls, json, chunks or body"),
        (
            "reply(tool_calls='find_order')",
            "reply() takes tool_calls such as {'find_order': {'number': 7}}, not the text 'find_order'",
        ),
        ("reply(chunks='Five')", "reply() takes chunks such as ['Five ', 'days.'], not the text 'Five'"),
        (
            "reply({'city': 'Paris'})",
            "reply() takes a text; use json= for other values: reply(json={'city': 'Paris'})",
        ),
        ("pace()", "pace() needs instant, realistic, ttft, tps, jitter or tail"),
        (
            "assert_called(modle='x')",
            "assert_called() has no option 'modle'; did you mean 'model'? It takes model, key, team, header, text, "
            "pattern, tool_offered, tool_result, stream, body, times, at_least, at_most, status, when",
        ),
        ("assert_order('listModels')", 'assert_order() takes a list such as ["listModels"], not a text'),
        ("assert_tool_trajectory([7])", "assert_tool_trajectory() takes names, and pairs of name and arguments, not 7"),
        ("assert_cost(max_rmb='five')", "assert_cost() takes a number such as max_rmb='0.05', not 'five'"),
    ],
)
def test_a_misspelt_option_is_a_type_error(suite: pytest.Pytester, line: str, message: str) -> None:
    assert read_failure(suite, f"aione_mock.{line}") == [f"TypeError: {message}"]


def test_a_failure_shows_the_test_not_the_plugin(suite: pytest.Pytester) -> None:
    suite.makepyfile(test_it="def test_it(aione_mock):\n    aione_mock.assert_called('listModels')\n")
    result = suite.runpytest()
    result.stdout.fnmatch_lines([">*aione_mock.assert_called('listModels')"])
    assert not [line for line in result.outlines if "aione_mock/testing" in line]


@pytest.mark.parametrize("line", ["assert_called(modle='x')", "advance('soon')", "reply(chunks='x')", "pace('slow')"])
def test_a_slip_shows_the_test_not_the_plugin(suite: pytest.Pytester, line: str) -> None:
    suite.makepyfile(test_it=f"def test_it(aione_mock):\n    aione_mock.{line}\n")
    result = suite.runpytest()
    result.stdout.fnmatch_lines([f">*aione_mock.{line}"])
    assert not [line for line in result.outlines if "aione_mock/" in line]
