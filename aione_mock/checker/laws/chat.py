"""Answers of models: token counts, finish reasons, tool calls and JSON."""

from __future__ import annotations

from functools import partial

import orjson

from aione_mock.checker.context import LawContext
from aione_mock.checker.errors import NotChecked
from aione_mock.checker.exchange import HttpExchange
from aione_mock.checker.finding import BrokenLaw, LawResults, SkippedOperation
from aione_mock.checker.json_reader import JsonReader
from aione_mock.checker.law import Law
from aione_mock.checker.laws.operation_groups import CHAT, PLAIN_CHAT, TOKEN_COUNTS
from aione_mock.checker.laws.streams import QUESTION, ask_plain, ask_streamed, read_answer
from aione_mock.checker.protocols import PROTOCOLS, TOOL, ChatProtocol, ChatQuestion, ReportedToolCall
from aione_mock.contract.json_pointer import format_pointer
from aione_mock.types import Json

_LONG_QUESTION = "Count from one to two hundred in words, one number after the other."
_TOOL_QUESTION = "What is the weather like in Hangzhou? Use the tool."
_SHORT_QUESTION = ChatQuestion("Say yes.", max_tokens=4)
_TOKEN_LIMIT = 6
_COUNTING_OPERATIONS = (
    ("anthropic", "countMessageTokens", "input_tokens"),
    ("gemini", "countTokens", "totalTokens"),
)
"""Protocol, operation, and the member of its answer with the count."""
_USAGE_DETAILS = (
    ("prompt_tokens", "prompt_tokens_details", "cached_tokens"),
    ("completion_tokens", "completion_tokens_details", "reasoning_tokens"),
)
"""Count, its details, and the member of the details that is part of it."""
_FINISHES = {
    "openai": ("choices", 0, "finish_reason"),
    "anthropic": ("stop_reason",),
    "gemini": ("candidates", 0, "finishReason"),
}
"""Protocol → path of the member that says why an answer ended."""
_PLACE_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["city", "people"],
    "additionalProperties": False,
}
_MAX_SEEN_CHARACTERS = 200


def check_usage_sums(context: LawContext) -> LawResults:
    """Report `total_tokens` as the sum of prompt and completion, and at least one token for each that has text."""
    for protocol in context.list_chat_protocols():
        exchange = ask_plain(context, protocol)
        used = protocol.read_usage(exchange.data)
        if used.total is not None and used.total != used.prompt + used.completion:
            seen = f"{used.prompt} + {used.completion} given as {used.total}"
            yield BrokenLaw(protocol.plain, "total = prompt + completion", seen, exchange)
        if used.prompt < 1 or (used.completion < 1 and protocol.read_text(exchange.data)):
            seen = f"prompt {used.prompt}, completion {used.completion}"
            yield BrokenLaw(protocol.plain, "at least one token", seen, exchange)


def check_usage_details(context: LawContext) -> LawResults:
    """Count cached tokens as part of the prompt, and reasoning tokens as part of the completion."""
    protocol = context.choose_default_protocol()
    exchange = ask_plain(context, protocol)
    usage = exchange.data.at("usage")
    for whole, details, member in _USAGE_DETAILS:
        count = usage.read_integer(details, member) if usage.find(details, member) else 0
        if not 0 <= count <= usage.read_integer(whole):
            seen = f"{count} of {usage.read_integer(whole)}"
            yield BrokenLaw(protocol.plain, f"{member} within {whole}", seen, exchange)


def check_token_counting(context: LawContext) -> LawResults:
    """Count as many tokens for a prompt as its answer reports."""
    for name, operation, member in _COUNTING_OPERATIONS:
        protocol = PROTOCOLS[name]
        if not context.includes(operation):
            continue
        model = context.choose_model(name)
        body = protocol.make_body(ChatQuestion(QUESTION), model)
        body.pop("max_tokens", None)
        body.pop("generationConfig", None)
        exchange = context.call(operation, protocol.make_path_params(model), body=body)
        if not exchange.is_success:
            yield SkippedOperation(operation, f"it answered {exchange.summary}")
            continue
        reported = protocol.read_usage(ask_plain(context, protocol).data).prompt
        counted = exchange.data.at(member).value
        if counted != reported:
            expected = f"{reported} tokens, as {protocol.plain} reports"
            yield BrokenLaw(operation, expected, str(counted), exchange)


def check_longer_prompt(context: LawContext) -> LawResults:
    """Count more prompt tokens for a longer prompt."""
    for protocol in context.list_chat_protocols():
        question = ChatQuestion(f"{QUESTION} {'Take your time and think of the sea. ' * 8}", max_tokens=8)
        exchange = context.ask_ok(protocol, question, context.choose_model(protocol.name))
        long, short = (
            protocol.read_usage(exchange.data).prompt,
            protocol.read_usage(ask_plain(context, protocol).data).prompt,
        )
        if long <= short:
            yield BrokenLaw(protocol.plain, f"more than {short} prompt tokens", str(long), exchange)


