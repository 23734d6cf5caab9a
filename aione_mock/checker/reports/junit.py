"""Reports as JUnit XML for CI systems: a suite for each law, a case for each operation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree import ElementTree as xml

from aione_mock.checker.finding import LawFinding, MatrixCell
from aione_mock.checker.report import CheckReport, LawInfo

_FORBIDDEN = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML cannot represent."""


def render_junit(report: CheckReport) -> bytes:
    """Return the report as XML."""
    root = xml.Element("testsuites", name="aione-mock check", time=str(report.counts.seconds))
    if report.could_not:
        suite = xml.SubElement(root, "testsuite", name="target", tests="1", errors="1")
        case = xml.SubElement(suite, "testcase", classname="target", name=_clean_text(report.url))
        xml.SubElement(case, "error", message=_clean_text(report.verdict))
    for law in report.laws:
        _add_suite(root, report, law, report.matrix.get(law.name, {}))
    xml.indent(root)
    text: str = xml.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()


def _add_suite(root: xml.Element, report: CheckReport, law: LawInfo, cells: Mapping[str, MatrixCell]) -> None:
    findings: dict[str, list[LawFinding]] = {}
    for finding in report.findings:
        if finding.law == law.name:
            findings.setdefault(finding.operation, []).append(finding)
    reasons = {name: cell.reason for name, cell in cells.items() if cell.state == "not checked"}
    known = [f.operation for f in report.known_findings if f.law == law.name]
    reasons |= dict.fromkeys(known, "known: it is in the baseline")
    skipped = [name for name in cells if name in reasons and name not in findings]
    suite = xml.SubElement(
        root,
        "testsuite",
        name=law.name,
        tests=str(len(cells)),
        failures=str(len(findings)),
        skipped=str(len(skipped)),
    )
    for name in cells:
        case = xml.SubElement(suite, "testcase", classname=law.name, name=f"{law.title}: {name}")
        for finding in findings.get(name, ()):
            message = _clean_text(f"{finding.severity}: expected {finding.expected}; saw {finding.seen}")
            failure = xml.SubElement(case, "failure", type=finding.severity, message=message)
            failure.text = _clean_text(finding.curl)
        if name in skipped:
            xml.SubElement(case, "skipped", message=_clean_text(reasons[name]))


def _clean_text(value: str) -> str:
    return _FORBIDDEN.sub("�", value)
