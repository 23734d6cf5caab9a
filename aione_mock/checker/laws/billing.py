"""Money: the account, the plan, the invoices."""

from __future__ import annotations

import calendar
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal

from aione_mock.checker.context import LawContext, broken
from aione_mock.checker.finding import NotChecked
from aione_mock.checker.law import Law, LawResults
from aione_mock.checker.laws.amounts import UsageTotals, between, today
from aione_mock.checker.laws.usage import _own
from aione_mock.checker.protocols import ChatQuestion


def invoice_order(context: LawContext) -> LawResults:
    """There is one invoice for each month that is over, the newest first."""
    exchange = context.ok("listInvoices", query={"page_size": 100})
    rows = exchange.json
    starts = [row["period_start"] for row in rows]
    if starts != sorted(starts, reverse=True):
        yield broken("listInvoices", "the newest first", ", ".join(starts[:6]), exchange)
    if len(set(starts)) != len(starts):
        yield broken("listInvoices", "one invoice a month", ", ".join(starts[:6]), exchange)
    for row in rows:
        first = date.fromisoformat(row["period_start"])
        last = first.replace(day=calendar.monthrange(first.year, first.month)[1])
        if first.day != 1 or row["period_end"] != last.isoformat():
            seen = f"{row['period_start']} to {row['period_end']}"
            yield broken("listInvoices", "periods of whole months", seen, exchange)
        if last >= today(context):
            yield broken("listInvoices", "no invoice for a month that is not over", f"{last}", exchange)


def invoice_pages(context: LawContext) -> LawResults:
    """Pages have at most `page_size` invoices and together are the whole list; one beyond the last is empty."""
    whole = [row["id"] for row in context.read("listInvoices", query={"page_size": 100})]
    if len(whole) < 2:
        raise NotChecked("there are fewer than two invoices")
    found: list[str] = []
    for page in range(1, len(whole) + 1):
        exchange = context.ok("listInvoices", query={"page": page, "page_size": 1})
        found += [row["id"] for row in exchange.json]
        if len(exchange.json) != 1:
            yield broken("listInvoices", "1 invoice on a page of 1", str(len(exchange.json)), exchange)
            return
    if found != whole:
        yield broken("listInvoices", "pages that are the whole list", "other invoices or another order", exchange)
    beyond = context.ok("listInvoices", query={"page": len(whole) + 1, "page_size": 1})
    if beyond.json:
        yield broken("listInvoices", "an empty page beyond the last", f"{len(beyond.json)} invoices", beyond)


def invoice_count(context: LawContext) -> LawResults:
    """`x-total-count` says how many invoices there are in all, on every page."""
    count = len(context.read("listInvoices", query={"page_size": 100}))
    for query in ({"page_size": 100}, {"page_size": 1}):
        exchange = context.ok("listInvoices", query=query)
        if count < 100 and exchange.header("x-total-count") != str(count):
            yield broken("listInvoices", f"x-total-count {count}", str(exchange.header("x-total-count")), exchange)


def invoice_amount(context: LawContext) -> LawResults:
    """An invoice is the usage cost of its period plus the plan's fee, rounded to two places."""
    fee = Decimal(str(context.read("getPlan")["monthly_fee_rmb"]))
    checked = 0
    for row in context.read("listInvoices")[:3]:
        if (today(context) - date.fromisoformat(row["period_start"])).days > 89:
            continue
        query = {"start_date": row["period_start"], "end_date": row["period_end"]}
        cost = UsageTotals.of(context.read("queryUsage", query=query)).cost
        wanted = (cost + fee).quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)
        checked += 1
        if Decimal(str(row["amount_rmb"])) != wanted:
            expected = f"{wanted} RMB for {row['period_start'][:7]}: {cost} of use and a fee of {fee}"
            yield broken("listInvoices", expected, f"{row['amount_rmb']} RMB", context.client.last, evidence="assumed")
    if not checked:
        raise NotChecked("no invoice is recent enough for its usage to be asked")


def month_to_date(context: LawContext) -> LawResults:
    """`month_to_date_cost_rmb` is the cost of this month's usage rows."""
    last = today(context)
    query = {"start_date": last.replace(day=1).isoformat(), "end_date": last.isoformat()}
    before = UsageTotals.of(context.read("queryUsage", query=query)).cost
    exchange = context.ok("getBillingAccount")
    after = UsageTotals.of(context.read("queryUsage", query=query)).cost
    cost = Decimal(str(exchange.json["month_to_date_cost_rmb"]))
    if not between(before, cost, after):
        yield broken("getBillingAccount", f"month_to_date_cost_rmb {after}", str(cost), exchange, evidence="assumed")


