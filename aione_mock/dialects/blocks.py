"""Turns put together from the blocks of a message: what Anthropic's and Google's messages have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import orjson

from aione_mock.exchange import ImageInput, Role, ToolCall, Turn

Json = Any
Look = Callable[[str, str], ImageInput]
"""(data URI or address, place in the request) to what is seen of an image."""
Block = str | ImageInput | ToolCall | Turn
"""A text, a picture, a tool call; or a tool's result, which is a turn of its own."""


def turns(role: Role, blocks: Iterable[Block], *, glue: str = "\n", cache: bool = False) -> Iterator[Turn]:
    """The turns of one message: a tool's result stands alone, everything between results is one turn.

    `glue` joins texts. With `cache` the last turn is a breakpoint of the prompt cache.
    """
    found: list[Turn] = []
    held: list[Block] = []
    for block in blocks:
        if not isinstance(block, Turn):
            held.append(block)
            continue
        if held:
            found.append(_turn(role, held, glue))
        found.append(block)
        held = []
    if held or not found:
        found.append(_turn(role, held, glue))
    yield from found[:-1]
    yield replace(found[-1], cache=cache)


def _turn(role: Role, blocks: Iterable[Block], glue: str) -> Turn:
    return Turn(
        role,
        glue.join([block for block in blocks if isinstance(block, str)]),
        tuple([block for block in blocks if isinstance(block, ImageInput)]),
        tuple([block for block in blocks if isinstance(block, ToolCall)]),
    )


def text_of(value: Json) -> str:
    """A string as it is, anything else as compact JSON."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def fragments(text: str, size: int = 12) -> list[str]:
    """Text as a stream delivers it; joined, it is the whole."""
    return [text[i : i + size] for i in range(0, len(text), size)]
