"""Usage figures: they add up, cover the requested days, and grow by what a call used."""

from __future__ import annotations

from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import partial

from aione_mock.checker.context import LawContext, TemporaryKey, make_bearer_auth, make_console_auth
from aione_mock.checker.errors import NotChecked
from aione_mock.checker.exchange import HttpExchange
from aione_mock.checker.finding import BrokenLaw, LawResults
from aione_mock.checker.json_reader import JsonReader
from aione_mock.checker.law import Law, Need
from aione_mock.checker.laws.error_responses import check_error
from aione_mock.checker.laws.errors import UNKNOWN_MODEL
from aione_mock.checker.laws.operation_groups import CHAT
from aione_mock.checker.laws.streams import read_answer
from aione_mock.checker.laws.usage_totals import (
    UsageTotals,
    compute_half_unit,
    is_between,
    list_days,
    make_date_query,
    query_totals,
    read_today,
    sum_decimals,
    sum_rounding,
)
from aione_mock.checker.protocols import ChatProtocol, ChatQuestion

_MEMBERS = {"day": "date", "model": "model", "team": "team_id", "key": "key_id"}
"""Grouping → member of the rows that it fills."""
_SORTED_GROUPS = ("model", "team", "key")
"""Groupings that are sorted by cost."""
_WAITS_SECONDS = (0.0, 0.3, 0.7, 1.0, 2.0)
"""Waits for figures to include a call."""


def check_rows_add_up(context: LawContext) -> LawResults:
    """Report `total_tokens` of a row as prompt plus completion, and null for members that were not grouped by."""
    for group, member in _MEMBERS.items():
        exchange = context.call_ok("queryUsage", query={"group_by": group})
        for row in exchange.data.list_rows():
            prompt, completion = row.read_integer("prompt_tokens"), row.read_integer("completion_tokens")
            if row.read_integer("total_tokens") != prompt + completion:
                seen = f"{prompt} + {completion} given as {row.read_integer('total_tokens')}"
                yield BrokenLaw("queryUsage", "total = prompt + completion in each row", seen, exchange)
            if filled := [m for m in _MEMBERS.values() if m != member and row.find(m) is not None]:
                yield BrokenLaw("queryUsage", f"null beside {member}", f"{', '.join(filled)} filled", exchange)


def check_groupings_agree(context: LawContext) -> LawResults:
    """Give the same totals in every grouping of the same days."""
    window = _make_last_days_query(context, 7)
    before = query_totals(context, **window, group_by="day")
    for group in _SORTED_GROUPS:
        exchange = context.call_ok("queryUsage", query={**window, "group_by": group})
        found = UsageTotals.from_rows(exchange.data.list_rows())
        after = query_totals(context, **window, group_by="day")
        for name in ("requests", "total", "cost"):
            value, low, high = getattr(found, name), getattr(before, name), getattr(after, name)
            rounding = before.rounding + found.rounding if name == "cost" else 0
            if not is_between(low, value, high, rounding):
                expected = f"by {group} the same {name} as by day"
                yield BrokenLaw("queryUsage", expected, f"{value}, not {high}", exchange)
        before = after


def _make_last_days_query(context: LawContext, count: int) -> dict[str, str]:
    last = read_today(context)
    return make_date_query(last - timedelta(days=count - 1), last)


