"""`record`, `cassette check` and `cassette show` from the command line."""

from __future__ import annotations

import signal
from pathlib import Path

import httpx2
import orjson
import pytest

from aione_mock.cli import main
from aione_mock.recorder.cassette import (
    CassetteWriter,
    Interaction,
    RecordedEvent,
    RecordedRequest,
    RecordedResponse,
    RecordedScenario,
    RecordedTiming,
    load_cassette,
)
from tests.recorder.conftest import CHAT, KEY, run_recorder
from tests.timing import PATIENCE

PLAN = b'{"models": []}'
OVERLAY = """overlay: 1.0.0
info: {title: Lists may be of any kind, version: '1'}
actions:
  - target: $.paths['/v1/models'].get.responses['200'].content['application/json']
    update: {schema: {}}
  - target: $.paths['/v1/models'].get.responses['200'].content['application/json'].schema
    remove: true
"""
HEADERS = (("content-type", "application/json"), ("x-request-id", "req_1"))


@pytest.fixture
def tape(tmp_path: Path) -> CassetteWriter:
    return CassetteWriter.create(tmp_path / "calls.yaml", "http://gateway.example")


def list_rows(body: bytes, **more: object) -> Interaction:
    return Interaction(
        request=RecordedRequest(operation="listModels", method="GET", path="/v1/models"),
        response=RecordedResponse(status=200, headers=HEADERS, body=body),
        timing=RecordedTiming(first=0.1, total=1.25),
    )


def test_check_tells_each_finding_and_exits_with_1(tape: CassetteWriter, capsys: pytest.CaptureFixture[str]) -> None:
    tape.add(list_rows(b'{"object":"list","data":[]}'))
    tape.add(list_rows(b'{"object":"list"}'))
    tape.add(
        Interaction(
            request=RecordedRequest(method="GET", path="/gone"),
            response=RecordedResponse(status=404, headers=HEADERS, body=b"{}"),
        )
    )
    assert main(["cassette", "check", str(tape.path)]) == 1
    told = capsys.readouterr()
    assert told.out.splitlines() == ["2  listModels  answer: Missing required parameter: 'data'."]
    assert told.err == "1 finding\n"


@pytest.mark.parametrize(("answered", "code"), [(True, 0), (False, 1)])
def test_an_answer_of_the_proxy_is_no_finding(tape: CassetteWriter, answered: bool, code: int) -> None:
    scenario = RecordedScenario(rule="mine", played="reply", answered=answered)
    tape.add(list_rows(b'{"object":"list"}').model_copy(update={"scenario": scenario}))
    assert main(["cassette", "check", str(tape.path)]) == code
    assert load_cassette(tape.path).interactions[0].scenario == scenario


