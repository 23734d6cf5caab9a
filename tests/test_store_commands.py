"""`aione-mock store`: what it says of a store, and what it deletes."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Iterator

import httpx2
import pytest
import redis

from aione_mock.cli import main
from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings
from tests.conftest import KEY
from tests.redis_server import running_redis
from tests.test_cli import run_server
from tests.timing import PATIENCE, make_untraced_environment

HEADERS = {"authorization": f"Bearer {KEY}"}
OTHERS = ("one", "one-more:key", "one:key", "one:two:s:default:1:meta", "one:two:sessions", "other")
"""Keys of others."""
BODY = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    with running_redis() as url:
        yield url


@pytest.fixture
def client(store: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(store) as client:
        client.flushall()
        for key in OTHERS:
            client.set(key, 1)
        yield client


@pytest.fixture
def mock(store: str, client: redis.Redis) -> Iterator[Server]:
    """A mock on the store, with two sessions."""
    with Server(create_app(Settings(store=store, store_prefix="one"))) as server:
        for path in ("", "/_session/second"):
            assert ask(server.url + path) == 200
        yield server


def ask(url: str) -> int:
    """Return the status of a call."""
    return httpx2.post(f"{url}/v1/chat/completions", json=BODY, headers=HEADERS, trust_env=False).status_code


def test_check_says_what_the_store_is_and_holds(
    mock: Server, store: str, client: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["store", "check", "--store", store, "--store-prefix", "one"]) == 0
    shown = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert shown.keys() == {"store", "server", "latency", "prefix", "sessions", "entries"}
    assert (shown["store"], shown["prefix"], shown["sessions"]) == (store, "one", "2")
    assert int(shown["entries"]) == len(client.keys("*")) - len(OTHERS) > 10
    assert shown["server"].startswith(("Redis ", "Valkey "))
    assert float(shown["latency"].removesuffix(" ms")) > 0


def test_check_of_an_empty_store(store: str, client: redis.Redis, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["store", "check", "--store", store]) == 0
    shown = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert (shown["sessions"], shown["entries"]) == ("0", "0")


def test_clear_deletes_what_is_under_the_prefix_alone(
    mock: Server, store: str, client: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(2500):
        client.set(f"one:s:many:{number}", 1)
    held = len(client.keys("*")) - len(OTHERS)
    assert main(["store", "clear", "--store", store, "--store-prefix", "one", "--yes"]) == 0
    assert capsys.readouterr().out == f"{held} keys are deleted: the mock one in {store}\n"
    assert sorted(key.decode() for key in client.keys("*")) == [*OTHERS]
    for path in ("", "/_session/second"):
        assert ask(mock.url + path) == 200, "a mock that runs on it starts anew"
    with httpx2.Client(base_url=mock.url, trust_env=False) as http:
        assert http.get("/_mock/journal").json()["total"] == 1


def test_clear_deletes_nothing_that_nobody_confirmed(
    mock: Server, store: str, client: redis.Redis, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    held = len(client.keys("*"))
    monkeypatch.setattr(sys, "stdin", open(os.devnull))  # noqa: SIM115, PTH123
    assert main(["store", "clear", "--store", store, "--store-prefix", "one"]) == 2
    assert capsys.readouterr().err == f"aione-mock: this would delete the mock one in {store}; add --yes\n"
    assert len(client.keys("*")) == held


@pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, False), ("n\n", 130, True)])
def test_clear_asks_at_a_terminal(
    mock: Server, store: str, client: redis.Redis, answer: str, code: int, left: bool
) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "aione_mock", "store", "clear", "--store", store, "--store-prefix", "one"]
    with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, env=make_untraced_environment()) as process:
        os.write(ours, answer.encode())
        output = process.communicate(timeout=PATIENCE)[0].decode()
    os.close(ours)
    os.close(theirs)
    assert process.returncode == code
    assert output.startswith(f"Delete the mock one in {store}?")
    assert bool(client.keys("one:s:*")) is left


@pytest.mark.parametrize("command", ["check", "clear"])
def test_a_store_has_to_be_named(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["store", command]) == 2
    message = "aione-mock: there is no store; name it, such as --store redis://127.0.0.1:6379/0\n"
    assert capsys.readouterr().err == message


def test_it_may_be_named_by_the_environment(
    store: str, client: redis.Redis, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIONE_MOCK_STORE", store.replace("redis://", "valkey://"))
    assert main(["store", "check"]) == 0
    assert "valkey://127.0.0.1:" in capsys.readouterr().out


def test_credentials_are_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with running_redis("--requirepass", "s3cret") as url:
        own = url.replace("redis://", "redis://:s3cret@")
        for command in (["check"], ["clear", "--yes"]):
            assert main(["store", *command, "--store", own]) == 0
            assert url in (out := capsys.readouterr().out)
            assert "s3cret" not in out
        with run_server("--store", own) as running:
            assert running.lines[1] == f"1 worker uses the store {url} (prefix aione-mock)"


def test_a_prefix_whose_keys_could_be_those_of_another_mock_is_one_line(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["store", "clear", "--yes", "--store", store, "--store-prefix", "one:s"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "aione-mock: --store-prefix: must have no 's' or 'n' alone between colons; keys of a mock are named so"
    ]
