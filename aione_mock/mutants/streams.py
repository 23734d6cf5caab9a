"""Mutants that stream wrongly, or differently from the plain answer."""

from __future__ import annotations

from aione_mock.mutants.changes import each_event, events, member
from aione_mock.mutants.mutation import Mutant
from aione_mock.types import Json

CHAT = ("createChatCompletion",)
MESSAGES = ("createMessage",)
GEMINI = ("streamGenerateContent",)


def _without(events_: list[bytes], *marks: bytes) -> list[bytes]:
    return [event for event in events_ if not any(mark in event for mark in marks)]


def _numbered(place: int, data: Json) -> Json:
    return {**data, "id": f"{data['id']}{place}"} if "id" in data else data


def _aged(place: int, data: Json) -> Json:
    return {**data, "created": data["created"] + place} if "created" in data else data


def _wordless(found: list[bytes]) -> list[bytes]:
    words = [place for place, event in enumerate(found) if b'"delta":{"content":"' in event]
    return [event for place, event in enumerate(found) if not words or place != words[len(words) // 2]]


def _usage_with_choices(place: int, data: Json) -> Json:
    if data.get("choices") == [] and data.get("usage"):
        return {**data, "choices": [{"index": 0, "delta": {}, "finish_reason": None}]}
    return data


def _shifted_tools(place: int, data: Json) -> Json:
    return member("choices", "*", "delta", "tool_calls", "*", "index", to=lambda index: index + 1)(data)


def _twice(found: list[bytes]) -> list[bytes]:
    finish = [event for event in found if b'"finish_reason":"' in event]
    return [*found[:-1], *finish[:1], *found[-1:]]


def _blocks_open(found: list[bytes]) -> list[bytes]:
    return _without(found, b'"content_block_stop"')


def _arguments_cut(found: list[bytes]) -> list[bytes]:
    pieces = [place for place, event in enumerate(found) if b'"function":{"arguments"' in event]
    return [event for place, event in enumerate(found) if place not in pieces[-1:]]


MUTANTS = (
    Mutant("stream_without_done", "streams", "The stream ends without [DONE]", ("stream-order",), CHAT,
           answer=events(lambda found: _without(found, b"data: [DONE]"))),
    Mutant("stream_lost_chunk", "streams", "A word in the middle of the stream is lost", ("stream-complete",), CHAT,
           answer=events(_wordless)),
    Mutant("stream_changing_id", "streams", "Every chunk has an id of its own", ("stream-order",), CHAT,
           answer=each_event(_numbered)),
    Mutant("stream_changing_created", "streams", "The time of creation counts up from chunk to chunk",
           ("stream-order",), CHAT, answer=each_event(_aged)),
    Mutant("stream_without_role", "streams", "No chunk says whose words these are", ("stream-order",), CHAT,
           answer=each_event(lambda place, data: member("choices", "*", "delta", to=_roleless)(data))),
    Mutant("stream_without_finish", "streams", "The stream ends without a finish reason", ("stream-order",), CHAT,
           answer=events(lambda found: _without(found, b'"finish_reason":"'))),
    Mutant("stream_double_finish", "streams", "The finish reason comes twice", ("stream-order",), CHAT,
           answer=events(_twice)),
    Mutant("stream_without_usage", "streams", "include_usage is ignored", ("stream-usage",), CHAT,
           answer=events(lambda found: _without(found, b'"choices":[]'))),
    Mutant("stream_usage_with_choices", "streams", "The usage chunk has a choice", ("stream-order",), CHAT,
           answer=each_event(_usage_with_choices)),
    Mutant("stream_usage_differs", "streams", "A stream counts one token more than the plain answer",
           ("stream-usage",), CHAT,
           answer=each_event(lambda place, data: member("usage", to=_one_more)(data))),
    Mutant("stream_tool_index", "streams", "Tool calls in streams are counted from one", ("tool-fragments",), CHAT,
           answer=each_event(_shifted_tools)),
    Mutant("stream_arguments_cut", "streams", "The last fragment of a tool call's arguments is lost", ("tool-calls",),
           CHAT, answer=events(_arguments_cut)),
    Mutant("messages_without_stop", "streams", "Anthropic: message_stop is missing", ("stream-order",), MESSAGES,
           answer=events(lambda found: _without(found, b'"message_stop"'))),
    Mutant("messages_open_blocks", "streams", "Anthropic: content blocks never stop", ("stream-order",), MESSAGES,
           answer=events(_blocks_open)),
    Mutant("messages_unnamed_events", "streams", "Anthropic: events have no names", ("stream-events",),
           MESSAGES, answer=events(lambda found: [event[event.index(b"data:") :] for event in found])),
    Mutant("gemini_without_finish", "streams", "Gemini: no chunk says why the answer ended", ("stream-order",),
           GEMINI,
           answer=each_event(lambda place, data: member("candidates", "*", to=_unfinished)(data))),
)  # fmt: skip


def _roleless(delta: Json) -> Json:
    return {name: value for name, value in delta.items() if name != "role"}


def _unfinished(candidate: Json) -> Json:
    return {name: value for name, value in candidate.items() if name != "finishReason"}


def _one_more(usage: Json) -> Json:
    if not usage:
        return usage
    return {**usage, "completion_tokens": usage["completion_tokens"] + 1, "total_tokens": usage["total_tokens"] + 1}
