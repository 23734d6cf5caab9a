"""ModelRouter's protocol: one envelope, with errors as the documentation and as the SDKs name them.

Source: Alibaba Cloud, ModelRouterQueryObservationCharts and its sister pages.
"""

from __future__ import annotations

import uuid

from aione_mock.contract import ErrorSpec
from aione_mock.errors import APIError
from aione_mock.types import Json


def format_request_id(digest: bytes) -> str:
    """Return the first 16 of some random bytes as a GUID, as the service writes it."""
    return str(uuid.UUID(bytes=digest[:16], version=4)).upper()


def build_envelope(data: Json, request_id: str, **more: Json) -> Json:
    """Return a successful response. As in real responses, `errCode` and `errMessage` are absent."""
    return {"requestId": request_id, "success": True, "httpStatusCode": 200, "data": data, **more}


def render_error(spec: ErrorSpec, error: APIError, request_id: str) -> Json:
    """Return both `errCode`, as documented, and `code`, as the SDKs read it."""
    code = error.fields.get("code") or spec.body["code"]
    if spec.name == "invalid_parameter" and "param" in error.fields:
        code = f"InvalidParameter.{error.fields['param']}"
    detail = error.fields.get("detail")
    message = f"{spec.body['errMessage']}: {detail}" if detail else error.message
    return {
        "requestId": request_id,
        "success": False,
        "errCode": code,
        "errMessage": message,
        "httpStatusCode": spec.status,
        "code": code,
        "message": message,
    }
