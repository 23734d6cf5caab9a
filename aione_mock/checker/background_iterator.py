"""Iterate over something in another thread, and leave it when the time is over."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")
_POLL_SECONDS = 0.25
"""Longest wait before it is looked whether time is left."""


class _IterationEnded(Exception):
    """The other thread has no more items; the cause, if there is one, ended it."""


class BackgroundIterator(Generic[T]):
    """The items of an iterable that another thread goes through.

    Only the main thread gets Ctrl-C, so the other one may treat KeyboardInterrupt as it likes.
    """

    def __init__(self, open_items: Callable[[], Iterable[T]], time_left: Callable[[], float]) -> None:
        self._open_items, self._time_left = open_items, time_left
        self._items: queue.SimpleQueue[T | _IterationEnded] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __iter__(self) -> Iterator[T]:
        """Yield the items until there are no more or no time is left. Raises what ended the other thread."""
        self._thread.start()
        while True:
            try:
                item = self._items.get(timeout=max(0.0, min(_POLL_SECONDS, self._time_left())))
            except queue.Empty:
                if self._time_left() <= 0:
                    return
                continue
            if not isinstance(item, _IterationEnded):
                yield item
            elif item.__cause__ is not None:
                raise item.__cause__
            else:
                return

    def _run(self) -> None:
        end = _IterationEnded()
        try:
            for item in self._open_items():
                self._items.put(item)
        except KeyboardInterrupt:
            pass  # Schemathesis raises it to end by itself
        except Exception as error:
            end.__cause__ = error
        finally:
            self._items.put(end)

    def join(self, seconds: float) -> None:
        """Wait until the other thread has ended, but not longer than some seconds."""
        if self._thread.is_alive():
            self._thread.join(seconds)
