"""Output that cannot be written: every command ends with exit code 2 and at most one line, never with a traceback."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from aione_mock.cli import create_program
from tests.timing import PATIENCE, make_untraced_environment

NOBODY = "http://127.0.0.1:9"
NO_STORE = "redis://127.0.0.1:9"
CASSETTE = Path(__file__).parent / "data" / "cassette.yaml"
ARGUMENTS = {
    "serve": "--port 0",
    "init": "--output new.yaml",
    "check": f"{NOBODY} --key k",
    "diff": f"{NOBODY} {NOBODY} --key k",
    "mirror": f"{NOBODY} --key k --out mirrored.yaml",
    "record": f"--upstream {NOBODY} --out calls.yaml --port 0",
    "proxy": f"--upstream {NOBODY} --port 0",
    "run": "-- no-such-program",
    "canaries": f"--url {NOBODY} --upstream {NOBODY}",
    "spec diff": "bundled bundled",
    "probe": "--only hangs -- true",
    "cassette show": str(CASSETTE),
    "cassette check": str(CASSETTE),
    "coverage": f"--url {NOBODY}",
    "store check": f"--store {NO_STORE}",
    "store clear": f"--store {NO_STORE} --yes",
    "mcp": f"--url {NOBODY}",
}
"""What commands need to print something."""
CLOSED = "aione-mock: standard output is closed; send it to /dev/null if nobody needs it"
FULL = "aione-mock: cannot write the output: No space left on device"
CONDITIONS = {">/dev/full": 2, "2>/dev/full": 2, "2>&-": 2, "| head -0": 141, ">&- 2>&-": 2}
"""What the shell does with the output → exit code where the output matters."""
FEW = ("keys",)
WITHOUT_OUTPUT = ("mirror", "coverage", "probe", "run", "canaries", "mcp", "store check", "store clear")
"""Commands that write to standard error alone when nobody answers, or calls, or when there is no program to run."""
FINDINGS = ("cassette check",)
"""Commands that end with 1, as they find something."""


def list_commands() -> list[str]:
    """List every command, those of groups too."""
    program = typer.main.get_command(create_program())
    names: dict[str, dict[str, object]] = {
        name: getattr(command, "commands", {}) for name, command in getattr(program, "commands", {}).items()
    }
    return [" ".join([name, *inner]) for name, group in names.items() for inner in ([[n] for n in group] or [[]])]


def run(command: str, shell: str, folder: Path) -> tuple[int, list[str]]:
    """Run a command in a shell that redirects its output; return its exit code and its lines of standard error."""
    words = f"{shlex.quote(sys.executable)} -m aione_mock {command} {ARGUMENTS.get(command, '')}"
    done = subprocess.run(
        ["bash", "-c", f"{words} {shell}; exit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        cwd=folder,
        env=make_untraced_environment(),
        timeout=PATIENCE,
        check=False,
    )
    return done.returncode, done.stderr.splitlines()


def test_closed_standard_output_is_refused_at_once(tmp_path: Path) -> None:
    for command in list_commands():
        assert run(command, ">&-", tmp_path) == (2, [CLOSED]), command
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shell", CONDITIONS)
@pytest.mark.parametrize(
    "command", [name if name in FEW else pytest.param(name, marks=pytest.mark.slow) for name in list_commands()]
)
def test_no_traceback_whatever_happens_to_the_output(command: str, shell: str, tmp_path: Path) -> None:
    if "2>" in shell and command in ("serve", "record", "proxy"):
        pytest.skip("it serves, whatever happens to its log")
    code, lines = run(command, shell, tmp_path)
    # an unreachable gateway is a 2 of its own
    fails = NOBODY in ARGUMENTS.get(command, "")
    assert not [line for line in lines if "Traceback" in line or "rror in" in line], lines
    if command in WITHOUT_OUTPUT:
        assert code == 2
    elif shell == ">/dev/full":
        assert (code, lines[-1]) == (2, FULL)
    elif shell.startswith("2>"):
        # what is found is told there
        unwritten = command in FINDINGS and shell == "2>/dev/full"
        assert code == (2 if fails or unwritten else int(command in FINDINGS))
    else:
        assert code == CONDITIONS[shell]
        assert not [line for line in lines if line.startswith("aione-mock: ")]
