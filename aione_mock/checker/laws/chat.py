"""Answers of models: what they count, where they end, what they call."""

from __future__ import annotations

from aione_mock.checker.context import LawContext, broken
from aione_mock.checker.finding import NotChecked, SkippedOperation
from aione_mock.checker.law import Law, LawResults
from aione_mock.checker.laws.areas import CHAT, COUNTS, PLAIN
from aione_mock.checker.laws.streams import QUESTION, folded, plain, streamed
from aione_mock.checker.protocols import TOOL, ChatProtocol, ChatQuestion, ReportedToolCall
from aione_mock.checker.traffic import HttpExchange

LONG = "Count from one to two hundred in words, one number after the other."
_WEATHER = "What is the weather like in Hangzhou? Use the tool."


def usage_sums(context: LawContext) -> LawResults:
    """`total_tokens` is prompt plus completion, and a prompt and an answer that are there have at least one token
    each.
    """
    for protocol in context.protocols():
        exchange = plain(context, protocol)
        used = protocol.usage(exchange.json)
        if used.total is not None and used.total != used.prompt + used.completion:
            seen = f"{used.prompt} + {used.completion} given as {used.total}"
            yield broken(protocol.plain, "total = prompt + completion", seen, exchange)
        if used.prompt < 1 or (used.completion < 1 and protocol.text(exchange.json)):
            yield broken(
                protocol.plain, "at least one token", f"prompt {used.prompt}, answer {used.completion}", exchange
            )


def usage_details(context: LawContext) -> LawResults:
    """The details of a usage are parts of it: cached tokens of the prompt, reasoning tokens of the answer."""
    protocol = context.protocols()[0]
    exchange = plain(context, protocol)
    used = exchange.json["usage"]
    for whole, part, member in (
        ("prompt_tokens", "prompt_tokens_details", "cached_tokens"),
        ("completion_tokens", "completion_tokens_details", "reasoning_tokens"),
    ):
        count = (used.get(part) or {}).get(member) or 0
        if not 0 <= count <= used[whole]:
            yield broken(protocol.plain, f"{member} within {whole}", f"{count} of {used[whole]}", exchange)


def counted(context: LawContext) -> LawResults:
    """Counting the tokens of a prompt gives the number that answering it reports."""
    for name, operation, member in (
        ("anthropic", "countMessageTokens", "input_tokens"),
        ("gemini", "countTokens", "totalTokens"),
    ):
        protocol = next((p for p in context.protocols() if p.name == name), None)
        if protocol is None or operation not in context.contract.operations:
            continue
        model, question = context.model(name), ChatQuestion(QUESTION)
        body = protocol.body(question, model)
        for member_of_answer in ("max_tokens", "generationConfig"):
            body.pop(member_of_answer, None)
        exchange = context.call(operation, protocol.params(model), body=body)
        if exchange.status != 200:
            yield SkippedOperation(operation, f"it answered {exchange.outcome}")
            continue
        asked = protocol.usage(plain(context, protocol).json).prompt
        if exchange.json[member] != asked:
            yield broken(
                operation, f"{asked} tokens, as {protocol.plain} reports", str(exchange.json[member]), exchange
            )


def longer_counts_more(context: LawContext) -> LawResults:
    """A longer prompt has more prompt tokens."""
    for protocol in context.protocols():
        long = ChatQuestion(f"{QUESTION} {'Take your time and think of the sea. ' * 8}", max_tokens=8)
        exchange = context.good(context.ask(protocol, long, context.model(protocol.name)))
        more, less = protocol.usage(exchange.json).prompt, protocol.usage(plain(context, protocol).json).prompt
        if more <= less:
            yield broken(protocol.plain, f"more than {less} prompt tokens", str(more), exchange)


def max_tokens(context: LawContext) -> LawResults:
    """An answer has at most as many tokens as were allowed, and one that was cut says so in its finish reason."""
    for protocol in context.protocols():
        for stream in (False, True):
            exchange, answer = _answer(context, protocol, ChatQuestion(LONG, max_tokens=6, stream=stream))
            used, finish = protocol.usage(answer), protocol.finish(answer)
            operation = protocol.operation(ChatQuestion("", stream=stream))
            if used.completion > 6:
                yield broken(operation, "at most 6 tokens", f"{used.completion} tokens", exchange)
            elif finish != protocol.length and used.completion == 6:
                yield broken(operation, f"finish '{protocol.length}'", f"'{finish}'", exchange)


