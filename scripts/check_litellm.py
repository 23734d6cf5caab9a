"""Check another gateway, LiteLLM's proxy with mock answers. Writes docs/example-report/.

python scripts/check_litellm.py [FOLDER]     FOLDER is an environment with litellm; made if it is missing
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aione_mock.checker import Target, check
from aione_mock.checker.finding import LawFinding, MatrixCell
from aione_mock.checker.report import CheckReport
from aione_mock.checker.reports import RENDERERS
from aione_mock.structs import replace

FOLDER = Path(__file__).parents[1] / "docs" / "example-report"
SHOWN = "http://127.0.0.1:4000"
"""Address in the report, in place of the real port."""
KEY = "sk-master-of-the-example"
PACKAGES = ("litellm[proxy]==1.106.2", "prisma")  # without prisma, every rejected key is a 500
CONFIG = """\
model_list:
  - model_name: gpt-5.2
    litellm_params: {model: openai/gpt-5.2, api_key: none, mock_response: &answer one two three four five six seven}
  - model_name: claude-sonnet-4-6
    litellm_params: {model: anthropic/claude-sonnet-4-6, api_key: none, mock_response: *answer}
litellm_settings: {telemetry: false}
general_settings: {master_key: KEY}
""".replace("KEY", KEY)
START = 120.0
"""Seconds for the proxy to start."""


def install(folder: Path) -> None:
    """Create the environment if it is missing. Needs `uv` beside this Python or on the path, and a package index."""
    if (folder / "bin" / "litellm").exists():
        return
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else "uv"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
    subprocess.run([uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), *PACKAGES], check=True)


@contextmanager
def proxy(folder: Path) -> Iterator[str]:
    """Run the proxy of an environment; yield its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as place:
        config = Path(place, "config.yaml")
        config.write_text(CONFIG, encoding="utf-8")
        command = [str(folder.absolute() / "bin" / "litellm"), "--config", str(config), "--telemetry", "False"]
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            cwd=place,
            env={"PATH": os.defpath, "HOME": place, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait(f"http://127.0.0.1:{port}/health/liveliness", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(20)


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except OSError:
            time.sleep(0.3)
    raise SystemExit("the proxy did not start")


def run(folder: Path, **options: Any) -> CheckReport:
    """Return the report on the proxy of an environment, without what differs between runs."""
    given: dict[str, Any] = {
        "phases": ("examples",),
        "spend_limit": "100",
        "generate_time": 120.0,
        **options,
    }
    with proxy(folder) as url:
        return replace_varying(check(Target(url, key=KEY), **given), url)


_VARIES = (
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "00000000-0000-0000-0000-000000000000"),
    (re.compile(r'("created":\s?)\d+'), r"\g<1>0"),
)


def replace_varying(report: CheckReport, url: str) -> CheckReport:
    """Return a report with constants in place of address, ids and times."""

    def text(value: str) -> str:
        value = value.replace(url, SHOWN)
        for pattern, constant in _VARIES:
            value = pattern.sub(constant, value)
        return value

    def finding(found: LawFinding) -> LawFinding:
        names = ("expected", "seen", "curl", "python", "overlay", "answer")
        changed: dict[str, Any] = {name: text(getattr(found, name)) for name in names}
        return replace(found, **changed)

    return replace(
        report,
        url=SHOWN,
        findings=tuple(map(finding, report.findings)),
        matrix={
            law: {name: MatrixCell(cell.state, text(cell.reason)) for name, cell in row.items()}
            for law, row in report.matrix.items()
        },
        counts=replace(report.counts, seconds=0.0),
    )


def main() -> int:
    """Write the report; return 1 if the proxy could not be checked."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "litellm-env")
    install(folder)
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
