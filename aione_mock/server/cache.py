"""Cache results on the request path. Everything here exists for speed only.

It holds results of pure functions of a request: the validated call, the draft of an answer, the caller behind a
secret. `Settings(cache=False)` and `serve --no-cache` switch it off and change no byte of any answer, journal or
ledger (`tests/test_cache.py`).
"""

from __future__ import annotations

from collections.abc import Hashable, MutableMapping
from itertools import islice
from typing import Any

from aione_mock.store import ByteBudget

_ENTRIES = 512
_LONGEST = 4096
"""Bytes of the longest key or value that is kept."""
_OVERHEAD, _FACTOR = 1024, 16
"""Bytes of an entry without key and value, and how many times the bytes of JSON its values in Python may take."""
TOTAL_BYTES = 16 << 20
"""Bytes of the caches of all sessions."""


class Cache:
    """Cache results of pure functions, bounded in entries and bytes; the oldest are dropped first.

    Values are shared and must not be changed.
    """

    __slots__ = ("_enabled", "_sizes", "_values", "budget", "bytes_held", "get")

    def __init__(self, *, enabled: bool = True) -> None:
        self._enabled, self.bytes_held = enabled, 0
        self.budget: ByteBudget | None = None
        """What it shares with the caches of other sessions."""
        self._values: dict[Hashable, Any] = {}
        self._sizes: dict[Hashable, int] = {}
        self.get = self._values.get
        """Return the value under a key, or None."""

    def put(self, key: Hashable, value: Any, *, size: int) -> None:
        """Keep a value, unless its longest part has more bytes (`size`) than an entry may have."""
        if not self._enabled or size > _LONGEST:
            return
        if len(self._values) >= _ENTRIES:
            self._drop(1 + _ENTRIES // 8)  # one at a time would walk over the gaps that earlier ones left
        self._values[key] = value
        before, self._sizes[key] = self._sizes.get(key, 0), _OVERHEAD + _FACTOR * size
        self._count(self._sizes[key] - before)

    def drop_half(self) -> None:
        """Drop the older half."""
        self._drop((len(self._values) + 1) // 2)

    def _drop(self, number: int) -> None:
        for oldest in list(islice(self._values, number)):
            del self._values[oldest]
            self._count(-self._sizes.pop(oldest))

    def _count(self, size: int) -> None:
        self.bytes_held += size
        if self.budget is not None:
            self.budget.add_bytes(size)


def drop_oldest(values: MutableMapping[Any, Any], most: int) -> None:
    """Make room for one more of at most `most` values, by dropping an eighth of them at once."""
    if len(values) >= most:
        for oldest in list(islice(values, 1 + most // 8)):
            del values[oldest]
