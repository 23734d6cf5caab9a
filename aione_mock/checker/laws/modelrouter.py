"""ModelRouter: signatures, windows, exclusions, and three views of the same calls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from aione_mock.checker.context import LawContext, broken, instant
from aione_mock.checker.finding import NotChecked
from aione_mock.checker.law import Law, LawResults
from aione_mock.checker.laws.areas import CHARTS, LOGS, METRICS, ROUTER
from aione_mock.checker.laws.errors import refusal
from aione_mock.checker.traffic import HttpExchange, HttpRequest
from aione_mock.clock import SYSTEM_CLOCK, format_instant
from aione_mock.contract import Operation
from aione_mock.structs import replace
from aione_mock.types import Json

BUCKETS = {"1h": (1, 60), "6h": (5, 72), "24h": (15, 96), "7d": (120, 84), "30d": (360, 120)}
"""timeRange → minutes of a bucket, buckets."""
_CURVES = ("qpm", "tpm", "concurrency", "callVolume", "successRate", "responseTime")
_FEW = 120
"""Calls of a window whose log is read whole."""


# Signature


def _requests(context: LawContext) -> Iterator[tuple[Operation, HttpRequest]]:
    for name in ROUTER:
        if name in context.contract.operations:
            yield context.contract.operations[name], context.client.request(name, query={"timeRange": "1h"}, auth=None)


def _denied(context: LawContext, operation: Operation, request: HttpRequest, what: str) -> LawResults:
    yield from refusal(operation, "permission_denied", context.client.send(request), expected=f"403 for {what}")


def signature_right(context: LawContext) -> LawResults:
    """A request that is signed as described is answered, whatever its parameters hold."""
    for operation, plain in _requests(context):
        for query in ("timeRange=1h", "orderBy=a%20b%2Bc~d%2A&timeRange=6h", "memberUserIds=&timeRange=1h"):
            key, secret = context.target.access_key or "", context.target.access_secret or ""
            exchange = context.client.send(context.client.signed(replace(plain, query=query), key, secret))
            if exchange.status == 403:
                yield broken(operation, f"200 for a signed request with {query}", exchange.outcome, exchange)


def signature_missing(context: LawContext) -> LawResults:
    """A request without a signature is refused with 403."""
    for operation, plain in _requests(context):
        yield from _denied(context, operation, plain, "a request without a signature")
        bearer = replace(plain, headers=(("authorization", "Bearer something"),))
        yield from _denied(context, operation, bearer, "a bearer token in place of a signature")


def signature_wrong(context: LawContext) -> LawResults:
    """A request that is signed with another secret, or by nobody, is refused with 403."""
    key = context.target.access_key or ""
    for operation, plain in _requests(context):
        yield from _denied(context, operation, context.client.signed(plain, key, "not-the-secret"), "another secret")
        nobody = context.client.signed(plain, "no-such-access-key", "not-the-secret")
        yield from _denied(context, operation, nobody, "an access key that does not exist")


def _signed(context: LawContext, plain: HttpRequest, **given: Any) -> HttpRequest:
    return context.client.signed(plain, context.target.access_key or "", context.target.access_secret or "", **given)


def signature_stale(context: LawContext) -> LawResults:
    """A signature is good for 15 minutes, before as after: an older or a later one is refused with 403."""
    now = SYSTEM_CLOCK.timestamp()
    for operation, plain in _requests(context):
        for seconds, what in ((-1020, "a signature 17 minutes old"), (1020, "a signature 17 minutes ahead")):
            yield from _denied(context, operation, _signed(context, plain, at=now + seconds), what)
        exchange = context.client.send(_signed(context, plain, at=now - 600))
        if exchange.status == 403:
            yield broken(
                operation, "200 for a signature 10 minutes old", exchange.outcome, exchange, evidence="assumed"
            )


def signature_replayed(context: LawContext) -> LawResults:
    """A signed request is good once: the same nonce again is refused with 403."""
    for operation, plain in _requests(context):
        request = _signed(context, plain)
        first = context.client.send(request)
        if first.status != 403:
            yield from _denied(context, operation, request, "a request that is sent again")


def signature_tampered(context: LawContext) -> LawResults:
    """A request whose query, headers or body is not what was signed is refused with 403."""
    for operation, plain in _requests(context):
        request = _signed(context, plain)
        yield from _denied(context, operation, replace(request, query="timeRange=30d"), "a query that was changed")
        request = _signed(context, plain)
        yield from _denied(
            context, operation, replace(request, query="timeRange=1h&clientId=1"), "a parameter that was added"
        )
        request = _signed(context, plain)
        body = replace(request, body=b'{"a":1}', headers=(*request.headers, ("content-type", "application/json")))
        yield from _denied(context, operation, body, "a body that was not signed")
        request = _signed(context, plain)
        moved = tuple((n, "2020-01-01T00:00:00Z" if n == "x-acs-date" else v) for n, v in request.headers)
        yield from _denied(context, operation, replace(request, headers=moved), "a date that was changed")


# Windows


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """A window of one's own."""

    start: datetime
    end: datetime

    @property
    def query(self) -> dict[str, str]:
        """As parameters."""
        return {"startTime": format_instant(self.start), "endTime": format_instant(self.end)}


