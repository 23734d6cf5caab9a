"""API keys on the console: created, read, changed, rotated, disabled, enabled and deleted."""

from __future__ import annotations

from functools import partial

from aione_mock.checker.context import LawContext, make_bearer_auth
from aione_mock.checker.errors import NotChecked
from aione_mock.checker.finding import BrokenLaw, LawResults
from aione_mock.checker.json_reader import JsonReader
from aione_mock.checker.law import Law, Need
from aione_mock.checker.laws.error_responses import check_error
from aione_mock.checker.laws.operation_groups import ONE_KEY
from aione_mock.types import Json

_CHANGEABLE = ("name", "models_allowed", "rpm_limit", "tpm_limit", "allowed_ips")
_EXPIRY = "2099-06-30T16:00:00Z"


def check_secret_shown_once(context: LawContext) -> LawResults:
    """Show a secret in the answer that created it and never again."""
    key = context.create_key("shown once")
    rotated, _ = context.rotate_key(key)
    for name in reversed(_SHOWING):
        params = {} if name == "listKeys" else {"key_id": key.id}
        exchange = context.call_ok(name, params, body={"name": "shown once"} if name == "updateKey" else None)
        rows = exchange.data.list_rows("items") if name == "listKeys" else [exchange.data]
        if any(secret.encode() in exchange.body for secret in (key.secret, rotated.secret)):
            yield BrokenLaw(name, "no secret", "the secret of the key", exchange)
        elif any(row.find("key") is not None for row in rows):
            yield BrokenLaw(name, "`key` to be null", "something else", exchange)


def check_list_without_secrets(context: LawContext) -> LawResults:
    """Show no secret in the list of keys."""
    exchange = context.call_ok("listKeys")
    shown = [row for row in exchange.data.list_rows("items") if row.find("key") is not None]
    if shown:
        yield BrokenLaw("listKeys", "`key` to be null in each item", f"not in {len(shown)} of them", exchange)


def check_prefix(context: LawContext) -> LawResults:
    """Show the beginning of the secret as `key_prefix`, less than half of it."""
    key = context.create_key("prefix")
    prefix = key.record.read_text("key_prefix")
    if not key.secret.startswith(prefix):
        yield BrokenLaw("createKey", "the beginning of the secret", f"{prefix!r}", context.client.last)
    elif len(prefix) * 2 > len(key.secret):
        seen = f"{len(prefix)} of {len(key.secret)} characters"
        yield BrokenLaw("createKey", "less than half of the secret", seen, context.client.last)
    rotated, answer = context.rotate_key(key)
    for name, record in (("rotateKey", answer), ("getKey", context.read("getKey", {"key_id": key.id}))):
        prefix = record.read_text("key_prefix")
        if not rotated.secret.startswith(prefix):
            yield BrokenLaw(name, "the beginning of the new secret", f"{prefix!r}", context.client.last)


def check_read_back(context: LawContext) -> LawResults:
    """Return a key as it was created, on its own and in the list."""
    fields: dict[str, Json] = {
        "models_allowed": [context.choose_model("openai")],
        "rpm_limit": 7,
        "tpm_limit": 7000,
        "is_sandbox": True,
        "allowed_ips": ["203.0.113.7", "2001:db8::/32"],
        "expires_at": _EXPIRY,
    }
    key = context.create_key("read back 读回", **fields)
    expected = {
        **fields,
        "status": context.find_example("createKey", "status"),
        "name": key.record.read_text("name"),
        "id": key.id,
    }
    for name, record in (
        ("createKey", key.record),
        ("getKey", context.read("getKey", {"key_id": key.id})),
        ("listKeys", _find_in_list(context, key.id)),
    ):
        if record is None:
            yield BrokenLaw(name, "the new key", "no such key", context.client.last)
            continue
        for member, value in expected.items():
            if not _is_same(record, member, value):
                path = ("items", 0, member) if name == "listKeys" else (member,)
                evidence = context.find_member_evidence(name, *path)
                yield BrokenLaw(name, f"{member} {value!r}", f"{record.find(member)!r}", context.client.last, evidence)


def _is_same(record: JsonReader, member: str, value: Json) -> bool:
    if member == "expires_at":
        return record.read_instant(member) == JsonReader(value, member).read_instant()
    return bool(record.find(member) == value)


