"""Rate limits: they are enforced, their headers are right, and the time to wait is right."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus

from aione_mock.checker.context import LawContext, TemporaryKey, make_bearer_auth
from aione_mock.checker.errors import NotChecked
from aione_mock.checker.exchange import HttpExchange
from aione_mock.checker.finding import BrokenLaw, LawResults
from aione_mock.checker.law import Law
from aione_mock.checker.laws.error_responses import check_error
from aione_mock.checker.laws.operation_groups import PLAIN_CHAT
from aione_mock.checker.protocols import ChatProtocol, ChatQuestion

_MAX_WAIT_SECONDS = 2
"""A longer time to wait is not waited for."""
_MIN_OVERLAP_SECONDS = 0.1
"""Shorter calls that began together may have come one after the other."""
_HEADERS = {"openai": "x-ratelimit-{1}-{0}", "anthropic": "anthropic-ratelimit-{0}-{1}"}
"""Protocol → name of a header for what is counted and which figure."""


def _call_with_key(context: LawContext, protocol: ChatProtocol, key: TemporaryKey) -> HttpExchange:
    question = ChatQuestion("Say yes.", max_tokens=4)
    return context.ask(protocol, question, context.choose_model(protocol.name), make_bearer_auth(key.secret))


def _call_with_key_ok(context: LawContext, protocol: ChatProtocol, key: TemporaryKey) -> HttpExchange:
    return context.require_success(_call_with_key(context, protocol, key))


def _is_limited(exchange: HttpExchange) -> bool:
    return exchange.status == HTTPStatus.TOO_MANY_REQUESTS


def _list_protocols_with_headers(context: LawContext) -> list[ChatProtocol]:
    return [protocol for protocol in context.list_chat_protocols() if protocol.name in _HEADERS]


def _read_figure(exchange: HttpExchange, protocol: ChatProtocol, counted: str, figure: str) -> int | None:
    return _parse_count(exchange.header(_HEADERS[protocol.name].format(counted, figure)))


def _parse_count(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and len(text) < 16 else None


def check_request_limit(context: LawContext) -> LawResults:
    """Accept as many requests per minute as a key's limit allows, then reject them over every protocol."""
    key = context.create_key("two a minute", rpm_limit=2)
    first, others = context.choose_default_protocol(), context.list_chat_protocols()[1:]
    for _ in range(2):
        exchange = _call_with_key(context, first, key)
        if not exchange.is_success:
            yield BrokenLaw(first.plain, "a success within the limit", exchange.summary, exchange)
            return
    for protocol in (first, *others):
        exchange = _call_with_key(context, protocol, key)
        yield from check_error(context, exchange, "rate_limit_exceeded", "an error above the limit")


def check_token_limit(context: LawContext) -> LawResults:
    """Reject requests once the tokens of a key's limit are used."""
    key = context.create_key("few tokens", tpm_limit=1)
    protocol = context.choose_default_protocol()
    exchange = _call_with_key(context, protocol, key)
    if _is_limited(exchange):
        return  # the gateway counts the tokens of a prompt before it sends it
    context.require_success(exchange)
    exchange = _call_with_key(context, protocol, key)
    yield from check_error(context, exchange, "rate_limit_exceeded", "an error above the limit of tokens")


def check_raised_limit(context: LawContext) -> LawResults:
    """Apply a changed limit from the next request on."""
    key = context.create_key("raised", rpm_limit=1)
    protocol = context.choose_default_protocol()
    _call_with_key_ok(context, protocol, key)
    context.call_ok("updateKey", {"key_id": key.id}, body={"rpm_limit": 100})
    exchange = _call_with_key(context, protocol, key)
    if _is_limited(exchange):
        yield BrokenLaw(protocol.plain, "a success after the limit was raised", exchange.summary, exchange)


def check_limit_headers(context: LawContext) -> LawResults:
    """Report a key's limits in headers, and what remains after the requests and tokens that were used."""
    for protocol in _list_protocols_with_headers(context):
        key = context.create_key("headers", rpm_limit=9, tpm_limit=90_000)
        first, second = _call_with_key_ok(context, protocol, key), _call_with_key_ok(context, protocol, key)
        for counted, limit in (("requests", 9), ("tokens", 90_000)):
            figure = _read_figure(first, protocol, counted, "limit")
            if figure != limit:
                yield BrokenLaw(protocol.plain, f"a limit of {limit} {counted}", str(figure), first)
        remaining = [_read_figure(exchange, protocol, "requests", "remaining") for exchange in (first, second)]
        if remaining[0] != 8:
            yield BrokenLaw(protocol.plain, "8 of 9 requests remaining", str(remaining[0]), first)
        if remaining[0] is not None and remaining[1] is not None and remaining[0] - remaining[1] != 1:
            seen = f"{remaining[0] - remaining[1]} fewer"
            yield BrokenLaw(protocol.plain, "one request fewer remaining after a call", seen, second)
        yield from _check_remaining_tokens(protocol, first, second)


