"""Measure each server under the same load in alternating rounds, and report ratios and their spread.

python -m benchmarks [--rounds 5] [--seconds 3] [--only chat] [--peer NAME=URL] [--write]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import socket
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks import load
from benchmarks.servers import Server
from benchmarks.store import measure_store
from benchmarks.workloads import PARTS as WITHOUT_STORE
from benchmarks.workloads import Bench

PARTS = {**WITHOUT_STORE, "store": measure_store}
RESULTS = Path(__file__).parent / "results.md"
_PACKAGES = ("uvicorn", "uvloop", "httptools", "starlette", "orjson", "jsonschema-rs", "schemathesis")


def format_report(bench: Bench) -> str:
    """Format the results as a Markdown page."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)
    lines = [
        "# Results of `make bench`",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {_read_processor()}, {os.cpu_count()} cores, {platform.system()}, "
        f"Python {platform.python_version()}, {versions}.",
        "",
        f"Server on one core, load on the other ({load.name_generator()}), 32 connections, {bench.rounds} alternating",
        f"rounds of {bench.seconds} s; medians. × is the ratio to the rate of bare uvicorn on the same core (see",
        "[how](../docs/explanation/performance.md)); the spread is the lowest and the highest ratio of a round.",
        "",
        "| workload | result | target | spread, notes |",
        "|---|---|---|---|",
        *(f"| {row.workload} | {row.figure} | {row.target} | {row.spread} |" for row in bench.rows),
        "",
    ]
    return "\n".join(lines)


def _read_processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _parse_positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 1 on")
    return int(text)


def _parse_peer(text: str) -> Server:
    name, _, url = text.partition("=")
    address = urlsplit(url)
    if not name or address.scheme != "http" or not address.hostname:
        raise argparse.ArgumentTypeError(f"'{text}' is not like name=http://127.0.0.1:4010")
    try:
        socket.create_connection((address.hostname, address.port or 80), 5).close()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"no answer at {url}: {error.strerror or error}") from None
    return Server(name, url.rstrip("/"), 0, 0.0)


def main() -> None:
    """Measure, print the results and write them if requested."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=_parse_positive, default=5, help="rounds of each workload")
    parser.add_argument("--seconds", type=_parse_positive, default=3, help="length of a round")
    parser.add_argument("--only", choices=PARTS, action="append", help="run this part only; repeatable")
    parser.add_argument("--requests", type=_parse_positive, default=1_000_000, help="for the row about memory")
    parser.add_argument(
        "--peer",
        type=_parse_peer,
        action="append",
        default=[],
        metavar="NAME=URL",
        help="also measure a running server; repeatable",
    )
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    given = parser.parse_args()
    bench = Bench(given.rounds, given.seconds, given.requests, given.peer)
    print(f"load: {load.name_generator()}")
    for part in given.only or PARTS:
        PARTS[part](bench)
    if given.write:
        RESULTS.write_text(format_report(bench), encoding="utf-8")


if __name__ == "__main__":
    main()
