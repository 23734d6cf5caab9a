"""Refusals: the status, the envelope, the type and the code that each protocol gives to each situation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aione_mock.checker.context import LawContext, broken
from aione_mock.checker.finding import BrokenLaw, NotChecked, SkippedOperation
from aione_mock.checker.law import Law, LawResults
from aione_mock.checker.laws.areas import COUNTS, FIGURES, ONE_KEY, PLAIN, ROUTER
from aione_mock.checker.protocols import ChatProtocol, ChatQuestion
from aione_mock.checker.traffic import HttpExchange, Unreadable, shown
from aione_mock.contract import ErrorSpec, Operation
from aione_mock.structs import replace
from aione_mock.types import Json

NOBODY = "00000000-0000-4000-8000-000000000000"
"""An id that belongs to nothing."""
_SAYS: dict[str, tuple[tuple[str, ...], ...]] = {
    "openai": (("error", "type"), ("error", "code")),
    "anthropic": (("type",), ("error", "type")),
    "gemini": (("error", "code"), ("error", "status")),
    "console": (),
    "modelrouter": (("success",), ("httpStatusCode",), ("errCode",), ("code",)),
}
"""Dialect → members of an error body that programs read, as the contract's example has them."""


def refusal(operation: Operation, name: str, exchange: HttpExchange, *, expected: str = "") -> Iterator[BrokenLaw]:
    """What an answer has against being the refusal `name` of an operation."""
    spec = operation.errors.get(name)
    if spec is None:
        return
    response = operation.responses.get(str(spec.status), {})
    evidence = response.get("x-evidence", operation.evidence)
    what = expected or f"{spec.status} {name}"
    if exchange.status != spec.status:
        seen = f"{exchange.outcome}: {shown(exchange.body)}"
        yield broken(operation, what, seen, exchange, evidence=evidence)
        return
    yield from _envelope(operation, spec, exchange, evidence)


def _envelope(operation: Operation, spec: ErrorSpec, exchange: HttpExchange, evidence: str) -> Iterator[BrokenLaw]:
    try:
        body = exchange.json
    except Unreadable as error:
        yield broken(operation, f"the envelope of {operation.protocol}", str(error), exchange, evidence=evidence)
        return
    if _SAYS[operation.protocol] and all(_at(body, way) is None for way in _SAYS[operation.protocol]):
        yield broken(
            operation, f"the envelope of {operation.protocol}", shown(exchange.body), exchange, evidence=evidence
        )
        return
    for way in _SAYS[operation.protocol]:
        wanted, seen = _at(spec.body, way), _at(body, way)
        if way[-1] in ("errCode", "code") and isinstance(wanted, str) and wanted.startswith("InvalidParameter."):
            wanted, seen = "InvalidParameter.…", f"{str(seen).split('.')[0]}.…"
        if seen != wanted:
            place = ".".join(way)
            yield broken(
                operation,
                f"{place} {wanted!r} for {spec.name}",
                (f"no {place}" if seen is None else f"{seen!r}")[:200],
                exchange,
                evidence=evidence,
            )


def _at(value: Json, way: tuple[str, ...]) -> Json:
    for step in way:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _refused(context: LawContext, protocol: ChatProtocol, name: str, body: Json, model: str) -> LawResults:
    operation = context.contract.operations[protocol.plain]
    if name in operation.errors:
        yield from refusal(operation, name, context.call(protocol.plain, protocol.params(model), body=body))


def unknown_model(context: LawContext) -> LawResults:
    """A model that does not exist is refused with 404, in the envelope of the protocol."""
    for protocol in context.protocols():
        body = protocol.body(ChatQuestion("Hello"), "no-such-model-7")
        yield from _refused(context, protocol, "model_not_found", body, "no-such-model-7")
    for operation in ("retrieveModel", "getGeminiModel", "countMessageTokens", "countTokens"):
        spec = context.contract.operations.get(operation)
        if spec is None:
            continue
        body = _counting(spec, "no-such-model-7") if spec.method == "POST" else None
        yield from refusal(spec, "model_not_found", context.call(operation, {"model": "no-such-model-7"}, body=body))


def _counting(operation: Operation, model: str) -> Json:
    if operation.protocol == "gemini":
        return {"contents": [{"parts": [{"text": "Hello"}]}]}
    return {"model": model, "messages": [{"role": "user", "content": "Hello"}]}


