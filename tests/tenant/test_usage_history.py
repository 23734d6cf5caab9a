"""The usage history: exact at every level, shaped like that of a company, and complete at the epoch."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aione_mock.errors import ConfigError
from aione_mock.seed import Seed
from aione_mock.tenant.calendar import HOUR, day_to_timestamp, timestamp_to_day
from aione_mock.tenant.catalogue import ModelCatalogue, ModelPrices, compute_cost, ticks_to_rmb
from aione_mock.tenant.organisation import create_organisations
from aione_mock.tenant.organisation_file import list_credentials
from aione_mock.tenant.usage_history import MINUTES, CallTotals, UsageBucket, UsageHistory, count_slower
from aione_mock.types import Usage
from tests.tenant.calls import compute_rmb

EPOCH = 1_795_000_000.0
CATALOGUE = ModelCatalogue.load()


@cache
def past(seed: int = 0, epoch: float = EPOCH) -> UsageHistory:
    return UsageHistory.create(create_organisations(Seed.of(seed), epoch)[0], Seed.of(seed), epoch, CATALOGUE)


def add(parts: list[CallTotals]) -> CallTotals:
    return CallTotals(*map(sum, zip(*parts, strict=True))) if parts else CallTotals()


def calls_of(cell: UsageBucket, first: int = 0, last: int | None = None) -> list[CallTotals]:
    last = cell.count_calls(MINUTES) if last is None else last
    return [after.subtract(before) for before, after in pairwise([cell.sum_calls(n) for n in range(first, last + 1)])]


CELLS = st.builds(
    lambda seed, epoch, back, pick: (cells := past(seed, epoch).list_buckets(timestamp_to_day(epoch) - back))[
        pick % len(cells)
    ],
    st.integers(0, 3),
    st.sampled_from([EPOCH, EPOCH + 7 * HOUR, 1_700_000_000.5]),
    st.integers(0, 90),
    st.integers(0, 99),
)


@settings(max_examples=60, deadline=None)
@given(CELLS)
def test_a_day_is_the_sum_of_hours_and_minutes_and_calls(cell: UsageBucket) -> None:
    total = cell.sum_until(MINUTES)
    hours = [cell.sum_until(60 * (h + 1)).subtract(cell.sum_until(60 * h)) for h in range(24)]
    minutes = [cell.sum_until(m + 1).subtract(cell.sum_until(m)) for m in range(MINUTES)]
    assert add(hours) == add(minutes) == add(calls_of(cell)) == total
    assert all(min(part) >= 0 for part in minutes)
    assert cell.sum_day().totals == total


@settings(max_examples=60, deadline=None)
@given(CELLS)
def test_every_single_call_makes_sense(cell: UsageBucket) -> None:
    for call in calls_of(cell):
        assert call.requests == 1
        assert call.errors in (0, 1)
        assert call.latency_ms > 0
        if call.errors:
            assert (call.prompt, call.cached, call.completion) == (0, 0, 0)
        else:
            assert call.prompt >= 1
            assert call.completion >= 1
            assert 0 <= call.cached <= call.prompt


@given(CELLS)
def test_a_days_cost_is_price_times_tokens(cell: UsageBucket) -> None:
    total, model = cell.sum_day(), CATALOGUE.find(cell.pattern.model)
    assert model is not None
    usage = Usage(prompt=total.prompt, completion=total.completion, cached=total.cached)
    assert ticks_to_rmb(total.ticks) == compute_rmb(usage, model)


@given(*[st.integers(0, 10**6)] * 6)
@example(500_000, 0, 0, 1, 0, 0)
@example(500_000, 0, 0, 3, 0, 0)
def test_whole_numbers_cost_what_decimals_do(
    fresh: int, hit: int, out: int, prompt: int, cached: int, answer: int
) -> None:
    cached = min(prompt, cached)
    rates = [f"{Decimal(rate) / 10_000:.4f}" for rate in (fresh, hit, out)]
    prices = ModelPrices.model_validate(dict(zip(("input", "cached_input", "output"), rates, strict=True)))
    model = CATALOGUE.models[0].model_copy(update={"prices": prices})
    assert prices.to_ticks() == (fresh, hit, out)
    price = compute_rmb(Usage(prompt, answer, cached=cached), model)
    assert ticks_to_rmb(compute_cost((fresh, hit, out), prompt, cached, answer)) == price


def test_it_is_a_function_of_seed_and_epoch() -> None:
    again = UsageHistory.create(create_organisations(Seed.of(0), EPOCH)[0], Seed.of(0), EPOCH, CATALOGUE)
    day = timestamp_to_day(EPOCH) - 5
    # another order of asking, the same answer
    assert [again.list_day(day + 1), again.list_day(day)] == [past().list_day(day + 1), past().list_day(day)]
    assert past(1).list_day(day) != past().list_day(day)


def test_it_ends_with_the_last_full_hour_and_begins_with_a_month() -> None:
    history, today = past(), timestamp_to_day(EPOCH)
    full_hours = int(EPOCH - day_to_timestamp(today)) // HOUR
    assert history.horizon == full_hours * 60
    for cell in history.list_buckets(today):
        assert cell.sum_until(history.horizon) == cell.sum_until(MINUTES)
    assert history.list_day(today + 1) == ()
    assert history.list_day(history.first_day - 1) == ()
    assert history.list_day(history.first_day) != ()
    at_midnight = past(0, float(day_to_timestamp(today)))
    assert at_midnight.list_day(today) == ()
    assert at_midnight.list_day(today - 1) != ()


def requests(history: UsageHistory, day: int, first: int = 0, last: int = MINUTES) -> int:
    return sum(cell.count_calls(last) - cell.count_calls(first) for cell in history.list_buckets(day))


@pytest.mark.parametrize("seed", range(4))
def test_the_rhythm_is_that_of_an_organisation(seed: int) -> None:
    history = past(seed)
    week = range(timestamp_to_day(EPOCH) - 7, timestamp_to_day(EPOCH))
    working = [requests(history, day) for day in week if (day + 3) % 7 < 5]
    weekend = [requests(history, day) for day in week if (day + 3) % 7 >= 5]
    assert max(weekend) < min(working)
    assert sum(requests(history, day, 600, 660) for day in week) > 4 * sum(
        requests(history, day, 300, 360) for day in week
    )
    assert sum(requests(history, day, 720, 780) for day in week) < sum(requests(history, day, 660, 720) for day in week)
    assert sum(working) > 1.3 * sum(requests(history, day - 84) for day in week if (day + 3) % 7 < 5)
    load: Counter[str] = Counter()
    for day in week:
        load.update({cell.model: 0 for cell in history.list_day(day)})
        for cell in history.list_day(day):
            load[cell.model] += cell.requests
    assert len(load) >= 8
    assert sum(count for _, count in load.most_common(3)) > 0.7 * load.total()


@pytest.mark.parametrize("seed", range(4))
def test_one_day_about_three_weeks_ago_went_wrong(seed: int) -> None:
    history = past(seed)
    rates = {}
    for day in range(history.last_day - 60, history.last_day):
        cells = history.list_day(day)
        rates[day] = sum(c.errors for c in cells) / sum(c.requests for c in cells)
    worst = max(rates, key=lambda day: rates[day])
    assert 19 <= history.last_day - worst <= 25
    assert (worst + 3) % 7 < 5
    assert rates.pop(worst) > 0.04
    assert max(rates.values()) < 0.01
    first, last = history.incident[1:]
    hit = add([cell.sum_until(last).subtract(cell.sum_until(first)) for cell in history.list_buckets(worst)])
    rest = add([cell.sum_until(MINUTES) for cell in history.list_buckets(worst)]).subtract(hit)
    assert hit.latency_ms / hit.requests > 2 * rest.latency_ms / rest.requests
    assert hit.errors / hit.requests > 0.3


def test_only_some_keys_have_a_past_and_it_ends_when_the_key_did() -> None:
    history, org = past(), create_organisations(Seed.of(0), EPOCH)[0]
    by_label = {credential.label: credential.id for credential in list_credentials() if credential.kind == "key"}
    days = {
        cell.key_id: cell.period
        for day in range(history.first_day, history.last_day + 1)
        for cell in history.list_day(day)
    }
    assert by_label["demo"] not in days
    assert days[by_label["pilot"]] == history.last_day - 30
    assert set(days) == set(org.past_usage)
    assert None in {cell.team_id for cell in history.list_day(history.last_day - 3)}


@pytest.mark.parametrize("label", ["studio", "coding"])
def test_the_tail_of_latencies_is_that_of_the_calls(label: str) -> None:
    history = past()
    key_id = next(credential.id for credential in list_credentials() if credential.label == label)
    cells = [
        c
        for d in range(history.last_day - 9, history.last_day)
        for c in history.list_buckets(d)
        if c.pattern.key_id == key_id
    ]
    pattern = cells[0].pattern
    took = [call.latency_ms for c in cells if c.pattern is pattern for call in calls_of(c)]
    spread = pattern.mean_ms
    for above in (
        pattern.first_ms,
        pattern.first_ms + spread // 2,
        pattern.first_ms + spread,
        pattern.first_ms + 2 * spread,
    ):
        share = sum(ms > above for ms in took) / len(took)
        assert count_slower(pattern.first_ms, spread, above) / 1024 == pytest.approx(share, abs=0.06)


def test_a_catalogue_without_a_model_of_the_past_is_refused_by_name() -> None:
    few = ModelCatalogue(models=CATALOGUE.models[:1])
    with pytest.raises(ConfigError, match=r"has no model 'gemini-2\.5-flash'"):
        UsageHistory.create(create_organisations(Seed.of(0), EPOCH)[0], Seed.of(0), EPOCH, few)
