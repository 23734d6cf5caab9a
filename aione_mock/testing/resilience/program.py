"""Run a command as the client, under faults."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence

from aione_mock.errors import ConfigError
from aione_mock.settings import build_environment
from aione_mock.testing.environment import CONFLICTING_VARIABLES
from aione_mock.testing.resilience.observation import Thresholds
from aione_mock.testing.resilience.progress import open_progress
from aione_mock.testing.resilience.report import ResilienceReport
from aione_mock.testing.resilience.runner import ClientObserver, ClientRun, make_api_key, run_checks
from aione_mock.testing.servers import start_server
from aione_mock.testing.session import MockSession


def check_program(
    command: Sequence[str], only: Sequence[str], patience: float, attempts: int, include: Sequence[str] = ()
) -> ResilienceReport:
    """Run a command under faults and check it. Raises ConfigError if it cannot be run or never calls the mock."""
    with start_server(auth="any") as server, server.session("probe", api_key=make_api_key(server.url)) as mock:
        observer = ClientObserver(mock, lambda limit: _run_command(command, mock, limit), patience)
        progress = open_progress("probe")
        try:
            return run_checks(observer.observe, Thresholds(patience, attempts, mock.api_key), only, include, progress)
        finally:
            progress.clear()


def _run_command(command: Sequence[str], mock: MockSession, limit: float) -> ClientRun:
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=build_environment(mock.env(), without=CONFLICTING_VARIABLES),
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise ConfigError(f"cannot run {command[0]}: {error.strerror or error}") from None
    timed_out = False
    try:
        output, errors = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        _kill(process)
        output, errors = process.communicate()
        timed_out = True
    except KeyboardInterrupt:
        _kill(process)
        raise
    failure = None if process.returncode == 0 or timed_out else _describe_exit(process.returncode, errors)
    return ClientRun(output, failure, timed_out, f"{output}\n{errors}")


def _kill(process: subprocess.Popen[str]) -> None:
    """Kill the program and its children, which would keep its output open."""
    if os.name == "posix":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


def _describe_exit(code: int, errors: str) -> str:
    last = next((line.strip() for line in reversed(errors.splitlines()) if line.strip()), "")
    return f"exit code {code}{': ' + last[:200] if last else ''}"
