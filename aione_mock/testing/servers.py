"""A mock server for tests, in this process or elsewhere, and the sessions on it."""

from __future__ import annotations

import re
from itertools import count
from pathlib import Path
from typing import Any

from aione_mock.clock import parse_instant
from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings
from aione_mock.tenant.organisation_file import list_credentials
from aione_mock.testing.control_client import Channel, Direct
from aione_mock.testing.options import NOW, Options
from aione_mock.testing.session import MockSession

_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")


class MockServer:
    """Hands out sessions. A context manager that ends the server, if it is its own."""

    def __init__(self, channel: Channel, server: Server | None = None, *, seed: int | str | None, label: str) -> None:
        self._channel, self._server, self._seed, self._label = channel, server, seed, label
        self._numbers = count(1)
        self._credentials = list_credentials()

    @property
    def url(self) -> str:
        """The server's root, without a slash at the end; calls to it belong to the session `default`."""
        return self._channel.url

    def session(
        self, name: str = "test", *, folder: Path = Path(), api_key: str | None = None, **options: Any
    ) -> MockSession:
        """A session of its own, open from `with` on: `with server.session(seed=7) as mock`.

        `name` helps to recognise it, `folder` is where relative paths of `rules` start, `api_key` is what clients are
        given in place of the usual key. Raises TypeError for an option that does not exist.
        """
        wanted = Options.of("session()", {"seed": self._seed, **options})
        return MockSession(self._channel, self._free(name), wanted, self._credentials, folder, api_key)

    def _free(self, name: str) -> str:
        """A name that no other session has, on a shared server too."""
        tail = "-".join(filter(None, [self._label, str(next(self._numbers))]))
        head = _UNFIT.sub("-", name)[: 63 - len(tail)].strip("-._") or "test"
        return f"{head}-{tail}"

    def close(self) -> None:
        """End the server, unless it runs elsewhere."""
        self._channel.close()
        if self._server is not None:
            self._server.stop()

    def __enter__(self) -> MockServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def start(*, seed: int | str | None = None, auth: str = "keys") -> MockServer:
    """A server in a thread of this process, on a free port, whose clock stands still."""
    config = Settings(
        seed="0" if seed is None else str(seed), auth="any" if auth == "any" else "keys", now=parse_instant(NOW)
    )
    app = create_app(config)
    running = Server(app).start()
    return MockServer(Direct(app.pipeline, running.url), running, seed=None, label="")


def reach(url: str, *, seed: int | str | None = None, label: str) -> MockServer:
    """A server that runs at `url`; `label` sets the sessions apart from those of others who use it.

    Raises ConfigError when no mock answers there.
    """
    from aione_mock.testing.http_control_client import Remote

    return MockServer(Remote(url), seed=seed, label=label)
