"""Edit single events at JSON pointers; a `*` in a pointer stands for every item of a list."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson

from aione_mock.text import sse
from aione_mock.types import Json

Change = Callable[[str, Json], Json]
"""From a pointer and its value to the new value, or to `REMOVE`."""

REMOVE: Any = object()
"""Returned by a `Change` to remove the member."""


def read_data(raw: bytes) -> Json:
    """Return the JSON data of one event; its text if it is not JSON, None if it is no event."""
    events = list(sse.decode([raw]))
    if len(events) != 1:
        return None
    try:
        return orjson.loads(events[0].data)
    except orjson.JSONDecodeError:
        return events[0].data


def edit_event(raw: bytes, pointers: tuple[str, ...], change: Change) -> bytes:
    """Return an event with the values at the pointers changed; unchanged bytes if there are none."""
    if not has_value(raw, pointers):
        return raw
    event = next(sse.decode([raw]))
    data = orjson.loads(event.data)
    for pointer in pointers:
        for holder, key in _find_holders(data, pointer):
            value = change(pointer, holder[key])
            if value is REMOVE:
                del holder[key]
            else:
                holder[key] = value
    return sse.encode(orjson.dumps(data), event.name.encode() if event.name else None)


def has_value(raw: bytes, pointers: tuple[str, ...]) -> bool:
    """Return whether an event has a value, neither null nor empty, at one of the pointers."""
    data = read_data(raw)
    return any(holder[key] for pointer in pointers for holder, key in _find_holders(data, pointer))


def _find_holders(data: Json, pointer: str) -> Iterator[tuple[dict[str, Json], str]]:
    """Yield each object that has the pointer's last member, with that member's name."""
    *path, last = pointer.split("/")[1:]
    places = [data]
    for token in path:
        if token == "*":
            places = [item for place in places if isinstance(place, list) for item in place]
        else:
            places = [place[token] for place in places if isinstance(place, dict) and token in place]
    yield from ((place, last) for place in places if isinstance(place, dict) and last in place)
