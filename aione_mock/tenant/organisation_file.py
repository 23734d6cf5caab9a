"""Read the file that describes the organisations behind the mock, `fixtures/organisation.yaml`.

Ids, secrets and limits are the same for every seed. Where a field lists `names`, the seed picks one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import chain
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from aione_mock.seed import Seed
from aione_mock.settings import Count, Money, PositiveInt, Text, YamlModel, fixture_path, load_yaml_model
from aione_mock.structs import frozen

_IDS = Seed.of("organisation")
Names = Annotated[tuple[Text, ...], Field(min_length=1)]
HourlyLoad = Annotated[tuple[Count, ...], Field(min_length=24, max_length=24)]
Status = Literal["active", "disabled"]


def _id_field(kind: str) -> Any:
    """Declare a field whose default is a UUID made from the kind and the label, the same for all seeds."""
    return Field(default_factory=lambda fields: _IDS.draw_uuid(kind, fields["label"]))


class BillingPlan(YamlModel):
    """What an organisation agreed to. Limits hold for any 60 seconds, for a key without its own."""

    id: Text
    names: Names
    monthly_fee_rmb: Money
    rpm_limit: PositiveInt
    """Requests."""
    tpm_limit: PositiveInt
    """Tokens."""
    concurrency_limit: PositiveInt
    """Calls of one key that may be under way at a time."""
    models: tuple[Text, ...] | None
    """Ids of the models included; null means all."""


class BillingAccount(YamlModel):
    """What calls are paid from."""

    id: Text
    balance_rmb: Money
    """When a session starts."""
    credit_limit_rmb: Money
    monthly_budget_rmb: Money | None


class TeamSpec(YamlModel):
    """A department."""

    label: Text
    id: Text = _id_field("team")
    number: PositiveInt
    """ModelRouter's `clientId`."""
    names: Names


class PersonSpec(YamlModel):
    """A team member."""

    number: PositiveInt
    """ModelRouter's `memberUserId`."""
    team: Text
    """Label of the team."""


class ConsoleTokenSpec(YamlModel):
    """A console token."""

    label: Text
    secret: Text
    view: Literal["tech", "business"]
    """Which dashboard it shows."""
    person: PositiveInt
    """Number of the person who holds it."""
    env: Text | None = None
    """Environment variable that hands the secret to tests."""
    purpose: Text


class AccessKeySpec(YamlModel):
    """A pair of id and secret that signs ModelRouter requests."""

    label: Text
    id: Text
    secret: Text
    status: Status = "active"
    env_id: Text | None = None
    """Environment variable that hands the id to tests."""
    env_secret: Text | None = None
    purpose: Text


class UsageProfile(YamlModel):
    """How a key was used before the session began."""

    rhythm: Text
    """Name of a daily rhythm."""
    calls: PositiveInt
    """Requests on a plain working day of the first week."""
    prompt: PositiveInt
    """Mean prompt tokens of a call."""
    completion: PositiveInt
    """Mean completion tokens of a call."""
    cached: Annotated[int, Field(ge=0, le=100)]
    """Percentage of prompt tokens that came from the cache."""
    models: Annotated[Mapping[Text, PositiveInt], Field(min_length=1)]
    """Model ids and their percentages of the calls."""
    ended_ago: Count = 0
    """Days before the session's start on which the usage ended."""


class RotatedSecret(YamlModel):
    """The former secret of a key, still valid for a while."""

    secret: Text
    grace_hours: PositiveInt
    """Hours after the session's start for which it is accepted."""
    purpose: Text


class ApiKeySpec(YamlModel):
    """An API key."""

    label: Text
    id: Text = _id_field("key")
    number: PositiveInt
    """ModelRouter's `apiKeyId`."""
    name: Text
    secret: Text
    env: Text | None = None
    """Environment variable that hands the secret to tests."""
    team: Text | None
    """Label of the team; null for none."""
    person: PositiveInt | None = None
    """Number of the person whose key it is."""
    day: PositiveInt | None = None
    """Day of its creation, counted from the organisation's first; that day by default."""
    status: Status = "active"
    expired_ago: PositiveInt | None = None
    """Days before the session's start on which it expired."""
    models_allowed: tuple[Text, ...] | None = None
    allowed_ips: tuple[Text, ...] | None = None
    rpm_limit: PositiveInt | None = None
    tpm_limit: PositiveInt | None = None
    is_sandbox: bool = False
    rotated: RotatedSecret | None = None
    purpose: Text
    past: UsageProfile | None = None


