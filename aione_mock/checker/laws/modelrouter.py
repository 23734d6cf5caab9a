"""ModelRouter: signatures, windows, and three views of the same calls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise

from aione_mock.checker.context import LawContext
from aione_mock.checker.errors import NotChecked
from aione_mock.checker.exchange import HttpExchange, HttpRequest
from aione_mock.checker.finding import BrokenLaw, LawResults
from aione_mock.checker.json_reader import JsonReader
from aione_mock.checker.law import Law
from aione_mock.checker.laws.error_responses import check_error, read_code_parameter
from aione_mock.checker.laws.operation_groups import CHARTS, LOGS, METRICS, MODELROUTER
from aione_mock.clock import SYSTEM_CLOCK, format_instant
from aione_mock.structs import replace
from aione_mock.types import Json

_CURVES = ("qpm", "tpm", "concurrency", "callVolume", "successRate", "responseTime")
_MAX_CALLS = 120
"""Calls of a window whose log is read completely."""
_MAX_PAGES = 19
_PAGE_SIZE = 7
_WINDOW_MINUTES = (180, 60, 20, 10, 5, 2, 1)
_SIGNED_QUERIES = ("timeRange=1h", "orderBy=a%20b%2Bc~d%2A&timeRange=6h", "memberUserIds=&timeRange=1h")
_INVALID_PAGES = (
    ("pageSize", "minimum"),
    ("pageSize", "maximum"),
    ("pageIndex", "minimum"),
    ("orderDirection", ""),
    ("maxResults", "maximum"),
)
"""Parameter of a page, and the bound that it exceeds; without one it is no known word."""
_FILTERS = (("clientId", "clientId"), ("apiKeyId", "apiKeyId"), ("modelId", "modelId"), ("clientIds", "clientId"))
"""Parameter and column of the log."""


# Signature


def _build_requests(context: LawContext) -> Iterator[HttpRequest]:
    """Yield a request without a signature for each operation."""
    for operation in context.list_declared_operations(*MODELROUTER):
        yield context.client.build_request(operation.id, query={"timeRange": "1h"}, auth=None)


def _sign_request(context: LawContext, request: HttpRequest, at: float | None = None) -> HttpRequest:
    target = context.target
    return context.client.sign(request, target.access_key or "", target.access_secret or "", at=at)


def _expect_denied(context: LawContext, request: HttpRequest, what: str) -> LawResults:
    # what must be denied once must be denied again
    exchange = context.client.send(request, rebuild=lambda: request)
    yield from check_error(context, exchange, "permission_denied", f"an error for {what}")


def _is_denied(context: LawContext, exchange: HttpExchange) -> bool:
    operation = context.contract.operations[exchange.request.operation]
    return exchange.status == operation.errors["permission_denied"].status


def check_valid_signature(context: LawContext) -> LawResults:
    """Accept a signed request, whatever its parameters."""
    for request in _build_requests(context):
        for query in _SIGNED_QUERIES:
            exchange = context.client.send(_sign_request(context, replace(request, query=query)))
            if _is_denied(context, exchange):
                expected = f"a success for a signed request with {query}"
                yield BrokenLaw(request.operation, expected, exchange.summary, exchange)


def check_missing_signature(context: LawContext) -> LawResults:
    """Reject a request without a signature."""
    for request in _build_requests(context):
        yield from _expect_denied(context, request, "a request without a signature")
        bearer = replace(request, headers=(("authorization", "Bearer something"),))
        yield from _expect_denied(context, bearer, "a bearer token instead of a signature")


def check_wrong_signature(context: LawContext) -> LawResults:
    """Reject a request that is signed with another secret or access key."""
    key = context.target.access_key or ""
    for request in _build_requests(context):
        wrong = context.client.sign(request, key, "not-the-secret")
        yield from _expect_denied(context, wrong, "another secret")
        unknown = context.client.sign(request, "no-such-access-key", "not-the-secret")
        yield from _expect_denied(context, unknown, "an access key that does not exist")


def check_stale_signature(context: LawContext) -> LawResults:
    """Reject a signature that is too old or too far ahead."""
    now, limit = SYSTEM_CLOCK.timestamp(), context.find_figure("signature-stale", "minutes")
    beyond, within = (limit + 2) * 60, limit * 60 * 2 // 3
    for request in _build_requests(context):
        for seconds, what in ((-beyond, "old"), (beyond, "ahead")):
            stale = _sign_request(context, request, now + seconds)
            yield from _expect_denied(context, stale, f"a signature {beyond // 60} minutes {what}")
        exchange = context.client.send(_sign_request(context, request, now - within))
        if _is_denied(context, exchange):
            expected = f"a success for a signature {within // 60} minutes old"
            yield BrokenLaw(request.operation, expected, exchange.summary, exchange, "assumed")


def check_repeated_signature(context: LawContext) -> LawResults:
    """Reject a signed request if its nonce was used before."""
    for request in _build_requests(context):
        signed = _sign_request(context, request)
        if context.client.send(signed).is_success:
            yield from _expect_denied(context, signed, "a request that is sent again")


def check_changed_request(context: LawContext) -> LawResults:
    """Reject a request if its query, headers or body were changed after signing."""
    for request in _build_requests(context):
        for what, change in (
            ("a changed query", {"query": "timeRange=30d"}),
            ("an added parameter", {"query": "timeRange=1h&clientId=1"}),
        ):
            yield from _expect_denied(context, replace(_sign_request(context, request), **change), what)
        signed = _sign_request(context, request)
        headers = (*signed.headers, ("content-type", "application/json"))
        yield from _expect_denied(context, replace(signed, body=b'{"a":1}', headers=headers), "an added body")
        signed = _sign_request(context, request)
        headers = tuple((n, "2020-01-01T00:00:00Z" if n == "x-acs-date" else v) for n, v in signed.headers)
        yield from _expect_denied(context, replace(signed, headers=headers), "a changed date")


# Windows


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """A window with its own start and end."""

    start: datetime
    end: datetime

    @property
    def query(self) -> dict[str, str]:
        """The window as query parameters."""
        return {"startTime": format_instant(self.start), "endTime": format_instant(self.end)}


def _read_data(context: LawContext, name: str, **query: Json) -> JsonReader:
    return context.read(name, query=query).at("data")


def _read_server_time(context: LawContext) -> datetime:
    """Return the server's time to a bucket: the last point of the shortest range with calls. Raises NotChecked."""
    for time_range in context.find_figure("router-buckets", "buckets"):
        data = _read_data(context, CHARTS, timeRange=time_range)
        points = [point for curve in _CURVES if curve in data.read_members() for point in data.list_rows(curve)]
        if points:
            return max(point.read_instant("timestamp") for point in points)
    raise NotChecked("there was no call in the last 30 days, so the server's time is not known")


