"""Build turns from the content blocks that messages of Anthropic and Google consist of."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import orjson

from aione_mock.structs import replace
from aione_mock.types import ImageInput, Json, Role, ToolCall, Turn

Look = Callable[[str, str], ImageInput]
"""Reads an image from a data URI or URL and its place in the request."""
Block = str | ImageInput | ToolCall | Turn
"""A text, an image or a tool call; or a tool's result, which is a turn of its own."""


def build_turns(role: Role, blocks: Iterable[Block], *, glue: str = "\n", cache: bool = False) -> list[Turn]:
    """Build the turns of one message. A tool's result is a turn, and so is everything between two results.

    `glue` joins texts. With `cache` the last turn is a breakpoint of the prompt cache.
    """
    found: list[Turn] = []
    texts, images, calls = list[str](), list[ImageInput](), list[ToolCall]()

    def build_turn() -> Turn:
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
                found.append(build_turn())
                texts, images, calls = [], [], []
            found.append(block)
    if texts or images or calls or not found:
        found.append(build_turn())
    if cache:
        found[-1] = replace(found[-1], cache=True)
    return found


def to_text(value: Json) -> str:
    """Return a string unchanged, and anything else as compact JSON."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def split_text(text: str, size: int = 12) -> list[str]:
    """Split a text into the pieces in which a stream delivers it."""
    return [text[i : i + size] for i in range(0, len(text), size)]
