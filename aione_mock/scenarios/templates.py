"""Fill values of the request into scripted replies: `{{model}}`, `{{header.x-user}}`, `{{json./messages/0}}`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import orjson

from aione_mock.contract.json_pointer import resolve_pointer
from aione_mock.errors import did_you_mean
from aione_mock.scenarios.conditions import MatchContext
from aione_mock.types import Json

_TEMPLATE = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
_VALUES: dict[str, Callable[[MatchContext, int], Json]] = {
    "model": lambda context, call: context.model,
    "last_user": lambda context, call: context.last_user,
    "operation": lambda context, call: context.operation_id,
    "key": lambda context, call: context.key_label or context.key_id,
    "team": lambda context, call: context.team_id,
    "call": lambda context, call: call,
}
_HEADER, _POINTER = "header.", "json./"


def fill_value(value: Json, context: MatchContext, call: int) -> Json:
    """Return JSON with the templates in its strings filled in; `call` is how often the rule has matched.

    A string that is a single template becomes the value itself, with its type. A value that the request lacks is "".
    """
    if isinstance(value, dict):
        return {key: fill_value(item, context, call) for key, item in value.items()}
    if isinstance(value, list):
        return [fill_value(item, context, call) for item in value]
    if not isinstance(value, str) or "{{" not in value:
        return value
    if whole := _TEMPLATE.fullmatch(value):
        return _look_up(whole.group(1), context, call)
    return fill_text(value, context, call)


def fill_text(text: str, context: MatchContext, call: int) -> str:
    """Return text with its templates filled in."""
    return _TEMPLATE.sub(lambda match: _to_text(_look_up(match.group(1), context, call)), text)


def explain_unknown(value: Json) -> Iterator[str]:
    """Yield an explanation for each template in `value` whose name is unknown."""
    known = [*_VALUES, "header.NAME", "json./POINTER"]
    for name in _find_unknown(value):
        remedy = did_you_mean(name, known) or f"; known: {', '.join(known)}"
        yield f"unknown template '{{{{{name}}}}}'{remedy}"


def _find_unknown(value: Json) -> Iterator[str]:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _find_unknown(item)
    elif isinstance(value, str):
        yield from (name for name in _TEMPLATE.findall(value) if not _is_known(name))


def _is_known(name: str) -> bool:
    return name in _VALUES or name.startswith(_POINTER) or (name.startswith(_HEADER) and name != _HEADER)


def _look_up(name: str, context: MatchContext, call: int) -> Json:
    if name in _VALUES:
        value = _VALUES[name](context, call)
    elif name.startswith(_HEADER):
        value = context.headers.get(name.removeprefix(_HEADER).lower())
    else:
        value = resolve_pointer(context.body, name.removeprefix("json."), None)
    return "" if value is None else value


def _to_text(value: Json) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
