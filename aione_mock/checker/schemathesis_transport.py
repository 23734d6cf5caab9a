"""What generated requests go to: it puts in credentials and passes them on, or does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from aione_mock.checker.budget import BudgetSpent
from aione_mock.checker.client import Auth, Stop
from aione_mock.checker.context import LawContext, TemporaryKey
from aione_mock.checker.finding import NotChecked
from aione_mock.checker.traffic import HttpExchange, HttpRequest, Pairs
from aione_mock.contract import Operation
from aione_mock.structs import replace

if TYPE_CHECKING:
    from aione_mock.checker.run import CheckRun

Answer = tuple[int, Pairs, bytes]
PLACEHOLDER = "credential-of-the-target"
"""Stands for a credential wherever one is wanted."""
_DROPPED = ("host", "content-length", "connection", "accept-encoding", "transfer-encoding", "user-agent")


class SchemathesisGate:
    """What stands in front of the target."""

    def __init__(self, context: LawContext, run: CheckRun) -> None:
        self.context, self.run = context, run
        self.cases = 0
        self.stopped: Stop | None = None
        self.refused: dict[str, str] = {}
        """Operation → why requests for it were not passed on."""
        self._foreign: set[str] | None = None

    def answer(self, method: str, path: str, query: str, given: Pairs, body: bytes) -> Answer:
        """Status, headers and body for a request; `path` and `query` are percent-encoded."""
        match = self.context.contract.match(path)
        operation = match.operations.get(method) or next(iter(match.operations.values()), None)
        if operation is None:
            operation = next(iter(self.context.contract.operations.values()))
        if self.stopped:
            return self._instead(operation, "the run is over")
        if self._hands_off(operation, method, dict(match.params)):
            return self._instead(operation, "it is about a key that the run has not made")
        try:
            exchange = self.context.client.send(self._request(method, path, query, given, body, operation))
        except Stop as stop:
            self.stopped = stop
            return self._instead(operation, str(stop))
        except (NotChecked, BudgetSpent) as error:
            return self._instead(operation, str(error))
        self.cases += 1
        self._adopt(exchange)
        return self._passed_on(operation, exchange)

    def _request(
        self, method: str, path: str, query: str, given: Pairs, body: bytes, operation: Operation
    ) -> HttpRequest:
        kept = tuple([(name.lower(), value) for name, value in given if name.lower() not in _DROPPED])
        prefix = urlsplit(self.context.target.url).path
        request = HttpRequest(operation.id, method, prefix + path, query, kept, body or None)
        return self._with_credential(request, operation)

    def _with_credential(self, request: HttpRequest, operation: Operation) -> HttpRequest:
        scheme = operation.security[0][0] if operation.security else ""
        if scheme == "acs3":
            secret = self.context.target.access_secret or ""
            return self.context.client.authorised(request, Auth("acs3", secret))
        given = self.context.target.token if operation.protocol == "console" else self.context.target.key
        headers = tuple((name, value.replace(PLACEHOLDER, given or "")) for name, value in request.headers)
        return replace(request, headers=headers, query=request.query.replace(PLACEHOLDER, given or ""))

    def _hands_off(self, operation: Operation, method: str, params: dict[str, str]) -> bool:
        """Whether a request would change a key that was there before the run."""
        if operation.protocol != "console" or method in ("GET", "HEAD", "OPTIONS") or "key_id" not in params:
            return False
        if self._foreign is None:
            try:
                self._foreign = {str(row["id"]).lower() for row in self.context.read("listKeys")["items"]}
            except (NotChecked, KeyError, TypeError):
                return True
        made = {key.lower() for key in self.context.made}
        return params["key_id"].lower() in self._foreign - made

    def _adopt(self, exchange: HttpExchange) -> None:
        """Remember a key that a generated case has made, so that it is deleted."""
        if exchange.request.operation != "createKey" or exchange.status != 201:
            return
        record = orjson.loads(exchange.body) if exchange.body.startswith(b"{") else {}
        if isinstance(record.get("id"), str):
            self.context.adopt(TemporaryKey(record["id"], str(record.get("key") or ""), record))

    def _passed_on(self, operation: Operation, exchange: HttpExchange) -> Answer:
        if not exchange.status or exchange.failure:
            # the rule `answers` has it already
            return self._instead(operation, exchange.failure)
        left_out = ("content-length", "transfer-encoding", "connection", "content-encoding")
        headers = tuple([(name, value) for name, value in exchange.headers if name.lower() not in left_out])
        return exchange.status, headers, exchange.body

    def _instead(self, operation: Operation, reason: str) -> Answer:
        """An answer as the contract has it for a request that was not passed on: one that no check minds."""
        self.refused.setdefault(operation.id, reason)
        names = ("rate_limit_exceeded", "throttled", "not_found", "not_authenticated", "permission_denied")
        spec = next((operation.errors[name] for name in names if name in operation.errors), None)
        if spec is None:
            return 404, (), b""
        headers = [("content-type", "application/json"), ("x-mock-gate", "not passed on")]
        values = {"retry-after": "1", "x-acs-retry-after": "1", "www-authenticate": "Bearer"}
        for name in spec.headers:
            response = operation.responses[str(spec.status)]
            header = self.context.contract.resolve(operation.document, response["headers"][name])
            headers.append((name, values.get(name, str(header.get("example", "1")))))
        return spec.status, tuple(headers), orjson.dumps(spec.body)

    def sent(self, interaction: Any, operation: Operation) -> HttpRequest:
        """The request of a recorded interaction, as a finding shows it."""
        parts = urlsplit(interaction.request.uri)
        headers = tuple(
            (name.lower(), str(values[0]))
            for name, values in interaction.request.headers.items()
            if name.lower() not in _DROPPED and not name.lower().startswith(("accept", "x-schemathesis"))
        )
        body = interaction.request.body
        path = urlsplit(self.context.target.url).path + parts.path
        request = HttpRequest(operation.id, interaction.request.method, path, parts.query, headers, body or None)
        try:
            return self._with_credential(request, operation)
        except NotChecked:
            return request
