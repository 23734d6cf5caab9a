"""List every error of the contract with its triggers: header, rule, control API, test, key or request."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field

import orjson

from aione_mock.contract import Contract, ErrorSpec
from aione_mock.structs import frozen, replace
from aione_mock.tenant.organisation_file import SeededCredential
from aione_mock.types import Json

_COMMON_HEADERS = ("x-request-id", "request-id")
_UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"


@frozen
class SampleRequest:
    """A request that triggers an error. `path` includes the query; a body of None is no body."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Json = None

    def to_curl(self, base_url: str) -> str:
        """Return the request as a curl command."""
        words = ["curl", *(["-X", self.method] if self.method != ("GET" if self.body is None else "POST") else [])]
        words += [base_url + self.path]
        for name, value in self.headers.items():
            words += ["-H", f"{name}: {value}"]
        if self.body is not None:
            if self.headers.get("content-type") is None:
                words += ["-H", "content-type: application/json"]
            words += ["-d", orjson.dumps(self.body).decode()]
        return shlex.join(words)


class ErrorCatalogue:
    """Describe the errors of a server, with triggers that work there."""

    def __init__(
        self,
        contract: Contract,
        credentials: Iterable[SeededCredential],
        *,
        base_url: str,
        max_body: int,
        needs_token: bool = False,
    ) -> None:
        """`max_body` is in bytes; `needs_token` says whether the control API needs a token."""
        self._contract, self._base_url, self._needs_token = contract, base_url, needs_token
        self._keys = {credential.label: credential for credential in credentials if credential.kind == "key"}
        # the announced length is enough, so that nobody has to send so much
        too_large = _add_headers(**{"content-length": str(max_body + 1)})
        self._common = {**_COMMON_CHANGES, "request_too_large": too_large}

    def list_errors(self) -> list[dict[str, Json]]:
        """Return an entry for each error name and protocol, sorted by protocol, status and name."""
        served = {operation.protocol for operation in self._contract.operations.values()}
        specs = [spec for spec in self._contract.errors.values() if spec.protocol in served]
        return [self._describe(spec) for spec in sorted(specs, key=lambda s: (s.protocol, s.status, s.name))]

    def _describe(self, spec: ErrorSpec) -> dict[str, Json]:
        operations = [
            operation.id
            for operation in self._contract.operations.values()
            if operation.protocol == spec.protocol and spec.name in operation.errors
        ]
        triggers = list(_list_name_triggers(spec.name)) if operations and spec.protocol != "control" else []
        return {
            "name": spec.name,
            "dialect": spec.protocol,
            "status": spec.status,
            "operations": operations,
            "headers": _list_example_headers(spec, self._contract),
            "body": spec.body,
            "triggers": [*triggers, *self._list_key_triggers(spec), *self._list_request_triggers(spec)],
        }

    def _list_key_triggers(self, spec: ErrorSpec) -> list[dict[str, str]]:
        labels = _KEYS.get(spec.name, ()) if spec.protocol in _PROTOCOLS_WITH_KEYS else ()
        keys = [self._keys[label] for label in labels if label in self._keys]
        return [{"by": "key", "how": f"{key.secret} ({key.purpose})"} for key in keys]

    def _list_request_triggers(self, spec: ErrorSpec) -> list[dict[str, str]]:
        if (spec.protocol, spec.name) == ("control", "not_authenticated") and not self._needs_token:
            return []
        if other := _OTHER_OPERATIONS.get((spec.protocol, spec.name)):
            request = self._build_request(other)
        else:
            change = _CHANGES[spec.protocol].get(spec.name) or self._common.get(spec.name)
            valid = self._build_request(_SAMPLES[spec.protocol])
            request = change(valid) if change and valid else None
        return [{"by": "request", "how": request.to_curl(self._base_url)}] if request else []

    def _build_request(self, sample: ValidSample) -> SampleRequest | None:
        """Return a sample as a request; None if an overlay has removed its operation."""
        operation = self._contract.operations.get(sample.operation_id)
        if operation is None:
            return None
        path = operation.path
        for name, value in sample.params.items():
            path = path.replace(f"{{{name}}}", value)
        key = self._keys["demo"].secret
        headers = {name: value.replace("KEY", key) for name, value in sample.headers.items()}
        return SampleRequest(operation.method, path, headers, sample.body)


def _list_name_triggers(name: str) -> Iterator[dict[str, str]]:
    yield {"by": "header", "how": f"X-Mock-Scenario: {name}"}
    yield {"by": "rule", "how": orjson.dumps({"then": {"error": name}}).decode()}
    yield {"by": "control", "how": "POST /_mock/scenarios " + orjson.dumps({"scenario": name}).decode()}
    yield {"by": "pytest", "how": f'aione_mock.fail("{name}")'}


_KEYS: Mapping[str, tuple[str, ...]] = {
    "invalid_api_key": ("disabled", "expired"),
    "not_authenticated": ("disabled", "expired"),
    "insufficient_balance": ("spent",),
    "model_not_allowed": ("models",),
    "ip_not_allowed": ("address",),
    "forbidden": ("address",),
    "rate_limit_exceeded": ("rpm", "tpm"),
}
"""Errors and the labels of the seeded keys that trigger them."""
_PROTOCOLS_WITH_KEYS = ("openai", "anthropic", "gemini", "console")