def _answer(
    context: LawContext, protocol: ChatProtocol, question: ChatQuestion
) -> tuple[HttpExchange, dict[str, object]]:
    if question.stream:
        exchange = streamed(context, protocol, question)
        return exchange, folded(context, protocol, exchange)
    exchange = plain(context, protocol, question)
    return exchange, exchange.json


def stop(context: LawContext) -> LawResults:
    """An answer ends before a stop sequence, which is not part of it."""
    for protocol in context.protocols():
        whole = protocol.text(plain(context, protocol, ChatQuestion(LONG, max_tokens=40)).json)
        word = _later_word(whole)
        if not word:
            yield SkippedOperation(protocol.plain, "the answer has too few words to stop at one")
            continue
        exchange, answer = _answer(context, protocol, ChatQuestion(LONG, max_tokens=40, stop=(word,)))
        text, finish = protocol.text(answer), protocol.finish(answer)
        if word in text:
            yield broken(protocol.plain, f"no '{word}' in the answer", f"'{text[:120]}'", exchange)
        elif whole.startswith(text) and whole[len(text) :].startswith(word) and finish not in protocol.stopped:
            yield broken(protocol.plain, f"finish {' or '.join(protocol.stopped)}", f"'{finish}'", exchange)


def _later_word(text: str) -> str:
    words = [word for word in text.split() if word.isascii() and len(word) > 2]
    # not the first: an answer that is cut to nothing shows little
    return next((word for word in words[2:] if text.index(word) > 0), "")


def several(context: LawContext) -> LawResults:
    """`n` choices are given, numbered from 0, and all of them are counted."""
    protocol = context.protocols()[0]
    exchange = context.ask(protocol, ChatQuestion(QUESTION, n=2), context.model(protocol.name))
    if exchange.status == 400:
        raise NotChecked("the model takes no `n`")
    answer = context.good(exchange).json
    numbers = [choice["index"] for choice in answer["choices"]]
    if numbers != [0, 1]:
        yield broken(protocol.plain, "choices 0 and 1", f"choices {numbers}", exchange)
    elif protocol.usage(answer).completion < 2:
        yield broken(protocol.plain, "both choices counted", f"{protocol.usage(answer).completion} tokens", exchange)


def ids(context: LawContext) -> LawResults:
    """Every call has an id of its own, in the answer and in `x-request-id`."""
    for protocol in context.protocols():
        question = ChatQuestion("Say yes.", max_tokens=4)
        model = context.model(protocol.name)
        one, two = (context.good(context.ask(protocol, question, model)) for _ in range(2))
        member = "responseId" if protocol.name == "gemini" else "id"
        if one.json.get(member) is not None and one.json[member] == two.json.get(member):
            yield broken(protocol.plain, "an id of its own for each answer", f"twice {one.json[member]}", two)
        if one.header("x-request-id") and one.header("x-request-id") == two.header("x-request-id"):
            yield broken(protocol.plain, "x-request-id of its own", f"twice {one.header('x-request-id')}", two)


def model_named(context: LawContext) -> LawResults:
    """An answer names the model that was asked, by its id."""
    for protocol in context.protocols():
        model, exchange = context.model(protocol.name), plain(context, protocol)
        named = exchange.json.get("modelVersion" if protocol.name == "gemini" else "model")
        if not isinstance(named, str) or not named.startswith(model):
            yield broken(protocol.plain, f"model '{model}'", f"model '{named}'" if named else "no model", exchange)


