"""Gateways that are slow, break off, send something else or are down: forwarded, recorded and reported."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx2
import orjson
import pytest

from aione_mock.contract import Contract
from aione_mock.recorder import contract_check
from aione_mock.text.sse import encode
from tests.recorder.conftest import (
    CHAT,
    KEY,
    STREAM_HEAD,
    Gateway,
    StartRecorder,
    build_response,
    encode_chunk,
    replay_server,
    send_parts,
)
from tests.timing import PATIENCE, at_best, wait_until

HEADERS = {"authorization": f"Bearer {KEY}"}
ASKED = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Hello"}]}
STREAMED = {**ASKED, "stream": True}
EVENT = encode(b'{"id":"c","object":"chat.completion.chunk"}')


def post(url: str, body: Any = ASKED) -> httpx2.Response:
    return httpx2.post(url + CHAT, headers=HEADERS, json=body, timeout=PATIENCE)


def read_until_broken(url: str, body: Any = ASKED) -> bytes:
    """Return what arrives before the connection breaks."""
    got = b""
    with httpx2.stream("POST", url + CHAT, headers=HEADERS, json=body) as answer:
        try:
            for data in answer.iter_raw():
                got += data
        except httpx2.RemoteProtocolError:
            return got
    raise AssertionError("the answer became whole")


def test_a_stream_is_passed_on_event_by_event(start_recorder: StartRecorder) -> None:
    arrived = threading.Event()

    def respond(connection: socket.socket) -> None:
        connection.sendall(STREAM_HEAD + encode_chunk(EVENT))
        assert arrived.wait(PATIENCE), "the second event comes only after the first was seen"
        connection.sendall(encode_chunk(EVENT) + encode_chunk(b""))

    with (
        Gateway(respond) as gateway,
        start_recorder(gateway.url) as tape,
        httpx2.stream("POST", tape.url + CHAT, headers=HEADERS, json=STREAMED) as answer,
    ):
        chunks = answer.iter_raw()
        assert next(chunks) == EVENT
        arrived.set()
        assert b"".join(chunks) == EVENT
    (item,) = tape.cassette.interactions
    assert item.response.events is not None
    assert [event.raw for event in item.response.events] == [EVENT, EVENT]


@at_best
def test_a_slow_gateway_is_waited_for_and_told(start_recorder: StartRecorder) -> None:
    def respond(connection: socket.socket) -> None:
        time.sleep(0.3)
        connection.sendall(STREAM_HEAD + encode_chunk(EVENT))
        time.sleep(0.3)
        connection.sendall(encode_chunk(EVENT) + encode_chunk(b""))

    with Gateway(respond) as gateway, start_recorder(gateway.url, slow=0.2) as tape:
        assert post(tape.url, STREAMED).content == EVENT + EVENT
    (item,) = tape.cassette.interactions
    assert [finding.rpartition(" s ")[2] for finding in item.findings if "no data" in finding] == [
        "before its start",
        "after its start",
    ]
    assert item.timing.first >= 0.3
    assert item.timing.total >= 0.6


@at_best
def test_a_gateway_that_says_nothing_is_a_504(start_recorder: StartRecorder) -> None:
    with Gateway(lambda connection: time.sleep(5)) as gateway, start_recorder(gateway.url, timeout=0.2) as tape:
        answer = post(tape.url)
        assert (answer.status_code, answer.json()["error"]["code"]) == (504, "upstream_timeout")
    assert "did not answer for 0.2 s" in tape.cassette.interactions[0].findings[0]


def test_a_plain_answer_cut_in_the_middle_is_cut_here_too(start_recorder: StartRecorder) -> None:
    with (
        Gateway(send_parts(build_response(b'{"id": "chatcmpl-1", "object": "chat')[:-5])) as gateway,
        start_recorder(gateway.url) as tape,
    ):
        got = read_until_broken(tape.url)
    (item,) = tape.cassette.interactions
    assert item.response.content == got == b'{"id": "chatcmpl-1", "object": '
    assert item.response.end == "cut"
    assert any("cut off after 31 bytes" in finding for finding in item.findings)
    with replay_server(tape.path) as url:
        assert read_until_broken(url) == got


def test_a_stream_cut_within_an_event_is_cut_here_too(contract: Contract, start_recorder: StartRecorder) -> None:
    part = b'data: {"id":"c","choices":[{"delta":{"content":"\xe4\xb8'
    with (
        Gateway(send_parts(STREAM_HEAD + encode_chunk(EVENT), encode_chunk(part))) as gateway,
        start_recorder(gateway.url) as tape,
    ):
        assert read_until_broken(tape.url, STREAMED) == EVENT + part
    (item,) = tape.cassette.interactions
    assert item.response.end == "cut"
    assert "answer: the stream ends within an event" in item.findings
    assert [f for f in contract_check.check_interaction(contract, item) if "cut off" in f]
    with replay_server(tape.path) as url:
        assert read_until_broken(url, STREAMED) == EVENT + part


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (build_response(b"<h1>Bad gateway</h1>", b"text/html"), "content type text/html, not application/json"),
        (build_response(b"<h1>Bad gateway</h1>"), "the body is not JSON"),
        (build_response(b'{"id": 7}'), "Missing required parameter"),
        (build_response(b"\xff\xfe\x00", b"application/octet-stream"), "content type application/octet-stream"),
        (build_response(b"{}", status=b"418 Teapot"), "status 418, which createChatCompletion does not declare"),
        (build_response(b'{"id": 1, "id": 2}'), "Missing required parameter"),
    ],
)
def test_what_is_no_answer_is_passed_on_and_told(start_recorder: StartRecorder, sent: bytes, expected: str) -> None:
    with Gateway(send_parts(sent)) as gateway, start_recorder(gateway.url) as tape:
        answer = post(tape.url)
    assert answer.content == sent.partition(b"\r\n\r\n")[2]
    (item,) = tape.cassette.interactions
    assert (item.response.status, item.response.content) == (answer.status_code, answer.content)
    assert any(expected in finding for finding in item.findings), item.findings
    assert any(expected in line for line in tape.reported)
    with replay_server(tape.path) as url:
        again = post(url)
        assert (again.status_code, again.content) == (answer.status_code, answer.content)
        assert again.headers == answer.headers


def test_json_nested_too_deeply_is_passed_on_kept_and_replayed(start_recorder: StartRecorder) -> None:
    body = b'{"a":' * 1000 + b'"sk-nex-demo-every-model"' + b"}" * 1000
    with Gateway(send_parts(build_response(body))) as gateway, start_recorder(gateway.url) as tape:
        assert httpx2.post(tape.url + CHAT, headers=HEADERS, content=body).content == body
    assert "demo-every" not in tape.text
    (item,) = tape.cassette.interactions
    assert {f.partition(":")[0] for f in item.findings if "nested too deeply" in f} == {"request", "answer"}
    with replay_server(tape.path, replay_only=True) as url:
        assert httpx2.post(url + CHAT, content=body).content == item.response.content
        assert httpx2.post(url + CHAT, content=body.replace(b'"a"', b'"b"', 1)).status_code == 404


def test_what_answers_no_http_is_a_502(start_recorder: StartRecorder) -> None:
    with Gateway(send_parts(b"220 mail.example ESMTP\r\n")) as gateway, start_recorder(gateway.url) as tape:
        answer = post(tape.url)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_unavailable")
    assert "gave no answer" in tape.cassette.interactions[0].findings[0]


@pytest.mark.parametrize("kind", [b"application/json", b"text/plain"])
def test_ten_megabytes_come_through(start_recorder: StartRecorder, kind: bytes) -> None:
    body = orjson.dumps({"id": "big", "text": "Ten megabytes; äöü 喜. " * 450_000})
    assert len(body) > 10_000_000
    with Gateway(send_parts(build_response(body, kind))) as gateway, start_recorder(gateway.url) as tape:
        assert post(tape.url).content == body
    (item,) = tape.cassette.interactions
    assert item.response.content == body
    with replay_server(tape.path) as url:
        assert post(url).content == body


def test_what_cannot_be_unpacked_is_not_kept(start_recorder: StartRecorder) -> None:
    sent = build_response(b"\x00who knows\x00", more=b"content-encoding: nosuch\r\n")
    with (
        Gateway(send_parts(sent)) as gateway,
        start_recorder(gateway.url) as tape,
        httpx2.stream("POST", tape.url + CHAT, headers=HEADERS, json=ASKED) as answer,
    ):
        assert b"".join(answer.iter_raw()) == b"\x00who knows\x00"
    assert "who knows" not in tape.text
    assert any("encoding 'nosuch'" in finding for finding in tape.cassette.interactions[0].findings)


DOWN: dict[str, tuple[str, Callable[[Any], Any], Any]] = {
    "openai": (CHAT, lambda body: body["error"]["code"], "upstream_unavailable"),
    "anthropic": ("/v1/messages", lambda body: (body["type"], body["error"]["type"]), ("error", "api_error")),
    "gemini": ("/v1beta/models/m:generateContent", lambda body: body["error"]["code"], 502),
    "console": ("/api/v1/gateway/keys", lambda body: "cannot be reached" in body["detail"], True),
    "modelrouter": (
        "/api/v1/modelRouter/open/observation/charts",
        lambda body: body["success"],
        False,
    ),
}


@pytest.mark.parametrize("protocol", DOWN)
def test_a_gateway_that_is_not_there_is_a_502_of_the_protocol(start_recorder: StartRecorder, protocol: str) -> None:
    path, told, expected = DOWN[protocol]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with start_recorder(f"http://127.0.0.1:{port}") as tape:
        answer = httpx2.post(tape.url + path, headers=HEADERS, json={})
    assert answer.status_code == 502
    assert told(answer.json()) == expected
    (item,) = tape.cassette.interactions
    assert item.response.content == answer.content
    assert any("cannot be reached" in finding for finding in item.findings)
    assert item.response.from_proxy
    assert not any(finding.startswith("answer:") for finding in item.findings)


def test_a_client_that_leaves_is_told_and_what_came_is_kept(start_recorder: StartRecorder) -> None:
    gone = threading.Event()

    def respond(connection: socket.socket) -> None:
        connection.sendall(STREAM_HEAD + encode_chunk(EVENT))
        gone.wait(PATIENCE)

    with Gateway(respond) as gateway, start_recorder(gateway.url) as tape:
        with httpx2.stream("POST", tape.url + CHAT, headers=HEADERS, json=STREAMED) as answer:
            assert next(answer.iter_raw()) == EVENT
        assert wait_until(lambda: tape.reported)
        gone.set()
    (item,) = tape.cassette.interactions
    assert "the client disconnected before the answer was complete" in item.findings
    assert item.response.content == EVENT


def test_stopping_the_recorder_keeps_what_came(start_recorder: StartRecorder) -> None:
    release = threading.Event()

    def respond(connection: socket.socket) -> None:
        connection.sendall(STREAM_HEAD + encode_chunk(EVENT))
        release.wait(PATIENCE)

    with Gateway(respond) as gateway:
        with start_recorder(gateway.url) as tape, httpx2.Client() as client:
            request = client.build_request("POST", tape.url + CHAT, headers=HEADERS, json=STREAMED)
            chunks = client.send(request, stream=True).iter_raw()
            assert next(chunks) == EVENT
        release.set()
    assert [item.response.content for item in tape.cassette.interactions] == [EVENT]


def test_what_concerns_one_connection_is_not_passed_on(start_recorder: StartRecorder) -> None:
    seen: list[bytes] = []

    class Listening(Gateway):
        def _read(self, connection: socket.socket) -> None:
            seen.append(connection.recv(65536))

    more = b"connection: close, x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n"
    with Listening(send_parts(build_response(b"{}", more=more))) as gateway, start_recorder(gateway.url) as tape:
        headers = {"connection": "keep-alive, x-mine", "x-mine": "1", "te": "trailers", "x-kept": "yes"}
        answer = httpx2.get(f"{tape.url}/v1/models?a=%20b", headers=headers)
    sent = seen[0].decode().lower()
    assert sent.startswith("get /v1/models?a=%20b http/1.1\r\n")
    assert f"host: {gateway.url.removeprefix('http://')}\r\n" in sent
    assert "x-kept: yes" in sent
    assert "accept-encoding: identity" in sent
    assert [name for name in ("x-mine", "te:", "keep-alive, x-mine") if name in sent] == []
    assert {"x-hop", "keep-alive"}.isdisjoint(answer.headers)
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert "a=1" not in tape.text
