"""The words of a text that say what it is about, reduced so that different forms of them are equal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, lru_cache

from aione_mock.generator.words import word_lists

_TOKENS = re.compile(r"[A-Z]+(?![a-z])\d*|[A-Z]?[a-z]+\d*|[^\W\d_\u3400-\u9fff]+|[\u3400-\u9fff]+")
_SUM = re.compile(r"\d\s*([-+*/×÷]|x|times|乘|加|减)\s*-?\d")
_LOOK_UP = re.compile(r"(?i)\blook(?:ing)?\s+(?:it\s+|them\s+)?up\b")
_SIGNS = {"+": "add", "-": "subtract", "*": "multiply", "×": "multiply", "x": "multiply", "times": "multiply"}
_SIGNS |= {"/": "divide", "÷": "divide", "乘": "multiply", "加": "add", "减": "subtract"}
_ENDINGS = ("ations", "ation", "ings", "ing", "ies", "ied", "ers", "es", "ed", "er", "s", "e", "y")


@lru_cache(8192)
def stem(word: str) -> str:
    """A crude stem of an English word in lower case: `translations`, `translate` → translat."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


@cache
def _stops() -> frozenset[str]:
    return frozenset(word_lists()["stop"].split()) | {
        stem(word) for word in word_lists()["stop"].split() if len(word) > 4
    }


@cache
def generic() -> frozenset[str]:
    """Stems of words that descriptions and parameters mention in passing."""
    return frozenset(stem(word) for word in word_lists()["generic"].split())


@cache
def _stops_han() -> frozenset[str]:
    return frozenset(word_lists()["stop_zh"].split())


@cache
def _meanings() -> Mapping[str, str]:
    """Stems, and Chinese words, to the word that stands for their meaning."""
    lines = word_lists()["synonyms"]
    return {stem(word) if word.isascii() else word: f"={line[0]}" for line in reversed(lines) for word in line}


@cache
def _han_meanings() -> re.Pattern[str]:
    return re.compile("|".join(re.escape(word) for word in _meanings() if not word.isascii()))


@lru_cache(4096)
def _of_word(word: str) -> tuple[tuple[str, int], ...]:
    """(term, offset) for one token: its stem and its meaning; pairs of characters for Chinese."""
    if word[0] < "\u3400":
        low = word.lower()
        if low in _stops() or len(low) < 2:
            return ()
        root = stem(low)
        meaning = _meanings().get(root)
        return ((root, 0), (meaning, 0)) if meaning else ((root, 0),)
    pairs = [(word[at : at + 2], at) for at in range(len(word) - 1) if word[at : at + 2] not in _stops_han()]
    meanings = [(_meanings()[match[0]], match.start()) for match in _han_meanings().finditer(word)]
    return (*pairs, *meanings)


@lru_cache(1024)
def placed(text: str) -> tuple[tuple[str, int], ...]:
    """The distinctive terms of a text, each with its place: stems, pairs of Chinese characters, meanings (`=weather`).

    Sums such as `3 * 12` count as their operation (`=multiply`).
    """
    found = [(term, match.start() + at) for match in _TOKENS.finditer(text) for term, at in _of_word(match[0])]
    if any(character.isdigit() for character in text):
        found += [(f"={_SIGNS[match[1]]}", match.start()) for match in _SUM.finditer(text)]
    found += [("=search", match.start()) for match in _LOOK_UP.finditer(text)]
    return tuple(found)


def sums(text: str) -> tuple[tuple[str, int], ...]:
    """The sums of a text as a calculator's term, each with its place; dates, ranges and sizes (`4x6`) are none."""
    found = [match for match in _SUM.finditer(text) if match[1] not in ("-", "/", "x") or " " in match[0]]
    return tuple([("=calculate", match.start()) for match in found])


def terms(text: str) -> list[str]:
    """The distinctive words of a text as written, in lower case, without meanings."""
    words = [match[0] for match in _TOKENS.finditer(text)]
    return [word.lower() for word in words if len(word) > 1 and _of_word(word)]