def check_token_limit(context: LawContext) -> LawResults:
    """Send at most the requested number of tokens, and report in the finish reason that an answer was cut."""
    for protocol in context.list_chat_protocols():
        for stream in context.list_stream_modes(protocol):
            question = ChatQuestion(_LONG_QUESTION, max_tokens=_TOKEN_LIMIT, stream=stream)
            exchange, answer = _ask_question(context, protocol, question)
            used, finish = protocol.read_usage(answer).completion, protocol.read_finish(answer)
            operation = protocol.choose_operation(question)
            if used > _TOKEN_LIMIT:
                yield BrokenLaw(operation, f"at most {_TOKEN_LIMIT} tokens", f"{used} tokens", exchange)
            elif used == _TOKEN_LIMIT:
                yield from _expect_finish(context, "max-tokens", protocol, operation, finish, exchange)


def _expect_finish(
    context: LawContext, law: str, protocol: ChatProtocol, operation: str, seen: Json, exchange: HttpExchange
) -> LawResults:
    """Yield that an answer does not give the reason for its end that the contract has for a law."""
    expected = context.find_figure(law, "finish").get(protocol.name, seen)
    if seen != expected:
        path = _FINISHES[protocol.name]
        evidence = context.find_member_evidence(protocol.plain, *path)
        subject = format_pointer("*" if isinstance(step, int) else step for step in path)
        yield BrokenLaw(operation, f"finish '{expected}'", f"'{seen}'", exchange, evidence, subject=subject)


def _ask_question(
    context: LawContext, protocol: ChatProtocol, question: ChatQuestion
) -> tuple[HttpExchange, JsonReader]:
    ask = ask_streamed if question.stream else ask_plain
    exchange = ask(context, protocol, question)
    return exchange, read_answer(context, protocol, exchange)


def check_stop_sequence(context: LawContext) -> LawResults:
    """End an answer before a stop sequence."""
    for protocol in context.list_chat_protocols():
        _, answer = _ask_question(context, protocol, ChatQuestion(_LONG_QUESTION, max_tokens=40))
        whole = protocol.read_text(answer)
        word = _choose_stop_word(whole)
        if not word:
            yield SkippedOperation(protocol.plain, "the answer has too few words to stop at one")
            continue
        exchange, answer = _ask_question(context, protocol, ChatQuestion(_LONG_QUESTION, max_tokens=40, stop=(word,)))
        text, finish = protocol.read_text(answer), protocol.read_finish(answer)
        if word in text:
            seen = f"'{word}' in '{text[:120]}'"
            yield BrokenLaw(protocol.plain, "an answer without its stop sequence", seen, exchange)
        elif whole.startswith(text) and whole[len(text) :].startswith(word):
            yield from _expect_finish(context, "stop", protocol, protocol.plain, finish, exchange)


def _choose_stop_word(text: str) -> str:
    words = [word for word in text.split() if word.isascii() and len(word) > 2]
    # not one of the first: an empty answer shows little
    return next((word for word in words[2:] if text.index(word) > 0), "")


def check_choices(context: LawContext) -> LawResults:
    """Give `n` choices, number them from 0 and count the tokens of all."""
    protocol = context.choose_default_protocol()
    exchange = context.ask(protocol, ChatQuestion(QUESTION, n=2), context.choose_model(protocol.name))
    if exchange.status == _find_rejection(context, protocol):
        raise NotChecked("the model does not support `n`")
    answer = context.require_success(exchange).data
    indexes = [choice.at("index").value for choice in answer.list_rows("choices")]
    if indexes != [0, 1]:
        yield BrokenLaw(protocol.plain, "choices 0 and 1", f"choices {indexes}", exchange)
    elif (used := protocol.read_usage(answer).completion) < 2:
        yield BrokenLaw(protocol.plain, "both choices counted", f"{used} tokens", exchange)


def _find_rejection(context: LawContext, protocol: ChatProtocol) -> int:
    """Return the status of a request that is not valid."""
    return context.contract.operations[protocol.plain].errors["invalid_request"].status


def check_unique_ids(context: LawContext) -> LawResults:
    """Give every answer its own id, in the body and in `x-request-id`."""
    for protocol in context.list_chat_protocols():
        model = context.choose_model(protocol.name)
        first, second = (context.ask_ok(protocol, _SHORT_QUESTION, model) for _ in range(2))
        member = "responseId" if protocol.name == "gemini" else "id"
        answer_id = first.data.find(member)
        if answer_id is not None and answer_id == second.data.find(member):
            yield BrokenLaw(protocol.plain, "an id of its own for each answer", f"twice {answer_id}", second)
        request_id = first.header("x-request-id")
        if request_id and request_id == second.header("x-request-id"):
            yield BrokenLaw(protocol.plain, "x-request-id of its own", f"twice {request_id}", second, "assumed")


