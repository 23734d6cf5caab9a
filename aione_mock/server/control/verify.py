"""Were such calls made? A verdict over the journal, with the exchanges that nearly count and why they do not."""

from __future__ import annotations

import math
from collections.abc import Mapping

import orjson

from aione_mock import protocols
from aione_mock.contract import Contract
from aione_mock.scenarios.conditions import Condition, MatchContext, compile_conditions
from aione_mock.scenarios.rules import match_conditions
from aione_mock.server.control.journal import masked
from aione_mock.server.journal import Exchange
from aione_mock.server.match_context import make_match_context
from aione_mock.server.pipeline import Pipeline
from aione_mock.server.sessions import Session
from aione_mock.structs import frozen, replace
from aione_mock.types import Call, Json, Reply

_SHOWN = 5
"""Near misses told."""


@frozen
class Look:
    """One exchange held against what is expected."""

    number: int
    satisfied: int
    reasons: tuple[str, ...]


class Verifier:
    """Weighs exchanges with the conditions that rules are made of."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._contract, self._compiler = pipeline.contract, pipeline.scenarios.compiler

    async def verify_calls(self, call: Call, session: Session) -> Reply:
        """`POST /_mock/verify`."""
        wanted = call.data
        looks = self.looks(wanted.get("when", {}), wanted.get("status"), session)
        matches = [look.number for look in looks if not look.reasons]
        low, high = _bounds(wanted)
        return masked(
            {
                "passed": low <= len(matches) <= high,
                "count": len(matches),
                "message": f"expected {_expected(wanted)}, found {len(matches)}",
                "matches": matches,
                "nearest": _nearest(looks) if len(matches) < low else [],
            }
        )

    def looks(self, when: Json, status: int | None, session: Session) -> list[Look]:
        """Every exchange of the journal, oldest first, held against conditions and a status. Raises ScenarioError."""
        self._compiler.check_when(when)
        tests = compile_conditions(when, "verify")
        return [_look(entry, tests, status, session, self._contract) for entry in session.journal]


def _bounds(wanted: Mapping[str, Json]) -> tuple[int, float]:
    """The fewest and the most calls expected; at least one where no number is given."""
    if not wanted.keys() & {"exactly", "at_least", "at_most"}:
        return 1, math.inf
    low = max(wanted.get("exactly", 0), wanted.get("at_least", 0))
    return low, min(wanted.get("exactly", math.inf), wanted.get("at_most", math.inf))


def _look(
    entry: Exchange, tests: tuple[Condition, ...], status: int | None, session: Session, contract: Contract
) -> Look:
    match = match_conditions("verify", tests, _facts(entry, session, contract))
    satisfied, reasons = match.satisfied, match.reasons
    if status is not None and status == entry.status:
        satisfied += 1
    elif status is not None:
        reasons += (f"status is {entry.status}, not {status}",)
    if reasons and entry.logged_request.truncated:
        reasons += ("its body was too long to be kept whole",)
    return Look(entry.number, satisfied, reasons)


def _facts(entry: Exchange, session: Session, contract: Contract) -> MatchContext:
    """What rules were told about the call, as far as the journal has it."""
    if entry.logged_call is None:
        return MatchContext("", session.seed, "")
    operation = entry.logged_call.operation
    try:
        data = (
            orjson.loads(entry.logged_request.body) if operation.body_validator and entry.logged_request.body else None
        )
    except orjson.JSONDecodeError:
        data = None
    normalize = protocols.NORMALIZERS.get(operation.protocol)
    valid = entry.valid and data is not None
    if normalize and valid:
        data = normalize(data, operation)
    return make_match_context(replace(entry.logged_call, data=data), session, "", valid=valid)


def _nearest(looks: list[Look]) -> list[Json]:
    missed = [look for look in looks if look.reasons]
    missed.sort(key=lambda look: (len(look.reasons), -look.satisfied, -look.number))
    return [
        {"number": look.number, "satisfied": look.satisfied, "reasons": list(look.reasons)} for look in missed[:_SHOWN]
    ]


def _expected(wanted: Mapping[str, Json]) -> str:
    """`exactly 2 calls to createChatCompletion with model 'gpt-5.4'`."""
    names = {"exactly": "exactly", "at_least": "at least", "at_most": "at most"}
    counts = [f"{words} {wanted[name]}" for name, words in names.items() if name in wanted] or ["at least 1"]
    when = dict(wanted.get("when", {}))
    operation = when.pop("operation", None)
    to = f" to {' or '.join([operation] if isinstance(operation, str) else operation)}" if operation else ""
    traits = [f"{name} {_written(value)}" for name, value in when.items()]
    traits += [f"status {wanted['status']}"] if "status" in wanted else []
    with_ = f" with {', '.join(traits)}" if traits else ""
    return f"{' and '.join(counts)} {'call' if counts[-1].endswith(' 1') else 'calls'}{to}{with_}"


def _written(value: Json) -> str:
    return f"'{value}'" if isinstance(value, str) else orjson.dumps(value).decode()
