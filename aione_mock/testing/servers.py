"""Mock servers for tests, in this process or elsewhere, and the sessions on them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Literal

import orjson

from aione_mock.clock import parse_instant
from aione_mock.errors import ConfigError
from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.settings import MEMORY, Settings, parse_extensions
from aione_mock.testing.control_client import ControlClient, InProcessControlClient
from aione_mock.testing.options import DEFAULT_NOW, SessionOptions
from aione_mock.testing.session import MockSession
from aione_mock.types import Json

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_MAX_NAME_CHARS = 63


class MockServer:
    """Create sessions on a mock server. A context manager that stops the server if it runs in this process."""

    def __init__(
        self,
        control: ControlClient,
        *,
        seed: int | str | None = None,
        label: str = "",
        start: Callable[..., ControlClient] | None = None,
    ) -> None:
        """`start` starts another server with settings such as `models`; None if the server is not of this process."""
        self._control, self._seed, self._label, self._start = control, seed, label, start
        self._numbers = count(1)
        self._others: dict[bytes, ControlClient] = {}

    @property
    def url(self) -> str:
        """The server's root, without a trailing slash; calls to it belong to the session `default`."""
        return self._control.url

    def session(
        self, name: str = "test", *, folder: Path = Path(), api_key: str | None = None, **options: Any
    ) -> MockSession:
        """Return a new session, to be opened by `with`: `with server.session(seed=7) as mock`.

        `name` makes it recognizable, `folder` is where relative paths of `rules` start, `api_key` replaces the usual
        key of its clients. Sessions with `models`, `keys` or `world` are on another server, one for all that have the
        same. Raises TypeError for an option that does not exist, and ConfigError for one that cannot be used.
        """
        parsed = SessionOptions.parse("session()", {"seed": self._seed, **options})
        return self._make_session(name, parsed, folder, api_key)

    def _make_session(self, name: str, options: SessionOptions, folder: Path, api_key: str | None) -> MockSession:
        control = self._find_server(options.to_settings(folder))
        return MockSession(control, self._make_unique_name(name), options, folder, api_key, self._make_session)

    def _find_server(self, settings: dict[str, Json]) -> ControlClient:
        """Return the server with these models and organisations; start it if there is none."""
        if not settings:
            return self._control
        if self._start is None:
            names = " and ".join(settings)
            raise ConfigError(f"{names} cannot change on the mock at {self.url}; start that one with them")
        key = orjson.dumps(settings, option=orjson.OPT_SORT_KEYS, default=str)
        if key not in self._others:
            self._others[key] = self._start(**settings)
        return self._others[key]

    def _make_unique_name(self, name: str) -> str:
        """Return a name that no other session has, not even on a shared server."""
        tail = "-".join(filter(None, [self._label, str(next(self._numbers))]))
        head = _NOT_IN_NAMES.sub("-", name)[: _MAX_NAME_CHARS - len(tail)].strip("-._") or "test"
        return f"{head}-{tail}"

    def close(self) -> None:
        """Stop the server, unless it runs elsewhere."""
        for server in (self._control, *self._others.values()):
            server.close()

    def __enter__(self) -> MockServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def start_server(
    *, seed: int | str | None = None, auth: Literal["keys", "any"] = "keys", extensions: Iterable[str] = ()
) -> MockServer:
    """Start a server in a thread of this process, on a free port, with a frozen clock.

    `extensions` are those of `serve --with`. Raises ConfigError for one that does not exist.
    """
    base: dict[str, Any] = {
        "seed": "0" if seed is None else str(seed),
        "auth": auth,
        "now": parse_instant(DEFAULT_NOW),
        "extensions": parse_extensions(extensions),
        "store": MEMORY,  # the fixture looks into its process
        "workers": 1,
    }

    def start(**settings: Any) -> ControlClient:
        app = create_app(Settings(**base, **settings))
        return InProcessControlClient(app, Server(app).start())

    return MockServer(start(), start=start)


def connect_to_server(url: str, *, seed: int | str | None = None, label: str) -> MockServer:
    """Use the server that runs at `url`; `label` keeps its sessions apart from those of its other users.

    Raises ConfigError if no mock answers there.
    """
    from aione_mock.testing.http_control_client import HttpControlClient

    return MockServer(HttpControlClient(url), seed=seed, label=label)


@contextmanager
def mock_server(url: str | None = None, *, extensions: Iterable[str] = (), **options: Any) -> Iterator[MockSession]:
    """Open a session on a new mock server, or on the one at `url`.

    `extensions` are those of `serve --with`, for a new server. `options` are those of `SessionOptions`; `reset()`
    starts over between tests. Raises ConfigError for an extension that does not exist.
    """
    SessionOptions.parse("mock_server()", options)
    server = connect_to_server(url, label="own") if url else start_server(extensions=extensions)
    with server, server.session(**options) as session:
        yield session
