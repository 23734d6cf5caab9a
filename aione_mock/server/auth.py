"""Authentication: who calls, and whether the credential may be used for this operation, model and address.

Source: AIone documentation pages 02 and 03.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Collection
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qs

from aione_mock.clock import SYSTEM_CLOCK
from aione_mock.contract import Contract, Operation
from aione_mock.errors import APIError
from aione_mock.protocols import acs3_signature
from aione_mock.server import origin
from aione_mock.server.request import Request
from aione_mock.server.sessions import Session
from aione_mock.structs import frozen
from aione_mock.tenant import api_keys
from aione_mock.tenant.catalogue import Model
from aione_mock.types import Caller

if TYPE_CHECKING:
    from aione_mock.server.journal import Exchange


_REMEDIES = {
    "API key": "`aione-mock keys` prints keys of the mock; start it with `--auth any` to have it take every key.",
    "token": "`aione-mock keys` prints console tokens of the mock.",
}
"""What to do about a credential that is unknown or not in force."""


@frozen
class SecurityScheme:
    """Where a security scheme of the contract expects a credential."""

    name: str
    place: Literal["bearer", "header", "query"]
    field: bytes
    """The header, in lower case, or the query parameter."""
    description: str
    """How a credential is sent, for messages."""


@frozen
class Access:
    """How callers of an operation show who they are."""

    names: str
    """The names of its schemes."""
    schemes: tuple[SecurityScheme, ...]
    fields: tuple[bytes, ...]
    """The headers that carry credentials."""
    parameter: str
    """The query parameter that carries one."""


class Authenticator:
    """Identify callers by the contract's security schemes."""

    def __init__(
        self,
        contract: Contract,
        *,
        any_key: bool,
        needs_key: bool,
        control_token: str | None,
        allowed_hosts: Collection[str],
    ) -> None:
        """`any_key`: whether every API key is taken as the demo key; without `needs_key` even none is."""
        self._needs_key, self._any_key, self._control_token, self._allowed_hosts = (
            needs_key,
            any_key,
            control_token,
            allowed_hosts,
        )
        self._accesses = {operation.id: _read_access(operation, contract) for operation in contract.operations.values()}

    async def identify(self, operation: Operation, exchange: Exchange) -> Caller | None:
        """Return the caller; None where the operation needs none.

        Raises APIError `invalid_api_key`, `ip_not_allowed`, `permission_denied` or, for the control API, `forbidden`.
        """
        request, session = exchange.request, exchange.session
        if operation.protocol == "control":
            self.check_control(request, guarded=bool(operation.security))
            return None
        access = self._accesses[operation.id]
        if not access.schemes:
            return None
        if access.names == "acs3":
            return _verify_signature(request, operation, session)
        presented = access.names, session.store.version, *map(request.fields.get, access.fields)
        known: Caller | None = session.cache.get(presented)
        if known is not None and access.parameter not in request.query:
            return known
        return await self._verify_credentials(access, presented, operation, exchange)

    async def _verify_credentials(
        self, access: Access, presented: tuple[Any, ...], operation: Operation, exchange: Exchange
    ) -> Caller:
        """Return the caller of the first credential. Two different credentials must both be valid."""
        request, session, first = exchange.request, exchange.session, None
        credentials = _find_credentials(request, access.schemes)
        for secret, scheme in credentials.items():
            caller = session.tenants.find_token(secret) if scheme == "consoleToken" else None
            if caller is None:
                caller, lasting = await self._identify_key(secret, operation, request.client, exchange.at, session)
                if lasting and len(credentials) == 1 and access.parameter not in request.query:
                    session.cache.put(presented, caller, size=sum([len(value or "") for value in presented[2:]]))
            if not caller.may_write and operation.method != "GET":
                raise APIError("permission_denied", "This console token may only read.")
            first = first or caller
        if first is None and not self._needs_key and operation.protocol != "console":
            first, _ = await self._identify_key(
                session.tenants.demo_key, operation, request.client, exchange.at, session
            )
        if first is None:
            how = " or ".join(dict.fromkeys([scheme.description for scheme in access.schemes]))
            raise _make_authentication_error(f"No API key provided: send it as {how}.", operation)
        return first

    async def _identify_key(
        self, secret: str, operation: Operation, client: str, now: float, session: Session
    ) -> tuple[Caller, bool]:
        """Return the caller behind a key, and whether that is so from everywhere until the store changes."""
        store, keys = session.store, session.tenants.keys
        record = await keys.find(store, secret, now)
        own = record is not None and record.secret_hash == api_keys.hash_secret(secret)
        if record is None and self._any_key and operation.protocol != "console":
            record = await keys.find(store, session.tenants.demo_key, now)
        # the organisation of a key that the session created may have left the configuration file
        known = record is not None and record.org_id in session.tenants.organisations
        if record is None or not known or api_keys.get_status(record, now) != "active":
            what = "API key" if operation.protocol != "console" else "token"
            raise _make_authentication_error(
                f"Invalid {what} provided: {api_keys.mask_secret(secret)}. {_REMEDIES[what]}", operation
            )
        if record.allowed_ips and not _is_inside(client, record.allowed_ips):
            raise APIError("ip_not_allowed", f"This key may not be used from {client}.")
        return api_keys.to_caller(record), own and not record.allowed_ips and record.expires_at is None

    def check_host(self, request: Request) -> None:
        """Raise APIError `misdirected_request` for a request that came by a name that is not the mock's."""
        if origin.is_foreign_host(request, self._allowed_hosts):
            message = "This mock is not known by that name; use localhost, or start it with --allowed-host NAME."
            raise APIError("misdirected_request", message)

    def check_control(self, request: Request, *, guarded: bool = True) -> None:
        """Keep other names, pages of other origins and clients without the control token away from the control API.

        What is not `guarded` needs no token. Raises APIError.
        """
        self.check_host(request)
        if origin.is_foreign_page(request):
            raise APIError("forbidden", "Pages of other origins may not control the mock.")
        if self._control_token is None or not guarded:
            return
        given = (_read_bearer(request.fields.get(b"authorization")) or "").encode()
        if not hmac.compare_digest(given, self._control_token.encode()):
            message = "This mock was started with --control-token; send it as a bearer token."
            raise APIError("not_authenticated", message, headers={"www-authenticate": "Bearer"})


