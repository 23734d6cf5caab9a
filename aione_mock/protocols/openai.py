"""OpenAI's spelling: `POST /v1/chat/completions` plain and streamed, models, errors.

Source: OpenAI API reference, "Chat completions" and "Streaming"; AIone documentation pages 03, 07 and 14.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import orjson

from aione_mock.contract import ErrorSpec
from aione_mock.errors import APIError
from aione_mock.protocols import log_probabilities
from aione_mock.protocols.content_blocks import Look, fragments
from aione_mock.protocols.stencil import alike
from aione_mock.sse import encode
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

FINISH = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
}
_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_EFFORT = {"none": 0, "minimal": 64, "low": 256, "medium": 1024, "high": 4096, "xhigh": 8192}
DONE = encode(b"[DONE]")


def error(spec: ErrorSpec, failure: APIError, request_id: str) -> Json:
    """The error envelope; `param` is there when the failure names one."""
    inner = {k: v for k, v in spec.body["error"].items() if k != "param"}
    param = failure.fields.get("param")
    return {"error": {**inner, "message": failure.message, **({"param": param} if param is not None else {})}}


def prompt(call: Call, look: Look) -> Prompt:
    """What a chat completion asks, in no protocol's spelling."""
    data = call.data
    format_, schema = _format(data.get("response_format") or {})
    effort = data.get("reasoning_effort")
    choice, allowed = _tool_choice(data)
    stops = data.get("stop") or ()
    return Prompt(
        model=data["model"],
        turns=_turns(data["messages"], look),
        tools=_tools(data) if "tools" in data or "functions" in data else (),
        tool_choice=choice,
        allowed_tools=allowed,
        parallel=data.get("parallel_tool_calls") is not False,
        format=format_,
        schema=schema,
        max_tokens=_most(data),
        stops=(stops,) if isinstance(stops, str) else tuple(stops),
        n=int(data.get("n") or 1),
        seed=data.get("seed"),
        reasoning=_EFFORT.get(effort, 0) if effort else 0,
        show_reasoning=bool(effort) and effort != "none",
        aspect_ratio=data.get("aspect_ratio") or "1:1",
        image_size=data.get("image_size") or "",
    )


def _most(data: Mapping[str, Json]) -> int | None:
    value = data.get("max_completion_tokens")
    value = data.get("max_tokens") if value is None else value
    return None if value is None else int(value)


def _format(wanted: Mapping[str, Json]) -> tuple[Any, Mapping[str, Json] | None]:
    kind = wanted.get("type", "text")
    if kind == "json_schema":
        return "schema", (wanted.get("json_schema") or {}).get("schema") or {}
    return ("json" if kind == "json_object" else "text"), None


def _tools(data: Mapping[str, Json]) -> tuple[Tool, ...]:
    functions = [tool["function"] for tool in data.get("tools") or () if tool.get("type", "function") == "function"]
    return tuple([_tool(function) for function in (*functions, *(data.get("functions") or ()))])


def _tool(function: Mapping[str, Json]) -> Tool:
    schema = function.get("parameters") or {"type": "object", "properties": {}}
    return Tool(function["name"], function.get("description") or "", schema)


def _tool_choice(data: Mapping[str, Json]) -> tuple[str, tuple[str, ...]]:
    choice = data.get("tool_choice", data.get("function_call"))
    if isinstance(choice, str):
        return choice, ()
    if not choice:
        return "auto", ()
    if choice.get("type") == "allowed_tools":
        allowed = choice.get("allowed_tools") or {}
        names = tuple(t["function"]["name"] for t in allowed.get("tools", ()) if "function" in t)
        return allowed.get("mode", "auto"), names
    return "=" + (choice.get("function") or choice)["name"], ()


