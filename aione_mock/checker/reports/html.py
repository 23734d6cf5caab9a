"""Reports as one HTML file: contents, findings by cause with a filter, the matrix.

The page loads nothing. Where scripts are forbidden, all but the filter works.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape

from aione_mock.checker.causes import Cause
from aione_mock.checker.coverage import COLUMNS, ContractCoverage
from aione_mock.checker.finding import MatrixCell
from aione_mock.checker.report import CheckReport, LawInfo

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --soft: #5d6878; --page: #ffffff; --card: #f5f7fa; --line: #d9dfe7;
  --kept: #1a7f4b; --broken: #c22f2f; --warn: #a86400; --none: #8b95a5; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --soft: #9aa5b4; --page: #14181f; --card: #1c222c;
  --line: #323b49; --kept: #4cc38a; --broken: #ff7b72; --warn: #e3a341; --none: #6c7787; } }
body { margin: 2rem auto; max-width: 92rem; padding: 0 1.2rem; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
.columns { display: grid; grid-template-columns: 19rem minmax(0, 1fr); gap: 2rem; align-items: start; }
nav { position: sticky; top: 1rem; max-height: calc(100vh - 2rem); overflow-y: auto; font-size: 13px; }
nav ol { padding-left: 2rem; margin: .3rem 0; } nav a { color: inherit; text-decoration: none; }
nav a:hover { text-decoration: underline; } nav b a { display: block; margin-top: .5rem; }
nav li::marker { color: var(--broken); font-weight: 700; } nav li.assumption::marker { color: var(--warn); }
@media (max-width: 60rem) { .columns { display: block; } nav { position: static; max-height: none; } }
#filter { position: sticky; top: 0; z-index: 3; display: flex; flex-wrap: wrap; gap: .6rem; padding: .5rem 0;
  background: var(--page); border-bottom: 1px solid var(--line); }
#filter[hidden], details.cause[hidden], nav li[hidden] { display: none; }
#filter input, #filter select { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line);
  border-radius: .3rem; padding: .2rem .4rem; max-width: 16rem; }
details.cause { scroll-margin-top: 4rem; }
dl { display: grid; grid-template-columns: 5.5rem minmax(0, 1fr); gap: 0 .6rem; margin: .3rem 0 0 1.1rem;
  font-size: 13px; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
summary dd { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden; }
dl.run { margin: .8rem 0; }
.badge { color: var(--page); background: var(--broken); border-radius: .3rem; padding: 0 .4rem; font-size: 12px; }
.assumption .badge { background: var(--warn); }
table.places td, table.places th { text-align: left; padding: .15rem .5rem; overflow-wrap: anywhere;
  vertical-align: top; }
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
.scroll { overflow: auto; max-height: 85vh; } table { border-collapse: collapse; font-size: 13px; }
th { text-align: left; font-weight: 600; padding: .2rem .5rem; } thead th.op { vertical-align: bottom; padding: .2rem; }
thead th.op span { writing-mode: vertical-rl; transform: rotate(180deg); font-weight: 400; }
table.coverage td { text-align: left; padding: .1rem .5rem; overflow-wrap: anywhere; }
.scroll thead th { position: sticky; top: 0; z-index: 2; background: var(--page); }
.scroll tbody tr:not(.area) th { position: sticky; left: 0; z-index: 1; background: var(--page); }
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
_SCRIPT = """
const form = document.getElementById("filter"), causes = [...document.querySelectorAll("details.cause")];
function apply() {
  const words = form.text.value.toLowerCase().split(/\\s+/), operation = form.operation.value;
  let shown = 0;
  for (const cause of causes) {
    const fits = (!form.severity.value || cause.dataset.severity === form.severity.value)
      && (!operation || cause.dataset.operations.split(" ").includes(operation))
      && words.every((word) => cause.textContent.toLowerCase().includes(word));
    cause.hidden = document.getElementById("to-" + cause.id).hidden = !fits;
    shown += fits;
  }
  form.querySelector("output").textContent = shown + " of " + causes.length;
}
if (form) {
  form.hidden = false;
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  apply();
  const open = () => { const at = document.getElementById(location.hash.slice(1)); if (at) at.open = true; };
  addEventListener("hashchange", open);
  open();
}
"""
_MARKS = {"kept": ("kept", "✓"), "broken": ("broken", "✗"), "not checked": ("none", "·")}


def render_html(report: CheckReport) -> bytes:
    """Return the report as HTML."""
    return "\n".join(_render_page(report)).encode("utf-8", "replace")


def _render_page(report: CheckReport) -> Iterator[str]:
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>Contract check of {escape(report.url)}</title><style>{_STYLE}</style></head><body>"
    yield f'<h1>Contract check</h1><div class="soft">{escape(report.url)}</div>'
    verdict_class = "good" if report.all_kept else "bad"
    yield f'<div class="verdict {verdict_class}">{escape(report.verdict)}</div>'
    yield from _render_counts(report)
    yield from _render_details(report)
    yield '<div class="columns">'
    yield from _render_contents(report)
    yield "<main>"
    yield from _render_findings(report)
    yield from _render_matrix(report)
    yield from _render_unchecked(report)
    yield from _render_coverage(report.coverage)
    yield f"</main></div><script>{_SCRIPT}</script></body></html>"


def _render_details(report: CheckReport) -> Iterator[str]:
    yield '<dl class="run">'
    for name, value in report.details.rows:
        yield f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>"
    yield "</dl>"


def _render_contents(report: CheckReport) -> Iterator[str]:
    yield '<nav aria-label="Contents">'
    if report.causes:
        yield f'<b><a href="#findings">Findings ({len(report.causes)})</a></b><ol>'
        for number, cause in enumerate(report.causes, start=1):
            link = f'<a href="#cause-{number}">{escape(cause.title)}</a>'
            yield f'<li id="to-cause-{number}" class="{cause.severity}">{link}</li>'
        yield "</ol>"
    yield '<b><a href="#matrix">Laws and operations</a></b>'
    if report.unchecked:
        yield '<b><a href="#unchecked">Not checked, and why</a></b>'
    yield '<b><a href="#coverage">Contract coverage</a></b></nav>'


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
    for note in report.notes:
        yield f'<p class="soft">Note: {escape(note)}</p>'


def _render_findings(report: CheckReport) -> Iterator[str]:
    if not report.causes and not report.known_findings:
        return
    yield f'<h2 id="findings">Findings ({len(report.causes)})</h2>'
    yield f'<p class="soft">{_LEGEND}</p>'
    if report.causes:
        yield from _render_filter(report)
    for number, cause in enumerate(report.causes, start=1):
        yield from _render_cause(number, cause)
    if report.known_findings:
        known = ", ".join(sorted({finding.fingerprint for finding in report.known_findings}))
        yield f'<p class="soft">In the baseline: {escape(known)}</p>'


def _render_filter(report: CheckReport) -> Iterator[str]:
    names = sorted({name for cause in report.causes for name in cause.operations})
    yield '<form id="filter" hidden><select name="severity" aria-label="Severity"><option value="">all severities'
    yield '<option value="violation">violations<option value="assumption">assumption mismatches</select>'
    yield '<select name="operation" aria-label="Operation"><option value="">all operations'
    yield from (f'<option value="{escape(name)}">{escape(name)}' for name in names)
    yield '</select><input name="text" type="search" placeholder="words" aria-label="Words"><output></output></form>'


def _render_cause(number: int, cause: Cause) -> Iterator[str]:
    finding, count = cause.principal, f" · {cause.times}" if cause.times else ""
    operations = escape(" ".join(cause.operations))
    yield f'<details class="cause {cause.severity}" id="cause-{number}" data-severity="{cause.severity}"'
    yield f' data-operations="{operations}"><summary><span class="badge">{cause.severity_name}</span>'
    yield f' <b>{escape(cause.title)}</b> <span class="soft">{escape(finding.law)}{count}</span>'
    yield f"<dl><dt>expected</dt><dd>{escape(finding.expected)}</dd><dt>seen</dt><dd>{escape(finding.seen)}</dd></dl>"
    yield "</summary>"
    for label, text in (
        ("Answer", finding.answer),
        ("As a shell command", finding.curl),
        ("In Python", finding.python),
        ("Overlay that accepts what was seen", cause.overlay),
        ("Without overlay", cause.overlay_note),
    ):
        if text:
            yield f'<div class="soft">{label}</div><pre>{escape(text)}</pre>'
    if len(cause.findings) > 1:
        yield from _render_places(cause)
    yield "</details>"


def _render_places(cause: Cause) -> Iterator[str]:
    yield '<div class="soft">All places</div><table class="places">'
    yield "<tr><th>operation</th><th>law</th><th>expected</th><th>seen</th></tr>"
    for finding in cause.findings:
        cells = (finding.operation, finding.law, finding.expected, finding.seen)
        yield f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
    yield "</table>"


def _render_matrix(report: CheckReport) -> Iterator[str]:
    yield '<h2 id="matrix">Laws and operations</h2>'
    counts = report.counts
    yield '<p class="soft">Each cell is one law at one operation. '
    yield f"✓ {counts.kept} kept, ✗ {counts.broken} broken, · {counts.not_checked} not checked (hover to see why). "
    yield "Empty: does not apply.</p>"
    yield '<div class="scroll"><table><thead><tr><th></th>'
    yield from (f'<th class="op"><span>{escape(name)}</span></th>' for name in report.operations)
    yield "</tr></thead><tbody>"
    violated = {f.place for f in report.findings if f.severity == "violation"}
    soft = {f.place for f in report.findings if f.severity == "assumption"} - violated
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
    yield '<h2 id="unchecked">Not checked, and why</h2><ul>'
    for reason, laws in report.unchecked:
        yield f'<li>{escape(reason)} <span class="soft">({escape(", ".join(laws))})</span></li>'
    yield "</ul>"


def _render_coverage(coverage: ContractCoverage) -> Iterator[str]:
    yield f'<h2 id="coverage">Contract coverage</h2><p class="soft">{escape(coverage.summary)}</p>'
    yield '<div class="scroll"><table class="coverage"><thead><tr>'
    yield from (f"<th>{escape(name)}</th>" for name in COLUMNS)
    yield "</tr></thead><tbody>"
    for name, *cells in coverage.list_rows():
        yield f"<tr><th>{escape(name)}</th>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
    yield "</tbody></table></div>"
