"""Unusual requests: the answer is a success or an error of the client, never a server error."""

from __future__ import annotations

from functools import partial
from typing import Any

import orjson

from aione_mock.checker.context import LawContext
from aione_mock.checker.errors import NotChecked
from aione_mock.checker.exchange import HttpExchange
from aione_mock.checker.finding import BrokenLaw, LawResults, SkippedOperation
from aione_mock.checker.law import Law, Need
from aione_mock.checker.laws.operation_groups import CHARTS, LOGS, METRICS, PLAIN_CHAT
from aione_mock.checker.protocols import ChatProtocol, ChatQuestion
from aione_mock.types import Json

_DEPTH = 3000
_TEXTS = (
    ("Chinese and emoji", "请回答：好 🙂 👩‍👩‍👧‍👦"),
    ("right-to-left text", "שלום مرحبا"),
    ("combining marks", "e\u0301" * 50 + "\u200b\u202e"),
    ("a long word", "a" * 5000),
    ("line breaks", "a\r\n\tb\u2028c"),
)
_PARAMETERS: tuple[tuple[str, dict[str, str], dict[str, Json]], ...] = (
    ("retrieveModel", {"model": "../../etc/passwd"}, {}),
    ("retrieveModel", {"model": "模型 🙂"}, {}),
    ("retrieveModel", {"model": "a" * 3000}, {}),
    ("getGeminiModel", {"model": "a%00b"}, {}),
    ("listGeminiModels", {}, {"pageSize": 10**30}),
    ("listGeminiModels", {}, {"pageSize": -1}),
    ("listGeminiModels", {}, {"pageToken": "\u0000不是"}),
    ("getKey", {"key_id": "' OR 1=1 --"}, {}),
    ("getKey", {"key_id": "🙂"}, {}),
    ("queryUsage", {}, {"start_date": "0001-01-01", "end_date": "9999-12-31"}),
    ("queryUsage", {}, {"start_date": "2026-02-30"}),
    ("queryUsage", {}, {"end_date": "0001-01-01"}),
    ("queryUsage", {}, {"model": "🙂" * 100, "team_id": "x", "key_id": ""}),
    ("getDashboard", {}, {"range_days": 10**40}),
    ("getDashboard", {}, {"range_days": "7.0"}),
    ("getDashboard", {}, {"range_days": ""}),
    ("listInvoices", {}, {"page": 2**63, "page_size": 100}),
    ("listInvoices", {}, {"page": "１"}),
    (LOGS, {}, {"pageIndex": 2147483647, "pageSize": 50}),
    (LOGS, {}, {"orderBy": "no_such_field", "orderDirection": "ASC"}),
    (LOGS, {}, {"nextToken": "not-a-token"}),
    (METRICS, {}, {"clientId": 2**62}),
    (CHARTS, {}, {"memberUserIds": ""}),
)
"""Operation, path parameters, query."""
_HEADERS = (
    ("content-type", "text/plain"),
    ("content-type", "application/json; charset=latin-1"),
    ("content-type", "multipart/form-data"),
    ("content-type", ";;"),
    ("accept", "image/png"),
    ("content-encoding", "gzip"),
    ("x-request-id", "x" * 2000),
)
_CONSOLE_BODIES = (
    b"",
    b"{",
    b"[]",
    b"null",
    b'"x"',
    b'{"name": "\xff"}',
    b'{"name": "\\ud800"}',
    b"[" * 3000,
    b'{"name":' + b"9" * 500 + b"}",
)


def _find_problem(exchange: HttpExchange) -> str:
    """Return what is wrong with an answer to an unusual request; empty if nothing is."""
    if not exchange.status:
        return exchange.failure
    return exchange.summary if exchange.status >= 500 else ""


def _expect_no_failure(exchange: HttpExchange, what: str) -> LawResults:
    if problem := _find_problem(exchange):
        yield BrokenLaw(exchange.request.operation, f"no server error for {what}", problem, exchange, "documented")


def _build_body(context: LawContext, protocol: ChatProtocol, text: str = "Hello") -> dict[str, Json]:
    return protocol.make_body(ChatQuestion(text, max_tokens=4), context.choose_model(protocol.name))


def _call_chat(context: LawContext, protocol: ChatProtocol, **request: Any) -> HttpExchange:
    params = protocol.make_path_params(context.choose_model(protocol.name))
    return context.call(protocol.plain, params, **request)


def check_unusual_bodies(context: LawContext) -> LawResults:
    """Do not fail on a body that is not UTF-8, deeply nested, or has huge numbers."""
    for protocol in context.list_chat_protocols():
        valid = orjson.dumps(_build_body(context, protocol))
        for what, raw in _list_unusual_bodies(valid, b'"contents"' if protocol.name == "gemini" else b'"messages"'):
            yield from _expect_no_failure(_call_chat(context, protocol, raw=raw), what)


