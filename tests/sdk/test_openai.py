"""OpenAI's own client against the server: it must not be able to tell."""

from __future__ import annotations

import enum
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import openai
import pytest
from openai import AsyncOpenAI, OpenAI, pydantic_function_tool
from pydantic import BaseModel, Field

from tests.conftest import KEY

MODEL = "gpt-5.4"
QUESTION: list[Any] = [{"role": "user", "content": "Why do cats purr?"}]
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Current weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"enum": ["celsius", "fahrenheit"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


class Mood(enum.StrEnum):
    calm = "calm"
    cross = "cross"


class Person(BaseModel):
    name: str
    age: int = Field(ge=0, le=130)
    mood: Mood
    children: list[Person] = []


class GetWeather(BaseModel):
    city: str
    days: int = 1


@pytest.fixture
def client(session_url: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{session_url}/v1", api_key=KEY, max_retries=0) as made:
        yield made


@pytest.fixture
async def aclient(session_url: str) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{session_url}/v1", api_key=KEY, max_retries=0) as made:
        yield made


def test_create(client: OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=QUESTION)
    choice = answer.choices[0]
    assert (choice.finish_reason, choice.message.role, answer.model) == ("stop", "assistant", MODEL)
    assert "cat" in (choice.message.content or "").lower()
    assert answer.usage
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer._request_id
    assert answer._request_id.startswith("req_")


def test_stream_says_the_same(client: OpenAI) -> None:
    plain = client.chat.completions.create(model=MODEL, messages=QUESTION, n=2)
    chunks = list(
        client.chat.completions.create(
            model=MODEL, messages=QUESTION, n=2, stream=True, stream_options={"include_usage": True}
        )
    )
    texts = ["", ""]
    for chunk in chunks:
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    assert texts == [choice.message.content for choice in plain.choices]
    assert texts[0] != texts[1]
    assert chunks[-1].usage == plain.usage
    assert len({chunk.id for chunk in chunks}) == 1


async def test_async_create_and_stream(aclient: AsyncOpenAI) -> None:
    plain = await aclient.chat.completions.create(model=MODEL, messages=QUESTION)
    text = ""
    async for chunk in await aclient.chat.completions.create(model=MODEL, messages=QUESTION, stream=True):
        text += chunk.choices[0].delta.content or ""
    assert text == plain.choices[0].message.content


def test_stream_helper(client: OpenAI) -> None:
    kinds, deltas = set(), ""
    with client.chat.completions.stream(model=MODEL, messages=QUESTION) as stream:
        for event in stream:
            kinds.add(event.type)
            if event.type == "content.delta":
                deltas += event.delta
        final = stream.get_final_completion()
    assert kinds >= {"chunk", "content.delta", "content.done"}
    assert final.choices[0].message.content == deltas
    assert final.choices[0].finish_reason == "stop"


async def test_async_stream_helper(aclient: AsyncOpenAI) -> None:
    async with aclient.chat.completions.stream(model=MODEL, messages=QUESTION) as stream:
        snapshots = [event.snapshot async for event in stream if event.type == "content.delta"]
        final = await stream.get_final_completion()
    assert snapshots[-1] == final.choices[0].message.content


def test_with_raw_response(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=QUESTION)
    assert raw.headers["x-request-id"] == raw.request_id
    assert int(raw.headers["x-ratelimit-remaining-requests"]) < int(raw.headers["x-ratelimit-limit-requests"])
    assert raw.parse().choices[0].message.content


def test_with_streaming_response(client: OpenAI) -> None:
    with client.chat.completions.with_streaming_response.create(
        model=MODEL, messages=QUESTION, stream=True
    ) as response:
        lines = [line for line in response.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"


def test_models(client: OpenAI) -> None:
    listed = list(client.models.list())
    assert MODEL in [model.id for model in listed]
    for model in listed:
        assert client.models.retrieve(model.id) == model
    assert client.models.retrieve("opus-4-6").id == "claude-opus-4-6"


async def test_async_models(aclient: AsyncOpenAI) -> None:
    ids = [model.id async for model in aclient.models.list()]
    assert (await aclient.models.retrieve(ids[0])).id == ids[0]


@pytest.mark.parametrize(
    ("key", "error", "code"),
    [
        ("sk-nex-nobody-has-this", openai.AuthenticationError, "invalid_api_key"),
        ("sk-nex-disabled-by-hand", openai.AuthenticationError, "invalid_api_key"),
        ("sk-nex-expired-ten-days-ago", openai.AuthenticationError, "invalid_api_key"),
        ("sk-nex-models-sonnet-only", openai.PermissionDeniedError, "model_not_allowed"),
        ("sk-nex-address-203-0-113", openai.PermissionDeniedError, "ip_not_allowed"),
        ("sk-nex-balance-used-up", openai.APIStatusError, "insufficient_balance"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors_of_keys(client: OpenAI, key: str, error: type[openai.APIStatusError], code: str, stream: bool) -> None:
    with pytest.raises(error) as caught:
        client.with_options(api_key=key).chat.completions.create(model=MODEL, messages=QUESTION, stream=stream)
    assert caught.value.code == code
    assert caught.value.request_id


def test_rate_limit(client: OpenAI) -> None:
    impatient = client.with_options(api_key="sk-nex-rpm-two-a-minute")
    for _ in range(2):
        impatient.chat.completions.create(model=MODEL, messages=QUESTION)
    with pytest.raises(openai.RateLimitError) as caught:
        impatient.chat.completions.create(model=MODEL, messages=QUESTION)
    assert caught.value.type == "rate_limit_error"
    assert 1 <= int(caught.value.response.headers["retry-after"]) <= 60


def test_errors_of_requests(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="gpt-9", messages=QUESTION)
    assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-9")
    with pytest.raises(openai.BadRequestError) as bad:
        client.chat.completions.create(model=MODEL, messages=QUESTION, temperature=9)
    assert (bad.value.code, bad.value.param) == ("invalid_request", "temperature")
    with pytest.raises(openai.BadRequestError) as long:
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "word " * 450_000}])
    assert long.value.code == "context_length_exceeded"


@pytest.mark.parametrize(
    ("name", "error", "status"),
    [
        ("insufficient_balance", openai.APIStatusError, 402),
        ("internal_error", openai.InternalServerError, 500),
        ("upstream_failed", openai.InternalServerError, 502),
        ("upstream_unavailable", openai.InternalServerError, 503),
        ("upstream_timeout", openai.InternalServerError, 504),
        ("request_too_large", openai.APIStatusError, 413),
    ],
)
def test_errors_on_demand(client: OpenAI, name: str, error: type[openai.APIStatusError], status: int) -> None:
    with pytest.raises(error) as caught:
        client.chat.completions.create(model=MODEL, messages=QUESTION, extra_headers={"X-Mock-Scenario": name})
    assert caught.value.status_code == status
    assert caught.value.message


def test_retries_reach_the_answer(client: OpenAI) -> None:
    patient = client.with_options(max_retries=2)
    answer = patient.chat.completions.create(
        model=MODEL, messages=QUESTION, extra_headers={"X-Mock-Scenario": "upstream_unavailable; times=2"}
    )
    assert answer.choices[0].finish_reason == "stop"


def test_timeout_and_lost_connection(client: OpenAI) -> None:
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.2).chat.completions.create(
            model=MODEL, messages=QUESTION, extra_headers={"X-Mock-Scenario": "instant; delay=5"}
        )
    with pytest.raises(openai.APIConnectionError):
        OpenAI(base_url="http://127.0.0.1:9/v1", api_key=KEY, max_retries=0).models.list()


def test_broken_streams_are_seen(client: OpenAI) -> None:
    def read(fault: str) -> None:
        for _ in client.chat.completions.create(
            model=MODEL, messages=QUESTION, stream=True, extra_headers={"X-Mock-Scenario": fault}
        ):
            pass

    with pytest.raises((openai.APIConnectionError, httpx2.RemoteProtocolError)):
        read("cut; after=2")
    with pytest.raises(openai.APIError):
        read("error_event; after=2")


def test_parse(client: OpenAI) -> None:
    answer = client.chat.completions.parse(
        model=MODEL,
        messages=[{"role": "user", "content": "Jane is 54 and in a calm mood."}],
        response_format=Person,
    )
    person = answer.choices[0].message.parsed
    assert person is not None
    assert (person.name, person.age, person.mood) == ("Jane", 54, Mood.calm)


def test_parse_streamed(client: OpenAI) -> None:
    asked: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "Invent a cross person."}]}
    plain = client.chat.completions.parse(**asked, response_format=Person).choices[0].message.parsed
    with client.chat.completions.stream(**asked, response_format=Person) as stream:
        for event in stream:
            if event.type == "content.done":
                assert event.parsed == plain
        final = stream.get_final_completion()
    assert final.choices[0].message.parsed == plain


