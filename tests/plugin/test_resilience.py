"""A good client passes all checks; each naive client fails the one for its mistake."""

from __future__ import annotations

import logging
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import aione_mock
from aione_mock.cli import main
from aione_mock.errors import ConfigError
from aione_mock.testing import MockSession, RecordedCall
from aione_mock.testing.messages import GUIDE
from aione_mock.testing.resilience.checks import CHECKS
from aione_mock.testing.resilience.faults import FAULT_SCENARIOS, Rules, list_offered_tools
from aione_mock.testing.resilience.observation import Observation, Thresholds
from aione_mock.testing.resilience.report import ResilienceReport, ResilienceResult
from aione_mock.testing.resilience.runner import run_checks
from tests.plugin.naive_clients import GOOD, NAIVE, Client
from tests.timing import at_best

ROOT = Path(__file__).parents[2]


def check_client(client: Client) -> str:
    """Return the table if a client passes, else the failure message."""
    try:
        return str(aione_mock.assert_resilient(client, patience=4))
    except (AssertionError, ConfigError) as error:
        return str(error)


@pytest.fixture(scope="module")
def outcomes() -> dict[str, str]:
    # they mostly sleep
    clients = {"good": GOOD, **NAIVE}
    with ThreadPoolExecutor(7) as pool:
        found = dict(zip(clients, pool.map(check_client, clients.values()), strict=True))
    # where the machine is busy a client gives up too early, or seems to pause: once more, and nothing beside it
    for name in [name for name in clients for _ in range(3)]:
        if not (is_right(name, found[name]) if name in NAIVE else found[name].splitlines() == GOOD_TABLE):
            found[name] = check_client(clients[name])
    return found


GOOD_TABLE = [f"ok    {check.title}" for check in CHECKS.values()]


def test_a_good_client_passes_all(outcomes: dict[str, str]) -> None:
    assert outcomes["good"].splitlines() == GOOD_TABLE


REASONS = {
    "retries_too_often": "it sent the same request 9 times; each was answered with 500",
    "retries_without_pause": " ms after an error",
    "ignores_retry_after": "retry-after was 1 s, but it sent the request again after 0.",
    "retries_refusal": "it sent the same request 3 times with a key that had been refused",
    "hangs": "it was still waiting after 4 s",
    "hangs_in_stream": "it was still waiting after 4 s",
    "accepts_truncated_stream": "as the complete answer, without an error",
    "accepts_unfinished_stream": "it accepted the answer as complete, although no finish reason arrived",
    "swallows_error_event": "as the complete answer, without an error",
    "drops_last_tool_call": "the model called two tools, but it sent the result of only one",
    "accepts_web_page": "it accepted a web page as the model's answer",
    "breaks_on_legal_stream": "it failed: ",
    "leaks_key": "it wrote the API key: “… {'authorization': 'Bearer ***'}”",
}


def is_right(name: str, outcome: str) -> bool:
    """Return whether just the one check fails for a naive client, with its reason."""
    failed = [line for line in outcome.splitlines() if line.startswith("FAIL")]
    wanted = REASONS[name].replace("…", "").split("“")
    title = f"FAIL  {CHECKS[name].title}  "
    return len(failed) == 1 and failed[0].startswith(title) and all(part in failed[0] for part in wanted)


@pytest.mark.parametrize("name", NAIVE)
def test_a_naive_client_fails_for_the_right_reason(outcomes: dict[str, str], name: str) -> None:
    lines = outcomes[name].splitlines()
    assert lines[0] == "the client is not resilient: 1 of 13 checks failed"
    assert is_right(name, outcomes[name]), outcomes[name]
    (place,) = [number for number, line in enumerate(lines) if line.startswith("FAIL")]
    assert lines[place + 1].strip() == CHECKS[name].remedy
    assert lines[-1] == f"See {GUIDE}, “Test the resilience of a client”."


def test_there_is_a_naive_client_for_every_check() -> None:
    assert set(NAIVE) == set(CHECKS) == set(REASONS)
    assert {check.fault for check in CHECKS.values()} == {*FAULT_SCENARIOS, "every fault"}


@at_best
def test_in_a_session_of_the_test(tmp_path: Path) -> None:
    with aione_mock.mock_server(seed=3) as mock:
        mock.reply("prepared before", times=None)
        report = mock.assert_resilient(GOOD, only=["accepts_truncated_stream"], patience=2)
        assert report.failed == ()
        assert mock.calls == []


