"""The checks of awkward answers, with a careful client and careless ones, and the progress that is shown meanwhile."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

import aione_mock
from aione_mock.cli import main
from aione_mock.errors import ConfigError
from aione_mock.scenarios.awkward import AWKWARD_ANSWERS
from aione_mock.testing import MockSession, RecordedCall
from aione_mock.testing.resilience.awkward_checks import AWKWARD_CHECKS, AWKWARD_SCENARIOS
from aione_mock.testing.resilience.checks import CHECKS
from aione_mock.testing.resilience.faults import list_features
from aione_mock.testing.resilience.observation import Observation, Thresholds
from aione_mock.testing.resilience.progress import CheckProgress
from aione_mock.testing.resilience.runner import list_checks
from tests.plugin.test_fixtures import suite
from tests.timing import at_best

pytest_plugins = ["pytester"]
__all__ = ["suite"]
TOOL = {
    "name": "find_order",
    "parameters": {
        "type": "object",
        "properties": {"id": {"type": "integer"}},
        "required": ["id"],
        "additionalProperties": False,
    },
}
SCHEMA = {"type": "object", "properties": {"days": {"type": "integer"}}, "required": ["days"]}


def post(mock: MockSession, messages: list[Any], **more: Any) -> dict[str, Any]:
    body = {"model": "gpt-5.4", "messages": messages, "reasoning_effort": "low", **more}
    headers = {"authorization": f"Bearer {mock.api_key}"}
    answer = httpx2.post(f"{mock.openai_base_url}/chat/completions", json=body, headers=headers, timeout=30)
    choice: dict[str, Any] = answer.raise_for_status().json()["choices"][0]
    return choice


class Unusable(Exception):
    """The model gave no answer that can be used."""


def careful_words(mock: MockSession) -> str:
    for _ in range(2):
        choice = post(mock, [{"role": "user", "content": "Tell me about whales."}])
        text = choice["message"]["content"] or ""
        if choice["finish_reason"] == "stop" and text.strip():
            return str(text)
    raise Unusable


def careful_json(mock: MockSession) -> str:
    form = {"type": "json_schema", "json_schema": {"name": "delay", "schema": SCHEMA}}
    for _ in range(2):
        choice = post(mock, [{"role": "user", "content": "How many days?"}], response_format=form)
        if choice["finish_reason"] == "stop":
            try:
                return str(int(json.loads(choice["message"]["content"] or "")["days"]))
            except (ValueError, KeyError):
                continue
    raise Unusable


def careful_tools(mock: MockSession) -> str:
    messages: list[Any] = [{"role": "user", "content": "Find order 4711."}]
    for _ in range(6):
        choice = post(mock, messages, tools=[{"type": "function", "function": TOOL}])
        calls = choice["message"].get("tool_calls", ())
        if not calls and choice["finish_reason"] == "stop" and (choice["message"]["content"] or "").strip():
            return str(choice["message"]["content"])
        if calls:
            messages.append(choice["message"])
        for call in calls:
            try:
                arguments = json.loads(call["function"]["arguments"])
                result = "shipped" if set(arguments) == {"id"} and call["function"]["name"] == "find_order" else "wrong"
            except ValueError:
                result = "not JSON"
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})
    raise Unusable


def careless_words(mock: MockSession) -> str:
    text: str = post(mock, [{"role": "user", "content": "Tell me about whales."}])["message"]["content"]
    return text[:5000].encode("utf-16", "surrogatepass").decode("utf-16").encode("latin-1", "ignore").decode("latin-1")


def careless_json(mock: MockSession) -> int:
    form = {"type": "json_schema", "json_schema": {"name": "delay", "schema": SCHEMA}}
    choice = post(mock, [{"role": "user", "content": "How many days?"}], response_format=form)
    return int(json.loads(choice["message"]["content"])["days"]) + 0


def careless_tools(mock: MockSession) -> str:
    messages: list[Any] = [{"role": "user", "content": "Find order 4711."}]
    while True:
        message = post(mock, messages, tools=[{"type": "function", "function": TOOL}])["message"]
        if message["content"] is not None:
            return str(message["content"])
        messages.append(message)
        for call in message["tool_calls"]:
            tool = {"find_order": lambda id: "shipped"}[call["function"]["name"]]
            result = tool(**json.loads(call["function"]["arguments"]))
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})


def outcomes(client: Callable[[MockSession], Any]) -> dict[str, tuple[str, str]]:
    with aione_mock.mock_server() as mock:
        try:
            text = str(mock.assert_resilient(client, only=["awkward"], patience=5))
        except AssertionError as error:
            text = str(error)
    found = {}
    for name, check in AWKWARD_CHECKS.items():
        line = next(line for line in text.splitlines() if line[6:].startswith(check.title))
        found[name] = (line[:4].strip(), line[6:].removeprefix(check.title).strip())
    return found


@at_best
@pytest.mark.parametrize("client", [careful_words, careful_json, careful_tools])
def test_a_careful_client_passes(client: Callable[[MockSession], Any]) -> None:
    found = outcomes(client)
    assert {mark for mark, _ in found.values()} == {"ok", "-"}, found


@at_best
def test_a_careless_client_of_words() -> None:
    found = outcomes(careless_words)
    assert found["fenced_json"] == ("-", "the client asks for no JSON")
    assert found["invented_tool"] == ("-", "the client offers no tools")
    assert found["refusal"] == found["wrong_language"] == ("ok", "")
    assert found["content_filter"][1].startswith("it accepted “")
    assert found["empty_answer"] == ("FAIL", "it returned nothing as if that were the answer")
    assert found["thinking_only"][0] == found["whitespace_only"][0] == "FAIL"
    assert "characters of an answer of 16,0" in found["very_long"][1]
    for name in ("split_emoji", "right_to_left", "combining_characters"):
        assert found[name][1].startswith("it returned “"), name


@at_best
def test_a_careless_client_of_json() -> None:
    found = outcomes(careless_json)
    assert found["fenced_json"][1].startswith("it failed: JSONDecodeError: ")
    assert found["trailing_comma_json"][0] == "FAIL"
    assert found["truncated_json"][1].startswith("it crashed: JSONDecodeError: ")
    assert found["refusal"][1].startswith("it crashed: TypeError: ")


@at_best
def test_a_careless_client_of_tools() -> None:
    found = outcomes(careless_tools)
    assert found["invented_tool"][1].startswith("it failed: KeyError: ")
    assert found["arguments_not_json"][1].startswith("it failed: JSONDecodeError: ")
    assert found["arguments_against_schema"][1].startswith("it ")
    assert found["same_tool_again"] == ("FAIL", "it ran the same tool with the same arguments 20 times")
    assert found["fenced_json"] == ("-", "the client asks for no JSON")


def test_every_answer_has_a_check_and_a_group_is_named() -> None:
    assert set(AWKWARD_CHECKS) == set(AWKWARD_SCENARIOS) == set(AWKWARD_ANSWERS)
    assert not set(AWKWARD_CHECKS) & set(CHECKS)
    assert list_checks([], []) == [*CHECKS]
    assert list_checks([], ["awkward"]) == [*CHECKS, *AWKWARD_CHECKS]
    assert list_checks(["awkward", "hangs"], ["awkward"]) == [*AWKWARD_CHECKS, "hangs"]
    with pytest.raises(ConfigError, match="unknown group 'awkwrd'; did you mean 'awkward'"):
        list_checks([], ["awkwrd"])
    with pytest.raises(ConfigError, match="unknown check 'fenced'; did you mean 'fenced_json'"):
        list_checks(["fenced"], [])


@pytest.mark.parametrize(
    ("body", "features"),
    [
        ({"response_format": {"type": "json_object"}}, {"json"}),
        ({"response_format": {"type": "json_schema"}}, {"json", "schema"}),
        ({"output_config": {"format": {"type": "json_schema"}}}, {"json", "schema"}),
        ({"generationConfig": {"responseMimeType": "application/json"}}, {"json"}),
        ({"generationConfig": {"responseSchema": {}}}, {"json", "schema"}),
        ({"generationConfig": {"thinkingConfig": {"thinkingBudget": 1}}}, {"thinking"}),
        ({"thinking": {"type": "enabled"}}, {"thinking"}),
        ({"reasoning_effort": "none", "response_format": {"type": "text"}}, set()),
        ({"generationConfig": 7, "thinking": "much"}, set()),
    ],
)  # fmt: skip
def test_what_a_client_uses(body: Any, features: set[str]) -> None:
    assert list_features([RecordedCall(1, None, "POST", "/", body=body)]) == features


def test_one_that_hangs_or_loses_its_answer() -> None:
    call = RecordedCall(1, None, "POST", "/", response={"choices": [{"index": 0, "message": {"content": "All."}}]})
    healthy = Observation((call,), "All.")
    hung = Observation((call,), timed_out=True)
    for name in ("fenced_json", "empty_answer", "same_tool_again"):
        assert AWKWARD_CHECKS[name].find_problem(hung, healthy, Thresholds()) == "it did not finish"
    crashed = Observation((call,), error="exit code 1: KeyError: 'x'")
    assert AWKWARD_CHECKS["refusal"].find_problem(crashed, healthy, Thresholds()) == f"it crashed: {crashed.error}"
    raised = Observation((call,), error="Unusable: no answer")
    assert AWKWARD_CHECKS["refusal"].find_problem(raised, healthy, Thresholds()) is None


PROGRAM = """
import json, os, urllib.request
body = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Tell me about whales."}]}
request = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", json.dumps(body).encode(),
    {"authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "content-type": "application/json"})
print(json.load(urllib.request.urlopen(request))["choices"][0]["message"]["content"])
"""


def test_a_program_is_probed_with_them_too(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["probe", "--only", "echoed_prompt", "--only", "empty_answer", "--", sys.executable, "-c", PROGRAM]
    assert main(command) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"ok    {AWKWARD_CHECKS['echoed_prompt'].title}"
    assert lines[1].split("  ")[-1] == "it returned nothing as if that were the answer"
    assert lines[2].strip() == AWKWARD_CHECKS["empty_answer"].remedy
    assert main(["probe", "--include", "awkwad", "--", sys.executable, "-c", PROGRAM]) == 2
    assert "unknown group 'awkwad'; did you mean 'awkward'?" in capsys.readouterr().err


def test_progress_on_a_terminal_is_a_line_that_goes_and_elsewhere_lines_only_if_it_is_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    live, plain = io.StringIO(), io.StringIO()
    moments = iter([0.0, 0.0, 1.0, 9.0, 11.0, 12.0, 30.0])
    monkeypatch.setattr("aione_mock.testing.resilience.progress.SYSTEM_CLOCK.timestamp", lambda: next(moments))
    on_terminal = CheckProgress(live.write, live=True, title="assert_resilient")
    on_terminal.show(1, 13, "gives up on a silent gateway")
    on_terminal.clear()
    assert live.getvalue().startswith("\rassert_resilient: 1 of 13, gives up on a silent gateway ")
    assert live.getvalue().endswith(" \r")
    progress = CheckProgress(plain.write, live=False, title="probe")
    for number in range(1, 5):
        progress.show(number, 13, f"check {number}")
    progress.clear()
    assert plain.getvalue() == "probe: 2 of 13, check 2\nprobe: 4 of 13, check 4\n"


def test_progress_is_written_past_the_capture_of_pytest(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        test_it="""
        import aione_mock.testing.resilience.progress as progress

        def test_it(monkeypatch):
            monkeypatch.setattr(progress, "_INTERVAL", 0)
            print("captured")
            shown = progress.open_progress("assert_resilient")
            shown.show(3, 13, "hangs")
            shown.clear()
        """
    )
    result = suite.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)
    assert "assert_resilient: 3 of 13, hangs" in result.outlines
    assert "captured" not in result.outlines
