"""Reports as SARIF 2.1.0 for code scanning: a rule for each law, a result for each cause."""

from __future__ import annotations

import hashlib
from pathlib import Path

import orjson

from aione_mock.checker.causes import Cause
from aione_mock.checker.report import CheckReport, LawInfo
from aione_mock.types import Json

_LEVELS = {"violation": "error", "assumption": "warning"}
_HOME = "https://github.com/aione-mock/aione-mock"
_ANY_FILE = "README.md"
"""What results point at if the run knows no file of the repository; code scanning demands one."""


def render_sarif(report: CheckReport) -> bytes:
    """Return the report as indented JSON."""
    driver = {
        "name": "aione-mock check",
        "version": report.details.tool_version,
        "semanticVersion": report.details.tool_version,
        "informationUri": _HOME,
        "rules": [_render_rule(law) for law in report.laws],
    }
    invocation = {
        "executionSuccessful": not report.could_not,
        "exitCode": report.exit_code,
        "exitCodeDescription": report.verdict,
        **({"startTimeUtc": report.details.started} if report.details.started else {}),
    }
    numbers = {law.name: number for number, law in enumerate(report.laws)}
    run: dict[str, Json] = {
        "tool": {"driver": driver},
        "invocations": [invocation],
        "results": [_render_result(report, cause, numbers) for cause in report.causes],
        "properties": {
            "target": report.url,
            **dict(report.details.rows),
            "coverage": report.coverage.describe(),
        },
    }
    document = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _render_rule(law: LawInfo) -> Json:
    return {
        "id": law.name,
        "name": "".join(word.capitalize() for word in law.name.replace("_", "-").split("-")),
        "shortDescription": {"text": f"{law.title}."},
        "fullDescription": {"text": law.sentence or f"{law.title}."},
        "properties": {"area": law.area, "evidence": law.evidence},
    }


def _render_result(report: CheckReport, cause: Cause, numbers: dict[str, int]) -> Json:
    finding = cause.principal
    text = f"{cause.title}. Expected {finding.expected}; saw {finding.seen}"
    fingerprint = hashlib.sha256(":".join(cause.key).encode()).hexdigest()[:16]
    return {
        "ruleId": finding.law,
        "ruleIndex": numbers[finding.law],
        "level": _LEVELS[cause.severity],
        "message": {"text": f"{text}\n\n{finding.curl}" if finding.curl else text},
        "locations": [_render_location(report.location, cause)],
        # the one fingerprint that GitHub reads, in its form: a hash and how often it occurred before
        "partialFingerprints": {"primaryLocationLineHash": f"{fingerprint}:1"},
        "occurrenceCount": cause.count,
    }


def _render_location(path: Path | None, cause: Cause) -> Json:
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": _format_uri(path) if path else _ANY_FILE},
            "region": {"startLine": _find_line(path, cause) if path else 1},
        },
        "logicalLocations": [{"name": name, "kind": "function"} for name in cause.operations],
    }


def _format_uri(path: Path) -> str:
    """Return the path from the current folder, which is the root of a repository in CI."""
    absolute = path.absolute()
    return absolute.relative_to(Path.cwd()).as_posix() if absolute.is_relative_to(Path.cwd()) else absolute.as_uri()


def _find_line(path: Path, cause: Cause) -> int:
    """Return the first line of a file that names an operation of a cause; 1 if none does."""
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    numbered = enumerate(lines, start=1)
    return next((number for number, line in numbered if any(name in line for name in cause.operations)), 1)
