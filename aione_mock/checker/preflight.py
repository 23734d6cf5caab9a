"""Find out whether there is a gateway to check, before any law."""

from __future__ import annotations

from collections.abc import Callable

from aione_mock.checker.context import LawContext
from aione_mock.checker.errors import NotChecked, StopRun
from aione_mock.checker.exchange import HttpExchange, shorten_body
from aione_mock.errors import did_you_mean

_PROBES = ("listModels", "listKeys", "ModelRouterQueryObservationMetrics", "listGeminiModels")
"""Reading operations: at least one for each credential."""


def find_obstacle(context: LawContext) -> str:
    """Return why nothing can be checked; empty if something can. Sends at most one request for each probe."""
    exchanges: list[HttpExchange] = []
    for operation in context.declared_operations(*_PROBES):
        try:
            exchanges.append(context.call(operation.id))
        except NotChecked:
            continue
        except StopRun as stop:
            return str(stop)
        if not exchanges[-1].status:
            return f"no answer from {context.target.url}: {exchanges[-1].failure}"
    if not exchanges:
        return "no credential was given (--key, --token, --access-key with --access-secret)"
    for applies, problem in _PROBLEMS:
        if all(applies(exchange) for exchange in exchanges):
            return _describe_problem(problem, exchanges[0])
    rejected = next((exchange for exchange in exchanges if exchange.status in (401, 403)), None)
    return _describe_problem("a credential is rejected", rejected) if rejected else _check_model(context)


def _check_model(context: LawContext) -> str:
    """Return why the requested model cannot be called: it is neither listed nor an alias."""
    model = context.target.model
    try:
        if not model or context.is_listed(model) or not context.list_models():
            return ""
        if context.call("retrieveModel", {"model": model}).status != 404:
            return ""
    except NotChecked:
        return ""
    near = did_you_mean(model, [str(row["id"]) for row in context.list_models()])
    return f"the model '{model}' (--model) is not listed and not found{near}"


def _describe_problem(problem: str, exchange: HttpExchange) -> str:
    location = exchange.header("location")
    redirect = f"redirected to {location[:120]}" if location and 300 <= exchange.status < 400 else ""
    detail = redirect or shorten_body(exchange.body, 120)
    return f"{problem}: {exchange.request.method} {exchange.request.path} answered {exchange.summary} ({detail})"


def _is_web_page(exchange: HttpExchange) -> bool:
    return exchange.media_type in ("text/html", "application/xhtml+xml") or 300 <= exchange.status < 400


_PROBLEMS: tuple[tuple[Callable[[HttpExchange], bool], str], ...] = (
    (_is_web_page, "there is a web page, not an API"),
    (lambda exchange: exchange.status == 429, "every request is rejected with 429"),
    (lambda exchange: exchange.status in (401, 403), "the credentials are rejected"),
    (lambda exchange: exchange.status in (404, 405), "the operations do not exist; is the base URL right?"),
    (lambda exchange: exchange.status >= 500, "the server fails"),
)
