"""Measure what a store costs: CPU time and round trips a call, with one worker and with two."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks import load
from benchmarks.servers import HEALTH, Server, make_mock_command, run_server
from benchmarks.workloads import CHAT, KEY, OTHER_STREAM, OTHER_WORDS, REPEATED, Bench

PROGRAMS = ("redis-server", "valkey-server")
_TICK = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_COMMANDS = ("evalsha", "eval")
"""What workers send for calls; `INFO commandstats` also has what scripts call."""
WORKLOADS = (
    ("chat, repeated body", REPEATED),
    ("chat, other words each time", OTHER_WORDS),
    ("streamed, other words", OTHER_STREAM),
)
COST, TRIPS, WORKERS = "store, CPU time a call", "store, round trips a call", "store, two workers"
LIMITS = {COST: 2.2, TRIPS: 2.0, WORKERS: 1.15}
"""The most that is wanted: CPU time a call as a multiple of that in memory, and of that of one worker."""


@dataclass(frozen=True, slots=True)
class Store:
    """A running Redis."""

    port: int
    pid: int

    @property
    def url(self) -> str:
        """What `--store` takes."""
        return f"redis://127.0.0.1:{self.port}/0"

    def read_figure(self, section: str, name: str) -> int:
        """Return a figure of `INFO`; 0 if there is none."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(f"INFO {section}\r\n".encode())
            lines = connection.makefile("rb")
            text = lines.read(int(lines.readline()[1:])).decode()
        found = next((line.partition(":")[2] for line in text.splitlines() if line.startswith(name + ":")), "0")
        return int(found.partition(",")[0].removeprefix("calls="))


@contextlib.contextmanager
def run_store() -> Iterator[Store]:
    """Run a Redis that writes nothing to a disk, on the core of the load."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        raise SystemExit("redis-server is missing; apt-get install redis-server")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder]
        process = subprocess.Popen(load.pin_command(1, [program, *options]), stdout=subprocess.DEVNULL)
        try:
            _await_port(port)
            yield Store(port, process.pid)
        finally:
            process.kill()
            process.wait(10)


def _await_port(port: int) -> None:
    end = time.perf_counter() + 30
    while time.perf_counter() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.01)
    raise SystemExit("redis-server did not answer within 30 s")


def read_cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process and those it has started have used."""
    return sum(_read_own_seconds(each) for each in _list_family(pid))


def _read_own_seconds(pid: int) -> float:
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK
    return 0.0


def _list_family(pid: int) -> list[int]:
    found = [pid]
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += _list_family(int(child))
    return found


@dataclass(frozen=True, slots=True)
class Cost:
    """What a round of load took."""

    cpu_us: float
    """CPU time of the server a call, in microseconds."""
    store_us: float
    """The same of the store."""
    per_second: float
    trips: float
    """Commands to the store a call."""
    reads: float
    """Reads of the store from its connections a call: calls that are sent together share one."""


def measure_cost(server: Server, body: str, seconds: int, store: Store) -> Cost:
    """Send one round of load."""
    before = _read_counts(server, store)
    rate = load.send_requests(server.url + CHAT, body, KEY, seconds)
    if rate.wrong:
        raise SystemExit(f"{server.name}: {rate.wrong} wrong answers; the cost is meaningless")
    calls, cpu, spent, trips, reads = [
        now - then for now, then in zip(_read_counts(server, store), before, strict=True)
    ]
    return Cost(1e6 * cpu / calls, 1e6 * spent / calls, rate.per_second, trips / calls, reads / calls)


def _read_counts(server: Server, store: Store) -> tuple[float, ...]:
    """Return calls, CPU seconds of the server and of the store, commands to the store, and its reads."""
    with urllib.request.urlopen(server.url + "/_mock/stats", timeout=10) as answer:
        calls = json.load(answer)["requests"]
    cpu = read_cpu_seconds(server.pid), read_cpu_seconds(store.pid)
    commands = sum(store.read_figure("commandstats", f"cmdstat_{name}") for name in _COMMANDS)
    return calls, *cpu, commands, store.read_figure("stats", "total_reads_processed")


def measure_store(bench: Bench, workloads: Sequence[tuple[str, str]] = WORKLOADS) -> None:
    """Measure a mock in memory, one on a store, and two workers on it, in alternating rounds."""
    with ExitStack() as stack:
        redis = stack.enter_context(run_store())
        memory = stack.enter_context(run_server("memory", make_mock_command(), HEALTH))
        one = stack.enter_context(run_server("one worker", make_mock_command("--store", redis.url), HEALTH))
        options = ("--store", redis.url, "--store-prefix", "two", "--workers", "2")
        two = stack.enter_context(run_server("two workers", make_mock_command(*options), HEALTH))
        for workload, body in workloads:
            _compare_servers(
                bench, workload, [_make_sender(bench, server, body, redis) for server in (memory, one, two)]
            )


def _make_sender(bench: Bench, server: Server, body: str, redis: Store) -> Callable[[], Cost]:
    return lambda: measure_cost(server, body, bench.seconds, redis)


def _compare_servers(bench: Bench, workload: str, servers: list[Callable[[], Cost]]) -> None:
    for send in servers:  # the first calls compile and fill caches
        send()
    rounds = [[send() for send in servers] for _ in range(bench.rounds)]
    ratios = [one.cpu_us / memory.cpu_us for memory, one, _ in rounds]
    memory_us, one_us, redis_us = (
        statistics.median(figures)
        for figures in (
            [m.cpu_us for m, _, _ in rounds],
            [o.cpu_us for _, o, _ in rounds],
            [o.store_us for _, o, _ in rounds],
        )
    )
    note = f"{one_us:.0f} µs a call against {memory_us:.0f} µs, and {redis_us:.0f} µs in the store"
    _add_row(bench, COST, workload, ratios, "×", f"{note}; {_format_rates(rounds)}")
    reads = statistics.median([one.reads for _, one, _ in rounds])
    _add_row(bench, TRIPS, workload, [one.trips for _, one, _ in rounds], "", f"{reads:.2f} reads of the store a call")
    _add_row(bench, WORKERS, workload, [two.cpu_us / one.cpu_us for _, one, two in rounds], "×", "CPU time a call")


def _format_rates(rounds: list[list[Cost]]) -> str:
    rates = [statistics.median([costs[place].per_second for costs in rounds]) for place in range(3)]
    return "{:,.0f}/s in memory, {:,.0f}/s on the store, {:,.0f}/s with two".format(*rates)


def _add_row(bench: Bench, name: str, workload: str, found: list[float], unit: str, note: str) -> None:
    median = bench.ratios[f"{name}, {workload}"] = statistics.median(found)
    spread = f"{min(found):.2f}–{max(found):.2f}; {note}"
    bench.add(f"{name}: {workload}", f"{median:.2f} {unit}".rstrip(), f"≤ {LIMITS[name]}", spread)
