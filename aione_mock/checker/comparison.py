"""Compare two gateways: what both keep, what only one keeps, and where their answers have different shapes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial

import orjson

from aione_mock.checker import prepare
from aione_mock.checker.errors import UnreadableAnswer
from aione_mock.checker.exchange import HttpExchange
from aione_mock.checker.options import CheckOptions
from aione_mock.checker.overlay_suggestions import json_type
from aione_mock.checker.report import EXIT_COULD_NOT, EXIT_FOUND, EXIT_KEPT, CheckReport, build_report
from aione_mock.checker.run import INTERRUPTED
from aione_mock.checker.target import Target
from aione_mock.structs import replace
from aione_mock.types import Json

PointerTypes = dict[str, set[str]]
"""JSON pointer → JSON types that were seen there."""
AnswerShapes = dict[tuple[str, int], PointerTypes]
"""(operation, status) → shape of the answers."""
_KINDS = {
    ("kept", "broken"): "only A keeps",
    ("broken", "kept"): "only B keeps",
    ("broken", "broken"): "both break",
}
"""States of two cells → kind of the difference."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference between two gateways."""

    kind: str
    """`only A keeps`, `only B keeps`, `both break` or `shape`."""
    operation: str
    what: str
    a: str
    b: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """The reports on two gateways and their differences."""

    first: CheckReport
    second: CheckReport
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
        yield f"Both keep {self.both_keep} of the cells of the matrix."
        for kind in (*_KINDS.values(), "shape"):
            found = [difference for difference in self.differences if difference.kind == kind]
            if found:
                yield f"\n{kind} ({len(found)})"
            for difference in found:
                yield f"  {difference.operation}: {difference.what}"
                yield f"    A  {difference.a}"
                yield f"    B  {difference.b}"

    def render_json(self) -> bytes:
        """Return the comparison as indented JSON."""
        value = {
            "a": {"url": self.first.url, "verdict": self.first.verdict},
            "b": {"url": self.second.url, "verdict": self.second.verdict},
            "both_keep": self.both_keep,
            "differences": [asdict(difference) for difference in self.differences],
        }
        return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def compare_targets(first: Target, second: Target, options: CheckOptions) -> Comparison:
    """Run the laws on both targets, one after the other. `max_time` is for each.

    Raises ConfigError or ContractError.
    """
    # generated cases differ between runs, so they cannot be compared
    options = replace(options, phases=())
    (left, left_shapes), (right, right_shapes) = (_check_target(target, options) for target in (first, second))
    differences = [*_compare_cells(left, right), *_compare_shapes(left_shapes, right_shapes)]
    both_keep = sum(
        cell.state == "kept" and right.matrix.get(law, {}).get(name, cell).state == "kept"
        for law, cells in left.matrix.items()
        for name, cell in cells.items()
    )
    return Comparison(left, right, both_keep, tuple(differences))


def _check_target(target: Target, options: CheckOptions) -> tuple[CheckReport, AnswerShapes]:
    run = prepare(target, options)
    shapes: AnswerShapes = {}
    run.observers = (partial(_note_shape, shapes),)
    for _ in run.events():
        pass
    run.context.client.close()
    if run.stopped == INTERRUPTED:
        raise KeyboardInterrupt  # half a run cannot be compared
    return build_report(run), shapes


def _compare_cells(left: CheckReport, right: CheckReport) -> Iterator[Difference]:
    titles = {law.name: law.title for law in left.laws}
    for law, cells in left.matrix.items():
        for name, a in cells.items():
            b = right.matrix.get(law, {}).get(name)
            kind = _KINDS.get((a.state, b.state)) if b else None
            if b and kind:
                yield Difference(
                    kind, name, f"{titles.get(law, law)} [{law}]", a.reason or a.state, b.reason or b.state
                )


def _note_shape(shapes: AnswerShapes, exchange: HttpExchange) -> None:
    if not exchange.status or exchange.media_type != "application/json":
        return
    try:
        data = exchange.json
    except UnreadableAnswer:
        return
    seen = shapes.setdefault((exchange.request.operation, exchange.status), {})
    for pointer, kind in _list_types(data):
        seen.setdefault(pointer, set()).add(kind)


def _list_types(value: Json, pointer: str = "") -> Iterator[tuple[str, str]]:
    yield pointer, json_type(value)
    if isinstance(value, dict):
        for name, child in value.items():
            yield from _list_types(child, f"{pointer}/{name}")
    elif isinstance(value, list):
        for child in value:
            yield from _list_types(child, f"{pointer}/*")


def _compare_shapes(left: AnswerShapes, right: AnswerShapes) -> Iterator[Difference]:
    for key in sorted(left.keys() & right.keys()):
        operation, status = key
        for pointer in sorted(left[key].keys() | right[key].keys()):
            a, b = left[key].get(pointer, set()), right[key].get(pointer, set())
            # a member that may be null shows nothing when it is
            if a - {"null"} != b - {"null"} and not _is_below_empty(pointer, left[key], right[key]):
                what = f"{status} {pointer or '/'}"
                yield Difference("shape", operation, what, _join_types(a), _join_types(b))


def _is_below_empty(pointer: str, left: PointerTypes, right: PointerTypes) -> bool:
    """Whether a pointer is below a value that one side only had as null or as an empty list."""
    parent = pointer.rpartition("/")[0]
    while parent:
        for types in (left, right):
            if types.get(parent, set()) <= {"null"} or (f"{parent}/*" not in types and types[parent] == {"array"}):
                return True
        parent = parent.rpartition("/")[0]
    return pointer.endswith("/*")


def _join_types(types: set[str]) -> str:
    return " or ".join(sorted(types)) or "absent"
