"""Report one cause once: what follows from a missing operation, and what both a law and a generated check find."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from aione_mock.checker.context import LawContext
from aione_mock.checker.errors import NotChecked, StopRun, UnreadableAnswer
from aione_mock.checker.exchange import HttpExchange, HttpRequest, shorten_body
from aione_mock.checker.finding import BrokenLaw, LawFinding, MatrixCell
from aione_mock.checker.law import ExchangeRule
from aione_mock.checker.overlay_suggestions import remove_operation
from aione_mock.contract import Operation
from aione_mock.structs import replace

UNSEEN = "no request showed it"
"""Why a rule is not checked of whose operation there was no answer."""
NO_SUCH_OPERATION = "the gateway does not have this operation"
_UNKNOWN_SEGMENT = "no-such-operation-7"
_EQUIVALENT_LAWS = {
    "ignored_auth": ("access-none", "access-malformed", "access-wrong"),
    "missing_required_header": ("access-none",),
}
"""Check of generated cases → the laws that find the same."""
_ERRORS_OF_MIDDLEWARE = frozenset(
    (
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.TOO_MANY_REQUESTS,
    )
)
_MAX_SUSPECTS = 5
_VARYING_WORDS = re.compile(rb"(https?:)?/[^\s\"'<>,]*|\b(GET|HEAD|POST|PUT|DELETE|PATCH|OPTIONS)\b")
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
    _suspects: dict[str, list[HttpExchange]] = field(default_factory=dict)
    """Operation → the different 404s of those that have answered nothing of their own so far."""

    def add(self, operation: Operation, exchange: HttpExchange) -> None:
        """Remember an answer, unless it is from another path. Other errors than 404 may come from any middleware."""
        if operation.id in self._present or not exchange.status or not _has_path_of(operation, exchange):
            return
        if exchange.is_success or _is_own_error(operation, exchange):
            self._present.add(operation.id)
            self._suspects.pop(operation.id, None)
        elif exchange.status == HTTPStatus.NOT_FOUND:
            known = self._suspects.setdefault(operation.id, [])
            if len(known) < _MAX_SUSPECTS and all(_remove_path(exchange) != _remove_path(other) for other in known):
                known.append(exchange)

    def find_missing(self, context: LawContext) -> Iterator[BrokenLaw]:
        """Yield operations that have only answered as an unknown path does. Sends one request for each."""
        for name, exchanges in sorted(self._suspects.items()):
            params = dict.fromkeys(_PARAMETER.findall(context.contract.operations[name].path), "x")
            try:
                request = _build_unknown(context, name, params)
                unknown = context.client.send(request, timeout=5.0)
            except (NotChecked, StopRun):
                continue
            exchange = exchanges[0]
            if unknown.status == HTTPStatus.NOT_FOUND and _remove_path(unknown) in map(_remove_path, exchanges):
                seen = f"{exchange.summary}, as for any unknown path: {shorten_body(exchange.body)}"
                overlay = remove_operation(context.contract.operations[name])
                yield BrokenLaw(name, "an answer of the operation", seen, exchange, overlay=overlay)


def _build_unknown(context: LawContext, name: str, params: dict[str, str]) -> HttpRequest:
    """Return a request to a path below that of an operation, with the target's credential if there is one."""
    try:
        request = context.client.build_request(name, params)
    except NotChecked:
        request = context.client.build_request(name, params, auth=None)
    return replace(request, method="GET", path=f"{request.path}/{_UNKNOWN_SEGMENT}", body=None)


def _is_own_error(operation: Operation, exchange: HttpExchange) -> bool:
    """Return whether an error is the operation's own: it is declared, has its schema and judges the request."""
    validator = operation.get_response_validator(exchange.status, exchange.media_type)
    if exchange.status in _ERRORS_OF_MIDDLEWARE or exchange.status >= 500 or validator is None:
        return False
    try:
        return bool(validator.is_valid(exchange.data.value))
    except UnreadableAnswer:
        return False


def _has_path_of(operation: Operation, exchange: HttpExchange) -> bool:
    pattern = "[^/]+".join(re.escape(part) for part in _PARAMETER.split(operation.path)[::2])
    return re.search(f"{pattern}$", exchange.request.path) is not None


def _remove_path(exchange: HttpExchange) -> tuple[str, bytes]:
    """Return what a 404 says, without methods and paths, which a proxy may have rewritten."""
    request_id = (exchange.header("x-request-id") or "").encode()
    body = exchange.body.replace(request_id, b"") if request_id else exchange.body
    return exchange.media_type, _VARYING_WORDS.sub(b"", body)


def remove_consequences(findings: Iterable[LawFinding], missing: Collection[str] = ()) -> list[LawFinding]:
    """Leave out findings that follow from missing operations, and checks whose finding a law reports too."""
    found = list(findings)
    reported = {(finding.law, finding.operation) for finding in found}

    def is_consequence(finding: LawFinding) -> bool:
        follows = finding.operation in missing and finding.law != OPERATION_SERVED.name
        # a server error is not an acceptance of invalid data
        failed = finding.law == "negative_data_rejection" and finding.answer.startswith("5")
        laws = _EQUIVALENT_LAWS.get(finding.law, ())
        return follows or failed or any((law, finding.operation) in reported for law in laws)

    return [finding for finding in found if not is_consequence(finding)]


def clear_missing(law: str, row: Mapping[str, MatrixCell], missing: Iterable[str]) -> dict[str, MatrixCell]:
    """Return a matrix row without results for missing operations, except for the law about them."""
    gone = set() if law == OPERATION_SERVED.name else set(missing)
    unseen = MatrixCell("not checked", NO_SUCH_OPERATION)
    return {name: unseen if name in gone and _shows_missing(name, cell) else cell for name, cell in row.items()}


def _shows_missing(operation: str, cell: MatrixCell) -> bool:
    """Return whether a cell of a missing operation is as it is because of that."""
    return cell.state != "not checked" or cell.reason == UNSEEN or cell.reason.startswith(f"{operation} answered ")
