"""Embeddings: what the vectors promise, what the answers look like, and that nothing of it is there unasked."""

from __future__ import annotations

import base64
import math
from array import array
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aione_mock.cli import main
from aione_mock.errors import ConfigError
from aione_mock.model.embedding import embed_input
from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings
from tests.conftest import KEY

MODEL = "text-embedding-3-small"
AUTH = {"authorization": f"Bearer {KEY}"}
WORDS = st.lists(st.text("abcdefghij", min_size=3, max_size=9), min_size=3, max_size=12, unique=True)
OTHER_WORDS = st.lists(st.text("qrstuvwxyz", min_size=3, max_size=9), min_size=3, max_size=12, unique=True)
INPUTS = st.text(min_size=1, max_size=80) | st.lists(st.integers(0, 200_000), min_size=1, max_size=20)


def compute_cosine(left: array[float], right: array[float]) -> float:
    return sum(one * other for one, other in zip(left, right, strict=True))


def embed(url: str, **body: Any) -> httpx2.Response:
    return httpx2.post(f"{url}/v1/embeddings", json={"model": MODEL, **body}, headers=AUTH)


def embed_google(url: str, verb: str, body: Any, model: str = "gemini-embedding-001") -> httpx2.Response:
    return httpx2.post(f"{url}/v1beta/models/{model}:{verb}", json=body, headers=AUTH)


# The vectors


@given(INPUTS, st.sampled_from([1, 2, 3, 64, 1536]))
def test_every_vector_has_length_1_and_follows_from_its_text(value: Any, size: int) -> None:
    vector = embed_input(value, MODEL, size)
    assert len(vector) == size
    assert math.hypot(*vector) == pytest.approx(1, abs=1e-5)
    assert vector == embed_input(value, MODEL, size)
    assert size < 3 or vector != embed_input(value, "another-model", size)


@given(WORDS, OTHER_WORDS, st.data())
def test_texts_that_share_words_are_nearer_than_texts_that_share_none(
    words: list[str], others: list[str], data: st.DataObject
) -> None:
    kept = data.draw(st.lists(st.sampled_from(words), min_size=(len(words) + 1) // 2, unique=True))
    question, near, far = (embed_input(" ".join(text), MODEL, 1536) for text in (words, [*kept, *others[:1]], others))
    assert compute_cosine(question, near) > compute_cosine(question, far) + 0.1


@given(WORDS, st.randoms())
def test_the_order_of_words_hardly_matters(words: list[str], random: Any) -> None:
    mixed = random.sample(words, len(words))
    first, second = embed_input(" ".join(words), MODEL, 1536), embed_input(" ".join(mixed).upper(), MODEL, 1536)
    assert compute_cosine(first, second) > 0.95


@pytest.mark.parametrize(
    ("text", "near", "far"),
    [
        ("天空为什么是蓝色的？", "为什么天空看起来是蓝色", "请帮我写一封辞职信"),
        ("How do I reset my password?", "I forgot my password, how do I reset it?", "A red lighthouse at dusk"),
    ],
)
def test_related_sentences_are_near(text: str, near: str, far: str) -> None:
    vectors = [embed_input(each, MODEL, 256) for each in (text, near, far)]
    assert compute_cosine(vectors[0], vectors[1]) > 0.4 > compute_cosine(vectors[0], vectors[2]) + 0.1


# The answers


@settings(max_examples=12)
@given(texts=st.lists(st.text(min_size=1, max_size=40), min_size=1, max_size=4), size=st.sampled_from([None, 1, 8]))
def test_base64_holds_the_numbers_of_the_plain_answer(extended_server: Server, texts: list[str], size: int) -> None:
    plain = embed(extended_server.url, input=texts, dimensions=size).json()
    packed = embed(extended_server.url, input=texts, dimensions=size, encoding_format="base64").json()
    assert packed["usage"] == plain["usage"]
    for one, other in zip(plain["data"], packed["data"], strict=True):
        vector = array("f", base64.b64decode(other["embedding"]))  # this machine's low byte comes first too
        assert vector.tolist() == one["embedding"]


def test_google_s_clients_get_the_same_vectors(extended_url: str) -> None:
    content = {"parts": [{"text": "Hello"}, {"text": "world"}]}
    one = embed_google(extended_url, "embedContent", {"content": content, "taskType": "CLUSTERING"}).json()
    batch = {"requests": [{"model": "models/gemini-embedding-001", "content": content}, {"content": content}]}
    many = embed_google(extended_url, "batchEmbedContents", batch).json()
    assert many["embeddings"] == [one["embedding"]] * 2
    openai = embed(extended_url, input="Hello\nworld", model="gemini-embedding-001").json()
    assert openai["data"][0]["embedding"] == one["embedding"]["values"]
    snake = {"content": content, "output_dimensionality": 3}
    assert len(embed_google(extended_url, "embedContent", snake).json()["embedding"]["values"]) == 3


def test_a_call_is_counted_and_paid_for(extended_url: str) -> None:
    answer = embed(extended_url, input=["word " * 3000, "more"])
    used = answer.json()["usage"]["prompt_tokens"]
    assert answer.json()["usage"]["total_tokens"] == used
    entry = httpx2.get(f"{extended_url}/_mock/journal").json()["items"][0]
    assert (entry["model"], entry["usage"]["prompt"], entry["usage"]["completion"]) == (MODEL, used, 0)
    assert float(entry["cost"]) == pytest.approx(used * 0.144 / 1e6, abs=0.0001)
    assert int(answer.headers["x-ratelimit-remaining-tokens"]) < int(answer.headers["x-ratelimit-limit-tokens"])
    header = {"authorization": "Bearer nex-console-tech"}
    rows = httpx2.get(f"{extended_url}/api/v1/obs/usage?group_by=model", headers=header).json()
    assert [row["prompt_tokens"] for row in rows if row["model"] == MODEL] == [used]


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ({"input": ""}, 400, "invalid_request", "input"),
        ({"input": []}, 400, "invalid_request", "input"),
        ({"input": ["a", 1]}, 400, "invalid_request", "input[1]"),
        ({"input": [[]]}, 400, "invalid_request", "input[0]"),
        ({"input": "a", "dimensions": 0}, 400, "invalid_request", "dimensions"),
        ({"input": "a", "dimensions": 1537}, 400, "invalid_request", "dimensions"),
        ({"input": "a", "encoding_format": "hex"}, 400, "invalid_request", "encoding_format"),
        ({"input": "a " * 8193}, 400, "context_length_exceeded", "input"),
        ({"input": "a", "model": "gpt-5.4"}, 400, "unsupported_operation", "model"),
        ({"input": "a", "model": "none"}, 404, "model_not_found", "model"),
    ],
)
def test_what_cannot_be_embedded_is_refused(extended_url: str, body: Any, status: int, code: str, param: str) -> None:
    answer = embed(extended_url, **body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param)


