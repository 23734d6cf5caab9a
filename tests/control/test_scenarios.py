"""Scenarios by name and rules: set, listed, counted, cleared; first match wins."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import httpx2
import jsonschema_rs
import pytest
import yaml

from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings
from tests.timing import wait_until

from .conftest import KEY, Client

REFUND = {"id": "refund", "when": {"text": "refund"}, "then": {"reply": {"text": "Five days, {{model}}."}}}
BROKEN = {"id": "broken", "when": {"model": "gpt-*"}, "then": {"error": "upstream_timeout"}}


def read_text(answer: httpx2.Response) -> str:
    text: str = answer.json()["choices"][0]["message"]["content"]
    return text


def test_every_name_is_listed_with_its_options(api: Client) -> None:
    found = api.ok("GET", "scenarios")
    names = {item["name"]: item for item in found["items"]}
    assert found["total"] == len(names) == len(found["items"])
    assert found["active"] == []
    assert {"rate_limit_exceeded", "cut", "realistic", "reply", "permission_denied"} <= names.keys()
    assert names["cut"]["header"].startswith("X-Mock-Scenario: cut; after=")
    assert {option["name"] for option in names["rate_limit_exceeded"]["options"]} == {
        "retry_after", "message", "times", "delay",
    }  # fmt: skip
    faults = api.ok("GET", "scenarios", kind="fault")
    assert {item["kind"] for item in faults["items"]} == {"fault"}
    assert api.read_error("GET", "scenarios", kind="none")[0] == 400


def test_each_header_that_the_list_shows_can_be_sent(api: Client) -> None:
    for item in api.ok("GET", "scenarios")["items"]:
        shown = item["header"].removeprefix("X-Mock-Scenario: ")
        active = api.ok("POST", "scenarios", {"scenario": shown})
        assert active["rule"]["then"], shown
        api.ok("DELETE", "scenarios")


def test_one_is_played_for_so_many_calls(api: Client) -> None:
    active = api.ok("POST", "scenarios", {"scenario": "rate_limit_exceeded; retry_after=3", "times": 2})
    assert active == {
        "id": "scenario-1",
        "source": "control",
        "rule": {"id": "scenario-1", "then": {"error": "rate_limit_exceeded", "retry_after": 3, "times": 2}},
        "seen": 0,
        "spent": False,
    }
    answers = [api.chat(f"call {n}") for n in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert answers[0].headers["retry-after"] == "3"
    (state,) = api.ok("GET", "scenarios")["active"]
    assert (state["seen"], state["spent"]) == (3, True)


def test_the_newest_is_asked_first_and_only_a_header_goes_before_it(api: Client) -> None:
    api.ok("POST", "rules", {"then": {"error": "upstream_failed"}})
    api.ok("POST", "scenarios", {"scenario": "internal_error"})
    api.ok("POST", "scenarios", {"scenario": "upstream_timeout", "when": {"text": "late"}})
    assert [api.chat("late").status_code, api.chat("other").status_code] == [504, 500]
    assert api.chat("late", headers={"x-mock-scenario": "upstream_unavailable"}).status_code == 503
    assert [rule["id"] for rule in api.ok("GET", "rules")["items"]][:2] == ["scenario-2", "scenario-1"]
    assert api.request("DELETE", "/_mock/scenarios").status_code == 204
    assert api.chat("late").status_code == 502  # rules stay
    assert api.ok("GET", "scenarios")["active"] == []


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"scenario": "rate_limted"}, "unknown scenario 'rate_limted'; did you mean 'rate_limit_exceeded'?"),
        ({"scenario": "cut; afterr=2"}, "scenario 'cut' has no option 'afterr'; did you mean 'after'?"),
        ({"scenario": "cut; after=x"}, "option 'after' is 'x', but should be an integer of at least 0"),
        ({"scenario": "cut", "when": {"operation": "createChat"}}, "did you mean 'createChatCompletion'?"),
        ({"scenario": "cut", "when": {"pattern": "("}}, "not a regular expression"),
        ({"scenario": ""}, ""),
        ({"scenario": "cut", "times": 0}, ""),
        ({}, ""),
    ],
)
def test_one_that_makes_no_sense_is_refused_with_the_remedy(api: Client, wrong: dict[str, object], told: str) -> None:
    status, message = api.read_error("POST", "scenarios", wrong)
    assert status == 400
    assert told in message
    assert api.ok("GET", "scenarios")["active"] == []


def test_those_that_are_spent_make_room(api: Client) -> None:
    api.ok("POST", "scenarios", {"scenario": "internal_error", "times": 1})
    for _ in range(99):
        api.ok("POST", "scenarios", {"scenario": "internal_error", "when": {"text": "never said"}})
    assert api.read_error("POST", "scenarios", {"scenario": "cut"})[0] == 400
    assert api.chat().status_code == 500
    assert api.ok("POST", "scenarios", {"scenario": "cut"})["id"] == "scenario-101"
    assert len(api.ok("GET", "scenarios")["active"]) == 100


async def test_fail_two_then_succeed_fails_exactly_two_of_a_hundred(api: Client, session_url: str) -> None:
    api.ok("POST", "scenarios", {"scenario": "upstream_unavailable", "times": 2})
    limits = httpx2.Limits(max_connections=100)
    body = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Hello"}]}
    headers = {"authorization": f"Bearer {KEY}"}
    async with httpx2.AsyncClient(base_url=session_url, limits=limits, headers=headers, timeout=60) as client:
        answers = await asyncio.gather(*[client.post("/v1/chat/completions", json=body) for _ in range(100)])
    assert Counter(answer.status_code for answer in answers) == {200: 98, 503: 2}


def test_rules_are_added_replaced_and_taken_away(api: Client) -> None:
    assert api.ok("POST", "rules", REFUND)["rule"] == REFUND
    assert api.ok("POST", "rules", BROKEN)["id"] == "broken"
    assert read_text(api.chat("A refund, please")) == "Five days, gpt-5.4."
    assert api.chat("Something else").status_code == 504
    listed = api.ok("GET", "rules")
    assert [(rule["id"], rule["seen"]) for rule in listed["items"]] == [("refund", 1), ("broken", 1)]
    assert (listed["total"], listed["errors"]) == (2, [])
    changed = {**BROKEN, "then": {"error": "upstream_failed"}}
    replaced = api.ok("PUT", "rules", {"rules": [changed, REFUND]})
    # the one that stays the same keeps its count
    assert [(rule["id"], rule["seen"]) for rule in replaced["items"]] == [("broken", 0), ("refund", 1)]
    assert api.request("DELETE", "/_mock/rules/broken").status_code == 204
    assert api.chat("Something else").status_code == 200
    assert [rule["id"] for rule in api.ok("GET", "rules")["items"]] == ["refund"]


def test_a_rule_that_is_switched_off_waits_in_its_place_with_its_count(api: Client) -> None:
    api.ok("POST", "rules", REFUND)
    api.ok("POST", "rules", {"when": {"text": "refund"}, "then": {"error": "upstream_timeout"}})
    behind = api.ok("GET", "rules")["items"][1]["id"]
    assert read_text(api.chat("A refund, please")).startswith("Five")
    off = api.ok("PATCH", "rules/refund", {"enabled": False})
    assert (off["rule"], off["seen"]) == ({**REFUND, "enabled": False}, 1)
    assert api.chat("A refund, please").status_code == 504
    assert api.ok("PATCH", f"rules/{behind}", {"enabled": False})["id"] == behind
    assert api.chat("A refund, please").status_code == 200
    nearest = api.ok("GET", "journal/3")["explain"]["nearest"]
    assert (nearest["rule"], nearest["reasons"]) == ("refund", ["it is switched off"])
    listed = api.ok("GET", "rules")["items"]
    assert [(each["id"], each["seen"], each["rule"]["enabled"]) for each in listed] == [
        ("refund", 1, False),
        (behind, 1, False),
    ]
    on = api.ok("PATCH", "rules/refund", {"enabled": True})
    assert on["rule"] == REFUND
    assert read_text(api.chat("A refund, please")).startswith("Five")
    written = [{**each["rule"], "enabled": False} for each in api.ok("GET", "rules")["items"]]
    # switching by writing the rules again keeps ids and counts too
    again = api.ok("PUT", "rules", {"rules": written})["items"]
    assert [(each["id"], each["seen"]) for each in again] == [("refund", 2), (behind, 1)]


def test_a_scenario_is_switched_off_and_on_again(api: Client, name: str) -> None:
    api.ok("POST", "scenarios", {"scenario": "internal_error", "times": 2})
    assert api.chat().status_code == 500
    api.ok("PATCH", "rules/scenario-1", {"enabled": False})
    assert api.ok("GET", f"sessions/{name}")["rules"] == 0
    assert [api.chat().status_code for _ in range(3)] == [200] * 3
    api.ok("PATCH", "rules/scenario-1", {"enabled": True})
    assert api.ok("GET", f"sessions/{name}")["rules"] == 1
    assert [api.chat().status_code for _ in range(2)] == [500, 200]


def test_what_cannot_be_switched_is_refused_with_the_remedy(api: Client) -> None:
    api.ok("POST", "rules", REFUND)
    assert api.read_error("PATCH", "rules/refnd", {"enabled": False}) == (
        404,
        "no rule 'refnd'; did you mean 'refund'?",
    )
    for wrong in ({}, {"enabled": "no"}, {"enabled": False, "then": {}}):
        assert api.read_error("PATCH", "rules/refund", wrong)[0] == 400


def test_a_rule_put_back_counts_from_the_start(api: Client) -> None:
    once = {"id": "once", "then": {"error": "internal_error", "times": 1}}
    for _ in range(2):
        api.ok("POST", "rules", once)
        assert [api.chat().status_code for _ in range(2)] == [500, 200]
        api.ok("DELETE", "rules/once")


def test_a_wrong_one_among_many_changes_nothing(api: Client) -> None:
    api.ok("PUT", "rules", {"rules": [REFUND]})
    for wrong in (
        {"then": {"error": "none"}},
        {"then": {}},
        {"when": {"modle": "x"}, "then": {"error": "internal_error"}},
    ):
        status, message = api.read_error("PUT", "rules", {"rules": [BROKEN, wrong]})
        assert status == 400
        assert "rules" in message
        assert [rule["id"] for rule in api.ok("GET", "rules")["items"]] == ["refund"]


def test_ids_are_given_once(api: Client) -> None:
    api.ok("POST", "rules", REFUND)
    assert api.read_error("POST", "rules", REFUND)[0] == 409
    assert api.read_error("PUT", "rules", {"rules": [REFUND, REFUND]})[0] == 400
    nameless = {"then": {"error": "internal_error"}}
    first, second = api.ok("POST", "rules", nameless)["id"], api.ok("POST", "rules", nameless)["id"]
    assert second == f"{first}-2"
    active = api.ok("POST", "scenarios", {"scenario": "cut"})["id"]
    assert "already, from control" in api.read_error("PUT", "rules", {"rules": [{**REFUND, "id": active}]})[1]
    assert api.read_error("DELETE", "rules/refnd") == (404, "no rule 'refnd'; did you mean 'refund'?")
    assert api.request("DELETE", f"/_mock/rules/{active}").status_code == 204


def test_no_rule_applies_to_the_control_api_itself(api: Client) -> None:
    api.ok("POST", "rules", {"then": {"error": "internal_error"}})
    assert api.get("/_mock/rules", headers={"x-mock-scenario": "internal_error"}).status_code == 200
    assert api.ok("GET", "rules")["items"][0]["seen"] == 0


def test_the_schema_of_files_accepts_what_is_accepted_here(api: Client) -> None:
    validator = jsonschema_rs.Draft202012Validator(api.ok("GET", "rule-schema"))
    assert validator.is_valid({"rules": [REFUND, BROKEN]})
    assert not validator.is_valid({"rules": [{"when": {}}]})


def test_a_file_saved_half_written_keeps_its_last_good_rules_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "days.yaml"
    path.write_text(yaml.safe_dump({"rules": [{"id": "slow-days", "then": {"error": "upstream_timeout"}}]}))
    with Server(create_app(Settings(scenarios=(path,)))) as server, Client(base_url=server.url) as api:
        assert server.app.pipeline  # each process reads files by itself, and says so
        assert api.chat().status_code == 504
        assert api.ok("GET", "rules")["items"][0]["source"] == "days.yaml:2"
        assert api.read_error("DELETE", "rules/slow-days")[0] == 409
        assert api.read_error("POST", "rules", {"id": "slow-days", "then": {"error": "internal_error"}})[0] == 409
        path.write_text('rules:\n- id: slow-days\n  then: {error: "upstr')
        assert wait_until(lambda: api.ok("GET", "rules")["errors"])
        assert "days.yaml:" in api.ok("GET", "rules")["errors"][0]
        assert api.chat().status_code == 504
        path.write_text(yaml.safe_dump({"rules": [{"then": {"error": "upstream_failed"}}]}))
        assert wait_until(lambda: not api.ok("GET", "rules")["errors"])
        assert api.chat().status_code == 502
    told = [record.getMessage() for record in caplog.records if "days.yaml" in record.getMessage()]
    assert len(told) == 1
    assert told[0].endswith(" (the last valid rules of the file stay in force)")


def test_a_text_is_checked_line_by_line_and_changes_nothing(api: Client) -> None:
    text = "rules:\n  - when: {txt: refund}\n    then: {error: throttled}\n  - then:\n      delay: 1\n      tims: 2\n"
    found = api.ok("POST", "rule-check", {"text": text})
    assert [(each["line"], each["path"]) for each in found["mistakes"]] == [
        (2, "/rules/0/when/txt"), (6, "/rules/1/then/tims"),
    ]  # fmt: skip
    assert found["rules"] == []
    assert "did you mean 'text'" in found["mistakes"][0]["message"]
    text = text.replace("txt", "text").replace("tims", "times")
    assert api.ok("POST", "rule-check", {"text": text}) == {"rules": yaml.safe_load(text)["rules"], "mistakes": []}
    assert api.ok("GET", "rules")["items"] == []
    unreadable = api.ok("POST", "rule-check", {"text": "rules:\n  - then: {\n"})["mistakes"]
    assert [each["path"] for each in unreadable] == [""]
    for text in ("", "a: 1\na: 2", "- {}", "rules: 1"):
        assert api.ok("POST", "rule-check", {"text": text})["mistakes"], text
