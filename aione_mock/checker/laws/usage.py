"""Figures of use: they add up, they cover the window that was asked for, and a call moves them by what it used."""

from __future__ import annotations

from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal

from aione_mock.checker.client import Auth
from aione_mock.checker.context import LawContext, TemporaryKey, broken
from aione_mock.checker.finding import NotChecked
from aione_mock.checker.law import Law, LawResults
from aione_mock.checker.laws.amounts import UsageTotals, between, days, today
from aione_mock.checker.laws.areas import BILLING, CHAT, FIGURES
from aione_mock.checker.laws.errors import refusal
from aione_mock.checker.protocols import ChatQuestion
from aione_mock.checker.traffic import HttpExchange
from aione_mock.types import Json

GROUPS = ("day", "model", "team", "key")
_DIMENSION = {"day": "date", "model": "model", "team": "team_id", "key": "key_id"}
_PATIENCE = (0.0, 0.3, 0.7, 1.0, 2.0)
"""Seconds that figures are given to show a call, again and again."""


def rows_add_up(context: LawContext) -> LawResults:
    """In each usage row `total_tokens` is prompt plus completion, and the dimensions that were not grouped are null."""
    for group in GROUPS:
        exchange = context.ok("queryUsage", query={"group_by": group})
        for row in exchange.json:
            if row["total_tokens"] != row["prompt_tokens"] + row["completion_tokens"]:
                seen = f"{row['prompt_tokens']} + {row['completion_tokens']} given as {row['total_tokens']}"
                yield broken("queryUsage", "total = prompt + completion in each row", seen, exchange)
            if filled := [m for g, m in _DIMENSION.items() if g != group and row[m] is not None]:
                yield broken("queryUsage", f"null beside {_DIMENSION[group]}", f"{', '.join(filled)} filled", exchange)


def groupings_agree(context: LawContext) -> LawResults:
    """Every grouping of the same days adds up to the same totals."""
    window = _window(context, 7)
    before = UsageTotals.of(context.read("queryUsage", query={**window, "group_by": "day"}))
    for group in GROUPS[1:]:
        exchange = context.ok("queryUsage", query={**window, "group_by": group})
        found = UsageTotals.of(exchange.json)
        after = UsageTotals.of(context.read("queryUsage", query={**window, "group_by": "day"}))
        for name in ("requests", "total", "cost"):
            if not between(getattr(before, name), getattr(found, name), getattr(after, name)):
                expected = f"by {group} the same {name} as by day"
                yield broken("queryUsage", expected, f"{getattr(found, name)}, not {getattr(after, name)}", exchange)
        before = after


def _window(context: LawContext, count: int) -> dict[str, str]:
    last = today(context)
    return {"start_date": (last - timedelta(days=count - 1)).isoformat(), "end_date": last.isoformat()}


def usage_window(context: LawContext) -> LawResults:
    """A window includes its first and its last day and nothing else; without dates it is the last seven days."""
    last = today(context)
    for query, first, end in (
        ({}, last - timedelta(days=6), last),
        (
            {"start_date": (last - timedelta(days=9)).isoformat(), "end_date": (last - timedelta(days=3)).isoformat()},
            last - timedelta(days=9),
            last - timedelta(days=3),
        ),
        ({"end_date": (last - timedelta(days=2)).isoformat()}, last - timedelta(days=8), last - timedelta(days=2)),
    ):
        exchange = context.ok("queryUsage", query={**query, "group_by": "day"})
        found = [row["date"] for row in exchange.json]
        if outside := sorted(set(found) - set(days(first, end))):
            yield broken("queryUsage", f"days from {first} to {end}", f"also {', '.join(outside[:5])}", exchange)
        if found != sorted(set(found)):
            yield broken("queryUsage", "each day once, in ascending order", ", ".join(found[:8]), exchange)
        # a day with use in a window of its own must not be missing from a wider one
        for day in (first, end):
            alone = context.read("queryUsage", query={"start_date": day.isoformat(), "end_date": day.isoformat()})
            if alone and day.isoformat() not in found:
                yield broken("queryUsage", f"{day}, which the window includes", "no such day", exchange)


