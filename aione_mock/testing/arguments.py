"""Check what a test hands to an assertion, so that a mistake is one line that names the argument."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

_SHOWN = 80
"""Characters of a wrong value in a message."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What an argument may be."""

    words: str
    example: str
    accepts: Callable[[object], bool]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_json(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(map(_is_text, value)) and all(map(_is_json, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_json, value))
    return value is None or isinstance(value, str | int | float)


def _is_mapping(value: object) -> bool:
    return isinstance(value, Mapping) and _is_json(value)


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray)


def _is_list_of_texts(value: object) -> bool:
    # for a single text there is a message that names what it could be
    return isinstance(value, str) or (isinstance(value, Sequence) and _is_list(value) and all(map(_is_text, value)))


def _is_pattern(value: object) -> bool:
    return _is_text(value.pattern if isinstance(value, re.Pattern) else value)


COUNT = Kind("a whole number", "3", _is_count)
SECONDS = Kind("a number", "10.0", _is_number)
TEXT = Kind("a text", "'refund'", _is_text)
JSON = Kind("JSON", "'refund'", _is_json)
CONDITIONS = Kind("conditions", "{'text': 'refund'}", _is_mapping)
OPERATION_OR_CONDITIONS = Kind(
    "an operation or conditions", "{'text': 'refund'}", lambda value: _is_text(value) or _is_mapping(value)
)
LIST = Kind("a list", "['createChatCompletion']", _is_list)
TEXTS = Kind("a list", "['stream']", _is_list_of_texts)
PATTERN = Kind("a regular expression", "'refund|money'", _is_pattern)
FUNCTION = Kind("a function", "ask", callable)


def check_argument(where: str, name: str, value: object, kind: Kind) -> None:
    """Raise TypeError, in one line, for an argument that is not of its kind."""
    __tracebackhide__ = True
    if not kind.accepts(value):
        raise TypeError(f"{where} takes {kind.words} such as {name}={kind.example}, not {repr(value)[:_SHOWN]}")


def check_optional(where: str, kind: Kind, **arguments: object) -> None:
    """Raise TypeError, in one line, for the first argument that is neither None nor of its kind."""
    __tracebackhide__ = True
    for name, value in arguments.items():
        if value is not None:
            check_argument(where, name, value, kind)
