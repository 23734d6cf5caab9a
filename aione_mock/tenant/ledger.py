"""One book for every figure: the past and the session's own calls, seen in different ways.

Usage, dashboard and bills count whole days (Asia/Shanghai) and know money; ModelRouter's charts, metrics and logs
count minutes and do not. All are sums over the same calls, so they agree to the last digit.

`requests` are calls that reached a model, `errors` those of them that failed there; a failed call has no tokens and
costs nothing. What was refused before (4xx) is in no figure.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Awaitable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import islice, pairwise
from operator import add, itemgetter, sub
from typing import Any

from aione_mock.seed import Seed
from aione_mock.store import Memo, Store
from aione_mock.structs import frozen
from aione_mock.tenant import live_usage
from aione_mock.tenant.calendar import date_to_day, day_to_date, day_to_timestamp, timestamp_to_day
from aione_mock.tenant.catalogue import ModelCatalogue, TickPrices, compute_cost, ticks_to_rmb
from aione_mock.tenant.live_usage import MinuteCell, Served, Traffic
from aione_mock.tenant.organisation import Organisation
from aione_mock.tenant.usage_history import (
    MINUTES,
    Cell,
    DayCell,
    Figures,
    History,
    latency_tail,
)
from aione_mock.types import Caller, Usage

_COLUMNS = {"day": 0, "model": 3, "team": 2, "key": 1}
DIMENSIONS = tuple(_COLUMNS)
_LONGEST_MS = 1 << 31
_SESSIONS = 4
"""Sessions whose own calls are kept summed up."""
_NO_CALLS: tuple[()] = ()


@frozen
class Filter:
    """Which calls to look at; None takes all."""

    models: Collection[str] | None = None
    teams: Collection[str | None] | None = None
    keys: Collection[str | None] | None = None

    def passes(self, cell: DayCell | MinuteCell | Served) -> bool:
        """Whether a cell's or call's model, team and key are wanted."""
        return (
            (self.models is None or cell.model in self.models)
            and (self.teams is None or cell.team_id in self.teams)
            and (self.keys is None or cell.key_id in self.keys)
        )

    def takes(self, cell: Cell) -> bool:
        """The same for a cell of the past."""
        habit = cell.habit
        return (
            (self.models is None or habit.model in self.models)
            and (self.teams is None or habit.team_id in self.teams)
            and (self.keys is None or habit.key_id in self.keys)
        )


ALL = Filter()


@frozen
class Row:
    """Sums of one group; a dimension not grouped by is None. `ticks`: cost in 0.0001 RMB."""

    date: date | None
    model: str | None
    team_id: str | None
    key_id: str | None
    requests: int = 0
    errors: int = 0
    prompt: int = 0
    cached: int = 0
    completion: int = 0
    latency_ms: int = 0
    ticks: int = 0

    @property
    def total(self) -> int:
        """Prompt and completion tokens."""
        return self.prompt + self.completion

    @property
    def cost(self) -> Decimal:
        """RMB with 4 places."""
        return ticks_to_rmb(self.ticks)


@frozen
class Bucket:
    """What ended up in one bucket of a chart."""

    at: int
    """Unix seconds at which it begins."""
    seconds: int
    figures: Figures

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens."""
        return self.figures.prompt + self.figures.completion

    @property
    def response_time_ms(self) -> float:
        """Mean time to the end of the answer, 0 without a call."""
        return self.figures.latency_ms / self.figures.requests if self.figures.requests else 0.0

    @property
    def concurrency(self) -> float:
        """Calls that were under way at a time, on average (Little's law)."""
        return self.figures.latency_ms / (1000 * self.seconds)


def group(cells: Iterable[DayCell], by: Collection[str] = ()) -> list[Row]:
    """Sums of cells over the dimensions `by` (of `DIMENSIONS`): days ascending, then the most expensive first.

    Without dimensions: exactly one row, also for no cells.
    """
    columns = [_COLUMNS[dimension] for dimension in DIMENSIONS if dimension in by]
    groups: dict[Any, list[DayCell]] = {}
    if columns:
        where = itemgetter(*columns)
        for cell in cells:
            groups.setdefault(where(cell), []).append(cell)
    else:
        groups[None] = [DayCell(0, None, None, "", 0, 0, 0, 0, 0, 0, 0), *cells]
    return sorted([_row(members, by) for members in groups.values()], key=_rank)