def _find_in_list(context: LawContext, key_id: str) -> JsonReader | None:
    rows = context.read("listKeys").list_rows("items")
    return next((row for row in rows if row.at("id").value == key_id), None)


def check_partial_update(context: LawContext) -> LawResults:
    """Change only the members that an update has: null removes a restriction, and a name cannot be null."""
    fields: dict[str, Json] = {
        "models_allowed": [context.choose_model("openai")],
        "rpm_limit": 7,
        "tpm_limit": 7000,
        "allowed_ips": ["203.0.113.7"],
    }
    key = context.create_key("to be changed", is_sandbox=True, expires_at=_EXPIRY, **fields)
    expected: dict[str, Json] = context.prune_answer(context.call_ok("getKey", {"key_id": key.id}))
    off = context.find_example("disableKey", "status")
    changes: tuple[dict[str, Json], ...] = (
        {},
        {"rpm_limit": 9},
        {"name": "another name"},
        {"allowed_ips": None},
        {"models_allowed": None, "tpm_limit": None},
        {"is_sandbox": False, "expires_at": None, "status": off, "no_such_member": 1},
    )
    for change in changes:
        expected = {**expected, **{name: value for name, value in change.items() if name in _CHANGEABLE}}
        exchange = context.call_ok("updateKey", {"key_id": key.id}, body=change)
        for name, record in (("updateKey", exchange.data), ("getKey", context.read("getKey", {"key_id": key.id}))):
            differing = [m for m in expected if m != "key" and record.find(m) != expected[m]]
            if differing:
                seen = ", ".join(f"{m} {record.find(m)!r}" for m in differing)
                wanted = ", ".join(f"{m} {expected[m]!r}" for m in differing)
                yield BrokenLaw(name, f"{wanted} after {change}", seen, exchange)
                return
    exchange = context.call("updateKey", {"key_id": key.id}, body={"name": None})
    yield from check_error(context, exchange, "validation_error", "an error for a name of null")


def check_switching(context: LawContext) -> LawResults:
    """Report the new status when a key is disabled or enabled, also if it was so before."""
    key = context.create_key("switched")
    for name in ("disableKey", "disableKey", "enableKey", "enableKey"):
        status = context.find_example(name, "status")
        exchange = context.call(name, {"key_id": key.id})
        if not exchange.is_success:
            yield BrokenLaw(name, "a success", exchange.summary, exchange)
        elif (seen := exchange.data.find("status")) != status:
            evidence = context.find_member_evidence(name, "status")
            yield BrokenLaw(name, f"status '{status}'", f"{seen!r}", exchange, evidence)
        current = context.read("getKey", {"key_id": key.id}).at("status").value
        if current != status:
            evidence = context.find_member_evidence("getKey", "status")
            yield BrokenLaw("getKey", f"status '{status}' after {name}", f"{current!r}", context.client.last, evidence)


def check_rotation(context: LawContext) -> LawResults:
    """Give a rotated key a new secret under its id, and show how long the old one is valid."""
    key = context.create_key("rotation")
    rotated, answer = context.rotate_key(key)
    rotated_id = answer.at("id").value
    if rotated_id != key.id:
        yield BrokenLaw("rotateKey", "the id of the key", f"{rotated_id}, not {key.id}", context.client.last)
    if rotated.secret == key.secret:
        yield BrokenLaw("rotateKey", "a new secret", "the old one", context.client.last)
    record = context.read("getKey", {"key_id": key.id})
    until = answer.read_instant("rotate_grace_until")
    if record.find("rotate_grace_until") is None or record.read_instant("rotate_grace_until") != until:
        seen = f"{record.find('rotate_grace_until')}"
        expected = f"rotate_grace_until {answer.read_text('rotate_grace_until')}"
        yield BrokenLaw("getKey", expected, seen, context.client.last)


def check_rotation_of_disabled_key(context: LawContext) -> LawResults:
    """Reject the rotation of a disabled key."""
    key = context.create_key("not to be rotated")
    context.call_ok("disableKey", {"key_id": key.id})
    exchange = context.call("rotateKey", {"key_id": key.id})
    if exchange.is_success:
        context.client.mask.add(str(exchange.data.find("key")), "AIONE_NEW_KEY")
    yield from check_error(context, exchange, "conflict", "an error for a disabled key")


