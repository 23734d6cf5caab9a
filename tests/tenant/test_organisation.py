"""The seeded organisations: fixed secrets and ids, names that vary, keys in every state."""

from __future__ import annotations

import re
import uuid

import pytest

from aione_mock.seed import Seed
from aione_mock.store import MemoryStore
from aione_mock.tenant import api_keys
from aione_mock.tenant.calendar import day_to_date, timestamp_to_day
from aione_mock.tenant.catalogue import ModelCatalogue
from aione_mock.tenant.organisation import compute_first_day, create_organisations
from aione_mock.tenant.organisation_file import list_credentials
from aione_mock.tenant.tenants import Tenants

NOW = 1_795_000_000.0
ENV = {
    "AIONE_API_KEY",
    "AIONE_CONSOLE_TOKEN",
    "AIONE_BUSINESS_TOKEN",
    "AIONE_OTHER_TOKEN",
    "AIONE_ACCESS_KEY_ID",
    "AIONE_ACCESS_KEY_SECRET",
}


@pytest.fixture
def tenants() -> Tenants:
    return Tenants.create(Seed.of(0), NOW, ModelCatalogue.load())


def test_names_vary_with_the_seed_and_nothing_else_does() -> None:
    seen = [create_organisations(Seed.of(seed), NOW) for seed in range(12)]
    assert len({org[0].name for org in seen}) > 2
    assert len({tuple(team.name for team in org[0].teams) for org in seen}) > 6
    names = "".join(person.name for org in seen for person in org[0].people)
    assert re.search(r"[一-鿿]", names)
    assert re.search(r"[A-Z][a-z]+ [A-Z]", names)
    for one in seen:
        assert [org.keys for org in one] == [org.keys for org in seen[0]]
    assert create_organisations(Seed.of(3), NOW) == seen[3]


def test_ids_numbers_and_secrets_are_unique(tenants: Tenants) -> None:
    orgs = tenants.organisations.values()
    ids = [org.id for org in orgs] + [x.id for org in orgs for x in (*org.teams, *org.keys, org.plan, org.account)]
    assert len(ids) == len(set(ids))
    assert all(str(uuid.UUID(one)) == one and uuid.UUID(one).version == 4 for one in ids)
    for numbers in ([t.number for o in orgs for t in o.teams], [p.number for o in orgs for p in o.people]):
        assert len(numbers) == len(set(numbers))
    secrets = [credential.secret for credential in list_credentials()]
    assert len(secrets) == len(set(secrets))
    assert len({key.key_prefix for org in orgs for key in org.keys}) == len([k for org in orgs for k in org.keys])


def test_every_environment_name_is_given_once(tenants: Tenants) -> None:
    names = [name for credential in list_credentials() for name, _ in credential.env]
    assert sorted(names) == sorted(ENV)
    assert all(credential.purpose for credential in list_credentials())


@pytest.mark.parametrize(
    ("label", "status"),
    [("demo", "active"), ("disabled", "disabled"), ("expired", "expired"), ("sandbox", "active"), ("spent", "active")],
)
async def test_key_secrets_find_their_keys(tenants: Tenants, label: str, status: str) -> None:
    credential = next(c for c in list_credentials() if c.label == label and c.kind == "key")
    record = await tenants.keys.find(MemoryStore(), credential.secret, NOW)
    assert record is not None
    assert record.id == credential.id
    assert api_keys.get_status(record, NOW) == status


async def test_every_condition_is_there(tenants: Tenants) -> None:
    main = next(iter(tenants.organisations.values()))
    assert any(key.models_allowed for key in main.keys)
    assert any(key.allowed_ips == ("203.0.113.0/24",) for key in main.keys)
    assert any(key.rpm_limit == 2 for key in main.keys)
    assert any(key.tpm_limit == 200 for key in main.keys)
    assert any(key.is_sandbox for key in main.keys)
    assert any(key.team_id is None for key in main.keys)
    old = next(c for c in list_credentials() if c.label == "rotated-old")
    assert await tenants.keys.find(MemoryStore(), old.secret, tenants.epoch + 12 * 3600 - 1) is not None
    assert await tenants.keys.find(MemoryStore(), old.secret, tenants.epoch + 12 * 3600) is None


def test_tokens_and_access_keys_know_their_organisation(tenants: Tenants) -> None:
    main, other, _ = tenants.organisations.values()
    tech, business = tenants.find_token("nex-console-tech"), tenants.find_token("nex-console-business")
    assert tech is not None
    assert business is not None
    assert (tech.org_id, tech.view, tech.key_id) == (main.id, "tech", None)
    assert (business.org_id, business.view) == (main.id, "business")
    assert tech.label in {person.name for person in main.people}
    assert tenants.find_token("nex-console-nobody") is None
    pair = tenants.access_keys["aione-mock-other-access-key"]
    assert pair.caller.org_id == other.id
    assert tenants.access_keys["aione-mock-access-key-disabled"].status == "disabled"


def test_what_refers_exists(tenants: Tenants) -> None:
    for org in tenants.organisations.values():
        teams, people = {team.id for team in org.teams}, {person.number for person in org.people}
        assert {key.team_id for key in org.keys} <= teams | {None}
        assert {key.owner for key in org.keys} <= people | {None}
        assert {person.team_id for person in org.people} <= teams
        assert set(org.past_usage) <= {key.id for key in org.keys}
        assert all(tenants.catalogue.find(model) for key in org.keys for model in key.models_allowed or ())
        for key_id, past in org.past_usage.items():
            key = next(key for key in org.keys if key.id == key_id)
            assert past.first_day >= timestamp_to_day(key.created_at)
            assert all(getattr(tenants.catalogue.find(model), "id", None) == model for model in past.profile.models)


@pytest.mark.parametrize("at", ["1970-06-01", "2024-02-29", "2026-01-01", "2026-11-22", "2100-03-01"])
def test_the_past_begins_with_a_month_at_least_ninety_days_ago(at: str) -> None:
    from aione_mock.clock import parse_instant

    epoch = parse_instant(at).timestamp()
    assert day_to_date(compute_first_day(epoch)).day == 1
    assert 90 <= timestamp_to_day(epoch) - compute_first_day(epoch) <= 120
    assert create_organisations(Seed.of(0), epoch)[0].first_day == compute_first_day(epoch)
