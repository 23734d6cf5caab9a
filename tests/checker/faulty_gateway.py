"""A faulty gateway: the mock behind a layer that changes requests and responses."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

import orjson

from aione_mock.clock import SYSTEM_CLOCK, format_instant
from aione_mock.protocols import acs3_signature
from aione_mock.seed import Seed
from aione_mock.structs import replace

KEY = "sk-nex-demo-every-model"
TOKEN = "nex-console-tech"
OTHER = "nex-console-other"
ACCESS = ("aione-mock-access-key", "aione-mock-access-secret")


@dataclass(frozen=True)
class SeenRequest:
    """A request as it arrived."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None


@dataclass(frozen=True)
class SentResponse:
    """A response before it is sent."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None

    def with_json(self, value: Any, status: int | None = None) -> SentResponse:
        return replace(self, body=orjson.dumps(value), status=status or self.status)


In = Callable[[SeenRequest], SeenRequest]
Out = Callable[[SeenRequest, SentResponse], SentResponse]


@dataclass
class Fault:
    """Changes of requests and responses."""

    on_request: In = field(default=lambda request: request)
    on_response: Out = field(default=lambda request, response: response)


class FaultyGateway:
    """An ASGI application around another one. `fault` may be replaced while it runs."""

    url = ""
    """Set once it is served."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.fault = Fault()
        self.seen: list[SeenRequest] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        path = scope["raw_path"].decode("latin-1")
        request = SeenRequest(scope["method"], path, scope["query_string"].decode("latin-1"), headers, body)
        self.seen.append(request)
        inner = self.fault.on_request(request)
        response = self.fault.on_response(request, await self._answer(scope, receive, inner))
        out = {name: value for name, value in response.headers.items() if name != "content-length"}
        pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in out.items()]
        await send({"type": "http.response.start", "status": response.status, "headers": pairs})
        await send({"type": "http.response.body", "body": response.body})

    async def _answer(self, scope: Any, wait: Any, request: SeenRequest) -> SentResponse:
        parts: list[bytes] = []
        head: dict[str, Any] = {}
        bodies = iter([{"type": "http.request", "body": request.body, "more_body": False}])

        async def receive() -> Any:
            return next(bodies, None) or await wait()

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                head.update(message)
            else:
                parts.append(message.get("body", b""))

        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in request.headers.items()]
        inner = {
            **scope,
            "method": request.method,
            "path": request.path,
            "raw_path": request.path.encode("latin-1"),
            "query_string": request.query.encode("latin-1"),
            "headers": raw,
        }
        await self.app(inner, receive, send)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head["headers"]}
        return SentResponse(head["status"], headers, b"".join(parts))


# Faults


def edit_json(path: str, edit: Callable[[Any], Any], *, method: str | None = None, status: int | None = None) -> Fault:
    """Change the JSON of responses on matching paths; `edit` changes it in place or returns another value."""

    def on_response(request: SeenRequest, response: SentResponse) -> SentResponse:
        fits = re.search(path, request.path) and method in (None, request.method)
        if not fits or (response.status != status if status else not 200 <= response.status < 300):
            return response
        value = response.json
        if value is None:
            return response
        changed = edit(value)
        return response.with_json(value if changed is None else changed)

    return Fault(on_response=on_response)


def answer_with(
    path: str, status: int, value: Any = None, *, when: Callable[[SeenRequest], bool] = lambda request: True
) -> Fault:
    """Answer requests on matching paths with another status."""

    def on_response(request: SeenRequest, response: SentResponse) -> SentResponse:
        if not re.search(path, request.path) or not when(request):
            return response
        return response.with_json(value if value is not None else response.json or {}, status)

    return Fault(on_response=on_response)


def replace_status(old: int, new: int, path: str = "") -> Fault:
    """Replace one status by another."""

    def on_response(request: SeenRequest, response: SentResponse) -> SentResponse:
        return replace(response, status=new) if response.status == old and re.search(path, request.path) else response

    return Fault(on_response=on_response)


