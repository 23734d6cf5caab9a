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


@frozen
class StoredResponse:
    """An answer, and the items of its request."""

    body: dict[str, Json]
    items: Sequence[dict[str, Json]]


def save_response(stored: StoredResponse, caller: Caller | None, session: Session) -> None:
    """Keep an answer of the caller's organisation. One that alone has more than half the bytes is not kept."""
    earlier = stored.body.get("previous_response_id") or ""
    text = orjson.dumps([_name_owner(caller), stored.body, stored.items])
    if len(text) <= MAX_BYTES // 2:
        session.store.keep_text(stored.body["id"], b"%b\n%b" % (earlier.encode(), text), MAX_BYTES)


def _read_response(text: bytes, caller: Caller | None) -> StoredResponse | None:
    """Return an answer if it is one of the caller's organisation."""
    owner, body, items = orjson.loads(text.partition(b"\n")[2])
    return StoredResponse(body, items) if owner == _name_owner(caller) else None


async def require_response(name: str, caller: Caller | None, session: Session) -> StoredResponse:
    """Return an answer of the caller's organisation. Raises APIError `response_not_found`."""
    texts = await session.store.read_texts(name, 1)
    stored = _read_response(texts[0], caller) if texts else None
    if stored is None:
        message = f"Response with id '{name}' not found."
        raise APIError("response_not_found", message, fields={"param": "response_id"})
    return stored


async def delete_response(name: str, caller: Caller | None, session: Session) -> None:
    """Delete an answer of the caller's organisation. Raises APIError `response_not_found`."""
    await require_response(name, caller, session)
    session.store.drop_text(name)


async def list_earlier_items(name: str | None, caller: Caller | None, session: Session) -> list[dict[str, Json]]:
    """Return the items of the conversation that ends with an answer: questions and answers, the oldest first.

    It begins after the newest answer that was deleted or dropped. Raises APIError `invalid_request` if that is `name`.
    """
    if not name:
        return []
    found: list[StoredResponse] = []
    for text in await session.store.read_texts(name):
        if (stored := _read_response(text, caller)) is None:
            break
        found.append(stored)
    if not found:
        message = f"Previous response with id '{name}' not found."
        raise APIError("invalid_request", message, fields={"param": "previous_response_id"})
    return [item for stored in reversed(found) for item in (*stored.items, *stored.body["output"])]


def _name_owner(caller: Caller | None) -> str:
    return caller.org_id if caller is not None else ""