@at_best
def test_asynchronous_and_bound_clients() -> None:
    with aione_mock.mock_server() as mock:

        async def ask() -> str:
            return GOOD(mock)

        assert mock.assert_resilient(ask, only=["swallows_error_event"]).failed == ()
        assert mock.assert_resilient(lambda: GOOD(mock), only=["swallows_error_event"]).failed == ()


@pytest.mark.parametrize(
    ("client", "message"),
    [
        (lambda mock: 1 / 0, "the client never called the mock: ZeroDivisionError: division by zero; does it use"),
        (lambda mock: None, "the client never called the mock; does it use the session's base URL?"),
        (lambda mock: GOOD(mock) and 1 / 0, "the client fails even without a fault: ZeroDivisionError"),
    ],
)
def test_a_client_that_cannot_be_judged(client: Any, message: str) -> None:
    with pytest.raises(ConfigError, match="assert_resilient: ") as caught:
        aione_mock.assert_resilient(client)
    assert message in str(caught.value)


def test_an_unknown_check() -> None:
    with pytest.raises(ConfigError, match="unknown check 'hang'; did you mean 'hangs'"):
        aione_mock.assert_resilient(GOOD, only=["hang"])
    with pytest.raises(ConfigError, match=r"take a list such as \['awkward'\], not a text"):
        aione_mock.assert_resilient(GOOD, only="awkward")


@at_best
def test_the_log_of_clients_stays_out_of_the_report(caplog: pytest.LogCaptureFixture) -> None:
    def talkative(mock: MockSession) -> str:
        logging.getLogger("talkative").debug("every detail")
        logging.getLogger("talkative.part").warning("only this")
        return GOOD(mock)

    aione_mock.assert_resilient(talkative, only=["leaks_key"])
    assert {record.getMessage() for record in caplog.records if record.name.startswith("talkative")} == {"only this"}


@at_best
def test_a_log_that_cannot_be_put_together_is_looked_at_too() -> None:
    def careless(mock: MockSession) -> str:
        logging.getLogger("careless").warning(f"key {mock.api_key} %d %d", "not a number")
        return GOOD(mock)

    raising, logging.raiseExceptions = logging.raiseExceptions, False
    try:
        with pytest.raises(AssertionError, match="it wrote the API key: “key"):
            aione_mock.assert_resilient(careless, only=["leaks_key"], patience=1.5)
    finally:
        logging.raiseExceptions = raising


def test_what_does_not_apply_is_said() -> None:
    def plain(mock: MockSession) -> str:
        import httpx2

        headers = {"authorization": f"Bearer {mock.api_key}"}
        body = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "whales"}]}
        answer = httpx2.post(f"{mock.openai_base_url}/chat/completions", json=body, headers=headers)
        return str(answer.raise_for_status().json()["choices"][0]["message"]["content"])

    report = aione_mock.assert_resilient(plain, only=["hangs_in_stream", "drops_last_tool_call"])
    assert [(result.outcome, result.detail) for result in report.results] == [
        ("not applicable", "the client streams nothing"),
        ("not applicable", "the client offers no tools"),
    ]


def call(number: int, status: int = 200, at: float = 0.0, **more: Any) -> RecordedCall:
    return RecordedCall(number, "createChatCompletion", "POST", "/v1/chat/completions", status=status, at=at, **more)


def make_completion(text: str) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": {"content": text}}]}


HEALTHY = Observation((call(1, response=make_completion("All of it, to the end.")),), "All of it, to the end.")


@pytest.mark.parametrize(
    ("name", "run", "problem"),
    [
        (
            "retries_too_often",
            Observation((call(1, 500),), timed_out=True, seconds=40),
            "it was still sending requests after 40 s; 1 were",
        ),
        (
            "accepts_truncated_stream",
            Observation((call(1, response=make_completion("All of")),), "All of"),
            "it accepted “All of”",
        ),
        (
            "accepts_truncated_stream",
            Observation((call(1, response=make_completion("All of")),), "Sorry, try again."),
            None,
        ),
        (
            "accepts_truncated_stream",
            Observation((call(1, response=make_completion("All of")),), "All of", error="X"),
            None,
        ),
        ("accepts_truncated_stream", Observation((call(1),), "All of"), None),
        (
            "breaks_on_legal_stream",
            Observation((call(1),), "All it"),
            "it returned “All it” where the model said “All of it, to the end.”",
        ),
        ("breaks_on_legal_stream", Observation((call(1),), timed_out=True), "it did not finish"),
        ("ignores_retry_after", Observation((call(1, 429, 5.0), call(2, 200, 6.01))), None),
        ("ignores_retry_after", Observation((call(1, 429, 5.0),)), None),
        ("drops_last_tool_call", Observation((call(1, rule="two-tools"),)), None),
        ("drops_last_tool_call", HEALTHY, None),
    ],
)
def test_a_check(name: str, run: Observation, problem: str | None) -> None:
    found = CHECKS[name].find_problem(run, HEALTHY, Thresholds())
    assert found == problem if problem is None else found is not None and found.startswith(problem)


