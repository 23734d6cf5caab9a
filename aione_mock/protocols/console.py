"""The console's spelling: FastAPI's error envelope.

Source: FastAPI documentation, "Handling Errors"; AIone schema list (HTTPValidationError, ValidationError).
"""

from __future__ import annotations

from typing import Any

from aione_mock.contract import ErrorSpec
from aione_mock.errors import APIError


def error(spec: ErrorSpec, failure: APIError, request_id: str) -> Any:
    """`{"detail": "…"}`, or with 422 all findings of a validation, be it only one that no schema made."""
    if spec.status != 422:
        return {"detail": failure.message}
    # what is named without a finding is a header of the mock's own
    place = ["header", failure.fields["param"]] if "param" in failure.fields else ["body"]
    own = {"loc": place, "msg": failure.message, "type": "value_error"}
    return {"detail": list(failure.findings) or [own]}
