"""The log: every single call behind the ledger's figures, newest first, a page at a time.

A page is found by counting: days, hours and minutes before it are passed over by their totals, and only the calls of
the minutes it touches are spelled out.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from aione_mock.seed import Seed
from aione_mock.store import Store
from aione_mock.structs import frozen
from aione_mock.tenant import live_usage
from aione_mock.tenant.calendar import day_to_timestamp, timestamp_to_day
from aione_mock.tenant.ledger import ALL, Filter, Ledger, window
from aione_mock.tenant.live_usage import MinuteCell, Served, Traffic
from aione_mock.tenant.usage_history import MINUTES, Cell

_IDS = Seed.of("log")
_FAILURES = (502, 503, 504)
"""Statuses of failed calls of the past."""


@frozen
class Entry:
    """One call that reached a model. `at`: Unix seconds."""

    at: float
    key_id: str | None
    team_id: str | None
    model: str
    ok: bool
    prompt: int
    cached: int
    completion: int
    latency_ms: int
    request_id: str
    status: int = 200
    """HTTP status of the answer."""

    @property
    def id(self) -> int:
        """A number of 53 bits, so that JavaScript can hold it too."""
        return _IDS.draw_integer(self.request_id) >> 11


@frozen
class _Day:
    """All calls of one day that pass the filter. Minutes are those of the day."""

    start: int
    """Its first minute since 1970."""
    cells: list[Cell]
    calls: dict[int, list[Served]]
    older: dict[int, list[MinuteCell]]

    def count(self, first: int, last: int) -> int:
        """Calls from minute `first` up to, not including, `last`."""
        past = sum(cell.calls_until(last) - cell.calls_until(first) for cell in self.cells)
        single = sum(len(calls) for minute, calls in self.calls.items() if first <= minute < last)
        summed = sum(c.requests for minute, cells in self.older.items() if first <= minute < last for c in cells)
        return past + single + summed

    def entries(self, minute: int) -> Iterator[Entry]:
        """The calls of a minute, newest first; those known as sums alone stand at its beginning.

        Calls of one instant, as under a clock that stands still, come in the reverse order of their arrival.
        """
        singles = [_served(call) for call in reversed(self.calls.get(minute, []))]
        singles += [entry for cell in self.cells for entry in _past(cell, minute, self.start)]
        yield from sorted(singles, key=lambda entry: -entry.at)
        for cell in self.older.get(minute, ()):
            yield from _older(cell)


async def page(
    ledger: Ledger, store: Store, start: float, end: float, wanted: Filter = ALL, offset: int = 0, limit: int = 10
) -> tuple[list[Entry], int]:
    """Up to `limit` calls of a window (see `ledger.window`), newest first, after `offset` newer ones; and how many
    calls there are in all."""
    found: list[Entry] = []
    total = 0
    first, last = window(start, end)
    for number, day in _days(ledger, await live_usage.load(store, ledger.org_id), first, last, wanted):
        low, high = max(0, first - day.start), min(MINUTES, last - day.start)
        # the totals of whole days are known without looking into them
        whole = high - low == MINUTES and not day.calls and not day.older
        count = _whole(ledger, number, wanted) if whole else day.count(low, high)
        skip = offset - total
        total += count
        if len(found) < limit and skip < count:
            found += islice(_newest(day, low, high, max(0, skip)), limit - len(found))
    return found, total


def _whole(ledger: Ledger, day: int, wanted: Filter) -> int:
    return sum(cell.requests for cell in ledger.history.day(day) if wanted.passes(cell))


def _days(ledger: Ledger, known: Traffic, first: int, last: int, wanted: Filter) -> Iterator[tuple[int, _Day]]:
    """The days of a window that have calls, newest first."""
    calls: dict[int, dict[int, list[Served]]] = {}
    older: dict[int, dict[int, list[MinuteCell]]] = {}
    for call in known.calls:
        if first <= call.minute < last and wanted.passes(call):
            day = timestamp_to_day(call.at)
            calls.setdefault(day, {}).setdefault(call.minute - day_to_timestamp(day) // 60, []).append(call)
    for cell in known.older:
        if first <= cell.minute < last and wanted.passes(cell):
            day = timestamp_to_day(cell.minute * 60)
            older.setdefault(day, {}).setdefault(cell.minute - day_to_timestamp(day) // 60, []).append(cell)
    past = range(
        max(timestamp_to_day(first * 60), ledger.history.first_day),
        min(timestamp_to_day(last * 60 - 1), ledger.history.last_day) + 1,
    )
    for day in sorted({*past, *calls, *older}, reverse=True):
        cells = [cell for cell in ledger.history.cells(day) if wanted.takes(cell)]
        yield day, _Day(day_to_timestamp(day) // 60, cells, calls.get(day, {}), older.get(day, {}))


def _newest(day: _Day, low: int, high: int, skip: int) -> Iterator[Entry]:
    """The calls between two minutes of a day, newest first, without the first `skip`."""
    for top in range(high, low, -60):
        bottom = max(low, top - 60)
        if skip >= (count := day.count(bottom, top)):
            skip -= count
            continue
        for minute in range(top - 1, bottom - 1, -1):
            if skip >= (count := day.count(minute, minute + 1)):
                skip -= count
                continue
            yield from islice(day.entries(minute), skip, None)
            skip = 0


def _past(cell: Cell, minute: int, start: int) -> Iterator[Entry]:
    first, last = cell.calls_until(minute), cell.calls_until(minute + 1)
    habit, known = cell.habit, cell.upto(first)
    for number in range(first, last):
        after = cell.upto(number + 1)
        one, known = after.minus(known), after
        # spread over the minute, in the order of the running totals
        ms = ((number - first) * 60_000 + (cell.start ^ number) % 60_000) // (last - first)
        ref = "req-" + _IDS.draw_token(20, habit.key_id, habit.model, cell.day, cell.start, number)
        yield Entry(
            at=(start + minute) * 60 + ms / 1000,
            key_id=habit.key_id,
            team_id=habit.team_id,
            model=habit.model,
            ok=not one.errors,
            prompt=one.prompt,
            cached=one.cached,
            completion=one.completion,
            latency_ms=one.latency_ms,
            request_id=ref,
            status=_FAILURES[number % len(_FAILURES)] if one.errors else 200,
        )


def _served(call: Served) -> Entry:
    return Entry(
        at=call.at,
        key_id=call.key_id,
        team_id=call.team_id,
        model=call.model,
        ok=not call.failed,
        prompt=call.prompt,
        cached=call.cached,
        completion=call.completion,
        latency_ms=call.latency_ms,
        request_id=call.request_id,
        status=call.status,
    )


def _older(cell: MinuteCell) -> Iterator[Entry]:
    """The calls of a minute of which only sums are left: equal parts, the failed ones last."""
    good = cell.requests - cell.errors
    for number in range(cell.requests):
        ok = number < good
        prompt, cached = _part(cell.prompt, number, good) if ok else 0, 0
        if prompt:
            before = cell.prompt * number // good
            cached = (before + prompt) * cell.cached // cell.prompt - before * cell.cached // cell.prompt
        yield Entry(
            at=cell.minute * 60,
            key_id=cell.key_id,
            team_id=cell.team_id,
            model=cell.model,
            ok=ok,
            prompt=prompt,
            cached=cached,
            completion=_part(cell.completion, number, good) if ok else 0,
            latency_ms=_part(cell.latency_ms, number, cell.requests),
            request_id="req-" + _IDS.draw_token(20, *map(str, cell[:4]), number),
            status=200 if ok else _FAILURES[0],
        )


def _part(amount: int, number: int, parts: int) -> int:
    """The `number`th of so many nearly equal whole parts."""
    return amount * (number + 1) // parts - amount * number // parts
