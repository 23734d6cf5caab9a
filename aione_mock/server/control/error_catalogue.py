"""Every error of the contract, and the ways to get it: by header, rule, control API, test, key or request."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field

import orjson

from aione_mock.contract import Contract, ErrorSpec, Operation
from aione_mock.structs import frozen, replace
from aione_mock.tenant.organisation_file import SeededCredential
from aione_mock.types import Json

_USUAL = ("x-request-id", "request-id")
_NOBODY = "00000000-0000-4000-8000-000000000000"


@frozen
class Request:
    """A request that can be typed: `path` with its query, JSON body or none."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Json = None

    def curl(self, base: str) -> str:
        """It as a line for a shell."""
        words = ["curl", *(["-X", self.method] if self.method != ("GET" if self.body is None else "POST") else [])]
        words += [base + self.path]
        for name, value in self.headers.items():
            words += ["-H", f"{name}: {value}"]
        if self.body is not None:
            if self.headers.get("content-type") is None:
                words += ["-H", "content-type: application/json"]
            words += ["-d", orjson.dumps(self.body).decode()]
        return shlex.join(words)


def catalogue(
    contract: Contract, credentials: Iterable[SeededCredential], *, base: str, limit: int, token: bool = False
) -> list[dict[str, Json]]:
    """One entry for each error name and protocol, by protocol, status and name; `triggers` are true of this server.

    `base` is its URL, `limit` the most bytes of a body, `token` whether the control API asks for one.
    """
    keys = {credential.label: credential for credential in credentials if credential.kind == "key"}
    specs = sorted(contract.errors.values(), key=lambda spec: (spec.protocol, spec.status, spec.name))
    served = {operation.protocol for operation in contract.operations.values()}
    return [_entry(spec, contract, keys, base, limit, token) for spec in specs if spec.protocol in served]


def _entry(
    spec: ErrorSpec, contract: Contract, keys: Mapping[str, SeededCredential], base: str, limit: int, token: bool
) -> dict[str, Json]:
    operations = [
        operation.id
        for operation in contract.operations.values()
        if operation.protocol == spec.protocol and spec.name in operation.errors
    ]
    triggers = list(_by_name(spec.name)) if operations and spec.protocol != "control" else []
    triggers += _by_key(spec, keys)
    if spec.name != "not_authenticated" or spec.protocol != "control" or token:
        triggers += _by_request(spec, contract, keys["demo"].secret, base, limit)
    return {
        "name": spec.name,
        "dialect": spec.protocol,
        "status": spec.status,
        "operations": operations,
        "headers": _headers(spec, contract),
        "body": spec.body,
        "triggers": triggers,
    }


def _by_name(name: str) -> Iterator[dict[str, str]]:
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
"""Errors and the labels of the seeded keys that meet them."""
_KEYED = ("openai", "anthropic", "gemini", "console")


def _by_key(spec: ErrorSpec, keys: Mapping[str, SeededCredential]) -> list[dict[str, str]]:
    labels = _KEYS.get(spec.name, ()) if spec.protocol in _KEYED else ()
    found = [keys[label] for label in labels if label in keys]
    return [{"by": "key", "how": f"{credential.secret} ({credential.purpose})"} for credential in found]


def _headers(spec: ErrorSpec, contract: Contract) -> dict[str, str]:
    """The headers that come with it, with their example values."""
    for document, content in contract.documents.items():
        for response in content.get("components", {}).get("responses", {}).values():
            if response.get("x-dialect") == spec.protocol and tuple(response.get("headers", {})) == spec.headers:
                nodes = {name: contract.resolve(document, node) for name, node in response["headers"].items()}
                return {name: _example(node) for name, node in nodes.items() if name not in _USUAL}
    return {}


def _example(header: Json) -> str:
    schema = header.get("schema", {})
    candidates = (header.get("example"), schema.get("const"), *schema.get("examples", ()), "")
    return str(next(value for value in candidates if value is not None))


# Requests that meet an error by themselves: a plain one of each protocol, and what is done to it.

_MESSAGES = [{"role": "user", "content": "Hello"}]
_ANYONE = {"authorization": "Bearer nex-console-tech"}


@frozen
class Sample:
    """A plain request of a protocol."""

    operation_id: str
    body: Json = None
    headers: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)