def _list_unusual_bodies(valid: bytes, member: bytes) -> tuple[tuple[str, bytes], ...]:
    return (
        ("bytes that are not UTF-8", valid.replace(b"Hello", b"\xff\xfe\xc3(")),
        ("half of a surrogate pair", valid.replace(b"Hello", b"\\ud83d")),
        ("a null character", valid.replace(b"Hello", b"a\\u0000b")),
        ("deep nesting", b'{"model":"x",' + member + b":" + b"[" * _DEPTH + b"]" * _DEPTH + b"}"),
        ("deep nesting of objects", b'{"a":' * _DEPTH + b"1" + b"}" * _DEPTH),
        ("a huge number", valid[:-1] + b',"temperature":1e400}'),
        ("a huge integer", valid[:-1] + b',"seed":' + b"9" * 400 + b"}"),
        ("NaN", valid[:-1] + b',"top_p":NaN}'),
        ("a repeated member", valid[:-1] + b',"model":"y"}'),
        ("half a body", valid[: len(valid) // 2]),
        ("a byte order mark", b"\xef\xbb\xbf" + valid),
    )


def check_any_script(context: LawContext) -> LawResults:
    """Answer text in any script: Chinese, emoji, right-to-left, combining marks, long words."""
    for protocol in context.list_chat_protocols():
        for what, text in _TEXTS:
            exchange = _call_chat(context, protocol, body=_build_body(context, protocol, text))
            if not exchange.is_success:
                yield BrokenLaw(protocol.plain, f"an answer to {what}", exchange.summary, exchange)


def check_empty_message(context: LawContext) -> LawResults:
    """Do not fail on an empty message."""
    for protocol in context.list_chat_protocols():
        exchange = _call_chat(context, protocol, body=_build_body(context, protocol, ""))
        yield from _expect_no_failure(exchange, "an empty message")


def check_unusual_parameters(context: LawContext) -> LawResults:
    """Do not fail on any value of a parameter."""
    for name, params, query in _PARAMETERS:
        if not context.includes(name):
            continue
        try:
            exchange = context.call(name, params, query=query)
        except NotChecked as error:
            yield SkippedOperation(name, str(error))
            continue
        yield from _expect_no_failure(exchange, "unusual parameters")


def check_unusual_headers(context: LawContext) -> LawResults:
    """Do not fail on another content type or any value of a header."""
    for protocol in context.list_chat_protocols():
        for name, value in _HEADERS:
            exchange = _call_chat(context, protocol, body=_build_body(context, protocol), headers={name: value})
            yield from _expect_no_failure(exchange, f"{name}: {value[:40]}")


def check_console_bodies(context: LawContext) -> LawResults:
    """Do not fail on an unusual body on the console."""
    for raw in _CONSOLE_BODIES:
        exchange = context.call("createKey", raw=raw)
        context.track_created_key(exchange)
        yield from _expect_no_failure(exchange, "an unusual body")


def check_large_body(context: LawContext) -> LawResults:
    """Answer or reject a body of one megabyte."""
    protocol = context.choose_default_protocol()
    body = {**_build_body(context, protocol), "metadata": {"x": "a" * (1 << 20)}}
    yield from _expect_no_failure(_call_chat(context, protocol, body=body), "a body of one megabyte")


def check_slow_body(context: LawContext) -> LawResults:
    """Wait for a body that arrives slowly."""
    protocol = context.choose_default_protocol()
    request = context.client.build_request(protocol.plain, body=_build_body(context, protocol))
    yield from _expect_no_failure(context.client.send(request, pause=0.1), "a slow body")


_law = partial(Law, area="robustness", needs=("key",), operations=PLAIN_CHAT)
_PARAMETER_OPERATIONS = tuple(dict.fromkeys(name for name, _, _ in _PARAMETERS))
_WRITE: tuple[Need, ...] = ("token", "writes")

LAWS = (
    _law("robust-bodies", "Unusual bodies are handled", check_unusual_bodies, paid=9),
    _law("robust-languages", "Any script is answered", check_any_script, paid=15),
    _law("robust-empty", "Empty messages are handled", check_empty_message, paid=3),
    _law(
        "robust-parameters",
        "Unusual parameters are handled",
        check_unusual_parameters,
        operations=_PARAMETER_OPERATIONS,
        needs=(),
    ),
    _law("robust-headers", "Unusual headers are handled", check_unusual_headers, paid=9),
    _law(
        "robust-console",
        "Unusual console bodies are handled",
        check_console_bodies,
        operations=("createKey",),
        needs=_WRITE,
    ),
    _law(
        "robust-big",
        "Large bodies are handled",
        check_large_body,
        operations=PLAIN_CHAT[:1],
        needs=("key", "local"),
        paid=1,
    ),
    _law("robust-slow", "Slow bodies are handled", check_slow_body, operations=PLAIN_CHAT[:1], paid=1),
)
