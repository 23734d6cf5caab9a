"""Check that an answer is a particular error of the contract."""

from __future__ import annotations

from collections.abc import Iterator

from aione_mock.checker.context import LawContext
from aione_mock.checker.errors import UnreadableAnswer
from aione_mock.checker.exchange import HttpExchange, shorten_body
from aione_mock.checker.finding import BrokenLaw
from aione_mock.checker.json_reader import JsonReader
from aione_mock.checker.overlay_actions import OverlayAction, join_actions
from aione_mock.checker.overlay_suggestions import change_example
from aione_mock.checker.schema_differences import find_differences
from aione_mock.checker.schema_lookup import (
    SchemaLocation,
    find_body_schema,
    find_evidence,
    find_status_evidence,
    read_evidence,
)
from aione_mock.contract import ErrorSpec, Operation
from aione_mock.contract.json_pointer import format_pointer
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
_JSON = "application/json"


def check_error(context: LawContext, exchange: HttpExchange, name: str, expected: str = "") -> Iterator[BrokenLaw]:
    """Yield how an answer differs from an error of its operation, if the operation declares that error."""
    operation = context.contract.operations[exchange.request.operation]
    spec = operation.errors.get(name)
    if spec is None:
        return
    if exchange.status == spec.status:
        yield from check_envelope(operation, spec, exchange)
    else:
        # that there is an error at all is the law; which status it has is a place of the contract
        evidence = "documented" if exchange.is_success else find_status_evidence(operation, spec.status)
        seen = f"{exchange.summary}: {shorten_body(exchange.body)}"
        yield BrokenLaw(operation.id, expected or f"{spec.status} {name}", seen, exchange, evidence)


def check_envelope(operation: Operation, spec: ErrorSpec, exchange: HttpExchange) -> Iterator[BrokenLaw]:
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
        evidence, expected = find_status_evidence(operation, spec.status), f"the envelope of {operation.protocol}"
        yield BrokenLaw(operation.id, expected, problem, exchange, evidence, subject="/")
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
            evidence, subject = _find_member_evidence(operation, spec, path), f"/{'/'.join(path)}"
            overlay = _accept_member(operation, spec, exchange, path)
            shown = shown[:_MAX_SEEN_CHARACTERS]
            yield BrokenLaw(operation.id, expected, shown, exchange, evidence, overlay, subject=subject)


def _accept_member(
    operation: Operation, spec: ErrorSpec, exchange: HttpExchange, path: tuple[str, ...]
) -> tuple[OverlayAction, ...]:
    """Return actions that give a member of an error's example the value that was seen, which its schema then allows."""
    schema = find_body_schema(operation, spec.status, _JSON)
    found = find_differences(operation, schema, exchange.data.value, "documented") if schema else ()
    widened = [difference.overlay for difference in found if difference.path == path]
    changed = change_example(operation, spec.body, path, exchange.data.find(*path))
    return join_actions(*widened, changed) if changed else ()


def _find_member_evidence(operation: Operation, spec: ErrorSpec, path: tuple[str, ...]) -> str:
    """Return how a member of an error is known: the example says it by its pointer, or else the schema."""
    content = operation.responses.get(str(spec.status), {}).get("content", {}).get(_JSON, {})
    marked = read_evidence(content.get("examples", {}).get(spec.name, {}), format_pointer(path))
    return marked or find_evidence(SchemaLocation(operation, spec.status, _JSON, path))


def read_code_parameter(exchange: HttpExchange) -> Json:
    """Return the parameter that the code of a ModelRouter error names."""
    return str(exchange.data.find("code")).partition(".")[2]


def read_error_code(protocol: str, body: Json) -> str:
    """Return the code of an error's body, empty if it has none or its protocol has no codes."""
    reader = JsonReader(body, protocol)
    found = [value for path in _MEMBERS.get(protocol, ()) if isinstance(value := reader.find(*path), str)]
    code = str(found[-1]) if found else ""
    return f"{_PARAMETER_CODE}…" if code.startswith(_PARAMETER_CODE) else code
