"""What the model says to a prompt: words, tool calls, JSON or pictures, cut where the prompt says so.

A pure function of prompt and seed. In this order: an instance of the wanted JSON schema, a tool
call, an answer that uses the tools' results, prose in the language of the prompt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import orjson

from aione_mock.model import images, input_images, prose, structured, tokens, tools, topic
from aione_mock.seed import Seed
from aione_mock.structs import replace
from aione_mock.tenant.catalogue import Model
from aione_mock.types import Choice, Json, Prompt, Script, TokenText, ToolCall, Turn, Usage

MESSAGE_OVERHEAD = tokens.MESSAGE_OVERHEAD
_LEAD = {"en": "Here is the generated image:", "zh": "这是生成的图片："}
TOOL_OVERHEAD = 8
"""Tokens that offering or calling a tool costs beyond its words (assumed)."""


def conversation_key(prompt: Prompt) -> bytes:
    """What the words depend on: the conversation, not its protocol, presentation, cuts or number of choices."""
    conversation = (
        prompt.model,
        [turn_key(turn) for turn in prompt.turns],
        [(tool.name, tool.description, tool.schema) for tool in prompt.tools],
        (prompt.tool_choice, prompt.allowed_tools, prompt.parallel, prompt.format, prompt.schema),
        (prompt.seed, prompt.reasoning > 0, prompt.aspect_ratio, prompt.image_size),
    )
    return orjson.dumps(conversation, option=orjson.OPT_SORT_KEYS)


def turn_key(turn: Turn) -> Json:
    """What a turn says, whatever its protocol."""
    if turn.role in ("system", "user") and not turn.images:
        return turn.role, turn.text, (), (), ()
    # ids of calls are each protocol's own, so they stay out
    calls = [(call.name, _canonical(call.arguments)) for call in turn.tool_calls]
    results = [(result.name, _canonical(result.text)) for result in turn.results]
    return turn.role, turn.text, [image.digest for image in turn.images], calls, results


def _canonical(text: str) -> Json:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def compose_answer(prompt: Prompt, seed: Seed, today: date) -> tuple[Choice, ...]:
    """All choices of the answer, whole; relative days count from `today`, `seed` is one of the conversation's own."""
    first = _choice(prompt, seed, today)
    if prompt.n == 1:
        return (first,)
    return (first, *[_choice(prompt, seed.child("choice", index), today) for index in range(1, prompt.n)])


def compose_scripted(script: Script, prompt: Prompt, seed: Seed, today: date) -> tuple[Choice, ...]:
    """The answer that a scenario wants; what its script leaves open is the model's, and the prompt's cuts apply."""
    own = compose_answer(prompt, seed, today)[0]
    silent = script.text is None and not script.tool_calls
    text = TokenText.of(script.chunks) if script.chunks else tokens.tokenize(script.text or "")
    choice = replace(
        own,
        text=own.text if silent else text,
        reasoning=own.reasoning if script.reasoning is None else tokens.tokenize(script.reasoning),
        tool_calls=own.tool_calls if silent else script.tool_calls,
        finish=own.finish if silent else "tool_calls" if script.tool_calls else "stop",
    )
    choice = _cut(choice, prompt)
    return (replace(choice, finish=script.finish or choice.finish),) * prompt.n


def compose_images(prompt: Prompt, model: Model, seed: Seed) -> tuple[Choice, ...]:
    """The answer of an image model: a sentence and a picture for each choice. Slow, so run it in a thread."""
    return tuple([_compose_image(prompt, model, seed.child("choice", index)) for index in range(prompt.n)])


def _compose_image(prompt: Prompt, model: Model, seed: Seed) -> Choice:
    text = next((turn.text for turn in reversed(prompt.turns) if turn.role == "user"), "")
    references = tuple(image for turn in prompt.turns for image in turn.images)
    picture = images.draw_image(text, seed, prompt.aspect_ratio, prompt.image_size or model.image_size, references)
    return Choice(tokens.tokenize(_LEAD[topic.language(text)]), pictures=(picture,))


