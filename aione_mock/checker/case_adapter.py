"""Adapt generated cases to rules of the gateway that no schema can express, so that they cause no false alarms."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from aione_mock.checker.context import LawContext
from aione_mock.checker.errors import NotChecked
from aione_mock.checker.law_entries import find_law_evidence
from aione_mock.checker.schema_differences import find_differences, list_member_evidence
from aione_mock.checker.schema_lookup import (
    EVIDENCE_ORDER,
    choose_weakest_evidence,
    find_parameter_evidence,
    find_status_evidence,
)
from aione_mock.clock import SYSTEM_CLOCK, format_instant
from aione_mock.contract import METHODS, Contract, Operation, Parameter
from aione_mock.contract.json_pointer import resolve_pointer
from aione_mock.protocols import NORMALIZERS
from aione_mock.types import Json

NOT_SENT = "x-aione-mock-not-sent"
"""Header of answers to requests that were not sent."""
_MAX_SAFE_INTEGER = (1 << 53) - 1
"""Larger integers are not read alike by all JSON parsers."""
_MAX_COMPLETION_TOKENS = 16
_MAX_CHOICES = 2
_DIMENSIONS = 8
_TOKEN_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens")
_CHOICE_COUNTS = ("n", "candidateCount")
_OUTAGES = (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT)
"""Statuses that say nothing about the case. Laws and rules judge them."""
_RATE_LIMIT_FAILURES = (
    "AcceptedNegativeData",
    "EnsureResourceAvailability",
    "IgnoredAuth",
    "MissingHeaderNotRejected",
    "RejectedPositiveData",
    "UnsupportedMethodResponse",
)
"""Failures that a 429 explains."""
_DATA_CHECKS = ("negative_data_rejection", "missing_required_header")
_LAWS_OF_CHECKS = {
    "ignored_auth": "access-none",
    "unsupported_method": "error-wrong-method",
    "allow_header_conformance": "error-wrong-method",
}
"""Check → law that enforces the same."""
JSON_TYPES = (dict, list, str, int, float, bool, type(None))


def adapt_document(document: Json) -> Json:
    """Remove signatures from a document, in place: they are added when a request is sent."""
    for item in document.get("paths", {}).values():
        for operation in [item[method] for method in METHODS if item.get(method)]:
            operation["parameters"] = [
                parameter
                for parameter in operation.get("parameters", [])
                if not _read_parameter_name(document, parameter).startswith("x-acs-")
            ]
            operation["security"] = [option for option in operation.get("security", []) if "acs3" not in option]
    return document


def _read_parameter_name(document: Json, parameter: Json) -> str:
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
        """Return whether the target is to blame for a failure."""
        operation = self._find_operation(case)
        name = type(failure).__name__
        if NOT_SENT in response.headers or response.status_code in _OUTAGES:
            return False
        if operation is not None and response.status_code == 429 and name in _RATE_LIMIT_FAILURES:
            return False
        if operation is not None and name == "RejectedPositiveData" and _uses_model(operation):
            # vendors reject what their model does not support; only examples of the contract must be accepted
            return case.id in self._contract_examples
        return not (
            operation is not None and name == "AcceptedNegativeData" and _is_other_spelling(operation, case.body)
        )

    def _find_operation(self, case: Any) -> Operation | None:
        path, method = case.operation.path, case.operation.method.upper()
        operations = self._context.contract.operations.values()
        return next((o for o in operations if (o.path, o.method) == (path, method)), None)

    def _choose_model(self, operation: Operation) -> str:
        try:
            if operation.paid and not operation.prompt_format:
                return self._context.choose_model(operation.protocol, "embeddings", without=())
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
        if not (operation.prompt_format or is_example) and "input" in case.body:
            case.body["dimensions"] = _DIMENSIONS  # thousands of vectors would be too long an answer

    def _is_usable_example(self, operation: Operation, body: Any) -> bool:
        """Return whether a body is an example of the contract for a model that the target lists."""
        media = operation.request_body.get("content", {}).get("application/json", {})
        if not any(body == example["value"] for example in media.get("examples", {}).values()):
            return False
        return not isinstance(body.get("model"), str) or self._context.is_listed(body["model"])


def _is_other_spelling(operation: Operation, body: Any) -> bool:
    """Return whether a body that violates its schema only spells a valid one differently.

    Google accepts requests in more than one form. In its JSON, null stands for an absent member (proto3, JSON mapping).
    """
    normalize, schema = NORMALIZERS.get(operation.protocol), operation.body_validator
    if normalize is None or schema is None or not isinstance(body, dict | list) or schema.is_valid(body):
        return False
    return schema.is_valid(normalize(body, operation))


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
    # a start alone would lie after the end that a gateway with an earlier clock assumes
    if query.get("end_date") or query.get("start_date"):
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


def find_case_evidence(contract: Contract, operation: Operation, check: str, case: Any, response: Any) -> str:
    """Return the evidence of what a check enforces with a case: for data, that of the members that matter."""
    status = int(getattr(response, "status_code", 0))
    if check in _DATA_CHECKS:
        return max(_list_fault_evidence(operation, case), key=EVIDENCE_ORDER.index, default=EVIDENCE_ORDER[0])
    if check == "positive_data_acceptance":
        return choose_weakest_evidence(operation.evidence, *_list_used_evidence(operation, case))
    if check in _LAWS_OF_CHECKS:
        return find_law_evidence(contract, _LAWS_OF_CHECKS[check], operation)
    return find_status_evidence(operation, status)


def _list_fault_evidence(operation: Operation, case: Any) -> Iterator[str]:
    """Yield the evidence of each place where a case violates the schemas of its operation."""
    for parameter, node in _list_parameters(operation):
        value = _read_parameter(parameter, case)
        if parameter.required if value is None else not parameter.validator.is_valid(value):
            yield find_parameter_evidence(operation, node)
    media = operation.request_body.get("content", {}).get("application/json")
    if media and isinstance(case.body, JSON_TYPES):
        differences = find_differences(operation, media["schema"], case.body, operation.evidence)
        yield from (choose_weakest_evidence(operation.evidence, difference.evidence) for difference in differences)


def _list_used_evidence(operation: Operation, case: Any) -> Iterator[str]:
    """Yield the evidence of each parameter and member that a case uses."""
    for parameter, node in _list_parameters(operation):
        if _read_parameter(parameter, case) is not None:
            yield find_parameter_evidence(operation, node)
    media = operation.request_body.get("content", {}).get("application/json")
    if media and isinstance(case.body, JSON_TYPES):
        yield from list_member_evidence(operation, media["schema"], case.body, operation.evidence)


def _list_parameters(operation: Operation) -> Iterator[tuple[Parameter, Json]]:
    nodes = [operation.resolve(node) for node in operation.raw.get("parameters", ())]
    by_name = {(parameter.location, parameter.name): parameter for parameter in operation.parameters}
    yield from ((by_name[node["in"], node["name"]], node) for node in nodes)


def _read_parameter(parameter: Parameter, case: Any) -> Json:
    sources = {"path": case.path_parameters, "query": case.query, "header": case.headers}
    return (sources.get(parameter.location) or {}).get(parameter.name)
