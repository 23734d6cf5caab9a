"""Placeholder words for what people and models wrote: as long as the text, shaped like it, and saying nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping

import orjson

from aione_mock.contract import Contract
from aione_mock.types import Json

FIGURE = re.compile(r"[+-]?\d+(\.\d+)?%?|\d{4}-\d\d(-\d\d([T ][\d:.]+(Z|[+-]\d\d:\d\d)?)?)?")
"""A number, or a date, as text."""
_PLACEHOLDER = "placeholder"
_RUNS = re.compile(r"[A-Za-z]+|[0-9]+|[^\x00-\x7f]")
_LITERALS = re.compile(r'("(?:[^"\\]|\\.)*")(\s*:)?|[0-9]+')
_ESCAPES = re.compile(r"(\\u[0-9a-fA-F]{4}|\\.)")
_LINE = re.compile(r"((?:data: ?)?)(?!event:|id:|retry:)(.*)", re.DOTALL)
_DATA_URL = re.compile(r"(data:[^,]{0,80},)(.*)", re.DOTALL)
_BULK = re.compile(r"[A-Za-z0-9+/_=-]{200,}")


def vocabulary(contract: Contract) -> frozenset[str]:
    """Every word that the contract's schemas fix."""
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


def filled(text: str) -> str:
    """Placeholder words, as long as the text and shaped like it; JSON stays JSON with the same members."""
    if text[:1] in ("{", "[") and _is_json(text):
        return _LITERALS.sub(_literal, text)
    if match := _DATA_URL.fullmatch(text):
        return match[1] + _words(match[2])
    return _words(text)


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except ValueError:
        return False
    return True


def _literal(match: re.Match[str]) -> str:
    if match[2] is not None:
        return match[0]
    parts = _ESCAPES.split(match[0])
    return "".join([part if number % 2 else _words(part) for number, part in enumerate(parts)])


def _words(text: str) -> str:
    if _BULK.fullmatch(text):
        return "A" * len(text)
    return _RUNS.sub(_run, text)


def _run(match: re.Match[str]) -> str:
    run = match[0]
    if run[0].isascii():
        return "1" * len(run) if run[0].isdigit() else (_PLACEHOLDER * (len(run) // 11 + 1))[: len(run)]
    return "字" if run.isalpha() else run if run.isspace() or "\udc80" <= run <= "\udcff" else "□"


def filled_line(line: str, kept: frozenset[str]) -> str:
    """A line of an event stream with placeholder words in place of what it brings, unless that is one of `kept`."""
    match = _LINE.fullmatch(line)
    return line if match is None or match[2].strip() in kept else match[1] + filled(match[2])
