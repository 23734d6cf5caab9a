"""OpenAI's protocol for embeddings: `POST /v1/embeddings`.

Source: OpenAI API reference, "Embeddings".
"""

from __future__ import annotations

import base64
import sys
from array import array
from collections.abc import Mapping, Sequence

from aione_mock.types import Json


def read_inputs(data: Mapping[str, Json]) -> list[str | Sequence[int]]:
    """Return the texts of a request, or the tokens of each."""
    given = data["input"]
    return [given] if isinstance(given, str) or isinstance(given[0], int | float) else given


def render_embeddings(vectors: Sequence[array[float]], model: str, tokens: int, encoding: str) -> Json:
    """Return the answer; `encoding` is `float` or `base64`."""
    encode = _encode_base64 if encoding == "base64" else array.tolist
    rows = [{"object": "embedding", "index": at, "embedding": encode(vector)} for at, vector in enumerate(vectors)]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": rows, "model": model, "usage": usage}


def _encode_base64(vector: array[float]) -> str:
    """Return 32-bit floats, the low byte first, in base64."""
    if sys.byteorder == "big":
        vector = array("f", vector)
        vector.byteswap()
    return base64.b64encode(vector.tobytes()).decode()
