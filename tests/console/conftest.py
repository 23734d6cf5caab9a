"""A console client for each test, in a session of its own."""

from __future__ import annotations

import pytest

from aione_mock.server.http import Server
from aione_mock.server.sessions import Session

from .client import Console


@pytest.fixture
def console(server: Server, session_url: str) -> Console:
    """Return a client of the test's session, whose clock is frozen."""
    return Console(server.url, session_url.rpartition("/")[2])


@pytest.fixture
def session(server: Server, session_url: str) -> Session:
    """Return the same session as the server holds it."""
    found: Session = server.app.sessions.get(session_url.rpartition("/")[2])
    return found
