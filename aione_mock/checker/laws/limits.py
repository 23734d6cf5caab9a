"""Rate limits: they hold, their headers are true, and the time to wait is honest."""

from __future__ import annotations

from aione_mock.checker.context import LawContext, TemporaryKey, broken
from aione_mock.checker.finding import NotChecked
from aione_mock.checker.law import Law, LawResults
from aione_mock.checker.laws.areas import PLAIN
from aione_mock.checker.laws.errors import refusal
from aione_mock.checker.protocols import ChatProtocol, ChatQuestion
from aione_mock.checker.traffic import HttpExchange

SPAN = 60
"""Seconds over which requests and tokens are counted."""
_HEADERS = {"openai": "x-ratelimit-{1}-{0}", "anthropic": "anthropic-ratelimit-{0}-{1}"}


def _ask(context: LawContext, protocol: ChatProtocol, key: TemporaryKey, max_tokens: int = 4) -> HttpExchange:
    return context.ask(
        protocol,
        ChatQuestion("Say yes.", max_tokens=max_tokens),
        context.model(protocol.name),
        context.bearer(key.secret),
    )


def _figure(exchange: HttpExchange, protocol: ChatProtocol, what: str, which: str) -> int | None:
    text = exchange.header(_HEADERS[protocol.name].format(what, which)) or ""
    return int(text) if text.isdigit() else None


def requests(context: LawContext) -> LawResults:
    """A key with a limit of requests may call so often in a minute and is then refused with 429, over every
    protocol alike.
    """
    key = context.new_key("two a minute", rpm_limit=2)
    first, *others = context.protocols()
    for _ in range(2):
        exchange = _ask(context, first, key)
        if exchange.status != 200:
            yield broken(first.plain, "200 within the limit", exchange.outcome, exchange)
            return
    for protocol in (first, *others):
        exchange = _ask(context, protocol, key)
        yield from refusal(
            context.contract.operations[protocol.plain], "rate_limit_exceeded", exchange, expected="429 over the limit"
        )


def tokens(context: LawContext) -> LawResults:
    """A key with a limit of tokens is refused with 429 once they are used."""
    key = context.new_key("few tokens", tpm_limit=1)
    protocol = context.protocols()[0]
    exchange = _ask(context, protocol, key)
    if exchange.status == 429:
        return  # one that counts the tokens of a prompt before it is sent
    context.good(exchange)
    exchange = _ask(context, protocol, key)
    yield from refusal(
        context.contract.operations[protocol.plain],
        "rate_limit_exceeded",
        exchange,
        expected="429 over the limit of tokens",
    )


def new_limit(context: LawContext) -> LawResults:
    """A changed limit holds from the next call on."""
    key = context.new_key("raised", rpm_limit=1)
    protocol = context.protocols()[0]
    context.good(_ask(context, protocol, key))
    context.ok("updateKey", {"key_id": key.id}, body={"rpm_limit": 100})
    exchange = _ask(context, protocol, key)
    if exchange.status == 429:
        yield broken(protocol.plain, "200 after the limit was raised", exchange.outcome, exchange, evidence="assumed")


def headers_true(context: LawContext) -> LawResults:
    """The headers say the key's limits, and what is left falls by one request and by the tokens that were used."""
    for protocol in [p for p in context.protocols() if p.name in _HEADERS]:
        key = context.new_key("headers", rpm_limit=9, tpm_limit=90_000)
        one = context.good(_ask(context, protocol, key))
        two = context.good(_ask(context, protocol, key))
        for what, limit in (("requests", 9), ("tokens", 90_000)):
            if _figure(one, protocol, what, "limit") != limit:
                seen = str(_figure(one, protocol, what, "limit"))
                yield broken(protocol.plain, f"a limit of {limit} {what}", seen, one, evidence="assumed")
        if _figure(one, protocol, "requests", "remaining") != 8:
            seen = str(_figure(one, protocol, "requests", "remaining"))
            yield broken(protocol.plain, "8 requests left of 9", seen, one, evidence="assumed")
        before, after = (_figure(e, protocol, "requests", "remaining") for e in (one, two))
        if before is not None and after is not None and before - after != 1:
            yield broken(
                protocol.plain,
                "one request fewer left after a call",
                f"{before - after} fewer",
                two,
                evidence="assumed",
            )
        yield from _tokens_left(protocol, one, two)


