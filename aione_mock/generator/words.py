"""Words for generated values: which kind a property's name stands for, and a word of that kind.

The lists are in fixtures/words.yaml, English and Chinese.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, Literal, TypeVar

import yaml

from aione_mock.seed import Seed
from aione_mock.settings import read_fixture

T = TypeVar("T")
Language = Literal["en", "zh"]
CJK = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[A-Z]|\d+|[\u3400-\u9fff]+")


@cache
def lists() -> Mapping[str, Any]:
    """The whole of fixtures/words.yaml, read once."""
    loaded: Mapping[str, Any] = yaml.load(read_fixture("words.yaml"), Loader=yaml.CSafeLoader)
    return loaded


@lru_cache(4096)
def parts(name: str) -> tuple[str, ...]:
    """The lower-case words of an identifier: `startDate2`, `start_date_2` → start, date, 2."""
    return tuple(_PARTS.sub(lambda m: m[0].lower() + "\n", re.sub(r"[^\w]|_", "\n", name)).split())


def language(*texts: str) -> Language:
    """`zh` if any text has a Chinese character."""
    return "zh" if any(CJK.search(text) for text in texts) else "en"


@cache
def _kinds() -> Mapping[str, str]:
    return {name: kind for kind, names in lists()["properties"].items() for name in names}


@lru_cache(4096)
def kind(name: str) -> str | None:
    """The kind of thing that a property of this name holds, such as `city`; None if unknown.

    The whole name decides, then ever shorter ends of it: `delivery_city` is a city.
    """
    known, words = _kinds(), parts(name)
    for start in range(len(words)):
        found = known.get(" ".join(words[start:]))
        if found:
            return found
    tail = words[-1] if words else ""
    return next((known[tail[at:]] for at in range(1, len(tail)) if CJK.match(tail) and tail[at:] in known), None)


@lru_cache(4096)
def usual_range(name: str) -> tuple[int, int, int] | None:
    """(least, greatest, decimals) usual for a number of this name."""
    words = parts(name)
    found = lists()["ranges"].get(words[-1]) if words else None
    return (found[0], found[1], found[2]) if found else None


def pick(choices: Sequence[T], seed: Seed, *labels: str | int) -> T:
    """One of the choices, by the seed."""
    return choices[seed.draw_integer(*labels) % len(choices)]


def some(list_name: str, lang: Language, seed: Seed) -> str:
    """A word of a list of fixtures/words.yaml: `city`, `country`, or a list of the language."""
    if list_name in ("city", "country"):
        pairs = lists()["cities" if list_name == "city" else "countries"]
        return str(pick(list(pairs.items()), seed, list_name)[lang == "zh"])
    chosen = lists()[f"made_{lang}"].get(list_name) or lists()[lang][list_name]
    return str(pick(chosen, seed, list_name))
