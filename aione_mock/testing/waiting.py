"""Let clients that sleep before they try again go on when the test moves the clock.

OpenAI's and Anthropic's SDKs sleep by the modules `time` and `anyio` that they have imported, and tenacity, by which
LangChain, `instructor` and Google's SDK retry, by `time`. For the length of a test those names stand for modules whose
sleep also ends when the clock of the session has been advanced far enough.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

_SLEEPERS = ("openai._base_client", "anthropic._base_client", "tenacity.nap")
"""Modules that sleep between two attempts."""
_WHO_SLEEPS = (
    "  It knows the sleeps of OpenAI's and Anthropic's SDKs and of tenacity in this process, if the test module or a\n"
    "  module before it has imported them. Does the client retry, and was its call refused?"
)
_real_sleep = time.sleep
_POLL_SECONDS, _PATIENCE_SECONDS = 0.01, 10


class Waits:
    """The sleeps of clients in this process, which `advance` shortens."""

    def __init__(self) -> None:
        self._changed, self._advanced, self._sleeping = threading.Condition(), 0.0, 0

    def advance(self, seconds: float, sleepers: int = 0) -> None:
        """End every sleep that has at most so many seconds left; shorten the others.

        Wait first until so many clients sleep. Raises AssertionError if that takes longer than 10 s.
        """
        __tracebackhide__ = True
        with self._changed:
            if not self._changed.wait_for(lambda: self._sleeping >= sleepers, _PATIENCE_SECONDS):
                counts = f"for {sleepers} sleeping clients; {self._sleeping} slept"
                raise AssertionError(f"advance() waited {_PATIENCE_SECONDS} s {counts}.\n\n{_WHO_SLEEPS}")
            self._advanced += seconds
            self._changed.notify_all()

    def sleep(self, seconds: float) -> None:
        """Sleep for real seconds, or until the clock has been advanced by as many."""
        if time.sleep is not _real_sleep:  # the test has replaced it
            time.sleep(seconds)
            return
        with self._changed, self._count_sleeper():
            left = self._make_timer(seconds)
            while (rest := left()) > 0:
                self._changed.wait(rest)

    async def sleep_async(self, seconds: float) -> None:
        """Do as `sleep`, in any event loop."""
        import anyio

        with self._count_sleeper():
            left = self._make_timer(seconds)
            while (rest := left()) > 0:
                await anyio.sleep(min(rest, _POLL_SECONDS))

    def _make_timer(self, seconds: float) -> Callable[[], float]:
        """Return a function that says how many seconds of a sleep are left."""
        goal, end = self._advanced + seconds, time.monotonic() + seconds
        return lambda: min(end - time.monotonic(), goal - self._advanced)

    @contextmanager
    def _count_sleeper(self) -> Iterator[None]:
        with self._changed:
            self._sleeping += 1
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._sleeping -= 1

    @contextmanager
    def patch_clients(self) -> Iterator[None]:
        """Make the clients that are imported sleep here until the end of the block."""
        patched = [module for name in _SLEEPERS if (module := sys.modules.get(name)) is not None]
        replaced = [
            (module, name, getattr(module, name))
            for module in patched
            for name in ("time", "anyio")
            if hasattr(module, name)
        ]
        for module, name, original in replaced:
            sleep = self.sleep if name == "time" else self.sleep_async
            setattr(module, name, _WithSleep(original, sleep))
        try:
            yield
        finally:
            for module, name, original in replaced:
                setattr(module, name, original)


class _WithSleep:
    """A module with another `sleep`."""

    def __init__(self, module: ModuleType, sleep: Any) -> None:
        self._module, self.sleep = module, sleep

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)