def _find_past_window(context: LawContext) -> TimeWindow:
    """Return a past window with few calls, which do not change any more. Raises NotChecked."""
    return context.compute_once("modelrouter window", lambda: _search_window(context))


def _search_window(context: LawContext) -> TimeWindow:
    end = _read_server_time(context).replace(minute=0, second=0) - timedelta(hours=1)
    windows = [TimeWindow(end - timedelta(minutes=minutes), end) for minutes in _WINDOW_MINUTES]
    windows += [TimeWindow(end - timedelta(hours=n, minutes=20), end - timedelta(hours=n)) for n in range(1, 40)]
    for window in windows:
        if 0 < _read_data(context, METRICS, **window.query).read_integer("totalCalls") <= _MAX_CALLS:
            return window
    raise NotChecked("no window with a few calls was found")


def check_buckets(context: LawContext) -> LawResults:
    """Give each curve a point for every bucket of the range, in ascending order."""
    for time_range, (minutes, count) in context.find_figure("router-buckets", "buckets").items():
        exchange = context.call_ok(CHARTS, query={"timeRange": time_range})
        for curve in _CURVES:
            for label, times in _group_by_label(exchange.data.list_rows("data", curve)).items():
                if times != sorted(times):
                    expected = f"{curve} of {time_range} in ascending order"
                    yield BrokenLaw(CHARTS, expected, f"another order ({label})", exchange)
                steps = {(b - a).total_seconds() / 60 for a, b in pairwise(times)}
                if steps - {float(minutes)}:
                    expected = f"buckets of {minutes} minutes for {time_range}"
                    yield BrokenLaw(CHARTS, expected, f"{sorted(steps)[:4]} minutes", exchange, "assumed")
                # a window that ends within a bucket touches one more
                elif not count <= len(times) <= count + 1:
                    expected = f"{count} points for {time_range}"
                    yield BrokenLaw(CHARTS, expected, f"{len(times)}", exchange, "assumed")


