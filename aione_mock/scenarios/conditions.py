"""`when`: the conditions of rules, and what they know about a call."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from fnmatch import translate
from typing import Any

import jsonschema_rs

from aione_mock.contract.json_pointer import resolve_pointer
from aione_mock.generator.budget import MAX_PATTERN
from aione_mock.scenarios.awkward import Need
from aione_mock.seed import Seed
from aione_mock.structs import frozen
from aione_mock.types import Json

_ABSENT: Any = object()
_MAX_QUOTED_CHARS = 60
_MAX_SEARCHED = 64 << 10
"""Characters of a message in which a pattern is looked for."""
_NO_BACKTRACKING = jsonschema_rs.RegexOptions(size_limit=256 << 10, dfa_size_limit=1 << 20)


@frozen
class MatchContext:
    """What rules may ask about a call."""

    operation_id: str
    seed: Seed
    """The session's seed."""
    call: str
    """Hash of the call's content, and its occurrence. The same call has the same luck in any order of calls."""
    model: str | None = None
    key_id: str | None = None
    key_label: str | None = None
    key_prefix: str | None = None
    """The part of the API key that the console shows."""
    team_id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """Request headers by lower-case name."""
    last_user: str = ""
    """Text of the last user message."""
    tools: tuple[str, ...] = ()
    """Names of the tools offered."""
    tool_results: tuple[str, ...] = ()
    """Names of the tools whose results follow the last user message."""
    features: frozenset[Need] = frozenset()
    """What its request has that awkward answers need."""
    stream: bool = False
    body: Json = None
    """The JSON body as received."""


@frozen
class Condition:
    """A condition on a call. `explain` says why a call does not meet it."""

    name: str
    test: Callable[[MatchContext], bool]
    explain: Callable[[MatchContext], str]


def compile_conditions(when: Mapping[str, Json], label: str) -> tuple[Condition, ...]:
    """Compile a valid `when`, apart from `nth` and `every`, which `Rule` handles.

    `label` names the rule in the draws of `probability`.
    """
    return tuple(_compile_members(when, label))


def meets_all(group: tuple[Condition, ...], context: MatchContext) -> bool:
    """Return whether a call meets all conditions."""
    return all(condition.test(context) for condition in group)


def explain_unmet(group: tuple[Condition, ...], context: MatchContext) -> list[str]:
    """Return why a call does not meet the conditions; empty if it meets all."""
    return [condition.explain(context) for condition in group if not condition.test(context)]


def _compile_members(when: Mapping[str, Json], label: str) -> Iterator[Condition]:
    for name, wanted in when.items():
        if name in _FIELDS:
            yield _match_field(name, wanted, _FIELDS[name])
        elif name in _MAPPINGS:
            yield from (_MAPPINGS[name](key, value) for key, value in wanted.items())
        elif name in _TOOLS:
            yield _match_tools(name, wanted)
        elif name in _COMBINED:
            groups = [compile_conditions(part, f"{label}/{name}/{i}") for i, part in enumerate(wanted)]
            yield from _COMBINED[name](groups)
        elif name in _SINGLE:
            yield _SINGLE[name](wanted, label)


def _compile_glob(patterns: list[str]) -> re.Pattern[str]:
    return re.compile("|".join(translate(pattern) for pattern in patterns), re.DOTALL)


def _match_field(
    name: str, wanted: str | list[str], read: Callable[[MatchContext], tuple[str | None, ...]]
) -> Condition:
    patterns = [wanted] if isinstance(wanted, str) else wanted
    glob = _compile_glob(patterns)
    described = " or ".join(f"'{pattern}'" for pattern in patterns)

    def test(context: MatchContext) -> bool:
        return any(value is not None and glob.match(value) is not None for value in read(context))

    def explain(context: MatchContext) -> str:
        value = next((value for value in read(context) if value), None)
        return f"{name} is '{value}', not {described}" if value else f"there is no {name}; wanted {described}"

    return Condition(name, test, explain)


def _match_header(name: str, wanted: str) -> Condition:
    glob, key = _compile_glob([wanted]), name.lower()

    def test(context: MatchContext) -> bool:
        return key in context.headers and glob.match(context.headers[key]) is not None

    def explain(context: MatchContext) -> str:
        value = context.headers.get(key)
        return f"header {key} is missing" if value is None else f"header {key} is '{value}', not '{wanted}'"

    return Condition("header", test, explain)


def _match_body(pointer: str, wanted: Json) -> Condition:
    glob = _compile_glob([wanted]) if isinstance(wanted, str) else None

    def test(context: MatchContext) -> bool:
        value = resolve_pointer(context.body, pointer, _ABSENT)
        if glob is not None and isinstance(value, str):
            return glob.match(value) is not None
        return value is not _ABSENT and is_same_json(value, wanted)

    def explain(context: MatchContext) -> str:
        value = resolve_pointer(context.body, pointer, _ABSENT)
        return f"body {pointer} is {'missing' if value is _ABSENT else repr(value)}, not {wanted!r}"

    return Condition("body", test, explain)


