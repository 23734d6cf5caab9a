"""The lists of models: the same over all protocols, complete and right."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial

from aione_mock.checker.context import LawContext
from aione_mock.checker.errors import BudgetSpent, NotChecked
from aione_mock.checker.finding import BrokenLaw, LawResults, SkippedOperation
from aione_mock.checker.law import Law
from aione_mock.checker.laws.operation_groups import PLAIN_CHAT
from aione_mock.checker.protocols import PROTOCOLS, ChatQuestion
from aione_mock.types import Json

_ALIASES = ("opus-4-6", "sonnet-4-6", "haiku-4-5")
"""Short names that the documentation gives to editors."""
_IMAGE_TOKENS = 3000
"""Tokens that an image may take."""
_CHEAP_TOKENS = 4
_MAX_PAGES = 100
_SHOWN_IDS = 6


def _read_openai_ids(context: LawContext) -> list[str]:
    """Return the ids of the data plane's list. Raises NotChecked."""
    return [row.text("id") for row in context.read("listModels").rows("data")]


def _read_gemini_ids(context: LawContext) -> list[str]:
    """Return the ids of all pages of Gemini's list. Raises NotChecked."""
    ids: list[str] = []
    token = None
    for _ in range(_MAX_PAGES):
        page = context.read("listGeminiModels", query={"pageSize": 50, "pageToken": token})
        ids += [row.text("name").removeprefix("models/") for row in page.rows("models")]
        token = page.find("nextPageToken")
        if not token:
            break
    return ids


def check_lists_agree(context: LawContext) -> LawResults:
    """List every model of the data plane on the console, and no other models in Gemini's list."""
    ids = set(_read_openai_ids(context))
    try:
        console = {row.text("id") for row in context.read("listGatewayModels").rows("items")}
        # a key may be restricted, so the list of the data plane may be the shorter one
        if extra := sorted(ids - console):
            yield BrokenLaw("listGatewayModels", "every model of /v1/models", f"without {_join_ids(extra)}")
    except NotChecked as error:
        yield SkippedOperation("listGatewayModels", str(error))
    try:
        if extra := sorted(set(_read_gemini_ids(context)) - ids):
            yield BrokenLaw("listGeminiModels", "only models of /v1/models", f"also {_join_ids(extra)}")
    except NotChecked as error:
        yield SkippedOperation("listGeminiModels", str(error))


def _join_ids(ids: list[str]) -> str:
    return ", ".join(ids[:_SHOWN_IDS])


def check_unique_ids(context: LawContext) -> LawResults:
    """List each model once."""
    lists: dict[str, Callable[[LawContext], list[str]]] = {
        "listModels": _read_openai_ids,
        "listGeminiModels": _read_gemini_ids,
    }
    for operation, read_ids in lists.items():
        try:
            ids = read_ids(context)
        except NotChecked as error:
            yield SkippedOperation(operation, str(error))
            continue
        if repeated := sorted({name for name in ids if ids.count(name) > 1}):
            yield BrokenLaw(operation, "each model once", f"twice: {_join_ids(repeated)}", context.client.last)


def check_models_readable(context: LawContext) -> LawResults:
    """Return every listed model on its own, with the members of the list."""
    for row in context.read("listModels").rows("data"):
        name = row.text("id")
        exchange = context.call("retrieveModel", {"model": name})
        if exchange.status != 200:
            yield BrokenLaw("retrieveModel", f"the listed model '{name}'", exchange.summary, exchange)
        elif exchange.data.find("id") != name or not row.members().keys() <= exchange.data.members().keys():
            yield BrokenLaw("retrieveModel", f"the row of '{name}' in the list", "another one", exchange)
    for name in _read_gemini_ids(context):
        exchange = context.call("getGeminiModel", {"model": name})
        if exchange.status != 200:
            yield BrokenLaw("getGeminiModel", f"the listed model '{name}'", exchange.summary, exchange)


