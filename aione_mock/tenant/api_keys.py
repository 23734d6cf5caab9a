"""API keys: what is kept of one, how it changes, and who stands behind a secret.

A record never holds a secret, only its hash. All functions on records are pure; `KeyBook` reads and writes them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from aione_mock.seed import Seed
from aione_mock.store import Store
from aione_mock.structs import frozen, members, replace
from aione_mock.tenant.calendar import format_timestamp
from aione_mock.types import Caller, Json

GRACE = 24 * 3600
"""Seconds for which the old secret of a rotated key works on. Assumed: customary, not documented."""
_PREFIX = "sk-nex-"
_PREFIX_LENGTH = len(_PREFIX) + 4
_CHANGEABLE = ("name", "models_allowed", "allowed_ips", "rpm_limit", "tpm_limit")


@frozen
class KeyRecord:
    """All that is known of a key. Instants are Unix seconds."""

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
    """`active` or `disabled`, as set by hand; see `status` for what holds at an instant."""
    old_secret_hash: str | None = None
    deleted: bool = False
    owner: int | None = None
    """ModelRouter's `memberUserId` of the person whose key it is; None for a key of the team itself."""

    def to_json(self) -> dict[str, Json]:
        """The record as the store keeps it."""
        return members(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> KeyRecord:
        """The record that `to_json` spelled."""
        return cls(
            **{**data, "models_allowed": _frozen(data["models_allowed"]), "allowed_ips": _frozen(data["allowed_ips"])}
        )


@lru_cache(maxsize=1024)
def hash_secret(secret: str) -> str:
    """Hex hash by which a secret is found."""
    return blake2b(secret.encode("utf-8", "surrogatepass"), digest_size=16, person=b"aione-secret").hexdigest()


def prefix(secret: str) -> str:
    """The first characters of a secret, by which people tell keys apart."""
    return secret[:_PREFIX_LENGTH]


def mask(secret: str) -> str:
    """A secret fit for messages: `sk-nex-9Tq...c4B`; a short one shows nothing."""
    return f"{secret[:10]}...{secret[-3:]}" if len(secret) > 20 else "..."


def mint(seed: Seed, number: int) -> tuple[str, str]:
    """Id and secret of the `number`th key made; `number` also tells rotations apart."""
    return seed.uuid("key", number), _PREFIX + seed.token(40, "secret", number)


def new_key(
    fields: Mapping[str, Any],
    *,
    key_id: str,
    number: int,
    org_id: str,
    secret: str,
    now: float,
) -> KeyRecord:
    """A fresh, active key out of the members of KeyCreateRequest; `expires_at` is in Unix seconds."""
    return KeyRecord(
        id=key_id,
        org_id=org_id,
        team_id=fields.get("team_id"),
        name=fields["name"],
        key_prefix=prefix(secret),
        secret_hash=hash_secret(secret),
        number=number,
        created_at=now,
        models_allowed=_frozen(fields.get("models_allowed")),
        rpm_limit=fields.get("rpm_limit"),
        tpm_limit=fields.get("tpm_limit"),
        is_sandbox=bool(fields.get("is_sandbox")),
        allowed_ips=_frozen(fields.get("allowed_ips")),
        expires_at=fields.get("expires_at"),
    )


def update(record: KeyRecord, changes: Mapping[str, Any]) -> KeyRecord:
    """The record after a KeyUpdateRequest: absent members stay, null lifts a limit, unknown ones are ignored."""
    changed = {name: changes[name] for name in _CHANGEABLE if name in changes}
    for name in ("models_allowed", "allowed_ips"):
        if name in changed:
            changed[name] = _frozen(changed[name])
    return replace(record, **changed)


def rotate(record: KeyRecord, secret: str, now: float) -> KeyRecord:
    """The record with a new secret; the present one works on for `GRACE` seconds, an older one no more."""
    return replace(
        record,
        key_prefix=prefix(secret),
        secret_hash=hash_secret(secret),
        old_secret_hash=record.secret_hash,
        rotate_grace_until=now + GRACE,
    )


def status(record: KeyRecord, now: float) -> str:
    """`active`, `disabled` or `expired` at an instant; what is over stays `expired`, disabled or not."""
    if record.expires_at is not None and record.expires_at <= now:
        return "expired"
    return record.status


def opens(record: KeyRecord, secret_hash: str, now: float) -> bool:
    """Whether a secret is the key's own, or the one before it and still in grace."""
    if record.deleted:
        return False
    if secret_hash == record.secret_hash:
        return True
    return secret_hash == record.old_secret_hash and now < (record.rotate_grace_until or 0)


def to_response(record: KeyRecord, now: float, secret: str | None = None) -> dict[str, Json]:
    """The members of KeyResponse in the documented order."""
    return {
        "id": record.id,
        "org_id": record.org_id,
        "team_id": record.team_id,
        "name": record.name,
        "key": secret,
        "key_prefix": record.key_prefix,
        "models_allowed": _listed(record.models_allowed),
        "rpm_limit": record.rpm_limit,
        "tpm_limit": record.tpm_limit,
        "is_sandbox": record.is_sandbox,
        "allowed_ips": _listed(record.allowed_ips),
        "expires_at": _spelled(record.expires_at),
        "rotate_grace_until": _spelled(record.rotate_grace_until),
        "status": status(record, now),
        "created_at": format_timestamp(record.created_at),
    }


def caller(record: KeyRecord) -> Caller:
    """Who calls with this key, and what it may."""
    return Caller(
        record.org_id,
        record.id,
        record.team_id,
        label=f"{record.name} ({record.key_prefix}...)",
        models_allowed=record.models_allowed,
        rpm_limit=record.rpm_limit,
        tpm_limit=record.tpm_limit,
    )


def matching(
    records: Iterable[KeyRecord],
    *,
    teams: Collection[str | None] | None = None,
    members: Collection[int] | None = None,
    numbers: Collection[int] | None = None,
) -> frozenset[str]:
    """Ids of the keys that pass every filter given.

    `members` follows ModelRouter: None keeps everybody's keys; a collection keeps the keys of these people and,
    when it is empty, only keys that belong to the department itself.
    """
    return frozenset(
        record.id
        for record in records
        if (teams is None or record.team_id in teams)
        and (numbers is None or record.number in numbers)
        and (members is None or (record.owner in members if members else record.owner is None))
    )


@frozen
class KeyBook:
    """The keys of all organisations: seeded ones, and what a session has made of them.

    The store holds changed and new records under `keys/ID` and where a secret leads under `secrets/HASH`.
    """

    seeded: Mapping[str, KeyRecord]
    """By id, in the order in which lists show them."""
    secrets: Mapping[str, str]
    """Hash of each seeded secret (old ones too) to the key's id."""

    @classmethod
    def of(cls, records: Iterable[KeyRecord]) -> KeyBook:
        """A book of seeded records."""
        seeded = {record.id: record for record in records}
        hashes = [(h, r.id) for r in seeded.values() for h in (r.secret_hash, r.old_secret_hash) if h]
        return cls(seeded, dict(hashes))

    async def get(self, store: Store, key_id: str) -> KeyRecord | None:
        """The record as it is now, deleted ones too; None for an id that never was."""
        data = await store.get(f"keys/{key_id}")
        return self.seeded.get(key_id) if data is None else KeyRecord.from_json(data)

    async def put(self, store: Store, record: KeyRecord) -> None:
        """Keep a new or changed record."""
        await store.put(f"keys/{record.id}", record.to_json())
        await store.put(f"secrets/{record.secret_hash}", record.id)

    async def list(self, store: Store, org_id: str) -> list[KeyRecord]:
        """All records of an organisation, deleted ones too: seeded first, then in order of making."""
        changed = {data["id"]: data for _, data in await store.list("keys/")}
        records = dict(self.seeded) | {key_id: KeyRecord.from_json(data) for key_id, data in changed.items()}
        return [record for record in records.values() if record.org_id == org_id]

    async def find(self, store: Store, secret: str, now: float) -> KeyRecord | None:
        """The key that a secret opens at this instant, whatever its status; None for any other secret."""
        secret_hash = hash_secret(secret)
        key_id = await store.get(f"secrets/{secret_hash}") or self.secrets.get(secret_hash)
        record = await self.get(store, key_id) if key_id else None
        return record if record and opens(record, secret_hash, now) else None


def _frozen(values: Iterable[str] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(values)


def _listed(values: tuple[str, ...] | None) -> list[str] | None:
    return None if values is None else [*values]


def _spelled(at: float | None) -> str | None:
    return None if at is None else format_timestamp(at)
