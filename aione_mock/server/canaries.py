"""Canaries in answers, for a mock that stands behind a gateway under test (`serve --as-upstream`)."""

from __future__ import annotations

from aione_mock.model import answers
from aione_mock.model.tokens import tokenize
from aione_mock.structs import replace
from aione_mock.text.canaries import make_canary
from aione_mock.types import Choice, Prompt, TokenText


def add_canary(choices: tuple[Choice, ...], prompt: Prompt, token: str) -> tuple[Choice, ...]:
    """Return the choices with the canary of a call at the beginning of their words.

    JSON and tool calls stay as they are, because a client parses them. What the request cuts off stays cut off.
    """
    if prompt.format != "text":
        return choices
    canary = tokenize(f"{make_canary(token)} ").encoded
    return tuple(
        [
            answers.cut_choice(replace(choice, text=TokenText((*canary, *choice.text.encoded))), prompt)
            if choice.text and not choice.tool_calls
            else choice
            for choice in choices
        ]
    )
