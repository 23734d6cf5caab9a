"""Errors: the status, envelope, type and code of each protocol for each situation."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from http import HTTPStatus

from aione_mock.checker.context import LawContext
from aione_mock.checker.errors import NotChecked
from aione_mock.checker.exchange import HttpExchange, shorten_body
from aione_mock.checker.finding import BrokenLaw, LawResults, SkippedOperation
from aione_mock.checker.law import Law
from aione_mock.checker.laws.error_responses import UNKNOWN_ID, check_envelope, check_error, read_code_parameter
from aione_mock.checker.laws.operation_groups import METRICS, MODELROUTER, ONE_KEY, PLAIN_CHAT, TOKEN_COUNTS, USAGE
from aione_mock.checker.protocols import ChatProtocol, ChatQuestion
from aione_mock.checker.schema_differences import find_differences
from aione_mock.checker.schema_lookup import EVIDENCE_ORDER, choose_weakest_evidence, find_parameter_evidence
from aione_mock.contract import Operation
from aione_mock.structs import replace
from aione_mock.types import Json

UNKNOWN_MODEL = "no-such-model-7"
_TOO_MANY_TOKENS = 1_500_000_000
"""More than the context of any model."""
Place = tuple[str, str]
"""Part of the request, and parameter or member."""
_MODEL_OPERATIONS = (*PLAIN_CHAT, "retrieveModel", "getGeminiModel", *TOKEN_COUNTS)
_UNKNOWN_PATHS = {
    "createChatCompletion": "/v1/chat/completion",
    "createMessage": "/v1/messages/nowhere",
    "listGeminiModels": "/v1beta/modls",
    "listKeys": "/api/v1/gateway/kees",
}
_WRONG_METHODS = {
    "createChatCompletion": "GET",
    "createMessage": "GET",
    "listGeminiModels": "DELETE",
    "getDashboard": "DELETE",
}
_INVALID_QUERIES: tuple[tuple[str, dict[str, Json], set[Place]], ...] = (
    ("getKey", {"key_id": "not-a-uuid"}, {("path", "key_id")}),
    ("getDashboard", {"range_days": "minimum"}, {("query", "range_days")}),
    ("getDashboard", {"range_days": "maximum"}, {("query", "range_days")}),
    ("getDashboard", {"range_days": "week"}, {("query", "range_days")}),
    ("listInvoices", {"page": "minimum", "page_size": "maximum"}, {("query", "page"), ("query", "page_size")}),
    ("queryUsage", {"group_by": "colour", "start_date": "soon"}, {("query", "group_by"), ("query", "start_date")}),
)
"""Operation, parameters, and the places of the expected problems. `minimum` and `maximum` mean one less or more."""
_INVALID_KEYS: tuple[tuple[Json, set[Place]], ...] = (
    ({}, {("body", "name")}),
    ({"name": ""}, {("body", "name")}),
    ({"name": "maxLength", "rpm_limit": 0}, {("body", "name"), ("body", "rpm_limit")}),
    ({"name": "x", "tpm_limit": "many", "is_sandbox": "maybe"}, {("body", "tpm_limit"), ("body", "is_sandbox")}),
    ({"name": "x", "allowed_ips": ["300.1.1.1"]}, {("body", "allowed_ips")}),
    ({"name": "x", "expires_at": "2001-01-01T00:00:00Z"}, {("body", "expires_at")}),
    ({"name": "x", "team_id": "not-a-uuid"}, {("body", "team_id")}),
)
"""Body of createKey, and the places of the expected problems. `maxLength` means a text that is longer."""
_BOUNDS = {"minimum": -1, "maximum": 1}
"""Keyword of a parameter → what is added to it for an invalid value."""


def _call_chat(
    context: LawContext, protocol: ChatProtocol, model: str, body: Json = None, raw: bytes | None = None
) -> HttpExchange:
    return context.call(protocol.plain, protocol.make_path_params(model), body=body, raw=raw)


def check_unknown_model(context: LawContext) -> LawResults:
    """Reject an unknown model, in the envelope of the protocol."""
    for protocol in context.list_chat_protocols():
        body = protocol.make_body(ChatQuestion("Hello"), UNKNOWN_MODEL)
        yield from check_error(context, _call_chat(context, protocol, UNKNOWN_MODEL, body), "model_not_found")
    for operation in context.list_declared_operations("retrieveModel", "getGeminiModel", *TOKEN_COUNTS):
        counting_body = _make_counting_body(operation) if operation.method == "POST" else None
        exchange = context.call(operation.id, {"model": UNKNOWN_MODEL}, body=counting_body)
        yield from check_error(context, exchange, "model_not_found")


def _make_counting_body(operation: Operation) -> dict[str, Json]:
    if operation.protocol == "gemini":
        return {"contents": [{"parts": [{"text": "Hello"}]}]}
    return {"model": UNKNOWN_MODEL, "messages": [{"role": "user", "content": "Hello"}]}


def check_malformed_body(context: LawContext) -> LawResults:
    """Reject a body if it is not JSON, lacks a required member or has one of the wrong type."""
    for protocol in context.list_chat_protocols():
        model = context.choose_model(protocol.name)
        valid = protocol.make_body(ChatQuestion("Hello", max_tokens=8), model)
        member = "contents" if protocol.name == "gemini" else "messages"
        bodies: tuple[Json, ...] = (
            {name: value for name, value in valid.items() if name != member},
            {**valid, member: "not a list"},
            {**valid, member: [{"role": 7}]},
            [valid],
        )
        for body in bodies:
            yield from check_error(context, _call_chat(context, protocol, model, body), "invalid_request")
        for raw in (b"{", b'{"model": "x", }', b"", b"hello"):
            yield from check_error(context, _call_chat(context, protocol, model, raw=raw), "invalid_request")


def check_parameter_named(context: LawContext) -> LawResults:
    """Name the invalid parameter in `error.param` of OpenAI's envelope."""
    protocol = context.choose_default_protocol()
    if protocol.name != "openai":
        raise NotChecked("the contract has no chat completions")
    model = context.choose_model("openai")
    body = {**protocol.make_body(ChatQuestion("Hello", max_tokens=8), model), "temperature": "warm"}
    exchange = context.call(protocol.plain, body=body)
    if exchange.is_success:
        status = context.contract.operations[protocol.plain].errors["invalid_request"].status
        expected, seen = f"{status} for a temperature that is text", exchange.summary
        yield BrokenLaw(protocol.plain, expected, seen, exchange)
    elif (param := exchange.data.find("error", "param")) != "temperature":
        yield BrokenLaw(protocol.plain, "error.param 'temperature'", repr(param), exchange, subject="/error/param")


