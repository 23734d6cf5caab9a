"""The workflows of GitHub: linted, with few rights, and with steps that exist here."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from aione_mock.settings import VERSION

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def load(name: str) -> Any:
    return yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text(encoding="utf-8"))


def lint(text: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}  # it finds shellcheck there
    command = [BIN / "actionlint", "-no-color", "-oneline", "-"]
    return subprocess.run(command, input=text, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_the_linter_is_content(path: Path) -> None:
    assert lint(path.read_text(encoding="utf-8")).stdout == ""


def test_the_linter_finds_mistakes_in_expressions_and_scripts() -> None:
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    assert '"tokn"' in lint(text.replace("github.token", "github.tokn")).stdout
    assert "SC2086" in lint(text.replace('"$GITHUB_REF_NAME" dist', "$GITHUB_REF_NAME dist")).stdout


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_rights_are_given_to_single_jobs(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    assert all("timeout-minutes" in job for job in workflow["jobs"].values())


def test_a_release_needs_no_secret() -> None:
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    assert "secrets." not in text
    publish = load("release.yml")["jobs"]["publish"]
    assert publish["permissions"]["id-token"] == "write"
    assert publish["environment"] == "release"


def run_script(name: str, job: str, step: str, **variables: str) -> subprocess.CompletedProcess[str]:
    script = next(each["run"] for each in load(name)["jobs"][job]["steps"] if each.get("name") == step)
    environment = {**os.environ, **variables}
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_only_the_tag_of_this_version_is_released(tmp_path: Path) -> None:
    step = "The tag is the version of the package"
    assert run_script("release.yml", "build", step, GITHUB_REF_NAME=f"v{VERSION}").returncode == 0
    assert run_script("release.yml", "build", step, GITHUB_REF_NAME="v9.9.9").returncode == 1
    output = tmp_path / "output"
    assert run_script("image.yml", "image", "Read the version", GITHUB_OUTPUT=str(output)).returncode == 0
    assert output.read_text() == f"version={VERSION}\n"


def test_the_notes_of_a_release_are_its_part_of_the_changelog(tmp_path: Path) -> None:
    steps = load("release.yml")["jobs"]["publish"]["steps"]
    script = next(each["run"] for each in steps if each.get("name") == "Write the notes of the release")
    notes = script.splitlines()[0].replace("notes.md", str(tmp_path / "notes.md"))
    subprocess.run(["bash", "-euc", notes], cwd=ROOT, env={**os.environ, "GITHUB_REF_NAME": f"v{VERSION}"}, check=True)
    text = (tmp_path / "notes.md").read_text(encoding="utf-8")
    assert text.startswith("\nThe first release. ")
    assert "Never released" not in text
    assert "### Added" in text


def test_newer_pythons_are_those_of_the_metadata() -> None:
    metadata = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    declared = set(re.findall(r"Python :: (3\.\d+)", metadata))
    matrix = set(load("tests.yml")["jobs"]["newer-pythons"]["strategy"]["matrix"]["python"])
    assert matrix | {"3.11"} == declared


def test_ci_runs_all_slow_tests() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8").partition("run_slow() {")[2]
    printing = f"set -eu; SECONDS=0; make() {{ echo ${{@: -1}}; }}; run_slow() {{{script}"
    done = subprocess.run(["bash", "-c", printing], capture_output=True, text=True, check=True, cwd=ROOT)
    ran = done.stdout.replace("SLOW_TESTS=", "").split()
    files = ROOT.glob("tests/**/test_*.py")
    slow = [path.relative_to(ROOT) for path in files if re.search(r"mark\.slow", path.read_text(encoding="utf-8"))]
    assert len(slow) > 20
    assert not [path for path in slow if not any(map(path.is_relative_to, ran))]
