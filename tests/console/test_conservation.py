"""Conservation through the API: whatever is called, every figure moves by exactly that, and all figures agree."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import httpx2
import orjson
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from aione_mock.server.app import Mock
from aione_mock.server.http import Server
from aione_mock.tenant.calendar import date_to_day, day_to_date, day_to_timestamp, timestamp_to_day
from aione_mock.tenant.catalogue import ModelCatalogue
from aione_mock.text.sse import decode
from aione_mock.types import Usage
from tests.tenant.calls import compute_rmb

from .client import BUSINESS, DASHBOARD, KEY, KEYS, USAGE, Console, make_bearer_headers, sum_cost

CATALOGUE = ModelCatalogue.load()
GROUPS = ("day", "model", "team", "key")
ACCOUNT, INVOICES, PLAN = "/api/v1/billing/account", "/api/v1/billing/invoices", "/api/v1/billing/plan"
FIGURES = ("requests", "prompt_tokens", "completion_tokens", "total_tokens")


@dataclass(frozen=True)
class Moved:
    """By how much figures must have changed."""

    requests: int = 0
    errors: int = 0
    prompt: int = 0
    completion: int = 0
    cost: Decimal = Decimal(0)

    def __add__(self, other: Moved) -> Moved:
        return Moved(*[getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__])


NOT_AT_ALL, FAILED = Moved(), Moved(requests=1, errors=1)


def sum_movement(model: str, prompt: int, completion: int, cached: int) -> Moved:
    found = CATALOGUE.find(model)
    assert found is not None
    return Moved(1, 0, prompt, completion, compute_rmb(Usage(prompt, completion, cached=cached), found))


def openai_usage(body: dict[str, Any]) -> Moved:
    usage = body["usage"]
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    return sum_movement(body["model"], usage["prompt_tokens"], usage["completion_tokens"], cached)


def events(answer: httpx2.Response) -> list[dict[str, Any]]:
    return [orjson.loads(event.data) for event in decode([answer.content]) if event.data != "[DONE]"]


def ask_plain(console: Console, model: str, text: str) -> Moved:
    return openai_usage(console.chat(text=text, model=model).json())


def ask_streamed(console: Console, model: str, text: str) -> Moved:
    options = {"stream": True, "stream_options": {"include_usage": True}}
    return openai_usage(events(console.chat(text=text, model=model, **options))[-1])


def message(console: Console, model: str, text: str) -> Moved:
    body = {"model": model, "max_tokens": 50, "messages": [{"role": "user", "content": text}]}
    usage = console.ask("POST", "/v1/messages", KEY, json=body).json()["usage"]
    cached = usage.get("cache_read_input_tokens") or 0
    written = usage.get("cache_creation_input_tokens") or 0
    return sum_movement(model, usage["input_tokens"] + cached + written, usage["output_tokens"], cached)


def gemini(console: Console, model: str, text: str) -> Moved:
    body = {"contents": [{"role": "user", "parts": [{"text": text}]}]}
    path = "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
    usage = events(console.ask("POST", path, KEY, json=body))[-1]["usageMetadata"]
    answered = usage["candidatesTokenCount"] + usage.get("thoughtsTokenCount", 0)
    cached = usage.get("cachedContentTokenCount", 0)
    return sum_movement("gemini-2.5-flash", usage["promptTokenCount"], answered, cached)


def cut(console: Console, model: str, text: str) -> Moved:
    """Cut a stream off: it costs what the whole one does. The text is short, because a long one may be cached."""
    text = text[:99]
    with pytest.raises(httpx2.HTTPError):
        console.chat(text=text, model=model, stream=True, scenario="cut")
    return _read_expected(console, model, text)


def leave_stream(console: Console, model: str, text: str) -> Moved:
    """Leave a stream before its end: it costs what the whole one does."""
    text = text[:99]
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": text}]}
    headers = make_bearer_headers(KEY) | {"x-mock-scenario": "pace; tps=1; ttft=0"}
    with console.http.stream("POST", "/v1/chat/completions", json=body, headers=headers) as answer:
        next(answer.iter_raw())
    return _read_expected(console, model, text)


def _read_expected(console: Console, model: str, text: str) -> Moved:
    """Return what the same text costs in another session."""
    elsewhere = Console(f"http://{console.host}", "elsewhere")
    return ask_plain(elsewhere, model, text)


def make_failing_call(scenario: str) -> Any:
    def call(console: Console, model: str, text: str) -> Moved:
        answer = console.chat(text=text, model=model, scenario=scenario)
        assert answer.is_error
        return FAILED if answer.status_code >= 500 else NOT_AT_ALL

    return call


def ask_refused(console: Console, model: str, text: str) -> Moved:
    assert console.chat("sk-nex-wrong", text, model=model).status_code == 401
    assert console.chat(text=text, model="no-such-model").status_code == 404
    assert console.chat(text=text, model="no-such-model", scenario="internal_error").status_code == 500
    assert console.chat(text=text, model=model, temperature="hot").status_code == 400
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    assert console.ask("POST", "/v1/messages/count_tokens", KEY, json=body).status_code == 200
    return NOT_AT_ALL


CALLS: dict[str, Any] = {
    "plain": ask_plain,
    "streamed": ask_streamed,
    "message": message,
    "gemini": gemini,
    "cut": cut,
    "left": leave_stream,
    "refused": ask_refused,
    **{name: make_failing_call(name) for name in ("internal_error", "upstream_unavailable", "upstream_timeout")},
    "rate_limit_exceeded": make_failing_call("rate_limit_exceeded"),
}


def the_day(console: Console, app: Mock) -> date:
    session = app.sessions.get(console.http.headers["x-mock-session"])
    return day_to_date(timestamp_to_day(session.clock.timestamp()))


def laws(console: Console, today: date, range_days: int) -> dict[str, Any]:
    """Check that all figures agree, and return them."""
    start = today - timedelta(range_days - 1)
    span = {"start_date": str(start), "end_date": str(today)}
    rows = {by: console.get(USAGE, group_by=by, **span) for by in GROUPS}
    tech = console.get(DASHBOARD, range_days=range_days)["tech"]
    business = console.get(DASHBOARD, BUSINESS, range_days=range_days)["business"]
    total = tuple(
        tech["total_" + name] if name in ("requests", "tokens") else tech[name]
        for name in ("requests", "prompt_tokens", "completion_tokens", "tokens")
    )
    money = Decimal(tech["total_cost_rmb"])
    assert total[3] == total[1] + total[2]
    for group in rows.values():
        assert tuple(sum(row[name] for row in group) for name in FIGURES) == total
        assert sum_cost(group) == money
        assert all(row["total_tokens"] == row["prompt_tokens"] + row["completion_tokens"] for row in group)
    for view in (tech, business):
        trend = view["daily_trend"]
        assert [row["date"] for row in trend] == [str(start + timedelta(n)) for n in range(range_days)]
        assert (sum(row["requests"] for row in trend), sum(row["tokens"] for row in trend)) == (total[0], total[3])
        assert sum_cost(trend) == Decimal(view["total_cost_rmb"]) == money
    assert [
        (row["model"], row["requests"], row["tokens"])
        for row in sorted(tech["model_distribution"], key=lambda r: r["model"])
    ] == sorted((row["model"], row["requests"], row["total_tokens"]) for row in rows["model"])
    ranking = business["team_cost_ranking"]
    assert [(row["team_id"], row["cost_rmb"], row["conversations"]) for row in ranking] == [
        (row["team_id"], row["cost_rmb"], row["requests"]) for row in rows["team"]
    ]
    assert sum_cost(ranking) == money
    assert business["total_conversations"] == total[0]
    return {"total": total, "cost": money, "rows": rows, "errors": tech["error_rate_pct"]}


def bills(console: Console, today: date) -> dict[str, Any]:
    """Check account and invoices against usage; return the balance and the cost of the month."""
    account, fee = console.get(ACCOUNT), Decimal(console.get(PLAN)["monthly_fee_rmb"])
    month = console.get(USAGE, start_date=str(today.replace(day=1)), end_date=str(today))
    assert Decimal(account["month_to_date_cost_rmb"]) == sum_cost(month)
    for invoice in console.get(INVOICES):
        usage = sum_cost(console.get(USAGE, start_date=invoice["period_start"], end_date=invoice["period_end"]))
        assert Decimal(invoice["amount_rmb"]) == (usage + fee).quantize(Decimal("0.01"), ROUND_HALF_UP)
    return {"balance": Decimal(account["balance_rmb"]), "month": sum_cost(month)}


def sum_observations(console: Console, today: date) -> dict[str, Any]:
    """Check charts, metrics and logs of today against each other and against usage; return the sums."""
    begin = day_to_timestamp(date_to_day(today))
    window = {
        name: datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for name, at in (("startTime", begin), ("endTime", begin + 86400))
    }
    metrics, charts = console.observe("metrics", **window), console.observe("charts", **window)
    (row,) = console.get(USAGE, start_date=str(today), end_date=str(today)) or [dict.fromkeys(FIGURES, 0)]
    assert (metrics["totalCalls"], metrics["inputTokens"], metrics["outputTokens"]) == tuple(
        row[name] for name in FIGURES[:3]
    )
    assert sum(point["value"] for point in charts["callVolume"]) == metrics["totalCalls"]
    minutes = 15
    assert sum(point["value"] for point in charts["qpm"]) * minutes == pytest.approx(metrics["totalCalls"])
    assert sum(point["value"] for point in charts["tpm"]) * minutes == pytest.approx(row["total_tokens"])
    logs = console.observe("logs", **window, pageSize=50)
    assert logs["total"] == metrics["totalCalls"]
    return metrics | {"logs": logs["list"]}


LONG = "word " * 1500


# no shrinking: an example takes a while, and a short list of calls is easy to read as it is
@settings(max_examples=8, deadline=None, phases=[Phase.explicit, Phase.generate])
@example(7, datetime(2026, 3, 1, tzinfo=UTC), 30, [("plain", "gpt-5.4", LONG), ("streamed", "gpt-5.4", LONG)])
@example(8, datetime(2027, 1, 1, tzinfo=UTC), 90, [(name, "claude-haiku-4-5", "你好") for name in sorted(CALLS)])
@given(
    seed=st.integers(0, 10**6),
    now=st.datetimes(datetime(2026, 1, 1), datetime(2028, 12, 31), timezones=st.just(UTC)),
    range_days=st.integers(1, 90),
    calls=st.lists(
        st.tuples(st.sampled_from(sorted(CALLS)), st.sampled_from(["gpt-5.4", "claude-haiku-4-5"]),
                  st.sampled_from(["Hello", "你好，今天怎么样？", LONG])),
        max_size=6,
    ),
)  # fmt: skip
def test_every_figure_moves_by_exactly_what_was_called(
    server: Server, seed: int, now: datetime, range_days: int, calls: list[tuple[str, str, str]]
) -> None:
    app: Mock = server.app
    for name in ("conserved", "elsewhere"):
        app.sessions.create(name, seed=str(seed), now=now)
    console = Console(server.url, "conserved")
    today = the_day(console, app)
    before, bill, seen = laws(console, today, range_days), bills(console, today), sum_observations(console, today)
    moved = NOT_AT_ALL
    for name, model, text in calls:
        moved += CALLS[name](console, model, text)
    after, bill_after, seen_after = (
        laws(console, today, range_days),
        bills(console, today),
        sum_observations(console, today),
    )
    difference = tuple(b - a for a, b in zip(before["total"], after["total"], strict=True))
    assert difference == (moved.requests, moved.prompt, moved.completion, moved.prompt + moved.completion)
    assert after["cost"] - before["cost"] == moved.cost
    assert bill_after["month"] - bill["month"] == bill["balance"] - bill_after["balance"] == moved.cost
    assert seen_after["totalCalls"] - seen["totalCalls"] == moved.requests
    newest = seen_after["logs"][: moved.requests]
    assert sum(row["totalTokens"] for row in newest) == moved.prompt + moved.completion
    assert sum(row["status"] == "failed" for row in newest) == moved.errors


@pytest.mark.parametrize("name", sorted(CALLS))
def test_a_call_moves_the_figures_of_its_own_key_alone(console: Console, app: Mock, name: str) -> None:
    app.sessions.create("elsewhere")
    demo = next(key["id"] for key in console.get(KEYS)["items"] if key["name"] == "Demo")
    before = {row["key_id"]: row for row in console.get(USAGE, group_by="key")}
    moved = CALLS[name](console, "gpt-5.4", "Hello")
    rows = {row["key_id"]: row for row in console.get(USAGE, group_by="key")}
    mine = rows.pop(demo, dict.fromkeys((*FIGURES, "cost_rmb"), 0))
    assert rows == before
    assert tuple(mine[name] for name in FIGURES) == (
        moved.requests,
        moved.prompt,
        moved.completion,
        moved.prompt + moved.completion,
    )
    assert Decimal(mine["cost_rmb"]) == moved.cost
    assert (moved.requests == 0) == (moved == NOT_AT_ALL)


def test_a_day_ends_at_midnight_in_shanghai(server: Server) -> None:
    at = datetime(2026, 5, 31, 15, 59, 59, tzinfo=UTC)
    session = server.app.sessions.create("midnight", now=at)
    console = Console(server.url, "midnight")
    first = ask_plain(console, "gpt-5.4", "Before midnight")
    month = Decimal(console.get(ACCOUNT)["month_to_date_cost_rmb"])
    balance = Decimal(console.get(ACCOUNT)["balance_rmb"])
    session.clock.advance(1)
    second = ask_plain(console, "gpt-5.4", "After midnight, in another month")
    demo = next(key["id"] for key in console.get(KEYS)["items"] if key["name"] == "Demo")
    rows = console.get(USAGE, key_id=demo)
    assert [(row["date"], row["cost_rmb"]) for row in rows] == [
        ("2026-05-31", str(first.cost)),
        ("2026-06-01", str(second.cost)),
    ]
    invoice, fee = console.get(INVOICES)[0], Decimal(console.get(PLAN)["monthly_fee_rmb"])
    assert (invoice["period_start"], invoice["period_end"], invoice["status"]) == ("2026-05-01", "2026-05-31", "issued")
    assert invoice["issued_at"] == "2026-05-31T16:00:00Z"
    assert Decimal(invoice["amount_rmb"]) == (month + fee).quantize(Decimal("0.01"), ROUND_HALF_UP)
    account = console.get(ACCOUNT)
    assert Decimal(account["month_to_date_cost_rmb"]) == second.cost
    assert Decimal(account["balance_rmb"]) == balance - fee - second.cost
    assert console.get(DASHBOARD, range_days=1)["tech"]["total_requests"] == 1
    bills(console, date(2026, 6, 1))