def check_usage_window(context: LawContext) -> LawResults:
    """Select the days from `start_date` to `end_date`, or a week if they are not both given."""
    last = read_today(context)
    day = timedelta(days=1)
    before = (context.find_figure("usage-window", "days") - 1) * day
    for query, first, end in (
        ({}, last - before, last),
        (make_date_query(last - 9 * day, last - 3 * day), last - 9 * day, last - 3 * day),
        ({"end_date": (last - 2 * day).isoformat()}, last - 2 * day - before, last - 2 * day),
    ):
        exchange = context.call_ok("queryUsage", query={**query, "group_by": "day"})
        dates = [row.read_text("date") for row in exchange.data.list_rows()]
        if outside := sorted(set(dates) - set(list_days(first, end))):
            yield BrokenLaw("queryUsage", f"days from {first} to {end}", f"also {', '.join(outside[:5])}", exchange)
        if dates != sorted(set(dates)):
            yield BrokenLaw("queryUsage", "each day once, in ascending order", ", ".join(dates[:8]), exchange)
        for edge in (first, end):
            # a day without usage has no row
            used = context.read("queryUsage", query=make_date_query(edge, edge)).value
            if used and edge.isoformat() not in dates:
                yield BrokenLaw("queryUsage", f"{edge}, which the window includes", "no such day", exchange)


def check_usage_order(context: LawContext) -> LawResults:
    """Sort rows by cost, the highest first, unless they are grouped by day."""
    for group in _SORTED_GROUPS:
        exchange = context.call_ok("queryUsage", query={"group_by": group})
        costs = [row.read_decimal("cost_rmb") for row in exchange.data.list_rows()]
        if costs != sorted(costs, reverse=True):
            yield BrokenLaw("queryUsage", f"by {group}, the highest cost first", "another order", exchange)


def check_usage_filters(context: LawContext) -> LawResults:
    """Return for a filter what the grouping shows in its row, and nothing for an unknown value."""
    last = read_today(context) - timedelta(days=1)
    window = make_date_query(last - timedelta(days=6), last)
    for group in _SORTED_GROUPS:
        member = _MEMBERS[group]
        rows = context.read("queryUsage", query={**window, "group_by": group}).list_rows()
        for row in [row for row in rows if row.find(member)][:2]:
            exchange = context.call_ok("queryUsage", query={**window, member: row.at(member).value})
            alone, filtered = UsageTotals.from_rows([row]), UsageTotals.from_rows(exchange.data.list_rows())
            if not filtered.agrees_with(alone):
                yield BrokenLaw("queryUsage", f"{member}: {alone}", str(filtered), exchange)
    exchange = context.call_ok("queryUsage", query={"model": UNKNOWN_MODEL})
    if exchange.json:
        seen = f"{len(exchange.data.list_rows())} rows"
        yield BrokenLaw("queryUsage", "no row for an unknown model", seen, exchange)


def check_usage_limits(context: LawContext) -> LawResults:
    """Reject a window of more days than the contract allows, or one that ends before it starts."""
    last = read_today(context)
    longest: int = context.find_figure("usage-limits", "days")
    exchange = context.call("queryUsage", query=make_date_query(last - timedelta(days=longest - 1), last))
    if not exchange.is_success:
        yield BrokenLaw("queryUsage", f"{longest} days to be accepted", exchange.summary, exchange)
    for query, what in (
        (make_date_query(last - timedelta(days=longest), last), f"{longest + 1} days"),
        (make_date_query(last, last - timedelta(days=3)), "a start after the end"),
    ):
        exchange = context.call("queryUsage", query=query)
        yield from check_error(context, exchange, "validation_error", f"an error for {what}")


# Dashboard


def read_view(context: LawContext, mode: str) -> tuple[HttpExchange, JsonReader]:
    """Return the dashboard in one view. Raises NotChecked if no token with this view was given."""
    for token in (context.target.token, context.target.business_token):
        if token:
            exchange = context.call_ok("getDashboard", query={"range_days": 7}, auth=make_console_auth(token))
            if exchange.data.read_text("view_mode") == mode:
                return exchange, exchange.data.at(mode)
    raise NotChecked(f"no token with the {mode} view was given")


def _present_view(exchange: HttpExchange) -> JsonReader:
    return exchange.data.at(exchange.data.read_text("view_mode"))


