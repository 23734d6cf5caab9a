"""Hold the state of sessions. Each test can have a session of its own."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache, partial
from hashlib import blake2b
from itertools import count
from typing import Any

from aione_mock.clock import Clock
from aione_mock.errors import APIError
from aione_mock.seed import Seed
from aione_mock.server.cache import TOTAL_BYTES, Cache, drop_oldest
from aione_mock.settings import Settings
from aione_mock.store import ByteBudget, Journal, MemoryStore
from aione_mock.tenant.catalogue import ModelCatalogue
from aione_mock.tenant.tenants import Tenants
from aione_mock.tenant.world import World
from aione_mock.types import Json

DEFAULT = "default"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MAX_HEADERS = 1000
"""Different headers of a session whose calls are counted; the oldest are dropped first."""
_TENANTS = 64
"""Pairs of seed and start whose tenants are cached."""


@dataclass(slots=True)
class Session:
    """The state of one session: clock, tenants, store, journal, rules. It is created on first use."""

    name: str
    seed_text: str
    seed: Seed
    clock: Clock
    epoch: float
    """Start of the session in Unix seconds of its clock; usage history ends here."""
    create_tenants: Callable[[Seed, float], Tenants]
    tenants: Tenants
    """The organisations behind the API."""
    journal: Journal
    store: MemoryStore = field(default_factory=MemoryStore)
    occurrences: dict[bytes, int] = field(default_factory=dict)
    header_turns: dict[bytes, int] = field(default_factory=dict)
    """How often each `X-Mock-Scenario` with a number of calls has come, by its digest."""
    scenarios: tuple[Any, ...] = ()
    """Rules of activated scenarios, the newest first; they precede all others."""
    rules: tuple[Any, ...] = ()
    """Rules set on the session; they precede those of files."""
    pace: Json = None
    """Changes of the server's pace, as in a rule; None for none."""
    calls: int = 0
    in_flight: dict[str, int] = field(default_factory=dict)
    """Number of calls in progress, by key id."""
    snapshots: dict[str, Json] = field(default_factory=dict)
    cache: Cache = field(default_factory=Cache)
    origin: Mapping[str, Any] = field(default_factory=dict)
    """The arguments of `Sessions.make` that made it."""
    number: int = 0
    """Its position in the order of creation."""
    confirmed: bool = True
    """Whether it was made, or used, by a request with a valid credential. Others are the first to be deleted."""
    as_upstream: bool = False
    """Whether nothing is limited, and answers begin with canaries."""
    replay: Any = None
    """Recordings that answer before the mock does (`replay.Replay`); None for those of the server."""

    @property
    def catalogue(self) -> ModelCatalogue:
        """The models on offer."""
        return self.tenants.catalogue

    def count_header(self, header: str) -> int:
        """Return how often a header `X-Mock-Scenario` has come, now included."""
        key = digest_header(header)
        seen = self.header_turns.get(key, 0) + 1
        if seen == 1:
            drop_oldest(self.header_turns, MAX_HEADERS)
        self.header_turns[key] = seen
        return seen

    def clear_journal(self) -> None:
        """Delete the journal's entries; numbering continues."""
        self.journal.clear()

    def use_nonce(self, place: str, now: float, span: float) -> bool:
        """Note that a nonce was used. Return False if it was used in the last `span` seconds already."""
        return self.store.count_window(place, now, span, (1, 0)).totals[0] <= 1

    def dump(self) -> Json:
        """Return the state; it shares nothing with the session."""
        return {
            "seed": self.seed_text,
            "clock": self.clock.save_state(),
            "now": self.clock.timestamp(),
            "epoch": self.epoch,
            "store": self.store.dump(),
            "occurrences": dict(self.occurrences),
            "header_turns": dict(self.header_turns),
            "scenarios": self.scenarios,
            "rules": self.rules,
            "pace": self.pace,
            "calls": self.calls,
        }

    def load(self, dump: Json) -> None:
        """Restore a state and its time; the journal and snapshots stay."""
        self.seed_text, self.seed = dump["seed"], Seed.of(dump["seed"])
        self.clock.restore_state(dump["clock"])
        if not self.clock.frozen:
            self.clock.set(datetime.fromtimestamp(dump["now"], UTC))
        self.epoch = dump["epoch"]
        self.tenants = self.create_tenants(self.seed, self.epoch)
        self.store.load(dump["store"])
        self.occurrences, self.header_turns = dict(dump["occurrences"]), dict(dump["header_turns"])
        self.scenarios, self.rules, self.pace = dump["scenarios"], dump["rules"], dump["pace"]
        self.calls = dump["calls"]


