"""Reports as Markdown, for the summary of a CI job or a comment: the verdict and the findings as a table."""

from __future__ import annotations

import re
from collections.abc import Iterator

from aione_mock.checker.causes import Cause
from aione_mock.checker.report import CheckReport
from aione_mock.text.escaping import escape_unprintable

_MAX_FINDINGS = 50
_MAX_REASONS = 10
_MAX_CELL_CHARACTERS = 200
_PUNCTUATION = re.compile(r"[!-+:-@\[-`{-~]")
"""What may be markup, a link or a mention; all ASCII punctuation but `,-./`."""


def render_markdown(report: CheckReport) -> bytes:
    """Return the report as Markdown."""
    return "\n".join(_render_lines(report)).encode("utf-8", "replace")


def _render_lines(report: CheckReport) -> Iterator[str]:
    yield f"### Contract check of {_escape(report.url)}\n\n**{_escape(report.verdict)}**\n"
    if report.causes:
        yield "| | finding | operations | expected | seen |\n|---|---|---|---|---|"
        yield from map(_render_row, report.causes[:_MAX_FINDINGS])
        if len(report.causes) > _MAX_FINDINGS:
            yield f"\n{len(report.causes) - _MAX_FINDINGS} more are in the other reports."
    for reason, laws in report.unchecked[:_MAX_REASONS]:
        yield f"\nNot checked: {_escape(reason)} ({len(laws)} laws)"
    counts = report.counts
    yield f"\nCells (operation × law): {counts.kept} kept, {counts.broken} broken, {counts.not_checked} not checked."
    yield f"{counts.requests} requests,"
    yield f"about {counts.spent_rmb} RMB, {counts.seconds} s. {report.coverage.summary}\n"


def _render_row(cause: Cause) -> str:
    finding = cause.principal
    cells = (cause.severity_name, cause.title, ", ".join(cause.operations), finding.expected, finding.seen)
    return f"| {' | '.join(map(_escape, cells))} |"


def _escape(text: str) -> str:
    shown = text if len(text) <= _MAX_CELL_CHARACTERS else f"{text[: _MAX_CELL_CHARACTERS - 1]}…"
    return _PUNCTUATION.sub(lambda match: f"&#{ord(match[0])};", escape_unprintable(shown))
