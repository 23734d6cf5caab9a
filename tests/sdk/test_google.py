"""Google's own client against the server: it must not be able to tell."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from typing import Any

import pytest
from google import genai
from google.genai import errors, types
from PIL import Image
from pydantic import BaseModel

from tests.conftest import KEY

MODEL = "gemini-2.5-flash"
QUESTION = "Why do cats purr?"
WEATHER = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="get_weather",
            description="Current weather of a city",
            parameters=types.Schema(
                type=types.Type.OBJECT, properties={"city": types.Schema(type=types.Type.STRING)}, required=["city"]
            ),
        )
    ]
)


class City(BaseModel):
    city: str
    country: str


def connect(url: str, key: str = KEY, **headers: str) -> genai.Client:
    return genai.Client(
        api_key=key, http_options=types.HttpOptions(base_url=url, api_version="v1beta", headers=headers or None)
    )


@pytest.fixture
def client(session_url: str) -> Iterator[genai.Client]:
    made = connect(session_url)
    yield made
    made.close()


def test_generate(client: genai.Client) -> None:
    answer = client.models.generate_content(model=MODEL, contents=QUESTION)
    assert "cat" in (answer.text or "").lower()
    assert answer.candidates
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    assert answer.model_version == MODEL
    usage = answer.usage_metadata
    assert usage
    assert usage.total_token_count == (usage.prompt_token_count or 0) + (usage.candidates_token_count or 0)


def test_stream_says_the_same(client: genai.Client) -> None:
    plain = client.models.generate_content(model=MODEL, contents=QUESTION)
    chunks = list(client.models.generate_content_stream(model=MODEL, contents=QUESTION))
    assert len(chunks) > 3
    assert "".join(chunk.text or "" for chunk in chunks) == plain.text
    assert chunks[-1].usage_metadata == plain.usage_metadata


async def test_async_generate_and_stream(client: genai.Client) -> None:
    plain = await client.aio.models.generate_content(model=MODEL, contents=QUESTION)
    stream = await client.aio.models.generate_content_stream(model=MODEL, contents=QUESTION)
    assert "".join([chunk.text or "" async for chunk in stream]) == plain.text
    assert (await client.aio.models.count_tokens(model=MODEL, contents=QUESTION)).total_tokens
    await client.aio.aclose()


def test_configuration(client: genai.Client) -> None:
    config = types.GenerateContentConfig(
        system_instruction="Answer briefly.", temperature=0.2, top_p=0.9, top_k=20, candidate_count=2, seed=5
    )
    answer = client.models.generate_content(model=MODEL, contents=QUESTION, config=config)
    texts = [part.text for c in answer.candidates or [] for part in (c.content and c.content.parts) or []]
    assert len(set(texts)) == 2
    cut = client.models.generate_content(
        model=MODEL, contents=QUESTION, config=types.GenerateContentConfig(max_output_tokens=3)
    )
    assert cut.candidates
    assert cut.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS


def test_chat(client: genai.Client) -> None:
    chat = client.chats.create(model=MODEL)
    first = chat.send_message("My name is Jane. Why do cats purr?")
    second = "".join(chunk.text or "" for chunk in chat.send_message_stream("And lions?"))
    assert first.text
    assert second
    assert [content.role for content in chat.get_history()][:2] == ["user", "model"]
    third = chat.send_message("And tigers?")
    assert third.text


async def test_async_chat(client: genai.Client) -> None:
    chat = client.aio.chats.create(model=MODEL)
    assert (await chat.send_message(QUESTION)).text
    pieces = [chunk.text or "" async for chunk in await chat.send_message_stream("And lions?")]
    assert "".join(pieces)
    await client.aio.aclose()


def test_tools_in_a_loop(client: genai.Client) -> None:
    config = types.GenerateContentConfig(tools=[WEATHER])
    question = types.Content(role="user", parts=[types.Part(text="What is the weather in Paris and in Tokyo?")])
    first = client.models.generate_content(model=MODEL, contents=[question], config=config)
    calls = first.function_calls or []
    assert [call.args for call in calls] == [{"city": "Paris"}, {"city": "Tokyo"}]
    parts = [
        types.Part(function_response=types.FunctionResponse(id=c.id, name=c.name, response={"result": f"{21 + i} °C"}))
        for i, c in enumerate(calls)
    ]
    assert first.candidates
    assert first.candidates[0].content
    history = [question, first.candidates[0].content, types.Content(role="user", parts=parts)]
    last = client.models.generate_content(model=MODEL, contents=history, config=config)
    assert not last.function_calls
    assert "21 °C" in (last.text or "")
    assert "22 °C" in (last.text or "")


def test_automatic_function_calling(client: genai.Client) -> None:
    asked: list[str] = []

    def get_weather(city: str) -> str:
        """Current weather of a city."""
        asked.append(city)
        return "Sunny, 23 °C"

    config = types.GenerateContentConfig(tools=[get_weather])
    answer = client.models.generate_content(model=MODEL, contents="What is the weather in Lisbon?", config=config)
    assert asked == ["Lisbon"]
    assert "23 °C" in (answer.text or "")
    assert len(answer.automatic_function_calling_history or []) == 3
    chat = client.chats.create(model=MODEL, config=config)
    assert "23 °C" in (chat.send_message("And the weather in Porto?").text or "")
    assert asked == ["Lisbon", "Porto"]


async def test_automatic_function_calling_async(client: genai.Client) -> None:
    asked: list[str] = []

    async def get_weather(city: str) -> dict[str, Any]:
        """Current weather of a city."""
        asked.append(city)
        return {"sky": "rain", "celsius": 9}

    config = types.GenerateContentConfig(tools=[get_weather])
    answer = await client.aio.models.generate_content(
        model=MODEL, contents="What is the weather in Bergen?", config=config
    )
    assert asked == ["Bergen"]
    assert "9" in (answer.text or "")
    await client.aio.aclose()


def test_tool_modes(client: genai.Client) -> None:
    def calls(mode: str, **more: Any) -> Any:
        calling = types.FunctionCallingConfig(mode=types.FunctionCallingConfigMode(mode), **more)
        config = types.GenerateContentConfig(
            tools=[WEATHER], tool_config=types.ToolConfig(function_calling_config=calling)
        )
        return client.models.generate_content(model=MODEL, contents=QUESTION, config=config).function_calls

    assert not calls("AUTO")
    assert not calls("NONE")
    assert calls("ANY")
    assert calls("ANY", allowed_function_names=["get_weather"])


def test_structured_output(client: genai.Client) -> None:
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=City)
    answer = client.models.generate_content(
        model=MODEL, contents="The city is Kyoto, the country Japan.", config=config
    )
    assert answer.parsed == City(city="Kyoto", country="Japan")
    streamed = client.models.generate_content_stream(
        model=MODEL, contents="The city is Kyoto, the country Japan.", config=config
    )
    assert "".join(chunk.text or "" for chunk in streamed) == answer.text


def test_count_tokens(client: genai.Client) -> None:
    counted = client.models.count_tokens(model=MODEL, contents=QUESTION).total_tokens
    usage = client.models.generate_content(model=MODEL, contents=QUESTION).usage_metadata
    assert usage
    assert counted == usage.prompt_token_count


def test_models(client: genai.Client) -> None:
    names = [model.name for model in client.models.list(config={"page_size": 2})]
    assert f"models/{MODEL}" in names
    assert len(names) == len(set(names)) > 2
    for name in names:
        assert client.models.get(model=name or "").name == name


def test_thinking(client: genai.Client) -> None:
    config = types.GenerateContentConfig(
        thinking_config=types.ThinkingConfig(thinking_budget=512, include_thoughts=True)
    )
    answer = client.models.generate_content(model=MODEL, contents=QUESTION, config=config)
    assert answer.candidates
    assert answer.candidates[0].content
    parts = answer.candidates[0].content.parts or []
    assert [bool(part.thought) for part in parts] == [True, False]
    assert answer.usage_metadata
    assert (answer.usage_metadata.thoughts_token_count or 0) > 0


def test_vision(client: genai.Client) -> None:
    picture = Image.new("RGB", (64, 48), "teal")
    answer = client.models.generate_content(model=MODEL, contents=["What is this?", picture])
    assert "64×48" in (answer.text or "")


def test_images(client: genai.Client) -> None:
    config = types.GenerateContentConfig(image_config=types.ImageConfig(aspect_ratio="16:9"))
    answer = client.models.generate_content(
        model="gemini-2.5-flash-image", contents="A lighthouse in the snow", config=config
    )
    assert answer.candidates
    assert answer.candidates[0].content
    (data,) = [p.inline_data for p in answer.candidates[0].content.parts or [] if p.inline_data]
    assert data.mime_type == "image/png"
    with Image.open(io.BytesIO(data.data or b"")) as picture:
        assert abs(picture.width / picture.height - 16 / 9) < 0.05


@pytest.mark.parametrize(
    ("key", "code", "status"),
    [
        ("sk-nex-nobody-has-this", 401, "UNAUTHENTICATED"),
        ("sk-nex-disabled-by-hand", 401, "UNAUTHENTICATED"),
        ("sk-nex-models-sonnet-only", 403, "PERMISSION_DENIED"),
        ("sk-nex-address-203-0-113", 403, "PERMISSION_DENIED"),
        ("sk-nex-balance-used-up", 402, "FAILED_PRECONDITION"),
    ],
)
def test_errors_of_keys(session_url: str, key: str, code: int, status: str) -> None:
    client = connect(session_url, key)
    for call in (client.models.generate_content, lambda **k: list(client.models.generate_content_stream(**k))):
        with pytest.raises(errors.ClientError) as caught:
            call(model=MODEL, contents=QUESTION)
        assert (caught.value.code, caught.value.status) == (code, status)


def test_errors_of_requests(client: genai.Client) -> None:
    with pytest.raises(errors.ClientError, match="NOT_FOUND"):
        client.models.generate_content(model="gemini-9", contents=QUESTION)
    with pytest.raises(errors.ClientError, match="INVALID_ARGUMENT"):
        client.models.generate_content(model=MODEL, contents=QUESTION, config={"temperature": 9})
    with pytest.raises(errors.ClientError, match="NOT_FOUND"):
        client.models.get(model="gemini-9")


@pytest.mark.parametrize(
    ("name", "error", "status"),
    [
        ("insufficient_balance", errors.ClientError, "FAILED_PRECONDITION"),
        ("request_too_large", errors.ClientError, "INVALID_ARGUMENT"),
        ("rate_limit_exceeded", errors.ClientError, "RESOURCE_EXHAUSTED"),
        ("internal_error", errors.ServerError, "INTERNAL"),
        ("upstream_unavailable", errors.ServerError, "UNAVAILABLE"),
        ("upstream_timeout", errors.ServerError, "DEADLINE_EXCEEDED"),
    ],
)
def test_errors_on_demand(session_url: str, name: str, error: type[errors.APIError], status: str) -> None:
    client = connect(session_url, **{"X-Mock-Scenario": name})
    with pytest.raises(error) as caught:
        client.models.generate_content(model=MODEL, contents=QUESTION)
    assert caught.value.status == status
    with pytest.raises(error):
        asyncio.run(client.aio.models.generate_content(model=MODEL, contents=QUESTION))
