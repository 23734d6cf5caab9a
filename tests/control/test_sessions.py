"""Sessions: made, forgotten, reset, kept and forked; nothing of one is seen in another."""

from __future__ import annotations

from datetime import timedelta
from time import sleep

import openai
import pytest

from aione_mock.clock import parse_instant
from aione_mock.server.app import Mock

from .conftest import KEY, Client

SESSION = {"seed": 7, "now": "2026-04-07T09:30:00Z", "frozen": True}


@pytest.fixture
def made(root: Client, name: str) -> str:
    """Create a session with a seed, a clock, a pace and a rule of its own."""
    rule = {"id": "own", "when": {"text": "refuse"}, "then": {"error": "internal_error"}}
    root.ok("POST", "sessions", {"name": name, **SESSION, "pace": {"profile": "instant"}, "rules": [rule]})
    return name


def test_one_is_made_as_wanted(root: Client, name: str) -> None:
    shown = root.ok("POST", "sessions", {"name": name, **SESSION, "pace": {"ttft": 0}})
    expected = {"name": name, "seed": "7", "now": "2026-04-07T09:30:00Z", "frozen": True, "pace": "custom"}
    assert shown == {**shown, **expected, "calls": 0, "rules": 0, "snapshots": []}
    assert shown["base_url"] == f"http://{root.base_url.netloc.decode()}/_session/{name}"
    assert root.ok("GET", f"sessions/{name}") == shown


def test_what_is_left_out_is_as_the_server_was_started(root: Client, name: str) -> None:
    shown = root.ok("POST", "sessions", {"name": name})
    assert (shown["seed"], shown["now"], shown["frozen"], shown["pace"]) == (
        "0",
        "2026-11-20T10:30:00Z",
        True,
        "instant",
    )


def test_a_name_is_given_once(root: Client, made: str) -> None:
    assert root.read_error("POST", "sessions", {"name": made}) == (409, f"There is a session '{made}' already.")


def test_one_can_be_made_through_its_own_base_url(api: Client, name: str) -> None:
    assert api.ok("POST", "sessions", {"name": name, "seed": "word"})["seed"] == "word"


@pytest.mark.parametrize(
    "wrong",
    [{}, {"name": "no spaces"}, {"name": "x", "now": "soon"}, {"name": "x", "seed": " "}, {"name": "x", "sed": 1},
     {"name": "x", "now": "1999-12-31T23:59:59Z"}, {"name": "x", "rules": [{"then": {"error": "none_such"}}]}],
)  # fmt: skip
def test_one_that_makes_no_sense_is_refused(root: Client, wrong: dict[str, object]) -> None:
    before = root.ok("GET", "sessions")["total"]
    assert root.read_error("POST", "sessions", wrong)[0] == 400
    assert root.ok("GET", "sessions")["total"] == before


def test_they_are_listed_in_the_order_of_making(root: Client, made: str) -> None:
    root.ok("POST", f"sessions/{made}/fork", {"name": f"{made[:50]}.b"})
    root.get("/_mock/clock", headers={"x-mock-session": made})
    names = [each["name"] for each in root.ok("GET", "sessions")["items"]]
    assert names.index(made) < names.index(f"{made[:50]}.b")


def test_an_unknown_one_is_told_with_the_nearest_name(root: Client) -> None:
    for method, path, body in (
        ("GET", "", None),
        ("DELETE", "", None),
        ("POST", "/reset", None),
        ("POST", "/snapshot", {}),
        ("POST", "/restore", {"label": "x"}),
        ("POST", "/fork", {"name": "x"}),
    ):
        assert root.read_error(method, f"sessions/defualt{path}", body) == (
            404,
            "no session 'defualt'; did you mean 'default'?",
        )
    assert root.read_error("GET", "sessions/no%20name")[0] == 400


def test_a_forgotten_one_begins_anew_when_it_is_named(root: Client, api: Client, made: str) -> None:
    api.chat()
    assert root.request("DELETE", f"/_mock/sessions/{made}").status_code == 204
    assert root.read_error("GET", f"sessions/{made}")[0] == 404
    assert api.ok("GET", "journal")["total"] == 0
    assert root.ok("GET", f"sessions/{made}")["seed"] == "0"


