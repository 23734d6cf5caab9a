"""Set and remove members of JSON answers, and of every event of a stream, at JSON pointers.

In a pointer, `*` stands for every item of a list. A member is set in each object that its pointer leads to, whether the
object has it or not. Where the pointer leads nowhere, nothing changes: most events of a stream have no `usage`. In a
stream, a member that is null stays so: its value comes with a later event.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

import orjson

from aione_mock.contract.json_pointer import parse_pointer
from aione_mock.structs import frozen, replace
from aione_mock.text import sse
from aione_mock.types import Headers, Json, Response

_WILDCARD = "*"


@frozen
class BodyChange:
    """Members to set, by JSON pointer, and pointers of members to remove."""

    set: Mapping[str, Json]
    remove: tuple[str, ...] = ()

    def change_response(self, response: Response, *, stream: bool) -> Response:
        """Return a response with its body, or each of its events, changed; the response itself if nothing changes."""
        if stream:
            sends = tuple([(due, self._change_event(raw)) for due, raw in response.sends])
            return response if sends == response.sends else replace(response, sends=sends)
        body = b"".join([raw for _, raw in response.sends])
        changed = self._change_json(body, keep_null=False)
        if changed is None:
            return response
        headers = _set_length(response.headers, len(changed))
        return replace(response, headers=headers, sends=((response.sends[0][0], changed),))

    def _change_event(self, raw: bytes) -> bytes:
        events = list(sse.decode([raw]))
        changed = self._change_json(events[0].data.encode(), keep_null=True) if len(events) == 1 else None
        if changed is None:
            return raw
        name = events[0].name
        return sse.encode(changed, name.encode() if name else None)

    def _change_json(self, raw: bytes, *, keep_null: bool) -> bytes | None:
        """Return JSON with the members changed; None if it stays as it is, or is no JSON."""
        try:
            value = orjson.loads(raw)
            before = orjson.dumps(value)
            self._change_value(value, keep_null=keep_null)
            after = orjson.dumps(value)
        except (orjson.JSONDecodeError, orjson.JSONEncodeError):
            return None
        return None if after == before else after

    def _change_value(self, value: Json, *, keep_null: bool) -> None:
        for pointer in self.remove:
            for holder, key in _find_holders(value, pointer):
                if key in _list_keys(holder):
                    del holder[key]
        for pointer, item in self.set.items():
            for holder, key in _find_holders(value, pointer):
                if not (keep_null and key in _list_keys(holder) and holder[key] is None):
                    holder[key] = item


def _find_holders(value: Json, pointer: str) -> Iterator[tuple[Any, str | int]]:
    """Yield each object that a pointer's last step is about, with its member, and each list with the place of an item.

    The member may be missing, the item is there. Items come from the last, so that removing one moves no other.
    """
    *path, last = parse_pointer(pointer)
    places = [value]
    for token in path:
        places = [place[key] for place in places for key in _find_keys(place, token)]
    for place in places:
        if isinstance(place, dict):
            yield place, last
        else:
            yield from ((place, key) for key in reversed(_find_keys(place, last)))


def _find_keys(place: Json, token: str) -> Sequence[str | int]:
    """Return the members or items of a value that a step of a pointer leads to."""
    if isinstance(place, list):
        if token == _WILDCARD:
            return range(len(place))
        return [int(token)] if token.isdecimal() and int(token) < len(place) else []
    return [token] if isinstance(place, dict) and token in place else []


def _list_keys(holder: Json) -> Container[str | int]:
    return holder if isinstance(holder, dict) else range(len(holder))


def _set_length(headers: Headers, length: int) -> Headers:
    return tuple([(name, str(length) if name.lower() == "content-length" else value) for name, value in headers])
