"""Compare two gateways: what both keep, what only one keeps, and where their answers have different shapes."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial

import orjson

from aione_mock.checker import prepare
from aione_mock.checker.deduplication import OPERATION_SERVED
from aione_mock.checker.errors import INTERRUPTED, UnreadableAnswer
from aione_mock.checker.exchange import HttpExchange
from aione_mock.checker.finding import LawFinding
from aione_mock.checker.options import CheckOptions
from aione_mock.checker.report import EXIT_COULD_NOT, EXIT_FOUND, EXIT_KEPT, CheckReport, build_report
from aione_mock.checker.run import CheckRun
from aione_mock.checker.schema_differences import name_json_type
from aione_mock.checker.target import Target
from aione_mock.contract.stream_grammar import decode_data
from aione_mock.structs import replace
from aione_mock.text.escaping import count_nouns, escape_unprintable
from aione_mock.types import Json

PointerTypes = dict[str, set[str]]
"""JSON pointer → JSON types that were seen there."""
AnswerShapes = dict[tuple[str, str], PointerTypes]
"""Operation, and status or `200 events` → shape of the answers, or of the events of streams."""
RunWithShapes = tuple[CheckRun, AnswerShapes]
_KINDS = {
    ("kept", "broken"): "only A keeps",
    ("broken", "kept"): "only B keeps",
    ("broken", "broken"): "both break",
}
"""States of two cells → kind of the difference."""
_SHAPE = "shape"


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference between two gateways."""

    kind: str
    """`only A keeps`, `only B keeps`, `both break` or `shape`."""
    law: str
    """Name of a law, or `shape`."""
    operation: str
    what: str
    a: str
    b: str

    @property
    def fingerprint(self) -> str:
        """Identifies the difference in a baseline: law and operation, and the place of a shape."""
        return f"{self.law}:{self.operation}" + (f":{self.what}" if self.kind == _SHAPE else "")


@dataclass(frozen=True, slots=True)
class Comparison:
    """The reports on two gateways and their differences."""

    first: CheckReport
    second: CheckReport
    only_second: CheckReport
    """The second report with what the first gateway breaks too as known findings."""
    both_keep: int
    """Cells that both keep."""
    differences: tuple[Difference, ...]

    @property
    def exit_code(self) -> int:
        """0 if they are alike, 1 if they differ, 2 if one could not be checked."""
        if self.first.could_not or self.second.could_not:
            return EXIT_COULD_NOT
        return EXIT_FOUND if any(d.kind != "both break" for d in self.differences) else EXIT_KEPT

    def render_text(self) -> Iterator[str]:
        """Yield the comparison as lines of text."""
        yield f"A  {self.first.url}  {self.first.verdict}"
        yield f"B  {self.second.url}  {self.second.verdict}"
        yield f"Both keep {count_nouns(self.both_keep, 'cell')} of the matrix."
        for kind in (*_KINDS.values(), _SHAPE):
            found = [difference for difference in self.differences if difference.kind == kind]
            if found:
                yield ""
                yield f"{kind} ({len(found)})"
            for difference in found:
                yield f"  {difference.operation}: {difference.what}"
                yield f"    A  {difference.a}"
                yield f"    B  {difference.b}"
        if self.exit_code == EXIT_KEPT:
            yield "They are alike."

    def render_json(self) -> bytes:
        """Return the comparison as indented JSON."""
        value = {
            "a": {"url": self.first.url, "verdict": self.first.verdict},
            "b": {"url": self.second.url, "verdict": self.second.verdict},
            "both_keep": self.both_keep,
            "differences": [asdict(difference) for difference in self.differences],
        }
        text = orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()
        return escape_unprintable(text, lines=True).encode()


def compare_targets(
    first: Target,
    second: Target,
    options: CheckOptions,
    *,
    baseline: Iterable[str] = (),
    watch: Callable[[CheckRun], None] | None = None,
) -> Comparison:
    """Run the laws on both targets, one after the other. `max_time` is for each.

    `baseline` has fingerprints of differences and findings that are known. `watch` runs a run to its end. Raises
    ConfigError or ContractError.
    """
    # generated cases differ between runs, so they cannot be compared
    options, known = replace(options, phases=()), frozenset(baseline)
    runs = [_check_target(target, options, watch or _run_silently) for target in (first, second)]
    (left_run, left_shapes), (right_run, right_shapes) = runs
    left = build_report(left_run, baseline=known)
    right = build_report(right_run, baseline=known)
    only_right = build_report(right_run, baseline=known | {finding.fingerprint for finding in left.findings})
    differences = [
        *_compare_cells(left, right, known),
        *_compare_served(left, right),
        *_compare_shapes(left_shapes, right_shapes),
    ]
    both_keep = sum(
        cell.state == "kept" and right.matrix.get(law, {}).get(name, cell).state == "kept"
        for law, cells in left.matrix.items()
        for name, cell in cells.items()
    )
    new = tuple(difference for difference in differences if difference.fingerprint not in known)
    return Comparison(left, right, only_right, both_keep, new)


def _run_silently(run: CheckRun) -> None:
    for _ in run.yield_events():
        pass


