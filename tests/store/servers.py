"""Run the tests of one server against several that share a store. `pytest --store NAME` chooses how.

memory  one server, its state in the process
front   the same, behind `tests.store.front`: what passes on memory has to pass here too
redis   two servers on one Redis, which answer in turn

Tests need not know: `install` replaces the class that they start servers with. A test that reaches into the process of
its server, where another server would see nothing of it, is skipped.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from typing import Any, NoReturn
from urllib.parse import urlsplit

import httpx2
import pytest

from aione_mock.clock import format_timestamp
from aione_mock.server import http
from aione_mock.server.app import Mock, create_app
from aione_mock.server.http import Server
from aione_mock.server.sessions import Session
from aione_mock.settings import MEMORY, Settings
from tests.redis_server import running_redis
from tests.store.front import Front
from tests.timing import PATIENCE

KEY = {"authorization": "Bearer sk-nex-demo-every-model"}
MODES = ("memory", "front", "redis")
_NUMBERS = itertools.count(1)
_ENDING = contextlib.ExitStack()
_SHARED: dict[str, str] = {}


def shared_redis() -> str:
    """Return the URL of the Redis of this test run, which `stop` ends."""
    if "url" not in _SHARED:
        _SHARED["url"] = _ENDING.enter_context(running_redis())
    return _SHARED["url"]


def new_prefix() -> str:
    """Return a prefix for keys that no other test uses."""
    return f"test-{os.getpid()}-{next(_NUMBERS)}"


@cache
def is_shared() -> bool:
    """Return whether servers put their state into a store that they are given."""
    prefix = new_prefix()
    with Server(create_app(Settings(store=shared_redis(), store_prefix=prefix))) as server:
        assert httpx2.get(f"{server.url}/v1/models", headers=KEY, trust_env=False).is_success
    url = urlsplit(shared_redis())
    with socket.create_connection((url.hostname or "", url.port or 0), timeout=PATIENCE) as connection:
        connection.sendall(b"DBSIZE\r\n")
        return connection.recv(64) != b":0\r\n"


def require_store() -> None:
    """Skip a test of the store as long as there is none."""
    if not is_shared():
        pytest.skip("the store is not there yet")


def install(mode: str) -> None:
    """Let all servers of tests be those of a mode."""
    if mode != "memory":
        AlternatingServer.shared = mode == "redis"
        http.Server = AlternatingServer  # type: ignore[assignment,misc]


def stop() -> None:
    """Stop the Redis of this test run."""
    _ENDING.close()


def skip_reaching(name: str) -> NoReturn:
    """Skip a test that reaches into the process of its server."""
    pytest.skip(f"reaches into the process of its server, for `{name}`")


class AlternatingServer:
    """In place of `aione_mock.server.http.Server`: servers like the one that is asked for, which answer in turn."""

    shared = True
    """Whether there are two on one Redis; otherwise the only one keeps its state in memory."""

    def __new__(cls, app: Any, host: str = "127.0.0.1", port: int = 0, **options: Any) -> Any:
        """Return a plain server for a mock inside another application, on a store of its own, or on TLS."""
        plain = type(app) is Mock and app.direct is not None and app.pipeline.settings.store == MEMORY
        if not plain or "ssl_context_factory" in options:
            return Server(app, host, port, **options)
        return super().__new__(cls)

    def __init__(self, app: Mock, host: str = "127.0.0.1", port: int = 0, **options: Any) -> None:
        self._servers = [Server(each, **options) for each in (_share(app) if self.shared else [app])]
        self._front = Front([each.port for each in self._servers], host, port)
        self.host, self.port, self.url = host, self._front.port, f"http://{host}:{self._front.port}"
        self.app = RemoteMock(app, self.url)
        self._ending = contextlib.ExitStack()

    def start(self) -> AlternatingServer:
        """Start all servers."""
        for each in (*self._servers, self._front):
            self._ending.enter_context(each)
        return self

    def stop(self) -> None:
        """Stop all servers."""
        self._ending.close()

    def run(self, _: Any) -> NoReturn:
        """Skip the test."""
        _.close()
        skip_reaching("server.run")

    def __enter__(self) -> AlternatingServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def _share(app: Mock) -> Iterator[Mock]:
    """Yield two mocks with the settings of another, on one Redis."""
    given = {"store": shared_redis(), "store_prefix": new_prefix()}
    for _ in range(2):
        yield create_app(app.pipeline.settings.model_copy(update=given))


class RemoteMock:
    """In place of the `Mock` of a server: its contract, and the sessions that the control API shows."""

    def __init__(self, app: Mock, url: str) -> None:
        self.contract, self.sessions = app.contract, RemoteSessions(app, url)

    def __getattr__(self, name: str) -> NoReturn:
        skip_reaching(f"app.{name}")

    async def __call__(self, *_: object) -> None:
        """Skip the test."""
        skip_reaching("app()")


class RemoteSessions:
    """In place of `Sessions`."""

    def __init__(self, app: Mock, url: str) -> None:
        self._local, token = app.sessions, app.pipeline.settings.control_token
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self._http = httpx2.Client(base_url=url, headers=headers, timeout=PATIENCE, trust_env=False)

    def __getattr__(self, name: str) -> NoReturn:
        skip_reaching(f"app.sessions.{name}")

    def __len__(self) -> int:
        return int(self._call("GET", "sessions").json()["total"])

    def create(self, name: str, **options: Any) -> RemoteSession:
        """Create a session in place of one of the same name."""
        if options.keys() - {"seed", "now", "frozen"}:
            skip_reaching(f"app.sessions.create({', '.join(options)})")
        self.delete(name)
        local = self._local.make(name, **options)
        if now := options.get("now"):
            options["now"] = format_timestamp(now.timestamp())
        answer = self._call("POST", "sessions", {"name": name, **options})
        assert answer.is_success, answer.text
        return RemoteSession(self, local)

    def delete(self, name: str) -> None:
        """Delete a session, if there is one."""
        answer = self._call("DELETE", f"sessions/{name}")
        assert answer.status_code in (204, 404), answer.text

    def get(self, name: str = "default") -> RemoteSession:
        """Return a session, which its first call creates."""
        return RemoteSession(self, self._local.make(name))

    def call(self, session: str, method: str, path: str, body: Any = None) -> Any:
        """Return the answer of the control API to a call in a session."""
        answer = self._call(method, path, body, session=session)
        assert answer.is_success, answer.text
        return answer.json()

    def _call(self, method: str, path: str, body: Any = None, *, session: str = "") -> httpx2.Response:
        headers = {"x-mock-session": session} if session else {}
        return self._http.request(method, f"/_mock/{path}", json=body, headers=headers)


class RemoteSession:
    """In place of `Session`. What no call changes is that of a session in this process."""

    def __init__(self, sessions: RemoteSessions, local: Session) -> None:
        values = {"name": local.name, "clock": RemoteClock(sessions, local.name)}
        self.__dict__.update(values, tenants=local.tenants, catalogue=local.catalogue)

    def __getattr__(self, name: str) -> NoReturn:
        skip_reaching(f"session.{name}")

    def __setattr__(self, name: str, value: object) -> None:
        skip_reaching(f"session.{name}")


class RemoteClock:
    """In place of the `Clock` of a session."""

    def __init__(self, sessions: RemoteSessions, session: str) -> None:
        self._sessions, self._session = sessions, session

    def __getattr__(self, name: str) -> NoReturn:
        skip_reaching(f"session.clock.{name}")

    def timestamp(self) -> float:
        """Return Unix seconds."""
        return float(self._sessions.call(self._session, "GET", "clock")["timestamp"])

    def advance(self, seconds: float) -> None:
        """Move the clock."""
        self._sessions.call(self._session, "POST", "clock", {"advance": seconds})

    def set(self, at: datetime) -> None:
        """Set the clock."""
        self._sessions.call(self._session, "POST", "clock", {"set": format_timestamp(at.timestamp())})
