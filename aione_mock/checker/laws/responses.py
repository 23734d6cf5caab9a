"""The Responses API: answered, streamed, kept and forgotten. Only with the extension `responses`."""

from __future__ import annotations

from functools import partial

import orjson

from aione_mock.checker.context import LawContext
from aione_mock.checker.errors import NotChecked
from aione_mock.checker.exchange import HttpExchange, shorten_body
from aione_mock.checker.finding import BrokenLaw, LawResults
from aione_mock.checker.json_reader import JsonReader
from aione_mock.checker.law import Law
from aione_mock.checker.laws.operation_groups import RESPONSES
from aione_mock.checker.protocols import TOOL, TOOL_SCHEMA, read_response_text, read_response_tool_calls
from aione_mock.contract.stream_grammar import decode_data
from aione_mock.types import Json

_CREATE, _RETRIEVE, _DELETE, _LIST = RESPONSES
_QUESTION = "Name three calm colours, in one short sentence."
_WORD = "periwinkle"
_TOOL_QUESTION = "What is the weather like in Hangzhou? Use the tool."
_UNKNOWN = "resp_00000000000000000000000000000000"
_ENDS = ("response.completed", "response.incomplete", "response.failed")
_VARYING = ("id", "created_at", "output", "usage")
"""Members in which two answers to one question may differ."""
_ORDER = {
    "type": "object",
    "properties": {"item": {"type": "string"}, "quantity": {"type": "integer"}},
    "required": ["item", "quantity"],
    "additionalProperties": False,
}


def check_answered(context: LawContext) -> LawResults:
    """Answer a plain question with a completed response that has a message."""
    exchange = context.call(_CREATE, body=_write_body(context))
    if not exchange.is_success:
        seen = f"{exchange.summary}: {shorten_body(exchange.body)}"
        yield BrokenLaw(_CREATE, "an answer to a plain question", seen, exchange)
    elif not read_response_text(exchange.data):
        seen = f"status {exchange.data.find('status')}, no text"
        yield BrokenLaw(_CREATE, "a message with text", seen, exchange, subject="/output")


def check_usage(context: LawContext) -> LawResults:
    """Report as total tokens those of input and output."""
    exchange = _ask_once(context)
    usage = exchange.data.at("usage")
    parts = usage.read_integer("input_tokens") + usage.read_integer("output_tokens")
    if (total := usage.read_integer("total_tokens")) != parts:
        yield BrokenLaw(_CREATE, f"{parts} tokens in total", f"{total}", exchange, subject="/usage/total_tokens")


def check_stream(context: LawContext) -> LawResults:
    """Count the events of a stream from 0, and end it with the answer to which they add up."""
    exchange = context.call_ok(_CREATE, body=_write_body(context, stream=True))
    grammar = context.contract.operations[_CREATE].stream
    if not exchange.is_event_stream or grammar is None:
        yield BrokenLaw(_CREATE, "content type text/event-stream", exchange.summary, exchange)
        return
    events = [JsonReader(decode_data(event), _CREATE) for event in exchange.events]
    numbers = [event.find("sequence_number") for event in events]
    if numbers != list(range(len(events))):
        yield BrokenLaw(_CREATE, "events numbered from 0", f"{numbers!r:.80}", exchange, subject="/sequence_number")
    if not events or events[-1].find("type") not in _ENDS:
        seen = f"{events[-1].find('type') if events else 'no event'}"
        yield BrokenLaw(_CREATE, f"{' or '.join(_ENDS)} at the end", seen, exchange)
        return
    whole = events[-1].at("response")
    try:
        folded = JsonReader(grammar.fold(exchange.events), _CREATE)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        yield BrokenLaw(_CREATE, "events that add up", f"{error}"[:200], exchange)
        return
    for name, read in (("text", read_response_text), ("tool calls", read_response_tool_calls)):
        if read(folded) != read(whole):
            seen = f"{read(folded)!r:.80}, not {read(whole)!r:.80}"
            yield BrokenLaw(_CREATE, f"pieces that add up to the {name} of the last event", seen, exchange)
    plain = context.prune_answer(_ask_once(context))
    streamed = context.prune_value(_CREATE, whole.value)
    different = sorted(name for name in plain.keys() ^ streamed.keys() if name not in _VARYING)
    if different:
        yield BrokenLaw(_CREATE, "the members of the plain answer", f"others: {', '.join(different)}", exchange)


