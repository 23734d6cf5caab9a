"""Streams: whole, in order (see `conformance.stream_order`), and saying what the plain answer says."""

from __future__ import annotations

from aione_mock.checker.context import LawContext, broken
from aione_mock.checker.finding import NotChecked, SkippedOperation
from aione_mock.checker.law import Law, LawResults
from aione_mock.checker.laws.areas import STREAMED
from aione_mock.checker.protocols import ChatProtocol, ChatQuestion, ReportedUsage
from aione_mock.checker.traffic import HttpExchange, shown
from aione_mock.contract.stream_grammar import decode_data
from aione_mock.types import Json

QUESTION = "Name three calm colours, in one short sentence."
WIDE = "Repeat exactly, with nothing else: 你好，世界 🙂 naïve"
EXACT = "Repeat exactly, with nothing else: alpha beta gamma delta epsilon zeta eta theta iota kappa"
_OWN = ("id", "created", "system_fingerprint", "responseId", "createTime", "usage", "usageMetadata", "service_tier")
"""Members in which two answers to one question may differ, and the usage, which has laws of its own."""


def streamed(context: LawContext, protocol: ChatProtocol, question: ChatQuestion | None = None) -> HttpExchange:
    """A stream that came through. Raises NotChecked."""
    question = question or ChatQuestion(QUESTION, stream=True)
    model = context.model(protocol.name)
    exchange = context.memo(
        f"stream/{protocol.name}/{question}", lambda: context.good(context.ask(protocol, question, model))
    )
    if not exchange.media_type.endswith("event-stream"):
        raise NotChecked(f"{protocol.streamed} answered {exchange.outcome}, not an event stream")
    return exchange


def plain(context: LawContext, protocol: ChatProtocol, question: ChatQuestion | None = None) -> HttpExchange:
    """A plain answer that came through. Raises NotChecked."""
    question = question or ChatQuestion(QUESTION)
    model = context.model(protocol.name)
    return context.memo(
        f"plain/{protocol.name}/{question}", lambda: context.good(context.ask(protocol, question, model))
    )


def folded(context: LawContext, protocol: ChatProtocol, exchange: HttpExchange) -> Json:
    """The plain answer that a stream adds up to. Raises NotChecked."""
    grammar = context.contract.operations[protocol.streamed].stream
    if grammar is None:
        raise NotChecked(f"the contract has no grammar for the stream of {protocol.streamed}")
    return grammar.fold(exchange.events)


def is_stream(context: LawContext) -> LawResults:
    """Asked for a stream, the gateway answers with server-sent events."""
    for protocol in context.protocols():
        exchange = context.good(
            context.ask(protocol, ChatQuestion(QUESTION, stream=True), context.model(protocol.name))
        )
        if not exchange.media_type.endswith("event-stream"):
            yield broken(protocol.streamed, "content type text/event-stream", exchange.outcome, exchange)
        elif not exchange.events:
            yield broken(protocol.streamed, "at least one event", shown(exchange.body), exchange)


def adds_up(context: LawContext) -> LawResults:
    """The events of a stream, put together, are an answer of the same shape as the plain one."""
    for protocol in context.protocols():
        exchange = streamed(context, protocol)
        try:
            answer = folded(context, protocol, exchange)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            yield broken(protocol.streamed, "events that add up", f"they do not: {error}"[:200], exchange)
            continue
        validator = context.contract.operations[protocol.plain].response_validator(200, "application/json")
        for problem in list(validator.iter_errors(answer))[:1] if validator else ():
            place = "/".join(map(str, problem.instance_path))
            # the usage of a stream is optional, since it must be asked for
            yield broken(
                protocol.streamed, "the shape of the plain answer", f"{place}: {problem.message[:200]}", exchange
            )


def same_as_plain(context: LawContext) -> LawResults:
    """A stream has the members that the plain answer has, and where both say the same words they are equal in
    everything
    but their ids and times.
    """
    for protocol in context.protocols():
        exchange, other = streamed(context, protocol), plain(context, protocol)
        left, right = folded(context, protocol, exchange), other.json
        if lost := sorted(set(_members(right)) ^ set(_members(left))):
            yield broken(
                protocol.streamed, "the members of the plain answer", f"differs in {', '.join(lost)}", exchange
            )
        elif protocol.text(left) == protocol.text(right) and _rest(left) != _rest(right):
            differing = [name for name in _rest(right) if _rest(left).get(name) != _rest(right)[name]]
            yield broken(
                protocol.streamed, "the plain answer, in pieces", f"differs in {', '.join(differing)}", exchange
            )


def _members(answer: Json) -> list[str]:
    return [name for name in answer if name not in ("usage", "usageMetadata", "service_tier", "system_fingerprint")]


def _rest(answer: Json) -> dict[str, Json]:
    return {name: value for name, value in answer.items() if name not in _OWN}


def usage(context: LawContext) -> LawResults:
    """A stream says at its end what the call used, and a prompt has as many tokens streamed as plain."""
    for protocol in context.protocols():
        exchange = streamed(context, protocol)
        try:
            used = protocol.usage(folded(context, protocol, exchange))
        except (KeyError, TypeError):
            yield broken(protocol.streamed, "usage in the stream", "none, although it was asked for", exchange)
            continue
        asked: ReportedUsage = protocol.usage(plain(context, protocol).json)
        if used.prompt != asked.prompt:
            seen = f"{used.prompt} streamed, {asked.prompt} plain"
            yield broken(protocol.streamed, "the same number of prompt tokens", seen, exchange)
        same = protocol.text(folded(context, protocol, exchange)) == protocol.text(plain(context, protocol).json)
        if same and used.completion != asked.completion:
            seen = f"{used.completion} streamed, {asked.completion} plain, for the same words"
            yield broken(protocol.streamed, "the same number of completion tokens", seen, exchange)


