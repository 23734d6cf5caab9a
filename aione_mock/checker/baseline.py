"""Baselines: findings that are known and accepted for now, one `law:operation:what` per line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from aione_mock.checker.errors import CheckError
from aione_mock.checker.report import EXIT_COULD_NOT, CheckReport
from aione_mock.checker.reports import write_file
from aione_mock.text.data_files import read_text

_HEADER = """\
# Known findings of `aione-mock check`, one law:operation:what per line. A line without :what covers the whole place.
# Add findings with --update-baseline, drop those that are fixed with --prune.
"""


class BaselineEntry(BaseModel):
    """One known finding."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    law: Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[a-z0-9_-]+$")]
    """A law, rule or generated check, such as `stream-order`."""
    operation: Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^\w+$")]
    """An operationId, such as `createMessage`."""
    what: Annotated[str, StringConstraints(strip_whitespace=True)] = ""
    """The member or header that differs, or what was expected; empty for everything at this place."""

    def __str__(self) -> str:
        return ":".join(filter(None, (self.law, self.operation, self.what)))


def load_baseline(path: Path) -> frozenset[str]:
    """Return the fingerprints in a file. Raises ConfigError or CheckError."""
    lines = enumerate(map(str.strip, read_text(path, "baseline").splitlines()), start=1)
    return frozenset(
        str(_parse_entry(line, f"{path}:{number}")) for number, line in lines if line and not line.startswith("#")
    )


def _parse_entry(text: str, place: str) -> BaselineEntry:
    law, _, rest = text.partition(":")
    operation, _, what = rest.partition(":")
    try:
        return BaselineEntry(law=law, operation=operation, what=what)
    except ValidationError as error:
        field = error.errors()[0]["loc"][0]
        raise CheckError(f"{place}: '{text[:60]}' is not law:operation:what: the {field} is not a name") from None


def update_baseline(path: Path, known: Iterable[str], report: CheckReport, *, add: bool, prune: bool) -> int | None:
    """Add the new findings of a report to a baseline, and drop those whose law is kept now.

    What the run did not look at stays. Return the number of entries, or None, with nothing written, if it could not
    check. Raises CheckError.
    """
    if report.exit_code == EXIT_COULD_NOT:
        return None
    kept = set(known) - set(report.fixed_fingerprints if prune else ())
    entries = kept | {finding.fingerprint for finding in report.findings if add}
    write_file(path, (_HEADER + "".join(f"{entry}\n" for entry in sorted(entries))).encode())
    return len(entries)
