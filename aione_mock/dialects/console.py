"""The console's spelling: FastAPI's error envelope.

Source: FastAPI documentation, "Handling Errors"; AIone schema list (HTTPValidationError, ValidationError).
"""

from __future__ import annotations

from typing import Any

from aione_mock.contract import ErrorSpec
from aione_mock.exceptions import APIError


def error(spec: ErrorSpec, failure: APIError, request_id: str) -> Any:
    """`{"detail": "…"}`, or all findings of a validation."""
    return {"detail": list(failure.findings) if failure.findings and spec.status == 422 else failure.message}
