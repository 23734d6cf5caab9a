"""Cassettes read back byte for byte, even if writing was interrupted; masks keep the length of the text."""

from __future__ import annotations

import signal
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from aione_mock.contract import Contract
from aione_mock.errors import ConfigError
from aione_mock.recorder import cassette
from aione_mock.recorder.cassette import (
    CassetteWriter,
    Interaction,
    RecordedEvent,
    RecordedRequest,
    RecordedResponse,
    RecordedTiming,
)
from aione_mock.recorder.json_style import STYLES, EventSplitter, read_json
from aione_mock.recorder.placeholder import replace_text
from aione_mock.recorder.redaction import Redactor
from aione_mock.server.app import Mock
from aione_mock.text import sse
from tests.recorder.conftest import CHAT, KEY, STREAM_HEAD, Gateway, encode_chunk, run_recorder
from tests.timing import PATIENCE

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(st.text(), VALUES, max_size=4) | st.lists(VALUES, max_size=4)


def is_encodable(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)


BODIES = (
    st.binary(max_size=60)
    | st.text(max_size=60).filter(is_encodable).map(str.encode)
    | st.builds(lambda value, style: STYLES[style](value), DOCUMENTS, st.sampled_from(sorted(STYLES)))
)
EVENTS = st.lists(
    st.tuples(
        st.floats(0, 100).map(lambda at: round(at, 4)),
        BODIES
        | st.builds(
            lambda value, name: sse.encode(orjson.dumps(value), name), DOCUMENTS, st.sampled_from([None, b"ping"])
        ),
    ),
    max_size=4,
)


def make_interaction(body: bytes, events: list[tuple[float, bytes]] | None = None) -> Interaction:
    headers = (("content-type", "x/y"), ("a", "1"), ("a", "2"))
    if events is None:
        response = RecordedResponse(status=200, headers=headers, body=body)
    else:
        recorded = tuple(RecordedEvent(at=at, raw=raw) for at, raw in events)
        response = RecordedResponse(status=200, headers=headers, events=recorded, end="cut")
    return Interaction(
        request=RecordedRequest(
            operation="op", method="POST", path="/p", query="q=1", headers=(("b", "no"),), body=body
        ),
        response=response,
        findings=("wrong: 1",),
        timing=RecordedTiming(first=0.25, total=1.5),
    )


def read_interaction(text: str) -> Interaction:
    return Interaction.model_validate(yaml.load(text, Loader=yaml.CSafeLoader)[0])


@settings(deadline=None, max_examples=100)
@given(BODIES)
def test_bodies_read_back_byte_for_byte(body: bytes) -> None:
    assert read_interaction(cassette.dump_interaction(make_interaction(body))) == make_interaction(body)


@pytest.mark.parametrize("body", [b"a\n\n", b"\n", b"\n\n \n\n", b"...\n", b"---\n- request:\n\n\n"])
def test_text_with_empty_lines_at_its_end_does_not_end_the_cassette(tmp_path: Path, body: bytes) -> None:
    writer = CassetteWriter.create(tmp_path / "lines.yaml", "http://gateway.example")
    for _ in range(3):
        writer.add(make_interaction(body))
    assert cassette.load_cassette(writer.path).interactions == (make_interaction(body),) * 3


@settings(deadline=None, max_examples=100)
@given(EVENTS)
def test_events_read_back_byte_for_byte(events: list[tuple[float, bytes]]) -> None:
    assert read_interaction(cassette.dump_interaction(make_interaction(b"", events))) == make_interaction(b"", events)


@pytest.mark.parametrize(
    ("body", "shape"),
    [
        (b'{"a":[1,2.5,null]}', {"body"}),
        (b'{"a": "\xc3\xa9"}', {"body", "style"}),
        (b'{"a": "\\u00e9"}', {"body", "style"}),
        (b'{\n  "a": 1\n}\n', {"body", "style"}),
        (b'{"a":1,"a":2}', {"text"}),
        (b'{"a" :1}', {"text"}),
        (b'"only text"', {"text"}),
        (b"{}" * 200_000, {"text"}),
        (b"\xff", {"base64"}),
        (b"", set()),
    ],
)
def test_a_body_is_as_readable_as_its_bytes_allow(body: bytes, shape: set[str]) -> None:
    item = yaml.load(cassette.dump_interaction(make_interaction(body)), Loader=yaml.CSafeLoader)[0]
    assert set(item["response"]) - {"status", "headers"} == shape


@pytest.mark.parametrize("deep", [300, 1000])
def test_what_is_nested_too_deeply_is_kept_as_text(deep: int) -> None:
    body = b'{"a":' * deep + b"1" + b"}" * deep
    assert read_interaction(cassette.dump_interaction(make_interaction(body))) == make_interaction(body)