def check_context_length(context: LawContext) -> LawResults:
    """Reject a request if its prompt and answer together exceed the model's context."""
    for protocol in context.list_chat_protocols():
        model = context.choose_model(protocol.name)
        body = protocol.make_body(ChatQuestion("Hello", max_tokens=_TOO_MANY_TOKENS), model)
        yield from check_error(context, _call_chat(context, protocol, model, body), "context_length_exceeded")


def check_image_model(context: LawContext) -> LawResults:
    """Reject streamed chat completions and all messages for a model that generates images."""
    model = context.choose_model("openai", "image_output", without=())
    for protocol in context.list_chat_protocols()[:2]:
        question = ChatQuestion("A red lighthouse.", max_tokens=16, stream=protocol.name == "openai")
        exchange = _call_chat(context, protocol, model, protocol.make_body(question, model))
        yield from check_error(context, exchange, "unsupported_operation")


def check_console_validation(context: LawContext) -> LawResults:
    """Reject invalid parameters of the console, and list every problem with its place."""
    for name, values, places in _INVALID_QUERIES:
        if context.includes(name):
            values = {key: _exceed_bound(context, name, key, value) for key, value in values.items()}
            query = {key: value for key, value in values.items() if ("path", key) not in places}
            exchange = context.call(name, {key: str(value) for key, value in values.items()}, query=query)
            evidence = max((_judge_parameter(context, name, key) for key in values), key=EVIDENCE_ORDER.index)
            yield from _check_validation_error(context, exchange, places, evidence)


def _exceed_bound(context: LawContext, operation: str, name: str, value: Json) -> Json:
    return context.find_parameter(operation, name)[value] + _BOUNDS[value] if value in _BOUNDS else value


def _judge_parameter(context: LawContext, operation: str, name: str) -> str:
    """Return how a parameter is known."""
    spec = context.contract.operations[operation]
    nodes = [spec.resolve(node) for node in spec.raw.get("parameters", ())]
    return choose_weakest_evidence(*(find_parameter_evidence(spec, node) for node in nodes if node["name"] == name))


