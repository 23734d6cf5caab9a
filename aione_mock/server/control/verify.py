"""Check which calls were made, with the exchanges that nearly match and why they do not."""

from __future__ import annotations

import math
from collections.abc import Mapping

import orjson

from aione_mock import protocols
from aione_mock.scenarios.conditions import Condition, MatchContext, compile_conditions
from aione_mock.scenarios.rule_compiler import RuleCompiler
from aione_mock.scenarios.rules import match_conditions
from aione_mock.server.control.journal import make_masked_reply
from aione_mock.server.journal import Exchange
from aione_mock.server.match_context import make_match_context
from aione_mock.server.sessions import Session
from aione_mock.structs import frozen, replace
from aione_mock.types import Call, Json, Reply

_MAX_NEAREST = 5
_BOUNDS = {"exactly": "exactly", "at_least": "at least", "at_most": "at most"}


@frozen
class ExchangeMatch:
    """The result of matching an exchange: how many conditions are met, and why others are not."""

    number: int
    satisfied: int
    reasons: tuple[str, ...]


class Verifier:
    """Match exchanges of the journal against the conditions of rules."""

    def __init__(self, compiler: RuleCompiler) -> None:
        self._compiler = compiler

    async def verify_calls(self, call: Call, session: Session) -> Reply:
        """Answer `POST /_mock/verify`."""
        wanted = call.data
        matches = self.match_exchanges(wanted.get("when", {}), wanted.get("status"), session)
        numbers = [match.number for match in matches if not match.reasons]
        low, high = _get_bounds(wanted)
        return make_masked_reply(
            {
                "passed": low <= len(numbers) <= high,
                "count": len(numbers),
                "message": f"expected {_describe_expected(wanted)}, found {len(numbers)}",
                "matches": numbers,
                "nearest": _list_nearest(matches) if len(numbers) < low else [],
            }
        )

    def match_exchanges(self, when: Json, status: int | None, session: Session) -> list[ExchangeMatch]:
        """Match each exchange, oldest first, against conditions and a status. Raises ScenarioError."""
        self._compiler.check_when(when)
        conditions = compile_conditions(when, "verify")
        return [_match_exchange(exchange, conditions, status, session) for exchange in session.journal]


def _get_bounds(wanted: Mapping[str, Json]) -> tuple[int, float]:
    """Return the minimum and maximum number of calls; without any given, at least one."""
    if not wanted.keys() & _BOUNDS.keys():
        return 1, math.inf
    low = max(wanted.get("exactly", 0), wanted.get("at_least", 0))
    return low, min(wanted.get("exactly", math.inf), wanted.get("at_most", math.inf))


def _match_exchange(
    exchange: Exchange, conditions: tuple[Condition, ...], status: int | None, session: Session
) -> ExchangeMatch:
    match = match_conditions("verify", conditions, _make_context(exchange, session))
    satisfied, reasons = match.satisfied, match.reasons
    if status is not None and status == exchange.status:
        satisfied += 1
    elif status is not None:
        reasons += (f"status is {exchange.status}, not {status}",)
    if reasons and exchange.logged_request.truncated:
        reasons += ("its body was too long to be kept whole",)
    return ExchangeMatch(exchange.number, satisfied, reasons)


def _make_context(exchange: Exchange, session: Session) -> MatchContext:
    """Return what rules could ask about the call, as far as the journal knows it."""
    call = exchange.logged_call
    if call is None:
        return MatchContext("", session.seed, "")
    data, body = None, exchange.logged_request.body
    if call.operation.body_validator and body:
        try:
            data = orjson.loads(body)
        except orjson.JSONDecodeError:
            data = None
    valid = exchange.valid and data is not None
    normalize = protocols.NORMALIZERS.get(call.operation.protocol)
    if normalize and valid:
        data = normalize(data, call.operation)
    return make_match_context(replace(call, data=data), session, "", valid=valid)


def _list_nearest(matches: list[ExchangeMatch]) -> list[Json]:
    missed = [match for match in matches if match.reasons]
    missed.sort(key=lambda match: (len(match.reasons), -match.satisfied, -match.number))
    return [
        {"number": match.number, "satisfied": match.satisfied, "reasons": list(match.reasons)}
        for match in missed[:_MAX_NEAREST]
    ]


def _describe_expected(wanted: Mapping[str, Json]) -> str:
    """Return `exactly 2 calls to createChatCompletion with model 'gpt-5.4'`."""
    counts = [f"{words} {wanted[name]}" for name, words in _BOUNDS.items() if name in wanted] or ["at least 1"]
    when = dict(wanted.get("when", {}))
    operation = when.pop("operation", None)
    to = f" to {' or '.join([operation] if isinstance(operation, str) else operation)}" if operation else ""
    traits = [f"{name} {_format_value(value)}" for name, value in when.items()]
    traits += [f"status {wanted['status']}"] if "status" in wanted else []
    with_ = f" with {', '.join(traits)}" if traits else ""
    return f"{' and '.join(counts)} {'call' if counts[-1].endswith(' 1') else 'calls'}{to}{with_}"


def _format_value(value: Json) -> str:
    return f"'{value}'" if isinstance(value, str) else orjson.dumps(value).decode()
