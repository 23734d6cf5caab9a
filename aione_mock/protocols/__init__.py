"""The protocols of the gateway: how each writes errors and, if it has models, reads prompts and writes completions."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aione_mock.contract import ErrorSpec, Operation
from aione_mock.errors import APIError
from aione_mock.protocols import anthropic, console, control, gemini, gemini_aliases, modelrouter, openai
from aione_mock.protocols.content_blocks import Look
from aione_mock.types import Call, EventStream, Json, Prompt

ERROR_RENDERERS: Mapping[str, Callable[[ErrorSpec, APIError, str], Json]] = {
    "openai": openai.render_error,
    "anthropic": anthropic.render_error,
    "gemini": gemini.render_error,
    "console": console.render_error,
    "modelrouter": modelrouter.render_error,
    "control": control.render_error,
}
"""Functions that return the body of an error, by protocol."""


def _read_responses_prompt(call: Call, look: Look) -> Prompt:
    from aione_mock.protocols import openai_responses  # most servers have no such operation

    return openai_responses.read_prompt(call, look)


def _split_responses_body(body: Json, call: Call) -> EventStream | None:
    from aione_mock.protocols import openai_responses

    return openai_responses.split_body(body, call)


PROMPT_READERS: Mapping[str, Callable[[Call, Look], Prompt]] = {
    "openai": openai.read_prompt,
    "anthropic": anthropic.read_prompt,
    "gemini": gemini.read_prompt,
    "responses": _read_responses_prompt,
}
"""Functions that read the prompt of a call, by the `prompt_format` of its operation."""

STREAM_SPLITTERS: Mapping[str, Callable[[Json, Call], EventStream | None]] = {
    "openai": openai.split_body,
    "anthropic": anthropic.split_body,
    "gemini": gemini.split_body,
    "responses": _split_responses_body,
}
"""Functions that split a plain answer of the contract into events, by `prompt_format`; None for one never streamed."""

NORMALIZERS: Mapping[str, Callable[[Json, Operation], Json]] = {"gemini": gemini_aliases.normalize_request}
"""Functions that convert a request's JSON to the form that the contract declares, before it is validated."""

REQUEST_ID_HEADERS: Mapping[str, tuple[str, ...]] = {
    "openai": ("x-request-id",),
    "anthropic": ("x-request-id", "request-id"),
}
"""Headers that carry the id of the request. Protocols without an entry use those of OpenAI."""

REQUEST_ID_NAMES = frozenset(name for names in REQUEST_ID_HEADERS.values() for name in names)
"""All these headers."""

REQUEST_IDS: Mapping[str, Callable[[bytes], str]] = {"modelrouter": modelrouter.format_request_id}
"""Functions that make the id of a request from random bytes, for protocols with a form of their own."""

ERROR_NAMES: Mapping[str, Mapping[str, str]] = {
    "openai": {"store_unavailable": "upstream_unavailable"},
    "anthropic": {"store_unavailable": "upstream_unavailable"},
    "gemini": {"store_unavailable": "upstream_unavailable"},
    "console": {
        "store_unavailable": "service_unavailable",
        "invalid_request": "validation_error",
        "invalid_api_key": "not_authenticated",
        "ip_not_allowed": "forbidden",
        "permission_denied": "forbidden",
    },
    "modelrouter": {
        "store_unavailable": "service_unavailable",
        "invalid_request": "invalid_parameter",
        "internal_error": "unknown_error",
    },
    "control": {"store_unavailable": "not_ready", "invalid_api_key": "not_authenticated"},
}
"""Names that the documentation of a protocol gives to errors which the mock raises under another name."""
