"""Sessions: separate worlds on one server, so that tests run side by side without seeing each other."""

from __future__ import annotations

from aione_mock.asgi import SESSION_PREFIX
from aione_mock.errors import APIError, did_you_mean
from aione_mock.server.control.clock import instant, read_instant
from aione_mock.server.pipeline import Pipeline
from aione_mock.server.sessions import Session, check_seed
from aione_mock.types import Call, Json, Reply

_SNAPSHOTS = 32
"""Of one session."""


class SessionControl:
    """What concerns sessions as a whole. The session meant stands in the path, not in the header."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._sessions, self._engine = pipeline.sessions, pipeline.scenarios

    async def list_all(self, call: Call, session: Session) -> Reply:
        """`GET /_mock/sessions`, in the order in which they were made."""
        items = [self._shown(each, call) for each in sorted(self._sessions, key=lambda each: each.number)]
        return Reply({"items": items, "total": len(items)})

    async def create(self, call: Call, session: Session) -> Reply:
        """`POST /_mock/sessions`."""
        wanted = call.data
        self._free(wanted["name"])
        taken = [rule.id for rule in self._engine.rule_files.rules]
        made = self._sessions.create(
            wanted["name"],
            seed=check_seed(str(wanted["seed"])) if "seed" in wanted else None,
            now=read_instant(wanted["now"]) if "now" in wanted else None,
            frozen=wanted.get("frozen"),
            pace=wanted.get("pace"),
            rules=self._engine.compiler.compile(wanted.get("rules", []), taken=taken),
        )
        return Reply(self._shown(made, call), 201)

    async def get(self, call: Call, session: Session) -> Reply:
        """`GET /_mock/sessions/{name}`."""
        return Reply(self._shown(self._known(call), call))

    async def delete(self, call: Call, session: Session) -> Reply:
        """`DELETE /_mock/sessions/{name}`; `default` starts afresh, as naming it would make it again."""
        self._sessions.delete(self._known(call).name)
        return Reply(None, 204)

    async def reset(self, call: Call, session: Session) -> Reply:
        """`POST /_mock/sessions/{name}/reset`."""
        return Reply(self._shown(self._sessions.reset(self._known(call)), call))

    async def snapshot(self, call: Call, session: Session) -> Reply:
        """`POST /_mock/sessions/{name}/snapshot`."""
        meant = self._known(call)
        label = (call.data or {}).get("label") or _unused(meant)
        if label not in meant.snapshots and len(meant.snapshots) >= _SNAPSHOTS:
            raise APIError("conflict", f"There are {_SNAPSHOTS} snapshots of '{meant.name}' already; reuse a label.")
        state = meant.snapshots[label] = meant.dump()
        shown = {"label": label, "session": meant.name, "now": instant(state["now"]), "calls": state["calls"]}
        return Reply(shown, 201)

    async def restore(self, call: Call, session: Session) -> Reply:
        """`POST /_mock/sessions/{name}/restore`."""
        meant, label = self._known(call), call.data["label"]
        if label not in meant.snapshots:
            known = did_you_mean(label, meant.snapshots) or f"; there are: {', '.join(meant.snapshots) or 'none'}"
            raise APIError("not_found", f"'{meant.name}' has no snapshot '{label}'{known}")
        meant.load(meant.snapshots[label])
        return Reply(self._shown(meant, call))

    async def fork(self, call: Call, session: Session) -> Reply:
        """`POST /_mock/sessions/{name}/fork`."""
        meant, name = self._known(call), call.data["name"]
        self._free(name)
        return Reply(self._shown(self._sessions.create(name, state=meant.dump()), call), 201)

    def _known(self, call: Call) -> Session:
        name = call.params["name"]
        found = self._sessions.known(name)
        if found is None:
            names = [each.name for each in self._sessions]
            raise APIError("not_found", f"no session '{name}'{did_you_mean(name, names)}")
        return found

    def _free(self, name: str) -> None:
        if self._sessions.known(name) is not None:
            raise APIError("conflict", f"There is a session '{name}' already.")

    def _shown(self, session: Session, call: Call) -> Json:
        rules = len(session.scenarios) + len(session.rules) + len(self._engine.rule_files.rules)
        return {
            "name": session.name,
            "seed": session.seed_text,
            "now": instant(session.clock.timestamp()),
            "frozen": session.clock.frozen,
            "calls": session.calls,
            "rules": rules,
            "pace": self._pace(session),
            "snapshots": list(session.snapshots),
            "base_url": f"http://{call.header('host') or '127.0.0.1'}{SESSION_PREFIX}{session.name}",
        }

    def _pace(self, session: Session) -> str:
        own = session.pace or {}
        changes = own if "profile" in own else {**self._engine.default_pace, **own}
        return str(changes["profile"]) if set(changes) == {"profile"} else "custom"


def _unused(session: Session) -> str:
    numbers = range(1, len(session.snapshots) + 2)
    return next(label for n in numbers if (label := f"snapshot-{n}") not in session.snapshots)
