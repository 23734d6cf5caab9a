"""A client of a session of the test's own, and calls to talk about."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from aione_mock.server.http import Server
from tests.timing import PATIENCE

KEY = "sk-nex-demo-every-model"


class Client(httpx2.Client):
    """A client of the control API; `chat` calls a model."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"timeout": PATIENCE, **options})

    def chat(self, text: str = "Hello", *, key: str = KEY, **body: Any) -> httpx2.Response:
        """Request one chat completion."""
        body = {"model": "gpt-5.4", "messages": [{"role": "user", "content": text}], **body}
        headers = {"authorization": f"Bearer {key}", **body.pop("headers", {})}
        return self.post("/v1/chat/completions", json=body, headers=headers)

    def ok(self, method: str, path: str, json: Any = None, **params: Any) -> Any:
        """Return the JSON of a response that must be a success."""
        answer = self.request(method, f"/_mock/{path}", json=json, params=params or None)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def read_error(self, method: str, path: str, json: Any = None, **params: Any) -> tuple[int, str]:
        """Return status and message of a response that must be an error."""
        answer = self.request(method, f"/_mock/{path}", json=json, params=params or None)
        assert answer.is_error, answer.text
        return answer.status_code, answer.json()["error"]["message"]


@pytest.fixture
def api(session_url: str) -> Iterator[Client]:
    """Return a client whose base URL names a session of the test's own."""
    with Client(base_url=session_url) as client:
        yield client


@pytest.fixture
def root(server: Server) -> Iterator[Client]:
    """Return a client of the server itself."""
    with Client(base_url=server.url) as client:
        yield client


@pytest.fixture
def name(session_url: str) -> str:
    """Return the name of the test's session."""
    return session_url.rpartition("/")[2]
