"""What an organisation owes: plan, account and invoices, all read from the ledger.

Two laws hold. The balance falls by what is spent at once, call by call, and by the plan's fee when a month ends. An
invoice is the cost of its month's calls plus that fee, rounded half up to 2 places. Months are those of Asia/Shanghai.
"""

from __future__ import annotations

from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from aione_mock.seed import Seed
from aione_mock.store import Store
from aione_mock.structs import frozen
from aione_mock.tenant.calendar import (
    DAY,
    HOUR,
    day_to_date,
    day_to_month,
    day_to_timestamp,
    month_to_day,
    timestamp_to_day,
)
from aione_mock.tenant.catalogue import ModelCatalogue, rmb_to_ticks, ticks_to_rmb
from aione_mock.tenant.ledger import LedgerSnapshot
from aione_mock.tenant.live_usage import load_spending
from aione_mock.tenant.organisation import Organisation

PAYMENT_DELAY = 5 * DAY + 10 * HOUR
"""Seconds from the issue of an invoice until it is paid."""
_CENT = Decimal("0.01")
_IDS = Seed.of("billing")


@frozen
class Invoice:
    """The bill of one month. Times are Unix seconds."""

    id: str
    number: str
    period_start: date
    period_end: date
    """The last day of the month."""
    usage: Decimal
    """Cost of the month's calls, 4 places."""
    fee: Decimal
    amount: Decimal
    """Amount to be paid, 2 places."""
    issued_at: int
    paid_at: int | None

    @property
    def status(self) -> str:
        """`paid`, or `issued` until then."""
        return "issued" if self.paid_at is None else "paid"


@frozen
class Billing:
    """Plan, account and invoices of one organisation. `now` is the session's clock in Unix seconds."""

    organisation: Organisation
    models: tuple[str, ...]
    """Ids of the models in the plan, in the catalogue's order."""
    opening_ticks: int
    """Amount that may be spent when the session starts, credit included, in 0.0001 RMB."""
    fee_ticks: int
    """Fee that each month takes from it when it ends."""
    first_month: int
    first_month_end: int
    """Unix seconds at which the month of the session's start ends."""

    @classmethod
    def create(cls, organisation: Organisation, catalogue: ModelCatalogue, epoch: float) -> Billing:
        """Create the billing of a session that starts at `epoch`."""
        plan, account, month = organisation.plan, organisation.account, day_to_month(timestamp_to_day(epoch))
        return cls(
            organisation,
            tuple([m.id for m in catalogue.models if plan.models is None or m.id in plan.models]),
            opening_ticks=rmb_to_ticks(account.balance_rmb + account.credit_limit_rmb),
            fee_ticks=rmb_to_ticks(plan.monthly_fee_rmb),
            first_month=month,
            first_month_end=day_to_timestamp(month_to_day(month + 1)),
        )

    def compute_spending_limit(self, now: float) -> int:
        """Return what may be spent from the session's start until now, credit included, in ticks of 0.0001 RMB."""
        if now < self.first_month_end:
            return self.opening_ticks
        return self.opening_ticks - self.fee_ticks * (day_to_month(timestamp_to_day(now)) - self.first_month)

    async def is_used_up(self, store: Store, now: float) -> bool:
        """Return whether balance and credit are gone, so that a call is refused with 402. O(1)."""
        return await load_spending(store, self.organisation.id) >= self.compute_spending_limit(now)

    async def read_balance(self, store: Store, now: float) -> Decimal:
        """Return what is left, 4 places; negative when credit is in use. O(1)."""
        left = self.compute_spending_limit(now) - await load_spending(store, self.organisation.id)
        return ticks_to_rmb(left) - self.organisation.account.credit_limit_rmb

    def sum_month(self, ledger: LedgerSnapshot, now: float) -> Decimal:
        """Return the cost of this month's calls so far, without the fee."""
        today = timestamp_to_day(now)
        first = month_to_day(day_to_month(today))
        (total,) = ledger.sum_days(day_to_date(first), day_to_date(today))
        return total.cost

    def list_invoices(self, ledger: LedgerSnapshot, now: float) -> list[Invoice]:
        """List one invoice for each whole month from the organisation's first to the last one that is over.

        The newest comes first.
        """
        start, end_month = self.organisation.first_day, day_to_month(timestamp_to_day(now))
        costs = dict.fromkeys(range(day_to_month(start), end_month), Decimal(0))
        if not costs:
            return []
        end = day_to_date(month_to_day(end_month) - 1)
        for row in ledger.sum_days(day_to_date(start), end, ("day",)):
            if row.date:
                costs[row.date.year * 12 + row.date.month - 1] += row.cost
        return [self._create_invoice(month, cost, now) for month, cost in reversed(costs.items())]

    def _create_invoice(self, month: int, usage: Decimal, now: float) -> Invoice:
        end = month_to_day(month + 1)
        issued, fee = day_to_timestamp(end), self.organisation.plan.monthly_fee_rmb
        year, index = divmod(month, 12)
        code = _IDS.draw_integer(self.organisation.id) % 10_000
        return Invoice(
            id=_IDS.draw_uuid("invoice", self.organisation.id, month),
            number=f"INV-{year:04d}{index + 1:02d}-{code:04d}",
            period_start=day_to_date(month_to_day(month)),
            period_end=day_to_date(end - 1),
            usage=usage,
            fee=fee,
            amount=(usage + fee).quantize(_CENT, ROUND_HALF_UP),
            issued_at=issued,
            paid_at=issued + PAYMENT_DELAY if issued + PAYMENT_DELAY <= now else None,
        )
