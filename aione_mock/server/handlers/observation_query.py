"""Read a ModelRouter query: its window of time, its buckets, and which calls it is about.

Source: Alibaba Cloud, ModelRouterQueryObservationCharts; the rules on windows and buckets are assumed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from aione_mock.contract.validation import Violation
from aione_mock.server.model_names import list_offered_models
from aione_mock.server.sessions import Session
from aione_mock.structs import frozen
from aione_mock.tenant.api_keys import KeyRecord, filter_keys
from aione_mock.tenant.calendar import DAY, HOUR, parse_timestamp
from aione_mock.tenant.catalogue import Model
from aione_mock.tenant.ledger import UsageFilter
from aione_mock.tenant.organisation import Team
from aione_mock.types import Call

_BUCKET_SECONDS = {"1h": 60, "6h": 5 * 60, "24h": 15 * 60, "7d": 2 * HOUR, "30d": 6 * HOUR}
_WINDOW_SECONDS = {"1h": HOUR, "6h": 6 * HOUR, "24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY}
_DEFAULT_RANGE = "24h"
_MAX_BUCKETS = 180
_MAX_WINDOW_SECONDS = _MAX_BUCKETS * max(_BUCKET_SECONDS.values())
_MAX_ID_DIGITS = 18
"""Longer ids belong to nothing."""


@frozen
class Directory:
    """The numbers by which ModelRouter names teams, keys and models."""

    teams: Mapping[str | None, Team]
    keys: Mapping[str | None, KeyRecord]
    models: Mapping[str, tuple[int, Model]]
    """A model's number is its place in the catalogue, from 1."""


async def load_directory(call: Call, session: Session) -> Directory:
    """Load what the caller's organisation has, deleted keys too."""
    org = session.tenants.find_organisation(call.caller)
    return Directory(
        {team.id: team for team in org.teams},
        {record.id: record for record in await session.tenants.keys.list(session.store, org.id)},
        {model.id: (number, model) for number, model in enumerate(list_offered_models(session), 1)},
    )


def read_window(call: Call, session: Session) -> tuple[float, float, int]:
    """Return start and end in Unix seconds, and the width of a bucket in seconds.

    A window that ends now contains the present minute: calls are counted by whole minutes.
    """
    params = call.params
    if "startTime" in params:
        start, end = (parse_timestamp(params[name]) or 0.0 for name in ("startTime", "endTime"))
        widths = [width for width in _BUCKET_SECONDS.values() if width * _MAX_BUCKETS >= end - start]
        return start, end, widths[0]
    name = params.get("timeRange", _DEFAULT_RANGE)
    end = (session.clock.timestamp() // 60 + 1) * 60
    return end - _WINDOW_SECONDS[name], end, _BUCKET_SECONDS[name]


def read_filter(call: Call, directory: Directory) -> UsageFilter:
    """Return which calls the query is about."""
    params, models = call.params, None
    if "modelId" in params:
        models = [model.id for number, model in directory.models.values() if number == params["modelId"]]
    clients = {params["clientId"]} if "clientId" in params else _parse_ids(params.get("clientIds"))
    members = _parse_ids(params.get("memberUserIds"))
    numbers = {params["apiKeyId"]} if "apiKeyId" in params else None
    if clients is members is numbers is None:
        return UsageFilter(models)
    teams = None if clients is None else _find_teams(clients, directory)
    return UsageFilter(models, keys=filter_keys(directory.keys.values(), teams=teams, members=members, numbers=numbers))


def _find_teams(numbers: set[int], directory: Directory) -> set[str | None]:
    """Return the ids of the departments with these numbers. Lists show 0 where there is no department."""
    found: set[str | None] = {team.id for team in directory.teams.values() if team.number in numbers}
    return found | {None} if 0 in numbers else found


def _parse_ids(text: str | None) -> set[int] | None:
    """Parse numbers separated by commas: the empty set for empty text, None for None."""
    if text is None:
        return None
    return {int(part) for part in text.split(",") if part and len(part) <= _MAX_ID_DIGITS}


def check_query(call: Call, session: Session) -> Iterator[Violation]:
    """Check which parameters go together, and the window."""
    params = call.params
    if "clientId" in params and "clientIds" in params:
        yield _create_finding("clientIds", "cannot be combined with clientId")
    times = [name for name in ("startTime", "endTime") if name in params]
    if "timeRange" in params and times:
        yield _create_finding("timeRange", "cannot be combined with startTime and endTime")
    elif len(times) == 1:
        missing = "endTime" if times == ["startTime"] else "startTime"
        yield _create_finding(missing, f"is needed together with {times[0]}")
    elif times:
        yield from _check_times(params["startTime"], params["endTime"])


def _check_times(first: str, last: str) -> Iterator[Violation]:
    start, end = parse_timestamp(first), parse_timestamp(last)
    if start is None or end is None:
        name = "startTime" if start is None else "endTime"
        yield _create_finding(name, "is not a time such as 2026-01-31T09:00:00Z")
    elif start >= end:
        yield _create_finding("startTime", "must lie before endTime")
    elif end - start > _MAX_WINDOW_SECONDS:
        yield _create_finding("endTime", f"must lie at most {_MAX_WINDOW_SECONDS // DAY} days after startTime")


def _create_finding(name: str, message: str) -> Violation:
    return Violation(("query", name), message, "value_error")
