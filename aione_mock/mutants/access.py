"""Mutants that let in whom they should not, or forget what was decided about a key."""

from __future__ import annotations

from typing import Any

import orjson

from aione_mock.mutants.changes import body, member
from aione_mock.mutants.mutation import Answer, Ask, Mutant
from aione_mock.structs import replace
from aione_mock.types import Json

PAID = ("createChatCompletion", "createMessage", "generateContent", "streamGenerateContent")
DEMO = b"Bearer sk-nex-demo-every-model"
_SHOWN = b"sk-nex-shown-for-ever"


def _as_demo(ask: Ask) -> Ask:
    """The request with the demo key, wherever its own stood."""
    headers = tuple(pair for pair in ask.headers if pair[0] not in (b"x-api-key", b"x-goog-api-key", b"authorization"))
    return replace(ask, headers=(*headers, (b"authorization", DEMO)), query=b"&".join(_keyless(ask.query)))


def _keyless(query: bytes) -> list[bytes]:
    return [part for part in query.split(b"&") if part and not part.startswith(b"key=")]


def _secret(ask: Ask) -> bytes:
    bearer = ask.header(b"authorization").removeprefix(b"Bearer ")
    return bearer or ask.header(b"x-api-key") or ask.header(b"x-goog-api-key")


def _remember(kind: str) -> Any:
    """Remember the secrets of keys that are made, and what happens to them."""

    def answer(answer: Answer, ask: Ask) -> Answer:
        data = answer.data
        if answer.ok and isinstance(data, dict) and data.get("key") and "id" in data:
            ask.memory.setdefault("secrets", {}).setdefault(data["id"], []).append(data["key"].encode())
        elif answer.ok and ask.operation is not None and ask.operation.id == kind:
            key_id = ask.path.rstrip("/").split("/")[6 if ask.path.startswith("/_session") else 5].split("?")[0]
            for secret in ask.memory.get("secrets", {}).get(key_id, []):
                ask.memory.setdefault("marked", set()).add(secret)
        return answer

    return answer


def _marked_pass(ask: Ask) -> Ask:
    return _as_demo(ask) if _secret(ask) in ask.memory.get("marked", ()) else ask


def _without_members(*names: str) -> Any:
    def ask(ask: Ask) -> Ask:
        data = ask.data
        if not isinstance(data, dict):
            return ask
        return ask.with_data({name: value for name, value in data.items() if name not in names})

    return ask


def _rotated(answer: Answer, ask: Ask) -> Answer:
    """Forget old secrets: remembers which secret each key had before it was rotated."""
    data = answer.data
    if answer.ok and isinstance(data, dict) and data.get("key") and "id" in data:
        known = ask.memory.setdefault("known", {})
        if old := known.get(data["id"]):
            ask.memory.setdefault("dead", set()).add(old)
        known[data["id"]] = data["key"].encode()
    return answer


def _dead_refused(ask: Ask) -> Ask:
    if _secret(ask) not in ask.memory.get("dead", ()):
        return ask
    return ask.with_header(b"authorization", b"Bearer sk-nex-nobody")


def _shown(data: Json) -> Json:
    return {**data, "key": _SHOWN.decode()} if isinstance(data, dict) and "key_prefix" in data else data


def _everyone(ask: Ask) -> Ask:
    return ask.with_header(b"authorization", b"Bearer nex-console-tech")


def _by_anyone(answer: Answer, ask: Ask) -> Answer:
    """Another organisation's key, which the mutant remembers having shown to its owner."""
    place = ask.path.rpartition("/")[2]
    seen = ask.memory.setdefault("seen", {})
    if answer.ok and ask.method == "GET" and isinstance(data := answer.data, dict):
        for item in data.get("items", [data]):
            seen[item.get("id")] = item
    if answer.status == 404 and place in seen:
        found = orjson.dumps(seen[place])
        return replace(answer, status=200).with_body(found)
    return answer


MUTANTS = (
    Mutant("any_key", "access", "Every key is taken", ("access-wrong",), PAID, ask=_as_demo),
    Mutant("no_key_needed", "access", "No key is needed", ("access-none",), PAID,
           ask=lambda ask: ask if _secret(ask) or b"key=" in ask.query else _as_demo(ask)),
    Mutant("console_open", "access", "The console wants no token", ("access-none",),
           ("listKeys", "getPlan", "getDashboard", "queryUsage", "listInvoices", "getBillingAccount"), ask=_everyone),
    Mutant("disabled_key_works", "access", "A disabled key still works", ("access-disabled",),
           (*PAID, "createKey", "disableKey"), ask=_marked_pass, answer=_remember("disableKey")),
    Mutant("deleted_key_works", "access", "A deleted key still works", ("access-deleted",),
           (*PAID, "createKey", "deleteKey"), ask=_marked_pass, answer=_remember("deleteKey")),
    Mutant("expired_key_works", "access", "Expiry is ignored", ("access-expired",), ("createKey",),
           ask=_without_members("expires_at")),
    Mutant("models_allowed_ignored", "access", "models_allowed is not enforced", ("access-model",),
           ("createKey", "updateKey"), ask=_without_members("models_allowed"),),
    Mutant("allowed_ips_ignored", "access", "allowed_ips is not enforced", ("access-address",),
           ("createKey", "updateKey"), ask=_without_members("allowed_ips")),
    Mutant("rpm_limit_ignored", "access", "rpm_limit is not enforced", ("limit-requests",), ("createKey", "updateKey"),
           ask=_without_members("rpm_limit")),
    Mutant("grace_ignored", "access", "The old secret dies the moment a key is rotated", ("access-rotated",),
           (*PAID, "createKey", "rotateKey"), ask=_dead_refused, answer=_rotated),
    Mutant("secret_in_list", "access", "Lists show secrets", ("key-list-secrets",), ("listKeys",),
           answer=body(member("items", "*", to=_shown))),
    Mutant("secret_in_get", "access", "Reading a key shows its secret", ("key-secret-once",), ("getKey",),
           answer=body(_shown)),
    Mutant("other_organisation_readable", "access", "Any organisation may read a key by its id", ("isolation-listed",),
           ("listKeys", "getKey"), answer=_by_anyone),
)  # fmt: skip