def usage_when_asked(context: LawContext) -> LawResults:
    """The usage event comes only when `stream_options.include_usage` asks for it."""
    protocol = context.protocols()[0]
    model = context.model(protocol.name)
    body = {**protocol.body(ChatQuestion(QUESTION, max_tokens=16, stream=True), model)}
    body.pop("stream_options", None)
    exchange = context.ok(protocol.streamed, body=body)
    if any('"usage":{' in event.data.replace(" ", "") for event in exchange.events):
        yield broken(protocol.streamed, "no usage event without include_usage", "one", exchange)


def characters(context: LawContext) -> LawResults:
    """Text arrives whole: no character of several bytes is broken by the cutting into events."""
    question = ChatQuestion(WIDE, max_tokens=64, stream=True)
    for protocol in context.protocols():
        exchange = streamed(context, protocol, question)
        if "\ufffd" in "".join(event.data for event in exchange.events):
            yield broken(protocol.streamed, "whole characters", "a replacement character (U+FFFD)", exchange)


def complete(context: LawContext) -> LawResults:
    """No part of a stream is lost or sent twice: words that a model must repeat arrive streamed as they do plain."""
    for protocol in context.protocols():
        model = context.model(protocol.name)
        wholes = [protocol.text(context.good(context.ask(protocol, ChatQuestion(EXACT), model)).json) for _ in range(2)]
        if wholes[0] != wholes[1]:
            yield SkippedOperation(protocol.streamed, "the model says the same words differently each time")
            continue
        for attempt in range(2):
            exchange = context.good(context.ask(protocol, ChatQuestion(EXACT, stream=True), model))
            text = protocol.text(folded(context, protocol, exchange))
            if text == wholes[0]:
                break
            if attempt:
                yield broken(protocol.streamed, f"the words {wholes[0]!r}", f"{text!r}", exchange)


def fragments(context: LawContext) -> LawResults:
    """The fragments of tool calls are numbered from 0, and the first of each has the call's id and the function's
    name.
    """
    protocol = next(p for p in context.protocols() if p.name == "openai")
    question = ChatQuestion(
        "What is the weather like in Hangzhou? Use the tool.", max_tokens=300, tool=True, stream=True
    )
    exchange = context.good(context.ask(protocol, question, context.model("openai", "tools")))
    seen: list[int] = []
    for piece in [p for event in exchange.events for p in _tool_pieces(decode_data(event))]:
        number = piece.get("index")
        if number in seen:
            continue
        if number != len(seen):
            yield broken(protocol.streamed, f"tool call number {len(seen)}", f"number {number}", exchange)
            return
        seen.append(number)
        if not piece.get("id") or not (piece.get("function") or {}).get("name"):
            yield broken(protocol.streamed, "id and name in the first fragment", f"{piece}"[:200], exchange)
    if not seen:
        raise NotChecked("the model called no tool")


def _tool_pieces(data: Json) -> list[Json]:
    choices = data.get("choices", []) if isinstance(data, dict) else []
    return [piece for choice in choices for piece in (choice.get("delta") or {}).get("tool_calls") or []]


def array(context: LawContext) -> LawResults:
    """Without `alt=sse`, streamGenerateContent answers with one JSON array of the same pieces."""
    model = context.model("gemini")
    gemini = next(p for p in context.protocols() if p.name == "gemini")
    exchange = context.ok("streamGenerateContent", {"model": model}, body=gemini.body(ChatQuestion(QUESTION), model))
    if exchange.media_type != "application/json" or not isinstance(exchange.json, list):
        yield broken("streamGenerateContent", "a JSON array", f"{exchange.outcome}: {shown(exchange.body)}", exchange)
    elif not exchange.json:
        yield SkippedOperation("streamGenerateContent", "the array is empty")


LAWS = (
    Law("stream-asked", "Who asks for a stream gets one", is_stream, STREAMED, ("key",), paid=3, area="streams"),
    Law("stream-adds-up", "Events add up to an answer", adds_up, STREAMED, ("key",), paid=3, area="streams"),
    Law(
        "stream-plain", "Streams say what plain answers say", same_as_plain, STREAMED, ("key",), paid=3, area="streams"
    ),
    Law("stream-complete", "No part of a stream is lost", complete, STREAMED, ("key",), paid=12, area="streams"),
    Law("tool-fragments", "Fragments of tool calls fit", fragments, STREAMED[:1], ("key",), paid=1, area="streams"),
    Law("stream-usage", "Streams count as plain answers do", usage, STREAMED, ("key",), area="streams"),
    Law(
        "stream-usage-asked",
        "Usage events come when asked for",
        usage_when_asked,
        STREAMED[:1],
        ("key",),
        "deduced",
        paid=1,
        area="streams",
    ),
    Law("stream-characters", "Characters arrive whole", characters, STREAMED, ("key",), paid=3, area="streams"),
    Law("stream-array", "Without alt=sse, an array", array, STREAMED[2:], ("key",), "assumed", paid=1, area="streams"),
)
