"""One cause is one finding: what a missing operation breaks, and what two laws say of the same answer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from aione_mock.checker.client import Stop
from aione_mock.checker.context import LawContext
from aione_mock.checker.finding import BrokenLaw, LawFinding, MatrixCell, NotChecked
from aione_mock.checker.law import ExchangeRule
from aione_mock.checker.traffic import HttpExchange, shown
from aione_mock.contract import Operation
from aione_mock.structs import replace

_NOWHERE = "no-such-operation-7"
_TOLD_BY = {
    "status_code_conformance": "status-declared",
    "content_type_conformance": "content-type",
    "response_schema_conformance": "schema",
    "response_headers_conformance": "headers",
    "not_a_server_error": "no-server-error",
    "ignored_auth": "access-none",
}
"""Check of generated cases → the law that says the same more plainly."""


def _served(operation: Operation, exchange: HttpExchange) -> Iterable[BrokenLaw]:
    """The gateway has the operation: it does not answer as it does for paths that nobody knows."""
    return ()


SERVED = ExchangeRule("operation-served", "The operation is there", _served)
"""Not held against single exchanges: only all answers of an operation together show that it is missing."""


@dataclass(slots=True)
class OperationAnswers:
    """What each operation has answered, as far as it takes to see that it is missing."""

    _present: set[str] = field(default_factory=set)
    _missing: dict[str, list[HttpExchange]] = field(default_factory=dict)

    def note(self, operation: Operation, exchange: HttpExchange) -> None:
        """Remember an answer; calls of other paths say nothing."""
        if operation.id in self._present or not exchange.status or not _on(operation, exchange):
            return
        seen = self._missing.setdefault(operation.id, [])
        if exchange.status == 404 and (not seen or _plain(exchange) == _plain(seen[0])):
            seen[:] = [*seen, exchange][:1]
            return
        self._present.add(operation.id)
        del self._missing[operation.id]

    def absent(self, context: LawContext) -> Iterator[BrokenLaw]:
        """Operations that answered nothing but what a path that does not exist gets; asks one such path for each."""
        for name, (exchange, *_) in sorted(self._missing.items()):
            try:
                request = context.client.request(
                    name, dict.fromkeys(_PARAMETER.findall(_path(context, name)), "x"), auth=None
                )
                request = replace(request, method="GET", path=f"{request.path}/{_NOWHERE}", body=None)
                nowhere = context.client.send(request, timeout=5.0)
            except (NotChecked, Stop):
                continue
            if nowhere.status == 404 and _plain(nowhere) == _plain(exchange):
                seen = f"{exchange.outcome}, as for any path that does not exist: {shown(exchange.body)}"
                yield BrokenLaw(name, "an answer of the operation", seen, exchange)


_PARAMETER = re.compile(r"\{(\w+)\}")


def _path(context: LawContext, name: str) -> str:
    return context.contract.operations[name].path


def _on(operation: Operation, exchange: HttpExchange) -> bool:
    pattern = "[^/]+".join(re.escape(part) for part in _PARAMETER.split(operation.path)[::2])
    return re.search(f"{pattern}$", exchange.request.path) is not None


def _plain(exchange: HttpExchange) -> tuple[str, bytes]:
    """An answer without what it repeats of its path."""
    return exchange.media_type, exchange.body.replace(exchange.request.path.encode(), b"")


def once(findings: Iterable[LawFinding]) -> list[LawFinding]:
    """The findings without those that follow from another: of a missing operation, and of a check of generated cases
    that a law has said already.
    """
    found = list(findings)
    told = {(finding.law, finding.operation) for finding in found}

    def follows(finding: LawFinding) -> bool:
        missing = (SERVED.name, finding.operation) in told and finding.law != SERVED.name
        # a server that fails over forbidden data has not taken it
        failed = finding.law == "negative_data_rejection" and finding.answer.startswith("5")
        return missing or failed or (_TOLD_BY.get(finding.law), finding.operation) in told

    return [finding for finding in found if not follows(finding)]


def cells(law: str, row: Mapping[str, MatrixCell], missing: Iterable[str]) -> dict[str, MatrixCell]:
    """A row of the matrix in which nothing is said of missing operations, except by the law about that."""
    gone = set() if law == SERVED.name else set(missing)
    unseen = MatrixCell("not checked", "the gateway does not have this operation")
    return {name: unseen if name in gone and cell.state != "not checked" else cell for name, cell in row.items()}
