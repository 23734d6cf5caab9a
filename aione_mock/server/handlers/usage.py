"""Usage rows and the dashboard: two views of the ledger over whole days.

Source: AIone API reference, "Usage statistics" and DashboardResponse; what lies behind a figure is assumed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal

from aione_mock.contract.validation import Violation
from aione_mock.server.sessions import Session
from aione_mock.tenant.calendar import HOUR, day_to_date, format_timestamp, timestamp_to_day
from aione_mock.tenant.ledger import LedgerSnapshot, UsageFilter, UsageRow, fill_days, group_usage
from aione_mock.tenant.organisation import Organisation
from aione_mock.tenant.usage_history import CallTotals, UsageSum
from aione_mock.types import Call, Json, Reply

_DEFAULT_DAYS = 7
_MAX_DAYS = 90
_CHARACTERS_PER_TOKEN = Decimal("1.5")
"""Between English (about 4) and Chinese (about 1), weighted to the latter (assumed)."""
_TEN_THOUSAND = 10_000
_TIGHT, _INSUFFICIENT = Decimal(70), Decimal(90)
"""Per cent of the plan's requests a minute from which capacity is called so."""
_DEGRADED, _DOWN = Decimal(5), Decimal(50)
"""Per cent of failed calls within an hour from which the service is called so."""
_CENT = Decimal("0.01")
NO_TEAM = "No team"


async def query_usage(call: Call, session: Session) -> Reply:
    """Answer `GET /api/v1/obs/usage`."""
    params, ledger = call.params, session.tenants.ledgers[session.tenants.find_organisation(call.caller).id]
    start, end = _read_days(call, session)
    wanted = UsageFilter(
        models={_resolve_alias(params["model"], session)} if "model" in params else None,
        teams={params["team_id"].lower()} if "team_id" in params else None,
        keys={params["key_id"].lower()} if "key_id" in params else None,
    )
    rows = (await ledger.read(session.store)).sum_days(start, end, (params["group_by"],), wanted)
    return Reply([_render_row(row) for row in rows])


def check_days(call: Call, session: Session) -> Iterator[Violation]:
    """Check that the days exist, are in order, and not too many."""
    given = [name for name in ("start_date", "end_date") if name in call.params]
    wrong = [name for name in given if not _is_date(call.params[name])]
    for name in wrong:
        message = "Input should be a valid date in the form YYYY-MM-DD"
        yield Violation(("query", name), message, "date_from_datetime_parsing")
    if wrong or not given:
        return
    start, end = _read_days(call, session)
    if start > end:
        message = f"Value error, start_date {start} lies after end_date {end}"
        yield Violation(("query", "start_date"), message, "value_error")
    elif (end - start).days >= _MAX_DAYS:
        yield Violation(("query", "end_date"), f"Value error, at most {_MAX_DAYS} days can be queried", "value_error")


def _read_days(call: Call, session: Session) -> tuple[date, date]:
    """Return first and last day of the query; a date that is not given depends on the other, or on today."""
    first, last = call.params.get("start_date"), call.params.get("end_date")
    end = date.fromisoformat(last) if last else _get_today(session)
    if first:
        return date.fromisoformat(first), end
    return date.fromordinal(max(1, end.toordinal() - _DEFAULT_DAYS + 1)), end


def _is_date(text: str) -> bool:
    """Return whether a date exists, unlike one in the year 0."""
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _get_today(session: Session) -> date:
    return day_to_date(timestamp_to_day(session.clock.timestamp()))


def _resolve_alias(name: str, session: Session) -> str:
    """Return the id under which a model is counted."""
    model = session.catalogue.find(name)
    return model.id if model else name


def _render_row(row: UsageRow) -> Json:
    return {
        "date": row.date and str(row.date),
        "model": row.model,
        "team_id": row.team_id,
        "key_id": row.key_id,
        "requests": row.totals.requests,
        "prompt_tokens": row.totals.prompt,
        "completion_tokens": row.totals.completion,
        "total_tokens": row.totals.tokens,
        "cost_rmb": f"{row.cost:.4f}",
    }


