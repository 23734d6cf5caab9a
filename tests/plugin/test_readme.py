"""The section “In your tests” of the README: its samples run, and failure messages refer to its headings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aione_mock.checker import CheckOptions, Target
from aione_mock.checker.options import read_flags
from aione_mock.testing import messages

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[2]
SECTION = (ROOT / "README.md").read_text().partition(f"## {messages.SECTION}\n")[2].partition("\n## ")[0]
SAMPLES = re.findall(r"^```py\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("code", SAMPLES, ids=lambda code: re.findall(r"def (test_\w+)", code)[0])
def test_samples_run(pytester: pytest.Pytester, code: str) -> None:
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(test_sample=code)
    pytester.runpytest("--strict-markers").assert_outcomes(passed=code.count("def test_"))


def test_there_are_samples() -> None:
    assert len(SAMPLES) == 4


@pytest.mark.parametrize(
    "topic", ["Preparing answers", "Inspecting calls", "Strict tests", "Test the resilience of a client"]
)
def test_failures_point_to_headings(topic: str) -> None:
    assert f"\n### {topic}\n" in SECTION
    assert messages.refer_to_readme(topic) == f"See README.md, “In your tests”, “{topic}”."


def test_every_fixture_option_and_verb_is_named() -> None:
    plugin = (ROOT / "aione_mock" / "testing" / "pytest_plugin.py").read_text()
    fixtures = re.findall(r"@pytest\.fixture.*\ndef (\w+)", plugin)
    options = re.findall(r'"(--[\w-]+)"', plugin)
    flags = (*read_flags(Target), *read_flags(CheckOptions))
    options += [f"--aione-{flag.option}" for flag in flags]
    assert len(fixtures) == 9
    assert [name for name in {*fixtures, *options} if f"`{name}`" not in SECTION and f"{name} " not in SECTION] == []
