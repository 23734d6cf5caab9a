"""Money: invoices are usage plus fee, and the balance falls by what was spent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from aione_mock.seed import Seed
from aione_mock.store import MemoryStore
from aione_mock.tenant.billing import Billing, Invoice
from aione_mock.tenant.calendar import SHANGHAI, day_to_date, day_to_month, day_to_timestamp, timestamp_to_day
from aione_mock.tenant.catalogue import ModelCatalogue
from aione_mock.tenant.ledger import Ledger
from aione_mock.tenant.tenants import Tenants
from aione_mock.types import Caller, Usage
from tests.tenant.calls import compute_rmb, record

EPOCH = datetime(2026, 11, 22, 4, 30, tzinfo=UTC).timestamp()
CATALOGUE = ModelCatalogue.load()
MODEL = CATALOGUE.models[0]


@cache
def tenants(seed: int = 0, epoch: float = EPOCH) -> Tenants:
    return Tenants.create(Seed.of(seed), epoch, CATALOGUE)


def main(seed: int = 0, epoch: float = EPOCH) -> Billing:
    return next(iter(tenants(seed, epoch).billing.values()))


def ledger_of(billing: Billing, seed: int = 0) -> Ledger:
    return tenants(seed).ledgers[billing.organisation.id]


async def invoices_of(billing: Billing, store: MemoryStore, now: float, seed: int = 0) -> list[Invoice]:
    return billing.list_invoices(await ledger_of(billing, seed).read(store), now)


async def month_cost(billing: Billing, store: MemoryStore, now: float) -> Decimal:
    return billing.sum_month(await ledger_of(billing).read(store), now)


async def pay(billing: Billing, store: MemoryStore, at: float, usage: Usage) -> Decimal:
    await record(ledger_of(billing), store, at, Caller(billing.organisation.id, "k"), MODEL.id, usage)
    return compute_rmb(usage, MODEL)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2),
    st.integers(0, 3),
    st.lists(st.tuples(st.integers(0, 70), st.integers(0, 10**7)), max_size=5),
    st.integers(0, 130),
)
async def test_an_invoice_is_the_usage_of_its_month_plus_the_fee(
    org: int, seed: int, calls: list[tuple[int, int]], later: int
) -> None:
    billing, store = list(tenants(seed).billing.values())[org], MemoryStore()
    for day, prompt in calls:
        await pay(billing, store, EPOCH + day * 86400, Usage(prompt, 10))
    now = EPOCH + later * 86400
    invoices = await invoices_of(billing, store, now, seed)
    months = day_to_month(timestamp_to_day(now)) - day_to_month(billing.organisation.first_day)
    assert len(invoices) == months >= 3
    for invoice in invoices:
        (row,) = (await ledger_of(billing, seed).read(store)).sum_days(invoice.period_start, invoice.period_end)
        expected = row.cost + billing.organisation.plan.monthly_fee_rmb
        assert invoice.amount == expected.quantize(Decimal("0.01"), ROUND_HALF_UP)
        assert (invoice.usage, invoice.period_start.day) == (row.cost, 1)
        assert (invoice.period_end + timedelta(1)).day == 1
        assert invoice.issued_at <= now
        assert invoice.paid_at is None or invoice.issued_at < invoice.paid_at <= now
        assert (invoice.status == "paid") == (invoice.paid_at is not None)
    starts = [invoice.period_start for invoice in invoices]
    assert starts == sorted(starts, reverse=True)
    assert starts[-1] == day_to_date(billing.organisation.first_day)
    assert len({invoice.number for invoice in invoices}) == len({invoice.id for invoice in invoices}) == months


async def test_a_month_later_there_is_one_invoice_more() -> None:
    billing, store = main(), MemoryStore()
    midnight = datetime(2026, 12, 1, tzinfo=SHANGHAI).timestamp()
    before, after = await invoices_of(billing, store, midnight - 1), await invoices_of(billing, store, midnight)
    assert after[1:] == before
    assert after[0].period_start.isoformat() == "2026-11-01"
    assert (after[0].status, after[0].issued_at) == ("issued", midnight)
    paid = (await invoices_of(billing, store, midnight + 6 * 86400))[0]
    assert (paid.status, paid.paid_at) == ("paid", midnight + 5 * 86400 + 10 * 3600)


async def test_no_invoice_before_the_first_month_is_over() -> None:
    billing = main()
    assert await invoices_of(billing, MemoryStore(), day_to_timestamp(billing.organisation.first_day)) == []
    assert await invoices_of(billing, MemoryStore(), 0) == []


@given(st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 10**6)), max_size=6))
async def test_the_balance_falls_by_exactly_what_is_spent(calls: list[tuple[int, int]]) -> None:
    billing, store = main(), MemoryStore()
    opening = await billing.read_balance(store, EPOCH)
    assert opening == billing.organisation.account.balance_rmb
    before = await month_cost(billing, store, EPOCH)
    paid = [await pay(billing, store, EPOCH, Usage(prompt, completion)) for prompt, completion in calls]
    assert opening - await billing.read_balance(store, EPOCH) == sum(paid)
    assert await month_cost(billing, store, EPOCH) - before == sum(paid)
    fee = billing.organisation.plan.monthly_fee_rmb
    assert await billing.read_balance(store, EPOCH + 10 * 86400) == opening - sum(paid) - fee
    assert await billing.read_balance(store, EPOCH + 41 * 86400) == opening - sum(paid) - 2 * fee
    assert await billing.read_balance(store, EPOCH - 90 * 86400) == opening - sum(paid)


async def test_a_new_month_starts_from_nothing() -> None:
    billing, store = main(), MemoryStore()
    end = datetime(2026, 12, 1, tzinfo=SHANGHAI).timestamp()
    assert await month_cost(billing, store, end - 1) > 0
    assert await month_cost(billing, store, end) == 0


async def test_one_organisation_has_nothing_left_and_the_others_have() -> None:
    store = MemoryStore()
    assert [await billing.is_used_up(store, EPOCH) for billing in tenants().billing.values()] == [False, False, True]
    rich = main()
    credit = rich.organisation.account.credit_limit_rmb
    while not await rich.is_used_up(store, EPOCH):
        before = await rich.read_balance(store, EPOCH)
        await pay(rich, store, EPOCH, Usage(25_000_000, 0))
    assert await rich.read_balance(store, EPOCH) <= -credit < before < 0


def test_the_plan_holds_every_model_of_the_catalogue() -> None:
    assert main().models == tuple(model.id for model in CATALOGUE.models)
