"""The lists of models: the same over all protocols, complete and right."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial

from aione_mock.checker.context import LawContext
from aione_mock.checker.errors import BudgetSpent, NotChecked
from aione_mock.checker.exchange import HttpExchange
from aione_mock.checker.finding import BrokenLaw, LawResults, SkippedOperation
from aione_mock.checker.json_reader import JsonReader
from aione_mock.checker.law import Law
from aione_mock.checker.protocols import PROTOCOLS, ChatQuestion
from aione_mock.types import Json

_IMAGE_TOKENS = 3000
"""Tokens that an image may take."""
_CHEAP_TOKENS = 4
_MAX_PAGES = 100
_SHOWN_IDS = 6


def _read_openai_ids(context: LawContext) -> list[str]:
    """Return the ids of the data plane's list. Raises NotChecked."""
    return [row.read_text("id") for row in context.read("listModels").list_rows("data")]


def _read_gemini_ids(context: LawContext) -> list[str]:
    """Return the ids of all pages of Gemini's list. Raises NotChecked."""
    ids: list[str] = []
    token = None
    for _ in range(_MAX_PAGES):
        page = context.read("listGeminiModels", query={"pageSize": 50, "pageToken": token})
        ids += [row.read_text("name").removeprefix("models/") for row in page.list_rows("models")]
        token = page.find("nextPageToken")
        if not token:
            break
    return ids


def check_lists_agree(context: LawContext) -> LawResults:
    """List every model of the data plane on the console, and no other models in Gemini's list."""
    ids = set(_read_openai_ids(context))
    if context.includes("listGatewayModels"):
        yield from _check_console_list(context, ids)
    if context.includes("listGeminiModels") and (extra := sorted(set(_read_gemini_ids(context)) - ids)):
        yield BrokenLaw("listGeminiModels", "only models of /v1/models", f"also {_join_ids(extra)}")


def _check_console_list(context: LawContext, ids: set[str]) -> LawResults:
    console = {row.read_text("id") for row in context.read("listGatewayModels").list_rows("items")}
    # a key may be restricted, so the list of the data plane may be the shorter one
    if extra := sorted(ids - console):
        yield BrokenLaw("listGatewayModels", "every model of /v1/models", f"without {_join_ids(extra)}")


def _join_ids(ids: list[str]) -> str:
    return ", ".join(ids[:_SHOWN_IDS])


def check_unique_ids(context: LawContext) -> LawResults:
    """List each model once."""
    lists: dict[str, Callable[[LawContext], list[str]]] = {
        "listModels": _read_openai_ids,
        "listGeminiModels": _read_gemini_ids,
    }
    for operation, read_ids in lists.items():
        if not context.includes(operation):
            continue
        try:
            ids = read_ids(context)
        except NotChecked as error:
            yield SkippedOperation(operation, str(error))
            continue
        if repeated := sorted({name for name in ids if ids.count(name) > 1}):
            yield BrokenLaw(operation, "each model once", f"twice: {_join_ids(repeated)}", context.client.last)


def check_models_readable(context: LawContext) -> LawResults:
    """Return every listed model on its own, with the members of the list."""
    for row in context.read("listModels").list_rows("data") if context.includes("retrieveModel") else ():
        name = row.read_text("id")
        exchange = context.call("retrieveModel", {"model": name})
        if not exchange.is_success:
            expected = f"the listed model '{name}'"
            yield BrokenLaw("retrieveModel", expected, exchange.summary, exchange, subject=name)
        elif exchange.data.find("id") != name or not _has_members_of(context, row, exchange):
            expected = f"the row of '{name}' in the list"
            yield BrokenLaw("retrieveModel", expected, "another one", exchange, subject=name)
    for name in _read_gemini_ids(context) if context.includes("getGeminiModel") else ():
        exchange = context.call("getGeminiModel", {"model": name})
        if not exchange.is_success:
            expected = f"the listed model '{name}'"
            yield BrokenLaw("getGeminiModel", expected, exchange.summary, exchange, subject=name)


def _has_members_of(context: LawContext, row: JsonReader, exchange: HttpExchange) -> bool:
    listed = context.prune_value("retrieveModel", row.read_members())
    return bool(listed.keys() <= context.prune_answer(exchange).keys())


def check_models_callable(context: LawContext) -> LawResults:
    """Accept calls to every listed model by the id of the list."""
    rows = {row["id"]: row for row in context.list_models()}
    gemini = sorted(_read_gemini_ids(context)) if context.includes("generateContent") else []
    for name in _read_openai_ids(context) if context.includes("createChatCompletion") else ():
        if _has_ability(rows.get(name, {}), "embeddings"):
            continue  # it answers no questions
        image = _has_ability(rows.get(name, {}), "image_output")
        if image and not context.target.is_local:
            continue  # an image is expensive and takes minutes
        question = ChatQuestion("Say yes.", max_tokens=_IMAGE_TOKENS if image else _CHEAP_TOKENS)
        try:
            exchange = context.ask(PROTOCOLS["openai"], question, name)
        except BudgetSpent:
            if image:
                continue
            raise
        if not exchange.is_success:
            expected = f"an answer of the listed model '{name}'"
            yield BrokenLaw("createChatCompletion", expected, exchange.summary, exchange, subject=name)
    for name in gemini[:1]:
        exchange = context.ask(PROTOCOLS["gemini"], ChatQuestion("Say yes.", max_tokens=_CHEAP_TOKENS), name)
        if not exchange.is_success:
            expected = f"an answer of the listed model '{name}'"
            yield BrokenLaw("generateContent", expected, exchange.summary, exchange)


