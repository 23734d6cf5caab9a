"""Create the organisations of a session: people, keys and money, named by the seed and dated by the session's start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from aione_mock.seed import Seed
from aione_mock.structs import frozen
from aione_mock.tenant.api_keys import KeyRecord, get_prefix, hash_secret
from aione_mock.tenant.calendar import DAY, HOUR, day_to_month, day_to_timestamp, month_to_day, timestamp_to_day
from aione_mock.tenant.catalogue import rmb_to_ticks
from aione_mock.tenant.organisation_file import (
    ApiKeySpec,
    BillingAccount,
    BillingPlan,
    ConsoleTokenSpec,
    DailyRhythm,
    MemberSpec,
    OrganisationFile,
    OrganisationSpec,
    PersonNames,
    TeamSpec,
    UsageProfile,
    load_organisation_file,
)
from aione_mock.types import Caller

HISTORY_DAYS = 90
"""The history begins with the month in which the day this long before the epoch lies."""
_IDS = Seed.of("organisation")


@frozen
class Team:
    """A department."""

    id: str
    number: int
    """ModelRouter's `clientId`."""
    code: str
    """ModelRouter's `clientUuid`."""
    name: str


@frozen
class Person:
    """A team member."""

    number: int
    """ModelRouter's `memberUserId`."""
    name: str
    team_id: str


@frozen
class AccessKeyRecord:
    """An access key of ModelRouter. The plain secret is kept because signatures are checked with it."""

    id: str
    secret: str
    org_id: str
    status: Literal["active", "disabled"]
    actions: tuple[str, ...] | None = None
    """RAM actions that it may do; None means all."""

    @property
    def caller(self) -> Caller:
        """The caller of requests that it signed."""
        return Caller(self.org_id, label=f"access key {self.id}")


@frozen
class PastUsage:
    """How a key was used before the session, and on which days."""

    profile: UsageProfile
    rhythm: DailyRhythm
    first_day: int
    last_day: int


@frozen
class Organisation:
    """An organisation as it is when the session starts."""

    id: str
    name: str
    first_day: int
    """The first of a month."""
    plan: BillingPlan
    plan_name: str
    account: BillingAccount
    teams: tuple[Team, ...]
    people: tuple[Person, ...]
    keys: tuple[KeyRecord, ...]
    past_usage: Mapping[str, PastUsage]
    """By key id, for the keys that were used before."""
    tokens: Mapping[str, Caller]
    """Callers by the hash of their console token."""
    access_keys: tuple[AccessKeyRecord, ...]

    def find_team(self, team_id: str | None) -> Team | None:
        """Return the team with this id."""
        return next((team for team in self.teams if team.id == team_id), None)


def compute_first_day(epoch: float) -> int:
    """Return the day on which history begins: the first of a month, at least `HISTORY_DAYS` before the epoch."""
    return month_to_day(day_to_month(timestamp_to_day(epoch) - HISTORY_DAYS))


def create_organisations(seed: Seed, epoch: float, file: OrganisationFile | None = None) -> tuple[Organisation, ...]:
    """Create all organisations of a session that starts at `epoch`, in Unix seconds; by default the bundled ones."""
    file = file or load_organisation_file()
    return tuple(
        [_create_organisation(spec, file, seed.child("names", spec.label), epoch) for spec in file.organisations]
    )


def _create_organisation(spec: OrganisationSpec, file: OrganisationFile, seed: Seed, epoch: float) -> Organisation:
    first_day = compute_first_day(epoch)
    team_ids = {team.label: team.id for team in spec.teams}
    people = {person.number: _create_person(person, team_ids, file.names, seed) for person in spec.members}
    return Organisation(
        id=spec.id,
        name=_pick_name(spec.name, seed, "organisation"),
        first_day=first_day,
        plan=spec.plan,
        plan_name=_pick_name(spec.plan.name, seed, "plan"),
        account=spec.account,
        teams=tuple([_create_team(team, seed) for team in spec.teams]),
        people=tuple(people.values()),
        keys=tuple([_create_key(key, spec.id, team_ids, first_day, epoch) for key in spec.keys]),
        past_usage={key.id: _create_past_usage(key, key.past, file, first_day, epoch) for key in spec.keys if key.past},
        tokens={
            hash_secret(token.secret): Caller(
                spec.id, view=token.view, label=_name_holder(token, people), may_write=token.access == "full"
            )
            for token in spec.tokens
        },
        access_keys=tuple(
            [AccessKeyRecord(key.id, key.secret, spec.id, key.status, key.actions) for key in spec.access_keys]
        ),
    )


def _name_holder(token: ConsoleTokenSpec, people: Mapping[int, Person]) -> str:
    return people[int(token.member)].name if token.member else token.label


def _pick_name(names: tuple[str, ...] | None, seed: Seed, *labels: str | int) -> str:
    names = names or ("",)
    return names[seed.draw_integer(*labels) % len(names)]


def _create_team(spec: TeamSpec, seed: Seed) -> Team:
    code = "mt_" + _IDS.draw_token(10, "team code", spec.label)
    return Team(spec.id, spec.number, code, _pick_name(spec.name, seed, "team", spec.label))


def _create_person(spec: MemberSpec, team_ids: Mapping[str, str], names: PersonNames, seed: Seed) -> Person:
    if spec.name:
        return Person(spec.number, _pick_name(spec.name, seed, "member", spec.number), team_ids[spec.team])
    chinese = seed.draw_integer("language", spec.number) % 2
    family = _pick_name(names.zh_family if chinese else names.en_family, seed, "family", spec.number)
    given = _pick_name(names.zh_given if chinese else names.en_given, seed, "given", spec.number)
    return Person(spec.number, family + given if chinese else f"{given} {family}", team_ids[spec.team])


def _create_key(spec: ApiKeySpec, org_id: str, team_ids: Mapping[str, str], first_day: int, epoch: float) -> KeyRecord:
    old = spec.rotated
    return KeyRecord(
        id=spec.id,
        org_id=org_id,
        team_id=team_ids[spec.team] if spec.team else None,
        name=spec.name or spec.label,
        key_prefix=get_prefix(spec.secret),
        secret_hash=hash_secret(spec.secret),
        number=spec.number,
        created_at=day_to_timestamp(first_day + (spec.day or 0)) + 9 * HOUR,
        models_allowed=spec.models_allowed,
        rpm_limit=spec.rpm_limit,
        tpm_limit=spec.tpm_limit,
        is_sandbox=spec.is_sandbox,
        allowed_ips=spec.allowed_ips,
        expires_at=_find_expiry(spec, epoch),
        rotate_grace_until=int(epoch) + old.grace_hours * HOUR if old else None,
        status=spec.status,
        old_secret_hash=hash_secret(old.secret) if old else None,
        owner=int(spec.member) if spec.member else None,
        concurrency_limit=spec.concurrency_limit,
        balance_ticks=None if spec.balance_rmb is None else rmb_to_ticks(spec.balance_rmb),
    )


def _find_expiry(spec: ApiKeySpec, epoch: float) -> float | None:
    if spec.expires_at is not None:
        return int(spec.expires_at.timestamp())
    return int(epoch) - spec.expired_ago * DAY if spec.expired_ago else None


def _create_past_usage(
    key: ApiKeySpec, profile: UsageProfile, file: OrganisationFile, first_day: int, epoch: float
) -> PastUsage:
    return PastUsage(
        profile,
        file.rhythms[profile.rhythm],
        # keys are created at nine in the morning, so their first whole day is the next one
        first_day=first_day + key.day + 1 if key.day else first_day,
        last_day=timestamp_to_day(epoch) - profile.ended_ago,
    )
