"""Replace what people and models wrote by placeholder words of the same length and shape."""

from __future__ import annotations

import re
from collections.abc import Mapping

import orjson

from aione_mock.contract import Contract
from aione_mock.types import Json

_NUMBER_OR_DATE = re.compile(r"[+-]?\d+(\.\d+)?%?|\d{4}-\d\d(-\d\d([T ][\d:.]+(Z|[+-]\d\d:\d\d)?)?)?")
_PLACEHOLDER = "placeholder"
_LETTERS_OR_DIGITS = re.compile(r"[A-Za-z]+|[0-9]+|[^\x00-\x7f]")
_LITERALS = re.compile(r'("(?:[^"\\]|\\.)*")(\s*:)?|[0-9]+')
_ESCAPES = re.compile(r"(\\u[0-9a-fA-F]{4}|\\.)")
_EVENT_LINE = re.compile(r"((?:data: ?)?)(?!event:|id:|retry:)(.*)", re.DOTALL)
_DATA_URL = re.compile(r"(data:[^,]{0,80},)(.*)", re.DOTALL)
_ENCODED_DATA = re.compile(r"[A-Za-z0-9+/_=-]{200,}")


def collect_constants(contract: Contract) -> frozenset[str]:
    """Return every text that the contract's schemas prescribe: enum members, constants and defaults."""
    words: set[str] = set()
    pending: list[Json] = list(contract.documents.values())
    while pending:
        node = pending.pop()
        if isinstance(node, Mapping):
            named = [*(node.get("enum") or ()), node.get("const"), node.get("default")]
            words.update(word for word in named if isinstance(word, str))
            pending.extend(node.values())
        elif isinstance(node, list):
            pending.extend(node)
    return frozenset(words)


def is_number_or_date(text: str) -> bool:
    """Return whether a text is a number or a date."""
    return _NUMBER_OR_DATE.fullmatch(text) is not None


def replace_text(text: str) -> str:
    """Return placeholder words of the same length and shape; JSON stays JSON with the same members."""
    if text[:1] in ("{", "[") and _is_json(text):
        return _LITERALS.sub(_replace_literal, text)
    if match := _DATA_URL.fullmatch(text):
        return match[1] + _replace_words(match[2])
    return _replace_words(text)


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except ValueError:
        return False
    return True


def _replace_literal(match: re.Match[str]) -> str:
    if match[2] is not None:
        return match[0]
    parts = _ESCAPES.split(match[0])
    return "".join([_replace_escape(part) if number % 2 else _replace_words(part) for number, part in enumerate(parts)])


def _replace_escape(escape: str) -> str:
    """Return an escape of the same length; one of a letter or digit says another."""
    return "\\u5b57" if escape[1] == "u" and chr(int(escape[2:], 16)).isalnum() else escape


def _replace_words(text: str) -> str:
    if _ENCODED_DATA.fullmatch(text):
        return "A" * len(text)
    return _LETTERS_OR_DIGITS.sub(_replace_run, text)


def _replace_run(match: re.Match[str]) -> str:
    run = match[0]
    if run[0].isascii():
        return "1" * len(run) if run[0].isdigit() else (_PLACEHOLDER * (len(run) // 11 + 1))[: len(run)]
    return "字" if run.isalpha() else run if run.isspace() or "\udc80" <= run <= "\udcff" else "□"


def replace_event_line(line: str, kept: frozenset[str]) -> str:
    """Return a line of an event stream with its data replaced, unless that is one of `kept`."""
    match = _EVENT_LINE.fullmatch(line)
    return line if match is None or match[2].strip() in kept else match[1] + replace_text(match[2])
