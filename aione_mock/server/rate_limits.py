"""Rate limits: requests and tokens per minute, concurrent calls, and the headers that report them.

Source: AIone documentation pages 02 and 03; Anthropic API reference, "Rate limits"; OpenAI guide, "Rate limits".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache

from aione_mock.clock import format_instant
from aione_mock.contract import Operation
from aione_mock.errors import APIError
from aione_mock.server.sessions import Session
from aione_mock.store import Window
from aione_mock.types import Caller

RATE_EXCEEDED, CONCURRENCY_EXCEEDED = LIMIT_ERRORS = ("rate_limit_exceeded", "concurrency_limit_exceeded")
"""Names of the errors above a limit."""
REQUESTS, TOKENS = 0, 1
"""Parts of a key's window."""
SPAN_SECONDS = 60.0
"""The window in which requests and tokens are counted (assumed)."""
_KINDS = ("requests", "tokens")
PLACE = "limits/"
"""What the names of windows begin with, before the id of the key."""
_FULL = f"{SPAN_SECONDS // 60:.0f}m0s"
_ONE_REQUEST, _NOTHING = (1, 0), (0, 0)
FormatReset = Callable[[float, float], str]


def read_window(caller: Caller | None, now: float, session: Session) -> Window | None:
    """Return what a key has used of its limits; None for callers without a key."""
    if caller is None or caller.key_id is None:
        return None
    plan = session.tenants.organisations[caller.org_id].plan
    limits = caller.rpm_limit or plan.rpm_limit, caller.tpm_limit or plan.tpm_limit
    return session.store.count_window(PLACE + caller.key_id, now, SPAN_SECONDS, _NOTHING, limits)


def list_used_keys(session: Session) -> list[str]:
    """Return the ids of the keys that have used something lately, the first that did first."""
    windows = [place.removeprefix(PLACE) for place in session.store.list_windows(PLACE)]
    return [*dict.fromkeys([*windows, *session.in_flight])]


def take_request(key: str, caller: Caller, now: float, session: Session) -> Window:
    """Count a request against the limits of a key and return them; `release_call` ends its concurrent call.

    Raises APIError `rate_limit_exceeded` or `concurrency_limit_exceeded` with the `retry-after` at which there is room.
    """
    plan, calls = session.tenants.organisations[caller.org_id].plan, session.in_flight.get(key, 0)
    limits = caller.rpm_limit or plan.rpm_limit, caller.tpm_limit or plan.tpm_limit
    most = caller.concurrency_limit or plan.concurrency_limit
    amounts = _ONE_REQUEST if calls < most else _NOTHING
    window = session.store.count_window(PLACE + key, now, SPAN_SECONDS, amounts, limits)
    if not window.taken:
        raise refuse_rate(window)
    if calls >= most:
        raise refuse_concurrency(most)
    session.in_flight[key] = calls + 1
    return window


def take_tokens(key: str, tokens: int, now: float, session: Session) -> None:
    """Count the tokens of an answer against the limits of a key, whether or not they are used up."""
    session.store.add_to_window(PLACE + key, now, SPAN_SECONDS, (0, tokens))


def release_call(key: str, session: Session) -> None:
    """End a concurrent call of a key: it was answered to the last event, or its client has left."""
    left = session.in_flight.get(key, 0) - 1
    if left > 0:
        session.in_flight[key] = left
    else:
        session.in_flight.pop(key, None)


def refuse_rate(window: Window) -> APIError:
    """Return the refusal of a request above a limit per minute."""
    wait = max(window.compute_wait(part, limit - 1) for part, limit in enumerate(window.most))
    part = REQUESTS if not window.count_left(REQUESTS) else TOKENS
    return _refuse(RATE_EXCEEDED, f"Rate limit exceeded: {window.most[part]} {_KINDS[part]} per minute", wait)


def refuse_concurrency(most: int) -> APIError:
    """Return the refusal of one call too many at a time."""
    return _refuse(CONCURRENCY_EXCEEDED, f"Concurrency limit exceeded: {most} call{'s' * (most > 1)} at a time", 1)


def _refuse(name: str, reason: str, wait: float) -> APIError:
    seconds = max(1, math.ceil(wait))
    return APIError(name, f"{reason}. Try again in {seconds} s.", headers={"retry-after": str(seconds)})


def format_headers(limits: Window, spent: int, operation: Operation, status: int) -> str:
    """Return the rate-limit headers that the operation declares for a status, each with `\r\n` before it.

    `spent` are the tokens of the answer, which the limits do not hold yet.
    """
    template, format_reset = _make_header_template(operation, status)
    if not template:
        return ""
    now, (last_request, last_tokens), (rpm, tpm) = limits.now, limits.lasts, limits.most
    requests, tokens = rpm - limits.totals[REQUESTS], tpm - limits.totals[TOKENS] - spent
    reset = format_reset(last_request, now)
    again = reset if spent and last_request == now else format_reset(now if spent else last_tokens, now)
    return template % (rpm, requests if requests > 0 else 0, reset, tpm, tokens if tokens > 0 else 0, again)


@lru_cache(maxsize=256)
def _make_header_template(operation: Operation, status: int) -> tuple[str, FormatReset]:
    """Return the lines for six values, undeclared headers left out, and the function that formats a reset."""
    pattern, format_reset = _HEADERS.get(operation.protocol, ("", _format_duration))
    declared = operation.response_headers.get(status, ())
    names = [pattern.format(kind=kind, part=part) for kind in _KINDS for part in ("limit", "remaining", "reset")]
    if declared and not {*names}.isdisjoint(declared):
        return "".join([f"\r\n{name}: %s" if name in declared else "%.0s" for name in names]), format_reset
    return "", format_reset


def _format_duration(last: float, now: float) -> str:
    """Return when what was last taken is free again, as OpenAI writes it: `350ms`, `12s` or `1m0s`."""
    seconds = last + SPAN_SECONDS - now
    if seconds > SPAN_SECONDS - 1:
        return _FULL
    if seconds < 1:
        return f"{math.ceil(max(0.0, seconds) * 1000)}ms"
    whole = math.ceil(seconds)
    return f"{whole // 60}m{whole % 60}s" if whole >= 60 else f"{whole}s"


def _format_instant(last: float, now: float) -> str:
    """Return the same as Anthropic writes it: an instant."""
    return format_instant(datetime.fromtimestamp(math.ceil(max(now, last + SPAN_SECONDS)), UTC))


_HEADERS = {
    "openai": ("x-ratelimit-{part}-{kind}", _format_duration),
    "anthropic": ("anthropic-ratelimit-{kind}-{part}", _format_instant),
}
"""Protocol to the names of its headers, and how it writes when a limit is free again."""
