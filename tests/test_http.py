"""HTTP/1.1 as RFC 9110 and 9112 have it, over raw sockets: heads, upgrades, pipelines, bounds and time-outs."""

from __future__ import annotations

import contextlib
import socket
import time
import zlib
from collections.abc import Iterator
from typing import Any

import httpx2
import orjson
import pytest

from aione_mock.clock import parse_instant
from aione_mock.server.app import Mock, create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings
from tests.conftest import KEY, NOW
from tests.timing import PATIENCE, at_best, wait_until
from tests.wire_reader import receive_bytes

AUTHORIZATION = f"authorization: Bearer {KEY}"
MODEL = f"GET /v1/models/gpt-5.4 HTTP/1.1\r\nhost: localhost\r\n{AUTHORIZATION}".encode()
"""A request without the empty line that ends its head."""
MESSAGES = [{"role": "user", "content": "Why do cats purr?"}]
CHAT = orjson.dumps({"model": "gpt-5.4", "messages": MESSAGES})
STREAM = orjson.dumps({"model": "gpt-5.4", "messages": MESSAGES, "stream": True})
TIMEOUT = 0.6
"""Seconds within which a request to the impatient server has to arrive."""


def post(body: bytes, *headers: str, path: str = "/v1/chat/completions", version: str = "1.1") -> bytes:
    lines = [
        f"POST {path} HTTP/{version}",
        "host: localhost",
        AUTHORIZATION,
        "content-type: application/json",
        *headers,
    ]
    return "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode() + body


class Client:
    """A raw connection that splits what it reads into answers.

    A second connection stays idle: with more than one, answers are written at the end of a turn of the event loop.
    """

    def __init__(self, server: Server) -> None:
        self._idle = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read = b""

    def send(self, *parts: bytes) -> None:
        """Send bytes, each part in a packet of its own."""
        for number, part in enumerate(parts):
            if number:
                time.sleep(0.02)
            self.socket.sendall(part)

    def answer(self) -> tuple[int, bytes]:
        """Return status and body of the next answer, which is no stream."""
        head = self._read_until(b"\r\n\r\n").lower()
        assert b"transfer-encoding" not in head
        lengths = [line.partition(b":")[2] for line in head.split(b"\r\n") if line.startswith(b"content-length:")]
        return int(head.split()[1]), self._take(int(lengths[0]) if lengths else 0)

    def statuses(self, count: int) -> list[int]:
        return [self.answer()[0] for _ in range(count)]

    def nothing(self, seconds: float = 0.2) -> bool:
        """Return whether nothing comes for a while, not even the end."""
        self.socket.settimeout(seconds)
        try:
            self._read += self.socket.recv(1 << 16) or b"END"
        except TimeoutError:
            pass
        finally:
            self.socket.settimeout(PATIENCE)
        return not self._read

    def rest(self) -> bytes:
        """Return everything up to the end of the connection."""
        with contextlib.suppress(ConnectionResetError):
            while data := self.socket.recv(1 << 16):
                self._read += data
        read, self._read = self._read, b""
        return read

    def _read_until(self, end: bytes) -> bytes:
        while end not in self._read:
            data = self.socket.recv(1 << 16)
            assert data, self._read
            self._read += data
        found, _, self._read = self._read.partition(end)
        return found

    def _take(self, size: int) -> bytes:
        while len(self._read) < size:
            self._read += receive_bytes(self.socket)
        taken, self._read = self._read[:size], self._read[size:]
        return taken

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()
        self._idle.close()


@pytest.fixture(scope="module")
def impatient() -> Iterator[Server]:
    """A server that waits for requests for a short time only."""
    app = create_app(Settings(now=parse_instant(NOW), max_body=1 << 20))
    with Server(app, request_timeout=TIMEOUT, timeout_keep_alive=1) as running:
        yield running


# --- heads