def check_dashboard_window(context: LawContext) -> LawResults:
    """Give `daily_trend` one entry for each day of the range up to today, the oldest first."""
    days = context.find_parameter("getDashboard", "range_days")
    for requested, count in ((None, days["default"]), *((days[bound],) * 2 for bound in ("minimum", "maximum"))):
        exchange = context.call_ok("getDashboard", query={"range_days": requested})
        dates = [entry.read_text("date") for entry in _present_view(exchange).list_rows("daily_trend")]
        last = read_today(context)
        if dates != list_days(last - timedelta(days=count - 1), last):
            seen = f"{len(dates)} entries from {dates[0]} to {dates[-1]}" if dates else "none"
            yield BrokenLaw("getDashboard", f"{count} days up to {last}", seen, exchange)


def check_dashboard_sums(context: LawContext) -> LawResults:
    """Give the technical view totals that are the sums of its trend and of its models."""
    exchange, tech = read_view(context, "tech")
    trend, models = tech.list_rows("daily_trend"), tech.list_rows("model_distribution")
    counts = [model.read_integer("tokens") for model in models]
    rounding = sum_rounding([tech], "total_cost_rmb") + sum_rounding(trend, "cost_rmb")
    sums: tuple[tuple[str, int | Decimal, str], ...] = (
        (
            "total_tokens",
            tech.read_integer("prompt_tokens") + tech.read_integer("completion_tokens"),
            "prompt plus completion",
        ),
        ("total_tokens", sum(day.read_integer("tokens") for day in trend), "the sum of daily_trend"),
        ("total_requests", sum(day.read_integer("requests") for day in trend), "the sum of daily_trend"),
        ("total_cost_rmb", sum_decimals(trend, "cost_rmb"), "the sum of daily_trend"),
        ("total_tokens", sum(counts), "the sum of model_distribution"),
        ("total_requests", sum(model.read_integer("requests") for model in models), "the sum of model_distribution"),
    )
    for member, value, what in sums:
        if abs(tech.read_decimal(member) - value) > (rounding if member.endswith("_rmb") else 0):
            seen = str(tech.at(member).value)
            yield BrokenLaw("getDashboard", f"{member} to be {what}, {value}", seen, exchange)
    if counts != sorted(counts, reverse=True):
        yield BrokenLaw("getDashboard", "model_distribution with most tokens first", "another order", exchange)


def check_dashboard_business(context: LawContext) -> LawResults:
    """Give the business view totals that are the sums of its trend and of its teams, the highest cost first."""
    exchange, business = read_view(context, "business")
    teams = business.list_rows("team_cost_ranking")
    costs = [team.read_decimal("cost_rmb") for team in teams]
    trend = sum_decimals(business.list_rows("daily_trend"), "cost_rmb")
    total = business.read_decimal("total_cost_rmb")
    rounding = compute_half_unit(total) + sum(map(compute_half_unit, costs), Decimal(0))
    if abs(sum(costs, Decimal(0)) - total) > rounding:
        yield BrokenLaw("getDashboard", f"team_cost_ranking to add up to {total}", str(sum(costs)), exchange)
    if abs(trend - total) > compute_half_unit(total) + sum_rounding(business.list_rows("daily_trend"), "cost_rmb"):
        yield BrokenLaw("getDashboard", f"daily_trend to add up to {total}", str(trend), exchange)
    if costs != sorted(costs, reverse=True):
        yield BrokenLaw("getDashboard", "the highest cost first", "another order", exchange)
    conversations = sum(team.read_integer("conversations") for team in teams)
    if conversations != business.read_integer("total_conversations"):
        expected = f"{business.read_integer('total_conversations')} conversations"
        yield BrokenLaw("getDashboard", expected, f"{conversations} by team", exchange)


