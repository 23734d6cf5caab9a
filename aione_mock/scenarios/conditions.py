"""`when`: the facts of a call, and the conditions that a rule makes on them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from fnmatch import translate
from typing import Any

from aione_mock.contract.json_pointer import resolve_pointer
from aione_mock.seed import Seed
from aione_mock.structs import frozen
from aione_mock.types import Json

_ABSENT: Any = object()


@frozen
class Facts:
    """What rules may ask about one call."""

    operation_id: str
    seed: Seed
    """The session's."""
    call: str
    """Names this very call: a hash of its content and its occurrence. Same call, same fate, in any order."""
    model: str | None = None
    key_id: str | None = None
    key_label: str | None = None
    key_prefix: str | None = None
    """The part of the secret that the console shows."""
    team_id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""
    last_user: str = ""
    """Text of the last user message."""
    tools: tuple[str, ...] = ()
    """Names of the tools on offer."""
    tool_results: tuple[str, ...] = ()
    """Names of the tools whose results stand after the last user message."""
    stream: bool = False
    body: Json = None
    """The JSON body as it came."""


@frozen
class Condition:
    """One thing that must hold. `why` says what is the case instead."""

    name: str
    test: Callable[[Facts], bool]
    why: Callable[[Facts], str]


def conditions(when: Mapping[str, Json], label: str) -> tuple[Condition, ...]:
    """The conditions of a `when` that satisfies the schema; `nth` and `every` are the rule's own affair.

    `label` names the rule in the draws of `probability`.
    """
    return tuple(_conditions(when, label))


def _conditions(when: Mapping[str, Json], label: str) -> Iterator[Condition]:
    for name, wanted in when.items():
        if name in _FIELDS:
            yield _names(name, wanted, _FIELDS[name])
        elif name in ("header", "body"):
            maker = _header if name == "header" else _member
            yield from (maker(key, value) for key, value in wanted.items())
        elif name in _TOOLS:
            yield _tool(name, wanted, _TOOLS[name])
        elif name in ("and", "or", "not"):
            groups = [conditions(part, f"{label}/{name}/{i}") for i, part in enumerate(wanted)]
            yield from _combined(name, groups)
        elif name in _SINGLE:
            yield _SINGLE[name](wanted, label)


_FIELDS: dict[str, Callable[[Facts], tuple[str | None, ...]]] = {
    "operation": lambda facts: (facts.operation_id,),
    "model": lambda facts: (facts.model,),
    "key": lambda facts: (facts.key_label, facts.key_id, facts.key_prefix),
    "team": lambda facts: (facts.team_id,),
}
_TOOLS: dict[str, Callable[[Facts], tuple[str, ...]]] = {
    "tool_offered": lambda facts: facts.tools,
    "tool_result": lambda facts: facts.tool_results,
}


def _glob(patterns: list[str]) -> re.Pattern[str]:
    return re.compile("|".join(translate(pattern) for pattern in patterns), re.DOTALL)


def _names(name: str, wanted: str | list[str], read: Callable[[Facts], tuple[str | None, ...]]) -> Condition:
    """One of a few names of the call fits one of the patterns."""
    patterns = [wanted] if isinstance(wanted, str) else wanted
    glob = _glob(patterns)
    spelled = " or ".join(f"'{pattern}'" for pattern in patterns)

    def test(facts: Facts) -> bool:
        return any(value is not None and glob.match(value) is not None for value in read(facts))

    def why(facts: Facts) -> str:
        found = next((value for value in read(facts) if value), None)
        return f"{name} is '{found}', not {spelled}" if found else f"there is no {name}; wanted {spelled}"

    return Condition(name, test, why)


def _header(name: str, wanted: str) -> Condition:
    glob, key = _glob([wanted]), name.lower()

    def test(facts: Facts) -> bool:
        return key in facts.headers and glob.match(facts.headers[key]) is not None

    def why(facts: Facts) -> str:
        found = facts.headers.get(key)
        return f"header {key} is missing" if found is None else f"header {key} is '{found}', not '{wanted}'"

    return Condition("header", test, why)


