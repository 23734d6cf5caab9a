"""Compose what the model says to a prompt: tool calls, JSON, words or images, cut where the prompt says so.

An answer is a pure function of prompt and seed. `docs/what-it-says.md` states the rules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import orjson

from aione_mock.model import images, prose, structured, tools
from aione_mock.model.input_images import count_input_image_tokens
from aione_mock.model.tokens import MESSAGE_OVERHEAD, REPLY_PRIMING, count_tokens, tokenize
from aione_mock.seed import Seed
from aione_mock.structs import replace
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


def compose_answer(prompt: Prompt, seed: Seed, today: date) -> tuple[Choice, ...]:
    """Return all choices of the answer. `seed` is the conversation's own; relative days count from `today`."""
    first = _compose_choice(prompt, seed, today)
    if prompt.n == 1:
        return (first,)
    return (first, *[_compose_choice(prompt, seed.child("choice", index), today) for index in range(1, prompt.n)])


def compose_scripted(script: Script, prompt: Prompt, seed: Seed, today: date) -> tuple[Choice, ...]:
    """Return the answer that a scenario scripts. The model fills in what the script leaves open; cuts apply."""
    choice = compose_answer(prompt, seed, today)[0]
    if script.text is not None or script.tool_calls:
        text = TokenText.of(script.chunks) if script.chunks else tokenize(script.text or "")
        finish = "tool_calls" if script.tool_calls else "stop"
        choice = replace(choice, text=text, tool_calls=script.tool_calls, finish=finish)
    if script.reasoning is not None:
        choice = replace(choice, reasoning=tokenize(script.reasoning))
    choice = _cut_choice(choice, prompt)
    return (replace(choice, finish=script.finish or choice.finish),) * prompt.n


def compose_images(prompt: Prompt, model: Model, seed: Seed) -> tuple[Choice, ...]:
    """Return the answer of an image model: a caption and an image for each choice. Slow, so run it in a thread."""
    return tuple([_compose_image(prompt, model, seed.child("choice", index)) for index in range(prompt.n)])


def _compose_image(prompt: Prompt, model: Model, seed: Seed) -> Choice:
    text = prose.find_question(prompt.turns)
    references = tuple(image for turn in prompt.turns for image in turn.images)
    picture = images.draw_image(text, seed, prompt.aspect_ratio, prompt.image_size or model.image_size, references)
    return Choice(prose.compose_caption(prompt), pictures=(picture,))


def _compose_choice(prompt: Prompt, seed: Seed, today: date) -> Choice:
    reasoning = prose.compose_thoughts(prompt, seed) if prompt.reasoning else NO_TEXT
    calls = tools.choose_tool_calls(prompt, seed, today) if prompt.tools else ()
    if calls:
        return _cut_choice(Choice(NO_TEXT, reasoning, calls, finish="tool_calls"), prompt)
    return _cut_choice(Choice(_compose_text(prompt, seed, today), reasoning), prompt)


def _compose_text(prompt: Prompt, seed: Seed, today: date) -> TokenText:
    if prompt.format != "text":
        return tokenize(structured.compose_json(prompt, seed, today))
    if prompt.turns[-1].results:
        return prose.compose_report(prompt, seed)
    return prose.compose_prose(prompt, seed)


def _cut_choice(choice: Choice, prompt: Prompt) -> Choice:
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
    return Choice(TokenText(text), TokenText(reasoning), tuple(calls), choice.pictures, "length")


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
    total = MESSAGE_OVERHEAD + count_tokens(turn.text)
    for image in turn.images:
        total += count_input_image_tokens(image)
    for call in turn.tool_calls:
        total += _count_call_tokens(call)
    for result in turn.results:
        total += count_tokens(result.text)
    return total


def count_prompt_tokens(prompt: Prompt) -> int:
    """Return the prompt tokens of turns, tools and schema, the same in every protocol."""
    total = REPLY_PRIMING + sum(map(count_turn_tokens, prompt.turns))
    for tool in prompt.tools:
        total += TOOL_OVERHEAD + count_tokens(tool.name) + count_tokens(tool.description)
        total += count_tokens(orjson.dumps(tool.schema).decode())
    return total + (count_tokens(orjson.dumps(prompt.schema).decode()) if prompt.schema else 0)