def check_views_agree(context: LawContext) -> LawResults:
    """Show the same cost in both views of the dashboard."""
    low = read_view(context, "tech")[1].read_decimal("total_cost_rmb")
    exchange, business = read_view(context, "business")
    high = read_view(context, "tech")[1].read_decimal("total_cost_rmb")
    cost = business.read_decimal("total_cost_rmb")
    if not is_between(low, cost, high, compute_half_unit(cost) + compute_half_unit(low)):
        yield BrokenLaw("getDashboard", f"total_cost_rmb {low}", str(cost), exchange)


def check_dashboard_usage(context: LawContext) -> LawResults:
    """Show on the dashboard the totals of the usage rows of the same days."""
    for count in (1, 7):
        window = _make_last_days_query(context, count)
        before = query_totals(context, **window)
        exchange = context.call_ok("getDashboard", query={"range_days": count})
        after = query_totals(context, **window)
        view = _present_view(exchange)
        cost = view.read_decimal("total_cost_rmb")
        if not is_between(before.cost, cost, after.cost, compute_half_unit(cost) + after.rounding):
            yield BrokenLaw("getDashboard", f"total_cost_rmb {after.cost} over {count} days", str(cost), exchange)
        if "total_tokens" in view.read_members():
            tokens = view.read_integer("total_tokens")
            if not is_between(before.total, tokens, after.total):
                expected = f"total_tokens {after.total} over {count} days"
                yield BrokenLaw("getDashboard", expected, str(tokens), exchange)


# Conservation


def check_usage_conserved(context: LawContext) -> LawResults:
    """Add exactly the usage of an answer to the usage rows, at the prices of the model."""
    key, secret = choose_key(context)
    context.list_models()
    for protocol in context.list_chat_protocols():
        for stream in context.list_stream_modes(protocol):
            model = context.choose_model(protocol.name)
            text = f"Say yes to {protocol.name} ({'streamed' if stream else 'plain'})."
            question = ChatQuestion(text, max_tokens=12, stream=stream)
            before = _read_key_totals(context, key)
            exchange = context.ask_ok(protocol, question, model, make_bearer_auth(secret))
            yield from _check_growth(context, protocol, exchange, key, before, model)


def choose_key(context: LawContext) -> tuple[str, str]:
    """Return id and secret of a temporary key, or else of the target's own. Raises NotChecked."""
    if context.client.allow_writes:
        key: TemporaryKey = context.compute_once("usage key", lambda: context.create_key("usage"))
        return key.id, key.secret
    secret = context.target.key or ""
    rows = context.read("listKeys").list_rows("items")
    similar = [row for row in rows if row.find("key_prefix") and secret.startswith(row.read_text("key_prefix"))]
    active = [row for row in similar if row.find("status") == context.find_example("createKey", "status")]
    if len(active) != 1:
        raise NotChecked(f"{len(active)} listed keys begin like the given one; --allow-writes creates a temporary key")
    return active[0].read_text("id"), secret


def _read_key_totals(context: LawContext, key: str) -> UsageTotals:
    last = read_today(context)
    # a request around midnight may count for either day
    query = {**make_date_query(last - timedelta(days=1), last + timedelta(days=1)), "key_id": key}
    exchange = context.call("queryUsage", query=query)
    if exchange.status == context.contract.operations["queryUsage"].errors["validation_error"].status:
        exchange = context.call("queryUsage", query={**query, "end_date": last.isoformat()})
    return UsageTotals.from_rows(context.require_success(exchange).data.list_rows())


