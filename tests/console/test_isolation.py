"""Two organisations: nothing of one is visible to, or usable by, the other, on any operation."""

from __future__ import annotations

from typing import Any

import pytest

from aione_mock.server.app import Mock
from aione_mock.server.handlers import HANDLERS
from aione_mock.server.sessions import Session

from .client import ACCESS, DASHBOARD, KEYS, OTHER, OTHER_ACCESS, TECH, USAGE, Console

OTHER_KEY = "sk-nex-other-organisation"
READS = (DASHBOARD, "/api/v1/billing/plan", "/api/v1/billing/account", "/api/v1/billing/invoices")
WINDOW = {"timeRange": "30d"}


def keys(console: Console, secret: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = console.get(KEYS, secret)["items"]
    return found


@pytest.mark.parametrize("mine", [TECH, OTHER, OTHER_KEY])
def test_keys_of_others_are_not_there(console: Console, mine: str) -> None:
    foreign = next(key for key in keys(console, TECH if mine != TECH else OTHER) if key["status"] == "active")
    path = f"{KEYS}/{foreign['id']}"
    asked = [
        ("GET", path, {}),
        ("PUT", path, {"json": {"name": "mine now"}}),
        ("PUT", f"{path}/rotate", {}),
        ("PUT", f"{path}/disable", {}),
        ("PUT", f"{path}/enable", {}),
        ("DELETE", path, {}),
    ]
    for method, where, more in asked:
        answer = console.ask(method, where, mine, **more)
        assert (answer.status_code, answer.json()) == (404, {"detail": "Key not found"})
    assert console.get(path, TECH if mine != TECH else OTHER) == foreign


def test_lists_share_nothing(console: Console) -> None:
    made = console.create(OTHER, name="theirs")
    first, second = keys(console, TECH), keys(console, OTHER)
    assert made["id"] in {key["id"] for key in second} - {key["id"] for key in first}
    for name in ("id", "org_id", "team_id"):
        assert not {key[name] for key in first} & {key[name] for key in second} - {None}
    for path in READS:
        one, two = console.get(path, TECH), console.get(path, OTHER)
        assert one != two
    for by in ("team", "key"):
        rows = [{row[f"{by}_id"] for row in console.get(USAGE, who, group_by=by)} for who in (TECH, OTHER)]
        assert not rows[0] & rows[1] - {None}


def test_filters_do_not_reach_across(console: Console) -> None:
    theirs = next(row for row in console.get(USAGE, OTHER, group_by="key") if row["requests"])
    assert console.get(USAGE, key_id=theirs["key_id"]) == []
    team = next(row for row in console.get(USAGE, OTHER, group_by="team") if row["team_id"])
    assert console.get(USAGE, team_id=team["team_id"]) == []
    log = console.observe("logs", OTHER_ACCESS, **WINDOW)["list"][0]
    for name in ("clientId", "apiKeyId"):
        assert console.observe("metrics", **WINDOW, **{name: log[name]})["totalCalls"] == 0
        assert console.observe("logs", **WINDOW, **{name: log[name]})["list"] == []
        assert console.observe("charts", **WINDOW, **{name: log[name]})["callVolume"] == []
    assert console.observe("metrics", **WINDOW, clientIds=f"{log['clientId']},1")["totalCalls"] > 0


def test_calls_of_one_move_nothing_of_the_other(console: Console) -> None:
    def figures(who: str, access: tuple[str, str]) -> list[Any]:
        seen = [console.get(path, who) for path in (USAGE, *READS)]
        return [*seen, *[console.observe(name, access, **WINDOW) for name in ("charts", "metrics", "logs")]]

    before, theirs = figures(TECH, ACCESS), figures(OTHER, OTHER_ACCESS)
    assert console.chat(OTHER_KEY).status_code == 200
    assert figures(TECH, ACCESS) == before
    moved = [a != b for a, b in zip(figures(OTHER, OTHER_ACCESS), theirs, strict=True)]
    # plan and invoices stay
    assert moved == [True, True, False, True, False, True, True, True]


def test_sessions_are_worlds_of_their_own(console: Console, session: Session, app: Mock) -> None:
    made = console.create()
    app.sessions.create("next-door")
    neighbour = Console(f"http://{console.host}", "next-door")
    assert neighbour.chat(made["key"]).status_code == 401
    assert neighbour.ask("GET", f"{KEYS}/{made['id']}").status_code == 404
    assert console.chat(made["key"]).status_code == 200


@pytest.mark.parametrize("secret", ["", "nex-console-nobody", "sk-nex-disabled-by-hand", "sk-nex-expired-ten-days-ago"])
def test_without_a_good_credential_there_is_nothing(console: Console, app: Mock, secret: str) -> None:
    headers = {} if secret else {"authorization": ""}
    for operation in app.contract.operations.values():
        if operation.protocol == "console":
            path = operation.path.replace("{key_id}", "0d3f9b62-8a14-4b7e-9c50-e6a1f27d4b83")
            answer = console.ask(operation.method, path, secret, headers=headers)
            assert answer.status_code == 401, operation.id
            assert answer.headers["www-authenticate"] == "Bearer"


def test_no_operation_is_left_to_the_generator(app: Mock) -> None:
    operations = {o.id for o in app.contract.operations.values() if o.protocol != "control"}
    assert operations - {*app.pipeline.handlers} == set()
    assert {*HANDLERS} <= {*app.contract.operations}
