"""The calls of the session itself, on top of the past.

The store holds them per organisation: `usage/calls/ID` the newest calls one by one, `usage/minutes/ID` sums per
minute, key and model of all older ones, `usage/spent/ID` what all of them cost. At least the newest `HELD` calls are
kept singly and never more than twice as many, so a million calls take no more room than the minutes they lie in.
Of an older call only its share in the sums is left; lists show it with equal parts of its minute's figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from operator import add
from typing import Any, NamedTuple

from aione_mock.store import Store
from aione_mock.structs import frozen

HELD = 2048
CALLS, MINUTES, SPENT = "usage/calls/", "usage/minutes/", "usage/spent/"


class Served(NamedTuple):
    """One call of the session, as the store keeps it. `failed` is 0 or 1, `ticks` its cost in 0.0001 RMB."""

    at: float
    key_id: str | None
    team_id: str | None
    model: str
    failed: int
    prompt: int
    cached: int
    completion: int
    latency_ms: int
    ticks: int
    request_id: str
    status: int = 200
    """HTTP status of the answer."""

    @property
    def minute(self) -> int:
        """Minutes since 1970."""
        return int(self.at // 60)


_TICKS = Served._fields.index("ticks")


class MinuteCell(NamedTuple):
    """What one key used of one model in one minute (counted from 1970)."""

    minute: int
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
class Traffic:
    """All calls of one organisation since the session began."""

    calls: tuple[Served, ...]
    """The newest ones."""
    older: tuple[MinuteCell, ...]
    """Sums of all others."""

    cells: tuple[MinuteCell, ...]
    """All by the minute; one minute may come in two cells of a kind."""


async def record(store: Store, org_id: str, call: list[Any]) -> None:
    """Count a call, given as the members of a `Served`.

    O(1), apart from every `HELD`th one, which folds the older half into sums.
    """
    if ticks := call[_TICKS]:
        await store.increment(SPENT + org_id, ticks)
    held = await store.append(CALLS + org_id, call)
    if held >= 2 * HELD:
        await _fold(store, org_id)


async def load(store: Store, org_id: str) -> Traffic:
    """What has been counted so far."""
    calls = await store.get(CALLS + org_id) or ()
    older = await store.get(MINUTES + org_id) or ()
    minutes = tuple([MinuteCell(*cell) for cell in older])
    sums = [MinuteCell(*where, *figures) for where, figures in _summed(calls)]
    return Traffic(tuple([Served(*call) for call in calls]), minutes, (*minutes, *sums))


async def spent(store: Store, org_id: str) -> int:
    """Cost of all calls since the session began, in ticks of 0.0001 RMB. O(1)."""
    ticks: int = await store.get(SPENT + org_id) or 0
    return ticks


async def _fold(store: Store, org_id: str) -> None:
    calls = await store.get(CALLS + org_id)
    known = await store.get(MINUTES + org_id) or ()
    sums = {tuple(cell[:4]): cell[4:] for cell in known}
    for where, figures in _summed(calls[:-HELD]):
        before = sums.get(where)
        sums[where] = [*map(add, before, figures)] if before else figures
    await store.put(MINUTES + org_id, [[*where, *row] for where, row in sums.items()])
    await store.put(CALLS + org_id, calls[-HELD:])


def _summed(calls: Sequence[Sequence[Any]]) -> Iterator[tuple[tuple[Any, ...], list[int]]]:
    """Calls of one minute, key and model as one: (minute, key, team, model) and requests, errors, …, ticks."""
    runs: dict[tuple[Any, ...], list[Sequence[Any]]] = {}
    # those that follow one another are much alike
    for place, run in groupby(calls, lambda call: (call[0] // 60, call[1], call[2], call[3])):
        runs.setdefault(place, []).extend(run)
    for (minute, *who), found in runs.items():
        yield (int(minute), *who), [len(found), *map(sum, islice(zip(*found, strict=True), 4, 10))]
