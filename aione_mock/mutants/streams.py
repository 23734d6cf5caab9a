"""Mutants with wrong streams, or streams that differ from the plain answer."""

from __future__ import annotations

from functools import partial

from aione_mock.mutants.changes import JsonChange, change_each_event, change_events, change_member, drop_member
from aione_mock.mutants.mutant import Mutant, ResponseChange
from aione_mock.types import Json


def _remove_events(marker: bytes) -> ResponseChange:
    return change_events(lambda events: [event for event in events if marker not in event])


def _add_index_to_id(index: int, data: Json) -> Json:
    return {**data, "id": f"{data['id']}{index}"} if "id" in data else data


def _add_index_to_time(index: int, data: Json) -> Json:
    return {**data, "created": data["created"] + index} if "created" in data else data


def _lose_middle_word(events: list[bytes]) -> list[bytes]:
    words = [index for index, event in enumerate(events) if b'"delta":{"content":"' in event]
    return [event for index, event in enumerate(events) if not words or index != words[len(words) // 2]]


def _lose_last_arguments(events: list[bytes]) -> list[bytes]:
    fragments = [index for index, event in enumerate(events) if b'"function":{"arguments"' in event]
    return [event for index, event in enumerate(events) if index not in fragments[-1:]]


def _repeat_finish(events: list[bytes]) -> list[bytes]:
    finish = [event for event in events if b'"finish_reason":"' in event]
    return [*events[:-1], *finish[:1], *events[-1:]]


def _remove_event_names(events: list[bytes]) -> list[bytes]:
    return [event[event.index(b"data:") :] for event in events]


def _add_choice_to_usage(index: int, data: Json) -> Json:
    if data.get("choices") == [] and data.get("usage"):
        return {**data, "choices": [{"index": 0, "delta": {}, "finish_reason": None}]}
    return data


def _add_one_token(usage: Json) -> Json:
    if not usage:
        return usage
    return {**usage, "completion_tokens": usage["completion_tokens"] + 1, "total_tokens": usage["total_tokens"] + 1}


def _change_data(change: JsonChange) -> ResponseChange:
    return change_each_event(lambda index, data: change(data))


_mutant = partial(Mutant, area="streams", operations=("createChatCompletion",))
_messages_mutant = partial(_mutant, operations=("createMessage",))

MUTANTS = (
    _mutant("stream_without_done", "The stream ends without [DONE]", ("stream-order",),
            response=_remove_events(b"data: [DONE]")),
    _mutant("stream_lost_chunk", "A word in the middle of the stream is lost", ("stream-complete",),
            response=change_events(_lose_middle_word)),
    _mutant("stream_changing_id", "Every chunk has its own id", ("stream-order",),
            response=change_each_event(_add_index_to_id)),
    _mutant("stream_changing_created", "The time of creation increases with every chunk", ("stream-order",),
            response=change_each_event(_add_index_to_time)),
    _mutant("stream_without_role", "No chunk has the role", ("stream-order",),
            response=_change_data(change_member("choices", "*", "delta", to=drop_member("role")))),
    _mutant("stream_without_finish", "The stream ends without a finish reason", ("stream-order",),
            response=_remove_events(b'"finish_reason":"')),
    _mutant("stream_double_finish", "The finish reason is sent twice", ("stream-order",),
            response=change_events(_repeat_finish)),
    _mutant("stream_without_usage", "include_usage is ignored", ("stream-usage",),
            response=_remove_events(b'"choices":[]')),
    _mutant("stream_usage_with_choices", "The usage chunk has a choice", ("stream-order",),
            response=change_each_event(_add_choice_to_usage)),
    _mutant("stream_usage_differs", "A stream counts one token more than the plain answer", ("stream-usage",),
            response=_change_data(change_member("usage", to=_add_one_token))),
    _mutant("stream_tool_index", "Streamed tool calls are counted from 1", ("tool-fragments",),
            response=_change_data(
                change_member("choices", "*", "delta", "tool_calls", "*", "index", to=lambda index: index + 1))),
    _mutant("stream_arguments_cut", "The last fragment of a tool call's arguments is lost", ("tool-calls",),
            response=change_events(_lose_last_arguments)),
    _messages_mutant("messages_without_stop", "Anthropic: message_stop is missing", ("stream-order",),
                     response=_remove_events(b'"message_stop"')),
    _messages_mutant("messages_open_blocks", "Anthropic: content blocks never stop", ("stream-order",),
                     response=_remove_events(b'"content_block_stop"')),
    _messages_mutant("messages_unnamed_events", "Anthropic: events have no names", ("stream-events",),
                     response=change_events(_remove_event_names)),
    _mutant("gemini_without_finish", "Gemini: no chunk has a finish reason", ("stream-order",),
            operations=("streamGenerateContent",),
            response=_change_data(change_member("candidates", "*", to=drop_member("finishReason")))),
)  # fmt: skip
