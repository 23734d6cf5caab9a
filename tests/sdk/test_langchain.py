"""LangChain's three chat models against the server: one test each, run over all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, Field, SecretStr

from tests.conftest import KEY

QUESTION = "Why do cats purr?"


def _openai(url: str, key: str = KEY, **more: Any) -> BaseChatModel:
    return ChatOpenAI(
        model="gpt-5.4", base_url=f"{url}/v1", api_key=SecretStr(key), max_retries=0, stream_usage=True, **more
    )


def _anthropic(url: str, key: str = KEY, **more: Any) -> BaseChatModel:
    return ChatAnthropic(model_name="claude-sonnet-4-6", base_url=url, api_key=SecretStr(key), max_retries=0, **more)


def _google(url: str, key: str = KEY, **more: Any) -> BaseChatModel:
    # google-genai 3 calls /v1 unless it is told
    more |= {"base_url": url, "api_version": "v1beta"}
    return ChatGoogleGenerativeAI(model="gemini-2.5-flash", api_key=SecretStr(key), max_retries=1, **more)


class Person(BaseModel):
    """A person that the text is about."""

    name: str = Field(description="The person's name")
    age: int = Field(description="The person's age in years")


@tool
def get_weather(city: str) -> str:
    """Current weather of a city."""
    return f"Sunny, 23 °C in {city}"


@pytest.fixture(params=[_openai, _anthropic, _google], ids=["openai", "anthropic", "google"])
def make(request: pytest.FixtureRequest, session_url: str) -> Callable[..., BaseChatModel]:
    return lambda **more: request.param(session_url, **more)


@pytest.fixture
def model(make: Callable[..., BaseChatModel]) -> BaseChatModel:
    return make()


def test_invoke(model: BaseChatModel) -> None:
    answer = model.invoke([SystemMessage("Answer briefly."), HumanMessage(QUESTION)])
    assert "cat" in answer.text.lower()
    usage = answer.usage_metadata
    assert usage
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] > 0


def test_stream_says_the_same(model: BaseChatModel) -> None:
    plain = model.invoke(QUESTION)
    whole: Any = None
    for chunk in model.stream(QUESTION):
        whole = chunk if whole is None else whole + chunk
    assert isinstance(whole, AIMessageChunk)
    assert whole.text == plain.text
    assert whole.usage_metadata
    assert plain.usage_metadata
    for key in ("input_tokens", "output_tokens", "total_tokens"):
        assert whole.usage_metadata[key] == plain.usage_metadata[key]  # type: ignore[literal-required]


async def test_async_and_batch(model: BaseChatModel) -> None:
    one = await model.ainvoke(QUESTION)
    two, three = await model.abatch([QUESTION, "Why do dogs bark?"])
    assert one.text == two.text != three.text


async def test_events(model: BaseChatModel) -> None:
    kinds, text = set(), ""
    async for event in model.astream_events(QUESTION):
        kinds.add(event["event"])
        if event["event"] == "on_chat_model_stream":
            text += event["data"]["chunk"].text
    assert kinds == {"on_chat_model_start", "on_chat_model_stream", "on_chat_model_end"}
    assert text == (await model.ainvoke(QUESTION)).text


def test_tools_in_a_loop(model: BaseChatModel) -> None:
    ready = model.bind_tools([get_weather])
    messages: list[Any] = [HumanMessage("What is the weather in Paris and in Tokyo?")]
    first = ready.invoke(messages)
    assert isinstance(first, AIMessage)
    assert [call["args"] for call in first.tool_calls] == [{"city": "Paris"}, {"city": "Tokyo"}]
    messages += [first, *(get_weather.invoke(call) for call in first.tool_calls)]
    assert all(isinstance(message, ToolMessage) for message in messages[2:])
    last = ready.invoke(messages)
    assert isinstance(last, AIMessage)
    assert not last.tool_calls
    assert "23 °C in Tokyo" in last.text


def test_tools_streamed(model: BaseChatModel) -> None:
    whole: Any = None
    for chunk in model.bind_tools([get_weather]).stream("What is the weather in Oslo?"):
        whole = chunk if whole is None else whole + chunk
    assert [call["args"] for call in whole.tool_calls] == [{"city": "Oslo"}]


def test_a_tool_that_must_be_called(model: BaseChatModel) -> None:
    answer = model.bind_tools([get_weather], tool_choice="any").invoke(QUESTION)
    assert isinstance(answer, AIMessage)
    assert [call["name"] for call in answer.tool_calls] == ["get_weather"]


@pytest.mark.parametrize("method", ["function_calling", "json_schema"])
def test_structured_output(model: BaseChatModel, method: str) -> None:
    structured = model.with_structured_output(Person, method=method)
    assert structured.invoke("Jane is 54 years old.") == Person(name="Jane", age=54)


async def test_structured_output_streamed(model: BaseChatModel) -> None:
    structured = model.with_structured_output(Person)
    seen = [part async for part in structured.astream("Jane is 54 years old.")]
    assert seen[-1] == Person(name="Jane", age=54)


def test_wrong_key(make: Callable[..., BaseChatModel]) -> None:
    with pytest.raises(Exception, match=r"[Ii]nvalid API key"):
        make(key="sk-nex-nobody-has-this").invoke(QUESTION)


def test_thinking_is_counted(make: Callable[..., BaseChatModel]) -> None:
    model = make()
    more: dict[str, Any] = {"reasoning_effort": "low"}
    if isinstance(model, ChatAnthropic):
        more = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 3000}
    if isinstance(model, ChatGoogleGenerativeAI):
        more = {"thinking_budget": 512, "include_thoughts": True}
    answer = make(**more).invoke(QUESTION)
    assert answer.text
    usage: Any = answer.usage_metadata
    assert 0 < usage["output_token_details"]["reasoning"] < usage["output_tokens"]


def test_embeddings(extended_url: str) -> None:
    embeddings = OpenAIEmbeddings(
        model="text-embedding-3-small",
        base_url=f"{extended_url}/v1",
        api_key=SecretStr(KEY),
        dimensions=64,
        check_embedding_ctx_length=False,  # else LangChain loads a tokenizer from the network, and sends tokens
    )
    documents = embeddings.embed_documents(["Why do cats purr?", "A red lighthouse at dusk"])
    assert [len(vector) for vector in [*documents, embeddings.embed_query("Hello")]] == [64] * 3


def test_responses(extended_url: str) -> None:
    model = _openai(extended_url, use_responses_api=True)
    answer = model.invoke([SystemMessage("Be brief."), HumanMessage(QUESTION)])
    assert answer.text == _openai(extended_url).invoke([SystemMessage("Be brief."), HumanMessage(QUESTION)]).text
    assert answer.response_metadata["id"].startswith("resp_")
    assert "".join(chunk.text for chunk in model.stream([SystemMessage("Be brief."), HumanMessage(QUESTION)])) == (
        answer.text
    )
    weather = HumanMessage("What is the weather like in Hangzhou?")
    called = model.bind_tools([get_weather]).invoke([weather])
    assert [(call["name"], call["args"]) for call in called.tool_calls] == [("get_weather", {"city": "Hangzhou"})]
    result = ToolMessage(get_weather.invoke("Hangzhou"), tool_call_id=called.tool_calls[0]["id"])
    assert model.bind_tools([get_weather]).invoke([weather, called, result]).text
    person = model.with_structured_output(Person).invoke("Ann is 37 years old.")
    assert isinstance(person, Person)
    assert person.age == 37
