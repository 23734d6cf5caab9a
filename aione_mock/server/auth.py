"""Who calls, and whether they may: credentials, addresses, models, rate limits, balance.

Source: AIone documentation pages 02 and 03; Anthropic API reference, "Rate limits"; OpenAI guide, "Rate limits".
"""

from __future__ import annotations

import hmac
import ipaddress
import math
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import parse_qs

from aione_mock.clock import WALL, iso
from aione_mock.contract import Contract, Operation
from aione_mock.errors import APIError
from aione_mock.protocols import acs3_signature
from aione_mock.server.request import Head
from aione_mock.server.sessions import Session
from aione_mock.store import Window
from aione_mock.tenant import api_keys
from aione_mock.tenant.catalogue import Model
from aione_mock.types import Caller

REQUESTS, TOKENS = 0, 1
"""Parts of a key's window."""
_KINDS = ("requests", "tokens")
_REQUEST, _NOTHING = (1, 0), (0, 0)
SPAN = 60.0
"""Seconds of the window in which requests and tokens are counted (assumed)."""
Extract = Callable[[Head], str | None]
Known = tuple[api_keys.KeyRecord, Caller]
Spell = Callable[[Window, int], str]


class Access:
    """Reads credentials as the contract's security schemes say. Built once."""

    def __init__(
        self, contract: Contract, *, any_key: bool = False, demo_key: str = "", control_token: str | None = None
    ) -> None:
        self._any_key, self._demo_key, self._control_token = any_key, demo_key, control_token
        self._schemes = {
            operation.id: tuple(
                (scheme, _extractor(contract.schemes[scheme])) for option in operation.security for scheme in option
            )
            for operation in contract.operations.values()
        }
        self._customs = {
            name: " or ".join(dict.fromkeys(_custom(contract.schemes[scheme]) for scheme, _ in schemes))
            for name, schemes in self._schemes.items()
        }
        """How each operation's protocol sends a key, in words."""

    async def identify(
        self, operation: Operation, head: Head, body: bytes, client: str, at: float, session: Session
    ) -> Caller | None:
        """The caller; None where none is needed. `client`: the address; `at`: the session's time.

        Raises APIError `invalid_api_key`, `ip_not_allowed`, `permission_denied` or, for the control API, `forbidden`.
        """
        presented = head.presented
        if presented is None:
            if operation.protocol == "control":
                self._guard(operation, head)
                return None
            if not operation.security:
                return None
            if self._schemes[operation.id][0][0] == "acs3":
                return await _signed(head, body, session)
            head.presented = presented = self._presented(operation, head)
        first: Caller | None = None
        # two different credentials must both be good: a wrong one is never overlooked
        for secret, scheme in presented:
            caller = session.world.token(secret) if scheme == "consoleToken" else None
            if caller is None:
                known = session.store.derived.get(secret) or await self._known(secret, operation, at, session)
                caller = _let_in(known, secret, operation, client, at)
            first = first or caller
        if first is None:
            raise _unauthenticated(f"No API key provided: send it as {self._customs[operation.id]}.", operation)
        return first

    def _presented(self, operation: Operation, head: Head) -> tuple[tuple[str, str], ...]:
        """Each credential that came, with the scheme that it came by."""
        found = {secret: scheme for scheme, extract in self._schemes[operation.id] if (secret := extract(head))}
        return tuple(found.items())

    def _guard(self, operation: Operation, head: Head) -> None:
        """Keeps pages of other origins, and those without the control token, away from the control API."""
        if _foreign(head):
            raise APIError("forbidden", "Pages of other origins may not control the mock.")
        if self._control_token is None or not operation.security:
            return
        if not hmac.compare_digest((_bearer(head) or "").encode(), self._control_token.encode()):
            message = "This mock was started with --control-token; send it as a bearer token."
            raise APIError("not_authenticated", message, headers={"www-authenticate": "Bearer"})

    async def _known(self, secret: str, operation: Operation, now: float, session: Session) -> Known | None:
        """Whose key a secret is."""
        store, book = session.store, session.world.keys
        record = await book.find(store, secret, now)
        if record is None and self._any_key and operation.protocol != "console":
            record = await book.find(store, self._demo_key, now)
        if record is None:
            return None
        known = record, api_keys.caller(record)
        # what opens only for a while, or in place of another, is looked up each time
        if record.secret_hash == api_keys.hash_secret(secret):
            store.derived.put(secret, known)
        return known


