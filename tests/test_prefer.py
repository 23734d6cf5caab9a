"""The request header `Prefer` chooses among the documented answers of an operation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import orjson
import pytest

from aione_mock.contract import Operation
from aione_mock.server.app import Mock, create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings
from aione_mock.text import sse
from aione_mock.types import Json

KEY = "sk-nex-demo-every-model"
MESSAGES = [{"role": "user", "content": "Hello"}]
CHAT, MESSAGE = "createChatCompletion", "createMessage"
GENERATE, STREAM_GENERATE = "generateContent", "streamGenerateContent"
CONTENTS = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}
BODIES: dict[str, Json] = {
    CHAT: {"model": "gpt-5.4", "messages": MESSAGES},
    MESSAGE: {"model": "claude-sonnet-4-6", "max_tokens": 50, "messages": MESSAGES},
    "countMessageTokens": {"model": "claude-sonnet-4-6", "messages": MESSAGES},
    GENERATE: CONTENTS,
    STREAM_GENERATE: CONTENTS,
    "countTokens": CONTENTS,
    "createKey": {"name": "A"},
    "updateKey": {"name": "A"},
}
OVERLAY = """
overlay: 1.0.0
actions:
  - target: $.paths
    update:
      /v1/plain:
        get: {operationId: getPlain, responses: {200: {content: {application/json: {example: {"on": 2026-01-01}}}}}}
      /v1/weather:
        get:
          operationId: getWeather
          responses:
            200:
              description: The weather.
              content:
                application/json:
                  schema: {type: object, required: [sky], properties: {sky: {type: string}, wind: {type: integer}}}
                  examples: {sun: {value: {sky: clear, wind: 1}}, "rain, much": {value: {sky: grey, wind: 7}}}
            204: {description: Nothing.}
            404: {description: Nowhere., content: {application/json: {example: [], schema: {type: array}}}}
            503: {description: None today., content: {application/json: {schema: {type: object, required: [oops]}}}}
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    overlay = tmp_path_factory.mktemp("overlays") / "weather.yaml"
    overlay.write_text(OVERLAY, encoding="utf-8")
    with Server(create_app(Settings(overlays=(overlay,), seed="prefer"))) as server:
        yield server


def ask(
    server: Server, name: str, prefer: str | list[str] | None = None, body: Json = None, **headers: str
) -> httpx2.Response:
    app: Mock = server.app
    operation = app.contract.operations[name]
    path = operation.path.replace("{model}", "gemini-2.5-flash")
    if "{key_id}" in path:
        path = path.replace("{key_id}", "00000000-0000-4000-8000-000000000000")
    if name == STREAM_GENERATE:
        path += "?alt=sse"
    token = KEY if operation.protocol in ("openai", "anthropic", "gemini") else "nex-console-tech"
    sent = [("authorization", f"Bearer {token}"), *headers.items()]
    sent += [("prefer", line) for line in ([prefer] if isinstance(prefer, str) else prefer or [])]
    body = body if body is not None else BODIES.get(name)
    return httpx2.request(operation.method, server.url + path, json=body, headers=sent, trust_env=False)


def list_examples(operation: Operation) -> Iterator[tuple[str, str, Json]]:
    for status, response in operation.responses.items():
        media = response.get("content", {}).get("application/json", {})
        yield from ((status, name, example["value"]) for name, example in media.get("examples", {}).items())


def remove_ids(value: Json) -> Json:
    return {k: v for k, v in value.items() if k != "request_id"} if isinstance(value, dict) else value


@pytest.mark.parametrize("name", [CHAT, MESSAGE, GENERATE, "countTokens", "createKey", "getKey", "getDashboard"])
def test_each_example_and_status_can_be_had(base: Server, name: str) -> None:
    operation = base.app.contract.operations[name]
    for status, example, value in list_examples(operation):
        prefer = f"code={status}, example={example}"
        answer = ask(base, name, prefer)
        assert (answer.status_code, remove_ids(answer.json())) == (int(status), remove_ids(value)), prefer
        assert answer.headers["preference-applied"] == prefer
    for status in operation.responses:
        if not status.startswith("2"):
            assert ask(base, name, f"code={status}").status_code == int(status)


@pytest.mark.parametrize("name", [CHAT, MESSAGE])
def test_each_example_streams_and_adds_up_to_itself(base: Server, name: str) -> None:
    operation = base.app.contract.operations[name]
    for status, example, value in list_examples(operation):
        answer = ask(base, name, f"example={example}", {**BODIES[name], "stream": True})
        if status == "200" and not example.startswith("image"):
            assert answer.headers["content-type"].startswith("text/event-stream")
            events = list(sse.decode([answer.content]))
            assert operation.stream.find_problems(events) == []
            folded = operation.stream.fold(events)
            for member in ("id", "model", "choices", "content", "stop_reason"):
                assert drop_empty(folded.get(member)) == drop_empty(value.get(member)), example
        elif status == "200":
            assert (answer.status_code, "cannot be streamed" in answer.text) == (400, True)
        else:
            assert (answer.status_code, remove_ids(answer.json())) == (int(status), remove_ids(value))


