"""The kit for test suites: a mock server, a session for each test, and assertions about the calls it received.

mock_server        run a mock inside a `with` block, in any test runner
assert_resilient   run client code under faults and check what it does
MockServer         the value of the fixture `aione_mock_server`
MockSession        the value of the fixture `aione_mock`
RecordedCall       an element of `calls`
SessionOptions     what the marker and `session()` accept
start_server       start a mock in this process
connect_to_server  use a mock that is already running

Each name is loaded when it is first used, because pytest imports this package in every run of every suite.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aione_mock.testing.calls import RecordedCall
    from aione_mock.testing.options import SessionOptions
    from aione_mock.testing.resilience.assertion import assert_resilient
    from aione_mock.testing.servers import MockServer, connect_to_server, mock_server, start_server
    from aione_mock.testing.session import MockSession
else:
    _MODULES = {
        "MockServer": "servers",
        "MockSession": "session",
        "RecordedCall": "calls",
        "SessionOptions": "options",
        "assert_resilient": "resilience.assertion",
        "connect_to_server": "servers",
        "mock_server": "servers",
        "start_server": "servers",
    }

    def __getattr__(name: str) -> object:
        if name in _MODULES:
            return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "MockServer",
    "MockSession",
    "RecordedCall",
    "SessionOptions",
    "assert_resilient",
    "connect_to_server",
    "mock_server",
    "start_server",
]