def _let_in(known: Known | None, secret: str, operation: Operation, client: str, now: float) -> Caller:
    if known is None or api_keys.status(known[0], now) != "active":
        raise _invalid(secret, operation)
    record, caller = known
    if record.allowed_ips and not _inside(client, record.allowed_ips):
        raise APIError("ip_not_allowed", f"This key may not be used from {client}.")
    return caller


def _invalid(secret: str, operation: Operation) -> APIError:
    what = "API key" if operation.protocol != "console" else "token"
    return _unauthenticated(f"Invalid {what} provided: {api_keys.mask(secret)}.", operation)


def _foreign(head: Head) -> bool:
    """Whether a page of another origin sent it. Programs send neither header; a link that is followed reads nothing.

    Source: Fetch Standard, "Origin header"; Fetch Metadata Request Headers.
    """
    origin = head.header("origin")
    if origin is not None:
        return origin.partition("://")[2] != head.header("host")
    site, mode = head.header("sec-fetch-site"), head.header("sec-fetch-mode")
    return site in ("cross-site", "same-site") and mode != "navigate"


def _unauthenticated(message: str, operation: Operation) -> APIError:
    headers = {"www-authenticate": "Bearer"} if operation.protocol == "console" else {}
    return APIError("invalid_api_key", message, headers=headers)


def _extractor(scheme: dict[str, str]) -> Extract:
    if scheme["type"] == "http":
        return _bearer
    name = scheme["name"]
    if scheme["in"] == "query":
        return lambda head: next(iter(parse_qs(head.query).get(name, ())), None) if name in head.query else None
    return lambda head: head.header(name.lower())


def _custom(scheme: dict[str, str]) -> str:
    if scheme["type"] == "http":
        return "`Authorization: Bearer …`"
    return f"`{scheme['name']}: …`" if scheme["in"] == "header" else f"`?{scheme['name']}=…`"


def _bearer(head: Head) -> str | None:
    kind, _, secret = (head.header("authorization") or "").partition(" ")
    return secret.strip() or None if kind.lower() == "bearer" else None


