"""OpenAI's protocol: `POST /v1/chat/completions` plain and streamed, models, errors.

Source: OpenAI API reference, "Chat completions" and "Streaming"; AIone documentation pages 03, 07 and 14.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from aione_mock.contract import ErrorSpec
from aione_mock.errors import APIError
from aione_mock.protocols import log_probabilities
from aione_mock.protocols.content_blocks import Look, split_text
from aione_mock.structs import frozen
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
    TokenText,
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
    "malformed_call": "tool_calls",
}
_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
EFFORT = {"none": 0, "minimal": 64, "low": 256, "medium": 1024, "high": 4096, "xhigh": 8192}
_USUAL = frozenset(
    "model messages tools max_tokens max_completion_tokens stream stream_options temperature top_p user".split()
)
"""Members of a request that leave everything else in its prompt as it is by default."""
DONE = encode(b"[DONE]")


def render_error(spec: ErrorSpec, error: APIError, request_id: str) -> Json:
    """Return the error envelope; `param` is there when the error names one."""
    inner = {k: v for k, v in spec.body["error"].items() if k != "param"}
    param = error.fields.get("param")
    return {"error": {**inner, "message": error.message, **({"param": param} if param is not None else {})}}


def read_prompt(call: Call, look: Look) -> Prompt:
    """Return what a chat completion asks, whatever the protocol."""
    data = call.data
    turns = _read_turns(data["messages"], look)
    tools = _read_tools(data) if "tools" in data or "functions" in data else ()
    if data.keys() <= _USUAL:
        return Prompt(data["model"], turns, tools, max_tokens=_max_tokens(data))
    format_, schema = _read_format(data.get("response_format") or {})
    effort = data.get("reasoning_effort")
    choice, allowed = _read_tool_choice(data)
    stops = data.get("stop") or ()
    return Prompt(
        model=data["model"],
        turns=turns,
        tools=tools,
        tool_choice=choice,
        allowed_tools=allowed,
        parallel=data.get("parallel_tool_calls") is not False,
        format=format_,
        schema=schema,
        max_tokens=_max_tokens(data),
        stops=(stops,) if isinstance(stops, str) else tuple(stops),
        n=int(data.get("n") or 1),
        seed=data.get("seed"),
        reasoning=EFFORT.get(effort, 0) if effort else 0,
        show_reasoning=bool(effort) and effort != "none",
        aspect_ratio=data.get("aspect_ratio") or "1:1",
        image_size=data.get("image_size") or "",
    )


def _max_tokens(data: Mapping[str, Json]) -> int | None:
    value = data.get("max_completion_tokens")
    value = data.get("max_tokens") if value is None else value
    return None if value is None else int(value)


def _read_format(wanted: Mapping[str, Json]) -> tuple[Any, Mapping[str, Json] | None]:
    kind = wanted.get("type", "text")
    if kind == "json_schema":
        return "schema", (wanted.get("json_schema") or {}).get("schema") or {}
    return ("json" if kind == "json_object" else "text"), None


def _read_tools(data: Mapping[str, Json]) -> tuple[Tool, ...]:
    functions = [tool["function"] for tool in data.get("tools") or () if tool.get("type", "function") == "function"]
    return tuple([_read_tool(function) for function in (*functions, *(data.get("functions") or ()))])


def _read_tool(function: Mapping[str, Json]) -> Tool:
    schema = function.get("parameters") or {"type": "object", "properties": {}}
    return Tool(function["name"], function.get("description") or "", schema)


def _read_tool_choice(data: Mapping[str, Json]) -> tuple[str, tuple[str, ...]]:
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


def _read_turns(messages: Sequence[Mapping[str, Json]], look: Look) -> tuple[Turn, ...]:
    turns: list[Turn] = []
    names: dict[str, str] = {}
    for position, message in enumerate(messages):
        role, content = _ROLES[message["role"]], message.get("content")
        if type(content) is str and role in ("system", "user"):  # by far the most frequent
            turns.append(Turn(role, content))
            continue
        text, images = (content, ()) if isinstance(content, str) else _read_parts(content, position, look)
        if role == "tool":
            identity = message.get("tool_call_id") or message.get("name") or ""
            result = ToolResult(identity, names.get(identity, message.get("name") or ""), text)
            turns.append(Turn("tool", images=images, results=(result,)))
        elif role == "assistant":
            calls = _read_calls(message)
            names.update({call.id: call.name for call in calls})
            turns.append(Turn(role, text, images, calls))
        else:
            turns.append(Turn(role, text, images))
    return tuple(turns)


def _read_parts(content: Json, message: int, look: Look) -> tuple[str, tuple[ImageInput, ...]]:
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


def _read_calls(message: Mapping[str, Json]) -> tuple[ToolCall, ...]:
    calls = [
        ToolCall(call.get("id", ""), call["function"]["name"], compact_json(call["function"].get("arguments")))
        for call in message.get("tool_calls") or ()
        if "function" in call
    ]
    if legacy := message.get("function_call"):
        calls.append(ToolCall(legacy["name"], legacy["name"], compact_json(legacy.get("arguments"))))
    return tuple(calls)


def compact_json(arguments: str | None) -> str:
    """Return arguments without white space, so that they have the same tokens whatever client wrote them."""
    try:
        return orjson.dumps(orjson.loads(arguments or "{}")).decode()
    except orjson.JSONDecodeError:
        return arguments or ""


_TEXT_ANSWER = (
    b'{"id":"chatcmpl-%b","object":"chat.completion","created":%d,"model":%b,"choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"%b","refusal":null},"logprobs":null,"finish_reason":"%b"}],"usage":'
    b'{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,"prompt_tokens_details":{"cached_tokens":%d},'
    b'"completion_tokens_details":{"reasoning_tokens":%d}},"system_fingerprint":"%b"}'
)
"""The plain answer of one choice that has nothing but text, by far the most frequent."""


def render_body(completion: Completion, call: Call) -> bytes:
    """Return the plain answer."""
    choice = completion.choices[0]
    special = choice.reasoning or choice.tool_calls or choice.pictures or choice.refused or call.data.get("logprobs")
    if len(completion.choices) == 1 and not special:
        return _render_text_answer(completion, choice)
    return orjson.dumps(
        {
            "id": f"chatcmpl-{completion.id}",
            "object": "chat.completion",
            "created": completion.created,
            "model": completion.model,
            "choices": [_render_choice(choice, index, call) for index, choice in enumerate(completion.choices)],
            "usage": render_usage(completion.usage),
            "system_fingerprint": fingerprint(completion.model),
        }
    )


def _render_text_answer(completion: Completion, choice: Choice) -> bytes:
    usage, model = completion.usage, orjson.dumps(completion.model)
    return _TEXT_ANSWER % (
        completion.id.encode(),
        completion.created,
        model,
        b"".join(choice.text.encoded),
        FINISH[choice.finish].encode(),
        usage.prompt,
        usage.completion,
        usage.prompt + usage.completion,
        usage.cached,
        usage.reasoning,
        fingerprint(completion.model).encode(),
    )


def _render_choice(choice: Choice, index: int, call: Call) -> Json:
    message: dict[str, Json] = {"role": "assistant", "content": _render_content(choice), "refusal": None}
    if _has_refusal(choice, call):
        message |= {"content": None, "refusal": orjson.Fragment(choice.text.json)}
    if choice.reasoning:
        message["reasoning_content"] = orjson.Fragment(choice.reasoning.json)
    if choice.tool_calls:
        if _is_legacy(call):
            message["function_call"] = _render_function(choice.tool_calls[0])
        else:
            message["tool_calls"] = [_render_tool_call(tool) for tool in choice.tool_calls]
    probabilities = _render_logprobs(choice.text.pieces, call) if call.data.get("logprobs") else None
    return {"index": index, "message": message, "logprobs": probabilities, "finish_reason": _finish(choice, call)}


def _has_refusal(choice: Choice, call: Call) -> bool:
    """Return whether the text stands in `refusal`: only answers that were to follow a schema have it."""
    wanted = call.data.get("response_format") or {}
    return choice.refused and bool(choice.text) and wanted.get("type") == "json_schema"


def _render_content(choice: Choice) -> Json:
    if not choice.pictures:
        return orjson.Fragment(choice.text.json) if choice.text or not choice.tool_calls else None
    images = [
        {"type": "image_url", "image_url": {"url": f"data:{p.mime};base64,{base64.b64encode(p.data).decode()}"}}
        for p in choice.pictures
    ]
    return [{"type": "text", "text": choice.text.text}, *images] if choice.text else images


def _finish(choice: Choice, call: Call) -> str:
    """Return the finish reason; the old `functions` parameter has its own word for a call."""
    if choice.tool_calls and FINISH[choice.finish] == "tool_calls" and _is_legacy(call):
        return "function_call"
    return FINISH[choice.finish]


def _is_legacy(call: Call) -> bool:
    return bool(call.data.get("functions")) and not call.data.get("tools")


def _render_function(tool: ToolCall) -> Json:
    return {"name": tool.name, "arguments": tool.arguments}


def _render_tool_call(tool: ToolCall) -> Json:
    return {"id": f"call_{tool.id}", "type": "function", "function": _render_function(tool)}


def render_usage(usage: Usage) -> Json:
    """Return the token counts; `total_tokens` is the sum of the other two."""
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


def fingerprint(model: str) -> str:
    """Return a stable stand-in for the serving configuration of a model."""
    return "fp_" + model.encode()[-6:].hex().rjust(12, "0")


def _render_logprobs(pieces: Sequence[str], call: Call) -> Json:
    """Return log probabilities of each piece: made up, but descending and below zero."""
    top = int(call.data.get("top_logprobs") or 0)
    return {"content": [_render_logprob(piece, top) for piece in pieces], "refusal": None}


def _render_logprob(piece: str, top: int) -> Json:
    ranked = [
        {"token": text, "logprob": value, "bytes": list(text.encode())}
        for text, value in log_probabilities.rank_tokens(piece, max(1, top))
    ]
    return {**ranked[0], "top_logprobs": ranked[:top]}


def render_stream(completion: Completion, call: Call) -> EventStream:
    """Return the stream of the same answer."""
    with_usage = bool((call.data.get("stream_options") or {}).get("include_usage"))
    head = orjson.dumps(
        {
            "id": f"chatcmpl-{completion.id}",
            "object": "chat.completion.chunk",
            "created": completion.created,
            "model": completion.model,
            "system_fingerprint": fingerprint(completion.model),
        }
    )[:-1]
    chunks = Chunks(b'data: %b,"choices":[' % head, b'],"usage":null}\n\n' if with_usage else b"]}\n\n")
    events = [_stream_choice(choice, index, call, chunks) for index, choice in enumerate(completion.choices)]
    if with_usage:
        events.append(b'data: %b,"choices":[],"usage":%b}\n\n' % (head, orjson.dumps(render_usage(completion.usage))))
    return EventStream(b"".join([*events, DONE]))


@frozen
class Chunks:
    """The chunks of one stream, which differ in their choice alone."""

    head: bytes
    tail: bytes

    def render(self, index: int, delta: Json, reason: str | None = None, logprobs: Json = None) -> bytes:
        """Return one chunk as an event."""
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        return self.head + orjson.dumps(choice) + self.tail

    def render_text(self, index: int, member: bytes, text: TokenText) -> bytes:
        """Return a chunk for each token of a text, which stands in a member of the delta."""
        if not text:
            return b""
        before = b'%b{"index":%d,"delta":{"%b":"' % (self.head, index, member)
        after = b'"},"logprobs":null,"finish_reason":null}' + self.tail
        return before + (after + before).join(text.encoded) + after


def _stream_choice(choice: Choice, index: int, call: Call, chunks: Chunks) -> bytes:
    with_logprobs = bool(call.data.get("logprobs"))
    refusal = _has_refusal(choice, call)
    opening = None if refusal or (choice.tool_calls and not choice.text) else ""
    events = [
        chunks.render(index, {"role": "assistant", "content": opening, "refusal": None}),
        chunks.render_text(index, b"reasoning_content", choice.reasoning),
    ]
    member = "refusal" if refusal else "content"
    if with_logprobs:
        for piece in choice.text.pieces:
            events.append(chunks.render(index, {member: piece}, None, _render_logprobs((piece,), call)))
    else:
        events.append(chunks.render_text(index, member.encode(), choice.text))
    if choice.tool_calls:
        events += [chunks.render(index, delta) for delta in _tool_call_deltas(choice, legacy=_is_legacy(call))]
    nothing: Json = {"content": [], "refusal": None} if with_logprobs and not choice.text else None
    events.append(chunks.render(index, {}, _finish(choice, call), nothing))
    return b"".join(events)


def _tool_call_deltas(choice: Choice, *, legacy: bool) -> Iterator[Json]:
    if legacy:
        for tool in choice.tool_calls[:1]:
            yield {"function_call": {"name": tool.name, "arguments": ""}}
            for fragment in split_text(tool.arguments):
                yield {"function_call": {"arguments": fragment}}
        return
    for position, tool in enumerate(choice.tool_calls):
        yield {"tool_calls": [{"index": position, **_render_tool_call(ToolCall(tool.id, tool.name, ""))}]}
        for fragment in split_text(tool.arguments):
            yield {"tool_calls": [{"index": position, "function": {"arguments": fragment}}]}


def split_body(body: Json, call: Call) -> EventStream | None:
    """Return a plain answer as the events of a stream, None if its content is more than text."""
    if any(isinstance(choice["message"].get("content"), list) for choice in body["choices"]):
        return None
    with_usage = bool((call.data.get("stream_options") or {}).get("include_usage"))
    kept = {
        name: body[name] for name in ("id", "created", "model", "service_tier", "system_fingerprint") if name in body
    }
    head = orjson.dumps({**kept, "object": "chat.completion.chunk"})[:-1]
    chunks = Chunks(b'data: %b,"choices":[' % head, b'],"usage":null}\n\n' if with_usage else b"]}\n\n")
    events = []
    for choice in body["choices"]:
        events += [chunks.render(choice["index"], delta) for delta in _split_message(choice["message"])]
        events.append(chunks.render(choice["index"], {}, choice["finish_reason"], choice.get("logprobs")))
    if with_usage:
        events.append(b'data: %b,"choices":[],"usage":%b}\n\n' % (head, orjson.dumps(body.get("usage"))))
    return EventStream(b"".join([*events, DONE]))


def _split_message(message: Mapping[str, Json]) -> Iterator[Json]:
    """Yield the deltas that add up to a message."""
    texts = {name: message[name] for name in ("reasoning_content", "content", "refusal") if name in message}
    yield {
        "role": message["role"],
        **{name: "" if text and name == "content" else None for name, text in texts.items()},
    }
    for name, text in texts.items():
        yield from ({name: piece} for piece in split_text(text or ""))
    for position, tool in enumerate(message.get("tool_calls") or ()):
        yield {"tool_calls": [{"index": position, **tool}]}