def is_same_json(left: Json, right: Json) -> bool:
    """Return whether two JSON values are equal; unlike in Python, true is not 1."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(is_same_json(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(is_same_json, left, right))
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def _match_tools(name: str, wanted: bool | str) -> Condition:
    description, read = _TOOLS[name]

    def names(context: MatchContext) -> str:
        return ", ".join(read(context)) or "none"

    if isinstance(wanted, bool):
        return Condition(
            name,
            lambda context: bool(read(context)) == wanted,
            lambda context: f"there are no {description}" if wanted else f"there are {description}: {names(context)}",
        )
    glob = _compile_glob([wanted])
    return Condition(
        name,
        lambda context: any(glob.match(tool) for tool in read(context)),
        lambda context: f"'{wanted}' is not among the {description}: {names(context)}",
    )


def _match_text(wanted: str, label: str) -> Condition:
    folded = wanted.casefold()
    return Condition(
        "text",
        lambda context: folded in context.last_user.casefold(),
        lambda context: f"the last user message {_quote(context.last_user)} does not contain '{wanted}'",
    )


def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """Return whether a text contains a match of a regular expression.

    The engine does not step back, so that no expression can hang the server. Raises ValueError for what it cannot do.
    """
    if len(pattern) > MAX_PATTERN:
        raise ValueError(f"it has {len(pattern)} characters; at most {MAX_PATTERN} are allowed")
    try:
        return jsonschema_rs.Draft202012Validator({"pattern": pattern}, pattern_options=_NO_BACKTRACKING).is_valid
    except jsonschema_rs.ValidationError:
        raise ValueError(_explain_pattern(pattern)) from None


def _explain_pattern(pattern: str) -> str:
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return f"not a regular expression: {error}"
    return "look-around such as (?=…), backreferences such as \\1, \\Z and large repetitions are not supported"


def _match_pattern(wanted: str, label: str) -> Condition:
    is_found = compile_pattern(wanted)
    return Condition(
        "pattern",
        lambda context: is_found(context.last_user[:_MAX_SEARCHED]),
        lambda context: f"the last user message {_quote(context.last_user)} does not match /{wanted}/",
    )


def _match_stream(wanted: bool, label: str) -> Condition:
    return Condition(
        "stream",
        lambda context: context.stream == wanted,
        lambda context: "it asks for no stream" if wanted else "it asks for a stream",
    )


def _match_probability(wanted: float, label: str) -> Condition:
    return Condition(
        "probability",
        lambda context: context.seed.draw_fraction("probability", label, context.call) < wanted,
        lambda context: f"chance ({wanted:g}) decided against it",
    )


def _match_any(groups: list[tuple[Condition, ...]]) -> Iterator[Condition]:
    yield Condition(
        "or",
        lambda context: any(meets_all(group, context) for group in groups),
        lambda context: "neither " + ", nor ".join(" and ".join(explain_unmet(group, context)) for group in groups),
    )


def _match_none(groups: list[tuple[Condition, ...]]) -> Iterator[Condition]:
    def explain(context: MatchContext) -> str:
        met = next(group for group in groups if meets_all(group, context))
        names = " and ".join(condition.name for condition in met) or "excluding every call"
        return f"`not` excludes it by {names}"

    yield Condition("not", lambda context: not any(meets_all(group, context) for group in groups), explain)


def _quote(text: str) -> str:
    shown = text if len(text) <= _MAX_QUOTED_CHARS else text[: _MAX_QUOTED_CHARS - 3] + "…"
    return f"'{shown}'"


_FIELDS: dict[str, Callable[[MatchContext], tuple[str | None, ...]]] = {
    "operation": lambda context: (context.operation_id,),
    "model": lambda context: (context.model,),
    "key": lambda context: (context.key_label, context.key_id, context.key_prefix),
    "team": lambda context: (context.team_id,),
}
_TOOLS: dict[str, tuple[str, Callable[[MatchContext], tuple[str, ...]]]] = {
    "tool_offered": ("tools on offer", lambda context: context.tools),
    "tool_result": ("tool results", lambda context: context.tool_results),
}
_MAPPINGS: dict[str, Callable[[str, Any], Condition]] = {"header": _match_header, "body": _match_body}
_SINGLE: dict[str, Callable[[Any, str], Condition]] = {
    "text": _match_text,
    "pattern": _match_pattern,
    "stream": _match_stream,
    "probability": _match_probability,
}
_COMBINED: dict[str, Callable[[list[tuple[Condition, ...]]], Iterator[Condition]]] = {
    "and": lambda groups: (condition for group in groups for condition in group),
    "or": _match_any,
    "not": _match_none,
}
