"""Which tools a prompt makes the model call, and with what.

The rule of `auto`, so that tests can count on it. The last user turn is compared with each tool by distinctive words:
identifiers are split (`get_weather`, `getWeather` → weather), words reduced to stems, stop words left out; Chinese is
compared by pairs of characters; the synonyms of fixtures/words.yaml count as equal (forecast, 天气 → weather).

1. A word names the tools in whose *name* it stands. Where no word names any tool, the descriptions decide, and where
   they do not either, the parameters' names and enums; general words (city, date, name, …) count in names only.
   A sum (`17 * 3`) is the word of its operation and, where no tool has that, of a calculator. Words in quotation marks
   (remind me to "buy milk") name a tool only where no others do, unless what is quoted is one identifier (`tool_name`).
2. Of several tools with the same word, the one with more words in common has it; of equals, the first.
3. The named tools are called in the order of the text: all at once, or one at a time if `parallel` is off or the text
   says 'then', '然后'. One tool is called several times for several places, addresses, ids or symbols ('Paris and
   Tokyo'), unless a parameter takes a list or the places are a route.
4. A call that has been made since the last user turn is not made again: results lead to the next named tool, and when
   none remains to an answer. A text that names no tool is answered at once.

`none` never calls. `=NAME` always calls that tool, once for each value of rule 3. `required` calls what `auto` would,
and without that the first tool not called since the user's turn, else the first.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import pairwise

import orjson

from aione_mock.errors import APIError, ContractError
from aione_mock.generator import NoInstance, SchemaPlan, plan_schema
from aione_mock.model import argument_values, entities
from aione_mock.model.keywords import generic, placed, sums
from aione_mock.model.structured import contradiction, normalise_google
from aione_mock.seed import Seed
from aione_mock.types import Json, Prompt, Tool, ToolCall, Turn

_READ = 8192
_IN_TURN = re.compile(r"(?i)\b(?:then|after that|afterwards|once you have|use the result)\b|然后|接着|之后再|再用")
_BOUNDARY = re.compile(r"[.?!;,。？！；，、\n]|\band\b|和|并|以及")
_IDENTIFIER = re.compile(r"[A-Za-z_][\w.-]*")
_NAME, _DESCRIPTION, _PARAMETER = 0, 1, 2
Terms = tuple[tuple[str, int], ...]
"""Words, each with its place in the text."""
Index = tuple[frozenset[str], frozenset[str], frozenset[str]]
"""The distinctive terms of a tool: of its name, of its description, of its parameters."""


@dataclass(frozen=True, slots=True)
class _Named:
    """A tool that a text names, with the part of the text that is about it."""

    tool: Tool
    start: int
    end: int


def choose(prompt: Prompt, seed: Seed, today: date | None = None) -> tuple[ToolCall, ...]:
    """The calls of the next assistant turn; empty means that it answers in words. See the module for the rule.

    Arguments are valid against the tool's schema. Ids are 24 letters and digits, drawn from the seed; a protocol puts
    its own prefix before them. Raises APIError `invalid_request` for an unknown tool or a schema without an instance.
    """
    tools = _offered(prompt)
    if not tools or prompt.tool_choice == "none":
        return ()
    at, turn = _last_question(prompt.turns)
    since = prompt.turns[at + 1 :]
    called = Counter(call.name for later in since for call in later.tool_calls)
    text = turn.text[:_READ] if turn else ""
    one_by_one = not prompt.parallel or _IN_TURN.search(text) is not None
    forced = prompt.tool_choice.startswith("=")
    named = [_Named(tools[0], 0, len(text))] if forced else _named(tools, text)
    calls = _planned(named, entities.find(text, today), seed) if named else []
    remaining = calls if forced else _remaining(calls, called)
    if not remaining and prompt.tool_choice == "required":
        first = next((tool for tool in tools if tool.name not in called), tools[0])
        remaining = _planned([_Named(first, 0, len(text))], entities.find(text, today), seed)
    chosen = remaining[:1] if one_by_one else remaining
    return tuple([ToolCall(seed.draw_token(24, "call", len(since), n), *call) for n, call in enumerate(chosen)])


def _offered(prompt: Prompt) -> Sequence[Tool]:
    """The tools that may be called."""
    if prompt.tool_choice.startswith("="):
        name = prompt.tool_choice[1:]
        tools = [tool for tool in prompt.tools if tool.name == name]
        if not tools:
            message = f"The tool choice names '{name}', which is not among the tools."
            raise APIError("invalid_request", message, fields={"param": "tool_choice"})
        return tools
    if not prompt.allowed_tools:
        return prompt.tools
    return [tool for tool in prompt.tools if tool.name in prompt.allowed_tools]


def _last_question(turns: Sequence[Turn]) -> tuple[int, Turn | None]:
    """The last turn in which the user says something, and where it stands; results of tools say nothing new."""
    for at in range(len(turns) - 1, -1, -1):
        if turns[at].role == "user" and not turns[at].results:
            return at, turns[at]
    return -1, None


def _remaining(calls: list[tuple[str, str]], called: Counter[str]) -> list[tuple[str, str]]:
    """The calls without as many of each tool as were made."""
    left, out = Counter(called), []
    for name, arguments in calls:
        if left[name]:
            left[name] -= 1
        else:
            out.append((name, arguments))
    return out


def _named(tools: Sequence[Tool], text: str) -> list[_Named]:
    """The tools that a text names, in its order, each with its part of the text."""
    indices = [_index(tool) for tool in tools]
    words = placed(text)
    outside = _unquoted(words, text)
    if outside != words and (found := _by_words(tools, indices, outside, text)):
        return found
    return _by_words(tools, indices, words, text)


def _unquoted(words: Terms, text: str) -> Terms:
    """The words without those of quotations, save where a quotation is a single identifier."""
    said = [item for item in entities.quotations(text) if not _IDENTIFIER.fullmatch(item.value)]
    return tuple([word for word in words if not any(item.start <= word[1] < item.end for item in said)])


def _by_words(tools: Sequence[Tool], indices: Sequence[Index], words: Terms, text: str) -> list[_Named]:
    """The tools that some words of a text name."""
    for field in (_NAME, _DESCRIPTION, _PARAMETER):
        fields = [index[field] for index in indices]
        places = _elected(fields, words) or _elected(fields, sums(text))
        if places:
            return _parted([tools[n] for n in places], list(places.values()), text)
    return []


def _elected(indices: Sequence[frozenset[str]], words: Terms) -> dict[int, int]:
    """Which tools have the words, and where the first word of each stands, in the order of the text."""
    distinct = dict(reversed(words))
    scores = [sum(2 - (word[0] == "=") for word in distinct if word in index) for index in indices]
    places: dict[int, int] = {}
    for word, start in sorted(words, key=lambda item: item[1]):
        takers = [n for n, index in enumerate(indices) if word in index]
        if takers:
            places.setdefault(max(takers, key=lambda n: scores[n]), start)
    return places


def _parted(tools: list[Tool], starts: list[int], text: str) -> list[_Named]:
    """Cut the text at the last boundary before each tool's word."""
    cuts = [0]
    for before, start in pairwise(starts):
        boundaries = [match.end() for match in _BOUNDARY.finditer(text, before, start)]
        cuts.append(boundaries[-1] if boundaries else start)
    return [_Named(*row) for row in zip(tools, cuts, [*cuts[1:], len(text)], strict=True)]


