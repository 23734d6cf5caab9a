"""How much of the contract requests and answers have exercised: statuses, error codes, forms and parameters."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from urllib.parse import parse_qsl

import orjson

from aione_mock.checker.exchange import HttpExchange
from aione_mock.checker.laws.error_responses import read_error_code
from aione_mock.contract import Contract, Operation
from aione_mock.types import Json

KINDS = ("statuses", "error codes", "forms", "parameters")
"""Kinds of parts of an operation. The forms are the content types of its success, if it has several."""
COLUMNS = ("operation", *KINDS, "never seen")
"""Columns of the table of coverage."""
_COMBINATORS = ("allOf", "anyOf", "oneOf")


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedCall:
    """What coverage needs of a request and its answer."""

    operation: str
    status: int
    media_type: str
    """Content type of the answer, without parameters."""
    query: Collection[str] = ()
    """Names of query parameters."""
    headers: Collection[str] = ()
    """Names of request headers, in lower case."""
    body: Json = None
    answer: Json = None
    """The body of an error."""


@dataclass(frozen=True, slots=True)
class PartsCoverage:
    """The parts of one kind of an operation."""

    seen: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def total(self) -> int:
        """The number of parts."""
        return len(self.seen) + len(self.missing)

    @property
    def text(self) -> str:
        """The number of parts that were seen, and of all."""
        return f"{len(self.seen)}/{self.total}" if self.total else ""


@dataclass(frozen=True, slots=True)
class ContractCoverage:
    """What was exercised of each operation."""

    operations: Mapping[str, Mapping[str, PartsCoverage]] = field(default_factory=dict)
    """Operation → kind → parts."""

    @property
    def percent(self) -> float:
        """The share of all parts that were seen, rounded down to a tenth."""
        rows = [parts for kinds in self.operations.values() for parts in kinds.values()]
        total, seen = sum(parts.total for parts in rows), sum(len(parts.seen) for parts in rows)
        return seen * 1000 // total / 10 if total else 100.0

    @property
    def summary(self) -> str:
        """The share, and the parts of each kind, in one sentence."""
        counted = [f"{kind} {self.sum_kind(kind).text}" for kind in KINDS if self.sum_kind(kind).total]
        return f"Contract coverage: {self.percent} % ({', '.join(counted)})."

    def sum_kind(self, kind: str) -> PartsCoverage:
        """Return the parts of one kind of all operations."""
        rows = [kinds[kind] for kinds in self.operations.values()]
        seen, missing = chain(*[row.seen for row in rows]), chain(*[row.missing for row in rows])
        return PartsCoverage(tuple(seen), tuple(missing))

    def describe(self) -> Json:
        """Return the coverage as JSON."""
        operations = {
            name: {kind: {"seen": parts.seen, "missing": parts.missing} for kind, parts in kinds.items()}
            for name, kinds in self.operations.items()
        }
        return {"percent": self.percent, "operations": operations}

    def list_rows(self) -> list[tuple[str, ...]]:
        """Return a row for each operation, with the columns of `COLUMNS`."""
        return [
            (name, *[kinds[kind].text for kind in KINDS], _describe_missing(kinds.values()))
            for name, kinds in self.operations.items()
        ]


def _describe_missing(kinds: Collection[PartsCoverage]) -> str:
    if not any(parts.seen for parts in kinds):
        return "everything: it was never called"
    return ", ".join(part for parts in kinds for part in parts.missing)


class CoverageRecorder:
    """Records what is exercised of some operations."""

    def __init__(self, contract: Contract, operations: Collection[str]) -> None:
        self._parts = {
            name: {kind: _LISTS[kind](contract.operations[name]) for kind in KINDS}
            for name in contract.operations
            if name in operations
        }
        self._contract = contract
        self._seen: set[tuple[str, str, str]] = set()

    def observe(self, exchange: HttpExchange) -> None:
        """Record an exchange of a run."""
        request = exchange.request
        operation = self._contract.operations.get(request.operation)
        if operation is None or request.method != operation.method or not exchange.status:
            return
        self.record(
            ObservedCall(
                operation=operation.id,
                status=exchange.status,
                media_type=exchange.media_type,
                query=[name for name, _ in parse_qsl(request.query, keep_blank_values=True)],
                headers=[name.lower() for name, _ in request.headers],
                body=_parse_json(request.body),
                answer=_parse_json(exchange.body) if exchange.status >= 400 else None,
            )
        )

    def record(self, call: ObservedCall) -> None:
        """Record a call."""
        if call.operation in self._parts:
            operation = self._contract.operations[call.operation]
            self._seen |= {(operation.id, kind, name) for kind, name in _list_exercised(operation, call)}

    def measure(self) -> ContractCoverage:
        """Return what has been exercised so far."""
        return ContractCoverage(
            {
                name: {kind: self._divide(name, kind, parts) for kind, parts in kinds.items()}
                for name, kinds in self._parts.items()
            }
        )

    def _divide(self, operation: str, kind: str, parts: Collection[str]) -> PartsCoverage:
        seen = {name for name in parts if (operation, kind, name) in self._seen}
        return PartsCoverage(
            tuple(name for name in parts if name in seen), tuple(name for name in parts if name not in seen)
        )


def _list_exercised(operation: Operation, call: ObservedCall) -> Iterator[tuple[str, str]]:
    yield "statuses", str(call.status)
    if call.status == operation.success:
        yield "forms", call.media_type
    elif code := read_error_code(operation.protocol, call.answer):
        yield "error codes", f"{call.status} {code}"
    for location, names in (("query", call.query), ("header", call.headers)):
        yield from (("parameters", f"{location} {name}") for name in names)
    if isinstance(call.body, dict):
        yield from (("parameters", f"body {name}") for name in call.body)


def _list_statuses(operation: Operation) -> list[str]:
    return list(operation.responses)


def _list_error_codes(operation: Operation) -> list[str]:
    """Return status and code of each error; errors that share both are one."""
    codes = [(spec.status, read_error_code(operation.protocol, spec.body)) for spec in operation.errors.values()]
    return list(dict.fromkeys(f"{status} {code}" for status, code in codes if code))


def _list_forms(operation: Operation) -> list[str]:
    forms = list(operation.responses.get(str(operation.success), {}).get("content", {}))
    return forms if len(forms) > 1 else []


def _list_parameters(operation: Operation) -> list[str]:
    """Return the parameters that a request may leave out, and the members of its body."""
    names = [(p.location, p.name) for p in operation.parameters if p.location != "path"]
    schema = operation.request_body.get("content", {}).get("application/json", {}).get("schema", {})
    members = [("body", name) for name in dict.fromkeys(_list_members(operation, schema))]
    return [f"{location} {name.lower() if location == 'header' else name}" for location, name in (*names, *members)]


def _list_members(operation: Operation, schema: Json) -> Iterator[str]:
    schema = operation.resolve(schema)
    yield from schema.get("properties", {})
    for keyword in _COMBINATORS:
        for branch in schema.get(keyword, ()):
            yield from _list_members(operation, branch)


_LISTS: Mapping[str, Callable[[Operation], list[str]]] = dict(
    zip(KINDS, (_list_statuses, _list_error_codes, _list_forms, _list_parameters), strict=True)
)


def _parse_json(body: bytes | None) -> Json:
    try:
        return orjson.loads(body or b"")
    except orjson.JSONDecodeError:
        return None
