"""Usage rows and the dashboard: two views of the ledger over whole days.

Source: AIone API reference, "Usage statistics" and DashboardResponse; what lies behind a figure is assumed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal

from aione_mock.contract.validation import Finding
from aione_mock.server.handlers.owner import organisation
from aione_mock.server.sessions import Session
from aione_mock.tenant.calendar import HOUR, day_to_date, format_timestamp, timestamp_to_day
from aione_mock.tenant.ledger import Filter, Row, group
from aione_mock.tenant.organisation import Organisation
from aione_mock.tenant.usage_history import DayCell, Figures
from aione_mock.types import Call, Json, Reply

_USUAL_DAYS = 7
_MOST_DAYS = 90
_CHARACTERS = Decimal("1.5")
"""Characters to a token, between English (about 4) and Chinese (about 1), weighted to the latter (assumed)."""
_TEN_THOUSAND = 10_000
_TIGHT, _INSUFFICIENT = Decimal(70), Decimal(90)
"""Per cent of the plan's requests a minute from which capacity is called so."""
_DEGRADED, _DOWN = Decimal(5), Decimal(50)
"""Per cent of failed calls within an hour from which the service is called so."""
NO_TEAM = "No team"


async def query_usage(call: Call, session: Session) -> Reply:
    """`GET /api/v1/obs/usage`."""
    asked, ledger = call.params, session.tenants.ledgers[organisation(call, session).id]
    start, end = _days(call, session)
    wanted = Filter(
        models=_model(asked["model"], session) if "model" in asked else None,
        teams={asked["team_id"].lower()} if "team_id" in asked else None,
        keys={asked["key_id"].lower()} if "key_id" in asked else None,
    )
    rows = await ledger.rows(session.store, start, end, (asked["group_by"],), wanted)
    return Reply([_usage_row(row) for row in rows])


def check_usage(call: Call, session: Session) -> Iterator[Finding]:
    """What the parameters' schemas cannot say: days that exist, in order, and not too many."""
    given = [name for name in ("start_date", "end_date") if name in call.params]
    bad = [name for name in given if _date(call.params[name]) is None]
    for name in bad:
        yield Finding(
            ("query", name), "Input should be a valid date in the form YYYY-MM-DD", "date_from_datetime_parsing"
        )
    if bad or not given:
        return
    start, end = _days(call, session)
    if start > end:
        yield Finding(
            ("query", "start_date"), f"Value error, start_date {start} lies after end_date {end}", "value_error"
        )
    elif (end - start).days >= _MOST_DAYS:
        yield Finding(("query", "end_date"), f"Value error, at most {_MOST_DAYS} days can be queried", "value_error")


def _days(call: Call, session: Session) -> tuple[date, date]:
    """First and last day of the query; a date that is not given depends on the other, or on today."""
    first, last = call.params.get("start_date"), call.params.get("end_date")
    end = date.fromisoformat(last) if last else _today(session)
    if first:
        return date.fromisoformat(first), end
    return date.fromordinal(max(1, end.toordinal() - _USUAL_DAYS + 1)), end


def _date(text: str) -> date | None:
    """The date; None for one that no calendar has, such as in the year 0."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _today(session: Session) -> date:
    return day_to_date(timestamp_to_day(session.clock.timestamp()))


def _model(name: str, session: Session) -> set[str]:
    """The id under which a model is counted; an alias stands for its model."""
    model = session.catalogue.find(name)
    return {model.id if model else name}


def _usage_row(row: Row) -> Json:
    return {
        "date": row.date and str(row.date),
        "model": row.model,
        "team_id": row.team_id,
        "key_id": row.key_id,
        "requests": row.requests,
        "prompt_tokens": row.prompt,
        "completion_tokens": row.completion,
        "total_tokens": row.total,
        "cost_rmb": f"{row.cost:.4f}",
    }


async def get_dashboard(call: Call, session: Session) -> Reply:
    """`GET /api/v1/obs/dashboard`, in the caller's view."""
    org, today = organisation(call, session), _today(session)
    start = today - timedelta(call.params["range_days"] - 1)
    ledger = session.tenants.ledgers[org.id]
    cells = await ledger.cells(session.store, start, today)
    trend = [_trend(row) for row in await ledger.daily(session.store, start, today)]
    view = call.caller.view if call.caller else "tech"
    data = await (_business(org, session, cells) if view == "business" else _tech(org, session, cells, start, today))
    return Reply(
        {
            "view_mode": view,
            "tech": None,
            "business": None,
            view: {**data, "daily_trend": trend},
            "data_freshness": format_timestamp(session.clock.timestamp()),
        }
    )


