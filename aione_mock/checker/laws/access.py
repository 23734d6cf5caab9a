"""Who may do what: every operation against every state of a credential."""

from __future__ import annotations

from collections.abc import Iterator

from aione_mock.checker.client import Auth
from aione_mock.checker.context import LawContext, TemporaryKey, broken, instant
from aione_mock.checker.finding import NotChecked, SkippedOperation
from aione_mock.checker.law import Law, LawResults
from aione_mock.checker.laws.areas import CHAT, CONSOLE, DATA, EVERY, LISTS, PLAIN
from aione_mock.checker.laws.errors import NOBODY, refusal
from aione_mock.checker.protocols import PROTOCOLS, ChatQuestion
from aione_mock.checker.traffic import HttpExchange, HttpRequest
from aione_mock.contract import Operation
from aione_mock.structs import replace
from aione_mock.types import Json

WRONG = "sk-nex-this-key-was-never-made-000000"
"""Of the right shape, and nobody's."""
_REFUSALS = {"console": "not_authenticated", "modelrouter": "permission_denied"}
_MALFORMED = ("Bearer", "Basic c2stbmV4LWRlbW86", "sk-nex-", "Bearer a b c", "bearer: x", ",")


def sample(context: LawContext, operation: Operation, model: str = "gpt-5.2") -> tuple[dict[str, str], Json]:
    """Path parameters and a body with which an operation would work, or say that there is no such thing."""
    params = {"model": model, "key_id": NOBODY}
    protocol = next((p for p in PROTOCOLS.values() if operation.id in (p.plain, p.streamed)), None)
    if protocol is not None:
        return params, protocol.body(ChatQuestion("Hello", max_tokens=4), model)
    if operation.id == "countMessageTokens":
        return params, {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
    if operation.id == "countTokens":
        return params, {"contents": [{"parts": [{"text": "Hello"}]}]}
    return params, {"name": "never made"} if operation.request_body else None


def _each(context: LawContext, *protocols: str) -> Iterator[tuple[Operation, HttpRequest]]:
    """All operations that need a credential, with a request that has none."""
    for operation in context.operations(*protocols):
        if operation.security:
            params, body = sample(context, operation)
            yield operation, context.client.request(operation.id, params, body=body, auth=None)


def _expect_refusal(context: LawContext, operation: Operation, request: HttpRequest, what: str) -> LawResults:
    try:
        exchange = context.client.send(request)
    except NotChecked as error:
        yield SkippedOperation(operation.id, str(error))
        return
    name = _REFUSALS.get(operation.protocol, "invalid_api_key")
    yield from refusal(operation, name, exchange, expected=f"{operation.errors[name].status} {what}")


def nothing(context: LawContext) -> LawResults:
    """A call without a credential is refused."""
    for operation, request in _each(context, "openai", "anthropic", "gemini", "console", "modelrouter"):
        yield from _expect_refusal(context, operation, request, "without a credential")


def malformed(context: LawContext) -> LawResults:
    """A credential that cannot be read is refused like none."""
    for operation, request in _each(context, "openai", "anthropic", "gemini", "console"):
        for value in _MALFORMED if operation.method == "GET" else _MALFORMED[:3]:
            spoilt = replace(request, headers=(*request.headers, ("authorization", value)))
            yield from _expect_refusal(context, operation, spoilt, "with a credential that cannot be read")


def wrong(context: LawContext) -> LawResults:
    """A credential that nobody was given is refused, in every place where a credential may stand."""
    for operation, request in _each(context, "openai", "anthropic", "gemini", "console"):
        for scheme in [scheme for option in operation.security for scheme in option]:
            sent = context.client.authorised(request, Auth(scheme, WRONG))
            yield from _expect_refusal(context, operation, sent, "with a key that does not exist")


def not_echoed(context: LawContext) -> LawResults:
    """A refusal does not repeat the whole of the credential that it refuses."""
    for operation, request in _each(context, "openai", "anthropic", "gemini"):
        if operation.method != "GET" and not operation.paid:
            continue
        exchange = context.client.send(context.client.authorised(request, Auth("bearerKey", WRONG)))
        if WRONG.encode() in exchange.body:
            yield broken(operation, "a message without the whole key", "the key", exchange, evidence="assumed")


def schemes(context: LawContext) -> LawResults:
    """A key works in every place that the contract names: as a bearer, in `x-api-key`, in `x-goog-api-key`, as
    `?key=`.
    """
    for name in ("listModels", "countMessageTokens", "listGeminiModels"):
        operation = context.contract.operations.get(name)
        if operation is None or not context.target.key:
            continue
        model = context.model("anthropic") if name == "countMessageTokens" else ""
        params, body = sample(context, operation, model)
        for scheme in [scheme for option in operation.security for scheme in option]:
            exchange = context.call(name, params, body=body, auth=Auth(scheme, context.target.key))
            if exchange.status in (401, 403):
                known = context.contract.schemes[scheme].get("x-evidence")
                yield broken(name, f"the key to be taken as {scheme}", exchange.outcome, exchange, evidence=known)


def key_on_console(context: LawContext) -> LawResults:
    """An active key of the organisation is taken on the console too, and sees what an engineer sees."""
    exchange = context.call("getDashboard", auth=Auth("consoleToken", context.target.key or ""))
    if exchange.status != 200:
        yield broken("getDashboard", "200 for an API key", exchange.outcome, exchange, evidence="assumed")
    elif exchange.json.get("view_mode") != "tech":
        yield broken(
            "getDashboard", "the view 'tech'", f"'{exchange.json.get('view_mode')}'", exchange, evidence="assumed"
        )


def works(context: LawContext, key: TemporaryKey, model: str | None = None) -> dict[str, HttpExchange]:
    """What each protocol answers to a key, at a place where a call costs nothing or little."""
    found: dict[str, HttpExchange] = {}
    for protocol in context.protocols():
        chosen = model or context.model(protocol.name)
        found[protocol.plain] = context.ask(
            protocol, ChatQuestion("Say yes.", max_tokens=4), chosen, context.bearer(key.secret)
        )
    found["listModels"] = context.call("listModels", auth=context.bearer(key.secret))
    return found


def _works(context: LawContext, key: TemporaryKey, what: str) -> LawResults:
    for operation, exchange in works(context, key).items():
        if exchange.status != 200:
            yield broken(operation, f"200 with {what}", exchange.outcome, exchange)


def _refused(
    context: LawContext, key: TemporaryKey, what: str, name: str = "invalid_api_key", model: str | None = None
) -> LawResults:
    for operation, exchange in works(context, key, model).items():
        spec = context.contract.operations[operation]
        if name in spec.errors and not (operation == "listModels" and name == "model_not_allowed"):
            yield from refusal(spec, name, exchange, expected=f"{spec.errors[name].status} with {what}")


def disabled(context: LawContext) -> LawResults:
    """A disabled key is refused from the next call on, over every protocol; enabled again, it works."""
    key = context.new_key("disabled")
    yield from _works(context, key, "a new key")
    context.ok("disableKey", {"key_id": key.id})
    yield from _refused(context, key, "a disabled key")
    context.ok("enableKey", {"key_id": key.id})
    yield from _works(context, key, "a key that was enabled again")


def deleted(context: LawContext) -> LawResults:
    """A deleted key is refused from the next call on, also its old secret that is in its grace period."""
    key = context.new_key("deleted")
    fresh, _ = context.rotated(key)
    context.good(context.delete(key))
    yield from _refused(context, fresh, "a deleted key")
    yield from _refused(context, key, "the old secret of a deleted key")


def expired(context: LawContext) -> LawResults:
    """A key is refused when its time is up, and its status says so."""
    start = context.server_now()
    until = start.timestamp() + 2
    key = context.new_key("expired", expires_at=start.fromtimestamp(until + 1, start.tzinfo).isoformat())
    yield from _works(context, key, "a key that has not expired")
    for _ in range(4):
        context.client.sleep(1.0)
        if context.server_now().timestamp() > until:
            break
    if context.server_now() == start:
        raise NotChecked("the server's clock stands still")
    context.client.sleep(1.2)
    yield from _refused(context, key, "an expired key")
    exchange = context.ok("getKey", {"key_id": key.id})
    if exchange.json["status"] != "expired":
        yield broken("getKey", "status 'expired'", f"'{exchange.json['status']}'", exchange)


def rotated(context: LawContext) -> LawResults:
    """After a rotation the new secret works, and the old one too until `rotate_grace_until`, 24 hours later."""
    key = context.new_key("rotated")
    fresh, answer = context.rotated(key)
    yield from _works(context, fresh, "the new secret")
    yield from _works(context, key, "the old secret in its grace period")
    grace = instant(answer["rotate_grace_until"]) - instant(key.record["created_at"])
    if abs(grace.total_seconds() - 86400) > 120:
        yield broken("rotateKey", "24 hours of grace", f"{grace}", context.client.last)


def rotated_twice(context: LawContext) -> LawResults:
    """Rotating again within the grace period ends the oldest secret at once: there are never more than two."""
    key = context.new_key("rotated twice")
    second, _ = context.rotated(key)
    third, _ = context.rotated(second)
    yield from _works(context, third, "the newest secret")
    yield from _works(context, second, "the secret before it")
    yield from _refused(context, key, "the secret before the last rotation but one")


def model_not_allowed(context: LawContext) -> LawResults:
    """A key that is restricted to some models is refused with 403 for all others, and lists only its own."""
    rows = [row["id"] for row in context.rows()]
    allowed = next((name for name in rows if name != context.model("openai")), None)
    if allowed is None:
        raise NotChecked("there is only one model")
    key = context.new_key("one model", models_allowed=[allowed])
    for protocol in context.protocols():
        try:
            other = next(r["id"] for r in context._fitting(protocol.name, (), ("image_output",)) if r["id"] != allowed)
        except StopIteration:
            yield SkippedOperation(protocol.plain, "there is no second model")
            continue
        exchange = context.ask(protocol, ChatQuestion("Say yes.", max_tokens=4), other, context.bearer(key.secret))
        yield from refusal(context.contract.operations[protocol.plain], "model_not_allowed", exchange)
    listed = [row["id"] for row in context.read("listModels", auth=context.bearer(key.secret))["data"]]
    if listed != [allowed]:
        yield broken(
            "listModels",
            f"the one model that the key may call, {allowed}",
            f"{len(listed)} models",
            context.client.last,
            evidence="assumed",
        )


def address_not_allowed(context: LawContext) -> LawResults:
    """A key that is restricted to other addresses is refused with 403."""
    key = context.new_key("elsewhere", allowed_ips=["203.0.113.0/24"])
    yield from _refused(context, key, "a key from another address", "ip_not_allowed")
    context.ok("updateKey", {"key_id": key.id}, body={"allowed_ips": None})
    yield from _works(context, key, "a key whose restriction was lifted")


LAWS = (
    Law("access-none", "No credential, no answer", nothing, EVERY, area="access"),
    Law("access-malformed", "Unreadable credentials are refused", malformed, (*DATA, *CONSOLE), area="access"),
    Law("access-wrong", "Unknown credentials are refused", wrong, (*DATA, *CONSOLE), area="access"),
    Law("access-not-echoed", "Refusals do not repeat the key", not_echoed, (*CHAT, *LISTS), area="access"),
    Law(
        "access-schemes",
        "A key works in every place for one",
        schemes,
        ("listModels", "countMessageTokens", "listGeminiModels"),
        ("key",),
        area="access",
    ),
    Law(
        "access-key-on-console",
        "An API key sees the engineers' view",
        key_on_console,
        ("getDashboard",),
        ("key",),
        "assumed",
        area="access",
    ),
    Law(
        "access-disabled",
        "Disabled keys are refused",
        disabled,
        (*PLAIN, "listModels"),
        ("token", "writes"),
        paid=6,
        area="access",
    ),
    Law(
        "access-deleted",
        "Deleted keys are refused",
        deleted,
        (*PLAIN, "listModels"),
        ("token", "writes"),
        area="access",
    ),
    Law(
        "access-rotated",
        "Old secrets work in their grace period",
        rotated,
        (*PLAIN, "listModels", "rotateKey"),
        ("token", "writes"),
        paid=6,
        area="access",
    ),
    Law(
        "access-rotated-twice",
        "Never more than two secrets",
        rotated_twice,
        (*PLAIN, "listModels"),
        ("token", "writes"),
        paid=6,
        area="access",
    ),
    Law(
        "access-model",
        "Keys keep to their models",
        model_not_allowed,
        (*PLAIN, "listModels"),
        ("token", "writes"),
        area="access",
    ),
    Law(
        "access-address",
        "Keys keep to their addresses",
        address_not_allowed,
        (*PLAIN, "listModels"),
        ("token", "writes"),
        paid=3,
        area="access",
    ),
    Law(
        "access-expired",
        "Expired keys are refused",
        expired,
        (*PLAIN, "listModels", "getKey"),
        ("token", "writes"),
        paid=3,
        area="access",
    ),
)