def _check_target(target: Target, options: CheckOptions, watch: Callable[[CheckRun], None]) -> RunWithShapes:
    run = prepare(target, options)
    shapes: AnswerShapes = {}
    run.observers = (partial(_note_shape, shapes),)
    watch(run)
    run.context.client.close()
    if run.stopped == INTERRUPTED:
        raise KeyboardInterrupt  # half a run cannot be compared
    return run, shapes


def _compare_cells(left: CheckReport, right: CheckReport, known: Container[str]) -> Iterator[Difference]:
    titles = {law.name: law.title for law in left.laws}
    for law, cells in left.matrix.items():
        for name, a in cells.items():
            b = right.matrix.get(law, {}).get(name)
            kind = _KINDS.get((a.state, b.state)) if b else None
            if b and kind and not _is_known(law, name, left, right, known):
                what = f"{titles.get(law, law)} [{law}]"
                yield Difference(kind, law, name, what, a.reason or a.state, b.reason or b.state)
                yield from _compare_broken(law, name, left, right) if kind == "both break" else ()


def _compare_broken(law: str, operation: str, left: CheckReport, right: CheckReport) -> Iterator[Difference]:
    """Yield what only one of two gateways breaks of a law that both break."""
    a, b = (_list_findings(report, law, operation) for report in (left, right))
    for found, others, kind in ((b, a, "only A keeps"), (a, b, "only B keeps")):
        for finding in (finding for name, finding in found.items() if name not in others):
            what = f"{finding.title} [{law}]: {finding.subject or finding.expected}"
            seen = ("kept", finding.seen) if found is b else (finding.seen, "kept")
            yield Difference(kind, law, operation, what, *seen)


def _list_findings(report: CheckReport, law: str, operation: str) -> dict[str, LawFinding]:
    found = (*report.findings, *report.known_findings)
    return {f.fingerprint: f for f in found if (f.law, f.operation) == (law, operation)}


def _is_known(law: str, operation: str, left: CheckReport, right: CheckReport, known: Container[str]) -> bool:
    """Return whether the baseline has all findings of a place."""
    reports = (left, right)
    here = [finding for report in reports for finding in _list_findings(report, law, operation).values()]
    return bool(here) and all(finding.fingerprint in known or finding.place in known for finding in here)


def _compare_served(left: CheckReport, right: CheckReport) -> Iterator[Difference]:
    """Yield the operations that only one of the gateways has."""
    a, b = (_list_missing(report) for report in (left, right))
    what = f"{OPERATION_SERVED.title} [{OPERATION_SERVED.name}]"
    for name, reason in b.items():
        if name not in a:
            yield Difference("only A keeps", OPERATION_SERVED.name, name, what, "served", reason)
    for name, reason in a.items():
        if name not in b:
            yield Difference("only B keeps", OPERATION_SERVED.name, name, what, reason, "served")


def _list_missing(report: CheckReport) -> dict[str, str]:
    cells = report.matrix.get(OPERATION_SERVED.name, {})
    return {name: cell.reason for name, cell in cells.items() if cell.state == "broken"}


def _note_shape(shapes: AnswerShapes, exchange: HttpExchange) -> None:
    if not exchange.status:
        return
    kind, values = _read_values(exchange)
    seen = shapes.setdefault((exchange.request.operation, kind), {}) if values else {}
    for value in values:
        for pointer, type_name in _list_types(value):
            seen.setdefault(pointer, set()).add(type_name)


def _read_values(exchange: HttpExchange) -> tuple[str, list[Json]]:
    """Return the kind of an answer, and its body or the JSON of its events; none if it has another body."""
    if exchange.is_event_stream:
        data = (decode_data(event) for event in exchange.events)
        return f"{exchange.status} events", [value for value in data if isinstance(value, dict | list)]
    try:
        return str(exchange.status), [exchange.json] if exchange.media_type == "application/json" else []
    except UnreadableAnswer:
        return str(exchange.status), []


def _list_types(value: Json, pointer: str = "") -> Iterator[tuple[str, str]]:
    yield pointer, name_json_type(value)
    if isinstance(value, dict):
        for name, child in value.items():
            yield from _list_types(child, f"{pointer}/{name}")
    elif isinstance(value, list):
        for child in value:
            yield from _list_types(child, f"{pointer}/*")


def _compare_shapes(left: AnswerShapes, right: AnswerShapes) -> Iterator[Difference]:
    for key in sorted(left.keys() & right.keys()):
        operation, kind = key
        for pointer in sorted(left[key].keys() | right[key].keys()):
            a, b = left[key].get(pointer, set()), right[key].get(pointer, set())
            # a member that may be null shows nothing when it is
            if a - {"null"} != b - {"null"} and not _is_below_empty(pointer, left[key], right[key]):
                what = f"{kind} {pointer or '/'}"
                yield Difference(_SHAPE, _SHAPE, operation, what, _join_types(a), _join_types(b))


def _is_below_empty(pointer: str, left: PointerTypes, right: PointerTypes) -> bool:
    """Return whether a pointer is below a value that one side only had as null or as an empty list."""
    parent = pointer.rpartition("/")[0]
    while parent:
        for types in (left, right):
            if types.get(parent, set()) <= {"null"} or (f"{parent}/*" not in types and types[parent] == {"array"}):
                return True
        parent = parent.rpartition("/")[0]
    return pointer.endswith("/*")


def _join_types(types: set[str]) -> str:
    return " or ".join(sorted(types)) or "absent"