def _check_remaining_tokens(protocol: ChatProtocol, first: HttpExchange, second: HttpExchange) -> LawResults:
    before, after = (_read_figure(exchange, protocol, "tokens", "remaining") for exchange in (first, second))
    usage = protocol.read_usage(second.data)
    used = usage.prompt + usage.completion
    if before is not None and after is not None and before - after != used:
        yield BrokenLaw(protocol.plain, f"{used} tokens fewer remaining", f"{before - after} fewer", second)


def check_retry_after(context: LawContext) -> LawResults:
    """Report in `retry-after` the whole seconds after which a request is accepted again, no more than a window has."""
    longest = context.find_figure("limit-retry-after", "max_seconds")
    for protocol in context.list_chat_protocols():
        key = context.create_key("retry", rpm_limit=1)
        _call_with_key_ok(context, protocol, key)
        exchange = _call_with_key(context, protocol, key)
        if not _is_limited(exchange):
            raise NotChecked("the limit is not enforced")
        seconds = _parse_count(exchange.header("retry-after"))
        if seconds is None or not 1 <= seconds <= longest:
            expected, seen = f"retry-after from 1 to {longest}", f"'{exchange.header('retry-after') or ''}'"
            yield BrokenLaw(protocol.plain, expected, seen, exchange)
        elif seconds > _MAX_WAIT_SECONDS:
            # the next error must not promise a later end
            again = _call_with_key(context, protocol, key)
            later = _parse_count(again.header("retry-after"))
            if _is_limited(again) and later is not None and later > seconds + 1:
                seen = f"{later} s a moment later"
                yield BrokenLaw(protocol.plain, f"at most {seconds} s", seen, again)
        else:
            context.client.sleep(seconds + 0.1)
            again = _call_with_key(context, protocol, key)
            if _is_limited(again):
                expected = f"a request to be accepted after {seconds} s of retry-after"
                yield BrokenLaw(protocol.plain, expected, again.summary, again)


def check_headers_of_rejection(context: LawContext) -> LawResults:
    """Report in the error above a limit that no requests remain."""
    for protocol in _list_protocols_with_headers(context):
        key = context.create_key("nothing left", rpm_limit=1)
        _call_with_key_ok(context, protocol, key)
        exchange = _call_with_key(context, protocol, key)
        remaining = _read_figure(exchange, protocol, "requests", "remaining")
        if _is_limited(exchange) and remaining != 0:
            yield BrokenLaw(protocol.plain, "0 requests remaining", str(remaining), exchange)


def check_concurrency_limit(context: LawContext) -> LawResults:
    """Reject a call above the limit of calls under way, if a key has one, and accept it once another call has ended."""
    protocol, key = context.choose_default_protocol(), context.create_key("one at a time", concurrency_limit=1)
    if key.record.find("concurrency_limit") != 1:
        raise NotChecked("the gateway has no concurrency limit of a key")
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(_call_with_key, context, protocol, key) for _ in range(2)]
        accepted, *refused = sorted((call.result() for call in calls), key=lambda exchange: not exchange.is_success)
    context.require_success(accepted)
    for exchange in refused:
        if exchange.is_success and not _have_overlapped(accepted, exchange):
            raise NotChecked("no two calls were under way at once")
        yield from check_error(context, exchange, "concurrency_limit_exceeded", "an error above the limit of calls")
        wait = _parse_count(exchange.header("retry-after")) or 0
        if _is_limited(exchange) and wait <= _MAX_WAIT_SECONDS:
            context.client.sleep(wait + 0.1)
            again = _call_with_key(context, protocol, key)
            if _is_limited(again):
                yield BrokenLaw(protocol.plain, "a success once no call is under way", again.summary, again)


def _have_overlapped(*calls: HttpExchange) -> bool:
    """Return whether calls that began together were served together, not one after the other."""
    seconds = [exchange.elapsed for exchange in calls]
    return min(seconds) > _MIN_OVERLAP_SECONDS and max(seconds) < 1.5 * min(seconds)


_law = partial(Law, area="limits", needs=("token", "writes"))

LAWS = (
    _law("limit-requests", "Request limits are enforced", check_request_limit, PLAIN_CHAT, together=True, paid=2),
    _law("limit-tokens", "Token limits are enforced", check_token_limit, PLAIN_CHAT[:1], paid=1),
    _law("limit-raised", "New limits apply at once", check_raised_limit, PLAIN_CHAT[:1], paid=2),
    _law("limit-headers", "Rate limit headers are right", check_limit_headers, PLAIN_CHAT[:2], paid=4),
    _law("limit-retry-after", "retry-after is right", check_retry_after, PLAIN_CHAT, paid=3),
    _law("limit-concurrency", "Concurrency limits are enforced", check_concurrency_limit, PLAIN_CHAT[:1], paid=3),
    _law(
        "limit-refusal", "Limit errors report that nothing remains", check_headers_of_rejection, PLAIN_CHAT[:2], paid=2
    ),
)
