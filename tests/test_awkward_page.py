"""The page on awkward answers says what the code does and what clients make of it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from aione_mock.scenarios.awkward import AWKWARD_ANSWERS
from tests.timing import at_best

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts" / "awkward_answers.py"
PAGE = (ROOT / "docs" / "reference" / "awkward-answers.md").read_text(encoding="utf-8")
NEEDS = {"tools": "tools", "schema": "a JSON schema", "thinking": "thinking", None: ""}


def run_check(*options: str) -> None:
    command = [sys.executable, str(SCRIPT), "--check", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_every_answer_stands_in_the_table_and_is_measured() -> None:
    table = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \| [^|`]*\|$", PAGE, re.MULTILINE))
    assert [*table] == [*AWKWARD_ANSWERS]
    for name, answer in AWKWARD_ANSWERS.items():
        assert table[name].startswith(answer.title)
        assert f"| `{name}` | {table[name]} | {NEEDS[answer.needs]} |" in PAGE
    measured = {name for line in PAGE.splitlines() if line.count("|") == 7 for name in re.findall(r"^\| `(\w+)`", line)}
    assert measured == set(AWKWARD_ANSWERS)


@pytest.mark.slow
@at_best
def test_the_installed_clients_do_what_the_page_says() -> None:
    """`python scripts/awkward_answers.py` writes the page."""
    run_check("--installed")


@pytest.mark.slow
def test_all_clients_do_what_the_page_says() -> None:
    run_check()
