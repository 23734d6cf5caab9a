"""Usage rows and the dashboard: windows, filters, groupings, both views, and their speed."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from aione_mock.server.app import Mock
from aione_mock.server.sessions import Session
from aione_mock.types import Usage
from tests.tenant.calls import record
from tests.timing import cost

from .client import BUSINESS, DASHBOARD, KEYS, TECH, USAGE, Console, sum_cost

TODAY = date(2026, 11, 20)
NOBODY = "00000000-0000-4000-8000-000000000000"


def days(console: Console, **params: Any) -> list[str]:
    return [row["date"] for row in console.get(USAGE, **params)]


def format_past_day(count: int) -> str:
    return str(TODAY - timedelta(count))


def test_the_usual_window_is_the_last_seven_days(console: Console, session: Session) -> None:
    assert days(console) == [format_past_day(n) for n in range(6, -1, -1)]
    assert days(console, end_date=format_past_day(10)) == [format_past_day(n) for n in range(16, 9, -1)]
    assert days(console, start_date=format_past_day(2)) == [format_past_day(2), format_past_day(1), format_past_day(0)]
    assert days(console, start_date=format_past_day(2), end_date=format_past_day(2)) == [format_past_day(2)]
    assert len(days(console, start_date=format_past_day(89))) == 90
    session.clock.advance(5.5 * 3600)
    assert days(console)[-1] == format_past_day(0), (
        "half past four in London is half past midnight in Shanghai, but no call yet"
    )
    console.chat()
    assert days(console)[-1] == "2026-11-21"


@pytest.mark.parametrize(
    ("query", "findings"),
    [
        ("start_date=2026-11-19&end_date=2026-11-18", [("query/start_date", "value_error")]),
        ("start_date=2026-11-21", [("query/start_date", "value_error")]),
        ("start_date=2026-08-22", [("query/end_date", "value_error")]),
        ("start_date=20-11-2026&end_date=2026-02-30", [
            ("query/start_date", "date_from_datetime_parsing"),
            ("query/end_date", "date_from_datetime_parsing"),
        ]),
        ("start_date=0000-01-01&end_date=", [
            ("query/end_date", "date_from_datetime_parsing"),
            ("query/start_date", "date_from_datetime_parsing"),
        ]),
        ("group_by=hour&key_id=7&team_id=&model=&start_date=2026-11-21", [
            ("query/group_by", "literal_error"),
            ("query/model", "string_too_short"),
            ("query/team_id", "uuid_parsing"),
            ("query/key_id", "uuid_parsing"),
            ("query/start_date", "value_error"),
        ]),
    ],
)  # fmt: skip
def test_bad_windows_are_refused_with_all_findings(
    console: Console, query: str, findings: list[tuple[str, str]]
) -> None:
    assert console.read_violations("GET", f"{USAGE}?{query}") == findings


@pytest.mark.parametrize(
    "query",
    ["end_date=0001-01-02", "start_date=0001-01-01&end_date=0001-01-01", "start_date=9999-12-30&end_date=9999-12-31"],
)
def test_days_far_away_have_nothing(console: Console, query: str) -> None:
    assert console.ask("GET", f"{USAGE}?{query}").json() == []


def test_a_dimension_not_grouped_by_is_null(console: Console) -> None:
    for by, name in {"day": "date", "model": "model", "team": "team_id", "key": "key_id"}.items():
        rows = console.get(USAGE, group_by=by)
        assert all(row[other] is None for row in rows for other in {"date", "model", "team_id", "key_id"} - {name})
        named = [row[name] for row in rows]
        assert len({*named}) == len(named) > 3
        if by != "day":
            costs = [Decimal(row["cost_rmb"]) for row in rows]
            assert costs == sorted(costs, reverse=True)
        # keys without a team are one group, which has no name
        assert (None in named) == (by == "team")


def test_filters_part_the_whole_and_combine(console: Console) -> None:
    whole = sum_cost(console.get(USAGE))
    for by, name, parameter in [("model", "model", "model"), ("key", "key_id", "key_id")]:
        rows = console.get(USAGE, group_by=by)
        parts = {row[name]: console.get(USAGE, **{parameter: row[name]}) for row in rows}
        assert {key: sum_cost(part) for key, part in parts.items()} == {r[name]: Decimal(r["cost_rmb"]) for r in rows}
        assert sum(map(sum_cost, parts.values())) == whole
    team = console.get(USAGE, group_by="team")[0]["team_id"]
    models = console.get(USAGE, group_by="model", team_id=team.upper())
    assert sum_cost(models) == sum_cost(console.get(USAGE, team_id=team)) < whole
    one = console.get(USAGE, team_id=team, model=models[0]["model"])
    assert sum_cost(one) == Decimal(models[0]["cost_rmb"])
    assert console.get(USAGE, model="sonnet-4-6") == console.get(USAGE, model="claude-sonnet-4-6") != []


@pytest.mark.parametrize("asked", [{"model": "no-such-model"}, {"team_id": NOBODY}, {"key_id": NOBODY}])
def test_what_is_unknown_selects_nothing(console: Console, asked: dict[str, str]) -> None:
    assert console.get(USAGE, **asked) == []


def test_each_view_belongs_to_its_caller(console: Console) -> None:
    tech, business = console.get(DASHBOARD), console.get(DASHBOARD, BUSINESS)
    key = console.get(DASHBOARD, console.create()["key"])
    assert (tech["view_mode"], tech["business"], tech == key) == ("tech", None, True)
    assert (business["view_mode"], business["tech"]) == ("business", None)
    assert tech["data_freshness"] == business["data_freshness"] == "2026-11-20T10:30:00Z"
    assert tech["tech"]["daily_trend"] == business["business"]["daily_trend"]
    assert len(tech["tech"]["daily_trend"]) == 7
    tokens = [model["tokens"] for model in tech["tech"]["model_distribution"]]
    assert tokens == sorted(tokens, reverse=True)
    tokens = tech["tech"]["total_tokens"]
    assert business["business"]["total_chars_wan"] == pytest.approx(tokens * 1.5 / 10_000, abs=0.01)
    names = [item["team_name"] for item in business["business"]["team_cost_ranking"]]
    assert "No team" in names
    assert len({*names}) == len(names)
    ids = [item["team_id"] for item in business["business"]["team_cost_ranking"]]
    assert {*ids} - {None} <= {key["team_id"] for key in console.get(KEYS)["items"]}
    budget = Decimal(console.get("/api/v1/billing/account")["monthly_budget_rmb"])
    month = sum_cost(console.get(USAGE, start_date="2026-11-01"))
    assert Decimal(business["business"]["budget_progress_pct"]) == round(100 * month / budget, 2)


@pytest.mark.parametrize("days", ["0", "91", "-1", "seven", "1.5", "", "9" * 400])
def test_a_range_has_bounds(console: Console, days: str) -> None:
    ((place, _),) = console.read_violations("GET", f"{DASHBOARD}?range_days={days}")
    assert place == "query/range_days"


def test_status_follows_what_happens(console: Console, session: Session) -> None:
    def states() -> tuple[str, str]:
        shown = console.get(DASHBOARD, BUSINESS)["business"]
        return shown["capacity_status"], shown["service_status"]

    session.clock.advance(86400)
    assert states() == ("sufficient", "normal")
    for _ in range(10):
        console.chat()
    limit = console.get("/api/v1/billing/plan")["rpm_limit"]
    tech = console.get(DASHBOARD, range_days=1)["tech"]
    assert Decimal(tech["rpm_usage_pct"]) == round(Decimal(1000) / limit, 2)
    assert (tech["error_rate_pct"], states()) == ("0.00", ("sufficient", "normal"))
    console.chat(scenario="upstream_failed")
    assert console.get(DASHBOARD, range_days=1)["tech"]["error_rate_pct"] == "9.09"
    assert states()[1] == "degraded"
    for _ in range(9):
        console.chat(scenario="upstream_failed")
    assert states()[1] == "down"
    session.clock.advance(3600)
    assert states()[1] == "normal"
    assert console.get(DASHBOARD)["tech"]["rpm_usage_pct"] == "0.00"


async def test_capacity_gets_tight(console: Console, session: Session) -> None:
    org = next(iter(session.tenants.organisations.values()))
    caller, ledger = org.tokens[next(iter(org.tokens))], session.tenants.ledgers[org.id]
    seen = []
    for number in range(org.plan.rpm_limit):
        share = 100 * number // org.plan.rpm_limit
        if number % (org.plan.rpm_limit // 20) == 0:
            seen.append((share, console.get(DASHBOARD, BUSINESS)["business"]["capacity_status"]))
        await record(ledger, session.store, session.clock.timestamp(), caller, "gpt-5.4", Usage(1, 1))
    assert [share for share, state in seen if state == "tight"] == [70, 75, 80, 85]
    assert [share for share, state in seen if state == "insufficient"] == [90, 95]


def test_latency_is_that_of_the_model_and_not_of_the_machine(console: Console, session: Session) -> None:
    session.clock.advance(86400)
    usage = console.chat().json()["usage"]
    pace = session.catalogue.names["gpt-5.4"].pace
    expected = round(1000 * (pace.ttft + usage["completion_tokens"] / pace.tokens_per_second))
    tech = console.get(DASHBOARD, range_days=1)["tech"]
    assert (tech["avg_latency_ms"], tech["p99_latency_ms"]) == (expected, expected)
    console.chat(scenario="upstream_unavailable")
    assert console.get(DASHBOARD, range_days=1)["tech"]["avg_latency_ms"] == (expected + 1000 * pace.ttft) / 2


@pytest.mark.parametrize("secret", [TECH, BUSINESS])
def test_a_dashboard_of_ninety_days_is_quick(console: Console, app: Mock, secret: str) -> None:
    with console.open_in_process(app) as inside:
        inside.get(DASHBOARD, secret, range_days=90)
        assert cost(lambda: inside.get(DASHBOARD, secret, range_days=90), 9) < 0.02


def test_and_stays_quick_when_thousands_of_calls_are_the_sessions_own(
    console: Console, app: Mock, session: Session
) -> None:
    org = next(iter(session.tenants.organisations.values()))
    caller, ledger, now = session.tenants.find_token(TECH), session.tenants.ledgers[org.id], session.clock.timestamp()
    assert caller is not None

    async def calls() -> None:
        for number in range(4000):
            at = now + number % 600
            await record(ledger, session.store, at, caller, "gpt-5.4", Usage(1, 1), True, number, f"req_{number}")

    asyncio.run(calls())
    test_a_dashboard_of_ninety_days_is_quick(console, app, TECH)
