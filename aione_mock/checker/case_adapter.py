"""Adapt generated cases to rules of the gateway that no schema can express, so that they cause no false alarms."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from aione_mock.checker.context import LawContext
from aione_mock.checker.errors import NotChecked
from aione_mock.clock import SYSTEM_CLOCK, format_instant
from aione_mock.contract import METHODS, Operation
from aione_mock.contract.json_pointer import resolve_pointer
from aione_mock.types import Json

NOT_SENT = "x-aione-mock-not-sent"
"""Header of answers to requests that were not sent."""
_MAX_SAFE_INTEGER = (1 << 53) - 1
"""Larger integers are not read alike by all JSON parsers."""
_MAX_COMPLETION_TOKENS = 16
_MAX_CHOICES = 2
_TOKEN_LIMITS = ("max_tokens", "max_completion_tokens", "maxOutputTokens")
_CHOICE_COUNTS = ("n", "candidateCount")
_RATE_LIMIT_FAILURES = (
    "AcceptedNegativeData",
    "EnsureResourceAvailability",
    "IgnoredAuth",
    "MissingHeaderNotRejected",
    "RejectedPositiveData",
    "UnsupportedMethodResponse",
)
"""Failures that a 429 explains."""
_ALWAYS_DOCUMENTED = ("not_a_server_error", "ignored_auth")


def adapt_document(document: Json) -> Json:
    """Remove signatures from a document, in place: they are added when a request is sent."""
    for item in document.get("paths", {}).values():
        for operation in [item[method] for method in METHODS if item.get(method)]:
            operation["parameters"] = [
                parameter
                for parameter in operation.get("parameters", [])
                if not _parameter_name(document, parameter).startswith("x-acs-")
            ]
            operation["security"] = [option for option in operation.get("security", []) if "acs3" not in option]
    return document


def _parameter_name(document: Json, parameter: Json) -> str:
    reference = parameter.get("$ref")
    return str((resolve_pointer(document, reference) if reference else parameter)["name"])


class CaseAdapter:
    """Adapts valid cases just before they are sent, and tells real failures from others."""

    def __init__(self, context: LawContext) -> None:
        self._context = context
        self._contract_examples: set[str] = set()
        """Cases whose body is an example of the contract."""

    def adapt(self, case: Any) -> None:
        """Change a case in place, unless it is meant to be rejected."""
        operation = self._find_operation(case)
        if operation is None or not _is_positive(case):
            return
        _limit_integers(case)
        if _uses_model(operation):
            self._adapt_model_call(operation, case)
        elif "model" in (case.path_parameters or {}):
            case.path_parameters["model"] = self._choose_model(operation)
        elif operation.id == "createKey" and isinstance(case.body, dict) and case.body.get("expires_at"):
            case.body["expires_at"] = "2099-01-01T00:00:00Z"
        elif operation.id == "queryUsage":
            _adapt_usage_window(case.query or {})
        elif operation.id == "listGeminiModels":
            (case.query or {}).pop("pageToken", None)  # only tokens from an answer are valid
        elif operation.protocol == "modelrouter":
            _adapt_modelrouter_window(case.query or {})

    def is_real_failure(self, failure: Any, case: Any, response: Any) -> bool:
        """Whether the target is to blame for a failure."""
        operation = self._find_operation(case)
        name = type(failure).__name__
        if NOT_SENT in response.headers:
            return False
        if operation is not None and response.status_code == 429 and name in _RATE_LIMIT_FAILURES:
            return False
        if operation is not None and name == "RejectedPositiveData" and _uses_model(operation):
            # vendors reject what their model does not support; only examples of the contract must be accepted
            return case.id in self._contract_examples
        return True

    def _find_operation(self, case: Any) -> Operation | None:
        path, method = case.operation.path, case.operation.method.upper()
        operations = self._context.contract.operations.values()
        return next((o for o in operations if (o.path, o.method) == (path, method)), None)

    def _choose_model(self, operation: Operation) -> str:
        try:
            return self._context.choose_model(operation.protocol)
        except NotChecked:
            return self._context.target.model or "gpt-5.2"

    def _adapt_model_call(self, operation: Operation, case: Any) -> None:
        model = self._choose_model(operation)
        is_example = self._is_usable_example(operation, case.body)
        if is_example:
            self._contract_examples.add(case.id)
        if "model" in (case.path_parameters or {}):
            case.path_parameters["model"] = model
        if not isinstance(case.body, dict):
            return
        if isinstance(case.body.get("model"), str) and not (is_example and self._context.target.is_local):
            case.body["model"] = model
        if isinstance(case.body.get("generateContentRequest"), dict):
            case.body["generateContentRequest"]["model"] = f"models/{model}"
        _limit_cost(case.body)

    def _is_usable_example(self, operation: Operation, body: Any) -> bool:
        """Whether a body is an example of the contract for a model that the target lists."""
        media = operation.request_body.get("content", {}).get("application/json", {})
        if not any(body == example["value"] for example in media.get("examples", {}).values()):
            return False
        return not isinstance(body.get("model"), str) or self._context.is_listed(body["model"])


def _uses_model(operation: Operation) -> bool:
    return operation.paid or operation.id in ("countMessageTokens", "countTokens")


def _is_positive(case: Any) -> bool:
    mode = getattr(getattr(case.meta, "generation", None), "mode", None)
    return mode is None or str(getattr(mode, "value", mode)) == "positive"


def _limit_integers(case: Any) -> None:
    for name, value in (case.query or {}).items():
        if isinstance(value, int | str) and _is_unsafe_integer(str(value)):
            case.query[name] = _MAX_SAFE_INTEGER


def _is_unsafe_integer(text: str) -> bool:
    return 15 < len(text) < 400 and text.removeprefix("-").isdecimal() and abs(int(text)) > _MAX_SAFE_INTEGER


def _limit_cost(body: dict[str, Json]) -> None:
    config = body.get("generationConfig")
    if isinstance(config, dict):
        _limit_members(config, thinking=bool(body.get("thinking") or config.get("thinkingConfig")))
    _limit_members(body, thinking=bool(body.get("thinking")))


def _limit_members(holder: dict[str, Json], *, thinking: bool) -> None:
    """Lower the limits of tokens and choices. A model that thinks needs more tokens."""
    for name in () if thinking else _TOKEN_LIMITS:
        if isinstance(holder.get(name), int) and not isinstance(holder[name], bool):
            holder[name] = min(holder[name], _MAX_COMPLETION_TOKENS)
    for name in _CHOICE_COUNTS:
        if isinstance(holder.get(name), int):
            holder[name] = min(holder[name], _MAX_CHOICES)


def _adapt_usage_window(query: dict[str, Json]) -> None:
    last = SYSTEM_CLOCK.now().date()
    if query.get("end_date"):
        query["end_date"] = last.isoformat()
    if query.get("start_date"):
        query["start_date"] = (last - timedelta(days=20)).isoformat()


def _adapt_modelrouter_window(query: dict[str, Json]) -> None:
    now = SYSTEM_CLOCK.now()
    start, end = query.pop("startTime", None), query.pop("endTime", None)
    if (start or end) and "timeRange" not in query:
        query["startTime"], query["endTime"] = (
            format_instant(now - timedelta(hours=2)),
            format_instant(now - timedelta(hours=1)),
        )
    if "clientId" in query:
        query.pop("clientIds", None)
    if "maxResults" in query or "nextToken" in query:
        query.pop("pageIndex", None)
        query["nextToken"] = ""


def check_evidence(operation: Operation, check: str, response: Any) -> str:
    """Return the evidence of what a check enforces."""
    if check in _ALWAYS_DOCUMENTED:
        return "documented"
    status = str(getattr(response, "status_code", ""))
    return str(operation.responses.get(status, {}).get("x-evidence", operation.evidence))
