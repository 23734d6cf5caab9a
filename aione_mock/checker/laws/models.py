"""The lists of models: the same over all protocols, complete, and true."""

from __future__ import annotations

from decimal import Decimal

from aione_mock.checker.budget import BudgetSpent
from aione_mock.checker.context import LawContext, broken
from aione_mock.checker.finding import NotChecked, SkippedOperation
from aione_mock.checker.law import Law, LawResults
from aione_mock.checker.laws.areas import PLAIN
from aione_mock.checker.protocols import PROTOCOLS, ChatQuestion
from aione_mock.types import Json

ALIASES = ("opus-4-6", "sonnet-4-6", "haiku-4-5")
"""Short names that the documentation gives to editors."""


def openai_ids(context: LawContext) -> list[str]:
    """Ids of the data plane's list. Raises NotChecked."""
    return [row["id"] for row in context.read("listModels")["data"]]


def gemini_ids(context: LawContext) -> list[str]:
    """Ids of Gemini's list, all pages. Raises NotChecked."""
    found: list[str] = []
    token = None
    for _ in range(100):
        page = context.read("listGeminiModels", query={"pageSize": 50, "pageToken": token})
        found += [row["name"].removeprefix("models/") for row in page["models"]]
        token = page.get("nextPageToken")
        if not token:
            break
    return found


def agree(context: LawContext) -> LawResults:
    """The console lists the models that the data plane lists, and Gemini's list is a part of them."""
    ids = set(openai_ids(context))
    try:
        console = {row["id"] for row in context.read("listGatewayModels")["items"]}
        # a key may be restricted to some of the plan's models, so the data plane's list may be the shorter one
        if extra := sorted(ids - console):
            yield broken("listGatewayModels", "every model that /v1/models lists", f"not there: {', '.join(extra[:6])}")
    except NotChecked as error:
        yield SkippedOperation("listGatewayModels", str(error))
    try:
        if extra := sorted(set(gemini_ids(context)) - ids):
            yield broken("listGeminiModels", "only models of /v1/models", f"also {', '.join(extra[:6])}")
    except NotChecked as error:
        yield SkippedOperation("listGeminiModels", str(error))


def unique(context: LawContext) -> LawResults:
    """No model is listed twice."""
    for operation, ids in (("listModels", openai_ids), ("listGeminiModels", gemini_ids)):
        try:
            found = ids(context)
        except NotChecked as error:
            yield SkippedOperation(operation, str(error))
            continue
        if twice := sorted({name for name in found if found.count(name) > 1}):
            yield broken(operation, "each model once", f"twice: {', '.join(twice[:6])}", context.client.last)


def retrievable(context: LawContext) -> LawResults:
    """Every listed model can be read on its own, and the answer is the row of the list."""
    rows = {row["id"]: row for row in context.read("listModels")["data"]}
    for name, row in rows.items():
        exchange = context.call("retrieveModel", {"model": name})
        if exchange.status != 200:
            yield broken("retrieveModel", f"model '{name}', which is listed", exchange.outcome, exchange)
        elif exchange.json.get("id") != name or {**row, **exchange.json} != exchange.json:
            yield broken("retrieveModel", f"the row of '{name}' in the list", "another one", exchange)
    for name in gemini_ids(context):
        exchange = context.call("getGeminiModel", {"model": name})
        if exchange.status != 200:
            yield broken("getGeminiModel", f"model '{name}', which is listed", exchange.outcome, exchange)


def callable_(context: LawContext) -> LawResults:
    """Every listed model can be called, in exactly the spelling of the list."""
    context.rows()
    gemini = set(gemini_ids(context)) if "listGeminiModels" in context.contract.operations else set()
    by_id = {row["id"]: row for row in context.rows()}
    for name in openai_ids(context):
        picture = _paints(by_id.get(name, {}))
        if picture and not context.target.local:
            continue  # a picture is dear, and takes minutes
        protocol = PROTOCOLS["openai"]
        try:
            exchange = context.ask(protocol, ChatQuestion("Say yes.", max_tokens=_PICTURE if picture else 4), name)
        except BudgetSpent:
            if picture:
                continue
            raise
        if exchange.status != 200:
            yield broken(protocol.plain, f"an answer of '{name}', which is listed", exchange.outcome, exchange)
    for name in sorted(gemini)[:1]:
        exchange = context.ask(PROTOCOLS["gemini"], ChatQuestion("Say yes.", max_tokens=4), name)
        if exchange.status != 200:
            yield broken("generateContent", f"an answer of '{name}', which is listed", exchange.outcome, exchange)


