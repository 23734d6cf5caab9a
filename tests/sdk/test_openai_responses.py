"""OpenAI's client uses the Responses API unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from tests.conftest import KEY

MODEL = "gpt-5.4"
QUESTION = "Why do cats purr?"
TOOLS: list[Any] = [
    {
        "type": "function",
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        "strict": True,
    }
]


class Order(BaseModel):
    item: str
    quantity: int


@pytest.fixture
def client(extended_url: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{extended_url}/v1", api_key=KEY, max_retries=0) as made:
        yield made


def test_create_retrieve_and_delete(client: OpenAI) -> None:
    answer = client.responses.create(model=MODEL, input=QUESTION, instructions="Be brief.", metadata={"a": "b"})
    assert answer.status == "completed"
    assert "cat" in answer.output_text.lower()
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    assert client.responses.retrieve(answer.id) == answer
    client.responses.delete(answer.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(answer.id)


def test_input_items(client: OpenAI) -> None:
    items: list[Any] = [{"role": "user", "content": f"Number {number}"} for number in range(5)]
    answer = client.responses.create(model=MODEL, input=items)
    listed = list(client.responses.input_items.list(answer.id, limit=2, order="asc"))  # the client turns the pages
    assert [item.content[0].text for item in listed] == [item["content"] for item in items]


def test_a_stream(client: OpenAI) -> None:
    with client.responses.create(model=MODEL, input=QUESTION, stream=True) as stream:
        events = list(stream)
    assert [event.type for event in events[:3]] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
    ]
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    last = events[-1]
    assert last.type == "response.completed"
    assert last.response.output_text == text == client.responses.create(model=MODEL, input=QUESTION).output_text


def test_the_client_s_own_accumulation_of_a_stream(client: OpenAI) -> None:
    reasoning: Any = {"effort": "low", "summary": "auto"}
    with client.responses.stream(model=MODEL, input=QUESTION, reasoning=reasoning) as stream:
        snapshots = [event.snapshot for event in stream if event.type == "response.output_text.delta"]
        answer = stream.get_final_response()
    assert snapshots[-1] == answer.output_text
    assert [item.type for item in answer.output] == ["reasoning", "message"]


def test_structured_output(client: OpenAI) -> None:
    parsed = client.responses.parse(model=MODEL, input="Please send 3 desk lamps.", text_format=Order).output_parsed
    assert parsed is not None
    assert parsed.quantity == 3
    with client.responses.stream(model=MODEL, input="Please send 3 desk lamps.", text_format=Order) as stream:
        assert stream.get_final_response().output_parsed == parsed


def test_functions_and_conversations(client: OpenAI) -> None:
    first = client.responses.create(model=MODEL, input="What is the weather in Hangzhou?", tools=TOOLS)
    (call,) = first.output
    assert call.type == "function_call"
    assert call.arguments == '{"city":"Hangzhou"}'
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
    second = client.responses.create(model=MODEL, input=[result], previous_response_id=first.id, tools=TOOLS)
    assert second.output_text
    # the same without state: the items of the answer are sent back as they came
    history: list[Any] = [{"role": "user", "content": "What is the weather in Hangzhou?"}, *first.output, result]
    stateless = client.responses.create(model=MODEL, input=history, tools=TOOLS, store=False)
    assert stateless.output_text == second.output_text


def test_errors(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="Previous response"):
        client.responses.create(model=MODEL, input="Hello", previous_response_id="resp_none")
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="sk-nex-wrong").responses.create(model=MODEL, input="Hello")
    header = {"x-mock-scenario": "error_event"}
    with (
        pytest.raises(openai.APIError),
        client.responses.create(model=MODEL, input=QUESTION, stream=True, extra_headers=header) as stream,
    ):
        list(stream)


async def test_asynchronous(extended_url: str) -> None:
    async with AsyncOpenAI(base_url=f"{extended_url}/v1", api_key=KEY, max_retries=0) as client:
        answer = await client.responses.create(model=MODEL, input=QUESTION)
        assert (await client.responses.retrieve(answer.id)).output_text == answer.output_text
        async with client.responses.stream(model=MODEL, input=QUESTION) as stream:
            assert (await stream.get_final_response()).output_text == answer.output_text
