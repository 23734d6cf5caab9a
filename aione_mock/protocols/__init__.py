"""One meaning, six spellings: how each protocol writes a refusal and, where it has models, a completion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from aione_mock.contract import ErrorSpec, Operation
from aione_mock.errors import APIError
from aione_mock.protocols import anthropic, console, control, gemini, gemini_aliases, modelrouter, openai
from aione_mock.protocols.content_blocks import Look
from aione_mock.types import Call, Prompt

ERROR: dict[str, Callable[[ErrorSpec, APIError, str], Any]] = {
    "openai": openai.render_error,
    "anthropic": anthropic.render_error,
    "gemini": gemini.render_error,
    "console": console.render_error,
    "modelrouter": modelrouter.render_error,
    "control": control.render_error,
}
"""Dialect to the function that spells a refusal."""

PROMPT: dict[str, Callable[[Call, Look], Prompt]] = {
    "openai": openai.read_prompt,
    "anthropic": anthropic.read_prompt,
    "gemini": gemini.read_prompt,
}
"""Dialect to the function that reads what a model is asked."""

READ: dict[str, Callable[[Any, Operation], Any]] = {"gemini": gemini_aliases.normalize_request}
"""Dialect to the function that brings a request's JSON to the contract's spelling before it is validated."""

WORDS: dict[str, bytes] = {"openai": b'"content":', "anthropic": b'"content":', "gemini": b'"text":'}
"""Dialect to the member of a request's JSON whose last occurrence is, in most requests, what the user says last."""


def reader(operation: Operation) -> Callable[[bytes], Any]:
    """What makes a body JSON in the contract's spelling. It raises JSONDecodeError."""
    respell = READ.get(operation.protocol)
    return (lambda body: respell(orjson.loads(body), operation)) if respell else orjson.loads


REQUEST_ID: dict[str, tuple[str, ...]] = {"openai": ("x-request-id",), "anthropic": ("x-request-id", "request-id")}
"""Dialect to the headers that carry the request's id; those without an entry do as OpenAI's."""

# One meaning has another name where the protocol's documentation says so.
SYNONYMS: dict[str, dict[str, str]] = {
    "console": {
        "invalid_request": "validation_error",
        "invalid_api_key": "not_authenticated",
        "ip_not_allowed": "forbidden",
    },
    "modelrouter": {"invalid_request": "invalid_parameter", "internal_error": "unknown_error"},
    "control": {"invalid_api_key": "not_authenticated"},
}
