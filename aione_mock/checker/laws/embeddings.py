"""Embeddings: a vector for each text, of length 1, the same for the same text. Only with the extension `embeddings`."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Iterator, Sequence
from functools import partial
from struct import iter_unpack

from aione_mock.checker.context import LawContext
from aione_mock.checker.errors import NotChecked, UnreadableAnswer
from aione_mock.checker.exchange import HttpExchange, shorten_body
from aione_mock.checker.finding import BrokenLaw, LawResults
from aione_mock.checker.json_reader import JsonReader
from aione_mock.checker.law import Law
from aione_mock.checker.laws.operation_groups import EMBEDDINGS
from aione_mock.types import Json

Vector = list[float]
_OPENAI, _GEMINI, _GEMINI_BATCH = EMBEDDINGS
_QUESTION = "How do I reset my password?"
_SIMILAR = "I forgot my password. How can I reset it?"
_OTHER = "Heavy rain is expected in the mountains tonight."
_TEXTS = (_QUESTION, _SIMILAR, _OTHER, _QUESTION)
_DIMENSIONS = 64
_LENGTH_TOLERANCE = 0.01
_SAME = 0.999
"""Least cosine of two vectors of one text: figures may differ in their last digits."""


def check_shape(context: LawContext) -> LawResults:
    """Answer with a vector for each text, in the order of the texts, all of the same number of dimensions."""
    for operation in context.list_declared_operations(*EMBEDDINGS):
        vectors, exchange = _embed_texts(context, operation.id)
        if len(vectors) != len(_TEXTS):
            yield BrokenLaw(operation.id, f"{len(_TEXTS)} vectors", f"{len(vectors)}", exchange)
        elif len(sizes := {len(vector) for vector in vectors}) > 1:
            yield BrokenLaw(operation.id, "vectors of one size", f"{sorted(sizes)} numbers", exchange)
        if operation.id == _OPENAI:
            indexes = [row.find("index") for row in exchange.data.list_rows("data")]
            if indexes != list(range(len(indexes))):
                yield BrokenLaw(operation.id, "indexes from 0", f"{indexes}", exchange, subject="/data/*/index")


def check_unit_length(context: LawContext) -> LawResults:
    """Answer with vectors of length 1."""
    for operation in context.list_declared_operations(*EMBEDDINGS):
        vectors, exchange = _embed_texts(context, operation.id)
        yield from _judge_lengths(operation.id, vectors, exchange)


def _judge_lengths(operation: str, vectors: Sequence[Vector], exchange: HttpExchange) -> Iterator[BrokenLaw]:
    for vector in vectors:
        if abs(length := math.hypot(*vector)) > 1 + _LENGTH_TOLERANCE or length < 1 - _LENGTH_TOLERANCE:
            yield BrokenLaw(operation, "vectors of length 1", f"length {length:.4g}", exchange)
            return


def check_repeated_text(context: LawContext) -> LawResults:
    """Answer with the same vector for the same text, within a request and in the next one."""
    for operation in context.list_declared_operations(*EMBEDDINGS):
        vectors, exchange = _embed_texts(context, operation.id)
        again, other = _embed(context, operation.id, _TEXTS[:1])
        for vector, seen_in in ((vectors[-1], exchange), (again[0], other)):
            if (cosine := _compute_cosine(vectors[0], vector)) < _SAME:
                yield BrokenLaw(operation.id, "the same vector", f"another one, cosine {cosine:.3f}", seen_in)


def check_similar_texts(context: LawContext) -> LawResults:
    """Put texts about the same nearer to each other than texts about something else."""
    for operation in context.list_declared_operations(*EMBEDDINGS):
        vectors, exchange = _embed_texts(context, operation.id)
        near, far = _compute_cosine(vectors[0], vectors[1]), _compute_cosine(vectors[0], vectors[2])
        if near <= far:
            seen = f"{near:.3f} to a similar text, {far:.3f} to another one"
            yield BrokenLaw(operation.id, "a higher cosine to a similar text", seen, exchange)


def check_base64(context: LawContext) -> LawResults:
    """Answer with the same numbers in base64, as 32-bit floats with the low byte first, if they are asked for."""
    vectors, _ = _embed_texts(context, _OPENAI)
    body = {"model": _choose_model(context, _OPENAI), "input": list(_TEXTS), "encoding_format": "base64"}
    exchange = context.call_ok(_OPENAI, body=body)
    rows = exchange.data.list_rows("data")
    if not isinstance(text := rows[0].at("embedding").value, str):
        yield BrokenLaw(_OPENAI, "base64", f"{text!r:.60}", exchange, subject="/data/*/embedding")
        return
    try:
        encoded: Vector = [number for (number,) in iter_unpack("<f", base64.b64decode(text, validate=True))]
    except (ValueError, binascii.Error) as error:
        yield BrokenLaw(_OPENAI, "32-bit floats in base64", str(error)[:60], exchange, subject="/data/*/embedding")
        return
    if len(encoded) != len(vectors[0]) or _compute_cosine(encoded, vectors[0]) < _SAME:
        yield BrokenLaw(_OPENAI, "the numbers of the plain answer", "others", exchange, subject="/data/*/embedding")


def check_dimensions(context: LawContext) -> LawResults:
    """Answer with as many numbers as the request asks for, still of length 1."""
    for operation in context.list_declared_operations(*EMBEDDINGS):
        vectors, exchange = _embed(context, operation.id, _TEXTS[:1], _DIMENSIONS)
        if len(vectors[0]) != _DIMENSIONS:
            yield BrokenLaw(operation.id, f"{_DIMENSIONS} numbers", f"{len(vectors[0])}", exchange)
        else:
            yield from _judge_lengths(operation.id, vectors, exchange)


def check_usage(context: LawContext) -> LawResults:
    """Count the tokens of the texts: more for more texts, and no others than those of the prompt."""
    _, many = _embed_texts(context, _OPENAI)
    _, one = _embed(context, _OPENAI, _TEXTS[:1])
    usages = [exchange.data.at("usage") for exchange in (many, one)]
    counts = [usage.read_integer("prompt_tokens") for usage in usages]
    for usage, count, exchange in zip(usages, counts, (many, one), strict=True):
        if (total := usage.read_integer("total_tokens")) != count:
            seen = f"{total} in total, {count} in the prompt"
            yield BrokenLaw(_OPENAI, "total_tokens of the prompt alone", seen, exchange, subject="/usage/total_tokens")
    if counts[0] <= counts[1]:
        seen = f"{counts[0]} for {len(_TEXTS)} texts, {counts[1]} for one"
        yield BrokenLaw(_OPENAI, "more tokens for more texts", seen, many, subject="/usage/prompt_tokens")


def check_refusal(context: LawContext) -> LawResults:
    """Refuse an empty text, and a number of dimensions that no model has."""
    model = _choose_model(context, _OPENAI)
    for what, member in (("an empty text", {"input": ""}), ("0 dimensions", {"dimensions": 0})):
        exchange = context.call(_OPENAI, body={"model": model, "input": _QUESTION, **member})
        if exchange.status != 400:
            yield BrokenLaw(_OPENAI, f"400 for {what}", f"{exchange.summary}: {shorten_body(exchange.body)}", exchange)


def _embed_texts(context: LawContext, operation: str) -> tuple[list[Vector], HttpExchange]:
    """Return the vectors of the texts, asked for once in a run. Raises NotChecked."""
    return context.compute_once(f"embeddings/{operation}", lambda: _embed(context, operation, _TEXTS))


def _embed(
    context: LawContext, operation: str, texts: Sequence[str], size: int | None = None
) -> tuple[list[Vector], HttpExchange]:
    """Return the vectors of texts, and the last exchange. Raises NotChecked."""
    model = _choose_model(context, operation)
    if operation == _OPENAI:
        asked: dict[str, Json] = {"model": model, "input": list(texts)}
        exchange = context.call_ok(operation, body=asked | ({} if size is None else {"dimensions": size}))
        return [_read_vector(row.at("embedding")) for row in exchange.data.list_rows("data")], exchange
    requests = [
        {"content": {"parts": [{"text": text}]}, **({} if size is None else {"outputDimensionality": size})}
        for text in texts
    ]
    if operation == _GEMINI_BATCH:
        named = [{"model": f"models/{model}", **request} for request in requests]
        exchange = context.call_ok(operation, {"model": model}, body={"requests": named})
        return [_read_vector(row.at("values")) for row in exchange.data.list_rows("embeddings")], exchange
    exchanges = [context.call_ok(operation, {"model": model}, body=request) for request in requests]
    return [_read_vector(each.data.at("embedding", "values")) for each in exchanges], exchanges[-1]


def _read_vector(reader: JsonReader) -> Vector:
    vector = [row.read_number() for row in reader.list_rows()]
    if not vector:
        raise UnreadableAnswer(f"{reader.source} has no numbers")
    return vector


def _choose_model(context: LawContext, operation: str) -> str:
    """Return a model that makes embeddings: by its abilities, or else by its name. Raises NotChecked."""
    protocol = context.contract.operations[operation].protocol
    try:
        return context.choose_model(protocol, "embeddings", without=())
    except NotChecked:
        named = [row["id"] for row in context.find_models(protocol, without=()) if "embed" in row["id"].lower()]
        if not named:
            raise
        return str(min(named))


def _compute_cosine(left: Vector, right: Vector) -> float:
    """Return the cosine of the angle between two vectors, 0 for vectors that cannot be compared."""
    lengths = math.hypot(*left) * math.hypot(*right)
    if len(left) != len(right) or not lengths:
        return 0.0
    return sum(one * other for one, other in zip(left, right, strict=True)) / lengths


_law = partial(Law, area="embeddings", needs=("key",), operations=EMBEDDINGS)

LAWS = (
    _law("embedding-shape", "Each text gets a vector", check_shape, paid=6),
    _law("embedding-length", "Vectors have length 1", check_unit_length),
    _law("embedding-repeated", "The same text has the same vector", check_repeated_text, paid=3),
    _law("embedding-similar", "Similar texts have similar vectors", check_similar_texts),
    _law("embedding-base64", "Base64 holds the same numbers", check_base64, operations=(_OPENAI,), paid=1),
    _law("embedding-dimensions", "Vectors have the size asked for", check_dimensions, paid=3),
    _law("embedding-usage", "Tokens of texts are counted", check_usage, operations=(_OPENAI,), paid=1),
    _law("embedding-refused", "Texts without content are refused", check_refusal, operations=(_OPENAI,)),
)
