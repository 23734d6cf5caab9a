"""The option `replay` of the marker: a cassette answers the calls of a test."""

from __future__ import annotations

from pathlib import Path

import httpx2
import orjson
import pytest

from aione_mock.errors import ConfigError
from aione_mock.recorder.cassette import CassetteWriter, Interaction, RecordedRequest, RecordedResponse, RecordedTiming
from aione_mock.server.http import Server
from aione_mock.testing import connect_to_server, mock_server

pytest_plugins = ["pytester"]
JSON = (("content-type", "application/json"),)


def make_interaction(text: str, said: str) -> Interaction:
    asked = {"model": "gpt-5.4", "messages": [{"role": "user", "content": text}]}
    message = {"role": "assistant", "content": said}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    body = {"id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": "gpt-5.4", "choices": choices}
    request = RecordedRequest(
        operation="createChatCompletion",
        method="POST",
        path="/v1/chat/completions",
        headers=JSON,
        body=orjson.dumps(asked),
    )
    # recorded as slow, to be replayed at once
    return Interaction(
        request=request,
        response=RecordedResponse(status=200, headers=JSON, body=orjson.dumps(body)),
        timing=RecordedTiming(first=30.0, total=30.0),
    )


def tape(path: Path) -> Path:
    recording = CassetteWriter.create(path, "http://gateway.example")
    for said in ("first", "second"):
        recording.add(make_interaction("Hello", said))
    return path


SUITE = """
import openai, pytest

def ask(client, text="Hello"):
    asked = [{"role": "user", "content": text}]
    return client.chat.completions.create(model="gpt-5.4", messages=asked).choices[0].message.content

@pytest.mark.aione_mock(replay="calls.yaml")
@pytest.mark.parametrize("turn", [1, 2])
def test_in_order_in_every_test(aione_mock, aione_openai, turn):
    assert [ask(aione_openai) for _ in range(3)] == ["first", "second", "second"]
    assert [call.status for call in aione_mock.calls] == [200, 200, 200]
    aione_mock.reset()
    assert ask(aione_openai) == "first"

@pytest.mark.aione_mock(replay="calls.yaml")
def test_a_miss(aione_openai):
    with pytest.raises(openai.NotFoundError, match="The nearest is number 1"):
        ask(aione_openai, "Hullo")

@pytest.mark.aione_mock(replay="calls.yaml", replay_only=False)
def test_a_miss_for_the_mock(aione_mock, aione_openai):
    aione_mock.reply("prepared")
    assert [ask(aione_openai, text) for text in ("Hullo", "Hello")] == ["prepared", "first"]

def test_others_are_not_concerned(aione_mock, aione_openai):
    aione_mock.reply("prepared")
    assert ask(aione_openai) == "prepared"
"""


def test_a_cassette_answers_the_tests_that_name_it(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    # beside the test, which is not where pytest is run
    folder = pytester.mkdir("suite")
    tape(folder / "calls.yaml")
    (folder / "test_it.py").write_text(SUITE)
    pytester.runpytest("-p", "no:cacheprovider", "--strict-markers", folder).assert_outcomes(passed=5)


@pytest.mark.parametrize(
    ("name", "message"),
    [("none.yaml", "E  *none.yaml*"), ("bad.yaml", "E  *bad.yaml*")],
)
def test_a_cassette_that_cannot_be_played(pytester: pytest.Pytester, name: str, message: str) -> None:
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makefile(".yaml", bad="- 1\n")
    marker = f"@pytest.mark.aione_mock(replay={name!r})"
    pytester.makepyfile(test_it=f"import pytest\n\n{marker}\ndef test_it(aione_mock): assert False\n")
    result = pytester.runpytest("-p", "no:cacheprovider")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([message])
    assert "aione_mock/testing" not in result.stdout.str()


def test_only_in_this_process(server: Server, tmp_path: Path) -> None:
    path = tape(tmp_path / "calls.yaml")
    before = len(server.app.sessions)
    with (
        connect_to_server(server.url, label="t") as host,
        pytest.raises(ConfigError, match=r"'calls\.yaml' needs a mock in the process of the test; .*--aione-mock-url"),
    ):
        host.session(replay=path).open()
    assert len(server.app.sessions) == before


def test_without_pytest_too(tmp_path: Path) -> None:
    with mock_server(replay=tape(tmp_path / "calls.yaml")) as mock:
        asked = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Hello"}]}
        answer = httpx2.post(f"{mock.openai_base_url}/chat/completions", json=asked)
    assert answer.json()["choices"][0]["message"]["content"] == "first"