def _group_by_label(points: list[JsonReader]) -> dict[str, list[datetime]]:
    lines: dict[str, list[datetime]] = {}
    for point in points:
        lines.setdefault(point.read_text("label"), []).append(point.read_instant("timestamp"))
    return lines


def check_half_open_windows(context: LawContext) -> LawResults:
    """Include the start of a window and exclude its end, so that two halves add up to the whole."""
    window = _find_past_window(context)
    middle = (window.start + (window.end - window.start) / 2).replace(second=0)
    if not window.start < middle < window.end:
        raise NotChecked("the window is too short to be divided")
    halves = (TimeWindow(window.start, middle), TimeWindow(middle, window.end))
    whole = _read_data(context, METRICS, **window.query)
    parts = [_read_data(context, METRICS, **half.query) for half in halves]
    for member in ("totalCalls", "inputTokens", "outputTokens"):
        counts = [part.read_integer(member) for part in parts]
        if sum(counts) != whole.read_integer(member):
            expected = f"{member} {whole.read_integer(member)} in both halves together"
            yield BrokenLaw(METRICS, expected, " + ".join(map(str, counts)), context.client.last)


def check_default_window(context: LawContext) -> LawResults:
    """Use the default range if no window is given."""
    time_range = context.find_figure("router-default-window", "time_range")
    default, day = (_read_span(context, query) for query in ({}, {"timeRange": time_range}))
    if default != day:
        expected = f"{day[0]} buckets, as for {time_range}"
        yield BrokenLaw(CHARTS, expected, f"{default[0]}", context.client.last, "assumed")


def _read_span(context: LawContext, query: dict[str, str]) -> tuple[int, timedelta]:
    """Return the number of buckets and the time between the first and the last."""
    points = context.read(CHARTS, query=query).list_rows("data", "callVolume")
    times = {point.read_instant("timestamp") for point in points}
    return len(times), max(times) - min(times) if times else timedelta(0)


def check_exclusive_parameters(context: LawContext) -> LawResults:
    """Reject contradictory or incomplete parameters, and name one of them in the code."""
    for operation in context.list_declared_operations(*MODELROUTER):
        for query, parameters in _list_exclusive_queries():
            exchange = context.call(operation.id, query=query)
            shown = " with ".join(f"{key}={value}" for key, value in query.items() if not value.startswith("20"))
            expected = f"an error for {shown or ' with '.join(query)}"
            problems = list(check_error(context, exchange, "invalid_parameter", expected))
            yield from problems
            if not problems and read_code_parameter(exchange) not in parameters:
                expected = f"a code that names {' or '.join(parameters)}"
                yield BrokenLaw(operation.id, expected, str(exchange.data.find("code")), exchange, "assumed")


