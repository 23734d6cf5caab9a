"""Who may do what: every operation against every state of a credential."""

from __future__ import annotations

from collections.abc import Iterator

from aione_mock.checker.client import Auth
from aione_mock.checker.context import Bench, Key, broken, instant
from aione_mock.checker.finding import NotChecked, Skipped
from aione_mock.checker.law import Law, Said
from aione_mock.checker.laws.areas import CHAT, CONSOLE, DATA, EVERY, LISTS, PLAIN
from aione_mock.checker.laws.errors import NOBODY, refusal
from aione_mock.checker.protocols import PROTOCOLS, Question
from aione_mock.checker.traffic import Exchange, Request
from aione_mock.contract import Operation
from aione_mock.structs import replace
from aione_mock.types import Json

WRONG = "sk-nex-this-key-was-never-made-000000"
"""Of the right shape, and nobody's."""
_REFUSALS = {"console": "not_authenticated", "modelrouter": "permission_denied"}
_MALFORMED = ("Bearer", "Basic c2stbmV4LWRlbW86", "sk-nex-", "Bearer a b c", "bearer: x", ",")


def sample(bench: Bench, operation: Operation, model: str = "gpt-5.2") -> tuple[dict[str, str], Json]:
    """Path parameters and a body with which an operation would work, or say that there is no such thing."""
    params = {"model": model, "key_id": NOBODY}
    protocol = next((p for p in PROTOCOLS.values() if operation.id in (p.plain, p.streamed)), None)
    if protocol is not None:
        return params, protocol.body(Question("Hello", max_tokens=4), model)
    if operation.id == "countMessageTokens":
        return params, {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
    if operation.id == "countTokens":
        return params, {"contents": [{"parts": [{"text": "Hello"}]}]}
    return params, {"name": "never made"} if operation.request_body else None


def _each(bench: Bench, *protocols: str) -> Iterator[tuple[Operation, Request]]:
    """All operations that need a credential, with a request that has none."""
    for operation in bench.operations(*protocols):
        if operation.security:
            params, body = sample(bench, operation)
            yield operation, bench.client.request(operation.id, params, body=body, auth=None)


def _expect_refusal(bench: Bench, operation: Operation, request: Request, what: str) -> Said:
    try:
        exchange = bench.client.send(request)
    except NotChecked as error:
        yield Skipped(operation.id, str(error))
        return
    name = _REFUSALS.get(operation.protocol, "invalid_api_key")
    yield from refusal(operation, name, exchange, expected=f"{operation.errors[name].status} {what}")


def nothing(bench: Bench) -> Said:
    """A call without a credential is refused."""
    for operation, request in _each(bench, "openai", "anthropic", "gemini", "console", "modelrouter"):
        yield from _expect_refusal(bench, operation, request, "without a credential")


def malformed(bench: Bench) -> Said:
    """A credential that cannot be read is refused like none."""
    for operation, request in _each(bench, "openai", "anthropic", "gemini", "console"):
        for value in _MALFORMED if operation.method == "GET" else _MALFORMED[:3]:
            spoilt = replace(request, headers=(*request.headers, ("authorization", value)))
            yield from _expect_refusal(bench, operation, spoilt, "with a credential that cannot be read")


def wrong(bench: Bench) -> Said:
    """A credential that nobody was given is refused, in every place where a credential may stand."""
    for operation, request in _each(bench, "openai", "anthropic", "gemini", "console"):
        for scheme in [scheme for option in operation.security for scheme in option]:
            sent = bench.client.authorised(request, Auth(scheme, WRONG))
            yield from _expect_refusal(bench, operation, sent, "with a key that does not exist")


def not_echoed(bench: Bench) -> Said:
    """A refusal does not repeat the whole of the credential that it refuses."""
    for operation, request in _each(bench, "openai", "anthropic", "gemini"):
        if operation.method != "GET" and not operation.paid:
            continue
        exchange = bench.client.send(bench.client.authorised(request, Auth("bearerKey", WRONG)))
        if WRONG.encode() in exchange.body:
            yield broken(operation, "a message without the whole key", "the key", exchange, evidence="assumed")


def schemes(bench: Bench) -> Said:
    """A key works in every place that the contract names: as a bearer, in `x-api-key`, in `x-goog-api-key`, as
    `?key=`.
    """
    for name in ("listModels", "countMessageTokens", "listGeminiModels"):
        operation = bench.contract.operations.get(name)
        if operation is None or not bench.target.key:
            continue
        model = bench.model("anthropic") if name == "countMessageTokens" else ""
        params, body = sample(bench, operation, model)
        for scheme in [scheme for option in operation.security for scheme in option]:
            exchange = bench.call(name, params, body=body, auth=Auth(scheme, bench.target.key))
            if exchange.status in (401, 403):
                known = bench.contract.schemes[scheme].get("x-evidence")
                yield broken(name, f"the key to be taken as {scheme}", exchange.outcome, exchange, evidence=known)


def key_on_console(bench: Bench) -> Said:
    """An active key of the organisation is taken on the console too, and sees what an engineer sees."""
    exchange = bench.call("getDashboard", auth=Auth("consoleToken", bench.target.key or ""))
    if exchange.status != 200:
        yield broken("getDashboard", "200 for an API key", exchange.outcome, exchange, evidence="assumed")
    elif exchange.json.get("view_mode") != "tech":
        yield broken(
            "getDashboard", "the view 'tech'", f"'{exchange.json.get('view_mode')}'", exchange, evidence="assumed"
        )


def works(bench: Bench, key: Key, model: str | None = None) -> dict[str, Exchange]:
    """What each protocol answers to a key, at a place where a call costs nothing or little."""
    found: dict[str, Exchange] = {}
    for protocol in bench.protocols():
        chosen = model or bench.model(protocol.name)
        found[protocol.plain] = bench.ask(
            protocol, Question("Say yes.", max_tokens=4), chosen, bench.bearer(key.secret)
        )
    found["listModels"] = bench.call("listModels", auth=bench.bearer(key.secret))
    return found


def _works(bench: Bench, key: Key, what: str) -> Said:
    for operation, exchange in works(bench, key).items():
        if exchange.status != 200:
            yield broken(operation, f"200 with {what}", exchange.outcome, exchange)


def _refused(bench: Bench, key: Key, what: str, name: str = "invalid_api_key", model: str | None = None) -> Said:
    for operation, exchange in works(bench, key, model).items():
        spec = bench.contract.operations[operation]
        if name in spec.errors and not (operation == "listModels" and name == "model_not_allowed"):
            yield from refusal(spec, name, exchange, expected=f"{spec.errors[name].status} with {what}")


def disabled(bench: Bench) -> Said:
    """A disabled key is refused from the next call on, over every protocol; enabled again, it works."""
    key = bench.new_key("disabled")
    yield from _works(bench, key, "a new key")
    bench.ok("disableKey", {"key_id": key.id})
    yield from _refused(bench, key, "a disabled key")
    bench.ok("enableKey", {"key_id": key.id})
    yield from _works(bench, key, "a key that was enabled again")


def deleted(bench: Bench) -> Said:
    """A deleted key is refused from the next call on, also its old secret that is in its grace period."""
    key = bench.new_key("deleted")
    fresh, _ = bench.rotated(key)
    bench.good(bench.delete(key))
    yield from _refused(bench, fresh, "a deleted key")
    yield from _refused(bench, key, "the old secret of a deleted key")


def expired(bench: Bench) -> Said:
    """A key is refused when its time is up, and its status says so."""
    start = bench.server_now()
    until = start.timestamp() + 2
    key = bench.new_key("expired", expires_at=start.fromtimestamp(until + 1, start.tzinfo).isoformat())
    yield from _works(bench, key, "a key that has not expired")
    for _ in range(4):
        bench.client.sleep(1.0)
        if bench.server_now().timestamp() > until:
            break
    if bench.server_now() == start:
        raise NotChecked("the server's clock stands still")
    bench.client.sleep(1.2)
    yield from _refused(bench, key, "an expired key")
    exchange = bench.ok("getKey", {"key_id": key.id})
    if exchange.json["status"] != "expired":
        yield broken("getKey", "status 'expired'", f"'{exchange.json['status']}'", exchange)


def rotated(bench: Bench) -> Said:
    """After a rotation the new secret works, and the old one too until `rotate_grace_until`, 24 hours later."""
    key = bench.new_key("rotated")
    fresh, answer = bench.rotated(key)
    yield from _works(bench, fresh, "the new secret")
    yield from _works(bench, key, "the old secret in its grace period")
    grace = instant(answer["rotate_grace_until"]) - instant(key.record["created_at"])
    if abs(grace.total_seconds() - 86400) > 120:
        yield broken("rotateKey", "24 hours of grace", f"{grace}", bench.client.last)


def rotated_twice(bench: Bench) -> Said:
    """Rotating again within the grace period ends the oldest secret at once: there are never more than two."""
    key = bench.new_key("rotated twice")
    second, _ = bench.rotated(key)
    third, _ = bench.rotated(second)
    yield from _works(bench, third, "the newest secret")
    yield from _works(bench, second, "the secret before it")
    yield from _refused(bench, key, "the secret before the last rotation but one")


def model_not_allowed(bench: Bench) -> Said:
    """A key that is restricted to some models is refused with 403 for all others, and lists only its own."""
    rows = [row["id"] for row in bench.rows()]
    allowed = next((name for name in rows if name != bench.model("openai")), None)
    if allowed is None:
        raise NotChecked("there is only one model")
    key = bench.new_key("one model", models_allowed=[allowed])
    for protocol in bench.protocols():
        try:
            other = next(r["id"] for r in bench._fitting(protocol.name, (), ("image_output",)) if r["id"] != allowed)
        except StopIteration:
            yield Skipped(protocol.plain, "there is no second model")
            continue
        exchange = bench.ask(protocol, Question("Say yes.", max_tokens=4), other, bench.bearer(key.secret))
        yield from refusal(bench.contract.operations[protocol.plain], "model_not_allowed", exchange)
    listed = [row["id"] for row in bench.read("listModels", auth=bench.bearer(key.secret))["data"]]
    if listed != [allowed]:
        yield broken(
            "listModels",
            f"the one model that the key may call, {allowed}",
            f"{len(listed)} models",
            bench.client.last,
            evidence="assumed",
        )


def address_not_allowed(bench: Bench) -> Said:
    """A key that is restricted to other addresses is refused with 403."""
    key = bench.new_key("elsewhere", allowed_ips=["203.0.113.0/24"])
    yield from _refused(bench, key, "a key from another address", "ip_not_allowed")
    bench.ok("updateKey", {"key_id": key.id}, body={"allowed_ips": None})
    yield from _works(bench, key, "a key whose restriction was lifted")


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
