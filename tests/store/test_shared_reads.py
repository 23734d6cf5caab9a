"""What one worker reads for several calls at once, and what it keeps of sessions that end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from aione_mock.clock import parse_instant
from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from tests.conftest import KEY, NOW
from tests.redis_server import running_redis

CONSOLE = {"authorization": "Bearer nex-console-demo"}
ASKED = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Why do cats purr?"}]}


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    with running_redis() as url:
        yield url


@pytest.fixture
def workers(store: str, request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """The addresses of two workers with a state of their own."""
    name = request.node.name[:60]
    apps = [create_app(now=parse_instant(NOW), store=store, store_prefix=name) for _ in range(2)]
    with Server(apps[0]) as one, Server(apps[1]) as other:
        yield one.url, other.url


def chat(url: str, key: str = KEY, **headers: str) -> int:
    head = {"authorization": f"Bearer {key}", **headers}
    return httpx2.post(f"{url}/v1/chat/completions", json=ASKED, headers=head).status_code


def read(url: str, path: str) -> Any:
    return httpx2.get(url + path).json()


def at_once(count: int, do: Callable[[], Any]) -> None:
    threads = [threading.Thread(target=do) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_reads_at_the_same_time_show_each_call_once(workers: tuple[str, str]) -> None:
    one, other = workers
    for _ in range(8):
        assert chat(other) == 200
    at_once(12, lambda: read(one, "/_mock/journal?limit=50"))
    for url in workers:
        shown = read(url, "/_mock/journal?limit=50")
        assert (len(shown["items"]), shown["total"]) == (8, 8)
        assert [item["number"] for item in shown["items"]] == list(range(8, 0, -1))


def test_sums_read_at_the_same_time_count_each_call_once(workers: tuple[str, str]) -> None:
    one, other = workers
    secrets = {each["label"]: each["secret"] for each in read(one, "/_mock/credentials")["items"]}
    token = next(secret for label, secret in secrets.items() if secret.startswith("nex-console"))
    day = NOW[:10]
    url = f"/api/v1/obs/usage?start_date={day}&end_date={day}&group_by=model"

    def sum_calls(base: str) -> int:
        answer = httpx2.get(base + url, headers={"authorization": f"Bearer {token}"})
        assert answer.status_code == 200, answer.text
        return sum(row["requests"] for row in answer.json())

    before = sum_calls(one)
    for _ in range(8):
        assert chat(other) == 200
    at_once(12, lambda: sum_calls(one))
    assert [sum_calls(each) - before for each in workers] == [8, 8]


def test_the_uptime_is_that_of_all_workers(store: str) -> None:
    options: Any = {"store": store, "store_prefix": "uptime", "now": parse_instant(NOW)}
    with Server(create_app(**options)) as one:
        assert chat(one.url) == 200
        time.sleep(1)
        with Server(create_app(**options)) as other:
            uptimes = [read(each.url, "/_mock/stats")["uptime_seconds"] for each in (one, other)]
            assert 1 <= uptimes[0] <= uptimes[1]
            assert read(other.url, "/_mock/health")["uptime_seconds"] < uptimes[1] - 0.9


def test_a_key_of_a_session_that_began_again_is_unknown_to_all_workers(workers: tuple[str, str]) -> None:
    one, other = workers
    secrets = {each["label"]: each["secret"] for each in read(one, "/_mock/credentials")["items"]}
    token = next(secret for label, secret in secrets.items() if secret.startswith("nex-console"))
    made = httpx2.post(
        f"{one}/api/v1/gateway/keys", json={"name": "mine"}, headers={"authorization": f"Bearer {token}"}
    ).json()
    assert [chat(one, made["key"]), chat(other, made["key"])] == [200, 200]
    assert httpx2.post(f"{other}/_mock/sessions/default/reset").status_code == 200
    httpx2.post(f"{other}/_mock/rules", json={"id": "one", "when": {"text": "never"}, "then": {"delay": 0}})
    assert [chat(one, made["key"]), chat(other, made["key"])] == [401, 401]


def test_a_store_that_lost_its_data_begins_anew_for_all_workers(workers: tuple[str, str], store: str) -> None:
    import redis

    one, other = workers
    for url in (one, other, one):
        assert chat(url) == 200
    assert read(one, "/_mock/journal")["total"] == 3
    with redis.Redis.from_url(store) as client:
        client.flushdb()
    assert [chat(other), chat(one)] == [200, 200]
    assert [read(each, "/_mock/journal")["total"] for each in workers] == [2, 2]
    assert [len(read(each, "/_mock/journal")["items"]) for each in workers] == [2, 2]
