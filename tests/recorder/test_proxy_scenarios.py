"""Scenarios on traffic through the proxy: the client gets the damage, the cassette what the gateway said."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from aione_mock.cli import main
from aione_mock.recorder.cassette import CassetteWriter, load_cassette
from aione_mock.recorder.proxy import Recorder
from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.server.proxy import create_scenario_proxy
from aione_mock.settings import Settings
from aione_mock.text import sse
from tests.recorder.conftest import (
    CHAT,
    KEY,
    STREAM_HEAD,
    Gateway,
    RecordingTape,
    build_response,
    encode_chunk,
    send_parts,
)
from tests.timing import PATIENCE

HEADERS = {"authorization": f"Bearer {KEY}"}
StartProxy = Callable[..., Any]


@pytest.fixture
def start_proxy(tmp_path: Path) -> StartProxy:
    """Start a proxy with scenarios: `with start_proxy(upstream, pace=…) as tape`."""

    @contextmanager
    def running(upstream: str, **settings: Any) -> Iterator[RecordingTape]:
        path, reported = tmp_path / "calls.yaml", list[str]()
        interceptor = create_scenario_proxy(Settings(**settings))
        writer = CassetteWriter.create(path, upstream)
        recorder = Recorder(interceptor.contract, upstream, writer, interceptor=interceptor, report=reported.append)
        with Server(recorder) as server:
            yield RecordingTape(server.url, path, reported)

    return running


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    """A gateway of its own, whose journal says what it was asked."""
    with Server(create_app(Settings())) as server:
        yield server.url


def name_headers(headers: dict[str, str]) -> dict[str, str]:
    return HEADERS | {name.replace("_", "-"): value for name, value in headers.items()}


def ask(url: str, text: str = "Reply with exactly: one two three four", **headers: str) -> httpx2.Response:
    body = {"model": "gpt-5.4", "messages": [{"role": "user", "content": text}]}
    return httpx2.post(url + CHAT, json=body, headers=name_headers(headers), timeout=PATIENCE)


def stream(url: str, text: str = "Reply with exactly: one two three four", **headers: str) -> tuple[bytes, bool]:
    """Return what arrives of a streamed answer, and whether it came to its end."""
    body = {"model": "gpt-5.4", "stream": True, "messages": [{"role": "user", "content": text}]}
    got, whole = b"", True
    with httpx2.stream("POST", url + CHAT, json=body, headers=name_headers(headers), timeout=PATIENCE) as answer:
        try:
            for data in answer.iter_raw():
                got += data
        except httpx2.RemoteProtocolError:
            whole = False
    return got, whole


def set_rules(url: str, *rules: dict[str, Any]) -> None:
    httpx2.put(f"{url}/_mock/rules", json={"rules": rules}).raise_for_status()


def read_journal(url: str) -> list[dict[str, Any]]:
    """Return the exchanges of a journal, the oldest first."""
    rows = httpx2.get(f"{url}/_mock/journal", params={"limit": 100}).json()["items"]
    return [httpx2.get(f"{url}/_mock/journal/{row['number']}").json() for row in reversed(rows)]


def test_an_error_is_answered_without_asking_the_gateway(upstream: str, start_proxy: StartProxy) -> None:
    httpx2.delete(f"{upstream}/_mock/journal")
    with start_proxy(upstream) as tape:
        refused = ask(tape.url, x_mock_scenario="rate_limit_exceeded; retry_after=3; times=1")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "3")
        assert ask(tape.url).status_code == 200
    assert [entry["status"] for entry in read_journal(upstream)] == [200]
    first, second = tape.cassette.interactions
    assert first.scenario is not None
    assert (first.scenario.rule, first.scenario.played) == ("header", "rate_limit_exceeded")
    assert first.scenario.answered
    assert (first.response.status, first.findings) == (429, ())
    assert (second.scenario, second.findings) == (None, ())
    assert "      answered rate_limit_exceeded (rule 'header')" in tape.reported


def test_the_header_of_the_proxy_is_not_forwarded(upstream: str, start_proxy: StartProxy) -> None:
    httpx2.delete(f"{upstream}/_mock/journal")
    with start_proxy(upstream) as tape:
        ask(f"{tape.url}/_session/mine", x_mock_scenario="empty_body", x_mock_session="other", x_kept="yes")
        stream(tape.url, x_mock_scenario="one_packet")
    asked = read_journal(upstream)
    assert len(asked) == 2
    for entry in asked:
        names = {name for name, _ in entry["request"]["headers"]}
        assert not [name for name in names if name.startswith("x-mock-")]
        assert entry["path"] == CHAT
    assert "x-mock" not in tape.text


def test_a_cut_stream_is_recorded_whole_and_not_reported(upstream: str, start_proxy: StartProxy) -> None:
    with start_proxy(upstream) as tape:
        whole, ended = stream(tape.url)
        assert ended
        got, ended = stream(tape.url, x_mock_scenario="cut; after=2")
        assert not ended
        assert len([*sse.decode([got])]) == 2
    clean, damaged = tape.cassette.interactions
    assert damaged.response.events is not None
    assert len(damaged.response.events) == len([*sse.decode([whole])])
    assert damaged.response.end == "finish"
    assert damaged.scenario is not None
    assert not damaged.scenario.answered
    assert (damaged.scenario.played, damaged.findings) == ("cut", ())
    assert main(["cassette", "check", str(tape.path)]) == 0
    assert clean.scenario is None


def test_what_the_gateway_does_wrong_is_reported_though_it_is_damaged_again(start_proxy: StartProxy) -> None:
    with Gateway(send_parts(build_response(b'{"id": "chatcmpl-1"}'))) as gateway, start_proxy(gateway.url) as tape:
        assert ask(tape.url, x_mock_scenario="empty_body").content == b""
    (item,) = tape.cassette.interactions
    assert item.response.body == b'{"id": "chatcmpl-1"}'
    assert any("Missing required parameter" in finding for finding in item.findings)
    assert not any("JSON" in finding for finding in item.findings)


def test_members_of_answers_are_changed_by_condition(upstream: str, start_proxy: StartProxy) -> None:
    with start_proxy(upstream) as tape:
        change = {"set": {"/choices/*/finish_reason": "length", "/model": "other {{model}}"}, "remove": ["/usage"]}
        set_rules(tape.url, {"id": "shorten", "when": {"text": "one two"}, "then": {"body": change}})
        plain = ask(tape.url).json()
        assert (plain["model"], plain["choices"][0]["finish_reason"]) == ("other gpt-5.4", "length")
        assert "usage" not in plain
        assert ask(tape.url, "Why do cats purr?").json()["usage"]["total_tokens"] > 0
        client = openai.OpenAI(base_url=f"{tape.url}/v1", api_key=KEY)
        question: Any = [{"role": "user", "content": "Reply with exactly: one two three"}]
        chunks = [*client.chat.completions.create(model="gpt-5.4", messages=question, stream=True)]
        assert [each.choices[0].finish_reason for each in chunks if each.choices][-2:] == [None, "length"]
        assert {each.model for each in chunks} == {"other gpt-5.4"}
    first, second, third = tape.cassette.interactions
    assert [item.findings for item in (first, second, third)] == [(), (), ()]
    assert b'"model":"gpt-5.4"' in first.response.body
    assert [item.scenario and item.scenario.rule for item in (first, second, third)] == ["shorten", None, "shorten"]


def test_a_scripted_reply_is_answered_by_the_proxy(upstream: str, start_proxy: StartProxy) -> None:
    with start_proxy(upstream) as tape:
        set_rules(tape.url, {"when": {"model": "no-such-*"}, "then": {"reply": {"text": "I stand in."}}})
        client = openai.OpenAI(base_url=f"{tape.url}/v1", api_key="any key", max_retries=0)
        question: Any = [{"role": "user", "content": "Hello"}]
        answer = client.chat.completions.create(model="no-such-model", messages=question)
        assert answer.choices[0].message.content == "I stand in."
        with pytest.raises(openai.AuthenticationError):  # the gateway's own words
            client.chat.completions.create(model="gpt-5.4", messages=question)
    first, second = tape.cassette.interactions
    assert first.scenario is not None
    assert first.scenario.answered
    assert (second.scenario, second.response.status) == (None, 401)


def test_an_awkward_answer_is_the_proxy_s(upstream: str, start_proxy: StartProxy) -> None:
    httpx2.delete(f"{upstream}/_mock/journal")
    with start_proxy(upstream) as tape:
        plain = ask(tape.url, x_mock_scenario="fenced_json").json()["choices"][0]["message"]["content"]
        set_rules(tape.url, {"id": "fence", "when": {}, "then": {"awkward": "fenced_json"}})
        got, ended = stream(tape.url)
        events = [json.loads(event.data) for event in sse.decode([got]) if event.data != "[DONE]"]
        assert ended
        assert "".join([event["choices"][0]["delta"].get("content", "") for event in events]) == plain
        assert plain.startswith("```json")
        refused = ask(tape.url, x_mock_scenario="invented_tool")
        assert refused.status_code == 400
        assert "'invented_tool' needs tools" in refused.text
        # a rule passes over a request that lacks something for it
        set_rules(tape.url, {"id": "tool", "when": {}, "then": {"awkward": "invented_tool"}})
        assert ask(tape.url).status_code == 200
    assert len(read_journal(upstream)) == 1
    marks = [item.scenario and (item.scenario.rule, item.scenario.played) for item in tape.cassette.interactions]
    assert marks[:2] == [("header", "fenced_json"), ("fence", "fenced_json")]
    assert marks[3] is None
    assert "      answered fenced_json (rule 'fence')" in tape.reported


def test_a_delay_waits_before_the_gateway_is_asked(upstream: str, start_proxy: StartProxy) -> None:
    with start_proxy(upstream) as tape:
        set_rules(tape.url, {"when": {"nth": 1}, "then": {"delay": 0.3}})
        assert ask(tape.url).status_code == 200
        assert ask(tape.url).status_code == 200
    slow, quick = tape.cassette.interactions
    assert slow.timing.first >= 0.3
    assert (slow.scenario and slow.scenario.played, quick.scenario) == ("delay", None)


def test_a_stalled_stream_keeps_its_order_and_comes_whole(upstream: str, start_proxy: StartProxy) -> None:
    with start_proxy(upstream) as tape:
        whole, _ = stream(tape.url)
        again, ended = stream(tape.url, x_mock_scenario="stall; after=2; seconds=0.2")
        assert ended
    assert len([*sse.decode([again])]) == len([*sse.decode([whole])])
    stalled = tape.cassette.interactions[-1]
    assert stalled.scenario is not None
    assert stalled.timing.total < PATIENCE


def test_a_pace_of_the_proxy_spreads_the_events(upstream: str, start_proxy: StartProxy) -> None:
    with start_proxy(upstream, pace="pace; ttft=0.1; tps=100") as tape:
        stream(tape.url)
        (entry,) = read_journal(tape.url)
    times = entry["response"]["times_ms"]
    assert times[0] >= 100
    assert times[-1] > times[1]
    assert tape.cassette.interactions[0].scenario is not None
    assert tape.cassette.interactions[0].scenario.rule == "pace"


def test_the_pauses_of_the_gateway_are_kept_in_a_changed_stream(start_proxy: StartProxy) -> None:
    released = threading.Event()
    event = sse.encode(b'{"id":"c","object":"chat.completion.chunk"}')

    def respond(connection: socket.socket) -> None:
        connection.sendall(STREAM_HEAD + encode_chunk(event))
        released.wait(0.3)
        connection.sendall(encode_chunk(event) + encode_chunk(b""))

    with Gateway(respond) as gateway, start_proxy(gateway.url, time_scale=10.0) as tape:
        stream(tape.url, x_mock_scenario="comments")
        (entry,) = read_journal(tape.url)
    times = entry["response"]["times_ms"]
    assert times[-1] - times[0] >= 250  # not divided by the time scale


@pytest.mark.parametrize("scenario", ["reset", "cut_body", "content_length_long", "gzip_garbage"])
def test_faults_below_http_reach_the_client(upstream: str, start_proxy: StartProxy, scenario: str) -> None:
    with start_proxy(upstream) as tape, pytest.raises(httpx2.HTTPError):
        ask(tape.url, x_mock_scenario=scenario)
    (item,) = tape.cassette.interactions
    assert (item.response.status, item.findings) == (200, ())


def test_journal_page_sessions_and_verification_work(upstream: str, start_proxy: StartProxy) -> None:
    with start_proxy(upstream) as tape:
        ask(f"{tape.url}/_session/a")
        stream(tape.url, x_mock_session="a", x_mock_scenario="cut; after=1")
        ask(tape.url)
        seen = httpx2.get(f"{tape.url}/_session/a/_mock/journal").json()["items"]
        assert [(row["operation"], row["status"], row["finding"], row["open"]) for row in seen] == [
            ("createChatCompletion", 200, "damaged", False),
            ("createChatCompletion", 200, None, False),
        ]
        counted = httpx2.post(f"{tape.url}/_mock/verify", json={"when": {"model": "gpt-5.4"}, "exactly": 1})
        assert counted.status_code == 200, counted.text
        assert httpx2.get(f"{tape.url}/_mock/ui/").status_code == 200
        assert KEY not in httpx2.get(f"{tape.url}/_mock/journal/1").text
    assert [item.request.path for item in tape.cassette.interactions] == [CHAT] * 3


@pytest.mark.parametrize(
    ("path", "scenario", "expected"),
    [
        (CHAT, "cutt", "did you mean 'cut'"),
        ("/v9/unknown", "cut", "no scenario can be played"),
        ("/_session/+/v1/models", "cut", "cannot name a session"),
    ],
)
def test_a_scenario_that_cannot_be_played_is_a_400(
    upstream: str, start_proxy: StartProxy, path: str, scenario: str, expected: str
) -> None:
    with start_proxy(upstream) as tape:
        answer = httpx2.post(tape.url + path, headers={**HEADERS, "x-mock-scenario": scenario}, json={})
    assert answer.status_code == 400
    assert expected in answer.text


def test_what_the_mock_would_refuse_is_forwarded(upstream: str, start_proxy: StartProxy) -> None:
    httpx2.delete(f"{upstream}/_mock/journal")
    with start_proxy(upstream) as tape:
        set_rules(tape.url, {"when": {"text": "never"}, "then": {"error": "internal_error"}})
        for body in (b"{", b"[" * 2000, b'{"model": 7}', b"\xff"):
            assert httpx2.post(tape.url + CHAT, headers=HEADERS, content=body).status_code == 400
        assert httpx2.get(f"{tape.url}/nowhere").status_code == 404
    assert len(read_journal(upstream)) == 5
    assert all(item.scenario is None for item in tape.cassette.interactions)


def test_a_marked_cassette_is_replayed_and_listed(
    upstream: str, start_proxy: StartProxy, capsys: pytest.CaptureFixture[str]
) -> None:
    with start_proxy(upstream) as tape:
        ask(tape.url, x_mock_scenario="html_page")
        ask(tape.url, x_mock_scenario="internal_error")
    assert main(["cassette", "show", str(tape.path)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "changed by html_page (rule 'header')" in shown
    assert "answered internal_error (rule 'header')" in shown
    with Server(create_app(Settings(replay=tape.path, replay_timing="none"))) as server:
        assert ask(server.url).json()["object"] == "chat.completion"


@contextmanager
def run_command(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "aione_mock", *arguments, "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().split(" at ")[1].split()[0]
    finally:
        process.kill()
        process.wait(PATIENCE)
        process.stdout.close()


def test_proxy_without_out_records_nothing_and_plays_rule_files(upstream: str, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules:\n  - id: busy\n    when: {nth: 1}\n    then: {error: rate_limit_exceeded}\n")
    before = {*tmp_path.iterdir()}
    with run_command("proxy", "--upstream", upstream, "--scenarios", str(rules)) as (process, url):
        assert process.stdout is not None
        assert [ask(url).status_code for _ in range(2)] == [429, 200]
        process.send_signal(signal.SIGINT)
        lines = process.stdout.read().splitlines()
    assert lines[-1] == "2 exchanges passed"
    assert "      answered rate_limit_exceeded (rule 'busy')" in lines
    assert {*tmp_path.iterdir()} == before


def test_record_takes_the_same_options(upstream: str, tmp_path: Path) -> None:
    out = tmp_path / "calls.yaml"
    with run_command("record", "--upstream", upstream, "--out", str(out)) as (process, url):
        set_rules(url, {"when": {}, "then": {"faults": [{"name": "empty_body"}]}})
        assert ask(url).content == b""
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)
    (item,) = load_cassette(out).interactions
    assert item.scenario is not None
    assert item.response.status == 200


def test_record_needs_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["record", "--upstream", "http://a", "--port", "0"]) == 2
    assert "--out" in capsys.readouterr().err


def test_the_rules_in_the_documentation_are_valid(upstream: str, start_proxy: StartProxy, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "faults-on-real-traffic.md").read_text(encoding="utf-8")
    rules = tmp_path / "faults.yaml"
    rules.write_text(page.split("```yaml\n")[1].split("```")[0])
    with start_proxy(upstream, scenarios=(rules,)) as tape:
        assert [ask(tape.url, "How is the weather?").status_code for _ in range(3)] == [429, 429, 200]
        assert ask(tape.url, "How is the weather?").json()["model"] == "another-model"