def test_the_format_of_files_stays_byte_for_byte(tmp_path: Path) -> None:
    golden = Path(__file__).parents[1] / "data" / "cassette.yaml"
    recorded = cassette.load_cassette(golden)
    writer = CassetteWriter.create(tmp_path / "again.yaml", recorded.upstream, started=recorded.started)
    for item in recorded.interactions:
        writer.add(item)
    assert writer.path.read_text() == golden.read_text()
    events = recorded.interactions[0].response.events or ()
    assert [event.raw for event in events] == [
        b'data: {"a":1}\n\n',
        b"event: x\ndata: [DONE]\n\n",
        b": hi\n\n",
        b"\xff",
    ]
    assert recorded.interactions[0].request.headers[1:] == (("accept", "b"), ("content-length", "12"))


@settings(deadline=None)
@given(st.lists(st.sampled_from([b"data: a", b"\n", b"\r\n", b"\r", b"\n\n", b": c"]), max_size=12), st.data())
def test_a_stream_is_cut_at_the_same_places_however_it_arrives(parts: list[bytes], data: st.DataObject) -> None:
    raw = b"".join(parts)
    at = data.draw(st.integers(0, len(raw)))
    whole = list(EventSplitter().feed(raw, final=True))
    splitter = EventSplitter()
    pieces = [*splitter.feed(raw[:at]), *splitter.feed(raw[at:], final=True)]
    assert b"".join(whole) == b"".join(pieces) == raw
    assert [list(sse.decode([piece])) for piece in pieces] == [list(sse.decode([piece])) for piece in whole]
    assert all(len(list(sse.decode([piece]))) <= 1 for piece in whole)


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
def test_events_end_at_empty_lines_of_every_kind(ending: bytes) -> None:
    raw = b"".join(b"data: %d" % n + ending * 2 for n in range(3))
    assert len(list(EventSplitter().feed(raw, final=True))) == 3


# --- interrupted


def write_torn_cassette(path: Path) -> Path:
    recording = CassetteWriter.create(path / "torn.yaml", "http://gateway.example")
    recording.add(make_interaction(b'{"a":"\xe5\x96\x9c"}'))
    recording.add(make_interaction(b"", [(0.1, b'data: {"a":1}\n\n'), (0.2, b"data: [DONE]\n\n")]))
    recording.add(make_interaction("several\nlines\n- request: no\n 喜".encode()))
    return recording.path


def test_a_recording_cut_anywhere_keeps_every_whole_interaction(tmp_path: Path) -> None:
    path = write_torn_cassette(tmp_path)
    raw, whole = path.read_bytes(), cassette.load_cassette(path).interactions
    assert len(whole) == 3
    starts = [at for at in range(len(raw)) if raw.startswith(b"\n- request:", at)]
    for size in range(starts[0] + 1, len(raw)):
        path.write_bytes(raw[:size])
        found = cassette.load_cassette(path)
        done = sum(size >= end for end in (*starts[1:], len(raw) - 1))
        assert found.interactions == whole[:done], raw[:size][-80:]
        assert found.torn == (size not in (starts[0] + 1, *[s + 1 for s in starts], *starts[1:], len(raw) - 1))


