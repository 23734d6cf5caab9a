"""The journal that workers share: its bounds, what each reads of it, and that nothing secret is in it."""

from __future__ import annotations

import base64
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import redis

from aione_mock.settings import EXTENSIONS
from tests.console.client import OTHER_ACCESS, Console
from tests.faults.conftest import OPERATIONS, build_call
from tests.redis_server import running_redis
from tests.store.pairs import TECH, Store, Worker, two_workers
from tests.wire_reader import ask, build_request

KIB = "x" * 1024


def list_journal(worker: Worker, limit: int = 1000) -> tuple[list[int], int, int]:
    """Return the numbers of entries, newest first, how many are held, and how many there were."""
    found = worker.control("GET", f"journal?limit={limit}")
    return [item["number"] for item in found["items"]], found["held"], found["total"]


# --- bounds


def test_entries_that_gave_way_are_gone_at_all_workers() -> None:
    with two_workers(journal_entries=10) as pair:
        for number in range(1, 26):
            assert pair[number % 2].chat(f"Call {number}").status_code == 200
            if number in (4, 9, 17):
                list_journal(pair[1])
        for each in pair:
            assert list_journal(each) == ([*range(25, 15, -1)], 10, 25)
            assert each.ask("GET", "/_mock/journal/15").status_code == 404
            assert each.control("GET", "journal/16")["number"] == 16


def test_a_cleared_journal_makes_room_at_all_workers() -> None:
    with two_workers(journals_total=400_000) as pair:
        for number in range(1, 41):
            assert pair[number % 2].chat(f"Call {number} {KIB * 20}").status_code == 200
            if number % 4 == 0:
                expected = [*range(number, number - 4, -1)], 4, number
                assert [list_journal(each) for each in pair] == [expected, expected]
                pair[0].control("DELETE", "journal")
                assert [list_journal(each) for each in pair] == [([], 0, number)] * 2


def test_a_worker_reads_a_long_journal_at_once() -> None:
    with two_workers(journal_entries=20_000, journal_bytes=1 << 30, journals_total=1 << 31) as pair:
        assert pair[0].chat("Again and again").status_code == 200
        assert list_journal(pair[1]) == ([1], 1, 1)
        fill(pair.store, 9000)
        with Worker(pair.settings) as fresh:
            for each in (fresh, pair[1]):
                assert list_journal(each, 3) == ([9000, 8999, 8998], 9000, 9000)
                assert each.control("GET", "journal/1")["number"] == 1
            assert fresh.chat("One more").status_code == 200
        assert list_journal(pair[1], 1) == ([9001], 9001, 9001)


def fill(store: Store, count: int) -> None:
    """Have the only entry of the journal so many times."""
    (name,) = [name for name in store.list_keys() if name.endswith(":journal")]
    ((_, fields),) = store.db.xrange(store.name(name))
    with store.db.pipeline(transaction=False) as pipe:
        for number in range(2, count + 1):
            pipe.xadd(store.name(name), fields, f"0-{number}")
        pipe.execute()


# --- secrets

RIGHT = {"openai": "sk-nex-demo-every-model", "console": "nex-console-tech"}
WRONG = (
    "sk-nex-wrong-secret-of-openai",
    "nex-console-wrong-token",
    "sk-ant-api03-wrongwrongwrongwrong",
    "AIzaSyWrongWrongWrongWrongWrongWrong123",
    "plain-password-of-nobody",
)
"""Credentials that open nothing. The last one has no form by which it could be found."""
PROMPTED = "sk-proj-abcdefghijklmnopqrstuvwxyz012345"
"""A key of another maker, within prompts."""


def send_all_operations(port: int) -> None:
    """Call each operation with right and with wrong credentials."""
    for operation in OPERATIONS:
        raw = build_call(operation)
        ask(port, raw)
        for secret in WRONG:
            wrong = raw
            for right in RIGHT.values():
                wrong = wrong.replace(right.encode(), secret.encode())
            ask(port, wrong)


def present_credential(worker: Worker, secret: str) -> None:
    """Present a credential in all places where a client may."""
    basic = base64.b64encode(f"user:{secret}".encode()).decode()
    for headers in (
        {"authorization": f"Bearer {secret}"},
        {"authorization": f"Basic {basic}"},
        {"authorization": secret},
        {"x-api-key": secret},
        {"x_goog_api_key": secret},
        {"cookie": f"session={secret}"},
    ):
        worker.ask("GET", "/v1/models", None, **headers)
        worker.ask("GET", f"/v1/no/such/path/{secret}", None, **headers)
        worker.ask("POST", "/v1/messages", {"model": f"of {secret}"}, **headers)
        worker.ask("POST", "/v1/chat/completions", {"model": secret, "messages": secret}, **headers)
        worker.ask("GET", f"/api/v1/gateway/keys/{secret}", None, **headers)
        worker.ask("DELETE", f"/v1/models/{secret}", None, x_mock_scenario=f"no such {secret}", **headers)
    worker.ask("POST", f"/v1beta/models/gemini-2.5-flash:generateContent?key={secret}", {"contents": [{"parts": []}]})


