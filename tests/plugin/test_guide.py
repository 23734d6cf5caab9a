"""The guide on testing: its samples run, and failure messages refer to its headings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aione_mock.checker import CheckOptions, Target
from aione_mock.checker.options import read_flags
from aione_mock.testing import messages

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[2]
GUIDE = messages.GUIDE.read_text(encoding="utf-8")
PAGES = ("README.md", "README.zh-CN.md", *(f"docs/{name}.md" for name in ("how-to/testing", "how-to/canned-replies")))
FENCE = re.compile(r"^```py\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SAMPLES = [code for page in PAGES for code in FENCE.findall((ROOT / page).read_text(encoding="utf-8"))]


@pytest.mark.parametrize("code", SAMPLES, ids=lambda code: re.findall(r"def (test_\w+)", code)[0])
def test_samples_run(pytester: pytest.Pytester, code: str) -> None:
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(test_sample=code)
    pytester.runpytest("--strict-markers").assert_outcomes(passed=code.count("def test_"))


def test_there_are_samples() -> None:
    assert len(SAMPLES) >= 7


@pytest.mark.parametrize(
    "topic", ["Preparing answers", "Inspecting calls", "Strict tests", "Test the resilience of a client"]
)
def test_failures_point_to_headings(topic: str) -> None:
    assert f"\n## {topic}\n" in GUIDE
    assert messages.refer_to_guide(topic) == f"See {ROOT}/docs/how-to/testing.md, “{topic}”."


def test_every_fixture_option_and_verb_is_named() -> None:
    plugin = (ROOT / "aione_mock" / "testing" / "pytest_plugin.py").read_text()
    fixtures = re.findall(r"@pytest\.fixture.*\ndef (\w+)", plugin)
    options = re.findall(r'"(--[\w-]+)"', plugin)
    flags = (*read_flags(Target), *read_flags(CheckOptions))
    options += [f"--aione-{flag.option}" for flag in flags]
    assert len(fixtures) == 9
    assert [name for name in {*fixtures, *options} if f"`{name}`" not in GUIDE and f"{name} " not in GUIDE] == []
