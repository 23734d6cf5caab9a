"""API keys: their records, how a record changes, and the store that finds the key of a secret.

A record holds no secret, only its hash. All functions on records are pure; `KeyStore` reads and writes them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from hashlib import blake2b

import msgspec

from aione_mock.seed import Seed
from aione_mock.store import Store
from aione_mock.structs import frozen, replace, to_dict
from aione_mock.tenant.calendar import format_timestamp
from aione_mock.types import Caller, Json

GRACE = 24 * 3600
"""Seconds for which the old secret of a rotated key stays valid. Assumed: customary, not documented."""
_PREFIX = "sk-nex-"
_format_instant = lru_cache(maxsize=1024)(format_timestamp)
"""Many keys were created at the same time, and formatting it takes most of the time of a long list."""
_PREFIX_LENGTH = len(_PREFIX) + 4
_LIMITS = ("rpm_limit", "tpm_limit", "concurrency_limit")
_CHANGEABLE = ("name", "models_allowed", "allowed_ips", *_LIMITS)


@frozen
class KeyRecord:
    """What is stored of a key. Times are Unix seconds."""

    id: str
    org_id: str
    team_id: str | None
    name: str
    key_prefix: str
    secret_hash: str
    number: int
    """ModelRouter's `apiKeyId`."""
    created_at: float
    models_allowed: tuple[str, ...] | None = None
    """None and empty both mean every model of the plan."""
    rpm_limit: int | None = None
    tpm_limit: int | None = None
    is_sandbox: bool = False
    allowed_ips: tuple[str, ...] | None = None
    expires_at: float | None = None
    rotate_grace_until: float | None = None
    status: str = "active"
    """`active` or `disabled`, as set by a user; `get_status` also knows `expired`."""
    old_secret_hash: str | None = None
    deleted: bool = False
    owner: int | None = None
    """ModelRouter's `memberUserId` of the key's owner; None for a key of the team itself."""
    concurrency_limit: int | None = None
    balance_ticks: int | None = None
    """What may be spent with it in a session, in 0.0001 RMB; None for all that its organisation has."""


def hash_secret(secret: str) -> str:
    """Return the hash by which a secret is found, in hexadecimal."""
    return blake2b(secret.encode("utf-8", "surrogatepass"), digest_size=16, person=b"aione-secret").hexdigest()


def get_prefix(secret: str) -> str:
    """Return the first characters of a secret, by which people tell keys apart."""
    return secret[:_PREFIX_LENGTH]


def mask_secret(secret: str) -> str:
    """Return a secret as the documentation shows one: `sk-nex-9Tq...c4B`. Of a short one, only its prefix is shown."""
    prefix = _PREFIX if secret.startswith(_PREFIX) else ""
    body = secret.removeprefix(prefix)
    return f"{prefix}{body[:3]}...{body[-3:]}" if len(body) >= 12 else f"{prefix}xxx...xxx"


def generate_key(seed: Seed, number: int) -> tuple[str, str]:
    """Generate id and secret of the session's key number `number`."""
    return seed.draw_uuid("key", number), _PREFIX + seed.draw_token(40, "secret", number)


def create_record(
    fields: Mapping[str, Json], *, key_id: str, number: int, org_id: str, secret: str, now: float
) -> KeyRecord:
    """Create an active key from the members of KeyCreateRequest; `expires_at` is in Unix seconds."""
    return KeyRecord(
        id=key_id,
        org_id=org_id,
        team_id=fields.get("team_id"),
        name=fields["name"],
        key_prefix=get_prefix(secret),
        secret_hash=hash_secret(secret),
        number=number,
        created_at=now,
        models_allowed=_to_tuple(fields.get("models_allowed")),
        rpm_limit=_to_integer(fields.get("rpm_limit")),
        tpm_limit=_to_integer(fields.get("tpm_limit")),
        concurrency_limit=_to_integer(fields.get("concurrency_limit")),
        is_sandbox=bool(fields.get("is_sandbox")),
        allowed_ips=_to_tuple(fields.get("allowed_ips")),
        expires_at=fields.get("expires_at"),
    )


def update_record(record: KeyRecord, changes: Mapping[str, Json]) -> KeyRecord:
    """Apply a KeyUpdateRequest: absent members stay, null removes a limit, unknown members are ignored."""
    changed = {name: changes[name] for name in _CHANGEABLE if name in changes}
    for name in changed.keys() & {"models_allowed", "allowed_ips"}:
        changed[name] = _to_tuple(changed[name])
    for name in changed.keys() & {*_LIMITS}:
        changed[name] = _to_integer(changed[name])
    return replace(record, **changed)


def rotate_secret(record: KeyRecord, secret: str, now: float) -> KeyRecord:
    """Replace the secret. The present one stays valid for `GRACE` seconds, an older one does not."""
    return replace(
        record,
        key_prefix=get_prefix(secret),
        secret_hash=hash_secret(secret),
        old_secret_hash=record.secret_hash,
        rotate_grace_until=now + GRACE,
    )