def _member(pointer: str, wanted: Json) -> Condition:
    glob = _glob([wanted]) if isinstance(wanted, str) else None

    def test(facts: Facts) -> bool:
        found = resolve_pointer(facts.body, pointer, _ABSENT)
        if glob is not None and isinstance(found, str):
            return glob.match(found) is not None
        return found is not _ABSENT and same(found, wanted)

    def why(facts: Facts) -> str:
        found = resolve_pointer(facts.body, pointer, _ABSENT)
        return f"body {pointer} is {'missing' if found is _ABSENT else repr(found)}, not {wanted!r}"

    return Condition("body", test, why)


def same(left: Json, right: Json) -> bool:
    """Equality of JSON values, where true is not 1."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def _tool(name: str, wanted: bool | str, read: Callable[[Facts], tuple[str, ...]]) -> Condition:
    what = "tools on offer" if name == "tool_offered" else "tool results"
    if isinstance(wanted, bool):
        return Condition(
            name,
            lambda facts: bool(read(facts)) == wanted,
            lambda facts: f"there are no {what}" if wanted else f"there are {what}: {', '.join(read(facts))}",
        )
    glob = _glob([wanted])
    return Condition(
        name,
        lambda facts: any(glob.match(tool) for tool in read(facts)),
        lambda facts: f"'{wanted}' is not among the {what}: {', '.join(read(facts)) or 'none'}",
    )


def _text(wanted: str, label: str) -> Condition:
    folded = wanted.casefold()
    return Condition(
        "text",
        lambda facts: folded in facts.last_user.casefold(),
        lambda facts: f"the last user message {_shown(facts.last_user)} does not contain '{wanted}'",
    )


def _pattern(wanted: str, label: str) -> Condition:
    regex = re.compile(wanted)
    return Condition(
        "pattern",
        lambda facts: regex.search(facts.last_user) is not None,
        lambda facts: f"the last user message {_shown(facts.last_user)} does not match /{wanted}/",
    )


def _stream(wanted: bool, label: str) -> Condition:
    return Condition(
        "stream",
        lambda facts: facts.stream == wanted,
        lambda facts: "it asks for no stream" if wanted else "it asks for a stream",
    )


def _probability(wanted: float, label: str) -> Condition:
    return Condition(
        "probability",
        lambda facts: facts.seed.draw_fraction("probability", label, facts.call) < wanted,
        lambda facts: f"chance ({wanted:g}) decided against it",
    )


_SINGLE: dict[str, Callable[[Any, str], Condition]] = {
    "text": _text,
    "pattern": _pattern,
    "stream": _stream,
    "probability": _probability,
}


def _combined(name: str, groups: list[tuple[Condition, ...]]) -> Iterator[Condition]:
    if name == "and":
        yield from (condition for group in groups for condition in group)
    elif name == "or":
        yield Condition(
            "or",
            lambda facts: any(_all(group, facts) for group in groups),
            lambda facts: "neither " + ", nor ".join(" and ".join(missing(group, facts)) for group in groups),
        )
    else:
        yield Condition(
            "not",
            lambda facts: not any(_all(group, facts) for group in groups),
            lambda facts: f"`not` excludes it by {_excluding(groups, facts)}",
        )


def _all(group: tuple[Condition, ...], facts: Facts) -> bool:
    return all(condition.test(facts) for condition in group)


def missing(group: tuple[Condition, ...], facts: Facts) -> list[str]:
    """Why a call does not meet the conditions; empty if it does."""
    return [condition.why(facts) for condition in group if not condition.test(facts)]


def _excluding(groups: list[tuple[Condition, ...]], facts: Facts) -> str:
    group = next(group for group in groups if _all(group, facts))
    return " and ".join(condition.name for condition in group) or "excluding every call"


def _shown(text: str) -> str:
    return f"'{text}'" if len(text) <= 60 else f"'{text[:57]}…'"
