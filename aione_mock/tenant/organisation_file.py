"""The file that describes the organisations behind the mock: `fixtures/organisation.yaml`, or one that a user writes.

Ids, secrets and limits are the same for every seed. Where `name` lists several, the seed picks one. `tenant.world` puts
a user's file and the bundled one together.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from itertools import count
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from aione_mock.seed import Seed
from aione_mock.settings import locate_fixture
from aione_mock.structs import frozen
from aione_mock.text.data_files import Count, Money, PositiveInt, Text, YamlModel, load_yaml_model


def _make_tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _make_text(value: object) -> object:
    return str(value) if type(value) is int else value


def _check_address(value: str) -> str:
    ipaddress.ip_network(value, strict=False)
    return value


def _check_uuid(value: str) -> str:
    try:
        return str(UUID(value))
    except ValueError:
        raise ValueError("Input should be a UUID such as 5b0f6c1e-3d8a-4c57-9a41-2f7be0c61d10") from None


def _use_utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value


_IDS = Seed.of("organisation")
_VARIABLES: Mapping[str, Mapping[str, str]] = {
    "keys": {"env": "AIONE_API_KEY"},
    "tokens": {"env": "AIONE_CONSOLE_TOKEN"},
    "access_keys": {"env_id": "AIONE_ACCESS_KEY_ID", "env_secret": "AIONE_ACCESS_KEY_SECRET"},
}
"""Environment variables that hand the first credential of a kind to tests, where a world names none."""
Names = Annotated[
    tuple[Text, ...], BeforeValidator(_make_tuple, json_schema_input_type=str | list[str]), Field(min_length=1)
]
"""A name, or several of which the seed picks one."""
Uuid = Annotated[str, AfterValidator(_check_uuid)]
Amount = Annotated[Money, Field(ge=0)]
Secret = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,200}$")]
"""ASCII without blanks, as a header can carry it."""
Reference = Annotated[Text, BeforeValidator(_make_text, json_schema_input_type=str | int)]
"""The label, the name or the number of another entry."""
HourlyLoad = Annotated[tuple[Count, ...], Field(min_length=24, max_length=24)]
Status = Literal["active", "disabled"]


class BillingPlan(YamlModel):
    """What an organisation agreed to. Limits hold for any 60 seconds, for a key without its own."""

    id: Uuid = ""
    name: Names = ("Team",)
    monthly_fee_rmb: Amount = Decimal("0.00")
    rpm_limit: PositiveInt = 6000
    """Requests."""
    tpm_limit: PositiveInt = 20_000_000
    """Tokens."""
    concurrency_limit: PositiveInt = 10_000
    """Calls of one key that may be under way at a time."""
    models: tuple[Text, ...] | None = None
    """Ids of the models included; null means all."""


class BillingAccount(YamlModel):
    """What calls are paid from."""

    id: Uuid = ""
    balance_rmb: Money = Decimal("10000.0000")
    """When a session starts."""
    credit_limit_rmb: Amount = Decimal("0.0000")
    monthly_budget_rmb: Amount | None = None


class Entry(YamlModel):
    """Something that an organisation has. It is referred to by its label."""

    label: str = ""
    """The name, if left out. With `extends: default`, the label of a bundled entry changes that entry."""
    id: Uuid = ""
    """Made from the label, if left out."""
    number: Count = 0
    """ModelRouter's id; the next free one, if left out."""


class TeamSpec(Entry):
    """A department. Its number is ModelRouter's `clientId`."""

    name: Names | None = None


class MemberSpec(Entry):
    """A team member. The number is ModelRouter's `memberUserId`."""

    name: Names | None = None
    """Drawn by the seed, if left out."""
    team: Reference


class ConsoleTokenSpec(YamlModel):
    """A console token."""

    label: str = ""
    secret: Secret = ""
    """Generated, if left out."""
    view: Literal["tech", "business"] = "tech"
    """Which dashboard it shows."""
    member: Reference | None = None
    """The member who holds it."""
    access: Literal["full", "read"] = "full"
    """Whether it may change anything."""
    env: Text | None = None
    """Environment variable that hands the secret to tests."""
    purpose: str = ""


class AccessKeySpec(YamlModel):
    """A pair of id and secret that signs ModelRouter requests."""

    label: str = ""
    id: str = ""
    secret: Secret = ""
    """Generated, if left out."""
    status: Status = "active"
    actions: tuple[Text, ...] | None = None
    """RAM actions that it may do; null means all."""
    env_id: Text | None = None
    """Environment variable that hands the id to tests."""
    env_secret: Text | None = None
    purpose: str = ""


class UsageProfile(YamlModel):
    """How a key was used before the session began."""

    rhythm: Text = "office"
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

    secret: Secret
    grace_hours: PositiveInt = 24
    """Hours after the session's start for which it is accepted."""
    purpose: str = ""