def test_default_can_be_forgotten_but_stays(server: object, root: Client) -> None:
    root.chat()
    assert root.request("DELETE", "/_mock/sessions/default").status_code == 204
    assert root.ok("GET", "sessions/default")["calls"] == 0


def test_reset_goes_back_to_how_it_was_made(root: Client, api: Client, made: str) -> None:
    first = api.chat("The same words")
    root.ok("POST", f"sessions/{made}/snapshot", {"label": "kept"})
    api.ok("POST", "scenarios", {"scenario": "upstream_timeout"})
    api.ok("PUT", "rules", {"rules": []})
    api.ok("POST", "clock", {"advance": "1d", "frozen": False})
    shown = root.ok("POST", f"sessions/{made}/reset")
    assert shown == {**shown, **SESSION, "seed": "7", "calls": 0, "rules": 1, "snapshots": ["kept"]}
    assert api.ok("GET", "journal") == {"items": [], "matched": 0, "held": 0, "total": 0}
    assert api.chat("refuse").status_code == 500
    again = api.chat("The same words")
    assert again.content == first.content
    assert again.headers["x-request-id"] == first.headers["x-request-id"]


def test_a_snapshot_restores_state_rules_and_clock(root: Client, api: Client, made: str) -> None:
    key = "sk-nex-rpm-two-a-minute"
    api.ok("POST", "scenarios", {"scenario": "internal_error", "times": 1, "when": {"text": "unlucky"}})
    assert api.chat("one", key=key).status_code == 200
    kept = root.ok("POST", f"sessions/{made}/snapshot", {"label": "one-used"})
    assert kept == {"label": "one-used", "session": made, "now": "2026-04-07T09:30:00Z", "calls": 1}
    after = []
    for _ in range(2):
        after.append([api.chat("two", key=key).json(), api.chat("three", key=key).status_code])
        assert api.chat("unlucky").status_code == 500
        api.ok("POST", "clock", {"advance": "1h"})
        api.ok("PUT", "rules", {"rules": []})
        assert api.chat("four", key=key).status_code == 200
        shown = root.ok("POST", f"sessions/{made}/restore", {"label": "one-used"})
        assert (shown["now"], shown["calls"], shown["rules"]) == ("2026-04-07T09:30:00Z", 1, 2)
    assert after[0] == after[1]
    assert after[0][1] == 429
    assert api.ok("GET", "journal")["total"] == 9  # the journal goes on, and every number occurs once
    numbers = [item["number"] for item in api.ok("GET", "journal")["items"]]
    assert numbers == list(range(9, 0, -1))


def test_a_running_clock_goes_back_too(root: Client, api: Client, name: str) -> None:
    root.ok("POST", "sessions", {"name": name, "now": "2026-04-07T09:30:00Z", "frozen": False})
    kept = root.ok("POST", f"sessions/{name}/snapshot")
    api.ok("POST", "clock", {"advance": "1d"})
    sleep(1)
    shown = root.ok("POST", f"sessions/{name}/restore", {"label": "snapshot-1"})
    assert shown["frozen"] is False
    assert parse_instant(shown["now"]) - parse_instant(kept["now"]) < timedelta(seconds=0.9)


def test_snapshots_are_labelled_replaced_and_bounded(root: Client, made: str) -> None:
    labels = [root.ok("POST", f"sessions/{made}/snapshot")["label"] for _ in range(32)]
    assert labels[:2] == ["snapshot-1", "snapshot-2"]
    assert root.read_error("POST", f"sessions/{made}/snapshot")[0] == 409
    assert root.ok("POST", f"sessions/{made}/snapshot", {"label": "snapshot-3"})["label"] == "snapshot-3"
    assert root.read_error("POST", f"sessions/{made}/snapshot", {"label": "a b"})[0] == 400
    status, message = root.read_error("POST", f"sessions/{made}/restore", {"label": "snapshot-99"})
    assert status == 404
    assert "snapshot-" in message


