"""Name what does not work at all, to be said before all else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from aione_mock.checker.deduplication import OPERATION_SERVED
from aione_mock.checker.finding import LawFinding

STREAM_LAW = "stream-asked"
OUTAGE_LAWS = (
    OPERATION_SERVED.name,
    "read-answered",
    "question-answered",
    "count-answered",
    "write-answered",
    STREAM_LAW,
)
"""Laws about calls without which nothing else of an operation works."""
_MAX_NAMES = 12


def list_dead_operations(findings: Iterable[LawFinding]) -> list[str]:
    """Return the operations that do not work at all."""
    laws = [law for law in OUTAGE_LAWS if law != STREAM_LAW]
    return list(dict.fromkeys(finding.operation for finding in findings if finding.law in laws))


def describe_outages(findings: Iterable[LawFinding], tags: Mapping[str, Sequence[str]]) -> str:
    """Return one sentence that names the operations and streams that do not work; empty if all do.

    `tags` has the operations of each tag. Of many that do not work, tags without a working one stand for theirs.
    """
    found = list(findings)
    dead = list_dead_operations(found)
    streams = dict.fromkeys(f.operation for f in found if f.law == STREAM_LAW and f.operation not in dead)
    if len(dead) + len(streams) > _MAX_NAMES:
        dead = list(_shorten_names(dead, tags))
    names = [*dead, *(f"streams of {name}" for name in streams)]
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return f"Does not work: {', '.join(names[:_MAX_NAMES])}{more}." if names else ""


def _shorten_names(names: Iterable[str], tags: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield the tags of which all operations are named, then the other names."""
    left = set(names)
    for tag, operations in tags.items():
        if len(operations) > 1 and left.issuperset(operations):
            left -= set(operations)
            yield f"all {len(operations)} operations of {tag}"
    yield from (name for name in names if name in left)
