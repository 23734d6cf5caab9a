"""OpenAI's Responses API: `POST /v1/responses` plain and streamed.

Source: OpenAI API reference, "Responses" and "Streaming events".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from aione_mock.protocols.content_blocks import Look, split_text
from aione_mock.protocols.openai import EFFORT, compact_json
from aione_mock.structs import replace
from aione_mock.text.sse import encode
from aione_mock.types import (
    Call,
    Choice,
    Completion,
    EventStream,
    ImageInput,
    Json,
    Prompt,
    Role,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
    Usage,
)

_ROLES: dict[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Why an answer is incomplete, by how it finished."""
_DEFAULTS: Mapping[str, Json] = {
    "max_output_tokens": None,
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "store": True,
    "temperature": 1,
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1,
    "truncation": "disabled",
    "user": None,
}
"""Members of an answer that repeat those of its request."""
_EMPTY: Mapping[str, dict[str, Json]] = {
    "message": {"content": []},
    "reasoning": {"summary": []},
    "function_call": {"arguments": ""},
}
"""What an item begins with, by its type."""
Items = Sequence[Mapping[str, Json]]


def read_prompt(call: Call, look: Look, earlier: Items = ()) -> Prompt:
    """Return what a request asks, after the `earlier` items of the conversation."""
    data = call.data
    reasoning, wanted = data.get("reasoning") or {}, (data.get("text") or {}).get("format") or {}
    effort, kind = reasoning.get("effort"), wanted.get("type", "text")
    choice, allowed = _read_tool_choice(data.get("tool_choice"))
    turns = [*_read_turns([*earlier, *list_input_items(data["input"])], look)]
    if instructions := data.get("instructions"):
        turns.insert(0, Turn("system", instructions))
    limit = data.get("max_output_tokens")
    return Prompt(
        model=data["model"],
        turns=tuple(turns) or (Turn("user", ""),),
        tools=tuple([_read_tool(tool) for tool in data.get("tools") or () if tool["type"] == "function"]),
        tool_choice=choice,
        allowed_tools=allowed,
        parallel=data.get("parallel_tool_calls") is not False,
        format="schema" if kind == "json_schema" else "json" if kind == "json_object" else "text",
        schema=wanted["schema"] if kind == "json_schema" else None,
        max_tokens=None if limit is None else int(limit),
        reasoning=EFFORT.get(effort, 0) if effort else 0,
        show_reasoning=bool(reasoning.get("summary")),
    )


def list_input_items(given: Json) -> list[dict[str, Json]]:
    """Return the items of a request; a text is one message of the user."""
    return [{"role": "user", "content": given}] if isinstance(given, str) else given


def _read_tool(tool: Mapping[str, Json]) -> Tool:
    return Tool(
        tool["name"], tool.get("description") or "", tool.get("parameters") or {"type": "object", "properties": {}}
    )


def _read_tool_choice(choice: Json) -> tuple[str, tuple[str, ...]]:
    if not isinstance(choice, dict):
        return choice or "auto", ()
    if choice["type"] == "allowed_tools":
        names = tuple(tool["name"] for tool in choice["tools"] if isinstance(tool.get("name"), str))
        return choice["mode"], names
    # a tool that the gateway brings along, such as a web search, is none of the request's own
    return ("=" + choice["name"] if choice["type"] == "function" else "auto"), ()


