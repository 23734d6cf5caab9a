"""Basic calls: each operation answers a plain valid request. Where one does not, nothing else of it works."""

from __future__ import annotations

from functools import partial

from aione_mock.checker.context import LawContext
from aione_mock.checker.errors import CallFailed, NotChecked
from aione_mock.checker.exchange import HttpExchange, shorten_body
from aione_mock.checker.finding import BrokenLaw, LawResults, SkippedOperation
from aione_mock.checker.law import Law
from aione_mock.checker.laws.operation_groups import ONE_KEY, PLAIN_CHAT, READS, TOKEN_COUNTS
from aione_mock.checker.laws.streams import ask_plain
from aione_mock.checker.protocols import PROTOCOLS, ChatQuestion
from aione_mock.contract import Operation
from aione_mock.types import Json


def expect_success(exchange: HttpExchange, what: str) -> LawResults:
    """Yield that an answer to a plain valid request is no success."""
    if exchange.status // 100 != 2:
        seen = f"{exchange.summary}: {shorten_body(exchange.body)}"
        yield BrokenLaw(exchange.request.operation, f"an answer to {what}", seen, exchange)


def check_questions(context: LawContext) -> LawResults:
    """Answer a plain valid question."""
    for protocol in context.list_chat_protocols():
        try:
            ask_plain(context, protocol)
        except CallFailed as error:
            yield from expect_success(error.exchange, "a plain question")


def check_reads(context: LawContext) -> LawResults:
    """Answer every documented GET."""
    for operation in context.list_declared_operations(*READS):
        try:
            exchange = context.call(operation.id, _choose_params(context, operation))
        except NotChecked as error:
            yield SkippedOperation(operation.id, str(error))
            continue
        yield from expect_success(exchange, f"GET {operation.path}")


def _choose_params(context: LawContext, operation: Operation) -> dict[str, str]:
    """Return path parameters that name something that exists. Raises NotChecked."""
    if "{model}" in operation.path:
        return {"model": context.choose_model(operation.protocol)}
    if "{key_id}" not in operation.path:
        return {}
    rows = context.read("listKeys").list_rows("items")
    if not rows:
        raise NotChecked("there is no key")
    return {"key_id": rows[0].read_text("id")}


def check_counts(context: LawContext) -> LawResults:
    """Count the tokens of a plain valid question."""
    for operation in context.list_declared_operations(*TOKEN_COUNTS):
        protocol = PROTOCOLS[operation.protocol]
        model = context.choose_model(protocol.name)
        exchange = context.call(
            operation.id, protocol.make_path_params(model), body=make_counting_body(protocol.name, model)
        )
        yield from expect_success(exchange, "a question to count")


def make_counting_body(protocol: str, model: str, text: str = "Hello") -> dict[str, Json]:
    """Return the body of a request that counts the tokens of a text."""
    body = PROTOCOLS[protocol].make_body(ChatQuestion(text), model)
    return {name: value for name, value in body.items() if name not in ("max_tokens", "generationConfig")}


def check_writes(context: LawContext) -> LawResults:
    """Create, change, rotate, disable, enable and delete a key."""
    try:
        key = context.create_key("basics")
    except CallFailed as error:
        yield from expect_success(error.exchange, "a new key")
        raise
    for name in _WRITES:
        if context.includes(name):
            try:
                if name == "rotateKey":
                    context.rotate_key(key)
                elif name == "deleteKey":
                    context.require_success(context.delete_key(key))
                else:
                    body = {"name": key.record.read_text("name")} if name == "updateKey" else None
                    context.call_ok(name, {"key_id": key.id}, body=body)
            except CallFailed as error:
                yield from expect_success(error.exchange, "a valid change of a new key")


_WRITES = tuple(name for name in ONE_KEY if name != "getKey")
_law = partial(Law, area="basics")

LAWS = (
    _law("read-answered", "Documented GETs are answered", check_reads, READS),
    _law("question-answered", "Plain questions are answered", check_questions, PLAIN_CHAT, needs=("key",), paid=3),
    _law("count-answered", "Token counts are answered", check_counts, TOKEN_COUNTS, needs=("key",)),
    _law(
        "write-answered",
        "Changes of keys are answered",
        check_writes,
        ("createKey", *_WRITES),
        needs=("token", "writes"),
    ),
)