def usage_order(context: LawContext) -> LawResults:
    """Groupings other than by day begin with the most expensive row."""
    for group in GROUPS[1:]:
        exchange = context.ok("queryUsage", query={"group_by": group})
        costs = [Decimal(str(row["cost_rmb"])) for row in exchange.json]
        if costs != sorted(costs, reverse=True):
            yield broken("queryUsage", f"by {group}, the most expensive first", "another order", exchange)


def usage_filters(context: LawContext) -> LawResults:
    """A filter selects what the grouping by the same thing shows in one row; something unknown selects nothing."""
    last = today(context) - timedelta(days=1)
    window = {"start_date": (last - timedelta(days=6)).isoformat(), "end_date": last.isoformat()}
    for group in GROUPS[1:]:
        member = _DIMENSION[group]
        for row in [row for row in context.read("queryUsage", query={**window, "group_by": group}) if row[member]][:2]:
            exchange = context.ok("queryUsage", query={**window, member: row[member]})
            if UsageTotals.of(exchange.json) != UsageTotals.of([row]):
                yield broken(
                    "queryUsage", f"{member}: {UsageTotals.of([row])}", str(UsageTotals.of(exchange.json)), exchange
                )
    exchange = context.ok("queryUsage", query={"model": "no-such-model-7"})
    if exchange.json:
        yield broken("queryUsage", "no row for a model that does not exist", f"{len(exchange.json)} rows", exchange)


def usage_limits(context: LawContext) -> LawResults:
    """A window of more than 90 days, and one that ends before it starts, are refused with 422."""
    operation, last = context.contract.operations["queryUsage"], today(context)
    whole = {"start_date": (last - timedelta(days=89)).isoformat(), "end_date": last.isoformat()}
    exchange = context.call("queryUsage", query=whole)
    if exchange.status != 200:
        yield broken(operation, "90 days to be taken", exchange.outcome, exchange)
    for first, end, what in ((90, 0, "91 days"), (0, 3, "a start after the end")):
        query = {
            "start_date": (last - timedelta(days=first)).isoformat(),
            "end_date": (last - timedelta(days=end)).isoformat(),
        }
        refused = context.call("queryUsage", query=query)
        yield from refusal(operation, "validation_error", refused, expected=f"422 for {what}")


# Dashboard


def view(context: LawContext, mode: str) -> tuple[HttpExchange, Json]:
    """The dashboard in one view. Raises NotChecked when no credential of that view was given."""
    for token in (context.target.token, context.target.business_token):
        if token:
            exchange = context.ok("getDashboard", query={"range_days": 7}, auth=Auth("consoleToken", token))
            if exchange.json["view_mode"] == mode:
                return exchange, exchange.json[mode]
    raise NotChecked(f"no token with the {mode} view was given")


def dashboard_window(context: LawContext) -> LawResults:
    """`daily_trend` has one entry for each day of the range, today included, oldest first; the range is 7 days by
    default.
    """
    for asked, count in ((None, 7), (1, 1), (30, 30), (90, 90)):
        exchange = context.ok("getDashboard", query={"range_days": asked})
        body = exchange.json
        trend = [entry["date"] for entry in body[body["view_mode"]]["daily_trend"]]
        last = today(context)
        if trend != days(last - timedelta(days=count - 1), last):
            seen = f"{len(trend)} entries from {trend[0]} to {trend[-1]}" if trend else "none"
            yield broken("getDashboard", f"{count} days up to {last}", seen, exchange)