def _read_turns(items: Items, look: Look) -> Iterator[Turn]:
    """Yield the turns of a conversation. What the assistant says and calls is one turn, as in chat completions."""
    names: dict[str, str] = {}
    pending: Turn | None = None
    for position, item in enumerate(items):
        kind = item.get("type") or "message"
        place = f"input[{position}]"
        if kind == "function_call":
            made = ToolCall(item["call_id"], item["name"], compact_json(item["arguments"]))
            names[made.id] = made.name
            pending = pending or Turn("assistant")
            pending = replace(pending, tool_calls=(*pending.tool_calls, made))
            continue
        if pending is not None and kind != "reasoning":
            yield pending
            pending = None
        if kind == "function_call_output":
            text, images = _read_content(item["output"], f"{place}.output", look)
            result = ToolResult(item["call_id"], names.get(item["call_id"], ""), text)
            yield Turn("tool", images=images, results=(result,))
        elif kind == "message":
            text, images = _read_content(item["content"], f"{place}.content", look)
            turn = Turn(_ROLES[item["role"]], text, images)
            if turn.role == "assistant":
                pending = turn
            else:
                yield turn
    if pending is not None:
        yield pending


def _read_content(content: Json, place: str, look: Look) -> tuple[str, tuple[ImageInput, ...]]:
    if isinstance(content, str):
        return content, ()
    texts = [part["text"] for part in content if part["type"] in ("input_text", "output_text")]
    texts += [part["refusal"] for part in content if part["type"] == "refusal"]
    images = [
        look(part["image_url"], f"{place}[{position}].image_url")
        for position, part in enumerate(content)
        if part["type"] == "input_image" and part.get("image_url")
    ]
    return "\n".join(texts), tuple(images)


def store_input_items(data: Mapping[str, Json], token: str) -> list[dict[str, Json]]:
    """Return the items of a request as they are listed later: with ids, and with the parts of texts."""
    return [_complete_item(item, f"{token}{number}") for number, item in enumerate(list_input_items(data["input"]))]


def _complete_item(item: Mapping[str, Json], token: str) -> dict[str, Json]:
    kind = item.get("type") or "message"
    prefix = {"message": "msg", "function_call": "fc", "function_call_output": "fco", "reasoning": "rs"}.get(
        kind, "item"
    )
    complete = {"status": "completed", **item, "id": item.get("id") or f"{prefix}_{token}", "type": kind}
    if kind == "message" and isinstance(item["content"], str):
        part = "output_text" if item["role"] == "assistant" else "input_text"
        extra: dict[str, Json] = {"annotations": []} if part == "output_text" else {}
        complete["content"] = [{"type": part, "text": item["content"], **extra}]
    return complete


def render_response(completion: Completion, call: Call, *, show_reasoning: bool) -> dict[str, Json]:
    """Return the plain answer."""
    choice, data = completion.choices[0], call.data
    reason = _INCOMPLETE.get(choice.finish)
    given = {name: data[name] if data.get(name) is not None else value for name, value in _DEFAULTS.items()}
    reasoning, text = data.get("reasoning") or {}, data.get("text") or {}
    # as in chat completions, only answers that were to follow a schema have a refusal
    refusal = choice.refused and bool(choice.text) and (text.get("format") or {}).get("type") == "json_schema"
    summary = choice.reasoning.text if show_reasoning else None
    return {
        "id": f"resp_{completion.id}",
        "object": "response",
        "created_at": completion.created,
        "status": "incomplete" if reason else "completed",
        "background": False,
        "error": None,
        "incomplete_details": {"reason": reason} if reason else None,
        "instructions": data.get("instructions"),
        "metadata": data.get("metadata") or {},
        "model": completion.model,
        "output": [*_render_output(choice, completion.id, summary, refusal=refusal)],
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
        "service_tier": "default",
        "text": {"format": {"type": "text"}, **{name: value for name, value in text.items() if value is not None}},
        "usage": render_usage(completion.usage),
        **given,
    }


def _render_output(choice: Choice, token: str, summary: str | None, *, refusal: bool) -> Iterator[dict[str, Json]]:
    if choice.reasoning:
        parts = [] if summary is None else [{"type": "summary_text", "text": summary}]
        yield {"id": f"rs_{token}", "type": "reasoning", "summary": parts}
    status, text = "incomplete" if choice.finish in _INCOMPLETE else "completed", choice.text.text
    if text or not (choice.tool_calls or choice.reasoning):
        part: dict[str, Json] = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        part = {"type": "refusal", "refusal": text} if refusal else part
        yield {"id": f"msg_{token}", "type": "message", "status": status, "role": "assistant", "content": [part]}
    for tool in choice.tool_calls:
        named = {"call_id": f"call_{tool.id}", "name": tool.name, "arguments": tool.arguments}
        yield {"id": f"fc_{tool.id}", "type": "function_call", "status": "completed", **named}


