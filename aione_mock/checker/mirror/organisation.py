"""An organisation of a gateway: plan, account, tokens, teams and keys, as the console shows them to a token."""

from __future__ import annotations

import reprlib
from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from aione_mock.checker.errors import UnreadableAnswer
from aione_mock.checker.json_reader import JsonReader
from aione_mock.checker.mirror.entries import Entry, fit_entry, read_members, read_money
from aione_mock.checker.mirror.models import Models
from aione_mock.checker.mirror.reader import GatewayReader
from aione_mock.checker.target import VARIABLES
from aione_mock.clock import SYSTEM_CLOCK, format_instant
from aione_mock.tenant.organisation_file import ApiKeySpec, BillingAccount, BillingPlan, TeamSpec
from aione_mock.types import Json

_PLAN = {"id": "id", "name": "name", "rpm_limit": "rpm_limit", "tpm_limit": "tpm_limit", "models": "models"}
_KEY = {
    "id": "id",
    "name": "name",
    "team_id": "team",
    "models_allowed": "models_allowed",
    "allowed_ips": "allowed_ips",
    "rpm_limit": "rpm_limit",
    "tpm_limit": "tpm_limit",
    "is_sandbox": "is_sandbox",
}
_AMOUNTS = ("balance_rmb", "credit_limit_rmb", "monthly_budget_rmb")
_RESTRICTIONS = ("models_allowed", "allowed_ips")
"""Lists that restrict a key, but not if they are empty."""
_ACTIVE, _DISABLED, _EXPIRED = "active", "disabled", "expired"
_LONGEST_RANGE = 90
"""Days."""


@dataclass(slots=True)
class OrganisationReading:
    """What was read of one organisation. `entries` are members of the file."""

    label: str
    token: str
    """The field of the target that reads it."""
    id: str | None = None
    entries: dict[str, Entry | list[Entry]] = field(default_factory=dict)

    def list_models(self) -> list[str]:
        """List the models that plan and keys name."""
        plan = self.entries.get("plan")
        names = list(plan.get("models", ())) if isinstance(plan, dict) else []
        return [*names, *(name for key in self.list_entries("keys") for name in key.get("models_allowed") or ())]

    def list_ids(self) -> set[str]:
        """List the ids of teams and keys."""
        return {entry.get("id", "") for name in ("teams", "keys") for entry in self.list_entries(name)}

    def list_entries(self, name: str) -> list[Entry]:
        """Return a member that is a list."""
        found = self.entries.get(name)
        return found if isinstance(found, list) else []


def read_organisation(
    reader: GatewayReader, label: str, *tokens: str, taken: Container[str] = ()
) -> OrganisationReading:
    """Read the organisation of some tokens, fields of the target; each may show another view of it.

    Keys and teams of the ids in `taken` are those of another organisation.
    """
    given = [name for name in tokens if getattr(reader.context.target, name)]
    token = (given or tokens)[0]
    reading = OrganisationReading(label, token)
    reading.entries["plan"] = _read_plan(reader, label, token)
    reading.entries["account"] = _read_account(reader, reading, token)
    rows = reader.read_rows(f"{label}.keys", "listKeys", "keys", token, "items")
    dashboards = {name: _read_dashboard(reader, label, name) for name in given}
    reading.entries["tokens"] = [_make_token(name, dashboards[name]) for name in given if name in reader.accepted]
    teams = _read_teams(reader, label, rows or (), dashboards.values())
    reading.entries["teams"] = [{**team, "id": ""} if team_id in taken else team for team_id, team in teams.items()]
    keys = _read_keys(reader, label, rows or (), teams)
    reading.entries["keys"] = [key for key in keys if key.get("id") not in taken]
    if len(reading.list_entries("keys")) < len(keys):
        reader.note(f"{label}.keys", "keys that the first organisation shows too are left out")
    reader.used += bool(keys)
    if reading.id is None:
        ids = (_read_uuid(row.find("org_id")) for row in rows or ())
        reading.id = next(filter(None, ids), None)
    return reading


def _read_plan(reader: GatewayReader, label: str, token: str) -> Entry:
    section = f"{label}.plan"
    answer = reader.read(section, "getPlan", "the plan", token)
    if answer is None:
        return {}
    plan = read_members(reader, answer, _PLAN)
    fee = read_money(reader, section, answer, "monthly_fee_rmb")
    found = fit_entry(reader, section, BillingPlan, plan | ({"monthly_fee_rmb": fee} if fee else {})) or {}
    _note_use(reader, section, "the plan", found)
    return found


