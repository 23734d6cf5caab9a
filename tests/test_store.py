"""The store, its sliding windows, and the bounded journal."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from aione_mock.store import Journal, MemoryStore


async def test_values_are_put_listed_in_order_and_deleted() -> None:
    store = MemoryStore()
    for key in ("a/2", "b/1", "a/1"):
        await store.put(key, key)
    assert await store.list("a/") == [("a/2", "a/2"), ("a/1", "a/1")]
    assert await store.delete("a/2")
    assert not await store.delete("a/2")
    assert await store.get("a/2") is None


async def test_counters_and_lists_start_empty() -> None:
    store = MemoryStore()
    assert [await store.increment("n"), await store.increment("n", 5)] == [1, 6]
    assert [len(store.append("l", "x")), len(store.append("l", "y"))] == [1, 2]


async def test_a_window_forgets_what_is_older_than_its_span() -> None:
    store = MemoryStore()
    await store.window("w", 0.0, 60, (1, 10))
    assert (await store.window("w", 30.0, 60, (2, 0))).totals == (3, 10)
    assert (await store.window("w", 60.0, 60)).totals == (2, 0)
    assert (await store.window("w", 90.0, 60)).totals == (0, 0)


async def test_a_window_takes_nothing_when_one_part_is_full() -> None:
    store = MemoryStore()
    assert (await store.window("w", 0.0, 60, (1, 9), (5, 9))).taken
    full = await store.window("w", 1.0, 60, (1, 0), (5, 9))
    assert (full.taken, full.totals, full.count_left(0), full.count_left(1)) == (False, (1, 9), 4, 0)


async def test_what_had_not_happened_when_the_clock_was_set_back_is_gone() -> None:
    store = MemoryStore()
    await store.window("w", 100.0, 60, (1, 0))
    assert (await store.window("w", 50.0, 60, (2, 0))).totals == (2, 0)


@given(
    st.lists(st.tuples(st.floats(0.03, 20), st.integers(0, 3), st.integers(0, 5)), max_size=40),
    st.integers(0, 20),
    st.integers(0, 1),
)
async def test_waiting_as_long_as_told_makes_room(steps: list[tuple[float, int, int]], room: int, part: int) -> None:
    store, now = MemoryStore(), 0.0
    for gap, *amounts in steps:
        now += gap
        await store.window("w", now, 60, (amounts[0], amounts[1]))
    window = await store.window("w", now, 60)
    wait = window.compute_wait(part, room)
    assert (wait == 0) == (window.totals[part] <= room)
    assert max(0.0, window.lasts[part] + window.span - now) == window.compute_wait(part, 0)
    after = now + wait + 1e-6
    assert (await store.window("w", after, 60)).totals[part] <= room


async def test_heavy_load_does_not_fill_the_memory() -> None:
    store = MemoryStore()
    for i in range(20_000):
        await store.window("w", i / 1000, 60, (1, 2))
    window = await store.window("w", 20.0, 60)
    assert window.totals == (20_000, 40_000)
    assert len(window.entries) < 1100


async def test_empty_windows_are_swept() -> None:
    store = MemoryStore()
    for i in range(20_000):
        await store.window(f"nonce/{i}", float(i), 10, (1, 0))
    assert len(store.dump()["windows"]) < 9000


async def test_a_dump_shares_nothing_and_restores_everything() -> None:
    store = MemoryStore()
    store.append("l", {"a": 1})
    await store.window("w", 0.0, 60, (3, 1))
    dump = store.dump()
    store.append("l", {"a": 2})
    await store.window("w", 1.0, 60, (3, 1))
    store.load(dump)
    assert await store.get("l") == [{"a": 1}]
    assert (await store.window("w", 1.0, 60)).totals == (3, 1)


@dataclass(frozen=True)
class Page:
    size: int


def test_the_journal_is_bounded_in_entries_and_bytes() -> None:
    journal = Journal(max_entries=3, max_bytes=100)
    for size in (10, 20, 30, 40):
        journal.add(Page(size))
    assert [page.size for page in journal] == [20, 30, 40]
    journal.add(Page(60))
    assert [page.size for page in journal] == [40, 60]
    journal.add(Page(500))
    assert ([page.size for page in journal], journal.bytes_held, journal.total) == ([500], 500, 6)
    assert [page.size for page in journal.list_latest(5)] == [500]
    journal.clear()
    assert (len(journal), journal.bytes_held, journal.total) == (0, 0, 6)
