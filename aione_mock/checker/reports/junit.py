"""Reports as JUnit XML for CI systems: a suite for each law, a case for each operation."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree as xml

from aione_mock.checker.causes import Cause
from aione_mock.checker.coverage import COLUMNS
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
    _add_details(root, report)
    for law in report.laws:
        _add_suite(root, report, law, report.matrix.get(law.name, {}))
    _add_coverage(root, report)
    xml.indent(root)
    text: str = xml.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()


def _add_suite(root: xml.Element, report: CheckReport, law: LawInfo, cells: Mapping[str, MatrixCell]) -> None:
    findings = _group_findings(report, law.name)
    skipped = {name: reason for name, cell in cells.items() if (reason := _explain_skip(report, law.name, name, cell))}
    skipped = {name: reason for name, reason in skipped.items() if name not in findings}
    seconds = report.law_seconds.get(law.name, 0.0)
    suite = xml.SubElement(
        root,
        "testsuite",
        name=law.name,
        tests=str(len(cells)),
        failures=str(len(findings)),
        errors="0",
        skipped=str(len(skipped)),
        time=f"{seconds:.3f}",
        timestamp=report.details.started.removesuffix("Z"),
    )
    for name in cells:
        time = f"{seconds / len(cells):.3f}"
        case = xml.SubElement(suite, "testcase", classname=law.name, name=f"{law.title}: {name}", time=time)
        if name in findings:
            _add_failure(case, findings[name])
        elif name in skipped:
            xml.SubElement(case, "skipped", message=_clean_text(skipped[name]))


def _group_findings(report: CheckReport, law: str) -> dict[str, list[tuple[Cause, LawFinding]]]:
    """Return the findings of a law by operation, each with its cause."""
    found: dict[str, list[tuple[Cause, LawFinding]]] = {}
    for cause in report.causes:
        for finding in cause.findings:
            if finding.law == law:
                found.setdefault(finding.operation, []).append((cause, finding))
    return found


def _explain_skip(report: CheckReport, law: str, operation: str, cell: MatrixCell) -> str:
    """Return why a case is neither passed nor failed; empty if it is one of them."""
    if cell.state == "broken":
        known = any((finding.law, finding.operation) == (law, operation) for finding in report.known_findings)
        return "known: it is in the baseline" if known else "it follows from what another law found"
    return cell.reason if cell.state == "not checked" else ""


def _add_failure(case: xml.Element, findings: Sequence[tuple[Cause, LawFinding]]) -> None:
    """Add one failure for all findings of a case: the schemas that CI systems use allow no more."""
    severity = "violation" if any(finding.severity == "violation" for _, finding in findings) else "assumption"
    titles = dict.fromkeys(cause.title for cause, _ in findings)
    failure = xml.SubElement(case, "failure", type=severity, message=_clean_text("; ".join(titles)))
    texts = [f"expected {f.expected}\nsaw {f.seen}\n{f.curl}".rstrip() for _, f in findings]
    failure.text = _clean_text("\n\n".join(texts))


def _add_details(root: xml.Element, report: CheckReport) -> None:
    suite = xml.SubElement(root, "testsuite", name="run", tests="0", failures="0", errors="0", skipped="0")
    properties = xml.SubElement(suite, "properties")
    for name, value in (("target", report.url), *report.details.rows):
        xml.SubElement(properties, "property", name=name, value=_clean_text(value))


def _add_coverage(root: xml.Element, report: CheckReport) -> None:
    failures = str(int(bool(report.shortfall)))
    suite = xml.SubElement(root, "testsuite", name="coverage", tests="1", failures=failures, skipped="0")
    case = xml.SubElement(suite, "testcase", classname="coverage", name=report.coverage.summary)
    if report.shortfall:
        xml.SubElement(case, "failure", type="coverage", message=report.shortfall)
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in report.coverage.list_rows()]
    lines = [", ".join(f"{name} {cell}" for name, cell in row.items() if cell) for row in rows]
    xml.SubElement(suite, "system-out").text = _clean_text("\n".join(lines))


def _clean_text(value: str) -> str:
    return _FORBIDDEN.sub("�", value)