def _trend(row: Row) -> Json:
    return {"date": str(row.date), "requests": row.requests, "tokens": row.total, "cost_rmb": f"{row.cost:.4f}"}


async def _tech(org: Organisation, session: Session, cells: list[DayCell], start: date, end: date) -> dict[str, Json]:
    (total,) = group(cells)
    mean, slowest = await session.tenants.ledgers[org.id].latency(session.store, start, end)
    models = sorted(group(cells, ("model",)), key=lambda row: -row.total)
    return {
        "total_tokens": total.total,
        "prompt_tokens": total.prompt,
        "completion_tokens": total.completion,
        "total_requests": total.requests,
        "total_cost_rmb": f"{total.cost:.4f}",
        "avg_latency_ms": round(mean, 2),
        "p99_latency_ms": slowest,
        "error_rate_pct": _two_places(_share(total.errors, total.requests)),
        "rpm_usage_pct": _two_places(await _rate(org, session)),
        "model_distribution": [{"model": row.model, "requests": row.requests, "tokens": row.total} for row in models],
    }


async def _business(org: Organisation, session: Session, cells: list[DayCell]) -> dict[str, Json]:
    (total,) = group(cells)
    now, book = session.clock.timestamp(), session.tenants.billing[org.id]
    budget = org.account.monthly_budget_rmb or Decimal(0)
    return {
        "total_chars_wan": float((total.total * _CHARACTERS / _TEN_THOUSAND).quantize(Decimal("0.01"), ROUND_HALF_UP)),
        "total_conversations": total.requests,
        "total_cost_rmb": f"{total.cost:.4f}",
        "budget_progress_pct": _two_places(_share(await book.month_to_date(session.store, now), budget)),
        "capacity_status": _capacity(await _rate(org, session)),
        "service_status": _service(await _recent(org, session, HOUR)),
        "team_cost_ranking": [_team_cost(row, org) for row in group(cells, ("team",))],
    }


def _team_cost(row: Row, org: Organisation) -> Json:
    team = org.find_team(row.team_id)
    return {
        "team_id": row.team_id,
        "team_name": team.name if team else NO_TEAM,
        "cost_rmb": f"{row.cost:.4f}",
        "conversations": row.requests,
    }


async def _recent(org: Organisation, session: Session, seconds: int) -> Figures:
    """The calls of the last minutes, the present one included."""
    end = (session.clock.timestamp() // 60 + 1) * 60
    return await session.tenants.ledgers[org.id].summary(session.store, end - seconds, end)


async def _rate(org: Organisation, session: Session) -> Decimal:
    """Calls of the present minute, in per cent of what the plan allows."""
    return _share((await _recent(org, session, 60)).requests, org.plan.rpm_limit)


def _capacity(rate: Decimal) -> str:
    if rate >= _INSUFFICIENT:
        return "insufficient"
    return "tight" if rate >= _TIGHT else "sufficient"


def _service(recent: Figures) -> str:
    failed = _share(recent.errors, recent.requests)
    if failed >= _DOWN:
        return "down"
    return "degraded" if failed >= _DEGRADED else "normal"


def _share(part: int | Decimal, whole: int | Decimal) -> Decimal:
    """Per cent; 0 of nothing."""
    return 100 * Decimal(part) / whole if whole else Decimal(0)


def _two_places(share: Decimal) -> str:
    return str(share.quantize(Decimal("0.01"), ROUND_HALF_UP))
