"""One ledger behind every figure: the history and the session's own calls, summed in different ways.

Usage, dashboard and bills count whole days (Asia/Shanghai) and know money; ModelRouter's charts, metrics and logs
count minutes and do not. All are sums over the same calls, so they agree to the last digit.

`requests` are calls that reached a model, `errors` those of them that failed there; a failed call has no tokens and
costs nothing. Refused calls (4xx) count nowhere.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from itertools import islice, pairwise
from operator import add, itemgetter, sub
from typing import Any

from aione_mock.seed import Seed
from aione_mock.store import Store
from aione_mock.structs import frozen, replace
from aione_mock.tenant.calendar import date_to_day, day_to_date, day_to_timestamp, timestamp_to_day
from aione_mock.tenant.catalogue import ModelCatalogue, TickPrices, compute_cost, ticks_to_rmb
from aione_mock.tenant.live_usage import CallFields, LiveUsage, ModelCall, load_usage
from aione_mock.tenant.organisation import Organisation
from aione_mock.tenant.usage_history import (
    MINUTES,
    CallTotals,
    UsageHistory,
    UsagePattern,
    UsageSum,
    count_slower,
)
from aione_mock.types import Caller, Usage

_COLUMNS = {"day": 0, "model": 3, "team": 2, "key": 1}
DIMENSIONS = tuple(_COLUMNS)
_LONGEST_MS = 1 << 31


@frozen
class UsageFilter:
    """Which calls to look at; None takes all."""

    models: Collection[str] | None = None
    teams: Collection[str | None] | None = None
    keys: Collection[str | None] | None = None

    def matches(self, usage: UsageSum | ModelCall | UsagePattern) -> bool:
        """Return whether model, team and key pass."""
        return (
            (self.models is None or usage.model in self.models)
            and (self.teams is None or usage.team_id in self.teams)
            and (self.keys is None or usage.key_id in self.keys)
        )


ALL = UsageFilter()


@frozen
class UsageRow:
    """Sums of one group; a dimension not grouped by is None."""

    date: date | None
    model: str | None
    team_id: str | None
    key_id: str | None
    totals: CallTotals = CallTotals()
    ticks: int = 0
    """Cost in 0.0001 RMB."""

    @property
    def cost(self) -> Decimal:
        """RMB with 4 places."""
        return ticks_to_rmb(self.ticks)


@frozen
class ChartBucket:
    """The calls of one bucket of a chart."""

    at: int
    """Unix seconds at which it begins."""
    seconds: int
    totals: CallTotals

    @property
    def concurrency(self) -> float:
        """Mean number of calls under way at a time (Little's law)."""
        return self.totals.latency_ms / (1000 * self.seconds)


def group_usage(usage: Iterable[UsageSum], by: Collection[str] = ()) -> list[UsageRow]:
    """Sum daily usage over the dimensions `by` (of `DIMENSIONS`): days ascending, then the most expensive first.

    Without dimensions the result is exactly one row, also for no usage.
    """
    columns = [_COLUMNS[dimension] for dimension in DIMENSIONS if dimension in by]
    groups: dict[Any, list[UsageSum]] = {}
    if columns:
        group_of = itemgetter(*columns)
        for cell in usage:
            groups.setdefault(group_of(cell), []).append(cell)
    else:
        groups[None] = [UsageSum(0, None, None, "", 0, 0, 0, 0, 0, 0, 0), *usage]
    return sorted([_sum_group(members, by) for members in groups.values()], key=_rank_row)


def fill_days(usage: Iterable[UsageSum], start: date, end: date) -> list[UsageRow]:
    """Sum daily usage into one row for every day from `start` to `end`, also for days without a call."""
    known = {row.date: row for row in group_usage(usage, ("day",))}
    days = [day_to_date(day) for day in range(date_to_day(start), date_to_day(end) + 1)]
    return [known.get(day) or UsageRow(day, None, None, None) for day in days]


def _sum_group(usage: list[UsageSum], by: Collection[str]) -> UsageRow:
    """Sum usage that agrees in the dimensions `by`."""
    first = usage[0]
    *totals, ticks = map(sum, islice(zip(*usage, strict=True), 4, None))
    return UsageRow(
        day_to_date(first.period) if "day" in by else None,
        first.model if "model" in by else None,
        first.team_id if "team" in by else None,
        first.key_id if "key" in by else None,
        CallTotals(*totals),
        ticks,
    )


def _rank_row(row: UsageRow) -> tuple[date, int, int, str, str, str]:
    return row.date or date.min, -row.ticks, -row.totals.requests, row.model or "", row.team_id or "", row.key_id or ""


@frozen
class Rate:
    """What calling a model costs and how long it takes at least."""

    model: str
    """Its id."""
    prices: TickPrices = (0, 0, 0)
    ttft: float = 0.0
    """Seconds to the first token."""
    tokens_per_second: float = 1.0


@frozen
class Ledger:
    """The ledger of one organisation. It never changes; what the session adds is in its store."""

    org_id: str
    history: UsageHistory
    rates: Mapping[str, Rate]
    """What the model behind each name of the catalogue costs."""
    other: Rate | None = None
    """What every other name costs; None where the catalogue takes no other."""

    @classmethod
    def create(cls, organisation: Organisation, seed: Seed, epoch: float, catalogue: ModelCatalogue) -> Ledger:
        """Create the ledger of a session that starts at `epoch`. Raises ConfigError; see `UsageHistory.create`."""
        rates = {
            name: Rate(model.id, model.prices.to_ticks(), model.pace.ttft, model.pace.tokens_per_second)
            for name, model in catalogue.names.items()
        }
        other = None
        if (traits := catalogue.any) is not None:
            other = Rate("", traits.prices.to_ticks(), traits.pace.ttft, traits.pace.tokens_per_second)
        return cls(organisation.id, UsageHistory.create(organisation, seed, epoch, catalogue), rates, other)

    def find_rate(self, name: str) -> Rate | None:
        """Return what the model of a name costs; None for one that the catalogue does not have."""
        rate = self.rates.get(name)
        return replace(self.other, model=name) if rate is None and self.other is not None else rate

    def price_call(
        self,
        at: float,
        caller: Caller,
        model: str,
        usage: Usage,
        ok: bool,
        latency_ms: float,
        request_id: str,
        status: int,
    ) -> CallFields:
        """Return a call that reached a model as `record_call` stores it. If not `ok`, it failed and costs nothing."""
        # a model that the catalogue lacks, from a recording perhaps, has no price
        rate = self.rates.get(model) or self.find_rate(model) or Rate(model)
        took, key_id, team_id = round(latency_ms), caller.key_id, caller.team_id
        if not ok:
            return at, key_id, team_id, rate.model, 1, 0, 0, 0, took, 0, request_id, status
        prompt, cached, completion = usage.prompt, usage.cached, usage.completion
        cost = compute_cost(rate.prices, prompt, cached, completion)
        return at, key_id, team_id, rate.model, 0, prompt, cached, completion, took, cost, request_id, status

    async def read(self, store: Store) -> LedgerSnapshot:
        """Read everything that is recorded now."""
        return LedgerSnapshot(self.history, await load_usage(store, self.org_id))


@frozen
class LedgerSnapshot:
    """All calls of an organisation at one moment."""

    history: UsageHistory
    live: LiveUsage

    def list_daily_usage(self, start: date, end: date, wanted: UsageFilter = ALL) -> list[UsageSum]:
        """List the usage of days `start` to `end`, both included, by day, key and model."""
        first, last = date_to_day(start), date_to_day(end)
        days = self.history.clip_days(first, last)
        found = [cell for day in days for cell in self.history.list_day(day) if wanted.matches(cell)]
        for cell in self.live.minutes:
            if first <= (day := timestamp_to_day(cell.period * 60)) <= last and wanted.matches(cell):
                found.append(UsageSum(day, *cell[1:]))
        return found

    def sum_days(self, start: date, end: date, by: Collection[str] = (), wanted: UsageFilter = ALL) -> list[UsageRow]:
        """Sum the usage of days `start` to `end`; see `group_usage`. Groups without a call have no row."""
        return group_usage(self.list_daily_usage(start, end, wanted), by)

    def find_p99_latency(self, start: date, end: date) -> int:
        """Return the least ms that at most one call in a hundred of days `start` to `end` exceeds; 0 without a call.

        Past calls are known by their distribution, those of the session one by one.
        """
        first, last = date_to_day(start), date_to_day(end)
        past = self.history.group_latencies(first, last)
        live = self.live.count_latencies(day_to_timestamp(first), day_to_timestamp(last + 1))
        calls = sum([count for *_, count in past]) + sum([count for _, count in live])
        low, high = 0, _LONGEST_MS if calls else 0
        while low < high:
            middle = (low + high) // 2
            above = sum([count_slower(first_ms, mean_ms, middle) * count for first_ms, mean_ms, count in past])
            above += 1024 * sum([count for took, count in live if took > middle])
            low, high = (middle + 1, high) if 100 * above > 1024 * calls else (low, middle)
        return low

    def sum_window(self, start: float, end: float, wanted: UsageFilter = ALL) -> CallTotals:
        """Sum every minute that begins in the window; see `round_window`."""
        first, last = round_window(start, end)
        lines = self.build_chart(start, end, 60 * max(1, last - first), wanted)
        return CallTotals(*map(sum, zip(*[bucket.totals for line in lines.values() for bucket in line], strict=True)))

    def build_chart(
        self, start: float, end: float, width: int, wanted: UsageFilter = ALL
    ) -> dict[str, list[ChartBucket]]:
        """Return one line of buckets for each model that was called or is asked for, in order of ids.

        Empty buckets are included.

        `start`, `end`: Unix seconds, see `round_window`; `width`: seconds, a multiple of 60. The last bucket may be
        shorter.
        """
        first, last = round_window(start, end)
        edges = [*range(first, last, width // 60), last]
        spans = [*pairwise(edges)]
        sums = {model: [[0] * 6 for _ in spans] for model in wanted.models or ()}
        for model, minute, totals in self._split_usage(edges, wanted):
            line = sums.get(model)
            if line is None:
                line = sums[model] = [[0] * 6 for _ in spans]
            at = (minute - first) * 60 // width
            line[at] = [*map(add, line[at], totals)]
        return {
            model: [
                ChartBucket(a * 60, (b - a) * 60, CallTotals(*row)) for (a, b), row in zip(spans, line, strict=True)
            ]
            for model, line in sorted(sums.items())
        }

    def _split_usage(self, edges: list[int], wanted: UsageFilter) -> Iterator[tuple[str, int, Sequence[int]]]:
        """Split all calls at the edges (minutes since 1970): (model, a minute of the part, totals)."""
        for day in self.history.clip_days(timestamp_to_day(edges[0] * 60), timestamp_to_day(edges[-1] * 60)):
            yield from self._split_day(day, edges, wanted)
        for cell in self.live.minutes:
            if edges[0] <= cell.period < edges[-1] and wanted.matches(cell):
                yield cell.model, cell.period, cell.totals

    def _split_day(self, day: int, edges: list[int], wanted: UsageFilter) -> Iterator[tuple[str, int, Sequence[int]]]:
        """Split the past calls of a day at the edges that lie in it."""
        start = day_to_timestamp(day) // 60
        low, high = max(edges[0], start), min(edges[-1], start + MINUTES)
        if high - low == MINUTES and bisect_right(edges, start) == bisect_left(edges, start + MINUTES):
            yield from [(cell.model, start, cell.totals) for cell in self.history.list_day(day) if wanted.matches(cell)]
            return
        inside = edges[bisect_right(edges, start) : bisect_left(edges, start + MINUTES)]
        cuts = [at - start for at in dict.fromkeys((low, *inside, high))]
        for bucket in self.history.list_buckets(day):
            if wanted.matches(bucket.pattern):
                totals = [bucket.sum_until(minute) for minute in cuts]
                for minute, (before, after) in zip(cuts, pairwise(totals), strict=False):
                    if after.requests > before.requests:
                        yield bucket.pattern.model, start + minute, [*map(sub, after, before)]


def round_window(start: float, end: float) -> tuple[int, int]:
    """Return the whole minutes (since 1970) that a window touches: the first, and the one after the last.

    The minute of `start` counts; that of `end` counts only if the window reaches into it.
    """
    first = int(start // 60)
    return first, max(first, -int(-end // 60))
