"""The life of a key: made, shown once, read, changed, rotated, switched off and on, deleted."""

from __future__ import annotations

from aione_mock.checker.context import LawContext, broken, instant
from aione_mock.checker.finding import NotChecked
from aione_mock.checker.law import Law, LawResults
from aione_mock.checker.laws.areas import ONE_KEY
from aione_mock.checker.laws.errors import refusal
from aione_mock.types import Json

_FIELDS = ("name", "models_allowed", "rpm_limit", "tpm_limit", "allowed_ips")


def secret_once(context: LawContext) -> LawResults:
    """A secret is shown in the answer that made it and never again."""
    key = context.new_key("shown once")
    fresh, _ = context.rotated(key)
    for name in ("getKey", "updateKey", "disableKey", "enableKey", "listKeys"):
        params = {} if name == "listKeys" else {"key_id": key.id}
        exchange = context.ok(name, params, body={"name": "shown once"} if name == "updateKey" else None)
        shown = [secret for secret in (key.secret, fresh.secret) if secret.encode() in exchange.body]
        rows = exchange.json["items"] if name == "listKeys" else [exchange.json]
        if shown:
            yield broken(name, "no secret", "the secret of the key", exchange)
        elif any(row.get("key") is not None for row in rows):
            yield broken(name, "`key` to be null", "something else", exchange)


def listed_without_secrets(context: LawContext) -> LawResults:
    """A list of keys shows no secret."""
    for name in ("listKeys",):
        exchange = context.ok(name)
        shown = [row.get("name") for row in exchange.json["items"] if row.get("key") is not None]
        if shown:
            yield broken(name, "`key` to be null in each item", f"not in {len(shown)} of them", exchange)


def prefix(context: LawContext) -> LawResults:
    """`key_prefix` is the beginning of the secret, and too little of it to be used."""
    key = context.new_key("prefix")
    shown = key.record["key_prefix"]
    if not key.secret.startswith(shown):
        yield broken("createKey", "the beginning of the secret", f"{shown!r}", context.client.last)
    elif len(shown) * 2 > len(key.secret):
        yield broken(
            "createKey", "less than half of the secret", f"{len(shown)} of {len(key.secret)}", context.client.last
        )
    fresh, answer = context.rotated(key)
    if not fresh.secret.startswith(answer["key_prefix"]):
        yield broken("rotateKey", "the beginning of the new secret", f"{answer['key_prefix']!r}", context.client.last)
    seen = context.read("getKey", {"key_id": key.id})["key_prefix"]
    if not fresh.secret.startswith(seen):
        yield broken("getKey", "the beginning of the new secret", f"{seen!r}", context.client.last)


def read_back(context: LawContext) -> LawResults:
    """A key is read as it was made, in the list as on its own."""
    made = {
        "models_allowed": [context.model("openai")],
        "rpm_limit": 7,
        "tpm_limit": 7000,
        "is_sandbox": True,
        "allowed_ips": ["203.0.113.7", "2001:db8::/32"],
        "expires_at": "2099-06-30T16:00:00Z",
    }
    key = context.new_key("read back 读回", **made)
    for name, row in (
        ("createKey", key.record),
        ("getKey", context.read("getKey", {"key_id": key.id})),
        ("listKeys", _in_list(context, key.id)),
    ):
        if row is None:
            yield broken(name, "the new key", "no such key", context.client.last)
            continue
        for member, value in {**made, "status": "active", "name": key.record["name"], "id": key.id}.items():
            same = instant(row[member]) == instant(value) if member == "expires_at" else row[member] == value
            if not same:
                yield broken(name, f"{member} {value!r}", f"{row[member]!r}", context.client.last)


def _in_list(context: LawContext, key_id: str) -> Json:
    return next((row for row in context.read("listKeys")["items"] if row["id"] == key_id), None)