def _row(cells: list[DayCell], by: Collection[str]) -> Row:
    """The sum of cells that agree in the dimensions `by`."""
    one = cells[0]
    return Row(
        day_to_date(one.day) if "day" in by else None,
        one.model if "model" in by else None,
        one.team_id if "team" in by else None,
        one.key_id if "key" in by else None,
        *map(sum, islice(zip(*cells, strict=True), 4, None)),
    )


def _rank(row: Row) -> tuple[date, int, int, str, str, str]:
    return row.date or date.min, -row.ticks, -row.requests, row.model or "", row.team_id or "", row.key_id or ""


@dataclass(frozen=True, slots=True)
class Ledger:
    """The book of one organisation."""

    org_id: str
    history: History
    rates: Mapping[str, tuple[str, TickPrices]]
    """Id and prices of the model behind each name that the catalogue knows."""
    _sums: Memo = field(default_factory=lambda: Memo(_SESSIONS), compare=False, repr=False)
    """Results of `_live`; each holds the list it was made of, so that its id is nobody else's."""

    @classmethod
    def of(cls, organisation: Organisation, seed: Seed, epoch: float, catalogue: ModelCatalogue) -> Ledger:
        """The book of a session that starts at `epoch`. Raises ConfigError; see `History.of`."""
        rates = {name: (model.id, model.prices.to_ticks()) for name, model in catalogue.names.items()}
        return cls(organisation.id, History.of(organisation, seed, epoch, catalogue), rates)

    def record(
        self,
        store: Store,
        at: float,
        caller: Caller,
        model: str,
        usage: Usage,
        ok: bool,
        latency_ms: float,
        request_id: str,
        status: int | None = None,
    ) -> Awaitable[None]:
        """Count a call that reached a model. `at`: Unix seconds; `ok` False: it failed there, and costs nothing.

        `status`: what its caller was answered; 200 or 502 unless given.
        """
        # a model that the catalogue lacks (from a recording, say) has no price
        name, rates = self.rates.get(model) or (model, (0, 0, 0))
        tokens = (usage.prompt, usage.cached, usage.completion) if ok else (0, 0, 0)
        cost, status = compute_cost(rates, *tokens), status or (200 if ok else 502)
        who = caller.key_id, caller.team_id, name
        call = [at, *who, 0 if ok else 1, *tokens, round(latency_ms), cost, request_id, status]
        return live_usage.record(store, self.org_id, call)

    async def _live(self, store: Store) -> Traffic:
        """The session's own calls, summed up anew only when there are more of them."""
        calls = await store.get(live_usage.CALLS + self.org_id) or _NO_CALLS
        known = self._sums.get(id(calls))
        if known is None or known[0] is not calls or known[1] != len(calls):
            known = calls, len(calls), await live_usage.load(store, self.org_id)
            self._sums.put(id(calls), known)
        return known[2]

    async def cells(self, store: Store, start: date, end: date, wanted: Filter = ALL) -> list[DayCell]:
        """All there is on days `start` to `end` (both included), by day, key and model; `group` sums it up."""
        first, last = date_to_day(start), date_to_day(end)
        past = range(max(first, self.history.first_day), min(last, self.history.last_day) + 1)
        found = [cell for day in past for cell in self.history.day(day) if wanted.passes(cell)]
        for cell in (await self._live(store)).cells:
            if first <= (day := timestamp_to_day(cell.minute * 60)) <= last and wanted.passes(cell):
                found.append(DayCell(day, *cell[1:]))
        return found

    async def rows(
        self, store: Store, start: date, end: date, by: Collection[str] = (), wanted: Filter = ALL
    ) -> list[Row]:
        """Sums over days `start` to `end`, both included; see `group`. Groups without a call have no row."""
        return group(await self.cells(store, start, end, wanted), by)

    async def daily(self, store: Store, start: date, end: date, wanted: Filter = ALL) -> list[Row]:
        """One row for every day, also for days without a call."""
        known = {row.date: row for row in await self.rows(store, start, end, ("day",), wanted)}
        days = [day_to_date(day) for day in range(date_to_day(start), date_to_day(end) + 1)]
        return [known.get(day) or Row(day, None, None, None) for day in days]

    async def latency(self, store: Store, start: date, end: date) -> tuple[float, int]:
        """Mean and 99th percentile of the time to the end of the answer over whole days, in ms; 0 without a call.

        The percentile of past calls comes from their distribution, that of the session's from the calls.
        """
        total = (await self.rows(store, start, end))[0]
        if not total.requests:
            return 0.0, 0
        first, last = date_to_day(start), date_to_day(end)
        spread = self.history.latencies(first, last)
        known = await self._live(store)
        live = [
            (cell.latency_ms // cell.requests, cell.requests)
            for cell in known.older
            if first <= timestamp_to_day(cell.minute * 60) <= last
        ]
        live += Counter(call.latency_ms for call in known.calls if first <= timestamp_to_day(call.at) <= last).items()
        return total.latency_ms / total.requests, _percentile(spread, live, total.requests)

    async def summary(self, store: Store, start: float, end: float, wanted: Filter = ALL) -> Figures:
        """Sums over every minute that begins in the window; see `window`."""
        first, last = window(start, end)
        lines = await self.series(store, start, end, 60 * max(1, last - first), wanted)
        return Figures(*map(sum, zip(*[bucket.figures for line in lines.values() for bucket in line], strict=True)))

    async def series(
        self, store: Store, start: float, end: float, width: int, wanted: Filter = ALL
    ) -> dict[str, list[Bucket]]:
        """One line of buckets for each model that was called, in order of ids; empty buckets are there too.

        `start`, `end`: Unix seconds, see `window`; `width`: seconds, a multiple of 60. The last bucket may be shorter.
        """
        first, last = window(start, end)
        edges = [*range(first, last, width // 60), last]
        spans = [*pairwise(edges)]
        sums: dict[str, list[list[int]]] = {}
        for model, minute, figures in await self._parts(store, edges, wanted):
            line = sums.get(model)
            if line is None:
                line = sums[model] = [[0] * 6 for _ in spans]
            at = (minute - first) * 60 // width
            line[at] = [*map(add, line[at], figures)]
        return {
            model: [Bucket(a * 60, (b - a) * 60, Figures(*row)) for (a, b), row in zip(spans, line, strict=True)]
            for model, line in sorted(sums.items())
        }

    async def _parts(self, store: Store, edges: list[int], wanted: Filter) -> list[tuple[str, int, Sequence[int]]]:
        """All calls between the edges (minutes since 1970), no part reaching over one: (model, a minute, figures)."""
        parts = [part for day, cuts in self._days(edges) for part in self._past(day, cuts, wanted)]
        for cell in (await self._live(store)).cells:
            if edges[0] <= cell.minute < edges[-1] and wanted.passes(cell):
                parts.append((cell.model, cell.minute, cell[4:10]))
        return parts

    def _days(self, edges: list[int]) -> Iterator[tuple[int, list[int]]]:
        """Each day of the past that the edges touch, with the edges in minutes of the day, cut at midnight."""
        first = max(timestamp_to_day(edges[0] * 60), self.history.first_day)
        last = min(timestamp_to_day(edges[-1] * 60), self.history.last_day)
        for day in range(first, last + 1):
            start = day_to_timestamp(day) // 60
            inside = edges[bisect_right(edges, start) : bisect_left(edges, start + MINUTES)]
            low, high = max(edges[0], start), min(edges[-1], start + MINUTES)
            yield day, [at - start for at in dict.fromkeys((low, *inside, high))]

    def _past(self, day: int, cuts: list[int], wanted: Filter) -> Iterator[tuple[str, int, Sequence[int]]]:
        start = day_to_timestamp(day) // 60
        if cuts == [0, MINUTES]:
            yield from [(cell.model, start, cell[4:10]) for cell in self.history.day(day) if wanted.passes(cell)]
            return
        for cell in self.history.cells(day):
            if wanted.takes(cell):
                totals = [cell.until(minute) for minute in cuts]
                for minute, (before, after) in zip(cuts, pairwise(totals), strict=False):
                    if after[0] > before[0]:
                        yield cell.habit.model, start + minute, [*map(sub, after, before)]


def window(start: float, end: float) -> tuple[int, int]:
    """The whole minutes (since 1970) that a window touches: first, and the one after the last.

    The minute of `start` counts; that of `end` does only if the window reaches into it.
    """
    first = int(start // 60)
    return first, max(first, -int(-end // 60))


def _percentile(spread: Iterable[tuple[int, int, int]], live: list[tuple[int, int]], calls: int) -> int:
    """The least ms that at most one call in a hundred exceeds. `live`: (ms, calls)."""
    past = list(spread)
    low, high = 0, _LONGEST_MS
    while low < high:
        middle = (low + high) // 2
        above = sum(latency_tail(first, beyond, middle) * count for first, beyond, count in past)
        above += 1024 * sum(count for took, count in live if took > middle)
        low, high = (middle + 1, high) if 100 * above > 1024 * calls else (low, middle)
    return low
