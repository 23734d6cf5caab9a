"""Billing: the account, the plan and the invoices."""

from __future__ import annotations

import calendar
from datetime import timedelta
from decimal import Decimal
from functools import partial

from aione_mock.checker.context import LawContext, make_bearer_auth
from aione_mock.checker.errors import NotChecked
from aione_mock.checker.finding import BrokenLaw, LawResults
from aione_mock.checker.law import Law
from aione_mock.checker.laws.usage import choose_key, read_view
from aione_mock.checker.laws.usage_totals import (
    compute_half_unit,
    is_between,
    make_date_query,
    query_totals,
    read_today,
)
from aione_mock.checker.protocols import ChatQuestion

_ROUNDING_PERCENT = Decimal("0.02")


def check_invoice_months(context: LawContext) -> LawResults:
    """List one invoice for each past month, the newest first."""
    exchange = context.call_ok("listInvoices", query=_find_longest_page(context))
    rows = exchange.data.list_rows()
    starts = [row.read_text("period_start") for row in rows]
    if starts != sorted(starts, reverse=True):
        yield BrokenLaw("listInvoices", "the newest first", ", ".join(starts[:6]), exchange)
    if len(set(starts)) != len(starts):
        yield BrokenLaw("listInvoices", "one invoice a month", ", ".join(starts[:6]), exchange)
    for row in rows:
        first = row.read_day("period_start")
        last = first.replace(day=calendar.monthrange(first.year, first.month)[1])
        if first.day != 1 or row.read_text("period_end") != last.isoformat():
            seen = f"{first} to {row.read_text('period_end')}"
            yield BrokenLaw("listInvoices", "periods of whole months", seen, exchange)
        if last >= read_today(context):
            yield BrokenLaw("listInvoices", "no invoice for a month that is not over", f"{last}", exchange)


def _find_longest_page(context: LawContext) -> dict[str, int]:
    return {"page_size": context.find_parameter("listInvoices", "page_size")["maximum"]}


def check_invoice_pages(context: LawContext) -> LawResults:
    """Divide invoices into pages of at most `page_size`, and answer with an empty page after the last."""
    whole = [row.read_text("id") for row in context.read("listInvoices", query=_find_longest_page(context)).list_rows()]
    if len(whole) < 2:
        raise NotChecked("there are fewer than two invoices")
    ids: list[str] = []
    for page in range(1, len(whole) + 1):
        exchange = context.call_ok("listInvoices", query={"page": page, "page_size": 1})
        rows = exchange.data.list_rows()
        ids += [row.read_text("id") for row in rows]
        if len(rows) != 1:
            yield BrokenLaw("listInvoices", "1 invoice on a page of 1", str(len(rows)), exchange)
            return
    if ids != whole:
        yield BrokenLaw("listInvoices", "pages with the whole list", "other invoices or another order", exchange)
    after = context.call_ok("listInvoices", query={"page": len(whole) + 1, "page_size": 1})
    if after.json:
        seen = f"{len(after.data.list_rows())} invoices"
        yield BrokenLaw("listInvoices", "an empty page after the last", seen, after)


def check_invoice_count(context: LawContext) -> LawResults:
    """Report the number of all invoices in `x-total-count` on every page."""
    longest = _find_longest_page(context)
    count = len(context.read("listInvoices", query=longest).list_rows())
    for query in (longest, {"page_size": 1}):
        exchange = context.call_ok("listInvoices", query=query)
        total = exchange.header("x-total-count")
        if count < longest["page_size"] and total != str(count):
            yield BrokenLaw("listInvoices", f"x-total-count {count}", str(total), exchange)


def check_invoice_amount(context: LawContext) -> LawResults:
    """Charge on an invoice the usage cost of its period plus the plan's fee, rounded to two places."""
    fee = context.read("getPlan").read_decimal("monthly_fee_rmb")
    oldest = context.find_figure("usage-limits", "days") - 1
    checked = 0
    for row in context.read("listInvoices").list_rows()[:3]:
        first = row.read_day("period_start")
        if (read_today(context) - first).days > oldest:
            continue
        totals = query_totals(context, **make_date_query(first, row.read_day("period_end")))
        amount, cost = row.read_decimal("amount_rmb"), totals.cost
        checked += 1
        if abs(amount - cost - fee) > compute_half_unit(amount) + totals.rounding + compute_half_unit(fee):
            expected = f"{cost + fee} RMB for {first:%Y-%m}: {cost} of usage and a fee of {fee}"
            seen = f"{row.at('amount_rmb').value} RMB"
            yield BrokenLaw("listInvoices", expected, seen, context.client.last)
    if not checked:
        raise NotChecked("no invoice is recent enough for its usage to be queried")


