"""Gateways that send what HTTP hardly allows, disks that fill, recorders that are killed: nothing recorded is lost."""

from __future__ import annotations

import gzip
import json
import resource
import signal
import socket
import unicodedata
import zlib
from pathlib import Path
from typing import Any

import httpx2
import pytest

from aione_mock.cli import main
from aione_mock.recorder.cassette import CassetteWriter, load_cassette
from aione_mock.recorder.upstream import has_dot_segments
from tests.recorder.conftest import (
    CHAT,
    STREAM_HEAD,
    Gateway,
    StartRecorder,
    build_response,
    encode_chunk,
    replay_server,
    run_recorder,
    send_parts,
)
from tests.timing import PATIENCE
from tests.wire_reader import receive_bytes

EVIL = "e\x1b]0;PWNED\x07\x1b[2J\n::set-output name=a::b\x9b\u202e"


def send_raw(url: str, method: str = "GET", path: str = "/v1/models", headers: str = "") -> bytes:
    """Return all bytes of an answer."""
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        connection.sendall(f"{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n".encode())
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize("status", [600, 700, 999])
def test_a_status_that_http_does_not_know_is_passed_on_and_replayed(start_recorder: StartRecorder, status: int) -> None:
    sent = build_response(b'{"a":1}', status=b"%d Odd" % status)
    with Gateway(send_parts(sent)) as gateway, start_recorder(gateway.url) as tape:
        answer = httpx2.get(f"{tape.url}/v1/models")
        assert (answer.status_code, answer.content) == (status, b'{"a":1}')
    (item,) = tape.cassette.interactions
    assert f"answer: status {status}, which listModels does not declare" in item.findings
    with replay_server(tape.path, replay_only=True) as url:
        assert httpx2.get(f"{url}/v1/models").status_code == status


@pytest.mark.parametrize("status", [b"304 Not Modified", b"204 No Content"])
def test_an_answer_without_a_body_but_with_its_length_is_passed_on(
    start_recorder: StartRecorder, status: bytes
) -> None:
    head = b"HTTP/1.1 %b\r\ncontent-length: 5\r\netag: x\r\n\r\n" % status
    with Gateway(send_parts(head)) as gateway, start_recorder(gateway.url) as tape:
        got = send_raw(tape.url).lower()
        assert got.startswith(b"http/1.1 " + status[:3])
        assert got.endswith(b"\r\n\r\n")
        assert b"etag: x" in got
        assert b"content-length: 5" not in got
    (item,) = tape.cassette.interactions
    assert any(f"content-length, but a {status[:3].decode()} has no body" in finding for finding in item.findings)
    assert item.response.end == "finish"


@pytest.mark.parametrize("encoding", [b"gzip", b"gzip, gzip", b"deflate, gzip"])
def test_a_compressed_answer_is_passed_on_as_it_is(start_recorder: StartRecorder, encoding: bytes) -> None:
    body = b'{"object":"list","note":"sk-nex-demo-every-model"}'
    packed = gzip.compress(zlib.compress(body) if b"deflate" in encoding else body)
    packed = gzip.compress(packed) if encoding == b"gzip, gzip" else packed
    sent = build_response(packed, more=b"content-encoding: %b\r\n" % encoding)
    with Gateway(send_parts(sent)) as gateway, start_recorder(gateway.url) as tape:
        got = send_raw(tape.url)
        assert got.partition(b"\r\n\r\n")[2] == packed
        assert b"content-encoding: " + encoding in got
        assert httpx2.get(f"{tape.url}/v1/models").content == body
    assert [item.response.content for item in tape.cassette.interactions] == [
        body.replace(b"demo-every-model", b"x" * 16)
    ] * 2


def test_a_body_that_expands_without_end_is_not_stored(start_recorder: StartRecorder) -> None:
    packed = gzip.compress(gzip.compress(b"\0" * (200 << 20), 6), 6)
    sent = build_response(packed, more=b"content-encoding: gzip, gzip\r\n")
    with Gateway(send_parts(sent)) as gateway, start_recorder(gateway.url) as tape:
        assert packed in send_raw(tape.url)
    (item,) = tape.cassette.interactions
    assert item.response.content == b""
    assert any("is not stored" in finding for finding in item.findings)