def render_usage(usage: Usage) -> Json:
    """Return the token counts."""
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": usage.cache_write},
        "output_tokens": usage.completion,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.total,
    }


def render_events(body: Mapping[str, Json], choice: Choice) -> tuple[EventStream, tuple[int, ...]]:
    """Return the events of a plain answer, cut where the model's tokens end, and the tokens of each event."""
    pieces = {choice.text.text: choice.text.pieces, choice.reasoning.text: choice.reasoning.pieces}
    return _split_response(body, lambda text: pieces.get(text) or split_text(text))


def split_body(body: Json, call: Call) -> EventStream | None:
    """Return a plain answer as the events of a stream."""
    return _split_response(body, split_text)[0]


def _split_response(
    body: Mapping[str, Json], split: Callable[[str], Sequence[str]]
) -> tuple[EventStream, tuple[int, ...]]:
    begun = {**body, "status": "in_progress", "output": [], "usage": None, "error": None, "incomplete_details": None}
    payloads: list[dict[str, Json]] = [
        {"type": f"response.{name}", "response": begun} for name in ("created", "in_progress")
    ]
    for index, item in enumerate(body["output"]):
        payloads += _split_item(item, index, split)
    payloads.append({"type": f"response.{body['status']}", "response": body})
    events = [
        encode(orjson.dumps({**event, "sequence_number": number}), event["type"].encode())
        for number, event in enumerate(payloads)
    ]
    return EventStream.of(events), tuple([int("delta" in event) for event in payloads])


def _split_item(
    item: Mapping[str, Json], index: int, split: Callable[[str], Sequence[str]]
) -> Iterator[dict[str, Json]]:
    """Yield the events of one item, without their numbers."""
    place: dict[str, Any] = {"output_index": index, "item_id": item.get("id", "")}
    empty = _EMPTY[item["type"]]
    status = {"status": "in_progress"} if "status" in item else {}
    yield {"type": "response.output_item.added", "output_index": index, "item": {**item, **status, **empty}}
    if item["type"] == "message":
        for number, part in enumerate(item["content"]):
            kind, name = ("refusal", "refusal") if part["type"] == "refusal" else ("output_text", "text")
            yield from _split_text(part, name, kind, "content_part", {**place, "content_index": number}, split)
    elif item["type"] == "reasoning":
        for number, part in enumerate(item["summary"]):
            names = ("text", "reasoning_summary_text", "reasoning_summary_part")
            yield from _split_text(part, *names, {**place, "summary_index": number}, split)
    else:
        for piece in split_text(item["arguments"]):
            yield {"type": "response.function_call_arguments.delta", **place, "delta": piece}
        yield {
            "type": "response.function_call_arguments.done",
            **place,
            "name": item["name"],
            "arguments": item["arguments"],
        }
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _split_text(
    part: Mapping[str, Json],
    member: str,
    text: str,
    holder: str,
    place: Mapping[str, Json],
    split: Callable[[str], Sequence[str]],
) -> Iterator[dict[str, Json]]:
    """Yield the events of one part, whose `member` holds its text."""
    more: dict[str, Json] = {"logprobs": []} if text == "output_text" else {}
    yield {"type": f"response.{holder}.added", **place, "part": {**part, member: ""}}
    for piece in split(part[member]):
        yield {"type": f"response.{text}.delta", **place, "delta": piece, **more}
    yield {"type": f"response.{text}.done", **place, member: part[member], **more}
    yield {"type": f"response.{holder}.done", **place, "part": part}