def dashboard_sums(context: LawContext) -> LawResults:
    """Trend and distribution of the engineers' view add up to its totals, and total tokens are prompt plus
    completion.
    """
    exchange, tech = view(context, "tech")
    trend, models = tech["daily_trend"], tech["model_distribution"]
    sums = (
        ("total_tokens", tech["prompt_tokens"] + tech["completion_tokens"], "prompt plus completion"),
        ("total_tokens", sum(day["tokens"] for day in trend), "the sum of daily_trend"),
        ("total_requests", sum(day["requests"] for day in trend), "the sum of daily_trend"),
        ("total_cost_rmb", sum((Decimal(str(d["cost_rmb"])) for d in trend), Decimal(0)), "the sum of daily_trend"),
        ("total_tokens", sum(model["tokens"] for model in models), "the sum of model_distribution"),
        ("total_requests", sum(model["requests"] for model in models), "the sum of model_distribution"),
    )
    for member, value, what in sums:
        if Decimal(str(tech[member])) != value:
            yield broken("getDashboard", f"{member} to be {what}, {value}", str(tech[member]), exchange)
    if [m["tokens"] for m in models] != sorted((m["tokens"] for m in models), reverse=True):
        yield broken("getDashboard", "model_distribution with most tokens first", "another order", exchange)


def dashboard_business(context: LawContext) -> LawResults:
    """Trend and team ranking of the payers' view add up to its totals, the ranking with the highest cost first."""
    exchange, business = view(context, "business")
    costs = [Decimal(str(team["cost_rmb"])) for team in business["team_cost_ranking"]]
    trend = sum((Decimal(str(day["cost_rmb"])) for day in business["daily_trend"]), Decimal(0))
    total = Decimal(str(business["total_cost_rmb"]))
    if sum(costs, Decimal(0)) != total:
        yield broken("getDashboard", f"team_cost_ranking to add up to {total}", str(sum(costs)), exchange)
    if trend != total:
        yield broken("getDashboard", f"daily_trend to add up to {total}", str(trend), exchange)
    if costs != sorted(costs, reverse=True):
        yield broken("getDashboard", "the highest cost first", "another order", exchange)
    talks = sum(team["conversations"] for team in business["team_cost_ranking"])
    if talks != business["total_conversations"]:
        yield broken("getDashboard", f"{business['total_conversations']} conversations", f"{talks} by team", exchange)


def views_agree(context: LawContext) -> LawResults:
    """Both views of the dashboard show the same cost."""
    _, tech = view(context, "tech")
    exchange, business = view(context, "business")
    _, later = view(context, "tech")
    low, high = Decimal(str(tech["total_cost_rmb"])), Decimal(str(later["total_cost_rmb"]))
    if not between(low, Decimal(str(business["total_cost_rmb"])), high):
        yield broken("getDashboard", f"total_cost_rmb {low}", str(business["total_cost_rmb"]), exchange)


def dashboard_is_usage(context: LawContext) -> LawResults:
    """The dashboard's totals are those of the usage rows of the same days."""
    for count in (1, 7):
        window = _window(context, count)
        before = UsageTotals.of(context.read("queryUsage", query=window))
        exchange = context.ok("getDashboard", query={"range_days": count})
        after = UsageTotals.of(context.read("queryUsage", query=window))
        shown = exchange.json[exchange.json["view_mode"]]
        cost = Decimal(str(shown["total_cost_rmb"]))
        if not between(before.cost, cost, after.cost):
            yield broken("getDashboard", f"total_cost_rmb {after.cost} over {count} days", str(cost), exchange)
        if "total_tokens" in shown and not between(before.total, shown["total_tokens"], after.total):
            yield broken(
                "getDashboard", f"total_tokens {after.total} over {count} days", str(shown["total_tokens"]), exchange
            )


