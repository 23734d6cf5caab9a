"""Plan, account and invoices.

Source: AIone API reference, "Billing"; shapes are assumed.
"""

from __future__ import annotations

from aione_mock.server.handlers.owner import organisation
from aione_mock.server.sessions import Session
from aione_mock.tenant import billing, calendar
from aione_mock.types import Call, Json, Reply


def _book(call: Call, session: Session) -> billing.Billing:
    return session.tenants.billing[organisation(call, session).id]


async def get_plan(call: Call, session: Session) -> Reply:
    """`GET /api/v1/billing/plan`."""
    org = organisation(call, session)
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
            "models": [*_book(call, session).models()],
            "effective_from": str(calendar.day_to_date(org.first_day)),
            "effective_until": None,
        }
    )


async def get_billing_account(call: Call, session: Session) -> Reply:
    """`GET /api/v1/billing/account`."""
    org, book, store, now = organisation(call, session), _book(call, session), session.store, session.clock.timestamp()
    account = org.account
    return Reply(
        {
            "id": account.id,
            "org_id": org.id,
            "balance_rmb": f"{await book.balance(store, now):.4f}",
            "credit_limit_rmb": f"{account.credit_limit_rmb:.4f}",
            "monthly_budget_rmb": None if account.monthly_budget_rmb is None else f"{account.monthly_budget_rmb:.4f}",
            "month_to_date_cost_rmb": f"{await book.month_to_date(store, now):.4f}",
            "status": "suspended" if await book.used_up(store, now) else "active",
        }
    )


async def list_invoices(call: Call, session: Session) -> Reply:
    """`GET /api/v1/billing/invoices`, a page of them."""
    invoices = await _book(call, session).invoices(session.store, session.clock.timestamp())
    size: int = call.params["page_size"]
    first = (call.params["page"] - 1) * size
    page = [_invoice(invoice) for invoice in invoices[first : first + size]]
    return Reply(page, headers=(("x-total-count", str(len(invoices))),))


def _invoice(invoice: billing.Invoice) -> Json:
    return {
        "id": invoice.id,
        "invoice_no": invoice.number,
        "period_start": str(invoice.period_start),
        "period_end": str(invoice.period_end),
        "amount_rmb": f"{invoice.amount:.2f}",
        "status": invoice.status,
        "issued_at": calendar.format_timestamp(invoice.issued_at),
        "paid_at": None if invoice.paid_at is None else calendar.format_timestamp(invoice.paid_at),
    }
