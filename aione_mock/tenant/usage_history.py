"""The usage of an organisation before the session began.

Nothing is stored or generated in advance. A `UsageBucket` is one key's use of one model on one day, and everything in
it is a running total: `count_calls(minute)` counts its calls, `sum_calls(calls)` sums their tokens, errors and
latency. Any window is the difference of two running totals, so hours add up to days, minutes to hours and single calls
to minutes, to the last digit, at the same small price. All arithmetic is on whole numbers and therefore the same on
every machine.

Only whole buckets have a cost: price times tokens, rounded half to even to 4 places. The day of the epoch counts as
far as the last full hour before it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from itertools import accumulate
from operator import mul, sub
from struct import unpack
from typing import NamedTuple

from aione_mock.errors import ConfigError
from aione_mock.seed import Seed
from aione_mock.structs import frozen
from aione_mock.tenant.calendar import HOUR, day_to_timestamp, is_weekend, timestamp_to_day
from aione_mock.tenant.catalogue import ModelCatalogue, TickPrices, compute_cost
from aione_mock.tenant.organisation import Organisation, PastUsage

MINUTES = 1440
"""Minutes of a day."""
_MILLION = 1_000_000
_NOISE = Seed.of("history")
_VARIANTS = 4
"""Curves of the minutes of a day, for each rhythm."""
_SIZES = 1024
"""Entries of the table of call sizes."""
_GROWTH = 7
"""Per mille of the first day's calls that each further day adds."""
_INCIDENT_FAILURES = 340_000
"""Calls in a million that fail during the incident, beyond the usual ones."""
_INCIDENT_DELAY_MS = 7000


class CallTotals(NamedTuple):
    """Sums over calls. Failed calls count in `requests`, `errors` and `latency_ms` only."""

    requests: int = 0
    errors: int = 0
    prompt: int = 0
    cached: int = 0
    completion: int = 0
    latency_ms: int = 0

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens."""
        return self.prompt + self.completion

    @property
    def mean_latency_ms(self) -> float:
        """Mean time to the end of the answer, 0 without a call."""
        return self.latency_ms / self.requests if self.requests else 0.0

    def subtract(self, other: CallTotals) -> CallTotals:
        """Return what lies between two running totals."""
        return CallTotals(*map(sub, self, other))


class UsageSum(NamedTuple):
    """What one key used of one model in one period."""

    period: int
    """A day, or a minute since 1970."""
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
    """Cost in 0.0001 RMB."""

    @property
    def totals(self) -> CallTotals:
        """Everything but the cost."""
        return CallTotals(*self[4:10])


@frozen
class UsagePattern:
    """How one key uses one model: everything that is the same every day."""

    key_id: str
    team_id: str | None
    model: str
    past: PastUsage
    calls: int
    """Requests on a plain working day of the first week, times 100."""
    first_ms: int
    """Milliseconds to the first token."""
    token_us: int
    """Microseconds for each further token."""
    prices: TickPrices

    @property
    def mean_ms(self) -> int:
        """Mean milliseconds from the first token to the last."""
        return self.past.profile.completion * self.token_us // 1000


class UsageBucket(NamedTuple):
    """One key, one model, one day."""

    pattern: UsagePattern
    day: int
    calls: int
    """Calls of the whole day."""
    start: int
    """A number of 32 bits that tells this bucket from others: where in the tables of noise it begins."""
    horizon: int
    """Minute of the day after which nothing is known."""
    incident: tuple[int, int] | None
    """First and last minute of an incident."""

    def count_calls(self, minute: int) -> int:
        """Count the calls before a minute (0–1440) of the day."""
        minute = max(0, min(minute, self.horizon))
        if minute == MINUTES:
            return self.calls
        past, weekend = self.pattern.past, is_weekend(self.day)
        hours = past.rhythm.weekend if weekend else past.rhythm.working
        loads = _sum_minute_loads(past.profile.rhythm, hours, weekend, self.start % _VARIANTS)
        return (self.calls * loads[minute] + self.start % loads[MINUTES]) // loads[MINUTES]

    def sum_calls(self, calls: int) -> CallTotals:
        """Sum the first `calls` calls of the day."""
        pattern, start, profile = self.pattern, self.start, self.pattern.past.profile
        failing, delay_ms = (2000 + start % 4000) * calls + start % _MILLION, 0
        if self.incident and (affected := self._count_affected(calls)):
            failing += _INCIDENT_FAILURES * affected
            delay_ms = _INCIDENT_DELAY_MS * affected
        errors = failing // _MILLION
        good = calls - errors
        prompt = _sum_sizes(profile.prompt, start >> 10, good)
        completion = _sum_sizes(profile.completion, start, good)
        latency = calls * pattern.first_ms + completion * pattern.token_us // 1000 + delay_ms
        return CallTotals(calls, errors, prompt, prompt * profile.cached // 100, completion, latency)

    def sum_until(self, minute: int) -> CallTotals:
        """Sum the calls before a minute of the day."""
        return self.sum_calls(self.count_calls(minute))

    def sum_day(self) -> UsageSum:
        """Sum the whole day, or what is known of it, with its cost."""
        pattern, totals = self.pattern, self.sum_until(MINUTES)
        cost = compute_cost(pattern.prices, totals.prompt, totals.cached, totals.completion)
        return UsageSum(self.day, pattern.key_id, pattern.team_id, pattern.model, *totals, cost)

    def sum_incident(self) -> CallTotals:
        """Sum the calls of the day that an incident delayed."""
        if self.incident is None:
            return CallTotals()
        first, last = self.incident
        return self.sum_until(last).subtract(self.sum_until(first))

    def _count_affected(self, calls: int) -> int:
        """Count the calls among the first `calls` that an incident delayed."""
        if self.incident is None:
            return 0
        first, last = (self.count_calls(minute) for minute in self.incident)
        return max(0, min(calls, last) - first)


@frozen
class KeyHistory:
    """The past use of one key."""

    past: PastUsage
    seed: Seed
    patterns: tuple[UsagePattern, ...]
    weekend_load: int
    """Load of a day at the weekend, in per mille of a working day's."""