def balance_falls(context: LawContext) -> LawResults:
    """A paid call lowers the balance and raises the month's cost by what it cost, at once."""
    context.rows()
    key, secret = _own(context)
    protocol, model = context.protocols()[0], context.model("openai")
    before = context.read("getBillingAccount")
    rows = _cost(context, key)
    exchange = context.ask(
        protocol, ChatQuestion("Tell me a short story about the sea.", max_tokens=200), model, context.bearer(secret)
    )
    context.good(exchange)
    cost = _cost(context, key) - rows
    after = context.read("getBillingAccount")
    fallen = Decimal(str(before["balance_rmb"])) - Decimal(str(after["balance_rmb"]))
    risen = Decimal(str(after["month_to_date_cost_rmb"])) - Decimal(str(before["month_to_date_cost_rmb"]))
    # others may call at the same time, so more is no contradiction; rounding may hide the last digit
    least = cost - Decimal("0.0001")
    if fallen < least or fallen <= 0 < cost:
        yield broken(
            "getBillingAccount", f"a balance lower by {cost}", f"lower by {fallen}", exchange, evidence="assumed"
        )
    if risen < least or risen <= 0 < cost:
        yield broken(
            "getBillingAccount", f"a month dearer by {cost}", f"dearer by {risen}", exchange, evidence="assumed"
        )
    if abs(fallen - risen) > Decimal("0.0002"):
        yield broken(
            "getBillingAccount",
            "balance and month to move alike",
            f"by {fallen} and {risen}",
            exchange,
            evidence="assumed",
        )


def _cost(context: LawContext, key: str) -> Decimal:
    last = today(context)
    query = {"start_date": (last - timedelta(days=1)).isoformat(), "end_date": last.isoformat(), "key_id": key}
    return UsageTotals.of(context.read("queryUsage", query=query)).cost


def plan_models(context: LawContext) -> LawResults:
    """The plan names the models that the console lists."""
    named = set(context.read("getPlan")["models"])
    listed = {row["id"] for row in context.read("listGatewayModels")["items"]}
    if named != listed:
        seen = ", ".join(sorted(named ^ listed)[:6])
        yield broken("getPlan", "the models of listGatewayModels", f"differs in {seen}", context.client.last)


def budget_progress(context: LawContext) -> LawResults:
    """`budget_progress_pct` is the month's cost as a share of the month's budget."""
    from aione_mock.checker.laws.usage import view

    exchange, business = view(context, "business")
    account = context.read("getBillingAccount")
    if account["monthly_budget_rmb"] is None or Decimal(str(account["monthly_budget_rmb"])) == 0:
        raise NotChecked("there is no budget")
    share = 100 * Decimal(str(account["month_to_date_cost_rmb"])) / Decimal(str(account["monthly_budget_rmb"]))
    if abs(share - Decimal(str(business["budget_progress_pct"]))) > Decimal("0.02"):
        seen = str(business["budget_progress_pct"])
        yield broken("getDashboard", f"budget_progress_pct {share:.2f}", seen, exchange, evidence="assumed")


LAWS = (
    Law(
        "invoice-order",
        "One invoice a month, the newest first",
        invoice_order,
        ("listInvoices",),
        ("token",),
        area="billing",
    ),
    Law("invoice-pages", "Invoices turn their pages", invoice_pages, ("listInvoices",), ("token",), area="billing"),
    Law(
        "invoice-count", "Invoices are counted", invoice_count, ("listInvoices",), ("token",), "assumed", area="billing"
    ),
    Law(
        "invoice-amount",
        "An invoice is its use and its fee",
        invoice_amount,
        ("listInvoices",),
        ("token",),
        "assumed",
        area="billing",
    ),
    Law(
        "account-month",
        "The month's cost is its usage",
        month_to_date,
        ("getBillingAccount",),
        ("token",),
        area="billing",
    ),
    Law(
        "plan-models",
        "The plan names the listed models",
        plan_models,
        ("getPlan",),
        ("token",),
        "assumed",
        area="billing",
    ),
    Law(
        "budget-progress",
        "The budget's progress is true",
        budget_progress,
        ("getDashboard",),
        ("token", "business_token"),
        "assumed",
        area="billing",
    ),
    Law(
        "balance-falls",
        "A call costs the balance what it costs",
        balance_falls,
        ("getBillingAccount",),
        ("key", "token"),
        paid=1,
        area="billing",
    ),
)
