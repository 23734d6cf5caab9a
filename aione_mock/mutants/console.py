"""Mutants whose keys, figures or bills are wrong."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import orjson

from aione_mock.mutants.changes import body, member, status
from aione_mock.mutants.mutation import Answer, Ask, Mutant
from aione_mock.structs import replace
from aione_mock.types import Json

VIEWS = ("tech", "business")


def _views(change: Callable[[Json], Json]) -> Callable[[Json], Json]:
    """Change both views of a dashboard, whichever is there."""

    def apply(data: Json) -> Json:
        return {**data, **{view: change(data[view]) for view in VIEWS if data.get(view)}}

    return apply


def _number(money: Json) -> Json:
    return float(money) if isinstance(money, str) else money


def _more(money: str) -> str:
    return str(Decimal(money) + Decimal("0.0100"))


def _forgetful(answer: Answer, ask: Ask) -> Answer:
    """What an update does not mention is lifted."""
    data = answer.data
    sent = ask.data
    if not answer.ok or not isinstance(data, dict) or not isinstance(sent, dict):
        return answer
    lost = [name for name in ("rpm_limit", "tpm_limit", "models_allowed") if name not in sent]
    return answer.with_data({**data, **dict.fromkeys(lost)})


def _page_size_ignored(ask: Ask) -> Ask:
    kept = [part for part in ask.query.split(b"&") if part and not part.startswith(b"page_size=")]
    return replace(ask, query=b"&".join(kept))


def _paging_ignored(ask: Ask) -> Ask:
    kept = [part for part in ask.query.split(b"&") if part and not part.startswith(b"page=")]
    return replace(ask, query=b"&".join(kept))


def _group_by_day(ask: Ask) -> Ask:
    return replace(ask, query=ask.query.replace(b"group_by=model", b"group_by=day"))


def _first_finding(answer: Answer, ask: Ask) -> Answer:
    data = answer.data
    if answer.status != 422 or not isinstance(data, dict) or not isinstance(data.get("detail"), list):
        return answer
    return answer.with_data({"detail": data["detail"][:1]})


def _frozen(answer: Answer, ask: Ask) -> Answer:
    """Usage is as it was when first asked for, until the question changes."""
    place = (ask.path, ask.query, ask.header(b"authorization"))
    body_ = ask.memory.setdefault(place, answer.body) if answer.ok else answer.body
    return answer.with_body(body_)


def _rotates_anything(answer: Answer, ask: Ask) -> Answer:
    if answer.status != 409:
        return answer
    key_id = ask.path.split("/")[-2]
    told = {
        "id": key_id,
        "key": "sk-nex-" + "m" * 40,
        "key_prefix": "sk-nex-mmmm",
        "rotate_grace_until": "2099-01-01T00:00:00Z",
    }
    return replace(answer, status=200).with_body(orjson.dumps(told))


MUTANTS = (
    Mutant("trend_one_day_short", "usage", "daily_trend lacks its first day", ("dashboard-window",), ("getDashboard",),
           answer=body(_views(member("daily_trend", to=lambda days: days[1:])))),
    Mutant("dashboard_cost_differs", "usage", "The dashboard's total cost is not that of its days",
           ("dashboard-sums",), ("getDashboard",), answer=body(_views(member("total_cost_rmb", to=_more)))),
    Mutant("distribution_incomplete", "usage", "A model is missing from model_distribution", ("dashboard-sums",),
           ("getDashboard",), answer=body(member("tech", "model_distribution", to=lambda rows: rows[1:]))),
    Mutant("team_missing", "usage", "A team is missing from the ranking", ("dashboard-business",), ("getDashboard",),
           answer=body(member("business", "team_cost_ranking", to=lambda rows: rows[1:]))),
    Mutant("money_as_numbers", "usage", "Money travels as numbers", ("money-text",),
           ("queryUsage", "getDashboard"), answer=body(lambda data: member("*", "cost_rmb", to=_number)(data)
           if isinstance(data, list) else _views(member("total_cost_rmb", to=_number))(data))),
    Mutant("usage_total_wrong", "usage", "total_tokens of a usage row is not the sum of its parts",
           ("usage-rows",), ("queryUsage",), answer=body(member("*", "total_tokens", to=lambda n: n + 1))),
    Mutant("usage_frozen", "usage", "Calls do not show up in usage", ("usage-conserved",), ("queryUsage",),
           answer=_frozen),
    Mutant("group_by_ignored", "usage", "Grouping by model gives days", ("usage-rows",), ("queryUsage",),
           ask=_group_by_day),
    Mutant("page_size_ignored", "billing", "page_size is ignored", ("invoice-pages",), ("listInvoices",),
           ask=_page_size_ignored),
    Mutant("page_ignored", "billing", "Every page is the first", ("invoice-pages",), ("listInvoices",),
           ask=_paging_ignored),
    Mutant("invoices_oldest_first", "billing", "Invoices come oldest first", ("invoice-order",), ("listInvoices",),
           answer=body(lambda rows: rows[::-1] if isinstance(rows, list) else rows)),
    Mutant("invoice_without_fee", "billing", "Invoices forget the plan's fee", ("invoice-amount",), ("listInvoices",),
           answer=body(member("*", "amount_rmb", to=lambda amount: str(max(Decimal(0), Decimal(amount) - 99))))),
    Mutant("update_forgets", "keys", "What an update does not mention is lifted",
           ("key-partial-update",), ("updateKey",),
           answer=_forgetful),
    Mutant("rotate_anything", "keys", "A disabled key can be rotated", ("key-rotation-refused",), ("rotateKey",),
           answer=_rotates_anything),
    Mutant("create_200", "keys", "createKey answers 200", ("status-declared",), ("createKey",),
           answer=status(201, 200)),
    Mutant("first_finding_only", "keys", "A 422 tells the first finding alone",
           ("error-body-validation",), ("createKey",),
           answer=_first_finding),
    Mutant("deleted_key_readable", "keys", "A deleted key can still be read", ("key-deletion",),
           ("getKey", "listKeys", "createKey"), answer=lambda answer, ask: _undead(answer, ask)),
)  # fmt: skip


def _undead(answer: Answer, ask: Ask) -> Answer:
    """What was once shown is shown again when it should be gone."""
    seen = ask.memory.setdefault("seen", {})
    data = answer.data
    if answer.ok and isinstance(data, dict) and "id" in data:
        seen[data["id"]] = {**data, "key": None}
    key_id = ask.path.rpartition("/")[2]
    if answer.status == 404 and key_id in seen:
        return replace(answer, status=200).with_data(seen[key_id])
    return answer
