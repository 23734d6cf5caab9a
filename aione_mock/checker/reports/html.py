"""Reports as one HTML file, without scripts or other files: findings first, then the matrix."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape

from aione_mock.checker.finding import LawFinding, MatrixCell
from aione_mock.checker.report import CheckReport, LawInfo

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --soft: #5d6878; --page: #ffffff; --card: #f5f7fa; --line: #d9dfe7;
  --kept: #1a7f4b; --broken: #c22f2f; --warn: #a86400; --none: #8b95a5; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --soft: #9aa5b4; --page: #14181f; --card: #1c222c;
  --line: #323b49; --kept: #4cc38a; --broken: #ff7b72; --warn: #e3a341; --none: #6c7787; } }
body { margin: 2rem auto; max-width: 76rem; padding: 0 1.2rem; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
.soft { color: var(--soft); } .verdict { font-size: 1.2rem; margin: .8rem 0; padding: .7rem 1rem; border-radius: .4rem;
  background: var(--card); border-left: .4rem solid var(--none); }
.verdict.good { border-color: var(--kept); } .verdict.bad { border-color: var(--broken); }
.numbers { display: flex; flex-wrap: wrap; gap: .6rem; } .numbers div { background: var(--card); border-radius: .4rem;
  padding: .5rem .9rem; } .numbers b { display: block; font-size: 1.25rem; }
details { background: var(--card); border-radius: .4rem; margin: .5rem 0; padding: .6rem 1rem;
  border-left: .3rem solid var(--broken); } details.assumption { border-color: var(--warn); }
summary { cursor: pointer; }
pre { overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere; background: var(--page);
  border: 1px solid var(--line); border-radius: .3rem; padding: .6rem; font-size: 13px; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: 13px; }
th { text-align: left; font-weight: 600; padding: .2rem .5rem; } thead th.op { vertical-align: bottom; padding: .2rem; }
thead th.op span { writing-mode: vertical-rl; transform: rotate(180deg); font-weight: 400; }
td { text-align: center; border: 1px solid var(--line); min-width: 1.3rem; padding: .1rem; }
td.kept { color: var(--kept); } td.broken { background: var(--broken); color: var(--page); font-weight: 700; }
td.warn { background: var(--warn); color: var(--page); font-weight: 700; } td.none { color: var(--none); }
tr.area th { padding-top: .9rem; color: var(--soft); text-transform: uppercase; letter-spacing: .04em;
  font-size: 12px; }
"""
_LEGEND = (
    "A violation contradicts what is documented or deduced. An assumption mismatch contradicts what the contract "
    "assumes: change either the gateway or, with the given overlay, the contract."
)
_MARKS = {"kept": ("kept", "✓"), "broken": ("broken", "✗"), "not checked": ("none", "·")}


def render_html(report: CheckReport) -> bytes:
    """Return the report as HTML."""
    return "\n".join(_render_page(report)).encode("utf-8", "replace")


def _render_page(report: CheckReport) -> Iterator[str]:
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>Contract check of {escape(report.url)}</title><style>{_STYLE}</style></head><body>"
    yield f'<h1>Contract check</h1><div class="soft">{escape(report.url)}</div>'
    mood = "good" if report.kept else "bad"
    yield f'<div class="verdict {mood}">{escape(report.verdict)}</div>'
    yield from _render_counts(report)
    yield from _render_findings(report)
    yield from _render_matrix(report)
    yield from _render_unchecked(report)
    yield "</body></html>"


def _render_counts(report: CheckReport) -> Iterator[str]:
    counts = report.counts
    yield '<div class="numbers">'
    for value, label in (
        (counts.kept, "kept"),
        (counts.broken, "broken"),
        (counts.not_checked, "not checked"),
        (counts.operations, "operations"),
        (counts.laws, "laws"),
        (counts.requests, "requests"),
        (counts.cases, "generated cases"),
        (counts.paid_calls, "paid calls"),
        (counts.spent_rmb, "RMB spent, estimated"),
        (counts.seconds, "seconds"),
    ):
        yield f"<div><b>{value}</b>{label}</div>"
    yield "</div>"
    if report.keys_left:
        left = escape(", ".join(report.keys_left))
        yield f'<p class="soft">Temporary keys that could not be deleted: {left}</p>'


def _render_findings(report: CheckReport) -> Iterator[str]:
    if not report.findings and not report.known_findings:
        return
    yield f"<h2>Findings ({len(report.findings)})</h2>"
    yield f'<p class="soft">{_LEGEND}</p>'
    for finding in report.findings:
        yield from _render_finding(finding)
    if report.known_findings:
        known = ", ".join(sorted({finding.fingerprint for finding in report.known_findings}))
        yield f'<p class="soft">In the baseline: {escape(known)}</p>'


def _render_finding(finding: LawFinding) -> Iterator[str]:
    count = f" · {finding.times}" if finding.times else ""
    yield f'<details class="{finding.severity}"><summary><b>{escape(finding.operation)}</b> — {escape(finding.title)}'
    yield f' <span class="soft">({finding.severity_name}, {escape(finding.law)}{count})</span></summary>'
    yield f"<p><b>Expected</b> {escape(finding.expected)}<br><b>Seen</b> {escape(finding.seen)}</p>"
    for label, text in (
        ("Answer", finding.answer),
        ("As a shell command", finding.curl),
        ("In Python", finding.python),
        ("Overlay that accepts what was seen", finding.overlay),
    ):
        if text:
            yield f'<div class="soft">{label}</div><pre>{escape(text)}</pre>'
    yield "</details>"


def _render_matrix(report: CheckReport) -> Iterator[str]:
    yield "<h2>Laws and operations</h2>"
    yield '<p class="soft">✓ kept, ✗ broken, · not checked (hover to see why), empty: does not apply.</p>'
    yield '<div class="scroll"><table><thead><tr><th></th>'
    yield from (f'<th class="op"><span>{escape(name)}</span></th>' for name in report.operations)
    yield "</tr></thead><tbody>"
    soft = {f.fingerprint for f in report.findings if f.severity == "assumption"}
    for area, laws in _group_by_area(report.laws):
        yield f'<tr class="area"><th colspan="{len(report.operations) + 1}">{escape(area)}</th></tr>'
        for law in laws:
            cells = report.matrix.get(law.name, {})
            row = "".join(_render_cell(cells.get(name), f"{law.name}:{name}" in soft) for name in report.operations)
            yield f'<tr><th title="{escape(law.sentence)}">{escape(law.title)}</th>{row}</tr>'
    yield "</tbody></table></div>"


def _group_by_area(laws: Iterable[LawInfo]) -> list[tuple[str, list[LawInfo]]]:
    found: dict[str, list[LawInfo]] = {}
    for law in laws:
        found.setdefault(law.area or "other", []).append(law)
    return list(found.items())


def _render_cell(cell: MatrixCell | None, soft: bool) -> str:
    if cell is None:
        return "<td></td>"
    kind, mark = _MARKS[cell.state]
    return f'<td class="{"warn" if soft and kind == "broken" else kind}" title="{escape(cell.reason)}">{mark}</td>'


def _render_unchecked(report: CheckReport) -> Iterator[str]:
    if not report.unchecked:
        return
    yield "<h2>Not checked, and why</h2><ul>"
    for reason, laws in report.unchecked:
        yield f'<li>{escape(reason)} <span class="soft">({escape(", ".join(laws))})</span></li>'
    yield "</ul>"
