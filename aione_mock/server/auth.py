"""Authentication: who calls, and whether the credential may be used for this operation, model and address.

Source: AIone documentation pages 02 and 03.
"""

from __future__ import annotations

import hmac
import ipaddress
import math
from functools import lru_cache
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qs

from aione_mock.clock import SYSTEM_CLOCK
from aione_mock.contract import Contract, Operation
from aione_mock.errors import APIError
from aione_mock.protocols import acs3_signature
from aione_mock.server.request import Request
from aione_mock.server.sessions import Session
from aione_mock.structs import frozen
from aione_mock.tenant import api_keys
from aione_mock.tenant.api_keys import KeyRecord
from aione_mock.tenant.catalogue import Model
from aione_mock.types import Caller

if TYPE_CHECKING:
    from aione_mock.server.journal import Exchange


@frozen
class SecurityScheme:
    """Where a security scheme of the contract expects a credential."""

    name: str
    place: Literal["bearer", "header", "query"]
    field: bytes
    """The header, in lower case, or the query parameter."""
    description: str
    """How a credential is sent, for messages."""


class Authenticator:
    """Identify callers by the contract's security schemes."""

    def __init__(
        self, contract: Contract, *, any_key: bool = False, demo_key: str = "", control_token: str | None = None
    ) -> None:
        """`any_key`: whether every API key is taken as `demo_key`."""
        self._any_key, self._demo_key, self._control_token = any_key, demo_key, control_token
        self._schemes = {
            operation.id: tuple(
                [_read_scheme(name, contract.schemes[name]) for option in operation.security for name in option]
            )
            for operation in contract.operations.values()
        }

    async def identify(self, operation: Operation, exchange: Exchange) -> Caller | None:
        """Return the caller; None where the operation needs none.

        Raises APIError `invalid_api_key`, `ip_not_allowed`, `permission_denied` or, for the control API, `forbidden`.
        """
        request, session = exchange.request, exchange.session
        if operation.protocol == "control":
            self._check_control(operation, request)
            return None
        schemes = self._schemes[operation.id]
        if not schemes:
            return None
        if schemes[0].name == "acs3":
            return await _verify_signature(request, session)
        first: Caller | None = None
        # two different credentials must both be valid
        for secret, scheme in _find_credentials(request, schemes).items():
            caller = session.tenants.find_token(secret) if scheme == "consoleToken" else None
            if caller is None:
                caller = await self._identify_key(secret, operation, request.client, exchange.at, session)
            first = first or caller
        if first is None:
            how = " or ".join(dict.fromkeys([scheme.description for scheme in schemes]))
            raise _unauthenticated(f"No API key provided: send it as {how}.", operation)
        return first

    async def _identify_key(
        self, secret: str, operation: Operation, client: str, now: float, session: Session
    ) -> Caller:
        known = session.cache.get((secret, session.store.version))
        if known is None:
            known = await self._find_key(secret, operation, now, session)
        if known is None or known[0].status != "active" or (known[0].expires_at or math.inf) <= now:
            what = "API key" if operation.protocol != "console" else "token"
            raise _unauthenticated(f"Invalid {what} provided: {api_keys.mask_secret(secret)}.", operation)
        record, caller = known
        if record.allowed_ips and not _is_inside(client, record.allowed_ips):
            raise APIError("ip_not_allowed", f"This key may not be used from {client}.")
        return caller

    async def _find_key(
        self, secret: str, operation: Operation, now: float, session: Session
    ) -> tuple[KeyRecord, Caller] | None:
        store, keys = session.store, session.tenants.keys
        record = await keys.find(store, secret, now)
        if record is None and self._any_key and operation.protocol != "console":
            record = await keys.find(store, self._demo_key, now)
        if record is None:
            return None
        known = record, api_keys.to_caller(record)
        # a secret that works for a limited time, or in place of another, is looked up each time
        if record.secret_hash == api_keys.hash_secret(secret):
            session.cache.put((secret, store.version), known, size=len(secret))
        return known

    def _check_control(self, operation: Operation, request: Request) -> None:
        """Keep pages of other origins, and clients without the control token, away from the control API."""
        if _is_foreign(request):
            raise APIError("forbidden", "Pages of other origins may not control the mock.")
        if self._control_token is None or not operation.security:
            return
        given = (_read_bearer(request.fields.get(b"authorization")) or "").encode()
        if not hmac.compare_digest(given, self._control_token.encode()):
            message = "This mock was started with --control-token; send it as a bearer token."
            raise APIError("not_authenticated", message, headers={"www-authenticate": "Bearer"})


