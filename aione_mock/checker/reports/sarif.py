"""Reports as SARIF 2.1.0 for code scanning: a rule for each law, a result for each finding."""

from __future__ import annotations

import hashlib

import orjson

from aione_mock.checker.finding import LawFinding
from aione_mock.checker.report import CheckReport
from aione_mock.types import Json

_LEVELS = {"violation": "error", "assumption": "warning"}


def render_sarif(report: CheckReport) -> bytes:
    """Return the report as indented JSON."""
    rules = [
        {
            "id": law.name,
            "name": law.name,
            "shortDescription": {"text": law.title},
            "fullDescription": {"text": law.sentence or law.title},
            "properties": {"area": law.area, "evidence": law.evidence},
        }
        for law in report.laws
    ]
    run: dict[str, Json] = {
        "tool": {"driver": {"name": "aione-mock check", "rules": rules}},
        "invocations": [
            {
                "executionSuccessful": not report.could_not,
                "exitCode": report.exit_code,
                "exitCodeDescription": report.verdict,
            }
        ],
        "results": [_render_result(finding) for finding in report.findings],
    }
    document = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _render_result(finding: LawFinding) -> Json:
    text = f"{finding.operation}: expected {finding.expected}; saw {finding.seen}"
    return {
        "ruleId": finding.law,
        "level": _LEVELS[finding.severity],
        "message": {"text": f"{text}\n\n{finding.curl}" if finding.curl else text},
        "locations": [
            {
                "physicalLocation": {"artifactLocation": {"uri": "openapi/aione.yaml"}},
                "logicalLocations": [{"name": finding.operation, "kind": "function"}],
            }
        ],
        "partialFingerprints": {"lawAndOperation": hashlib.sha256(finding.fingerprint.encode()).hexdigest()[:32]},
        "occurrenceCount": finding.count,
    }
