"""The past: exact at every level, shaped like an organisation's, and over at the epoch."""

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
from aione_mock.tenant.usage_history import MINUTES, Cell, Figures, History, latency_tail
from aione_mock.types import Usage
from tests.tenant.prices import compute_rmb

EPOCH = 1_795_000_000.0
CATALOGUE = ModelCatalogue.load()


@cache
def past(seed: int = 0, epoch: float = EPOCH) -> History:
    return History.of(create_organisations(Seed.of(seed), epoch)[0], Seed.of(seed), epoch, CATALOGUE)


def add(parts: list[Figures]) -> Figures:
    return Figures(*map(sum, zip(*parts, strict=True))) if parts else Figures()


def calls_of(cell: Cell, first: int = 0, last: int | None = None) -> list[Figures]:
    last = cell.calls_until(MINUTES) if last is None else last
    return [after.minus(before) for before, after in pairwise([cell.upto(n) for n in range(first, last + 1)])]


CELLS = st.builds(
    lambda seed, epoch, back, pick: (cells := past(seed, epoch).cells(timestamp_to_day(epoch) - back))[
        pick % len(cells)
    ],
    st.integers(0, 3),
    st.sampled_from([EPOCH, EPOCH + 7 * HOUR, 1_700_000_000.5]),
    st.integers(0, 90),
    st.integers(0, 99),
)


@settings(max_examples=60, deadline=None)
@given(CELLS)
def test_a_day_is_the_sum_of_hours_and_minutes_and_calls(cell: Cell) -> None:
    total = cell.until(MINUTES)
    hours = [cell.until(60 * (h + 1)).minus(cell.until(60 * h)) for h in range(24)]
    minutes = [cell.until(m + 1).minus(cell.until(m)) for m in range(MINUTES)]
    assert add(hours) == add(minutes) == add(calls_of(cell)) == total
    assert all(min(part) >= 0 for part in minutes)
    assert cell.total()[4:10] == total


@settings(max_examples=60, deadline=None)
@given(CELLS)
def test_every_single_call_makes_sense(cell: Cell) -> None:
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
def test_a_days_cost_is_price_times_tokens(cell: Cell) -> None:
    total, model = cell.total(), CATALOGUE.find(cell.habit.model)
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
    again = History.of(create_organisations(Seed.of(0), EPOCH)[0], Seed.of(0), EPOCH, CATALOGUE)
    day = timestamp_to_day(EPOCH) - 5
    # another order of asking, the same answer
    assert [again.day(day + 1), again.day(day)] == [past().day(day + 1), past().day(day)]
    assert past(1).day(day) != past().day(day)


def test_it_ends_with_the_last_full_hour_and_begins_with_a_month() -> None:
    history, today = past(), timestamp_to_day(EPOCH)
    full_hours = int(EPOCH - day_to_timestamp(today)) // HOUR
    assert history.horizon == full_hours * 60
    for cell in history.cells(today):
        assert cell.until(history.horizon) == cell.until(MINUTES)
    assert history.day(today + 1) == ()
    assert history.day(history.first_day - 1) == ()
    assert history.day(history.first_day) != ()
    at_midnight = past(0, float(day_to_timestamp(today)))
    assert at_midnight.day(today) == ()
    assert at_midnight.day(today - 1) != ()


def requests(history: History, day: int, first: int = 0, last: int = MINUTES) -> int:
    return sum(cell.calls_until(last) - cell.calls_until(first) for cell in history.cells(day))


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
        load.update({cell.model: 0 for cell in history.day(day)})
        for cell in history.day(day):
            load[cell.model] += cell.requests
    assert len(load) >= 8
    assert sum(count for _, count in load.most_common(3)) > 0.7 * load.total()


@pytest.mark.parametrize("seed", range(4))
def test_one_day_about_three_weeks_ago_went_wrong(seed: int) -> None:
    history = past(seed)
    rates = {}
    for day in range(history.last_day - 60, history.last_day):
        cells = history.day(day)
        rates[day] = sum(c.errors for c in cells) / sum(c.requests for c in cells)
    worst = max(rates, key=lambda day: rates[day])
    assert 19 <= history.last_day - worst <= 25
    assert (worst + 3) % 7 < 5
    assert rates.pop(worst) > 0.04
    assert max(rates.values()) < 0.01
    first, last = history.incident[1:]
    hit = add([cell.until(last).minus(cell.until(first)) for cell in history.cells(worst)])
    rest = add([cell.until(MINUTES) for cell in history.cells(worst)]).minus(hit)
    assert hit.latency_ms / hit.requests > 2 * rest.latency_ms / rest.requests
    assert hit.errors / hit.requests > 0.3


def test_only_some_keys_have_a_past_and_it_ends_when_the_key_did() -> None:
    history, org = past(), create_organisations(Seed.of(0), EPOCH)[0]
    by_label = {credential.label: credential.id for credential in list_credentials() if credential.kind == "key"}
    days = {
        cell.key_id: cell.day for day in range(history.first_day, history.last_day + 1) for cell in history.day(day)
    }
    assert by_label["demo"] not in days
    assert days[by_label["pilot"]] == history.last_day - 30
    assert set(days) == set(org.past_usage)
    assert None in {cell.team_id for cell in history.day(history.last_day - 3)}


@pytest.mark.parametrize("label", ["studio", "coding"])
def test_the_tail_of_latencies_is_that_of_the_calls(label: str) -> None:
    history = past()
    key_id = next(credential.id for credential in list_credentials() if credential.label == label)
    cells = [
        c for d in range(history.last_day - 9, history.last_day) for c in history.cells(d) if c.habit.key_id == key_id
    ]
    habit = cells[0].habit
    took = [call.latency_ms for c in cells if c.habit is habit for call in calls_of(c)]
    spread = habit.completion * habit.token_us // 1000
    for above in (habit.first_ms, habit.first_ms + spread // 2, habit.first_ms + spread, habit.first_ms + 2 * spread):
        share = sum(ms > above for ms in took) / len(took)
        assert latency_tail(habit.first_ms, spread, above) / 1024 == pytest.approx(share, abs=0.06)


def test_a_catalogue_without_a_model_of_the_past_is_refused_by_name() -> None:
    few = ModelCatalogue(models=CATALOGUE.models[:1])
    with pytest.raises(ConfigError, match=r"has no model 'gemini-2\.5-flash'"):
        History.of(create_organisations(Seed.of(0), EPOCH)[0], Seed.of(0), EPOCH, few)
