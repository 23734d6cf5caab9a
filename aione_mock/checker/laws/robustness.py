"""Whatever is sent, the answer is a refusal or a success, never a failure of the server."""

from __future__ import annotations

from typing import Any

import orjson

from aione_mock.checker.context import LawContext, broken
from aione_mock.checker.finding import NotChecked, SkippedOperation
from aione_mock.checker.law import Law, LawResults
from aione_mock.checker.laws.areas import PLAIN
from aione_mock.checker.protocols import ChatProtocol, ChatQuestion
from aione_mock.checker.traffic import HttpExchange
from aione_mock.types import Json

_DEPTH = 3000
_ZWJ = "👩‍👩‍👧‍👦"


def _hurt(exchange: HttpExchange) -> str:
    """What is wrong with an answer to something strange; empty when nothing is."""
    if not exchange.status:
        return exchange.failure
    return exchange.outcome if exchange.status >= 500 else ""


def _withstands(context: LawContext, protocol: ChatProtocol, what: str, raw: bytes, **given: Any) -> LawResults:
    exchange = context.call(protocol.plain, protocol.params(context.model(protocol.name)), raw=raw, **given)
    if problem := _hurt(exchange):
        yield broken(protocol.plain, f"no server error for {what}", problem, exchange, evidence="documented")


def _body(context: LawContext, protocol: ChatProtocol, text: str = "Hello") -> dict[str, Json]:
    body: dict[str, Json] = protocol.body(ChatQuestion(text, max_tokens=4), context.model(protocol.name))
    return body


