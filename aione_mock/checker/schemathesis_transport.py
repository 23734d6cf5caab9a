"""The transport of generated requests: through the run's own client, or not at all.

Schemathesis never sees a credential. The budget and the rate limit apply, keys that the run did not make are left
alone, and the rules observe every exchange.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

import orjson

from aione_mock.checker.case_adapter import NOT_SENT, CaseAdapter
from aione_mock.checker.case_selection import choose_cases
from aione_mock.checker.client import Auth
from aione_mock.checker.context import LawContext
from aione_mock.checker.errors import BudgetSpent, NotChecked, StopRun
from aione_mock.checker.exchange import HeaderPairs, HttpRequest
from aione_mock.contract import Operation
from aione_mock.seed import Seed
from aione_mock.structs import replace

Answer = tuple[int, HeaderPairs, bytes]
BASE_URL = "http://127.0.0.1:9"
"""Schemathesis's idea of the target, where nobody listens: its probes of capabilities bypass this transport."""
PLACEHOLDER = "credential-of-the-target"
"""Given to Schemathesis in place of a credential."""
_HOP_HEADERS = ("content-length", "transfer-encoding", "connection", "content-encoding")
_CLIENT_HEADERS = ("host", "content-length", "connection", "accept-encoding", "transfer-encoding", "user-agent")
_NEUTRAL_ERRORS = ("rate_limit_exceeded", "throttled", "not_found", "not_authenticated", "permission_denied")
"""Errors that no check objects to, the best first."""
_EXAMPLE_HEADERS = {"retry-after": "1", "x-acs-retry-after": "1", "www-authenticate": "Bearer"}


class CaseTransport:
    """Sends generated requests to the target."""

    def __init__(self, context: LawContext, operations: Iterable[str]) -> None:
        self._context, self._operations = context, frozenset(operations)
        self.sent = 0
        self.stopped: StopRun | None = None
        self.not_sent: dict[str, str] = {}
        """Operation → why requests were not sent."""

    def stop(self, reason: StopRun) -> None:
        """Send nothing more."""
        self.stopped = self.stopped or reason

    def answer_request(self, method: str, path: str, query: str, given: HeaderPairs, body: bytes) -> Answer:
        """Return status, headers and body for a request; `path` and `query` are percent-encoded."""
        match = self._context.contract.match(path)
        planned = [o for o in match.operations.values() if o.id in self._operations]
        operation = match.operations.get(method) or next(iter([*planned, *match.operations.values()]), None)
        if operation is None:
            operation = next(iter(self._context.contract.operations.values()))
        if operation.id not in self._operations:
            return self._answer_unsent(operation, "it is not planned (--only, --skip)")
        if self.stopped:
            return self._answer_unsent(operation, "the run is over")
        try:
            exchange = self._context.client.send(self._build_request(method, path, query, given, body, operation))
        except StopRun as stop:
            self.stop(stop)
            return self._answer_unsent(operation, str(stop))
        except (NotChecked, BudgetSpent) as error:
            return self._answer_unsent(operation, str(error))
        self.sent += 1
        if exchange.request.operation == "createKey":
            self._context.track_created_key(exchange)
        if not exchange.status or exchange.failure:
            # the rule `answers` reports it
            return self._answer_unsent(operation, exchange.failure)
        headers = tuple([(name, value) for name, value in exchange.headers if name.lower() not in _HOP_HEADERS])
        return exchange.status, headers, exchange.body

    def _build_request(
        self, method: str, path: str, query: str, given: HeaderPairs, body: bytes, operation: Operation
    ) -> HttpRequest:
        headers = tuple([(name.lower(), value) for name, value in given if name.lower() not in _CLIENT_HEADERS])
        path = self._context.target.base_path + path
        return self._add_credential(HttpRequest(operation.id, method, path, query, headers, body or None), operation)

    def _add_credential(self, request: HttpRequest, operation: Operation) -> HttpRequest:
        target = self._context.target
        if operation.security and operation.security[0][0] == "acs3":
            return self._context.client.add_auth(request, Auth("acs3", target.access_secret or ""))
        secret = (target.token if operation.protocol == "console" else target.key) or ""
        headers = tuple((name, value.replace(PLACEHOLDER, secret)) for name, value in request.headers)
        return replace(request, headers=headers, query=request.query.replace(PLACEHOLDER, secret))

    def _answer_unsent(self, operation: Operation, reason: str) -> Answer:
        """Return an error that the contract declares, for a request that was not sent."""
        self.not_sent.setdefault(operation.id, reason)
        spec = next((operation.errors[name] for name in _NEUTRAL_ERRORS if name in operation.errors), None)
        if spec is None:
            return 404, (), b""
        headers = [("content-type", "application/json"), (NOT_SENT, "1")]
        for name in spec.headers:
            header = operation.resolve(operation.responses[str(spec.status)]["headers"][name])
            headers.append((name, _EXAMPLE_HEADERS.get(name, str(header.get("example", "1")))))
        return spec.status, tuple(headers), orjson.dumps(spec.body)

    def rebuild_request(self, interaction: Any, operation: Operation) -> HttpRequest:
        """Return the request of a recorded interaction as it was sent to the target."""
        parts = urlsplit(interaction.request.uri)
        headers = tuple(
            (name, str(values[0]))
            for name, values in interaction.request.headers.items()
            if not name.lower().startswith(("accept", "x-schemathesis"))
        )
        body = interaction.request.body
        request = self._build_request(interaction.request.method, parts.path, parts.query, headers, body, operation)
        return self._context.client.add_target_headers(request)