@dataclass(frozen=True, eq=False)
class UsageHistory:
    """The past use of one organisation, up to the last full hour before the epoch."""

    keys: tuple[KeyHistory, ...]
    first_day: int
    last_day: int
    horizon: int
    """Minute of the last day up to which something is known."""
    incident: tuple[int, int, int]
    """Day, first and last minute."""

    @classmethod
    def create(cls, organisation: Organisation, seed: Seed, epoch: float, catalogue: ModelCatalogue) -> UsageHistory:
        """Create the history before `epoch`. Raises ConfigError when the catalogue lacks a model that was used."""
        teams = {key.id: key.team_id for key in organisation.keys}
        keys = [
            _create_key_history(key_id, teams[key_id], past, seed.child("history", key_id), catalogue)
            for key_id, past in organisation.past_usage.items()
        ]
        day = timestamp_to_day(epoch)
        horizon = int(epoch - day_to_timestamp(day)) // HOUR * 60
        return cls(tuple(keys), organisation.first_day, day, horizon, _place_incident(seed, day))

    @cached_property
    def days(self) -> tuple[tuple[UsageSum, ...], ...]:
        """The sums of each day from the first to the last, without empty ones."""
        return tuple([self._sum_day(day) for day in range(self.first_day, self.last_day + 1)])

    def list_day(self, day: int) -> tuple[UsageSum, ...]:
        """List the sums of a day's buckets, without empty ones."""
        return self.days[day - self.first_day] if self.first_day <= day <= self.last_day else ()

    def list_buckets(self, day: int) -> list[UsageBucket]:
        """List all buckets of a day; none outside the history."""
        if not self.first_day <= day <= self.last_day:
            return []
        return [bucket for key in self.keys for bucket in self._create_buckets(day, key)]

    def clip_days(self, first: int, last: int) -> range:
        """Return those of the days `first` to `last` that lie within the history."""
        return range(max(first, self.first_day), min(last, self.last_day) + 1)

    def group_latencies(self, first: int, last: int) -> list[tuple[int, int, int]]:
        """Group the calls of some days by how long they took, for `count_slower`: (first ms, mean ms, calls)."""
        counts: dict[tuple[int, int], int] = {}
        speeds: dict[tuple[str | None, str], tuple[int, int]] = {
            (pattern.key_id, pattern.model): (pattern.first_ms, pattern.mean_ms)
            for key in self.keys
            for pattern in key.patterns
        }
        for day in self.clip_days(first, last):
            for total in self.list_day(day):
                speed = speeds[total.key_id, total.model]
                counts[speed] = counts.get(speed, 0) + total.requests
        if first <= self.incident[0] <= last:
            for bucket in self.list_buckets(self.incident[0]):
                for group, moved in _move_delayed_calls(bucket):
                    counts[group] = counts.get(group, 0) + moved
        return [(*group, count) for group, count in counts.items()]

    def _sum_day(self, day: int) -> tuple[UsageSum, ...]:
        return tuple([total for bucket in self.list_buckets(day) if (total := bucket.sum_day()).requests])

    def _create_buckets(self, day: int, key: KeyHistory) -> Iterator[UsageBucket]:
        if not key.past.first_day <= day <= key.past.last_day:
            return
        words = unpack("<16I", key.seed.digest(day, size=64))
        load = key.weekend_load if is_weekend(day) else 1000
        load *= (1000 + _GROWTH * (day - self.first_day)) * (850 + words[15] % 301)
        horizon = self.horizon if day == self.last_day else MINUTES
        incident = self.incident[1:] if day == self.incident[0] else None
        for pattern, variation, start in zip(key.patterns, words[::2], words[1::2], strict=False):
            calls = pattern.calls * load * (900 + variation % 201) // (100 * 1000**4)
            yield UsageBucket(pattern, day, calls, start, horizon, incident)