async def test_async_parse_cut(aclient: AsyncOpenAI) -> None:
    with pytest.raises(openai.LengthFinishReasonError):
        await aclient.chat.completions.parse(model=MODEL, messages=QUESTION, response_format=Person, max_tokens=3)


def test_content_filter_is_seen(client: OpenAI) -> None:
    with pytest.raises(openai.ContentFilterFinishReasonError):
        client.chat.completions.parse(
            model=MODEL,
            messages=QUESTION,
            response_format=Person,
            extra_headers={"X-Mock-Scenario": "reply; text=No; finish=content_filter"},
        )


def test_tools_in_a_loop(client: OpenAI) -> None:
    messages: list[Any] = [{"role": "user", "content": "What is the weather in Paris and in Tokyo?"}]
    first = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER]).choices[0]
    assert first.finish_reason == "tool_calls"
    calls = first.message.tool_calls or []
    cities = [json.loads(call.function.arguments)["city"] for call in calls if call.type == "function"]
    assert cities == ["Paris", "Tokyo"]
    assert len({call.id for call in calls}) == 2
    messages.append(first.message)
    messages += [{"role": "tool", "tool_call_id": call.id, "content": f"{21 + i} °C"} for i, call in enumerate(calls)]
    last = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER]).choices[0]
    assert last.finish_reason == "stop"
    assert "21 °C" in (last.message.content or "")
    assert "22 °C" in (last.message.content or "")


