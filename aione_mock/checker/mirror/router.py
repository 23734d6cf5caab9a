"""What ModelRouter shows of a gateway: which observations a key may query, and who called which models."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from aione_mock.checker.errors import UnreadableAnswer
from aione_mock.checker.json_reader import JsonReader
from aione_mock.checker.mirror.entries import Entry, read_members
from aione_mock.checker.mirror.reader import GatewayReader
from aione_mock.checker.target import VARIABLES

_SECTION = "main.access_keys"
_LOGS = "ModelRouterQueryObservationLogs"
_WINDOW, _ROWS = "30d", 50
"""Of the log of calls, and of a page of it."""


@dataclass(slots=True)
class RouterReading:
    """What was read of ModelRouter."""

    access_key: Entry | None = None
    teams: dict[int, Entry] = field(default_factory=dict)
    """By their numbers, as the keys."""
    keys: dict[int, Entry] = field(default_factory=dict)
    models: dict[str, Entry] = field(default_factory=dict)


def read_router(reader: GatewayReader, *, pages: int = 1) -> RouterReading:
    """Query each observation once, and the newest pages of the log."""
    reading = RouterReading()
    if not reader.context.target.access_secret:
        reader.note(_SECTION, "ModelRouter was not asked: no access key was given (--access-key, --access-secret)")
        return reading
    operations = [o for o in reader.context.contract.operations.values() if o.protocol == "modelrouter"]
    names = [operation.id for operation in operations]
    allowed = [name for name in names if name != _LOGS and _may_query(reader, name)]
    if _LOGS in names and _read_log(reader, reading, pages):
        allowed.append(_LOGS)
    if allowed:
        reader.used += 1
        actions = [o.ram_action for o in operations if o.id in allowed and o.ram_action]
        restriction = {} if len(allowed) == len(operations) else {"actions": actions}
        variables = {"env_id": VARIABLES["access_key"], "env_secret": VARIABLES["access_secret"]}
        reading.access_key = {"label": "modelrouter", **variables, **restriction}
    return reading


def _may_query(reader: GatewayReader, operation: str) -> bool:
    """Return whether an observation answers with data."""
    answer = reader.read(_SECTION, operation, "the observation", "access_secret")
    if answer is not None and not isinstance(answer.find("data"), dict):
        reader.note(_SECTION, f"the observation could not be read: the answer of {operation} has no data")
        return False
    return answer is not None


def _read_log(reader: GatewayReader, reading: RouterReading, pages: int) -> bool:
    """Read pages of the log; return whether there was one."""
    token = ""
    for number in range(pages):
        query: dict[str, Any] = {"timeRange": _WINDOW, "maxResults": _ROWS, "nextToken": token or None}
        page = reader.read(_SECTION, _LOGS, "the log of calls", "access_secret", **query)
        if page is None:
            return number > 0
        try:
            rows = page.list_rows("data", "list")
        except UnreadableAnswer as error:
            reader.note(_SECTION, f"the log of calls could not be read: {error}")
            return number > 0
        for row in rows:
            _read_call(reader, reading, row)
        reader.watch(f"{_LOGS}: page {number + 1}")
        following = page.find("nextToken")
        if not rows or not isinstance(following, str) or following in ("", token):
            return True
        token = following
    if pages > 1:
        reader.note(_SECTION, f"only the newest {pages * _ROWS} calls of the log were read")
    return True


def _read_call(reader: GatewayReader, reading: RouterReading, row: JsonReader) -> None:
    """Note department, key and model of a call."""
    try:
        team, key = row.read_integer("clientId"), row.read_integer("apiKeyId")
    except UnreadableAnswer:
        return
    if team > 0 and key > 0:
        reading.teams.setdefault(team, {"name": f"Department {team}", "number": team})
        reading.keys.setdefault(key, {"name": f"Key {key}", "number": key, "team": f"Department {team}"})
    model = read_members(reader, row, {"modelCode": "id", "modelName": "display_name", "symbol": "owner"})
    if model.get("id") and all(isinstance(value, str) and value.strip() for value in model.values()):
        reading.models.setdefault(model["id"], model)