def set_headers(**changed: str | None) -> Fault:
    """Set headers of responses that have them, or remove them with None."""

    def on_response(request: SeenRequest, response: SentResponse) -> SentResponse:
        names = {name.replace("_", "-"): value for name, value in changed.items()}
        kept = {name: names.get(name, value) for name, value in response.headers.items()}
        return replace(response, headers={name: value for name, value in kept.items() if value is not None})

    return Fault(on_response=on_response)


def ignore_parameters(path: str, *parameters: str) -> Fault:
    """Ignore query parameters."""

    def on_request(request: SeenRequest) -> SeenRequest:
        if not re.search(path, request.path):
            return request
        pairs = [(name, value) for name, value in parse_qsl(request.query, True) if name not in parameters]
        return sign_again(replace(request, query=urlencode(pairs)))

    return Fault(on_request=on_request)


def edit_request(path: str, edit: Callable[[dict[str, Any]], None]) -> Fault:
    """Change the JSON of requests."""

    def on_request(request: SeenRequest) -> SeenRequest:
        value = request.json
        if not re.search(path, request.path) or not isinstance(value, dict):
            return request
        edit(value)
        return replace(request, body=orjson.dumps(value))

    return Fault(on_request=on_request)


def edit_stream(edit: Callable[[str], str], path: str = "") -> Fault:
    """Change the text of event streams."""

    def on_response(request: SeenRequest, response: SentResponse) -> SentResponse:
        if "event-stream" not in response.headers.get("content-type", "") or not re.search(path, request.path):
            return response
        return replace(response, body=edit(response.body.decode()).encode())

    return Fault(on_response=on_response)


def accept_any_credential() -> Fault:
    """Treat every request as one with all permissions."""

    def on_request(request: SeenRequest) -> SeenRequest:
        if "/modelRouter/" in request.path:
            return sign_again(request)
        good = TOKEN if request.path.startswith("/api/") else KEY
        kept = {name: value for name, value in request.headers.items() if name not in ("x-api-key", "x-goog-api-key")}
        query = "&".join(part for part in request.query.split("&") if not part.startswith("key=sk"))
        return replace(request, headers={**kept, "authorization": f"Bearer {good}"}, query=query)

    return Fault(on_request=on_request)


_NONCES = [Seed.of("nonces of the tests")]


def sign_again(request: SeenRequest) -> SeenRequest:
    """Return a ModelRouter request with a valid signature of its present content."""
    if "/modelRouter/" not in request.path:
        return request
    _NONCES.append(_NONCES.pop().child("next"))
    kept = {name: value for name, value in request.headers.items() if not name.startswith(("x-acs-", "authorization"))}
    action = {"charts": "Charts", "metrics": "Metrics", "logs": "Logs"}[request.path.rpartition("/")[2]]
    fresh = {
        **kept,
        "x-acs-action": f"ModelRouterQueryObservation{action}",
        "x-acs-version": "20240611",
        "x-acs-date": format_instant(SYSTEM_CLOCK.now()),
        "x-acs-signature-nonce": _NONCES[0].draw_token(32, "nonce"),
        "x-acs-content-sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    }
    request = replace(request, body=b"")
    value = acs3_signature.sign_request("GET", request.path, request.query, list(fresh.items()), b"", *ACCESS)
    return replace(request, headers={**fresh, "authorization": value})


def merge_organisations() -> Fault:
    """Treat the other organisation's token like the first one's."""

    def on_request(request: SeenRequest) -> SeenRequest:
        if OTHER not in request.headers.get("authorization", ""):
            return request
        return replace(request, headers={**request.headers, "authorization": f"Bearer {TOKEN}"})

    return Fault(on_request=on_request)


def fail_when(when: Callable[[SeenRequest], bool]) -> Fault:
    """Answer some requests with 500."""

    def on_response(request: SeenRequest, response: SentResponse) -> SentResponse:
        return (
            response.with_json({"error": {"message": "x", "type": "api_error", "code": "internal_error"}}, 500)
            if when(request)
            else response
        )

    return Fault(on_response=on_response)
