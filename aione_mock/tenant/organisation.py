"""Who is behind the API: organisations with plan, account, teams, people and credentials.

Read from `fixtures/organisation.yaml`. Ids and secrets are fixed; the seed picks names; the session's start
(`epoch`) anchors every date.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any

import yaml

from aione_mock.seed import Seed
from aione_mock.settings import fixture
from aione_mock.structs import frozen
from aione_mock.tenant.api_keys import KeyRecord, hash_secret, prefix
from aione_mock.tenant.calendar import (
    DAY,
    HOUR,
    day_to_date,
    day_to_month,
    day_to_timestamp,
    month_to_day,
    timestamp_to_day,
)
from aione_mock.types import Caller

HISTORY_DAYS = 90
"""The past begins with the month in which the day this long before the epoch lies."""
_IDS = Seed.of("organisation")

Spec = Mapping[str, Any]


@frozen
class Plan:
    """What was agreed. Money in RMB; limits hold for any 60 seconds, for a key without its own."""

    id: str
    name: str
    monthly_fee: Decimal
    rpm_limit: int
    tpm_limit: int
    concurrency_limit: int
    """Calls of one key that may be under way at a time."""
    models: tuple[str, ...] | None
    """Ids of the models included; None means all."""
    effective_from: date


@frozen
class Account:
    """What calls are paid from. Money in RMB."""

    id: str
    balance: Decimal
    """When the session starts."""
    credit_limit: Decimal
    monthly_budget: Decimal | None


@frozen
class Team:
    """A department; ModelRouter's `clientId` is its number and `clientUuid` its code."""

    id: str
    number: int
    code: str
    label: str
    name: str


@frozen
class Person:
    """Somebody of a team; ModelRouter's `memberUserId` is the number."""

    number: int
    name: str
    team_id: str


@frozen
class Past:
    """How a key was used before the session began."""

    rhythm: str
    calls: int
    """Requests on a plain working day of the first week."""
    prompt: int
    completion: int
    cached: int
    """Percentage of prompt tokens that came from the cache."""
    models: tuple[tuple[str, int], ...]
    """Model ids and their shares of the calls."""
    first_day: int
    last_day: int


@frozen
class AccessKey:
    """ModelRouter's pair of id and secret; the secret is needed as it is, to check signatures."""

    id: str
    secret: str
    org_id: str
    label: str
    status: str = "active"

    @property
    def caller(self) -> Caller:
        """Who calls with it."""
        return Caller(self.org_id, label=f"access key {self.id}")


@frozen
class Credential:
    """A seeded secret and what it is good for, as shown to people."""

    label: str
    kind: str
    """`key`, `token` (console) or `access_key`."""
    organisation: str
    """Label of the organisation."""
    purpose: str
    secret: str
    id: str | None = None
    """The access key's id, the key's uuid; None for tokens."""
    env: tuple[tuple[str, str], ...] = ()
    """Environment variables that hand it to a test: (name, value)."""


@frozen
class Organisation:
    """Everything known of one organisation when the session starts."""

    id: str
    label: str
    name: str
    since: int
    """First day, the first of a month."""
    plan: Plan
    account: Account
    teams: tuple[Team, ...]
    people: tuple[Person, ...]
    keys: tuple[KeyRecord, ...]
    pasts: Mapping[str, Past]
    """By key id, for the keys that have one."""
    tokens: Mapping[str, Caller]
    """Who stands behind each console token, by the token's hash."""
    access_keys: tuple[AccessKey, ...]
    credentials: tuple[Credential, ...]

    def team(self, team_id: str | None) -> Team | None:
        """The team with this id."""
        return next((team for team in self.teams if team.id == team_id), None)


@cache
def specification() -> Spec:
    """The data file as it stands."""
    data: Spec = yaml.load(fixture("organisation.yaml"), Loader=yaml.CSafeLoader)
    return data


def first_day(epoch: float) -> int:
    """The day on which the past begins: the first of a month, at least `HISTORY_DAYS` before the epoch."""
    return month_to_day(day_to_month(timestamp_to_day(epoch) - HISTORY_DAYS))


def organisations(seed: Seed, epoch: float) -> tuple[Organisation, ...]:
    """All organisations of a session. `epoch`: Unix seconds at its start."""
    spec = specification()
    return tuple(
        [_organisation(row, spec["names"], seed.child("names", row["label"]), epoch) for row in spec["organisations"]]
    )


def _organisation(row: Spec, words: Spec, seed: Seed, epoch: float) -> Organisation:
    label, since = row["label"], first_day(epoch)
    org_id = _id("organisation", row)
    teams = {team["label"]: _team(team, seed) for team in row["teams"]}
    people = tuple([_person(person, teams, words, seed) for person in row["people"]])
    names = {person.number: person.name for person in people}
    ids = {None: None} | {name: team.id for name, team in teams.items()}
    keys = tuple([_key(key, org_id, ids, since, epoch) for key in row["keys"]])
    return Organisation(
        id=org_id,
        label=label,
        name=_pick(row["names"], seed, "organisation"),
        since=since,
        plan=_plan(row["plan"], label, seed, since),
        account=_account(row["account"], label),
        teams=tuple(teams.values()),
        people=people,
        keys=keys,
        pasts={_id("key", key): _past(key, since, epoch) for key in row["keys"] if "past" in key},
        tokens={
            hash_secret(token["secret"]): Caller(org_id, view=token["view"], label=names[token["person"]])
            for token in row["tokens"]
        },
        access_keys=tuple(
            [AccessKey(k["id"], k["secret"], org_id, k["label"], k.get("status", "active")) for k in row["access_keys"]]
        ),
        credentials=_credentials(row),
    )