def test_a_fork_goes_on_alone(root: Client, api: Client, made: str) -> None:
    key = "sk-nex-rpm-two-a-minute"
    api.chat("one", key=key)
    fork = f"{made[:50]}.fork"
    root.request("DELETE", f"/_mock/sessions/{fork}")
    shown = root.ok("POST", f"sessions/{made}/fork", {"name": fork})
    assert shown == {**shown, "name": fork, "seed": "7", "calls": 1, "rules": 1, "now": "2026-04-07T09:30:00Z"}
    assert root.read_error("POST", f"sessions/{made}/fork", {"name": fork})[0] == 409
    with Client(base_url=shown["base_url"]) as other:
        theirs, ours = other.chat("two", key=key), api.chat("two", key=key)
        assert theirs.json() == ours.json()
        assert [other.chat("x", key=key).status_code, api.chat("x", key=key).status_code] == [429, 429]
        other.ok("POST", "clock", {"advance": "61s"})
        assert [other.chat("y", key=key).status_code, api.chat("y", key=key).status_code] == [200, 429]
        assert other.ok("GET", "journal")["total"] == 3


def test_two_sessions_never_see_each_other(root: Client, api: Client, made: str) -> None:
    other = {"x-mock-session": f"{made[:50]}.other"}
    root.request("DELETE", f"/_mock/sessions/{other['x-mock-session']}")
    api.ok("POST", "scenarios", {"scenario": "internal_error"})
    api.ok("POST", "clock", {"set": "2027-01-01T00:00:00Z"})
    assert api.chat("Only here").status_code == 500
    assert root.chat("Only there", headers=other).status_code == 200
    theirs = {path: root.get(f"/_mock/{path}", headers=other).json() for path in ("journal", "clock", "rules")}
    assert [item["status"] for item in theirs["journal"]["items"]] == [200]
    assert theirs["clock"]["now"].startswith("2026-11-20")
    assert theirs["rules"]["total"] == 0
    assert [item["status"] for item in api.ok("GET", "journal")["items"]] == [500]


def test_a_limit_reached_in_one_is_not_reached_in_another(api: Client, root: Client, name: str) -> None:
    key, other = "sk-nex-rpm-two-a-minute", {"x-mock-session": f"{name[:50]}.other"}
    root.request("DELETE", f"/_mock/sessions/{other['x-mock-session']}")
    assert [api.chat(key=key).status_code for _ in range(3)] == [200, 200, 429]
    assert root.chat(key=key, headers=other).status_code == 200


def test_a_base_url_alone_carries_the_session_for_an_sdk(api: Client, session_url: str) -> None:
    with openai.OpenAI(base_url=f"{session_url}/v1", api_key=KEY) as sdk:
        sdk.chat.completions.create(model="gpt-5.4", messages=[{"role": "user", "content": "Hello"}])
    (item,) = api.ok("GET", "journal")["items"]
    assert (item["path"], item["operation"]) == ("/v1/chat/completions", "createChatCompletion")


@pytest.mark.parametrize("name", ["-x", "a b", "x" * 65, "ä"])
def test_a_name_that_cannot_be_one_is_refused(root: Client, name: str) -> None:
    for path in ("/_mock/clock", "/_mock/rules", "/_mock/journal"):
        answer = root.get(path, headers={"x-mock-session": name.encode().decode("latin-1").encode("latin-1")})
        assert answer.status_code == 400, answer.text
    # what concerns the server alone makes no session
    assert root.get("/_mock/stats", headers={"x-mock-session": "never-made"}).status_code == 200
    assert root.read_error("GET", "sessions/never-made")[0] == 404


def test_a_seed_has_up_to_200_characters(root: Client) -> None:
    for length, status in ((200, 201), (201, 400)):
        answer = root.post("/_mock/sessions", json={"name": f"seed-{length}", "seed": "x" * length})
        assert answer.status_code == status
    root.delete("/_mock/sessions/seed-200")


def test_ten_thousand_different_requests_are_counted_and_the_oldest_forgotten(
    app: Mock, api: Client, name: str
) -> None:
    api.chat("kept")
    occurrences = app.sessions.get(name).occurrences
    occurrences.update({b"%d" % number: 1 for number in range(9_999)})
    (first,) = [key for key in occurrences if len(key) > 4]
    occurrences[first] = occurrences.pop(first)  # as if it came last
    assert len(occurrences) == 10_000
    api.chat("kept")
    assert (len(occurrences), occurrences[first]) == (10_000, 2), "one that came before needs no room"
    api.chat("new")
    assert 8_000 < len(occurrences) < 9_000
    assert (b"0" in occurrences, b"9998" in occurrences) == (False, True)
    api.chat("kept")
    assert api.ok("GET", "journal/4")["explain"]["occurrence"] == 3
