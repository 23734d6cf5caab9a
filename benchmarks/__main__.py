"""`make bench`: every server in turn under the same load, in interleaved rounds; ratios with their spread.

python -m benchmarks [--rounds 5] [--seconds 3] [--only chat] [--peer NAME=URL] [--write]
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import load

KEY = "sk-nex-demo-every-model"
CHAT = "/v1/chat/completions"
_SAY = '{"model":"gpt-5.4","messages":[{"role":"system","content":"You are brief."},{"role":"user","content":"%s"}],%s}'
SAME = _SAY % ("Name three rivers of Europe and one sea, please.", '"max_tokens":60,"temperature":0.7')
DISTINCT = _SAY % ("Name three rivers of Europe and one sea, please. Case @@", '"max_tokens":60,"temperature":0.7')
STREAM = _SAY % ("Write a long list of sixty words, please.", '"max_tokens":64,"stream":true')
TOOLS = _SAY % (
    "What is the weather in Paris?",
    '"tools":[{"type":"function","function":{"name":"get_weather","description":"Weather of a city",'
    '"parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}}]',
)
RESULTS = Path(__file__).parent / "results.md"


@dataclass(frozen=True, slots=True)
class Server:
    """A server in a process of its own, on the first core."""

    name: str
    url: str
    pid: int
    started: float
    """Seconds from start to the first answer."""


@dataclass(slots=True)
class Row:
    """One line of the results."""

    workload: str
    figure: str
    target: str = ""
    spread: str = ""


@dataclass(slots=True)
class Bench:
    """What is measured with, and what came out."""

    rounds: int
    seconds: float
    rows: list[Row] = field(default_factory=list)

    def add(self, workload: str, figure: str, target: str = "", spread: str = "") -> None:
        """Take a result and print it."""
        self.rows.append(Row(workload, figure, target, spread))
        print(f"{workload:44} {figure:>26}  {('target ' + target) if target else '':24} {spread}", flush=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def serving(name: str, command: list[str], ready: str) -> Iterator[Server]:
    """Start a server and wait for its first answer; end it afterwards."""
    port = _free_port()
    command = load.pinned(0, [part.replace("{port}", str(port)) for part in command])
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        _await(url + ready, process)
        yield Server(name, url, process.pid, time.perf_counter() - start)
    finally:
        process.terminate()
        process.wait(10)


def _await(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.perf_counter() + 30
    while time.perf_counter() < end:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            if process.poll() is not None:
                raise SystemExit(f"the server ended with code {process.returncode}") from None
            time.sleep(0.005)
    raise SystemExit(f"{url} did not answer within 30 s")


def yardstick(app: str) -> list[str]:
    """The command for a bare app under uvicorn as it is usually run for speed."""
    options = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "error", "--lifespan=off"]
    return [sys.executable, "-m", "uvicorn", f"benchmarks.yardsticks:{app}", "--port", "{port}", *options]


def mock(*options: str) -> list[str]:
    """The command for the mock."""
    return [sys.executable, "-m", "aione_mock", "serve", "--port", "{port}", *options]


def rss_mb(pid: int) -> float:
    """Resident memory of a process in megabytes, 0 where the system does not tell."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    return 0.0


Runner = Callable[[Server], load.Rate]


def ratio(
    bench: Bench, workload: str, against: tuple[Server, Runner], ours: tuple[Server, Runner], target: str
) -> None:
    """Interleaved rounds of both; the median of the ratios, and their spread."""
    found: list[float] = []
    rates: list[float] = []
    for _ in range(bench.rounds):
        base = against[1](against[0])
        mine = ours[1](ours[0])
        if mine.wrong or base.wrong:
            raise SystemExit(f"{workload}: {mine.wrong + base.wrong} wrong answers; nothing is measured by these")
        found.append(mine.per_second / base.per_second)
        rates.append(mine.per_second)
    figure = f"{statistics.median(found):.2f} × ({statistics.median(rates):,.0f}/s)"
    bench.add(workload, figure, target, f"{min(found):.2f}–{max(found):.2f}")


def chat(bench: Bench, bare: Server, route: Server, ours: Server) -> None:
    """Plain and streamed chat against bare uvicorn."""

    def post(body: str, path: str = CHAT) -> Runner:
        return lambda server: load.requests(server.url + path, body, KEY, bench.seconds)

    ratio(bench, "Starlette route, orjson", (bare, post(SAME)), (route, post(SAME)), "")
    ratio(bench, "chat, repeated body", (bare, post(SAME)), (ours, post(SAME)), "≥ 0.55")
    ratio(bench, "chat, all bodies different", (bare, post(SAME)), (ours, post(DISTINCT)), "≥ 0.40")
    ratio(bench, "chat, tools", (bare, post(SAME)), (ours, post(TOOLS)), "")
    ratio(bench, "streamed, 64 events, instant", (bare, post(STREAM, "/sse")), (ours, post(STREAM)), "≥ 6")