_SAMPLES: Mapping[str, Sample] = {
    "openai": Sample(
        "createChatCompletion", {"model": "gpt-5.4", "messages": _MESSAGES}, {"authorization": "Bearer KEY"}
    ),
    "anthropic": Sample(
        "createMessage",
        {"model": "claude-sonnet-4-6", "max_tokens": 100, "messages": _MESSAGES},
        {"x-api-key": "KEY", "anthropic-version": "2023-06-01"},
    ),
    "gemini": Sample(
        "generateContent",
        {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]},
        {"x-goog-api-key": "KEY"},
        {"model": "gemini-2.5-flash"},
    ),
    "console": Sample("createKey", {"name": "For a test"}, _ANYONE),
    "modelrouter": Sample("ModelRouterQueryObservationMetrics"),
    "control": Sample("changeClock", {"advance": "0s"}),
}
Change = Callable[[Request, int], Request]
_COSTLY = "gemini-2.5-flash-image"


def _body(**members: Json) -> Change:
    return lambda request, limit: replace(request, body={**request.body, **members})


def _only(**members: Json) -> Change:
    return lambda request, limit: replace(request, body=members)


def _model(name: str) -> Change:
    """Another model, where the protocol says it: in the body or in the path."""

    def change(request: Request, limit: int) -> Request:
        if "model" in request.body:
            return replace(request, body={**request.body, "model": name})
        return replace(request, path=request.path.replace("gemini-2.5-flash", name))

    return change


def _without(*names: str) -> Change:
    return lambda request, limit: replace(request, headers={n: v for n, v in request.headers.items() if n not in names})


def _with(**headers: str) -> Change:
    return lambda request, limit: replace(request, headers={**request.headers, **headers})


def _too_large(request: Request, limit: int) -> Request:
    # the length that is announced decides, so that nobody has to send so much
    return replace(request, headers={**request.headers, "content-length": str(limit + 1)})


def _elsewhere(request: Request, limit: int) -> Request:
    return replace(request, method="GET", path=request.path + "/nowhere", body=None)


def _method(name: str) -> Change:
    return lambda request, limit: replace(request, method=name, body=None)


_COMMON: Mapping[str, Change] = {
    "request_too_large": _too_large,
    "method_not_allowed": _method("PATCH"),
    "not_found": _elsewhere,
}
_CHANGES: Mapping[str, Mapping[str, Change]] = {
    "openai": {
        "invalid_request": _only(),
        "invalid_api_key": _without("authorization"),
        "model_not_found": _model("no-such-model"),
        "context_length_exceeded": _body(max_tokens=10_000_000),
        "unsupported_operation": _body(model=_COSTLY, stream=True),
    },
    "anthropic": {
        "invalid_request": _only(),
        "invalid_api_key": _without("x-api-key"),
        "model_not_found": _model("no-such-model"),
        "context_length_exceeded": _body(max_tokens=10_000_000),
        "unsupported_operation": _model(_COSTLY),
    },
    "gemini": {
        "invalid_request": _only(),
        "invalid_api_key": _without("x-goog-api-key"),
        "model_not_found": _model("no-such-model"),
        "context_length_exceeded": _body(generationConfig={"maxOutputTokens": 10_000_000}),
    },
    "console": {"validation_error": _only(), "not_authenticated": _without("authorization")},
    "modelrouter": {"permission_denied": lambda request, limit: request},
    "control": {
        "invalid_request": _only(),
        "forbidden": _with(origin="http://another.example"),
        "not_authenticated": lambda request, limit: request,
    },
}
_ELSEWHERE: Mapping[tuple[str, str], Sample] = {
    ("console", "not_found"): Sample("getKey", None, _ANYONE, {"key_id": _NOBODY}),
    ("control", "not_found"): Sample("getSession", None, {}, {"name": "nobody"}),
    ("control", "conflict"): Sample("createSession", {"name": "default"}),
}
"""Errors that another operation than the sample's meets, by a plain request."""


def _by_request(spec: ErrorSpec, contract: Contract, key: str, base: str, limit: int) -> list[dict[str, str]]:
    if other := _ELSEWHERE.get((spec.protocol, spec.name)):
        request = _plain(other, contract, key)
    else:
        change = _CHANGES[spec.protocol].get(spec.name) or _COMMON.get(spec.name)
        plain = _plain(_SAMPLES[spec.protocol], contract, key) if change else None
        request = change(plain, limit) if change and plain else None
    return [{"by": "request", "how": request.curl(base)}] if request else []


def _plain(sample: Sample, contract: Contract, key: str) -> Request | None:
    """The sample as a request; None where an overlay has taken its operation away."""
    operation: Operation | None = contract.operations.get(sample.operation_id)
    if operation is None:
        return None
    path = operation.path
    for name, value in sample.params.items():
        path = path.replace(f"{{{name}}}", value)
    headers = {name: value.replace("KEY", key) for name, value in sample.headers.items()}
    return Request(operation.method, path, headers, sample.body)
