"""A gateway writes nothing on a terminal and commands no CI runner, whatever names and values it answers."""

from __future__ import annotations

import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import orjson
import pytest

from aione_mock.checker.options import PHASES
from aione_mock.server.http import Server
from tests.checker.faulty_gateway import KEY
from tests.checker.test_hostile_servers import make_application

EVIL = "\x1b]0;PWNED\x07\x1b[2J\x9b31m\u202e\u0085\u2028\r\n::set-output name=a::b\n##[add-mask]x\n##vso[task]y"
INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


@pytest.fixture(scope="module")
def evil_gateway() -> Any:
    """Serve answers whose every name and value commands the terminal."""
    item = {"id": EVIL, EVIL: EVIL, "object": EVIL, "created": EVIL, "owned_by": EVIL}
    body = orjson.dumps({"object": EVIL, EVIL: EVIL, "data": [item], "items": [item], "error": {"message": EVIL}})
    content_type = "application/json; x=\x9b31m".encode("latin-1").decode("latin-1")
    with Server(make_application(200, content_type, body)) as server:
        yield server.url


def assert_commands_nothing(output: bytes) -> None:
    text = output.decode()
    assert not {unicodedata.category(char) for char in text.replace("\n", "")} & INVISIBLE
    assert not [
        line for line in text.splitlines() if line.lstrip().startswith("::") or "##[" in line or "##vso[" in line
    ]


def run(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    skipped = [word for phase in PHASES for word in ("--skip", phase)]
    command = [sys.executable, "-m", "aione_mock", *arguments, "--key", KEY, *skipped]
    return subprocess.run(command, capture_output=True, timeout=300)


def test_check_prints_and_reports_no_command(evil_gateway: str, tmp_path: Path) -> None:
    reports = {name: tmp_path / name for name in ("html", "json", "junit", "sarif")}
    options = [word for name, path in reports.items() for word in (f"--{name}", str(path))]
    done = run("check", evil_gateway, *options)
    assert b"Traceback" not in done.stderr
    assert b"PWNED" in done.stdout
    for output in (done.stdout, done.stderr, *(path.read_bytes() for path in reports.values())):
        assert_commands_nothing(output)
    orjson.loads(reports["json"].read_bytes())
    ElementTree.parse(reports["junit"])


def test_diff_prints_no_command(evil_gateway: str, tmp_path: Path) -> None:
    with Server(make_application(200, "application/json", b'{"object": "list", "data": []}')) as other:
        done = run("diff", evil_gateway, other.url, "--json", str(tmp_path / "diff.json"))
    assert b"Traceback" not in done.stderr
    for output in (done.stdout, done.stderr, (tmp_path / "diff.json").read_bytes()):
        assert_commands_nothing(output)