def _list_exclusive_queries() -> tuple[tuple[dict[str, str], tuple[str, ...]], ...]:
    """Return invalid queries, each with the parameters that the error may name."""
    now = SYSTEM_CLOCK.now()
    start, end = format_instant(now - timedelta(hours=2)), format_instant(now - timedelta(hours=1))
    return (
        ({"timeRange": "1h", "startTime": start, "endTime": end}, ("timeRange", "startTime", "endTime")),
        ({"timeRange": "1h", "startTime": start}, ("timeRange", "startTime", "endTime")),
        ({"startTime": start}, ("endTime", "startTime")),
        ({"endTime": end}, ("startTime", "endTime")),
        ({"startTime": end, "endTime": start}, ("endTime", "startTime")),
        ({"startTime": start, "endTime": start}, ("endTime", "startTime")),
        ({"startTime": "yesterday", "endTime": end}, ("startTime",)),
        ({"clientId": "1", "clientIds": "1,2"}, ("clientId", "clientIds")),
        ({"clientIds": "1,,2"}, ("clientIds",)),
        ({"clientId": "one"}, ("clientId",)),
        ({"memberUserIds": "1;2"}, ("memberUserIds",)),
        ({"timeRange": "1H"}, ("timeRange",)),
    )


def check_page_parameters(context: LawContext) -> LawResults:
    """Reject an empty page, one of too many rows, page 0 and an unknown direction."""
    for name, bound in _INVALID_PAGES:
        schema = context.find_parameter(LOGS, name)
        value = schema[bound] + (1 if bound == "maximum" else -1) if bound else "UP"
        exchange = context.call(LOGS, query={name: value})
        yield from check_error(context, exchange, "invalid_parameter", f"an error for {name}={value}")


# Three views


def _read_log(context: LawContext, window: TimeWindow, **query: Json) -> list[JsonReader]:
    rows: list[JsonReader] = []
    for page in range(1, _MAX_PAGES + 1):
        data = _read_data(context, LOGS, **window.query, pageIndex=page, pageSize=50, **query)
        new = data.list_rows("list")
        rows += new
        if len(rows) >= data.read_integer("total") or not new:
            break
    return rows


def check_views_agree(context: LawContext) -> LawResults:
    """Show the same calls and tokens in charts, metrics and logs of one window."""
    window = _find_past_window(context)
    charts, charts_exchange = _read_data(context, CHARTS, **window.query), context.client.last
    metrics, metrics_exchange = _read_data(context, METRICS, **window.query), context.client.last
    rows, logs_exchange = _read_log(context, window), context.client.last
    calls = metrics.read_integer("totalCalls")
    yield from _expect_equal(CHARTS, "the sum of callVolume", calls, _sum_curve(charts, "callVolume"), charts_exchange)
    yield from _expect_equal(LOGS, "as many rows as totalCalls", calls, len(rows), logs_exchange)
    for member, column in (("inputTokens", "promptTokens"), ("outputTokens", "completionTokens")):
        total = sum(row.read_integer(column) for row in rows)
        what = f"{member}, the sum of {column} in the log"
        yield from _expect_equal(METRICS, what, total, metrics.read_integer(member), metrics_exchange)
    successes = sum(row.find("status") == "success" for row in rows)
    rate = 100 * successes / len(rows) if rows else 0
    if abs(rate - metrics.read_number("successRate")) > 0.02:
        seen = str(metrics.read_number("successRate"))
        yield BrokenLaw(METRICS, f"successRate {rate:.2f}, as in the log", seen, metrics_exchange)
    mean = sum(row.read_number("responseTimeMs") for row in rows) / len(rows) if rows else 0
    if abs(mean - metrics.read_number("avgResponseTime")) > max(1.0, mean / 100):
        seen = str(metrics.read_number("avgResponseTime"))
        yield BrokenLaw(METRICS, f"avgResponseTime {mean:.2f}, as in the log", seen, metrics_exchange)


def _sum_curve(charts: JsonReader, curve: str) -> float:
    return round(sum(point.read_number("value") for point in charts.list_rows(curve)), 6)


def _expect_equal(name: str, what: str, expected: float, seen: float, exchange: HttpExchange | None) -> LawResults:
    if expected != seen:
        yield BrokenLaw(name, f"{what}: {expected}", str(seen), exchange)


