"""The request log: every single call behind the ledger's figures, newest first, a page at a time.

A page is found by counting: days, hours and minutes before it are skipped by their totals, and only the calls of the
minutes it touches are listed.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from aione_mock.seed import Seed
from aione_mock.structs import frozen
from aione_mock.tenant.calendar import day_to_timestamp, timestamp_to_day
from aione_mock.tenant.ledger import ALL, LedgerSnapshot, UsageFilter, round_window
from aione_mock.tenant.live_usage import LiveUsage, ModelCall
from aione_mock.tenant.usage_history import MINUTES, UsageBucket, UsageSum

_IDS = Seed.of("log")
_FAILURES = (502, 503, 504)
"""Statuses of failed calls of the history."""


@frozen
class DayLog:
    """All calls of one day that pass the filter. Minutes are those of the day."""

    start: int
    """Its first minute since 1970."""
    buckets: list[UsageBucket]
    calls: dict[int, list[ModelCall]]
    """Calls of the session by minute."""
    older: dict[int, list[UsageSum]]
    """Sums of older calls of the session by minute."""

    def count_calls(self, first: int, last: int) -> int:
        """Count the calls from minute `first` up to, not including, `last`."""
        past = sum(bucket.count_calls(last) - bucket.count_calls(first) for bucket in self.buckets)
        single = sum(len(calls) for minute, calls in self.calls.items() if first <= minute < last)
        summed = sum(c.requests for minute, cells in self.older.items() if first <= minute < last for c in cells)
        return past + single + summed

    def list_minute(self, minute: int) -> Iterator[ModelCall]:
        """List the calls of a minute, newest first; those known as sums only are put at its beginning.

        Calls of one instant, as under a clock that stands still, come in the reverse order of their arrival.
        """
        singles = self.calls.get(minute, [])[::-1]
        singles += [call for bucket in self.buckets for call in _list_past_calls(bucket, minute, self.start)]
        yield from sorted(singles, key=lambda call: -call.at)
        for cell in self.older.get(minute, ()):
            yield from _split_sum(cell)

    def list_calls(self, low: int, high: int, skip: int) -> Iterator[ModelCall]:
        """List the calls between two minutes, newest first, without the first `skip`."""
        for top in range(high, low, -60):
            bottom = max(low, top - 60)
            if skip >= (count := self.count_calls(bottom, top)):
                skip -= count
                continue
            for minute in range(top - 1, bottom - 1, -1):
                if skip >= (count := self.count_calls(minute, minute + 1)):
                    skip -= count
                    continue
                yield from islice(self.list_minute(minute), skip, None)
                skip = 0


def read_page(
    ledger: LedgerSnapshot, start: float, end: float, wanted: UsageFilter = ALL, offset: int = 0, limit: int = 10
) -> tuple[list[ModelCall], int]:
    """Return up to `limit` calls of a window (see `round_window`), newest first, after `offset` newer ones.

    The second value is the number of all calls.
    """
    found: list[ModelCall] = []
    total = 0
    first, last = round_window(start, end)
    for number, day in _list_days(ledger, first, last, wanted):
        low, high = max(0, first - day.start), min(MINUTES, last - day.start)
        if high - low == MINUTES and not day.calls and not day.older:
            # the totals of whole days are known without looking into them
            count = sum(cell.requests for cell in ledger.history.list_day(number) if wanted.matches(cell))
        else:
            count = day.count_calls(low, high)
        skip = offset - total
        total += count
        if len(found) < limit and skip < count:
            found += islice(day.list_calls(low, high, max(0, skip)), limit - len(found))
    return found, total


def _list_days(ledger: LedgerSnapshot, first: int, last: int, wanted: UsageFilter) -> Iterator[tuple[int, DayLog]]:
    """List the days of a window that have calls, newest first."""
    calls, older = _group_live_usage(ledger.live, first, last, wanted)
    past = ledger.history.clip_days(timestamp_to_day(first * 60), timestamp_to_day(last * 60 - 1))
    for day in sorted({*past, *calls, *older}, reverse=True):
        buckets = [bucket for bucket in ledger.history.list_buckets(day) if wanted.matches(bucket.pattern)]
        yield day, DayLog(day_to_timestamp(day) // 60, buckets, calls.get(day, {}), older.get(day, {}))


def _group_live_usage(
    live: LiveUsage, first: int, last: int, wanted: UsageFilter
) -> tuple[dict[int, dict[int, list[ModelCall]]], dict[int, dict[int, list[UsageSum]]]]:
    """Group single calls and sums of the session by day and minute of the day."""
    calls: dict[int, dict[int, list[ModelCall]]] = {}
    older: dict[int, dict[int, list[UsageSum]]] = {}
    for call in live.calls:
        if first <= call.minute < last and wanted.matches(call):
            day = timestamp_to_day(call.at)
            calls.setdefault(day, {}).setdefault(call.minute - day_to_timestamp(day) // 60, []).append(call)
    for cell in live.older:
        if first <= cell.period < last and wanted.matches(cell):
            day = timestamp_to_day(cell.period * 60)
            older.setdefault(day, {}).setdefault(cell.period - day_to_timestamp(day) // 60, []).append(cell)
    return calls, older


def _list_past_calls(bucket: UsageBucket, minute: int, start: int) -> Iterator[ModelCall]:
    first, last = bucket.count_calls(minute), bucket.count_calls(minute + 1)
    pattern, before = bucket.pattern, bucket.sum_calls(first)
    for number in range(first, last):
        after = bucket.sum_calls(number + 1)
        one, before = after.subtract(before), after
        # spread over the minute, in the order of the running totals
        ms = ((number - first) * 60_000 + (bucket.start ^ number) % 60_000) // (last - first)
        token = _IDS.draw_token(20, pattern.key_id, pattern.model, bucket.day, bucket.start, number)
        yield ModelCall(
            at=(start + minute) * 60 + ms / 1000,
            key_id=pattern.key_id,
            team_id=pattern.team_id,
            model=pattern.model,
            failed=one.errors,
            prompt=one.prompt,
            cached=one.cached,
            completion=one.completion,
            latency_ms=one.latency_ms,
            ticks=0,
            request_id=f"req-{token}",
            status=_FAILURES[number % len(_FAILURES)] if one.errors else 200,
        )


def _split_sum(cell: UsageSum) -> Iterator[ModelCall]:
    """Split a minute of which only sums are left into calls: equal parts, the failed ones last."""
    good = cell.requests - cell.errors
    for number in range(cell.requests):
        ok = number < good
        prompt, cached = _share_out(cell.prompt, number, good) if ok else 0, 0
        if prompt:
            before = cell.prompt * number // good
            cached = (before + prompt) * cell.cached // cell.prompt - before * cell.cached // cell.prompt
        yield ModelCall(
            at=cell.period * 60,
            key_id=cell.key_id,
            team_id=cell.team_id,
            model=cell.model,
            failed=int(not ok),
            prompt=prompt,
            cached=cached,
            completion=_share_out(cell.completion, number, good) if ok else 0,
            latency_ms=_share_out(cell.latency_ms, number, cell.requests),
            ticks=0,
            request_id="req-" + _IDS.draw_token(20, *map(str, cell[:4]), number),
            status=200 if ok else _FAILURES[0],
        )


def _share_out(amount: int, number: int, parts: int) -> int:
    """Return the `number`th of so many nearly equal whole parts."""
    return amount * (number + 1) // parts - amount * number // parts