def _turns(messages: Sequence[Mapping[str, Json]], look: Look) -> tuple[Turn, ...]:
    turns: list[Turn] = []
    names: dict[str, str] = {}
    for position, message in enumerate(messages):
        role, content = _ROLES[message["role"]], message.get("content")
        text, images = (content, ()) if isinstance(content, str) else _parts(content, position, look)
        if role == "tool":
            identity = message.get("tool_call_id") or message.get("name") or ""
            result = ToolResult(identity, names.get(identity, message.get("name") or ""), text)
            turns.append(Turn("tool", images=images, results=(result,)))
        elif role == "assistant":
            calls = _calls(message)
            names.update({call.id: call.name for call in calls})
            turns.append(Turn(role, text, images, calls))
        else:
            turns.append(Turn(role, text, images))
    return tuple(turns)


def _parts(content: Json, message: int, look: Look) -> tuple[str, tuple[ImageInput, ...]]:
    texts, images = [], []
    for position, part in enumerate(content or ()):
        if part["type"] == "text":
            texts.append(part["text"])
        elif part["type"] == "refusal":
            texts.append(part["refusal"])
        elif part["type"] == "image_url":
            url, place = part["image_url"], f"messages[{message}].content[{position}].image_url.url"
            images.append(look(url if isinstance(url, str) else url["url"], place))
    return "\n".join(texts), tuple(images)


def _calls(message: Mapping[str, Json]) -> tuple[ToolCall, ...]:
    calls = [
        ToolCall(call.get("id", ""), call["function"]["name"], _compact(call["function"].get("arguments")))
        for call in message.get("tool_calls") or ()
        if "function" in call
    ]
    if legacy := message.get("function_call"):
        calls.append(ToolCall(legacy["name"], legacy["name"], _compact(legacy.get("arguments"))))
    return tuple(calls)


def _compact(arguments: str | None) -> str:
    """Arguments without the blanks that a client's own JSON writer puts in, so that they count alike everywhere."""
    try:
        return orjson.dumps(orjson.loads(arguments or "{}")).decode()
    except orjson.JSONDecodeError:
        return arguments or ""


def body(completion: Completion, call: Call) -> Json:
    """The plain answer."""
    return {
        "id": f"chatcmpl-{completion.id}",
        "object": "chat.completion",
        "created": completion.created,
        "model": completion.model,
        "choices": [_choice(choice, index, call) for index, choice in enumerate(completion.choices)],
        "usage": usage(completion.usage),
        "system_fingerprint": fingerprint(completion.model),
    }


def _choice(choice: Choice, index: int, call: Call) -> Json:
    message: dict[str, Json] = {"role": "assistant", "content": _said(choice), "refusal": None}
    if choice.reasoning:
        message["reasoning_content"] = choice.reasoning.text
    if choice.tool_calls:
        if _legacy(call):
            message["function_call"] = _function(choice.tool_calls[0])
        else:
            message["tool_calls"] = [_tool_call(tool) for tool in choice.tool_calls]
    return {
        "index": index,
        "message": message,
        "logprobs": logprobs(choice.text.pieces, call.data),
        "finish_reason": finish(choice, call),
    }


def _said(choice: Choice) -> Json:
    if not choice.pictures:
        return choice.text.text if choice.text or not choice.tool_calls else None
    images = [
        {"type": "image_url", "image_url": {"url": f"data:{p.mime};base64,{base64.b64encode(p.data).decode()}"}}
        for p in choice.pictures
    ]
    return [{"type": "text", "text": choice.text.text}, *images] if choice.text else images


def finish(choice: Choice, call: Call) -> str:
    """The finish reason; the old `functions` parameter has its own word for a call."""
    reason = FINISH[choice.finish]
    return "function_call" if reason == "tool_calls" and _legacy(call) else reason


def _legacy(call: Call) -> bool:
    return bool(call.data.get("functions")) and not call.data.get("tools")


def _function(tool: ToolCall) -> Json:
    return {"name": tool.name, "arguments": tool.arguments}


def _tool_call(tool: ToolCall) -> Json:
    return {"id": f"call_{tool.id}", "type": "function", "function": _function(tool)}