def partial_update(context: LawContext) -> LawResults:
    """A change names what it changes: what is absent stays, null lifts a restriction, a name cannot be null."""
    made = {
        "models_allowed": [context.model("openai")],
        "rpm_limit": 7,
        "tpm_limit": 7000,
        "allowed_ips": ["203.0.113.7"],
    }
    key = context.new_key("to be changed", is_sandbox=True, expires_at="2099-06-30T16:00:00Z", **made)
    expected = context.read("getKey", {"key_id": key.id})
    changes: tuple[dict[str, Json], ...] = (
        {},
        {"rpm_limit": 9},
        {"name": "another name"},
        {"allowed_ips": None},
        {"models_allowed": None, "tpm_limit": None},
        {"is_sandbox": False, "expires_at": None, "status": "disabled", "no_such_member": 1},
    )
    for change in changes:
        expected = {**expected, **{name: value for name, value in change.items() if name in _FIELDS}}
        exchange = context.ok("updateKey", {"key_id": key.id}, body=change)
        for name, row in (("updateKey", exchange.json), ("getKey", context.read("getKey", {"key_id": key.id}))):
            if differing := [m for m in expected if m != "key" and row.get(m) != expected[m]]:
                seen = ", ".join(f"{m} {row.get(m)!r}" for m in differing)
                wanted = ", ".join(f"{m} {expected[m]!r}" for m in differing)
                yield broken(name, f"{wanted} after {change}", seen, exchange)
                return
    exchange = context.call("updateKey", {"key_id": key.id}, body={"name": None})
    yield from refusal(
        context.contract.operations["updateKey"], "validation_error", exchange, expected="422 for a name of null"
    )


def switching(context: LawContext) -> LawResults:
    """Disabling and enabling say the new status, and doing either twice changes nothing."""
    key = context.new_key("switched")
    for name, status in (
        ("disableKey", "disabled"),
        ("disableKey", "disabled"),
        ("enableKey", "active"),
        ("enableKey", "active"),
    ):
        exchange = context.call(name, {"key_id": key.id})
        seen = exchange.json.get("status") if exchange.status == 200 else exchange.outcome
        if seen != status:
            yield broken(name, f"status '{status}'", f"{seen!r}", exchange)
        read = context.read("getKey", {"key_id": key.id})["status"]
        if read != status:
            yield broken("getKey", f"status '{status}' after {name}", f"{read!r}", context.client.last)


def rotation(context: LawContext) -> LawResults:
    """A rotation gives a new secret under the same id and shows until when the old one works."""
    key = context.new_key("rotation")
    fresh, answer = context.rotated(key)
    if answer["id"] != key.id:
        yield broken("rotateKey", f"id {key.id}", f"{answer['id']}", context.client.last)
    if fresh.secret == key.secret:
        yield broken("rotateKey", "a new secret", "the old one", context.client.last)
    seen = context.read("getKey", {"key_id": key.id})["rotate_grace_until"]
    if seen is None or instant(seen) != instant(answer["rotate_grace_until"]):
        yield broken("getKey", f"rotate_grace_until {answer['rotate_grace_until']}", f"{seen}", context.client.last)


def rotation_refused(context: LawContext) -> LawResults:
    """A disabled key cannot be rotated: 409."""
    key = context.new_key("not to be rotated")
    context.ok("disableKey", {"key_id": key.id})
    exchange = context.call("rotateKey", {"key_id": key.id})
    if exchange.status == 200:
        context.client.mask.learn(str(exchange.json.get("key")), "AIONE_NEW_KEY")
    yield from refusal(
        context.contract.operations["rotateKey"], "conflict", exchange, expected="409 for a disabled key"
    )


def deletion(context: LawContext) -> LawResults:
    """A deleted key is a 404 from then on, whatever is asked of it, and is not listed."""
    key = context.new_key("deleted")
    exchange = context.delete(key)
    if exchange.status != context.contract.operations["deleteKey"].success:
        yield broken("deleteKey", "204", exchange.outcome, exchange)
        return
    for name in ("getKey", "updateKey", "rotateKey", "disableKey", "enableKey", "deleteKey"):
        again = context.call(name, {"key_id": key.id}, body={} if name == "updateKey" else None)
        yield from refusal(context.contract.operations[name], "not_found", again, expected="404 for a deleted key")
    if _in_list(context, key.id) is not None:
        yield broken("listKeys", "no deleted key", "the key that was deleted", context.client.last)


