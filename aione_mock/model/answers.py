"""Compose what the model says to a prompt: tool calls, JSON, words or images, cut where the prompt says so.

An answer is a pure function of prompt and seed. `docs/explanation/what-it-says.md` states the rules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson

from aione_mock.model import images, prose, structured
from aione_mock.model import tools as tool_choice
from aione_mock.model.input_images import count_input_image_tokens
from aione_mock.model.tokens import (
    MESSAGE_OVERHEAD,
    REPLY_PRIMING,
    count_json_tokens,
    count_texts,
    count_tokens,
    tokenize,
)
from aione_mock.seed import Seed
from aione_mock.structs import replace
from aione_mock.tenant import calendar
from aione_mock.tenant.catalogue import Model
from aione_mock.types import NO_TEXT, Choice, Json, Prompt, Script, TokenText, ToolCall, Turn, Usage

TOOL_OVERHEAD = 8
"""Tokens that offering or calling a tool costs beyond its words (assumed)."""


def conversation_key(prompt: Prompt) -> bytes:
    """Return what the words depend on: the conversation, not its protocol, presentation, cuts or number of choices."""
    conversation = (
        prompt.model,
        [turn_key(turn) for turn in prompt.turns],
        [(tool.name, tool.description, tool.schema) for tool in prompt.tools],
        (prompt.tool_choice, prompt.allowed_tools, prompt.parallel, prompt.format, prompt.schema),
        (prompt.seed, prompt.reasoning > 0, prompt.aspect_ratio, prompt.image_size),
    )
    return orjson.dumps(conversation, option=orjson.OPT_SORT_KEYS)


def turn_key(turn: Turn) -> Json:
    """Return what a turn says, the same in every protocol. Ids of calls are each protocol's own, so they stay out."""
    if turn.role in ("system", "user") and not turn.images:
        return turn.role, turn.text
    calls = [(call.name, _parse_json(call.arguments)) for call in turn.tool_calls]
    results = [(result.name, _parse_json(result.text)) for result in turn.results]
    return turn.role, turn.text, [image.digest for image in turn.images], calls, results


def _parse_json(text: str) -> Json:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def compose_answer(prompt: Prompt, seed: Seed, day: int) -> tuple[Choice, ...]:
    """Return all choices of the answer. `seed` is the conversation's own; relative days count from `day`."""
    first = _compose_choice(prompt, seed, day)
    if prompt.n == 1:
        return (first,)
    return (first, *[_compose_choice(prompt, seed.child("choice", index), day) for index in range(1, prompt.n)])


def compose_scripted(script: Script, prompt: Prompt, seed: Seed, day: int) -> tuple[Choice, ...]:
    """Return the answer that a scenario scripts. The model fills in what the script leaves open; cuts apply."""
    choice = compose_answer(prompt, seed, day)[0]
    if script.text is not None or script.tool_calls:
        text = TokenText.of(script.chunks) if script.chunks else tokenize(script.text or "")
        finish = "tool_calls" if script.tool_calls else "stop"
        choice = replace(choice, text=text, tool_calls=script.tool_calls, finish=finish)
    if script.reasoning is not None:
        choice = replace(choice, reasoning=tokenize(script.reasoning))
    choice = cut_choice(choice, prompt)
    return (replace(choice, finish=script.finish or choice.finish),) * prompt.n


def compose_images(prompt: Prompt, model: Model, seed: Seed) -> tuple[Choice, ...]:
    """Return the answer of an image model: a caption and an image for each choice. Slow, so run it in a thread."""
    return tuple([_compose_image(prompt, model, seed.child("choice", index)) for index in range(prompt.n)])


def _compose_image(prompt: Prompt, model: Model, seed: Seed) -> Choice:
    text = prose.find_question(prompt.turns)
    references = tuple(image for turn in prompt.turns for image in turn.images)
    picture = images.draw_image(text, seed, prompt.aspect_ratio, prompt.image_size or model.image_size, references)
    return Choice(prose.compose_caption(prompt), pictures=(picture,))


