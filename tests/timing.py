"""Bounds of time that a busy or a slow machine does not break, while code that has become slow does.

Nothing here looks at the clock alone:

cost        CPU seconds, next to a loop of plain Python that runs at the same moment
duration    seconds of the clock without those in which other processes had the core
at_best     a test of a pace or a time-out, which is on the clock by nature: one attempt of several has to pass
wait_until  waits for what comes, however late
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


def make_untraced_environment() -> dict[str, str]:
    """Return the environment of a program whose speed is measured: coverage would make it several times as slow."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    return {**plain, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"}


def cost(work: Callable[[], object], rounds: int = 5) -> float:
    """Return the CPU seconds of this thread for some work, the least of all rounds, untraced."""
    return min(_measure_round(work) for _ in range(rounds))


def duration(work: Callable[[], object], rounds: int = 3) -> float:
    """Return the seconds for some work of this process and its threads, the fewest of all rounds."""
    return min(_measure_duration(work) for _ in range(rounds))


def measure_slowness() -> float:
    """Return how many times as long as on the machine of the bounds plain Python takes at this moment, at least 1."""
    return max(1.0, _measure_cpu(_plain_python) / YARDSTICK)


class Share:
    """What threads of a process get of the machine from now on, as far as the system tells; else 0."""

    def __init__(self, process: int | str = "self") -> None:
        self._threads = Path(f"/proc/{process}/task")
        self._before = self._read_schedules()

    def read_running_seconds(self) -> float:
        """Return the seconds in which they had a core, all threads together."""
        return self._sum_since(0)

    def read_waiting_seconds(self) -> float:
        """Return the seconds in which they were ready to run, and others had the core."""
        return self._sum_since(1)

    def _sum_since(self, field: int) -> float:
        nothing = (0.0, 0.0)
        return sum(
            seconds[field] - self._before.get(thread, nothing)[field]
            for thread, seconds in self._read_schedules().items()
        )

    def _read_schedules(self) -> dict[str, tuple[float, float]]:
        return {file.parent.name: _read_schedule(file) for file in self._threads.glob("*/schedstat")}

    def compute_fair_seconds(self, took: float, slow: float) -> float:
        """Return the seconds that the machine of the bounds would have needed with no one else on it."""
        work = self.read_running_seconds()
        return max(0.0, took - self.read_waiting_seconds() - work) + work / slow


def at_best(test: Callable[P, None]) -> Callable[P, None]:
    """Repeat a test up to five times until it passes: a busy machine is late now and then, broken code always."""

    @functools.wraps(test)
    def repeat_test(*args: P.args, **kwargs: P.kwargs) -> None:
        for pause in PAUSES:
            try:
                return test(*args, **kwargs)
            except Exception:
                time.sleep(pause)
        return test(*args, **kwargs)

    return repeat_test


def wait_until(condition: Callable[[], object], seconds: float = PATIENCE) -> bool:
    """Wait for a condition. Return whether it came."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def _measure_round(work: Callable[[], object]) -> float:
    before, took, after = measure_slowness(), _measure_cpu(work), measure_slowness()
    return 2 * took / (before + after)


def _measure_cpu(work: Callable[[], object]) -> float:
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        start = time.thread_time()
        work()
        return time.thread_time() - start
    finally:
        sys.settrace(tracer)


def _measure_duration(work: Callable[[], object]) -> float:
    before, share, start = measure_slowness(), Share(), time.perf_counter()
    work()
    return share.compute_fair_seconds(time.perf_counter() - start, (before + measure_slowness()) / 2)


def _plain_python() -> None:
    for number in range(200):
        {str(key): [key, number] for key in range(80)}


def _read_schedule(file: Path) -> tuple[float, float]:
    try:
        work, line, _ = file.read_text().split()
    except (OSError, ValueError):  # the thread has ended
        return 0.0, 0.0
    return int(work) / 1e9, int(line) / 1e9
