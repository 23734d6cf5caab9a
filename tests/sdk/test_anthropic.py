"""Anthropic's own client against the server: it must not be able to tell."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic, beta_async_tool, beta_tool
from PIL import Image
from pydantic import BaseModel

from tests.conftest import KEY

MODEL = "claude-sonnet-4-6"
QUESTION: list[Any] = [{"role": "user", "content": "Why do cats purr?"}]
ASKED: dict[str, Any] = {"model": MODEL, "max_tokens": 500, "messages": QUESTION}
WEATHER: dict[str, Any] = {
    "name": "get_weather",
    "description": "Current weather of a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


class City(BaseModel):
    city: str
    country: str


@pytest.fixture
def client(session_url: str) -> Iterator[Anthropic]:
    with Anthropic(base_url=session_url, api_key=KEY, max_retries=0) as made:
        yield made


@pytest.fixture
async def aclient(session_url: str) -> AsyncIterator[AsyncAnthropic]:
    async with AsyncAnthropic(base_url=session_url, api_key=KEY, max_retries=0) as made:
        yield made


def words(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def test_create(client: Anthropic) -> None:
    answer = client.messages.create(**ASKED)
    assert (answer.type, answer.role, answer.model) == ("message", "assistant", MODEL)
    assert (answer.stop_reason, answer.stop_sequence) == ("end_turn", None)
    assert "cat" in words(answer).lower()
    assert answer.usage.input_tokens > 0
    assert answer._request_id
    assert answer._request_id.startswith("req_")


def test_bearer_token(session_url: str) -> None:
    assert words(Anthropic(base_url=session_url, auth_token=KEY).messages.create(**ASKED))


def test_stream_says_the_same(client: Anthropic) -> None:
    plain = client.messages.create(**ASKED)
    events = list(client.messages.create(**ASKED, stream=True))
    text = "".join(e.delta.text for e in events if e.type == "content_block_delta" and e.delta.type == "text_delta")
    assert text == words(plain)
    assert [events[0].type, events[-2].type, events[-1].type] == ["message_start", "message_delta", "message_stop"]
    assert events[-2].type == "message_delta"
    assert events[-2].usage.output_tokens == plain.usage.output_tokens


async def test_async_create_and_stream(aclient: AsyncAnthropic) -> None:
    plain = await aclient.messages.create(**ASKED)
    kinds = [event.type async for event in await aclient.messages.create(**ASKED, stream=True)]
    assert kinds[-1] == "message_stop"
    async with aclient.messages.stream(**ASKED) as stream:
        text = "".join([piece async for piece in stream.text_stream])
        final = await stream.get_final_message()
    assert text == words(final) == words(plain)


def test_stream_helper(client: Anthropic) -> None:
    with client.messages.stream(**ASKED) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_message()
        assert stream.get_final_text() == words(final)
    assert kinds >= {"text", "message_start", "content_block_stop", "message_stop"}
    assert final.stop_reason == "end_turn"


def test_with_raw_response(client: Anthropic) -> None:
    raw = client.messages.with_raw_response.create(**ASKED)
    assert raw.headers["x-request-id"]
    assert int(raw.headers["anthropic-ratelimit-requests-remaining"]) > 0
    assert words(raw.parse())


def test_system_blocks_and_stop_sequence(client: Anthropic) -> None:
    asked = {**ASKED, "system": [{"type": "text", "text": "Answer briefly."}]}
    whole = words(client.messages.create(**asked))
    stop = whole.split()[3]
    answer = client.messages.create(**asked, stop_sequences=[stop])
    assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", stop)
    assert words(answer) == whole[: whole.index(stop)]


def test_max_tokens(client: Anthropic) -> None:
    answer = client.messages.create(**{**ASKED, "max_tokens": 3})
    assert (answer.stop_reason, answer.usage.output_tokens) == ("max_tokens", 3)


def test_count_tokens(client: Anthropic) -> None:
    asked: dict[str, Any] = {"model": MODEL, "messages": QUESTION, "tools": [WEATHER]}
    counted = client.messages.count_tokens(**asked).input_tokens
    assert counted == client.messages.create(**asked, max_tokens=10).usage.input_tokens


async def test_async_count_tokens(aclient: AsyncAnthropic) -> None:
    assert (await aclient.messages.count_tokens(model=MODEL, messages=QUESTION)).input_tokens > 3


@pytest.mark.parametrize(
    ("key", "error", "kind"),
    [
        ("sk-nex-nobody-has-this", anthropic.AuthenticationError, "authentication_error"),
        ("sk-nex-disabled-by-hand", anthropic.AuthenticationError, "authentication_error"),
        ("sk-nex-address-203-0-113", anthropic.PermissionDeniedError, "permission_error"),
        ("sk-nex-balance-used-up", anthropic.PaymentRequiredError, "billing_error"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors_of_keys(
    client: Anthropic, key: str, error: type[anthropic.APIStatusError], kind: str, stream: bool
) -> None:
    with pytest.raises(error) as caught:
        client.with_options(api_key=key).messages.create(**ASKED, stream=stream)
    body: Any = caught.value.body
    assert (body["type"], body["error"]["type"]) == ("error", kind)
    assert body["request_id"] == caught.value.request_id


def test_model_not_allowed(client: Anthropic) -> None:
    with pytest.raises(anthropic.PermissionDeniedError):
        client.with_options(api_key="sk-nex-models-sonnet-only").messages.create(**{**ASKED, "model": "gpt-5.4"})


def test_rate_limit(client: Anthropic) -> None:
    impatient = client.with_options(api_key="sk-nex-rpm-two-a-minute")
    for _ in range(2):
        impatient.messages.create(**ASKED)
    with pytest.raises(anthropic.RateLimitError) as caught:
        impatient.messages.create(**ASKED)
    assert int(caught.value.response.headers["retry-after"]) >= 1


def test_errors_of_requests(client: Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError):
        client.messages.create(**{**ASKED, "model": "claude-9"})
    with pytest.raises(anthropic.BadRequestError, match="temperature"):
        client.messages.create(**ASKED, extra_body={"temperature": 7})
    with pytest.raises(anthropic.BadRequestError, match="max_tokens"):
        client.post("/v1/messages", body={"model": MODEL, "messages": QUESTION}, cast_to=object)
    with pytest.raises(anthropic.BadRequestError, match="budget_tokens"):
        client.messages.create(**ASKED, thinking={"type": "enabled", "budget_tokens": 2000})


@pytest.mark.parametrize(
    ("name", "error", "status"),
    [
        ("insufficient_balance", anthropic.PaymentRequiredError, 402),
        ("request_too_large", anthropic.ContentTooLargeError, 413),
        ("internal_error", anthropic.InternalServerError, 500),
        ("upstream_failed", anthropic.InternalServerError, 502),
        ("upstream_unavailable", anthropic.ServiceUnavailableError, 503),
        ("upstream_timeout", anthropic.GatewayTimeoutError, 504),
    ],
)
def test_errors_on_demand(client: Anthropic, name: str, error: type[anthropic.APIStatusError], status: int) -> None:
    with pytest.raises(error) as caught:
        client.messages.create(**ASKED, extra_headers={"X-Mock-Scenario": name})
    assert caught.value.status_code == status


def test_error_within_a_stream(client: Anthropic) -> None:
    with pytest.raises(anthropic.APIStatusError) as caught:
        for _ in client.messages.create(
            **ASKED, stream=True, extra_headers={"X-Mock-Scenario": "error_event; after=2"}
        ):
            pass
    body: Any = caught.value.body
    assert body["type"] == "error"


def test_connection_and_timeout(client: Anthropic) -> None:
    with pytest.raises(anthropic.APITimeoutError):
        client.with_options(timeout=0.2).messages.create(**ASKED, extra_headers={"X-Mock-Scenario": "instant; delay=5"})


def test_tools_in_a_loop(client: Anthropic) -> None:
    messages: list[Any] = [{"role": "user", "content": "What is the weather in Paris and in Tokyo?"}]
    first = client.messages.create(**{**ASKED, "messages": messages}, tools=[WEATHER])
    assert first.stop_reason == "tool_use"
    uses = [block for block in first.content if block.type == "tool_use"]
    assert [use.input for use in uses] == [{"city": "Paris"}, {"city": "Tokyo"}]
    assert all(use.id.startswith("toolu_") for use in uses)
    results = [{"type": "tool_result", "tool_use_id": use.id, "content": f"{21 + i} °C"} for i, use in enumerate(uses)]
    messages += [{"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
    last = client.messages.create(**{**ASKED, "messages": messages}, tools=[WEATHER])
    assert last.stop_reason == "end_turn"
    assert "21 °C" in words(last)
    assert "22 °C" in words(last)


def test_tools_streamed(client: Anthropic) -> None:
    asked = {**ASKED, "messages": [{"role": "user", "content": "Weather in Oslo?"}], "tools": [WEATHER]}
    with client.messages.stream(**asked) as stream:
        parts = [event.partial_json for event in stream if event.type == "input_json"]
        final = stream.get_final_message()
    (use,) = [block for block in final.content if block.type == "tool_use"]
    assert json.loads("".join(parts)) == use.input == {"city": "Oslo"}


def test_tool_choice(client: Anthropic) -> None:
    tools = {**ASKED, "tools": [WEATHER]}
    assert client.messages.create(**tools).stop_reason == "end_turn"
    assert client.messages.create(**tools, tool_choice={"type": "any"}).stop_reason == "tool_use"
    assert client.messages.create(**tools, tool_choice={"type": "none"}).stop_reason == "end_turn"
    forced = client.messages.create(**tools, tool_choice={"type": "tool", "name": "get_weather"})
    assert [block.type for block in forced.content] == ["tool_use"]


def test_tool_runner(client: Anthropic) -> None:
    asked: list[str] = []

    @beta_tool
    def get_weather(city: str) -> str:
        """Current weather of a city.

        Args:
            city: Its name.
        """
        asked.append(city)
        return f"Sunny, 23 °C in {city}"

    runner = client.beta.messages.tool_runner(
        model=MODEL,
        max_tokens=500,
        tools=[get_weather],
        messages=[{"role": "user", "content": "What is the weather in Lisbon?"}],
    )
    final = runner.until_done()
    assert asked == ["Lisbon"]
    assert "23 °C" in words(final)


async def test_async_tool_runner_streamed(aclient: AsyncAnthropic) -> None:
    asked: list[str] = []

    @beta_async_tool
    async def get_weather(city: str) -> str:
        """Current weather of a city."""
        asked.append(city)
        return "Rain, 9 °C"

    runner = aclient.beta.messages.tool_runner(
        model=MODEL,
        max_tokens=500,
        tools=[get_weather],
        messages=[{"role": "user", "content": "What is the weather in Bergen?"}],
        stream=True,
    )
    final = None
    async for stream in runner:
        final = await stream.get_final_message()
    assert asked == ["Bergen"]
    assert "9 °C" in words(final)


def test_parse(client: Anthropic) -> None:
    asked = {**ASKED, "messages": [{"role": "user", "content": "The city is Kyoto, the country Japan."}]}
    answer = client.messages.parse(**asked, output_format=City)
    assert answer.parsed_output == City(city="Kyoto", country="Japan")


def test_thinking(client: Anthropic) -> None:
    asked = {**ASKED, "max_tokens": 4000, "thinking": {"type": "enabled", "budget_tokens": 1024}}
    with client.messages.stream(**asked) as stream:
        thought = "".join(event.thinking for event in stream if event.type == "thinking")
        final = stream.get_final_message()
    first = final.content[0]
    assert first.type == "thinking"
    assert first.thinking == thought != ""
    assert first.signature
    # thoughts may be sent back
    messages = [*QUESTION, {"role": "assistant", "content": final.content}, {"role": "user", "content": "And lions?"}]
    assert words(client.messages.create(**{**asked, "messages": messages}))


def test_vision(client: Anthropic) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (64, 48), "teal").save(picture, "PNG")
    data = base64.b64encode(picture.getvalue()).decode()
    source = {"type": "base64", "media_type": "image/png", "data": data}
    content = [{"type": "image", "source": source}, {"type": "text", "text": "What is this?"}]
    answer = client.messages.create(**{**ASKED, "messages": [{"role": "user", "content": content}]})
    assert "64×48 PNG" in words(answer)


def test_prompt_caching(client: Anthropic) -> None:
    text = "All of the rules of the house. " * 300
    system = [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]
    first = client.messages.create(**ASKED, system=system).usage
    second = client.messages.create(**ASKED, system=system).usage
    assert first.cache_creation_input_tokens
    assert not first.cache_read_input_tokens
    assert second.cache_read_input_tokens == first.cache_creation_input_tokens
    assert not second.cache_creation_input_tokens
    assert first.input_tokens == second.input_tokens < 100


def test_image_models_are_refused(client: Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError):
        client.messages.create(**{**ASKED, "model": "gemini-2.5-flash-image"})