def check_retrieved(context: LawContext) -> LawResults:
    """Return a stored answer as it was given."""
    created = _ask_once(context)
    exchange = context.call(_RETRIEVE, {"response_id": created.data.read_text("id")})
    if not exchange.is_success:
        yield BrokenLaw(_RETRIEVE, "the stored answer", exchange.summary, exchange)
    elif context.prune_answer(exchange) != context.prune_value(_RETRIEVE, created.json):
        yield BrokenLaw(_RETRIEVE, "the answer that was created", "another one", exchange)


def check_input_items(context: LawContext) -> LawResults:
    """List the items that were asked, in pages and in either order."""
    texts = ("First, say one word.", "Then say another word.", "Say a third word.")
    items = [{"role": "user", "content": text} for text in texts]
    created = context.call_ok(_CREATE, body=_write_body(context, input=items))
    name = {"response_id": created.data.read_text("id")}
    exchange = context.call(_LIST, name, query={"order": "asc"})
    if not exchange.is_success:
        yield BrokenLaw(_LIST, "the items of the request", exchange.summary, exchange)
        return
    listed = [_read_item_text(row) for row in exchange.data.list_rows("data")]
    if listed != list(texts):
        yield BrokenLaw(_LIST, "the items of the request in order", f"{listed!r:.120}", exchange, subject="/data")
        return
    first = context.call_ok(_LIST, name, query={"limit": 2})
    rest = context.call_ok(_LIST, name, query={"limit": 2, "after": first.data.at("last_id").read_text()})
    paged = [_read_item_text(row) for page in (first, rest) for row in page.data.list_rows("data")]
    more = [page.data.find("has_more") for page in (first, rest)]
    if paged != listed[::-1] or more != [True, False]:
        seen = f"{paged!r:.120}, has_more {more}"
        yield BrokenLaw(_LIST, "two pages, the newest item first", seen, rest, subject="/has_more")


def check_remembered(context: LawContext) -> LawResults:
    """Go on from `previous_response_id`: its question and answer are part of the input."""
    first = context.call_ok(_CREATE, body=_write_body(context, input=f"Remember the word {_WORD}. Say yes."))
    question = "Say yes."
    name = first.data.read_text("id")
    exchange = context.call(_CREATE, body=_write_body(context, input=question, previous_response_id=name))
    if not exchange.is_success:
        yield BrokenLaw(_CREATE, "an answer to a continued conversation", exchange.summary, exchange)
        return
    if (seen := exchange.data.find("previous_response_id")) != name:
        yield BrokenLaw(_CREATE, f"previous_response_id {name}", f"{seen}", exchange, subject="/previous_response_id")
    alone = context.call_ok(_CREATE, body=_write_body(context, input=question))
    counts = [each.data.at("usage").read_integer("input_tokens") for each in (exchange, alone)]
    if counts[0] <= counts[1]:
        difference = f"{counts[0]} input tokens, {counts[1]} without the earlier conversation"
        yield BrokenLaw(
            _CREATE, "input tokens of the whole conversation", difference, exchange, subject="/usage/input_tokens"
        )
    unknown = context.call(_CREATE, body=_write_body(context, input=question, previous_response_id=_UNKNOWN))
    if unknown.is_success:
        yield BrokenLaw(_CREATE, "an error for an unknown previous_response_id", unknown.summary, unknown)


def check_deleted(context: LawContext) -> LawResults:
    """Do not find an answer that was deleted."""
    created = context.call_ok(_CREATE, body=_write_body(context))
    name = {"response_id": created.data.read_text("id")}
    deleted = context.call(_DELETE, name)
    if not deleted.is_success:
        yield BrokenLaw(_DELETE, "the answer to be deleted", deleted.summary, deleted)
        return
    for operation in (_RETRIEVE, _LIST, _DELETE):
        exchange = context.call(operation, name)
        if exchange.status != 404:
            yield BrokenLaw(operation, "404 for a deleted answer", exchange.summary, exchange)


def check_unstored(context: LawContext) -> LawResults:
    """Do not keep an answer to a request with `store: false`."""
    created = context.call_ok(_CREATE, body=_write_body(context, store=False))
    exchange = context.call(_RETRIEVE, {"response_id": created.data.read_text("id")})
    if exchange.status != 404:
        yield BrokenLaw(_RETRIEVE, "404 for an answer that was not stored", exchange.summary, exchange)