def _data(context: LawContext, name: str, **query: Json) -> Json:
    return context.read(name, query=query)["data"]


def server_now(context: LawContext) -> datetime:
    """The server's time, to a bucket: the last point of the shortest time range with calls. Raises NotChecked."""
    for time_range in BUCKETS:
        data = _data(context, CHARTS, timeRange=time_range)
        if points := [point for name in _CURVES for point in data.get(name, [])]:
            return max(instant(point["timestamp"]) for point in points)
    raise NotChecked("there was no call in the last 30 days, so the server's time is not known")


def _past(context: LawContext) -> TimeWindow:
    """A window in the past with few calls in it, so that nothing moves and the whole log can be read."""

    def find() -> TimeWindow:
        end = server_now(context).replace(minute=0, second=0) - timedelta(hours=1)
        for minutes in (180, 60, 20, 10, 5, 2, 1):
            window = TimeWindow(end - timedelta(minutes=minutes), end)
            if 0 < _data(context, METRICS, **window.query)["totalCalls"] <= _FEW:
                return window
        for hours in range(1, 40):
            window = TimeWindow(end - timedelta(hours=hours, minutes=20), end - timedelta(hours=hours))
            if 0 < _data(context, METRICS, **window.query)["totalCalls"] <= _FEW:
                return window
        raise NotChecked("no window with a few calls was found")

    return context.memo("modelrouter/past", find)


def buckets(context: LawContext) -> LawResults:
    """Each time range has buckets of its own width, all of them present, in ascending order, one point each in
    every line.
    """
    for time_range, (minutes, count) in BUCKETS.items():
        exchange = context.ok(CHARTS, query={"timeRange": time_range})
        data = exchange.json["data"]
        for curve in _CURVES:
            for label, times in _lines(data[curve]).items():
                if times != sorted(times):
                    yield broken(
                        CHARTS, f"{curve} of {time_range} in ascending order", f"another order ({label})", exchange
                    )
                steps = {(b - a).total_seconds() / 60 for a, b in pairwise(times)}
                if steps - {float(minutes)}:
                    seen = f"{sorted(steps)[:4]} minutes"
                    yield broken(
                        CHARTS, f"buckets of {minutes} minutes for {time_range}", seen, exchange, evidence="assumed"
                    )
                # a window that ends within a bucket touches one more
                elif not count <= len(times) <= count + 1:
                    yield broken(
                        CHARTS, f"{count} points for {time_range}", f"{len(times)}", exchange, evidence="assumed"
                    )


def _lines(points: list[Json]) -> dict[str, list[datetime]]:
    lines: dict[str, list[datetime]] = {}
    for point in points:
        lines.setdefault(point["label"], []).append(instant(point["timestamp"]))
    return lines


def half_open(context: LawContext) -> LawResults:
    """A window includes its start and excludes its end: two that meet hold what one over both holds."""
    window = _past(context)
    middle = window.start + (window.end - window.start) / 2
    middle = middle.replace(second=0)
    if not window.start < middle < window.end:
        raise NotChecked("the window is too short to be cut")
    whole = _data(context, METRICS, **window.query)
    parts = [
        _data(context, METRICS, **half.query)
        for half in (TimeWindow(window.start, middle), TimeWindow(middle, window.end))
    ]
    for member in ("totalCalls", "inputTokens", "outputTokens"):
        if sum(part[member] for part in parts) != whole[member]:
            seen = " + ".join(str(part[member]) for part in parts)
            yield broken(METRICS, f"{member} {whole[member]} in both halves together", seen, context.client.last)