def malformed(context: LawContext) -> LawResults:
    """A body that is not JSON, lacks what is required or has a member of the wrong type is refused with 400."""
    for protocol in context.protocols():
        operation = context.contract.operations[protocol.plain]
        model = context.model(protocol.name)
        good = protocol.body(ChatQuestion("Hello", max_tokens=8), model)
        member = "contents" if protocol.name == "gemini" else "messages"
        wrong: tuple[Json, ...] = (
            {key: value for key, value in good.items() if key != member},
            {**good, member: "not a list"},
            {**good, member: [{"role": 7}]},
            [good],
        )
        for body in wrong:
            exchange = context.call(protocol.plain, protocol.params(model), body=body)
            yield from refusal(operation, "invalid_request", exchange)
        for raw in (b"{", b'{"model": "x", }', b"", b"hello"):
            exchange = context.call(protocol.plain, protocol.params(model), raw=raw)
            yield from refusal(operation, "invalid_request", exchange)


def parameter_named(context: LawContext) -> LawResults:
    """OpenAI's envelope names the parameter that is wrong, in `error.param`."""
    protocol = context.protocols()[0]
    if protocol.name != "openai":
        raise NotChecked("the contract has no chat completions")
    model = context.model("openai")
    body = {**protocol.body(ChatQuestion("Hello", max_tokens=8), model), "temperature": "warm"}
    exchange = context.call(protocol.plain, body=body)
    if exchange.status == 400 and _at(exchange.json, ("error", "param")) != "temperature":
        seen = repr(_at(exchange.json, ("error", "param")))
        yield broken(protocol.plain, "error.param 'temperature'", seen, exchange, evidence="assumed")
    elif exchange.status != 400:
        yield broken(protocol.plain, "400 for a temperature that is text", exchange.outcome, exchange)


def too_long(context: LawContext) -> LawResults:
    """A prompt and an answer that together exceed the model's context are refused with 400."""
    for protocol in context.protocols():
        model = context.model(protocol.name)
        body = protocol.body(ChatQuestion("Hello", max_tokens=1_500_000_000), model)
        yield from _refused(context, protocol, "context_length_exceeded", body, model)


def unsupported(context: LawContext) -> LawResults:
    """A model that makes pictures refuses to stream over chat completions, and to answer over messages, with 400."""
    model = context.model("openai", "image_output", without=())
    for protocol in context.protocols()[:2]:
        stream = protocol.name == "openai"
        body = protocol.body(ChatQuestion("A red lighthouse.", max_tokens=16, stream=stream), model)
        yield from _refused(context, protocol, "unsupported_operation", body, model)


def console_validation(context: LawContext) -> LawResults:
    """The console refuses what it cannot use with 422, and lists everything that is wrong, each with its place."""
    cases: tuple[tuple[str, dict[str, str], dict[str, Json], set[tuple[str, str]]], ...] = (
        ("getKey", {"key_id": "not-a-uuid"}, {}, {("path", "key_id")}),
        ("getDashboard", {}, {"range_days": 0}, {("query", "range_days")}),
        ("getDashboard", {}, {"range_days": 91}, {("query", "range_days")}),
        ("getDashboard", {}, {"range_days": "week"}, {("query", "range_days")}),
        ("listInvoices", {}, {"page": 0, "page_size": 101}, {("query", "page"), ("query", "page_size")}),
        (
            "queryUsage",
            {},
            {"group_by": "colour", "start_date": "soon"},
            {("query", "group_by"), ("query", "start_date")},
        ),
    )
    for name, params, query, places in cases:
        operation = context.contract.operations.get(name)
        if operation is None:
            continue
        exchange = context.call(name, params, query=query)
        problems = list(refusal(operation, "validation_error", exchange))
        yield from problems
        if not problems:
            yield from _places(name, exchange, places)


