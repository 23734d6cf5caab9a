"""One request for every operation of the contract, streamed ones too, made of the contract's own examples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count
from typing import Any

import httpx2
import orjson

from aione_mock.clock import SYSTEM_CLOCK, format_instant
from aione_mock.contract import Contract, Operation
from aione_mock.protocols import acs3_signature

KEY, CONSOLE = "sk-nex-demo-every-model", "nex-console-tech"
ACCESS = ("aione-mock-access-key", "aione-mock-access-secret")
MODELS = {"openai": "gpt-5.4", "anthropic": "claude-sonnet-4-6", "gemini": "gemini-2.5-flash"}
_NONCES = count()


@dataclass(frozen=True)
class Exchange:
    """What a client sent and saw."""

    operation: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    status: int = 0
    seen: bytes = b""
    answer_headers: dict[str, str] = field(default_factory=dict)


def list_requests(contract: Contract, key_id: str) -> Iterator[Exchange]:
    """Return requests in an order in which each succeeds: the key is disabled, enabled and finally deleted."""
    order = {"rotateKey": 1, "disableKey": 2, "enableKey": 3, "updateKey": 4, "deleteKey": 5}
    for operation in sorted(contract.operations.values(), key=lambda o: order.get(o.id, 0)):
        if operation.protocol == "control":
            continue
        body = _read_example_body(operation)
        path = operation.path.replace("{model}", MODELS.get(operation.protocol, "")).replace("{key_id}", key_id)
        headers = _make_headers(operation, path)
        for query, raw in _list_variants(operation, body):
            yield Exchange(operation.id, operation.method, path + query, headers, raw)


def _read_example_body(operation: Operation) -> Any:
    media = operation.request_body.get("content", {}).get("application/json", {})
    return next((example["value"] for example in media.get("examples", {}).values()), None)


def _list_variants(operation: Operation, body: Any) -> Iterator[tuple[str, bytes]]:
    raw = orjson.dumps(body) if body is not None else b""
    if operation.stream is None:
        yield "", raw
    elif any(parameter.name == "alt" for parameter in operation.parameters):
        yield "", raw
        yield "?alt=sse", raw
    else:
        plain = {name: value for name, value in body.items() if name not in ("stream", "stream_options")}
        yield "", orjson.dumps(plain)
        yield "", orjson.dumps({**plain, "stream": True})


def _make_headers(operation: Operation, path: str) -> dict[str, str]:
    headers = {"content-type": "application/json"} if operation.body_validator else {}
    if operation.protocol == "modelrouter":
        return headers | sign_headers(operation, path)
    return (
        headers
        | {
            "openai": {"authorization": f"Bearer {KEY}"},
            "anthropic": {"x-api-key": KEY, "anthropic-version": "2023-06-01"},
            "gemini": {"x-goog-api-key": KEY},
            "console": {"authorization": f"Bearer {CONSOLE}"},
        }[operation.protocol]
    )


def sign_headers(operation: Operation, path: str, host: str = "gateway.example") -> dict[str, str]:
    """Return the headers of a signed request without query or body."""
    headers = {
        "host": host,
        "x-acs-action": operation.id,
        "x-acs-version": "20240611",
        "x-acs-date": format_instant(SYSTEM_CLOCK.now()),
        "x-acs-signature-nonce": f"recording-{next(_NONCES)}-{SYSTEM_CLOCK.timestamp()}",
        "x-acs-content-sha256": sha256(b"").hexdigest(),
    }
    return {
        **headers,
        "authorization": acs3_signature.sign_request(operation.method, path, "", list(headers.items()), b"", *ACCESS),
    }


def ask(client: httpx2.Client, url: str, exchange: Exchange) -> Exchange:
    """Send a request and return it with its response."""
    answer = client.request(exchange.method, url + exchange.path, headers=exchange.headers, content=exchange.body)
    request = (exchange.operation, exchange.method, exchange.path, exchange.headers, exchange.body)
    return Exchange(*request, answer.status_code, answer.content, dict(answer.headers))