def _create_key_history(
    key_id: str, team_id: str | None, past: PastUsage, seed: Seed, catalogue: ModelCatalogue
) -> KeyHistory:
    patterns = []
    for name, percentage in past.profile.models.items():
        model = catalogue.find(name)
        if model is None:
            raise ConfigError(f"organisation.yaml: the catalogue has no model '{name}'")
        pattern = UsagePattern(
            key_id=key_id,
            team_id=team_id,
            model=model.id,
            past=past,
            calls=past.profile.calls * percentage,
            first_ms=int(model.pace.ttft * 1000),
            token_us=int(_MILLION / model.pace.tokens_per_second),
            prices=model.prices.to_ticks(),
        )
        patterns.append(pattern)
    weekend_load = 1000 * sum(past.rhythm.weekend) // sum(past.rhythm.working)
    return KeyHistory(past, seed, tuple(patterns), weekend_load)


def _place_incident(seed: Seed, last_day: int) -> tuple[int, int, int]:
    """Return a working day about three weeks before the last one, and three hours of its working time."""
    day = last_day - 21 - seed.draw_integer("incident day") % 3
    while is_weekend(day):
        day -= 1
    hour = 10 + seed.draw_integer("incident hour") % 5
    return day, hour * 60, (hour + 3) * 60


def _move_delayed_calls(bucket: UsageBucket) -> tuple[tuple[tuple[int, int], int], ...]:
    """Return the calls that an incident moves from one group of latencies to another: ((first ms, mean ms), calls)."""
    first_ms, mean_ms, delayed = bucket.pattern.first_ms, bucket.pattern.mean_ms, bucket.sum_incident()
    slow_ms = first_ms + _INCIDENT_DELAY_MS
    return (
        ((first_ms, mean_ms), -delayed.requests),
        ((slow_ms, mean_ms), delayed.requests - delayed.errors),
        ((slow_ms, 0), delayed.errors),
    )


def _sum_sizes(mean: int, start: int, count: int) -> int:
    """Sum `count` sizes with this mean, from a place in the table on; sums over consecutive parts add up."""
    sizes = _sum_size_table()
    first = start % _SIZES
    rounds, last = divmod(first + count, _SIZES)
    return mean * _SIZES * (rounds * sizes[_SIZES] + sizes[last] - sizes[first]) // sizes[_SIZES]


def count_slower(first_ms: int, mean_ms: int, above: int) -> int:
    """Count how many of 1024 calls take longer than `above` ms, `mean_ms` being the mean beyond the first token."""
    if above < first_ms:
        return _SIZES
    if not mean_ms:
        return 0
    sizes = _sum_size_table()
    return _SIZES - bisect_right(_sort_sizes(), (above - first_ms) * sizes[_SIZES] // (mean_ms * _SIZES))


@cache
def _sum_size_table() -> tuple[int, ...]:
    """Return running totals of 1024 uneven sizes: many small ones, few up to three times the mean."""
    one, two = _NOISE.create_random("sizes", 1).randbytes(_SIZES), _NOISE.create_random("sizes", 2).randbytes(_SIZES)
    return (0, *accumulate([(a + 40) * (b + 40) for a, b in zip(one, two, strict=True)]))


@cache
def _sort_sizes() -> tuple[int, ...]:
    return tuple(sorted(map(sub, _sum_size_table()[1:], _sum_size_table())))


@lru_cache(maxsize=64)
def _sum_minute_loads(rhythm: str, hours: tuple[int, ...], weekend: bool, variant: int) -> tuple[int, ...]:
    """Return running totals of the load of each minute of a day: the rhythm's hours with noise on every minute."""
    rng = _NOISE.create_random("minutes", rhythm, int(weekend), variant)
    noise = map(mul, rng.randbytes(MINUTES), rng.randbytes(MINUTES))
    return (0, *accumulate([(12_000 + drawn) * hours[at // 60] for at, drawn in enumerate(noise)]))