def test_custom_tools_are_taken_and_never_called(client: OpenAI) -> None:
    custom: Any = {"type": "custom", "custom": {"name": "run_python", "description": "Run Python code."}}
    message = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "Run Python code that prints 7."}], tools=[custom]
    )
    assert message.choices[0].message.tool_calls is None
    assert message.choices[0].message.content
    broken: Any = {"type": "custom"}
    with pytest.raises(openai.BadRequestError, match=r"tools\[0\]\.custom"):
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Hi"}], tools=[broken])


def test_tools_streamed_by_the_helper(client: OpenAI) -> None:
    asked: dict[str, Any] = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "Weather in Oslo for 3 days, please."}],
        "tools": [pydantic_function_tool(GetWeather, name="get_weather")],
    }
    fragments: list[str] = []
    with client.chat.completions.stream(**asked) as stream:
        for event in stream:
            if event.type == "tool_calls.function.arguments.delta":
                fragments.append(event.arguments_delta)
        final = stream.get_final_completion().choices[0]
    (call,) = final.message.tool_calls or []
    assert call.function.parsed_arguments == GetWeather(city="Oslo", days=3)
    assert "".join(fragments) == call.function.arguments
    plain = client.chat.completions.parse(**asked).choices[0].message.tool_calls or []
    assert plain[0].function.parsed_arguments == call.function.parsed_arguments


def test_old_functions(client: OpenAI) -> None:
    asked: dict[str, Any] = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "Weather in Rome?"}],
        "functions": [WEATHER["function"]],
    }
    choice = client.chat.completions.create(**asked).choices[0]
    assert choice.finish_reason == "function_call"
    assert choice.message.function_call
    assert json.loads(choice.message.function_call.arguments)["city"] == "Rome"


def test_logprobs(client: OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=QUESTION, logprobs=True, top_logprobs=3)
    logprobs = answer.choices[0].logprobs
    assert logprobs
    assert logprobs.content
    assert "".join(entry.token for entry in logprobs.content) == answer.choices[0].message.content
    for entry in logprobs.content:
        assert len(entry.top_logprobs) == 3
        assert entry.logprob <= 0


def test_reasoning(client: OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=QUESTION, reasoning_effort="low")
    assert answer.usage
    assert answer.usage.completion_tokens_details
    reasoning = answer.usage.completion_tokens_details.reasoning_tokens or 0
    assert 0 < reasoning < answer.usage.completion_tokens
