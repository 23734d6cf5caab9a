"""Build a valid request for each operation from the contract's examples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import orjson
import pytest

from aione_mock.clock import SYSTEM_CLOCK, format_instant
from aione_mock.contract import Operation
from aione_mock.contract.loading import load_contract
from aione_mock.protocols import acs3_signature
from aione_mock.server.app import Mock, create_app
from aione_mock.server.http import Server
from aione_mock.settings import DOCUMENTS, Settings, locate_document
from tests.wire_reader import Wire, ask, build_request

KEY = "sk-nex-demo-every-model"
CONTRACT = load_contract([locate_document(name) for name in DOCUMENTS])
OPERATIONS = [operation for operation in CONTRACT.operations.values() if operation.protocol != "control"]
PROTOCOLS = ("openai", "anthropic", "gemini")
_HEADERS = {
    "openai": {"authorization": f"Bearer {KEY}"},
    "anthropic": {"x-api-key": KEY, "anthropic-version": "2023-06-01"},
    "gemini": {"x-goog-api-key": KEY},
    "console": {"authorization": "Bearer nex-console-tech"},
}
_COUNT = iter(range(1_000_000))


def build_call(operation: Operation, **headers: str) -> bytes:
    """Return a valid request of an operation, with more headers (`_` stands for `-`)."""
    path = operation.path
    for parameter in operation.raw.get("parameters", ()):
        parameter = CONTRACT.resolve(operation.document, parameter)
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", quote(_read_example(parameter), safe=""))
    body = _read_body(operation)
    own = dict(_HEADERS.get(operation.protocol) or _sign_headers(operation, path))
    return build_request(path, body, method=operation.method, headers=own | _dash_names(headers))


def _dash_names(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def _read_example(parameter: Any) -> str:
    examples = [entry["value"] for entry in parameter.get("examples", {}).values()]
    return str(parameter.get("example", next(iter(examples), "x")))


def _read_body(operation: Operation) -> Any:
    media = operation.request_body.get("content", {}).get("application/json", {})
    return next((entry["value"] for entry in media.get("examples", {}).values()), None)


def _sign_headers(operation: Operation, path: str) -> dict[str, str]:
    # the server judges the date of a signature by real time
    headers = {
        "host": "localhost",
        "x-acs-action": operation.id,
        "x-acs-version": "20240611",
        "x-acs-date": format_instant(SYSTEM_CLOCK.now()),
        "x-acs-signature-nonce": f"nonce-{next(_COUNT)}",
        "x-acs-content-sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    }
    key = ("aione-mock-access-key", "aione-mock-access-secret")
    headers["authorization"] = acs3_signature.sign_request(operation.method, path, "", list(headers.items()), b"", *key)
    return {name: value for name, value in headers.items() if name != "host"}


def build_chat(protocol: str, text: str = "Hello", *, stream: bool = True, scenario: str = "", **more: str) -> bytes:
    """Return a question to a model in one of the three protocols."""
    headers = dict(_HEADERS[protocol]) | _dash_names(more) | ({"x-mock-scenario": scenario} if scenario else {})
    messages = [{"role": "user", "content": text}]
    if protocol == "openai":
        options = {"include_usage": True}
        body = {"model": "gpt-5.2", "messages": messages, **({"stream_options": options} if stream else {})}
        return build_request("/v1/chat/completions", body | {"stream": stream}, headers=headers)
    if protocol == "anthropic":
        body = {"model": "claude-sonnet-4-6", "max_tokens": 500, "messages": messages, "stream": stream}
        return build_request("/v1/messages", body, headers=headers)
    action = "streamGenerateContent?alt=sse" if stream else "generateContent"
    body = {"contents": [{"role": "user", "parts": [{"text": text}]}]}
    return build_request(f"/v1beta/models/gemini-2.5-flash:{action}", body, headers=headers)


@pytest.fixture(scope="module")
def mock() -> Iterator[Server]:
    """Run a server whose clock is frozen and whose sessions all begin alike."""
    from aione_mock.clock import parse_instant

    with Server(create_app(Settings(now=parse_instant("2026-11-20T10:30:00Z")))) as running:
        yield running


class SessionClient:
    """Send requests in new sessions, so that the same request gets the same bytes."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.app: Mock = server.app
        self.logged: list[str] = []

    def __call__(self, raw: bytes, *, patience: float = 30.0, pause: float = 0.0, session: str = "fresh") -> Wire:
        if session == "fresh":
            self.app.sessions.delete(session)
        line, rest = raw.split(b"\r\n", 1)
        return ask(
            self.server.port,
            line + b"\r\nx-mock-session: " + session.encode() + b"\r\n" + rest,
            patience=patience,
            pause=pause,
        )


@pytest.fixture
def asking(mock: Server) -> SessionClient:
    """Ask the module's server."""
    return SessionClient(mock)


def read_json(wire: Wire) -> Any:
    """Return the body as JSON."""
    return orjson.loads(wire.body)
