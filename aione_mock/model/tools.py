"""Choose the tools that a prompt makes the model call, and their arguments.

`docs/explanation/what-it-says.md` states the rules.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date
from functools import cache

import orjson

from aione_mock.errors import APIError, ContractError
from aione_mock.generator import NoInstance
from aione_mock.generator.words import word_lists
from aione_mock.model import arguments
from aione_mock.model.mentions import Mentions
from aione_mock.model.slots import Slot, collect_slots, get_list
from aione_mock.model.structured import explain_contradiction
from aione_mock.seed import Seed
from aione_mock.types import Json, Prompt, Tool, ToolCall, Turn

_MAX_QUESTION = 8192
_MAX_DESCRIPTION = 2000
_SEQUENCE = re.compile(r"\b(?:then|after that|afterwards)\b|然后|接着|之后再", re.IGNORECASE)
_LATIN_WORD = re.compile(r"[a-z][a-z0-9]{1,23}")
_CHINESE_RUN = re.compile(r"[\u3400-\u9fff]{2,}")
_TYPED = frozenset(["type", "$ref", "anyOf", "oneOf", "allOf"])
_SEPARATOR = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[\W_]+")
_NOTHING_CALLED = Counter[str]()
_ENDING = re.compile(r"(?<=.{4})(?:ations?|ings?|ies|ers?|ed|es|s|e|y)\Z")


def choose_tool_calls(prompt: Prompt, seed: Seed, today: date) -> tuple[ToolCall, ...]:
    """Return the calls of the next assistant turn, without ids. None means that it answers in words.

    Arguments are valid against the tool's schema. Raises APIError `invalid_request` for an unknown tool or a schema
    without an instance.
    """
    tools = list_offered(prompt)
    if not tools or prompt.tool_choice == "none":
        return ()
    question, since = _split_conversation(prompt.turns)
    called = Counter([call.name for turn in since for call in turn.tool_calls]) if since else _NOTHING_CALLED
    mentions = Mentions(question, today)
    forced = prompt.tool_choice.startswith("=")
    chosen = tools if forced else _find_named(tools, question) or _find_fitting(tools, mentions)
    calls = [*_make_calls(chosen, mentions, _NOTHING_CALLED if forced else called, seed)]
    if not calls and prompt.tool_choice == "required":
        first = next((tool for tool in tools if tool.name not in called), tools[0])
        calls = [*_make_calls([first], mentions, _NOTHING_CALLED, seed)]
    one_by_one = not prompt.parallel or (len(calls) > 1 and _SEQUENCE.search(question))
    return tuple(calls[:1] if one_by_one else calls)


def list_offered(prompt: Prompt) -> Sequence[Tool]:
    """Return the tools that may be called. Raises APIError `invalid_request` if the choice names an unknown one."""
    if prompt.tool_choice.startswith("="):
        name = prompt.tool_choice[1:]
        tools = [tool for tool in prompt.tools if tool.name == name]
        if not tools:
            message = f"The tool choice names '{name}', which is not among the tools."
            raise APIError("invalid_request", message, fields={"param": "tool_choice"})
        return tools[:1]
    if not prompt.allowed_tools:
        return prompt.tools
    return [tool for tool in prompt.tools if tool.name in prompt.allowed_tools]


def _split_conversation(turns: Sequence[Turn]) -> tuple[str, Sequence[Turn]]:
    """Return the last question and the turns after it. Results of tools ask nothing."""
    for at in range(len(turns) - 1, -1, -1):
        if turns[at].role == "user" and not turns[at].results:
            return turns[at].text[:_MAX_QUESTION], turns[at + 1 :]
    return "", turns


def _find_named(tools: Sequence[Tool], question: str) -> list[Tool]:
    """Return the tools whose names the question mentions, else those whose descriptions it does, in its order."""
    stems = _list_stems(question)
    if not stems:
        return []
    names = [f" {_SEPARATOR.sub(' ', tool.name).lower()} " for tool in tools]
    if found := _elect_tools(tools, names, stems):
        return found
    descriptions = [_pad_words(tool.description[:_MAX_DESCRIPTION]) for tool in tools]
    return _elect_tools(tools, descriptions, [stem for stem in stems if stem not in _load_generic_stems()])


def _pad_words(text: str) -> str:
    """Return a text in lower case in which every word has a space before it."""
    for mark in "(\"'/-\n":
        text = text.replace(mark, " ")
    return f" {text.lower()} "


def _elect_tools(tools: Sequence[Tool], texts: Sequence[str], stems: Sequence[str]) -> list[Tool]:
    """Return for each stem the tool whose text has it; of several, the one with the most stems, or the first."""
    hits = [[stem for stem in stems if stem in text] for text in texts]
    taking = [n for n, found in enumerate(hits) if found]
    if len(taking) > 1:
        best = {stem: n for n in sorted(taking, key=lambda n: (len(hits[n]), -n)) for stem in hits[n]}
        taking = [*dict.fromkeys([best[stem] for stem in stems if stem in best])]
    return [tools[n] for n in taking]


def _list_stems(question: str) -> list[str]:
    """Return what the distinctive words of a question begin with, each once, as it stands in a padded text.

    Of Chinese, every two characters.
    """
    common = _load_common_words()
    words = [word for word in _LATIN_WORD.findall(question.lower()) if word not in common]
    stems = dict.fromkeys([_make_stem(word) for word in words])
    if not question.isascii():
        for run in _CHINESE_RUN.findall(question):
            pairs = [run[at : at + 2] for at in range(len(run) - 1)]
            stems.update(dict.fromkeys([pair for pair in pairs if pair not in common]))
    return [*stems]


def _make_stem(word: str) -> str:
    word = _ENDING.sub("", word, 1)
    # what is too short to tell anything as the beginning of a word has to be all of it
    return f" {word}" if len(word) > 3 else f" {word} "


@cache
def _load_common_words() -> frozenset[str]:
    return frozenset([*word_lists()["stop"].split(), *word_lists()["stop_zh"].split()])


@cache
def _load_generic_stems() -> frozenset[str]:
    """Return the stems of words that descriptions mention in passing."""
    return frozenset(map(_make_stem, word_lists()["generic"].split()))


def _find_fitting(tools: Sequence[Tool], mentions: Mentions) -> Sequence[Tool]:
    """Return the only tool on offer if the question has what it requires, which must be more than numbers."""
    required = get_list(tools[0].schema, "required") if len(tools) == 1 else ()
    if not required:
        return ()
    slots = [slot for slot in collect_slots(tools[0].schema) if slot.path and slot.path[0] in required]
    if len(slots) != len(required) or all(slot.takes == ("number",) for slot in slots):
        return ()
    return tools if len(arguments.find_values(slots, mentions)) == len(slots) else ()


def _make_calls(tools: Sequence[Tool], mentions: Mentions, called: Counter[str], seed: Seed) -> Iterator[ToolCall]:
    """Yield the calls of tools, one for each of several values; without as many of each tool as were made before."""
    for tool in tools:
        slots = collect_slots(tool.schema)
        for number, part in enumerate(arguments.spread_mentions(slots, mentions)):
            if number >= called[tool.name]:
                yield ToolCall("", tool.name, _make_arguments(tool, slots, part, seed))


def _make_arguments(tool: Tool, slots: Sequence[Slot], mentions: Mentions, seed: Seed) -> str:
    schema = tool.schema
    if _TYPED.isdisjoint(schema):
        schema = {"type": "object", **schema}
    try:
        filled = arguments.fill_schema(schema, slots, mentions, seed, sparse=True)
    except NoInstance as problem:
        raise _describe_unusable(tool, explain_contradiction(schema) or problem) from None
    except ContractError as problem:
        raise _describe_unusable(tool, problem) from None
    if not isinstance(filled, dict):
        raise _describe_unusable(tool, "it does not describe an object")
    return orjson.dumps(filled).decode()


def _describe_unusable(tool: Tool, problem: Json) -> APIError:
    message = f"Invalid schema for the parameters of tool '{tool.name}': {problem}"
    return APIError("invalid_request", message, fields={"param": "tools"})