def _read_account(reader: GatewayReader, reading: OrganisationReading, token: str) -> Entry:
    section = f"{reading.label}.account"
    answer = reader.read(section, "getBillingAccount", "the account", token)
    if answer is None:
        return {}
    amounts = {name: read_money(reader, section, answer, name) for name in _AMOUNTS}
    account = {name: amount for name, amount in amounts.items() if amount is not None}
    found = fit_entry(reader, section, BillingAccount, read_members(reader, answer, {"id": "id"}) | account) or {}
    reading.id = _read_uuid(answer.find("org_id"))
    _note_use(reader, section, "the account", found)
    return found


def _note_use(reader: GatewayReader, section: str, name: str, found: Entry) -> None:
    reader.used += bool(found)
    if not found:
        reader.note(section, f"{name} has no member that could be used")


def _read_dashboard(reader: GatewayReader, label: str, token: str) -> JsonReader | None:
    return reader.read(f"{label}.teams", "getDashboard", "names of teams", token, range_days=_LONGEST_RANGE)


def _make_token(name: str, dashboard: JsonReader | None) -> Entry:
    """Return a token with a secret of its own."""
    view = dashboard.find("view_mode") if dashboard else None
    default = "business" if name == "business_token" else "tech"
    chosen = view if view in ("tech", "business") else default
    return {"label": name.replace("_", "-"), "view": chosen, "env": VARIABLES[name]}


# Teams


def _read_teams(
    reader: GatewayReader, label: str, keys: Iterable[JsonReader], dashboards: Iterable[JsonReader | None]
) -> dict[str, Entry]:
    """Return the teams that keys and dashboards show, by id. Only the dashboard for payers has their names."""
    names: dict[str, str] = {}
    for dashboard in filter(None, dashboards):
        names |= _read_team_names(reader, dashboard)
    ids = [_read_uuid(row.find("team_id")) for row in keys]
    section = f"{label}.teams"
    counts = Counter(names.values())
    teams: dict[str, Entry] = {}
    for position, team_id in enumerate(dict.fromkeys([*names, *filter(None, ids)]), 1):
        name = names.get(team_id)
        if name is None:
            reader.note(section, "the name is made up, as no dashboard shows it", team_id)
        # a name that two teams have refers to neither
        own_label = {"label": team_id} if counts[name or ""] > 1 else {}
        entry = {**own_label, "id": team_id, "name": name or f"Team {position}"}
        if fitted := fit_entry(reader, section, TeamSpec, entry):
            teams[team_id] = fitted
    return teams


def _read_team_names(reader: GatewayReader, dashboard: JsonReader) -> dict[str, str]:
    try:
        rows = dashboard.list_rows("business", "team_cost_ranking")
    except UnreadableAnswer:
        return {}
    found = {_read_uuid(row.find("team_id")): row.find("team_name") for row in rows}
    return {uuid: reader.mask(name) for uuid, name in found.items() if uuid and isinstance(name, str) and name.strip()}


def _read_uuid(value: Json) -> str | None:
    try:
        return str(UUID(value)) if isinstance(value, str) else None
    except ValueError:
        return None


# Keys


def _read_keys(reader: GatewayReader, label: str, rows: Iterable[JsonReader], teams: dict[str, Entry]) -> list[Entry]:
    section = f"{label}.keys"
    used: set[str] = set()
    keys: dict[str, Entry] = {}
    for position, row in enumerate(rows, 1):
        if not isinstance(row.value, dict):
            reader.note(section, "an item of the list is no key and is left out")
            continue
        key_id = _read_uuid(row.find("id")) or f"key-{position}"
        if key_id in keys:
            reader.note(section, "a key is listed again", key_id)
            continue
        if entry := _read_key(reader, section, row, key_id, teams):
            keys[key_id] = _name_entry(entry, key_id, used)
    if own := _find_own_key(reader, rows, list(keys.values())):
        own["env"] = VARIABLES["key"]
    return list(keys.values())


def _name_entry(entry: Entry, fallback: str, used: set[str]) -> Entry:
    """Return an entry with a label if its name is missing or is the label of another one."""
    name = entry.get("name")
    label = name.strip() if isinstance(name, str) else ""
    if not label or label in used:
        label = fallback
        entry = {"label": label, **entry}
    used.add(label)
    return entry


