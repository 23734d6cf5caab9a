"""List every error of the contract with its triggers: header, rule, control API, test, key or request."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field

import orjson

from aione_mock.contract import Contract, ErrorSpec, Operation
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


def list_errors(
    contract: Contract,
    credentials: Iterable[SeededCredential],
    *,
    base_url: str,
    max_body: int,
    needs_token: bool = False,
) -> list[dict[str, Json]]:
    """Return an entry for each error name and protocol, sorted by protocol, status and name.

    The triggers are for a server with this `base_url` and `max_body` in bytes, whose control API `needs_token` or not.
    """
    keys = {credential.label: credential for credential in credentials if credential.kind == "key"}
    specs = sorted(contract.errors.values(), key=lambda spec: (spec.protocol, spec.status, spec.name))
    served = {operation.protocol for operation in contract.operations.values()}
    return [
        _describe_error(spec, contract, keys, base_url, max_body, needs_token)
        for spec in specs
        if spec.protocol in served
    ]


def _describe_error(
    spec: ErrorSpec,
    contract: Contract,
    keys: Mapping[str, SeededCredential],
    base_url: str,
    max_body: int,
    needs_token: bool,
) -> dict[str, Json]:
    operations = [
        operation.id
        for operation in contract.operations.values()
        if operation.protocol == spec.protocol and spec.name in operation.errors
    ]
    triggers = list(_list_name_triggers(spec.name)) if operations and spec.protocol != "control" else []
    triggers += _list_key_triggers(spec, keys)
    if spec.name != "not_authenticated" or spec.protocol != "control" or needs_token:
        triggers += _list_request_triggers(spec, contract, keys["demo"].secret, base_url, max_body)
    return {
        "name": spec.name,
        "dialect": spec.protocol,
        "status": spec.status,
        "operations": operations,
        "headers": _list_example_headers(spec, contract),
        "body": spec.body,
        "triggers": triggers,
    }


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


def _list_key_triggers(spec: ErrorSpec, keys: Mapping[str, SeededCredential]) -> list[dict[str, str]]:
    labels = _KEYS.get(spec.name, ()) if spec.protocol in _PROTOCOLS_WITH_KEYS else ()
    found = [keys[label] for label in labels if label in keys]
    return [{"by": "key", "how": f"{credential.secret} ({credential.purpose})"} for credential in found]


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
RequestChange = Callable[[SampleRequest, int], SampleRequest]
"""From a request and the largest allowed body in bytes to a changed request."""
_IMAGE_MODEL = "gemini-2.5-flash-image"


def _set_members(**members: Json) -> RequestChange:
    return lambda request, max_body: replace(request, body={**request.body, **members})


def _replace_body(**members: Json) -> RequestChange:
    return lambda request, max_body: replace(request, body=members)


def _set_model(name: str) -> RequestChange:
    """Change the model where the protocol has it: in the body or in the path."""

    def change(request: SampleRequest, max_body: int) -> SampleRequest:
        if "model" in request.body:
            return replace(request, body={**request.body, "model": name})
        return replace(request, path=request.path.replace("gemini-2.5-flash", name))

    return change


def _drop_headers(*names: str) -> RequestChange:
    return lambda request, max_body: replace(
        request, headers={n: v for n, v in request.headers.items() if n not in names}
    )


def _add_headers(**headers: str) -> RequestChange:
    return lambda request, max_body: replace(request, headers={**request.headers, **headers})


def _announce_too_much(request: SampleRequest, max_body: int) -> SampleRequest:
    # the announced length is enough, so that nobody has to send so much
    return replace(request, headers={**request.headers, "content-length": str(max_body + 1)})


def _change_path(request: SampleRequest, max_body: int) -> SampleRequest:
    return replace(request, method="GET", path=request.path + "/nowhere", body=None)


def _set_method(name: str) -> RequestChange:
    return lambda request, max_body: replace(request, method=name, body=None)


_COMMON: Mapping[str, RequestChange] = {
    "request_too_large": _announce_too_much,
    "method_not_allowed": _set_method("PATCH"),
    "not_found": _change_path,
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
    "modelrouter": {"permission_denied": lambda request, max_body: request},
    "control": {
        "invalid_request": _replace_body(),
        "forbidden": _add_headers(origin="http://another.example"),
        "not_authenticated": lambda request, max_body: request,
    },
}
_OTHER_OPERATIONS: Mapping[tuple[str, str], ValidSample] = {
    ("console", "not_found"): ValidSample("getKey", None, _CONSOLE_HEADERS, {"key_id": _UNKNOWN_ID}),
    ("control", "not_found"): ValidSample("getSession", None, {}, {"name": "nobody"}),
    ("control", "conflict"): ValidSample("createSession", {"name": "default"}),
}
"""Errors that a valid request of another operation triggers."""


def _list_request_triggers(
    spec: ErrorSpec, contract: Contract, key: str, base_url: str, max_body: int
) -> list[dict[str, str]]:
    if other := _OTHER_OPERATIONS.get((spec.protocol, spec.name)):
        request = _build_request(other, contract, key)
    else:
        change = _CHANGES[spec.protocol].get(spec.name) or _COMMON.get(spec.name)
        valid = _build_request(_SAMPLES[spec.protocol], contract, key) if change else None
        request = change(valid, max_body) if change and valid else None
    return [{"by": "request", "how": request.to_curl(base_url)}] if request else []


def _build_request(sample: ValidSample, contract: Contract, key: str) -> SampleRequest | None:
    """Return a sample as a request; None if an overlay has removed its operation."""
    operation: Operation | None = contract.operations.get(sample.operation_id)
    if operation is None:
        return None
    path = operation.path
    for name, value in sample.params.items():
        path = path.replace(f"{{{name}}}", value)
    headers = {name: value.replace("KEY", key) for name, value in sample.headers.items()}
    return SampleRequest(operation.method, path, headers, sample.body)
