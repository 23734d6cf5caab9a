"""Many requests leave memory flat."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "many_requests.py"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="resident memory is read from Linux's /proc")
def test_twenty_thousand_different_requests() -> None:
    """Over all protocols, streams, refusals and faults: no growth after the first half, which fills what is bounded."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM)],
        capture_output=True,
        text=True,
        timeout=900,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    seen = json.loads(done.stdout)
    first, _, last = seen["sizes"]
    assert seen["calls"] == 20_000
    assert last - first < 2, f"{seen['sizes']} MiB"
    assert seen["statuses"] == [200, 404, 500]
    assert (seen["tasks"], seen["under_way"]) == (1, {})