def _read_key(
    reader: GatewayReader, section: str, row: JsonReader, key_id: str, teams: dict[str, Entry]
) -> Entry | None:
    shown = read_members(reader, row, _KEY)
    restrictions = [name for name in _RESTRICTIONS if shown.get(name)]
    key = {name: value for name, value in shown.items() if value is not False}
    if "team" in key:
        team = teams.get(_read_uuid(key.pop("team")) or "")
        if team:
            key["team"] = team.get("label") or team["name"]
        else:
            reader.note(section, "team_id is left out: it is no UUID", key_id)
    if isinstance(key.get("name"), str) and not key["name"].strip():
        del key["name"]
    key |= _read_state(reader, section, row, key_id)
    fitted = fit_entry(reader, section, ApiKeySpec, key)
    if fitted is not None and any(not fitted.get(name) for name in restrictions):
        _disable(reader, section, fitted)
    return fitted


def _disable(reader: GatewayReader, section: str, key: Entry) -> None:
    """Switch a key off whose restrictions would all be lost."""
    key["status"] = _DISABLED
    reader.note(section, "a key whose restrictions cannot be carried over is disabled", str(key.get("id", "")))


def _read_state(reader: GatewayReader, section: str, row: JsonReader, key_id: str) -> Entry:
    """Return status, expiry and the rest of a rotation."""
    status, expires_at = row.find("status"), _read_instant(reader, section, row, "expires_at")
    state: Entry = {} if expires_at is None else {"expires_at": format_instant(expires_at)}
    if status == _EXPIRED and (expires_at is None or expires_at > SYSTEM_CLOCK.now()):
        state = {"expired_ago": 1}
    elif status not in (_ACTIVE, _EXPIRED):
        state["status"] = _DISABLED
        if status != _DISABLED:
            reader.note(section, f"a key of the status {reprlib.repr(status)} is disabled", key_id)
    grace = _read_instant(reader, section, row, "rotate_grace_until")
    if grace is not None:
        hours = -(-(grace - SYSTEM_CLOCK.now()).total_seconds() // 3600)
        state["rotated"] = {"secret": f"sk-nex-before-rotation-{key_id}", "grace_hours": max(1, int(hours))}
    return state


def _read_instant(reader: GatewayReader, section: str, row: JsonReader, name: str) -> datetime | None:
    if row.find(name) is None:
        return None
    try:
        return row.read_instant(name)
    except UnreadableAnswer:
        reader.note(section, f"{name} is left out: it is no time", str(row.find("id")))
        return None


def _find_own_key(reader: GatewayReader, rows: Iterable[JsonReader], keys: list[Entry]) -> Entry | None:
    """Return the key that reads the gateway, which its prefix shows; the first active one of several."""
    secret = reader.context.target.key or ""
    prefixes = {str(row.find("id")).lower(): row.find("key_prefix") for row in rows}
    found = [
        key
        for key in keys
        if isinstance(prefix := prefixes.get(key.get("id", "")), str) and prefix and secret.startswith(prefix)
    ]
    active = [key for key in found if "status" not in key and "expired_ago" not in key]
    return next(iter(active or found), None)


# Models


def fit_models(reader: GatewayReader, reading: OrganisationReading, models: Models) -> None:
    """Let plan and keys name listed models alone, as the file must; without a list, any name is a model."""
    plan = reading.entries["plan"]
    if not models:
        if isinstance(plan, dict) and plan.pop("models", None):
            reader.note(f"{reading.label}.plan", "the plan's models are left out, as every name is a model")
        return
    owners = {name: model["id"] for model in models.values() for name in (model["id"], *model.get("aliases", ()))}
    if isinstance(plan, dict) and "models" in plan:
        _fit_plan(reader, f"{reading.label}.plan", plan, owners, models)
    included = set(plan.get("models", models)) if isinstance(plan, dict) else set(models)
    for key in reading.list_entries("keys"):
        if allowed := key.get("models_allowed"):
            key["models_allowed"] = [name for name in allowed if owners.get(name) in included]
            for name in set(allowed) - set(key["models_allowed"]):
                reader.note(f"{reading.label}.keys", "a model that a key allows is no model of the plan", repr(name))
            if not key["models_allowed"]:
                del key["models_allowed"]
                _disable(reader, f"{reading.label}.keys", key)


def _fit_plan(reader: GatewayReader, section: str, plan: Entry, owners: dict[str, str], models: Models) -> None:
    known = list(dict.fromkeys(owners[name] for name in plan["models"] if name in owners))
    for name in plan["models"]:
        if name not in owners:
            reader.note(section, "a model of the plan is in no list of models", repr(name))
    plan["models"] = known
    if not known or set(known) == set(models):
        del plan["models"]
