"""The control API's protocol: `{"error": {"name", "message"}}`."""

from __future__ import annotations

from aione_mock.contract import ErrorSpec
from aione_mock.errors import APIError
from aione_mock.types import Json


def render_error(spec: ErrorSpec, error: APIError, request_id: str) -> Json:
    """Return the error's name and a sentence that says what to do."""
    return {"error": {**spec.body["error"], "name": spec.name, "message": error.message}}
