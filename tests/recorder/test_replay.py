"""Which recording answers, when it is sent, and the error when none does."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest

from aione_mock.contract import Contract
from aione_mock.errors import ConfigError
from aione_mock.recorder.cassette import (
    CassetteWriter,
    Interaction,
    RecordedEvent,
    RecordedRequest,
    RecordedResponse,
    RecordedTiming,
)
from aione_mock.server.app import Mock, create_app
from aione_mock.server.http import Server
from aione_mock.server.replay import Replay
from aione_mock.settings import Settings
from aione_mock.text.sse import encode
from tests.recorder.conftest import CHAT, KEY, replay_server
from tests.timing import at_best

JSON = (("content-type", "application/json"),)
STREAM = (("content-type", "text/event-stream"),)


def chat(content: str, **more: Any) -> dict[str, Any]:
    return {"model": "gpt-5.4", "messages": [{"role": "user", "content": content}], **more}


def request(body: Any, operation: str = "createChatCompletion", path: str = CHAT, query: str = "") -> RecordedRequest:
    return RecordedRequest(
        operation=operation, method="POST", path=path, query=query, headers=JSON, body=orjson.dumps(body)
    )


def make_text_recording(text: str, asked: dict[str, Any], *, total: float = 0.0) -> Interaction:
    """Return a recording that answers with a text."""
    return Interaction(
        request=request(asked),
        response=RecordedResponse(status=200, headers=JSON, body=orjson.dumps({"said": text})),
        timing=RecordedTiming(first=total, total=total),
    )


def write_cassette(path: Path, *items: Interaction) -> Path:
    recording = CassetteWriter.create(path / "tape.yaml", "http://gateway.example")
    for item in items:
        recording.add(item)
    return recording.path


def ask(url: str, body: Any, **headers: str) -> Any:
    answer = httpx2.post(url + CHAT, json=body, headers={name.replace("_", "-"): v for name, v in headers.items()})
    return answer.json().get("said", answer.status_code)


def test_recordings_of_one_request_come_in_order_and_the_last_again(tmp_path: Path) -> None:
    path = write_cassette(
        tmp_path,
        make_text_recording("one", chat("Hi")),
        make_text_recording("other", chat("Ho")),
        make_text_recording("two", chat("Hi")),
    )
    with replay_server(path) as url:
        assert [ask(url, chat("Hi")) for _ in range(4)] == ["one", "two", "two", "two"]
        assert ask(url, chat("Ho")) == "other"
    with replay_server(path, replay_cycle=True) as url:
        assert [ask(url, chat("Hi")) for _ in range(5)] == ["one", "two", "one", "two", "one"]


def test_control_characters_of_a_recorded_header_are_not_sent(tmp_path: Path) -> None:
    """A gateway can send some of them; a file may hold any."""
    item = make_text_recording("one", chat("Hi"))
    headers = (*JSON, ("x-odd", "a\r\nx-evil: 1\x1b[31m"))
    response = item.response.model_copy(update={"headers": headers})
    with replay_server(write_cassette(tmp_path, item.model_copy(update={"response": response}))) as url:
        answer = httpx2.post(url + CHAT, json=chat("Hi"))
    assert answer.json() == {"said": "one"}
    assert answer.headers["x-odd"] == "a  x-evil: 1 [31m"
    assert "x-evil" not in answer.headers


def test_each_session_begins_at_the_first_and_a_reset_goes_back_to_it(tmp_path: Path) -> None:
    path = write_cassette(tmp_path, make_text_recording("one", chat("Hi")), make_text_recording("two", chat("Hi")))
    with replay_server(path) as url:
        assert [ask(url, chat("Hi"), x_mock_session="a") for _ in range(2)] == ["one", "two"]
        assert ask(url, chat("Hi"), x_mock_session="b") == "one"
        assert ask(f"{url}/_session/b", chat("Hi")) == "two"
        httpx2.post(f"{url}/_mock/sessions/a/reset")
        assert ask(url, chat("Hi"), x_mock_session="a") == "one"


def test_order_of_members_blanks_and_what_is_absent_make_no_difference(tmp_path: Path) -> None:
    path = write_cassette(tmp_path, make_text_recording("same", chat("Hi", stream=False, user=None)))
    with replay_server(path, replay_only=True) as url:
        spelt = b'{ "messages":[{"content":"Hi", "role":"user"}],\n"model":"gpt-5.4"}'
        again = httpx2.post(url + CHAT, content=spelt, headers={"content-type": "application/json; charset=utf-8"})
        assert again.json() == {"said": "same"}
        for other in (chat("hi"), chat("Hi", temperature=0), chat("Hi", stream=True)):
            assert ask(url, other) == 404


def test_both_spellings_of_gemini_are_one_request(tmp_path: Path) -> None:
    path = "/v1beta/models/gemini-2.5-flash:generateContent"
    body = {"contents": [{"parts": [{"text": "Hi"}]}], "generationConfig": {"maxOutputTokens": 5}}
    recorded = Interaction(
        request=request(body, "generateContent", path, "key=***"),
        response=RecordedResponse(status=200, headers=JSON, body=b"{}"),
    )
    with replay_server(write_cassette(tmp_path, recorded), replay_only=True) as url:
        snake = {"contents": {"parts": [{"text": "Hi"}]}, "generation_config": {"max_output_tokens": 5}}
        assert httpx2.post(f"{url}{path}?key=mine", json=snake).status_code == 200
        assert httpx2.post(url + path.replace("2.5", "3"), json=snake).status_code == 404


def test_what_was_never_recorded_is_the_mock_s(tmp_path: Path) -> None:
    with replay_server(write_cassette(tmp_path, make_text_recording("taped", chat("Hi")))) as url:
        assert ask(url, chat("Hi")) == "taped"
        answer = httpx2.post(url + CHAT, json=chat("Ho"), headers={"authorization": f"Bearer {KEY}"})
        assert answer.json()["object"] == "chat.completion"
        assert httpx2.post(url + CHAT, json=chat("Ho")).status_code == 401


def test_a_scenario_asked_for_goes_before_the_recording(tmp_path: Path) -> None:
    with replay_server(write_cassette(tmp_path, make_text_recording("taped", chat("Hi"))), replay_only=True) as url:
        headers = {"authorization": f"Bearer {KEY}", "x_mock_scenario": "rate_limit_exceeded"}
        assert ask(url, chat("Hi"), **headers) == 429
        assert ask(url, chat("Hi")) == "taped"


def test_a_miss_names_the_nearest_and_what_differs(tmp_path: Path) -> None:
    far, near = chat("Hello there", temperature=1, top_p=0.5), chat("Hello there", temperature=1)
    path = write_cassette(tmp_path, make_text_recording("far", far), make_text_recording("near", near))
    with replay_server(path, replay_only=True) as url:
        answer = httpx2.post(url + CHAT, json=chat("Hello, you", temperature=1))
        assert (answer.status_code, answer.json()["error"]["type"]) == (404, "invalid_request_error")
        assert answer.json()["error"]["message"] == (
            "No recording in 'tape.yaml' matches this request. The nearest is number 2: "
            'body.messages[0].content is "Hello there" in the recording and "Hello, you" in the request.'
        )
        more = httpx2.post(url + CHAT, json={"model": "m", "messages": [], "n": 1, "seed": 2, "stream": True})
        assert more.json()["error"]["message"].endswith("; and 5 more.")
        other = httpx2.post(f"{url}/v1/messages", json={})
        assert (other.status_code, other.json()["error"]["type"]) == (404, "not_found_error")
        assert "No recording of createMessage in 'tape.yaml', which holds createChatCompletion." in other.text
        assert httpx2.get(f"{url}/api/v1/billing/plan").json()["detail"].startswith("No recording of getPlan")


def test_long_texts_are_shown_where_they_differ(tmp_path: Path) -> None:
    long = "word " * 400
    with replay_server(
        write_cassette(tmp_path, make_text_recording("long", chat(f"{long}A{long}"))), replay_only=True
    ) as url:
        told = httpx2.post(url + CHAT, json=chat(f"{long}B{long}")).json()["error"]["message"]
    assert "word A" in told
    assert "word B" in told
    assert len(told) < 400


def test_a_miss_never_shows_a_secret(tmp_path: Path) -> None:
    with replay_server(write_cassette(tmp_path, make_text_recording("taped", chat("Hi"))), replay_only=True) as url:
        odd = {"authorization": "Bearer my-very-own-credential"}
        told = httpx2.post(url + CHAT, json=chat(f"{KEY} my-very-own-credential"), headers=odd).text
    assert "number 1" in told
    assert "demo-every" not in told
    assert "my-very-own" not in told


def make_stream_recording(*ats: float) -> Interaction:
    events = tuple(RecordedEvent(at=at, raw=encode(b'{"n":%d}' % number)) for number, at in enumerate(ats))
    return Interaction(
        request=request(chat("Hi", stream=True)),
        response=RecordedResponse(status=200, headers=STREAM, events=events),
        timing=RecordedTiming(first=ats[0], total=ats[-1]),
    )


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"replay_timing": "recorded", "time_scale": 100.0}, (0.1, 0.3, 0.5)),
        ({"replay_timing": "scale", "time_scale": 5.0}, (0.02, 0.06, 0.1)),
        ({"replay_timing": "none"}, (0.0, 0.0, 0.0)),
    ],
)
def test_events_come_when_they_came(tmp_path: Path, settings: dict[str, Any], expected: tuple[float, ...]) -> None:
    with (
        replay_server(write_cassette(tmp_path, make_stream_recording(0.1, 0.3, 0.5)), **settings) as url,
        httpx2.Client() as client,
    ):
        client.get(f"{url}/_mock/health")

        @at_best
        def they_come() -> None:
            began, lags = time.perf_counter(), []
            with client.stream("POST", url + CHAT, json=chat("Hi", stream=True)) as answer:
                for raw in answer.iter_raw():
                    lags += [time.perf_counter() - began] * raw.count(b"data:")
            assert len(lags) == 3
            for lag, due in zip(lags, expected, strict=True):
                assert due <= lag < due + 0.15

        they_come()


def test_a_plain_answer_comes_when_it_came(tmp_path: Path) -> None:
    path = write_cassette(tmp_path, make_text_recording("late", chat("Hi"), total=0.3))
    with replay_server(path, replay_timing="recorded") as url, httpx2.Client() as client:
        client.get(f"{url}/_mock/health")
        began = time.perf_counter()
        client.post(url + CHAT, json=chat("Hi"))
        assert time.perf_counter() - began >= 0.3


def test_replays_are_in_the_journal_and_on_no_bill(tmp_path: Path) -> None:
    app = create_app(
        Settings(
            replay=write_cassette(tmp_path, make_text_recording("taped", chat("Hi")), make_stream_recording(0.0, 0.0))
        )
    )
    with Server(app) as running:
        ask(running.url, chat("Hi"), authorization=f"Bearer {KEY}")
        ask_stream = httpx2.post(running.url + CHAT, json=chat("Hi", stream=True))
        assert ask_stream.status_code == 200
    entries = list(app.sessions.get().journal)
    assert [(entry.operation_id, entry.status, entry.stream, entry.valid) for entry in entries] == [
        ("createChatCompletion", 200, False, True),
        ("createChatCompletion", 200, True, True),
    ]
    assert orjson.loads(entries[0].response_body) == {"said": "taped"}
    assert len(entries[1].events) == 2
    assert [entry.usage for entry in entries] == [None, None]


def test_a_session_may_have_recordings_of_its_own(
    app: Mock, server: Server, contract: Contract, tmp_path: Path
) -> None:
    session = app.sessions.create("own-tape")
    session.replay = Replay(write_cassette(tmp_path, make_text_recording("own", chat("Hi"))), contract, only=True)
    url = f"{server.url}/_session/own-tape"
    assert ask(url, chat("Hi")) == "own"
    assert ask(server.url, chat("Hi")) == 401
    assert app.sessions.reset(session).replay is session.replay
    app.sessions.delete("own-tape")


def test_a_cassette_that_is_none_is_refused_at_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the cassette"):
        create_app(Settings(replay=tmp_path / "absent.yaml"))
    (tmp_path / "other.yaml").write_text("openapi: 3.1.0\n")
    with pytest.raises(ConfigError, match=r"is no cassette of this version: it does not begin with `cassette: 1`"):
        create_app(Settings(replay=tmp_path / "other.yaml"))