@pytest.mark.parametrize(
    ("learn", "packet", "rest", "statuses"),
    [
        (MODEL, MODEL, b"\r\nX-Mock-Scenario: rate_limit_exceeded\r\n\r\n", [429]),
        (MODEL, MODEL, b"-of-somebody-else\r\n\r\n", [401]),
        (MODEL, MODEL, b"\r\nX-Mock-Session: another\r\n\r\n", [200]),
        (MODEL, MODEL, b"\r\nConnection: close\r\n\r\n", [200]),
        (
            b"DELETE /_mock/sessions/victim HTTP/1.1\r\nHost: localhost",
            b"DELETE /_mock/sessions/victim HTTP/1.1\r\nHost: localhost",
            b"\r\nOrigin: http://evil.example\r\n\r\n",
            [403],
        ),
        (
            b"OPTIONS * HTTP/1.1\r\nHost: localhost",
            b"OPTIONS * HTTP/1.1\r\nHost: localhost",
            b"\r\nx-odd: GET /v1/models/gpt-5.4 HTTP/1.1\r\n" + AUTHORIZATION.encode() + b"\r\n\r\n",
            [404],
        ),
    ],
    ids=["scenario", "longer key", "session", "close", "origin", "request in a header"],
)
def test_a_head_that_has_not_ended_is_not_answered(
    server: Server, app: Mock, learn: bytes, packet: bytes, rest: bytes, statuses: list[int]
) -> None:
    app.sessions.get("victim")
    with Client(server) as client:
        client.send(learn + b"\r\n\r\n")
        client.answer()
        app.sessions.get("victim")
        client.send(packet)
        assert client.nothing()
        client.send(rest)
        assert client.statuses(len(statuses)) == statuses
        assert client.nothing() or b"close" in rest
    assert app.sessions.find("victim") or b"victim" not in packet or statuses != [403]


@pytest.mark.parametrize("lines", [b"\r\n", b"\r\n\r\n", b"\n", b"\r\n" * 200])
def test_empty_lines_before_a_request_are_ignored(
    server: Server, capfd: pytest.CaptureFixture[str], lines: bytes
) -> None:
    with Client(server) as client:
        client.send(lines)
        assert client.nothing()
        client.send(lines + MODEL + b"\r\n\r\n", lines, post(CHAT) + lines, MODEL + b"\r\n\r\n")
        assert client.statuses(3) == [200, 200, 200]
        assert client.nothing()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("size", [1000, 40_000], ids=["packets of 1 KB", "packets of 40 KB"])
def test_a_head_has_a_bound(server: Server, size: int) -> None:
    for extra, status in ((60_000, 200), (66_000, 431), (250_000, 431)):
        head = MODEL + b"\r\nx-long: " + b"x" * extra + b"\r\n\r\n"
        with Client(server) as client:
            with contextlib.suppress(OSError):  # a refused client is not listened to for long
                for start in range(0, len(head), size):
                    client.socket.sendall(head[start : start + size])
            assert client.answer()[0] == status
            assert client.nothing() == (status == 200)


def test_many_short_headers_have_the_same_bound(server: Server) -> None:
    with Client(server) as client:
        client.send(MODEL + b"\r\nx-short: 1" * 6000 + b"\r\n\r\n")
        status, body = client.answer()
        assert status == 431
        assert b"65536" in body
        assert client.rest() == b""


def test_a_head_is_measured_alone(server: Server) -> None:
    """Neither the requests before it in a packet nor a body count."""
    long = orjson.dumps({"model": "gpt-5.4", "messages": [{"role": "user", "content": "x" * 200_000}]})
    with Client(server) as client:
        client.send((MODEL + b"\r\n\r\n") * 1000 + MODEL, b"\r\n\r\n" + post(long)[:-1], b"}" + MODEL + b"\r\n\r\n")
        assert client.statuses(1003) == [200] * 1003


def test_trailers_have_a_bound(server: Server) -> None:
    head = post(b"").replace(b"content-length: 0", b"transfer-encoding: chunked")
    with Client(server) as client:
        client.send(head + b"%x\r\n%b\r\n0\r\nx-trailer: 1\r\n\r\n" % (len(CHAT), CHAT))
        assert client.answer()[0] == 200
        client.send(head + b"%x\r\n%b\r\n0\r\nx-trailer: " % (len(CHAT), CHAT))
        with contextlib.suppress(OSError):
            for _ in range(200):
                client.socket.sendall(b"x" * 1000)
                time.sleep(0.001)
        assert client.answer()[0] == 431


# --- refusals below HTTP

WHY = {
    400: "Invalid HTTP request received.",
    408: f"The request did not arrive whole within {TIMEOUT} seconds.",
    431: "The head of the request is longer than 65536 bytes.",
}
ENDS = {400: b"no header\r\n\r\n", 408: b"", 431: b"x: " + b"x" * 66_000 + b"\r\n\r\n"}
OPENAI = b'{"error":{"message":"%s","type":"invalid_request_error","code":"invalid_request"}}'


