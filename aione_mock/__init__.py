"""A mock and contract kit for the AIone LLM gateway.

    server            a mock for the length of a `with`, in any test runner
    assert_resilient  run client code against faults and judge it

Both are loaded when they are first named, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aione_mock.testing import assert_resilient as assert_resilient
    from aione_mock.testing import server as server


def __getattr__(name: str) -> Any:
    if name == "server":  # the module, which can be called
        return import_module("aione_mock.server")
    if name == "assert_resilient":
        return import_module("aione_mock.testing").assert_resilient
    raise AttributeError(f"module 'aione_mock' has no attribute '{name}'")
