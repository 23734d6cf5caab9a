"""Baselines: findings that are known and accepted for now, one `law:operation` per line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from aione_mock.checker.errors import CheckError
from aione_mock.checker.report import CheckReport
from aione_mock.checker.reports import write_file
from aione_mock.settings import read_text

_HEADER = "# Known findings of `aione-mock check`, one law:operation per line. Rewrite with --update-baseline.\n"


class BaselineEntry(BaseModel):
    """One known finding."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    law: Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[a-z0-9_-]+$")]
    """A law, rule or generated check, such as `stream-order`."""
    operation: Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^\w+$")]
    """An operationId, such as `createMessage`."""

    def __str__(self) -> str:
        return f"{self.law}:{self.operation}"


def load_baseline(path: Path) -> frozenset[str]:
    """Return the fingerprints in a file. Raises ConfigError or CheckError."""
    lines = enumerate(read_text(path, "baseline").splitlines(), start=1)
    entries = [(number, line.partition("#")[0].strip()) for number, line in lines]
    return frozenset(str(_parse_entry(text, f"{path}:{number}")) for number, text in entries if text)


def _parse_entry(text: str, place: str) -> BaselineEntry:
    law, _, operation = text.partition(":")
    try:
        return BaselineEntry(law=law, operation=operation)
    except ValidationError as error:
        field = error.errors()[0]["loc"][0]
        raise CheckError(f"{place}: '{text[:60]}' is not law:operation: the {field} is not a name") from None


def save_baseline(path: Path, report: CheckReport) -> None:
    """Write all findings of a report, known ones included. Raises CheckError."""
    findings: Iterable[str] = {f.fingerprint for f in (*report.findings, *report.known_findings)}
    write_file(path, (_HEADER + "".join(f"{fingerprint}\n" for fingerprint in sorted(findings))).encode())
