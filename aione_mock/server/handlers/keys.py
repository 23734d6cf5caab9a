"""API keys: create, read, update, delete, rotate, disable and enable them.

Source: AIone API reference, "API Key management"; the rules of rotation and state are assumed.
"""

from __future__ import annotations

from collections.abc import Iterator

from aione_mock.contract.validation import Violation
from aione_mock.errors import APIError
from aione_mock.server.sessions import Session
from aione_mock.structs import replace
from aione_mock.tenant import api_keys
from aione_mock.tenant.api_keys import KeyRecord
from aione_mock.tenant.calendar import parse_timestamp
from aione_mock.types import Call, Reply

_COUNTER = "keys_made"
"""Counter in the store: keys and secrets generated in the session."""
_FIRST_NUMBER = 1000
"""ModelRouter's `apiKeyId` of created keys begins above those of seeded ones."""
_ARTICLES = {"disabled": "A", "expired": "An"}


async def list_keys(call: Call, session: Session) -> Reply:
    """Answer `GET /api/v1/gateway/keys`."""
    found = await session.tenants.keys.list(session.store, session.tenants.find_organisation(call.caller).id)
    records = sorted([record for record in found if not record.deleted], key=lambda record: record.created_at)
    now = session.clock.timestamp()
    return Reply({"items": [api_keys.to_response(record, now) for record in records], "total": len(records)})


async def create_key(call: Call, session: Session) -> Reply:
    """Answer `POST /api/v1/gateway/keys`. Only this answer and that of `rotate_key` contain a secret."""
    org, fields, now = session.tenants.find_organisation(call.caller), dict(call.data), session.clock.timestamp()
    if team_id := fields.get("team_id"):
        fields["team_id"] = team_id.lower()
        if org.find_team(fields["team_id"]) is None:
            raise APIError("not_found", "Team not found")
    if expires_at := fields.get("expires_at"):
        fields["expires_at"] = parse_timestamp(expires_at)
    number = await session.store.increment(_COUNTER)
    key_id, secret = api_keys.generate_key(session.seed, number)
    record = api_keys.create_record(
        fields, key_id=key_id, number=_FIRST_NUMBER + number, org_id=org.id, secret=secret, now=now
    )
    await session.tenants.keys.put(session.store, record)
    return Reply(api_keys.to_response(record, now, secret), 201)


async def get_key(call: Call, session: Session) -> Reply:
    """Answer `GET /api/v1/gateway/keys/{key_id}`."""
    return _render_key(await _find_key(call, session), session)


async def update_key(call: Call, session: Session) -> Reply:
    """Answer `PUT /api/v1/gateway/keys/{key_id}`."""
    return await _store_key(api_keys.update_record(await _find_key(call, session), call.data), session)


async def delete_key(call: Call, session: Session) -> Reply:
    """Answer `DELETE /api/v1/gateway/keys/{key_id}`. The record is kept, because its usage needs number and team."""
    await _store_key(replace(await _find_key(call, session), deleted=True), session)
    return Reply(None, 204)


async def rotate_key(call: Call, session: Session) -> Reply:
    """Answer `PUT /api/v1/gateway/keys/{key_id}/rotate`. Raises APIError `conflict` unless the key is active."""
    record, now = await _find_key(call, session), session.clock.timestamp()
    if (status := api_keys.get_status(record, now)) != "active":
        raise APIError("conflict", f"{_ARTICLES[status]} {status} key cannot be rotated")
    _, secret = api_keys.generate_key(session.seed, await session.store.increment(_COUNTER))
    record = api_keys.rotate_secret(record, secret, now)
    await session.tenants.keys.put(session.store, record)
    response = api_keys.to_response(record, now, secret)
    return Reply({name: response[name] for name in ("id", "key", "key_prefix", "rotate_grace_until")})


async def disable_key(call: Call, session: Session) -> Reply:
    """Answer `PUT /api/v1/gateway/keys/{key_id}/disable`."""
    return await _store_key(replace(await _find_key(call, session), status="disabled"), session)


async def enable_key(call: Call, session: Session) -> Reply:
    """Answer `PUT /api/v1/gateway/keys/{key_id}/enable`."""
    return await _store_key(replace(await _find_key(call, session), status="active"), session)


def check_expiry(call: Call, session: Session) -> Iterator[Violation]:
    """Check that a new key expires at a time that exists and is not over."""
    text = call.data.get("expires_at") if isinstance(call.data, dict) else None
    if not isinstance(text, str):
        return
    at, place = parse_timestamp(text), ("body", "expires_at")
    if at is None:
        yield Violation(place, "Input should be a valid date-time in the form YYYY-MM-DDThh:mm:ssZ", "datetime_parsing")
    elif at <= session.clock.timestamp():
        yield Violation(place, "Input should be in the future", "datetime_future")


async def _find_key(call: Call, session: Session) -> KeyRecord:
    """Return the key of the path. Raises APIError `not_found` if it is deleted, unknown or another organisation's."""
    record = await session.tenants.keys.get(session.store, call.params["key_id"].lower())
    if record is None or record.deleted or record.org_id != session.tenants.find_organisation(call.caller).id:
        raise APIError("not_found", "Key not found")
    return record


async def _store_key(record: KeyRecord, session: Session) -> Reply:
    await session.tenants.keys.put(session.store, record)
    return _render_key(record, session)


def _render_key(record: KeyRecord, session: Session) -> Reply:
    return Reply(api_keys.to_response(record, session.clock.timestamp()))
