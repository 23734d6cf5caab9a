"""The request log: pages that fit together, newest first."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from aione_mock.seed import Seed
from aione_mock.store import MemoryStore
from aione_mock.tenant.catalogue import ModelCatalogue
from aione_mock.tenant.ledger import UsageFilter
from aione_mock.tenant.live_usage import ModelCall
from aione_mock.tenant.request_log import read_page
from aione_mock.tenant.tenants import Tenants
from aione_mock.types import Caller, Usage
from tests.tenant.calls import record

EPOCH = 1_795_000_000.0
LEDGER = next(iter(Tenants.create(Seed.of(0), EPOCH, ModelCatalogue.load()).ledgers.values()))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 80 * 86400), st.integers(60, 3 * 86400), st.integers(0, 4000), st.integers(1, 50))
async def test_pages_are_cuts_of_one_list(back: int, span: int, offset: int, limit: int) -> None:
    start = EPOCH - back - span
    wanted = UsageFilter(models={"gpt-5.4", "claude-opus-4-6"})
    whole, total = read_page(await LEDGER.read(MemoryStore()), start, start + span, wanted, 0, 10**6)
    page, count = read_page(await LEDGER.read(MemoryStore()), start, start + span, wanted, offset, limit)
    assert count == total == len(whole)
    assert page == whole[offset : offset + limit]
    assert whole == sorted(whole, key=lambda entry: -entry.at)
    assert all(start // 60 * 60 <= entry.at < start + span + 60 for entry in whole)
    assert {entry.model for entry in whole} <= {"gpt-5.4", "claude-opus-4-6"}


async def test_ids_are_unique_and_repeatable() -> None:
    one, _ = read_page(await LEDGER.read(MemoryStore()), EPOCH - 86400, EPOCH, limit=2000)
    two, _ = read_page(await LEDGER.read(MemoryStore()), EPOCH - 86400, EPOCH, limit=2000)
    assert one == two
    assert len({entry.id for entry in one}) == len({entry.request_id for entry in one}) == 2000
    assert all(0 <= entry.id < 1 << 53 for entry in one)


async def test_a_live_call_is_the_first_line() -> None:
    store = MemoryStore()
    await record(
        LEDGER,
        store,
        EPOCH + 5.5,
        Caller(LEDGER.org_id, "k", "t"),
        "haiku-4-5",
        Usage(9, 4, cached=2),
        True,
        33.3,
        "req-live",
    )
    (entry,), total = read_page(await LEDGER.read(store), EPOCH - 3600, EPOCH + 60, limit=1)
    assert entry == ModelCall(EPOCH + 5.5, "k", "t", "claude-haiku-4-5", 0, 9, 2, 4, 33, 2, "req-live")
    assert total == 1 + read_page(await LEDGER.read(MemoryStore()), EPOCH - 3600, EPOCH + 60)[1]


async def test_failed_calls_of_the_past_say_how() -> None:
    entries, _ = read_page(await LEDGER.read(MemoryStore()), EPOCH - 7 * 86400, EPOCH, limit=10**6)
    assert {entry.status for entry in entries if not entry.failed} == {200}
    assert {entry.status for entry in entries if entry.failed} == {502, 503, 504}


async def test_calls_of_one_instant_come_in_reverse_order_of_arrival() -> None:
    store, caller = MemoryStore(), Caller(LEDGER.org_id, "k", "t")
    for number in range(9):
        await record(LEDGER, store, EPOCH + 7, caller, "gpt-5.4", Usage(1, 1), True, 5, f"req-{number * 7 % 9}")
    entries, _ = read_page(await LEDGER.read(store), EPOCH, EPOCH + 60, limit=9)
    assert [entry.request_id for entry in entries] == [f"req-{number * 7 % 9}" for number in reversed(range(9))]