@pytest.mark.parametrize("status", WHY)
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/models", OPENAI),
        ("/nowhere", OPENAI),
        (
            "/v1/messages?a=1",
            b'{"type":"error","error":{"type":"invalid_request_error","message":"%s"},"request_id":"%s"}',
        ),
        ("/_session/x/v1beta/models/m", b'{"error":{"code":%d,"message":"%s","status":"INVALID_ARGUMENT"}}'),
        ("/api/v1/gateway/keys", b'{"detail":"%s"}'),
        ("/_mock/journal", b'{"error":{"message":"%s","name":"invalid_request"}}'),
    ],
)
def test_a_refusal_comes_in_the_envelope_of_its_path(impatient: Server, path: str, body: bytes, status: int) -> None:
    with Client(impatient) as client:
        client.send(f"GET {path} HTTP/1.1\r\n".encode() + ENDS[status])
        head, _, answer = client.rest().partition(b"\r\n\r\n")
    fields = dict(line.split(b": ") for line in head.lower().split(b"\r\n")[1:])
    known = {b"%d": b"%d" % status, b"%s": WHY[status].encode()}
    for place in known:
        body = body.replace(place, known[place], 1)
    assert answer == body.replace(b"%s", fields[b"x-request-id"])
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert fields[b"content-type"] == b"application/json"
    assert int(fields[b"content-length"]) == len(answer)
    assert fields[b"connection"] == b"close"


def test_a_refusal_of_no_known_path_comes_in_the_default_envelope(impatient: Server) -> None:
    for raw, status in ((b"\x16\x03\x01", 400), (b"GE", 408)):
        with Client(impatient) as client:
            client.send(raw)
            assert client.rest().endswith(b"\r\n\r\n" + OPENAI.replace(b"%s", WHY[status].encode()))


# --- paths


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/v1/models/café", 404, ("error", "code", "model_not_found")),
        ("/v1/models/通义千问", 404, ("error", "code", "model_not_found")),
        ("/v1beta/models/模型", 404, ("error", "status", "NOT_FOUND")),
        ("/api/v1/gateway/ключ", 404, ("detail",)),
        ("/_mock/é", 404, ("error", "name", "not_found")),
    ],
)
def test_a_raw_path_is_answered_in_its_dialect(server: Server, path: str, status: int, words: tuple[str, ...]) -> None:
    raw = f"GET {path} HTTP/1.1\r\nhost: localhost\r\n{AUTHORIZATION}\r\n\r\n".encode()
    cuts = range(1, raw.index(b"\r\n") + 3)
    with Client(server) as client:
        for parts in [(raw,), (raw + raw,), *((raw[:cut], raw[cut:]) for cut in cuts)]:
            client.send(*parts)
            for _ in range(b"".join(parts).count(b"GET")):
                seen, body = client.answer()
                assert seen == status
                value = orjson.loads(body)
                for word in words[:2]:
                    value = value[word]
                assert value == words[2] if words[2:] else isinstance(value, str)


def test_a_raw_query_is_read_as_if_it_was_encoded(server: Server) -> None:
    with Client(server) as client:
        client.send(f"GET /v1/models?name=模型 HTTP/1.1\r\nhost: localhost\r\n{AUTHORIZATION}\r\n\r\n".encode())
        assert client.answer()[0] == 200


@pytest.mark.parametrize("target", [b"/v1/\x01", b"/\x00\xff", b"\xff", b"http://x/\xff", b"/\xff \x80"])
def test_other_paths_are_refused(server: Server, target: bytes) -> None:
    with Client(server) as client:
        client.send(b"GET %b HTTP/1.1\r\nhost: localhost\r\n\r\n" % target)
        assert client.answer()[0] in (400, 401, 404)
    with Client(server) as client:
        client.send(MODEL + b"\r\n\r\n")
        assert client.answer()[0] == 200


# --- upgrades

H2C = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")
"""What Java's HttpClient adds to its first request."""


