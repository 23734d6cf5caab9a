"""A large world: 5,000 keys, 300 teams and 500 models start fast, and lists and the dashboard stay fast."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_cli import answers, first_answer
from tests.timing import Share, make_untraced_environment, measure_slowness, wait_until

KEYS, TEAMS, MODELS = 5000, 300, 500
PLAIN_START = 0.4
"""Seconds in which the mock starts with its bundled world on the reference machine, at most."""


@pytest.fixture(scope="module")
def burden() -> float:
    """How many times as slow as it should be the start with the bundled world is at this moment, at least 1."""
    return max(1.0, first_answer() / PLAIN_START)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = [f"  - {{id: model-{n}, prices: {{input: '1.5', output: '6'}}}}" for n in range(MODELS)]
    teams = [f"  - {{name: Team {n}}}" for n in range(TEAMS)]
    keys = [
        f"  - {{name: Key {n}, secret: sk-large-{n}, team: Team {n % TEAMS}, models_allowed: [model-{n % MODELS}]}}"
        for n in range(KEYS)
    ]
    lines = ["models:", "  models:", *models, "world:", "  tokens: [{secret: large-token}]"]
    path = tmp_path_factory.mktemp("large") / "large.yaml"
    path.write_text("\n".join([*lines, "  teams:", *teams, "  keys:", *keys]), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def started(file: Path) -> Iterator[tuple[int, int, float]]:
    """Port, process id, and the seconds from the start to the first answer on the reference machine."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    before, begun = measure_slowness(), time.monotonic()
    command = [sys.executable, "-m", "aione_mock", "serve", "--port", str(port), "--config", str(file)]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, env={**make_untraced_environment(), "PYTHONDONTWRITEBYTECODE": ""}
    )
    share = Share(process.pid)
    try:
        assert wait_until(lambda: answers(port)), "it never answered"
        yield port, process.pid, share.compute_fair_seconds(time.monotonic() - begun, (before + measure_slowness()) / 2)
    finally:
        process.kill()
        process.wait()


def test_it_starts_within_a_second_and_a_half(started: tuple[int, int, float], burden: float) -> None:
    assert started[2] < 1.5 * burden


@pytest.mark.parametrize("path", ["/api/v1/gateway/keys", "/api/v1/obs/dashboard"])
def test_lists_and_the_dashboard_take_less_than_30_ms(
    started: tuple[int, int, float], burden: float, path: str
) -> None:
    port, process, _ = started
    best = 9.0
    for _ in range(15):
        share, slow = Share(process), measure_slowness()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", path, headers={"authorization": "Bearer large-token"})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        best = min(best, share.read_running_seconds() / max(slow, measure_slowness()))
    assert answer.status == 200
    assert best < 0.030 * burden
    if path.endswith("keys"):
        assert body.count(b'"key_prefix"') == KEYS
