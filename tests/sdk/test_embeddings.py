"""OpenAI's and Google's clients ask for embeddings."""

from __future__ import annotations

import math
from collections.abc import Iterator

import openai
import pytest
from google import genai
from google.genai import types
from openai import AsyncOpenAI, OpenAI

from tests.conftest import KEY

MODEL = "text-embedding-3-small"


@pytest.fixture
def client(extended_url: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{extended_url}/v1", api_key=KEY, max_retries=0) as made:
        yield made


def test_texts(client: OpenAI) -> None:
    answer = client.embeddings.create(model=MODEL, input=["Why do cats purr?", "Why does a cat purr?", "Rain"])
    assert [row.index for row in answer.data] == [0, 1, 2]
    assert answer.model == MODEL
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 3
    first, second, third = [row.embedding for row in answer.data]
    assert math.hypot(*first) == pytest.approx(1, abs=1e-5)
    assert math.sumprod(first, second) > math.sumprod(first, third) + 0.1 if hasattr(math, "sumprod") else True


def test_the_client_s_base64_and_plain_numbers_are_the_same(client: OpenAI) -> None:
    # without a format the client asks for base64 and decodes it
    decoded = client.embeddings.create(model=MODEL, input="Hello", dimensions=16).data[0].embedding
    plain = client.embeddings.create(model=MODEL, input="Hello", dimensions=16, encoding_format="float")
    assert list(decoded) == plain.data[0].embedding


def test_tokens(client: OpenAI) -> None:
    one = client.embeddings.create(model=MODEL, input=[9906, 1917], dimensions=4)
    many = client.embeddings.create(model=MODEL, input=[[9906, 1917], [1]], dimensions=4)
    assert list(one.data[0].embedding) == list(many.data[0].embedding) != list(many.data[1].embedding)
    assert (one.usage.prompt_tokens, many.usage.prompt_tokens) == (2, 3)


def test_errors(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="makes no embeddings"):
        client.embeddings.create(model="gpt-5.4", input="Hello")
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="text-embedding-9", input="Hello")
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="sk-nex-wrong").embeddings.create(model=MODEL, input="Hello")


async def test_asynchronous(extended_url: str) -> None:
    async with AsyncOpenAI(base_url=f"{extended_url}/v1", api_key=KEY, max_retries=0) as client:
        answer = await client.embeddings.create(model="text-embedding-3-large", input="Hello")
        assert len(answer.data[0].embedding) == 3072


def test_google(extended_url: str) -> None:
    options = types.HttpOptions(base_url=extended_url, api_version="v1beta")
    client = genai.Client(api_key=KEY, http_options=options)
    answer = client.models.embed_content(
        model="gemini-embedding-001",
        contents=["Why do cats purr?", "Rain"],
        config=types.EmbedContentConfig(output_dimensionality=32, task_type="RETRIEVAL_QUERY"),
    )
    assert [len(embedding.values or ()) for embedding in answer.embeddings or ()] == [32, 32]
    assert "embedContent" in (client.models.get(model="gemini-embedding-001").supported_actions or ())
    with pytest.raises(genai.errors.ClientError, match="INVALID_ARGUMENT"):
        client.models.embed_content(model="gemini-2.5-flash", contents="Hello")
    client.close()