async def get_dashboard(call: Call, session: Session) -> Reply:
    """Answer `GET /api/v1/obs/dashboard`, in the caller's view."""
    org, today = session.tenants.find_organisation(call.caller), _get_today(session)
    start = today - timedelta(call.params["range_days"] - 1)
    ledger = await session.tenants.ledgers[org.id].read(session.store)
    usage, now = ledger.list_daily_usage(start, today), session.clock.timestamp()
    view = call.caller.view if call.caller else "tech"
    if view == "business":
        month_cost = session.tenants.billing[org.id].sum_month(ledger, now)
        data = _render_business_view(org, ledger, usage, month_cost, now)
    else:
        data = _render_tech_view(org, ledger, usage, ledger.find_p99_latency(start, today), now)
    trend = [_render_day(row) for row in fill_days(usage, start, today)]
    return Reply(
        {
            "view_mode": view,
            "tech": None,
            "business": None,
            view: {**data, "daily_trend": trend},
            "data_freshness": format_timestamp(now),
        }
    )


def _render_day(row: UsageRow) -> Json:
    totals = row.totals
    return {
        "date": str(row.date),
        "requests": totals.requests,
        "tokens": totals.tokens,
        "cost_rmb": f"{row.cost:.4f}",
    }


def _render_tech_view(
    org: Organisation, ledger: LedgerSnapshot, usage: list[UsageSum], p99_ms: int, now: float
) -> dict[str, Json]:
    (total,) = group_usage(usage)
    totals = total.totals
    models = sorted(group_usage(usage, ("model",)), key=lambda row: -row.totals.tokens)
    return {
        "total_tokens": totals.tokens,
        "prompt_tokens": totals.prompt,
        "completion_tokens": totals.completion,
        "total_requests": totals.requests,
        "total_cost_rmb": f"{total.cost:.4f}",
        "avg_latency_ms": round(totals.mean_latency_ms, 2),
        "p99_latency_ms": p99_ms,
        "error_rate_pct": _format_percentage(_compute_percentage(totals.errors, totals.requests)),
        "rpm_usage_pct": _format_percentage(_compute_load(org, ledger, now)),
        "model_distribution": [
            {"model": row.model, "requests": row.totals.requests, "tokens": row.totals.tokens} for row in models
        ],
    }


def _render_business_view(
    org: Organisation, ledger: LedgerSnapshot, usage: list[UsageSum], month_cost: Decimal, now: float
) -> dict[str, Json]:
    (total,) = group_usage(usage)
    budget = org.account.monthly_budget_rmb or Decimal(0)
    characters = total.totals.tokens * _CHARACTERS_PER_TOKEN / _TEN_THOUSAND
    return {
        "total_chars_wan": float(characters.quantize(_CENT, ROUND_HALF_UP)),
        "total_conversations": total.totals.requests,
        "total_cost_rmb": f"{total.cost:.4f}",
        "budget_progress_pct": _format_percentage(_compute_percentage(month_cost, budget)),
        "capacity_status": _rate_capacity(_compute_load(org, ledger, now)),
        "service_status": _rate_service(_sum_recent(ledger, now, HOUR)),
        "team_cost_ranking": [_render_team(row, org) for row in group_usage(usage, ("team",))],
    }


def _render_team(row: UsageRow, org: Organisation) -> Json:
    team = org.find_team(row.team_id)
    return {
        "team_id": row.team_id,
        "team_name": team.name if team else NO_TEAM,
        "cost_rmb": f"{row.cost:.4f}",
        "conversations": row.totals.requests,
    }


def _sum_recent(ledger: LedgerSnapshot, now: float, seconds: int) -> CallTotals:
    """Sum the calls of the last minutes, the present one included."""
    end = (now // 60 + 1) * 60
    return ledger.sum_window(end - seconds, end)


def _compute_load(org: Organisation, ledger: LedgerSnapshot, now: float) -> Decimal:
    """Return the calls of the present minute, in per cent of what the plan allows."""
    return _compute_percentage(_sum_recent(ledger, now, 60).requests, org.plan.rpm_limit)


def _rate_capacity(load: Decimal) -> str:
    if load >= _INSUFFICIENT:
        return "insufficient"
    return "tight" if load >= _TIGHT else "sufficient"


def _rate_service(recent: CallTotals) -> str:
    failed = _compute_percentage(recent.errors, recent.requests)
    if failed >= _DOWN:
        return "down"
    return "degraded" if failed >= _DEGRADED else "normal"


def _compute_percentage(part: int | Decimal, whole: int | Decimal) -> Decimal:
    return 100 * Decimal(part) / whole if whole else Decimal(0)


def _format_percentage(percentage: Decimal) -> str:
    return str(percentage.quantize(_CENT, ROUND_HALF_UP))
