"""Describe what a call asked and what was answered, as OpenTelemetry's conventions for generative AI write messages.

Source: OpenTelemetry semantic conventions 1.41, schemas of `gen_ai.input.messages` and `gen_ai.output.messages`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import orjson

from aione_mock.errors import APIError
from aione_mock.protocols import NORMALIZERS, PROMPT_READERS
from aione_mock.text.sse import decode
from aione_mock.types import Call, ImageInput, Json, Prompt, Response, Turn

if TYPE_CHECKING:
    from aione_mock.server.journal import Exchange
    from aione_mock.server.span_attributes import Mask


def _read_prompt(exchange: Exchange) -> Prompt | None:
    """Return what a call asks a model; None for one that asks none, that was refused or that is too long to be kept."""
    operation, request = exchange.operation, exchange.request
    reader = PROMPT_READERS.get(operation.prompt_format) if operation is not None else None
    if reader is None or operation is None or not exchange.valid:
        return None
    with contextlib.suppress(APIError, AttributeError, LookupError, TypeError, ValueError):
        data = orjson.loads(request.body or b"")
        normalize = NORMALIZERS.get(operation.protocol)
        data = normalize(data, operation) if normalize else data
        call = Call(operation, request.method, request.path, "", (), b"", "", "", dict(exchange.path_params), data)
        return reader(call, _skip_image)
    return None


def _skip_image(uri: str, param: str) -> ImageInput:
    return ImageInput("", 0, 0, "")


def describe_content(exchange: Exchange, response: Response, mask: Mask) -> dict[str, str]:
    """Return the messages of a call and of its answer as JSON text, without credentials."""
    found: dict[str, Json] = {}
    if (prompt := _read_prompt(exchange)) is not None:
        system = [turn.text for turn in prompt.turns if turn.role == "system"]
        found["gen_ai.system_instructions"] = [{"type": "text", "content": text} for text in system]
        found["gen_ai.input.messages"] = [_describe_turn(turn) for turn in prompt.turns if turn.role != "system"]
        found["gen_ai.output.messages"] = _describe_output(exchange, response)
    return {name: mask(orjson.dumps(value).decode()) for name, value in found.items() if value}


def _describe_turn(turn: Turn) -> Json:
    parts: list[Json] = [{"type": "text", "content": turn.text}] if turn.text else []
    parts += [_describe_tool_call(each.id, each.name, each.arguments) for each in turn.tool_calls]
    parts += [{"type": "tool_call_response", "id": each.call_id, "result": each.text} for each in turn.results]
    return {"role": turn.role, "parts": parts}


def _describe_tool_call(identifier: Json, name: Json, arguments: Json) -> Json:
    if isinstance(arguments, str):
        with contextlib.suppress(orjson.JSONDecodeError):
            arguments = orjson.loads(arguments)
    return {"type": "tool_call", "id": identifier, "name": name, "arguments": arguments}


def _describe_output(exchange: Exchange, response: Response) -> Json:
    """Return the messages of an answer; none for an error and for an answer that a fault has damaged."""
    operation = exchange.operation
    if operation is None or exchange.error is not None:
        return []
    raw = b"".join([data for _, data in response.sends])
    with contextlib.suppress(AttributeError, LookupError, TypeError, ValueError):
        grammar = operation.stream if exchange.stream else None
        answer = orjson.loads(raw) if grammar is None else grammar.fold(decode([raw]))
        return [*_OUTPUT_READERS[operation.prompt_format](answer)]
    return []


def _make_message(parts: list[Json], finish: Json) -> Json:
    return {"role": "assistant", "parts": parts, "finish_reason": finish or "stop"}


def _make_text(text: Json) -> list[Json]:
    return [{"type": "text", "content": text}] if isinstance(text, str) and text else []


def _read_openai(answer: Json) -> Iterator[Json]:
    for choice in answer["choices"]:
        message = choice["message"]
        calls = [_describe_tool_call(each["id"], **each["function"]) for each in message.get("tool_calls") or ()]
        yield _make_message([*_make_text(message.get("content")), *calls], choice.get("finish_reason"))


def _read_anthropic(answer: Json) -> Iterator[Json]:
    blocks = answer["content"]
    texts = [part for block in blocks if block["type"] == "text" for part in _make_text(block["text"])]
    calls = [
        _describe_tool_call(block["id"], block["name"], block["input"])
        for block in blocks
        if block["type"] == "tool_use"
    ]
    yield _make_message([*texts, *calls], answer.get("stop_reason"))


def _read_gemini(answer: Json) -> Iterator[Json]:
    for candidate in answer["candidates"]:
        parts = candidate.get("content", {}).get("parts") or ()
        texts = [text for part in parts if not part.get("thought") for text in _make_text(part.get("text"))]
        found = [part["functionCall"] for part in parts if "functionCall" in part]
        calls = [_describe_tool_call(each.get("id"), each["name"], each.get("args")) for each in found]
        yield _make_message([*texts, *calls], candidate.get("finishReason"))


def _read_responses(answer: Json) -> Iterator[Json]:
    items = answer["output"]
    contents = [part for item in items if item["type"] == "message" for part in item["content"]]
    calls = [
        _describe_tool_call(item["call_id"], item["name"], item["arguments"])
        for item in items
        if item["type"] == "function_call"
    ]
    texts = [text for part in contents for text in _make_text(part.get("text"))]
    yield _make_message([*texts, *calls], answer.get("status"))


_OUTPUT_READERS: Mapping[str, Callable[[Json], Iterator[Json]]] = {
    "openai": _read_openai,
    "anthropic": _read_anthropic,
    "gemini": _read_gemini,
    "responses": _read_responses,
}
"""Functions that read the messages of an answer, by the format of its prompt."""