def check_curves_agree(context: LawContext) -> LawResults:
    """Show calls and tokens per minute that add up to the calls and tokens of the window."""
    window = _find_past_window(context)
    exchange = context.call_ok(CHARTS, query=window.query)
    charts = exchange.data.at("data")
    times = sorted({point.read_instant("timestamp") for point in charts.list_rows("callVolume")})
    bucket = times[1] - times[0] if len(times) > 1 else window.end - window.start
    minutes = bucket.total_seconds() / 60
    calls, calls_by_rate = _sum_curve(charts, "callVolume"), _sum_curve(charts, "qpm") * minutes
    if abs(calls - calls_by_rate) > max(0.5, calls / 50):
        yield BrokenLaw(CHARTS, f"qpm that make {calls} calls", f"{calls_by_rate:.2f}", exchange, "assumed")
    tokens = sum(row.read_integer("totalTokens") for row in _read_log(context, window))
    tokens_by_rate = _sum_curve(charts, "tpm") * minutes
    if abs(tokens - tokens_by_rate) > max(5, tokens / 50):
        yield BrokenLaw(CHARTS, f"tpm that make {tokens} tokens", f"{tokens_by_rate:.2f}", exchange, "assumed")


def check_log_rows(context: LawContext) -> LawResults:
    """Log a call with a total of its prompt and completion tokens, the same in `usage`, and within the window."""
    window = _find_past_window(context)
    for row in _read_log(context, window):
        prompt, completion, total = _read_tokens(row)
        if total != prompt + completion:
            seen = f"{prompt} + {completion} given as {total}"
            yield BrokenLaw(LOGS, "totalTokens = promptTokens + completionTokens", seen, context.client.last)
        if _read_tokens(row.at("usage")) != (prompt, completion, total):
            seen = f"{list(_read_tokens(row.at('usage')))}"
            yield BrokenLaw(LOGS, "the same tokens in `usage`", seen, context.client.last)
        if not window.start <= row.read_instant("requestTime") < window.end:
            expected = f"calls from {format_instant(window.start)} to {format_instant(window.end)}"
            yield BrokenLaw(LOGS, expected, row.read_text("requestTime"), context.client.last)


def _read_tokens(row: JsonReader) -> tuple[int, int, int]:
    return row.read_integer("promptTokens"), row.read_integer("completionTokens"), row.read_integer("totalTokens")


def check_log_order(context: LawContext) -> LawResults:
    """List the newest call first, unless `orderBy` and `orderDirection` request another order."""
    window = _find_past_window(context)
    for query, column, descending in (
        ({}, "requestTime", True),
        ({"orderBy": "requestTime", "orderDirection": "ASC"}, "requestTime", False),
        ({"orderBy": "totalTokens", "orderDirection": "DESC"}, "totalTokens", True),
    ):
        rows = _read_log(context, window, **query)
        values = [
            row.read_instant(column).timestamp() if column == "requestTime" else row.read_integer(column)
            for row in rows
        ]
        if values != sorted(values, reverse=descending):
            expected = f"{column} {'descending' if descending else 'ascending'} for {query or 'no order'}"
            yield BrokenLaw(LOGS, expected, "another order", context.client.last)


def check_log_pages(context: LawContext) -> LawResults:
    """Show every call once in pages by number and by token, and answer with an empty page after the last."""
    window = _find_past_window(context)
    whole = _list_ids(_read_log(context, window))
    for parameter, ids in (
        ("pageIndex", _read_pages_by_index(context, window, len(whole))),
        ("nextToken", _read_pages_by_token(context, window, len(whole))),
    ):
        if ids != whole:
            seen = f"{len(ids)} rows, {len(set(ids))} different, of {len(whole)}"
            yield BrokenLaw(LOGS, f"every call once by {parameter}", seen, context.client.last)
    after = context.call_ok(LOGS, query={**window.query, "pageIndex": 1000, "pageSize": 50})
    if rows := after.data.list_rows("data", "list"):
        yield BrokenLaw(LOGS, "an empty page after the last", f"{len(rows)} rows", after)


