"""What a store and a worker may suffer: each dialect says so, the mock recovers by itself, calls are booked once."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest
import redis

from aione_mock.clock import parse_instant
from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings
from tests.console.client import USAGE, Console
from tests.redis_server import is_answering, start_redis, stop_redis
from tests.store.load import Answer, Load, make_call, send_all
from tests.store.servers import new_prefix, require_store
from tests.store.test_laws import NOW, WORLD
from tests.test_cli import run_server
from tests.timing import PATIENCE, make_untraced_environment, wait_until
from tests.wire_reader import ask, build_request

KEY = "sk-nex-demo-every-model"
TIMEOUT = 0.5
"""Seconds within which the store has to answer."""
RELEASE_SECONDS = 10
"""Seconds after which what a dead worker held is free again."""
TODAY = "2026-11-20"
NEVER_ENDING = {"x-mock-scenario": "hang"}
"""A header of calls whose answers do not end."""
TEXTS = [f"Trouble {number:02}" for number in range(40)]
"""Questions of calls under load."""
MESSAGES = [{"role": "user", "content": "Hello"}]
ASKED = {
    "openai": ("/v1/chat/completions", {"model": "gpt-5.4", "messages": MESSAGES}, {"authorization": f"Bearer {KEY}"}),
    "anthropic": (
        "/v1/messages",
        {"model": "claude-haiku-4-5", "max_tokens": 20, "messages": MESSAGES},
        {"x-api-key": KEY},
    ),
    "gemini": (
        "/v1beta/models/gemini-2.5-flash:generateContent",
        {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]},
        {"x-goog-api-key": KEY},
    ),
    "console": ("/api/v1/gateway/keys", None, {"authorization": "Bearer nex-console-tech"}),
}
"""A request of each dialect."""


class Database:
    """A Redis that can be treated badly."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port: int = listener.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        """Start it with what it had."""
        self._process = start_redis(self.port, self._folder, "--appendonly", "yes", "--appendfsync", "always")

    def tell(self, *command: Any) -> Any:
        """Run a command."""
        with redis.Redis(port=self.port, socket_timeout=PATIENCE) as client:
            return client.execute_command(*command)

    def shut_down(self) -> None:
        """End it, with its data on the disk."""
        self._process.terminate()
        self._process.wait(PATIENCE)

    def hang(self) -> None:
        """Stop it in the middle of what it does."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it run again."""
        self._process.send_signal(signal.SIGCONT)

    def sleep(self, seconds: float) -> None:
        """Let it answer nobody for a while."""

        def run() -> None:
            with contextlib.suppress(redis.exceptions.RedisError):
                self.tell("DEBUG", "SLEEP", seconds)

        threading.Thread(target=run, daemon=True).start()
        time.sleep(0.1)

    def stop(self) -> None:
        """End it."""
        stop_redis(self._process)


FAILURES: dict[str, tuple[Callable[[Database], Any], Callable[[Database], Any], str]] = {
    "gone": (Database.shut_down, Database.start, "cannot be reached"),
    "hanging": (Database.hang, Database.go_on, "in time"),
    "asleep": (lambda db: db.sleep(4), lambda db: wait_until(lambda: is_answering(db.port)), "in time"),
    "full": (
        lambda db: db.tell("CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", "1"),
        lambda db: db.tell("CONFIG", "SET", "maxmemory", "0"),
        "full",
    ),
    "read-only": (
        lambda db: db.tell("REPLICAOF", "127.0.0.1", "1"),
        lambda db: db.tell("REPLICAOF", "NO", "ONE"),
        "read-only",
    ),
    "locked": (
        lambda db: db.tell("ACL", "SETUSER", "default", "-eval", "-evalsha"),
        lambda db: db.tell("ACL", "SETUSER", "default", "+@all"),
        "refuses",
    ),
}
"""How a store fails, how it is repaired, and what is said of it."""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    require_store()
    found = Database(tmp_path)
    yield found
    found.stop()


@pytest.fixture
def mock(database: Database) -> Iterator[Server]:
    """A mock on that store."""
    settings = Settings(now=parse_instant(NOW), store=database.url, store_prefix=new_prefix(), store_timeout=TIMEOUT)
    with Server(create_app(settings)) as server:
        yield server


def send(url: str, dialect: str) -> httpx2.Response:
    """Ask in one of the dialects."""
    path, body, headers = ASKED[dialect]
    return httpx2.request("GET" if body is None else "POST", url + path, json=body, headers=headers, trust_env=False)


def ready(url: str) -> tuple[int, str]:
    """Return what the mock says of itself to an orchestrator."""
    answer = httpx2.get(f"{url}/_mock/ready", trust_env=False)
    return answer.status_code, answer.text