@pytest.mark.parametrize("cut", [None, -len(CHAT), -1, 40, -len(CHAT) - 2])
def test_a_wish_for_http_2_is_ignored_and_the_body_read(server: Server, cut: int | None) -> None:
    raw = post(CHAT, *H2C)
    with Client(server) as client:
        client.send(*([raw] if cut is None else [raw[:cut], raw[cut:]]))
        status, body = client.answer()
        assert status == 200, body
        assert client.nothing()


def test_the_body_behind_an_upgrade_is_no_request(server: Server) -> None:
    smuggled = MODEL + b"\r\n\r\n"
    with Client(server) as client:
        client.send(post(smuggled, *H2C))
        assert client.answer()[0] == 400, "a body that is no JSON"
        assert client.nothing()


def test_requests_behind_an_upgrade_are_read(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    upgrade = MODEL + "\r\n".join(["", *H2C, "", ""]).encode()
    with Client(server) as client:
        client.send(upgrade + upgrade + post(CHAT, *H2C) + MODEL + b"\r\n\r\n")
        assert client.statuses(4) == [200] * 4
        client.send(MODEL + b"\r\nconnection: upgrade, close\r\nupgrade: websocket\r\n\r\n")
        assert client.answer()[0] == 200
        assert client.rest() == b"", "the other options of the connection count"
    assert capfd.readouterr().err == ""


# --- HTTP/1.0


@pytest.mark.parametrize("scenario", ["", "pace; tps=200; ttft=0.01"], ids=["at once", "paced"])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"model": "gpt-5.4", "stream": True}),
        ("/v1/messages", {"model": "claude-sonnet-4-6", "max_tokens": 40, "stream": True}),
        ("/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse", {}),
    ],
    ids=["openai", "anthropic", "gemini"],
)
def test_a_client_of_http_1_0_gets_no_chunks(server: Server, path: str, body: dict[str, Any], scenario: str) -> None:
    content = {"contents": [{"parts": [{"text": "Hi"}]}]} if "v1beta" in path else {"messages": MESSAGES}
    headers = [f"x-mock-scenario: {scenario}"] if scenario else []
    with Client(server) as client:
        client.send(post(orjson.dumps(body | content), *headers, path=path, version="1.0"))
        head, _, events = client.rest().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"transfer-encoding" not in head.lower()
    assert b"connection: close" in head.lower()
    assert events.startswith((b"data: ", b"event: "))
    assert events.endswith(b"\n\n")
    assert all(not line or line.startswith((b"data: ", b"event: ")) for line in events.split(b"\n"))


# --- pipelines


@pytest.mark.parametrize("around", [False, True], ids=["alone", "within another application"])
def test_a_client_that_does_not_read_cannot_fill_the_memory(app: Mock, around: bool) -> None:
    """It exerts back pressure: what is accepted fits into the buffers of two sockets."""
    block = post(CHAT) * 500

    async def pass_on(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)

    with Server(pass_on if around else app) as running:
        with Client(running) as client:
            client.socket.settimeout(1.0)
            sent = 0
            with contextlib.suppress(TimeoutError):
                while sent < 100 << 20:
                    sent += client.socket.send(block)
            assert sent < 20 << 20, "it read on although nobody took its answers"
        with Client(running) as client:
            client.send(MODEL + b"\r\n\r\n")
            assert client.answer()[0] == 200


def test_nothing_is_read_behind_a_stream_that_others_wait_for(app: Mock) -> None:
    block = (MODEL + b"\r\n\r\n") * 1000
    with Server(app, timeout_keep_alive=1) as running, Client(running) as client:
        client.send(post(STREAM, "x-mock-scenario: stall; after=1; then=hang"))
        assert client.socket.recv(1)
        client.socket.settimeout(1.0)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 100 << 20:
                sent += client.socket.send(block)
        assert sent < 20 << 20
        assert app.pipeline.state.statistics.streams_open == 1
        client.socket.close()
        assert wait_until(lambda: app.pipeline.state.statistics.streams_open == 0), (
            "nobody noticed that the client left"
        )


