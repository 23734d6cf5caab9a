"""A Redis server of the test's own: the program of the system, in a folder and on a port that nothing else uses."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.timing import PATIENCE, wait_until

PROGRAMS = (os.environ.get("STORE_SERVER", "redis-server"), "redis-server", "valkey-server")
"""The first that is installed is run."""
_ATTEMPTS = 5
"""Ports to try: another program may take a free one first."""


@contextlib.contextmanager
def running_redis(*options: str) -> Iterator[str]:
    """Run a server until the block ends; yield its URL. `options` are those of redis-server.

    It is empty at the start and writes nothing to a disk. The test is skipped where the program is missing.
    """
    with tempfile.TemporaryDirectory() as folder:
        process, port = _start_on_free_port(Path(folder), *options)
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            stop_redis(process)


def start_redis(port: int, folder: Path, *options: str) -> subprocess.Popen[bytes]:
    """Start a server on a port, and return when it answers. Raises ConnectionError if it has ended instead."""
    settings = ("--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--enable-debug-command", "local")
    process = subprocess.Popen(
        [find_program(), "--port", str(port), "--dir", str(folder), *settings, *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: process.poll() is not None or is_answering(port))
    if process.poll() is not None:
        raise ConnectionError(f"redis-server has ended with {process.returncode}; its options are {options}")
    return process


def stop_redis(process: subprocess.Popen[bytes]) -> None:
    """End a server, also one that hangs."""
    process.kill()
    process.wait(PATIENCE)


def find_program() -> str:
    """Return the path of the program. Skips the test where there is none."""
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found is None:
        pytest.skip("redis-server is missing; apt-get install redis-server")
    return found


def is_answering(port: int) -> bool:
    """Return whether a server answers on a port, even if only with the demand for a password."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
        connection.sendall(b"PING\r\n")
        return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
    return False


def _start_on_free_port(folder: Path, *options: str) -> tuple[subprocess.Popen[bytes], int]:
    for attempt in range(_ATTEMPTS):
        port = find_free_port()
        try:
            return start_redis(port, folder, *options), port
        except ConnectionError:
            if attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError


def find_free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
