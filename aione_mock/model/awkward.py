"""Compose awkward answers by name. `scenarios.awkward` lists them, `docs/reference/awkward-answers.md` describes them.

The words that do not depend on the request stand in `fixtures/awkward.yaml`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import orjson
import yaml

from aione_mock.model import answers, prose, structured, tools
from aione_mock.model.near_misses import violate_schema
from aione_mock.model.tokens import tokenize
from aione_mock.seed import Seed
from aione_mock.settings import read_fixture
from aione_mock.structs import replace
from aione_mock.tenant import calendar
from aione_mock.types import NO_TEXT, Choice, Prompt, TokenText, ToolCall, Turn

Compose = Callable[[Prompt, Seed, int], Choice]
"""Returns an answer before it is cut, given the prompt, the seed of the conversation and the day."""
VERY_LONG = 16_000
"""Tokens of `very_long`: in English more bytes than fit into 16 bits."""
_MAX_QUOTED = 200
"""Characters of a question that stand in the arguments of an invented tool."""


def compose_awkward(name: str, prompt: Prompt, seed: Seed, day: int) -> tuple[Choice, ...]:
    """Return all choices of an awkward answer; stop sequences and `max_tokens` cut them as usual.

    `prompt` has what `scenarios.awkward` says that the answer needs. `seed` is the conversation's own.
    """
    seeds = (seed, *[seed.child("choice", index) for index in range(1, prompt.n)])
    return tuple([_compose_choice(_COMPOSERS[name], prompt, each, day) for each in seeds])


def _compose_choice(compose: Compose, prompt: Prompt, seed: Seed, day: int) -> Choice:
    choice = compose(prompt, seed, day)
    return answers.cut_choice(replace(choice, reasoning=prose.compose_thoughts(prompt, seed)), prompt)


# Answers in words


def _refuse(prompt: Prompt, seed: Seed, day: int) -> Choice:
    return Choice(tokenize(_draw(_load_phrases(prompt)["refusal"], seed)), refused=True)


def _filter_content(prompt: Prompt, seed: Seed, day: int) -> Choice:
    text = answers.compose_text(prompt, seed, day).encoded
    return Choice(TokenText(text[: (len(text) + 2) // 3]), finish="content_filter")


def _answer_nothing(prompt: Prompt, seed: Seed, day: int) -> Choice:
    return Choice()


def _answer_white_space(prompt: Prompt, seed: Seed, day: int) -> Choice:
    return Choice(tokenize(_draw(_load_words()["white_space"], seed)))


def _answer_at_length(prompt: Prompt, seed: Seed, day: int) -> Choice:
    return Choice(prose.compose_long_prose(prompt, seed, VERY_LONG))


def _say_ready(name: str) -> Compose:
    """Return a composer of the ready texts under a name, one of them for each seed."""
    return lambda prompt, seed, day: Choice(tokenize(_draw(_load_words()[name], seed)))


def _split_emoji(prompt: Prompt, seed: Seed, day: int) -> Choice:
    # a token each code point, so that a stream ends events within what readers see as one character
    return Choice(TokenText.of(_draw(_load_words()["split_emoji"], seed)))


def _think_only(prompt: Prompt, seed: Seed, day: int) -> Choice:
    return Choice(finish="length")


def _change_language(prompt: Prompt, seed: Seed, day: int) -> Choice:
    question = Turn("user", _load_phrases(prompt)["other_question"])
    return Choice(prose.compose_prose(replace(prompt, turns=(question,)), seed))


def _echo_prompt(prompt: Prompt, seed: Seed, day: int) -> Choice:
    return Choice(tokenize(prose.find_question(prompt.turns) or prompt.turns[-1].text))


def _name_other_model(prompt: Prompt, seed: Seed, day: int) -> Choice:
    others = [each for each in _load_words()["models"] if not prompt.model.startswith(tuple(each["prefixes"]))]
    other = _draw(others, seed.child("model"))
    text: str = _draw(_load_phrases(prompt)["self_description"], seed)
    return Choice(tokenize(text.format(model=other["model"], vendor=other["vendor"])))


def _cite_nothing(prompt: Prompt, seed: Seed, day: int) -> Choice:
    text: str = _draw(_load_phrases(prompt)["citation"], seed)
    filled = text.format(
        author=_draw(_load_words()["authors"], seed.child("author")),
        topic=prose.find_topic(prompt),
        year=1998 + seed.draw_integer("year") % 25,
        count=40 + seed.draw_integer("count") % 360,
        volume=3 + seed.draw_integer("volume") % 60,
    )
    return Choice(tokenize(filled))


# Answers in JSON


def _compose_json(prompt: Prompt, seed: Seed, day: int) -> str:
    """Return the JSON that the model would answer with, whether or not the request asks for JSON."""
    return structured.compose_json(prompt, seed, calendar.day_to_date(day))


def _fence_json(prompt: Prompt, seed: Seed, day: int) -> Choice:
    value = orjson.loads(_compose_json(prompt, seed, day))
    return Choice(tokenize(f"```json\n{orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()}\n```"))


def _add_comma(prompt: Prompt, seed: Seed, day: int) -> Choice:
    text = _compose_json(prompt, seed, day)
    return Choice(tokenize(f"{text[:-1]},{text[-1]}" if text[-1] in "]}" else f"{text},"))


def _truncate_json(prompt: Prompt, seed: Seed, day: int) -> Choice:
    text = tokenize(_compose_json(prompt, seed, day)).encoded
    size = (2 * len(text) + 2) // 3
    while size == len(text) or (size and _is_json(TokenText(text[:size]).text)):
        size -= 1
    return Choice(TokenText(text[:size]), finish="length")


def _miss_schema(prompt: Prompt, seed: Seed, day: int) -> Choice:
    schema, value = prompt.schema or {}, orjson.loads(_compose_json(prompt, seed, day))
    changed = violate_schema(value, schema, seed)
    # of a schema that allows everything, no answer misses more than the object around it
    return Choice(tokenize(orjson.dumps({"answer": value} if changed == value else changed).decode()))


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


# Calls of tools


def _choose_calls(prompt: Prompt, seed: Seed, day: int) -> tuple[ToolCall, ...]:
    """Return the calls that the model would make, at least one."""
    today = calendar.day_to_date(day)
    calls = tools.choose_tool_calls(prompt, seed, today)
    return calls or tools.choose_tool_calls(replace(prompt, tool_choice="required"), seed, today)


def _call_tools(*calls: ToolCall, text: TokenText = NO_TEXT) -> Choice:
    return Choice(text, tool_calls=calls, finish="tool_calls")


def _invent_tool(prompt: Prompt, seed: Seed, day: int) -> Choice:
    offered = {tool.name for tool in prompt.tools}
    made_up = _load_words()["tools"]
    tool = _draw([each for each in made_up if each["name"] not in offered] or made_up, seed)
    name = tool["name"]
    while name in offered:
        name += "_v2"
    question = prose.find_question(prompt.turns)[:_MAX_QUOTED]
    arguments = {key: question if value == "{question}" else value for key, value in tool["arguments"].items()}
    return _call_tools(ToolCall("", name, orjson.dumps(arguments).decode()))


def _break_arguments(prompt: Prompt, seed: Seed, day: int) -> Choice:
    call = _choose_calls(prompt, seed, day)[0]
    spellings = [call.arguments[: 1 + len(call.arguments) * 2 // 3], repr(orjson.loads(call.arguments))]
    broken = [text for text in spellings if not _is_json(text)] or [call.arguments[:-1]]
    arguments = broken[seed.draw_integer("arguments") % len(broken)]
    return Choice(tool_calls=(replace(call, arguments=arguments),), finish="malformed_call")


def _violate_parameters(prompt: Prompt, seed: Seed, day: int) -> Choice:
    call = _choose_calls(prompt, seed, day)[0]
    schema = next(tool.schema for tool in prompt.tools if tool.name == call.name)
    arguments = orjson.loads(call.arguments)
    changed = violate_schema(arguments, schema, seed)
    # of a schema that allows every object, a member that it does not name is all there is
    changed = {**arguments, "unexpected": True} if changed == arguments else changed
    return _call_tools(replace(call, arguments=orjson.dumps(changed).decode()))


def _repeat_tool(prompt: Prompt, seed: Seed, day: int) -> Choice:
    offered = {tool.name for tool in tools.list_offered(prompt)}
    made = [call for turn in prompt.turns for call in turn.tool_calls if call.name in offered]
    return _call_tools(replace(made[-1], id="") if made else _choose_calls(prompt, seed, day)[0])


def _mix_tool_and_text(prompt: Prompt, seed: Seed, day: int) -> Choice:
    text = tokenize(_draw(_load_phrases(prompt)["before_tool"], seed))
    return _call_tools(*_choose_calls(prompt, seed, day), text=text)


# Words


def _draw(items: Sequence[Any], seed: Seed) -> Any:
    return items[seed.draw_integer("awkward") % len(items)]


@cache
def _load_words() -> Mapping[str, Any]:
    words: Mapping[str, Any] = yaml.load(read_fixture("awkward.yaml"), Loader=yaml.CSafeLoader)
    return words


def _load_phrases(prompt: Prompt) -> Mapping[str, Any]:
    """Return the words in the language of the question."""
    phrases: Mapping[str, Any] = _load_words()[prose.detect_language(prose.find_question(prompt.turns))]
    return phrases


_COMPOSERS: Mapping[str, Compose] = {
    "refusal": _refuse,
    "content_filter": _filter_content,
    "fenced_json": _fence_json,
    "trailing_comma_json": _add_comma,
    "truncated_json": _truncate_json,
    "almost_schema": _miss_schema,
    "invented_tool": _invent_tool,
    "arguments_not_json": _break_arguments,
    "arguments_against_schema": _violate_parameters,
    "same_tool_again": _repeat_tool,
    "tool_and_text": _mix_tool_and_text,
    "empty_answer": _answer_nothing,
    "whitespace_only": _answer_white_space,
    "very_long": _answer_at_length,
    "right_to_left": _say_ready("right_to_left"),
    "combining_characters": _say_ready("combining_characters"),
    "split_emoji": _split_emoji,
    "thinking_only": _think_only,
    "wrong_language": _change_language,
    "echoed_prompt": _echo_prompt,
    "wrong_model_name": _name_other_model,
    "hallucinated_citation": _cite_nothing,
}
