"""What tools gave back, in words: the facts of a JSON object, a quotation of anything else, or what went wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

import orjson

from aione_mock.model.tokens import split
from aione_mock.model.topic import Words
from aione_mock.types import ToolResult

_QUOTE_TOKENS = 60
_FACTS = 5
_PLACE = re.compile(r"\{\w+\}")
_BORDER = re.compile(r"[\u3400-\u9fff][A-Za-z0-9]|[A-Za-z0-9][\u3400-\u9fff]")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[_\-\s]+")
_UNITS = {
    **{
        "c": "°C",
        "celsius": "°C",
        "f": "°F",
        "fahrenheit": "°F",
        "pct": "%",
        "percent": "%",
        "kmh": "km/h",
        "kph": "km/h",
    },
    **{unit: unit for unit in ("mm", "cm", "km", "kg", "ms", "rmb", "usd", "eur")},
}


def failure(result: ToolResult) -> str | None:
    """What went wrong, None when nothing did."""
    data = _parse(result.text)
    error = data.get("error") if isinstance(data, dict) else None
    if isinstance(error, dict):
        error = error.get("message") or error
    if not result.is_error and not error:
        return None
    return readable(error if isinstance(error, str) else result.text).rstrip(".。")


def finding(words: Words, text: str) -> str:
    data = _parse(text)
    facts = list(islice(_facts(_object(data, words), words, ""), _FACTS))
    if facts:
        comma, last = words["fact_comma"], words["fact_last"]
        named = comma.join(facts[:-1]) + last + facts[-1] if len(facts) > 1 else facts[0]
        return str(words["facts"]).replace("{facts}", named)
    quote = readable(data if isinstance(data, str) else text).rstrip(".。")
    return str(words["quote"]).replace("{text}", quote) if quote else str(words["empty"])


def _object(data: Any, words: Words) -> dict[str, Any]:
    """JSON as one object: of an array of objects their number and the first one."""
    if isinstance(data, dict):
        return data
    if not isinstance(data, list) or not data:
        return {}
    if isinstance(data[0], dict):
        return {words["words"]["entries"]: len(data), **data[0]}
    return {words["words"]["result"]: data}


def _parse(text: str) -> Any:
    if text.lstrip()[:1] not in ("{", "[", '"'):
        return None
    try:
        return orjson.loads(text)
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        return None


def _facts(data: dict[str, Any], words: Words, prefix: str) -> Iterator[str]:
    """The members of a JSON object in words, two levels deep."""
    for key, value in data.items():
        name = readable(f"{prefix} {_CAMEL.sub(' ', key)}").lower()
        if isinstance(value, dict) and value and not prefix:
            yield from _facts(value, words, name)
        else:
            yield _fact(name.removeprefix("is ") or name, value, words)


def _fact(name: str, value: Any, words: Words) -> str:
    said = _value(value, words)
    rest, _, unit = name.rpartition(" ")
    if rest and unit in _UNITS and isinstance(value, int | float):
        name, said = rest, f"{said} {_UNITS[unit]}"
    plural = name.endswith("s") and not name.endswith(("ss", "us", "is"))
    # both come from outside, so neither may be searched for the other's place
    before, between, after = _PLACE.split(words["fact_many" if plural else "fact"])
    return before + _spaced(_spaced(name, between), said) + after


def _spaced(left: str, right: str) -> str:
    """Both in one, with a space where Chinese meets Latin letters or digits."""
    return f"{left} {right}" if _BORDER.search(left[-1:] + right[:1]) else left + right


def _value(value: Any, words: Words) -> str:
    if isinstance(value, str):
        return readable(value) or str(words["words"]["none"])
    if isinstance(value, bool) or value is None:
        return str(words["words"][orjson.dumps(value).decode()])
    if isinstance(value, dict | list) and not value:
        return str(words["words"]["none"])
    if isinstance(value, list) and len(value) <= 4 and not isinstance(value[0], dict | list):
        return ", ".join([_value(item, words) for item in value if not isinstance(item, dict | list)])
    if isinstance(value, dict | list):
        return str(words["words"]["more"]).replace("{n}", str(len(value)))
    return str(value)


def readable(text: str) -> str:
    """A text on one line, not too long, and sendable as UTF-8."""
    flat = " ".join(text[:2000].split()).encode("utf-8", "replace").decode()
    return flat if len(flat) < _QUOTE_TOKENS else cut(flat, _QUOTE_TOKENS, "…")


def cut(text: str, tokens: int, mark: str = "") -> str:
    pieces = split(text)
    return text if len(pieces) <= tokens else "".join(pieces[:tokens]).rstrip() + mark
