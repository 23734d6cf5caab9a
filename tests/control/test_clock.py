"""The clock stands, jumps and runs; what depends on time follows it."""

from __future__ import annotations

import pytest

from .conftest import Client

RPM = "sk-nex-rpm-two-a-minute"


def test_it_stands_still_as_the_server_was_told(api: Client) -> None:
    state = {"now": "2026-11-20T10:30:00.000000Z", "timestamp": 1795170600.0, "frozen": True}
    assert api.ok("GET", "clock") == state
    assert api.ok("GET", "clock") == state


@pytest.mark.parametrize(
    ("change", "now"),
    [
        ({"set": "2026-04-30T23:59:00Z"}, "2026-04-30T23:59:00.000000Z"),
        ({"set": "2026-04-30T23:59:00+08:00"}, "2026-04-30T15:59:00.000000Z"),
        ({"advance": "1d12h"}, "2026-11-21T22:30:00.000000Z"),
        ({"advance": "-2h"}, "2026-11-20T08:30:00.000000Z"),
        ({"advance": 1.5}, "2026-11-20T10:30:01.500000Z"),
        ({"advance": -1}, "2026-11-20T10:29:59.000000Z"),
        ({"advance": "1m", "set": "2026-01-01T00:00:00Z"}, "2026-01-01T00:01:00.000000Z"),
    ],
)
def test_it_moves(api: Client, change: dict[str, object], now: str) -> None:
    assert api.ok("POST", "clock", change)["now"] == now
    assert api.ok("GET", "clock")["now"] == now


def test_it_runs_from_where_it_stood_and_stops_again(api: Client) -> None:
    start = api.ok("GET", "clock")["timestamp"]
    running = api.ok("POST", "clock", {"advance": "10s", "frozen": False})
    assert running["frozen"] is False
    assert start + 10 <= running["timestamp"] < start + 20
    assert api.ok("GET", "clock")["timestamp"] > running["timestamp"]
    stopped = api.ok("POST", "clock", {"frozen": True})
    assert api.ok("GET", "clock") == stopped


@pytest.mark.parametrize(
    "wrong",
    [{}, {"set": "tomorrow"}, {"advance": "soon"}, {"advance": True}, {"freeze": True}, {"frozen": "yes"},
     {"advance": "9999999w"}, {"advance": 1e300}, {"set": "2199-12-31T00:00:00Z", "advance": "2d"},
     {"set": "0001-01-01T00:00:00Z"}],
)  # fmt: skip
def test_what_makes_no_sense_changes_nothing(api: Client, wrong: dict[str, object]) -> None:
    before = api.ok("GET", "clock")
    assert api.read_error("POST", "clock", wrong)[0] == 400
    assert api.ok("GET", "clock") == before


@pytest.mark.parametrize("advance", ["soon", "", "-", "1x", "1" * 40 + "!"])
def test_what_is_no_duration_is_told_with_some_that_are(api: Client, advance: str) -> None:
    told = f"'{advance}' is not a duration such as 250ms, 61s, 15m, 2h or 30d"
    assert api.read_error("POST", "clock", {"advance": advance}) == (400, told)


def test_a_minute_later_the_window_is_open_again(api: Client) -> None:
    assert [api.chat(key=RPM).status_code for _ in range(3)] == [200, 200, 429]
    api.ok("POST", "clock", {"advance": "59s"})
    refused = api.chat(key=RPM)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    api.ok("POST", "clock", {"advance": "2s"})
    assert api.chat(key=RPM).status_code == 200


def test_a_clock_that_is_set_back_locks_nobody_out(api: Client) -> None:
    api.ok("POST", "clock", {"advance": "365d"})
    assert [api.chat(key=RPM).status_code for _ in range(3)] == [200, 200, 429]
    api.ok("POST", "clock", {"advance": "-365d"})
    answers = [api.chat(key=RPM) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].headers["retry-after"] == "60"


def test_after_a_day_a_rotated_secret_is_dead(api: Client) -> None:
    old, new = "sk-nex-old-still-in-grace", "sk-nex-new-after-rotation"
    assert [api.chat(key=old).status_code, api.chat(key=new).status_code] == [200, 200]
    api.ok("POST", "clock", {"advance": "1d"})
    assert [api.chat(key=old).status_code, api.chat(key=new).status_code] == [401, 200]


def test_answers_are_dated_by_it(api: Client) -> None:
    api.ok("POST", "clock", {"set": "2027-01-01T00:00:00Z"})
    assert api.chat().json()["created"] == 1798761600
    assert api.ok("GET", "journal")["items"][0]["at"] == "2027-01-01T00:00:00Z"


def test_a_month_later_there_is_one_more_invoice(api: Client) -> None:
    def invoices() -> int:
        answer = api.get("/api/v1/billing/invoices", headers={"authorization": "Bearer nex-console-business"})
        return int(answer.headers["x-total-count"])

    before = invoices()
    api.ok("POST", "clock", {"advance": "31d"})
    assert invoices() == before + 1