def check_models_callable(context: LawContext) -> LawResults:
    """Accept calls to every listed model by the id of the list."""
    rows = {row["id"]: row for row in context.list_models()}
    gemini = sorted(_read_gemini_ids(context)) if "listGeminiModels" in context.contract.operations else []
    for name in _read_openai_ids(context):
        image = _generates_images(rows.get(name, {}))
        if image and not context.target.is_local:
            continue  # an image is expensive and takes minutes
        question = ChatQuestion("Say yes.", max_tokens=_IMAGE_TOKENS if image else _CHEAP_TOKENS)
        try:
            exchange = context.ask(PROTOCOLS["openai"], question, name)
        except BudgetSpent:
            if image:
                continue
            raise
        if exchange.status != 200:
            expected = f"an answer of the listed model '{name}'"
            yield BrokenLaw("createChatCompletion", expected, exchange.summary, exchange)
    for name in gemini[:1]:
        exchange = context.ask(PROTOCOLS["gemini"], ChatQuestion("Say yes.", max_tokens=_CHEAP_TOKENS), name)
        if exchange.status != 200:
            expected = f"an answer of the listed model '{name}'"
            yield BrokenLaw("generateContent", expected, exchange.summary, exchange)


def _generates_images(row: dict[str, Json]) -> bool:
    capabilities = row.get("capabilities")
    return isinstance(capabilities, list) and "image_output" in capabilities


def estimate_listed_models(context: LawContext) -> Decimal:
    """Return the RMB that calls to all listed models may cost."""
    try:
        rows = context.list_models()
    except NotChecked:
        return Decimal(0)
    cost = Decimal(0)
    for row in rows:
        image = _generates_images(row)
        if context.target.is_local or not image:
            price = context.client.budget.price(row["id"])
            cost += price.cost(20, _IMAGE_TOKENS if image else _CHEAP_TOKENS)
    return cost


def check_aliases(context: LawContext) -> LawResults:
    """Accept the short names of listed models, and do not list the short names."""
    ids = _read_openai_ids(context)
    if listed := [name for name in _ALIASES if name in ids]:
        yield BrokenLaw("listModels", "standard ids only", f"also {_join_ids(listed)}", context.client.last)
    for alias in _ALIASES:
        if f"claude-{alias}" not in ids:
            continue
        exchange = context.call("retrieveModel", {"model": alias})
        if exchange.status != 200:
            yield BrokenLaw("retrieveModel", f"'{alias}' to be known", exchange.summary, exchange)
        elif exchange.data.find("id") != f"claude-{alias}":
            seen = f"'{exchange.data.find('id')}'"
            yield BrokenLaw("retrieveModel", f"the id 'claude-{alias}'", seen, exchange)
    if f"claude-{_ALIASES[-1]}" in ids:
        question = ChatQuestion("Say yes.", max_tokens=_CHEAP_TOKENS)
        exchange = context.ask(PROTOCOLS["openai"], question, _ALIASES[-1])
        if exchange.status != 200:
            yield BrokenLaw("createChatCompletion", f"'{_ALIASES[-1]}' to be known", exchange.summary, exchange)


def check_case_of_ids(context: LawContext) -> LawResults:
    """Answer 404 for a model id in capitals."""
    name = context.choose_model("openai").upper()
    if name in _read_openai_ids(context):
        raise NotChecked("the model's id is in capitals")
    exchange = context.ask(PROTOCOLS["openai"], ChatQuestion("Say yes.", max_tokens=_CHEAP_TOKENS), name)
    if exchange.status != 404:
        yield BrokenLaw("createChatCompletion", "404 for an id in capitals", exchange.summary, exchange)


def check_gemini_pages(context: LawContext) -> LawResults:
    """Divide Gemini's list into pages of at most `pageSize` models, always in the same order."""
    whole = _read_gemini_ids(context)
    ids: list[str] = []
    token = None
    for _ in range(len(whole) + 2):
        exchange = context.call_ok("listGeminiModels", query={"pageSize": 2, "pageToken": token})
        page = [row.text("name").removeprefix("models/") for row in exchange.data.rows("models")]
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
_deduced = partial(_law, evidence="deduced")
_LISTS = ("listModels", "listGeminiModels")
_CHAT = ("createChatCompletion",)

LAWS = (
    _deduced("models-agree", "The lists of models agree", check_lists_agree, ("listGatewayModels", "listGeminiModels")),
    _deduced("models-unique", "No model is listed twice", check_unique_ids, _LISTS),
    _law("models-readable", "Listed models are readable", check_models_readable, ("retrieveModel", "getGeminiModel")),
    _law("models-paged", "Gemini's list has pages", check_gemini_pages, ("listGeminiModels",)),
    _law("models-aliases", "Short names are accepted", check_aliases, ("listModels", "retrieveModel", *_CHAT), paid=1),
    _law("models-case", "Model ids are case-sensitive", check_case_of_ids, _CHAT),
    _law(
        "models-callable",
        "Listed models are callable",
        check_models_callable,
        PLAIN_CHAT,
        paid=20,
        extra_cost=estimate_listed_models,
    ),
)