class ApiKeySpec(Entry):
    """An API key. Its number is ModelRouter's `apiKeyId`."""

    name: Text | None = None
    secret: Secret = ""
    """Generated from the label, if left out; `aione-mock keys` shows it."""
    env: Text | None = None
    """Environment variable that hands the secret to tests."""
    team: Reference | None = None
    """The member's team, if left out; null for none."""
    member: Reference | None = None
    """The member whose key it is."""
    day: PositiveInt | None = None
    """Day of its creation, counted from the organisation's first; that day by default."""
    status: Status = "active"
    expires_at: Annotated[datetime, AfterValidator(_use_utc)] | None = None
    expired_ago: PositiveInt | None = None
    """Days before the session's start on which it expired."""
    models_allowed: tuple[Text, ...] | None = None
    """Ids and aliases that it may call; null means every model of the plan."""
    allowed_ips: tuple[Annotated[Text, AfterValidator(_check_address)], ...] | None = None
    """Addresses and networks from which it may be used."""
    rpm_limit: PositiveInt | None = None
    """Requests in any 60 seconds; null leaves the plan's."""
    tpm_limit: PositiveInt | None = None
    """Tokens in any 60 seconds; null leaves the plan's."""
    concurrency_limit: PositiveInt | None = None
    """Calls that may be under way at a time; null leaves the plan's."""
    balance_rmb: Amount | None = None
    """What may be spent with it in a session; null leaves it to the account's balance."""
    is_sandbox: bool = False
    rotated: RotatedSecret | None = None
    purpose: str = ""
    past: UsageProfile | None = None


class OrganisationSpec(YamlModel):
    """One organisation with everything it owns."""

    label: str = ""
    id: Uuid = ""
    name: Names | None = None
    plan: BillingPlan = BillingPlan.model_construct()
    account: BillingAccount = BillingAccount.model_construct()
    teams: tuple[TeamSpec, ...] = ()
    members: tuple[MemberSpec, ...] = ()
    tokens: tuple[ConsoleTokenSpec, ...] = ()
    access_keys: tuple[AccessKeySpec, ...] = ()
    keys: tuple[ApiKeySpec, ...] = ()


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
    """All organisations, complete. The first one is the main one."""

    organisations: Annotated[tuple[OrganisationSpec, ...], Field(min_length=1)]
    rhythms: dict[str, DailyRhythm]
    names: PersonNames

    def find_demo_key(self) -> str:
        """Return the secret of the first key that can be used."""
        keys = [key for spec in self.organisations for key in spec.keys]
        usable = [key for key in keys if key.status == "active" and not key.expired_ago and not key.expires_at]
        return (usable or keys)[0].secret


class WorldFile(OrganisationSpec):
    """What a user writes: the main organisation, and further ones."""

    extends: Literal["default"] | None = None
    """`default` keeps the bundled organisations. An entry with the label of a bundled one changes it."""
    organisations: tuple[OrganisationSpec, ...] = ()
    """Further organisations. One with the label of a bundled one changes it."""
    rhythms: dict[str, DailyRhythm] = Field(default_factory=dict)
    """Daily rhythms of past usage, besides the bundled ones: office, shop and night."""


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
    view: Literal["tech", "business"] | None = None
    """The dashboard that a console token shows."""
    may_write: bool = True


@cache
def load_organisation_file() -> OrganisationFile:
    """Read the bundled file."""
    file = load_yaml_model(locate_fixture("organisation.yaml"), OrganisationFile, "organisation file")
    return file.model_copy(update={"organisations": complete_organisations(file.organisations)})


def get_label(entry: Entry | OrganisationSpec | ConsoleTokenSpec | AccessKeySpec) -> str:
    """Return the label by which others refer to an entry: its own, else its name, else its number."""
    name = getattr(entry, "name", None)
    first = name[0] if isinstance(name, tuple) else name
    return entry.label or first or str(getattr(entry, "number", "") or "")


def list_references(entry: Entry) -> Iterator[str]:
    """List the texts that refer to an entry."""
    yield get_label(entry)
    name = getattr(entry, "name", None)
    yield from (name,) if isinstance(name, str) else name or ()
    if entry.number:
        yield str(entry.number)


def complete_organisations(specs: Iterable[OrganisationSpec]) -> tuple[OrganisationSpec, ...]:
    """Fill in what entries leave out: labels, names, ids, numbers, secrets; references become labels and numbers."""
    completion = _Completion(tuple(specs))
    return tuple([completion.complete(index, spec) for index, spec in enumerate(completion.specs)])