def _choice(prompt: Prompt, seed: Seed, today: date) -> Choice:
    reasoning = tokens.tokenize(prose.thinking(seed, prompt, prompt.reasoning))
    calls = tools.choose(prompt, seed, today) if prompt.tools else ()
    if calls:
        return _cut(Choice(reasoning=reasoning, tool_calls=calls, finish="tool_calls"), prompt)
    return _cut(Choice(_said(prompt, seed, today), reasoning), prompt)


def _said(prompt: Prompt, seed: Seed, today: date) -> TokenText:
    if prompt.format != "text":
        return tokens.tokenize(structured.answer(prompt, seed, today))
    if prompt.turns[-1].results:
        return TokenText.of(prose.after_tools(seed, prompt))
    if prompt.turns[-1].images:
        return TokenText.of(prose.about_images(seed, prompt))
    return TokenText.of(prose.answer(seed, prompt))


def _cut(choice: Choice, prompt: Prompt) -> Choice:
    """End at a stop sequence, then at the number of tokens allowed."""
    if prompt.stops and choice.text:
        choice = _stopped(choice, prompt.stops)
    if prompt.max_tokens is None or count_completion_tokens(choice) <= prompt.max_tokens:
        return choice
    room = prompt.max_tokens
    reasoning = TokenText(choice.reasoning.encoded[:room])
    room -= len(reasoning)
    text = TokenText(choice.text.encoded[:room])
    room -= len(text)
    calls: list[ToolCall] = []
    for call in choice.tool_calls:
        if (room := room - _call_tokens(call)) < 0:
            break
        calls.append(call)
    return Choice(text, reasoning, tuple(calls), choice.pictures, "length")


def _stopped(choice: Choice, stops: tuple[str, ...]) -> Choice:
    text = choice.text.text
    hits = [(at, stop) for stop in stops if stop and (at := text.find(stop)) >= 0]
    if not hits:
        return choice
    at, stop = min(hits)
    return replace(choice, text=tokens.tokenize(text[:at]), finish="stop_sequence", stop_sequence=stop)


def _call_tokens(call: ToolCall) -> int:
    return TOOL_OVERHEAD + tokens.count(call.name) + tokens.count(call.arguments)


def count_completion_tokens(choice: Choice) -> int:
    """Completion tokens of a choice, thinking and pictures included."""
    total = len(choice.reasoning) + len(choice.text)
    if choice.tool_calls:
        total += sum(map(_call_tokens, choice.tool_calls))
    return total + sum(map(images.count_image_tokens, choice.pictures)) if choice.pictures else total


def count_usage(prompt_tokens: int, choices: Sequence[Choice], scripted: Mapping[str, int]) -> Usage:
    """The tokens of an answer; a script may claim other figures."""
    counted = Usage(
        prompt_tokens,
        sum(map(count_completion_tokens, choices)),
        reasoning=sum([len(choice.reasoning) for choice in choices]),
    )
    return replace(counted, **scripted) if scripted else counted


def count_turn_tokens(turn: Turn) -> int:
    """Prompt tokens of one turn."""
    total = MESSAGE_OVERHEAD + tokens.count(turn.text)
    for image in turn.images:
        total += input_images.count_input_image_tokens(image)
    for call in turn.tool_calls:
        total += _call_tokens(call)
    for result in turn.results:
        total += tokens.count(result.text)
    return total


def count_prompt_tokens(prompt: Prompt) -> int:
    """Prompt tokens: turns, tools and schema, the same in every protocol."""
    total = tokens.REPLY_PRIMING + sum(map(count_turn_tokens, prompt.turns))
    for tool in prompt.tools:
        total += TOOL_OVERHEAD + tokens.count(tool.name) + tokens.count(tool.description)
        total += tokens.count(orjson.dumps(tool.schema).decode())
    return total + (tokens.count(orjson.dumps(prompt.schema).decode()) if prompt.schema else 0)