def console_body_validation(context: LawContext) -> LawResults:
    """A key cannot be made or changed with members that are missing, of the wrong type or out of bounds: 422,
    with all of them.
    """
    cases: tuple[tuple[Json, set[tuple[str, str]]], ...] = (
        ({}, {("body", "name")}),
        ({"name": ""}, {("body", "name")}),
        ({"name": "x" * 129, "rpm_limit": 0}, {("body", "name"), ("body", "rpm_limit")}),
        ({"name": "x", "tpm_limit": "many", "is_sandbox": "maybe"}, {("body", "tpm_limit"), ("body", "is_sandbox")}),
        ({"name": "x", "allowed_ips": ["300.1.1.1"]}, {("body", "allowed_ips")}),
        ({"name": "x", "expires_at": "2001-01-01T00:00:00Z"}, {("body", "expires_at")}),
        ({"name": "x", "team_id": "not-a-uuid"}, {("body", "team_id")}),
    )
    for body, places in cases:
        exchange = context.call("createKey", body=body)
        if exchange.status == 201 and isinstance(exchange.json, dict):
            # made against expectation: deleted like all others
            from aione_mock.checker.context import TemporaryKey

            context.adopt(TemporaryKey(str(exchange.json.get("id")), str(exchange.json.get("key")), exchange.json))
        problems = list(refusal(context.contract.operations["createKey"], "validation_error", exchange))
        yield from problems
        if not problems:
            yield from _places("createKey", exchange, places)


def _places(operation: str, exchange: HttpExchange, places: set[tuple[str, str]]) -> LawResults:
    found = {tuple(str(step) for step in item["loc"][:2]) for item in exchange.json["detail"]}
    if lost := sorted(".".join(place) for place in places - found):
        seen = ", ".join(sorted(".".join(place) for place in found))
        yield broken(operation, f"findings for {', '.join(lost)}", seen, exchange)


def console_not_found(context: LawContext) -> LawResults:
    """A key that does not exist is a 404, whatever is asked of it."""
    for name in ("getKey", "updateKey", "deleteKey", "rotateKey", "disableKey", "enableKey"):
        operation = context.contract.operations.get(name)
        if operation is None:
            continue
        try:
            exchange = context.call(name, {"key_id": NOBODY}, body={} if name == "updateKey" else None)
        except NotChecked as error:
            yield SkippedOperation(name, str(error))
            continue
        yield from refusal(operation, "not_found", exchange)


def unknown_path(context: LawContext) -> LawResults:
    """A path that does not exist is a 404 in the envelope of the protocol that it looks like."""
    for name, path in (
        ("createChatCompletion", "/v1/chat/completion"),
        ("createMessage", "/v1/messages/nowhere"),
        ("listGeminiModels", "/v1beta/modls"),
        ("listKeys", "/api/v1/gateway/kees"),
    ):
        if name in context.contract.operations:
            try:
                yield from _off_road(context, name, path, "GET", 404, "not_found")
            except NotChecked as error:
                yield SkippedOperation(name, str(error))


def wrong_method(context: LawContext) -> LawResults:
    """A method that a path does not take is a 405, and `allow` lists those that it takes."""
    for name, method in (
        ("createChatCompletion", "GET"),
        ("createMessage", "GET"),
        ("listGeminiModels", "DELETE"),
        ("getDashboard", "DELETE"),
    ):
        if name not in context.contract.operations:
            continue
        if method != "GET" and not context.client.writes:
            yield SkippedOperation(name, "it sends a method that changes things (--allow-writes)")
            continue
        try:
            exchange = yield from _off_road(context, name, None, method, 405, "method_not_allowed")
        except NotChecked as error:
            yield SkippedOperation(name, str(error))
            continue
        allowed = context.contract.operations[name].method
        listed = {word.strip() for word in (exchange.header("allow") or "").split(",")}
        if exchange.status == 405 and allowed not in listed:
            yield broken(name, f"allow with {allowed}", f"allow: {exchange.header('allow')}", exchange)


def _off_road(context: LawContext, name: str, path: str | None, method: str, status: int, error: str) -> Any:
    operation = context.contract.operations[name]
    request = context.client.request(name, {"model": "x"})
    base = request.path.removesuffix(operation.path)
    # a method of another name keeps the exchange out of what the operation itself promises
    request = replace(request, method=method, path=base + path if path else request.path, body=None)
    if request.method == operation.method:
        request = replace(request, method="HEAD" if path is None else "OPTIONS")
    exchange = context.client.send(request)
    spec = context.contract.find_error(operation.protocol, error)
    if exchange.status != status:
        yield broken(
            name,
            f"{status} for {request.method} {path or operation.path}",
            exchange.outcome,
            exchange,
            evidence="assumed",
        )
    elif spec is not None and request.method != "HEAD":
        yield from _envelope(operation, spec, exchange, "assumed")
    return exchange