def _list_example_headers(spec: ErrorSpec, contract: Contract) -> dict[str, str]:
    """Return the headers of an error with their example values."""
    for document, content in contract.documents.items():
        for response in content.get("components", {}).get("responses", {}).values():
            if response.get("x-dialect") == spec.protocol and tuple(response.get("headers", {})) == spec.headers:
                nodes = {name: contract.resolve(document, node) for name, node in response["headers"].items()}
                return {name: _get_example(node) for name, node in nodes.items() if name not in _COMMON_HEADERS}
    return {}


def _get_example(header: Json) -> str:
    schema = header.get("schema", {})
    candidates = (header.get("example"), schema.get("const"), *schema.get("examples", ()), "")
    return str(next(value for value in candidates if value is not None))


# Requests that trigger an error by themselves: a valid one for each protocol, and changes to it.

_MESSAGES = [{"role": "user", "content": "Hello"}]
_CONSOLE_HEADERS = {"authorization": "Bearer nex-console-tech"}


@frozen
class ValidSample:
    """The parts of a valid request of a protocol."""

    operation_id: str
    body: Json = None
    headers: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)


_SAMPLES: Mapping[str, ValidSample] = {
    "openai": ValidSample(
        "createChatCompletion", {"model": "gpt-5.4", "messages": _MESSAGES}, {"authorization": "Bearer KEY"}
    ),
    "anthropic": ValidSample(
        "createMessage",
        {"model": "claude-sonnet-4-6", "max_tokens": 100, "messages": _MESSAGES},
        {"x-api-key": "KEY", "anthropic-version": "2023-06-01"},
    ),
    "gemini": ValidSample(
        "generateContent",
        {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]},
        {"x-goog-api-key": "KEY"},
        {"model": "gemini-2.5-flash"},
    ),
    "console": ValidSample("createKey", {"name": "For a test"}, _CONSOLE_HEADERS),
    "modelrouter": ValidSample("ModelRouterQueryObservationMetrics"),
    "control": ValidSample("changeClock", {"advance": "0s"}),
}
RequestChange = Callable[[SampleRequest], SampleRequest]
_IMAGE_MODEL = "gemini-2.5-flash-image"


def _set_members(**members: Json) -> RequestChange:
    return lambda request: replace(request, body={**request.body, **members})


def _replace_body(**members: Json) -> RequestChange:
    return lambda request: replace(request, body=members)


def _set_model(name: str) -> RequestChange:
    """Change the model where the protocol has it: in the body or in the path."""

    def change(request: SampleRequest) -> SampleRequest:
        if "model" in request.body:
            return replace(request, body={**request.body, "model": name})
        return replace(request, path=request.path.replace("gemini-2.5-flash", name))

    return change


def _drop_headers(*names: str) -> RequestChange:
    return lambda request: replace(request, headers={n: v for n, v in request.headers.items() if n not in names})


def _add_headers(**headers: str) -> RequestChange:
    return lambda request: replace(request, headers={**request.headers, **headers})


def _change_path(request: SampleRequest) -> SampleRequest:
    return replace(request, method="GET", path=request.path + "/nowhere", body=None)


def _set_method(name: str) -> RequestChange:
    return lambda request: replace(request, method=name, body=None)


_COMMON_CHANGES: Mapping[str, RequestChange] = {
    "method_not_allowed": _set_method("PATCH"),
    "not_found": _change_path,
    "unsupported_media_type": _add_headers(**{"content-encoding": "br"}),
}
_CHANGES: Mapping[str, Mapping[str, RequestChange]] = {
    "openai": {
        "invalid_request": _replace_body(),
        "invalid_api_key": _drop_headers("authorization"),
        "model_not_found": _set_model("no-such-model"),
        "context_length_exceeded": _set_members(max_tokens=10_000_000),
        "unsupported_operation": _set_members(model=_IMAGE_MODEL, stream=True),
    },
    "anthropic": {
        "invalid_request": _replace_body(),
        "invalid_api_key": _drop_headers("x-api-key"),
        "model_not_found": _set_model("no-such-model"),
        "context_length_exceeded": _set_members(max_tokens=10_000_000),
        "unsupported_operation": _set_model(_IMAGE_MODEL),
    },
    "gemini": {
        "invalid_request": _replace_body(),
        "invalid_api_key": _drop_headers("x-goog-api-key"),
        "model_not_found": _set_model("no-such-model"),
        "context_length_exceeded": _set_members(generationConfig={"maxOutputTokens": 10_000_000}),
    },
    "console": {"validation_error": _replace_body(), "not_authenticated": _drop_headers("authorization")},
    "modelrouter": {"permission_denied": lambda request: request},
    "control": {
        "invalid_request": _replace_body(),
        "forbidden": _add_headers(origin="http://another.example"),
        "misdirected_request": _add_headers(host="another.example"),
        "not_authenticated": lambda request: request,
    },
}
_OTHER_OPERATIONS: Mapping[tuple[str, str], ValidSample] = {
    ("console", "not_found"): ValidSample("getKey", None, _CONSOLE_HEADERS, {"key_id": _UNKNOWN_ID}),
    ("control", "not_found"): ValidSample("getSession", None, {}, {"name": "nobody"}),
    ("control", "conflict"): ValidSample("createSession", {"name": "default"}),
}
"""Errors that a valid request of another operation triggers."""