class OrganisationSpec(YamlModel):
    """One organisation with everything it owns."""

    label: Text
    id: Text = _id_field("organisation")
    names: Names
    plan: BillingPlan
    account: BillingAccount
    teams: tuple[TeamSpec, ...]
    people: tuple[PersonSpec, ...]
    tokens: tuple[ConsoleTokenSpec, ...]
    access_keys: tuple[AccessKeySpec, ...]
    keys: tuple[ApiKeySpec, ...]

    @model_validator(mode="after")
    def _check_references(self) -> OrganisationSpec:
        teams, people = {team.label for team in self.teams}, {person.number for person in self.people}
        for team in chain([person.team for person in self.people], [key.team for key in self.keys]):
            if team is not None and team not in teams:
                raise ValueError(f"there is no team '{team}'; add it to teams")
        for person in chain([token.person for token in self.tokens], [key.person for key in self.keys]):
            if person is not None and person not in people:
                raise ValueError(f"there is no person {person}; add one to people")
        return self


class DailyRhythm(YamlModel):
    """The relative load of each hour of a day in Asia/Shanghai."""

    working: HourlyLoad
    weekend: HourlyLoad


class PersonNames(YamlModel):
    """Words that people's names are made of."""

    zh_family: Names
    zh_given: Names
    en_given: Names
    en_family: Names


class OrganisationFile(YamlModel):
    """The whole file."""

    organisations: Annotated[tuple[OrganisationSpec, ...], Field(min_length=1)]
    """The first one is the main one."""
    rhythms: dict[str, DailyRhythm]
    names: PersonNames

    @model_validator(mode="after")
    def _check_rhythms(self) -> OrganisationFile:
        for key in [key for organisation in self.organisations for key in organisation.keys]:
            if key.past and key.past.rhythm not in self.rhythms:
                raise ValueError(f"key '{key.label}': there is no rhythm '{key.past.rhythm}'; add it to rhythms")
        return self


@frozen
class SeededCredential:
    """A secret of the file and what it is good for, as shown to people."""

    label: str
    kind: Literal["key", "token", "access_key"]
    organisation: str
    """Label of the organisation."""
    purpose: str
    secret: str
    id: str | None = None
    """Id of the access key or UUID of the API key; None for console tokens."""
    env: tuple[tuple[str, str], ...] = ()
    """Environment variables that hand it to a test: (name, value)."""


@cache
def load_organisation_file() -> OrganisationFile:
    """Read the bundled file."""
    return load_yaml_model(fixture_path("organisation.yaml"), OrganisationFile, "organisation file")


def list_credentials() -> tuple[SeededCredential, ...]:
    """List every secret of the file, in its order."""
    return tuple([found for spec in load_organisation_file().organisations for found in _list_credentials(spec)])


def _list_credentials(spec: OrganisationSpec) -> Iterator[SeededCredential]:
    for key in spec.keys:
        env = _pair_variable(key.env, key.secret)
        yield SeededCredential(key.label, "key", spec.label, key.purpose, key.secret, key.id, env)
        if old := key.rotated:
            yield SeededCredential(f"{key.label}-old", "key", spec.label, old.purpose, old.secret, key.id)
    for token in spec.tokens:
        env = _pair_variable(token.env, token.secret)
        yield SeededCredential(token.label, "token", spec.label, token.purpose, token.secret, env=env)
    for pair in spec.access_keys:
        env = _pair_variable(pair.env_id, pair.id) + _pair_variable(pair.env_secret, pair.secret)
        yield SeededCredential(pair.label, "access_key", spec.label, pair.purpose, pair.secret, pair.id, env)


def _pair_variable(name: str | None, value: str) -> tuple[tuple[str, str], ...]:
    return ((name, value),) if name else ()
