"""The log: pages that fit together, newest first."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from aione_mock.seed import Seed
from aione_mock.store import MemoryStore
from aione_mock.tenant import request_log
from aione_mock.tenant.catalogue import ModelCatalogue
from aione_mock.tenant.ledger import Filter
from aione_mock.tenant.tenants import Tenants
from aione_mock.types import Caller, Usage

EPOCH = 1_795_000_000.0
LEDGER = next(iter(Tenants.create(Seed.of(0), EPOCH, ModelCatalogue.load()).ledgers.values()))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 80 * 86400), st.integers(60, 3 * 86400), st.integers(0, 4000), st.integers(1, 50))
async def test_pages_are_cuts_of_one_list(back: int, span: int, offset: int, limit: int) -> None:
    start = EPOCH - back - span
    wanted = Filter(models={"gpt-5.4", "claude-opus-4-6"})
    whole, total = await request_log.page(LEDGER, MemoryStore(), start, start + span, wanted, 0, 10**6)
    page, count = await request_log.page(LEDGER, MemoryStore(), start, start + span, wanted, offset, limit)
    assert count == total == len(whole)
    assert page == whole[offset : offset + limit]
    assert whole == sorted(whole, key=lambda entry: -entry.at)
    assert all(start // 60 * 60 <= entry.at < start + span + 60 for entry in whole)
    assert {entry.model for entry in whole} <= {"gpt-5.4", "claude-opus-4-6"}


async def test_ids_are_unique_and_repeatable() -> None:
    one, _ = await request_log.page(LEDGER, MemoryStore(), EPOCH - 86400, EPOCH, limit=2000)
    two, _ = await request_log.page(LEDGER, MemoryStore(), EPOCH - 86400, EPOCH, limit=2000)
    assert one == two
    assert len({entry.id for entry in one}) == len({entry.request_id for entry in one}) == 2000
    assert all(0 <= entry.id < 1 << 53 for entry in one)


async def test_a_live_call_is_the_first_line() -> None:
    store = MemoryStore()
    await LEDGER.record(
        store, EPOCH + 5.5, Caller(LEDGER.org_id, "k", "t"), "haiku-4-5", Usage(9, 4, cached=2), True, 33.3, "req-live"
    )
    (entry,), total = await request_log.page(LEDGER, store, EPOCH - 3600, EPOCH + 60, limit=1)
    assert entry == request_log.Entry(EPOCH + 5.5, "k", "t", "claude-haiku-4-5", True, 9, 2, 4, 33, "req-live")
    assert total == 1 + (await request_log.page(LEDGER, MemoryStore(), EPOCH - 3600, EPOCH + 60))[1]


async def test_failed_calls_of_the_past_say_how() -> None:
    entries, _ = await request_log.page(LEDGER, MemoryStore(), EPOCH - 7 * 86400, EPOCH, limit=10**6)
    assert {entry.status for entry in entries if entry.ok} == {200}
    assert {entry.status for entry in entries if not entry.ok} == {502, 503, 504}


async def test_calls_of_one_instant_come_in_reverse_order_of_arrival() -> None:
    store, caller = MemoryStore(), Caller(LEDGER.org_id, "k", "t")
    for number in range(9):
        await LEDGER.record(store, EPOCH + 7, caller, "gpt-5.4", Usage(1, 1), True, 5, f"req-{number * 7 % 9}", 200)
    entries, _ = await request_log.page(LEDGER, store, EPOCH, EPOCH + 60, limit=9)
    assert [entry.request_id for entry in entries] == [f"req-{number * 7 % 9}" for number in reversed(range(9))]
