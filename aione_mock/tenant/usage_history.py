"""The past of an organisation: what its keys called before the session began.

Nothing is stored or generated in advance. A `Cell` is one key's use of one model on one day; everything about it
is a running total: `calls_until(minute)` counts its calls, `upto(calls)` sums their tokens, errors and latency. Any
window is the difference of two running totals, so hours add up to days, minutes to hours and single calls to
minutes, to the last digit, at the same small price for each. All arithmetic is on whole numbers and therefore the
same on every machine.

Money exists for whole cells alone: price times tokens, rounded half to even to 4 places. The day of the epoch counts
as far as the last full hour before it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate
from operator import mul, sub
from struct import unpack
from typing import NamedTuple

from aione_mock.errors import ConfigError
from aione_mock.seed import Seed
from aione_mock.structs import frozen
from aione_mock.tenant.calendar import HOUR, day_to_timestamp, timestamp_to_day
from aione_mock.tenant.catalogue import ModelCatalogue, TickPrices, compute_cost
from aione_mock.tenant.organisation import Organisation, PastUsage
from aione_mock.tenant.organisation_file import load_organisation_file

MINUTES = 1440
_MILLION = 1_000_000
_NOISE = Seed.of("history")
_VARIANTS = 4
_SIZES = 1024
_GROWTH = 7
"""Per mille of the first day's calls that each further day adds."""
_SURGE = 340_000
"""Calls in a million that fail in the hours of the incident, beyond the usual ones."""
_SLOW_MS = 7000
"""Extra latency of a call in the hours of the incident."""


class Figures(NamedTuple):
    """Sums over calls. Failed calls are in `requests`, `errors` and `latency_ms` alone."""

    requests: int = 0
    errors: int = 0
    prompt: int = 0
    cached: int = 0
    completion: int = 0
    latency_ms: int = 0

    def minus(self, other: Figures) -> Figures:
        """What lies between two running totals."""
        return Figures(*map(sub, self, other))


class DayCell(NamedTuple):
    """What one key used of one model in one day. `ticks`: cost in 0.0001 RMB."""

    day: int
    key_id: str | None
    team_id: str | None
    model: str
    requests: int
    errors: int
    prompt: int
    cached: int
    completion: int
    latency_ms: int
    ticks: int


@frozen
class Habit:
    """How one key uses one model: all that does not change from day to day."""

    key_id: str
    team_id: str | None
    model: str
    rhythm: str
    calls: int
    """Requests on a plain working day of the first week, times 100."""
    prompt: int
    completion: int
    cached: int
    first_ms: int
    token_us: int
    prices: TickPrices

    @property
    def pace(self) -> tuple[int, int]:
        """Milliseconds to the first token, and on average from there to the end."""
        return self.first_ms, self.completion * self.token_us // 1000


