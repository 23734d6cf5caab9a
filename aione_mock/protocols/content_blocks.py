"""Turns put together from the blocks of a message: what Anthropic's and Google's messages have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import orjson

from aione_mock.structs import replace
from aione_mock.types import ImageInput, Json, Role, ToolCall, Turn

Look = Callable[[str, str], ImageInput]
"""(data URI or address, place in the request) to what is seen of an image."""
Block = str | ImageInput | ToolCall | Turn
"""A text, a picture, a tool call; or a tool's result, which is a turn of its own."""


def turns(role: Role, blocks: Iterable[Block], *, glue: str = "\n", cache: bool = False) -> list[Turn]:
    """The turns of one message: a tool's result stands alone, everything between results is one turn.

    `glue` joins texts. With `cache` the last turn is a breakpoint of the prompt cache.
    """
    found: list[Turn] = []
    texts, images, calls = list[str](), list[ImageInput](), list[ToolCall]()

    def turn() -> Turn:
        return Turn(role, glue.join(texts), tuple(images), tuple(calls))

    for block in blocks:
        if isinstance(block, str):
            texts.append(block)
        elif isinstance(block, ImageInput):
            images.append(block)
        elif isinstance(block, ToolCall):
            calls.append(block)
        else:
            if texts or images or calls:
                found.append(turn())
                texts, images, calls = [], [], []
            found.append(block)
    if texts or images or calls or not found:
        found.append(turn())
    if cache:
        found[-1] = replace(found[-1], cache=True)
    return found


def text_of(value: Json) -> str:
    """A string as it is, anything else as compact JSON."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def fragments(text: str, size: int = 12) -> list[str]:
    """Text as a stream delivers it; joined, it is the whole."""
    return [text[i : i + size] for i in range(0, len(text), size)]