def test_check_measures_with_the_overlay(
    tape: CassetteWriter, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tape.add(list_rows(b'{"object":"list"}'))
    (tmp_path / "mine.yaml").write_text(OVERLAY)
    assert main(["cassette", "check", str(tape.path), "--overlay", str(tmp_path / "mine.yaml")]) == 0
    assert capsys.readouterr().out == "1 recording, no findings\n"


def test_a_request_that_was_refused_is_no_finding(tape: CassetteWriter, capsys: pytest.CaptureFixture[str]) -> None:
    error = {"error": {"message": "m", "type": "invalid_request_error", "param": "model", "code": "invalid_request"}}
    asked = RecordedRequest(operation="createChatCompletion", method="POST", path=CHAT, headers=HEADERS[:1], body=b"{}")
    tape.add(
        Interaction(request=asked, response=RecordedResponse(status=400, headers=HEADERS, body=orjson.dumps(error)))
    )
    assert main(["cassette", "check", str(tape.path)]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("text", [None, "nonsense", "cassette: 1\ninteractions:\n"])
def test_what_cannot_be_checked_is_2(tmp_path: Path, text: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    if text is not None:
        (tmp_path / "calls.yaml").write_text(text)
    assert main(["cassette", "check", str(tmp_path / "calls.yaml")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_show_gives_a_line_for_each(tape: CassetteWriter, capsys: pytest.CaptureFixture[str]) -> None:
    tape.add(list_rows(b"{}"))
    event = RecordedEvent(at=0.5, raw=b"data: 1\n\n")
    stream = RecordedResponse(status=200, headers=HEADERS, events=(event,), end="cut")
    tape.add(
        Interaction(
            request=RecordedRequest(method="POST", path="/x", query="a=1"),
            response=stream,
            findings=("answer: cut off after 9 bytes",),
            timing=RecordedTiming(first=0.5, total=0.5),
        )
    )
    with tape.path.open("a") as file:
        file.write("- request: {operation: listMod")
    assert main(["cassette", "show", str(tape.path)]) == 0
    told = capsys.readouterr()
    head, first, second = [" ".join(line.split()) for line in told.out.splitlines()]
    assert head == "NUMBER OPERATION REQUEST STATUS ANSWER SECONDS WRONG"
    assert first == "1 listModels GET /v1/models 200 2 bytes 1.250"
    assert second == "2 unknown POST /x?a=1 200 1 events, cut off 0.500 answer: cut off after 9 bytes"
    assert "its last recording is left out" in told.err


@pytest.mark.parametrize("url", ["gateway.example", "ftp://gateway.example", "http://", "http://a:99999"])
def test_an_upstream_that_is_no_base_url_is_refused(
    tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["record", "--upstream", url, "--out", str(tmp_path / "a.yaml"), "--port", "0"]) == 2
    assert "is a base URL such as" in capsys.readouterr().err
    assert not (tmp_path / "a.yaml").exists()


@pytest.mark.parametrize("prefix", ["/v1", "/below/v1beta/"])
def test_an_upstream_with_the_prefix_of_paths_is_refused(
    tmp_path: Path, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a.yaml"
    assert main(["record", "--upstream", f"http://127.0.0.1:9{prefix}", "--out", str(out), "--port", "0"]) == 2
    root = f"http://127.0.0.1:9{prefix}".rstrip("/").rpartition("/")[0]
    assert capsys.readouterr().err.endswith(f"with which paths begin; write {root}\n")
    assert not out.exists()


def test_record_writes_over_nothing(tape: CassetteWriter, capsys: pytest.CaptureFixture[str]) -> None:
    before = tape.path.read_bytes()
    assert main(["record", "--upstream", "http://a", "--out", str(tape.path), "--port", "0"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert tape.path.read_bytes() == before


def test_replay_only_needs_a_cassette(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--port", "0", "--replay-only"]) == 2
    assert "--replay-only: needs a cassette" in capsys.readouterr().err


def test_recording_says_what_passes_and_what_is_wrong(session_url: str, tmp_path: Path) -> None:
    path = tmp_path / "live.yaml"
    complaints = tmp_path / "stderr"
    with run_recorder(session_url, path, log=complaints) as (process, url):
        assert process.stdout is not None
        headers = {"authorization": f"Bearer {KEY}"}
        assert httpx2.get(f"{url}/v1/models", headers=headers).status_code == 200
        assert httpx2.post(url + CHAT, headers=headers, json={"model": 7}).status_code == 400
        process.send_signal(signal.SIGINT)
        lines = process.stdout.read().splitlines()[2:]
        assert process.wait(PATIENCE) == 130
    assert lines[0].split()[:5] == ["1", "200", "listModels", "GET", "/v1/models"]
    assert lines[1].split()[:5] == ["2", "400", "createChatCompletion", "POST", CHAT]
    assert sorted(lines[2:4]) == [
        "      wrong: request: Invalid value for 'model': input should be a valid string.",
        "      wrong: request: Missing required parameter: 'messages'.",
    ]
    assert lines[4] == f"2 exchanges in {path}, 1 of them with something wrong"
    assert complaints.read_text() == ""
    assert len(load_cassette(path).interactions) == 2
