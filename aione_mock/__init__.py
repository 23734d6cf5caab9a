"""A mock and contract kit for the AIone LLM gateway.

Each public name is loaded when it is first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aione_mock.server.app import create_app
    from aione_mock.settings import Settings
    from aione_mock.testing import MockServer, MockSession, assert_resilient, mock_server
else:
    _MODULES = {
        "MockServer": "aione_mock.testing",
        "MockSession": "aione_mock.testing",
        "Settings": "aione_mock.settings",
        "assert_resilient": "aione_mock.testing",
        "create_app": "aione_mock.server.app",
        "mock_server": "aione_mock.testing",
    }

    def __getattr__(name: str) -> object:
        if name in _MODULES:
            return getattr(import_module(_MODULES[name]), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["MockServer", "MockSession", "Settings", "assert_resilient", "create_app", "mock_server"]
