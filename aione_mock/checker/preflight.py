"""Find out whether there is a gateway to check, and with which credentials, before any law."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urljoin

from aione_mock.checker.client import Auth
from aione_mock.checker.context import LawContext
from aione_mock.checker.errors import AnswerTimedOut, BudgetSpent, NotChecked, StopRun
from aione_mock.checker.exchange import HttpExchange, shorten_body
from aione_mock.checker.plan import CheckPlan
from aione_mock.checker.protocols import ChatQuestion
from aione_mock.checker.target import HOW_TO_GIVE, OPTIONS
from aione_mock.errors import did_you_mean
from aione_mock.structs import replace

_PROBES = {
    "key": ("listModels", "listGeminiModels"),
    "token": ("listKeys", "getPlan", "listInvoices", "getDashboard", "listGatewayModels"),
    "business_token": ("getDashboard", "getPlan"),
    "other_token": ("listKeys", "getPlan"),
    "access_secret": ("ModelRouterQueryObservationMetrics", "ModelRouterQueryObservationCharts"),
}
"""Credential → reading operations that show whether it is accepted; the next one is for a gateway without the first."""
_CONSOLE_FIELDS = ("token", "business_token", "other_token")
_UNKNOWN_PATH = "/no-such-path-7/at-all"
_MISSING = (404, 405)
_REJECTED = (401, 403)
_MAX_TIMEOUTS = 2
"""Probes that were not answered in time after which nobody else is asked."""


def find_obstacle(context: LawContext, plan: CheckPlan) -> str:
    """Return why nothing can be checked; empty if something can. Leaves out credentials that are rejected."""
    try:
        exchanges = _send_probes(context, plan)
    except (NotChecked, StopRun) as error:
        return f"no answer from {context.target.url}: {error}"
    if not exchanges:
        return f"no credential was given; {HOW_TO_GIVE}"
    answers = list(exchanges.values())
    if problem := find_common_problem(context, answers):
        return problem
    if _is_catch_all(context, answers):
        return _describe_problem("every path is answered alike, also one that does not exist", answers[0])
    for field, exchange in exchanges.items():
        if exchange.status in _REJECTED:
            problem = f"{OPTIONS[field]} is rejected"
            context.client.reject_credential(field, problem, _describe_problem(problem, exchange))
    return _check_model(context)


def find_common_problem(context: LawContext, answers: list[HttpExchange]) -> str:
    """Return what is wrong with all answers, of which there is at least one; empty if nothing is."""
    for exchange in answers:
        if not exchange.status:
            return f"no answer from {context.target.url}: {exchange.failure}"
    if base := _find_redirected_base(context, answers[0]):
        return _describe_problem(f"give {base} as the URL", answers[0])
    if base := _find_shorter_base(context, answers):
        return _describe_problem(f"the operations do not exist; give {base} as the URL", answers[0])
    for applies, problem in _PROBLEMS:
        if all(applies(exchange) for exchange in answers):
            return _describe_problem(problem, answers[0])
    return ""


def _send_probes(context: LawContext, plan: CheckPlan) -> dict[str, HttpExchange]:
    """Return an answer for each credential that the plan needs. Raises AnswerTimedOut if there is none."""
    exchanges: dict[str, HttpExchange] = {}
    timeouts: list[AnswerTimedOut] = []
    for field in _list_needed_credentials(context, plan):
        try:
            for exchange in _probe_credential(context, plan, field):
                exchanges.setdefault(field, exchange)
                if exchange.status not in _MISSING and exchange.status < 500:
                    exchanges[field] = exchange
                    break
        except AnswerTimedOut as error:
            timeouts.append(error)
        if len(timeouts) >= _MAX_TIMEOUTS and not exchanges:
            break
        if field in exchanges and not exchanges[field].status:
            break
    if timeouts and not exchanges:
        raise timeouts[0]
    return exchanges


def _list_needed_credentials(context: LawContext, plan: CheckPlan) -> list[str]:
    """Return the credentials that were given and that an operation or a law of the plan uses."""
    protocols = {context.contract.operations[name].protocol for name in plan.operations}
    used = {"console": "token", "modelrouter": "access_secret"}
    needed = {used.get(protocol, "key") for protocol in protocols}
    needed |= {need for law in (*plan.laws, *plan.asking_laws) for need in law.needs}
    return [field for field in _PROBES if field in needed and getattr(context.target, field)]


def _probe_credential(context: LawContext, plan: CheckPlan, field: str) -> Iterator[HttpExchange]:
    """Yield answers to requests with a credential. Raises AnswerTimedOut."""
    names = [name for name in _PROBES[field] if context.client.may_call(name)]
    auth: Any = Auth("consoleToken", getattr(context.target, field)) if field in _CONSOLE_FIELDS else "target"
    for name in names:
        yield context.call(name, auth=auth)
    if field == "key" and context.target.model:
        # a gateway without a list of models is asked for an answer of the given one
        for protocol in context.list_chat_protocols():
            if protocol.plain in plan.operations:
                with suppress(BudgetSpent):
                    yield context.ask(protocol, ChatQuestion("Say yes.", max_tokens=4), context.target.model)


def _is_catch_all(context: LawContext, answers: Iterable[HttpExchange]) -> bool:
    """Return whether a path that does not exist has the answer that all others have."""
    first, *others = answers
    if first.status >= 400 or any(other.body != first.body for other in others):
        return False
    # another method than that of the operation keeps the rules from judging the answer
    operation = next(o for o in context.contract.operations.values() if o.method != "GET")
    path = context.target.base_path + _UNKNOWN_PATH
    request = replace(first.request, operation=operation.id, method="GET", path=path, body=None)
    try:
        unknown = context.client.send(request)
    except (NotChecked, StopRun):
        return False
    return (unknown.status, unknown.body) == (first.status, first.body)


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
    request = exchange.request
    detail = _describe_redirect(exchange) or shorten_body(exchange.body, 120)
    return f"{problem}: {request.method} {request.path} answered {exchange.summary} ({detail})"


def _describe_redirect(exchange: HttpExchange) -> str:
    location = exchange.header("location") or ""
    return f"redirected to {location[:120]}" if location and 300 <= exchange.status < 400 else ""


def _find_redirected_base(context: LawContext, exchange: HttpExchange) -> str:
    """Return the URL that a redirect shows to be the right one; empty if it leads elsewhere."""
    location, request = exchange.header("location") or "", exchange.request
    path = request.path.removeprefix(context.target.base_path)
    url = urljoin(context.target.origin + request.path, location).partition("?")[0].rstrip("/")
    return url.removesuffix(path) if 300 <= exchange.status < 400 and url.endswith(path) else ""


def _find_shorter_base(context: LawContext, answers: Iterable[HttpExchange]) -> str:
    """Return the URL without its last segment if the paths of the contract begin with it; empty if they do not."""
    base, _, segment = context.target.url.rpartition("/")
    repeated = any(o.path.startswith(f"/{segment}/") for o in context.contract.operations.values())
    return base if repeated and all(exchange.status in _MISSING for exchange in answers) else ""


def _is_web_page(exchange: HttpExchange) -> bool:
    return exchange.media_type in ("text/html", "application/xhtml+xml") or 300 <= exchange.status < 400


def _is_compressed(exchange: HttpExchange) -> bool:
    return (exchange.header("content-encoding") or "identity").lower() != "identity"


_PROBLEMS: tuple[tuple[Callable[[HttpExchange], bool], str], ...] = (
    (lambda exchange: bool(exchange.failure), "no answer can be read to its end"),
    (lambda exchange: exchange.status == 429, "every request is rejected with 429"),
    (lambda exchange: exchange.status in _REJECTED, "the credentials are rejected"),
    (
        lambda exchange: exchange.status in _MISSING,
        "the operations do not exist; is the base URL right? If only the lists of models are missing, give --model",
    ),
    (lambda exchange: exchange.status >= 500, "the server fails"),
    (_is_compressed, "answers are compressed although the request does not accept it"),
    (_is_web_page, "there is a web page, not an API"),
)
