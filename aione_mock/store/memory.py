"""Store the state of a run: JSON values, sliding windows, and a bounded journal."""

from __future__ import annotations

import copy
import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Protocol

from aione_mock.structs import frozen
from aione_mock.types import Json

_RESOLUTION_SECONDS = 0.02
_ANY: Amounts = (1 << 62, 1 << 62)
"""No limit."""
_SWEEP = 4096
"""Number of windows at which empty ones are dropped."""
_MAX_WINDOWS = 8192
"""Most windows of a store; the least recently used half is dropped for one more."""

ALL_TEXTS = 1 << 20
"""More texts than are kept."""

Amounts = tuple[int, int]
"""Two counts of one window, such as requests and tokens."""
_NOTHING: Amounts = (0, 0)
_NEVER = -math.inf


@frozen
class Window:
    """A sliding window at one point in time."""

    entries: Sequence[Any]
    """Instant, how often and how much of each; oldest first."""
    totals: Amounts
    """The sums of the amounts."""
    lasts: tuple[float, float]
    """When something was last added to each part."""
    most: Amounts
    """The limits that were given."""
    span: float
    """Seconds that the window reaches back."""
    now: float
    taken: bool
    """Whether the amounts were added."""

    def count_left(self, part: int) -> int:
        """Return what is left of a part's limit."""
        return max(0, self.most[part] - self.totals[part])

    def compute_wait(self, part: int, room: int) -> float:
        """Return the seconds until at most `room` of a part is left inside, 0 when that is so already."""
        left = self.totals[part]
        if left > room:
            for at, *amounts in self.entries:
                left -= amounts[part]
                if left <= room:
                    return float(max(0.0, at + self.span - self.now))
        return 0.0


Rows = list[Json]


class Store(Protocol):
    """Keys are paths such as `keys/ID`; values are JSON. Every method is atomic."""

    version: int
    """Grows whenever a value is put or deleted; results made of values are cached under it."""

    async def get(self, key: str) -> Json: ...
    async def put(self, key: str, value: Json) -> None: ...
    async def delete(self, key: str) -> bool: ...
    async def list(self, prefix: str) -> list[tuple[str, Json]]: ...
    async def increment(self, key: str, by: int = 1) -> int: ...
    async def window(
        self, key: str, now: float, span: float, amounts: Amounts = ..., most: Amounts = ...
    ) -> Window: ...
    async def touch(self, keys: Sequence[str], now: float, span: float) -> Sequence[bool]: ...


