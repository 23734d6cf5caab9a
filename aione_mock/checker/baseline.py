"""Findings that are known and accepted for now, one fingerprint (law:operation) a line."""

from __future__ import annotations

from pathlib import Path

from aione_mock.checker.report import CheckError, CheckReport
from aione_mock.settings import read_text

_HEAD = "# Known findings of `aione-mock check`, one law:operation a line. Rewrite with --update-baseline.\n"


def load(path: Path) -> frozenset[str]:
    """The fingerprints in a file. Raises ConfigError or CheckError."""
    found = set()
    for number, line in enumerate(read_text(path, "baseline").splitlines(), start=1):
        text = line.partition("#")[0].strip()
        if text and text.count(":") != 1:
            raise CheckError(f"{path}:{number}: '{text[:60]}' is not law:operation")
        if text:
            found.add(text)
    return frozenset(found)


def save(path: Path, report: CheckReport) -> None:
    """Write all findings of a report, those that the baseline knew included. Raises CheckError."""
    lines = sorted({finding.fingerprint for finding in (*report.findings, *report.known)})
    write(path, (_HEAD + "".join(f"{line}\n" for line in lines)).encode())


def write(path: Path, content: bytes) -> None:
    """Write a file. Raises CheckError in one line."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise CheckError(f"cannot write '{path}': {error.strerror or error}") from None