def _check_growth(
    context: LawContext, protocol: ChatProtocol, exchange: HttpExchange, key: str, before: UsageTotals, model: str
) -> LawResults:
    answer = read_answer(context, protocol, exchange)
    used = protocol.read_usage(answer)
    growth = _wait_for_growth(context, key, before)
    if growth.requests > 1 and not context.client.allow_writes:
        raise NotChecked("somebody else uses the key; --allow-writes creates a temporary key")
    operation = exchange.request.operation
    if (growth.requests, growth.prompt, growth.completion) != (1, used.prompt, used.completion):
        expected = f"the rows of the key to grow by {used.prompt} + {used.completion} tokens in 1 request"
        yield BrokenLaw(operation, expected, f"they grew by {growth}", exchange, "assumed")
        return
    price = context.client.budget.prices.get(model)
    if price is None:
        return
    cached = _read_cached_tokens(answer)
    cached_price = price.cached if price.cached is not None else price.prompt
    cost = price.compute_cost(growth.prompt - cached, growth.completion) + cached_price * cached / Decimal(1_000_000)
    rounding = 2 * compute_half_unit(growth.cost)
    rounded = cost.quantize(rounding, rounding=ROUND_HALF_UP)
    # each row is a rounded sum of exact amounts
    if abs(growth.cost - rounded) > rounding:
        tokens = f"{growth.prompt} ({cached} cached) + {growth.completion} tokens"
        expected = f"a cost of {rounded} RMB for {tokens} of {model}"
        yield BrokenLaw(operation, expected, f"{growth.cost} RMB", exchange, "assumed")


def _wait_for_growth(context: LawContext, key: str, before: UsageTotals) -> UsageTotals:
    growth = UsageTotals()
    for seconds in _WAITS_SECONDS if context.usage_lags else _WAITS_SECONDS[:1]:
        context.client.sleep(seconds)
        growth = _read_key_totals(context, key).subtract(before)
        if growth.requests > 0:
            return growth
    context.usage_lags = False
    return growth


def _read_cached_tokens(answer: JsonReader) -> int:
    for path in (
        ("usage", "prompt_tokens_details", "cached_tokens"),
        ("usage", "cache_read_input_tokens"),
        ("usageMetadata", "cachedContentTokenCount"),
    ):
        if answer.find(*path):
            return answer.read_integer(*path)
    return 0


def check_rejected_free(context: LawContext) -> LawResults:
    """Count no tokens for a rejected call."""
    key, secret = choose_key(context)
    before = _read_key_totals(context, key)
    protocol = context.choose_default_protocol()
    exchange = context.ask(protocol, ChatQuestion("Hello"), UNKNOWN_MODEL, make_bearer_auth(secret))
    growth = _read_key_totals(context, key).subtract(before)
    if exchange.status >= 400 and growth.total:
        yield BrokenLaw("queryUsage", "no tokens for a rejected call", str(growth), exchange)


_law = partial(Law, area="usage", needs=("token",))
_usage_law = partial(_law, operations=("queryUsage",))
_dashboard_law = partial(_law, operations=("getDashboard",))
_WITH_KEY: tuple[Need, ...] = ("key", "token")
_BOTH_VIEWS: tuple[Need, ...] = ("token", "business_token")

LAWS = (
    _usage_law("usage-rows", "Usage rows add up", check_rows_add_up),
    _usage_law("usage-groupings", "All groupings have the same totals", check_groupings_agree),
    _usage_law("usage-window", "Windows select their days", check_usage_window),
    _usage_law("usage-order", "The highest cost is first", check_usage_order),
    _usage_law("usage-filters", "Filters select usage", check_usage_filters),
    _usage_law("usage-limits", "Windows have at most 90 days", check_usage_limits),
    _dashboard_law("dashboard-window", "The trend has every day", check_dashboard_window),
    _dashboard_law("dashboard-sums", "The technical view adds up", check_dashboard_sums),
    _dashboard_law("dashboard-business", "The business view adds up", check_dashboard_business, needs=_BOTH_VIEWS),
    _dashboard_law("dashboard-views", "Both views show the same cost", check_views_agree, needs=_BOTH_VIEWS),
    _dashboard_law("dashboard-usage", "The dashboard shows the usage", check_dashboard_usage),
    _law("usage-conserved", "Calls add their usage", check_usage_conserved, CHAT, needs=_WITH_KEY, paid=6),
    _usage_law("usage-refused-free", "Rejected calls cost nothing", check_rejected_free, needs=_WITH_KEY),
)
