"""Google's protocol for embeddings: `:embedContent` and `:batchEmbedContents`.

Source: Gemini API reference, "Embeddings".
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence

from aione_mock.types import Json

EmbedRequest = Mapping[str, Json]


def read_text(request: EmbedRequest) -> str:
    """Return the text of a request: that of its parts, a line each. Nothing but text is read."""
    return "\n".join([part["text"] for part in request["content"]["parts"] if "text" in part])


def render_embedding(vector: array[float]) -> Json:
    """Return the answer of `:embedContent`."""
    return {"embedding": {"values": vector.tolist()}}


def render_embeddings(vectors: Sequence[array[float]]) -> Json:
    """Return the answer of `:batchEmbedContents`."""
    return {"embeddings": [{"values": vector.tolist()} for vector in vectors]}