def _read_scheme(name: str, scheme: dict[str, str]) -> SecurityScheme:
    if scheme["type"] == "http":
        return SecurityScheme(name, "bearer", b"authorization", "`Authorization: Bearer …`")
    field = scheme["name"]
    if scheme["in"] == "query":
        return SecurityScheme(name, "query", field.encode(), f"`?{field}=…`")
    return SecurityScheme(name, "header", field.lower().encode(), f"`{field}: …`")


def _find_credentials(request: Request, schemes: tuple[SecurityScheme, ...]) -> dict[str, str]:
    """Return each credential that came with a request, with the scheme that it came by."""
    found: dict[str, str] = {}
    for scheme in schemes:
        if scheme.place == "query":
            name = scheme.field.decode()
            secret = next(iter(parse_qs(request.query).get(name, ())), None) if name in request.query else None
        else:
            value = request.fields.get(scheme.field)
            if value is None:
                continue
            secret = _read_bearer(value) if scheme.place == "bearer" else value.decode("latin-1")
        if secret:
            found[secret] = scheme.name
    return found


def _read_bearer(value: bytes | None) -> str | None:
    kind, _, secret = (value or b"").decode("latin-1").partition(" ")
    return secret.strip() or None if kind.lower() == "bearer" else None


def _is_foreign(request: Request) -> bool:
    """Return whether a page of another origin sent a request.

    Programs send neither header; a link that is followed reads nothing.
    Source: Fetch Standard, "Origin header"; Fetch Metadata Request Headers.
    """
    origin = request.header("origin")
    if origin is not None:
        return origin.partition("://")[2] != request.header("host")
    site, mode = request.header("sec-fetch-site"), request.header("sec-fetch-mode")
    return site in ("cross-site", "same-site") and mode != "navigate"


def _unauthenticated(message: str, operation: Operation) -> APIError:
    headers = {"www-authenticate": "Bearer"} if operation.protocol == "console" else {}
    return APIError("invalid_api_key", message, headers=headers)


async def _verify_signature(request: Request, session: Session) -> Caller:
    """Return the caller of a ModelRouter operation. Signature dates are judged by real time, not the session's."""
    now = SYSTEM_CLOCK.timestamp()
    access_keys = session.tenants.access_keys

    def find(access_key_id: str) -> acs3_signature.SigningKey | None:
        known = access_keys.get(access_key_id)
        return acs3_signature.SigningKey(known.id, known.secret, known.status == "active") if known else None

    signature = acs3_signature.verify_request(
        request.method,
        request.path,
        request.query,
        [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers],
        request.body or b"",
        find,
        now,
    )
    place = f"nonce/{signature.access_key_id}/{signature.nonce}"
    if session.store.count_window(place, now, 2 * acs3_signature.WINDOW, (1, 0)).totals[0] > 1:
        raise acs3_signature.nonce_used(signature.nonce)
    return access_keys[signature.access_key_id].caller


@lru_cache(maxsize=1024)
def _is_inside(address: str, ranges: tuple[str, ...]) -> bool:
    try:
        client = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(client, ipaddress.IPv6Address) and client.ipv4_mapped:
        client = client.ipv4_mapped
    return any(client in ipaddress.ip_network(text, strict=False) for text in ranges)


def check_model_allowed(caller: Caller, name: str, model: Model) -> None:
    """Raise APIError `model_not_allowed` when the key is restricted to other models."""
    allowed = caller.models_allowed
    if allowed and not {name, model.id, *model.aliases} & set(allowed):
        raise APIError("model_not_allowed", f"This key may not use the model '{name}'.", fields={"param": "model"})
