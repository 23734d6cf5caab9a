"""`serve --check-answers` holds every answer of the mock against the contract."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from aione_mock.cli import main
from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings
from aione_mock.text import sse
from aione_mock.types import Json
from tests.recorder.test_replay import chat, make_text_recording, write_cassette

KEY = {"authorization": "Bearer sk-nex-demo-every-model"}
OVERLAY = """
overlay: 1.0.0
actions:
  - {target: $.components.schemas.ChatCompletion, update: {required: [mood]}}
  - {target: $.components.schemas.ChatCompletionChunk, update: {required: [mood]}}
  - {target: $.components.schemas.AnthropicMessage, update: {required: [mood]}}
"""
"""A gateway whose answers have a member that the mock does not know."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("answers")
    overlay = folder / "ours.yaml"
    overlay.write_text(OVERLAY, encoding="utf-8")
    return overlay, write_cassette(folder, make_text_recording("Recorded.", chat("Recorded")))


@pytest.fixture(scope="module")
def lenient(files: tuple[Path, Path]) -> Iterator[str]:
    with Server(create_app(Settings(overlays=files[:1], replay=files[1], check_answers="log"))) as server:
        yield server.url


@pytest.fixture(scope="module")
def strict(files: tuple[Path, Path]) -> Iterator[str]:
    with Server(create_app(Settings(overlays=files[:1], replay=files[1], check_answers="strict"))) as server:
        yield server.url


def ask(url: str, body: Json, path: str = "/v1/chat/completions", **headers: str) -> httpx2.Response:
    return httpx2.post(url + path, json=body, headers={**KEY, **headers}, trust_env=False)


def newest_findings(url: str) -> list[str]:
    number = httpx2.get(f"{url}/_mock/journal", trust_env=False).json()["items"][0]["number"]
    entry = httpx2.get(f"{url}/_mock/journal/{number}", trust_env=False).json()
    found: list[str] = entry["explain"]["findings"]
    return found


MISSING = "Missing required parameter: 'mood'."


def test_findings_are_in_the_journal_and_in_the_log(lenient: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "aione_mock"):
        answer = ask(lenient, chat("Hello"))
    assert (answer.status_code, answer.json()["object"]) == (200, "chat.completion")
    assert newest_findings(lenient) == [MISSING]
    logged = [record.getMessage() for record in caplog.records if record.name == "aione_mock"]
    assert logged == [f"the answer 200 of createChatCompletion violates the contract: {MISSING}"]
    assert ask(lenient, chat("Hello", stream=True)).text.endswith("data: [DONE]\n\n")
    assert newest_findings(lenient)[0] == f"event 1: {MISSING}"


def test_scripted_replies_examples_and_recordings_are_checked(lenient: str) -> None:
    ask(lenient, chat("Hello"), **{"x-mock-scenario": "reply; text=Scripted."})
    assert newest_findings(lenient) == [MISSING]
    assert ask(lenient, chat("Recorded")).json() == {"said": "Recorded."}
    assert "header x-request-id is missing" in newest_findings(lenient)
    assert ask(lenient, chat("Hello"), prefer="example=rate_limit_exceeded").status_code == 429
    assert newest_findings(lenient) == []


def test_errors_and_deliberate_faults_are_no_findings(lenient: str) -> None:
    sound, path = {"contents": [{"parts": [{"text": "Hello"}]}]}, "/v1beta/models/gemini-2.5-flash"
    page = ask(lenient, sound, f"{path}:generateContent", **{"x-mock-scenario": "html_page"})
    assert (page.headers["content-type"].startswith("text/html"), newest_findings(lenient)) == (True, [])
    with pytest.raises(httpx2.HTTPError):
        ask(lenient, sound, f"{path}:streamGenerateContent?alt=sse", **{"x-mock-scenario": "cut; after=1"})
    assert newest_findings(lenient) == []
    assert ask(lenient, {"model": "none"}).status_code == 400
    assert newest_findings(lenient) == []
    assert ask(lenient, {"model": "none", "messages": chat("x")["messages"]}).status_code == 404
    assert newest_findings(lenient) == []
    assert ask(lenient, chat("x"), **{"content-encoding": "br"}).status_code == 415
    assert newest_findings(lenient) == []


def test_strict_answers_with_an_error_in_the_dialect(strict: str) -> None:
    answer = ask(strict, chat("Hello"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert MISSING in answer.json()["error"]["message"]
    assert newest_findings(strict) == [MISSING]
    body = {"model": "claude-sonnet-4-6", "max_tokens": 9, "messages": chat("Hello")["messages"]}
    assert ask(strict, body, "/v1/messages").json()["error"]["type"] == "api_error"
    assert ask(strict, chat("Recorded")).status_code == 500
    assert httpx2.get(f"{strict}/v1/models", headers=KEY, trust_env=False).status_code == 200
    assert newest_findings(strict) == []
    assert ask(strict, {"model": "gpt-5.4"}).status_code == 400


def test_strict_ends_a_stream_with_an_error_event(strict: str) -> None:
    answer = ask(strict, chat("Hello", stream=True))
    (event,) = sse.decode([answer.content])
    assert answer.status_code == 200
    assert '"internal_error"' in event.data
    slow = ask(strict, chat("Hello", stream=True), **{"x-mock-scenario": "pace; ttft=0.01"})
    assert slow.text.count("data: ") == 1


@pytest.mark.parametrize(
    ("given", "mode"),
    [
        ("strict", "strict"),
        ("log", "log"),
        ("on", "log"),
        ("true", "log"),
        ("1", "log"),
        ("off", "off"),
        (False, "off"),
    ],
)
def test_modes(given: Json, mode: str) -> None:
    assert Settings(check_answers=given).check_answers == mode


def test_the_option_needs_no_value(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "show", "--check-answers", "--seed", "7"]) == 0
    assert "check_answers" in (text := capsys.readouterr().out)
    assert next(line for line in text.splitlines() if line.startswith("check_answers")).split()[1] == "log"
    assert main(["config", "show", "--check-answers", "strict"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("check_answers"))
    assert line.split()[1] == "strict"
    assert main(["config", "show", "--check-answers=loud"]) == 2
