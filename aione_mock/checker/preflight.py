"""Whether there is something to check at an address at all, before any law."""

from __future__ import annotations

from collections.abc import Callable

from aione_mock.checker.client import Stop
from aione_mock.checker.context import LawContext
from aione_mock.checker.finding import NotChecked
from aione_mock.checker.traffic import HttpExchange, shown
from aione_mock.errors import did_you_mean

_DOORS = ("listModels", "listKeys", "ModelRouterQueryObservationMetrics", "listGeminiModels")
"""Reading operations that show whether a credential is good; one for each credential."""


def obstacle(context: LawContext) -> str:
    """Why checking is pointless; empty when it is not. Sends at most one request for each credential.

    Raises Stop.
    """
    tried: list[HttpExchange] = []
    for name in _DOORS:
        if name in context.contract.operations:
            try:
                tried.append(context.call(name))
            except NotChecked:
                continue
            except Stop as stop:
                return str(stop)
            if not tried[-1].status:
                return f"no answer from {context.target.url}: {tried[-1].failure}"
    if not tried:
        return "no credential was given (--key, --token, --access-key with --access-secret)"
    for test, words in _SIGNS:
        if all(test(exchange) for exchange in tried):
            return _say(words, tried[0])
    refused = next((exchange for exchange in tried if exchange.status in (401, 403)), None)
    return _say("a credential is refused", refused) if refused else _unknown_model(context)


def _unknown_model(context: LawContext) -> str:
    """Why the model that was asked for cannot be called: no list and no alias knows it."""
    model = context.target.model
    try:
        if not model or context.lists(model) or not context.rows():
            return ""
        if context.call("retrieveModel", {"model": model}).status != 404:
            return ""
    except NotChecked:
        return ""
    near = did_you_mean(model, [str(row["id"]) for row in context.rows()])
    return f"the model '{model}' (--model) is not listed and not found{near}"


def _say(words: str, exchange: HttpExchange) -> str:
    where = exchange.header("location")
    more = f"redirected to {where[:120]}" if where and 300 <= exchange.status < 400 else shown(exchange.body, 120)
    return f"{words}: {exchange.request.method} {exchange.request.path} answered {exchange.outcome} ({more})"


def _page(exchange: HttpExchange) -> bool:
    return exchange.media_type in ("text/html", "application/xhtml+xml") or 300 <= exchange.status < 400


_SIGNS: tuple[tuple[Callable[[HttpExchange], bool], str], ...] = (
    (_page, "there is a web page, not an API"),
    (lambda exchange: exchange.status == 429, "every request is refused for its rate"),
    (lambda exchange: exchange.status in (401, 403), "the credentials are refused"),
    (lambda exchange: exchange.status in (404, 405), "the operations are not there; is the base URL right?"),
    (lambda exchange: exchange.status >= 500, "the server fails"),
)
