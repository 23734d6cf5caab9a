"""The options of a check: one definition for Python, the command line and pytest."""

from __future__ import annotations

import inspect
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from aione_mock.checker.options import CheckOptions, parse_flags, read_flags
from aione_mock.checker.target import Target
from aione_mock.cli.check import check, diff
from aione_mock.errors import ConfigError


def test_flags_become_fields() -> None:
    given = {"overlay": ["a.yaml"], "only": ["keys"], "skip": [], "max_time": "2m", "rate_limit": "30/m",
             "spend_limit": "0.5", "workers": "4", "allow_writes": True, "seed": None}  # fmt: skip
    assert parse_flags(CheckOptions, given) == {
        "overlays": (Path("a.yaml"),),
        "only": ("keys",),
        "max_time": 120.0,
        "rate_limit": 0.5,
        "spend_limit": Decimal("0.5"),
        "workers": 4,
        "allow_writes": True,
    }
    assert parse_flags(Target, {"insecure": True, "key": "x"}) == {"verify": False, "key": "x"}
    assert parse_flags(Target, {"insecure": False}) == {}


@pytest.mark.parametrize(
    ("name", "text"),
    [("max_time", "0s"), ("rate_limit", "5/d"), ("rate_limit", "0"), ("spend_limit", "-1"), ("spend_limit", "NaN"),
     ("workers", "0"), ("workers", "33"), ("max_paid_calls", "many"), ("max_paid_calls", "-1")],
)  # fmt: skip
def test_unusable_texts_are_refused(name: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        parse_flags(CheckOptions, {name: text})


def test_commands_have_every_flag() -> None:
    flags = {flag.name for cls in (Target, CheckOptions) for flag in read_flags(cls)}
    assert flags <= set(inspect.signature(check).parameters)
    assert flags - {"fail_on", "coverage_min", "require_checked"} <= set(inspect.signature(diff).parameters)


def test_pytest_has_every_flag(pytestconfig: pytest.Config) -> None:
    for flag in (*read_flags(Target), *read_flags(CheckOptions)):
        pytestconfig.getoption(f"--aione-{flag.option}")


def test_options_are_read_without_expensive_imports() -> None:
    code = (
        "import sys, aione_mock.checker.options, aione_mock.checker.target\n"
        "sys.exit(', '.join({'httpx2', 'msgspec', 'orjson', 'pydantic', 'typer', 'yaml'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == ""
