"""What a ModelRouter query looks at: its window of time, its buckets, and which calls.

Source: Alibaba Cloud, ModelRouterQueryObservationCharts; the rules on windows and buckets are assumed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from aione_mock.contract.validation import Finding
from aione_mock.server.handlers.owner import organisation
from aione_mock.server.sessions import Session
from aione_mock.structs import frozen
from aione_mock.tenant import api_keys, calendar
from aione_mock.tenant.api_keys import KeyRecord
from aione_mock.tenant.calendar import DAY, HOUR
from aione_mock.tenant.catalogue import Model
from aione_mock.tenant.ledger import Filter
from aione_mock.tenant.organisation import Team
from aione_mock.types import Call

_WIDTHS = {"1h": 60, "6h": 5 * 60, "24h": 15 * 60, "7d": 2 * HOUR, "30d": 6 * HOUR}
"""Seconds of a bucket."""
_SPANS = {"1h": HOUR, "6h": 6 * HOUR, "24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY}
_USUAL = "24h"
_POINTS = 180
_LONGEST = _POINTS * max(_WIDTHS.values())
_DIGITS = 18
"""An id with more is nobody's."""


@frozen
class Directory:
    """The numbers that ModelRouter knows things by."""

    teams: Mapping[str | None, Team]
    keys: Mapping[str | None, KeyRecord]
    models: Mapping[str, tuple[int, Model]]
    """A model's number is its place in the catalogue, from 1."""


async def directory(call: Call, session: Session) -> Directory:
    """The things of the caller's organisation, deleted keys too."""
    org = organisation(call, session)
    return Directory(
        {team.id: team for team in org.teams},
        {record.id: record for record in await session.tenants.keys.list(session.store, org.id)},
        {model.id: (number, model) for number, model in enumerate(session.catalogue.models, 1)},
    )


def window(call: Call, session: Session) -> tuple[float, float, int]:
    """Start and end in Unix seconds, and the width of a bucket in seconds.

    A window that ends now holds the present minute: calls are counted by whole minutes.
    """
    asked = call.params
    if "startTime" in asked:
        start, end = (
            calendar.parse_timestamp(asked["startTime"]) or 0.0,
            calendar.parse_timestamp(asked["endTime"]) or 0.0,
        )
        return start, end, next(width for width in _WIDTHS.values() if width * _POINTS >= end - start)
    name = asked.get("timeRange", _USUAL)
    end = (session.clock.timestamp() // 60 + 1) * 60
    return end - _SPANS[name], end, _WIDTHS[name]


def wanted(call: Call, known: Directory) -> Filter:
    """Which calls the query is about."""
    asked = call.params
    models = None
    if "modelId" in asked:
        models = [model.id for number, model in known.models.values() if number == asked["modelId"]]
    clients = {asked["clientId"]} if "clientId" in asked else _numbers(asked.get("clientIds"))
    members = _numbers(asked.get("memberUserIds"))
    numbers = {asked["apiKeyId"]} if "apiKeyId" in asked else None
    if clients is members is numbers is None:
        return Filter(models)
    teams = None if clients is None else _teams(clients, known)
    return Filter(models, keys=api_keys.filter_keys(known.keys.values(), teams=teams, members=members, numbers=numbers))


def _teams(numbers: set[int], known: Directory) -> set[str | None]:
    """The departments with these numbers; 0 is how lists show that there is none."""
    found: set[str | None] = {team.id for team in known.teams.values() if team.number in numbers}
    return found | {None} if 0 in numbers else found


def _numbers(text: str | None) -> set[int] | None:
    """Numbers separated by commas; the empty set for empty text, None for none."""
    if text is None:
        return None
    return {int(part) for part in text.split(",") if part and len(part) <= _DIGITS}


def check(call: Call, session: Session) -> Iterator[Finding]:
    """What the parameters' schemas cannot say: which go together, and which windows there are."""
    asked = call.params
    if {"clientId", "clientIds"} <= {*asked}:
        yield _finding("clientIds", "cannot be combined with clientId")
    times = [name for name in ("startTime", "endTime") if name in asked]
    if "timeRange" in asked and times:
        yield _finding("timeRange", "cannot be combined with startTime and endTime")
    elif len(times) == 1:
        missing = "endTime" if times == ["startTime"] else "startTime"
        yield _finding(missing, f"is needed together with {times[0]}")
    elif times:
        yield from _check_times(asked["startTime"], asked["endTime"])


def _check_times(first: str, last: str) -> Iterator[Finding]:
    start, end = calendar.parse_timestamp(first), calendar.parse_timestamp(last)
    if start is None or end is None:
        yield _finding("startTime" if start is None else "endTime", "is not a time such as 2026-01-31T09:00:00Z")
    elif start >= end:
        yield _finding("startTime", "must lie before endTime")
    elif end - start > _LONGEST:
        yield _finding("endTime", f"must lie at most {_LONGEST // DAY} days after startTime")


def _finding(name: str, message: str) -> Finding:
    return Finding(("query", name), message, "value_error")
