"""Conservation: whatever way one looks at the calls, the sums are the same."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from functools import cache
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aione_mock.seed import Seed
from aione_mock.store import MemoryStore
from aione_mock.tenant.calendar import day_to_date, day_to_timestamp, timestamp_to_day
from aione_mock.tenant.catalogue import ModelCatalogue
from aione_mock.tenant.ledger import (
    ALL,
    DIMENSIONS,
    ChartBucket,
    Ledger,
    UsageFilter,
    UsageRow,
    fill_days,
    round_window,
)
from aione_mock.tenant.live_usage import load_spending
from aione_mock.tenant.request_log import read_page
from aione_mock.tenant.tenants import Tenants
from aione_mock.tenant.usage_history import CallTotals
from aione_mock.types import Caller, Usage
from tests.tenant.calls import compute_rmb, record

EPOCH = 1_795_000_000.0
TODAY = day_to_date(timestamp_to_day(EPOCH))
CATALOGUE = ModelCatalogue.load()
MODELS = [model.id for model in CATALOGUE.models]
GROUPINGS = [by for size in range(len(DIMENSIONS) + 1) for by in combinations(DIMENSIONS, size)]


@cache
def tenants(seed: int = 0) -> Tenants:
    return Tenants.create(Seed.of(seed), EPOCH, CATALOGUE)


def main(seed: int = 0) -> Ledger:
    return next(iter(tenants(seed).ledgers.values()))


def figures(rows: Iterable[UsageRow]) -> tuple[int, ...]:
    parts = [row.totals for row in rows]
    return tuple(map(sum, zip(*parts, strict=True)))


Played = tuple[int, str, str | None, str, Usage, bool, int]
CALLS = st.lists(
    st.tuples(
        st.integers(-3 * 86400, 3 * 86400),
        st.sampled_from(["key-a", "key-b"]),
        st.sampled_from(["team-a", None]),
        st.sampled_from(MODELS),
        st.builds(
            lambda p, c, part: Usage(p, c, cached=p * part // 10), *[st.integers(0, 10**6)] * 2, st.integers(0, 10)
        ),
        st.booleans(),
        st.integers(0, 60_000),
    ),
    max_size=12,
)


async def record_calls(ledger: Ledger, store: MemoryStore, calls: list[Played]) -> None:
    for number, (offset, key, team, model, usage, ok, ms) in enumerate(calls):
        caller = Caller(ledger.org_id, key, team)
        await record(ledger, store, EPOCH + offset, caller, model, usage, ok, ms, f"req-{number}")


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 3), CALLS, st.integers(-2, 100), st.integers(0, 100), st.booleans())
async def test_every_grouping_adds_up_to_the_same_totals(
    seed: int, calls: list[Played], back: int, span: int, filtered: bool
) -> None:
    ledger, store = main(seed), MemoryStore()
    await record_calls(ledger, store, calls)
    snapshot = await ledger.read(store)
    start = TODAY - timedelta(back)
    end = start + timedelta(span)
    wanted = UsageFilter(models={"claude-sonnet-4-6", "gpt-5.4"}) if filtered else UsageFilter()
    (total,) = snapshot.sum_days(start, end, (), wanted)
    for by in GROUPINGS:
        rows = snapshot.sum_days(start, end, by, wanted)
        assert sum(row.cost for row in rows) == total.cost
        assert not rows or figures(rows) == figures([total])
        for row in rows:
            assert row.totals.tokens == row.totals.prompt + row.totals.completion
            named = {"day": row.date, "model": row.model, "key": row.key_id}
            assert all((value is not None) == (name in by) for name, value in named.items())
    daily = fill_days(snapshot.list_daily_usage(start, end, wanted), start, end)
    assert [row.date for row in daily] == [start + timedelta(n) for n in range(span + 1)]
    assert figures(daily) == figures([total])


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 3),
    CALLS,
    st.integers(-86400, 9 * 86400),
    st.integers(1, 3 * 86400),
    st.sampled_from([60, 300, 7200]),
)
async def test_charts_metrics_and_logs_agree(seed: int, calls: list[Played], back: int, span: int, width: int) -> None:
    ledger, store = main(seed), MemoryStore()
    await record_calls(ledger, store, calls)
    snapshot = await ledger.read(store)
    start, end = EPOCH - back, EPOCH - back + span
    wanted = UsageFilter(keys={"key-a", *ledger_keys(ledger)[:3]})
    metrics = snapshot.sum_window(start, end, wanted)
    lines = snapshot.build_chart(start, end, width, wanted)
    assert total(bucket.totals for line in lines.values() for bucket in line) == metrics
    for line in lines.values():
        assert [b.at for b in line] == list(range(int(start // 60) * 60, round_window(start, end)[1] * 60, width))
    entries, count = read_page(snapshot, start, end, wanted, 0, 10**6)
    assert count == len(entries) == metrics.requests
    assert metrics == total(CallTotals(1, e.failed, e.prompt, e.cached, e.completion, e.latency_ms) for e in entries)


def ledger_keys(ledger: Ledger) -> list[str]:
    return [key.patterns[0].key_id for key in ledger.history.keys]


def total(parts: Iterable[CallTotals]) -> CallTotals:
    return CallTotals(*map(sum, zip(CallTotals(), *parts, strict=True)))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 3), CALLS, st.integers(-3, 100), st.integers(1, 9))
async def test_whole_days_are_the_same_by_the_minute_and_by_the_day(
    seed: int, calls: list[Played], back: int, span: int
) -> None:
    ledger, store = main(seed), MemoryStore()
    await record_calls(ledger, store, calls)
    snapshot = await ledger.read(store)
    first = timestamp_to_day(EPOCH) - back
    wanted = UsageFilter(keys={"key-a", *ledger_keys(ledger)[:3]})
    (by_day,) = snapshot.sum_days(day_to_date(first), day_to_date(first + span - 1), (), wanted)
    noons = [
        day_to_timestamp(first),
        *[day_to_timestamp(first + day) + 43200 for day in range(span)],
        day_to_timestamp(first + span),
    ]
    halves = [snapshot.sum_window(start, end, wanted) for start, end in pairwise(noons)]
    assert snapshot.sum_window(noons[0], noons[-1], wanted) == total(halves) == figures([by_day])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 3), CALLS, st.integers(-86400, 9 * 86400), st.sampled_from([1800, 7200, 21600]))
async def test_each_bucket_is_the_summary_of_its_own_window(
    seed: int, calls: list[Played], back: int, width: int
) -> None:
    ledger, store = main(seed), MemoryStore()
    await record_calls(ledger, store, calls)
    snapshot = await ledger.read(store)
    lines = snapshot.build_chart(EPOCH - back, EPOCH - back + 13 * width + 999, width, ALL)
    for column in zip(*lines.values(), strict=True):
        start, end = column[0].at, column[0].at + column[0].seconds
        assert total(bucket.totals for bucket in column) == snapshot.sum_window(start, end)


@given(st.integers(0, 10**7), st.integers(0, 10**7), st.integers(0, 10), st.sampled_from(MODELS), st.booleans())
async def test_a_call_moves_every_figure_by_exactly_its_usage(
    prompt: int, completion: int, part: int, model: str, ok: bool
) -> None:
    ledger, store = main(), MemoryStore()
    key = ledger_keys(ledger)[0]
    usage = Usage(prompt, completion, cached=prompt * part // 10)
    (before,) = (await ledger.read(store)).sum_days(TODAY, TODAY)
    await record(ledger, store, EPOCH, Caller(ledger.org_id, key), model, usage, ok, 12.4, "req-1")
    (after,) = (await ledger.read(store)).sum_days(TODAY, TODAY)
    found = CATALOGUE.find(model)
    assert found is not None
    price = compute_rmb(usage, found) if ok else Decimal(0)
    assert after.cost - before.cost == price
    assert Decimal(await load_spending(store, ledger.org_id)) / 10_000 == price
    moved = [b - a for a, b in zip(figures([before]), figures([after]), strict=True)]
    assert moved == [1, not ok, prompt * ok, usage.cached * ok, completion * ok, 12]


async def test_an_alias_counts_as_its_model_and_a_stranger_costs_nothing() -> None:
    ledger, store = main(), MemoryStore()
    caller, tomorrow = Caller(ledger.org_id, "k"), EPOCH + 86400
    await record(ledger, store, tomorrow, caller, "sonnet-4-6", Usage(1000, 10), True, 5, "req-1")
    await record(ledger, store, tomorrow, caller, "from-a-recording", Usage(9**9, 9**9), True, 5, "req-2")
    rows = (await ledger.read(store)).sum_days(TODAY + timedelta(1), TODAY + timedelta(1), ("model",))
    assert [(r.model, r.totals.tokens, r.cost) for r in rows] == [
        ("claude-sonnet-4-6", 1010, Decimal("0.0227")),
        ("from-a-recording", 2 * 9**9, Decimal("0.0000")),
    ]


async def test_organisations_keep_their_figures_apart() -> None:
    store = MemoryStore()
    first, other, third = tenants().ledgers.values()
    await record(other, store, EPOCH, Caller(other.org_id, "k"), "gpt-5.2", Usage(5, 5), True, 5, "req-1")
    assert ((await first.read(store)).sum_days(TODAY, TODAY, (), UsageFilter(keys={"k"})))[0].totals.requests == 0
    assert ((await third.read(store)).sum_days(TODAY, TODAY))[0].totals.requests == 0
    assert ((await other.read(store)).sum_days(TODAY, TODAY, (), UsageFilter(keys={"k"})))[0].totals.tokens == 10
    assert not {row.key_id for row in (await other.read(store)).sum_days(TODAY, TODAY, ("key",))} & set(
        ledger_keys(first)
    )


async def test_rows_come_by_day_and_then_the_most_expensive_first() -> None:
    rows = (await main().read(MemoryStore())).sum_days(TODAY - timedelta(9), TODAY, ("day", "model"))
    assert rows == sorted(rows, key=lambda row: (row.date, -row.cost))
    assert len({row.date for row in rows}) == 10
    assert ((await main().read(MemoryStore())).sum_days(TODAY + timedelta(9), TODAY))[0] == UsageRow(
        None, None, None, None
    )


async def test_filters_combine() -> None:
    ledger = main()
    org = tenants().organisations[ledger.org_id]
    team = org.teams[2].id
    rows = (await ledger.read(MemoryStore())).sum_days(
        TODAY - timedelta(9), TODAY, DIMENSIONS, UsageFilter({"gpt-5.4"}, {team})
    )
    assert {(row.model, row.team_id) for row in rows} == {("gpt-5.4", team)}
    assert len({row.key_id for row in rows}) == 2
    one = (await ledger.read(MemoryStore())).sum_days(TODAY, TODAY, (), UsageFilter(keys=set()))
    assert one[0].totals.requests == 0


async def test_latency_of_the_sessions_calls_is_exact() -> None:
    ledger, store, day = main(), MemoryStore(), TODAY + timedelta(1)
    assert (await ledger.read(store)).find_p99_latency(day, day) == 0
    for ms in range(1, 201):
        await record(ledger, store, EPOCH + 86400, Caller(ledger.org_id, "k"), "gpt-5.4", Usage(1, 1), True, ms, "r")
    snapshot = await ledger.read(store)
    assert snapshot.find_p99_latency(day, day) == 198
    assert snapshot.sum_days(day, day)[0].totals.mean_latency_ms == 100.5


@pytest.mark.parametrize("incident", [False, True])
async def test_latency_of_the_past_is_that_of_its_calls(incident: bool) -> None:
    ledger, store = main(), MemoryStore()
    last = ledger.history.incident[0] if incident else timestamp_to_day(EPOCH) - 1
    back = 0 if incident else 1
    snapshot = await ledger.read(store)
    (total,) = snapshot.sum_days(day_to_date(last - back), day_to_date(last))
    slowest = snapshot.find_p99_latency(day_to_date(last - back), day_to_date(last))
    entries, count = read_page(
        await ledger.read(store), day_to_timestamp(last - back), day_to_timestamp(last + 1), UsageFilter(), 0, 10**7
    )
    took = sorted(entry.latency_ms for entry in entries)
    assert total.totals.mean_latency_ms == pytest.approx(sum(took) / count)
    assert slowest == pytest.approx(took[count * 99 // 100], rel=0.05)


def test_a_window_takes_the_minutes_it_touches() -> None:
    assert round_window(600, 660) == (10, 11)
    assert round_window(659.9, 660.1) == (10, 12)
    assert round_window(600, 600) == (10, 10)
    assert round_window(900, 300) == (15, 15)


async def test_an_empty_or_reversed_window_has_nothing() -> None:
    for end in (EPOCH, EPOCH - 999):
        assert (await main().read(MemoryStore())).build_chart(EPOCH, end, 60) == {}
        assert (await main().read(MemoryStore())).sum_window(EPOCH, end) == CallTotals()
        assert read_page(await main().read(MemoryStore()), EPOCH, end) == ([], 0)


def test_a_bucket_tells_time_and_load() -> None:
    bucket = ChartBucket(0, 60, CallTotals(4, 1, 10, 0, 5, 12_000))
    assert (bucket.totals.tokens, bucket.totals.mean_latency_ms, bucket.concurrency) == (15, 3000.0, 0.2)
    assert ChartBucket(0, 60, CallTotals()).totals.mean_latency_ms == 0