def money_is_text(context: LawContext) -> LawResults:
    """Money is a decimal string with four places, two on invoices; a percentage is one with two."""
    for name in ("getDashboard", "queryUsage", "getPlan", "getBillingAccount", "listInvoices", "listGatewayModels"):
        if name not in context.contract.operations:
            continue
        exchange = context.ok(name)
        for member, value in _leaves(exchange.json):
            places = 2 if member == "amount_rmb" or member.endswith("_pct") else 4
            if member.endswith(("_rmb", "_pct")) and value is not None and not _decimal(value, places):
                yield broken(name, f"{member} as text with {places} places", f"{value!r}", exchange, evidence="assumed")


def _leaves(value: Json, name: str = "") -> list[tuple[str, Json]]:
    if isinstance(value, dict):
        return [leaf for key, child in value.items() for leaf in _leaves(child, key)]
    if isinstance(value, list):
        return [leaf for child in value for leaf in _leaves(child, name)]
    return [(name, value)]


def _decimal(value: Json, places: int) -> bool:
    if not isinstance(value, str):
        return False
    whole, _, rest = value.removeprefix("-").partition(".")
    return whole.isdigit() and rest.isdigit() and len(rest) == places


# Conservation


def conserved(context: LawContext) -> LawResults:
    """A completion's usage raises the usage rows by exactly itself, and its cost is its tokens times the model's
    prices.
    """
    key, secret = _own(context)
    context.rows()
    for protocol in context.protocols():
        for stream in (False, True):
            model = context.model(protocol.name)
            question = ChatQuestion(
                f"Say yes to {protocol.name} ({'streamed' if stream else 'plain'}).", max_tokens=12, stream=stream
            )
            before = _used(context, key)
            exchange = context.good(context.ask(protocol, question, model, context.bearer(secret)))
            yield from _moved(context, protocol.operation(question), exchange, key, before, model)


def _own(context: LawContext) -> tuple[str, str]:
    """Id and secret of a key that nobody else uses, or else of the target's own. Raises NotChecked."""
    if context.client.writes:
        key: TemporaryKey = context.memo("usage/key", lambda: context.new_key("usage"))
        return key.id, key.secret
    secret = context.target.key or ""
    rows = [r for r in context.read("listKeys")["items"] if r.get("key_prefix") and secret.startswith(r["key_prefix"])]
    active = [row for row in rows if row.get("status") == "active"]
    if len(active) != 1:
        raise NotChecked(
            f"{len(active)} listed keys begin like the given one; --allow-writes makes one of the run's own"
        )
    return active[0]["id"], secret


def _used(context: LawContext, key: str) -> UsageTotals:
    last = today(context)
    # a call around midnight may fall on either day
    window = {"start_date": (last - timedelta(days=1)).isoformat(), "end_date": (last + timedelta(days=1)).isoformat()}
    exchange = context.call("queryUsage", query={**window, "key_id": key})
    if exchange.status == 422:
        exchange = context.ok("queryUsage", query={**window, "end_date": last.isoformat(), "key_id": key})
    return UsageTotals.of(context.good(exchange).json)


def _moved(
    context: LawContext, operation: str, exchange: HttpExchange, key: str, before: UsageTotals, model: str
) -> LawResults:
    from aione_mock.checker.laws.streams import folded

    protocol = next(p for p in context.protocols() if operation in (p.plain, p.streamed))
    answer = folded(context, protocol, exchange) if exchange.media_type.endswith("event-stream") else exchange.json
    used = protocol.usage(answer)
    moved = UsageTotals()
    for pause in _PATIENCE if context.hopeful else _PATIENCE[:1]:
        context.client.sleep(pause)
        moved = _used(context, key).minus(before)
        if moved.requests > 0:
            break
    else:
        context.hopeful = False
    expected = f"the rows of the key to grow by {used.prompt} + {used.completion} tokens in 1 request"
    if moved.requests > 1 and not context.client.writes:
        raise NotChecked("somebody else uses the key; --allow-writes makes one of the run's own")
    if (moved.requests, moved.prompt, moved.completion) != (1, used.prompt, used.completion):
        yield broken(operation, expected, f"they grew by {moved}", exchange, evidence="assumed")
        return
    yield from _priced(context, operation, exchange, answer, moved, model)


