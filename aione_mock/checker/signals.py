"""Signal handling of a run, which deletes its temporary keys however it ends."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def _handle_signals(handler: Callable[..., Any] | signal.Handlers, *signals: signal.Signals) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.signal(number, handler) for number in signals}
    try:
        yield
    finally:
        for number, old in previous.items():
            signal.signal(number, old)


def ignore_signals() -> Any:
    """Ignore Ctrl-C and a request to terminate, for cleaning up."""
    return _handle_signals(signal.SIG_IGN, signal.SIGINT, signal.SIGTERM)


def interrupt_on_terminate() -> Any:
    """Treat a request to terminate like Ctrl-C."""
    return _handle_signals(signal.default_int_handler, signal.SIGTERM)
