"""Plan, account and invoices through the console, and the end of the money."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from decimal import Decimal

import pytest

from aione_mock.server.sessions import Session

from .client import BUSINESS, KEY, TECH, USAGE, Console

ACCOUNT, INVOICES, PLAN = "/api/v1/billing/account", "/api/v1/billing/invoices", "/api/v1/billing/plan"
MODELS = "/api/v1/gateway/models"
POOR_TOKEN, POOR_KEY = "nex-console-spent", "sk-nex-balance-used-up"
DAY = 86400


def test_both_views_and_a_key_see_the_same(console: Console) -> None:
    for path in (ACCOUNT, INVOICES, PLAN, MODELS):
        assert console.get(path, TECH) == console.get(path, BUSINESS) == console.get(path, KEY)


def test_the_plan_and_the_models_agree(console: Console) -> None:
    plan, models = console.get(PLAN), console.get(MODELS)
    assert [model["id"] for model in models["items"]] == plan["models"]
    assert models["total"] == len(models["items"])
    lists = console.ask("GET", "/v1/models", KEY).json()["data"]
    assert [model["id"] for model in lists] == plan["models"]
    priced = next(model for model in models["items"] if model["id"] == "gpt-5.4")
    assert priced["input_price_rmb"] == "18.0000"
    assert Decimal(priced["cached_input_price_rmb"]) < Decimal(priced["input_price_rmb"])
    assert console.chat(console.create()["key"]).headers["x-ratelimit-limit-requests"] == str(plan["rpm_limit"])


def test_invoices_are_the_whole_months_newest_first(console: Console, session: Session) -> None:
    answer = console.ask("GET", INVOICES)
    found = answer.json()
    assert [invoice["period_start"] for invoice in found] == ["2026-10-01", "2026-09-01", "2026-08-01"]
    assert answer.headers["x-total-count"] == "3"
    for invoice in found:
        first, last = (date.fromisoformat(invoice[name]) for name in ("period_start", "period_end"))
        assert first.day == (last + timedelta(1)).day == 1
        assert invoice["invoice_no"].startswith(f"INV-{first:%Y%m}-")
    assert len({invoice["id"] for invoice in found}) == len({invoice["invoice_no"] for invoice in found}) == 3
    session.clock.advance(11 * DAY)
    later = console.get(INVOICES)
    assert later[1:] == found
    assert (later[0]["period_start"], later[0]["status"], later[0]["paid_at"]) == ("2026-11-01", "issued", None)
    session.clock.advance(6 * DAY)
    assert console.get(INVOICES)[0]["status"] == "paid"


@pytest.mark.parametrize(
    ("query", "months"),
    [
        ("page=1&page_size=2", ["2026-10-01", "2026-09-01"]),
        ("page=2&page_size=2", ["2026-08-01"]),
        ("page=3&page_size=1", ["2026-08-01"]),
        ("page=4", []),
        (f"page={10**17}&page_size=100", []),
        ("page_size=1", ["2026-10-01"]),
    ],
)
def test_pages_of_invoices(console: Console, query: str, months: list[str]) -> None:
    answer = console.ask("GET", f"{INVOICES}?{query}")
    assert [invoice["period_start"] for invoice in answer.json()] == months
    assert answer.headers["x-total-count"] == "3"


def test_bad_pages_are_refused(console: Console) -> None:
    assert console.read_violations("GET", f"{INVOICES}?page=0&page_size=0") == [
        ("query/page", "greater_than_equal"),
        ("query/page_size", "greater_than_equal"),
    ]
    assert console.read_violations("GET", f"{INVOICES}?page=one&page_size=101") == [
        ("query/page", "int_parsing"),
        ("query/page_size", "less_than_equal"),
    ]
    ((place, _),) = console.read_violations("GET", f"{INVOICES}?page={'9' * 30}")
    assert place == "query/page"


def test_who_has_no_money_left_gets_402(console: Console) -> None:
    account = console.get(ACCOUNT, POOR_TOKEN)
    assert (account["balance_rmb"], account["credit_limit_rmb"], account["status"]) == (
        "-50.0000",
        "50.0000",
        "suspended",
    )
    body = {"model": "gpt-5.4", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    for path in ("/v1/chat/completions", "/v1/messages"):
        assert console.ask("POST", path, POOR_KEY, json=body).status_code == 402
    gemini = {"contents": [{"parts": [{"text": "Hi"}]}]}
    path = "/v1beta/models/gemini-2.5-flash:generateContent"
    assert console.ask("POST", path, POOR_KEY, json=gemini).status_code == 402
    # what costs nothing still works, and what was refused is in no figure
    assert console.ask("GET", "/v1/models", POOR_KEY).status_code == 200
    assert console.ask("POST", "/v1/messages/count_tokens", POOR_KEY, json=body).status_code == 200
    assert console.get(USAGE, POOR_TOKEN) == []


def test_the_last_call_may_end_the_money(console: Console, session: Session) -> None:
    org = next(iter(session.tenants.organisations.values()))
    left = org.account.balance_rmb + org.account.credit_limit_rmb

    async def leave(amount: Decimal) -> None:
        await session.store.put(f"usage/spent/{org.id}", int((left - amount) * 10_000))

    asyncio.run(leave(Decimal("0.0001")))
    assert console.get(ACCOUNT)["status"] == "active"
    assert console.chat().status_code == 200
    account = console.get(ACCOUNT)
    assert account["status"] == "suspended"
    assert Decimal(account["balance_rmb"]) < -org.account.credit_limit_rmb
    assert console.chat().json()["error"]["code"] == "insufficient_balance"


def test_the_fee_falls_due_when_a_month_ends(console: Console, session: Session) -> None:
    before, fee = Decimal(console.get(ACCOUNT)["balance_rmb"]), Decimal(console.get(PLAN)["monthly_fee_rmb"])
    session.clock.advance(10.5 * DAY)
    assert Decimal(console.get(ACCOUNT)["balance_rmb"]) == before - fee
    assert console.get(ACCOUNT)["month_to_date_cost_rmb"] == "0.0000"
    session.clock.advance(31 * DAY)
    assert Decimal(console.get(ACCOUNT)["balance_rmb"]) == before - 2 * fee
