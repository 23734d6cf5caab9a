"""Bad input: always the documented error in the right protocol, never a 500, and the server goes on."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from time import process_time
from urllib.parse import quote

import httpx2
import orjson
import pytest

from aione_mock.server.http import Server
from aione_mock.types import Json
from tests.timing import PATIENCE
from tests.wire_reader import receive_bytes

KEY = "sk-nex-demo-every-model"


@dataclass(frozen=True)
class Protocol:
    """Where a protocol is asked, a good request, and where its error envelope has its words."""

    name: str
    path: str
    good: dict[str, Json]
    key: str
    method: str = "POST"

    def envelope(self, answer: Json) -> tuple[str, str]:
        """(kind of the error, message), read the way a client of this protocol reads them."""
        if self.name == "openai":
            error = answer["error"]
            assert set(error) <= {"message", "type", "code", "param"}
            return error["code"], error["message"]
        if self.name == "anthropic":
            assert answer["type"] == "error"
            assert answer["request_id"].startswith("req_")
            return answer["error"]["type"], answer["error"]["message"]
        if self.name == "gemini":
            return answer["error"]["status"], answer["error"]["message"]
        detail = answer["detail"]
        if isinstance(detail, list):
            assert all(set(finding) == {"loc", "msg", "type"} for finding in detail)
            return "validation", detail[0]["msg"]
        return "", detail


MESSAGES = [{"role": "user", "content": "Why do cats purr?"}]
PARTS = [{"role": "user", "parts": [{"text": "Why do cats purr?"}]}]
PROTOCOLS = [
    Protocol("openai", "/v1/chat/completions", {"model": "gpt-5.4", "messages": MESSAGES}, "messages"),
    Protocol(
        "anthropic",
        "/v1/messages",
        {"model": "claude-sonnet-4-6", "max_tokens": 50, "messages": MESSAGES},
        "messages",
    ),
    Protocol("gemini", "/v1beta/models/gemini-2.5-flash:generateContent", {"contents": PARTS}, "contents"),
    Protocol("console", "/api/v1/gateway/keys", {"name": "Hostile"}, "name"),
]
CHAT = PROTOCOLS[:3]
BAD = {"openai": "invalid_request", "anthropic": "invalid_request_error", "gemini": "INVALID_ARGUMENT"}
BAD["console"] = "validation"
everywhere = pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda p: p.name)
models_only = pytest.mark.parametrize("protocol", CHAT, ids=lambda p: p.name)


class Client:
    """Sends bytes as they are and checks that what comes back is an answer of the protocol."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx2.Client(trust_env=False, timeout=300)

    def send(self, protocol: Protocol, body: bytes, **headers: str) -> httpx2.Response:
        sent = {"authorization": f"Bearer {KEY}", "content-type": "application/json", **headers}
        return self._http.request(protocol.method, self.url + protocol.path, content=body, headers=sent)

    def refused(self, protocol: Protocol, body: bytes, **headers: str) -> str:
        """Return the message of the refusal that a bad request gets."""
        answer = self.send(protocol, body, **headers)
        assert answer.status_code == (422 if protocol.name == "console" else 400), answer.text[:500]
        kind, message = protocol.envelope(answer.json())
        assert kind == BAD[protocol.name]
        assert "Traceback" not in answer.text
        assert len(answer.content) < 100_000
        return message

    def alive(self, protocol: Protocol) -> None:
        """The server still answers."""
        answer = self.send(protocol, orjson.dumps(protocol.good))
        assert answer.status_code in (200, 201), answer.text


@pytest.fixture
def client(session_url: str) -> Iterator[Client]:
    made = Client(session_url)
    yield made
    for protocol in PROTOCOLS:
        made.alive(protocol)
    made._http.close()


MALFORMED = {
    "cut short": b'{"model": "gpt-5.4", "messages": [',
    "no json": b"model=gpt-5.4&messages=hello",
    "trailing comma": b'{"model": "gpt-5.4",}',
    "two values": b"{}{}",
    "invalid UTF-8": b'{"model": "gpt-5.4", "name": "\xff\xfe", "messages": [{"role": "user", "content": "\xc3\x28"}]}',
    "UTF-16": '{"model": "gpt-5.4"}'.encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + b'{"model": "gpt-5.4"}',
    "NaN": b'{"temperature": NaN, "name": NaN}',
    "Infinity": b'{"temperature": -Infinity, "name": -Infinity}',
    "lone surrogate": rb'{"name": "\ud800", "messages": [{"role": "user", "content": "\ud83d"}]}',
    "raw null byte": b'{"name": "a\x00b"}',
    "unknown escape": rb'{"name": "\x41"}',
    "single quotes": b"{'model': 'gpt-5.4'}",
    "comments": b'{"model": "gpt-5.4" /* mine */}',
    "10 MB of lists": b"[" * (10 << 20),
    "10 MB of objects": b'{"a":' * (2 << 20),
    "10 MB of closed lists": b"[" * (5 << 20) + b"]" * (5 << 20),
    "digits": b"1" * 100_000 + b"e" + b"9" * 100_000,
}