def tools(context: LawContext) -> LawResults:
    """A model that must call a tool calls one that was offered, with arguments that fit its schema."""
    for protocol in context.protocols():
        for stream in (False, True):
            question = ChatQuestion(_WEATHER, max_tokens=300, tool=True, stream=stream)
            exchange = context.ask(protocol, question, context.model(protocol.name, "tools"))
            operation = protocol.operation(question)
            if context.good(exchange).media_type.endswith("event-stream"):
                answer = folded(context, protocol, exchange)
            else:
                answer = exchange.json
            calls = protocol.tools(answer)
            if not calls:
                yield broken(operation, "a tool call", f"none; finish '{protocol.finish(answer)}'", exchange)
            for call in calls:
                if problem := _unfit(call):
                    yield broken(operation, f"a call of {TOOL} with a city", problem, exchange)
            numbers = [call.id for call in calls if call.id is not None]
            if len(set(numbers)) != len(numbers):
                yield broken(operation, "an id for each tool call", f"{numbers}", exchange)
            wanted = {"openai": "tool_calls", "anthropic": "tool_use"}.get(protocol.name)
            if calls and wanted and protocol.finish(answer) != wanted:
                yield broken(operation, f"finish '{wanted}'", f"'{protocol.finish(answer)}'", exchange)


def _unfit(call: ReportedToolCall) -> str:
    if call.name != TOOL:
        return f"a call of {call.name!r}"
    if not isinstance(call.arguments, dict):
        return f"arguments that are not a JSON object: {call.arguments!r}"[:200]
    if not isinstance(call.arguments.get("city"), str):
        return f"arguments without a city: {call.arguments!r}"[:200]
    return ""


def unknown_members(context: LawContext) -> LawResults:
    """A member of a request that is not known is passed on or ignored, never refused."""
    for protocol in context.protocols():
        model = context.model(protocol.name)
        body = {**protocol.body(ChatQuestion("Say yes.", max_tokens=4), model), "x_never_heard_of": {"a": [1]}}
        exchange = context.call(protocol.plain, protocol.params(model), body=body)
        if exchange.status == 400:
            yield broken(protocol.plain, "a member that is not known to be ignored", exchange.outcome, exchange)


def json_answers(context: LawContext) -> LawResults:
    """Asked for a JSON schema, the model's text is JSON of that schema."""
    protocol = context.protocols()[0]
    model = context.model(protocol.name)
    shape = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
        "required": ["city", "people"],
        "additionalProperties": False,
    }
    body = protocol.body(ChatQuestion("Name a city and how many people live there.", max_tokens=120), model)
    body["response_format"] = {"type": "json_schema", "json_schema": {"name": "place", "strict": True, "schema": shape}}
    exchange = context.ok(protocol.plain, body=body)
    from aione_mock.checker.client import read

    value = read(protocol.text(exchange.json).encode())
    if (
        not isinstance(value, dict)
        or not isinstance(value.get("city"), str)
        or not isinstance(value.get("people"), int)
    ):
        yield broken(protocol.plain, "text that fits the schema", repr(protocol.text(exchange.json)[:160]), exchange)


LAWS = (
    Law("usage-sums", "Usage adds up", usage_sums, PLAIN, ("key",), area="chat"),
    Law("usage-details", "Details are parts of the usage", usage_details, PLAIN[:1], ("key",), area="chat"),
    Law("usage-longer", "Longer prompts count more", longer_counts_more, PLAIN, ("key",), paid=3, area="chat"),
    Law("usage-counted", "Counting agrees with answering", counted, COUNTS, ("key",), area="chat"),
    Law("max-tokens", "Answers keep to their limit", max_tokens, CHAT, ("key",), paid=6, area="chat"),
    Law("stop", "Answers end at stop sequences", stop, PLAIN, ("key",), paid=6, area="chat"),
    Law("choices", "As many choices as asked for", several, PLAIN[:1], ("key",), paid=1, area="chat"),
    Law("ids-unique", "Every call has its own id", ids, PLAIN, ("key",), paid=6, area="chat"),
    Law("model-named", "Answers name their model", model_named, PLAIN, ("key",), area="chat"),
    Law("tool-calls", "Tool calls are whole and fit", tools, CHAT, ("key",), paid=6, area="chat"),
    Law("json-answers", "JSON answers fit their schema", json_answers, PLAIN[:1], ("key",), paid=1, area="chat"),
    Law(
        "unknown-members",
        "Unknown members are ignored",
        unknown_members,
        PLAIN,
        ("key",),
        "assumed",
        paid=3,
        area="chat",
    ),
)
