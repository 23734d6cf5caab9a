"""Sessions whose state many workers share: a replica in each worker, and a view of it for each call.

A replica holds what changes seldom, as of a version. A view is what one call sees and changes; the store takes its
changes only if nobody has changed the session meanwhile, otherwise the call is answered again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import orjson

from aione_mock.clock import Clock
from aione_mock.scenarios.rules import Rule, compile_rule
from aione_mock.seed import Seed
from aione_mock.server.sessions import Session
from aione_mock.store import MemoryStore
from aione_mock.store.memory import ALL_TEXTS
from aione_mock.types import Json

if TYPE_CHECKING:
    from aione_mock.server.shared_state import SharedStore

_TOUCHED = "touched"
"""Under which a call keeps what it has learned of its prefixes."""
_COUNTS = "rules/"
"""Counters of rules, which the store keeps apart from values."""


class Changes(msgspec.Struct):
    """What has changed in a session since a version."""

    version: int
    full: bool
    offset: float
    state: str
    epoch: float
    calls: int
    number: int
    values: list[tuple[str, str]] = []
    """Names and JSON with the order of creation before it; empty for a deleted value."""
    fixed: float | None = None
    status: str = "ok"
    name: str = ""
    gen: int = 0
    at: float = 0.0
    real: float = 0.0
    labels: list[str] = []


class ReplicaStore(MemoryStore):
    """What a worker knows of the values of a session."""

    def __init__(self) -> None:
        super().__init__()
        self._orders: dict[str, int] = {}

    def apply(self, changes: Changes) -> None:
        """Apply what has changed."""
        if changes.full:
            self._values, self._orders = {}, {}
        last = max(self._orders.values(), default=0)
        sort = False
        for name, text in changes.values:
            if not text:
                self._values.pop(name, None)
                self._orders.pop(name, None)
                continue
            order, _, value = text.partition(" ")
            sort = sort or (name not in self._orders and int(order) < last)
            self._orders[name] = int(order)
            self._values[name] = orjson.loads(value)
        if sort:
            self._values = dict(sorted(self._values.items(), key=lambda item: self._orders.get(item[0], 0)))
        self.version = changes.version

    def set_windows(self, windows: Iterable[tuple[str, Sequence[Any]]], span: float) -> None:
        """Replace the windows by those of the store."""
        self.load_windows({name: (span, entries) for name, entries in windows})


class StoreView(MemoryStore):
    """The values of a session as one call sees them, with its changes."""

    def __init__(self, base: ReplicaStore, remote: SharedStore, session: Replica, counted: dict[str, Any]) -> None:
        self._base, self._remote, self._session, self._counted = base, remote, session, counted
        self.version = base.version
        self.changes: dict[str, Json] = {}
        """New values by name; None for what is deleted."""
        self.uncounted: list[str] = []
        self.kept: list[tuple[str, str, int]] = []
        """Texts that the call adds, with what all texts may have."""
        self.dropped: list[str] = []

    async def get(self, key: str) -> Json:
        """Return the value, or None."""
        return self.read(key)

    def read(self, key: str) -> Json:
        """Return the value, or None, without a coroutine."""
        if key in self.changes:
            return self.changes[key]
        if key.startswith(_COUNTS):
            return None if key in self.uncounted else self._session.counts.get(key)
        return self._base.read(key)

    def read_counter(self, key: str) -> int:
        """Return a counter, 0 for one that was never incremented."""
        return self.read(key) or 0

    async def put(self, key: str, value: Json) -> None:
        """Set the value."""
        self.changes[key] = value

    def replace(self, key: str, value: Json) -> None:
        """Set the value."""
        self.changes[key] = value

    def add(self, key: str, by: int) -> int:
        """Add to a counter that starts at 0, and return the new count."""
        count = self.changes[key] = self.read_counter(key) + by
        return count

    async def increment(self, key: str, by: int = 1) -> int:
        """Add to a counter, and return the new count. Counters of rules and recordings are those of all calls."""
        if key in self._counted:
            return int(self._counted[key])
        if key.startswith((_COUNTS, "replay/")):
            # an answer that is made again counts once
            self._counted[key] = count = await self._remote.increment(self._session, key)
            return count
        return self.add(key, by)

    async def delete(self, key: str) -> bool:
        """Delete the key; return whether it existed."""
        existed = self.read(key) is not None
        if key.startswith(_COUNTS):
            self.uncounted.append(key)
        else:
            self.changes[key] = None
        return existed

    async def list(self, prefix: str) -> list[tuple[str, Json]]:
        """(key, value) of every key that starts with `prefix`, in the order of creation."""
        known = dict(await self._base.list(prefix))
        known.update({key: value for key, value in self.changes.items() if key.startswith(prefix)})
        return [(key, value) for key, value in known.items() if value is not None]

    def keep_text(self, name: str, text: bytes, most: int) -> None:
        """Keep a text. Texts have no version: calls that add some are not in each other's way."""
        self.kept.append((name, text.decode(), most))  # the store reads no binary data in msgpack

    async def read_texts(self, name: str, most: int = ALL_TEXTS) -> Sequence[bytes]:
        """Return a text and those that it continues."""
        return await self._remote.read_texts(self._session, name, most)

    def drop_text(self, name: str) -> None:
        """Drop a text."""
        self.dropped.append(name)

    async def touch(self, keys: Sequence[str], now: float, span: float) -> Sequence[bool]:
        """Return which keys were touched in the last `span` seconds; all of them are from now on."""
        if (known := self._counted.get(_TOUCHED)) is None:
            known = self._counted[_TOUCHED] = await self._remote.touch(self._session, keys, now, span)
        return known

    def count_window(self, key: str, now: float, span: float, *more: Any) -> Any:
        """Return what the last `span` seconds hold."""
        return self._base.count_window(key, now, span, *more)

    def list_windows(self, prefix: str) -> tuple[str, ...]:
        """Return the keys of the windows that begin with a text."""
        return self._base.list_windows(prefix)


