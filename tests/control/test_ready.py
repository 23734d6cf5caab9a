"""`GET /_mock/ready`: what load balancers ask, and what they are told while a server cannot answer calls."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from aione_mock.server.app import Mock, create_app
from aione_mock.server.http import Server
from tests.redis_server import find_free_port, start_redis, stop_redis
from tests.timing import wait_until

from .conftest import Client

PATH = "/_mock/ready"


@pytest.fixture
def mock() -> Mock:
    return create_app(seed="7", control_token="t0ken")


@pytest.fixture
def client(mock: Mock) -> Iterator[Client]:
    with Server(mock) as server, Client(base_url=server.url) as client:
        yield client


def test_a_mock_that_serves_is_ready_without_a_token_a_session_or_an_entry(mock: Mock, client: Client) -> None:
    answer = client.get(PATH, headers={"x-mock-session": "another"})
    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})
    assert "another" not in [session.name for session in mock.sessions]
    assert mock.pipeline.state.statistics.requests == 0
    assert len(mock.sessions.default.journal) == 0


def test_a_store_that_does_not_answer_is_named(mock: Mock, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail() -> str | None:
        return "The store does not answer."

    monkeypatch.setattr(mock.pipeline.state, "check_store", fail)
    answer = client.get(PATH)
    assert answer.status_code == 503
    assert answer.json() == {"error": {"name": "not_ready", "message": "The store does not answer."}}
    assert answer.headers["retry-after"] == "1"
    assert client.get("/_mock/health").status_code == 200
    monkeypatch.undo()
    assert client.get(PATH).status_code == 200


def test_a_store_that_comes_back_is_used_again(tmp_path: Path) -> None:
    port = find_free_port()
    redis = start_redis(port, tmp_path)
    try:
        mock = create_app(store=f"redis://127.0.0.1:{port}/0", store_timeout=0.5)
        with Server(mock) as server, Client(base_url=server.url) as client:
            assert client.get(PATH).json() == {"status": "ready"}
            stop_redis(redis)
            answer = client.get(PATH)
            assert (answer.status_code, answer.json()["error"]["name"]) == (503, "not_ready")
            assert "store" in answer.json()["error"]["message"]
            assert client.get("/_mock/health").status_code == 200
            redis = start_redis(port, tmp_path)
            assert wait_until(lambda: client.get(PATH).status_code == 200)
            assert client.chat().status_code == 200
    finally:
        stop_redis(redis)


def test_a_mock_that_drains_is_not_ready(mock: Mock, client: Client) -> None:
    mock.set_draining(True)
    answer = client.get(PATH)
    assert (answer.status_code, answer.json()["error"]["message"]) == (503, "The mock is shutting down.")


def test_a_mock_that_is_served_again_is_ready(mock: Mock) -> None:
    for _ in range(2):
        with Server(mock) as server, Client(base_url=server.url) as client:
            assert client.get(PATH).status_code == 200
