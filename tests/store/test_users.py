"""What uses a mock of one process uses one of many workers as well: fixtures, the checker, the page, mutants."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from tests.control.conftest import Client
from tests.control.test_events import listen_to_events
from tests.store.test_workers import BODY, KEY
from tests.test_cli import run_server

SUITE = """
import httpx2, pytest

@pytest.mark.parametrize("number", range(40))
def test_mine(aione_mock, number):
    assert aione_mock.calls == []
    aione_mock.reply(f"answer {number}")
    asked = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "same for all"}]}
    headers = {"authorization": f"Bearer {aione_mock.api_key}"}
    for expected in (f"answer {number}", None):
        answer = httpx2.post(f"{aione_mock.openai_base_url}/chat/completions", json=asked, headers=headers)
        said = answer.json()["choices"][0]["message"]["content"]
        assert said == expected or (expected is None and not said.startswith("answer "))
    aione_mock.fail("rate_limit_exceeded")
    assert httpx2.get(f"{aione_mock.openai_base_url}/models", headers=headers).status_code == 429
    aione_mock.advance("1h")
    aione_mock.assert_called("createChatCompletion", times=2)
    aione_mock.assert_no_unused_replies()
"""


def run(*words: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a module of Python."""
    environment = {**os.environ, "COLUMNS": "160"}
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_fixtures_of_four_processes_share_many_workers(options: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(SUITE)
    with run_server(*options) as running:
        ended = run("pytest", "-q", "-n", "4", "--aione-mock-url", running.url, "test_it.py", folder=tmp_path)
        assert "40 passed" in ended.stdout, ended.stdout
        sessions = httpx2.get(f"{running.url}/_mock/sessions").json()["items"]
        assert [each["name"] for each in sessions] == ["default"], "sessions are left behind"


def test_a_live_list_shows_the_calls_of_all_workers(options: tuple[str, ...]) -> None:
    with run_server(*options) as running, Client(base_url=running.url) as client, listen_to_events(client) as reader:
        for _ in range(20):  # each on a connection of its own, which any worker may get
            headers = {**KEY, "content-type": "application/json"}
            assert httpx2.post(f"{running.url}/v1/chat/completions", content=BODY, headers=headers).is_success
        numbers = [reader.next("call.finished")[1]["number"] for _ in range(20)]
        assert sorted(numbers) == list(range(1, 21))


def check(url: str) -> subprocess.CompletedProcess[str]:
    return run("aione_mock", "check", url, "--key", "sk-nex-demo-every-model")


@pytest.mark.slow
def test_the_checker_finds_nothing_in_many_workers(options: tuple[str, ...]) -> None:
    with run_server(*options) as running:
        ended = check(running.url)
        assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.slow
def test_the_checker_finds_a_mutant_in_many_workers(options: tuple[str, ...]) -> None:
    with run_server(*options, "--mutant", "stream_without_done") as running:
        ended = check(running.url)
        assert ended.returncode == 1, ended.stdout + ended.stderr