def test_a_recorder_that_is_killed_leaves_what_it_had(tmp_path: Path) -> None:
    path, release = tmp_path / "killed.yaml", threading.Event()

    def respond(connection: Any) -> None:
        connection.sendall(STREAM_HEAD + encode_chunk(b"data: {}\n\n"))
        if release.is_set():
            threading.Event().wait(PATIENCE)
        release.set()
        connection.sendall(encode_chunk(b""))

    with Gateway(respond) as gateway, run_recorder(gateway.url, path) as (process, url):
        assert process.stdout is not None
        body = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
        headers = {"authorization": f"Bearer {KEY}"}
        assert httpx2.post(url + CHAT, json=body, headers=headers).content == b"data: {}\n\n"
        while "createChatCompletion" not in process.stdout.readline():
            pass
        with httpx2.stream("POST", url + CHAT, json=body, headers=headers) as answer:
            chunks = answer.iter_raw()
            assert next(chunks) == b"data: {}\n\n"
            process.send_signal(signal.SIGKILL)
            process.wait(PATIENCE)
    assert [item.response.content for item in cassette.load_cassette(path).interactions] == [b"data: {}\n\n"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cassette: 2\n", "is no cassette of this version"),
        ("- a\n", "is no cassette of this version"),
        ("cassette: 1\ninteractions: 7\n", "bad.yaml:2: interactions: Input should be a list"),
        ("cassette: 1\ninteractions: [1, {timing: {}}]\n", "bad.yaml:2: interactions[0]: Input should be a mapping"),
        ("cassette: 1\ninteractions: [{timing: {}}]\n", "bad.yaml:2: interactions[0].request: Field required; add it"),
        ("cassette: [\n", "bad.yaml:2: the cassette is not YAML"),
        (
            "cassette: 1\ninteractions:\n- {request: {method: GET, path: /, body: {}, style: odd}, response: {}, "
            "timing: {}}\n",
            "bad.yaml:3: interactions[0].request: unknown style 'odd'; known: compact",
        ),
        *[
            (f"cassette: 1\ninteractions:\n- {{request: {{method: GET, path: /}}, response: {response}}}\n", said)
            for response, said in [
                ("{status: 99}, timing: {}", "response.status: Input should be greater than or equal to 200, not 99"),
                ("{status: 1000}, timing: {}", "response.status: Input should be less than or equal to 999, not 1000"),
                (
                    '{status: 200, headers: {"a\\r\\nb": c}}, timing: {}',
                    "response.headers: 'a\\r\\nb' is no name of a header",
                ),
                (
                    "{status: 200, body: {1: 2}}, timing: {}",
                    "response: the value cannot be written as JSON: Dict key must be",
                ),
                ("{status: 200, base64: '%%%'}, timing: {}", "response: "),
                ("{status: 200}, timing: {total: .nan}", "timing.total: Input should be a finite number, not nan"),
                ("{status: 200}, timing: {first: -1}", "timing.first: Input should be greater than or equal to 0"),
                ("{status: 200, events: [{at: .inf, data: x}]}, timing: {}", "events[0].at: Input should be a finite"),
            ]
        ],
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        cassette.load_cassette(tmp_path / "bad.yaml")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_recording_never_writes_over_another(tmp_path: Path) -> None:
    path = write_torn_cassette(tmp_path)
    with pytest.raises(ConfigError, match="exists already"):
        CassetteWriter.create(path, "http://gateway.example")


# --- masking


@pytest.fixture(scope="module")
def redactor(app: Mock) -> Redactor:
    made = Redactor(app.contract)
    made.learn_credentials((("authorization", "Bearer odd.credential+42"), ("x-acs-date", "2026-01-31T09:00:00Z")), "")
    return made


SECRET = st.sampled_from([KEY, "nex-console-tech", "odd.credential+42", "sk-proj-0123456789abcdefXYZ", "plain words"])


@settings(deadline=None)
@given(st.lists(st.text(max_size=8) | SECRET, max_size=6).map(" ".join))
def test_masks_are_as_long_as_what_they_hide_and_change_no_more(redactor: Redactor, text: str) -> None:
    masked = redactor.mask_text(text)
    assert len(masked) == len(text)
    assert redactor.mask_text(masked) == masked
    assert KEY not in masked
    assert "odd.credential" not in masked


@settings(deadline=None)
@given(st.text(max_size=60).filter(is_encodable))
def test_placeholders_are_as_long_as_what_they_hide_and_change_no_more(text: str) -> None:
    assert len(replace_text(text)) == len(text)
    assert replace_text(replace_text(text)) == replace_text(text)


@settings(deadline=None)
@given(DOCUMENTS)
def test_placeholders_in_json_keep_it_json_with_the_same_members(value: Any) -> None:
    again = orjson.loads(replace_text(orjson.dumps(value).decode()))
    assert describe_shape(again) == describe_shape(value)


def describe_shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: describe_shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [describe_shape(item) for item in value]
    return "figure" if type(value) in (int, float) else type(value).__name__


@settings(deadline=None)
@given(st.lists(st.integers(0, 60), max_size=6).map(sorted), SECRET, st.booleans())
def test_a_secret_in_pieces_is_masked_in_pieces(contract: Contract, cuts: list[int], secret: str, twice: bool) -> None:
    text = f"Here: {secret} and so on" + f", {secret}" * twice
    ends = [0, *[min(cut, len(text)) for cut in cuts], len(text)]
    pieces = [text[a:b] for a, b in pairwise(ends)]
    raws = [
        sse.encode(orjson.dumps({"id": "c", "choices": [{"index": 0, "delta": {"content": piece}}]}))
        for piece in pieces
    ]
    redactor = Redactor(contract)
    redactor.learn_credentials((("x-api-key", "odd.credential+42"),), "")
    kept = redactor._redact_stream(raws, True)
    again = [orjson.loads(event.data)["choices"][0]["delta"]["content"] for event in sse.decode(kept)]
    assert "".join(again) == redactor.mask_text(text)
    assert [len(piece) for piece in again] == [len(piece) for piece in pieces]


@pytest.mark.parametrize(
    "body",
    [
        rb'{"a":"sk\u002dnex-demo-every-model"}',
        b'{"a": 1, "a": 2, "sk-nex-demo-every-model": 3}',
        b'{"a":"sk-nex-demo-every-model","a":"x"}',
        b"not JSON sk-nex-demo-every-model",
        b"\xff sk-nex-demo-every-model \xff",
        b'{"client_secret":"sk-nex-demo-every-model"}',
    ],
)
def test_no_spelling_hides_a_secret(redactor: Redactor, body: bytes) -> None:
    kept = redactor._redact_body(body, True)
    assert b"demo-every" not in kept
    assert "demo-every" not in str(read_json(kept))


def test_members_that_hold_secrets_are_masked_whatever_they_look_like(redactor: Redactor) -> None:
    body = (
        b'{"password":"kiwi","key":"0123456789abcdef","nested":[{"refresh_token":"plum"}],"key_prefix":"sk-nex-4Zp9"}'
    )
    kept = redactor._redact_body(body, True)
    assert kept == body.replace(b"kiwi", b"xxxx").replace(b"0123456789abcdef", b"x" * 16).replace(b"plum", b"xxxx")
