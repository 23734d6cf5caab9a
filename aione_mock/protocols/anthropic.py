"""Anthropic's spelling: `POST /v1/messages` plain and streamed, `count_tokens`, errors.

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
from aione_mock.protocols.stencil import alike
from aione_mock.sse import encode
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
}
_TOOL_CHOICE = {"auto": "auto", "any": "required", "none": "none"}
_EFFORT = {"low": 256, "medium": 1024, "high": 4096, "xhigh": 8192, "max": 16384}
_INTERLEAVED = "interleaved-thinking"
"""The beta under which thinking may go on between tool calls, and so past `max_tokens`."""


def error(spec: ErrorSpec, failure: APIError, request_id: str) -> Json:
    """The error envelope; `details` are there when the failure has some."""
    inner = {**spec.body["error"], "message": failure.message}
    if details := failure.fields.get("details"):
        inner["details"] = details
    return {"type": "error", "error": inner, "request_id": request_id}


def prompt(call: Call, look: Look) -> Prompt:
    """What a message asks, in no protocol's spelling.

    Raises APIError for a budget that leaves no room to answer, and for a thread kept by the server.
    """
    data = call.data
    if data.get("thread"):
        raise _threaded()
    choice = data.get("tool_choice") or {}
    schema = _schema(data)
    reasoning = _reasoning(call)
    # a request to count says nothing about the answer, so the contract leaves these unread there
    answering = call.operation.paid
    return Prompt(
        model=data["model"],
        turns=_turns(data, look),
        tools=tuple(_tools(data)),
        tool_choice="=" + choice["name"] if choice.get("type") == "tool" else _TOOL_CHOICE[choice.get("type", "auto")],
        parallel=not choice.get("disable_parallel_tool_use"),
        format="text" if schema is None else "schema",
        schema=schema,
        max_tokens=int(data["max_tokens"]) if answering else None,
        stops=tuple(data.get("stop_sequences") or ()) if answering else (),
        reasoning=reasoning,
        show_reasoning=reasoning > 0 and _shown(call),
        image_size="",
    )


def _threaded() -> APIError:
    # Anthropic's own tool runner tries a thread first and, by this code, goes on with whole conversations
    return APIError(
        "invalid_request",
        "Conversations are not kept here: send all messages, without `thread`.",
        fields={"param": "thread", "details": {"error_code": "thread_unsupported_request"}},
    )


def _schema(data: Mapping[str, Json]) -> Mapping[str, Json] | None:
    # `output_format` is the name that the member had while it was in beta
    wanted = (data.get("output_config") or {}).get("format") or data.get("output_format") or {}
    schema = wanted.get("schema") if isinstance(wanted, dict) else None
    return schema if isinstance(schema, dict) else None


def _reasoning(call: Call) -> int:
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


def _shown(call: Call) -> bool:
    return (call.data.get("thinking") or {}).get("display") != "omitted"


def _tools(data: Mapping[str, Json]) -> Iterator[Tool]:
    for tool in data.get("tools") or ():
        if tool.get("type") in (None, "custom"):  # the others are Anthropic's own
            yield Tool(tool["name"], tool.get("description") or "", tool["input_schema"])


def _turns(data: Mapping[str, Json], look: Look) -> tuple[Turn, ...]:
    found: list[Turn] = []
    names: dict[str, str] = {}
    if system := data.get("system"):
        found += _said("system", system, "system", look, names, cache=_marked(system))
    last = len(data["messages"]) - 1
    for position, message in enumerate(data["messages"]):
        content = message["content"]
        cache = _marked(content) or (position == last and bool(data.get("cache_control")))
        found += _said(message["role"], content, f"messages[{position}].content", look, names, cache=cache)
    return tuple(found)


def _said(role: Role, content: Json, place: str, look: Look, names: dict[str, str], *, cache: bool) -> list[Turn]:
    if isinstance(content, str):
        return [Turn(role, content, cache=cache)]
    return content_blocks.turns(role, _blocks(content, place, look, names), cache=cache)


def _marked(content: Json) -> bool:
    return isinstance(content, list) and any(block.get("cache_control") for block in content)


def _blocks(content: Json, place: str, look: Look, names: dict[str, str]) -> Iterator[Block]:
    """Blocks in no protocol's spelling; `names` learns which tool each call was for. Thinking is dropped."""
    if isinstance(content, str):
        yield content
        return
    for position, block in enumerate(content or ()):
        where = f"{place}[{position}]"
        match block["type"]:
            case "text":
                yield block["text"]
            case "image":
                yield look(_address(block["source"]), f"{where}.source")
            case "document" | "search_result":
                yield from _document(block, where, look, names)
            case "tool_use":
                names[block["id"]] = block["name"]
                yield ToolCall(block["id"], block["name"], content_blocks.text_of(block["input"]))
            case "tool_result":
                yield _result(block, where, look, names)


def _address(source: Mapping[str, Json]) -> str:
    if source["type"] == "base64":
        return f"data:{source['media_type']};base64,{source['data']}"
    return str(source["url"]) if source["type"] == "url" else f"https://api.anthropic.com/v1/files/{source['file_id']}"