@pytest.mark.parametrize("junk", [b"\x00\x01junk\r\n\r\n", b"POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n"])
def test_answers_come_before_the_refusal_of_what_follows(server: Server, junk: bytes) -> None:
    paced = "x-mock-scenario: pace; tps=200; ttft=0.01"
    for packets in ([post(CHAT) * 3 + junk], [post(CHAT), post(CHAT) + post(CHAT) + junk], [post(CHAT) * 3, junk]):
        with Client(server) as client:
            client.send(*packets)
            assert client.statuses(4) == [200, 200, 200, 400]
            assert client.rest() == b""
    with Client(server) as client:
        client.send(post(CHAT) + junk)
        assert client.statuses(2) == [200, 400]
    with Client(server) as client:
        client.send(post(STREAM, paced), post(CHAT, paced) + junk)
        stream, whole, rest = client.rest().partition(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    assert stream.startswith(b"HTTP/1.1 200 OK")
    assert whole
    assert rest.startswith(b"HTTP/1.1 200 OK")
    assert rest.count(b"HTTP/1.1 400 Bad Request") == 1


def test_a_body_that_breaks_off_is_refused_once(server: Server) -> None:
    head = post(b"").replace(b"content-length: 0", b"transfer-encoding: chunked")
    for packets in ([head + b"zz\r\n"], [head, b"zz\r\n"], [post(CHAT) + head + b"1\r\n{", b"\r\nzz\r\n"]):
        with Client(server) as client:
            client.send(*packets)
            expected = [200, 400] if CHAT in packets[0] else [400]
            assert client.statuses(len(expected)) == expected
            assert client.rest() == b""


@pytest.mark.parametrize("sent", [post(CHAT), MODEL + b"\r\n\r\n", post(CHAT) + post(CHAT)[:-1]])
def test_a_client_that_has_said_all_is_answered(server: Server, sent: bytes) -> None:
    """Clients such as `nc -N` close their side at once; the end of what they send may be read together with it."""
    ends = []
    for _ in range(20):
        with Client(server) as client:
            client.socket.sendall(sent)
            client.socket.shutdown(socket.SHUT_WR)
            ends.append(client.rest().count(b"HTTP/1.1 200 OK"))
    assert ends == [1] * 20


# --- time


@pytest.mark.parametrize(
    "parts",
    [
        *([MODEL], [post(CHAT)[:-1]], [b"G"], [post(CHAT)[:-5], b"a"]),
        *([MODEL + b"\r\n\r\n" + MODEL], ["GET /é".encode()]),
    ],
    ids=["head", "body", "first byte", "body in parts", "second request", "raw path"],
)
def test_a_request_that_does_not_end_is_ended(impatient: Server, parts: list[bytes]) -> None:
    with Client(impatient) as client:
        begun = time.monotonic()
        client.send(*parts)
        if parts[0].count(b"GET") == 2:
            assert client.answer()[0] == 200
        status, body = client.answer()
        assert status == 408
        assert b"0.6 seconds" in body
        assert time.monotonic() - begun >= TIMEOUT
        assert client.rest() == b""


def test_a_request_that_trickles_is_ended(impatient: Server) -> None:
    with Client(impatient) as client:
        client.send(b"GET /v1/models/")
        assert wait_until(lambda: client.send(b"a") or not client.nothing(0.05))
        assert client.answer()[0] == 408


def test_an_unused_connection_is_closed_without_a_word(impatient: Server) -> None:
    with Client(impatient) as unused, Client(impatient) as used:
        used.send(MODEL + b"\r\n\r\n")
        assert used.answer()[0] == 200
        assert unused.rest() == b""
        assert used.rest() == b""


@at_best
def test_a_connection_that_is_used_stays_open(impatient: Server) -> None:
    with Client(impatient) as client:
        for _ in range(6):
            client.send(MODEL + b"\r\n\r\n")
            assert client.answer()[0] == 200
            time.sleep(0.4)  # of the second that an idle connection has


def test_answers_may_take_longer_than_requests(impatient: Server) -> None:
    """Neither a stream is ended, nor a request that waits behind it, though its body has not been read."""
    slow, second = post(STREAM, "x-mock-scenario: pace; ttft=1.5; tps=1000"), post(CHAT)
    with Client(impatient) as client:
        client.send(slow, second[:-10])
        time.sleep(1.2)
        client.send(second[-10:])
        head = client._read_until(b"\r\n\r\n")
        assert b"chunked" in head
        client._read_until(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        assert client.answer()[0] == 200


def test_a_body_that_nobody_wants_does_not_get_a_second_answer(impatient: Server) -> None:
    with Client(impatient) as client:
        client.send(post(CHAT, path="/nowhere")[:-1])
        assert client.answer()[0] == 404
        assert client.rest() == b""


# --- content encodings


def compress(body: bytes, bits: int) -> bytes:
    made = zlib.compressobj(9, zlib.DEFLATED, bits)
    return made.compress(body) + made.flush()


CLAUDE = orjson.dumps({"model": "claude-sonnet-4-6", "max_tokens": 20, "messages": MESSAGES})
GEMINI = orjson.dumps({"contents": [{"parts": [{"text": "Hi"}]}]})
ENCODED = pytest.mark.parametrize(
    ("path", "body", "bad"),
    [
        ("/v1/chat/completions", CHAT, 400),
        ("/v1/messages", CLAUDE, 400),
        ("/v1beta/models/gemini-2.5-flash:generateContent", GEMINI, 400),
        ("/api/v1/gateway/keys", b'{"name": "Encoded"}', 422),
        ("/_mock/verify", b"{}", 400),
    ],
    ids=["openai", "anthropic", "gemini", "console", "control"],
)


def message(path: str, body: bytes) -> str:
    """Return the message of an error in the dialect of a path."""
    answer = orjson.loads(body)
    if path.startswith("/api"):
        detail = answer["detail"]
        return detail if isinstance(detail, str) else detail[0]["msg"]
    assert set(answer) <= {"error", "type", "request_id"}
    return str(answer["error"]["message"])


@ENCODED
def test_an_encoded_body_is_decoded(server: Server, path: str, body: bytes, bad: int) -> None:
    authorization = AUTHORIZATION if not path.startswith("/api") else "authorization: Bearer nex-console-tech"
    with Client(server) as client:
        for coding, bits in (("gzip", 31), ("x-gzip", 31), ("GZIP", 31), ("deflate", 15), ("identity", 0)):
            sent = compress(body, bits) if bits else body
            raw = post(sent, f"content-encoding: {coding}", path=path).replace(
                AUTHORIZATION.encode(), authorization.encode()
            )
            client.send(raw[:-3], raw[-3:])
            assert client.answer()[0] in (200, 201), coding


@ENCODED
def test_other_encodings_are_refused(server: Server, path: str, body: bytes, bad: int) -> None:
    for coding in ("br", "zstd", "gzip, gzip", "compress", "x" * 1000):
        with Client(server) as client:
            client.send(post(body, f"content-encoding: {coding}", path=path))
            status, answer = client.answer()
            assert status == 415, coding
            assert "gzip" in message(path, answer)


@ENCODED
def test_broken_encodings_are_refused(server: Server, path: str, body: bytes, bad: int) -> None:
    whole = compress(body, 31)
    for sent in (body, whole[:-1], whole + b"x", whole[:-8] + b"12345678", b"\x1f\x8b"):
        with Client(server) as client:
            client.send(post(sent, "content-encoding: gzip", path=path))
            status, answer = client.answer()
            assert status == bad, answer
            assert "gzip" in message(path, answer)


@ENCODED
def test_a_decoded_body_has_the_bound_of_others(impatient: Server, path: str, body: bytes, bad: int) -> None:
    """A few kilobytes that become 64 megabytes are not decoded."""
    bomb = compress(b" " * (64 << 20), 31)
    assert len(bomb) < 1 << 20
    with Client(impatient) as client:
        client.send(post(bomb, "content-encoding: gzip", path=path))
        status, answer = client.answer()
        assert status == 413
        assert "1048576" in message(path, answer)


def test_an_encoded_request_is_the_same_as_a_plain_one(server: Server) -> None:
    plain, encoded = post(CHAT), post(compress(CHAT, 31), "content-encoding: gzip")
    answers = []
    for number, raw in enumerate((plain, encoded)):
        with Client(server) as client:
            client.send(raw.replace(b"host: localhost", b"host: localhost\r\nx-mock-session: same-%d" % number))
            answers.append(client.answer())
    assert answers[0] == answers[1]


@pytest.mark.slow
def test_a_client_may_use_a_connection_again_after_it_was_idle(app: Mock) -> None:
    with Server(app) as running, httpx2.Client(limits=httpx2.Limits(keepalive_expiry=60)) as client:
        ports = set()
        for pause in (0, 6):  # clients of httpx keep a connection for 5 s
            time.sleep(pause)
            answer = client.get(f"{running.url}/_mock/health")
            ports.add(answer.extensions["network_stream"].get_extra_info("client_addr"))
    assert len(ports) == 1
