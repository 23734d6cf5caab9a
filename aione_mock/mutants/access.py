"""Mutants that accept wrong credentials, or ignore what was decided about a key."""

from __future__ import annotations

from functools import partial

from aione_mock.mutants.changes import change_body, change_member, remove_members, remove_parameters
from aione_mock.mutants.mutant import Mutant, MutantRequest, MutantResponse, ResponseChange
from aione_mock.structs import replace
from aione_mock.types import Json

_PAID = ("createChatCompletion", "createMessage", "generateContent", "streamGenerateContent")
_DEMO_KEY = b"Bearer sk-nex-demo-every-model"
_CONSOLE_TOKEN = b"Bearer nex-console-tech"
_KEY_HEADERS = (b"x-api-key", b"x-goog-api-key", b"authorization")


def _use_demo_key(request: MutantRequest) -> MutantRequest:
    headers = tuple(pair for pair in request.headers if pair[0] not in _KEY_HEADERS)
    return replace(remove_parameters("key")(request), headers=(*headers, (b"authorization", _DEMO_KEY)))


def _use_demo_key_if_missing(request: MutantRequest) -> MutantRequest:
    return request if _read_secret(request) or b"key=" in request.query else _use_demo_key(request)


def _read_secret(request: MutantRequest) -> bytes:
    bearer = request.header(b"authorization").removeprefix(b"Bearer ")
    return bearer or request.header(b"x-api-key") or request.header(b"x-goog-api-key")


def _remember_secrets(operation: str) -> ResponseChange:
    """Remember the secrets of new keys, and mark those of keys on which an operation succeeds."""

    def remember(response: MutantResponse, request: MutantRequest) -> MutantResponse:
        data, memory = response.data, request.memory
        if response.is_success and isinstance(data, dict) and data.get("key") and "id" in data:
            memory.setdefault("secrets", {}).setdefault(data["id"], []).append(data["key"].encode())
        elif response.is_success and request.operation.id == operation:
            key_id = request.path.split("/")[5]
            memory.setdefault("marked", set()).update(memory.get("secrets", {}).get(key_id, []))
        return response

    return remember


def _accept_marked_secret(request: MutantRequest) -> MutantRequest:
    return _use_demo_key(request) if _read_secret(request) in request.memory.get("marked", ()) else request


def _remember_rotated_secrets(response: MutantResponse, request: MutantRequest) -> MutantResponse:
    data = response.data
    if response.is_success and isinstance(data, dict) and data.get("key") and "id" in data:
        current = request.memory.setdefault("current", {})
        if old := current.get(data["id"]):
            request.memory.setdefault("rotated", set()).add(old)
        current[data["id"]] = data["key"].encode()
    return response


def _reject_rotated_secret(request: MutantRequest) -> MutantRequest:
    if _read_secret(request) not in request.memory.get("rotated", ()):
        return request
    return request.with_header(b"authorization", b"Bearer sk-nex-nobody")


def _raise_concurrency_limit(request: MutantRequest) -> MutantRequest:
    """Raise the limit of a new key. Calls take a while, so that they can be under way at once."""
    if request.operation.id != "createKey":
        return request.with_header(b"x-mock-scenario", b"pace; ttft=0.3")
    data = request.data
    wanted = isinstance(data, dict) and data.get("concurrency_limit")
    return request.with_data({**data, "concurrency_limit": 1000}) if wanted else request


def _show_secret(data: Json) -> Json:
    return {**data, "key": "sk-nex-shown-for-ever"} if isinstance(data, dict) and "key_prefix" in data else data


def _use_console_token(request: MutantRequest) -> MutantRequest:
    return request.with_header(b"authorization", _CONSOLE_TOKEN)


def _show_foreign_keys(response: MutantResponse, request: MutantRequest) -> MutantResponse:
    """Answer with a key of another organisation that was shown to its owner before."""
    key_id = request.path.rpartition("/")[2]
    shown = request.memory.setdefault("shown", {})
    if response.is_success and request.method == "GET" and isinstance(data := response.data, dict):
        shown |= {item.get("id"): item for item in data.get("items", [data])}
    if response.status == 404 and key_id in shown:
        return response.with_data(shown[key_id], status=200)
    return response


_mutant = partial(Mutant, area="access")
_CONSOLE_READS = ("listKeys", "getPlan", "getDashboard", "queryUsage", "listInvoices", "getBillingAccount")

MUTANTS = (
    _mutant("any_key", "Every key is accepted", ("access-wrong",), _PAID, request=_use_demo_key),
    _mutant("no_key_needed", "No key is needed", ("access-none",), _PAID, request=_use_demo_key_if_missing),
    _mutant("console_open", "The console needs no token", ("access-none",), _CONSOLE_READS,
            request=_use_console_token),
    _mutant("disabled_key_works", "A disabled key is accepted", ("access-disabled",),
            (*_PAID, "createKey", "disableKey"), request=_accept_marked_secret,
            response=_remember_secrets("disableKey")),
    _mutant("deleted_key_works", "A deleted key is accepted", ("access-deleted",),
            (*_PAID, "createKey", "deleteKey"), request=_accept_marked_secret,
            response=_remember_secrets("deleteKey")),
    _mutant("expired_key_works", "Expiry is ignored", ("access-expired",), ("createKey",),
            request=remove_members("expires_at")),
    _mutant("models_allowed_ignored", "models_allowed is not enforced", ("access-model",),
            ("createKey", "updateKey"), request=remove_members("models_allowed")),
    _mutant("allowed_ips_ignored", "allowed_ips is not enforced", ("access-address",),
            ("createKey", "updateKey"), request=remove_members("allowed_ips")),
    _mutant("rpm_limit_ignored", "rpm_limit is not enforced", ("limit-requests",), ("createKey", "updateKey"),
            request=remove_members("rpm_limit")),
    _mutant("concurrency_limit_ignored", "concurrency_limit is not enforced", ("limit-concurrency",),
            ("createKey", "createChatCompletion"), request=_raise_concurrency_limit,
            response=change_body(change_member("concurrency_limit", to=lambda _: 1))),
    _mutant("grace_ignored", "The old secret is rejected at once after a rotation", ("access-rotated",),
            (*_PAID, "createKey", "rotateKey"), request=_reject_rotated_secret, response=_remember_rotated_secrets),
    _mutant("secret_in_list", "Lists show secrets", ("key-list-secrets",), ("listKeys",),
            response=change_body(change_member("items", "*", to=_show_secret))),
    _mutant("secret_in_get", "Reading a key shows its secret", ("key-secret-once",), ("getKey",),
            response=change_body(_show_secret)),
    _mutant("other_organisation_readable", "Every organisation can read a key by its id", ("isolation-listed",),
            ("listKeys", "getKey"), response=_show_foreign_keys),
)  # fmt: skip
