"""ModelRouter's spelling: one envelope, errors in both the documented and the SDK's words.

Source: Alibaba Cloud, ModelRouterQueryObservationCharts and its sister pages.
"""

from __future__ import annotations

from typing import Any

from aione_mock.contract import ErrorSpec
from aione_mock.errors import APIError


def envelope(data: Any, request_id: str, **more: Any) -> Any:
    """A successful answer; `errCode` and `errMessage` are left out, as real answers do."""
    return {"requestId": request_id, "success": True, "httpStatusCode": 200, "data": data, **more}


def error(spec: ErrorSpec, failure: APIError, request_id: str) -> Any:
    """Both spellings: `errCode` as documented, `code` as the SDKs read it."""
    code = failure.fields.get("code") or spec.body["code"]
    if spec.name == "invalid_parameter" and "param" in failure.fields:
        code = f"InvalidParameter.{failure.fields['param']}"
    return {
        "requestId": request_id,
        "success": False,
        "errCode": code,
        "errMessage": failure.message,
        "httpStatusCode": spec.status,
        "code": code,
        "message": failure.message,
    }
