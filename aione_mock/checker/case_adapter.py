"""What a schema cannot say: rules that a correct gateway has beside it, so that generated cases give no false alarm."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from aione_mock.checker.context import LawContext
from aione_mock.checker.finding import NotChecked
from aione_mock.clock import SYSTEM_CLOCK, format_instant
from aione_mock.contract import METHODS, Contract, Operation
from aione_mock.contract.json_pointer import resolve_pointer
from aione_mock.types import Json

_EXACT = (1 << 53) - 1
_TOKENS = 16
"""Tokens that an answer to a generated request may have."""


def document(raw: Json, contract: Contract) -> Json:
    """A document as generated cases need it. Signature headers are made when a request is sent, so none are
    generated.
    """
    for item in raw.get("paths", {}).values():
        for method in METHODS:
            operation = item.get(method)
            if not operation:
                continue
            operation["parameters"] = [
                parameter
                for parameter in operation.get("parameters", [])
                if not _name(contract, raw, parameter).startswith("x-acs-")
            ]
            operation["security"] = [option for option in operation.get("security", []) if "acs3" not in option]
    return raw


def _name(contract: Contract, raw: Json, parameter: Json) -> str:
    reference = parameter.get("$ref")
    return str((resolve_pointer(raw, reference) if reference else parameter)["name"])


class Adapter:
    """Bends a valid case to the rules that stand beside the schema, just before it is sent."""

    def __init__(self, context: LawContext) -> None:
        self.context = context
        self._own: set[str] = set()
        """Cases whose body is one of the contract's own examples."""

    def before_call(self, case: Any) -> None:
        """A case that is meant to be refused stays as it is."""
        operation = self._operation(case)
        if operation is None or not positive(case):
            return
        _exact(case)
        if _asks_model(operation):
            self._model(operation, case)
        elif "model" in (case.path_parameters or {}):
            case.path_parameters["model"] = self._any_model(operation)
        elif operation.id == "createKey" and isinstance(case.body, dict) and case.body.get("expires_at"):
            case.body["expires_at"] = "2099-01-01T00:00:00Z"
        elif operation.id == "queryUsage":
            _usage_window(case)
        elif operation.id == "listGeminiModels":
            (case.query or {}).pop("pageToken", None)  # only one that was given out is good
        elif operation.protocol == "modelrouter":
            _router_window(case)

    def keeps(self, failure: Any, case: Any, response: Any) -> bool:
        """Whether a failure is one. The gate's own answers are not held against the target."""
        if "x-mock-gate" in response.headers:
            return False
        operation = self._operation(case)
        name = type(failure).__name__
        if operation is None:
            return True
        if response.status_code == 429 and name in _OF_ADMISSION:
            return False
        if name == "RejectedPositiveData" and _asks_model(operation):
            # a model's vendor refuses what it does not like; only the contract's own examples are sure to be taken
            return case.id in self._own
        return True

    def _operation(self, case: Any) -> Operation | None:
        found = self.context.contract.match(case.operation.path)
        table = found.operations or {
            o.method: o for o in self.context.contract.operations.values() if o.path == case.operation.path
        }
        return table.get(case.operation.method.upper())

    def _any_model(self, operation: Operation) -> str:
        try:
            return self.context.model(operation.protocol)
        except NotChecked:
            return self.context.target.model or "gpt-5.2"

    def _listed(self, model: str) -> bool:
        try:
            return any(row["id"] == model for row in self.context.rows())
        except NotChecked:
            return False

    def _model(self, operation: Operation, case: Any) -> None:
        model = self._any_model(operation)
        examples = operation.request_body.get("content", {}).get("application/json", {}).get("examples", {})
        own = any(case.body == example["value"] for example in examples.values())
        if own and isinstance(case.body.get("model"), str) and not self._listed(case.body["model"]):
            own = False  # another model may not take what the example's does
        if own:
            self._own.add(case.id)
        if "model" in (case.path_parameters or {}):
            case.path_parameters["model"] = model
        if not isinstance(case.body, dict):
            return
        if isinstance(case.body.get("model"), str) and not (own and self.context.target.local):
            case.body["model"] = model
        if isinstance(case.body.get("generateContentRequest"), dict):
            case.body["generateContentRequest"]["model"] = f"models/{model}"
        self._cheap(case.body)

    def _cheap(self, body: dict[str, Json]) -> None:
        config = body.get("generationConfig")
        for holder in (body, config if isinstance(config, dict) else {}):
            for name in ("max_tokens", "max_completion_tokens", "maxOutputTokens"):
                if isinstance(holder.get(name), int) and not isinstance(holder[name], bool):
                    thinking = body.get("thinking") or (holder.get("thinkingConfig") if holder is config else None)
                    holder[name] = holder[name] if thinking else min(holder[name], _TOKENS)
            for name in ("n", "candidateCount"):
                if isinstance(holder.get(name), int):
                    holder[name] = min(holder[name], 2)


_OF_ADMISSION = (
    "AcceptedNegativeData",
    "EnsureResourceAvailability",
    "IgnoredAuth",
    "MissingHeaderNotRejected",
    "RejectedPositiveData",
    "UnsupportedMethodResponse",
)
"""Failures that a refusal for the rate of requests explains."""


def _asks_model(operation: Operation) -> bool:
    return operation.paid or operation.id in ("countMessageTokens", "countTokens")


def positive(case: Any) -> bool:
    """Whether a case is meant to be taken."""
    mode = getattr(getattr(case.meta, "generation", None), "mode", None)
    return mode is None or str(getattr(mode, "value", mode)) == "positive"


def _exact(case: Any) -> None:
    """Whole numbers beyond those that JSON's readers agree on are brought back."""
    for name, value in (case.query or {}).items():
        if isinstance(value, int | str) and _huge(str(value)):
            case.query[name] = _EXACT


def _huge(text: str) -> bool:
    return 15 < len(text) < 400 and text.removeprefix("-").isdecimal() and abs(int(text)) > _EXACT


def _usage_window(case: Any) -> None:
    query = case.query or {}
    last = SYSTEM_CLOCK.now().date()
    if query.get("end_date"):
        query["end_date"] = last.isoformat()
    if query.get("start_date"):
        query["start_date"] = (last - timedelta(days=20)).isoformat()


def _router_window(case: Any) -> None:
    query = case.query or {}
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


def evidence(operation: Operation, check: str, response: Any) -> str:
    """How it is known what a check enforces."""
    if check in ("not_a_server_error", "ignored_auth"):
        return "documented"
    status = str(getattr(response, "status_code", ""))
    return str(operation.responses.get(status, {}).get("x-evidence", operation.evidence))