def test_a_client_whose_result_tells_nothing() -> None:
    silent = Observation((call(1, response=make_completion("All of it, to the end.")),), "")
    cut = Observation((call(1, response=make_completion("All of")),), "")
    assert (
        CHECKS["accepts_truncated_stream"].find_problem(cut, silent, Thresholds())
        == "it ended as if the answer had been complete"
    )


def test_only_faults_that_can_reach_the_client_are_injected() -> None:
    played: list[Rules] = []

    def run(rules: Rules) -> Observation:
        played.append(rules)
        return HEALTHY

    report = run_checks(run, Thresholds())
    assert report.failed == ()
    assert len(played) == 1 + sum(not scenario.needs for scenario in FAULT_SCENARIOS.values())


@pytest.mark.parametrize(
    "tools",
    [
        [{"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}],
        [{"name": "find", "input_schema": {"type": "object"}}],
        [{"functionDeclarations": [{"name": "find", "parameters": {"type": "object"}}]}],
    ],
)
def test_tools_of_every_protocol(tools: Any) -> None:
    assert list(list_offered_tools({"tools": tools})) == [("find", {"type": "object"})]


@pytest.mark.parametrize("body", [None, [], {}, {"tools": None}, {"tools": [1, {"name": 3}]}])
def test_no_tools(body: Any) -> None:
    assert list(list_offered_tools(body)) == []


def test_a_report_reads_as_a_table() -> None:
    results = (
        ResilienceResult("a", "short", "passed"),
        ResilienceResult("b", "rather long", "failed", "it did so", "Do not."),
        ResilienceResult("c", "other", "not applicable", "no streams"),
    )
    report = ResilienceReport(results)
    assert report.failed == ("b",)
    assert str(report).splitlines() == [
        "ok    short",
        "FAIL  rather long  it did so",
        "                   Do not.",
        "-     other        no streams",
    ]


PROGRAM = """
import json, os, sys, urllib.request

body = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "whales"}]}
headers = {"authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "content-type": "application/json"}
print("calling with", headers, file=sys.stderr)
url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
request = urllib.request.Request(url, json.dumps(body).encode(), headers)
with urllib.request.urlopen(request, timeout=1) as answer:
    text = answer.read().decode()
    print(json.loads(text)["choices"][0]["message"]["content"] if text.startswith("{") else text)
"""


@at_best
def test_probe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    options = [
        word for name in ("hangs", "accepts_web_page", "retries_refusal", "leaks_key") for word in ("--only", name)
    ]
    assert main(["probe", *options, "--patience", "3", "--", sys.executable, str(program)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line[:30].strip() for line in lines if line[0] != " "] == [
        "ok    gives up on a silent gat",
        "FAIL  rejects a web page as an",
        "ok    does not retry what cann",
        "FAIL  keeps the API key out of",
    ]
    assert "sk-nex-" not in "\n".join(lines)


@at_best
def test_probe_gives_up_on_a_program_that_hangs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.replace("timeout=1", "timeout=60"))
    command = ["sh", "-c", f"{sys.executable} {program}; true"]
    started = time.monotonic()
    assert main(["probe", "--only", "hangs", "--patience", "0.5", "--", *command]) == 1
    assert "it was still waiting after 0.5 s" in capsys.readouterr().out
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--", "no-such-program"], "aione-mock: cannot run no-such-program: No such file or directory"),
        (["--", sys.executable, "-c", "1"], "aione-mock: the client never called the mock; does it use"),
        (
            ["--", sys.executable, "-c", "raise SystemExit('no')"],
            "aione-mock: the client never called the mock: exit code 1: no; does it",
        ),
        (["--only", "hang", "--", "x"], "aione-mock: unknown check 'hang'; did you mean 'hangs'?"),
        (
            ["--patience", "0", "--", "x"],
            "aione-mock: --patience must be a number of seconds above 0, at most a year, and --attempts at least 1",
        ),
    ],
)
def test_probe_refuses_in_a_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith(message)
    assert error.count("\n") == 1