def count_booked(url: str) -> int:
    """Return how many calls the ledger has for today."""
    rows = Console(url, "default").get(USAGE, start_date=TODAY, end_date=TODAY)
    return int(sum(row["requests"] for row in rows))


def list_journal(url: str, **query: Any) -> Any:
    """Return the newest entries of the journal."""
    answer = httpx2.get(f"{url}/_mock/journal", params={"limit": 200, **query}, timeout=PATIENCE, trust_env=False)
    assert answer.is_success, answer.text
    return answer.json()


@pytest.mark.parametrize("name", FAILURES)
def test_a_store_that_fails_is_said_in_each_dialect_until_it_is_back(
    database: Database, mock: Server, name: str
) -> None:
    fail, repair, reason = FAILURES[name]
    assert [send(mock.url, dialect).status_code for dialect in ASKED] == [200] * 4
    assert ready(mock.url)[0] == 200
    booked, total = count_booked(mock.url), list_journal(mock.url)["total"]
    fail(database)
    refused = {dialect: send(mock.url, dialect) for dialect in ASKED}
    assert {dialect: answer.status_code for dialect, answer in refused.items()} == dict.fromkeys(ASKED, 503)
    for dialect, answer in refused.items():
        assert int(answer.headers["retry-after"]) > 0, dialect
        assert reason in answer.text, (dialect, answer.text)
    check_envelopes({dialect: answer.json() for dialect, answer in refused.items()})
    status, text = ready(mock.url)
    assert status == 503
    assert reason in text
    assert httpx2.get(f"{mock.url}/_mock/health", trust_env=False).status_code == 200
    repair(database)
    assert wait_until(lambda: ready(mock.url)[0] == 200, 10)
    assert wait_until(lambda: send(mock.url, "openai").status_code == 200, 10)
    check_books(mock.url, booked, total, late=name in ("hanging", "asleep"))


def check_envelopes(bodies: dict[str, Any]) -> None:
    """Each error has the form of its dialect."""
    assert bodies["openai"]["error"].keys() >= {"message", "type", "code"}
    assert bodies["anthropic"]["type"] == "error"
    assert bodies["anthropic"]["error"].keys() >= {"type", "message"}
    assert bodies["gemini"]["error"]["code"] == 503
    assert bodies["gemini"]["error"]["status"] == "UNAVAILABLE"
    assert isinstance(bodies["console"]["detail"], str)


def check_books(url: str, booked: int, total: int, *, late: bool) -> None:
    """Nothing of a refused call is left: neither in the ledger, nor in the journal, nor as a call under way.

    What a store read before its client gave up, it does after all. Then ledger and journal have the call, or neither.
    """
    calls = count_booked(url) - booked
    items = list_journal(url)
    models = sum(item["operation"] in ("createChatCompletion", "createMessage", "generateContent")
                 for item in items["items"][: items["total"] - total])  # fmt: skip
    assert calls == models
    assert calls == 1 or late
    assert wait_until(lambda: not count_under_way(url), RELEASE_SECONDS + 2)


def count_under_way(url: str) -> int:
    """Return how many calls count as being answered."""
    items = httpx2.get(f"{url}/_mock/limits", trust_env=False).json()["items"]
    return sum(item["concurrent_calls"]["used"] for item in items)


@contextlib.contextmanager
def workers(count: int, database: Database, folder: Path, *options: str) -> Iterator[list[Any]]:
    """Run processes on one store."""
    world = folder / "world.yaml"
    world.write_text(WORLD, encoding="utf-8")
    common = ["--world", str(world), "--now", NOW, "--log", "off", "--store", database.url]
    common += ["--store-prefix", new_prefix(), "--store-timeout", str(TIMEOUT), *options]
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(run_server(*common)) for _ in range(count)]


def get_port(running: Any) -> int:
    return int(running.url.rpartition(":")[2])


def check_every_call_is_booked_once(url: str, booked: int, answers: Sequence[Answer]) -> None:
    """What was answered is booked and in the journal; of what was lost, each call at most once."""
    good = [answer for answer in answers if answer.status == 200]
    uncertain = len(answers) - len(good)
    calls = count_booked(url) - booked
    assert len(good) <= calls <= len(good) + uncertain, (len(good), calls, uncertain)
    ids = Counter(list_ids(url))
    assert ids.total() == calls
    assert max(ids.values()) == 1
    assert {answer.request_id for answer in good} <= ids.keys()
    seen = Counter((answer.call, answer.occurrence) for answer in good)
    assert max(seen.values()) == 1, "no number is given twice"
    assert wait_until(lambda: not count_under_way(url), RELEASE_SECONDS + 2)


def list_ids(url: str) -> list[str]:
    """Return the request ids of all calls of the load in the journal."""
    pages = [list_journal(url, text=text, limit=1000) for text in TEXTS]
    assert all(page["matched"] == len(page["items"]) for page in pages)
    return [item["request_id"] for page in pages for item in page["items"]]