def modelrouter_invalid(context: LawContext) -> LawResults:
    """ModelRouter refuses a bad parameter with 400 and names it in the code, in both spellings of the envelope."""
    for name in (
        "ModelRouterQueryObservationCharts",
        "ModelRouterQueryObservationMetrics",
        "ModelRouterQueryObservationLogs",
    ):
        operation = context.contract.operations.get(name)
        if operation is None:
            continue
        exchange = context.call(name, query={"timeRange": "2h"})
        problems = list(refusal(operation, "invalid_parameter", exchange))
        yield from problems
        if problems:
            continue
        body = exchange.json
        if body.get("code") != "InvalidParameter.timeRange":
            yield broken(name, "code InvalidParameter.timeRange", f"{body.get('code')}", exchange, evidence="assumed")
        if body.get("code") != body.get("errCode") or body.get("message") != body.get("errMessage"):
            yield broken(name, "the same code and text in both spellings", shown(exchange.body), exchange)


def request_id(context: LawContext) -> LawResults:
    """A refusal that names its request in the body names it as the header does."""
    for name, header, member in (
        ("createMessage", "x-request-id", "request_id"),
        ("ModelRouterQueryObservationMetrics", "x-request-id", "requestId"),
    ):
        if name not in context.contract.operations:
            continue
        try:
            body = {"model": "no-such-model-7"} if name == "createMessage" else None
            exchange = context.call(name, body=body, query={} if body else {"timeRange": "2h"})
        except NotChecked as error:
            yield SkippedOperation(name, str(error))
            continue
        if exchange.status >= 400 and exchange.header(header) and exchange.json.get(member) != exchange.header(header):
            seen = f"{exchange.json.get(member)} and {exchange.header(header)}"
            yield broken(name, f"{member} equal to {header}", seen, exchange, evidence="assumed")


def too_large(context: LawContext) -> LawResults:
    """A body over the limit (32 MiB by default) is refused with 413."""
    protocol = context.protocols()[0]
    model = context.model(protocol.name).encode()
    body = (
        b'{"model":"' + model + b'","max_tokens":4,"messages":[{"role":"user","content":"' + b"a" * (33 << 20) + b'"}]}'
    )
    operation = context.contract.operations[protocol.plain]
    yield from refusal(operation, "request_too_large", context.call(protocol.plain, raw=body, timeout=30.0))


LAWS = (
    Law(
        "error-unknown-model",
        "Unknown models are refused",
        unknown_model,
        (*PLAIN, "retrieveModel", "getGeminiModel", *COUNTS),
        ("key",),
        area="errors",
    ),
    Law("error-malformed", "Malformed bodies are refused", malformed, PLAIN, ("key",), area="errors"),
    Law(
        "error-param",
        "The wrong parameter is named",
        parameter_named,
        ("createChatCompletion",),
        ("key",),
        "assumed",
        area="errors",
    ),
    Law("error-too-long", "Prompts beyond the context are refused", too_long, PLAIN, ("key",), area="errors"),
    Law(
        "error-unsupported", "Image models refuse what they cannot do", unsupported, PLAIN[:2], ("key",), area="errors"
    ),
    Law(
        "error-validation",
        "The console lists everything that is wrong",
        console_validation,
        ("getKey", *FIGURES, "listInvoices"),
        ("token",),
        area="errors",
    ),
    Law(
        "error-body-validation",
        "Unusable keys are refused with all findings",
        console_body_validation,
        ("createKey",),
        ("token", "writes"),
        area="errors",
    ),
    Law(
        "error-no-such-key",
        "Keys that do not exist are not found",
        console_not_found,
        ONE_KEY,
        ("token",),
        area="errors",
    ),
    Law(
        "error-unknown-path",
        "Unknown paths are not found, in their protocol",
        unknown_path,
        ("createChatCompletion", "createMessage", "listGeminiModels", "listKeys"),
        (),
        "assumed",
        area="errors",
    ),
    Law(
        "error-wrong-method",
        "Wrong methods are refused, with allow",
        wrong_method,
        (*PLAIN[:2], "listGeminiModels", "getDashboard"),
        (),
        "assumed",
        area="errors",
    ),
    Law(
        "error-router",
        "ModelRouter's refusals are spelt twice alike",
        modelrouter_invalid,
        ROUTER,
        ("access_secret",),
        area="errors",
    ),
    Law(
        "error-request-id",
        "Refusals name their request alike",
        request_id,
        ("createMessage", ROUTER[1]),
        (),
        "assumed",
        area="errors",
    ),
    Law("error-too-large", "Bodies over the limit are refused", too_large, PLAIN[:1], ("key", "local"), area="errors"),
)