def usage(spent: Usage) -> Json:
    """Token counts; `total_tokens` is the sum of the other two."""
    return {
        "prompt_tokens": spent.prompt,
        "completion_tokens": spent.completion,
        "total_tokens": spent.total,
        "prompt_tokens_details": {"cached_tokens": spent.cached},
        "completion_tokens_details": {"reasoning_tokens": spent.reasoning},
    }


@lru_cache
def fingerprint(model: str) -> str:
    """A stable stand-in for the serving configuration, one a model."""
    return "fp_" + base64.b16encode(model.encode()[-6:]).decode().lower().rjust(12, "0")


def logprobs(pieces: Sequence[str], data: Mapping[str, Json]) -> Json:
    """Log probabilities of each piece, when asked for: made up, but descending and below zero."""
    if not data.get("logprobs"):
        return None
    top = int(data.get("top_logprobs") or 0)
    return {"content": [_logprob(piece, top) for piece in pieces], "refusal": None}


def _logprob(piece: str, top: int) -> Json:
    (own, *_) = ranked = [_ranked(text, value) for text, value in log_probabilities.ranked(piece, max(1, top))]
    return {**own, "top_logprobs": ranked[:top]}


def _ranked(text: str, value: float) -> Json:
    return {"token": text, "logprob": value, "bytes": list(text.encode())}


def stream(completion: Completion, call: Call) -> EventStream:
    """The stream of the same answer."""
    counted = bool((call.data.get("stream_options") or {}).get("include_usage"))
    head: dict[str, Json] = {
        "id": f"chatcmpl-{completion.id}",
        "object": "chat.completion.chunk",
        "created": completion.created,
        "model": completion.model,
        "system_fingerprint": fingerprint(completion.model),
    }
    tail: dict[str, Json] = {"usage": None} if counted else {}

    def chunk(index: int, delta: Json, reason: str | None = None, probabilities: Json = None) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": probabilities, "finish_reason": reason}
        return encode(orjson.dumps({**head, "choices": [choice], **tail}))

    runs = [_choice_events(choice, index, call, chunk) for index, choice in enumerate(completion.choices)]
    if counted:
        runs.append(encode(orjson.dumps({**head, "choices": [], "usage": usage(completion.usage)})))
    return EventStream(b"".join([*runs, DONE]))


def _choice_events(choice: Choice, index: int, call: Call, chunk: Callable[..., bytes]) -> bytes:
    opening = None if choice.tool_calls and not choice.text else ""
    found = [chunk(index, {"role": "assistant", "content": opening, "refusal": None})]
    found.append(alike(choice.reasoning, lambda piece: chunk(index, {"reasoning_content": piece})))
    if call.data.get("logprobs"):
        found += [chunk(index, {"content": p}, None, logprobs((p,), call.data)) for p in choice.text.pieces]
    else:
        found.append(alike(choice.text, lambda piece: chunk(index, {"content": piece})))
    if choice.tool_calls:
        found += [chunk(index, delta) for delta in _call_deltas(choice, legacy=_legacy(call))]
    empty: Json = {"content": [], "refusal": None} if call.data.get("logprobs") and not choice.text else None
    return b"".join([*found, chunk(index, {}, finish(choice, call), empty)])


def _call_deltas(choice: Choice, *, legacy: bool) -> Iterator[Json]:
    if legacy:
        for tool in choice.tool_calls[:1]:
            yield {"function_call": {"name": tool.name, "arguments": ""}}
            for fragment in fragments(tool.arguments):
                yield {"function_call": {"arguments": fragment}}
        return
    for position, tool in enumerate(choice.tool_calls):
        yield {"tool_calls": [{"index": position, **_tool_call(ToolCall(tool.id, tool.name, ""))}]}
        for fragment in fragments(tool.arguments):
            yield {"tool_calls": [{"index": position, "function": {"arguments": fragment}}]}
