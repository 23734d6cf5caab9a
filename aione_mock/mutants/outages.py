"""Mutants on which something does not work at all, alone or beside another fault that it must not hide."""

from __future__ import annotations

from functools import partial

from aione_mock.mutants.changes import change_body, change_each_event, change_events, change_member, drop_member
from aione_mock.mutants.mutant import Mutant, MutantRequest, MutantResponse, RequestChange, ResponseChange
from aione_mock.structs import replace
from aione_mock.types import Json

_CHAT, _MESSAGES, _GEMINI = "createChatCompletion", "createMessage", "generateContent"
_GEMINI_STREAM = "streamGenerateContent"
_LONG_LIMIT = 60


def _fail(response: MutantResponse, status: int = 503) -> MutantResponse:
    headers = tuple((n, b"application/json" if n == b"content-type" else v) for n, v in response.headers)
    return replace(response, headers=headers).with_data({"error": {"message": "Something went wrong"}}, status)


def _fail_always(response: MutantResponse, request: MutantRequest) -> MutantResponse:
    return _fail(response) if response.is_success else response


def _fail_streams(response: MutantResponse, request: MutantRequest) -> MutantResponse:
    return _fail(response) if response.is_event_stream else response


def _remove_operation(name: str, change: ResponseChange = lambda response, request: response) -> ResponseChange:
    """Answer an operation like a path that does not exist, and change the responses of the others."""

    def apply(response: MutantResponse, request: MutantRequest) -> MutantResponse:
        return _fail(response, 404) if request.operation.id == name else change(response, request)

    return apply


def _change_request_of(name: str, change: RequestChange) -> RequestChange:
    return lambda request: change(request) if request.operation.id == name else request


def _raise_limit(request: MutantRequest) -> MutantRequest:
    data = request.data
    return request.with_data({**data, "max_tokens": _LONG_LIMIT}) if isinstance(data, dict) else request


def _remove_stop(request: MutantRequest) -> MutantRequest:
    data = request.data
    if not isinstance(data, dict) or "generationConfig" not in data:
        return request
    return request.with_data({**data, "generationConfig": drop_member("stopSequences")(data["generationConfig"])})


def _remove_message_stop(events: list[bytes]) -> list[bytes]:
    return [event for event in events if b'"message_stop"' not in event]


def _drop_finish(index: int, data: Json) -> Json:
    return change_member("candidates", "*", to=drop_member("finishReason"))(data)


_mutant = partial(Mutant, area="outages")

MUTANTS = (
    _mutant("streams_down", "Every stream is a 503, plain answers work", ("stream-asked",),
            (_CHAT, _MESSAGES, _GEMINI_STREAM), response=_fail_streams),
    _mutant("messages_down", "Every message is a 503", ("question-answered",), (_MESSAGES,), response=_fail_always),
    _mutant("counting_down", "Token counts are a 503", ("count-answered",), ("countMessageTokens", "countTokens"),
            response=_fail_always),
    _mutant("invoices_down", "The list of invoices is a 503", ("read-answered",), ("listInvoices",),
            response=_fail_always),
    _mutant("enabling_down", "Keys cannot be enabled", ("write-answered",), ("enableKey",), response=_fail_always),
    _mutant("no_chat_messages_without_stop", "Without chat completions; Anthropic: message_stop is missing",
            ("stream-order",), (_CHAT, _MESSAGES),
            response=_remove_operation(_CHAT, change_events(_remove_message_stop))),
    _mutant("no_chat_messages_limit_ignored", "Without chat completions; Anthropic: max_tokens is ignored",
            ("max-tokens",), (_CHAT, _MESSAGES), request=_change_request_of(_MESSAGES, _raise_limit),
            response=_remove_operation(_CHAT)),
    _mutant("no_chat_gemini_usage_wrong", "Without chat completions; Gemini: totalTokenCount is one more",
            ("usage-sums",), (_CHAT, _GEMINI),
            response=_remove_operation(
                _CHAT, change_body(change_member("usageMetadata", "totalTokenCount", to=lambda count: count + 1)))),
    _mutant("no_messages_gemini_stop_ignored", "Without messages; Gemini: stop sequences are ignored", ("stop",),
            (_MESSAGES, _GEMINI), request=_change_request_of(_GEMINI, _remove_stop),
            response=_remove_operation(_MESSAGES)),
    _mutant("no_messages_gemini_without_finish", "Without messages; Gemini: no chunk has a finish reason",
            ("stream-order",), (_MESSAGES, _GEMINI_STREAM),
            response=_remove_operation(_MESSAGES, change_each_event(_drop_finish))),
)  # fmt: skip