def _read_access(operation: Operation, contract: Contract) -> Access:
    schemes = [_read_scheme(name, contract.schemes[name]) for option in operation.security for name in option]
    fields = dict.fromkeys([scheme.field for scheme in schemes if scheme.place != "query"])
    # no query holds a line end
    parameter = next((scheme.field.decode() for scheme in schemes if scheme.place == "query"), "\n")
    return Access(",".join([scheme.name for scheme in schemes]), tuple(schemes), tuple(fields), parameter)


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


def _make_authentication_error(message: str, operation: Operation) -> APIError:
    headers = {"www-authenticate": "Bearer"} if operation.protocol == "console" else {}
    return APIError("invalid_api_key", message, headers=headers)


def _verify_signature(request: Request, operation: Operation, session: Session) -> Caller:
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
    # a header may be long, and the store keeps its keys
    nonce = blake2b(signature.nonce.encode(), digest_size=16).hexdigest()
    place = f"nonce/{signature.access_key_id}/{nonce}"
    if not session.use_nonce(place, now, 2 * acs3_signature.WINDOW):
        raise acs3_signature.make_nonce_used_error(signature.nonce)
    key = access_keys[signature.access_key_id]
    if key.actions is not None and operation.ram_action not in key.actions:
        detail = f"the access key lacks the right {operation.ram_action}"
        raise APIError("permission_denied", detail, fields={"detail": detail})
    return key.caller


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
