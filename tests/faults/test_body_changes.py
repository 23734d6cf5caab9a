"""Rules that set and remove members of answers: plain ones and events, in all protocols, and what they leave alone."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aione_mock.cli import main
from aione_mock.scenarios.body_changes import BodyChange
from aione_mock.text import sse
from aione_mock.types import Response
from tests.faults.conftest import PROTOCOLS, SessionClient, build_chat, read_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)
POINTERS = st.lists(st.sampled_from(["a", "b", "0", "1", "*", "~0"]), min_size=1, max_size=3).map(
    lambda steps: "".join(f"/{step}" for step in steps)
)
WORDS = {
    "openai": "/choices/*/message/content",
    "anthropic": "/content/0/text",
    "gemini": "/candidates/0/content/parts",
}


def set_rule(asking: SessionClient, **change: Any) -> None:
    sessions = asking.app.sessions
    sessions.delete("changed")
    rules = asking.app.pipeline.scenarios.compiler.compile([{"then": {"body": change}}])
    sessions.get("changed").rules = rules


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_members_are_set_and_removed(asking: SessionClient, protocol: str) -> None:
    set_rule(asking, set={"/model": "{{model}} (other)", "/new": {"a": [1]}}, remove=[WORDS[protocol], "/none/at/all"])
    wire = asking(build_chat(protocol, stream=False), session="changed")
    body = read_json(wire)
    assert body["model"].endswith(" (other)")
    assert body["new"] == {"a": [1]}
    *path, last = WORDS[protocol].removeprefix("/").split("/")
    place = body
    for step in path:
        place = place[int(step) if step.isdigit() else 0 if step == "*" else step]
    assert last not in place
    assert int(wire.headers["content-length"]) == len(wire.body)


def test_a_null_in_a_stream_stays_null(asking: SessionClient) -> None:
    set_rule(asking, set={"/choices/*/finish_reason": "length"})
    wire = asking(build_chat("openai", "Reply with exactly: one two three"), session="changed")
    chunks = [orjson.loads(event.data) for event in sse.decode([wire.body]) if event.data != "[DONE]"]
    reasons = [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"]]
    assert reasons == [None] * (len(reasons) - 1) + ["length"]


@pytest.mark.parametrize(
    ("then", "expected"),
    [
        ("{set: {model: x}}", 'not a "json-pointer"'),
        ("{sett: {/model: x}}", "did you mean 'set'"),
        ("{set: {/model: '{{modell}}'}}", "did you mean 'model'"),
        ("{}", "rules.yaml:2"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Any, capsys: Any, then: str, expected: str) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(f"rules:\n  - then: {{body: {then}}}\n")
    assert main(["serve", "--port", "0", "--scenarios", str(path)]) == 2
    told = capsys.readouterr().err
    assert "rules.yaml:2" in told
    assert expected in told


def respond(value: Any) -> Response:
    raw = orjson.dumps(value)
    return Response(200, (("content-length", str(len(raw))),), ((0.0, raw),))


@given(JSON, POINTERS, JSON)
def test_what_was_set_is_there_and_what_was_removed_is_not(value: Any, pointer: str, item: Any) -> None:
    before = respond(value)
    once = BodyChange({pointer: item}).change_response(before, stream=False)
    assert BodyChange({pointer: item}).change_response(once, stream=False) == once or "*" in pointer or "0" in pointer
    gone = BodyChange({}, (pointer,)).change_response(before, stream=False)
    if "0" not in pointer and "1" not in pointer and "*" not in pointer:  # other items move up
        assert BodyChange({}, (pointer,)).change_response(gone, stream=False) == gone
    for changed in (once, gone):
        (_, length), (_, raw) = changed.headers[0], changed.sends[0]
        assert int(length) == len(raw)


@given(st.binary(max_size=40), POINTERS)
def test_what_is_no_json_stays_as_it_is(raw: bytes, pointer: str) -> None:
    change = BodyChange({pointer: 1}, (pointer,))
    for stream in (False, True):
        response = Response(200, (), ((0.0, b"x" + raw),))
        assert change.change_response(response, stream=stream) is response
