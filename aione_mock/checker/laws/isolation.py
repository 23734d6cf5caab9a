"""Two organisations do not see each other."""

from __future__ import annotations

from aione_mock.checker.client import Auth
from aione_mock.checker.context import LawContext, broken
from aione_mock.checker.finding import NotChecked, SkippedOperation
from aione_mock.checker.law import Law, LawResults
from aione_mock.checker.laws.areas import ONE_KEY
from aione_mock.checker.laws.errors import refusal
from aione_mock.types import Json


def _other(context: LawContext) -> Auth:
    return context.console(context.target.other_token or "")


def by_id(context: LawContext) -> LawResults:
    """What belongs to another organisation is a 404 on every operation that takes an id, and stays as it is."""
    key = context.new_key("not yours")
    before = context.read("getKey", {"key_id": key.id})
    for name in ("getKey", "updateKey", "rotateKey", "disableKey", "enableKey", "deleteKey"):
        body = {"name": "mine now"} if name == "updateKey" else None
        exchange = context.call(name, {"key_id": key.id}, body=body, auth=_other(context))
        what = "404 for the key of another organisation"
        yield from refusal(context.contract.operations[name], "not_found", exchange, expected=what)
        after = context.call("getKey", {"key_id": key.id})
        if after.status != 200 or after.json != before:
            yield broken(name, "the key as it was", f"changed by another organisation ({after.outcome})", after)
            return


def listed_key(context: LawContext) -> LawResults:
    """A key that one organisation lists is a 404 for the other."""
    rows = context.read("listKeys")["items"]
    if not rows:
        raise NotChecked("there is no key")
    exchange = context.call("getKey", {"key_id": rows[0]["id"]}, auth=_other(context))
    what = "404 for the key of another organisation"
    yield from refusal(context.contract.operations["getKey"], "not_found", exchange, expected=what)


def lists(context: LawContext) -> LawResults:
    """No list of one organisation holds anything of the other."""
    for name in ("listKeys", "listInvoices"):
        try:
            mine, theirs = (_rows(body) for body in (context.read(name), context.read(name, auth=_other(context))))
        except NotChecked as error:
            yield SkippedOperation(name, str(error))
            continue
        if both := {row["id"] for row in mine} & {row["id"] for row in theirs}:
            yield broken(name, "nothing in common", f"{len(both)} ids in both lists", context.client.last)
        own = {row["org_id"] for row in theirs if "org_id" in row}
        if len(own) > 1 or own & {row["org_id"] for row in mine if "org_id" in row}:
            yield broken(name, "one organisation", f"{len(own)} organisations", context.client.last)


def _rows(body: Json) -> list[Json]:
    found: list[Json] = body["items"] if isinstance(body, dict) else body
    return found


def account(context: LawContext) -> LawResults:
    """Each organisation has an account of its own."""
    mine, theirs = context.read("getBillingAccount"), context.read("getBillingAccount", auth=_other(context))
    for member in ("id", "org_id"):
        if mine[member] == theirs[member]:
            yield broken("getBillingAccount", f"an account with another {member}", "the same", context.client.last)


def usage(context: LawContext) -> LawResults:
    """Asking for the usage of another organisation's key or team selects nothing."""
    window = {"start_date": None}
    for member, group in (("key_id", "key"), ("team_id", "team")):
        rows = context.read("queryUsage", query={"group_by": group, **window})
        found = next((row[member] for row in rows if row[member]), None)
        if found is None:
            continue
        exchange = context.ok("queryUsage", query={member: found}, auth=_other(context))
        if exchange.json:
            yield broken(
                "queryUsage", f"no row for another organisation's {member}", f"{len(exchange.json)} rows", exchange
            )


def dashboard(context: LawContext) -> LawResults:
    """The usage that one organisation sees is not that of both."""
    mine = context.read("queryUsage", query={"group_by": "team"})
    theirs = context.read("queryUsage", query={"group_by": "team"}, auth=_other(context))
    both = {row["team_id"] for row in mine if row["team_id"]} & {row["team_id"] for row in theirs if row["team_id"]}
    if both:
        yield broken("queryUsage", "no team in both organisations", f"{len(both)} in both", context.client.last)


LAWS = (
    Law(
        "isolation-listed",
        "Another organisation's key is not found",
        listed_key,
        ("getKey",),
        ("token", "other_token"),
        area="isolation",
    ),
    Law(
        "isolation-id",
        "No operation reaches into another organisation",
        by_id,
        ONE_KEY,
        ("token", "other_token", "writes"),
        area="isolation",
    ),
    Law(
        "isolation-lists",
        "Lists have nothing in common",
        lists,
        ("listKeys", "listInvoices"),
        ("token", "other_token"),
        area="isolation",
    ),
    Law(
        "isolation-account",
        "Each organisation has its account",
        account,
        ("getBillingAccount",),
        ("token", "other_token"),
        area="isolation",
    ),
    Law(
        "isolation-usage",
        "Another organisation's usage is not shown",
        usage,
        ("queryUsage",),
        ("token", "other_token"),
        area="isolation",
    ),
    Law(
        "isolation-teams",
        "Teams belong to one organisation",
        dashboard,
        ("queryUsage",),
        ("token", "other_token"),
        area="isolation",
    ),
)