def _priced(
    context: LawContext, operation: str, exchange: HttpExchange, answer: Json, moved: UsageTotals, model: str
) -> LawResults:
    price = context.client.budget.prices.get(model)
    if price is None:
        return
    cached = _cached(answer)
    plain = price.cost(moved.prompt - cached, moved.completion)
    extra = price.cached if price.cached is not None else price.prompt
    cost = plain + extra * cached / Decimal(1_000_000)
    exact = cost.quantize(Decimal("0.0001"), rounding=ROUND_HALF_UP)
    # rows are sums of exact amounts, each rounded for itself
    if abs(moved.cost - exact) > Decimal("0.0001"):
        expected = f"a cost of {exact} RMB for {moved.prompt} ({cached} cached) + {moved.completion} tokens of {model}"
        yield broken(operation, expected, f"{moved.cost} RMB", exchange, evidence="assumed")


def _cached(answer: Json) -> int:
    usage = answer.get("usage") or answer.get("usageMetadata") or {}
    details = usage.get("prompt_tokens_details") or {}
    found = details.get("cached_tokens") or usage.get("cache_read_input_tokens") or usage.get("cachedContentTokenCount")
    return found if isinstance(found, int) else 0


def refused_is_free(context: LawContext) -> LawResults:
    """A call that is refused uses nothing."""
    key, secret = _own(context)
    before = _used(context, key)
    protocol = context.protocols()[0]
    exchange = context.ask(protocol, ChatQuestion("Hello"), "no-such-model-7", context.bearer(secret))
    moved = _used(context, key).minus(before)
    if exchange.status >= 400 and moved.total:
        yield broken("queryUsage", "no tokens for a refused call", str(moved), exchange)


LAWS = (
    Law("usage-rows", "Usage rows add up", rows_add_up, ("queryUsage",), ("token",), area="usage"),
    Law(
        "usage-groupings",
        "All groupings have the same totals",
        groupings_agree,
        ("queryUsage",),
        ("token",),
        area="usage",
    ),
    Law(
        "usage-window", "Windows hold their days and no others", usage_window, ("queryUsage",), ("token",), area="usage"
    ),
    Law("usage-order", "The most expensive first", usage_order, ("queryUsage",), ("token",), area="usage"),
    Law("usage-filters", "Filters select", usage_filters, ("queryUsage",), ("token",), area="usage"),
    Law("usage-limits", "At most 90 days", usage_limits, ("queryUsage",), ("token",), area="usage"),
    Law(
        "dashboard-window",
        "The trend has every day of its range",
        dashboard_window,
        ("getDashboard",),
        ("token",),
        area="usage",
    ),
    Law("dashboard-sums", "The engineers' view adds up", dashboard_sums, ("getDashboard",), ("token",), area="usage"),
    Law(
        "dashboard-business",
        "The payers' view adds up",
        dashboard_business,
        ("getDashboard",),
        ("token", "business_token"),
        area="usage",
    ),
    Law(
        "dashboard-views",
        "Both views show the same cost",
        views_agree,
        ("getDashboard",),
        ("token", "business_token"),
        area="usage",
    ),
    Law(
        "dashboard-usage", "The dashboard is the usage", dashboard_is_usage, ("getDashboard",), ("token",), area="usage"
    ),
    Law(
        "money-text",
        "Money and percentages are decimal text",
        money_is_text,
        (*FIGURES, *BILLING, "listGatewayModels"),
        ("token",),
        "assumed",
        area="usage",
    ),
    Law(
        "usage-conserved",
        "A call moves the figures by what it used",
        conserved,
        CHAT,
        ("key", "token"),
        paid=6,
        area="usage",
    ),
    Law(
        "usage-refused-free",
        "Refused calls use nothing",
        refused_is_free,
        ("queryUsage",),
        ("key", "token"),
        area="usage",
    ),
)
