"""Check that an answer is a particular error of the contract."""

from __future__ import annotations

from collections.abc import Iterator

from aione_mock.checker.context import LawContext
from aione_mock.checker.errors import UnreadableAnswer
from aione_mock.checker.exchange import HttpExchange, shorten_body
from aione_mock.checker.finding import BrokenLaw
from aione_mock.checker.json_reader import JsonReader
from aione_mock.contract import ErrorSpec, Operation
from aione_mock.types import Json

UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"
"""An id that belongs to nothing."""
_MEMBERS: dict[str, tuple[tuple[str, ...], ...]] = {
    "openai": (("error", "type"), ("error", "code")),
    "anthropic": (("type",), ("error", "type")),
    "gemini": (("error", "code"), ("error", "status")),
    "console": (),
    "modelrouter": (("success",), ("httpStatusCode",), ("errCode",), ("code",)),
}
"""Protocol → members of an error that programs read. They must be those of the contract's example."""
_PARAMETER_CODE = "InvalidParameter."
"""Begins codes that end in the name of a parameter."""
_MAX_SEEN_CHARACTERS = 200


def check_error(context: LawContext, exchange: HttpExchange, name: str, expected: str = "") -> Iterator[BrokenLaw]:
    """Yield how an answer differs from an error of its operation, if the operation declares that error."""
    operation = context.contract.operations[exchange.request.operation]
    spec = operation.errors.get(name)
    if spec is None:
        return
    response = operation.responses.get(str(spec.status), {})
    evidence = response.get("x-evidence", operation.evidence)
    if exchange.status == spec.status:
        yield from check_envelope(operation, spec, exchange, evidence)
    else:
        seen = f"{exchange.summary}: {shorten_body(exchange.body)}"
        yield BrokenLaw(operation.id, expected or f"{spec.status} {name}", seen, exchange, evidence)


def check_envelope(operation: Operation, spec: ErrorSpec, exchange: HttpExchange, evidence: str) -> Iterator[BrokenLaw]:
    """Yield how the body of an error differs from the envelope of its protocol and from the contract's example."""
    members = _MEMBERS[operation.protocol]
    problem = ""
    try:
        body = exchange.data
        if members and all(body.find(*path) is None for path in members):
            problem = shorten_body(exchange.body)
    except UnreadableAnswer as error:
        problem = str(error)
    if problem:
        yield BrokenLaw(operation.id, f"the envelope of {operation.protocol}", problem, exchange, evidence)
        return
    example = JsonReader(spec.body, operation.id)
    for path in members:
        wanted, seen = example.find(*path), body.find(*path)
        if isinstance(wanted, str) and wanted.startswith(_PARAMETER_CODE):
            wanted, seen = f"{_PARAMETER_CODE}…", f"{str(seen).split('.')[0]}.…"
        if seen != wanted:
            place = ".".join(path)
            shown = f"no {place}" if seen is None else repr(seen)
            expected = f"{place} {wanted!r} for {spec.name}"
            yield BrokenLaw(operation.id, expected, shown[:_MAX_SEEN_CHARACTERS], exchange, evidence)


def code_parameter(exchange: HttpExchange) -> Json:
    """Return the parameter that the code of a ModelRouter error names."""
    return str(exchange.data.find("code")).partition(".")[2]
