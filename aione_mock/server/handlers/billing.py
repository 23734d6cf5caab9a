"""Plan, account and invoices.

Source: AIone API reference, "Billing"; shapes are assumed.
"""

from __future__ import annotations

from aione_mock.server.sessions import Session
from aione_mock.tenant.billing import Invoice
from aione_mock.tenant.calendar import day_to_date, format_timestamp
from aione_mock.types import Call, Json, Reply


async def get_plan(call: Call, session: Session) -> Reply:
    """Answer `GET /api/v1/billing/plan`."""
    org = session.tenants.find_organisation(call.caller)
    plan = org.plan
    return Reply(
        {
            "id": plan.id,
            "name": org.plan_name,
            "status": "active",
            "billing_mode": "prepaid",
            "monthly_fee_rmb": f"{plan.monthly_fee_rmb:.4f}",
            "rpm_limit": plan.rpm_limit,
            "tpm_limit": plan.tpm_limit,
            "models": session.tenants.billing[org.id].models,
            "effective_from": str(day_to_date(org.first_day)),
            "effective_until": None,
        }
    )


async def get_billing_account(call: Call, session: Session) -> Reply:
    """Answer `GET /api/v1/billing/account`."""
    org, store, now = session.tenants.find_organisation(call.caller), session.store, session.clock.timestamp()
    account, billing = org.account, session.tenants.billing[org.id]
    ledger = await session.tenants.ledgers[org.id].read(store)
    budget = account.monthly_budget_rmb
    return Reply(
        {
            "id": account.id,
            "org_id": org.id,
            "balance_rmb": f"{await billing.read_balance(store, now):.4f}",
            "credit_limit_rmb": f"{account.credit_limit_rmb:.4f}",
            "monthly_budget_rmb": None if budget is None else f"{budget:.4f}",
            "month_to_date_cost_rmb": f"{billing.sum_month(ledger, now):.4f}",
            "status": "suspended" if await billing.is_used_up(store, now) else "active",
        }
    )


async def list_invoices(call: Call, session: Session) -> Reply:
    """Answer `GET /api/v1/billing/invoices` with a page of them."""
    org = session.tenants.find_organisation(call.caller)
    ledger = await session.tenants.ledgers[org.id].read(session.store)
    invoices = session.tenants.billing[org.id].list_invoices(ledger, session.clock.timestamp())
    size: int = call.params["page_size"]
    first = (call.params["page"] - 1) * size
    page = [_render_invoice(invoice) for invoice in invoices[first : first + size]]
    return Reply(page, headers=(("x-total-count", str(len(invoices))),))


def _render_invoice(invoice: Invoice) -> Json:
    return {
        "id": invoice.id,
        "invoice_no": invoice.number,
        "period_start": str(invoice.period_start),
        "period_end": str(invoice.period_end),
        "amount_rmb": f"{invoice.amount:.2f}",
        "status": invoice.status,
        "issued_at": format_timestamp(invoice.issued_at),
        "paid_at": None if invoice.paid_at is None else format_timestamp(invoice.paid_at),
    }