def _list_ids(rows: list[JsonReader]) -> list[str]:
    return [str(row.at("id").value) for row in rows]


def _read_pages_by_index(context: LawContext, window: TimeWindow, count: int) -> list[str]:
    ids: list[str] = []
    for page in range(1, count // _PAGE_SIZE + 2):
        data = _read_data(context, LOGS, **window.query, pageIndex=page, pageSize=_PAGE_SIZE)
        ids += _list_ids(data.list_rows("list"))
    return ids


def _read_pages_by_token(context: LawContext, window: TimeWindow, count: int) -> list[str]:
    ids: list[str] = []
    token: Json = None
    for _ in range(count // _PAGE_SIZE + 2):
        page = context.read(LOGS, query={**window.query, "maxResults": _PAGE_SIZE, "nextToken": token or None})
        ids += _list_ids(page.list_rows("data", "list"))
        token = page.at("nextToken").value
        if not token:
            break
    return ids


def check_filters(context: LawContext) -> LawResults:
    """Select the calls with the value of a filter, and none for an unknown id."""
    window = _find_past_window(context)
    rows = _read_log(context, window)
    if not rows:
        raise NotChecked("the log of the window is empty")
    for parameter, column in _FILTERS:
        values = [row.at(column).value for row in rows]
        # 0 means none, which a gateway may not filter by
        value = next(filter(None, values), values[0])
        query = {**window.query, parameter: value}
        for name, seen in (
            (LOGS, _read_data(context, LOGS, **query).read_integer("total")),
            (METRICS, _read_data(context, METRICS, **query).read_integer("totalCalls")),
            (CHARTS, _sum_curve(_read_data(context, CHARTS, **query), "callVolume")),
        ):
            what = f"calls with {parameter}={value}"
            yield from _expect_equal(name, what, values.count(value), seen, context.client.last)
    calls = _read_data(context, METRICS, **window.query, apiKeyId=2**40).read_integer("totalCalls")
    if calls:
        yield BrokenLaw(METRICS, "no call of a key that does not exist", f"{calls}", context.client.last)


_law = partial(Law, area="modelrouter", needs=("access_secret",))
_access_law = partial(_law, operations=MODELROUTER, area="access")

LAWS = (
    _law("signature-right", "Signed requests are accepted", check_valid_signature, MODELROUTER),
    _access_law("signature-missing", "Unsigned requests are rejected", check_missing_signature),
    _access_law("signature-wrong", "Wrong signatures are rejected", check_wrong_signature),
    _access_law("signature-stale", "Stale signatures are rejected", check_stale_signature),
    _access_law("signature-replayed", "Signatures are valid once", check_repeated_signature),
    _access_law("signature-tampered", "Requests changed after signing are rejected", check_changed_request),
    _law("router-exclusions", "Exclusive parameters are rejected", check_exclusive_parameters, MODELROUTER),
    _law("router-paging-bounds", "Invalid pages are rejected", check_page_parameters, (LOGS,)),
    _law("router-buckets", "Curves have all buckets", check_buckets, (CHARTS,)),
    _law("router-default-window", "The default window is a day", check_default_window, (CHARTS,)),
    _law("router-half-open", "Windows exclude their end", check_half_open_windows, (METRICS,)),
    _law("router-views", "Charts, metrics and logs agree", check_views_agree, MODELROUTER),
    _law("router-curves", "Curves agree with each other", check_curves_agree, (CHARTS,)),
    _law("router-log-rows", "Log rows add up", check_log_rows, (LOGS,)),
    _law("router-log-order", "The log is in order", check_log_order, (LOGS,)),
    _law("router-log-pages", "The log has pages", check_log_pages, (LOGS,)),
    _law("router-filters", "Filters select calls", check_filters, MODELROUTER),
)
