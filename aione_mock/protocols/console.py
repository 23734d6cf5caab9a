"""The console's protocol: FastAPI's error envelope.

Source: FastAPI documentation, "Handling Errors"; AIone schema list (HTTPValidationError, ValidationError).
"""

from __future__ import annotations

from aione_mock.contract import ErrorSpec
from aione_mock.errors import APIError
from aione_mock.types import Json


def render_error(spec: ErrorSpec, error: APIError, request_id: str) -> Json:
    """Return `{"detail": "…"}`; for 422, `detail` lists the violations."""
    if spec.status != 422:
        return {"detail": error.message}
    # an error that no validation found is about a header of the mock's own, if it names a parameter
    place = ["header", error.fields["param"]] if "param" in error.fields else ["body"]
    only = {"loc": place, "msg": error.message, "type": "value_error"}
    return {"detail": list(error.findings) or [only]}
