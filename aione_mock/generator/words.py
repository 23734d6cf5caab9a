"""Find what kind of value a property's name stands for, and pick words of that kind in English or Chinese."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache, wraps
from typing import Any, Literal, TypeVar

import yaml

from aione_mock.seed import Seed
from aione_mock.settings import read_fixture

T = TypeVar("T")
Language = Literal["en", "zh"]
CJK = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
_LONGEST_NAME = 128
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[A-Z]|\d+|[\u3400-\u9fff]+")


def cache_names(function: Callable[[str], T]) -> Callable[[str], T]:
    """Cache the results of a function of a property's name, unless the name is longer than any in use."""
    cached = lru_cache(2048)(function)

    @wraps(function)
    def call(name: str) -> T:
        return (cached if len(name) <= _LONGEST_NAME else function)(name)

    return call


@cache
def word_lists() -> Mapping[str, Any]:
    """Return the content of fixtures/words.yaml."""
    loaded: Mapping[str, Any] = yaml.load(read_fixture("words.yaml"), Loader=yaml.CSafeLoader)
    return loaded


@cache_names
def split_name(name: str) -> tuple[str, ...]:
    """Split an identifier into lower-case words: `startDate2` and `start_date_2` give start, date, 2."""
    return tuple(_PARTS.sub(lambda m: m[0].lower() + "\n", re.sub(r"[^\w]|_", "\n", name)).split())


def detect_language(*texts: str) -> Language:
    """Return `zh` if any text contains a Chinese character."""
    return "zh" if any(CJK.search(text) for text in texts) else "en"


@cache
def _kind_by_name() -> Mapping[str, str]:
    return {name: kind for kind, names in word_lists()["properties"].items() for name in names}


@cache_names
def find_kind(name: str) -> str | None:
    """Return the kind of value that a property of this name holds, such as `city`; None if unknown.

    The longest ending of the name that is known decides: `delivery_city` is a city.
    """
    kinds, words = _kind_by_name(), split_name(name)
    for start in range(len(words)):
        if kind := kinds.get(" ".join(words[start:])):
            return kind
    tail = words[-1] if words else ""
    # Chinese has no spaces between words, so every ending of the last one is tried
    return next((kinds[tail[at:]] for at in range(1, len(tail)) if CJK.match(tail) and tail[at:] in kinds), None)


@cache_names
def usual_range(name: str) -> tuple[int, int, int] | None:
    """Return the usual minimum, maximum and number of decimals of a number of this name."""
    words = split_name(name)
    found = word_lists()["ranges"].get(words[-1]) if words else None
    return (found[0], found[1], found[2]) if found else None


def pick_one(choices: Sequence[T], seed: Seed, *labels: str | int) -> T:
    """Return one of the choices."""
    return choices[seed.draw_integer(*labels) % len(choices)]


def pick_word(list_name: str, lang: Language, seed: Seed) -> str:
    """Return a word from `city`, `country` or a list of the language in fixtures/words.yaml."""
    if list_name in ("city", "country"):
        pairs = word_lists()["cities" if list_name == "city" else "countries"]
        return str(pick_one(list(pairs.items()), seed, list_name)[lang == "zh"])
    chosen = word_lists()[f"made_{lang}"].get(list_name) or word_lists()[lang][list_name]
    return str(pick_one(chosen, seed, list_name))
