"""Tutorials are true: their files are written, their commands are run in order, and their outputs are compared."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest

from tests.timing import at_best

ROOT = Path(__file__).parents[1]
LONG = ("break-your-client", "first-test")
ENGLISH = [
    pytest.param(page, id=page.stem, marks=[pytest.mark.slow] if page.stem in LONG else [])
    for page in sorted(ROOT.glob("docs/tutorials/*.md"))
]
CHINESE = [
    pytest.param(page, id=f"zh-{page.stem}", marks=pytest.mark.slow)
    for page in sorted(ROOT.glob("docs/zh/tutorials/*.md"))
]
FENCE = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
URL = "http://127.0.0.1:8000"


class Block(NamedTuple):
    language: str
    file: str
    text: str


def read_blocks(page: Path) -> list[Block]:
    return [Block(*found) for found in FENCE.findall(page.read_text(encoding="utf-8"))]


class Reader:
    """Do what a tutorial says, in a folder of its own; the mock listens on a free port."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.url, self.output = folder, URL, ""
        self.servers: list[subprocess.Popen[bytes]] = []
        kept = {name: value for name, value in os.environ.items() if "AIONE" not in name and "API_KEY" not in name}
        self.environment = {**kept, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

    def follow(self, block: Block) -> None:
        if block.file:
            (self.folder / block.file).write_text(block.text.replace(URL, self.url), encoding="utf-8")
        elif block.language == "sh" and block.text.startswith("aione-mock serve"):
            self.start(block.text)
        elif block.language == "sh":
            self.run(block.text)
        elif block.language == "text":
            parts = (part for line in block.text.splitlines() for part in line.split("…"))
            assert all(part in self.output for part in parts), self.output

    def start(self, command: str) -> None:
        log = self.folder / "serve.log"
        with log.open("wb") as file:
            words = [*command.split(), "--port", "0"]
            self.servers.append(
                subprocess.Popen(words, cwd=self.folder, env=self.environment, stdout=file, stderr=file)
            )
        end = time.monotonic() + 60
        while not (found := re.search(r"http://127\.0\.0\.1:\d+", log.read_text())):
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        self.url = found[0]
        assert httpx2.get(f"{self.url}/_mock/health").status_code == 200

    def run(self, script: str) -> None:
        command = ["bash", "-euo", "pipefail", "-c", script.replace(URL, self.url) + "\nexport -p > .exported"]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=300
        )
        self.output = done.stdout + done.stderr
        assert done.returncode == 0, self.output
        exported = re.findall(r'^declare -x (AIONE_\w+)="(.*)"$', (self.folder / ".exported").read_text(), re.MULTILINE)
        self.environment |= dict(exported)

    def close(self) -> None:
        for server in self.servers:
            server.terminate()
            server.wait(30)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    made = Reader(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("page", [*ENGLISH, *CHINESE])
@at_best
def test_a_tutorial_works_from_its_first_line_to_its_last(page: Path, reader: Reader) -> None:
    blocks = read_blocks(page)
    assert len(blocks) >= 3
    for block in blocks:
        reader.follow(block)


def test_a_wrong_output_would_be_noticed(reader: Reader) -> None:
    reader.run("echo one")
    reader.follow(Block("text", "", "one\n"))
    with pytest.raises(AssertionError):
        reader.follow(Block("text", "", "two\n"))
    with pytest.raises(AssertionError):
        reader.run("false")
