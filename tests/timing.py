"""Bounds of time that a busy or a slow machine does not break, while code that has become slow does.

Nothing here looks at the clock alone:

cost      CPU seconds, next to a loop of plain Python that runs at the same moment
duration  seconds of the clock without those in which other processes had the core
at_best   a test of a pace or a time-out, which is on the clock by nature: one attempt of several has to pass
until     waits for what comes, however late
"""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec

P = ParamSpec("P")
YARDSTICK = 0.0025
"""CPU seconds of `_plain_python` on the class of machine for which the bounds are meant."""
PATIENCE = 120.0
"""Seconds to wait for what is sure to come."""
PAUSES = (0.0, 0.5, 1.0, 2.0)
"""Seconds after an attempt that did not pass."""


def untraced() -> dict[str, str]:
    """The environment of a program whose speed is measured: coverage would make it several times as slow."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    return {**plain, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"}


def cost(work: Callable[[], object], rounds: int = 5) -> float:
    """CPU seconds of this thread for some work, the least of all rounds, untraced."""
    return min(_round(work) for _ in range(rounds))


def duration(work: Callable[[], object], rounds: int = 3) -> float:
    """Seconds for some work of this process and its threads, the fewest of all rounds."""
    return min(_clocked(work) for _ in range(rounds))


def slowness() -> float:
    """How many times as long as on the machine of the bounds plain Python takes at this moment, at least 1."""
    return max(1.0, _cpu(_plain_python) / YARDSTICK)


class Line:
    """How long threads of a process stand in line from now on: ready to run, but no core for them."""

    def __init__(self, process: int | str = "self") -> None:
        self._threads = Path(f"/proc/{process}/task")
        self._before = self._waited()

    def seconds(self) -> float:
        """All threads that there are together; 0 where the system does not tell."""
        return sum(seconds - self._before.get(thread, 0.0) for thread, seconds in self._waited().items())

    def _waited(self) -> dict[str, float]:
        return {file.parent.name: _waited(file) for file in self._threads.glob("*/schedstat")}


def at_best(test: Callable[P, None]) -> Callable[P, None]:
    """A test that passes if one of five attempts does: a busy machine is late now and then, broken code always."""

    @functools.wraps(test)
    def attempts(*args: P.args, **kwargs: P.kwargs) -> None:
        for pause in PAUSES:
            try:
                return test(*args, **kwargs)
            except Exception:
                time.sleep(pause)
        return test(*args, **kwargs)

    return attempts


def until(condition: Callable[[], object], seconds: float = PATIENCE) -> bool:
    """Wait for a condition; whether it came."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def _round(work: Callable[[], object]) -> float:
    before, took, after = slowness(), _cpu(work), slowness()
    return 2 * took / (before + after)


def _cpu(work: Callable[[], object]) -> float:
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        start = time.thread_time()
        work()
        return time.thread_time() - start
    finally:
        sys.settrace(tracer)


def _clocked(work: Callable[[], object]) -> float:
    before, line, used, start = slowness(), Line(), time.process_time(), time.perf_counter()
    work()
    took, used = time.perf_counter() - start - line.seconds(), time.process_time() - used
    return 2 * max(took, used) / (before + slowness())


def _plain_python() -> None:
    for number in range(200):
        {str(key): [key, number] for key in range(80)}


def _waited(file: Path) -> float:
    try:
        return int(file.read_text().split()[1]) / 1e9
    except (OSError, ValueError):  # the thread has ended
        return 0.0
