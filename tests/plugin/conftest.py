"""pytest within pytest."""

from __future__ import annotations

# What a run inside the process imports is forgotten after it, and extension modules cannot be loaded twice.
import anthropic  # noqa: F401
import httpcore2  # noqa: F401
import openai  # noqa: F401
import pytest


@pytest.fixture(autouse=True)
def _leave_out_slow_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run in a process of its own would take two seconds to import plugins that it does not use."""
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:schemathesis -p no:langsmith_plugin")