def console(bench: Bench, ours: Server) -> None:
    """What a console page costs, one request after the other."""
    for workload, path in (
        ("dashboard over 90 days", "/api/v1/obs/dashboard?range_days=90"),
        ("key list", "/api/v1/gateway/keys"),
    ):
        times = []
        for _ in range(40):
            request = urllib.request.Request(ours.url + path, headers={"Authorization": "Bearer nex-console-tech"})
            start = time.perf_counter()
            with urllib.request.urlopen(request, timeout=10) as answer:
                answer.read()
            times.append((time.perf_counter() - start) * 1000)
        bench.add(workload, f"{times[0]:.1f} ms, then {statistics.median(times):.1f} ms", "< 20 ms")


def streams(bench: Bench) -> None:
    """Paced streams: lag against their schedule, memory a stream."""
    for count, rate, target in ((500, 50, "p99 ≤ 10 ms"), (2000, 20, "p99 ≤ 20 ms, ≤ 60 KB")):
        with serving("mock", mock("--pace", f"pace; tps={rate}"), "/_mock/health") as ours:
            load.requests(ours.url + CHAT, SAME, KEY, 1)
            before = rss_mb(ours.pid)
            lag = load.paced(ours.url + CHAT, STREAM.replace("Write", "@@ write"), KEY, count, rate)
            grown = (rss_mb(ours.pid) - before) * 1024 / count
        figure = f"p50 {lag.p50_ms:.1f} ms, p99 {lag.p99_ms:.1f} ms"
        bench.add(
            f"{count:,} streams at {rate} tokens/s", figure, target, f"{grown:.0f} KB a stream, {lag.broken} broken"
        )


def start(bench: Bench) -> None:
    """Start to first answer, and memory then."""
    found = []
    for _ in range(max(3, bench.rounds)):
        with serving("mock", mock(), "/_mock/health") as ours:
            found.append((ours.started, rss_mb(ours.pid)))
    figure = f"{statistics.median(s for s, _ in found):.2f} s, {statistics.median(m for _, m in found):.0f} MB"
    bench.add("start to first answer", figure, "≤ 0.6 s, ≤ 70 MB", f"{min(found)[0]:.2f}–{max(found)[0]:.2f} s")


def soak(bench: Bench, requests: int) -> None:
    """Memory over many requests."""
    with serving("mock", mock(), "/_mock/health") as ours:
        marks, done = [], 0
        while done < requests:
            rate = load.requests(ours.url + CHAT, DISTINCT if done else SAME, KEY, 2 if not done else 10)
            done += int(rate.per_second * (2 if not marks else 10))
            marks.append((done, rss_mb(ours.pid)))
        figure = f"{marks[0][1]:.0f} MB after {marks[0][0]:,}, {marks[-1][1]:.0f} MB after {done:,}"
        bench.add("memory over many requests", figure, "flat after 10,000")


def peers(bench: Bench, bare: Server, given: list[str]) -> None:
    """Servers that run already, named by the user."""
    for peer in given:
        name, _, url = peer.partition("=")
        other = Server(name, url.rstrip("/"), 0, 0.0)
        run: Runner = lambda server: load.requests(server.url + CHAT, SAME, KEY, bench.seconds)  # noqa: E731
        ratio(bench, f"peer {name}, repeated body", (bare, run), (other, run), "")


def report(bench: Bench) -> str:
    """The results as a page."""
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("uvicorn", "starlette", "orjson", "jsonschema-rs")
    )
    lines = [
        "# Results of `make bench`",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, {versions}.",
        f"Server on one core, load on the other ({load.generator()}), 32 connections, {bench.rounds} interleaved",
        f"rounds of {bench.seconds:g} s; medians. × is a share of bare uvicorn on the same core.",
        "",
        "| workload | result | target | spread |",
        "|---|---|---|---|",
        *(f"| {row.workload} | {row.figure} | {row.target} | {row.spread} |" for row in bench.rows),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Parse, measure, print and, if asked, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--only", choices=("chat", "console", "streams", "start", "soak"), action="append")
    parser.add_argument("--requests", type=int, default=1_000_000, help="of the soak")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=URL")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    given = parser.parse_args()
    parts = given.only or ["start", "chat", "console", "streams"]
    bench = Bench(given.rounds, given.seconds)
    print(f"load: {load.generator()}")
    with serving("bare", yardstick("bare"), CHAT) as bare, serving("route", yardstick("route"), CHAT) as route:
        if "start" in parts:
            start(bench)
        if "chat" in parts or "console" in parts:
            with serving("mock", mock(), "/_mock/health") as ours:
                if "chat" in parts:
                    chat(bench, bare, route, ours)
                if "console" in parts:
                    console(bench, ours)
        if "streams" in parts:
            streams(bench)
        if "soak" in parts:
            soak(bench, given.requests)
        peers(bench, bare, given.peer)
    if given.write:
        RESULTS.write_text(report(bench), encoding="utf-8")


if __name__ == "__main__":
    main()