_PICTURE = 3000
"""Tokens that a picture may take."""


def _paints(row: dict[str, Json]) -> bool:
    return "image_output" in (row.get("capabilities") or ())


def dear(context: LawContext) -> Decimal:
    """RMB that `callable_` may cost: each model at its own price, pictures first of all."""
    budget = context.client.budget
    try:
        rows = [row for row in context.rows() if context.target.local or not _paints(row)]
    except NotChecked:
        return Decimal(0)
    return sum((budget.price(row["id"]).cost(20, _PICTURE if _paints(row) else 4) for row in rows), Decimal(0))


def aliases(context: LawContext) -> LawResults:
    """Short names work where their models are listed, though they are not listed themselves."""
    ids = openai_ids(context)
    if listed := [name for name in ALIASES if name in ids]:
        yield broken("listModels", "standard ids only", f"also {', '.join(listed)}", context.client.last)
    for alias in ALIASES:
        if f"claude-{alias}" not in ids:
            continue
        exchange = context.call("retrieveModel", {"model": alias})
        if exchange.status != 200:
            yield broken("retrieveModel", f"'{alias}' to be known", exchange.outcome, exchange)
        elif exchange.json.get("id") != f"claude-{alias}":
            yield broken("retrieveModel", f"the id 'claude-{alias}'", f"'{exchange.json.get('id')}'", exchange)
    if f"claude-{ALIASES[-1]}" in ids:
        exchange = context.ask(PROTOCOLS["openai"], ChatQuestion("Say yes.", max_tokens=4), ALIASES[-1])
        if exchange.status != 200:
            yield broken("createChatCompletion", f"'{ALIASES[-1]}' to be known", exchange.outcome, exchange)


def case(context: LawContext) -> LawResults:
    """Model ids are case-sensitive: one in capitals is not found."""
    name = context.model("openai").upper()
    if name in openai_ids(context):
        raise NotChecked("the model's id is in capitals")
    exchange = context.ask(PROTOCOLS["openai"], ChatQuestion("Say yes.", max_tokens=4), name)
    if exchange.status != 404:
        yield broken("createChatCompletion", "404 for an id in capitals", exchange.outcome, exchange)


def pages(context: LawContext) -> LawResults:
    """Gemini's list comes in pages of at most `pageSize`, which together are the whole list, always in the same
    order.
    """
    whole = gemini_ids(context)
    found: list[str] = []
    token = None
    for _ in range(len(whole) + 2):
        exchange = context.ok("listGeminiModels", query={"pageSize": 2, "pageToken": token})
        rows = [row["name"].removeprefix("models/") for row in exchange.json["models"]]
        if len(rows) > 2:
            yield broken("listGeminiModels", "at most 2 models to a page", f"{len(rows)}", exchange)
            return
        found += rows
        token = exchange.json.get("nextPageToken")
        if not token:
            break
    if found != whole:
        yield broken(
            "listGeminiModels", f"{len(whole)} models in pages of 2", f"{len(found)}, or another order", exchange
        )


LAWS = (
    Law(
        "models-agree",
        "The lists of models agree",
        agree,
        ("listGatewayModels", "listGeminiModels"),
        ("key",),
        "deduced",
        area="models",
    ),
    Law(
        "models-unique",
        "No model is listed twice",
        unique,
        ("listModels", "listGeminiModels"),
        ("key",),
        "deduced",
        area="models",
    ),
    Law(
        "models-readable",
        "Listed models can be read",
        retrievable,
        ("retrieveModel", "getGeminiModel"),
        ("key",),
        area="models",
    ),
    Law("models-paged", "Gemini's list turns its pages", pages, ("listGeminiModels",), ("key",), area="models"),
    Law(
        "models-aliases",
        "Short names work and are not listed",
        aliases,
        ("listModels", "retrieveModel", "createChatCompletion"),
        ("key",),
        paid=1,
        area="models",
    ),
    Law("models-case", "Model ids are case-sensitive", case, ("createChatCompletion",), ("key",), area="models"),
    Law(
        "models-callable", "Listed models can be called", callable_, PLAIN, ("key",), paid=20, dear=dear, area="models"
    ),
)