class MemoryStore:
    """The store of one process. No method ever waits, so each call is atomic in an event loop.

    Values are kept as they are given: callers put fresh values and never change what they get.
    """

    def __init__(self) -> None:
        self.version = 0
        self._values: dict[str, Json] = {}
        self._windows: dict[str, _Sliding] = {}
        self._window_limit = _SWEEP
        self._texts: dict[str, bytes] = {}
        self._text_bytes = 0

    async def get(self, key: str) -> Json:
        """Return the value, or None."""
        return self._values.get(key)

    def read(self, key: str) -> Json:
        """Return the value, or None, without a coroutine."""
        return self._values.get(key)

    async def put(self, key: str, value: Json) -> None:
        """Set the value; the place in `list` of a known key stays."""
        self._values[key] = value
        self.version += 1

    async def delete(self, key: str) -> bool:
        """Delete the key; return whether it existed."""
        self.version += 1
        return self._values.pop(key, None) is not None

    async def list(self, prefix: str) -> list[tuple[str, Json]]:
        """(key, value) of every key that starts with `prefix`, in the order of insertion."""
        return [(key, value) for key, value in self._values.items() if key.startswith(prefix)]

    async def increment(self, key: str, by: int = 1) -> int:
        """Add to a counter that starts at 0, and return the new count."""
        return self.add(key, by)

    def add(self, key: str, by: int) -> int:
        """Add to a counter that starts at 0, and return the new count."""
        count: int = self._values.get(key, 0) + by
        self._values[key] = count
        return count

    def read_counter(self, key: str) -> int:
        """Return a counter, 0 for one that was never incremented."""
        count: int = self._values.get(key, 0)
        return count

    def append(self, key: str, value: Json) -> Rows:
        """Add to a list that starts empty, and return it."""
        rows: Rows | None = self._values.get(key)
        if rows is None:
            rows = self._values[key] = []
        rows.append(value)
        return rows

    def replace(self, key: str, value: Json) -> None:
        """Set a value that nothing is cached of."""
        self._values[key] = value

    async def window(
        self, key: str, now: float, span: float, amounts: Amounts = _NOTHING, most: Amounts = _ANY
    ) -> Window:
        """Return what `count_window` returns."""
        return self.count_window(key, now, span, amounts, most)

    def count_window(
        self, key: str, now: float, span: float, amounts: Amounts = _NOTHING, most: Amounts = _ANY
    ) -> Window:
        """Return what the last `span` seconds hold, after adding `amounts` if less than `most` of either is inside."""
        found = self._windows.get(key) or self._open_window(key, now, span)
        if found.first <= now - span or found.last > now:
            found.prune(now)
        taken = found.often < most[0] and found.much < most[1]
        if taken and amounts is not _NOTHING:
            found.add(now, *amounts)
        lasts = found.often_at, found.much_at
        return Window(found.entries, (found.often, found.much), lasts, most, span, now, taken)

    async def touch(self, keys: Sequence[str], now: float, span: float) -> Sequence[bool]:
        """Return which keys were touched in the last `span` seconds; all of them are from now on."""
        seen = [bool(self.count_window(key, now, span).totals[0]) for key in keys]
        for key, known in zip(keys, seen, strict=True):
            if not known:
                self.count_window(key, now, span, (1, 0))
        return seen

    def list_windows(self, prefix: str) -> tuple[str, ...]:
        """Return the keys of the windows that begin with a text, in the order in which they were opened."""
        return tuple([key for key in self._windows if key.startswith(prefix)])

    def add_to_window(self, key: str, now: float, span: float, amounts: Amounts) -> None:
        """Add `amounts` to what the last `span` seconds hold, whatever the limits."""
        found = self._windows.get(key) or self._open_window(key, now, span)
        if found.last > now:
            found.prune(now)
        found.add(now, *amounts)

    def _open_window(self, key: str, now: float, span: float) -> _Sliding:
        self._drop_empty_windows(now)
        found = self._windows[key] = _Sliding(span)
        return found

    def _drop_empty_windows(self, now: float) -> None:
        """Drop empty windows if there are many."""
        if len(self._windows) < self._window_limit:
            return
        for key in [k for k, w in self._windows.items() if w.last <= now - w.span]:
            del self._windows[key]
        if len(self._windows) >= _MAX_WINDOWS:
            latest = sorted(self._windows.items(), key=lambda item: item[1].last)[_MAX_WINDOWS // 2 :]
            self._windows = dict(latest)
        self._window_limit = min(_MAX_WINDOWS, max(_SWEEP, 2 * len(self._windows)))

    def keep_text(self, name: str, text: bytes, most: int) -> None:
        """Keep a text. Its first line is the name of the text that it continues, or empty.

        If all texts have more than `most` bytes, the oldest are dropped: some more than needed, so that this is rare.
        """
        self.drop_text(name)
        self._text_bytes += len(text)
        if self._text_bytes > most:
            while self._texts and self._text_bytes > most - most // 8:
                self.drop_text(next(iter(self._texts)))
        self._texts[name] = text

    async def read_texts(self, name: str, most: int = ALL_TEXTS) -> Sequence[bytes]:
        """Return a text and, up to `most` of them, those that it continues, the newest first."""
        found: list[bytes] = []
        while (text := self._texts.get(name)) is not None and len(found) < most:
            found.append(text)
            name = text.partition(b"\n")[0].decode()
        return found

    def drop_text(self, name: str) -> None:
        """Drop a text, if there is one of that name."""
        self._text_bytes -= len(self._texts.pop(name, b""))

    def load_windows(self, windows: Mapping[str, tuple[float, Iterable[Iterable[Any]]]]) -> None:
        """Replace all windows: by key, the span and the entries."""
        self._windows = {key: _Sliding(span, entries) for key, (span, entries) in windows.items()}

    def dump(self) -> Json:
        """Return all state as one JSON value that shares nothing with the store."""
        windows = {key: [held.span, [[*entry] for entry in held.entries]] for key, held in self._windows.items()}
        return {"values": copy.deepcopy(self._values), "windows": windows, "texts": dict(self._texts)}

    def load(self, dump: Json) -> None:
        """Replace all state with a result of `dump`."""
        self.version += 1
        self._values = copy.deepcopy(dump["values"])
        self.load_windows(dump["windows"])
        self._texts = dict(dump["texts"])
        self._text_bytes = sum(map(len, self._texts.values()))


class _Sliding:
    """A window's entries, their sums, and when there was something of each part for the last time."""

    __slots__ = ("entries", "first", "last", "much", "much_at", "often", "often_at", "span")

    def __init__(self, span: float, entries: Iterable[Iterable[Any]] = ()) -> None:
        self.span = span
        # a list: most windows hold one entry, for which a deque takes five times the room
        self.entries: list[list[Any]] = [[*entry] for entry in entries]
        self.often, self.much = [sum([entry[part] for entry in self.entries]) for part in (1, 2)]
        self._note_times()

    def _note_times(self) -> None:
        entries = self.entries
        self.first: float = entries[0][0] if entries else math.inf
        self.last: float = entries[-1][0] if entries else _NEVER
        self.often_at: float = next((entry[0] for entry in reversed(entries) if entry[1]), _NEVER)
        self.much_at: float = next((entry[0] for entry in reversed(entries) if entry[2]), _NEVER)

    def add(self, now: float, often: int, much: int) -> None:
        """Add amounts. Those that come within 20 ms share an entry, so that heavy load cannot fill the memory."""
        if not often and not much:
            return
        if now - self.last < _RESOLUTION_SECONDS:
            newest = self.entries[-1]
            newest[1] += often
            newest[2] += much
        else:
            if not self.entries:
                self.first = now
            self.entries.append([now, often, much])
            self.last = now
        if often:
            self.often += often
            self.often_at = self.last
        if much:
            self.much += much
            self.much_at = self.last

    def prune(self, now: float) -> None:
        """Drop entries that are too old or, after the clock was set back, in the future."""
        entries, oldest = self.entries, now - self.span
        while entries and (entries[0][0] <= oldest or entries[-1][0] > now):
            _, often, much = entries.pop(0 if entries[0][0] <= oldest else -1)
            self.often, self.much = self.often - often, self.much - much
        self._note_times()


class Holder(Protocol):
    """What holds bytes of a shared budget."""

    @property
    def bytes_held(self) -> int: ...
    def drop_half(self) -> None: ...


class ByteBudget:
    """Bytes that several holders share. For one too many, the largest holders drop the older half of what they hold."""

    def __init__(self, most: int) -> None:
        self.most, self.held = most, 0
        self._holders: set[Holder] = set()

    def add_holder(self, holder: Holder) -> None:
        """Count what a holder holds; it changes `held` by itself from now on."""
        self._holders.add(holder)
        self.held += holder.bytes_held

    def remove_holder(self, holder: Holder) -> None:
        """Stop counting what a holder holds."""
        if holder in self._holders:
            self._holders.remove(holder)
            self.held -= holder.bytes_held

    def add_bytes(self, size: int) -> None:
        """Count more, or less, of what a holder holds."""
        self.held += size
        if size > 0 and self.held > self.most:
            self.free_bytes()

    def free_bytes(self) -> None:
        """Free an eighth more than needed, so that this happens rarely."""
        while self.held > self.most - self.most // 8:
            largest = max(self._holders, key=lambda holder: holder.bytes_held)
            before = largest.bytes_held
            largest.drop_half()
            if largest.bytes_held == before:
                return


class Journal:
    """A ring of exchanges, bounded in entries and in bytes; the oldest give way.

    An entry is any object with an integer `size`, the bytes that it holds when it is added.
    """

    budget: ByteBudget | None = None
    """What it shares with other journals; None for a journal that nobody reads any more."""

    def __init__(self, max_entries: int = 1000, max_bytes: int = 16 << 20) -> None:
        self.max_entries, self.max_bytes = max_entries, max_bytes
        self.total = 0
        self._entries: deque[tuple[Any, int]] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Any]:
        return iter([entry for entry, _ in self._entries])

    @property
    def bytes_held(self) -> int:
        """Bytes of all entries held."""
        return self._bytes

    def add(self, entry: Any) -> None:
        """Add an entry; drop old ones until the bounds hold."""
        size, before = entry.size, self._bytes
        self.total += 1
        self._entries.append((entry, size))
        self._bytes += size
        if len(self._entries) > self.max_entries:
            self._bytes -= self._entries.popleft()[1]
        while self._bytes > self.max_bytes and len(self._entries) > 1:
            self._bytes -= self._entries.popleft()[1]
        if (budget := self.budget) is not None:
            budget.held += self._bytes - before
            if budget.held > budget.most:
                budget.free_bytes()

    def list_latest(self, count: int) -> list[Any]:
        """Return up to `count` newest entries, newest first."""
        return [entry for entry, _ in islice(reversed(self._entries), count)]

    def drop_half(self) -> None:
        """Drop the oldest entries until half of the bytes are left."""
        self._drop_to(self._bytes // 2)

    def drop_before(self, number: int) -> None:
        """Drop the entries with a lower number."""
        before = self._bytes
        while self._entries and self._entries[0][0].number < number:
            self._bytes -= self._entries.popleft()[1]
        if self.budget is not None:
            self.budget.held += self._bytes - before

    def clear(self) -> None:
        """Delete all entries; numbering continues."""
        self._drop_to(-1)

    def _drop_to(self, most: int) -> None:
        before = self._bytes
        while self._entries and self._bytes > most:
            self._bytes -= self._entries.popleft()[1]
        if self.budget is not None:
            self.budget.held += self._bytes - before