def check_month_to_date(context: LawContext) -> LawResults:
    """Report the cost of this month's usage rows as `month_to_date_cost_rmb`."""
    last = read_today(context)
    query = make_date_query(last.replace(day=1), last)
    before = query_totals(context, **query)
    exchange = context.call_ok("getBillingAccount")
    after = query_totals(context, **query)
    cost = exchange.data.read_decimal("month_to_date_cost_rmb")
    if not is_between(before.cost, cost, after.cost, compute_half_unit(cost) + after.rounding):
        expected = f"month_to_date_cost_rmb {after.cost}"
        yield BrokenLaw("getBillingAccount", expected, str(cost), exchange)


def check_balance(context: LawContext) -> LawResults:
    """Subtract the cost of a call from the balance and add it to the month's cost at once."""
    context.list_models()
    key, secret = choose_key(context)
    question = ChatQuestion("Tell me a short story about the sea.", max_tokens=200)
    protocol, model = context.choose_default_protocol(), context.choose_model("openai")
    before = context.read("getBillingAccount")
    cost_before = _read_recent_cost(context, key)
    exchange = context.ask_ok(protocol, question, model, make_bearer_auth(secret))
    cost = _read_recent_cost(context, key) - cost_before
    after = context.read("getBillingAccount")
    subtracted = before.read_decimal("balance_rmb") - after.read_decimal("balance_rmb")
    added = after.read_decimal("month_to_date_cost_rmb") - before.read_decimal("month_to_date_cost_rmb")
    for change, expected in (
        (subtracted, f"a balance reduced by {cost}"),
        (added, f"a month's cost increased by {cost}"),
    ):
        # others may call at the same time, so more is allowed; rounding may hide the last digit
        if change < cost - 2 * compute_half_unit(cost) or change <= 0 < cost:
            yield BrokenLaw("getBillingAccount", expected, f"a change of {change}", exchange)
    if abs(subtracted - added) > 2 * (compute_half_unit(subtracted) + compute_half_unit(added)):
        expected, seen = "balance and month's cost to change alike", f"by {subtracted} and {added}"
        yield BrokenLaw("getBillingAccount", expected, seen, exchange)


def _read_recent_cost(context: LawContext, key: str) -> Decimal:
    last = read_today(context)
    return query_totals(context, **make_date_query(last - timedelta(days=1), last), key_id=key).cost


def check_plan_models(context: LawContext) -> LawResults:
    """Name in the plan the models that the console lists."""
    planned = {model.read_text() for model in context.read("getPlan").list_rows("models")}
    listed = {row.read_text("id") for row in context.read("listGatewayModels").list_rows("items")}
    if planned != listed:
        seen = f"differs in {', '.join(sorted(planned ^ listed)[:6])}"
        yield BrokenLaw("getPlan", "the models of listGatewayModels", seen, context.client.last)


def check_budget_progress(context: LawContext) -> LawResults:
    """Report the month's cost as a percentage of the month's budget in `budget_progress_pct`."""
    exchange, business = read_view(context, "business")
    account = context.read("getBillingAccount")
    if not account.find("monthly_budget_rmb") or account.read_decimal("monthly_budget_rmb") == 0:
        raise NotChecked("there is no budget")
    percent = 100 * account.read_decimal("month_to_date_cost_rmb") / account.read_decimal("monthly_budget_rmb")
    if abs(percent - business.read_decimal("budget_progress_pct")) > _ROUNDING_PERCENT:
        seen = str(business.at("budget_progress_pct").value)
        yield BrokenLaw("getDashboard", f"budget_progress_pct {percent:.2f}", seen, exchange)


_law = partial(Law, area="billing", needs=("token",))
_invoice_law = partial(_law, operations=("listInvoices",))
_account_law = partial(_law, operations=("getBillingAccount",))

LAWS = (
    _invoice_law("invoice-order", "Each month has one invoice, newest first", check_invoice_months),
    _invoice_law("invoice-pages", "Invoices have pages", check_invoice_pages),
    _invoice_law("invoice-count", "Invoices are counted", check_invoice_count),
    _invoice_law("invoice-amount", "Invoices charge usage and fee", check_invoice_amount),
    _account_law("account-month", "The month's cost is its usage", check_month_to_date),
    _law("plan-models", "The plan names the listed models", check_plan_models, ("getPlan",)),
    _law(
        "budget-progress",
        "The budget's progress is right",
        check_budget_progress,
        ("getDashboard",),
        needs=("token", "business_token"),
    ),
    _account_law("balance-falls", "Calls reduce the balance", check_balance, needs=("key", "token"), paid=1),
)
