"""Credentials: which requests a gateway accepts, for every state of a credential."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import partial
from http import HTTPStatus

from aione_mock.checker.client import Auth
from aione_mock.checker.context import LawContext, TemporaryKey, make_bearer_auth, make_console_auth
from aione_mock.checker.errors import NotChecked
from aione_mock.checker.exchange import HttpExchange, HttpRequest
from aione_mock.checker.finding import BrokenLaw, LawResults, SkippedOperation
from aione_mock.checker.law import Law
from aione_mock.checker.laws.error_responses import UNKNOWN_ID, check_error
from aione_mock.checker.laws.operation_groups import (
    ALL_OPERATIONS,
    CHAT,
    CONSOLE,
    DATA_PLANE,
    EMBEDDINGS,
    MODEL_LISTS,
    PLAIN_CHAT,
    RESPONSES,
)
from aione_mock.checker.protocols import PROTOCOLS, ChatQuestion
from aione_mock.contract import Operation
from aione_mock.structs import replace
from aione_mock.types import Json

_UNKNOWN_KEY = "sk-nex-this-key-was-never-made-000000"
"""Has the form of a key and belongs to nobody."""
_UNREADABLE_CREDENTIALS = ("Bearer", "Basic c2stbmV4LWRlbW86", "sk-nex-", "Bearer a b c", "bearer: x", ",")
_ERRORS = {"console": "not_authenticated", "modelrouter": "permission_denied"}
"""Protocol → error for a bad credential; `invalid_api_key` for all others."""
_EXTENSIONS = (*EMBEDDINGS, *RESPONSES)
_WITHOUT_SIGNATURE = (*DATA_PLANE, *CONSOLE, *_EXTENSIONS)
_ANY_PLACE = ("listModels", "countMessageTokens", "listGeminiModels")
"""Operations that accept a key in several places, one of each protocol."""
_CHEAP_QUESTION = ChatQuestion("Say yes.", max_tokens=4)
_HELLO = {"parts": [{"text": "Hello"}]}
_SAMPLE_BODIES: Mapping[str, dict[str, Json]] = {
    "countMessageTokens": {"messages": [{"role": "user", "content": "Hello"}]},
    "countTokens": {"contents": [_HELLO]},
    "createEmbedding": {"input": "Hello"},
    "embedContent": {"content": _HELLO},
    "batchEmbedContents": {"requests": [{"content": _HELLO}]},
    "createResponse": {"input": "Hello", "max_output_tokens": 16},
}
"""Bodies without the model, which those of Gemini do not need."""
_GRACE_TOLERANCE = timedelta(minutes=2)
_LIFETIME_SECONDS = 3


def _make_sample_input(operation: Operation, model: str = "gpt-5.2") -> tuple[dict[str, str], Json]:
    """Return path parameters and a body that an operation accepts, or answers with 404."""
    params = {"model": model, "key_id": UNKNOWN_ID, "response_id": "resp_unknown"}
    protocol = next((p for p in PROTOCOLS.values() if operation.id in (p.plain, p.streamed)), None)
    if protocol is not None:
        return params, protocol.make_body(ChatQuestion("Hello", max_tokens=4), model)
    if (body := _SAMPLE_BODIES.get(operation.id)) is not None:
        return params, body if operation.protocol == "gemini" else {"model": model, **body}
    return params, {"name": "never made"} if operation.request_body else None


def _build_requests(context: LawContext, *protocols: str) -> Iterator[tuple[Operation, HttpRequest]]:
    """Yield each operation that needs a credential, with a request that has none."""
    for operation in context.list_operations_of(*protocols):
        if operation.security:
            params, body = _make_sample_input(operation)
            yield operation, context.client.build_request(operation.id, params, body=body, auth=None)


def _expect_rejection(context: LawContext, operation: Operation, request: HttpRequest, what: str) -> LawResults:
    name = _ERRORS.get(operation.protocol, "invalid_api_key")
    spec = operation.errors.get(name)
    if spec is None:
        return
    try:
        exchange = context.client.send(request)
    except NotChecked as error:
        yield SkippedOperation(operation.id, str(error))
        return
    yield from check_error(context, exchange, name, f"{spec.status} {what}")


def check_missing_credential(context: LawContext) -> LawResults:
    """Reject a request without a credential."""
    for operation, request in _build_requests(context, "openai", "anthropic", "gemini", "console", "modelrouter"):
        yield from _expect_rejection(context, operation, request, "without a credential")


def check_unreadable_credential(context: LawContext) -> LawResults:
    """Reject an unreadable credential like a missing one."""
    for operation, request in _build_requests(context, "openai", "anthropic", "gemini", "console"):
        values = _UNREADABLE_CREDENTIALS if operation.method == "GET" else _UNREADABLE_CREDENTIALS[:3]
        for value in values:
            changed = replace(request, headers=(*request.headers, ("authorization", value)))
            yield from _expect_rejection(context, operation, changed, "with an unreadable credential")


def check_unknown_credential(context: LawContext) -> LawResults:
    """Reject an unknown credential in every place where a credential is allowed."""
    for operation, request in _build_requests(context, "openai", "anthropic", "gemini", "console"):
        for scheme in _list_schemes(operation):
            sent = context.client.add_auth(request, Auth(scheme, _UNKNOWN_KEY))
            yield from _expect_rejection(context, operation, sent, "with a key that does not exist")


def _list_schemes(operation: Operation) -> list[str]:
    return [scheme for option in operation.security for scheme in option]


def check_key_not_repeated(context: LawContext) -> LawResults:
    """Do not repeat a rejected key in the error."""
    for operation, request in _build_requests(context, "openai", "anthropic", "gemini"):
        if operation.method == "GET" or operation.paid:
            exchange = context.client.send(context.client.add_auth(request, Auth("bearerKey", _UNKNOWN_KEY)))
            if _UNKNOWN_KEY.encode() in exchange.body:
                yield BrokenLaw(operation.id, "a message without the whole key", "the key", exchange, "assumed")


def check_credential_places(context: LawContext) -> LawResults:
    """Accept a key as bearer token, in `x-api-key`, in `x-goog-api-key` and as `?key=`, as the contract declares."""
    for operation in context.list_declared_operations(*_ANY_PLACE):
        if not context.target.key:
            continue
        model = context.choose_model("anthropic") if operation.id == "countMessageTokens" else ""
        params, body = _make_sample_input(operation, model)
        for scheme in _list_schemes(operation):
            exchange = context.call(operation.id, params, body=body, auth=Auth(scheme, context.target.key))
            if exchange.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                evidence = context.contract.schemes[scheme].get("x-evidence")
                yield BrokenLaw(
                    operation.id, f"the key to be accepted as {scheme}", exchange.summary, exchange, evidence
                )


def check_key_on_console(context: LawContext) -> LawResults:
    """Accept an API key on the console, with the technical view."""
    exchange = context.call("getDashboard", auth=make_console_auth(context.target.key))
    view = context.find_figure("access-key-on-console", "view")
    if not exchange.is_success:
        yield BrokenLaw("getDashboard", "a success for an API key", exchange.summary, exchange)
    elif exchange.data.find("view_mode") != view:
        seen = f"'{exchange.data.find('view_mode')}'"
        yield BrokenLaw("getDashboard", f"the view '{view}'", seen, exchange)


def _call_with_key(context: LawContext, key: TemporaryKey) -> list[HttpExchange]:
    """Send one cheap request over each protocol, and one to the model list."""
    auth = make_bearer_auth(key.secret)
    exchanges = [
        context.ask(protocol, _CHEAP_QUESTION, context.choose_model(protocol.name), auth)
        for protocol in context.list_chat_protocols()
    ]
    return [*exchanges, context.call("listModels", auth=auth)]


def _expect_accepted(context: LawContext, key: TemporaryKey, what: str) -> LawResults:
    for exchange in _call_with_key(context, key):
        if not exchange.is_success:
            yield BrokenLaw(exchange.request.operation, f"a success with {what}", exchange.summary, exchange)


def _expect_rejected(context: LawContext, key: TemporaryKey, what: str, name: str = "invalid_api_key") -> LawResults:
    for exchange in _call_with_key(context, key):
        spec = context.contract.operations[exchange.request.operation].errors.get(name)
        if spec is not None:
            yield from check_error(context, exchange, name, f"{spec.status} with {what}")


def check_disabled_key(context: LawContext) -> LawResults:
    """Reject a disabled key from the next request on, and accept it again once it is enabled."""
    key = context.create_key("disabled")
    yield from _expect_accepted(context, key, "a new key")
    context.call_ok("disableKey", {"key_id": key.id})
    yield from _expect_rejected(context, key, "a disabled key")
    context.call_ok("enableKey", {"key_id": key.id})
    yield from _expect_accepted(context, key, "a key that was enabled again")


def check_deleted_key(context: LawContext) -> LawResults:
    """Reject a deleted key from the next request on, with each of its secrets."""
    key = context.create_key("deleted")
    rotated, _ = context.rotate_key(key)
    context.require_success(context.delete_key(key))
    yield from _expect_rejected(context, rotated, "a deleted key")
    yield from _expect_rejected(context, key, "the old secret of a deleted key")


def check_expired_key(context: LawContext) -> LawResults:
    """Reject a key after its expiry, and report in its status that it has expired."""
    start = context.read_server_time()
    expiry = start + timedelta(seconds=_LIFETIME_SECONDS)
    key = context.create_key("expired", expires_at=expiry.isoformat())
    yield from _expect_accepted(context, key, "a key that has not expired")
    for _ in range(4):
        context.client.sleep(1.0)
        if context.read_server_time() > expiry - timedelta(seconds=1):
            break
    if context.read_server_time() == start:
        raise NotChecked("the server's clock does not advance")
    context.client.sleep(1.2)
    yield from _expect_rejected(context, key, "an expired key")
    exchange = context.call_ok("getKey", {"key_id": key.id})
    status, expected = exchange.data.at("status").value, context.find_figure("access-expired", "status")
    if status != expected:
        evidence = context.find_member_evidence("getKey", "status")
        yield BrokenLaw("getKey", f"status '{expected}'", f"'{status}'", exchange, evidence)


def check_rotated_key(context: LawContext) -> LawResults:
    """Accept both secrets of a rotated key until `rotate_grace_until`, as much later as the contract says."""
    key = context.create_key("rotated")
    rotated, answer = context.rotate_key(key)
    yield from _expect_accepted(context, rotated, "the new secret")
    yield from _expect_accepted(context, key, "the old secret in its grace period")
    grace = answer.read_instant("rotate_grace_until") - key.record.read_instant("created_at")
    expected = timedelta(hours=context.find_figure("access-rotated", "grace_hours"))
    if abs(grace - expected) > _GRACE_TOLERANCE:
        yield BrokenLaw("rotateKey", f"a grace period of {expected}", f"{grace}", context.client.last)


def check_key_rotated_twice(context: LawContext) -> LawResults:
    """Reject the oldest secret once a key is rotated again."""
    key = context.create_key("rotated twice")
    second, _ = context.rotate_key(key)
    third, _ = context.rotate_key(second)
    yield from _expect_accepted(context, third, "the newest secret")
    yield from _expect_accepted(context, second, "the secret before it")
    yield from _expect_rejected(context, key, "the oldest of three secrets")


def check_allowed_models(context: LawContext) -> LawResults:
    """Reject other models for a key that is restricted to some, and list only its own."""
    default = context.choose_model("openai")
    allowed = next((row["id"] for row in context.list_models() if row["id"] != default), None)
    if allowed is None:
        raise NotChecked("there is only one model")
    key = context.create_key("one model", models_allowed=[allowed])
    for protocol in context.list_chat_protocols():
        other = next((row["id"] for row in context.find_models(protocol.name) if row["id"] != allowed), None)
        if other is None:
            yield SkippedOperation(protocol.plain, "there is no second model")
            continue
        exchange = context.ask(protocol, _CHEAP_QUESTION, other, make_bearer_auth(key.secret))
        yield from check_error(context, exchange, "model_not_allowed")
    rows = context.read("listModels", auth=make_bearer_auth(key.secret)).list_rows("data")
    if [row.read_text("id") for row in rows] != [allowed]:
        expected = f"{allowed}, the one model that the key may call"
        yield BrokenLaw("listModels", expected, f"{len(rows)} models", context.client.last, "assumed")


def check_allowed_addresses(context: LawContext) -> LawResults:
    """Reject a key that is restricted to other addresses."""
    key = context.create_key("elsewhere", allowed_ips=["203.0.113.0/24"])
    yield from _expect_rejected(context, key, "a key from another address", "ip_not_allowed")
    context.call_ok("updateKey", {"key_id": key.id}, body={"allowed_ips": None})
    yield from _expect_accepted(context, key, "a key whose restriction was removed")


_law = partial(Law, area="access")
_key_law = partial(_law, needs=("token", "writes"), together=True)
_CALLED = (*PLAIN_CHAT, "listModels")

LAWS = (
    _law("access-none", "Missing credentials are rejected", check_missing_credential, (*ALL_OPERATIONS, *_EXTENSIONS)),
    _law("access-malformed", "Unreadable credentials are rejected", check_unreadable_credential, _WITHOUT_SIGNATURE),
    _law("access-wrong", "Unknown credentials are rejected", check_unknown_credential, _WITHOUT_SIGNATURE),
    _law(
        "access-not-echoed", "Errors do not repeat the key", check_key_not_repeated, (*CHAT, *MODEL_LISTS, *_EXTENSIONS)
    ),
    _law("access-schemes", "Keys are accepted in all places", check_credential_places, _ANY_PLACE, needs=("key",)),
    _law(
        "access-key-on-console",
        "API keys see the technical view",
        check_key_on_console,
        ("getDashboard",),
        needs=("key",),
    ),
    _key_law("access-disabled", "Disabled keys are rejected", check_disabled_key, _CALLED, paid=6),
    _key_law("access-deleted", "Deleted keys are rejected", check_deleted_key, _CALLED),
    _key_law("access-rotated", "Old secrets have a grace period", check_rotated_key, (*_CALLED, "rotateKey"), paid=6),
    _key_law("access-rotated-twice", "At most two secrets are valid", check_key_rotated_twice, _CALLED, paid=6),
    _key_law("access-model", "Keys are limited to their models", check_allowed_models, _CALLED),
    _key_law("access-address", "Keys are limited to their addresses", check_allowed_addresses, _CALLED, paid=3),
    _key_law("access-expired", "Expired keys are rejected", check_expired_key, (*_CALLED, "getKey"), paid=3),
)
