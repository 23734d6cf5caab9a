"""Organisations: neither sees what belongs to the other."""

from __future__ import annotations

from functools import partial

from aione_mock.checker.client import Auth
from aione_mock.checker.context import LawContext, make_console_auth
from aione_mock.checker.errors import NotChecked
from aione_mock.checker.finding import BrokenLaw, LawResults, SkippedOperation
from aione_mock.checker.json_reader import JsonReader
from aione_mock.checker.law import Law
from aione_mock.checker.laws.error_responses import check_error
from aione_mock.checker.laws.operation_groups import ONE_KEY

_FOREIGN_KEY = "an error for the key of another organisation"


def _make_other_auth(context: LawContext) -> Auth:
    return make_console_auth(context.target.other_token)


def check_foreign_key(context: LawContext) -> LawResults:
    """Know another organisation's key in no operation, and do not change the key."""
    key = context.create_key("not yours")
    before = context.prune_answer(context.call_ok("getKey", {"key_id": key.id}))
    for name in ONE_KEY:
        body = {"name": "mine now"} if name == "updateKey" else None
        exchange = context.call(name, {"key_id": key.id}, body=body, auth=_make_other_auth(context))
        yield from check_error(context, exchange, "not_found", _FOREIGN_KEY)
        after = context.call("getKey", {"key_id": key.id})
        if not after.is_success or context.prune_answer(after) != before:
            seen = f"changed by another organisation ({after.summary})"
            yield BrokenLaw(name, "the key as it was", seen, after)
            return


def check_foreign_listed_key(context: LawContext) -> LawResults:
    """Do not know a key that another organisation lists."""
    rows = context.read("listKeys").list_rows("items")
    if not rows:
        raise NotChecked("there is no key")
    exchange = context.call("getKey", {"key_id": rows[0].read_text("id")}, auth=_make_other_auth(context))
    yield from check_error(context, exchange, "not_found", _FOREIGN_KEY)


def check_lists(context: LawContext) -> LawResults:
    """List only what belongs to the organisation."""
    for name in ("listKeys", "listInvoices"):
        try:
            own, other = (_read_rows(context, name, auth) for auth in (None, _make_other_auth(context)))
        except NotChecked as error:
            yield SkippedOperation(name, str(error))
            continue
        if common := _collect_texts(own, "id") & _collect_texts(other, "id"):
            yield BrokenLaw(name, "nothing in common", f"{len(common)} ids in both lists", context.client.last)
        organisations = _collect_texts(other, "org_id")
        if len(organisations) > 1 or organisations & _collect_texts(own, "org_id"):
            seen = f"{len(organisations)} organisations"
            yield BrokenLaw(name, "one organisation", seen, context.client.last)


def _read_rows(context: LawContext, name: str, auth: Auth | None) -> list[JsonReader]:
    answer = context.read(name, auth=auth or "target")
    return answer.list_rows("items") if isinstance(answer.value, dict) else answer.list_rows()


def _collect_texts(rows: list[JsonReader], name: str) -> set[str]:
    """Return the values of a member, as far as rows have it."""
    return {row.read_text(name) for row in rows if row.find(name) is not None}


def check_accounts(context: LawContext) -> LawResults:
    """Give each organisation a billing account of its own."""
    own, other = context.read("getBillingAccount"), context.read("getBillingAccount", auth=_make_other_auth(context))
    for member in ("id", "org_id"):
        if own.at(member).value == other.at(member).value:
            expected = f"an account with another {member}"
            yield BrokenLaw("getBillingAccount", expected, "the same", context.client.last)


def check_usage_filter(context: LawContext) -> LawResults:
    """Select nothing for a key or team of another organisation."""
    for member, group in (("key_id", "key"), ("team_id", "team")):
        rows = context.read("queryUsage", query={"group_by": group}).list_rows()
        own = next((row.at(member).value for row in rows if row.at(member).value), None)
        if own is None:
            continue
        exchange = context.call_ok("queryUsage", query={member: own}, auth=_make_other_auth(context))
        if exchange.json:
            expected = f"no row for another organisation's {member}"
            yield BrokenLaw("queryUsage", expected, f"{len(exchange.data.list_rows())} rows", exchange)


def check_teams(context: LawContext) -> LawResults:
    """Show each team's usage to one organisation."""
    query = {"group_by": "team"}
    own = context.read("queryUsage", query=query).list_rows()
    other = context.read("queryUsage", query=query, auth=_make_other_auth(context)).list_rows()
    if common := _collect_texts(own, "team_id") & _collect_texts(other, "team_id"):
        yield BrokenLaw("queryUsage", "no team in both organisations", f"{len(common)} in both", context.client.last)


_law = partial(Law, area="isolation", needs=("token", "other_token"))

LAWS = (
    _law("isolation-listed", "Another organisation's key is not found", check_foreign_listed_key, ("getKey",)),
    _law(
        "isolation-id",
        "No operation reaches another organisation",
        check_foreign_key,
        ONE_KEY,
        needs=("token", "other_token", "writes"),
    ),
    _law("isolation-lists", "Lists have nothing in common", check_lists, ("listKeys", "listInvoices")),
    _law("isolation-account", "Each organisation has its account", check_accounts, ("getBillingAccount",)),
    _law("isolation-usage", "Another organisation's usage is hidden", check_usage_filter, ("queryUsage",)),
    _law("isolation-teams", "Teams belong to one organisation", check_teams, ("queryUsage",)),
)
