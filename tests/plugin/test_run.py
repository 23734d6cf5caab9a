"""`aione-mock run -- COMMAND` gives a command of any language a mock, and judges what it did."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "other_languages"
VITEST = ROOT / "web" / "node_modules" / ".bin" / "vitest"
CLIENT = """if 1:
    import json, os, urllib.request

    def send(path, body, key=True):
        headers = {"content-type": "application/json", "authorization": "Bearer " + os.environ["OPENAI_API_KEY"]}
        data = json.dumps(body).encode() if "method" not in body else None
        url = os.environ["AIONE_BASE_URL"] + path
        request = urllib.request.Request(url, data, headers, method=body.get("method", "POST"))
        try:
            return json.load(urllib.request.urlopen(request))
        except urllib.error.HTTPError as error:
            return error.code

    def ask(words, session="", **more):
        messages = [{"role": "user", "content": words}]
        return send(session + "/v1/chat/completions", {"model": "gpt-5.4", "messages": messages, **more})

    def prepare(text, times=1, session="", **then):
        send(session + "/_mock/rules", {"id": text, "when": {"text": text}, "then": {
            **(then or {"reply": {"text": "Five days."}}), "times": times}})
"""


def run(*words: str, program: str | None = None, **options: str) -> subprocess.CompletedProcess[str]:
    """Run `aione-mock run` with options, and a command, or a Python program that can ask and prepare."""
    command = [sys.executable, "-m", "aione_mock", "run", *words]
    command += [] if program is None else ["--", sys.executable, "-c", CLIENT + program]
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment | options)


def indent(*lines: str) -> str:
    return "".join(f"    {line}\n" for line in lines)


def test_a_command_that_uses_its_replies_is_silent_but_for_one_line() -> None:
    done = run(program=indent("prepare('refund')", "print(ask('refund')['choices'][0]['message']['content'])"))
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        "Five days.\n",
        "aione-mock: 1 call in 1 session, no problems\n",
    )


def test_the_exit_code_is_that_of_the_command() -> None:
    done = run(program=indent("prepare('refund')", "raise SystemExit(7)"))
    assert done.returncode == 7
    assert done.stderr.splitlines() == [
        "aione-mock: no calls in 1 session, 1 problem",
        "  session default: rule 'refund' was used 0 of 1 times",
    ]
    killed = run("--", "sh", "-c", "kill -9 $$")
    assert killed.returncode == 128 + 9


def test_unused_replies_fail_it_and_name_the_nearest_call() -> None:
    done = run(program=indent("prepare('refund', 3)", "ask('refund')", "ask('invoice')"))
    assert done.returncode == 1
    assert done.stderr.splitlines()[1:] == [
        "  session default: rule 'refund' was used 1 of 3 times; nearest is call 2: the last user message 'invoice' "
        "does not contain 'refund'"
    ]


def test_a_session_is_judged_when_it_is_deleted_reset_or_replaced() -> None:
    lines = []
    for name, end in {
        "gone": "send('/_mock/sessions/gone', {'method': 'DELETE'})",
        "fresh": "send('/_mock/sessions/fresh/reset', {})",
    }.items():
        lines += [f"send('/_mock/sessions', {{'name': '{name}'}})", f"prepare('{name}', session='/_session/{name}')"]
        lines += [f"try: {end}", "except ValueError: pass"]
    done = run(program=indent(*lines))
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "aione-mock: no calls in 2 sessions, 2 problems",
        "  session gone: rule 'gone' was used 0 of 1 times",
        "  session fresh: rule 'fresh' was used 0 of 1 times",
    ]


def test_a_reply_that_was_refused_is_unused() -> None:
    done = run(program=indent("prepare('refund')", "ask('refund ' * 900_000)"))
    assert done.returncode == 1
    found = done.stderr.splitlines()[1]
    assert found.startswith("  session default: rule 'refund' was used 0 of 1 times; call 1, POST /v1/chat/completions")
    assert "was refused: " in found


def test_an_answer_that_violates_the_contract_fails_it() -> None:
    rule = "send('/_mock/rules', {'then': {'reply': {'body': {'object': 7}}}})"
    done = run(program=indent(rule, "send('/v1/models', {'method': 'GET'})"))
    assert done.returncode == 1, done.stderr
    found = done.stderr.splitlines()[1]
    assert found.startswith("  session default: call 1, GET /v1/models → 400: the answer violates the contract: ")
    assert "The scripted body does not fit listModels" in found


def test_strict_reports_calls_without_a_rule_and_requests_that_are_refused() -> None:
    program = indent("ask('hello')", "ask('hello', temperature='hot')")
    assert run(program=program).returncode == 0
    done = run("--strict", program=program)
    assert done.returncode == 1
    first, second = done.stderr.splitlines()[1:]
    assert first == "  session default: call 1, POST /v1/chat/completions → 200: no rule answered it"
    assert second.startswith("  session default: call 2, POST /v1/chat/completions → 400: the contract does not allow")


def test_options_and_files_are_those_of_serve(tmp_path: Path) -> None:
    (tmp_path / "models.yaml").write_text("extends: default\nmodels:\n  - id: our-own\n")
    done = run(
        "--models",
        str(tmp_path / "models.yaml"),
        "--control-token",
        "let-me-in",
        program=indent(
            "import os", "print(ask('hi', model='our-own')['model'], os.environ['AIONE_MOCK_CONTROL_TOKEN'])"
        ),
    )
    assert (done.returncode, done.stdout) == (0, "our-own let-me-in\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--", "no-such-program"], "aione-mock: cannot run no-such-program: No such file or directory"),
        (["--uds", "mock.sock", "--", "true"], "aione-mock: run serves plain HTTP on a port; remove --uds"),
        (
            ["--seed", "", "--", "true"],
            "aione-mock: --seed: a seed is a number or a word of at most 200 characters, such as --seed 7",
        ),
    ],
)
def test_what_cannot_be_run_is_one_line(words: list[str], message: str) -> None:
    done = run(*words)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", message + "\n")


def test_sigterm_reaches_the_command() -> None:
    program = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(5)); print('up', flush=True)"
    words = [sys.executable, "-m", "aione_mock", "run", "--", sys.executable, "-c", program + "; time.sleep(60)"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 5


def test_the_node_example_passes_and_can_fail(tmp_path: Path) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    done = run("--strict", "--", "node", "--test", str(EXAMPLES / "support.test.mjs"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == "aione-mock: 4 calls in 2 sessions, no problems\n"
    shutil.copytree(EXAMPLES, tmp_path / "copy")
    code = tmp_path / "copy" / "support.mjs"
    code.write_text(code.read_text().replace("answer.status !== 429 ||", "true ||"))
    assert run("--", "node", "--test", str(code.parent / "support.test.mjs")).returncode == 1


def test_the_vitest_example_passes(tmp_path: Path) -> None:
    if not VITEST.exists():
        pytest.skip("vitest is not installed; `make check` installs it where there is npm")
    folder = shutil.copytree(EXAMPLES, tmp_path / "copy")
    (folder / "node_modules").symlink_to(VITEST.parents[1])
    done = run("--", str(VITEST), "run", "--root", str(folder), "support.spec.mjs")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr.endswith("aione-mock: 1 call in 1 session, no problems\n")


@pytest.mark.parametrize(
    ("program", "words"), [("go", ["go", "test", "support_test.go"]), ("java", ["java", "SupportTest.java"])]
)
def test_examples_in_other_languages_pass_where_these_are_installed(program: str, words: list[str]) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    done = run("--", *words[:-1], str(EXAMPLES / words[-1]))
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_rule_of_a_file_has_to_be_used_up_in_some_session(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(
        "rules:\n  - id: refund\n    when: {text: refund}\n    then: {reply: {text: Five days.}, times: 1}\n"
    )
    assert run("--scenarios", str(file), program=indent("ask('refund', session='/_session/a')")).returncode == 0
    done = run("--scenarios", str(file), program=indent("ask('hello')"))
    assert done.returncode == 1
    assert done.stderr.splitlines()[1].startswith("  rule 'refund' of ")
    assert done.stderr.splitlines()[1].endswith("rules.yaml:2 was used at most 0 of 1 times in a session")
