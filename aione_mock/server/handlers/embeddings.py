"""Answer requests for embeddings, of OpenAI's and of Google's clients."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Sequence

from aione_mock.errors import APIError
from aione_mock.model.embedding import EmbeddingInput, count_input_tokens, embed_input
from aione_mock.protocols import gemini_embeddings, openai_embeddings
from aione_mock.server.model_names import find_called_model
from aione_mock.server.sessions import Session
from aione_mock.tenant.catalogue import Model
from aione_mock.types import Call, Reply, Usage

_MANY = 500
"""Tokens above which vectors are computed in a thread, so that other requests need not wait."""


async def create_embedding(call: Call, session: Session) -> Reply:
    """Answer `POST /v1/embeddings`."""
    inputs, size = openai_embeddings.read_inputs(call.data), call.data.get("dimensions")
    model = _find_embedding_model(call.data["model"], call, session)
    tokens = _count_tokens(inputs, model, "input")
    vectors = await _embed(inputs, [_choose_size(size, model, "dimensions")] * len(inputs), model, tokens)
    body = openai_embeddings.render_embeddings(vectors, model.id, tokens, call.data.get("encoding_format") or "float")
    return Reply(body, usage=Usage(tokens), model=model.id)


async def embed_content(call: Call, session: Session) -> Reply:
    """Answer `POST /v1beta/models/{model}:embedContent`."""
    vectors, tokens, model = await _embed_gemini([call.data], "", call, session)
    return Reply(gemini_embeddings.render_embedding(vectors[0]), usage=Usage(tokens), model=model.id)


async def batch_embed_contents(call: Call, session: Session) -> Reply:
    """Answer `POST /v1beta/models/{model}:batchEmbedContents`."""
    vectors, tokens, model = await _embed_gemini(call.data["requests"], "requests[].", call, session)
    return Reply(gemini_embeddings.render_embeddings(vectors), usage=Usage(tokens), model=model.id)


async def _embed_gemini(
    requests: Sequence[gemini_embeddings.EmbedRequest], place: str, call: Call, session: Session
) -> tuple[list[array[float]], int, Model]:
    model = _find_embedding_model(call.params["model"], call, session)
    texts = [gemini_embeddings.read_text(request) for request in requests]
    if "" in texts:
        message = f"Invalid value for '{place}content': there is no text in it."
        raise APIError("invalid_request", message, fields={"param": f"{place}content"})
    tokens = _count_tokens(texts, model, f"{place}content")
    where = f"{place}outputDimensionality"
    sizes = [_choose_size(request.get("outputDimensionality"), model, where) for request in requests]
    return await _embed(texts, sizes, model, tokens), tokens, model


def _find_embedding_model(name: str, call: Call, session: Session) -> Model:
    """Return the model of a call. Raises APIError for one that cannot be called, or that answers prompts instead.

    A name outside the catalogue may stand for either.
    """
    model = find_called_model(name, call, session)
    if name in session.catalogue.names and not model.has_ability("embeddings"):
        error = "unsupported_operation" if "unsupported_operation" in call.operation.errors else "invalid_request"
        raise APIError(error, f"The model '{model.id}' makes no embeddings.", fields={"param": "model"})
    return model


def _count_tokens(inputs: Sequence[EmbeddingInput], model: Model, param: str) -> int:
    """Return the tokens of all inputs. Raises APIError if one is longer than the model's context."""
    counts = [count_input_tokens(value) for value in inputs]
    for position, count in enumerate(counts):
        if count > model.context_length:
            message = (
                f"This model's maximum context length is {model.context_length} tokens; input {position} has {count}."
            )
            raise APIError("context_length_exceeded", message, fields={"param": param})
    return max(1, sum(counts))


def _choose_size(asked: int | None, model: Model, param: str) -> int:
    """Return how many numbers a vector has. Raises APIError for more than the model makes."""
    if asked is None:
        return model.embedding_size
    if asked > model.embedding_size:
        message = f"The model '{model.id}' makes vectors of at most {model.embedding_size} numbers, not {asked}."
        raise APIError("invalid_request", message, fields={"param": param})
    return int(asked)  # JSON may spell it as 8.0


async def _embed(
    inputs: Sequence[EmbeddingInput], sizes: Sequence[int], model: Model, tokens: int
) -> list[array[float]]:
    def compute() -> list[array[float]]:
        return [embed_input(value, model.id, size) for value, size in zip(inputs, sizes, strict=True)]

    return await asyncio.to_thread(compute) if tokens + 50 * len(inputs) > _MANY else compute()
