"""Verdicts over the journal, and the exchanges that nearly count."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import KEY, Client

CHAT = {"operation": "createChatCompletion"}
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture
def called(api: Client) -> Client:
    """Six calls: 1 and 2 to one model, 3 to another, 4 a stream, 5 without a key, 6 to nowhere."""
    api.chat("first refund")
    api.chat("second", headers={"x-user": "Ada"})
    api.chat("third", model="gpt-5.2", tools=[TOOL])
    api.chat("fourth", stream=True)
    api.post("/v1/chat/completions", json={"model": "gpt-5.4", "messages": []})
    api.get("/nowhere")
    return api


@pytest.mark.parametrize(
    ("when", "matches"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        (CHAT, [1, 2, 3, 4, 5]),
        ({"operation": ["listModels", "create*"]}, [1, 2, 3, 4, 5]),
        ({"model": "gpt-5.2"}, [3]),
        ({"model": "gpt-5.4"}, [1, 2, 4, 5]),
        ({"key": "Demo"}, [1, 2, 3, 4]),
        ({"header": {"X-User": "a*"}}, []),
        ({"header": {"X-User": "A*"}}, [2]),
        ({"text": "REFUND"}, [1]),
        ({"pattern": "^(first|fourth)"}, [1, 4]),
        ({"stream": True}, [4]),
        ({"tool_offered": "get_*"}, [3]),
        ({"body": {"/messages/0/content": "*ir*"}}, [1, 3]),
        ({"or": [{"text": "second"}, {"text": "third"}], "not": [{"model": "gpt-5.2"}]}, [2]),
    ],
)
def test_calls_are_counted_as_rules_would_see_them(called: Client, when: Any, matches: list[int]) -> None:
    verdict = called.ok("POST", "verify", {"when": when, "exactly": len(matches)})
    assert verdict == {**verdict, "passed": True, "count": len(matches), "matches": matches, "nearest": []}


@pytest.mark.parametrize(
    ("numbers", "passed"),
    [
        ({}, True), ({"exactly": 5}, True), ({"exactly": 4}, False), ({"exactly": 0}, False),
        ({"at_least": 5}, True), ({"at_least": 6}, False), ({"at_most": 5}, True), ({"at_most": 4}, False),
        ({"at_least": 1, "at_most": 9}, True), ({"at_least": 6, "at_most": 9}, False), ({"at_most": 0}, False),
    ],
)  # fmt: skip
def test_numbers(called: Client, numbers: dict[str, int], passed: bool) -> None:
    assert called.ok("POST", "verify", {"when": CHAT, **numbers})["passed"] is passed


def test_the_nearest_misses_come_with_reasons(called: Client) -> None:
    verdict = called.ok("POST", "verify", {"when": {**CHAT, "model": "gpt-5.2", "text": "third"}, "exactly": 2})
    assert (verdict["passed"], verdict["count"], verdict["matches"]) == (False, 1, [3])
    assert verdict["message"] == (
        "expected exactly 2 calls to createChatCompletion with model 'gpt-5.2', text 'third', found 1"
    )
    assert [miss["number"] for miss in verdict["nearest"]] == [5, 4, 2, 1, 6]
    assert verdict["nearest"][1] == {
        "number": 4,
        "satisfied": 1,
        "reasons": ["model is 'gpt-5.4', not 'gpt-5.2'", "the last user message 'fourth' does not contain 'third'"],
    }


def test_too_many_have_no_near_misses(called: Client) -> None:
    verdict = called.ok("POST", "verify", {"when": CHAT, "at_most": 2})
    assert (verdict["passed"], verdict["nearest"]) == (False, [])
    assert verdict["message"] == "expected at most 2 calls to createChatCompletion, found 5"


def test_the_status_counts_too(called: Client) -> None:
    assert called.ok("POST", "verify", {"when": CHAT, "status": 401, "exactly": 1})["matches"] == [5]
    verdict = called.ok("POST", "verify", {"when": {"text": "refund"}, "status": 429})
    assert (verdict["message"], verdict["nearest"][0]["number"]) == (
        "expected at least 1 call with text 'refund', status 429, found 0",
        1,
    )
    assert verdict["nearest"][0]["reasons"] == ["status is 200, not 429"]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"when": {"nth": 2}}, "'nth' counts the calls of a rule"),
        ({"when": {"probability": 0.5}}, "'probability' cannot be matched against past calls"),
        ({"when": {"and": [{"probability": 0.5}]}}, "'probability' cannot be matched against past calls"),
        ({"when": {"operation": "createChat"}}, "did you mean 'createChatCompletion'?"),
        ({"when": {"modle": "x"}}, "modle"),
        ({"exactly": -1}, "exactly"),
        ({"status": 99}, "status"),
    ],
)
def test_what_makes_no_sense_is_refused(api: Client, wrong: Any, told: str) -> None:
    status, message = api.read_error("POST", "verify", wrong)
    assert status == 400
    assert told in message


def test_other_protocols_and_pictures(api: Client) -> None:
    api.post(
        "/v1beta/models/gemini-2.5-flash:generateContent",
        headers={"x-goog-api-key": KEY},
        json={"contents": [{"parts": [{"text": "In snake case"}]}], "generation_config": {"max_output_tokens": 5}},
    )
    picture = "data:image/png;base64," + "A" * 100_000
    api.chat([{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": picture}}])  # type: ignore[arg-type]
    when = {
        "operation": "generateContent",
        "model": "gemini-*",
        "text": "snake",
        "body": {"/generationConfig/maxOutputTokens": 5},
    }
    assert api.ok("POST", "verify", {"when": when, "exactly": 1})["passed"], api.ok("POST", "verify", {"when": when})
    assert api.ok("POST", "verify", {"when": {"text": "What is this?"}, "exactly": 1})["passed"]
    missed = api.ok("POST", "verify", {"when": {**CHAT, "text": "something else"}})
    assert "its body was too long to be kept whole" in missed["nearest"][0]["reasons"]
