"""What keys use now, and requests that the mock signs, against what the API itself answers."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings
from tests.console.client import ACCESS, Console
from tests.timing import wait_until

from .conftest import KEY, Client

CHARTS, METRICS, LOGS = [f"ModelRouterQueryObservation{name}" for name in ("Charts", "Metrics", "Logs")]


def find_key(api: Client, secret: str = KEY) -> str:
    items = api.ok("GET", "credentials")["items"]
    return next(str(each["id"]) for each in items if each["secret"] == secret)


def test_limits_show_what_a_key_has_used_as_the_headers_of_its_answers_do(api: Client) -> None:
    assert api.ok("GET", "limits") == {"items": [], "total": 0}
    api.ok("POST", "clock", {"frozen": True})
    for _ in range(3):
        headers = api.chat().headers
    (limits,) = api.ok("GET", "limits")["items"]
    assert limits["key"] == find_key(api)
    for kind, name in (("requests", "requests_per_minute"), ("tokens", "tokens_per_minute")):
        most = int(headers[f"x-ratelimit-limit-{kind}"])
        left = int(headers[f"x-ratelimit-remaining-{kind}"])
        assert limits[name] == {"used": most - left, "most": most}
    assert limits["requests_per_minute"]["used"] == 3
    assert limits["concurrent_calls"]["used"] == 0
    api.ok("POST", "clock", {"advance": "61s"})
    assert api.ok("GET", "limits")["items"][0]["requests_per_minute"]["used"] == 0


def test_calls_under_way_are_counted_until_they_end(api: Client) -> None:
    def ask() -> None:
        api.chat(stream=True, headers={"x-mock-scenario": "pace; ttft=1"})

    asking = threading.Thread(target=ask)
    asking.start()
    wait_until(lambda: [each["concurrent_calls"]["used"] for each in api.ok("GET", "limits")["items"]] == [1])
    asking.join()
    wait_until(lambda: [each["concurrent_calls"]["used"] for each in api.ok("GET", "limits")["items"]] == [0])


def test_the_scenario_of_the_header_is_played_on_the_signed_call(api: Client) -> None:
    api.ok("POST", "rules", {"id": "next", "when": {}, "then": {"error": "throttled", "times": 1}})
    headers = {"x-mock-scenario": "instant"}
    answer = api.post("/_mock/signed-calls", json={"operation": METRICS}, headers=headers).json()
    assert answer["status"] == 200
    assert api.ok("POST", "signed-calls", {"operation": METRICS})["status"] == 429


@pytest.mark.parametrize("window", [{}, {"timeRange": "30d"}, {"timeRange": "1h", "modelId": 2}])
def test_a_signed_call_is_the_apis_own_answer_to_the_last_digit(api: Client, window: dict[str, object]) -> None:
    api.ok("POST", "clock", {"set": "2026-04-07T09:30:00Z", "frozen": True})
    for number in range(4):
        api.chat(f"question {number}", model="gpt-5.4" if number % 2 else "claude-sonnet-4-6")
    url = str(api.base_url).rstrip("/")
    root, _, session = url.partition("/_session/")
    console = Console(root, session)
    for operation, name in ((CHARTS, "charts"), (METRICS, "metrics")):
        own = console.observe(name, **window)
        given = api.ok("POST", "signed-calls", {"operation": operation, "query": window})
        assert (given["status"], given["access_key"]) == (200, ACCESS[0])
        assert given["body"]["data"] == own
        assert given["body"]["success"]


def test_it_stays_out_of_the_journal_and_can_be_repeated(api: Client) -> None:
    answers = [api.ok("POST", "signed-calls", {"operation": METRICS}) for _ in range(3)]
    assert [answer["status"] for answer in answers] == [200] * 3
    assert len({answer["body"]["requestId"] for answer in answers}) == 3
    assert api.ok("GET", "journal")["held"] == 0


def test_errors_of_the_api_are_its_answer(api: Client) -> None:
    given = api.ok("POST", "signed-calls", {"operation": CHARTS, "query": {"timeRange": "2h"}})
    assert (given["status"], given["body"]["success"]) == (400, False)
    api.ok("POST", "scenarios", {"scenario": "throttled", "times": 1})
    assert api.ok("POST", "signed-calls", {"operation": CHARTS})["status"] == 429
    assert api.ok("POST", "signed-calls", {"operation": CHARTS})["status"] == 200


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({"operation": "createChatCompletion"}, 400, "no signed operation 'createChatCompletion'"),
        ({"operation": CHARTS[:-1]}, 400, f"did you mean '{CHARTS}'?"),
        ({"operation": CHARTS, "organisation": "mian"}, 404, "no organisation 'mian'; did you mean 'main'?"),
        ({"operation": CHARTS, "query": {"a": []}}, 400, ""),
        ({}, 400, ""),
    ],
)
def test_what_cannot_be_sent_is_refused_with_the_remedy(
    api: Client, body: dict[str, object], status: int, told: str
) -> None:
    found, message = api.read_error("POST", "signed-calls", body)
    assert found == status
    assert told in message


def test_other_organisations_have_keys_of_their_own_and_one_without_says_so(tmp_path: Path) -> None:
    world = tmp_path / "world.yaml"
    world.write_text("organisations:\n  - label: lonely\n    keys:\n      - {name: Laptop}\n")
    with Server(create_app(Settings())) as server, Client(base_url=server.url) as client:
        answer = client.ok("POST", "signed-calls", {"operation": METRICS, "organisation": "other"})
        assert (answer["status"], answer["access_key"] != ACCESS[0]) == (200, True)
    with Server(create_app(Settings(world=world))) as server, Client(base_url=server.url) as client:
        status, message = client.read_error("POST", "signed-calls", {"operation": METRICS})
        assert (status, "'lonely' has no active access key" in message) == (409, True)


def test_calls_are_listed_too(api: Client) -> None:
    logs = api.ok("POST", "signed-calls", {"operation": LOGS, "query": {"pageSize": 1}})
    assert logs["body"]["data"]["pageSize"] == 1
