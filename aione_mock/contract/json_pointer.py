"""JSON Pointers (RFC 6901)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aione_mock.types import Json

_MISSING: Any = object()


def escape_token(token: object) -> str:
    """Return one step of a pointer with `~` and `/` escaped."""
    return str(token).replace("~", "~0").replace("/", "~1")


def format_pointer(tokens: Iterable[object]) -> str:
    """Return the pointer that consists of the given steps."""
    return "".join(f"/{escape_token(token)}" for token in tokens)


def parse_pointer(pointer: str) -> list[str]:
    """Return the unescaped steps of a pointer; anything before the first `/` (such as `#`) is ignored."""
    return [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]


def resolve_pointer(value: Json, pointer: str, default: Json = _MISSING) -> Json:
    """Return the value at a pointer. Return `default`, or raise KeyError without one, if there is none."""
    for token in parse_pointer(pointer):
        if isinstance(value, dict) and token in value:
            value = value[token]
        elif isinstance(value, list) and token.isdecimal() and int(token) < len(value):
            value = value[int(token)]
        elif default is _MISSING:
            raise KeyError(pointer)
        else:
            return default
    return value
