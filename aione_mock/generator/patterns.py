"""Generate strings that match a regular expression.

Python's own parser parses the expression, after some ECMA syntax is replaced. Look-arounds and word boundaries are
ignored: the caller must validate the result and try again with another seed.
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
_MAX_EXTRA = 8
"""Number of characters beyond the shortest match, unless the string must be longer."""

_MAX_LENGTH = 100_000
_LONGEST_CACHED = 256
"""Characters of the longest pattern that is cached; it takes a hundred times as many bytes when parsed."""


class Unmatchable(ValueError):
    """The pattern cannot be parsed, or nothing can match it."""


def _parse(pattern: str) -> Any:
    return (_parse_cached if len(pattern) <= _LONGEST_CACHED else _parse_uncached)(pattern)


def _parse_uncached(pattern: str) -> Any:
    inside = False

    def translate(match: re.Match[str]) -> str:
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
        return _parser.parse(_ECMA.sub(translate, pattern))
    except (re.error, RecursionError, OverflowError) as problem:
        raise Unmatchable(f"pattern {pattern!r}: {problem}") from None


_parse_cached = lru_cache(256)(_parse_uncached)


def draw_match(pattern: str, seed: Seed, least: int = 0, most: int | None = None, *, greedy: bool = False) -> str:
    """Return a string that matches the pattern and has, if possible, `least` to `most` characters.

    With `greedy`, the first repetition takes all the missing characters, otherwise each takes some. Raise Unmatchable
    if the pattern cannot be used.
    """
    parsed = _parse(pattern)
    shortest, longest = parsed.getwidth()
    if shortest > _MAX_LENGTH:
        raise Unmatchable(f"every match of {pattern!r} is longer than {_MAX_LENGTH} characters")
    top = min(longest, most if most is not None else max(least, shortest) + _MAX_EXTRA)
    bottom = max(shortest, least)
    target = bottom + seed.draw_integer("length") % (top - bottom + 1) if top > bottom else bottom
    return _Matcher(seed, target - shortest, greedy).build(parsed)


def measure_pattern(pattern: str) -> int:
    """Return the characters and classes of a pattern, its counted repetitions written out; at least its length."""
    try:
        return max(len(pattern), _measure(_parse(pattern)))
    except (Unmatchable, RecursionError):
        return len(pattern)


def _measure(nodes: Any) -> int:
    return sum([_measure_node(str(op), argument) for op, argument in nodes])


def _measure_node(op: str, argument: Any) -> int:
    if op.endswith("_REPEAT"):
        least, most, inner = argument
        times: int = least + 1 if most is _parser.MAXREPEAT else most
        return max(1, times) * _measure(inner)
    if op == "BRANCH":
        return sum(map(_measure, argument[1]))
    return _measure(argument[-1]) if op in ("SUBPATTERN", "ATOMIC_GROUP", "ASSERT", "ASSERT_NOT") else 1


class _Matcher:
    """Builds one match of a parsed expression, at most `slack` characters longer than the shortest match."""

    def __init__(self, seed: Seed, slack: int, greedy: bool) -> None:
        self._rng = seed.create_random("pattern")
        self._slack = max(slack, 0)
        self._greedy = greedy
        self._groups: dict[int, str] = {}

    def build(self, nodes: Any) -> str:
        return "".join([self._build_node(str(op), argument) for op, argument in nodes])

    def _build_node(self, op: str, argument: Any) -> str:
        handler = _NODES.get(op)
        if handler is None:
            raise Unmatchable(f"'{op.lower()}' in a pattern is not supported")
        return handler(self, argument)

    def build_literal(self, code: int) -> str:
        return chr(code)

    def build_not_literal(self, code: int) -> str:
        return self._pick(_WORD.replace(chr(code), "") or "-")

    def build_any(self, _: Any) -> str:
        return self._pick(_WORD + " ")

    def build_nothing(self, _: Any) -> str:
        return ""

    def build_members(self, items: Any) -> str:
        negated = bool(items) and str(items[0][0]) == "NEGATE"
        spans = [self._parse_span(str(op), argument) for op, argument in items[negated:]]
        if negated:
            pools = (_WORD, _PRINTABLE, [chr(code) for code in range(0xA1, 0x400)])
            free = ([c for c in pool if not any(c in span for span in spans)] for pool in pools)
            return self._pick(next((pool for pool in free if pool), ""))
        return self._pick(spans[self._rng.randrange(len(spans))])

    def _parse_span(self, op: str, argument: Any) -> Any:
        if op == "RANGE":
            return _Range(*argument)
        if op == "LITERAL":
            return chr(argument)
        return _CATEGORIES[str(argument)]

    def _pick(self, characters: Any) -> str:
        if not len(characters):
            raise Unmatchable("an empty character class")
        return str(characters[self._rng.randrange(len(characters))])

    def build_branch(self, argument: Any) -> str:
        alternatives = argument[1]
        return self.build(alternatives[self._rng.randrange(len(alternatives))])

    def build_group(self, argument: Any) -> str:
        number, _, _, nodes = argument
        text = self.build(nodes)
        if number is not None:
            self._groups[number] = text
        return text

    def build_reference(self, number: int) -> str:
        return self._groups.get(number, "")

    def build_repeat(self, argument: Any) -> str:
        low, high, nodes = argument
        width = max(nodes.getwidth()[0], 1)
        spare = min(int(high) - int(low), self._slack // width)
        more = spare if self._greedy else self._rng.randint(0, spare)
        self._slack -= more * width
        return "".join([self.build(nodes) for _ in range(int(low) + more)])


class _Range:
    """A range of code points without the surrogates."""

    def __init__(self, low: int, high: int) -> None:
        self._low, self._high = low, high
        self._codes = range(low, min(high, low + 5000) + 1)
        self._surrogates = len(range(max(low, 0xD800), min(self._codes.stop, 0xE000)))

    def __len__(self) -> int:
        return len(self._codes) - self._surrogates

    def __getitem__(self, at: int) -> str:
        code = self._codes[at]
        return chr(code if code < 0xD800 else code + self._surrogates)

    def __contains__(self, character: str) -> bool:
        return self._low <= ord(character) <= self._high


_NODES: dict[str, Callable[[_Matcher, Any], str]] = {
    "LITERAL": _Matcher.build_literal,
    "NOT_LITERAL": _Matcher.build_not_literal,
    "ANY": _Matcher.build_any,
    "AT": _Matcher.build_nothing,
    "ASSERT": _Matcher.build_nothing,
    "ASSERT_NOT": _Matcher.build_nothing,
    "IN": _Matcher.build_members,
    "BRANCH": _Matcher.build_branch,
    "SUBPATTERN": _Matcher.build_group,
    "ATOMIC_GROUP": _Matcher.build,
    "GROUPREF": _Matcher.build_reference,
    "MAX_REPEAT": _Matcher.build_repeat,
    "MIN_REPEAT": _Matcher.build_repeat,
    "POSSESSIVE_REPEAT": _Matcher.build_repeat,
}