def check_model_named(context: LawContext) -> LawResults:
    """Name the requested model in the answer by its id."""
    for protocol in context.list_chat_protocols():
        model, exchange = context.choose_model(protocol.name), ask_plain(context, protocol)
        member = "modelVersion" if protocol.name == "gemini" else "model"
        named = exchange.data.find(member)
        if not isinstance(named, str) or not named.startswith(model):
            seen = f"model '{named}'" if named else "no model"
            # another name may be the present id of the same model
            evidence = "assumed" if named else None
            yield BrokenLaw(protocol.plain, f"model '{model}'", seen, exchange, evidence, subject=f"/{member}")


def check_tool_calls(context: LawContext) -> LawResults:
    """Call an offered tool if one must be called, with arguments that match its schema."""
    for protocol in context.list_chat_protocols():
        for stream in context.list_stream_modes(protocol):
            question = ChatQuestion(_TOOL_QUESTION, max_tokens=300, tool=True, stream=stream)
            exchange = context.ask_ok(protocol, question, context.choose_model(protocol.name, "tools"))
            answer = read_answer(context, protocol, exchange)
            operation = protocol.choose_operation(question)
            yield from _check_tool_calls(protocol, operation, exchange, answer)
            if protocol.read_tool_calls(answer):
                finish = protocol.read_finish(answer)
                yield from _expect_finish(context, "tool-calls", protocol, operation, finish, exchange)


def _check_tool_calls(protocol: ChatProtocol, operation: str, exchange: HttpExchange, answer: JsonReader) -> LawResults:
    calls, finish = protocol.read_tool_calls(answer), protocol.read_finish(answer)
    if not calls:
        yield BrokenLaw(operation, "a tool call", f"none; finish '{finish}'", exchange)
    for problem in filter(None, map(_find_tool_problem, calls)):
        yield BrokenLaw(operation, f"a call of {TOOL} with a city", problem[:_MAX_SEEN_CHARACTERS], exchange)
    ids = [str(call.id) for call in calls if call.id is not None]
    if len(set(ids)) != len(ids):
        yield BrokenLaw(operation, "an id for each tool call", f"{ids}", exchange)


def _find_tool_problem(call: ReportedToolCall) -> str:
    if call.name != TOOL:
        return f"a call of {call.name!r}"
    if not isinstance(call.arguments, dict):
        return f"arguments that are not a JSON object: {call.arguments!r}"
    if not isinstance(call.arguments.get("city"), str):
        return f"arguments without a city: {call.arguments!r}"
    return ""


def check_unknown_members(context: LawContext) -> LawResults:
    """Ignore or pass on an unknown member of a request."""
    for protocol in context.list_chat_protocols():
        model = context.choose_model(protocol.name)
        body = {**protocol.make_body(_SHORT_QUESTION, model), "x_never_heard_of": {"a": [1]}}
        exchange = context.call(protocol.plain, protocol.make_path_params(model), body=body)
        if exchange.status == _find_rejection(context, protocol):
            yield BrokenLaw(protocol.plain, "an unknown member to be ignored", exchange.summary, exchange)


def check_json_schema(context: LawContext) -> LawResults:
    """Answer with JSON that matches a requested schema."""
    protocol = context.choose_default_protocol()
    question = ChatQuestion("Name a city and how many people live there.", max_tokens=120)
    json_schema = {"name": "place", "strict": True, "schema": _PLACE_SCHEMA}
    body: dict[str, Json] = {
        **protocol.make_body(question, context.choose_model(protocol.name)),
        "response_format": {"type": "json_schema", "json_schema": json_schema},
    }
    exchange = context.call_ok(protocol.plain, body=body)
    text = protocol.read_text(exchange.data)
    try:
        value = JsonReader(orjson.loads(text), protocol.plain)
        matches = isinstance(value.find("city"), str) and isinstance(value.find("people"), int)
    except orjson.JSONDecodeError:
        matches = False
    if not matches:
        yield BrokenLaw(protocol.plain, "text that matches the schema", repr(text[:160]), exchange)


_law = partial(Law, area="chat", needs=("key",), operations=PLAIN_CHAT)
_OPENAI = PLAIN_CHAT[:1]

LAWS = (
    _law("usage-sums", "Usage adds up", check_usage_sums),
    _law("usage-details", "Usage details are parts of the usage", check_usage_details, operations=_OPENAI),
    _law("usage-longer", "Longer prompts count more", check_longer_prompt, paid=3),
    _law("usage-counted", "Token counting agrees with answers", check_token_counting, operations=TOKEN_COUNTS),
    _law("max-tokens", "Answers respect their limit", check_token_limit, operations=CHAT, paid=6),
    _law("stop", "Answers end at stop sequences", check_stop_sequence, paid=6),
    _law("choices", "The requested choices are given", check_choices, operations=_OPENAI, paid=1),
    _law("ids-unique", "Every answer has its own id", check_unique_ids, paid=6),
    _law("model-named", "Answers name their model", check_model_named),
    _law("tool-calls", "Tools are called as they are defined", check_tool_calls, operations=CHAT, paid=6),
    _law("json-answers", "JSON answers match their schema", check_json_schema, operations=_OPENAI, paid=1),
    _law("unknown-members", "Unknown members are ignored", check_unknown_members, paid=3),
)
