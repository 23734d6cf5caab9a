"""Start the servers that are measured, each in its own process on the first core."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import load

HEALTH = "/_mock/health"


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    name: str
    url: str
    pid: int
    started: float
    """Seconds from start to the first answer."""

    @property
    def rss_mb(self) -> float:
        """Resident memory in megabytes; 0 if the system does not report it."""
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{self.pid}/status").read_text(encoding="ascii").splitlines():
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) / 1024
        return 0.0


@contextlib.contextmanager
def run_server(name: str, command: list[str], ready: str) -> Iterator[Server]:
    """Start a server, wait for its first answer, and stop it at the end of the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = load.pin_command(0, [part.replace("{port}", str(port)) for part in command])
    start = time.perf_counter()
    # ignore two settings of the shell: without compiled modules a start takes twice as long, and measuring coverage
    # slows the mock down more than a bare server
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    environment["PYTHONDONTWRITEBYTECODE"] = ""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for_answer(url + ready, process)
        yield Server(name, url, process.pid, time.perf_counter() - start)
    finally:
        process.terminate()
        process.wait(10)


def _wait_for_answer(url: str, process: subprocess.Popen[bytes]) -> None:
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


def make_yardstick_command(app: str) -> list[str]:
    """Return the command that runs an application of `yardsticks` with uvicorn's fastest settings."""
    options = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "error", "--lifespan=off"]
    return [sys.executable, "-m", "uvicorn", f"benchmarks.yardsticks:{app}", "--port", "{port}", *options]


def make_mock_command(*options: str) -> list[str]:
    """Return the command that runs the mock."""
    return [sys.executable, "-m", "aione_mock", "serve", "--port", "{port}", *options]
