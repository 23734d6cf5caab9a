"""Check another gateway, LiteLLM's proxy with mock answers. Writes docs/example-report/.

python scripts/check_litellm.py [FOLDER]     FOLDER is an environment with litellm; made if it is missing
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from gateways import KEY, MOCKED_LITELLM, install, run_gateway

from aione_mock.checker import Target, check
from aione_mock.checker.causes import Cause
from aione_mock.checker.finding import LawFinding, MatrixCell
from aione_mock.checker.report import CheckReport
from aione_mock.checker.reports import RENDERERS
from aione_mock.structs import replace

FOLDER = Path(__file__).parents[1] / "docs" / "example-report"
SHOWN = "http://127.0.0.1:4000"
"""Address in the report, in place of the real port."""


def run(folder: Path, **options: Any) -> CheckReport:
    """Return the report on the proxy of an environment, without what differs between runs."""
    given: dict[str, Any] = {
        "phases": ("examples",),
        "spend_limit": "100",
        **options,
    }
    with run_gateway(MOCKED_LITELLM, folder, upstream="") as url:
        return replace_varying(check(Target(url, key=KEY), **given), url)


_VARIES = (
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "00000000-0000-0000-0000-000000000000"),
    (re.compile(r"\b0x[0-9a-f]{8,}\b"), "0x0"),
    (re.compile(r'("created":\s?)\d+'), r"\g<1>0"),
)


def replace_varying(report: CheckReport, url: str) -> CheckReport:
    """Return a report with constants in place of address, ids and times."""

    def replace_text(value: str) -> str:
        value = value.replace(url, SHOWN)
        for pattern, constant in _VARIES:
            value = pattern.sub(constant, value)
        return value

    def replace_in_finding(found: LawFinding) -> LawFinding:
        names = ("expected", "seen", "curl", "python", "answer")
        changed: dict[str, Any] = {name: replace_text(getattr(found, name)) for name in names}
        return replace(found, **changed)

    def replace_in_cause(found: Cause) -> Cause:
        return replace(found, title=replace_text(found.title), findings=tuple(map(replace_in_finding, found.findings)))

    return replace(
        report,
        url=SHOWN,
        causes=tuple(map(replace_in_cause, report.causes)),
        matrix={
            law: {name: MatrixCell(cell.state, replace_text(cell.reason)) for name, cell in row.items()}
            for law, row in report.matrix.items()
        },
        counts=replace(report.counts, seconds=0.0),
        details=replace(report.details, started="2026-01-01T00:00:00Z"),
    )


def main() -> int:
    """Write the report; return 1 if the proxy could not be checked."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "litellm-env")
    install(MOCKED_LITELLM, folder)
    report = run(folder)
    print(report.verdict)
    if report.could_not:
        return 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "litellm.json").write_bytes(RENDERERS["json"](report))
    (FOLDER / "litellm.html").write_bytes(RENDERERS["html"](report))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
