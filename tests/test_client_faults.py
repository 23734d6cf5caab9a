"""The page on client faults matches what official clients do."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from aione_mock.scenarios.faults import FAULTS
from tests.timing import at_best

SCRIPT = Path(__file__).parents[1] / "scripts" / "client_faults.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    sys.path.insert(0, str(SCRIPT.parent))
    spec = importlib.util.spec_from_file_location("client_faults", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["client_faults"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@at_best
def test_the_page_is_true() -> None:
    """Official clients under every fault, measured again. `python scripts/client_faults.py` writes the page.

    In a process of its own: tests of plugins load libraries anew, and a client then no longer knows its own errors.
    """
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--check", "--installed"], capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


@pytest.mark.slow
def test_the_page_is_true_of_instructor_too() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_the_page_has_every_fault(script: ModuleType) -> None:
    rows = {row.partition(";")[0] for row in (*script.STREAMS, *script.PLAINS)}
    assert rows == set(FAULTS)


def test_clients_are_short_of_time_only_where_nothing_comes(script: ModuleType) -> None:
    rows = (*script.STREAMS, *script.PLAINS)
    short = {row for row in rows if script.Case(None, True, row).timeout == script.SHORT_TIMEOUT}
    assert short == {"hang", "stall; after=5; then=hang"}
