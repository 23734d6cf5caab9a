"""Cache results on the request path. Everything here exists for speed only.

It holds results of pure functions of a request: the validated call, the draft of an answer, the caller behind a
secret. `Settings(cache=False)` and `serve --no-cache` switch it off and change no byte of any answer, journal or
ledger (`tests/test_cache.py`).
"""

from __future__ import annotations

from collections.abc import Hashable
from itertools import islice
from typing import Any

_ENTRIES = 512
_LONGEST = 4096
"""Bytes of the longest key or value that is kept."""


class Cache:
    """Cache results of pure functions, bounded in entries and bytes; the oldest are dropped first.

    Values are shared and must not be changed.
    """

    __slots__ = ("_enabled", "_values", "get")

    def __init__(self, *, enabled: bool = True) -> None:
        self._enabled = enabled
        self._values: dict[Hashable, Any] = {}
        self.get = self._values.get
        """Return the value under a key, or None."""

    def put(self, key: Hashable, value: Any, *, size: int) -> None:
        """Keep a value, unless its longest part has more bytes (`size`) than an entry may have."""
        if not self._enabled or size > _LONGEST:
            return
        if len(self._values) >= _ENTRIES:
            # one at a time would walk over the gaps that earlier ones left
            for oldest in list(islice(self._values, 1 + _ENTRIES // 8)):
                del self._values[oldest]
        self._values[key] = value