def strange_bodies(context: LawContext) -> LawResults:
    """A body that is no UTF-8, nested too deeply, or holds numbers beyond all bounds does not make the server fail."""
    for protocol in context.protocols():
        good = orjson.dumps(_body(context, protocol))
        member = b'"contents"' if protocol.name == "gemini" else b'"messages"'
        for what, raw in (
            ("bytes that are not UTF-8", good.replace(b"Hello", b"\xff\xfe\xc3(")),
            ("half of a surrogate pair", good.replace(b"Hello", b"\\ud83d")),
            ("a null character", good.replace(b"Hello", b"a\\u0000b")),
            ("deep nesting", b'{"model":"x",' + member + b":" + b"[" * _DEPTH + b"]" * _DEPTH + b"}"),
            ("deep nesting of objects", b'{"a":' * _DEPTH + b"1" + b"}" * _DEPTH),
            ("a huge number", good[:-1] + b',"temperature":1e400}'),
            ("a huge integer", good[:-1] + b',"seed":' + b"9" * 400 + b"}"),
            ("not a number", good[:-1] + b',"top_p":NaN}'),
            ("a member twice", good[:-1] + b',"model":"y"}'),
            ("half a body", good[: len(good) // 2]),
            ("a byte order mark", b"\xef\xbb\xbf" + good),
        ):
            yield from _withstands(context, protocol, what, raw)


def any_language(context: LawContext) -> LawResults:
    """Text in any script is answered: Chinese, emoji, right to left, combining marks, very long words."""
    for protocol in context.protocols():
        for what, text in (
            ("Chinese and emoji", f"请回答：好 🙂 {_ZWJ}"),
            ("right to left", "שלום مرحبا"),
            ("combining marks", "e\u0301" * 50 + "\u200b\u202e"),
            ("a long word", "a" * 5000),
            ("line breaks", "a\r\n\tb\u2028c"),
        ):
            exchange = context.call(
                protocol.plain, protocol.params(context.model(protocol.name)), body=_body(context, protocol, text)
            )
            if exchange.status != 200:
                yield broken(protocol.plain, f"an answer to {what}", exchange.outcome, exchange)


def empty_text(context: LawContext) -> LawResults:
    """A message without words is answered or refused, without a failure of the server."""
    for protocol in context.protocols():
        yield from _withstands(context, protocol, "an empty message", orjson.dumps(_body(context, protocol, "")))


def strange_parameters(context: LawContext) -> LawResults:
    """A parameter of any value does not make the server fail."""
    for name, params, query in _PARAMETERS:
        if name not in context.contract.operations:
            continue
        try:
            exchange = context.call(name, params, query=query)
        except NotChecked as error:
            yield SkippedOperation(name, str(error))
            continue
        if problem := _hurt(exchange):
            yield broken(name, "no server error for strange parameters", problem, exchange, evidence="documented")


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
    ("ModelRouterQueryObservationLogs", {}, {"pageIndex": 2147483647, "pageSize": 50}),
    ("ModelRouterQueryObservationLogs", {}, {"orderBy": "no_such_field", "orderDirection": "ASC"}),
    ("ModelRouterQueryObservationLogs", {}, {"nextToken": "not-a-token"}),
    ("ModelRouterQueryObservationMetrics", {}, {"clientId": 2**62}),
    ("ModelRouterQueryObservationCharts", {}, {"memberUserIds": ""}),
)


def strange_headers(context: LawContext) -> LawResults:
    """A content type that is not JSON, or a header of any value, does not make the server fail."""
    for protocol in context.protocols():
        body = _body(context, protocol)
        for headers in (
            {"content-type": "text/plain"},
            {"content-type": "application/json; charset=latin-1"},
            {"content-type": "multipart/form-data"},
            {"content-type": ";;"},
            {"accept": "image/png"},
            {"content-encoding": "gzip"},
            {"x-request-id": "x" * 2000},
        ):
            exchange = context.call(
                protocol.plain, protocol.params(context.model(protocol.name)), body=body, headers=headers
            )
            if problem := _hurt(exchange):
                name, value = next(iter(headers.items()))
                yield broken(
                    protocol.plain,
                    f"no server error for {name}: {value[:40]}",
                    problem,
                    exchange,
                    evidence="documented",
                )


def console_bodies(context: LawContext) -> LawResults:
    """A strange body does not make the console fail."""
    for raw in (
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b'{"name": "\xff"}',
        b'{"name": "\\ud800"}',
        b"[" * 3000,
        b'{"name":' + b"9" * 500 + b"}",
    ):
        exchange = context.call("createKey", raw=raw)
        if exchange.status == 201:
            from aione_mock.checker.context import TemporaryKey

            context.adopt(TemporaryKey(str(exchange.json.get("id")), str(exchange.json.get("key")), exchange.json))
        if problem := _hurt(exchange):
            yield broken("createKey", "no server error for a strange body", problem, exchange, evidence="documented")


def big_body(context: LawContext) -> LawResults:
    """A body of a megabyte is read and answered or refused, in reasonable time."""
    for protocol in context.protocols()[:1]:
        raw = orjson.dumps({**_body(context, protocol), "metadata": {"x": "a" * (1 << 20)}})
        yield from _withstands(context, protocol, "a body of a megabyte", raw)


def slow_body(context: LawContext) -> LawResults:
    """A body that arrives slowly is waited for."""
    protocol = context.protocols()[0]
    request = context.client.request(protocol.plain, body=_body(context, protocol))
    exchange = context.client.send(request, pause=0.1)
    if problem := _hurt(exchange):
        yield broken(protocol.plain, "an answer to a slow body", problem, exchange, evidence="documented")


LAWS = (
    Law("robust-bodies", "Strange bodies do no harm", strange_bodies, PLAIN, ("key",), paid=9, area="robustness"),
    Law("robust-languages", "Any script is answered", any_language, PLAIN, ("key",), paid=15, area="robustness"),
    Law("robust-empty", "Empty messages do no harm", empty_text, PLAIN, ("key",), paid=3, area="robustness"),
    Law(
        "robust-parameters",
        "Strange parameters do no harm",
        strange_parameters,
        tuple(dict.fromkeys(name for name, _, _ in _PARAMETERS)),
        area="robustness",
    ),
    Law("robust-headers", "Strange headers do no harm", strange_headers, PLAIN, ("key",), paid=9, area="robustness"),
    Law(
        "robust-console",
        "Strange bodies do the console no harm",
        console_bodies,
        ("createKey",),
        ("token", "writes"),
        area="robustness",
    ),
    Law("robust-big", "A body of a megabyte is read", big_body, PLAIN[:1], ("key", "local"), paid=1, area="robustness"),
    Law("robust-slow", "Slow bodies are waited for", slow_body, PLAIN[:1], ("key",), paid=1, area="robustness"),
)
