"""Show how far a check of a client is: on a terminal in one line, elsewhere in lines if it takes long."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TextIO

from aione_mock.clock import SYSTEM_CLOCK

_INTERVAL = 10.0
"""Seconds between two lines where there is no terminal."""
_WIDTH = 78


class CheckProgress:
    """Show the check that runs. `write` shows text as it is; with `live` it goes to a terminal."""

    def __init__(self, write: Callable[[str], object], *, live: bool, title: str) -> None:
        self._write, self._live, self._title = write, live, title
        self._shown = SYSTEM_CLOCK.timestamp()

    def show(self, number: int, total: int, check: str) -> None:
        """Show that a check, counted from 1, begins."""
        text = f"{self._title}: {number} of {total}, {check}"[:_WIDTH]
        now = SYSTEM_CLOCK.timestamp()
        if self._live:
            self._write(f"\r{text:{_WIDTH}}")
        elif now - self._shown >= _INTERVAL:
            self._write(f"{text}\n")
            self._shown = now

    def clear(self) -> None:
        """Remove the line from a terminal."""
        if self._live:
            self._write(f"\r{'':{_WIDTH}}\r")


def open_progress(title: str, stream: TextIO | None = None) -> CheckProgress:
    """Return a progress on the terminal of pytest if that runs, else on standard error."""
    plugin = sys.modules.get("aione_mock.testing.pytest_plugin")
    terminal = plugin.find_terminal() if plugin is not None else None
    if terminal is not None:
        write, live = terminal
        return CheckProgress(write, live=live, title=title)
    stream = stream or sys.stderr

    def write_text(text: str) -> None:
        stream.write(text)
        stream.flush()

    return CheckProgress(write_text, live=stream.isatty(), title=title)
