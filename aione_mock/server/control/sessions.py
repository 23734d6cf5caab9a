"""Manage sessions, which isolate the tests that share a server from each other."""

from __future__ import annotations

from aione_mock.asgi import SESSION_PREFIX
from aione_mock.clock import format_timestamp, parse_clock_time
from aione_mock.errors import APIError, did_you_mean
from aione_mock.seed import check_seed
from aione_mock.server.pipeline import Pipeline
from aione_mock.server.request import find_root_url
from aione_mock.server.sessions import Session
from aione_mock.types import Call, Json, Reply

_MAX_SNAPSHOTS = 32
"""Most snapshots of one session."""


class SessionControl:
    """Handlers about sessions. They concern the session in the path, not the one in the header."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._sessions, self._engine = pipeline.sessions, pipeline.scenarios
        self._scheme = pipeline.settings.scheme

    async def list_sessions(self, call: Call, session: Session) -> Reply:
        """Answer `GET /_mock/sessions`, in order of creation."""
        held = sorted(await self._sessions.list_all(), key=lambda each: each.number)
        items = [self._describe(each, call) for each in held]
        return Reply({"items": items, "total": len(items)})

    async def create_session(self, call: Call, session: Session) -> Reply:
        """Answer `POST /_mock/sessions`."""
        wanted = call.data
        await self._require_unused(wanted["name"])
        taken = [rule.id for rule in self._engine.rule_files.rules]
        created = await self._sessions.add(
            wanted["name"],
            seed=check_seed(str(wanted["seed"])) if "seed" in wanted else None,
            now=parse_clock_time(wanted["now"]) if "now" in wanted else None,
            frozen=wanted.get("frozen"),
            pace=wanted.get("pace"),
            rules=self._engine.compiler.compile(wanted.get("rules", []), taken=taken),
        )
        return Reply(self._describe(created, call), 201)

    async def get_session(self, call: Call, session: Session) -> Reply:
        """Answer `GET /_mock/sessions/{name}`."""
        return Reply(self._describe(await self._find(call), call))

    async def delete_session(self, call: Call, session: Session) -> Reply:
        """Answer `DELETE /_mock/sessions/{name}`. Deleting `default` resets it, since it always exists."""
        await self._sessions.remove((await self._find(call)).name)
        return Reply(None, 204)

    async def reset_session(self, call: Call, session: Session) -> Reply:
        """Answer `POST /_mock/sessions/{name}/reset`."""
        return Reply(self._describe(await self._sessions.restart(await self._find(call)), call))

    async def snapshot_session(self, call: Call, session: Session) -> Reply:
        """Answer `POST /_mock/sessions/{name}/snapshot`."""
        target = await self._find(call)
        label = (call.data or {}).get("label") or _make_label(target)
        if label not in target.snapshots and len(target.snapshots) >= _MAX_SNAPSHOTS:
            raise APIError(
                "conflict", f"There are {_MAX_SNAPSHOTS} snapshots of '{target.name}' already; reuse a label."
            )
        now, calls = await self._sessions.save_snapshot(target, label)
        return Reply({"label": label, "session": target.name, "now": format_timestamp(now), "calls": calls}, 201)

    async def restore_session(self, call: Call, session: Session) -> Reply:
        """Answer `POST /_mock/sessions/{name}/restore`."""
        target, label = await self._find(call), call.data["label"]
        if label not in target.snapshots:
            remedy = did_you_mean(label, target.snapshots) or f"; known: {', '.join(target.snapshots) or 'none'}"
            raise APIError("not_found", f"'{target.name}' has no snapshot '{label}'{remedy}")
        await self._sessions.load_snapshot(target, label)
        return Reply(self._describe(target, call))

    async def fork_session(self, call: Call, session: Session) -> Reply:
        """Answer `POST /_mock/sessions/{name}/fork`."""
        target, name = await self._find(call), call.data["name"]
        await self._require_unused(name)
        return Reply(self._describe(await self._sessions.fork(target, name), call), 201)

    async def _find(self, call: Call) -> Session:
        name = call.params["name"]
        found = await self._sessions.look_up(name)
        if found is None:
            names = [each.name for each in await self._sessions.list_all()]
            raise APIError("not_found", f"no session '{name}'{did_you_mean(name, names)}")
        return found

    async def _require_unused(self, name: str) -> None:
        if await self._sessions.look_up(name) is not None:
            raise APIError("conflict", f"There is a session '{name}' already.")

    def _describe(self, session: Session, call: Call) -> Json:
        rules = [*session.scenarios, *session.rules, *self._engine.rule_files.rules]
        return {
            "name": session.name,
            "seed": session.seed_text,
            "now": format_timestamp(session.clock.timestamp()),
            "frozen": session.clock.frozen,
            "calls": session.calls,
            "rules": sum(rule.enabled for rule in rules),
            "pace": self._name_pace(session),
            "snapshots": list(session.snapshots),
            "base_url": f"{find_root_url(call, self._scheme)}{SESSION_PREFIX}{session.name}",
        }

    def _name_pace(self, session: Session) -> str:
        own = session.pace or {}
        changes = own if "profile" in own else {**self._engine.default_pace, **own}
        return str(changes["profile"]) if set(changes) == {"profile"} else "custom"


def _make_label(session: Session) -> str:
    numbers = range(1, len(session.snapshots) + 2)
    return next(label for n in numbers if (label := f"snapshot-{n}") not in session.snapshots)