class Cell(NamedTuple):
    """One key, one model, one day."""

    habit: Habit
    day: int
    calls: int
    """Calls of the whole day."""
    start: int
    """A number of 32 bits that tells this cell from others: where in the tables of noise it begins."""
    horizon: int
    """Minute of the day after which nothing is known."""
    weekend: bool
    incident: tuple[int, int] | None
    """First and last minute of an incident."""

    def calls_until(self, minute: int) -> int:
        """Calls before a minute (0–1440) of the day."""
        minute = max(0, min(minute, self.horizon))
        if minute == MINUTES:
            return self.calls
        shape = _shape(self.habit.rhythm, self.weekend, self.start % _VARIANTS)
        return (self.calls * shape[minute] + self.start % shape[MINUTES]) // shape[MINUTES]

    def upto(self, calls: int) -> Figures:
        """Sums over the first `calls` calls of the day."""
        habit, start = self.habit, self.start
        failing, slow_ms = (2000 + start % 4000) * calls + start % _MILLION, 0
        if self.incident and (struck := self._struck(calls)):
            failing += _SURGE * struck
            slow_ms = _SLOW_MS * struck
        errors = failing // _MILLION
        good = calls - errors
        prompt = _sized(habit.prompt, start >> 10, good)
        completion = _sized(habit.completion, start, good)
        latency = calls * habit.first_ms + completion * habit.token_us // 1000 + slow_ms
        return Figures(calls, errors, prompt, prompt * habit.cached // 100, completion, latency)

    def until(self, minute: int) -> Figures:
        """Sums over the calls before a minute of the day."""
        return self.upto(self.calls_until(minute))

    def total(self) -> DayCell:
        """The whole day, or what is known of it, with its cost."""
        habit, figures = self.habit, self.until(MINUTES)
        cost = compute_cost(habit.prices, figures.prompt, figures.cached, figures.completion)
        return DayCell(self.day, habit.key_id, habit.team_id, habit.model, *figures, cost)

    def struck(self) -> Figures:
        """Sums over the calls of the day that an incident slowed down."""
        return self.until(self.incident[1]).minus(self.until(self.incident[0])) if self.incident else Figures()

    def _struck(self, calls: int) -> int:
        """Those among the first `calls`."""
        if self.incident is None:
            return 0
        first, last = (self.calls_until(minute) for minute in self.incident)
        return max(0, min(calls, last) - first)


@dataclass(slots=True)
class History:
    """The past of one organisation, up to the last full hour before the epoch."""

    habits: tuple[tuple[PastUsage, Seed, tuple[Habit, ...]], ...]
    first_day: int
    last_day: int
    horizon: int
    """Minute of the last day up to which something is known."""
    incident: tuple[int, int, int]
    """Day, first and last minute."""
    totals: dict[int, tuple[DayCell, ...]] = field(default_factory=dict)
    """Day cells already computed: a memory of a pure function, nothing else."""

    @classmethod
    def of(cls, organisation: Organisation, seed: Seed, epoch: float, catalogue: ModelCatalogue) -> History:
        """The past before `epoch`. Raises ConfigError when the catalogue lacks a model that was used."""
        keys = {key.id: key for key in organisation.keys}
        habits = []
        for key_id, past in organisation.past_usage.items():
            models = [
                _habit(key_id, keys[key_id].team_id, past, at, catalogue) for at in range(len(past.profile.models))
            ]
            habits.append((past, seed.child("history", key_id), tuple(models)))
        day = timestamp_to_day(epoch)
        horizon = int(epoch - day_to_timestamp(day)) // HOUR * 60
        return cls(tuple(habits), organisation.first_day, day, horizon, _incident(seed, day))

    def cells(self, day: int) -> list[Cell]:
        """All cells of a day; none outside the past."""
        if not self.first_day <= day <= self.last_day:
            return []
        return [cell for past, seed, habits in self.habits for cell in self._cells(day, past, seed, habits)]

    def day(self, day: int) -> tuple[DayCell, ...]:
        """The totals of a day's cells, without empty ones."""
        known = self.totals.get(day)
        if known is None:
            known = tuple([total for cell in self.cells(day) if (total := cell.total()).requests])
            if known:
                self.totals[day] = known
        return known

    def latencies(self, first: int, last: int) -> list[tuple[int, int, int]]:
        """How long the calls of some days took, as groups for `latency_tail`: (first ms, spread ms, calls)."""
        counts: dict[tuple[int, int], int] = {}
        paces: dict[tuple[str | None, str], tuple[int, int]] = {
            (habit.key_id, habit.model): habit.pace for *_, habits in self.habits for habit in habits
        }
        for day in range(max(first, self.first_day), min(last, self.last_day) + 1):
            for total in self.day(day):
                pace = paces[total.key_id, total.model]
                counts[pace] = counts.get(pace, 0) + total.requests
        if first <= self.incident[0] <= last:
            for cell in self.cells(self.incident[0]):
                first_ms, spread, hit = *cell.habit.pace, cell.struck()
                good, slow = hit.requests - hit.errors, first_ms + _SLOW_MS
                for kind, moved in (
                    ((first_ms, spread), -hit.requests),
                    ((slow, spread), good),
                    ((slow, 0), hit.errors),
                ):
                    counts[kind] = counts.get(kind, 0) + moved
        return [(*kind, count) for kind, count in counts.items()]

    def _cells(self, day: int, past: PastUsage, seed: Seed, habits: tuple[Habit, ...]) -> Iterator[Cell]:
        if not past.first_day <= day <= past.last_day:
            return
        words = unpack("<16I", seed.digest(day, size=64))
        weekend = (day + 3) % 7 >= 5
        load = _load(past.profile.rhythm, weekend) * (1000 + _GROWTH * (day - self.first_day)) * (850 + words[15] % 301)
        horizon = self.horizon if day == self.last_day else MINUTES
        incident = self.incident[1:] if day == self.incident[0] else None
        for habit, mood, start in zip(habits, words[::2], words[1::2], strict=False):
            calls = habit.calls * load * (900 + mood % 201) // (100 * 1000**4)
            yield Cell(habit, day, calls, start, horizon, weekend, incident)


def _habit(key_id: str, team_id: str | None, past: PastUsage, at: int, catalogue: ModelCatalogue) -> Habit:
    profile = past.profile
    name, share = [*profile.models.items()][at]
    model = catalogue.find(name)
    if model is None:
        raise ConfigError(f"organisation.yaml: the catalogue has no model '{name}'")
    return Habit(
        key_id=key_id,
        team_id=team_id,
        model=model.id,
        rhythm=profile.rhythm,
        calls=profile.calls * share,
        prompt=profile.prompt,
        completion=profile.completion,
        cached=profile.cached,
        first_ms=int(model.pace.ttft * 1000),
        token_us=int(_MILLION / model.pace.tokens_per_second),
        prices=model.prices.to_ticks(),
    )


def _incident(seed: Seed, last_day: int) -> tuple[int, int, int]:
    """A working day about three weeks before the last one, and three hours of its working time."""
    day = last_day - 21 - seed.draw_integer("incident day") % 3
    while (day + 3) % 7 >= 5:
        day -= 1
    hour = 10 + seed.draw_integer("incident hour") % 5
    return day, hour * 60, (hour + 3) * 60


def _sized(mean: int, start: int, count: int) -> int:
    """Sum of `count` sizes with this mean, from a place in the table on; sums over consecutive parts add up."""
    sizes = _sizes()
    first = start % _SIZES
    rounds, last = divmod(first + count, _SIZES)
    return mean * _SIZES * (rounds * sizes[_SIZES] + sizes[last] - sizes[first]) // sizes[_SIZES]


def latency_tail(first_ms: int, spread_ms: int, above: int) -> int:
    """How many of 1024 calls take longer than `above` ms, `spread_ms` being the mean beyond the first token."""
    if above < first_ms:
        return _SIZES
    if not spread_ms:
        return 0
    sizes = _sizes()
    return _SIZES - bisect_right(_ranked_sizes(), (above - first_ms) * sizes[_SIZES] // (spread_ms * _SIZES))


@cache
def _sizes() -> tuple[int, ...]:
    """Running totals of 1024 lopsided sizes: many small ones, few up to three times the mean."""
    one, two = _NOISE.create_random("sizes", 1).randbytes(_SIZES), _NOISE.create_random("sizes", 2).randbytes(_SIZES)
    return (0, *accumulate([(a + 40) * (b + 40) for a, b in zip(one, two, strict=True)]))


@cache
def _ranked_sizes() -> tuple[int, ...]:
    return tuple(sorted(map(sub, _sizes()[1:], _sizes())))


@cache
def _shape(rhythm: str, weekend: bool, variant: int) -> tuple[int, ...]:
    """Running totals of the load of each minute of a day: the rhythm's hours with noise on every minute."""
    found = load_organisation_file().rhythms[rhythm]
    hours = found.weekend if weekend else found.working
    rng = _NOISE.create_random("minutes", rhythm, int(weekend), variant)
    noise = map(mul, rng.randbytes(MINUTES), rng.randbytes(MINUTES))
    return (0, *accumulate([(12_000 + drawn) * hours[at // 60] for at, drawn in enumerate(noise)]))


@cache
def _load(rhythm: str, weekend: bool) -> int:
    """A day's load in per mille of a working day's."""
    found = load_organisation_file().rhythms[rhythm]
    return 1000 * sum(found.weekend if weekend else found.working) // sum(found.working)