def fall_asleep(database: Database) -> None:
    """Let the store answer nobody, again and again."""
    for _ in range(4):
        database.sleep(0.8)
        time.sleep(1)


def kill_connections(database: Database) -> None:
    """Close all connections to the store, again and again."""
    for _ in range(25):
        database.tell("CLIENT", "KILL", "TYPE", "NORMAL", "SKIPME", "YES")
        time.sleep(0.03)


TROUBLES: dict[str, Callable[[Database], Any]] = {
    "asleep": fall_asleep,
    "connections-killed": kill_connections,
    "restarted": lambda db: (db.shut_down(), db.start()),
    "full": lambda db: (FAILURES["full"][0](db), time.sleep(0.5), FAILURES["full"][1](db)),
    "read-only": lambda db: (FAILURES["read-only"][0](db), time.sleep(0.5), FAILURES["read-only"][1](db)),
}
"""What happens to a store under load."""


@pytest.mark.slow
@pytest.mark.parametrize("name", TROUBLES)
def test_trouble_with_the_store_under_load_neither_loses_nor_doubles_a_call(
    database: Database, tmp_path: Path, name: str
) -> None:
    with workers(2, database, tmp_path, "--journal-entries", "20000", "--journal-bytes", "500000000") as running:
        url = running[0].url
        booked = count_booked(url)
        answers = send_under_trouble([get_port(each) for each in running], lambda: TROUBLES[name](database))
        assert wait_until(lambda: all(ready(each.url)[0] == 200 for each in running), 10)
        statuses = Counter(answer.status for answer in answers)
        assert statuses.keys() <= {200, 503}, statuses
        assert statuses[200] > len(answers) / 4, statuses
        assert all(answer.retry_after > 0 for answer in answers if answer.status == 503)
        check_every_call_is_booked_once(url, booked, answers)


def send_under_trouble(ports: Sequence[int], trouble: Callable[[], Any], calls: int = 6000) -> list[Answer]:
    """Send calls, and let something happen when a third is answered."""

    async def wait(load: Load) -> None:
        while len(load.answers) < calls / 3:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(trouble)

    sent = [make_call("plain", TEXTS[n % len(TEXTS)], "sk-nex-law-changing") for n in range(calls)]
    return send_all(ports, sent, 16, wait)


@pytest.mark.slow
def test_a_worker_that_is_killed_under_load_takes_no_booked_call_along(database: Database, tmp_path: Path) -> None:
    with workers(2, database, tmp_path, "--journal-entries", "20000", "--journal-bytes", "500000000") as running:
        url, victim = running[0].url, running[1]
        booked = count_booked(url)
        answers = send_under_trouble([get_port(each) for each in running], lambda: kill(victim.process))
        lost = sum(answer.status == 0 for answer in answers)
        # a connection may be accepted once more while the process dies
        assert 0 < lost <= 2 * 16, "what was under way in that worker"
        assert {answer.status for answer in answers} <= {0, 200}
        check_every_call_is_booked_once(url, booked, answers)


def kill(process: subprocess.Popen[Any]) -> None:
    process.kill()
    process.wait(PATIENCE)


@pytest.mark.slow
def test_what_a_killed_worker_had_admitted_is_released_in_time(database: Database, tmp_path: Path) -> None:
    with workers(2, database, tmp_path) as (survivor, victim):
        headers = {"authorization": "Bearer sk-nex-law-narrow"}
        body = ASKED["openai"][1]
        slow = build_request(
            "/v1/chat/completions", {**body, "stream": True}, headers=headers | {"x-mock-scenario": "hang"}
        )
        quick = build_request("/v1/chat/completions", body, headers=headers)
        with contextlib.ExitStack() as stack:
            for _ in range(3):
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", get_port(victim))))
                connection.sendall(slow)
            assert wait_until(lambda: count_under_way(survivor.url) == 3, 10)
            time.sleep(RELEASE_SECONDS + 2)
            assert ask(get_port(survivor), quick).status == 429, "calls that last long keep their place"
            kill(victim.process)
            killed = time.monotonic()
            assert wait_until(lambda: ask(get_port(survivor), quick).status == 200, 2 * RELEASE_SECONDS)
            assert time.monotonic() - killed < RELEASE_SECONDS + 1