def drop_empty(value: Json) -> Json:
    """Leave out members that are null or empty: a stream does not carry them."""
    if isinstance(value, dict):
        return {name: drop_empty(item) for name, item in value.items() if item not in (None, "")}
    return [drop_empty(item) for item in value] if isinstance(value, list) else value


def test_gemini_streams_the_chunks_of_an_example(base: Server) -> None:
    operation = base.app.contract.operations[STREAM_GENERATE]
    examples = {name: value for status, name, value in list_examples(operation) if status == "200"}
    for name, value in examples.items():
        answer = ask(base, STREAM_GENERATE, f"example={name}")
        assert [orjson.loads(event.data) for event in sse.decode([answer.content])] == value


@pytest.mark.parametrize(
    ("name", "prefer", "words"),
    [
        (CHAT, "example=helo", ["did you mean 'hello'", "Choose from ", "rate_limit_exceeded"]),
        (CHAT, "code=418", ["code=418", "createChatCompletion", "Choose from 200, 400, 401"]),
        (CHAT, "code=429, example=hello", ["Choose from rate_limit_exceeded"]),
        (MESSAGE, "dynamic=perhaps", ["Choose from true, false"]),
        (GENERATE, 'example="a, b"', ['example="a, b"']),
        ("getKey", "code=999", ["Choose from 200, 401"]),
    ],
)
def test_what_does_not_exist_is_refused_in_the_dialect(base: Server, name: str, prefer: str, words: list[str]) -> None:
    answer = ask(base, name, prefer)
    assert answer.status_code == (422 if name == "getKey" else 400)
    assert [word for word in words if word not in answer.json().__str__()] == []
    assert "preference-applied" not in answer.headers


def test_dynamic_bodies_fit_their_schema_and_differ(base: Server) -> None:
    for name in (CHAT, MESSAGE, GENERATE, "getDashboard", "listInvoices"):
        operation = base.app.contract.operations[name]
        answers = [ask(base, name, "dynamic=true").json() for _ in range(2)]
        validator = operation.get_response_validator(200, "application/json")
        assert all(validator.is_valid(answer) for answer in answers)
        assert answers[0] != answers[1]
    assert ask(base, CHAT, "dynamic=true, code=429").status_code == 429
    assert ask(base, CHAT, "dynamic=true", {**BODIES[CHAT], "stream": True}).status_code == 400


def test_operations_of_overlays(base: Server) -> None:
    assert ask(base, "getWeather").json() == {"sky": "clear", "wind": 1}
    assert ask(base, "getWeather", 'example="rain, much"').json() == {"sky": "grey", "wind": 7}
    assert ask(base, "getWeather", 'Example = "sun"; x=1').json() == {"sky": "clear", "wind": 1}
    failed = ask(base, "getWeather", "code=503")
    assert (failed.status_code, "oops" in failed.json()) == (503, True)
    assert ask(base, "getWeather", "code=404").json() == []
    assert ask(base, "getWeather", "code=204").content == b""
    assert ask(base, "getPlain").json() == {"on": "2026-01-01"}


def test_several_lines_and_other_preferences(base: Server) -> None:
    answer = ask(base, CHAT, ["respond-async, wait=10", "example=hello", "example=hello_zh", "return=minimal"])
    assert answer.headers["preference-applied"] == "example=hello"
    ordinary = ask(base, CHAT, "return=representation")
    assert "preference-applied" not in ordinary.headers
    assert ask(base, CHAT, "code=200").json()["object"] == "chat.completion"
    assert ask(base, CHAT, "code=200").headers["preference-applied"] == "code=200"
    assert httpx2.get(f"{base.url}/_mock/health", headers={"prefer": "code=999"}, trust_env=False).status_code == 200


def test_precedence(base: Server) -> None:
    """What the caller may not do stays refused; then X-Mock-Scenario, then Prefer, then rules."""
    rule: dict[str, Any] = {"when": {"operation": CHAT}, "then": {"reply": {"text": "By rule."}}}
    httpx2.post(f"{base.url}/_mock/rules", json=rule, trust_env=False).raise_for_status()
    try:
        assert "By rule." in ask(base, CHAT).text
        assert ask(base, CHAT, "example=hello").json()["id"] == "chatcmpl-9f2c41d07be35a86"
        assert ask(base, CHAT, "example=hello", **{"x-mock-scenario": "internal_error"}).status_code == 500
        assert "Header." in ask(base, CHAT, "example=hello", **{"x-mock-scenario": "reply; text=Header."}).text
        slow = ask(base, CHAT, "example=hello", **{"x-mock-scenario": "pace; ttft=0.05"})
        assert slow.json()["id"] == "chatcmpl-9f2c41d07be35a86"
        assert ask(base, CHAT, "example=hello", {"model": "gpt-5.4"}).status_code == 400
        assert ask(base, CHAT, "example=hello", authorization="Bearer sk-nex-nobody-knows-it").status_code in (200, 401)
        limited = ask(base, CHAT, "example=rate_limit_exceeded")
        assert (limited.status_code, limited.headers["retry-after"]) == (429, "1")
    finally:
        httpx2.delete(f"{base.url}/_mock/rules", trust_env=False)