def _id(kind: str, row: Spec, label: str | None = None) -> str:
    """The UUID of a seeded thing, the same for all seeds."""
    written: str | None = row.get("id")
    return written or _uuid(kind, label or row["label"])


@cache
def _uuid(kind: str, label: str) -> str:
    return _IDS.uuid(kind, label)


def _pick(choices: list[str], seed: Seed, *labels: str | int) -> str:
    return choices[seed.number(*labels) % len(choices)]


def _plan(row: Spec, label: str, seed: Seed, since: int) -> Plan:
    models = row["models"]
    return Plan(
        id=_id("plan", row, label),
        name=_pick(row["names"], seed, "plan"),
        monthly_fee=Decimal(row["monthly_fee_rmb"]),
        rpm_limit=row["rpm_limit"],
        tpm_limit=row["tpm_limit"],
        concurrency_limit=row["concurrency_limit"],
        models=None if models is None else tuple(models),
        effective_from=day_to_date(since),
    )


def _account(row: Spec, label: str) -> Account:
    budget = row["monthly_budget_rmb"]
    return Account(
        id=_id("account", row, label),
        balance=Decimal(row["balance_rmb"]),
        credit_limit=Decimal(row["credit_limit_rmb"]),
        monthly_budget=None if budget is None else Decimal(budget),
    )


def _team(row: Spec, seed: Seed) -> Team:
    label = row["label"]
    code = "mt_" + _IDS.token(10, "team code", label)
    return Team(_id("team", row), row["number"], code, label, _pick(row["names"], seed, "team", label))


def _person(row: Spec, teams: Mapping[str, Team], words: Spec, seed: Seed) -> Person:
    number = row["number"]
    chinese = seed.number("language", number) % 2
    family = _pick(words["zh_family" if chinese else "en_family"], seed, "family", number)
    given = _pick(words["zh_given" if chinese else "en_given"], seed, "given", number)
    return Person(number, family + given if chinese else f"{given} {family}", teams[row["team"]].id)


def _key(row: Spec, org_id: str, teams: Mapping[str | None, str | None], since: int, epoch: float) -> KeyRecord:
    secret, old = row["secret"], row.get("old_secret")
    return KeyRecord(
        id=_id("key", row),
        org_id=org_id,
        team_id=teams[row["team"]],
        name=row["name"],
        key_prefix=prefix(secret),
        secret_hash=hash_secret(secret),
        number=row["number"],
        created_at=day_to_timestamp(since + row.get("day", 0)) + 9 * HOUR,
        models_allowed=tuple(row["models_allowed"]) if "models_allowed" in row else None,
        rpm_limit=row.get("rpm_limit"),
        tpm_limit=row.get("tpm_limit"),
        is_sandbox=row.get("is_sandbox", False),
        allowed_ips=tuple(row["allowed_ips"]) if "allowed_ips" in row else None,
        expires_at=int(epoch) - row["expires_ago"] * DAY if "expires_ago" in row else None,
        rotate_grace_until=int(epoch) + row["grace_hours"] * HOUR if old else None,
        status=row.get("status", "active"),
        old_secret_hash=hash_secret(old) if old else None,
        owner=row.get("person"),
    )


def _past(row: Spec, since: int, epoch: float) -> Past:
    past = row["past"]
    return Past(
        rhythm=past["rhythm"],
        calls=past["calls"],
        prompt=past["prompt"],
        completion=past["completion"],
        cached=past["cached"],
        models=tuple(past["models"].items()),
        # a key has no past before it was made, at nine in the morning
        first_day=since + row["day"] + 1 if "day" in row else since,
        last_day=timestamp_to_day(epoch) - past.get("until_ago", 0),
    )


def _credentials(row: Spec) -> tuple[Credential, ...]:
    org, found = row["label"], []
    for key in row["keys"]:
        label, key_id, env = key["label"], _id("key", key), _env(key, "env", "secret")
        found.append(Credential(label, "key", org, key["purpose"], key["secret"], key_id, env))
        if "old_secret" in key:
            found.append(Credential(f"{label}-old", "key", org, key["old_purpose"], key["old_secret"], key_id))
    for token in row["tokens"]:
        env = _env(token, "env", "secret")
        found.append(Credential(token["label"], "token", org, token["purpose"], token["secret"], env=env))
    for pair in row["access_keys"]:
        env = _env(pair, "env_id", "id") + _env(pair, "env_secret", "secret")
        found.append(Credential(pair["label"], "access_key", org, pair["purpose"], pair["secret"], pair["id"], env))
    return tuple(found)


def _env(row: Spec, name: str, value: str) -> tuple[tuple[str, str], ...]:
    return ((row[name], row[value]),) if name in row else ()