class _Completion:
    """Fill in the entries of several organisations, whose ids and numbers are all different."""

    def __init__(self, specs: tuple[OrganisationSpec, ...]) -> None:
        self.specs = specs
        self._ids: set[str] = set()
        self._numbers = {
            kind: count(1 + max([entry.number for spec in specs for entry in getattr(spec, kind)], default=0))
            for kind in ("teams", "members", "keys")
        }

    def complete(self, index: int, spec: OrganisationSpec) -> OrganisationSpec:
        """Return an organisation with nothing left out; the first one hands its credentials to tests."""
        label = get_label(spec) or ("main" if not index else f"organisation-{index + 1}")
        teams = tuple([self._complete_entry("teams", team, label) for team in spec.teams])
        team_labels = {text: team.label for team in teams for text in list_references(team)}
        members = tuple(
            [
                self._complete_entry("members", member, label, team=team_labels.get(member.team, member.team))
                for member in spec.members
            ]
        )
        people = {text: member for member in members for text in list_references(member)}
        tokens = [
            token.model_copy(
                update={
                    "label": token.label or f"token-{position}",
                    "secret": token.secret or "nex-console-" + _IDS.draw_token(24, "token", label, position),
                    "member": str(people[token.member].number) if token.member in people else token.member,
                }
            )
            for position, token in enumerate(spec.tokens, 1)
        ]
        pairs = [
            pair.model_copy(
                update={
                    "label": pair.label or f"access-key-{position}",
                    "id": pair.id or "aione-mock-" + _IDS.draw_token(16, "access key", label, position),
                    "secret": pair.secret or _IDS.draw_token(30, "access secret", label, position),
                }
            )
            for position, pair in enumerate(spec.access_keys, 1)
        ]
        entries: Mapping[str, list[Any]] = {
            "keys": [self._complete_key(key, label, team_labels, people) for key in spec.keys],
            "tokens": tokens,
            "access_keys": pairs,
        }
        return spec.model_copy(
            update={
                "label": label,
                "name": spec.name or (label,),
                "id": self._draw_id("organisation", spec.id, label),
                "plan": spec.plan.model_copy(update={"id": self._draw_id("plan", spec.plan.id, label)}),
                "account": spec.account.model_copy(update={"id": self._draw_id("account", spec.account.id, label)}),
                "teams": teams,
                "members": members,
                **{
                    kind: tuple(_name_variables(kind, found) if not index else found) for kind, found in entries.items()
                },
            }
        )

    def _complete_entry(self, kind: str, entry: Any, organisation: str, **changes: Any) -> Any:
        number = entry.number or next(self._numbers[kind])
        label = get_label(entry) or str(number)
        name = entry.name if entry.name is not None or kind == "members" else (label,)
        unique = self._draw_id(kind.removesuffix("s"), entry.id, label, organisation)
        return entry.model_copy(update={"label": label, "name": name, "number": number, "id": unique, **changes})

    def _complete_key(
        self, key: ApiKeySpec, organisation: str, teams: Mapping[str, str], people: Mapping[str, MemberSpec]
    ) -> ApiKeySpec:
        label, member = get_label(key), people.get(key.member or "")
        team = member.team if member and key.team is None else key.team
        changes = {
            "name": key.name or label,
            "team": teams.get(team, team) if team else None,
            "member": str(member.number) if member else key.member,
            "secret": key.secret or "sk-nex-" + _IDS.draw_token(40, "secret", organisation, label),
            "purpose": key.purpose or key.name or label,
        }
        completed: ApiKeySpec = self._complete_entry("keys", key, organisation, **changes)
        return completed

    def _draw_id(self, kind: str, given: str, *labels: str) -> str:
        """Return the id that was given, or one drawn from the first label, from all labels if that one is taken."""
        drawn = given or _IDS.draw_uuid(kind, labels[0])
        if not given and drawn in self._ids:
            drawn = _IDS.draw_uuid(kind, *labels)
        self._ids.add(drawn)
        return drawn


def _name_variables(kind: str, found: list[Any]) -> list[Any]:
    """Return credentials of which the first usable one has an environment variable, if none has one."""
    if any(getattr(each, name) for each in found for name in _VARIABLES[kind]):
        return found
    for position, each in enumerate(found):
        if getattr(each, "status", "active") == "active":
            return [*found[:position], each.model_copy(update=_VARIABLES[kind]), *found[position + 1 :]]
    return found


def list_credentials(file: OrganisationFile | None = None) -> tuple[SeededCredential, ...]:
    """List every secret of a file, by default the bundled one, in its order."""
    return tuple([found for spec in (file or load_organisation_file()).organisations for found in _list_secrets(spec)])


def _list_secrets(spec: OrganisationSpec) -> Iterator[SeededCredential]:
    for key in spec.keys:
        env = _pair_variable(key.env, key.secret)
        yield SeededCredential(key.label, "key", spec.label, key.purpose, key.secret, key.id, env)
        if old := key.rotated:
            yield SeededCredential(f"{key.label}-old", "key", spec.label, old.purpose, old.secret, key.id)
    for token in spec.tokens:
        env = _pair_variable(token.env, token.secret)
        yield SeededCredential(
            token.label,
            "token",
            spec.label,
            token.purpose,
            token.secret,
            env=env,
            view=token.view,
            may_write=token.access == "full",
        )
    for pair in spec.access_keys:
        env = _pair_variable(pair.env_id, pair.id) + _pair_variable(pair.env_secret, pair.secret)
        yield SeededCredential(pair.label, "access_key", spec.label, pair.purpose, pair.secret, pair.id, env)


def _pair_variable(name: str | None, value: str) -> tuple[tuple[str, str], ...]:
    return ((name, value),) if name else ()
