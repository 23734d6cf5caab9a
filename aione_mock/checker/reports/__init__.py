"""Reports as files: one module for each format, each with a function from a report to bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from aione_mock.checker.errors import CheckError
from aione_mock.checker.report import CheckReport
from aione_mock.checker.reports.html import render_html
from aione_mock.checker.reports.json_report import render_json
from aione_mock.checker.reports.junit import render_junit
from aione_mock.checker.reports.sarif import render_sarif

RENDERERS: Mapping[str, Callable[[CheckReport], bytes]] = {
    "junit": render_junit,
    "html": render_html,
    "json": render_json,
    "sarif": render_sarif,
}


def write_file(path: Path, content: bytes) -> None:
    """Write a file and make its folder. Raises CheckError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise CheckError(f"cannot write '{path}': {error.strerror or error}") from None