def check_deletion(context: LawContext) -> LawResults:
    """Know a deleted key no longer in any operation, and do not list it."""
    key = context.create_key("deleted")
    exchange = context.delete_key(key)
    if not exchange.is_success:
        yield BrokenLaw("deleteKey", "a success", exchange.summary, exchange)
        return
    for name in ONE_KEY:
        again = context.call(name, {"key_id": key.id}, body={} if name == "updateKey" else None)
        yield from check_error(context, again, "not_found", "an error for a deleted key")
    if _find_in_list(context, key.id) is not None:
        yield BrokenLaw("listKeys", "no deleted key", "the key that was deleted", context.client.last)


def check_list_order(context: LawContext) -> LawResults:
    """List each key once, the oldest first, and report their number as `total`."""
    exchange = context.call_ok("listKeys")
    rows, total = exchange.data.list_rows("items"), exchange.data.find("total")
    if total not in (None, len(rows)):
        yield BrokenLaw("listKeys", f"total {len(rows)}", f"total {total}", exchange)
    if len({row.read_text("id") for row in rows}) != len(rows):
        yield BrokenLaw("listKeys", "each key once", "one twice", exchange)
    times = [row.read_instant("created_at") for row in rows]
    if times != sorted(times):
        yield BrokenLaw("listKeys", "the oldest first", "another order", exchange)


def check_listed_keys(context: LawContext) -> LawResults:
    """Return a listed key on its own with the same members."""
    rows = context.read("listKeys").list_rows("items")
    if not rows:
        raise NotChecked("there is no key")
    for row in rows[:5]:
        exchange = context.call("getKey", {"key_id": row.read_text("id")})
        listed = context.prune_value("listKeys", [row.value], "items")[0]
        if not exchange.is_success or context.prune_answer(exchange) != listed:
            seen = "another record" if exchange.is_success else exchange.summary
            yield BrokenLaw("getKey", "the record in the list", seen, exchange)


def check_empty_restrictions(context: LawContext) -> LawResults:
    """Treat an empty restriction like null: every model and any address."""
    key = context.create_key("unrestricted", models_allowed=[], allowed_ips=[])
    whole = len(context.read("listModels").list_rows("data"))
    listed = len(context.read("listModels", auth=make_bearer_auth(key.secret)).list_rows("data"))
    if listed < whole:
        yield BrokenLaw("listModels", f"{whole} models for an unrestricted key", f"{listed}", context.client.last)


_law = partial(Law, area="keys", needs=("token", "writes"))
_read_law = partial(_law, needs=("token",))
_ALL: tuple[Need, ...] = ("key", "token", "writes")
_SHOWING = ("listKeys", "getKey", "updateKey", "disableKey", "enableKey")
_SWITCHES = ("disableKey", "enableKey", "getKey")

LAWS = (
    _read_law("key-list-secrets", "Lists show no secret", check_list_without_secrets, ("listKeys",)),
    _read_law("key-list-order", "Keys are listed oldest first", check_list_order, ("listKeys",)),
    _read_law("key-list-read", "Listed keys are readable", check_listed_keys, ("getKey",)),
    _law("key-secret-once", "Secrets are shown once", check_secret_shown_once, _SHOWING),
    _law("key-prefix", "Prefixes begin the secret", check_prefix, ("createKey", "getKey", "rotateKey")),
    _law("key-read-back", "Keys are returned as created", check_read_back, ("createKey", "getKey", "listKeys")),
    _law("key-partial-update", "Updates change only their members", check_partial_update, ("updateKey", "getKey")),
    _law("key-switching", "Disable and enable report the status", check_switching, _SWITCHES),
    _law("key-rotation", "Rotation gives a new secret", check_rotation, ("rotateKey", "getKey")),
    _law("key-rotation-refused", "Disabled keys are not rotated", check_rotation_of_disabled_key, ("rotateKey",)),
    _law("key-deletion", "Deleted keys are gone", check_deletion, (*ONE_KEY, "listKeys")),
    _law("key-unrestricted", "Empty lists do not restrict", check_empty_restrictions, ("listModels",), needs=_ALL),
)