def test_a_compressed_request_is_forwarded_as_it_is_and_stored_in_clear(start_recorder: StartRecorder) -> None:
    packed = gzip.compress(b'{"model":"sk-nex-demo-every-model"}')
    with Gateway(send_parts(build_response(b"{}"))) as gateway, start_recorder(gateway.url) as tape:
        for encoding in ("gzip", "nosuch"):
            httpx2.post(tape.url + CHAT, content=packed, headers={"content-encoding": encoding})
    first, second = tape.cassette.interactions
    assert first.request.body == b'{"model":"sk-nex-xxxxxxxxxxxxxxxx"}'
    assert second.request.body == b""
    assert any("request: the body has the encoding 'nosuch'" in finding for finding in second.findings)


def test_a_megabyte_of_empty_lines_is_one_event(start_recorder: StartRecorder) -> None:
    body = b"\n" * 1_000_000
    with (
        Gateway(send_parts(STREAM_HEAD + encode_chunk(body) + encode_chunk(b""))) as gateway,
        start_recorder(gateway.url) as tape,
    ):
        assert httpx2.get(f"{tape.url}/v1/models", timeout=PATIENCE).content == body
    (item,) = tape.cassette.interactions
    assert [event.raw for event in item.response.events or ()] == [body]


def test_many_events_hold_up_no_other_request(start_recorder: StartRecorder) -> None:
    events = [b'data: {"a":1}\n\n' * 10_000]
    many = b"".join([b"h%d: 1\r\n" % number for number in range(2_000)])

    def respond(connection: socket.socket) -> None:
        stream = STREAM_HEAD + b"".join(map(encode_chunk, events)) + encode_chunk(b"")
        connection.sendall(stream if events else build_response(b"{}", more=many))
        events.clear()

    with (
        Gateway(respond) as gateway,
        start_recorder(gateway.url) as tape,
        httpx2.stream("GET", f"{tape.url}/v1/models", timeout=PATIENCE) as answer,
    ):
        chunks = answer.iter_raw()
        assert next(chunks)
        assert len(httpx2.get(f"{tape.url}/v1/models", timeout=PATIENCE).headers) > 2_000
        assert b"".join(chunks)
    # the events were still being prepared for the cassette when the other request was answered
    assert [len(item.response.events or ()) for item in tape.cassette.interactions] == [0, 10_000]


@pytest.mark.parametrize(
    "path",
    ["/../../etc", "/v1/../x", "/%2e%2e/x", "/v1/..%2f..%2fx", "/%252e%252e/x", "/..\\x", "/..;a/x", "/v1/.%2E", "/.."],
)
def test_no_path_leaves_the_base_url(start_recorder: StartRecorder, path: str) -> None:
    with Gateway(send_parts(build_response(b"{}"))) as gateway, start_recorder(f"{gateway.url}/base") as tape:
        assert send_raw(tape.url, path=path).startswith(b"HTTP/1.1 404")
    (item,) = tape.cassette.interactions
    assert any("was not forwarded" in finding for finding in item.findings)


@pytest.mark.parametrize("path", ["/v1/models", "/v1/a..b", "/v1/...", "/v1/models/a.b", "/v1/%2e", "/"])
def test_other_paths_are_forwarded(path: str) -> None:
    assert not has_dot_segments(path)


def test_nothing_printed_can_be_obeyed(start_recorder: StartRecorder, capsys: pytest.CaptureFixture[str]) -> None:
    body = json.dumps({EVIL: 1, "object": "list", "data": [{EVIL: 1}]}).encode()
    answers = [build_response(body), build_response(b"{}", "text/\x1b[2Jx\x9b".encode("latin-1"))]
    with Gateway(lambda c: send_parts(answers.pop())(c)) as gateway, start_recorder(gateway.url) as tape:
        httpx2.get(f"{tape.url}/v1/models")
        httpx2.get(f"{tape.url}/v1/models/%1b%5b2J")
    main(["cassette", "show", str(tape.path)])
    main(["cassette", "check", str(tape.path)])
    printed = "\n".join(tape.reported) + capsys.readouterr().out
    assert "answer:" in printed
    assert [char for char in printed if unicodedata.category(char) in ("Cc", "Cf") and char != "\n"] == []
    assert [line for line in printed.splitlines() if line.startswith("::")] == []