def order(context: LawContext) -> LawResults:
    """Keys are listed oldest first, each once, and `total` says how many there are."""
    exchange = context.ok("listKeys")
    rows, total = exchange.json["items"], exchange.json["total"]
    if total != len(rows):
        yield broken("listKeys", f"total {len(rows)}", f"total {total}", exchange)
    if len({row["id"] for row in rows}) != len(rows):
        yield broken("listKeys", "each key once", "one twice", exchange)
    times = [instant(row["created_at"]) for row in rows]
    if times != sorted(times):
        yield broken("listKeys", "the oldest first", "another order", exchange)


def listed_is_readable(context: LawContext) -> LawResults:
    """A key in the list is read on its own just as it stands there."""
    rows = context.read("listKeys")["items"]
    if not rows:
        raise NotChecked("there is no key")
    for row in rows[:5]:
        exchange = context.call("getKey", {"key_id": row["id"]})
        if exchange.status != 200 or exchange.json != row:
            seen = exchange.outcome if exchange.status != 200 else "another record"
            yield broken("getKey", "the record in the list", seen, exchange)


def unrestricted(context: LawContext) -> LawResults:
    """An empty restriction does not restrict: null and an empty list mean every model and any address."""
    key = context.new_key("unrestricted", models_allowed=[], allowed_ips=[])
    whole = len(context.read("listModels")["data"])
    listed = len(context.read("listModels", auth=context.bearer(key.secret))["data"])
    if listed < whole:
        yield broken("listModels", f"{whole} models for an unrestricted key", f"{listed}", context.client.last)


LAWS = (
    Law("key-list-secrets", "Lists show no secret", listed_without_secrets, ("listKeys",), ("token",), area="keys"),
    Law("key-list-order", "Keys are listed oldest first", order, ("listKeys",), ("token",), area="keys"),
    Law(
        "key-list-read",
        "Listed keys are read as they are listed",
        listed_is_readable,
        ("getKey",),
        ("token",),
        area="keys",
    ),
    Law(
        "key-secret-once",
        "Secrets are shown once",
        secret_once,
        ("listKeys", "getKey", "updateKey", "disableKey", "enableKey"),
        ("token", "writes"),
        area="keys",
    ),
    Law(
        "key-prefix",
        "The prefix is the beginning of the secret",
        prefix,
        ("createKey", "getKey", "rotateKey"),
        ("token", "writes"),
        area="keys",
    ),
    Law(
        "key-read-back",
        "Keys are read as they were made",
        read_back,
        ("createKey", "getKey", "listKeys"),
        ("token", "writes"),
        area="keys",
    ),
    Law(
        "key-partial-update",
        "A change changes what it names",
        partial_update,
        ("updateKey", "getKey"),
        ("token", "writes"),
        area="keys",
    ),
    Law(
        "key-switching",
        "Disable and enable say the state",
        switching,
        ("disableKey", "enableKey", "getKey"),
        ("token", "writes"),
        area="keys",
    ),
    Law(
        "key-rotation",
        "Rotation gives a new secret",
        rotation,
        ("rotateKey", "getKey"),
        ("token", "writes"),
        area="keys",
    ),
    Law(
        "key-rotation-refused",
        "Disabled keys are not rotated",
        rotation_refused,
        ("rotateKey",),
        ("token", "writes"),
        area="keys",
    ),
    Law("key-deletion", "Deleted keys are gone", deletion, (*ONE_KEY, "listKeys"), ("token", "writes"), area="keys"),
    Law(
        "key-unrestricted",
        "Empty restrictions do not restrict",
        unrestricted,
        ("listModels",),
        ("key", "token", "writes"),
        area="keys",
    ),
)