def check_key_validation(context: LawContext) -> LawResults:
    """Reject an invalid new key, and list every problem with its place."""
    operation = context.client.find_operation("createKey")
    schema = operation.request_body["content"]["application/json"]["schema"]
    longest = operation.locate("#/components/schemas/KeyCreateRequest/properties/name/maxLength")
    for body, places in _INVALID_KEYS:
        if body.get("name") == "maxLength":
            body = {**body, "name": "x" * (longest + 1)}
        exchange = context.call("createKey", body=body)
        context.track_created_key(exchange)
        found = [difference.evidence for difference in find_differences(operation, schema, body, operation.evidence)]
        evidence = max(found, key=EVIDENCE_ORDER.index, default=EVIDENCE_ORDER[0])
        yield from _check_validation_error(context, exchange, places, evidence)


def _check_validation_error(
    context: LawContext, exchange: HttpExchange, places: set[Place], evidence: str
) -> LawResults:
    """Check an error about data; `evidence` tells how it is known that the data is invalid."""
    problems = list(check_error(context, exchange, "validation_error"))
    yield from (replace(problem, evidence=choose_weakest_evidence(problem.evidence, evidence)) for problem in problems)
    if problems:
        return
    listed = {
        tuple(str(step.value) for step in item.list_rows("loc")[:2]) for item in exchange.data.list_rows("detail")
    }
    if missing := sorted(".".join(place) for place in places - listed):
        seen = ", ".join(sorted(".".join(place) for place in listed))
        yield BrokenLaw(exchange.request.operation, f"problems at {', '.join(missing)}", seen, exchange, evidence)


def check_unknown_key(context: LawContext) -> LawResults:
    """Know an unknown key in no operation."""
    for operation in context.list_declared_operations(*ONE_KEY):
        try:
            exchange = context.call(
                operation.id, {"key_id": UNKNOWN_ID}, body={} if operation.id == "updateKey" else None
            )
        except NotChecked as error:
            yield SkippedOperation(operation.id, str(error))
            continue
        yield from check_error(context, exchange, "not_found")


def check_unknown_path(context: LawContext) -> LawResults:
    """Reject an unknown path, in the envelope of the protocol with the most similar path."""
    for name, path in _UNKNOWN_PATHS.items():
        if context.includes(name):
            try:
                yield from _check_routing_error(context, name, path, "GET", "not_found")
            except NotChecked as error:
                yield SkippedOperation(name, str(error))


def check_wrong_method(context: LawContext) -> LawResults:
    """Reject a method that a path does not have, and list the others in `allow`."""
    for name, method in _WRONG_METHODS.items():
        if not context.includes(name):
            continue
        if method != "GET" and not context.client.allow_writes:
            reason = f"it would send {method}; --allow-writes permits requests that could change something"
            yield SkippedOperation(name, reason)
            continue
        try:
            exchange = yield from _check_routing_error(context, name, None, method, "method_not_allowed")
        except NotChecked as error:
            yield SkippedOperation(name, str(error))
            continue
        allowed = context.contract.operations[name].method
        listed = {word.strip() for word in (exchange.header("allow") or "").split(",")}
        if exchange.status == HTTPStatus.METHOD_NOT_ALLOWED and allowed not in listed:
            yield BrokenLaw(name, f"allow with {allowed}", f"allow: {exchange.header('allow')}", exchange)


def _check_routing_error(
    context: LawContext, name: str, path: str | None, method: str, error: str
) -> Generator[BrokenLaw | SkippedOperation, None, HttpExchange]:
    """Send a request to another path or with another method than that of an operation, and check the error."""
    operation = context.contract.operations[name]
    request = context.client.build_request(name, {"model": "x"})
    base = request.path.removesuffix(operation.path)
    request = replace(request, method=method, path=base + path if path else request.path, body=None)
    if request.method == operation.method:
        # another method keeps the rules from taking the answer for one of the operation
        request = replace(request, method="HEAD" if path is None else "OPTIONS")
    exchange = context.client.send(request)
    spec = context.contract.find_error(operation.protocol, error)
    if spec is not None and exchange.status != spec.status:
        expected = f"{spec.status} for {request.method} {path or operation.path}"
        yield BrokenLaw(name, expected, exchange.summary, exchange)
    elif spec is not None and request.method != "HEAD":
        yield from check_envelope(operation, spec, exchange)
    return exchange