def _has_ability(row: dict[str, Json], ability: str) -> bool:
    capabilities = row.get("capabilities")
    return isinstance(capabilities, list) and ability in capabilities


def estimate_listed_models(context: LawContext) -> Decimal:
    """Return the RMB that calls to all listed models may cost."""
    try:
        rows = context.list_models()
    except NotChecked:
        return Decimal(0)
    cost = Decimal(0)
    for row in rows:
        image = _has_ability(row, "image_output")
        if context.target.is_local or not image:
            price = context.client.budget.price(row["id"])
            cost += price.compute_cost(20, _IMAGE_TOKENS if image else _CHEAP_TOKENS)
    return cost


def check_aliases(context: LawContext) -> LawResults:
    """Accept the short names of listed models, and do not list the short names."""
    ids = _read_openai_ids(context)
    aliases: dict[str, str] = context.find_figure("models-aliases", "aliases")
    if listed := [name for name in aliases if name in ids]:
        yield BrokenLaw("listModels", "standard ids only", f"also {_join_ids(listed)}", context.client.last)
    known = {alias: name for alias, name in aliases.items() if name in ids}
    for alias, name in known.items():
        exchange = context.call("retrieveModel", {"model": alias})
        if not exchange.is_success:
            yield BrokenLaw("retrieveModel", f"'{alias}' to be known", exchange.summary, exchange, subject=alias)
        elif exchange.data.find("id") != name:
            seen = f"'{exchange.data.find('id')}'"
            yield BrokenLaw("retrieveModel", f"the id '{name}'", seen, exchange, subject=alias)
    for alias in list(known)[-1:]:
        exchange = context.ask(PROTOCOLS["openai"], ChatQuestion("Say yes.", max_tokens=_CHEAP_TOKENS), alias)
        if not exchange.is_success:
            yield BrokenLaw("createChatCompletion", f"'{alias}' to be known", exchange.summary, exchange, subject=alias)


def check_case_of_ids(context: LawContext) -> LawResults:
    """Do not know a model by its id in capitals."""
    name = context.choose_model("openai").upper()
    if name in _read_openai_ids(context):
        raise NotChecked("the model's id is in capitals")
    exchange = context.ask(PROTOCOLS["openai"], ChatQuestion("Say yes.", max_tokens=_CHEAP_TOKENS), name)
    if exchange.is_success:
        yield BrokenLaw("createChatCompletion", "an error for an id in capitals", exchange.summary, exchange)


def check_gemini_pages(context: LawContext) -> LawResults:
    """Divide Gemini's list into pages of at most `pageSize` models, always in the same order."""
    whole = _read_gemini_ids(context)
    ids: list[str] = []
    token = None
    for _ in range(len(whole) + 2):
        exchange = context.call_ok("listGeminiModels", query={"pageSize": 2, "pageToken": token})
        page = [row.read_text("name").removeprefix("models/") for row in exchange.data.list_rows("models")]
        if len(page) > 2:
            yield BrokenLaw("listGeminiModels", "at most 2 models per page", f"{len(page)}", exchange)
            return
        ids += page
        token = exchange.data.find("nextPageToken")
        if not token:
            break
    if ids != whole:
        seen = f"{len(ids)}, or another order"
        yield BrokenLaw("listGeminiModels", f"{len(whole)} models in pages of 2", seen, exchange)


_law = partial(Law, area="models", needs=("key",))
_LISTS = ("listModels", "listGeminiModels")
_CHAT = ("createChatCompletion",)

LAWS = (
    _law("models-agree", "The lists of models agree", check_lists_agree, ("listGatewayModels", "listGeminiModels")),
    _law("models-unique", "No model is listed twice", check_unique_ids, _LISTS),
    _law("models-readable", "Listed models are readable", check_models_readable, ("retrieveModel", "getGeminiModel")),
    _law("models-paged", "Gemini's list has pages", check_gemini_pages, ("listGeminiModels",)),
    _law("models-aliases", "Short names are accepted", check_aliases, ("listModels", "retrieveModel", *_CHAT), paid=1),
    _law("models-case", "Model ids are case-sensitive", check_case_of_ids, _CHAT),
    _law(
        "models-callable",
        "Listed models are callable",
        check_models_callable,
        ("createChatCompletion", "generateContent"),
        paid=20,
        extra_cost=estimate_listed_models,
    ),
)
