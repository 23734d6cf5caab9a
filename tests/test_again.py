"""Repeated requests get the same words and new ids, and no secret is kept with a cached result."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx2
import pytest

from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings
from tests.conftest import KEY

ASKED = [{"role": "user", "content": "What is the weather in Paris?"}]
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}]
OPENAI = ("/v1/chat/completions", "authorization", "Bearer ", {"model": "gpt-5.4", "messages": ASKED})
ANTHROPIC = ("/v1/messages", "x-api-key", "", {"model": "claude-haiku-4-5", "max_tokens": 50, "messages": ASKED})
GEMINI_PATH = "/v1beta/models/gemini-2.5-flash:generateContent"
GEMINI: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": "Tell me of cats."}]}]}
CASES = [
    *[
        (*OPENAI[:3], OPENAI[3] | more)
        for more in ({}, {"stream": True}, {"tools": TOOLS}, {"n": 2}, {"logprobs": True})
    ],
    (*OPENAI[:3], OPENAI[3] | {"tools": TOOLS, "stream": True}),
    *[(*ANTHROPIC[:3], ANTHROPIC[3] | more) for more in ({}, {"stream": True})],
    *[
        (f"/v1beta/models/gemini-2.5-flash:{method}", "x-goog-api-key", "", GEMINI)
        for method in ("generateContent", "streamGenerateContent", "streamGenerateContent?alt=sse")
    ],
]
_IDS = re.compile(r'(chatcmpl-|msg_|call_|toolu_|"responseId":")\w+|(?<="created":)\d+')


@pytest.mark.parametrize(("path", "header", "before", "body"), CASES)
def test_the_same_words_however_often_and_new_ids_each_time(
    session_url: str, path: str, header: str, before: str, body: dict[str, Any]
) -> None:
    with httpx2.Client() as client:
        said = [client.post(session_url + path, json=body, headers={header: before + KEY}).text for _ in range(5)]
    assert len({_IDS.sub("", text) for text in said}) == 1
    assert len(set(said)) == 5
    assert len(said[0]) > 300


@pytest.mark.parametrize("secret", [KEY, "a-token-of-my-own"])
def test_an_answer_that_repeats_a_secret_is_never_kept_with_it(secret: str) -> None:
    # escaped, so that the request itself does not show it
    escaped = json.dumps({"model": "gpt-5.4", "messages": [{"role": "user", "content": f"Say {secret}"}]})
    escaped = escaped.replace(secret, secret.replace("-", "\\u002d"))
    with Server(create_app(Settings(auth="any"))) as server, httpx2.Client(base_url=server.url) as client:
        headers = {"authorization": f"Bearer {secret}", "content-type": "application/json"}
        for _ in range(4):
            assert secret in client.post("/v1/chat/completions", content=escaped, headers=headers).text
        for number in range(1, 5):
            kept = client.get(f"/_mock/journal/{number}").text
            assert "***" in kept
            assert secret not in kept


def test_neither_does_a_body_nested_deeply_show_one() -> None:
    secret = "a-token-of-my-own"
    escaped = '{"x": "' + secret.replace("-", "\\u002d") + '", "y": ' + "[" * 400 + "]" * 400 + "}"
    with Server(create_app(Settings(auth="any"))) as server, httpx2.Client(base_url=server.url) as client:
        headers = {"authorization": f"Bearer {secret}", "content-type": "application/json"}
        assert client.post("/v1/chat/completions", content=escaped, headers=headers).status_code == 400
        kept = client.get("/_mock/journal/1").text
        assert "***" in kept
        assert secret not in kept


DEEP = '{"a":' + "[" * 300 + "]" * 300 + "}"
USER, RESULT = '{"role":"user","content":"x"}', '{"role":"tool","tool_call_id":"c","content":%s}'
CALL = '{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":%s}}]}'
CHAT = '{"model":"gpt-5.4","messages":[%s,%s,%s]}'
TOOL = '{"model":"gpt-5.4","tools":[{"type":"function","function":{"name":"f","parameters":%s}}],"messages":[%s]}'
USED = '{"role":"assistant","content":[{"type":"tool_use","id":"c","name":"f","input":%s}]}'
TAKEN = '{"role":"user","content":[{"type":"tool_result","tool_use_id":"c","content":"1"}]}'
HAIKU = '{"model":"claude-haiku-4-5","max_tokens":50,"messages":[%s,%s,%s]}'
PARTS = (
    '{"contents":[{"role":"user","parts":[{"text":"x"}]},{"role":"model","parts":[%s]},{"role":"user","parts":[%s]}]}'
)
GIVEN = '{"functionResponse":{"name":"f","response":{"r":1}}}'


@pytest.mark.parametrize(
    ("path", "raw"),
    [
        (OPENAI[0], TOOL % (DEEP, USER)),
        (OPENAI[0], CHAT % (USER, CALL % json.dumps(DEEP), RESULT % '"1"')),
        (OPENAI[0], CHAT % (USER, CALL % '"{}"', RESULT % json.dumps(DEEP))),
        (ANTHROPIC[0], HAIKU % (USER, USED % DEEP, TAKEN)),
        (GEMINI_PATH, PARTS % ('{"functionCall":{"name":"f","args":%s}}' % DEEP, GIVEN)),
    ],
)
def test_what_is_nested_too_deeply_to_be_spelled_again_is_refused(session_url: str, path: str, raw: str) -> None:
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    answer = httpx2.post(session_url + path, content=raw.encode(), headers=headers)
    assert answer.status_code == 400, answer.text
    assert "nested too deeply" in answer.text
