"""For other people's test suites: a mock, a session for each test, and the vocabulary of both.

mock_server       a mock for the length of a `with`, in any test runner
assert_resilient  run client code against faults and judge it
MockServer        what the fixture `aione_mock_server` is
MockSession       what the fixture `aione_mock` is
RecordedCall      what `calls` and `last_call` hold
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aione_mock.testing.calls import RecordedCall
from aione_mock.testing.options import Options
from aione_mock.testing.resilience.assertion import assert_resilient
from aione_mock.testing.servers import MockServer, reach, start
from aione_mock.testing.session import MockSession

__all__ = ["MockServer", "MockSession", "Options", "RecordedCall", "assert_resilient", "mock_server", "reach", "start"]


@contextmanager
def mock_server(url: str | None = None, **options: Any) -> Iterator[MockSession]:
    """A session on a mock of its own, or on the one at `url`.

    `options` are `seed`, `scenario`, `rules`, `pace` and `now`; `reset()` starts over between tests.
    """
    Options.of("mock_server()", options)
    with reach(url, label="own") if url else start() as running, running.session(**options) as session:
        yield session