def create_schema_class(base: Any, adapter: CaseAdapter, transport: CaseTransport, most: int, seed: Seed) -> Any:
    """Return a schema class whose cases are adapted and then sent through a transport.

    An operation has at most `most` cases in the coverage phase, which the seed chooses. Schemathesis has a hook for
    this, `before_call`, but only for the whole process.
    """
    import requests
    from schemathesis.transport.requests import REQUESTS_TRANSPORT, RequestsTransport

    class AdaptingTransport(RequestsTransport):
        def send(self, case: Any, **options: Any) -> Any:
            adapter.adapt(case)
            with requests.Session() as session:
                session.trust_env = False
                session.mount(BASE_URL, _create_http_adapter(transport))
                return super().send(case, **{**options, "session": session})

    adapting = AdaptingTransport()
    adapting._copy_serializers_from(REQUESTS_TRANSPORT)

    def iter_coverage_cases(schema: Any, operation: Any, **options: Any) -> Iterator[Any]:
        cases = base.iter_coverage_cases(schema, operation, **options)
        return iter(choose_cases(cases, most, seed.child(operation.label)))

    members = {"transport": property(lambda self: adapting), "iter_coverage_cases": iter_coverage_cases}
    return type("AdaptedSchema", (base,), members)


def _create_http_adapter(transport: CaseTransport) -> Any:
    """Return an adapter of `requests` that answers from a transport."""
    import urllib3
    from requests.adapters import HTTPAdapter

    class TransportAdapter(HTTPAdapter):
        def send(self, request: Any, *_: Any, **__: Any) -> Any:
            url, body = urlsplit(request.url), request.body or b""
            headers = tuple((name, _decode_header(value)) for name, value in request.headers.items())
            raw = body.encode() if isinstance(body, str) else body
            status, answered, content = transport.answer_request(request.method, url.path, url.query, headers, raw)
            response = urllib3.HTTPResponse(
                io.BytesIO(b"" if request.method == "HEAD" else content),
                urllib3.HTTPHeaderDict(answered),
                status,
                version=11,
                preload_content=False,
                request_method=request.method,
            )
            return self.build_response(request, response)

    return TransportAdapter()


def _decode_header(value: Any) -> Any:
    return value.encode("latin-1").decode("utf-8", "surrogateescape") if isinstance(value, str) else value