def test_what_a_killed_worker_was_sending_is_shown_as_ended_in_time(database: Database, tmp_path: Path) -> None:
    with workers(2, database, tmp_path) as (survivor, victim), contextlib.ExitStack() as stack:
        for running in (survivor, victim):
            for stream in (True, False):
                body, headers = {**ASKED["openai"][1], "stream": stream}, {**ASKED["openai"][2], **NEVER_ENDING}
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", get_port(running))))
                connection.sendall(build_request("/v1/chat/completions", body, headers=headers))
            assert wait_until(lambda: count_open(survivor.url) in (2, 4), 10)
        assert wait_until(lambda: (count_open(survivor.url), count_streams(survivor.url)) == (4, 2), 10)
        time.sleep(3.5)  # leases are renewed once
        kill(victim.process)
        assert wait_until(lambda: count_open(survivor.url) == 2, RELEASE_SECONDS + 3)
        ended = [item for item in list_journal(survivor.url)["items"] if not item["open"]]
        assert all(1000 < item["duration_ms"] < 1000 * RELEASE_SECONDS for item in ended), ended
        assert count_streams(survivor.url) == 1


def count_open(url: str) -> int:
    """Return how many calls the journal shows as being answered."""
    return sum(item["open"] for item in list_journal(url)["items"])


def count_streams(url: str) -> int:
    """Return how many streams are being sent."""
    answer = httpx2.get(f"{url}/_mock/stats", trust_env=False)
    return int(answer.json()["streams_open"])


def test_a_client_that_leaves_gives_its_place_back_at_once(database: Database, tmp_path: Path) -> None:
    with workers(2, database, tmp_path) as (first, second):
        headers = {"authorization": "Bearer sk-nex-law-narrow"}
        body = ASKED["openai"][1]
        slow = build_request(
            "/v1/chat/completions", {**body, "stream": True}, headers=headers | {"x-mock-scenario": "hang"}
        )
        with contextlib.ExitStack() as stack:
            for _ in range(3):
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", get_port(first))))
                connection.sendall(slow)
            quick = build_request("/v1/chat/completions", body, headers=headers)
            assert wait_until(lambda: count_under_way(second.url) == 3, 10)
            assert ask(get_port(second), quick).status == 429
        assert wait_until(lambda: ask(get_port(second), quick).status == 200, 3)


# --- stores that cannot be used


class FakeServer:
    """Speak enough of Redis' protocol to tell a version; a context manager."""

    def __init__(self, version: str) -> None:
        self._info = f"# Server\r\nredis_version:{version}\r\nredis_mode:standalone\r\n".encode()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"

    def __enter__(self) -> FakeServer:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self._listener.accept()[0],), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines, contextlib.suppress(OSError, ValueError):
            while head := lines.readline():
                words = [lines.read(int(lines.readline()[1:]) + 2)[:-2] for _ in range(int(head[1:]))]
                connection.sendall(self._answer(words[0].upper()))

    def _answer(self, command: bytes) -> bytes:
        if command == b"INFO":
            return b"$%d\r\n%b\r\n" % (len(self._info), self._info)
        return {b"PING": b"+PONG\r\n", b"HELLO": b"-ERR unknown command\r\n"}.get(command, b"+OK\r\n")


def run_command(*words: str, stdin: str | None = None) -> tuple[int, list[str], list[str]]:
    """Run the command; return its exit code and its lines of output and of errors."""
    done = subprocess.run(
        [sys.executable, "-m", "aione_mock", *words],
        capture_output=True,
        text=True,
        input=stdin,
        env=make_untraced_environment(),
        timeout=PATIENCE,
        check=False,
    )
    return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()


@contextlib.contextmanager
def unusable(name: str, folder: Path) -> Iterator[str]:
    """Yield the URL of a store that cannot be used."""
    if name == "too old":
        with FakeServer("6.2.0") as fake:
            yield fake.url
        return
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    options = {
        "without the password": ("--requirepass", "right"),
        "with a wrong password": ("--requirepass", "right"),
        "cluster": ("--cluster-enabled", "yes"),
    }.get(name)
    process = start_redis(port, folder, *options) if options else None
    password = ":wrong@" if name == "with a wrong password" else ""
    try:
        yield f"redis://{password}127.0.0.1:{port}/0"
    finally:
        if process is not None:
            stop_redis(process)


UNUSABLE = {
    "too old": "6.2.0; use Redis 7.0",
    "without the password": "credentials",
    "with a wrong password": "credentials",
    "cluster": "cluster",
    "refused": "cannot be reached",
}
"""Stores that cannot be used, and what is said of each."""


@pytest.mark.parametrize("command", ["serve --port 0 --store", "store check --store"])
@pytest.mark.parametrize("name", UNUSABLE)
def test_a_store_that_cannot_be_used_is_told_in_one_line(name: str, command: str, tmp_path: Path) -> None:
    with unusable(name, tmp_path) as url:
        code, out, errors = run_command(*command.split(), url)
    assert (code, out, len(errors)) == (2, [], 1), (out, errors)
    assert errors[0].startswith("aione-mock: --store redis://127.0.0.1:")
    assert UNUSABLE[name] in errors[0]
    assert "wrong@" not in errors[0]
