"""Mock servers for tests, in this process or elsewhere, and the sessions on them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Literal

from aione_mock.clock import parse_instant
from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings
from aione_mock.testing.control_client import ControlClient, InProcessControlClient
from aione_mock.testing.options import DEFAULT_NOW, SessionOptions
from aione_mock.testing.session import MockSession

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_MAX_NAME_CHARS = 63


class MockServer:
    """Create sessions on a mock server. A context manager that stops the server if it runs in this process."""

    def __init__(self, control: ControlClient, *, seed: int | str | None = None, label: str = "") -> None:
        self._control, self._seed, self._label = control, seed, label
        self._numbers = count(1)

    @property
    def url(self) -> str:
        """The server's root, without a trailing slash; calls to it belong to the session `default`."""
        return self._control.url

    def session(
        self, name: str = "test", *, folder: Path = Path(), api_key: str | None = None, **options: Any
    ) -> MockSession:
        """Return a new session, to be opened by `with`: `with server.session(seed=7) as mock`.

        `name` makes it recognizable, `folder` is where relative paths of `rules` start, `api_key` replaces the usual
        key of its clients. Raises TypeError for an option that does not exist.
        """
        parsed = SessionOptions.parse("session()", {"seed": self._seed, **options})
        return MockSession(self._control, self._unique_name(name), parsed, folder, api_key)

    def _unique_name(self, name: str) -> str:
        """Return a name that no other session has, not even on a shared server."""
        tail = "-".join(filter(None, [self._label, str(next(self._numbers))]))
        head = _NOT_IN_NAMES.sub("-", name)[: _MAX_NAME_CHARS - len(tail)].strip("-._") or "test"
        return f"{head}-{tail}"

    def close(self) -> None:
        """Stop the server, unless it runs elsewhere."""
        self._control.close()

    def __enter__(self) -> MockServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def start_server(*, seed: int | str | None = None, auth: Literal["keys", "any"] = "keys") -> MockServer:
    """Start a server in a thread of this process, on a free port, with a frozen clock."""
    app = create_app(Settings(seed="0" if seed is None else str(seed), auth=auth, now=parse_instant(DEFAULT_NOW)))
    return MockServer(InProcessControlClient(app, Server(app).start()))


def connect_to_server(url: str, *, seed: int | str | None = None, label: str) -> MockServer:
    """Use the server that runs at `url`; `label` keeps its sessions apart from those of its other users.

    Raises ConfigError if no mock answers there.
    """
    from aione_mock.testing.http_control_client import HttpControlClient

    return MockServer(HttpControlClient(url), seed=seed, label=label)


@contextmanager
def mock_server(url: str | None = None, **options: Any) -> Iterator[MockSession]:
    """Open a session on a new mock server, or on the one at `url`.

    `options` are those of `SessionOptions`; `reset()` starts over between tests.
    """
    SessionOptions.parse("mock_server()", options)
    server = connect_to_server(url, label="own") if url else start_server()
    with server, server.session(**options) as session:
        yield session
