"""Keys through the console, and what each change does to the next call of the data plane."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from aione_mock.server.sessions import Session
from aione_mock.tenant.api_keys import GRACE

from .client import KEY, KEYS, OTHER, Console

GONE = "00000000-0000-4000-8000-000000000000"


def find_seeded_key(console: Console, name: str) -> dict[str, Any]:
    return next(key for key in console.get(KEYS)["items"] if key["name"] == name)


def test_whole_numbers_with_a_decimal_point_are_limits(console: Console) -> None:
    made = console.create(rpm_limit=5.0, tpm_limit=2e3)
    assert (made["rpm_limit"], made["tpm_limit"]) == (5, 2000)
    path = f"{KEYS}/{made['id']}"
    assert console.ask("PUT", path, json={"rpm_limit": 7.0}).json()["rpm_limit"] == 7
    assert console.get(path)["rpm_limit"] == 7
    assert made["id"] in [key["id"] for key in console.get(KEYS)["items"]]


def test_a_made_key_shows_its_secret_once(console: Console, session: Session) -> None:
    made = console.create(name="客服机器人", rpm_limit=9, models_allowed=[], allowed_ips=None)
    secret, path = made["key"], f"{KEYS}/{made['id']}"
    assert secret.startswith(made["key_prefix"])
    assert (made["name"], made["rpm_limit"], made["models_allowed"], made["allowed_ips"]) == ("客服机器人", 9, [], None)
    assert console.get(path) == made | {"key": None}
    assert console.get(KEYS)["items"][-1] == made | {"key": None}
    renamed = console.ask("PUT", path, json={"name": "x"})
    rest = [console.ask("PUT", f"{path}/disable"), console.ask("PUT", f"{path}/enable"), console.ask("GET", KEYS)]
    assert all(secret not in answer.text for answer in [renamed, *rest])
    assert secret not in str(session.store.dump())
    journal = "".join(str(entry.logged_request.body) + str(entry.response_body) for entry in session.journal)
    assert secret not in journal


def test_the_list_is_complete_and_oldest_first(console: Console) -> None:
    before = console.get(KEYS)
    ids = [console.create()["id"] for _ in range(3)]
    after = console.get(KEYS)
    assert [key["id"] for key in after["items"]] == [key["id"] for key in before["items"]] + ids
    assert after["total"] == len(after["items"]) == before["total"] + 3
    made = [key["created_at"] for key in after["items"]]
    assert made == sorted(made)
    assert {key["status"] for key in after["items"]} == {"active", "disabled", "expired"}


@pytest.mark.parametrize(
    ("limits", "statuses"),
    [
        ({}, [200, 200, 200]),
        ({"rpm_limit": 1}, [200, 429, 429]),
        ({"tpm_limit": 10}, [200, 429, 429]),
        ({"models_allowed": ["claude-sonnet-4-6"]}, [403]),
        ({"models_allowed": ["gpt-5.4", "no-such-model"]}, [200]),
        ({"models_allowed": []}, [200]),
        ({"allowed_ips": ["203.0.113.0/24"]}, [403]),
        ({"allowed_ips": ["203.0.113.0/24", "127.0.0.1"]}, [200]),
        ({"allowed_ips": ["127.1.2.3/8", "::1"]}, [200]),
        ({"expires_at": "2026-11-20T10:30:00.001Z"}, [200]),
    ],
)
def test_limits_take_effect(console: Console, limits: dict[str, Any], statuses: list[int]) -> None:
    secret = console.create(**limits)["key"]
    assert [console.chat(secret).status_code for _ in statuses] == statuses


def test_a_change_holds_from_the_next_call_on(console: Console) -> None:
    made = console.create(models_allowed=["gpt-5.4"], rpm_limit=1)
    path = f"{KEYS}/{made['id']}"
    assert [console.chat(made["key"]).status_code for _ in range(2)] == [200, 429]
    lifted = console.ask("PUT", path, json={"rpm_limit": None}).json()
    assert lifted == made | {"key": None, "rpm_limit": None}
    assert console.chat(made["key"]).status_code == 200
    assert console.ask("PUT", path, json={"models_allowed": ["gpt-5.2"], "team_id": GONE}).json()["team_id"] is None
    assert console.chat(made["key"]).status_code == 403
    assert console.ask("PUT", path, json={"models_allowed": None, "surprise": 1}).status_code == 200
    assert console.chat(made["key"]).status_code == 200
    assert console.ask("PUT", path, json={}).json() == lifted | {"models_allowed": None}


def test_expiry_comes_with_the_clock(console: Console, session: Session) -> None:
    made = console.create(expires_at="2026-11-20T18:31:00+08:00")
    path = f"{KEYS}/{made['id']}"
    assert made["expires_at"] == "2026-11-20T10:31:00Z"
    session.clock.advance(59)
    assert (console.chat(made["key"]).status_code, console.get(path)["status"]) == (200, "active")
    session.clock.advance(1)
    assert (console.chat(made["key"]).status_code, console.get(path)["status"]) == (401, "expired")
    for change in ("disable", "enable"):
        assert console.ask("PUT", f"{path}/{change}").json()["status"] == "expired"
    answer = console.ask("PUT", f"{path}/rotate")
    assert (answer.status_code, answer.json()) == (409, {"detail": "An expired key cannot be rotated"})


def test_rotation_leaves_the_old_secret_a_day(console: Console, session: Session) -> None:
    made = console.create()
    path = f"{KEYS}/{made['id']}"
    second = console.ask("PUT", f"{path}/rotate").json()
    assert (second["id"], second["rotate_grace_until"]) == (made["id"], "2026-11-21T10:30:00Z")
    assert console.get(path)["key_prefix"] == second["key_prefix"] == second["key"][:11]
    assert [console.chat(secret).status_code for secret in (made["key"], second["key"])] == [200, 200]
    session.clock.advance(GRACE - 1)
    assert console.chat(made["key"]).status_code == 200
    session.clock.advance(1)
    assert [console.chat(secret).status_code for secret in (made["key"], second["key"])] == [401, 200]
    third = console.ask("PUT", f"{path}/rotate").json()["key"]
    fourth = console.ask("PUT", f"{path}/rotate").json()["key"]
    assert [console.chat(secret).status_code for secret in (second["key"], third, fourth)] == [401, 200, 200]


def test_disabling_stops_every_secret_and_enabling_brings_them_back(console: Console) -> None:
    made = console.create()
    path = f"{KEYS}/{made['id']}"
    second = console.ask("PUT", f"{path}/rotate").json()["key"]
    for _ in range(2):
        assert console.ask("PUT", f"{path}/disable").json()["status"] == "disabled"
    assert [console.chat(secret).status_code for secret in (made["key"], second)] == [401, 401]
    answer = console.ask("PUT", f"{path}/rotate")
    assert (answer.status_code, answer.json()) == (409, {"detail": "A disabled key cannot be rotated"})
    for _ in range(2):
        assert console.ask("PUT", f"{path}/enable").json()["status"] == "active"
    assert [console.chat(secret).status_code for secret in (made["key"], second)] == [200, 200]


def test_deleting_ends_everything_but_the_figures(console: Console) -> None:
    made = console.create()
    path = f"{KEYS}/{made['id']}"
    second = console.ask("PUT", f"{path}/rotate").json()["key"]
    assert console.chat(second).status_code == 200
    answer = console.ask("DELETE", path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert [console.chat(secret).status_code for secret in (made["key"], second)] == [401, 401]
    assert made["id"] not in {key["id"] for key in console.get(KEYS)["items"]}
    for method, end in [
        ("GET", ""),
        ("DELETE", ""),
        *[("PUT", f"/{verb}") for verb in ("rotate", "disable", "enable")],
    ]:
        assert console.ask(method, path + end).status_code == 404
    assert console.ask("PUT", path, json={}).status_code == 404
    (row,) = console.get("/api/v1/obs/usage", group_by="key", key_id=made["id"])
    assert row["requests"] == 1


def test_seeded_keys_live_by_the_same_rules(console: Console) -> None:
    path = f"{KEYS}/{find_seeded_key(console, 'Demo')['id']}"
    assert console.ask("PUT", f"{path}/disable").json()["status"] == "disabled"
    assert console.chat().status_code == 401
    assert console.ask("PUT", f"{path}/enable").status_code == 200
    rotated = console.ask("PUT", f"{path}/rotate").json()["key"]
    assert [console.chat(secret).status_code for secret in (KEY, rotated)] == [200, 200]
    assert console.ask("DELETE", path.upper().replace("/API/V1/GATEWAY/KEYS", KEYS)).status_code == 204
    assert [console.chat(secret).status_code for secret in (KEY, rotated)] == [401, 401]


def test_a_key_may_manage_keys_until_it_ends_itself(console: Console) -> None:
    made = console.create()
    assert console.get(f"{KEYS}/{made['id']}", made["key"])["id"] == made["id"]
    assert console.create(made["key"], name="by a key")["org_id"] == made["org_id"]
    assert console.ask("DELETE", f"{KEYS}/{made['id']}", made["key"]).status_code == 204
    assert console.ask("GET", KEYS, made["key"]).status_code == 401


def test_a_team_must_be_ones_own(console: Console) -> None:
    team = find_seeded_key(console, "Demo")["team_id"]
    foreign = next(key["team_id"] for key in console.get(KEYS, OTHER)["items"] if key["team_id"])
    made = console.create(team_id=team.upper())
    assert made["team_id"] == team
    for unknown in (foreign, GONE):
        answer = console.ask("POST", KEYS, json={"name": "x", "team_id": unknown})
        assert (answer.status_code, answer.json()) == (404, {"detail": "Team not found"})
    console.chat(made["key"])
    rows = console.get("/api/v1/obs/usage", group_by="team", key_id=made["id"])
    assert [(row["team_id"], row["requests"]) for row in rows] == [(team, 1)]


def test_what_changes_a_key_says_so_with_all_findings(console: Console) -> None:
    body = {
        "name": "",
        "expires_at": "2026-11-20T10:30:00Z",
        "rpm_limit": 0,
        "tpm_limit": "many",
        "models_allowed": [""],
        "allowed_ips": ["10.0.0.0/33", "here", "::1"],
        "is_sandbox": None,
    }
    assert sorted(console.read_violations("POST", KEYS, json=body)) == [
        ("body/allowed_ips/0", "ip_any_network"),
        ("body/allowed_ips/1", "ip_any_network"),
        ("body/expires_at", "datetime_future"),
        ("body/is_sandbox", "bool_type"),
        ("body/models_allowed/0", "string_too_short"),
        ("body/name", "string_too_short"),
        ("body/rpm_limit", "greater_than_equal"),
        ("body/tpm_limit", "int_parsing"),
    ]
    assert console.read_violations("POST", KEYS, json={"expires_at": "yesterday"}) == [
        ("body/name", "missing"),
        ("body/expires_at", "datetime_parsing"),
    ]
    assert console.read_violations("POST", KEYS, json=[{"name": "x"}]) == [("body", "dict_type")]
    assert console.read_violations("POST", KEYS, content=b"{") == [("body/1", "json_invalid")]
    assert console.read_violations("POST", KEYS) == [("body", "missing")]
    found = console.read_violations("PUT", f"{KEYS}/not-a-uuid", json={"name": None, "rpm_limit": -1})
    assert found == [
        ("path/key_id", "uuid_parsing"),
        ("body/name", "string_type"),
        ("body/rpm_limit", "greater_than_equal"),
    ]
    assert console.get(KEYS)["total"] == 19


@pytest.mark.parametrize("text", ["0000-01-01T00:00:00Z", "9999-12-31T23:59:59.9999-10:00", "2027-12-31T23:59:60Z"])
def test_a_time_that_no_calendar_has_is_a_finding(console: Console, text: str) -> None:
    assert console.read_violations("POST", KEYS, json={"name": "x", "expires_at": text}) == [
        ("body/expires_at", "datetime_parsing")
    ]


@pytest.mark.parametrize(("method", "end"), [("GET", ""), ("DELETE", ""), ("PUT", "/rotate"), ("PUT", "/enable")])
def test_a_key_id_is_a_uuid(console: Console, method: str, end: str) -> None:
    assert console.read_violations(method, f"{KEYS}/abc{end}") == [("path/key_id", "uuid_parsing")]
    assert console.ask(method, f"{KEYS}/{GONE}{end}").status_code == 404


def test_absent_null_and_empty_do_not_restrict(console: Console) -> None:
    fields = ("team_id", "models_allowed", "allowed_ips", "rpm_limit", "tpm_limit", "expires_at")
    assert all(console.create()[field] is None for field in fields)
    nulls = console.create(**dict.fromkeys(fields))
    assert all(nulls[field] is None for field in fields)
    empty = console.create(models_allowed=[], allowed_ips=[])
    assert (empty["models_allowed"], empty["allowed_ips"]) == ([], [])
    assert [console.chat(key["key"]).status_code for key in (nulls, empty)] == [200, 200]


def test_many_at_once_lose_nothing_and_double_nothing(console: Console) -> None:
    before = console.get(KEYS)["total"]
    with ThreadPoolExecutor(100) as pool:
        made = list(pool.map(lambda number: console.create(name=f"Key {number}"), range(200)))
        assert len({key["id"] for key in made}) == len({key["key"] for key in made}) == 200
        assert console.get(KEYS)["total"] == before + 200
        paths = [f"{KEYS}/{key['id']}" for key in made]
        rotated = list(pool.map(lambda path: console.ask("PUT", f"{path}/rotate").json(), paths))
        secrets = {answer["key"] for answer in rotated}
        assert len(secrets | {key["key"] for key in made}) == 400
        one = list(pool.map(lambda _: console.ask("PUT", f"{paths[0]}/rotate").json()["key"], range(20)))
        assert len({*one} | secrets) == 220
        assert Counter(pool.map(lambda key: console.chat(key).status_code, one)) == {200: 2, 401: 18}
        ends = list(pool.map(lambda path: console.ask("DELETE", path).status_code, paths[1:] * 2))
    assert Counter(ends) == {204: 199, 404: 199}
    assert console.get(KEYS)["total"] == before + 1