def check_tools(context: LawContext) -> LawResults:
    """Call a required function by its name with arguments in JSON, and take its result."""
    model = context.choose_model("openai", "tools")
    tools = [{"type": "function", "name": TOOL, "description": "Weather of a city.", "parameters": TOOL_SCHEMA}]
    body = _write_body(context, model=model, input=_TOOL_QUESTION, tools=tools, max_output_tokens=300)
    exchange = context.call_ok(_CREATE, body={**body, "tool_choice": "required"})
    calls = read_response_tool_calls(exchange.data)
    if not calls or calls[0].name != TOOL or not isinstance(calls[0].arguments, dict) or not calls[0].id:
        seen = f"{calls!r:.120}" if calls else "no call"
        yield BrokenLaw(_CREATE, f"a call of {TOOL} with an id and arguments", seen, exchange, subject="/output")
        return
    result = {"type": "function_call_output", "call_id": calls[0].id, "output": "21 degrees and sunny"}
    name = exchange.data.read_text("id")
    answer = context.call(_CREATE, body={**body, "input": [result], "previous_response_id": name})
    if not answer.is_success:
        yield BrokenLaw(_CREATE, "an answer to the result of a function", answer.summary, answer)


def check_json(context: LawContext) -> LawResults:
    """Answer with JSON of the schema that `text.format` asks for."""
    wanted = {"format": {"type": "json_schema", "name": "order", "strict": True, "schema": _ORDER}}
    body = _write_body(context, input="Please send 3 desk lamps.", text=wanted, max_output_tokens=200)
    exchange = context.call_ok(_CREATE, body=body)
    text = read_response_text(exchange.data)
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = None
    quantity = value.get("quantity") if isinstance(value, dict) else None
    if type(quantity) is not int or not isinstance(value.get("item"), str):
        yield BrokenLaw(_CREATE, "JSON of the schema", f"{text!r:.120}", exchange, subject="/output/*/content/*/text")


def check_cut(context: LawContext) -> LawResults:
    """Mark an answer that `max_output_tokens` has cut off as incomplete."""
    body = _write_body(context, input="Count from one to one hundred in words.", max_output_tokens=16)
    exchange = context.call_ok(_CREATE, body=body)
    seen = exchange.data.find("status"), exchange.data.find("incomplete_details", "reason")
    used = exchange.data.at("usage").read_integer("output_tokens")
    if used < 16 and seen[0] == "completed":
        raise NotChecked("the model needs no more tokens")
    if seen != ("incomplete", "max_output_tokens"):
        ending = f"status {seen[0]}, reason {seen[1]}"
        yield BrokenLaw(_CREATE, "incomplete because of max_output_tokens", ending, exchange, subject="/status")


def _ask_once(context: LawContext) -> HttpExchange:
    """Return the stored answer to the question, asked once in a run. Raises NotChecked."""
    return context.compute_once("responses", lambda: context.call_ok(_CREATE, body=_write_body(context)))


def _write_body(context: LawContext, **members: Json) -> dict[str, Json]:
    model = members.pop("model", None) or context.choose_model("openai")
    return {"model": model, "input": _QUESTION, "max_output_tokens": 64, **members}


def _read_item_text(row: JsonReader) -> Json:
    content = row.find("content")
    return content if isinstance(content, str) else row.find("content", 0, "text")


_law = partial(Law, area="responses", needs=("key",), operations=RESPONSES[:1])

LAWS = (
    _law("response-answered", "Plain questions get a response", check_answered, paid=1),
    _law("response-usage", "Tokens of responses add up", check_usage, paid=1),
    _law("response-stream", "Events add up to the response", check_stream, paid=1),
    _law("response-retrieved", "Stored responses are returned", check_retrieved, operations=(_RETRIEVE,)),
    _law("response-inputs", "Input items are listed", check_input_items, operations=(_LIST,), paid=1),
    _law("response-remembered", "Conversations go on", check_remembered, paid=3),
    _law(
        "response-deleted",
        "Deleted responses are gone",
        check_deleted,
        needs=("key", "writes"),
        operations=(_RETRIEVE, _DELETE, _LIST),
        paid=1,
    ),
    _law("response-unstored", "Unstored responses are not kept", check_unstored, operations=(_RETRIEVE,), paid=1),
    _law("response-tools", "Functions are called and answered", check_tools, paid=2),
    _law("response-json", "JSON fits the schema", check_json, paid=1),
    _law("response-cut", "Cut responses are incomplete", check_cut, paid=1),
)
