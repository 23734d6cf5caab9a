"""Strings that match a regular expression, drawn from a seed.

The expression is parsed by Python's own parser after a few ECMA spellings are replaced. Look-arounds and word
boundaries are not solved but left to the caller's check of the outcome; a further draw may satisfy them.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from aione_mock.seed import Seed

_parser: Any = importlib.import_module("re._parser")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_WORD = _LETTERS + _LETTERS.upper() + "0123456789"
_PRINTABLE = _WORD + " -_.,:;!?#%&()*+/<=>@[]^{|}~'\"$`\\"
_CATEGORIES = {
    "CATEGORY_DIGIT": "0123456789",
    "CATEGORY_WORD": _WORD + "_",
    "CATEGORY_SPACE": " \t",
    "CATEGORY_NOT_DIGIT": _LETTERS + " -_.",
    "CATEGORY_NOT_WORD": " -.,:;!",
    "CATEGORY_NOT_SPACE": _WORD,
}
_CLASSES = {"L": "a-zA-Z", "Lu": "A-Z", "Ll": "a-z", "N": "0-9", "Nd": "0-9", "P": "!-/", "S": "+<=>", "Z": " "}
_CLASSES |= {"Letter": "a-zA-Z", "Script=Han": "\u4e00-\u9fa5", "Han": "\u4e00-\u9fa5", "sc=Han": "\u4e00-\u9fa5"}
_ECMA = re.compile(r"\\p\{(?P<p>[^}]*)\}|\(\?<(?P<group>[A-Za-z_]\w*)>|(?P<slash>\\/)|(?P<other>\\.|\[|\])", re.S)
_CAP = 8
"""How often `*`, `+` and open ranges repeat at most, unless a length asks for more."""

_LONGEST = 100_000


class Unmatchable(ValueError):
    """The pattern cannot be read, or nothing can match it."""


@lru_cache(1024)
def _parse(pattern: str) -> Any:
    inside = False

    def python(match: re.Match[str]) -> str:
        nonlocal inside
        if match["p"] is not None:
            members = _CLASSES.get(match["p"].removeprefix("General_Category="), "a-z")
            return members if inside else f"[{members}]"
        if match["group"]:
            return f"(?P<{match['group']}>"
        if match["slash"]:
            return "/"
        if match["other"] in "[]":
            inside = match["other"] == "["
        return match[0]

    try:
        return _parser.parse(_ECMA.sub(python, pattern))
    except (re.error, RecursionError, OverflowError) as problem:
        raise Unmatchable(f"pattern {pattern!r}: {problem}") from None


def draw(pattern: str, seed: Seed, least: int = 0, most: int | None = None, *, greedy: bool = False) -> str:
    """A string that matches the pattern, near a length from `least` to `most` code points where it can be.

    With `greedy` the first repetition that can takes up the whole of the missing length, else each a part.
    Raises Unmatchable. The caller checks the outcome and draws again from another seed if it must.
    """
    parsed = _parse(pattern)
    shortest, longest = parsed.getwidth()
    if shortest > _LONGEST:
        raise Unmatchable(f"what matches {pattern!r} is longer than {_LONGEST} characters")
    top = min(longest, most if most is not None else max(least, shortest) + _CAP)
    bottom = max(shortest, least)
    target = bottom + seed.draw_integer("length") % (top - bottom + 1) if top > bottom else bottom
    return _Draw(seed, target - shortest, greedy).sequence(parsed)


class _Draw:
    """One walk over a parsed expression; `slack` is how many characters it may exceed the shortest match by."""

    def __init__(self, seed: Seed, slack: int, greedy: bool) -> None:
        self._rng = seed.create_random("pattern")
        self._slack = max(slack, 0)
        self._greedy = greedy
        self._groups: dict[int, str] = {}

    def sequence(self, nodes: Any) -> str:
        return "".join([self._node(str(op), argument) for op, argument in nodes])

    def _node(self, op: str, argument: Any) -> str:
        handler = _NODES.get(op)
        if handler is None:
            raise Unmatchable(f"'{op.lower()}' in a pattern is not supported")
        return handler(self, argument)

    def literal(self, code: int) -> str:
        return chr(code)

    def not_literal(self, code: int) -> str:
        return self._of(_WORD.replace(chr(code), "") or "-")

    def any(self, _: Any) -> str:
        return self._of(_WORD + " ")

    def nothing(self, _: Any) -> str:
        return ""

    def members(self, items: Any) -> str:
        negated = bool(items) and str(items[0][0]) == "NEGATE"
        spans = [self._span(str(op), argument) for op, argument in items[negated:]]
        if negated:
            pools = (_WORD, _PRINTABLE, [chr(code) for code in range(0xA1, 0x400)])
            free = ([c for c in pool if not any(c in span for span in spans)] for pool in pools)
            return self._of(next((pool for pool in free if pool), ""))
        return self._of(spans[self._rng.randrange(len(spans))])

    def _span(self, op: str, argument: Any) -> Any:
        if op == "RANGE":
            return _Range(*argument)
        if op == "LITERAL":
            return chr(argument)
        return _CATEGORIES[str(argument)]

    def _of(self, characters: Any) -> str:
        if not len(characters):
            raise Unmatchable("an empty character class")
        return str(characters[self._rng.randrange(len(characters))])

    def branch(self, argument: Any) -> str:
        alternatives = argument[1]
        return self.sequence(alternatives[self._rng.randrange(len(alternatives))])

    def group(self, argument: Any) -> str:
        number, _, _, nodes = argument
        text = self.sequence(nodes)
        if number is not None:
            self._groups[number] = text
        return text

    def atomic(self, nodes: Any) -> str:
        return self.sequence(nodes)

    def reference(self, number: int) -> str:
        return self._groups.get(number, "")

    def repeat(self, argument: Any) -> str:
        low, high, nodes = argument
        width = max(nodes.getwidth()[0], 1)
        spare = min(int(high) - int(low), self._slack // width)
        more = spare if self._greedy else self._rng.randint(0, spare)
        self._slack -= more * width
        return "".join([self.sequence(nodes) for _ in range(int(low) + more)])


class _Range:
    """A span of code points that can be indexed, without the surrogates."""

    def __init__(self, low: int, high: int) -> None:
        self._codes = [c for c in range(low, min(high, low + 5000) + 1) if not 0xD800 <= c <= 0xDFFF]
        self._low, self._high = low, high

    def __len__(self) -> int:
        return len(self._codes)

    def __getitem__(self, at: int) -> str:
        return chr(self._codes[at])

    def __contains__(self, character: str) -> bool:
        return self._low <= ord(character) <= self._high


_NODES: dict[str, Callable[[_Draw, Any], str]] = {
    "LITERAL": _Draw.literal,
    "NOT_LITERAL": _Draw.not_literal,
    "ANY": _Draw.any,
    "AT": _Draw.nothing,
    "ASSERT": _Draw.nothing,
    "ASSERT_NOT": _Draw.nothing,
    "IN": _Draw.members,
    "BRANCH": _Draw.branch,
    "SUBPATTERN": _Draw.group,
    "ATOMIC_GROUP": _Draw.atomic,
    "GROUPREF": _Draw.reference,
    "MAX_REPEAT": _Draw.repeat,
    "MIN_REPEAT": _Draw.repeat,
    "POSSESSIVE_REPEAT": _Draw.repeat,
}