async def _signed(head: Head, body: bytes, session: Session) -> Caller:
    """The caller of a ModelRouter operation. Signature dates are judged by real time, not by the session's clock."""
    now = WALL.timestamp()
    access_keys = session.world.access_keys

    def find(access_key_id: str) -> acs3_signature.AccessKey | None:
        known = access_keys.get(access_key_id)
        return acs3_signature.AccessKey(known.id, known.secret, known.status == "active") if known else None

    signature = acs3_signature.verify(
        head.method,
        head.path,
        head.query,
        [(name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers],
        body,
        find,
        now,
    )
    place = f"nonce/{signature.access_key_id}/{signature.nonce}"
    if (await session.store.window(place, now, 2 * acs3_signature.WINDOW, (1, 0))).totals[0] > 1:
        raise acs3_signature.nonce_used(signature.nonce)
    return access_keys[signature.access_key_id].caller


@lru_cache(maxsize=1024)
def _inside(address: str, ranges: tuple[str, ...]) -> bool:
    try:
        client = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(client, ipaddress.IPv6Address) and client.ipv4_mapped:
        client = client.ipv4_mapped
    return any(client in ipaddress.ip_network(text, strict=False) for text in ranges)


def permit_model(caller: Caller, name: str, model: Model) -> None:
    """Raises APIError `model_not_allowed` when the key is restricted to other models."""
    allowed = caller.models_allowed
    if allowed and not {name, model.id, *model.aliases} & set(allowed):
        raise APIError("model_not_allowed", f"This key may not use the model '{name}'.", fields={"param": "model"})


async def standing(caller: Caller | None, now: float, session: Session) -> Window | None:
    """What a key has used of its limits, or of its plan's; None for callers without a key."""
    if caller is None or caller.key_id is None:
        return None
    plan = session.world.organisations[caller.org_id].plan
    limits = caller.rpm_limit or plan.rpm_limit, caller.tpm_limit or plan.tpm_limit
    return await session.store.window("limits/" + caller.key_id, now, SPAN, _NOTHING, limits)


async def admit(key: str, caller: Caller, now: float, session: Session) -> Window:
    """Count a call to a model against its key's limits, or the plan's. `release` ends it.

    Raises APIError `rate_limit_exceeded` with an honest `retry-after`, or `insufficient_balance`.
    """
    world, store, under_way = session.world, session.store, session.in_flight
    if await world.billing[caller.org_id].used_up(store, now):
        raise APIError("insufficient_balance", "Balance and credit are used up; top up the account to go on.")
    plan = world.organisations[caller.org_id].plan
    limits = caller.rpm_limit or plan.rpm_limit, caller.tpm_limit or plan.tpm_limit
    calls, most = under_way.get(key, 0), plan.concurrency_limit
    window = await store.window("limits/" + key, now, SPAN, _REQUEST if calls < most else _NOTHING, limits)
    if not window.taken:
        wait = max(window.wait(part, limit - 1) for part, limit in enumerate(limits))
        spent = REQUESTS if not window.left(REQUESTS) else TOKENS
        raise _exceeded(f"{limits[spent]} {_KINDS[spent]} per minute", wait)
    if calls >= most:
        raise _exceeded(f"{most} calls at a time", 1)
    under_way[key] = calls + 1
    return window


def spend(key: str | None, session: Session, tokens: int, limits: Window) -> Awaitable[Window]:
    """Count tokens against a key's limit; its limits as they now stand."""
    now = session.clock.timestamp()
    return session.store.window(f"limits/{key}", now, SPAN, (0, tokens), limits.most)


def release(key: str, session: Session) -> None:
    """An admitted call of a key is over: answered to the last event, or its client gone."""
    left = session.in_flight.get(key, 0) - 1
    if left > 0:
        session.in_flight[key] = left
    else:
        session.in_flight.pop(key, None)


def _exceeded(what: str, wait: float) -> APIError:
    seconds = max(1, math.ceil(wait))
    message = f"Rate limit exceeded: {what}. Try again in {seconds} s."
    return APIError("rate_limit_exceeded", message, headers={"retry-after": str(seconds)})


def limit_lines(limits: Window, operation: Operation, status: int) -> str:
    """The rate-limit headers that the operation declares with a status, each with its `\\r\\n` before it."""
    form, spell = _form(operation, status)
    if not form:
        return ""
    (requests, tokens), (rpm, tpm), (last, also) = limits.totals, limits.most, limits.lasts
    reset = spell(limits, REQUESTS)
    return form % (
        rpm,
        rpm - requests if requests < rpm else 0,
        reset,
        tpm,
        tpm - tokens if tokens < tpm else 0,
        reset if last == also else spell(limits, TOKENS),
    )


@lru_cache(maxsize=256)
def _form(operation: Operation, status: int) -> tuple[str, Spell]:
    """Lines for the values of six headers, those left out that are not declared, and how a reset is spelled."""
    pattern, spell = _HEADERS.get(operation.protocol, ("", _reset))
    declared = operation.response_headers.get(status, ())
    names = [pattern.format(kind=kind, part=part) for kind in _KINDS for part in ("limit", "remaining", "reset")]
    if declared and not {*names}.isdisjoint(declared):
        return "".join([f"\r\n{name}: %s" if name in declared else "%.0s" for name in names]), spell
    return "", spell


def _reset(limits: Window, part: int) -> str:
    """When all of a part will be free again, as OpenAI writes it: `350ms`, `12s` or `1m0s`."""
    seconds = limits.empty_in(part)
    return f"{math.ceil(seconds * 1000)}ms" if seconds < 1 else _duration(math.ceil(seconds))


@lru_cache
def _duration(seconds: int) -> str:
    return f"{seconds // 60}m{seconds % 60}s" if seconds >= 60 else f"{seconds}s"


def _reset_at(limits: Window, part: int) -> str:
    """The same as Anthropic writes it: an instant."""
    return _moment(math.ceil(limits.now + limits.empty_in(part)))


@lru_cache
def _moment(at: int) -> str:
    return iso(datetime.fromtimestamp(at, UTC))


_HEADERS = {
    "openai": ("x-ratelimit-{part}-{kind}", _reset),
    "anthropic": ("anthropic-ratelimit-{kind}-{part}", _reset_at),
}
"""Dialect to the names of its headers, and how it spells when a limit is free again."""
