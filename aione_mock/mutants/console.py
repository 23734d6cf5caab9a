"""Mutants with wrong keys, figures or bills."""

from __future__ import annotations

from decimal import Decimal
from functools import partial

from aione_mock.mutants.changes import (
    JsonChange,
    change_body,
    change_member,
    change_status,
    remove_parameters,
)
from aione_mock.mutants.mutant import Mutant, MutantRequest, MutantResponse
from aione_mock.structs import replace
from aione_mock.types import Json

_VIEWS = ("tech", "business")
_ROTATED_SECRET = "sk-nex-" + "m" * 40
_PLAN_FEE_RMB = 99


def _change_views(change: JsonChange) -> JsonChange:
    """Change each view that a dashboard has."""
    return lambda data: {**data, **{view: change(data[view]) for view in _VIEWS if data.get(view)}}


def _drop_first(rows: Json) -> Json:
    return rows[1:]


def _write_money_as_number(data: Json) -> Json:
    def convert(money: Json) -> Json:
        return float(money) if isinstance(money, str) else money

    if isinstance(data, list):
        return change_member("*", "cost_rmb", to=convert)(data)
    return _change_views(change_member("total_cost_rmb", to=convert))(data)


def _raise_cost(money: str) -> str:
    return str(Decimal(money) + Decimal("0.0100"))


def _remove_fee(amount: str) -> str:
    return str(max(Decimal(0), Decimal(amount) - _PLAN_FEE_RMB))


def _reverse_rows(rows: Json) -> Json:
    return rows[::-1] if isinstance(rows, list) else rows


def _reset_missing_members(response: MutantResponse, request: MutantRequest) -> MutantResponse:
    data, sent = response.data, request.data
    if not response.is_success or not isinstance(data, dict) or not isinstance(sent, dict):
        return response
    lost = [name for name in ("rpm_limit", "tpm_limit", "models_allowed") if name not in sent]
    return response.with_data({**data, **dict.fromkeys(lost)})


def _group_by_day(request: MutantRequest) -> MutantRequest:
    return replace(request, query=request.query.replace(b"group_by=model", b"group_by=day"))


def _keep_first_problem(response: MutantResponse, request: MutantRequest) -> MutantResponse:
    data = response.data
    if response.status != 422 or not isinstance(data, dict) or not isinstance(data.get("detail"), list):
        return response
    return response.with_data({"detail": data["detail"][:1]})


def _repeat_first_usage(response: MutantResponse, request: MutantRequest) -> MutantResponse:
    query = (request.path, request.query, request.header(b"authorization"))
    return response.with_body(request.memory.setdefault(query, response.body)) if response.is_success else response


def _rotate_any_key(response: MutantResponse, request: MutantRequest) -> MutantResponse:
    if response.status != 409:
        return response
    rotated = {
        "id": request.path.split("/")[-2],
        "key": _ROTATED_SECRET,
        "key_prefix": _ROTATED_SECRET[:11],
        "rotate_grace_until": "2099-01-01T00:00:00Z",
    }
    return response.with_data(rotated, status=200)


def _show_deleted_keys(response: MutantResponse, request: MutantRequest) -> MutantResponse:
    shown = request.memory.setdefault("shown", {})
    data = response.data
    if response.is_success and isinstance(data, dict) and "id" in data:
        shown[data["id"]] = {**data, "key": None}
    key_id = request.path.rpartition("/")[2]
    return response.with_data(shown[key_id], status=200) if response.status == 404 and key_id in shown else response


_usage_mutant = partial(Mutant, area="usage", operations=("queryUsage",))
_dashboard_mutant = partial(Mutant, area="usage", operations=("getDashboard",))
_invoice_mutant = partial(Mutant, area="billing", operations=("listInvoices",))
_key_mutant = partial(Mutant, area="keys")

MUTANTS = (
    _dashboard_mutant("trend_one_day_short", "daily_trend lacks its first day", ("dashboard-window",),
                      response=change_body(_change_views(change_member("daily_trend", to=_drop_first)))),
    _dashboard_mutant("dashboard_cost_differs", "The dashboard's total cost is not that of its days",
                      ("dashboard-sums",),
                      response=change_body(_change_views(change_member("total_cost_rmb", to=_raise_cost)))),
    _dashboard_mutant("distribution_incomplete", "model_distribution lacks a model", ("dashboard-sums",),
                      response=change_body(change_member("tech", "model_distribution", to=_drop_first))),
    _dashboard_mutant("team_missing", "The ranking lacks a team", ("dashboard-business",),
                      response=change_body(change_member("business", "team_cost_ranking", to=_drop_first))),
    _usage_mutant("money_as_numbers", "Money is written as numbers", ("schema",),
                  operations=("queryUsage", "getDashboard"), response=change_body(_write_money_as_number)),
    _usage_mutant("usage_total_wrong", "total_tokens of a usage row is not the sum of its parts", ("usage-rows",),
                  response=change_body(change_member("*", "total_tokens", to=lambda count: count + 1))),
    _usage_mutant("usage_frozen", "Usage does not include new calls", ("usage-conserved",),
                  response=_repeat_first_usage),
    _usage_mutant("group_by_ignored", "Grouping by model groups by day", ("usage-rows",), request=_group_by_day),
    _invoice_mutant("page_size_ignored", "page_size is ignored", ("invoice-pages",),
                    request=remove_parameters("page_size")),
    _invoice_mutant("page_ignored", "Every page is the first", ("invoice-pages",), request=remove_parameters("page")),
    _invoice_mutant("invoices_oldest_first", "Invoices are listed oldest first", ("invoice-order",),
                    response=change_body(_reverse_rows)),
    _invoice_mutant("invoice_without_fee", "Invoices lack the plan's fee", ("invoice-amount",),
                    response=change_body(change_member("*", "amount_rmb", to=_remove_fee))),
    _key_mutant("update_forgets", "An update resets the members that it lacks", ("key-partial-update",),
                ("updateKey",), response=_reset_missing_members),
    _key_mutant("rotate_anything", "A disabled key can be rotated", ("key-rotation-refused",), ("rotateKey",),
                response=_rotate_any_key),
    _key_mutant("create_200", "createKey answers 200", ("status-declared",), ("createKey",),
                response=change_status(201, 200)),
    _key_mutant("first_finding_only", "A 422 lists only the first problem", ("error-body-validation",),
                ("createKey",), response=_keep_first_problem),
    _key_mutant("deleted_key_readable", "A deleted key can still be read", ("key-deletion",),
                ("getKey", "listKeys", "createKey"), response=_show_deleted_keys),
)  # fmt: skip