def get_status(record: KeyRecord, now: float) -> str:
    """Return `active`, `disabled` or `expired`. Expiry takes precedence over `disabled`."""
    if record.expires_at is not None and record.expires_at <= now:
        return "expired"
    return record.status


def accepts_secret(record: KeyRecord, secret_hash: str, now: float) -> bool:
    """Return whether a secret is the key's own, or the one before it within its grace period."""
    if record.deleted:
        return False
    if secret_hash == record.secret_hash:
        return True
    return secret_hash == record.old_secret_hash and now < (record.rotate_grace_until or 0)


def to_response(record: KeyRecord, now: float, secret: str | None = None) -> dict[str, Json]:
    """Return the members of KeyResponse in the documented order, then the one that is not documented."""
    limit = record.concurrency_limit
    return {
        "id": record.id,
        "org_id": record.org_id,
        "team_id": record.team_id,
        "name": record.name,
        "key": secret,
        "key_prefix": record.key_prefix,
        "models_allowed": record.models_allowed,
        "rpm_limit": record.rpm_limit,
        "tpm_limit": record.tpm_limit,
        "is_sandbox": record.is_sandbox,
        "allowed_ips": record.allowed_ips,
        "expires_at": _format_optional(record.expires_at),
        "rotate_grace_until": _format_optional(record.rotate_grace_until),
        "status": get_status(record, now),
        "created_at": _format_instant(record.created_at),
        **({} if limit is None else {"concurrency_limit": limit}),
    }


def to_caller(record: KeyRecord) -> Caller:
    """Return the caller that a key stands for."""
    return Caller(
        record.org_id,
        record.id,
        record.team_id,
        label=f"{record.name} ({record.key_prefix}...)",
        models_allowed=record.models_allowed,
        rpm_limit=record.rpm_limit,
        tpm_limit=record.tpm_limit,
        concurrency_limit=record.concurrency_limit,
        balance_ticks=record.balance_ticks,
    )


def filter_keys(
    records: Iterable[KeyRecord],
    *,
    teams: Collection[str | None] | None = None,
    members: Collection[int] | None = None,
    numbers: Collection[int] | None = None,
) -> frozenset[str]:
    """Return the ids of the keys that pass every filter given.

    `members` follows ModelRouter: None keeps all keys; a collection keeps the keys of these people and, when it is
    empty, only keys that belong to the department itself.
    """
    return frozenset(
        record.id
        for record in records
        if (teams is None or record.team_id in teams)
        and (numbers is None or record.number in numbers)
        and (members is None or (record.owner in members if members else record.owner is None))
    )


@frozen
class KeyStore:
    """The keys of all organisations: those of the file, and what a session has changed.

    The session's store holds changed and new records under `keys/ID` and the key id of a secret under `secrets/HASH`.
    """

    seeded: Mapping[str, KeyRecord]
    """By id, in the order in which lists show them."""
    secrets: Mapping[str, str]
    """Hash of each seeded secret, former ones too, to the key's id."""

    @classmethod
    def create(cls, records: Iterable[KeyRecord]) -> KeyStore:
        """Create a store of seeded records."""
        seeded = {record.id: record for record in records}
        hashes = [(h, r.id) for r in seeded.values() for h in (r.secret_hash, r.old_secret_hash) if h]
        return cls(seeded, dict(hashes))

    async def get(self, store: Store, key_id: str) -> KeyRecord | None:
        """Return the present record, also of a deleted key; None for an id that never existed."""
        data = await store.get(f"keys/{key_id}")
        return self.seeded.get(key_id) if data is None else msgspec.convert(data, KeyRecord)

    async def put(self, store: Store, record: KeyRecord) -> None:
        """Store a new or changed record."""
        await store.put(f"keys/{record.id}", to_dict(record))
        await store.put(f"secrets/{record.secret_hash}", record.id)

    async def list(self, store: Store, org_id: str) -> list[KeyRecord]:
        """List all records of an organisation, deleted ones too: seeded first, then in order of creation."""
        changed = [msgspec.convert(data, KeyRecord) for _, data in await store.list("keys/")]
        records = dict(self.seeded) | {record.id: record for record in changed}
        return [record for record in records.values() if record.org_id == org_id]

    async def find(self, store: Store, secret: str, now: float) -> KeyRecord | None:
        """Return the key that accepts a secret now, whatever its status; None for any other secret."""
        secret_hash = hash_secret(secret)
        key_id = await store.get(f"secrets/{secret_hash}") or self.secrets.get(secret_hash)
        record = await self.get(store, key_id) if key_id else None
        return record if record and accepts_secret(record, secret_hash, now) else None


def _to_tuple(values: Iterable[str] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(values)


def _to_integer(value: float | None) -> int | None:
    """Return a whole number as an integer: to JSON Schema `5.0` is one too."""
    return None if value is None else int(value)


def _format_optional(at: float | None) -> str | None:
    return None if at is None else _format_instant(at)