def make_secrets(worker: Worker) -> list[str]:
    """Make a key, rotate and use it; return its secrets."""
    made = worker.ask("POST", "/api/v1/gateway/keys", {"name": "Mine", "rpm_limit": 1}, **TECH).json()
    rotated = worker.ask("PUT", f"/api/v1/gateway/keys/{made['id']}/rotate", {}, **TECH).json()
    secrets = [made["key"], rotated["key"]]
    for secret in secrets * 2:
        worker.chat("Hello", key=secret)
        worker.chat("Hello", key=secret, x_mock_scenario="cut")
    return secrets


def prompt(worker: Worker) -> None:
    """Ask with a key in the prompt, plainly, streamed, near a rule, and beyond what is kept."""
    worker.control("POST", "rules", {"id": "near", "when": {"text": "never", "model": "gpt-5.4"}, "then": {"delay": 0}})
    for text in (f"My key is {PROMPTED}.", f"{KIB * 80} {PROMPTED} {KIB * 80}", f"Reply with exactly: {PROMPTED}"):
        worker.chat(text)
        body = {"model": "gpt-5.4", "messages": [{"role": "user", "content": text}], "stream": True}
        for scenario in ("", "cut"):
            headers = {"authorization": f"Bearer {RIGHT['openai']}", "x-mock-scenario": scenario}
            ask(
                worker.server.port,
                build_request("/v1/chat/completions", body, headers=headers if scenario else headers | {}),
            )


def sign_wrongly(worker: Worker) -> None:
    """Sign with a wrong secret, and as an unknown key."""
    console = Console(worker.server.url)
    for access in ((OTHER_ACCESS[0], WRONG[-1]), (WRONG[0], OTHER_ACCESS[1])):
        assert console.send_signed("logs", access=access).status_code == 403
    console.http.close()


@pytest.fixture
def store() -> Iterator[str]:
    """A store whose commands can be watched."""
    with running_redis() as url:
        yield url


def read_value(db: redis.Redis, name: bytes) -> bytes:
    """Return a key and its value as bytes in which each text stands in clear."""
    read = {
        b"string": db.get,
        b"hash": db.hgetall,
        b"list": lambda name: db.lrange(name, 0, -1),
        b"set": db.smembers,
        b"zset": lambda name: db.zrange(name, 0, -1),
        b"stream": db.xrange,
    }
    return name + repr(read[db.type(name)](name)).encode()


def watch(url: str) -> socket.socket:
    """Return a connection on which the store tells each command that it gets."""
    place = urlsplit(url)
    connection = socket.create_connection((place.hostname or "", place.port or 0), timeout=1)
    connection.sendall(b"MONITOR\r\n")
    return connection


def read_all(connection: socket.socket) -> bytes:
    """Return what has come on a connection."""
    pieces = []
    with connection:
        try:
            while data := connection.recv(1 << 20):
                pieces.append(data)
        except TimeoutError:
            return b"".join(pieces)
    raise AssertionError


def test_nothing_secret_reaches_the_store(store: str) -> None:
    with two_workers(store, extensions=EXTENSIONS) as pair:
        one, other = pair
        connection = watch(store)
        secrets = [*WRONG, PROMPTED, *RIGHT.values(), "aione-mock-access-secret"]
        secrets += [each["secret"] for each in one.control("GET", "credentials")["items"]]
        send_all_operations(one.server.port)
        secrets += make_secrets(other)
        for secret in WRONG:
            present_credential(other, secret)
        prompt(one)
        sign_wrongly(one)
        assert other.control("GET", "journal")["total"] > 200
        stored = b"\n".join(read_value(pair.store.db, name) for name in pair.store.db.scan_iter("*", 1000))
        sent = read_all(connection)
    assert len(sent) > len(stored) > 100_000
    variants = {form for secret in secrets for form in (secret.encode(), base64.b64encode(f"user:{secret}".encode()))}
    for text in (stored, sent):
        found = {form: text[max(0, text.find(form) - 200) : text.find(form) + 100] for form in variants if form in text}
        assert not found
