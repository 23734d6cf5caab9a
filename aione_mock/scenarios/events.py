"""One event's bytes, read and changed at places that JSON pointers name; a `*` goes over a list."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson

from aione_mock import sse
from aione_mock.types import Json

Change = Callable[[str, Json], Json]
"""From the pointer and the value there to the new value, or to `DROP`."""

DROP: Any = object()
"""Instead of a value: take the member away."""


def data_of(raw: bytes) -> Json:
    """The decoded data of one event; the text where it is not JSON, None where it is no event."""
    events = list(sse.decode([raw]))
    if len(events) != 1:
        return None
    try:
        return orjson.loads(events[0].data)
    except orjson.JSONDecodeError:
        return events[0].data


def altered(raw: bytes, pointers: tuple[str, ...], change: Change) -> bytes:
    """An event with the values at the pointers changed; the very same bytes where there are none."""
    if not has(raw, pointers):
        return raw
    event = next(sse.decode([raw]))
    data = orjson.loads(event.data)
    for pointer in pointers:
        for holder, key in _holders(data, pointer):
            value = change(pointer, holder[key])
            if value is DROP:
                del holder[key]
            else:
                holder[key] = value
    return sse.encode(orjson.dumps(data), event.name.encode() if event.name else None)


def has(raw: bytes, pointers: tuple[str, ...]) -> bool:
    """Whether the event has a value, not null and not empty, at one of the pointers."""
    data = data_of(raw)
    return any(holder[key] for pointer in pointers for holder, key in _holders(data, pointer))


def _holders(data: Json, pointer: str) -> Iterator[tuple[dict[str, Json], str]]:
    """The objects that hold the pointer's last member."""
    *path, last = pointer.split("/")[1:]
    places = [data]
    for token in path:
        if token == "*":
            places = [item for place in places if isinstance(place, list) for item in place]
        else:
            places = [place[token] for place in places if isinstance(place, dict) and token in place]
    yield from ((place, last) for place in places if isinstance(place, dict) and last in place)
