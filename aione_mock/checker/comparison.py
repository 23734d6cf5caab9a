"""The same plan on two implementations: what both keep, what only one keeps, and where answers differ in shape."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson

from aione_mock.checker import prepare
from aione_mock.checker.overlay_suggestions import json_type
from aione_mock.checker.report import COULD_NOT, FOUND, KEPT, CheckReport, report
from aione_mock.checker.run import INTERRUPTED, CheckRun
from aione_mock.checker.target import Target
from aione_mock.checker.traffic import HttpExchange, Unreadable
from aione_mock.types import Json

Shapes = dict[tuple[str, int], dict[str, set[str]]]
"""(operation, status) → pointer → JSON types that were seen there."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where two implementations are not alike."""

    kind: str
    """`only A keeps`, `only B keeps`, `both break`, `shape`."""
    operation: str
    what: str
    a: str
    b: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two reports side by side."""

    first: CheckReport
    second: CheckReport
    both: int
    """Places that both keep."""
    differences: tuple[Difference, ...]

    @property
    def exit_code(self) -> int:
        """0 alike, 1 different, 2 one could not be checked."""
        if self.first.could_not or self.second.could_not:
            return COULD_NOT
        return FOUND if any(d.kind != "both break" for d in self.differences) else KEPT

    def lines(self) -> Iterator[str]:
        """The comparison as text."""
        yield f"A  {self.first.url}  {self.first.verdict}"
        yield f"B  {self.second.url}  {self.second.verdict}"
        yield f"Both keep {self.both} of the laws' places."
        for kind in ("only A keeps", "only B keeps", "both break", "shape"):
            found = [difference for difference in self.differences if difference.kind == kind]
            if found:
                yield f"\n{kind} ({len(found)})"
            for difference in found:
                yield f"  {difference.operation}: {difference.what}"
                yield f"    A  {difference.a}"
                yield f"    B  {difference.b}"

    def as_json(self) -> bytes:
        """The comparison as JSON text."""
        value = {
            "a": {"url": self.first.url, "verdict": self.first.verdict},
            "b": {"url": self.second.url, "verdict": self.second.verdict},
            "both_keep": self.both,
            "differences": [
                {"kind": d.kind, "operation": d.operation, "what": d.what, "a": d.a, "b": d.b} for d in self.differences
            ],
        }
        return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def compare(first: Target, second: Target, **options: Any) -> Comparison:
    """Run the same plan on both, one after the other. Options are those of `prepare`; `max_time` is for each.

    Raises ConfigError or ContractError.
    """
    options.setdefault("phases", ())  # generated cases differ between runs, so they compare nothing
    (left, left_shapes), (right, right_shapes) = (_look(target, options) for target in (first, second))
    differences = [*_verdicts(left, right), *_shapes(left_shapes, right_shapes)]
    both = sum(
        cell.state == "kept" and right.matrix.get(law, {}).get(name, cell).state == "kept"
        for law, cells in left.matrix.items()
        for name, cell in cells.items()
    )
    return Comparison(left, right, both, tuple(differences))


def _look(target: Target, options: dict[str, Any]) -> tuple[CheckReport, Shapes]:
    run: CheckRun = prepare(target, **options)
    shapes: Shapes = {}
    run.witness = partial(_note, shapes)
    for _ in run.events():
        pass
    run.context.client.close()
    if run.stopped == INTERRUPTED:
        raise KeyboardInterrupt  # the other one would be compared with half of this
    return report(run), shapes


def _verdicts(left: CheckReport, right: CheckReport) -> Iterator[Difference]:
    titles = {law.name: law.title for law in left.laws}
    for law, cells in left.matrix.items():
        for name, mine in cells.items():
            theirs = right.matrix.get(law, {}).get(name)
            if theirs is None:
                continue
            states = (mine.state, theirs.state)
            kind = {
                ("kept", "broken"): "only A keeps",
                ("broken", "kept"): "only B keeps",
                ("broken", "broken"): "both break",
            }
            if states in kind:
                what = f"{titles.get(law, law)} [{law}]"
                yield Difference(kind[states], name, what, mine.reason or mine.state, theirs.reason or theirs.state)


def _note(shapes: Shapes, exchange: HttpExchange) -> None:
    if not exchange.status or exchange.media_type != "application/json":
        return
    try:
        data = exchange.json
    except Unreadable:
        return
    seen = shapes.setdefault((exchange.request.operation, exchange.status), {})
    for pointer, kind in _types(data):
        seen.setdefault(pointer, set()).add(kind)


def _types(value: Json, pointer: str = "") -> Iterator[tuple[str, str]]:
    yield pointer, json_type(value)
    if isinstance(value, dict):
        for name, child in value.items():
            yield from _types(child, f"{pointer}/{name}")
    elif isinstance(value, list):
        for child in value:
            yield from _types(child, f"{pointer}/*")


def _shapes(left: Shapes, right: Shapes) -> Iterator[Difference]:
    for key in sorted(left.keys() & right.keys()):
        operation, status = key
        for pointer in sorted(left[key].keys() | right[key].keys()):
            mine, theirs = left[key].get(pointer, set()), right[key].get(pointer, set())
            # a member that is null now and then says nothing; nor does one below a list that was empty
            if mine - {"null"} == theirs - {"null"} or _below_empty(pointer, left[key], right[key]):
                continue
            yield Difference("shape", operation, f"{status} {pointer or '/'}", _words(mine), _words(theirs))


def _below_empty(pointer: str, left: dict[str, set[str]], right: dict[str, set[str]]) -> bool:
    parent = pointer.rpartition("/")[0]
    while parent:
        for shapes in (left, right):
            if shapes.get(parent, set()) <= {"null"} or (f"{parent}/*" not in shapes and shapes[parent] == {"array"}):
                return True
        parent = parent.rpartition("/")[0]
    return pointer.endswith("/*")


def _words(kinds: set[str]) -> str:
    return " or ".join(sorted(kinds)) or "absent"
