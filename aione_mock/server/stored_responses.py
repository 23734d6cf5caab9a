"""Keep the answers of the Responses API in a session: bounded in bytes, the oldest are dropped first."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from aione_mock.errors import APIError
from aione_mock.server.sessions import Session
from aione_mock.structs import frozen
from aione_mock.types import Caller, Json

MAX_BYTES = 8 << 20
"""Bytes of all answers of a session, with their questions."""
_PREFIX, _HELD = "responses/", "responses-held"
"""Where answers, and the number of their bytes, are in the store."""


@frozen
class StoredResponse:
    """An answer, and the items of its request."""

    body: dict[str, Json]
    items: Sequence[dict[str, Json]]


async def save_response(stored: StoredResponse, caller: Caller | None, session: Session) -> None:
    """Keep an answer of the caller's organisation. One that alone has more than half the bytes is not kept."""
    store = session.store
    text = orjson.dumps([_name_owner(caller), stored.body, stored.items]).decode()
    if len(text) > MAX_BYTES // 2:
        return
    if store.add(_HELD, len(text)) > MAX_BYTES:
        for key, old in await store.list(_PREFIX):
            if store.read_counter(_HELD) <= MAX_BYTES - MAX_BYTES // 8:  # some more, so that this happens rarely
                break
            await store.delete(key)
            store.add(_HELD, -len(old))
    store.replace(_PREFIX + stored.body["id"], text)


def find_response(name: str, caller: Caller | None, session: Session) -> StoredResponse | None:
    """Return an answer of the caller's organisation, None if there is none."""
    text = session.store.read(_PREFIX + name)
    if text is None:
        return None
    owner, body, items = orjson.loads(text)
    return StoredResponse(body, items) if owner == _name_owner(caller) else None


def require_response(name: str, caller: Caller | None, session: Session) -> StoredResponse:
    """Return an answer of the caller's organisation. Raises APIError `response_not_found`."""
    stored = find_response(name, caller, session)
    if stored is None:
        message = f"Response with id '{name}' not found."
        raise APIError("response_not_found", message, fields={"param": "response_id"})
    return stored


async def delete_response(name: str, caller: Caller | None, session: Session) -> None:
    """Delete an answer of the caller's organisation. Raises APIError `response_not_found`."""
    require_response(name, caller, session)
    session.store.add(_HELD, -len(session.store.read(_PREFIX + name)))
    await session.store.delete(_PREFIX + name)


def list_earlier_items(name: str | None, caller: Caller | None, session: Session) -> list[dict[str, Json]]:
    """Return the items of the conversation that ends with an answer: questions and answers, the oldest first.

    It begins after the newest answer that was deleted or dropped. Raises APIError `invalid_request` if that is `name`.
    """
    found: list[list[dict[str, Json]]] = []
    previous = name
    while previous:
        stored = find_response(previous, caller, session)
        if stored is None:
            break
        found.append([*stored.items, *stored.body["output"]])
        previous = stored.body["previous_response_id"]
    if name and not found:
        message = f"Previous response with id '{name}' not found."
        raise APIError("invalid_request", message, fields={"param": "previous_response_id"})
    return [item for items in reversed(found) for item in items]


def _name_owner(caller: Caller | None) -> str:
    return caller.org_id if caller is not None else ""