def check_modelrouter_parameter(context: LawContext) -> LawResults:
    """Reject a bad parameter of ModelRouter, and name it in `code` and `errCode` alike."""
    for operation in context.list_declared_operations(*MODELROUTER):
        exchange = context.call(operation.id, query={"timeRange": "2h"})
        problems = list(check_error(context, exchange, "invalid_parameter"))
        yield from problems
        if problems:
            continue
        if read_code_parameter(exchange) != "timeRange":
            seen = f"{exchange.data.find('code')}"
            yield BrokenLaw(operation.id, "code InvalidParameter.timeRange", seen, exchange, "assumed")
        body = exchange.data
        if (body.find("code"), body.find("message")) != (body.find("errCode"), body.find("errMessage")):
            expected = "the same in code and errCode, message and errMessage"
            yield BrokenLaw(operation.id, expected, shorten_body(exchange.body), exchange)


def check_request_id(context: LawContext) -> LawResults:
    """Give the request id in the body of an error as in its header."""
    for name, member, body, query in (
        ("createMessage", "request_id", {"model": UNKNOWN_MODEL}, {}),
        (METRICS, "requestId", None, {"timeRange": "2h"}),
    ):
        if not context.includes(name):
            continue
        try:
            exchange = context.call(name, body=body, query=query)
        except NotChecked as error:
            yield SkippedOperation(name, str(error))
            continue
        in_header = exchange.header("x-request-id")
        if exchange.status >= 400 and in_header and exchange.data.find(member) != in_header:
            seen = f"{exchange.data.find(member)} and {in_header}"
            yield BrokenLaw(name, f"{member} equal to x-request-id", seen, exchange, "assumed", subject=f"/{member}")


def check_body_limit(context: LawContext) -> LawResults:
    """Reject a body above the limit."""
    protocol = context.choose_default_protocol()
    model = context.choose_model(protocol.name)
    text = "a" * ((context.find_figure("error-too-large", "limit_mib") + 1) << 20)
    exchange = context.call(
        protocol.plain, body=protocol.make_body(ChatQuestion(text, max_tokens=4), model), timeout=30.0
    )
    yield from check_error(context, exchange, "request_too_large")


_law = partial(Law, area="errors")
_chat_law = partial(_law, operations=PLAIN_CHAT, needs=("key",))
_IMAGE_OPERATIONS, _REQUEST_ID_OPERATIONS = PLAIN_CHAT[:2], ("createMessage", METRICS)
_ONE = ("createChatCompletion",)

LAWS = (
    _chat_law("error-unknown-model", "Unknown models are rejected", check_unknown_model, operations=_MODEL_OPERATIONS),
    _chat_law("error-malformed", "Malformed bodies are rejected", check_malformed_body),
    _chat_law("error-param", "Invalid parameters are rejected and named", check_parameter_named, operations=_ONE),
    _chat_law("error-too-long", "Requests above the context are rejected", check_context_length),
    _chat_law(
        "error-unsupported", "Image models reject what they cannot do", check_image_model, operations=_IMAGE_OPERATIONS
    ),
    _law(
        "error-validation",
        "The console lists every invalid parameter",
        check_console_validation,
        ("getKey", *USAGE, "listInvoices"),
        needs=("token",),
    ),
    _law(
        "error-body-validation",
        "Invalid new keys are rejected",
        check_key_validation,
        ("createKey",),
        needs=("token", "writes"),
    ),
    _law("error-no-such-key", "Unknown keys are not found", check_unknown_key, ONE_KEY, needs=("token",)),
    _law("error-unknown-path", "Unknown paths are not found", check_unknown_path, tuple(_UNKNOWN_PATHS)),
    _law("error-wrong-method", "Wrong methods are rejected", check_wrong_method, tuple(_WRONG_METHODS)),
    _law(
        "error-router",
        "ModelRouter's errors name the parameter",
        check_modelrouter_parameter,
        MODELROUTER,
        needs=("access_secret",),
    ),
    _law("error-request-id", "Errors repeat the request id", check_request_id, _REQUEST_ID_OPERATIONS),
    _chat_law(
        "error-too-large", "Too large bodies are rejected", check_body_limit, operations=_ONE, needs=("key", "local")
    ),
)