@everywhere
@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_what_is_not_json(client: Client, protocol: Protocol, body: bytes) -> None:
    refusal = client.refused(protocol, body)
    assert "JSON" in refusal or "lists and objects" in refusal or body.startswith(b"1")


@everywhere
def test_nesting_within_a_good_request(client: Client, protocol: Protocol) -> None:
    deep = b"[" * (5 << 20) + b"]" * (5 << 20)
    body = orjson.dumps(protocol.good)[:-1] + b',"metadata":' + deep + b"}"
    client.refused(protocol, body)
    # deep, but not too deep to read: what the gateway does not know it passes on
    shallow = orjson.dumps(protocol.good)[:-1] + b',"extra":' + b"[" * 500 + b"]" * 500 + b"}"
    assert client.send(protocol, shallow).status_code in (200, 201, 400, 422)


@everywhere
@pytest.mark.parametrize("body", [b"null", b"[]", b'"text"', b"7", b"true", b"[[]]", b"-0.0"])
def test_json_of_another_type(client: Client, protocol: Protocol, body: bytes) -> None:
    client.refused(protocol, body)


@everywhere
def test_an_empty_body_and_an_empty_object(client: Client, protocol: Protocol) -> None:
    client.refused(protocol, b"")
    client.refused(protocol, b"{}")


@everywhere
@pytest.mark.parametrize("value", [None, 1, 1.5, True, {}, [], [None], [[]], [{}], {"a": []}, 10**30, "x" * 200_000])
def test_wrong_types(client: Client, protocol: Protocol, value: Json) -> None:
    body = {**protocol.good, protocol.key: value}
    if isinstance(value, int) and value > 1 << 63:
        raw = orjson.dumps({**protocol.good, protocol.key: "HERE"}).replace(b'"HERE"', str(value).encode())
    else:
        raw = orjson.dumps(body)
    message = client.refused(protocol, raw)
    assert len(message) < 5000