class Sessions:
    """Hold the sessions of a server by name. The least recently used one is deleted for one too many.

    Those that no valid credential has used are deleted first.
    """

    def __init__(self, config: Settings, world: World) -> None:
        self._config, self.world = config, world
        # tenants are a pure value, so sessions of one seed and start share it
        self._create_tenants = _cache_tenants(world)
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._numbers = count(1)
        self.on_end: Callable[[Session], None] | None = None
        """Called with each session that is deleted or replaced, while it still holds its journal and rules."""
        self._journals, self._caches = ByteBudget(config.journals_total), ByteBudget(TOTAL_BYTES)
        self._epoch = config.now.timestamp() if config.now else Clock().timestamp()
        self.default = self.create(DEFAULT)

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(tuple(self._sessions.values()))

    def get(self, name: str = DEFAULT) -> Session:
        """Return the session of a name; create it if it is new. Raise APIError for a bad name."""
        return self.use(name) or self.create(name)

    def use(self, name: str) -> Session | None:
        """Return the session if it exists, and note that it was used."""
        if name == DEFAULT:
            return self.default
        session = self._sessions.get(name)
        if session is not None:
            self._sessions.move_to_end(name)
        return session

    def confirm(self, session: Session) -> None:
        """Note that a valid credential has used a session, and keep it."""
        session.confirmed = True
        if session.name not in self._sessions:
            self._keep(session)

    def find(self, name: str) -> Session | None:
        """Return the session if it exists."""
        return self._sessions.get(name)

    def create(self, name: str, *, confirmed: bool = True, **options: Any) -> Session:
        """Create a session; it replaces one of the same name. `options` are those of `make`."""
        made = self.make(name, **options)
        made.confirmed = confirmed
        self._keep(made)
        return made

    def make(
        self,
        name: str,
        *,
        seed: str | None = None,
        now: datetime | None = None,
        frozen: bool | None = None,
        pace: Json = None,
        rules: tuple[Any, ...] = (),
        state: Json = None,
    ) -> Session:
        """Return a new session that nobody finds by its name. It starts from `state`, the dump of another."""
        check_name(name)
        seed_text = self._config.seed if seed is None else seed
        start = now or self._config.now
        clock = Clock(start)
        if start is not None and frozen is False:
            clock.unfreeze()
        elif start is None and frozen:
            clock.freeze()
        epoch = round_to_hour(start.timestamp() if start else self._epoch)
        journal = Journal(self._config.journal_entries, self._config.journal_bytes)
        key = Seed.of(seed_text)
        tenants = self._create_tenants(key, epoch)
        session = Session(name, seed_text, key, clock, epoch, self._create_tenants, tenants, journal)
        session.pace, session.rules, session.number = pace, rules, next(self._numbers)
        session.cache, session.as_upstream = Cache(enabled=self._config.cache), self._config.as_upstream
        session.origin = {"seed": seed, "now": now, "frozen": frozen, "pace": pace, "rules": rules, "state": state}
        if state is not None:
            session.load(state)
        return session

    def _keep(self, session: Session) -> None:
        self._forget(session.name)
        self._sessions[session.name] = session
        session.journal.budget, session.cache.budget = self._journals, self._caches
        self._journals.add_holder(session.journal)
        self._caches.add_holder(session.cache)
        if session.name == DEFAULT:
            self.default = session
        elif len(self._sessions) > self._config.max_sessions and (surplus := self._find_surplus(session.name)):
            self._forget(surplus)

    def _find_surplus(self, newest: str) -> str | None:
        """Return the session to delete: the least recently used one, of those without a valid credential first."""
        unconfirmed = next((name for name, held in self._sessions.items() if not held.confirmed), None)
        return unconfirmed or next((name for name in self._sessions if name not in (DEFAULT, newest)), None)

    def _forget(self, name: str) -> None:
        session = self._sessions.pop(name, None)
        if session is not None:
            if self.on_end is not None:
                self.on_end(session)
            self._journals.remove_holder(session.journal)
            self._caches.remove_holder(session.cache)
            session.journal.budget = session.cache.budget = None

    def change_world(self, world: World) -> None:
        """Show other models and organisations, in all sessions. What a session has changed or counted stays."""
        self.world, self._create_tenants = world, _cache_tenants(world)
        for session in self:
            session.create_tenants = self._create_tenants
            session.tenants = self._create_tenants(session.seed, session.epoch)
            self._caches.remove_holder(session.cache)
            session.cache = Cache(enabled=self._config.cache)
            session.cache.budget = self._caches
            self._caches.add_holder(session.cache)

    async def look_up(self, name: str) -> Session | None:
        """Return the session of a name, None if there is none."""
        return self.find(name)

    async def list_all(self) -> list[Session]:
        """List all sessions."""
        return list(self)

    async def add(self, name: str, **options: Any) -> Session:
        """Create a session; `options` are those of `make`. Raises APIError for a bad name."""
        return self.create(name, **options)

    async def remove(self, name: str) -> None:
        """Delete a session; `default` is created again instead."""
        self.delete(name)

    async def restart(self, session: Session) -> Session:
        """Create a session again as it was at first."""
        return self.reset(session)

    async def save_snapshot(self, session: Session, label: str) -> tuple[float, int]:
        """Keep the state of a session under a label. Return its time and the number of its calls."""
        state = session.snapshots[label] = session.dump()
        return state["now"], state["calls"]

    async def load_snapshot(self, session: Session, label: str) -> None:
        """Restore the state that was kept under a label."""
        session.load(session.snapshots[label])

    async def fork(self, session: Session, name: str) -> Session:
        """Create a session that goes on from the state of another."""
        return self.create(name, state=session.dump())

    def reset(self, session: Session) -> Session:
        """Create a session again as it was at first. Its snapshots stay; calls in progress end in the old one."""
        fresh = self.create(session.name, **session.origin)
        fresh.snapshots, fresh.number, fresh.replay = session.snapshots, session.number, session.replay
        return fresh

    def delete(self, name: str) -> None:
        """Delete a session; `default` is created again instead."""
        if name == DEFAULT:
            self.create(DEFAULT)
        else:
            self._forget(name)


def check_name(name: str) -> None:
    """Raise APIError `invalid_request` for a text that cannot name a session."""
    if not NAME.fullmatch(name):
        raise APIError(
            "invalid_request",
            f"'{name[:80]}' cannot name a session; use up to 64 letters, digits, dots, hyphens and underscores",
            fields={"param": "x-mock-session"},
        )


def digest_header(header: str) -> bytes:
    """Return the key under which the calls of a header are counted."""
    return blake2b(header.encode("latin-1"), digest_size=16).digest()


def _cache_tenants(world: World) -> Callable[[Seed, float], Tenants]:
    create = partial(Tenants.create, catalogue=world.catalogue, file=world.organisations)
    return lru_cache(_TENANTS)(create)


def round_to_hour(timestamp: float) -> float:
    """Return the start of the hour. Usage history is hourly; sessions of the same hour share their tenants."""
    return timestamp - timestamp % 3600
