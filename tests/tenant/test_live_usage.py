"""The session's own calls: nothing lost when old ones become sums, and room that does not grow."""

from __future__ import annotations

import orjson

from aione_mock.seed import Seed
from aione_mock.store import MemoryStore
from aione_mock.tenant.catalogue import ModelCatalogue
from aione_mock.tenant.live_usage import KEPT_CALLS, load_spending, load_usage
from aione_mock.tenant.request_log import read_page
from aione_mock.tenant.tenants import Tenants
from aione_mock.tenant.usage_history import CallTotals
from aione_mock.types import Caller, Usage
from tests.tenant.calls import record

EPOCH = 1_795_000_000.0
LEDGER = next(iter(Tenants.create(Seed.of(0), EPOCH, ModelCatalogue.load()).ledgers.values()))


async def record_calls(store: MemoryStore, count: int) -> None:
    for number in range(count):
        caller = Caller(LEDGER.org_id, f"k{number % 3}", "t" if number % 2 else None)
        usage = Usage(100 + number % 7, 10 + number % 5, cached=number % 90)
        at = EPOCH + 3600 + number / 50
        await record(LEDGER, store, at, caller, "gpt-5.4", usage, number % 11 > 0, 20 + number % 40, f"req-{number}")


async def test_sums_stay_exact_when_old_calls_are_folded() -> None:
    store, count = MemoryStore(), 5 * KEPT_CALLS + 17
    await record_calls(store, count)
    seen = await load_usage(store, LEDGER.org_id)
    assert KEPT_CALLS <= len(seen.calls) < 2 * KEPT_CALLS
    assert seen.older
    good = [number for number in range(count) if number % 11]
    summary = (await LEDGER.read(store)).sum_window(EPOCH + 3600, EPOCH + 3600 + count)
    assert summary == CallTotals(
        requests=count,
        errors=count - len(good),
        prompt=sum(100 + n % 7 for n in good),
        cached=sum(n % 90 for n in good),
        completion=sum(10 + n % 5 for n in good),
        latency_ms=sum(20 + n % 40 for n in range(count)),
    )
    assert await load_spending(store, LEDGER.org_id) == sum(cell.ticks for cell in seen.minutes)


async def test_the_log_lists_every_call_even_where_only_sums_are_left() -> None:
    store, count = MemoryStore(), 3 * KEPT_CALLS
    await record_calls(store, count)
    window = EPOCH + 3600, EPOCH + 3600 + count
    entries, total = read_page(await LEDGER.read(store), *window, offset=0, limit=10**6)
    assert total == len(entries) == count
    parts = [CallTotals(1, e.failed, e.prompt, e.cached, e.completion, e.latency_ms) for e in entries]
    assert CallTotals(*map(sum, zip(*parts, strict=True))) == (await LEDGER.read(store)).sum_window(*window)
    assert all(e.cached <= e.prompt and (not e.failed or not e.prompt) for e in entries)
    assert len({e.request_id for e in entries}) == count


async def test_room_does_not_grow_with_the_calls() -> None:
    sizes = []
    store = MemoryStore()
    for _ in range(4):
        for number in range(2 * KEPT_CALLS):
            caller = Caller(LEDGER.org_id, "k", "t")
            await record(LEDGER, store, EPOCH, caller, "gpt-5.4", Usage(10, 10), True, 5, f"req-{number:06}")
        sizes.append(len(orjson.dumps(store.dump())))
    assert max(sizes) - min(sizes) < 200


async def test_a_snapshot_taken_between_calls_holds() -> None:
    store = MemoryStore()
    await record_calls(store, 100)
    dump = store.dump()
    before = await load_usage(store, LEDGER.org_id)
    await record_calls(store, 2 * KEPT_CALLS)
    store.load(dump)
    assert await load_usage(store, LEDGER.org_id) == before
