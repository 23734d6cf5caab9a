"""Anthropic's protocol: `POST /v1/messages` plain and streamed, `count_tokens`, errors.

Source: Anthropic API reference, "Messages", "Streaming messages", "Extended thinking", "Prompt caching", "Errors".
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from hashlib import blake2b

import orjson

from aione_mock.contract import ErrorSpec
from aione_mock.errors import APIError
from aione_mock.protocols import content_blocks
from aione_mock.protocols.content_blocks import Block, Look
from aione_mock.text.sse import encode
from aione_mock.types import (
    NO_TEXT,
    Call,
    Choice,
    Completion,
    EventStream,
    Json,
    Prompt,
    Role,
    TokenText,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
    Usage,
)

STOP_REASON = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "malformed_call": "tool_use",
}
_TOOL_CHOICE = {"auto": "auto", "any": "required", "none": "none"}
_EFFORT = {"low": 256, "medium": 1024, "high": 4096, "xhigh": 8192, "max": 16384}
_INVALID = "INVALID_JSON"
"""The member that holds the text of arguments that are no JSON: `input` is always an object."""
_INTERLEAVED = "interleaved-thinking"
"""The beta under which thinking may go on between tool calls, and so past `max_tokens`."""


def render_error(spec: ErrorSpec, error: APIError, request_id: str) -> Json:
    """Return the error envelope; `details` are there when the error has some."""
    inner = {**spec.body["error"], "message": error.message}
    if details := error.fields.get("details"):
        inner["details"] = details
    return {"type": "error", "error": inner, "request_id": request_id}


def read_prompt(call: Call, look: Look) -> Prompt:
    """Return what a message asks, whatever the protocol.

    Raises APIError for a budget that leaves no room to answer, and for a thread kept by the server.
    """
    data = call.data
    if data.get("thread"):
        raise _make_thread_error()
    choice = data.get("tool_choice") or {}
    schema = _read_schema(data)
    reasoning = _read_reasoning(call)
    # a request to count says nothing about the answer, so the contract leaves these unread there
    answering = call.operation.paid
    return Prompt(
        model=data["model"],
        turns=_read_turns(data, look),
        tools=tuple(_read_tools(data)),
        tool_choice="=" + choice["name"] if choice.get("type") == "tool" else _TOOL_CHOICE[choice.get("type", "auto")],
        parallel=not choice.get("disable_parallel_tool_use"),
        format="text" if schema is None else "schema",
        schema=schema,
        max_tokens=int(data["max_tokens"]) if answering else None,
        stops=tuple(data.get("stop_sequences") or ()) if answering else (),
        reasoning=reasoning,
        show_reasoning=reasoning > 0 and _shows_thinking(call),
        image_size="",
    )


def _make_thread_error() -> APIError:
    # Anthropic's own tool runner tries a thread first and, by this code, goes on with whole conversations
    return APIError(
        "invalid_request",
        "Conversations are not kept here: send all messages, without `thread`.",
        fields={"param": "thread", "details": {"error_code": "thread_unsupported_request"}},
    )


def _read_schema(data: Mapping[str, Json]) -> Mapping[str, Json] | None:
    # `output_format` is the name that the member had while it was in beta
    wanted = (data.get("output_config") or {}).get("format") or data.get("output_format") or {}
    schema = wanted.get("schema") if isinstance(wanted, dict) else None
    return schema if isinstance(schema, dict) else None


def _read_reasoning(call: Call) -> int:
    thinking = call.data.get("thinking") or {}
    if thinking.get("type") == "adaptive":
        effort = (call.data.get("output_config") or {}).get("effort")
        return _EFFORT[effort or "medium"]
    if thinking.get("type") != "enabled":
        return 0
    budget = int(thinking["budget_tokens"])
    room = call.data["max_tokens"] if call.operation.paid else budget + 1
    if budget >= room and _INTERLEAVED not in (call.header("anthropic-beta") or ""):
        message = f"`max_tokens` ({room}) must be greater than `thinking.budget_tokens` ({budget})."
        raise APIError("invalid_request", message, fields={"param": "thinking.budget_tokens"})
    return budget


def _shows_thinking(call: Call) -> bool:
    return (call.data.get("thinking") or {}).get("display") != "omitted"


def _read_tools(data: Mapping[str, Json]) -> Iterator[Tool]:
    for tool in data.get("tools") or ():
        if tool.get("type") in (None, "custom"):  # the others are Anthropic's own
            yield Tool(tool["name"], tool.get("description") or "", tool["input_schema"])


def _read_turns(data: Mapping[str, Json], look: Look) -> tuple[Turn, ...]:
    found: list[Turn] = []
    names: dict[str, str] = {}
    if system := data.get("system"):
        found += _read_message("system", system, "system", look, names, cache=_has_cache_breakpoint(system))
    last = len(data["messages"]) - 1
    for position, message in enumerate(data["messages"]):
        content = message["content"]
        cache = _has_cache_breakpoint(content) or (position == last and bool(data.get("cache_control")))
        found += _read_message(message["role"], content, f"messages[{position}].content", look, names, cache=cache)
    return tuple(found)


def _read_message(
    role: Role, content: Json, place: str, look: Look, names: dict[str, str], *, cache: bool
) -> list[Turn]:
    if isinstance(content, str):
        return [Turn(role, content, cache=cache)]
    return content_blocks.build_turns(role, _read_blocks(content, place, look, names), cache=cache)


def _has_cache_breakpoint(content: Json) -> bool:
    return isinstance(content, list) and any(block.get("cache_control") for block in content)


def _read_blocks(content: Json, place: str, look: Look, names: dict[str, str]) -> Iterator[Block]:
    """Return blocks, whatever the protocol; `names` learns the tool of each call. Thinking is dropped."""
    if isinstance(content, str):
        yield content
        return
    for position, block in enumerate(content or ()):
        where = f"{place}[{position}]"
        match block["type"]:
            case "text":
                yield block["text"]
            case "image":
                yield look(_read_source(block["source"]), f"{where}.source")
            case "document" | "search_result":
                yield from _read_document(block, where, look, names)
            case "tool_use":
                names[block["id"]] = block["name"]
                yield ToolCall(block["id"], block["name"], content_blocks.to_text(block["input"]))
            case "tool_result":
                yield _read_result(block, where, look, names)


def _read_source(source: Mapping[str, Json]) -> str:
    if source["type"] == "base64":
        return f"data:{source['media_type']};base64,{source['data']}"
    return str(source["url"]) if source["type"] == "url" else f"https://api.anthropic.com/v1/files/{source['file_id']}"


def _read_document(block: Mapping[str, Json], where: str, look: Look, names: dict[str, str]) -> Iterator[Block]:
    """Return what can be read of a document: its title and its text. PDF files and addresses stay unread."""
    if block.get("title"):
        yield block["title"]
    source = block["source"]
    if block["type"] == "search_result":
        yield from _read_blocks(block["content"], f"{where}.content", look, names)
    elif source["type"] == "text":
        yield source["data"]
    elif source["type"] == "content":
        yield from _read_blocks(source["content"], f"{where}.source.content", look, names)


def _read_result(block: Mapping[str, Json], where: str, look: Look, names: dict[str, str]) -> Turn:
    (held,) = content_blocks.build_turns(
        "tool", _read_blocks(block.get("content") or "", f"{where}.content", look, names)
    )
    identity = block["tool_use_id"]
    result = ToolResult(identity, names.get(identity, ""), held.text, bool(block.get("is_error")))
    return Turn("tool", images=held.images, results=(result,))


def render_body(completion: Completion, call: Call) -> bytes:
    """Return the plain answer. The protocol has one choice, the first."""
    choice = completion.choices[0]
    content = [*_render_content(choice, call)]
    return orjson.dumps(
        {
            **_render_head(completion),
            "content": content,
            **_render_ending(choice),
            "usage": render_usage(completion.usage),
        }
    )


def _render_head(completion: Completion) -> dict[str, Json]:
    return {"id": f"msg_{completion.id}", "type": "message", "role": "assistant", "model": completion.model}


def _render_ending(choice: Choice) -> dict[str, Json]:
    stopped = choice.finish == "stop_sequence"
    return {
        "stop_reason": STOP_REASON[choice.finish],
        "stop_sequence": choice.stop_sequence if stopped else None,
    }


def _render_content(choice: Choice, call: Call) -> Iterator[dict[str, Json]]:
    """Return the content blocks of an answer."""
    if choice.reasoning:
        thinking = choice.reasoning.text
        shown = thinking if _shows_thinking(call) else ""
        yield {"type": "thinking", "thinking": shown, "signature": sign_thinking(thinking)}
    if choice.text:
        yield {"type": "text", "text": orjson.Fragment(choice.text.json)}
    for tool in choice.tool_calls:
        malformed = choice.finish == "malformed_call"
        arguments = {_INVALID: tool.arguments} if malformed else orjson.loads(tool.arguments)
        yield {"type": "tool_use", "id": f"toolu_{tool.id}", "name": tool.name, "input": arguments}


def sign_thinking(thinking: str) -> str:
    """Return the signature of a thought: the same for the same thought."""
    return base64.b64encode(blake2b(thinking.encode(), digest_size=48, person=b"thinking").digest()).decode()


def render_usage(usage: Usage) -> dict[str, Json]:
    """Return the token counts; the three input counters add up to the prompt, and thinking is part of the output."""
    counts = {
        "input_tokens": max(0, usage.prompt - usage.cached - usage.cache_write),
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.completion,
    }
    return {**counts, "output_tokens_details": {"thinking_tokens": usage.reasoning}} if usage.reasoning else counts


_EMPTY: Mapping[str, Mapping[str, Json]] = {
    "thinking": {"thinking": "", "signature": ""},
    "text": {"text": ""},
    "tool_use": {"input": {}},
}
"""The members of a block of each type before its deltas."""


def render_stream(completion: Completion, call: Call) -> EventStream:
    """Return the stream of the same answer."""
    choice, usage = completion.choices[0], render_usage(completion.usage)
    # the prompt is known when a stream opens, and the answer has just begun
    opening_usage = {name: count for name, count in usage.items() if name != "output_tokens_details"}
    message = {
        **_render_head(completion),
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**opening_usage, "output_tokens": min(1, completion.usage.completion)},
    }
    events = [_render_event({"type": "message_start", "message": message}), _render_event({"type": "ping"})]
    tools = iter(choice.tool_calls)
    for index, block in enumerate(_render_content(choice, call)):
        empty = {**block, **_EMPTY[block["type"]]}
        events.append(_render_event({"type": "content_block_start", "index": index, "content_block": empty}))
        match block["type"]:
            case "thinking":
                thoughts = choice.reasoning if _shows_thinking(call) else NO_TEXT
                events.append(_render_deltas(index, b"thinking_delta", b"thinking", thoughts))
                signature = TokenText.of([block["signature"]])
                events.append(_render_deltas(index, b"signature_delta", b"signature", signature))
            case "text":
                events.append(_render_deltas(index, b"text_delta", b"text", choice.text))
            case "tool_use":
                # the protocol opens with an empty fragment
                text = next(tools).arguments
                text = content_blocks.to_text(block["input"]) if choice.finish == "malformed_call" else text
                parts = TokenText.of(["", *content_blocks.split_text(text)])
                events.append(_render_deltas(index, b"input_json_delta", b"partial_json", parts))
        events.append(_render_event({"type": "content_block_stop", "index": index}))
    events.append(_render_event({"type": "message_delta", "delta": _render_ending(choice), "usage": usage}))
    events.append(_render_event({"type": "message_stop"}))
    return EventStream(b"".join(events))


def _render_deltas(index: int, kind: bytes, member: bytes, text: TokenText) -> bytes:
    """Return an event for each token of a text."""
    if not text:
        return b""
    before = (
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"%b","%b":"'
        % (index, kind, member)
    )
    after = b'"}}\n\n'
    return before + (after + before).join(text.encoded) + after


def _render_event(data: Mapping[str, Json]) -> bytes:
    return encode(orjson.dumps(data), data["type"].encode())


_DELTAS: Mapping[str, Mapping[str, str]] = {
    "thinking": {"thinking": "thinking_delta", "signature": "signature_delta"},
    "text": {"text": "text_delta"},
    "tool_use": {"partial_json": "input_json_delta"},
}
"""Type of a block to the members of its deltas and their types."""


def split_body(body: Json, call: Call) -> EventStream:
    """Return a plain answer as the events of a stream."""
    usage = {name: count for name, count in body["usage"].items() if name != "output_tokens_details"}
    opening: dict[str, Json] = {
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**usage, "output_tokens": 1},
    }
    events = [_render_event({"type": "message_start", "message": {**body, **opening}})]
    for index, block in enumerate(body["content"]):
        empty = {**block, **_EMPTY.get(block["type"], {})}
        events.append(_render_event({"type": "content_block_start", "index": index, "content_block": empty}))
        texts = {**block, "partial_json": orjson.dumps(block.get("input")).decode()}
        for member, kind in _DELTAS.get(block["type"], {}).items():
            text = texts.get(member) or ""
            for piece in [text] if member == "signature" else content_blocks.split_text(text):
                delta = {"type": kind, member: piece}
                events.append(_render_event({"type": "content_block_delta", "index": index, "delta": delta}))
        events.append(_render_event({"type": "content_block_stop", "index": index}))
    ending = {name: body.get(name) for name in ("stop_reason", "stop_sequence")}
    events.append(_render_event({"type": "message_delta", "delta": ending, "usage": body["usage"]}))
    events.append(_render_event({"type": "message_stop"}))
    return EventStream(b"".join(events))
