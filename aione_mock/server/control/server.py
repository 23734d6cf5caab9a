"""Answer questions about the whole server: health, readiness, errors, statistics."""

from __future__ import annotations

import asyncio

from aione_mock.clock import SYSTEM_CLOCK
from aione_mock.errors import APIError, MockError, did_you_mean
from aione_mock.server.control.error_catalogue import ErrorCatalogue
from aione_mock.server.pipeline import Pipeline
from aione_mock.server.request import find_root_url
from aione_mock.server.sessions import Session
from aione_mock.settings import VERSION
from aione_mock.types import Call, Reply


class ServerControl:
    """Handlers about the whole server."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline, self._started = pipeline, SYSTEM_CLOCK.timestamp()
        documents = pipeline.contract.documents.values()
        self._contracts = [f"{each['info']['title']} {each['info']['version']}" for each in documents]

    @property
    def _uptime(self) -> float:
        return round(max(0.0, SYSTEM_CLOCK.timestamp() - self._started), 3)

    async def list_operations(self, call: Call, session: Session) -> Reply:
        """Answer `GET /_mock`."""
        items = [
            {"id": each.id, "method": each.method, "path": each.path, "summary": each.raw.get("summary", "")}
            for each in self._pipeline.contract.operations.values()
            if each.protocol == "control"
        ]
        return Reply({"items": items, "total": len(items)})

    async def get_health(self, call: Call, session: Session) -> Reply:
        """Answer `GET /_mock/health`."""
        return Reply(
            {
                "status": "ok",
                "version": VERSION,
                "seed": self._pipeline.settings.seed,
                "uptime_seconds": self._uptime,
                "sessions": len(self._pipeline.sessions),
                "contracts": self._contracts,
            }
        )

    async def get_ready(self, call: Call, session: Session) -> Reply:
        """Answer `GET /_mock/ready`. Raises APIError `not_ready` with the reason."""
        draining = "The mock is shutting down." if self._pipeline.draining else None
        if reason := draining or await self._pipeline.state.check_store():
            raise APIError("not_ready", reason)
        return Reply({"status": "ready"})

    async def list_errors(self, call: Call, session: Session) -> Reply:
        """Answer `GET /_mock/errors`."""
        operation, operations = call.params.get("operation"), self._pipeline.contract.operations
        if operation is not None and operation not in operations:
            raise APIError("invalid_request", f"unknown operation '{operation}'{did_you_mean(operation, operations)}")
        catalogue = ErrorCatalogue(
            self._pipeline.contract,
            self._pipeline.sessions.world.list_credentials(),
            base_url=find_root_url(call, self._pipeline.settings.scheme),
            max_body=self._pipeline.settings.max_body,
            needs_token=self._pipeline.settings.control_token is not None,
        )
        wanted = {name: call.params[name] for name in ("dialect", "status") if name in call.params}
        items = [
            entry
            for entry in catalogue.list_errors()
            if all(entry[name] == value for name, value in wanted.items()) and operation in (None, *entry["operations"])
        ]
        return Reply({"items": items, "total": len(items)})

    async def list_credentials(self, call: Call, session: Session) -> Reply:
        """Answer `GET /_mock/credentials`. What sessions have made or rotated themselves is not in it."""
        members = ("label", "kind", "organisation", "purpose", "secret", "id", "view", "may_write")
        credentials = self._pipeline.sessions.world.list_credentials()
        items = [{name: getattr(each, name) for name in members} for each in credentials]
        return Reply({"items": items, "total": len(items)})

    async def get_metrics(self, call: Call, session: Session) -> Reply:
        """Answer `GET /_mock/metrics`."""
        metrics = self._pipeline.metrics
        if metrics is None:
            raise APIError("not_found", "This mock keeps no metrics; start it with --metrics.")
        # with many workers, their files take some time to read
        text = await asyncio.to_thread(metrics.render, await self._count_sessions())
        return Reply(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def _count_sessions(self) -> int | None:
        """Return the number of sessions; None while the store is away, when other figures are wanted most."""
        try:
            return (await self._pipeline.state.read_statistics(self._pipeline.sessions)).sessions
        except MockError:
            return None

    async def get_stats(self, call: Call, session: Session) -> Reply:
        """Answer `GET /_mock/stats`."""
        figures = await self._pipeline.state.read_statistics(self._pipeline.sessions)
        return Reply(
            {
                "uptime_seconds": self._uptime if figures.uptime is None else figures.uptime,
                "requests": figures.requests,
                "streams_open": figures.streams_open,
                "by_operation": dict(figures.operations),
                "by_status": {str(status): count for status, count in sorted(figures.statuses.items())},
                "by_scenario": dict(figures.scenarios),
                "sessions": figures.sessions,
                "journal_entries": figures.journal_entries,
                "journal_bytes": figures.journal_bytes,
            }
        )
