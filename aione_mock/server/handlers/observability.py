"""ModelRouter's observation group: curves, sums and single calls over one window.

Source: Alibaba Cloud, ModelRouterQueryObservationCharts, …Metrics and …Logs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from aione_mock.contract.validation import Finding
from aione_mock.errors import APIError
from aione_mock.protocols.modelrouter import build_envelope
from aione_mock.server.handlers import quota_windows
from aione_mock.server.handlers.owner import organisation
from aione_mock.server.handlers.quota_windows import Directory
from aione_mock.server.sessions import Session
from aione_mock.structs import frozen
from aione_mock.tenant import request_log
from aione_mock.tenant.calendar import format_timestamp
from aione_mock.tenant.ledger import Bucket, Filter, Ledger
from aione_mock.tenant.request_log import Entry
from aione_mock.tenant.usage_history import Figures
from aione_mock.types import Call, Json, Reply

_SORTABLE = 20_000
"""Calls that are put into an order other than that of time."""
_LARGEST_PAGE = 2**31 - 1

_CURVES: dict[str, Callable[[Bucket], float]] = {
    "qpm": lambda bucket: _round(60 * bucket.figures.requests / bucket.seconds),
    "tpm": lambda bucket: _round(60 * bucket.tokens / bucket.seconds),
    "concurrency": lambda bucket: _round(bucket.concurrency),
    "callVolume": lambda bucket: bucket.figures.requests,
    "successRate": lambda bucket: _success_rate(bucket.figures),
    "responseTime": lambda bucket: _round(bucket.response_time_ms),
}


async def query_charts(call: Call, session: Session) -> Reply:
    """`GET …/observation/charts`: six curves with a line for each model."""
    start, end, width = quota_windows.window(call, session)
    wanted = quota_windows.wanted(call, await quota_windows.directory(call, session))
    lines = await _ledger(call, session).series(session.store, start, end, width, wanted)
    points = [(format_timestamp(bucket.at), bucket, model) for model, line in lines.items() for bucket in line]
    data = {
        name: [{"timestamp": at, "value": value(bucket), "label": model} for at, bucket, model in points]
        for name, value in _CURVES.items()
    }
    return Reply(build_envelope(data, call.request_id))


async def query_metrics(call: Call, session: Session) -> Reply:
    """`GET …/observation/metrics`: the sums of the same calls."""
    start, end, _ = quota_windows.window(call, session)
    wanted = quota_windows.wanted(call, await quota_windows.directory(call, session))
    sums = await _ledger(call, session).summary(session.store, start, end, wanted)
    data = {
        "totalCalls": sums.requests,
        "successRate": _success_rate(sums),
        "avgResponseTime": _round(sums.latency_ms / sums.requests if sums.requests else 0),
        "inputTokens": sums.prompt,
        "outputTokens": sums.completion,
    }
    return Reply(build_envelope(data, call.request_id))


async def query_logs(call: Call, session: Session) -> Reply:
    """`GET …/observation/logs`: the calls one by one, a page at a time."""
    start, end, _ = quota_windows.window(call, session)
    known = await quota_windows.directory(call, session)
    book = _Book(_ledger(call, session), session, start, end, quota_windows.wanted(call, known), known)
    token, size = call.params.get("nextToken"), call.params.get("maxResults") or call.params["pageSize"]
    page = int(token) if token else call.params["pageIndex"]
    entries, total = await book.page((page - 1) * size, size, call.params)
    following = page + 1 if page * size < total else 0
    data = {
        "list": [{name: read(entry, known) for name, read in _FIELDS.items()} for entry in entries],
        "total": total,
        "page": page,
        "pageSize": size,
        "maxResults": size,
        "nextToken": following,
    }
    return Reply(build_envelope(data, call.request_id, maxResults=size, nextToken=str(following or "")))


def check_logs(call: Call, session: Session) -> Iterator[Finding]:
    """The rules on windows, and on tokens: a token is the number of a page."""
    yield from quota_windows.check(call, session)
    token = call.params.get("nextToken")
    if token and not (token.isascii() and token.isdigit() and 0 < int(token[:20]) <= _LARGEST_PAGE):
        yield Finding(("query", "nextToken"), "is not a token of an earlier answer", "value_error")


@frozen
class _Book:
    """The calls of a window, in any order."""

    ledger: Ledger
    session: Session
    start: float
    end: float
    wanted: Filter
    known: Directory

    async def page(self, offset: int, limit: int, asked: Mapping[str, Json]) -> tuple[list[Entry], int]:
        """Up to `limit` calls after the first `offset` in the order asked for, and how many there are."""
        newest_first = asked["orderDirection"] == "DESC"
        field = asked.get("orderBy")
        if field in _SORTED_BY:
            return await self._sorted(field, newest_first, offset, limit)
        if newest_first or (field and field not in _TIMES):
            return await self._newest(offset, limit)
        _, total = await self._newest(0, 0)
        count = max(0, min(limit, total - offset))
        entries, _ = await self._newest(total - offset - count, count)
        return entries[::-1], total

    async def _sorted(self, field: str, downward: bool, offset: int, limit: int) -> tuple[list[Entry], int]:
        _, total = await self._newest(0, 0)
        if total > _SORTABLE:
            message = f"orderBy {field} needs a window of at most {_SORTABLE} calls; this one has {total}."
            raise APIError("invalid_parameter", message, fields={"param": "orderBy"})
        entries, _ = await self._newest(0, total)
        read = _FIELDS[field]
        entries.sort(key=lambda entry: read(entry, self.known), reverse=downward)
        return entries[offset : offset + limit], total

    async def _newest(self, offset: int, limit: int) -> tuple[list[Entry], int]:
        return await request_log.page(self.ledger, self.session.store, self.start, self.end, self.wanted, offset, limit)


def _model_type(entry: Entry, known: Directory) -> str:
    found = known.models.get(entry.model)
    return "ImageGeneration" if found and found[1].has_ability("image_output") else "Chat"


def _usage(entry: Entry, known: Directory) -> Json:
    return {
        "promptTokens": entry.prompt,
        "completionTokens": entry.completion,
        "totalTokens": entry.prompt + entry.completion,
        "imageCount": int(entry.ok and _model_type(entry, known) == "ImageGeneration"),
        "videoCount": 0,
        "videoDuration": 0,
    }


_FIELDS: dict[str, Callable[[Entry, Directory], Any]] = {
    "id": lambda entry, known: entry.id,
    "requestId": lambda entry, known: entry.request_id,
    "requestTime": lambda entry, known: format_timestamp(entry.at),
    "clientId": lambda entry, known: known.teams[entry.team_id].number if entry.team_id in known.teams else 0,
    "clientUuid": lambda entry, known: known.teams[entry.team_id].code if entry.team_id in known.teams else "",
    "apiKeyId": lambda entry, known: known.keys[entry.key_id].number if entry.key_id in known.keys else 0,
    "modelId": lambda entry, known: known.models[entry.model][0] if entry.model in known.models else 0,
    "modelCode": lambda entry, known: entry.model,
    "modelName": lambda entry, known: known.models[entry.model][1].display_name if entry.model in known.models else "",
    "modelType": _model_type,
    "symbol": lambda entry, known: known.models[entry.model][1].owner if entry.model in known.models else "",
    "status": lambda entry, known: "success" if entry.ok else "failed",
    "statusCode": lambda entry, known: entry.status,
    "responseTimeMs": lambda entry, known: entry.latency_ms,
    "promptTokens": lambda entry, known: entry.prompt,
    "completionTokens": lambda entry, known: entry.completion,
    "totalTokens": lambda entry, known: entry.prompt + entry.completion,
    "usage": _usage,
    "requestBody": lambda entry, known: "{}",
    "responseBody": lambda entry, known: "{}",
    "deleteTag": lambda entry, known: 0,
    "gmtCreate": lambda entry, known: format_timestamp(entry.at),
    "gmtModified": lambda entry, known: format_timestamp(entry.at),
}
"""The members of RequestLogDTO in the documented order. What was said is not kept, so both bodies are empty objects."""
_TIMES = {"requestTime", "gmtCreate", "gmtModified"}
_SORTED_BY = {*_FIELDS} - _TIMES - {"usage"}


def _ledger(call: Call, session: Session) -> Ledger:
    return session.tenants.ledgers[organisation(call, session).id]


def _success_rate(figures: Figures) -> float:
    """0 to 100; 0 of nothing."""
    return _round(100 * (figures.requests - figures.errors) / figures.requests) if figures.requests else 0


def _round(value: float) -> float:
    return round(value, 6)