def test_google_s_clients_are_refused_in_their_envelope(extended_url: str) -> None:
    content = {"parts": [{"text": "a"}]}
    answer = embed_google(extended_url, "embedContent", {"content": content, "outputDimensionality": 9999})
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    answer = embed_google(extended_url, "embedContent", {"content": content}, "gemini-2.5-flash")
    assert answer.json()["error"]["message"] == "The model 'gemini-2.5-flash' makes no embeddings."
    assert embed_google(extended_url, "batchEmbedContents", {"requests": []}).status_code == 400
    empty = {"content": {"parts": [{"text": ""}]}}
    answer = embed_google(extended_url, "embedContent", empty)
    assert answer.json()["error"]["message"] == "Invalid value for 'content': there is no text in it."
    answer = embed_google(extended_url, "batchEmbedContents", {"requests": [{"content": content}, empty]})
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")


def test_a_model_of_embeddings_answers_no_prompts(extended_url: str) -> None:
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]}
    answer = httpx2.post(f"{extended_url}/v1/chat/completions", json=body, headers=AUTH)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unsupported_operation")


def test_rules_limits_and_errors_apply(extended_url: str) -> None:
    body = {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [1.0]}], "model": "m"}
    body["usage"] = {"prompt_tokens": 1, "total_tokens": 1}
    rules = [
        {"id": "own", "when": {"operation": "createEmbedding", "model": MODEL}, "then": {"reply": {"body": body}}},
        {"id": "words", "then": {"reply": {"text": "Hello"}}},
    ]
    httpx2.put(f"{extended_url}/_mock/rules", json={"rules": rules}).raise_for_status()
    assert embed(extended_url, input="a").json() == body
    # a reply in words answers prompts alone
    assert len(embed(extended_url, input="a", model="text-embedding-3-large").json()["data"][0]["embedding"]) == 3072
    header = {**AUTH, "x-mock-scenario": "rate_limit_exceeded"}
    answer = httpx2.post(f"{extended_url}/v1/embeddings", json={"model": MODEL, "input": "a"}, headers=header)
    assert answer.status_code == 429


def test_any_other_model_makes_vectors_where_any_is_allowed() -> None:
    with Server(create_app(Settings(models="any", extensions="embeddings"))) as server:
        assert len(embed(server.url, model="bge-m3", input="a").json()["data"][0]["embedding"]) == 1536


# Unasked


def test_nothing_is_served_without_the_extension(session_url: str) -> None:
    answer = embed(session_url, input="a")
    assert answer.status_code == 404
    assert "serve --with embeddings" in answer.json()["error"]["message"]
    models = httpx2.get(f"{session_url}/v1/models", headers=AUTH).json()["data"]
    assert not any("embed" in model["id"] for model in models)


def test_the_commands_know_the_extension(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spec", "routes", "--with", "embeddings"]) == 0
    rows = [row.split() for row in capsys.readouterr().out.splitlines() if "mbed" in row]
    assert {row[0] for row in rows} == {"createEmbedding", "embedContent", "batchEmbedContents"}
    assert all(row[3:] == ["assumed", "handler"] for row in rows)
    assert main(["check", "--list"]) == 0
    assert "embedding" not in capsys.readouterr().out
    assert main(["check", "--list", "--with", "embeddings"]) == 0
    assert "law:embedding-length" in capsys.readouterr().out
    assert main(["check", "--list", "--with", "pictures"]) == 2
    assert "--with: there is no extension 'pictures'; choose from embeddings, responses" in capsys.readouterr().err


def test_an_own_model_of_embeddings_needs_the_extension() -> None:
    models = {"extends": "default", "models": [{"id": "mine", "abilities": ["embeddings"], "embedding_size": 8}]}
    with pytest.raises(ConfigError, match="start the mock with --with embeddings"):
        create_app(Settings(models=models))
    with Server(create_app(Settings(models=models, extensions=["embeddings"]))) as server:
        assert len(embed(server.url, model="mine", input="a").json()["data"][0]["embedding"]) == 8
