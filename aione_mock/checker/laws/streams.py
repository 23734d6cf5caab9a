"""Streams: complete, and with the content of the plain answer. The rule `stream-order` checks their order."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from aione_mock.checker.context import LawContext
from aione_mock.checker.errors import CallFailed, NotChecked, UnreadableAnswer
from aione_mock.checker.exchange import HttpExchange, shorten_body
from aione_mock.checker.finding import BrokenLaw, LawResults, SkippedOperation
from aione_mock.checker.json_reader import JsonReader
from aione_mock.checker.law import Law
from aione_mock.checker.laws.operation_groups import STREAMED_CHAT
from aione_mock.checker.protocols import PROTOCOLS, ChatProtocol, ChatQuestion
from aione_mock.checker.schema_differences import find_differences
from aione_mock.checker.schema_lookup import JsonPath, find_body_schema
from aione_mock.contract.json_pointer import format_pointer
from aione_mock.contract.stream_grammar import decode_data
from aione_mock.types import Json

QUESTION = "Name three calm colours, in one short sentence."
_MULTI_BYTE_QUESTION = "Repeat only the following text: 你好，世界 🙂 naïve"
_EXACT_QUESTION = "Repeat only the following words: alpha beta gamma delta epsilon zeta eta theta iota kappa"
_TOOL_QUESTION = "What is the weather like in Hangzhou? Use the tool."
_USAGE_MEMBERS = ("usage", "usageMetadata")
_OPTIONAL_MEMBERS = (*_USAGE_MEMBERS, "service_tier", "system_fingerprint")
_VARYING_MEMBERS = (*_OPTIONAL_MEMBERS, "id", "created", "responseId", "createTime")
"""Members in which two answers to one question may differ. Other laws check the usage."""
_MAX_SEEN_CHARACTERS = 200
_ADDED_UP = "events that add up to an answer with the schema of the plain one"


def ask_streamed(context: LawContext, protocol: ChatProtocol, question: ChatQuestion | None = None) -> HttpExchange:
    """Return a successful stream, the same for each call. Raises NotChecked."""
    return _require_stream(ask_once(context, protocol, question or ChatQuestion(QUESTION, stream=True)))


def _require_stream(exchange: HttpExchange) -> HttpExchange:
    if not exchange.is_event_stream:
        raise NotChecked(f"{exchange.request.operation} answered {exchange.summary}, not an event stream")
    return exchange


def ask_plain(context: LawContext, protocol: ChatProtocol, question: ChatQuestion | None = None) -> HttpExchange:
    """Return a successful plain answer, the same for each call. Raises NotChecked."""
    return ask_once(context, protocol, question or ChatQuestion(QUESTION))


def ask_once(context: LawContext, protocol: ChatProtocol, question: ChatQuestion) -> HttpExchange:
    """Return the answer to a question, sent once in a run. Raises NotChecked."""
    model = context.choose_model(protocol.name)
    return context.compute_once(f"ask/{protocol.name}/{question}", lambda: context.ask_ok(protocol, question, model))


def read_answer(context: LawContext, protocol: ChatProtocol, exchange: HttpExchange) -> JsonReader:
    """Return a plain answer, or the answer that a stream adds up to. Raises NotChecked."""
    if not exchange.is_event_stream:
        return exchange.data
    grammar = context.contract.operations[protocol.streamed].stream
    if grammar is None:
        raise NotChecked(f"the contract has no grammar for the stream of {protocol.streamed}")
    try:
        return JsonReader(grammar.fold(exchange.events), protocol.streamed)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise UnreadableAnswer(f"the events of {protocol.streamed} do not add up: {error}") from None


def check_stream_sent(context: LawContext) -> LawResults:
    """Answer a request for a stream with server-sent events."""
    for protocol in context.list_chat_protocols():
        try:
            exchange = ask_once(context, protocol, ChatQuestion(QUESTION, stream=True))
        except CallFailed as error:
            exchange = error.exchange
        if not exchange.is_event_stream:
            yield BrokenLaw(protocol.streamed, "content type text/event-stream", exchange.summary, exchange)
        elif not exchange.events:
            yield BrokenLaw(protocol.streamed, "at least one event", shorten_body(exchange.body), exchange)


def check_events_add_up(context: LawContext) -> LawResults:
    """Send events that add up to an answer with the schema of the plain one."""
    for protocol in context.list_chat_protocols():
        exchange = ask_streamed(context, protocol)
        try:
            answer = read_answer(context, protocol, exchange)
        except UnreadableAnswer as error:
            seen = str(error)[:_MAX_SEEN_CHARACTERS]
            yield BrokenLaw(protocol.streamed, "events that add up", seen, exchange)
            continue
        operation = context.contract.operations[protocol.plain]
        schema = find_body_schema(operation, operation.success, "application/json")
        for found in find_differences(operation, schema, answer.value, operation.evidence) if schema else ():
            seen, expected = f"{found.place}: {found.message[:_MAX_SEEN_CHARACTERS]}", _ADDED_UP
            yield BrokenLaw(
                protocol.streamed, expected, seen, exchange, found.evidence, found.overlay, subject=found.pointer
            )


def check_same_as_plain(context: LawContext) -> LawResults:
    """Stream the members of the plain answer, with equal values where both have the same text."""
    for protocol in context.list_chat_protocols():
        exchange = ask_streamed(context, protocol)
        streamed, plain = read_answer(context, protocol, exchange), ask_plain(context, protocol).data
        # null and absent mean the same, and no schema names further members
        left, right = (context.prune_value(protocol.plain, answer.value) for answer in (streamed, plain))
        different = list(_compare_members(left, right, protocol.read_text(streamed) == protocol.read_text(plain)))
        if different:
            path = different[0]
            shown = [_show_value(JsonReader(side, "").find(*path)) for side in (left, right)]
            place, others = "/".join(map(str, path)), f" and {len(different) - 1} others" * (len(different) > 1)
            seen = f"{place}: {shown[0]} streamed, {shown[1]} plain{others}"
            evidence = context.find_member_evidence(protocol.plain, *path)
            subject = format_pointer("*" if isinstance(step, int) else step for step in path)
            yield BrokenLaw(protocol.streamed, "the plain answer, in pieces", seen, exchange, evidence, subject=subject)


def _show_value(value: Json) -> str:
    return "nothing" if value is None else f"{value!r:.80}"


def _compare_members(left: Json, right: Json, same_text: bool, path: JsonPath = ()) -> Iterator[JsonPath]:
    """Yield the paths at which two answers differ: in their members, and in values if they have the same text."""
    if isinstance(left, dict) and isinstance(right, dict) and (same_text or not path):
        skipped = _VARYING_MEMBERS if path else (*_VARYING_MEMBERS, *_OPTIONAL_MEMBERS)
        for name in sorted((left.keys() | right.keys()) - set(skipped)):
            if (name in left) != (name in right):
                yield (*path, name)
            else:
                yield from _compare_members(left[name], right[name], same_text, (*path, name))
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for index, pair in enumerate(zip(left, right, strict=True)):
            yield from _compare_members(*pair, same_text, (*path, index))
    elif same_text and left != right:
        yield path


def check_stream_usage(context: LawContext) -> LawResults:
    """Report the usage at the end of a stream, with the token counts of the plain answer."""
    for protocol in context.list_chat_protocols():
        exchange, other = ask_streamed(context, protocol), ask_plain(context, protocol).data
        answer = read_answer(context, protocol, exchange)
        try:
            streamed = protocol.read_usage(answer)
        except UnreadableAnswer:
            seen, subject = "no usage, although it was requested", f"/{_find_usage_member(context, protocol)}"
            yield BrokenLaw(protocol.streamed, "usage in the stream", seen, exchange, subject=subject)
            continue
        plain = protocol.read_usage(other)
        if streamed.prompt != plain.prompt:
            seen = f"{streamed.prompt} streamed, {plain.prompt} plain"
            yield BrokenLaw(protocol.streamed, "the same number of prompt tokens", seen, exchange)
        if protocol.read_text(answer) == protocol.read_text(other) and streamed.completion != plain.completion:
            seen = f"{streamed.completion} streamed, {plain.completion} plain, for the same text"
            yield BrokenLaw(protocol.streamed, "the same number of completion tokens", seen, exchange)


def _find_usage_member(context: LawContext, protocol: ChatProtocol) -> str:
    """Return the member of a plain answer that has the usage."""
    operation = context.contract.operations[protocol.plain]
    schema = operation.resolve(find_body_schema(operation, operation.success, "application/json") or {})
    return next(name for name in _USAGE_MEMBERS if name in schema.get("properties", {}))


def check_usage_requested(context: LawContext) -> LawResults:
    """Send a usage event only if `stream_options.include_usage` requests it."""
    protocol = context.choose_default_protocol()
    question = ChatQuestion(QUESTION, max_tokens=16, stream=True)
    body = protocol.make_body(question, context.choose_model(protocol.name))
    body.pop("stream_options", None)
    exchange = context.call_ok(protocol.streamed, body=body)
    if any('"usage":{' in event.data.replace(" ", "") for event in exchange.events):
        yield BrokenLaw(protocol.streamed, "no usage event without include_usage", "one", exchange)


def check_whole_characters(context: LawContext) -> LawResults:
    """Do not split a character between two events."""
    question = ChatQuestion(_MULTI_BYTE_QUESTION, max_tokens=64, stream=True)
    for protocol in context.list_chat_protocols():
        exchange = ask_streamed(context, protocol, question)
        if "\ufffd" in "".join(event.data for event in exchange.events):
            yield BrokenLaw(protocol.streamed, "whole characters", "a replacement character (U+FFFD)", exchange)


def check_stream_complete(context: LawContext) -> LawResults:
    """Send each part of the text exactly once."""
    for protocol in context.list_chat_protocols():
        model = context.choose_model(protocol.name)
        plain = ChatQuestion(_EXACT_QUESTION)
        texts = [protocol.read_text(context.ask_ok(protocol, plain, model).data) for _ in range(2)]
        if texts[0] != texts[1]:
            yield SkippedOperation(protocol.streamed, "the model repeats the words differently each time")
            continue
        for attempt in range(2):
            exchange = _require_stream(context.ask_ok(protocol, ChatQuestion(_EXACT_QUESTION, stream=True), model))
            text = protocol.read_text(read_answer(context, protocol, exchange))
            if text == texts[0]:
                break
            if attempt:
                seen = f"{text!r}, not {texts[0]!r}"
                yield BrokenLaw(protocol.streamed, "the words of the plain answer", seen, exchange)


def check_tool_fragments(context: LawContext) -> LawResults:
    """Count streamed tool calls from 0, and put id and function name in the first fragment of each."""
    protocol = PROTOCOLS["openai"]
    question = ChatQuestion(_TOOL_QUESTION, max_tokens=300, tool=True, stream=True)
    exchange = context.ask_ok(protocol, question, context.choose_model("openai", "tools"))
    indexes: list[Json] = []
    for fragment in _list_fragments(exchange):
        index = fragment.find("index")
        if index in indexes:
            continue
        if index != len(indexes):
            yield BrokenLaw(protocol.streamed, f"tool call number {len(indexes)}", f"number {index}", exchange)
            return
        indexes.append(index)
        if not fragment.find("id") or not fragment.find("function", "name"):
            seen = f"{fragment.value}"[:_MAX_SEEN_CHARACTERS]
            yield BrokenLaw(protocol.streamed, "id and name in the first fragment", seen, exchange)
    if not indexes:
        raise NotChecked("the model called no tool")


def _list_fragments(exchange: HttpExchange) -> list[JsonReader]:
    choices = [
        choice
        for event in exchange.events
        if isinstance(data := decode_data(event), dict) and data.get("choices")
        for choice in JsonReader(data, exchange.request.operation).list_rows("choices")
    ]
    deltas = [choice.at("delta") for choice in choices if choice.find("delta", "tool_calls")]
    return [fragment for delta in deltas for fragment in delta.list_rows("tool_calls")]


def check_json_array(context: LawContext) -> LawResults:
    """Answer streamGenerateContent without `alt=sse` with one JSON array of the same pieces."""
    model = context.choose_model("gemini")
    body = PROTOCOLS["gemini"].make_body(ChatQuestion(QUESTION), model)
    exchange = context.call_ok("streamGenerateContent", {"model": model}, body=body)
    if exchange.media_type != "application/json" or not isinstance(exchange.json, list):
        seen = f"{exchange.summary}: {shorten_body(exchange.body)}"
        yield BrokenLaw("streamGenerateContent", "a JSON array", seen, exchange)
    elif not exchange.json:
        yield SkippedOperation("streamGenerateContent", "the array is empty")


_law = partial(Law, area="streams", needs=("key",), operations=STREAMED_CHAT)
_OPENAI, _GEMINI = STREAMED_CHAT[:1], STREAMED_CHAT[2:]

LAWS = (
    _law("stream-asked", "Requested streams are sent", check_stream_sent, paid=3),
    _law("stream-adds-up", "Events add up to an answer", check_events_add_up, paid=3),
    _law("stream-plain", "Streams and plain answers agree", check_same_as_plain, paid=3),
    _law("stream-complete", "Streams have the text of plain answers", check_stream_complete, paid=12),
    _law("tool-fragments", "Fragments of tool calls fit", check_tool_fragments, operations=_OPENAI, paid=1),
    _law("stream-usage", "Streams report usage like plain answers", check_stream_usage),
    _law(
        "stream-usage-asked",
        "Usage events are sent on request",
        check_usage_requested,
        operations=_OPENAI,
        paid=1,
    ),
    _law("stream-characters", "Characters are not split", check_whole_characters, paid=3),
    _law(
        "stream-array",
        "Without alt=sse, JSON is sent",
        check_json_array,
        operations=_GEMINI,
        paid=1,
    ),
)