def test_a_disk_that_was_full_loses_only_what_came_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "full.yaml"
    pages = iter(range(100))

    def respond(connection: socket.socket) -> None:
        connection.sendall(build_response(json.dumps({"page": next(pages), "text": "x" * 10_000}).encode()))

    with Gateway(respond) as gateway, run_recorder(gateway.url, path) as (process, url):
        assert process.stdout is not None
        for limit in (resource.RLIM_INFINITY, None, resource.RLIM_INFINITY):
            size = path.stat().st_size + 5_000 if limit is None else limit
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
            for _ in range(3):
                # a credential that shows no form, and is in what was written before it was presented
                headers = (
                    {"authorization": "Bearer odd.credential+42"} if limit is None else {"x-note": "odd.credential+42"}
                )
                assert httpx2.get(f"{url}/v1/models", headers=headers).status_code == 200
        process.send_signal(signal.SIGTERM)
        printed = process.stdout.read()
    assert printed.count("NOT RECORDED: cannot write") == 3
    assert printed.splitlines()[-1] == f"6 exchanges in {path}, 6 of them with something wrong; 3 NOT RECORDED"
    cassette = load_cassette(path)
    assert not cassette.torn
    assert [json.loads(item.response.content)["page"] for item in cassette.interactions] == [0, 1, 2, 6, 7, 8]
    assert "odd.credential" not in path.read_text()
    assert list(tmp_path.iterdir()) == [path]


def test_an_output_that_nobody_reads_any_more_holds_up_no_answer(tmp_path: Path) -> None:
    path = tmp_path / "unread.yaml"
    with Gateway(send_parts(build_response(b"{}"))) as gateway, run_recorder(gateway.url, path) as (process, url):
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        for _ in range(3):
            assert httpx2.get(f"{url}/v1/models").status_code == 200
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
    assert len(load_cassette(path).interactions) == 3


def test_a_credential_that_could_not_be_masked_is_masked_later(
    start_recorder: StartRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask, failures = CassetteWriter.mask, [OSError(28, "No space left on device")] * 2

    def fail_twice(writer: CassetteWriter, secrets: Any) -> None:
        if failures:
            raise failures.pop()
        mask(writer, secrets)

    with Gateway(send_parts(build_response(b"{}"))) as gateway, start_recorder(gateway.url) as tape:
        httpx2.get(f"{tape.url}/v1/models", headers={"x-note": "odd.credential+42"})
        monkeypatch.setattr(CassetteWriter, "mask", fail_twice)
        httpx2.get(f"{tape.url}/v1/models", headers={"authorization": "odd.credential+42"})
        assert "odd.credential" in tape.text
        assert len(tape.cassette.interactions) == 1
        httpx2.get(f"{tape.url}/v1/models")
    assert "odd.credential" not in tape.text
    assert len(tape.cassette.interactions) == 2


@pytest.mark.parametrize("kind", ["plain", "stream", "no body"])
def test_a_recorder_that_is_killed_has_kept_every_answer_that_was_received(tmp_path: Path, kind: str) -> None:
    sent = {
        "plain": build_response(b'{"a":1}'),
        "stream": STREAM_HEAD + encode_chunk(b"data: {}\n\ndata: [DONE]\n\n") + encode_chunk(b""),
        "no body": b"HTTP/1.1 204 No Content\r\n\r\n",
    }[kind]
    last = {"plain": b'{"a":1}', "stream": b"\r\n0\r\n\r\n", "no body": b"\r\n\r\n"}[kind]
    path = tmp_path / "killed.yaml"
    with Gateway(send_parts(sent)) as gateway, run_recorder(gateway.url, path) as (process, url):
        host, _, port = url.removeprefix("http://").partition(":")
        for _ in range(5):
            with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
                connection.sendall(b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n")
                got = b""
                while last not in got:
                    got += receive_bytes(connection)
        process.kill()
        process.wait(PATIENCE)
    assert len(load_cassette(path).interactions) == 5
