"""Sessions that are in a store: each worker keeps replicas of those that it has served."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from aione_mock.clock import Clock
from aione_mock.errors import APIError
from aione_mock.seed import Seed
from aione_mock.server.cache import Cache
from aione_mock.server.sessions import DEFAULT, Session, Sessions, check_name, round_to_hour
from aione_mock.server.shared_session import Changes, Replica, ReplicaStore, encode_state
from aione_mock.server.shared_state import SharedStore
from aione_mock.settings import Settings
from aione_mock.store import Journal
from aione_mock.tenant.world import World
from aione_mock.types import Json


class SharedSessions(Sessions):
    """Sessions that many workers share."""

    def __init__(self, config: Settings, world: World, remote: SharedStore, read_time: Callable[[], float]) -> None:
        """`read_time` returns the real time of the store."""
        self._remote, self._read_time = remote, read_time
        super().__init__(config, world)
        remote.scripts.on_loss = self._expire_replicas

    def _expire_replicas(self) -> None:
        """Have each session be read anew before its next call."""
        for session in self:
            session.gen = 0  # type: ignore[attr-defined]

    def create(self, name: str, *, confirmed: bool = True, **options: Any) -> Session:
        """Return a replica of a session that is looked up, or made, when a request uses it."""
        made = self.make(name)
        self._keep(made)
        return made

    def use(self, name: str) -> Session | None:
        """Return the replica of a session; one that knows nothing yet for a new name."""
        return super().use(name) or self.create(name)

    def make(self, name: str, **options: Any) -> Session:
        """Return a replica that knows nothing yet."""
        check_name(name)
        seed_text, epoch = self._config.seed, round_to_hour(self._epoch)
        seed = Seed.of(seed_text)
        replica = Replica(
            name,
            seed_text,
            seed,
            Clock(read=self._read_time),
            epoch,
            self._create_tenants,
            self._create_tenants(seed, epoch),
            Journal(self._config.journal_entries, self._config.journal_bytes),
            ReplicaStore(),
        )
        replica.cache, replica.as_upstream = Cache(enabled=self._config.cache), self._config.as_upstream
        replica.remote = self._remote
        return replica

    async def reopen(self, session: Session, *, confirmed: bool, make: bool) -> Session:
        """Read a session anew. Where the store has none of its name, `make` it.

        Without it, and where a request without a valid credential would take the place of another's session, return
        the session `default`.
        """
        make = make or session.name == DEFAULT
        begin = self._describe_begin() if make else None
        changes = await self._open_session(session.name, begin=begin, confirmed=confirmed or session.name == DEFAULT)
        if changes.status != "ok":
            self._forget(session.name)
            return self.default
        session.apply(changes)  # type: ignore[attr-defined]
        return session

    async def _open_session(
        self, name: str, *, confirmed: bool = True, new: bool = False, begin: Json = None
    ) -> Changes:
        arguments = {"name": name, "known": -1, "confirmed": confirmed, "most": self._config.max_sessions, "new": new}
        if begin is not None:
            arguments["begin"] = begin
        return await self._remote.ask_session("open", **arguments)

    def _describe_begin(
        self,
        seed: str | None = None,
        now: datetime | None = None,
        frozen: bool | None = None,
        pace: Json = None,
        rules: Iterable[Any] = (),
    ) -> Json:
        """Return what a session begins with."""
        start = now or self._config.now
        text = self._config.seed if seed is None else seed
        begin = {
            "frozen": bool(frozen) if start is None else frozen is not False,
            "state": encode_state(text, pace, rules, ()),
        }
        return begin if start is None else {**begin, "start": start.timestamp()}

    def _apply_to_replica(self, changes: Changes) -> Session:
        """Return the replica of a session that the store has described."""
        replica = super().use(changes.name) or self.create(changes.name)
        replica.apply(changes)  # type: ignore[attr-defined]
        return replica

    async def look_up(self, name: str) -> Session | None:
        """Return the session of a name, None if there is none."""
        changes = await self._open_session(name)
        return self._apply_to_replica(changes) if changes.status == "ok" else None

    async def list_all(self) -> list[Session]:
        """List all sessions."""
        return [self._apply_to_replica(changes) for changes in await self._remote.list_sessions()]

    async def add(self, name: str, **options: Any) -> Session:
        """Create a session. Raises APIError for a bad name, and if there is one of that name."""
        check_name(name)
        changes = await self._open_session(name, new=True, begin=self._describe_begin(**options))
        return self._apply_to_replica(_require(changes, name))

    async def remove(self, name: str) -> None:
        """Delete a session; `default` is created again instead."""
        await self._remote.ask("delete", name=name)
        if name != DEFAULT:
            self._forget(name)

    async def restart(self, session: Session) -> Session:
        """Create a session again as it was at first."""
        changes = await self._remote.ask_session("reset", name=session.name, begin=self._describe_begin())
        return self._apply_to_replica(_require(changes, session.name))

    async def save_snapshot(self, session: Session, label: str) -> tuple[float, int]:
        """Keep the state of a session under a label. Return its time and the number of its calls."""
        answer = await self._remote.ask("snapshot", name=session.name, label=label)
        session.snapshots[label] = None
        return answer["at"], answer["calls"]

    async def load_snapshot(self, session: Session, label: str) -> None:
        """Restore the state that was kept under a label."""
        changes = await self._remote.ask_session("restore", name=session.name, label=label)
        self._apply_to_replica(_require(changes, session.name))

    async def fork(self, session: Session, name: str) -> Session:
        """Create a session that goes on from the state of another."""
        check_name(name)
        most = self._config.max_sessions
        changes = await self._remote.ask_session("fork", name=session.name, new=name, most=most)
        return self._apply_to_replica(_require(changes, name))


def _require(changes: Changes, name: str) -> Changes:
    """Return what the store has answered. Raises APIError if it has no such session, or has one already."""
    if changes.status == "exists":
        raise APIError("conflict", f"There is a session '{name}' already.")
    if changes.status == "none":
        raise APIError("not_found", f"no session '{name}'")
    return changes
