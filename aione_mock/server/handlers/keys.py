"""The life of a key: made, read, changed, rotated, switched off and on, deleted.

Source: AIone API reference, "API Key management"; the rules of rotation and state are assumed.
"""

from __future__ import annotations

from collections.abc import Iterator

from aione_mock.contract.validation import Finding
from aione_mock.errors import APIError
from aione_mock.server.handlers.owner import organisation
from aione_mock.server.sessions import Session
from aione_mock.structs import replace
from aione_mock.tenant import api_keys, calendar
from aione_mock.tenant.api_keys import KeyRecord
from aione_mock.types import Call, Reply

_MADE = "keys_made"
"""Counter in the store: keys and secrets made in the session."""
_FIRST_NUMBER = 1000
"""ModelRouter's `apiKeyId` of made keys begins above those of seeded ones."""


async def list_keys(call: Call, session: Session) -> Reply:
    """`GET /api/v1/gateway/keys`."""
    found = await session.tenants.keys.list(session.store, organisation(call, session).id)
    records = sorted([record for record in found if not record.deleted], key=lambda record: record.created_at)
    now = session.clock.timestamp()
    return Reply({"items": [api_keys.to_response(record, now) for record in records], "total": len(records)})


async def create_key(call: Call, session: Session) -> Reply:
    """`POST /api/v1/gateway/keys`: the only answer but that of `rotate_key` with a secret in it."""
    org, fields, now = organisation(call, session), dict(call.data), session.clock.timestamp()
    if team_id := fields.get("team_id"):
        fields["team_id"] = team_id.lower()
        if org.find_team(fields["team_id"]) is None:
            raise APIError("not_found", "Team not found")
    if expires_at := fields.get("expires_at"):
        fields["expires_at"] = calendar.parse_timestamp(expires_at)
    number = await session.store.increment(_MADE)
    key_id, secret = api_keys.generate_key(session.seed, number)
    record = api_keys.create_record(
        fields, key_id=key_id, number=_FIRST_NUMBER + number, org_id=org.id, secret=secret, now=now
    )
    await session.tenants.keys.put(session.store, record)
    return Reply(api_keys.to_response(record, now, secret), 201)


async def get_key(call: Call, session: Session) -> Reply:
    """`GET /api/v1/gateway/keys/{key_id}`."""
    return _shown(await _find(call, session), session)


async def update_key(call: Call, session: Session) -> Reply:
    """`PUT /api/v1/gateway/keys/{key_id}`."""
    return await _keep(api_keys.update_record(await _find(call, session), call.data), session)


async def delete_key(call: Call, session: Session) -> Reply:
    """`DELETE /api/v1/gateway/keys/{key_id}`. The record is kept, so that its usage still has a number and a team."""
    await session.tenants.keys.put(session.store, replace(await _find(call, session), deleted=True))
    return Reply(None, 204)


async def rotate_key(call: Call, session: Session) -> Reply:
    """`PUT /api/v1/gateway/keys/{key_id}/rotate`. Raises APIError `conflict` unless the key is active."""
    record, now = await _find(call, session), session.clock.timestamp()
    if (state := api_keys.get_status(record, now)) != "active":
        raise APIError("conflict", f"{_ARTICLE[state]} {state} key cannot be rotated")
    _, secret = api_keys.generate_key(session.seed, await session.store.increment(_MADE))
    record = api_keys.rotate_secret(record, secret, now)
    await session.tenants.keys.put(session.store, record)
    shown = api_keys.to_response(record, now, secret)
    return Reply({name: shown[name] for name in ("id", "key", "key_prefix", "rotate_grace_until")})


async def disable_key(call: Call, session: Session) -> Reply:
    """`PUT /api/v1/gateway/keys/{key_id}/disable`."""
    return await _keep(replace(await _find(call, session), status="disabled"), session)


async def enable_key(call: Call, session: Session) -> Reply:
    """`PUT /api/v1/gateway/keys/{key_id}/enable`."""
    return await _keep(replace(await _find(call, session), status="active"), session)


def check_create(call: Call, session: Session) -> Iterator[Finding]:
    """What the schema of `createKey` cannot say."""
    text = call.data.get("expires_at") if isinstance(call.data, dict) else None
    if not isinstance(text, str):
        return
    at, place = calendar.parse_timestamp(text), ("body", "expires_at")
    if at is None:
        yield Finding(place, "Input should be a valid date-time in the form YYYY-MM-DDThh:mm:ssZ", "datetime_parsing")
    elif at <= session.clock.timestamp():
        yield Finding(place, "Input should be in the future", "datetime_future")


_ARTICLE = {"disabled": "A", "expired": "An"}


async def _find(call: Call, session: Session) -> KeyRecord:
    """The key of the path. Raises APIError `not_found` for one that is deleted, unknown or another organisation's."""
    record = await session.tenants.keys.get(session.store, call.params["key_id"].lower())
    if record is None or record.deleted or record.org_id != organisation(call, session).id:
        raise APIError("not_found", "Key not found")
    return record


async def _keep(record: KeyRecord, session: Session) -> Reply:
    await session.tenants.keys.put(session.store, record)
    return _shown(record, session)


def _shown(record: KeyRecord, session: Session) -> Reply:
    return Reply(api_keys.to_response(record, session.clock.timestamp()))
