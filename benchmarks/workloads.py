"""Define the workloads: one function for each part of the results."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import load
from benchmarks.servers import HEALTH, Server, make_mock_command, make_yardstick_command, run_server

KEY = "sk-nex-demo-every-model"
CHAT = "/v1/chat/completions"
_CHAT = '{"model":"gpt-5.4","messages":[{"role":"system","content":"%s"},{"role":"user","content":"%s"}],%s}'
_SETTINGS = '"max_tokens":60,"temperature":0.7'
_TOOL = (
    '{"type":"function","function":{"name":"%s","description":"%s","parameters":{"type":"object","properties":'
    '{"city":{"type":"string","description":"Name of a city"},"days":{"type":"integer","minimum":1}},'
    '"required":["city"]}}}'
)
REPEATED = _CHAT % ("You are brief.", "Name three rivers of Europe and one sea, please.", _SETTINGS)
# in each request, `@@` becomes another number and `@~` other words
OTHER_NUMBER = _CHAT % ("You are brief.", "Name three rivers of Europe and one sea, please. Case @@", _SETTINGS)
OTHER_WORDS = _CHAT % ("You are brief.", "Compare @~ in a short text, please.", _SETTINGS)
OTHER_SYSTEM = _CHAT % ("You are brief. You know about @~.", "Name three rivers and one sea, please.", _SETTINGS)
_WEATHER = _TOOL % ("get_weather", "Weather forecast of a city")
SAME_TOOLS = _CHAT % (
    "You are brief.",
    "What is the weather in Paris? Think of @~.",
    f'"tools":[{_WEATHER},{_TOOL % ("find_hotel", "Find a hotel")}]',
)
OTHER_TOOLS = _CHAT % (
    "You are brief.",
    "What is the weather in Paris? Think of @~.",
    f'"tools":[{_TOOL % ("get_weather_@@", "Weather of @~")},{_TOOL % ("find_hotel_@@", "Find a hotel @~")}]',
)
_STREAM = '"max_tokens":64,"stream":true'
STREAM = _CHAT % ("You are brief.", "Write a long list of sixty words, please.", _STREAM)
OTHER_STREAM = _CHAT % ("You are brief.", "Write a long list of sixty words about @~, please.", _STREAM)
PLAIN = (
    ("chat, repeated body", REPEATED, "≥ 0.50"),
    ("chat, another number each time", OTHER_NUMBER, "≥ 0.35"),
    ("chat, other words each time", OTHER_WORDS, "≥ 0.35"),
    ("chat, another system prompt each time", OTHER_SYSTEM, "≥ 0.35"),
    ("chat, same tools, other words each time", SAME_TOOLS, "≥ 0.30"),
    ("chat, other tools each time", OTHER_TOOLS, "≥ 0.20"),
)
"""Workload, body and target of each plain chat row."""
Runner = Callable[[Server], load.Rate]


@dataclass(slots=True)
class Row:
    """One line of the results."""

    workload: str
    figure: str
    target: str = ""
    spread: str = ""


@dataclass(slots=True)
class Bench:
    """How to measure, and the results."""

    rounds: int
    seconds: int
    requests: int = 1_000_000
    """Number of requests for the row about memory."""
    peers: list[Server] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    ratios: dict[str, float] = field(default_factory=dict)
    """Median of each workload whose result is a ratio to the rate of another server."""

    def add(self, workload: str, figure: str, target: str = "", spread: str = "") -> None:
        """Add a result and print it."""
        self.rows.append(Row(workload, figure, target, spread))
        print(f"{workload:40} {figure:>34}  {('target ' + target) if target else '':30} {spread}", flush=True)

    def measure_ratio(
        self, workload: str, base: tuple[Server, Runner], ours: tuple[Server, Runner], target: str
    ) -> None:
        """Run both servers in alternating rounds; add the median of the ratios and their spread."""
        found: list[float] = []
        rates: list[float] = []
        for _ in range(self.rounds):
            there, here = base[1](base[0]), ours[1](ours[0])
            if there.wrong or here.wrong:
                raise SystemExit(f"{workload}: {there.wrong + here.wrong} wrong answers; the rate is meaningless")
            found.append(here.per_second / there.per_second)
            rates.append(here.per_second)
        self.ratios[workload] = statistics.median(found)
        figure = f"{statistics.median(found):.2f} × ({statistics.median(rates):,.0f}/s)"
        self.add(workload, figure, target, f"{min(found):.2f}–{max(found):.2f}")


def _make_runner(bench: Bench, body: str, path: str = CHAT) -> Runner:
    return lambda server: load.send_requests(server.url + path, body, KEY, bench.seconds)


def measure_start(bench: Bench) -> None:
    """Measure the time from start to first answer, and the memory then."""
    found = []
    with run_server("mock", make_mock_command(), HEALTH):  # the first start compiles modules and reads the contract
        pass
    for _ in range(max(3, bench.rounds)):
        with run_server("mock", make_mock_command(), HEALTH) as ours:
            found.append((ours.started, ours.rss_mb))
    figure = f"{statistics.median(s for s, _ in found):.2f} s, {statistics.median(m for _, m in found):.0f} MB"
    bench.add("start to first answer", figure, "≤ 0.6 s, ≤ 75 MB", f"{min(found)[0]:.2f}–{max(found)[0]:.2f} s")


def measure_chat(bench: Bench) -> None:
    """Measure plain and streamed chat against bare uvicorn."""
    with ExitStack() as stack:
        bare = stack.enter_context(run_server("bare", make_yardstick_command("bare"), CHAT))
        route = stack.enter_context(run_server("route", make_yardstick_command("route"), CHAT))
        ours = stack.enter_context(run_server("mock", make_mock_command(), HEALTH))
        each = stack.enter_context(run_server("mock", make_mock_command("--flush", "each"), HEALTH))
        base = bare, _make_runner(bench, REPEATED)
        bench.measure_ratio("Starlette route, orjson", base, (route, _make_runner(bench, REPEATED)), "")
        for workload, body, target in PLAIN:
            bench.measure_ratio(workload, base, (ours, _make_runner(bench, body)), target)
        events = bare, _make_runner(bench, STREAM, "/sse")
        bench.measure_ratio("streamed, 64 events, repeated", events, (ours, _make_runner(bench, STREAM)), "")
        bench.measure_ratio(
            "streamed, 64 events, other words", events, (ours, _make_runner(bench, OTHER_STREAM)), "≥ 5"
        )
        flushed = (bare, _make_runner(bench, STREAM, "/sse/flush"))
        bench.measure_ratio("streamed, one write per event", flushed, (each, _make_runner(bench, STREAM)), "≥ 0.80")
        for peer in bench.peers:
            bench.measure_ratio(f"peer {peer.name}, repeated body", base, (peer, _make_runner(bench, REPEATED)), "")
            bench.measure_ratio(f"peer {peer.name}, other words", base, (peer, _make_runner(bench, OTHER_WORDS)), "")


def measure_console(bench: Bench) -> None:
    """Measure pages of the console, one request after the other."""
    with run_server("mock", make_mock_command(), HEALTH) as ours:
        for workload, path in (
            ("dashboard over 90 days", "/api/v1/obs/dashboard?range_days=90"),
            ("key list", "/api/v1/gateway/keys"),
        ):
            request = urllib.request.Request(ours.url + path, headers={"Authorization": "Bearer nex-console-tech"})
            times = []
            for _ in range(40):
                begun = time.perf_counter()
                with urllib.request.urlopen(request, timeout=10) as answer:
                    answer.read()
                times.append((time.perf_counter() - begun) * 1000)
            bench.add(workload, f"{times[0]:.1f} ms, then {statistics.median(times):.1f} ms", "< 20 ms")


def measure_streams(bench: Bench) -> None:
    """Measure how late the events of paced streams are, and the memory of a stream."""
    for count, rate, target in ((500, 50, "p99 ≤ 10 ms"), (2000, 20, "p99 ≤ 20 ms, ≤ 60 KB per stream")):
        with run_server("mock", make_mock_command("--pace", f"pace; tps={rate}"), HEALTH) as ours:
            body = STREAM.replace("Write", "@@ write")
            load.measure_lag(ours.url + CHAT, body, KEY, 20, 10 * rate)
            before = ours.rss_mb
            lag = load.measure_lag(ours.url + CHAT, body, KEY, count, rate, read_memory=lambda: ours.rss_mb)
        figure = f"p50 {lag.p50_ms:.1f} ms, p99 {lag.p99_ms:.1f} ms"
        grown = (lag.peak_mb - before) * 1024 / count
        notes = f"{grown:.0f} KB per stream, {lag.streams - lag.broken:,} complete"
        bench.add(f"{count:,} streams at {rate} tokens/s", figure, target, notes)


def measure_fixture(bench: Bench) -> None:
    """Measure what the fixture adds to an empty test."""
    body = """
        import pytest
        @pytest.mark.parametrize("n", range(400))
        def test_nothing(n{given}): pass
    """
    with tempfile.TemporaryDirectory() as folder:
        took = {}
        for name, given in (("empty", ""), ("mock", ", aione_mock")):
            path = Path(folder) / f"test_{name}.py"
            path.write_text(textwrap.dedent(body).replace("{given}", given), encoding="utf-8")
            found = []
            for _ in range(max(3, bench.rounds)):
                begun = time.perf_counter()
                command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", str(path)]
                subprocess.run(command, check=True, capture_output=True)
                found.append(time.perf_counter() - begun)
            took[name] = min(found)
    each = (took["mock"] - took["empty"]) / 400 * 1000
    bench.add("pytest fixture", f"{each:.2f} ms per test, including the start of the server", "< 5 ms")


def measure_checker(bench: Bench) -> None:
    """Measure generated cases per second against Schemathesis alone on the same operations of the same server."""
    rates: dict[str, list[float]] = {"plain": [], "ours": []}
    for _ in range(max(3, bench.rounds // 2)):
        for name, found in rates.items():
            with run_server("mock", make_mock_command(), HEALTH) as ours:
                command = load.pin_command(1, [sys.executable, "-m", "benchmarks.cases", name, ours.url])
                done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
                found.append(json.loads(done.stdout.splitlines()[-1])["per_second"])
    ratios = [mine / plain for mine, plain in zip(rates["ours"], rates["plain"], strict=True)]
    bench.ratios["checker"] = statistics.median(ratios)
    figure = f"{statistics.median(ratios):.2f} × ({statistics.median(rates['ours']):.0f} cases/s)"
    bench.add("checker against Schemathesis", figure, "≥ 0.9", f"{min(ratios):.2f}–{max(ratios):.2f}")


def measure_memory(bench: Bench) -> None:
    """Measure memory over many requests, alternately new and repeated; the first 10,000 fill bounded buffers."""
    with run_server("mock", make_mock_command(), HEALTH) as ours:
        marks, done = list[tuple[int, float]](), 0
        while done < bench.requests:
            seconds = 1 if not marks else 10
            rate = load.send_requests(ours.url + CHAT, REPEATED if len(marks) % 2 else OTHER_WORDS, KEY, seconds)
            done += int(rate.per_second * seconds)
            marks.append((done, ours.rss_mb))
    figure = f"{marks[0][1]:.0f} MB after {marks[0][0]:,}, {marks[-1][1]:.0f} MB after {done:,}"
    bench.add("memory over many requests", figure, "flat after 10,000")


def measure_main_ratios(bench: Bench) -> dict[str, float]:
    """Return the ratios of the three most important workloads, for a test that guards them."""
    with ExitStack() as stack:
        bare = stack.enter_context(run_server("bare", make_yardstick_command("bare"), CHAT))
        ours = stack.enter_context(run_server("mock", make_mock_command(), HEALTH))
        base = bare, _make_runner(bench, REPEATED)
        bench.measure_ratio("chat, repeated body", base, (ours, _make_runner(bench, REPEATED)), "")
        bench.measure_ratio("chat, other words each time", base, (ours, _make_runner(bench, OTHER_WORDS)), "")
        events = bare, _make_runner(bench, STREAM, "/sse")
        bench.measure_ratio("streamed, 64 events, other words", events, (ours, _make_runner(bench, OTHER_STREAM)), "")
    return bench.ratios


PARTS: dict[str, Callable[[Bench], None]] = {
    "start": measure_start,
    "chat": measure_chat,
    "console": measure_console,
    "streams": measure_streams,
    "fixture": measure_fixture,
    "checker": measure_checker,
    "soak": measure_memory,
}