def default_window(context: LawContext) -> LawResults:
    """No window given means `24h`."""
    spans = []
    for query in ({}, {"timeRange": "24h"}):
        exchange = context.ok(CHARTS, query=query)
        times = [instant(point["timestamp"]) for point in exchange.json["data"]["callVolume"]]
        spans.append((len(set(times)), (max(times) - min(times)) if times else timedelta(0)))
    if spans[0] != spans[1]:
        yield broken(
            CHARTS, f"{spans[1][0]} buckets, as for 24h", f"{spans[0][0]}", context.client.last, evidence="assumed"
        )


def exclusions(context: LawContext) -> LawResults:
    """What may not stand together, alone or the wrong way round is refused with 400, and the code names the
    parameter.
    """
    now = SYSTEM_CLOCK.now()
    start, end = format_instant(now - timedelta(hours=2)), format_instant(now - timedelta(hours=1))
    cases: tuple[tuple[dict[str, str], tuple[str, ...]], ...] = (
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
    for name in [name for name in ROUTER if name in context.contract.operations]:
        operation = context.contract.operations[name]
        for query, parameters in cases:
            exchange = context.call(name, query=query)
            told = " with ".join(f"{key}={value}" for key, value in query.items() if not value.startswith("20"))
            what = f"400 for {told or ' with '.join(query)}"
            problems = list(refusal(operation, "invalid_parameter", exchange, expected=what))
            yield from problems
            if not problems and str(exchange.json.get("code")).partition(".")[2] not in parameters:
                seen = str(exchange.json.get("code"))
                yield broken(
                    operation, f"a code that names {' or '.join(parameters)}", seen, exchange, evidence="assumed"
                )


def paging_bounds(context: LawContext) -> LawResults:
    """A page of no rows, of more than 50, or one before the first, and an unknown direction are refused with 400."""
    operation = context.contract.operations[LOGS]
    for query in ({"pageSize": 0}, {"pageSize": 51}, {"pageIndex": 0}, {"orderDirection": "UP"}, {"maxResults": 51}):
        name = next(iter(query))
        exchange = context.call(LOGS, query=query)
        yield from refusal(operation, "invalid_parameter", exchange, expected=f"400 for {name}={query[name]}")


# Three views


def _log(context: LawContext, window: TimeWindow, **query: Json) -> list[Json]:
    rows: list[Json] = []
    for page in range(1, 20):
        data = _data(context, LOGS, **window.query, pageIndex=page, pageSize=50, **query)
        rows += data["list"]
        if len(rows) >= data["total"] or not data["list"]:
            break
    return rows


def views_agree(context: LawContext) -> LawResults:
    """Charts, metrics and logs of one window show the same calls and the same tokens."""
    window = _past(context)
    charts, exchange = _data(context, CHARTS, **window.query), context.client.last
    metrics = _data(context, METRICS, **window.query)
    last = context.client.last
    rows, logs = _log(context, window), context.client.last
    yield from _equal(CHARTS, "the sum of callVolume", metrics["totalCalls"], _sum(charts["callVolume"]), exchange)
    yield from _equal(LOGS, "as many rows as totalCalls", metrics["totalCalls"], len(rows), logs)
    for member, column in (("inputTokens", "promptTokens"), ("outputTokens", "completionTokens")):
        yield from _equal(
            METRICS, f"{member}, the sum of {column} in the log", sum(r[column] for r in rows), metrics[member], last
        )
    good = sum(row["status"] == "success" for row in rows)
    share = 100 * good / len(rows) if rows else 0
    if abs(share - metrics["successRate"]) > 0.02:
        yield broken(METRICS, f"successRate {share:.2f}, as in the log", str(metrics["successRate"]), last)
    mean = sum(row["responseTimeMs"] for row in rows) / len(rows) if rows else 0
    if abs(mean - metrics["avgResponseTime"]) > max(1.0, mean / 100):
        yield broken(METRICS, f"avgResponseTime {mean:.2f}, as in the log", str(metrics["avgResponseTime"]), last)


def _sum(points: list[Json]) -> float:
    total: float = sum(point["value"] for point in points)
    return round(total, 6)


def _equal(name: str, what: str, wanted: float, seen: float, exchange: HttpExchange | None) -> LawResults:
    if wanted != seen:
        yield broken(name, f"{what}: {wanted}", str(seen), exchange)


def curves_agree(context: LawContext) -> LawResults:
    """Calls per minute times the minutes of a bucket are its calls, and tokens per minute its tokens."""
    window = _past(context)
    exchange = context.ok(CHARTS, query=window.query)
    data = exchange.json["data"]
    times = sorted({instant(point["timestamp"]) for point in data["callVolume"]})
    minutes = (
        (times[1] - times[0]).total_seconds() / 60
        if len(times) > 1
        else (window.end - window.start).total_seconds() / 60
    )
    calls, rate = _sum(data["callVolume"]), _sum(data["qpm"]) * minutes
    if abs(calls - rate) > max(0.5, calls / 50):
        yield broken(CHARTS, f"qpm that make {calls} calls", f"{rate:.2f}", exchange, evidence="assumed")
    rows = _log(context, window)
    tokens, flow = sum(row["totalTokens"] for row in rows), _sum(data["tpm"]) * minutes
    if abs(tokens - flow) > max(5, tokens / 50):
        yield broken(CHARTS, f"tpm that make {tokens} tokens", f"{flow:.2f}", exchange, evidence="assumed")


def log_rows(context: LawContext) -> LawResults:
    """A row's total is its prompt and completion tokens, its nested usage says the same, and it lies in the window."""
    window = _past(context)
    for row in _log(context, window):
        if row["totalTokens"] != row["promptTokens"] + row["completionTokens"]:
            seen = f"{row['promptTokens']} + {row['completionTokens']} given as {row['totalTokens']}"
            yield broken(LOGS, "totalTokens = promptTokens + completionTokens", seen, context.client.last)
        nested = [row["usage"][member] for member in ("promptTokens", "completionTokens", "totalTokens")]
        if nested != [row["promptTokens"], row["completionTokens"], row["totalTokens"]]:
            yield broken(LOGS, "the same tokens in `usage`", f"{nested}", context.client.last)
        if not window.start <= instant(row["requestTime"]) < window.end:
            yield broken(
                LOGS,
                f"calls from {format_instant(window.start)} to {format_instant(window.end)}",
                row["requestTime"],
                context.client.last,
            )


def log_order(context: LawContext) -> LawResults:
    """The newest call comes first, unless `orderBy` and `orderDirection` say otherwise."""
    window = _past(context)
    for query, column, descending in (
        ({}, "requestTime", True),
        ({"orderBy": "requestTime", "orderDirection": "ASC"}, "requestTime", False),
        ({"orderBy": "totalTokens", "orderDirection": "DESC"}, "totalTokens", True),
    ):
        found = [row[column] for row in _log(context, window, **query)]
        found = [instant(value) for value in found] if column == "requestTime" else found
        if found != sorted(found, reverse=descending):
            what = f"{column} {'descending' if descending else 'ascending'}"
            yield broken(LOGS, f"{what} for {query or 'no order'}", "another order", context.client.last)


def log_pages(context: LawContext) -> LawResults:
    """Both ways of turning pages, by number and by token, show every call once; a page beyond the last is empty."""
    window = _past(context)
    whole = [row["id"] for row in _log(context, window)]
    for way, found in (
        ("pageIndex", _by_number(context, window, len(whole))),
        ("nextToken", _by_token(context, window, len(whole))),
    ):
        if found != whole:
            seen = f"{len(found)} rows, {len(set(found))} different, of {len(whole)}"
            yield broken(LOGS, f"every call once by {way}", seen, context.client.last)
    beyond = context.ok(LOGS, query={**window.query, "pageIndex": 1000, "pageSize": 50})
    if beyond.json["data"]["list"]:
        yield broken(LOGS, "an empty page beyond the last", f"{len(beyond.json['data']['list'])} rows", beyond)


def _by_number(context: LawContext, window: TimeWindow, count: int) -> list[Json]:
    found: list[Json] = []
    for page in range(1, count // 7 + 2):
        rows = _data(context, LOGS, **window.query, pageIndex=page, pageSize=7)["list"]
        found += [row["id"] for row in rows]
    return found


def _by_token(context: LawContext, window: TimeWindow, count: int) -> list[Json]:
    found: list[Json] = []
    token = ""
    for _ in range(count // 7 + 2):
        page = context.read(LOGS, query={**window.query, "maxResults": 7, "nextToken": token or None})
        found += [row["id"] for row in page["data"]["list"]]
        token = page["nextToken"]
        if not token:
            break
    return found


def filters(context: LawContext) -> LawResults:
    """A filter selects the calls that have its value; an id that does not exist selects nothing."""
    window = _past(context)
    rows = _log(context, window)
    for parameter, column in (
        ("clientId", "clientId"),
        ("apiKeyId", "apiKeyId"),
        ("modelId", "modelId"),
        ("clientIds", "clientId"),
    ):
        # 0 stands for none, where a gateway may look for nothing
        value = next((row[column] for row in rows if row[column]), rows[0][column])
        wanted = sum(row[column] == value for row in rows)
        for name, seen in (
            (LOGS, _data(context, LOGS, **window.query, **{parameter: value})["total"]),
            (METRICS, _data(context, METRICS, **window.query, **{parameter: value})["totalCalls"]),
            (CHARTS, _sum(_data(context, CHARTS, **window.query, **{parameter: value})["callVolume"])),
        ):
            yield from _equal(name, f"calls with {parameter}={value}", wanted, seen, context.client.last)
    nothing = _data(context, METRICS, **window.query, apiKeyId=2**40)
    if nothing["totalCalls"]:
        yield broken(METRICS, "no call of a key that does not exist", f"{nothing['totalCalls']}", context.client.last)


LAWS = (
    Law(
        "signature-right",
        "Signed requests are answered",
        signature_right,
        ROUTER,
        ("access_secret",),
        area="modelrouter",
    ),
    Law(
        "signature-missing",
        "Unsigned requests are refused",
        signature_missing,
        ROUTER,
        ("access_secret",),
        area="access",
    ),
    Law("signature-wrong", "Wrong signatures are refused", signature_wrong, ROUTER, ("access_secret",), area="access"),
    Law("signature-stale", "Stale signatures are refused", signature_stale, ROUTER, ("access_secret",), area="access"),
    Law(
        "signature-replayed", "Signatures are good once", signature_replayed, ROUTER, ("access_secret",), area="access"
    ),
    Law(
        "signature-tampered",
        "What was changed after signing is refused",
        signature_tampered,
        ROUTER,
        ("access_secret",),
        area="access",
    ),
    Law(
        "router-exclusions",
        "What may not stand together is refused",
        exclusions,
        ROUTER,
        ("access_secret",),
        area="modelrouter",
    ),
    Law("router-paging-bounds", "Pages have bounds", paging_bounds, ROUTER[2:], ("access_secret",), area="modelrouter"),
    Law("router-buckets", "Curves have all their buckets", buckets, ROUTER[:1], ("access_secret",), area="modelrouter"),
    Law(
        "router-default-window",
        "No window means a day",
        default_window,
        ROUTER[:1],
        ("access_secret",),
        "assumed",
        area="modelrouter",
    ),
    Law(
        "router-half-open",
        "Windows exclude their end",
        half_open,
        ROUTER[1:2],
        ("access_secret",),
        "assumed",
        area="modelrouter",
    ),
    Law(
        "router-views",
        "Charts, metrics and logs agree",
        views_agree,
        ROUTER,
        ("access_secret",),
        "assumed",
        area="modelrouter",
    ),
    Law(
        "router-curves",
        "Curves agree with each other",
        curves_agree,
        ROUTER[:1],
        ("access_secret",),
        "assumed",
        area="modelrouter",
    ),
    Law("router-log-rows", "Log rows add up", log_rows, ROUTER[2:], ("access_secret",), area="modelrouter"),
    Law(
        "router-log-order",
        "The log is in order",
        log_order,
        ROUTER[2:],
        ("access_secret",),
        "assumed",
        area="modelrouter",
    ),
    Law("router-log-pages", "The log turns its pages", log_pages, ROUTER[2:], ("access_secret",), area="modelrouter"),
    Law("router-filters", "Filters select calls", filters, ROUTER, ("access_secret",), area="modelrouter"),
)
