"""Values of the request in scripted answers: `{{model}}`, `{{header.x-user}}`, `{{json./messages/0/content}}`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import orjson

from aione_mock.contract.json_pointer import resolve_pointer
from aione_mock.errors import did_you_mean
from aione_mock.scenarios.conditions import Facts
from aione_mock.types import Json

_TEMPLATE = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")

VALUES: dict[str, Callable[[Facts, int], Json]] = {
    "model": lambda facts, call: facts.model,
    "last_user": lambda facts, call: facts.last_user,
    "operation": lambda facts, call: facts.operation_id,
    "key": lambda facts, call: facts.key_label or facts.key_id,
    "team": lambda facts, call: facts.team_id,
    "call": lambda facts, call: call,
}
PREFIXES = ("header.", "json./")


def fill(value: Json, facts: Facts, call: int) -> Json:
    """The value with all templates in its strings filled in; what the request lacks is empty text.

    A string that is one template and nothing else becomes the value itself, with its type.
    """
    if isinstance(value, dict):
        return {key: fill(item, facts, call) for key, item in value.items()}
    if isinstance(value, list):
        return [fill(item, facts, call) for item in value]
    if not isinstance(value, str) or "{{" not in value:
        return value
    if whole := _TEMPLATE.fullmatch(value):
        return _value(whole.group(1), facts, call)
    return text(value, facts, call)


def text(value: str, facts: Facts, call: int) -> str:
    """A string with its templates filled in, always a string."""
    return _TEMPLATE.sub(lambda match: _spelled(_value(match.group(1), facts, call)), value)


def unknown(value: Json) -> Iterator[str]:
    """The names in templates that stand for nothing."""
    if isinstance(value, dict):
        for item in value.values():
            yield from unknown(item)
    elif isinstance(value, list):
        for item in value:
            yield from unknown(item)
    elif isinstance(value, str):
        for name in _TEMPLATE.findall(value):
            if name not in VALUES and not (name.startswith(PREFIXES) and name not in PREFIXES[:1]):
                yield name


def mistakes(value: Json) -> Iterator[str]:
    """A sentence on each of them."""
    known = [*VALUES, "header.NAME", "json./POINTER"]
    for name in unknown(value):
        remedy = did_you_mean(name, known) or f"; known: {', '.join(known)}"
        yield f"unknown template '{{{{{name}}}}}'{remedy}"


def _value(name: str, facts: Facts, call: int) -> Json:
    if name in VALUES:
        found = VALUES[name](facts, call)
    elif name.startswith("header."):
        found = facts.headers.get(name.removeprefix("header.").lower())
    else:
        found = resolve_pointer(facts.body, name.removeprefix("json."), None)
    return "" if found is None else found


def _spelled(value: Json) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
