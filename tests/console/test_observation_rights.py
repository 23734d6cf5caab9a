"""Who may query observations, how a refusal is worded, and what the call on the vendor's page shows."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest

from aione_mock.server.app import Mock

from .client import KEYS, Console

CHARTS_ONLY = ("aione-mock-access-key-charts", "aione-mock-access-secret-charts")
READER = "nex-console-reader"


def test_a_key_without_the_right_is_refused_with_the_documented_sentence(console: Console) -> None:
    assert console.send_signed("charts", access=CHARTS_ONLY).status_code == 200
    for name in ("metrics", "logs"):
        answer = console.send_signed(name, access=CHARTS_ONLY)
        body = answer.json()
        assert (answer.status_code, body["errCode"]) == (403, "B.Permission.DeniedException")
        assert body["errMessage"].startswith("鉴权失败或权限不足: ")
        assert f"aicontent:ModelRouterQueryObservation{name.title()}" in body["errMessage"]


def test_every_observation_names_the_right_that_it_needs(app: Mock) -> None:
    found = [o for o in app.contract.operations.values() if o.protocol == "modelrouter"]
    assert [o.ram_action for o in found] == [f"aicontent:{o.id}" for o in found]
    assert {o.raw["x-ram-access"] for o in found} == {"get"}


def test_request_ids_are_guids(console: Console) -> None:
    for answer in (
        console.send_signed("charts"),
        console.send_signed("charts", "timeRange=wrong"),
        console.send_signed("logs"),
    ):
        found = answer.json()["requestId"]
        assert found == answer.headers["x-request-id"] == str(uuid.UUID(found)).upper()


@pytest.mark.parametrize(
    ("code", "status", "message"),
    [
        ("Server.Internal.UnknownError", 500, "The request processing has failed due to some unknown error."),
        ("B.Permission.DeniedException", 403, "鉴权失败或权限不足"),
        ("Throttling.User", 429, "Requests are too frequent. Try again later."),
    ],
)
def test_documented_codes_are_names_of_scenarios(console: Console, code: str, status: int, message: str) -> None:
    answer = console.send_signed("charts", x_mock_scenario=code)
    body = answer.json()
    assert (answer.status_code, body["errCode"], body["errMessage"], body["message"]) == (
        status,
        code,
        message,
        message,
    )


@pytest.mark.parametrize("now", [None, datetime(2024, 2, 1, tzinfo=UTC)])
def test_the_call_on_the_vendors_page_shows_something(console: Console, now: datetime | None) -> None:
    ids = "clientId=1&apiKeyId=1&modelId=1"
    window = "timeRange=7d" if now is None else "startTime=2024-01-01T00:00:00Z&endTime=2024-01-02T00:00:00Z"
    headers = {}
    if now is not None:
        made = console.ask("POST", "/_mock/sessions", json={"name": "january", "now": now.isoformat()})
        assert made.status_code == 201, made.text
        headers = {"x_mock_session": "january"}
    answer = console.send_signed("charts", f"{ids}&{window}", **headers)
    assert sum(point["value"] for point in answer.json()["data"]["callVolume"]) > 0


def test_a_reading_token_reads_and_changes_nothing(console: Console) -> None:
    (key, *_) = console.get(KEYS, READER)["items"]
    path = f"{KEYS}/{key['id']}"
    assert console.get(path, READER) == key
    for method, url, body in (
        ("POST", KEYS, {"name": "New"}),
        ("PUT", path, {"name": "Other"}),
        ("PUT", f"{path}/disable", None),
        ("DELETE", path, None),
    ):
        refused = console.ask(method, url, READER, json=body)
        assert (refused.status_code, refused.json()) == (403, {"detail": "This console token may only read."})
    assert console.get(path, READER) == key
