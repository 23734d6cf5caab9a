"""What an organisation owes: plan, account and invoices, all read from the ledger.

Two laws hold. The balance falls by what is spent at once, call by call, and by the plan's fee when a month ends. An
invoice is the cost of its month's calls plus that fee, rounded half up to 2 places. Months are those of Asia/Shanghai.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from aione_mock.seed import Seed
from aione_mock.store import Store
from aione_mock.structs import frozen
from aione_mock.tenant import live_usage
from aione_mock.tenant.calendar import (
    DAY,
    HOUR,
    day_to_date,
    day_to_month,
    day_to_timestamp,
    month_to_day,
    timestamp_to_day,
)
from aione_mock.tenant.catalogue import ModelCatalogue, ticks_to_rmb
from aione_mock.tenant.ledger import Ledger
from aione_mock.tenant.organisation import Organisation

PAID_AFTER = 5 * DAY + 10 * HOUR
"""Seconds from the issue of an invoice until it is paid."""
_CENT = Decimal("0.01")
_IDS = Seed.of("billing")


@frozen
class Invoice:
    """One month. Instants are Unix seconds; `period_end` is the last day, included."""

    id: str
    number: str
    period_start: date
    period_end: date
    usage: Decimal
    """Cost of the month's calls, 4 places."""
    fee: Decimal
    amount: Decimal
    """What is to be paid, 2 places."""
    issued_at: int
    paid_at: int | None

    @property
    def status(self) -> str:
        """`paid`, or `issued` until then."""
        return "issued" if self.paid_at is None else "paid"


@dataclass(frozen=True, slots=True)
class Billing:
    """Plan, account and invoices of one organisation. `now` is the session's clock in Unix seconds."""

    organisation: Organisation
    ledger: Ledger
    catalogue: ModelCatalogue
    epoch: float
    """When the session started: the account's balance is the one of that moment."""
    _room: dict[int, int] = field(default_factory=dict, compare=False, repr=False)
    """Results of `room`, which every call to a model asks for."""

    def models(self) -> tuple[str, ...]:
        """Ids of the models in the plan, in the catalogue's order."""
        included = self.organisation.plan.models
        return tuple([m.id for m in self.catalogue.models if included is None or m.id in included])

    async def balance(self, store: Store, now: float) -> Decimal:
        """What is left, 4 places; negative when credit is in use. O(1)."""
        credit = self.organisation.account.credit_limit_rmb
        return (
            ticks_to_rmb(self.room(timestamp_to_day(now)) - await live_usage.spent(store, self.organisation.id))
            - credit
        )

    async def used_up(self, store: Store, now: float) -> bool:
        """Whether balance and credit are gone, so that a call is refused with 402. O(1)."""
        spent = await store.get(live_usage.SPENT + self.organisation.id) or 0
        return bool(spent >= self.room(timestamp_to_day(now)))

    def room(self, day: int) -> int:
        """What may be spent from the session's start to the end of a day, credit included, in ticks of 0.0001 RMB."""
        if (known := self._room.get(day)) is not None:
            return known
        account, months = (
            self.organisation.account,
            max(0, day_to_month(day) - day_to_month(timestamp_to_day(self.epoch))),
        )
        room = account.balance_rmb + account.credit_limit_rmb - months * self.organisation.plan.monthly_fee_rmb
        self._room[day] = ticks = int(room.scaleb(4))
        return ticks

    async def month_to_date(self, store: Store, now: float) -> Decimal:
        """Cost of this month's calls so far, without the fee."""
        today = timestamp_to_day(now)
        rows = await self.ledger.rows(store, day_to_date(month_to_day(day_to_month(today))), day_to_date(today))
        return rows[0].cost

    async def invoices(self, store: Store, now: float) -> list[Invoice]:
        """One for each whole month from the organisation's first to the last one that is over, newest first."""
        first, current = day_to_month(self.organisation.first_day), day_to_month(timestamp_to_day(now))
        if current <= first:
            return []
        end = day_to_date(month_to_day(current) - 1)
        costs = dict.fromkeys(range(first, current), Decimal(0))
        for row in await self.ledger.rows(store, day_to_date(self.organisation.first_day), end, ("day",)):
            if row.date:
                costs[row.date.year * 12 + row.date.month - 1] += row.cost
        return [self._invoice(month, cost, now) for month, cost in reversed(costs.items())]

    def _invoice(self, month: int, usage: Decimal, now: float) -> Invoice:
        after = month_to_day(month + 1)
        issued, fee = day_to_timestamp(after), self.organisation.plan.monthly_fee_rmb
        year, index = divmod(month, 12)
        code = _IDS.draw_integer(self.organisation.id) % 10_000
        return Invoice(
            id=_IDS.draw_uuid("invoice", self.organisation.id, month),
            number=f"INV-{year:04d}{index + 1:02d}-{code:04d}",
            period_start=day_to_date(month_to_day(month)),
            period_end=day_to_date(after - 1),
            usage=usage,
            fee=fee,
            amount=(usage + fee).quantize(_CENT, ROUND_HALF_UP),
            issued_at=issued,
            paid_at=issued + PAID_AFTER if issued + PAID_AFTER <= now else None,
        )
