"""A report as JUnit XML: a suite for each law, a case for each operation, as CI systems read it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree import ElementTree as xml

from aione_mock.checker.finding import LawFinding, MatrixCell
from aione_mock.checker.report import CheckReport

_FORBIDDEN = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(report: CheckReport) -> bytes:
    """XML text."""
    root = xml.Element("testsuites", name="aione-mock check", time=str(report.counts.seconds))
    if report.could_not:
        suite = xml.SubElement(root, "testsuite", name="target", tests="1", errors="1")
        case = xml.SubElement(suite, "testcase", classname="target", name=_text(report.url))
        xml.SubElement(case, "error", message=_text(report.verdict))
    for law in report.laws:
        _suite(root, report, law.name, law.title, report.matrix.get(law.name, {}))
    xml.indent(root)
    text: str = xml.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()


def _suite(root: xml.Element, report: CheckReport, law: str, title: str, cells: Mapping[str, MatrixCell]) -> None:
    by_operation: dict[str, list[LawFinding]] = {}
    for finding in report.findings:
        if finding.law == law:
            by_operation.setdefault(finding.operation, []).append(finding)
    known = {finding.operation for finding in report.known if finding.law == law}
    skipped = [name for name, cell in cells.items() if cell.state == "not checked" or name in known]
    suite = xml.SubElement(
        root,
        "testsuite",
        name=law,
        tests=str(len(cells)),
        failures=str(len(by_operation)),
        skipped=str(len([name for name in skipped if name not in by_operation])),
    )
    for name, cell in cells.items():
        case = xml.SubElement(suite, "testcase", classname=law, name=f"{title}: {name}")
        if name in by_operation:
            for finding in by_operation[name]:
                message = f"{finding.severity}: expected {finding.expected}; saw {finding.seen}"
                xml.SubElement(case, "failure", type=finding.severity, message=_text(message)).text = _text(
                    finding.curl
                )
        elif name in skipped:
            reason = "known: it is in the baseline" if name in known else cell.reason
            xml.SubElement(case, "skipped", message=_text(reason))


def _text(value: str) -> str:
    return _FORBIDDEN.sub("�", value)
