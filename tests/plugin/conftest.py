"""pytest within pytest."""

from __future__ import annotations

# What a run inside the process imports is forgotten after it, and extension modules cannot be loaded twice.
import anthropic  # noqa: F401
import httpcore2  # noqa: F401
import openai  # noqa: F401