def _tokens_left(protocol: ChatProtocol, one: HttpExchange, two: HttpExchange) -> LawResults:
    left = [_figure(exchange, protocol, "tokens", "remaining") for exchange in (one, two)]
    used = protocol.usage(two.json)
    if left[0] is None or left[1] is None:
        return
    if left[0] - left[1] != used.prompt + used.completion:
        expected = f"{used.prompt + used.completion} tokens fewer left"
        yield broken(protocol.plain, expected, f"{left[0] - left[1]} fewer", two, evidence="assumed")


def retry_after(context: LawContext) -> LawResults:
    """`retry-after` is the whole number of seconds, at most a minute, after which the call is not refused any more."""
    for protocol in context.protocols():
        key = context.new_key("retry", rpm_limit=1)
        context.good(_ask(context, protocol, key))
        exchange = _ask(context, protocol, key)
        if exchange.status != 429:
            raise NotChecked("the limit does not hold")
        text = exchange.header("retry-after") or ""
        if not text.isdigit() or not 1 <= int(text) <= SPAN:
            yield broken(protocol.plain, f"retry-after from 1 to {SPAN}", f"'{text}'", exchange, evidence="assumed")
            continue
        if int(text) > 2:
            # it cannot be waited for; but the next refusal must not promise a later end
            again = _ask(context, protocol, key)
            later = again.header("retry-after") or ""
            if again.status == 429 and later.isdigit() and int(later) > int(text) + 1:
                yield broken(
                    protocol.plain, f"at most {text} s", f"{later} s a moment later", again, evidence="assumed"
                )
            continue
        context.client.sleep(int(text) + 0.1)
        again = _ask(context, protocol, key)
        if again.status == 429:
            expected = f"a call after the {text} s of retry-after to be taken"
            yield broken(protocol.plain, expected, again.outcome, again, evidence="assumed")


def refused_with_headers(context: LawContext) -> LawResults:
    """A refusal for the rate says that nothing is left."""
    for protocol in [p for p in context.protocols() if p.name in _HEADERS]:
        key = context.new_key("nothing left", rpm_limit=1)
        context.good(_ask(context, protocol, key))
        exchange = _ask(context, protocol, key)
        if exchange.status == 429 and _figure(exchange, protocol, "requests", "remaining") != 0:
            seen = str(_figure(exchange, protocol, "requests", "remaining"))
            yield broken(protocol.plain, "0 requests left", seen, exchange, evidence="assumed")


LAWS = (
    Law("limit-requests", "Limits of requests hold", requests, PLAIN, ("token", "writes"), paid=2, area="limits"),
    Law("limit-tokens", "Limits of tokens hold", tokens, PLAIN[:1], ("token", "writes"), paid=1, area="limits"),
    Law(
        "limit-raised",
        "New limits hold at once",
        new_limit,
        PLAIN[:1],
        ("token", "writes"),
        "assumed",
        paid=2,
        area="limits",
    ),
    Law(
        "limit-headers",
        "Rate limit headers are true",
        headers_true,
        PLAIN[:2],
        ("token", "writes"),
        "assumed",
        paid=4,
        area="limits",
    ),
    Law(
        "limit-retry-after",
        "retry-after is honest",
        retry_after,
        PLAIN,
        ("token", "writes"),
        "assumed",
        paid=3,
        area="limits",
    ),
    Law(
        "limit-refusal",
        "Refusals say that nothing is left",
        refused_with_headers,
        PLAIN[:2],
        ("token", "writes"),
        "assumed",
        paid=2,
        area="limits",
    ),
)
