"""Report one cause once: what follows from a missing operation, and what both a law and a generated check find."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from aione_mock.checker.context import LawContext
from aione_mock.checker.errors import NotChecked, StopRun
from aione_mock.checker.exchange import HttpExchange, shorten_body
from aione_mock.checker.finding import BrokenLaw, LawFinding, MatrixCell
from aione_mock.checker.law import ExchangeRule
from aione_mock.contract import Operation
from aione_mock.structs import replace

_UNKNOWN_SEGMENT = "no-such-operation-7"
_EQUIVALENT_LAWS = {
    "status_code_conformance": "status-declared",
    "content_type_conformance": "content-type",
    "response_schema_conformance": "schema",
    "response_headers_conformance": "headers",
    "not_a_server_error": "no-server-error",
    "ignored_auth": "access-none",
}
"""Check of generated cases → the law that finds the same."""
_PARAMETER = re.compile(r"\{(\w+)\}")


def _check_operation_served(operation: Operation, exchange: HttpExchange) -> Iterable[BrokenLaw]:
    """Serve the operation instead of answering as for an unknown path."""
    return ()


OPERATION_SERVED = ExchangeRule("operation-served", "The operation exists", _check_operation_served)
"""Not checked for single exchanges: only all answers of an operation together show that it is missing."""


@dataclass(slots=True)
class OperationAnswers:
    """What each operation has answered, as far as needed to find missing operations."""

    _present: set[str] = field(default_factory=set)
    _suspects: dict[str, HttpExchange] = field(default_factory=dict)
    """Operations that have given one and the same 404 so far."""

    def add(self, operation: Operation, exchange: HttpExchange) -> None:
        """Remember an answer, unless it is from another path."""
        if operation.id in self._present or not exchange.status or not _has_path_of(operation, exchange):
            return
        known = self._suspects.get(operation.id)
        if exchange.status == 404 and (known is None or _without_path(exchange) == _without_path(known)):
            self._suspects.setdefault(operation.id, exchange)
            return
        self._present.add(operation.id)
        self._suspects.pop(operation.id, None)

    def find_missing(self, context: LawContext) -> Iterator[BrokenLaw]:
        """Yield operations that have only answered as an unknown path does. Sends one request for each."""
        for name, exchange in sorted(self._suspects.items(), key=lambda item: item[0]):
            params = dict.fromkeys(_PARAMETER.findall(context.contract.operations[name].path), "x")
            try:
                request = context.client.build_request(name, params, auth=None)
                request = replace(request, method="GET", path=f"{request.path}/{_UNKNOWN_SEGMENT}", body=None)
                unknown = context.client.send(request, timeout=5.0)
            except (NotChecked, StopRun):
                continue
            if unknown.status == 404 and _without_path(unknown) == _without_path(exchange):
                seen = f"{exchange.summary}, as for any unknown path: {shorten_body(exchange.body)}"
                yield BrokenLaw(name, "an answer of the operation", seen, exchange)


def _has_path_of(operation: Operation, exchange: HttpExchange) -> bool:
    pattern = "[^/]+".join(re.escape(part) for part in _PARAMETER.split(operation.path)[::2])
    return re.search(f"{pattern}$", exchange.request.path) is not None


def _without_path(exchange: HttpExchange) -> tuple[str, bytes]:
    return exchange.media_type, exchange.body.replace(exchange.request.path.encode(), b"")


def remove_consequences(findings: Iterable[LawFinding]) -> list[LawFinding]:
    """Leave out findings that follow from a missing operation, and checks whose finding a law reports too."""
    found = list(findings)
    reported = {(finding.law, finding.operation) for finding in found}

    def is_consequence(finding: LawFinding) -> bool:
        missing = (OPERATION_SERVED.name, finding.operation) in reported and finding.law != OPERATION_SERVED.name
        # a server error is not an acceptance of invalid data
        failed = finding.law == "negative_data_rejection" and finding.answer.startswith("5")
        return missing or failed or (_EQUIVALENT_LAWS.get(finding.law), finding.operation) in reported

    return [finding for finding in found if not is_consequence(finding)]


def clear_missing(law: str, row: Mapping[str, MatrixCell], missing: Iterable[str]) -> dict[str, MatrixCell]:
    """Return a matrix row without results for missing operations, except for the law about them."""
    gone = set() if law == OPERATION_SERVED.name else set(missing)
    unseen = MatrixCell("not checked", "the gateway does not have this operation")
    return {name: unseen if name in gone and cell.state != "not checked" else cell for name, cell in row.items()}
