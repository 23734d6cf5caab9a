"""Reports as files: one module for each format, each with a function from a report to bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from aione_mock.checker.errors import CheckError
from aione_mock.checker.report import CheckReport
from aione_mock.checker.reports.html import render_html
from aione_mock.checker.reports.json_report import render_json
from aione_mock.checker.reports.junit import render_junit
from aione_mock.checker.reports.markdown import render_markdown
from aione_mock.checker.reports.sarif import render_sarif
from aione_mock.text.escaping import escape_unprintable


def _escape(render: Callable[[CheckReport], bytes]) -> Callable[[CheckReport], bytes]:
    return lambda report: escape_unprintable(render(report).decode(), lines=True).encode()


RENDERERS: Mapping[str, Callable[[CheckReport], bytes]] = {
    "junit": _escape(render_junit),
    "html": _escape(render_html),
    "json": _escape(render_json),
    "sarif": _escape(render_sarif),
    "markdown": _escape(render_markdown),
}


def check_writable(path: Path) -> None:
    """Make the folder of a file and find out whether the file can be written. Raises CheckError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not path.exists()
        path.open("ab").close()
        if is_new:
            path.unlink()
    except OSError as error:
        raise CheckError(f"cannot write '{path}': {error.strerror or error}") from None


def write_file(path: Path, content: bytes) -> None:
    """Write a file and make its folder. Raises CheckError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise CheckError(f"cannot write '{path}': {error.strerror or error}") from None
