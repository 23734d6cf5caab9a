"""Turn texts into unit vectors: the same for the same text and model, and near each other for similar words.

A vector counts the words of a text and the parts of its words, each at places that a hash chooses (feature hashing,
Weinberger et al. 2009), and adds a little that depends on the whole text.
"""

from __future__ import annotations

import math
import re
import unicodedata
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import shake_128
from struct import Struct

from aione_mock.model.tokens import count_tokens
from aione_mock.seed import Seed

_SEED = Seed.of("embedding")
"""Vectors depend on no seed of a user, so that an index which was built before a test fits."""
EmbeddingInput = str | Sequence[int]
"""A text, or the tokens of one; JSON may spell a token as 7.0."""
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_]+")
"""A word; in Chinese, Japanese and Korean each character is one."""
_LONGEST_WORD = 40
"""Characters of a word whose parts are counted."""
_PART, _PART_WEIGHT = 3, 0.4
"""Characters of a part of a word, and what it counts beside a whole word."""
_PAIR_WEIGHT = 0.5
_NOISE = 0.08
"""Length of what makes texts of the same words different, beside a length of 1 for the words."""
_PLACES = Struct("<4I")
"""Four places for each word or part: few enough to be quick, many enough that two words rarely share most."""


def embed_input(value: EmbeddingInput, model: str, size: int) -> array[float]:
    """Return the vector of a text or of its tokens: `size` numbers in single precision, whose squares add up to 1."""
    seed = _SEED.child(model, size)
    sums = [0.0] * size
    for feature, weight in _weigh_features(value).items():
        for place in _PLACES.unpack(seed.keyed_hash(b"feature", feature.encode("utf-8", "replace"))):
            sums[(place >> 1) % size] += weight if place & 1 else -weight
    length = math.hypot(*sums) or 1.0
    vector = [total / length + noise for total, noise in zip(sums, _draw_noise(value, seed, size), strict=True)]
    length = math.hypot(*vector)
    if length < _NOISE / 2:  # the words and the rest have cancelled each other out, which takes few dimensions
        return array("f", [1.0] + [0.0] * (size - 1))
    return array("f", [number / length for number in vector])


def count_input_tokens(value: EmbeddingInput) -> int:
    """Return the number of tokens of an input."""
    return count_tokens(value) if isinstance(value, str) else len(value)


def _weigh_features(value: EmbeddingInput) -> dict[str, float]:
    """Return what a text consists of, and how much each counts: what comes often counts less each time."""
    found: Counter[str] = Counter()
    weights: dict[str, float] = {}
    for feature, weight in _list_features(value):
        found[feature] += 1
        weights[feature] = weight
    return {feature: weights[feature] * math.sqrt(times) for feature, times in found.items()}


def _list_features(value: EmbeddingInput) -> Iterator[tuple[str, float]]:
    if not isinstance(value, str):
        yield from ((f"token {token}", 1.0) for token in map(int, value))
        return
    before = ""
    for word in _WORD.findall(unicodedata.normalize("NFKC", value).casefold()):
        yield word, 1.0
        if len(word) == 1:
            # single characters say little without their neighbours
            if before:
                yield before + word, _PAIR_WEIGHT
            before = word
            continue
        before = ""
        whole = f"^{word[:_LONGEST_WORD]}$"
        yield from ((whole[at : at + _PART], _PART_WEIGHT) for at in range(len(whole) - _PART + 1))


def _draw_noise(value: EmbeddingInput, seed: Seed, size: int) -> list[float]:
    """Return a vector of length `_NOISE` that depends on the whole text."""
    text = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else repr([*map(int, value)]).encode()
    drawn = [byte - 127.5 for byte in shake_128(seed.key + text).digest(size)]
    scale = _NOISE / math.hypot(*drawn)
    return [number * scale for number in drawn]