@dataclass(slots=True)
class Replica(Session):
    """What a worker knows of a session."""

    remote: Any = None
    gen: int = 0
    """Which of the sessions of this name it is; 0 for one that is not in the store yet."""
    counts: dict[str, int] = field(default_factory=dict)
    ledgers: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Organisation to what is known of its ledger: how often it was folded, and how many calls."""
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a call that came too late is answered again."""
    nonce: tuple[str, int] | None = None
    """A nonce that the present request uses; `admit` says whether it was used before."""

    def use_nonce(self, place: str, now: float, span: float) -> bool:
        """Note a nonce, which `admit` looks up."""
        self.nonce = place, int(span)
        return True

    def apply(self, changes: Changes) -> None:
        """Apply what has changed since the version that is known."""
        if changes.gen and changes.gen != self.gen:
            self.gen, self.ledgers = changes.gen, {}
            self.journal.clear()
            self.journal.total = 0
        if changes.full:
            self.ledgers = {}
        self.store.apply(changes)  # type: ignore[attr-defined]
        self.clock.restore_state({"fixed": changes.fixed, "offset": changes.offset})
        self.calls, self.number = changes.calls, changes.number
        if changes.labels or changes.at:
            self.snapshots = dict.fromkeys(changes.labels)
        self._apply_state(msgspec.json.decode(changes.state), changes.epoch)

    def _apply_state(self, state: Json, epoch: float) -> None:
        if state["seed"] != self.seed_text or epoch != self.epoch:
            self.seed_text, self.seed, self.epoch = state["seed"], Seed.of(state["seed"]), epoch
            self.tenants = self.create_tenants(self.seed, epoch)
        self.pace = state["pace"]
        self.rules, self.scenarios = map(_read_rules, (state["rules"], state["scenarios"]))

    def open_view(self, occurrence: tuple[bytes, int], real: float, counted: dict[str, Any], header: int) -> View:
        """Return what a call sees that was admitted at a real time of the store."""
        clock = Clock(read=lambda: real)
        clock.restore_state(self.clock.save_state())
        store = StoreView(self.store, self.remote, self, counted)  # type: ignore[arg-type]
        view = View(
            self.name,
            self.seed_text,
            self.seed,
            clock,
            self.epoch,
            self.create_tenants,
            self.tenants,
            self.journal,
            store,
            dict([occurrence]),
            {},
            self.scenarios,
            self.rules,
            self.pace,
            self.calls,
            self.in_flight,
            self.snapshots,
            self.cache,
        )
        view.number, view.as_upstream, view.replica, view.header_seen = self.number, self.as_upstream, self, header
        view.before = clock.save_state(), self.rules, self.scenarios, self.pace
        return view


@dataclass(slots=True)
class View(Session):
    """What one call sees of a session, and changes."""

    replica: Any = None
    before: Any = None
    header_seen: int = 0
    cleared: bool = False
    announced: list[Json] = field(default_factory=list)
    """What listeners are told if the changes are taken."""

    def clear_journal(self) -> None:
        """Delete the journal's entries with the other changes of the call."""
        self.cleared = True

    def count_header(self, header: str) -> int:
        """Return how often a header `X-Mock-Scenario` has come, which was counted when the call was admitted."""
        return self.header_seen

    def describe_state(self) -> str | None:
        """Return what the call has made of rules and pace, None if it has changed nothing."""
        if (self.rules, self.scenarios, self.pace) == self.before[1:]:
            return None
        return encode_state(self.seed_text, self.pace, self.rules, self.scenarios)

    def describe_clock(self) -> tuple[float | None, float] | None:
        """Return the state of the clock if the call has changed it."""
        state = self.clock.save_state()
        return None if state == self.before[0] else (state["fixed"], state["offset"] or 0.0)


def encode_state(seed: str, pace: Json, rules: Iterable[Rule], scenarios: Iterable[Rule]) -> str:
    """Return what the store keeps of a session in one piece."""
    return orjson.dumps(
        {"seed": seed, "pace": pace, "rules": _write_rules(rules), "scenarios": _write_rules(scenarios)}
    ).decode()


def _write_rules(rules: Iterable[Rule]) -> list[Json]:
    return [[rule.id, rule.source, rule.raw] for rule in rules]


def _read_rules(rules: Iterable[Json]) -> tuple[Rule, ...]:
    return tuple([compile_rule(raw, rule_id, source) for rule_id, source, raw in rules])


def find_replica(session: Session) -> Replica:
    """Return the replica behind a session, which may be a view of it."""
    replica: Replica = getattr(session, "replica", session)  # type: ignore[arg-type]
    return replica
