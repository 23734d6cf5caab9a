"""The control API's spelling: `{"error": {"name", "message"}}`."""

from __future__ import annotations

from typing import Any

from aione_mock.contract import ErrorSpec
from aione_mock.errors import APIError


def error(spec: ErrorSpec, failure: APIError, request_id: str) -> Any:
    """The name that the mock gives the error, and a sentence that says what to do."""
    return {"error": {**spec.body["error"], "name": spec.name, "message": failure.message}}
