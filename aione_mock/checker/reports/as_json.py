"""A report as JSON, and back: the form that `diff` and baselines read."""

from __future__ import annotations

import orjson

from aione_mock.checker.finding import LawFinding
from aione_mock.checker.report import CheckReport
from aione_mock.types import Json

FORMAT = 1
"""Raised when a member changes its meaning."""


def write(report: CheckReport) -> bytes:
    """JSON text, two blanks deep."""
    return orjson.dumps(
        as_dict(report), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS
    )


def as_dict(report: CheckReport) -> dict[str, Json]:
    """The report as JSON values."""
    counts = report.counts
    return {
        "format": FORMAT,
        "tool": "aione-mock check",
        "url": report.url,
        "verdict": report.verdict,
        "exit_code": report.exit_code,
        "stopped": report.stopped or None,
        "could_not": report.could_not or None,
        "unclean": list(report.unclean),
        "counts": {
            "operations": counts.operations,
            "laws": counts.laws,
            "requests": counts.requests,
            "cases": counts.cases,
            "paid_calls": counts.paid_calls,
            "spent_rmb": counts.spent_rmb,
            "seconds": counts.seconds,
            "statuses": counts.statuses,
            "kept": report.cells("kept"),
            "broken": report.cells("broken"),
            "not_checked": report.cells("not checked"),
        },
        "findings": [_finding(finding) for finding in report.findings],
        "known": [finding.fingerprint for finding in report.known],
        "gone": list(report.gone),
        "laws": [
            {"name": law.name, "title": law.title, "sentence": law.sentence, "evidence": law.evidence, "area": law.area}
            for law in report.laws
        ],
        "matrix": {
            law: {
                name: {"state": cell.state, **({"reason": cell.reason} if cell.reason else {})}
                for name, cell in cells.items()
            }
            for law, cells in report.matrix.items()
        },
    }


def _finding(finding: LawFinding) -> dict[str, Json]:
    return {
        "fingerprint": finding.fingerprint,
        "law": finding.law,
        "title": finding.title,
        "operation": finding.operation,
        "severity": finding.severity,
        "evidence": finding.evidence,
        "expected": finding.expected,
        "seen": finding.seen,
        "count": finding.count,
        "curl": finding.curl,
        "python": finding.python,
        "answer": finding.answer,
        "overlay": finding.overlay or None,
    }
