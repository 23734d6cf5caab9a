"""Mutants with wrong embeddings."""

from __future__ import annotations

from functools import partial

from aione_mock.mutants.changes import change_body, change_member, remove_members
from aione_mock.mutants.mutant import Mutant, MutantRequest, MutantResponse
from aione_mock.types import Json

_OPENAI = ("createEmbedding",)


def _double_numbers(vector: Json) -> Json:
    return [2 * number for number in vector] if isinstance(vector, list) else vector


def _forget_words(response: MutantResponse, request: MutantRequest) -> MutantResponse:
    """Answer each request with other vectors: those of its number among all requests."""
    number = request.memory["number"] = request.memory.get("number", 0) + 1
    data = response.data
    if not response.is_success or not isinstance(data, dict):
        return response
    return response.with_data(
        change_member("data", "*", "embedding", to=lambda vector: _rotate_vector(vector, number))(data)
    )


def _rotate_vector(vector: Json, steps: int) -> Json:
    return [*vector[steps:], *vector[:steps]] if isinstance(vector, list) else vector


def _swap_vectors(data: Json) -> Json:
    """Give the second text the vector of the third, and the other way round."""
    rows = data["data"]
    if len(rows) < 3:
        return data
    first, second, third, *rest = [row["embedding"] for row in rows]
    order = [first, third, second, *rest]
    return {**data, "data": [{**row, "embedding": vector} for row, vector in zip(rows, order, strict=True)]}


def _count_first_text(data: Json) -> Json:
    return {**data, "usage": {"prompt_tokens": 1, "total_tokens": 1}}


def _add_total(usage: Json) -> Json:
    return {**usage, "total_tokens": usage["total_tokens"] + 1}


def _accept_empty_text(request: MutantRequest) -> MutantRequest:
    data = request.data
    is_empty = isinstance(data, dict) and data.get("input") == ""
    return request.with_data({**data, "input": " "}) if is_empty else request


_mutant = partial(Mutant, area="embeddings", operations=_OPENAI, extensions=("embeddings",))

MUTANTS = (
    _mutant("embedding_dropped", "The last text gets no vector", ("embedding-shape",),
            response=change_body(change_member("data", to=lambda rows: rows[:-1] or rows))),
    _mutant("embedding_long", "Vectors have length 2", ("embedding-length",),
            response=change_body(change_member("data", "*", "embedding", to=_double_numbers))),
    _mutant("embedding_random", "A text has another vector each time", ("embedding-repeated",),
            response=_forget_words),
    _mutant("embedding_swapped", "Vectors are those of other texts", ("embedding-similar",),
            response=change_body(_swap_vectors)),
    _mutant("encoding_format_ignored", "encoding_format is ignored", ("embedding-base64",),
            request=remove_members("encoding_format")),
    _mutant("dimensions_ignored", "dimensions is ignored", ("embedding-dimensions",),
            request=remove_members("dimensions")),
    _mutant("gemini_dimensions_ignored", "outputDimensionality is ignored", ("embedding-dimensions",),
            operations=("embedContent",), request=remove_members("outputDimensionality")),
    _mutant("embedding_usage_constant", "Every call counts one token", ("embedding-usage",),
            response=change_body(_count_first_text)),
    _mutant("embedding_total_wrong", "total_tokens is one more than the prompt", ("embedding-usage",),
            response=change_body(change_member("usage", to=_add_total))),
    _mutant("empty_text_accepted", "An empty text is accepted", ("embedding-refused",),
            request=_accept_empty_text),
)  # fmt: skip