def _index(tool: Tool) -> Index:
    return _indexed(tool.name, tool.description, _raw(tool))


def _raw(tool: Tool) -> bytes:
    try:
        return orjson.dumps(tool.schema)
    except TypeError as problem:  # deeper than 254 levels, or numbers beyond 64 bits
        raise _unusable(tool, problem) from None


def _parameters(schema: Json) -> str:
    """The names of a schema's properties and the members of their enums, as text."""
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(properties, Mapping):
        return ""
    members = (p.get("enum") for p in properties.values() if isinstance(p, Mapping))
    enums = (str(member) for values in members if isinstance(values, list) for member in values[:50])
    return " ".join((*map(str, properties), *enums))


@lru_cache(2048)
def _indexed(name: str, description: str, schema: bytes) -> Index:
    names = frozenset(term for term, _ in placed(name))
    texts = (description[:2000], _parameters(orjson.loads(schema)))
    others = [frozenset(term for term, _ in placed(text) if not _passing(term)) for text in texts]
    # a tool that is called `search` and nothing else has only its general word
    return names or frozenset([name.lower()]), others[0], others[1]


def _passing(term: str) -> bool:
    return term.removeprefix("=") in generic()


def _planned(named: Sequence[_Named], found: entities.Mentions, seed: Seed) -> list[tuple[str, str]]:
    """(tool, arguments as JSON) of every call that the text asks for."""
    calls: dict[tuple[str, str], None] = {}
    for item in named:
        try:
            plan = _plan(_raw(item.tool))
            for number, about in enumerate(_spread(plan, item, found, alone=len(named) == 1)):
                calls[item.tool.name, _arguments(plan, about, seed.child(item.tool.name, number))] = None
        except NoInstance as problem:
            raise _unusable(item.tool, contradiction(normalise_google(item.tool.schema)) or problem) from None
        except ContractError as problem:
            raise _unusable(item.tool, problem) from None
    return list(calls)


def _spread(plan: SchemaPlan, item: _Named, found: entities.Mentions, *, alone: bool) -> list[entities.Mentions]:
    """Several calls for several values of the tool's own part of the text, or of all of it if that names none."""
    if alone:
        return argument_values.spread(plan, found)
    own = found.within(item.start, item.end)
    parts = argument_values.spread(plan, own)
    if len(parts) > 1:
        return parts
    about = found.first_from(item.start, item.end)
    return [about] if argument_values.fitting(plan, own) else argument_values.spread(plan, about)


def _arguments(plan: SchemaPlan, about: entities.Mentions, seed: Seed) -> str:
    filled = argument_values.fill(plan, about, seed, sparse=True)
    if not isinstance(filled, dict):
        raise ContractError("it does not describe an object")
    return orjson.dumps(filled).decode()


def _unusable(tool: Tool, problem: object) -> APIError:
    message = f"Invalid schema for the parameters of tool '{tool.name}': {problem}"
    return APIError("invalid_request", message, fields={"param": "tools"})


@lru_cache(1024)
def _plan(raw: bytes) -> SchemaPlan:
    """The plan of a tool's schema; arguments are always an object."""
    schema = normalise_google(orjson.loads(raw)) or {}
    if isinstance(schema, dict) and not {"type", "$ref", "anyOf", "oneOf", "allOf"} & schema.keys():
        schema = {"type": "object", **schema}
    return plan_schema(schema)
