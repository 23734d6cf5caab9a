"""Keys: pure changes of a record, and the store that finds the key of a secret."""

from __future__ import annotations

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aione_mock.seed import Seed
from aione_mock.store import MemoryStore
from aione_mock.structs import replace, to_dict
from aione_mock.tenant import api_keys
from aione_mock.tenant.api_keys import GRACE, KeyRecord, KeyStore

NOW = 1_795_000_000.0
SECRET = "sk-nex-first-secret-of-the-test"


def make_key_record(**fields: object) -> KeyRecord:
    return api_keys.create_record(
        {"name": "Bot"} | fields, key_id="id-1", number=7, org_id="org", secret=SECRET, now=NOW
    )


def test_response_has_the_fifteen_members_in_order_and_hides_the_secret() -> None:
    response = api_keys.to_response(make_key_record(models_allowed=["m"], expires_at=NOW + 0.123), NOW)
    assert [*response] == [
        "id",
        "org_id",
        "team_id",
        "name",
        "key",
        "key_prefix",
        "models_allowed",
        "rpm_limit",
        "tpm_limit",
        "is_sandbox",
        "allowed_ips",
        "expires_at",
        "rotate_grace_until",
        "status",
        "created_at",
    ]
    assert response["key"] is None
    assert SECRET not in str(response)
    assert SECRET not in str(to_dict(make_key_record()))
    assert response["key_prefix"] == "sk-nex-firs"
    assert response["expires_at"] == "2026-11-18T11:06:40.123Z"
    assert response["created_at"] == "2026-11-18T11:06:40Z"
    assert api_keys.to_response(make_key_record(), NOW, SECRET)["key"] == SECRET


LIMITS = st.none() | st.integers(1, 10**6)
WORDS = st.none() | st.lists(st.text(max_size=9), max_size=3)
FIELDS = st.fixed_dictionaries(
    {}, optional={"models_allowed": WORDS, "allowed_ips": WORDS, "rpm_limit": LIMITS, "tpm_limit": LIMITS}
)


@given(FIELDS, FIELDS)
def test_an_update_changes_what_it_names_and_nothing_else(first: dict[str, object], second: dict[str, object]) -> None:
    before, after = (
        make_key_record(**first),
        api_keys.update_record(make_key_record(**first), {**second, "status": "disabled", "team_id": "x"}),
    )
    shown, was = api_keys.to_response(after, NOW), api_keys.to_response(before, NOW)
    assert orjson.dumps(shown) == orjson.dumps(was | second)
    assert msgspec.convert(orjson.loads(orjson.dumps(to_dict(after))), KeyRecord) == after


def test_status_over_time() -> None:
    record = make_key_record(expires_at=NOW + 10)
    assert [api_keys.get_status(record, NOW + s) for s in (0, 9.9, 10, 11)] == [
        "active",
        "active",
        "expired",
        "expired",
    ]
    assert api_keys.get_status(replace(record, status="disabled"), NOW) == "disabled"
    assert api_keys.get_status(replace(record, status="disabled"), NOW + 10) == "expired"


async def test_rotation_lets_the_old_secret_live_for_a_day() -> None:
    store, keys = MemoryStore(), KeyStore.create([])
    await keys.put(store, make_key_record())
    await keys.put(store, api_keys.rotate_secret(make_key_record(), "sk-nex-second", NOW))
    for at, old in [(NOW, True), (NOW + GRACE - 1, True), (NOW + GRACE, False)]:
        assert (await keys.find(store, SECRET, at) is not None) is old
        assert await keys.find(store, "sk-nex-second", at) is not None
    again = api_keys.rotate_secret(
        api_keys.rotate_secret(make_key_record(), "sk-nex-second", NOW), "sk-nex-third", NOW + 5
    )
    await keys.put(store, again)
    assert await keys.find(store, SECRET, NOW + 6) is None
    assert await keys.find(store, "sk-nex-second", NOW + 6) == again


async def test_a_deleted_key_opens_nothing_but_is_remembered() -> None:
    store, keys = MemoryStore(), KeyStore.create([make_key_record()])
    assert await keys.find(store, SECRET, NOW) == make_key_record()
    await keys.put(store, replace(make_key_record(), deleted=True))
    assert await keys.find(store, SECRET, NOW) is None
    assert (await keys.list(store, "org"))[0].deleted


async def test_lists_keep_the_order_and_the_organisations_apart() -> None:
    other = replace(make_key_record(), id="id-2", org_id="other", secret_hash="h2")
    late = replace(make_key_record(), id="id-3", secret_hash="h3")
    store, keys = MemoryStore(), KeyStore.create([make_key_record(), other])
    await keys.put(store, late)
    await keys.put(store, replace(make_key_record(), name="Renamed"))
    assert [(r.id, r.name) for r in await keys.list(store, "org")] == [("id-1", "Renamed"), ("id-3", "Bot")]
    assert [r.id for r in await keys.list(store, "other")] == ["id-2"]
    assert await keys.get(store, "id-9") is None


@given(
    st.sampled_from(["", "sk-nex-"]), st.text(alphabet=st.characters(exclude_characters="x"), min_size=1, max_size=60)
)
def test_a_mask_never_shows_a_secret(prefix: str, secret: str) -> None:
    """It has the documented form, and shows at most half of what follows the prefix."""
    masked = api_keys.mask_secret(prefix + secret)
    shown = masked.removeprefix(prefix).split("...", 1)
    assert masked.startswith(prefix)
    assert shown == ["xxx", "xxx"] if len(secret) < 12 else shown == [secret[:3], secret[-3:]] or "..." in secret


def test_mask_and_minted_secrets() -> None:
    assert api_keys.mask_secret("sk-nex-9TqAAAAAAAAAAAAAAAc4B") == "sk-nex-9Tq...c4B"
    assert api_keys.mask_secret("sk-nex-no") == "sk-nex-xxx...xxx"
    minted = {api_keys.generate_key(Seed.of(1), number) for number in range(500)}
    assert len({key_id for key_id, _ in minted}) == len({secret for _, secret in minted}) == 500
    assert api_keys.generate_key(Seed.of(1), 3) == api_keys.generate_key(Seed.of(1), 3)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, {"own", "mia", "tom"}),
        ({"members": []}, {"own"}),
        ({"members": [1]}, {"mia"}),
        ({"members": [1, 2], "teams": {"b"}}, {"tom"}),
        ({"numbers": [7]}, {"own", "mia", "tom"}),
        ({"numbers": [8]}, set()),
    ],
)
def test_filters_of_modelrouter(filters: dict[str, object], expected: set[str]) -> None:
    records = [
        replace(make_key_record(), id="own", team_id="a"),
        replace(make_key_record(), id="mia", team_id="a", owner=1),
        replace(make_key_record(), id="tom", team_id="b", owner=2),
    ]
    assert api_keys.filter_keys(records, **filters) == expected