def _compose_choice(prompt: Prompt, seed: Seed, day: int) -> Choice:
    reasoning = prose.compose_thoughts(prompt, seed) if prompt.reasoning else NO_TEXT
    calls = tool_choice.choose_tool_calls(prompt, seed, calendar.day_to_date(day)) if prompt.tools else ()
    if calls:
        return cut_choice(Choice(NO_TEXT, reasoning, calls, finish="tool_calls"), prompt)
    return cut_choice(Choice(compose_text(prompt, seed, day), reasoning), prompt)


def compose_text(prompt: Prompt, seed: Seed, day: int) -> TokenText:
    """Return the answer without tool calls: JSON, a report of what tools have returned, or prose."""
    if prompt.format != "text":
        return tokenize(structured.compose_json(prompt, seed, calendar.day_to_date(day)))
    if prompt.turns[-1].results:
        return prose.compose_report(prompt, seed)
    return prose.compose_prose(prompt, seed)


def cut_choice(choice: Choice, prompt: Prompt) -> Choice:
    """End at a stop sequence, then at the number of tokens allowed."""
    if prompt.stops and choice.text:
        choice = _cut_at_stop(choice, prompt.stops)
    room = prompt.max_tokens
    if room is None or count_completion_tokens(choice) <= room:
        return choice
    reasoning = choice.reasoning.encoded[:room]
    text = choice.text.encoded[: room - len(reasoning)]
    room -= len(reasoning) + len(text)
    calls: list[ToolCall] = []
    for call in choice.tool_calls:
        if (room := room - _count_call_tokens(call)) < 0:
            break
        calls.append(call)
    return replace(
        choice, text=TokenText(text), reasoning=TokenText(reasoning), tool_calls=tuple(calls), finish="length"
    )


def _cut_at_stop(choice: Choice, stops: tuple[str, ...]) -> Choice:
    text = choice.text.text
    hits = [(at, stop) for stop in stops if stop and (at := text.find(stop)) >= 0]
    if not hits:
        return choice
    at, stop = min(hits)
    return replace(choice, text=tokenize(text[:at]), finish="stop_sequence", stop_sequence=stop)


def _count_call_tokens(call: ToolCall) -> int:
    return TOOL_OVERHEAD + count_tokens(call.name) + count_tokens(call.arguments)


def count_completion_tokens(choice: Choice) -> int:
    """Return the completion tokens of a choice, thinking and images included."""
    total = len(choice.reasoning.encoded) + len(choice.text.encoded)
    if choice.tool_calls:
        total += sum(map(_count_call_tokens, choice.tool_calls))
    return total + sum(map(images.count_image_tokens, choice.pictures)) if choice.pictures else total


def count_usage(prompt_tokens: int, choices: Sequence[Choice], scripted: Mapping[str, int]) -> Usage:
    """Return the tokens of an answer. A script may claim other figures."""
    completion = sum(map(count_completion_tokens, choices))
    usage = Usage(prompt_tokens, completion, sum([len(choice.reasoning) for choice in choices]))
    return replace(usage, **scripted) if scripted else usage


def count_turn_tokens(turn: Turn) -> int:
    """Return the prompt tokens of one turn."""
    return MESSAGE_OVERHEAD + count_tokens(turn.text) + _count_parts(turn)


def _count_parts(turn: Turn) -> int:
    """Return the tokens of a turn's images, calls and results."""
    total = sum(map(count_input_image_tokens, turn.images)) + sum(map(_count_call_tokens, turn.tool_calls))
    return total + count_texts([result.text for result in turn.results])


def count_prompt_tokens(prompt: Prompt) -> int:
    """Return the prompt tokens of turns, tools and schema, the same in every protocol."""
    turns, tools = prompt.turns, prompt.tools
    total = REPLY_PRIMING + MESSAGE_OVERHEAD * len(turns)
    texts = []
    for turn in turns:
        texts.append(turn.text)
        if turn.images or turn.tool_calls or turn.results:
            total += _count_parts(turn)
    if tools:
        for tool in tools:
            texts += (tool.name, tool.description)
            total += TOOL_OVERHEAD + count_json_tokens(tool.schema)
    if prompt.schema:
        total += count_json_tokens(prompt.schema)
    return total + count_texts(texts)
