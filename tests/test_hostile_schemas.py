"""Schemas and rules with numbers and levels beyond what JSON libraries carry: an answer or a 400, never a 500."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import jsonschema_rs
import orjson
import pytest

from aione_mock.server.http import Server
from aione_mock.server.render import Renderer
from aione_mock.server.state import MemoryState
from aione_mock.types import Json, Reply, Response
from tests.conftest import KEY
from tests.timing import PATIENCE

SCHEMAS = [
    *('{"type":"integer","minimum":18446744073709551616}', '{"type":"integer","maximum":-1e30}'),
    *('{"type":"integer","multipleOf":1e25}', '{"type":"number","multipleOf":9223372036854775808}'),
    *('{"type":"integer","exclusiveMinimum":18446744073709551615}', '{"type":"number","maximum":-1e300}'),
    *('{"type":"integer","exclusiveMaximum":-9223372036854775808}', '{"type":"integer","minimum":1e25}'),
    '{"type":"integer","allOf":[{"multipleOf":9223372036854775807},{"multipleOf":9223372036854775806}]}',
    '{"type":"array","uniqueItems":true,"minItems":2,"items":{"type":"integer","minimum":1e20}}',
    '{"type":"array","uniqueItems":true,"minItems":2,"items":{"type":"number","minimum":1e30}}',
    *('{"enum":[18446744073709551616]}', '{"const":1e30}', '{"type":"integer","default":1e26}'),
    *('{"type":"array","items":{},"minItems":1e30}', '{"type":"string","minLength":18446744073709551616}'),
    *('{"type":"object","minProperties":1e30}', '{"type":"number","minimum":1.7e308}'),
    *('{"type":"number","exclusiveMinimum":1.7976931348623157e308}', '{"type":"number","multipleOf":1e-300}'),
]
MESSAGES = '"messages":[{"role":"user","content":"call f with 99999999999999999999999"}]'
CONTENTS = '"contents":[{"parts":[{"text":"call f with 99999999999999999999999"}]}]'
ANY = '"toolConfig":{"functionCallingConfig":{"mode":"ANY"}}'
CHAT, CLAUDE = "/v1/chat/completions", "/v1/messages"
GEMINI = "/v1beta/models/gemini-2.5-flash:generateContent"
PLACES = {
    "openai format": (
        CHAT,
        '{"model":"gpt-5.4",%s,"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":@}}}'
        % MESSAGES,
    ),
    "openai tool": (
        CHAT,
        '{"model":"gpt-5.4",%s,"tool_choice":"required","tools":[{"type":"function","function":'
        '{"name":"f","parameters":@}}]}' % MESSAGES,
    ),
    "anthropic format": (
        CLAUDE,
        '{"model":"claude-sonnet-4-6","max_tokens":99,%s,"output_config":{"format":{"type":"json_schema","schema":@}}}'
        % MESSAGES,
    ),
    "anthropic tool": (
        CLAUDE,
        '{"model":"claude-sonnet-4-6","max_tokens":99,%s,"tool_choice":{"type":"any"},'
        '"tools":[{"name":"f","input_schema":@}]}' % MESSAGES,
    ),
    "gemini format": (
        GEMINI,
        '{%s,"generationConfig":{"responseMimeType":"application/json","responseSchema":@}}' % CONTENTS,
    ),
    "gemini JSON Schema": (
        GEMINI,
        '{%s,"generationConfig":{"responseMimeType":"application/json","responseJsonSchema":@}}' % CONTENTS,
    ),
    "gemini tool": (
        GEMINI,
        '{%s,%s,"tools":[{"functionDeclarations":[{"name":"f","parameters":@}]}]}' % (CONTENTS, ANY),
    ),
    "gemini JSON Schema tool": (
        GEMINI,
        '{%s,%s,"tools":[{"functionDeclarations":[{"name":"f","parametersJsonSchema":@}]}]}' % (CONTENTS, ANY),
    ),
}


@pytest.fixture
def client(session_url: str) -> Iterator[httpx2.Client]:
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    with httpx2.Client(base_url=session_url, headers=headers, trust_env=False, timeout=PATIENCE) as made:
        yield made


def instance(answer: Json) -> Json:
    """Return the JSON that a model answered with, or the arguments of its tool call, as any protocol has them."""
    if "choices" in answer:
        message = answer["choices"][0]["message"]
        calls = message.get("tool_calls")
        return orjson.loads(calls[0]["function"]["arguments"] if calls else message["content"])
    block = answer["content"][-1] if "content" in answer else answer["candidates"][0]["content"]["parts"][-1]
    if "functionCall" in block:
        return block["functionCall"]["args"]
    return block["input"] if "input" in block else orjson.loads(block["text"])


@pytest.mark.parametrize(
    ("place", "parameter"),
    [
        ("openai format", "response_format.json_schema.schema"),
        ("anthropic format", "output_config.format.schema"),
        ("anthropic older format", "output_format.schema"),
        ("gemini format", "generationConfig.responseSchema"),
        ("gemini JSON Schema", "generationConfig.responseJsonSchema"),
    ],
)
def test_an_unusable_schema_is_named_as_in_the_protocol_that_was_called(
    client: httpx2.Client, place: str, parameter: str
) -> None:
    path, body = PLACES[place.replace("older ", "")]
    if "older" in place:
        body = body.replace('"output_config":{"format":', '"output_format":').replace("@}}}", "@}}")
    refused = client.post(path, content=body.replace("@", '{"not":{}}'))
    message = f"Invalid schema for '{parameter}': the keyword 'not' at '/not' is not supported."
    assert (refused.status_code, refused.json()["error"]["message"]) == (400, message)


@pytest.mark.parametrize("place", PLACES)
def test_numbers_beyond_64_bits_in_a_schema(client: httpx2.Client, place: str) -> None:
    path, body = PLACES[place]
    answered = 0
    for number in SCHEMAS:
        schema = '{"type":"object","properties":{"n":%s},"required":["n"]}' % number
        answer = client.post(path, content=body.replace("@", schema))
        assert answer.status_code in (200, 400), (number, answer.text)
        if answer.status_code == 400:
            assert "error" in answer.json()
            continue
        answered += 1
        validator = jsonschema_rs.Draft202012Validator(orjson.loads(schema))
        assert validator.is_valid(instance(answer.json())), (number, answer.text)
    assert answered > len(SCHEMAS) // 2


DIGITS = "1" * 5000


@pytest.mark.parametrize(
    "member",
    [
        *(
            f'"generationConfig":{{"{name}":"{DIGITS}"}}'
            for name in ("maxOutputTokens", "seed", "topK", "candidateCount")
        ),
        f'"generationConfig":{{"thinkingConfig":{{"thinkingBudget":"{DIGITS}"}}}}',
        *(
            '"generationConfig":{"responseMimeType":"application/json","responseSchema":{"type":"%s","%s":"%s"}}'
            % (kind, name, DIGITS)
            for kind, name in (("ARRAY", "minItems"), ("STRING", "minLength"), ("OBJECT", "minProperties"))
        ),
        '%s,"tools":[{"functionDeclarations":[{"name":"f","parameters":{"type":"OBJECT","minProperties":"%s"}}]}]'
        % (ANY, DIGITS),
    ],
    ids=lambda member: member.replace(DIGITS, "D"),
)
def test_counts_of_thousands_of_digits(client: httpx2.Client, member: str) -> None:
    answer = client.post(GEMINI, content="{%s,%s}" % (CONTENTS, member))
    assert answer.status_code == 400, answer.text[:300]
    assert answer.json()["error"]["status"] == "INVALID_ARGUMENT"


@pytest.mark.parametrize(("count", "status"), [("3", 200), ("9223372036854775807", 400), ("18446744073709551616", 400)])
def test_counts_as_text(client: httpx2.Client, count: str, status: int) -> None:
    schema = '{"type":"ARRAY","items":{"type":"STRING"},"minItems":"%s"}' % count
    path, body = PLACES["gemini format"]
    assert client.post(path, content=body.replace("@", schema)).status_code == status


RULES = {
    "reply": '{"rules":[{"then":{"reply":{"json":@}}}]}',
    "body": '{"rules":[{"then":{"reply":{"body":@}}}]}',
    "arguments": '{"rules":[{"then":{"reply":{"tool_calls":[{"name":"f","arguments":{"a":@}}]}}}]}',
    "conditions": '{"rules":[{"when":#,"then":{"error":"upstream_timeout"}}]}',
    "unknown": '{"rules":[{"when":{"what":@},"then":{"error":"upstream_timeout"}}]}',
}
LEVELS = (*range(244, 257), 300, 1000, 5000)


def nest(template: str, levels: int) -> str:
    conditions = '{"not":[' * (levels // 2) + '{"text":"x"}' + "]}" * (levels // 2)
    return template.replace("@", "[" * levels + "]" * levels).replace("#", conditions)


@pytest.mark.parametrize("name", RULES)
def test_rules_that_are_nested_too_deeply_are_not_set(client: httpx2.Client, name: str) -> None:
    assert client.put("/_mock/rules", content=nest(RULES[name], 150)).status_code == (400 if name == "unknown" else 200)
    set_before = client.get("/_mock/rules").json()
    for levels in LEVELS:
        for method, path, body in (
            ("PUT", "/_mock/rules", nest(RULES[name], levels)),
            ("POST", "/_mock/rules", nest(RULES[name], levels)[10:-2]),
            ("POST", "/_mock/sessions", '{"name":"deep",' + nest(RULES[name], levels)[1:]),
        ):
            answer = client.request(method, path, content=body)
            assert answer.status_code == 400, (levels, answer.text[:200])
            assert answer.json()["error"]["name"] == "invalid_request"
    assert client.get("/_mock/rules").json() == set_before
    chat = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Hello"}]}
    assert client.post(CHAT, json=chat).status_code != 500


@pytest.mark.parametrize("when", ["#", '{"text":@}', '{"body":{"/a":@}}', '{"what":@}'])
def test_verify_that_is_nested_too_deeply(client: httpx2.Client, when: str) -> None:
    assert client.post("/_mock/verify", content='{"when":%s}' % nest("#", 150)).status_code == 200
    for levels in LEVELS:
        answer = client.post("/_mock/verify", content='{"when":%s}' % nest(when, levels))
        assert answer.status_code == 400, (levels, answer.text[:200])
        assert answer.json()["error"]["name"] == "invalid_request"


@pytest.mark.parametrize("step", ["render", "commit"])
@pytest.mark.parametrize(
    ("path", "kind"), [(CHAT, "type"), (CLAUDE, "type"), (GEMINI, "status"), ("/api/v1/obs/usage", "")]
)
def test_a_bug_in_the_last_steps_is_answered_in_its_dialect(
    client: httpx2.Client, monkeypatch: pytest.MonkeyPatch, server: Server, step: str, path: str, kind: str
) -> None:
    render, failures = Renderer.render, [TypeError("a bug")]

    def break_once(self: Renderer, exchange: Any, reply: Reply) -> Response:
        while failures:
            raise failures.pop()
        return render(self, exchange, reply)

    async def break_always(*_: object) -> None:
        raise TypeError("a bug")

    if step == "render":
        monkeypatch.setattr(Renderer, "render", break_once)
    else:
        monkeypatch.setattr(MemoryState, "commit", break_always)
    headers = {"authorization": "Bearer nex-console-tech"} if "obs" in path else {}
    text = MESSAGES if path != GEMINI else CONTENTS
    body = (
        None
        if "obs" in path
        else '{"model":"%s","max_tokens":9,%s}' % ("claude-sonnet-4-6" if path == CLAUDE else "gpt-5.4", text)
    )
    answer = client.request("GET" if body is None else "POST", path, content=body, headers=headers)
    assert answer.status_code == 500
    assert answer.headers["x-request-id"]
    assert answer.json()["error"][kind] if kind else answer.json()["detail"]
    assert server.app.pipeline.state.statistics.streams_open == 0
    monkeypatch.undo()
    assert client.request("GET" if body is None else "POST", path, content=body, headers=headers).status_code == 200