def _document(block: Mapping[str, Json], where: str, look: Look, names: dict[str, str]) -> Iterator[Block]:
    """What can be read of a document: its title and its text. PDF files and addresses stay unread."""
    if block.get("title"):
        yield block["title"]
    source = block["source"]
    if block["type"] == "search_result":
        yield from _blocks(block["content"], f"{where}.content", look, names)
    elif source["type"] == "text":
        yield source["data"]
    elif source["type"] == "content":
        yield from _blocks(source["content"], f"{where}.source.content", look, names)


def _result(block: Mapping[str, Json], where: str, look: Look, names: dict[str, str]) -> Turn:
    (held,) = content_blocks.turns("tool", _blocks(block.get("content") or "", f"{where}.content", look, names))
    identity = block["tool_use_id"]
    result = ToolResult(identity, names.get(identity, ""), held.text, bool(block.get("is_error")))
    return Turn("tool", images=held.images, results=(result,))


def body(completion: Completion, call: Call) -> Json:
    """The plain answer. The protocol has one choice, the first."""
    choice = completion.choices[0]
    return {
        **_head(completion),
        "content": [*_content(choice, call)],
        **_ending(choice),
        "usage": usage(completion.usage),
    }


def _head(completion: Completion) -> dict[str, Json]:
    return {"id": f"msg_{completion.id}", "type": "message", "role": "assistant", "model": completion.model}


def _ending(choice: Choice) -> dict[str, Json]:
    stopped = choice.finish == "stop_sequence"
    return {
        "stop_reason": STOP_REASON[choice.finish],
        "stop_sequence": choice.stop_sequence if stopped else None,
    }


def _content(choice: Choice, call: Call) -> Iterator[dict[str, Json]]:
    """The blocks of everything said."""
    if choice.reasoning:
        thinking = choice.reasoning.text
        yield {"type": "thinking", "thinking": thinking if _shown(call) else "", "signature": signature(thinking)}
    if choice.text:
        yield {"type": "text", "text": choice.text.text}
    for tool in choice.tool_calls:
        yield {"type": "tool_use", "id": f"toolu_{tool.id}", "name": tool.name, "input": orjson.loads(tool.arguments)}


def signature(thinking: str) -> str:
    """The mark under a thought: the same for the same thought."""
    return base64.b64encode(blake2b(thinking.encode(), digest_size=48, person=b"thinking").digest()).decode()


def usage(spent: Usage) -> dict[str, Json]:
    """Token counts; the three input counters add up to the prompt, and thinking is part of the output."""
    counted = {
        "input_tokens": max(0, spent.prompt - spent.cached - spent.cache_write),
        "cache_creation_input_tokens": spent.cache_write,
        "cache_read_input_tokens": spent.cached,
        "output_tokens": spent.completion,
    }
    return {**counted, "output_tokens_details": {"thinking_tokens": spent.reasoning}} if spent.reasoning else counted


def _begun(counted: Mapping[str, Json]) -> dict[str, Json]:
    """The counts as a stream opens with them: what was asked is known, what is said has just begun."""
    known = {name: value for name, value in counted.items() if name != "output_tokens_details"}
    return {**known, "output_tokens": min(1, counted["output_tokens"])}


_EMPTY: Mapping[str, Mapping[str, Json]] = {
    "thinking": {"thinking": "", "signature": ""},
    "text": {"text": ""},
    "tool_use": {"input": {}},
}
"""What a block of each type is like before its deltas."""


def stream(completion: Completion, call: Call) -> EventStream:
    """The stream of the same answer."""
    choice = completion.choices[0]
    spent = usage(completion.usage)
    opening = {
        **_head(completion),
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _begun(spent),
    }
    runs = [_event({"type": "message_start", "message": opening}), _event({"type": "ping"})]
    tools = iter(choice.tool_calls)
    for index, block in enumerate(_content(choice, call)):
        empty = {**block, **_EMPTY[block["type"]]}
        runs.append(_event({"type": "content_block_start", "index": index, "content_block": empty}))
        match block["type"]:
            case "thinking":
                thoughts = choice.reasoning if _shown(call) else NO_TEXT
                runs.append(_deltas(index, "thinking_delta", "thinking", thoughts))
                runs.append(_deltas(index, "signature_delta", "signature", TokenText.of([block["signature"]])))
            case "text":
                runs.append(_deltas(index, "text_delta", "text", choice.text))
            case "tool_use":
                # the protocol opens with an empty fragment
                parts = ["", *content_blocks.fragments(next(tools).arguments)]
                runs.append(_deltas(index, "input_json_delta", "partial_json", TokenText.of(parts)))
        runs.append(_event({"type": "content_block_stop", "index": index}))
    runs.append(_event({"type": "message_delta", "delta": _ending(choice), "usage": spent}))
    return EventStream(b"".join([*runs, _event({"type": "message_stop"})]))


def _deltas(index: int, kind: str, member: str, text: TokenText) -> bytes:
    def spell(piece: str) -> bytes:
        return _event({"type": "content_block_delta", "index": index, "delta": {"type": kind, member: piece}})

    return alike(text, spell)


def _event(data: Mapping[str, Json]) -> bytes:
    return encode(orjson.dumps(data), data["type"].encode())