def _list_paths(value: Json, path: tuple[Json, ...] = ()) -> Iterator[tuple[Json, ...]]:
    """Return the way to every member of a request."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _list_paths(inner, (*path, key))


def _replace_member(value: Json, path: tuple[Json, ...], new: Json) -> Json:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _replace_member(value[path[0]], path[1:], new)
    return copy


TOOL = {"type": "object", "properties": {"city": {"type": "string"}}}
RICH: dict[str, dict[str, Json]] = {
    "openai": {
        "model": "gpt-5.4",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Weather in Rome?"}]},
            {
                "role": "assistant",
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
        ],
        "tools": [{"type": "function", "function": {"name": "weather", "parameters": TOOL}}],
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
        "stop": ["END"],
        "max_tokens": 50,
        "n": 1,
        "logprobs": True,
        "top_logprobs": 2,
        "stream_options": {"include_usage": True},
        "stream": True,
        "response_format": {"type": "json_schema", "json_schema": {"name": "city", "schema": TOOL}},
        "reasoning_effort": "low",
        "seed": 3,
    },
    "anthropic": {
        "model": "claude-sonnet-4-6",
        "max_tokens": 2000,
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Weather in Rome?"}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "weather", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "sunny"}]},
        ],
        "tools": [{"name": "weather", "input_schema": TOOL}],
        "tool_choice": {"type": "tool", "name": "weather"},
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "stop_sequences": ["END"],
        "stream": True,
    },
    "gemini": {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Weather in Rome?"}]},
            {"role": "model", "parts": [{"functionCall": {"name": "weather", "args": {"city": "Rome"}}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "weather", "response": {"result": "sunny"}}}]},
        ],
        "tools": [{"functionDeclarations": [{"name": "weather", "parameters": TOOL}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["weather"]}},
        "generationConfig": {
            "stopSequences": ["END"],
            "candidateCount": 1,
            "responseMimeType": "application/json",
            "responseSchema": TOOL,
            "thinkingConfig": {"thinkingBudget": 100},
        },
    },
    "console": {"name": "N", "models_allowed": ["gpt-5.4"], "allowed_ips": ["10.0.0.0/8"], "rpm_limit": 5},
}
STRANGE: list[Json] = [None, -1, 0, 1.5, 1 << 62, True, "", "x", "\x00", "é\U0001f600" * 50, [], {}, [{}], {"": None}]


@everywhere
def test_every_member_with_every_strange_value(client: Client, protocol: Protocol) -> None:
    """Whatever one member holds, the answer is one of the contract, and never a 500."""
    rich = RICH[protocol.name]
    assert client.send(protocol, orjson.dumps(rich)).status_code in (200, 201)
    for path in _list_paths(rich):
        for value in STRANGE:
            answer = client.send(protocol, orjson.dumps(_replace_member(rich, path, value)))
            assert answer.status_code in (200, 201, 400, 404, 422), (path, value, answer.text[:500])


@everywhere
def test_duplicate_keys(client: Client, protocol: Protocol) -> None:
    # the last one counts, as in most readers of JSON
    bad = orjson.dumps({protocol.key: 7})[1:-1]
    good = orjson.dumps(protocol.good)
    client.refused(protocol, good[:-1] + b"," + bad + b"}")
    assert client.send(protocol, b"{" + bad + b"," + good[1:]).status_code in (200, 201)


@everywhere
@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "?"])
def test_wrong_media_type(client: Client, protocol: Protocol, media_type: str) -> None:
    answer = client.send(protocol, orjson.dumps(protocol.good), **{"content-type": media_type})
    assert answer.status_code == (422 if protocol.name == "console" else 400)
    assert "content-type" in protocol.envelope(answer.json())[1]


@models_only
def test_unknown_models(client: Client, protocol: Protocol) -> None:
    for name in ("gpt-9", "GPT-5.4", " gpt-5.4", "../gpt-5.4", "gpt-5.4\x00", "é", "x" * 10_000):
        if protocol.name == "gemini":
            quoted = f"/v1beta/models/{quote(name, safe='')}:generateContent"
            asked, body = Protocol("gemini", quoted, protocol.good, protocol.key), protocol.good
        else:
            asked, body = protocol, {**protocol.good, "model": name}
        answer = client.send(asked, orjson.dumps(body))
        assert answer.status_code in (400, 404), (name, answer.text)
        assert protocol.envelope(answer.json())[1]


@models_only
def test_a_hundred_thousand_messages(client: Client, protocol: Protocol) -> None:
    """Twenty times as many as 5,000 take twenty times as long or so; a look at all for each would take 400 times."""

    def seconds(count: int) -> float:
        body, used = orjson.dumps({**protocol.good, protocol.key: protocol.good[protocol.key] * count}), process_time()
        answer = client.send(protocol, body)
        assert answer.status_code in (200, 400)
        if answer.status_code == 400:
            assert "context length" in protocol.envelope(answer.json())[1]
        return process_time() - used

    few = min(seconds(5_000) for _ in range(2))
    assert seconds(100_000) < 80 * few


@everywhere
def test_wrong_methods(client: Client, protocol: Protocol) -> None:
    for method in ("DELETE", "PATCH", "PUT", "HEAD", "OPTIONS", "TRACE"):
        answer = client._http.request(method, client.url + protocol.path, headers={"authorization": f"Bearer {KEY}"})
        assert answer.status_code == 405
        allowed = answer.headers["allow"].split(", ")
        assert allowed == sorted(allowed)
        assert protocol.method in allowed
        if method != "HEAD":
            assert method in protocol.envelope(answer.json())[1]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/chat/completions%00", "openai"),
        ("/v1/models/%00", "openai"),
        ("/v1/models/..%2f..%2fetc%2fpasswd", "openai"),
        ("/v1/models/%ff%fe", "openai"),
        ("/v1/models/" + "a" * 20_000, "openai"),
        ("/v1beta/models/%00", "gemini"),
        ("/v1beta/models/a%00b", "gemini"),
        ("/api/v1/gateway/keys/%00", "console"),
        ("/api/v1/gateway/keys/not-a-uuid", "console"),
        ("//v1/models", "openai"),
        ("/v1/../v1/nothing", "openai"),
        ("/%", "openai"),
        ("/v1/models/%zz", "openai"),
    ],
)
def test_strange_paths(client: Client, server: Server, path: str, name: str) -> None:
    status, body = _raw(server, f"GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n\r\n".encode())
    assert status in (400, 404, 422), body[:300]
    protocol = next(p for p in PROTOCOLS if p.name == name)
    assert protocol.envelope(orjson.loads(body))[1]


@pytest.mark.parametrize(
    "name", ["%00", "..", "a" * 65, "a%20b", "%2e%2e"], ids=["null", "dots", "long", "blank", "quoted"]
)
def test_strange_sessions(server: Server, name: str) -> None:
    path = f"/_session/{name}/v1/models"
    status, body = _raw(server, f"GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n\r\n".encode())
    assert status == 400, body
    assert orjson.loads(body)["error"]["code"] == "invalid_request"


def _raw(server: Server, request: bytes) -> tuple[int, bytes]:
    """Status and body of an answer to bytes sent as they are, read until they are whole."""
    with socket.create_connection((server.host, server.port), timeout=PATIENCE) as connection:
        connection.sendall(request)
        return _answer(connection)


def _answer(connection: socket.socket) -> tuple[int, bytes]:
    read = b""
    while b"\r\n\r\n" not in read:
        read += receive_bytes(connection)
    head, _, body = read.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").lower().split("\r\n")
    size = int(next(line.partition(":")[2] for line in lines if line.startswith("content-length:")))
    while len(body) < size:
        body += receive_bytes(connection)
    return int(lines[0].split()[1]), body


def _head(protocol: Protocol, *more: str) -> bytes:
    lines = [
        f"POST {protocol.path} HTTP/1.1",
        "host: x",
        f"authorization: Bearer {KEY}",
        "content-type: application/json",
    ]
    return "\r\n".join([*lines, *more, "", ""]).encode()


@everywhere
def test_an_overlong_body_is_refused_unread(client: Client, server: Server, protocol: Protocol) -> None:
    # not a byte of the body is sent, and still the answer comes
    status, body = _raw(server, _head(protocol, f"content-length: {(32 << 20) + 1}"))
    assert status == 413
    assert "33554432" in protocol.envelope(orjson.loads(body))[1]


@everywhere
def test_an_overlong_chunked_body_is_refused_half_read(client: Client, server: Server, protocol: Protocol) -> None:
    chunk = b"100000\r\n" + b" " * (1 << 20) + b"\r\n"
    with socket.create_connection((server.host, server.port), timeout=PATIENCE) as connection:
        connection.sendall(_head(protocol, "transfer-encoding: chunked"))
        for _ in range(33):
            connection.sendall(chunk)
        status, body = _answer(connection)  # the last chunk never comes
    assert status == 413
    assert protocol.envelope(orjson.loads(body))[1]


def test_broken_http_ends_the_connection_alone(client: Client, server: Server) -> None:
    for junk in (b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"POST / HTTP/9.9\r\n\r\n", b"\x00" * 100):
        with socket.create_connection((server.host, server.port), timeout=PATIENCE) as connection:
            connection.sendall(junk)
            connection.shutdown(socket.SHUT_WR)
            read = connection.recv(65536)
            assert not read or read.startswith(b"HTTP/1.1 4"), read


def test_a_request_that_never_ends_blocks_nobody(client: Client, server: Server) -> None:
    waiting = [socket.create_connection((server.host, server.port)) for _ in range(50)]
    for connection in waiting:
        connection.sendall(_head(PROTOCOLS[0], "content-length: 100") + b'{"model":')
    client.alive(PROTOCOLS[0])
    for connection in waiting:
        connection.close()


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer " + "x" * 60_000},
        {"authorization": "Bearer \xff\xfe"},
        {"authorization": "Basic dTpw"},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer sk-nex-demo-every-model, Bearer x"},
        {"x-mock-session": "../other"},
        {"x-mock-scenario": "no such thing"},
        {"x-mock-scenario": '"'},
    ],
    ids=str,
)
def test_strange_headers(client: Client, headers: dict[str, str]) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    if "authorization" not in headers:
        raw.append((b"authorization", f"Bearer {KEY}".encode()))
    answer = client._http.post(client.url + PROTOCOLS[0].path, json=PROTOCOLS[0].good, headers=raw)
    assert answer.status_code in (400, 401)
    assert PROTOCOLS[0].envelope(answer.json())[1]
