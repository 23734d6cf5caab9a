"""ModelRouter's observation group: curves, sums and single calls over one window.

Source: Alibaba Cloud, ModelRouterQueryObservationCharts, …Metrics and …Logs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from aione_mock.contract.validation import Violation
from aione_mock.errors import APIError
from aione_mock.protocols.modelrouter import build_envelope
from aione_mock.server.handlers.observation_query import (
    Directory,
    check_query,
    load_directory,
    read_filter,
    read_window,
)
from aione_mock.server.sessions import Session
from aione_mock.structs import frozen
from aione_mock.tenant.calendar import format_timestamp
from aione_mock.tenant.ledger import ChartBucket, LedgerSnapshot, UsageFilter
from aione_mock.tenant.live_usage import ModelCall
from aione_mock.tenant.request_log import read_page
from aione_mock.tenant.usage_history import CallTotals
from aione_mock.types import Call, Json, Reply

_MAX_SORTED_CALLS = 20_000
"""Calls that are sorted by anything other than time."""
_MAX_PAGE = 2**31 - 1

_CURVES: dict[str, Callable[[ChartBucket], float]] = {
    "qpm": lambda bucket: _round(60 * bucket.totals.requests / bucket.seconds),
    "tpm": lambda bucket: _round(60 * bucket.totals.tokens / bucket.seconds),
    "concurrency": lambda bucket: _round(bucket.concurrency),
    "callVolume": lambda bucket: bucket.totals.requests,
    "successRate": lambda bucket: _compute_success_rate(bucket.totals),
    "responseTime": lambda bucket: _round(bucket.totals.mean_latency_ms),
}


async def query_charts(call: Call, session: Session) -> Reply:
    """Answer `GET …/observation/charts`: six curves with a line for each model."""
    start, end, width = read_window(call, session)
    wanted = read_filter(call, await load_directory(call, session))
    lines = (await _read_ledger(call, session)).build_chart(start, end, width, wanted)
    points = [(format_timestamp(bucket.at), bucket, model) for model, line in lines.items() for bucket in line]
    data = {
        name: [{"timestamp": at, "value": value(bucket), "label": model} for at, bucket, model in points]
        for name, value in _CURVES.items()
    }
    return Reply(build_envelope(data, call.request_id))


async def query_metrics(call: Call, session: Session) -> Reply:
    """Answer `GET …/observation/metrics`: the sums of the same calls."""
    start, end, _ = read_window(call, session)
    wanted = read_filter(call, await load_directory(call, session))
    totals = (await _read_ledger(call, session)).sum_window(start, end, wanted)
    data = {
        "totalCalls": totals.requests,
        "successRate": _compute_success_rate(totals),
        "avgResponseTime": _round(totals.mean_latency_ms) if totals.requests else 0,
        "inputTokens": totals.prompt,
        "outputTokens": totals.completion,
    }
    return Reply(build_envelope(data, call.request_id))


async def query_logs(call: Call, session: Session) -> Reply:
    """Answer `GET …/observation/logs`: the calls one by one, a page at a time."""
    start, end, _ = read_window(call, session)
    directory = await load_directory(call, session)
    query = LogQuery(await _read_ledger(call, session), start, end, read_filter(call, directory), directory)
    params = call.params
    token, size = params.get("nextToken"), params.get("maxResults") or params["pageSize"]
    page = int(token) if token else params["pageIndex"]
    newest_first = params["orderDirection"] == "DESC"
    calls, total = query.read_page((page - 1) * size, size, params.get("orderBy"), newest_first)
    following = page + 1 if page * size < total else 0
    data = {
        "list": [{name: read(found, directory) for name, read in _FIELDS.items()} for found in calls],
        "total": total,
        "page": page,
        "pageSize": size,
        "maxResults": size,
        "nextToken": following,
    }
    return Reply(build_envelope(data, call.request_id, maxResults=size, nextToken=str(following or "")))


def check_logs(call: Call, session: Session) -> Iterator[Violation]:
    """Check the window and the token, which is the number of a page."""
    yield from check_query(call, session)
    token = call.params.get("nextToken")
    if token and not (token.isascii() and token.isdigit() and 0 < int(token[:20]) <= _MAX_PAGE):
        yield Violation(("query", "nextToken"), "is not a token of an earlier answer", "value_error")


@frozen
class LogQuery:
    """The calls of a window, in any order."""

    ledger: LedgerSnapshot
    start: float
    end: float
    wanted: UsageFilter
    directory: Directory

    def read_page(self, offset: int, limit: int, field: str | None, descending: bool) -> tuple[list[ModelCall], int]:
        """Return up to `limit` calls after the first `offset`, sorted by a field, and the number of all calls."""
        if field in _SORTABLE:
            return self._sort_page(offset, limit, field, descending)
        if descending or (field and field not in _TIMES):
            return self._read_newest(offset, limit)
        _, total = self._read_newest(0, 0)
        count = max(0, min(limit, total - offset))
        calls, _ = self._read_newest(total - offset - count, count)
        return calls[::-1], total

    def _sort_page(self, offset: int, limit: int, field: str, descending: bool) -> tuple[list[ModelCall], int]:
        _, total = self._read_newest(0, 0)
        if total > _MAX_SORTED_CALLS:
            message = f"orderBy {field} needs a window of at most {_MAX_SORTED_CALLS} calls; this one has {total}."
            raise APIError("invalid_parameter", message, fields={"param": "orderBy"})
        calls, _ = self._read_newest(0, total)
        calls.sort(key=lambda call: _FIELDS[field](call, self.directory), reverse=descending)
        return calls[offset : offset + limit], total

    def _read_newest(self, offset: int, limit: int) -> tuple[list[ModelCall], int]:
        return read_page(self.ledger, self.start, self.end, self.wanted, offset, limit)


def _get_model_type(call: ModelCall, directory: Directory) -> str:
    found = directory.models.get(call.model)
    return "ImageGeneration" if found and found[1].has_ability("image_output") else "Chat"


def _render_usage(call: ModelCall, directory: Directory) -> Json:
    return {
        "promptTokens": call.prompt,
        "completionTokens": call.completion,
        "totalTokens": call.prompt + call.completion,
        "imageCount": int(not call.failed and _get_model_type(call, directory) == "ImageGeneration"),
        "videoCount": 0,
        "videoDuration": 0,
    }


_FIELDS: dict[str, Callable[[ModelCall, Directory], Any]] = {
    "id": lambda call, known: call.id,
    "requestId": lambda call, known: call.request_id,
    "requestTime": lambda call, known: format_timestamp(call.at),
    "clientId": lambda call, known: known.teams[call.team_id].number if call.team_id in known.teams else 0,
    "clientUuid": lambda call, known: known.teams[call.team_id].code if call.team_id in known.teams else "",
    "apiKeyId": lambda call, known: known.keys[call.key_id].number if call.key_id in known.keys else 0,
    "modelId": lambda call, known: known.models[call.model][0] if call.model in known.models else 0,
    "modelCode": lambda call, known: call.model,
    "modelName": lambda call, known: known.models[call.model][1].display_name if call.model in known.models else "",
    "modelType": _get_model_type,
    "symbol": lambda call, known: known.models[call.model][1].owner if call.model in known.models else "",
    "status": lambda call, known: "failed" if call.failed else "success",
    "statusCode": lambda call, known: call.status,
    "responseTimeMs": lambda call, known: call.latency_ms,
    "promptTokens": lambda call, known: call.prompt,
    "completionTokens": lambda call, known: call.completion,
    "totalTokens": lambda call, known: call.prompt + call.completion,
    "usage": _render_usage,
    "requestBody": lambda call, known: "{}",
    "responseBody": lambda call, known: "{}",
    "deleteTag": lambda call, known: 0,
    "gmtCreate": lambda call, known: format_timestamp(call.at),
    "gmtModified": lambda call, known: format_timestamp(call.at),
}
"""The members of RequestLogDTO in the documented order. Texts are not kept, so both bodies are empty objects."""
_TIMES = {"requestTime", "gmtCreate", "gmtModified"}
_SORTABLE = {*_FIELDS} - _TIMES - {"usage"}


async def _read_ledger(call: Call, session: Session) -> LedgerSnapshot:
    return await session.tenants.ledgers[session.tenants.find_organisation(call.caller).id].read(session.store)


def _compute_success_rate(totals: CallTotals) -> float:
    """Return 0 to 100; 0 without calls."""
    return _round(100 * (totals.requests - totals.errors) / totals.requests) if totals.requests else 0


def _round(value: float) -> float:
    return round(value, 6)
