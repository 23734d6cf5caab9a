"""What the pipeline does beside answering: times, counts and memory."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import httpx2
import pytest

from aione_mock import create_app
from aione_mock.clock import parse_instant
from aione_mock.server.http import Server
from tests.conftest import KEY, NOW

CHAT = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Why do cats purr?"}]}
HEADERS = {"authorization": f"Bearer {KEY}"}


@pytest.fixture
def fresh() -> Any:
    with Server(create_app(now=parse_instant(NOW))) as server:
        yield server


def test_a_request_without_an_operation_is_logged_with_its_time(fresh: Server) -> None:
    for method, path, status in (("GET", "/nowhere", 404), ("DELETE", "/v1/models", 405)):
        assert httpx2.request(method, fresh.url + path).status_code == status
    logged = httpx2.get(f"{fresh.url}/_mock/journal").json()["items"]
    assert [entry["at"][:19] + "Z" for entry in logged] == [NOW, NOW]


class NoRecording:
    """A cassette that has no recording of any request."""

    only = False

    async def answer(self, call: object, store: object) -> None:
        """Find nothing."""


def test_a_request_that_was_never_recorded_is_counted_once(fresh: Server) -> None:
    fresh.app.sessions.get("default").replay = NoRecording()
    for occurrence in ("1", "2"):
        answer = httpx2.post(f"{fresh.url}/v1/chat/completions", json=CHAT, headers={**HEADERS, "x-mock-explain": "1"})
        assert (answer.status_code, answer.headers["x-mock-occurrence"]) == (200, occurrence)


def test_a_deleted_session_leaves_no_reference_cycle(fresh: Server) -> None:
    gc.disable()
    try:
        httpx2.post(f"{fresh.url}/_session/short/v1/chat/completions", json=CHAT, headers=HEADERS)
        journal = weakref.ref(fresh.app.sessions.find("short").journal)
        assert journal() is not None
        assert httpx2.delete(f"{fresh.url}/_mock/sessions/short").status_code == 204
        assert journal() is None
    finally:
        gc.enable()
