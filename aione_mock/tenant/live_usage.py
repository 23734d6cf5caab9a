"""The calls of the session itself, on top of the history.

The store holds them per organisation: `usage/calls/ID` the newest calls one by one, `usage/minutes/ID` sums per
minute, key and model of all older ones, `usage/spent/ID` the cost of all. At least the newest `KEPT_CALLS` calls are
kept singly and never more than twice as many, so a million calls take no more room than the minutes they lie in.
An older call is only part of the sums; lists show it with an equal share of its minute's figures.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import islice
from operator import add
from typing import Final, NamedTuple

from aione_mock.seed import Seed
from aione_mock.store import MemoryStore, Store
from aione_mock.structs import frozen
from aione_mock.tenant.usage_history import UsageSum

KEPT_CALLS = 2048
CALLS, MINUTES, SPENT = "usage/calls/", "usage/minutes/", "usage/spent/"
KEY_SPENT = "usage/key spent/"
_IDS = Seed.of("log")


class ModelCall(NamedTuple):
    """One call that reached a model, in the order in which the store keeps its members."""

    at: float
    """Unix seconds."""
    key_id: str | None
    team_id: str | None
    model: str
    failed: int
    """0 or 1."""
    prompt: int
    cached: int
    completion: int
    latency_ms: int
    ticks: int
    """Cost in 0.0001 RMB; 0 for calls of the history, where only sums have a cost."""
    request_id: str
    status: int = 200
    """HTTP status of the answer."""

    @property
    def minute(self) -> int:
        """Minutes since 1970."""
        return int(self.at // 60)

    @property
    def id(self) -> int:
        """A number of 53 bits, so that JavaScript can hold it too."""
        return _IDS.draw_integer(self.request_id) >> 11


CallFields = tuple[float, str | None, str | None, str, int, int, int, int, int, int, str, int]
"""The members of a `ModelCall`. A plain tuple is quicker to make and is JSON."""
_LATENCY: Final = 8
TICKS: Final = 9


@frozen
class LiveUsage:
    """All calls of one organisation since the session began."""

    newest: tuple[CallFields, ...]
    """The newest calls, oldest first."""
    older: tuple[UsageSum, ...]
    """Sums of all others, by the minute."""
    minutes: tuple[UsageSum, ...]
    """Sums of all, by the minute; one minute may come in two sums of a kind."""

    @property
    def calls(self) -> list[ModelCall]:
        """The newest calls, oldest first."""
        return [ModelCall._make(call) for call in self.newest]

    def count_latencies(self, start: float, end: float) -> list[tuple[int, int]]:
        """Count the calls between two times by their latency: (ms, calls). Of older ones only means are known."""
        counts = [
            (cell.latency_ms // cell.requests, cell.requests) for cell in self.older if start <= cell.period * 60 < end
        ]
        return [*counts, *Counter([call[_LATENCY] for call in self.newest if start <= call[0] < end]).items()]


def record_call(store: MemoryStore, org_id: str, call: CallFields) -> None:
    """Store a call. O(1), apart from every `KEPT_CALLS`th one, which folds the older half into sums."""
    if ticks := call[TICKS]:
        store.add(SPENT + org_id, ticks)
    calls = store.append(CALLS + org_id, call)
    if len(calls) >= 2 * KEPT_CALLS:
        _fold_calls(store, org_id, calls)


def add_key_spending(store: MemoryStore, key_id: str, call: CallFields) -> None:
    """Add the cost of a call to what its key, which has a balance of its own, has spent."""
    if ticks := call[TICKS]:
        store.add(KEY_SPENT + key_id, ticks)


async def load_usage(store: Store, org_id: str) -> LiveUsage:
    """Return what has been recorded so far."""
    calls = tuple(await store.get(CALLS + org_id) or ())
    older = tuple([UsageSum(*row) for row in await store.get(MINUTES + org_id) or ()])
    newest = [UsageSum(*group, *totals) for group, totals in _sum_calls(calls).items()]
    return LiveUsage(calls, older, (*older, *newest))


async def load_spending(store: Store, org_id: str) -> int:
    """Return the cost of all calls since the session began, in ticks of 0.0001 RMB. O(1)."""
    ticks: int = await store.get(SPENT + org_id) or 0
    return ticks


def _fold_calls(store: MemoryStore, org_id: str, calls: list[CallFields]) -> None:
    sums = {tuple(row[:4]): row[4:] for row in store.read(MINUTES + org_id) or ()}
    for group, totals in _sum_calls(calls[:-KEPT_CALLS]).items():
        before = sums.get(group)
        sums[group] = [*map(add, before, totals)] if before else totals
    store.replace(MINUTES + org_id, [[*group, *row] for group, row in sums.items()])
    store.replace(CALLS + org_id, calls[-KEPT_CALLS:])


def _sum_calls(calls: Sequence[CallFields]) -> dict[tuple[int, str | None, str | None, str], list[int]]:
    """Sum the calls of each minute, key and model: (minute, key, team, model) to requests, errors, …, ticks."""
    groups = defaultdict(list)
    for call in calls:
        groups[int(call[0] // 60), call[1], call[2], call[3]].append(call)
    return {group: [len(rows), *map(sum, islice(zip(*rows, strict=True), 4, 10))] for group, rows in groups.items()}
