"""Raw conversations over a socket, cut, pipelined and mutated, get the same bytes with and without the cache.

Each conversation ends with requests that close the connection, enough of them to fill any body that was announced, so
that a server answers without waiting for a time-out.
"""

from __future__ import annotations

import contextlib
import random
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise

import orjson
import pytest

from tests.conftest import KEY, NOW
from tests.test_cli import Running, run_server
from tests.timing import PATIENCE

pytestmark = pytest.mark.slow
MAX_BODY = 4000
MESSAGES = [{"role": "user", "content": "Why do cats purr?"}]
TOOL = {"name": "f", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
CHAT = {"model": "gpt-5.4", "messages": MESSAGES, "max_tokens": 20}
CLAUDE = {"model": "claude-sonnet-4-6", "messages": MESSAGES, "max_tokens": 20}
GEMINI = "/v1beta/models/gemini-2.5-flash"
CONTENTS = {"contents": [{"parts": [{"text": "Why do cats purr?"}]}]}


def request(method: str, path: str, body: object = None, *headers: str, key: str = KEY) -> bytes:
    """Return a request in the session `SSSSSS`, which each conversation replaces by one of its own."""
    raw = b"" if body is None else orjson.dumps(body)
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {key}",
        "X-Mock-Session: SSSSSS",
        *headers,
    ]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(raw)}"]
    return "\r\n".join([*lines, "", ""]).encode() + raw


def chunk(raw: bytes) -> bytes:
    """Return a request with its body in chunks of 40 bytes, and a trailer."""
    head, _, body = raw.partition(b"\r\n\r\n")
    head = b"\r\n".join([line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length")])
    pieces = [body[at : at + 40] for at in range(0, len(body), 40)]
    parts = b"".join([b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces])
    return head + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + parts + b"0\r\nX-Trailer: 1\r\n\r\n"


REQUESTS = {
    "model": request("GET", "/v1/models/gpt-5.4"),
    "chat": request("POST", "/v1/chat/completions", CHAT),
    "chat stream": request("POST", "/v1/chat/completions", CHAT | {"stream": True}),
    "chat tool": request("POST", "/v1/chat/completions", CHAT | {"tools": [{"type": "function", "function": TOOL}]}),
    "claude": request("POST", "/v1/messages", CLAUDE, "X-Mock-Explain: 1"),
    "claude stream": request("POST", "/v1/messages", CLAUDE | {"stream": True}),
    "gemini": request("POST", f"{GEMINI}:generateContent", CONTENTS),
    "gemini stream": request("POST", f"{GEMINI}:streamGenerateContent?alt=sse", CONTENTS),
    "chunked": chunk(request("POST", "/v1/chat/completions", CHAT)),
    "upgrade": request("POST", "/v1/chat/completions", CHAT, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"),
    "raw path": request("GET", "/v1/models/模型"),
    "fault": request("POST", "/v1/chat/completions", CHAT, "X-Mock-Scenario: rate_limit_exceeded; times=1"),
    "keys": request("GET", "/api/v1/gateway/keys?page_size=3", key="nex-console-tech"),
    "new key": request("POST", "/api/v1/gateway/keys", {"name": "Raw"}, key="nex-console-tech"),
    "rules": request("PUT", "/_mock/rules", {"rules": [{"then": {"headers": {"set": {"x-rule": "1"}}}}]}),
    "verify": request("POST", "/_mock/verify", {"when": {"model": "gpt-*"}, "exactly": 1}),
    "usage": request("GET", "/api/v1/obs/usage?group_by=model", key="nex-console-tech"),
    "nowhere": request("POST", "/nowhere", CHAT),
    "wrong method": request("DELETE", "/v1/messages"),
    "head": request("HEAD", "/v1/models"),
    "wrong key": request("GET", "/v1/models", key="sk-nex-nobody-knows-this"),
}
LAST = request("GET", "/v1/models/gpt-5.4", None, "Connection: close")
FILLER = LAST * (2 + (MAX_BODY + 1000) // len(LAST))
TOKENS = (
    *(b"\r\n", b"\n", b"\r", b" ", b"\t", b"\x00", b"\xff", b":", b"%", b"\xe6\xa8\xa1", b"\r\n\r\n", b"0\r\n\r\n"),
    *(b"HTTP/1.0", b"HTTP/1.1", b"GET ", b"/_session/other", b"\r\nContent-Length: 5", b"\r\nContent-Length: 0"),
    *(b"\r\nTransfer-Encoding: chunked", b"\r\nConnection: close", b"\r\nConnection: upgrade\r\nUpgrade: websocket"),
    *(b"\r\nExpect: 100-continue", b"\r\nX-Mock-Scenario: cut; after=1", b"\r\nOrigin: http://evil.example"),
    *(b"\r\nX-Mock-Session: odd", b"\r\n folded: yes", b"\r\nContent-Encoding: gzip"),
)


def mutate(rng: random.Random, raw: bytes) -> bytes:
    """Change a few bytes, parts or lines."""
    for _ in range(rng.randint(1, 3)):
        at, size = rng.randrange(len(raw)), rng.randint(1, 20)
        raw = rng.choice(
            [
                raw[:at] + rng.choice(TOKENS) + raw[at:],
                raw[:at] + rng.choice(TOKENS) + raw[at + 1 :],
                raw[:at] + bytes([rng.randrange(256)]) + raw[at + 1 :],
                raw[:at] + raw[at + size :] or b"\n",
                raw[: at + size] + raw[at:],
                raw[:at] + raw[at:].swapcase()[:size] + raw[at + size :],
                b"\r\n".join(rng.sample(lines := raw.split(b"\r\n"), len(lines))),
            ]
        )
    return raw


class Pair:
    """A server with the cache and one without, which hear the same.

    The first also has an idle connection: with more than one, answers are written at the end of a turn of the event
    loop, with a single one at once.
    """

    def __init__(self, servers: Sequence[Running]) -> None:
        self._addresses = [("127.0.0.1", int(server.url.rpartition(":")[2])) for server in servers]
        self.conversations = 0

    def converse(self, raw: bytes, cuts: Sequence[int] = ()) -> bytes:
        """Hold a conversation in packets that are cut at these places; return what both answered."""
        self.conversations += 1
        raw = raw.replace(b"SSSSSS", b"s%05d" % self.conversations)
        idle = socket.create_connection(self._addresses[0], timeout=PATIENCE)
        connections = [socket.create_connection(address, timeout=PATIENCE) for address in self._addresses]
        for connection in connections:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start, end in pairwise([0, *cuts, len(raw)]):
            for connection in connections:
                with contextlib.suppress(OSError):  # a server that has refused it already
                    connection.sendall(raw[start:end])
            if end < len(raw):
                time.sleep(0.001)
        with_cache, without = [b"".join(_read(connection)) for connection in connections]
        idle.close()
        assert with_cache == without, (raw, cuts)
        return with_cache.replace(b"s%05d" % self.conversations, b"SSSSSS")


def _read(connection: socket.socket) -> Iterator[bytes]:
    with connection, contextlib.suppress(ConnectionResetError):
        while data := connection.recv(1 << 16):
            yield data


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    options = ("--now", NOW, "--max-body", str(MAX_BODY), "--max-sessions", "10", "--log-level", "error")
    with run_server(*options) as one, run_server(*options, "--no-cache") as other:
        made = Pair([one, other])
        yield made
        assert [server.end(signal.SIGINT)[2] for server in (one, other)] == ["", ""], (
            "no traceback and no bug in the log"
        )


PIPELINED, MUTATED = 800, 2200
"""Numbers of conversations."""
SPLIT = ("model", "chat", "claude stream", "gemini", "chunked", "upgrade", "raw path")


@pytest.mark.parametrize("name", SPLIT)
def test_a_request_cut_at_every_byte(pair: Pair, name: str) -> None:
    """Wherever it is cut, the answer is the same: a head that has not ended is never answered."""
    raw = REQUESTS[name] * 2 + LAST
    whole = pair.converse(raw)
    assert whole.count(b"HTTP/1.1 ") == 3
    assert b"HTTP/1.1 400" not in whole
    for cut in range(1, len(REQUESTS[name]) + 4):
        assert pair.converse(raw, [cut]) == whole, cut
    assert pair.converse(raw, range(1, len(raw))) == whole, "byte by byte"


def test_pipelined_requests(pair: Pair) -> None:
    rng = random.Random(1)
    for _ in range(PIPELINED):
        chosen = rng.choices([*REQUESTS.values()], k=rng.randint(2, 8))
        raw = b"".join(chosen) + LAST
        cuts = sorted(rng.sample(range(1, len(raw)), rng.randint(0, 5)))
        answered = pair.converse(raw, cuts)
        assert answered.count(b"HTTP/1.1 ") == len(chosen) + 1


def test_mutated_requests(pair: Pair) -> None:
    rng, refused = random.Random(2), 0
    for _ in range(MUTATED):
        chosen = rng.choices([*REQUESTS.values()], k=rng.randint(1, 3))
        answered = pair.converse(b"".join([mutate(rng, raw) for raw in chosen]) + FILLER)
        assert b"HTTP/1.1 500" not in answered
        refused += b"HTTP/1.1 400" in answered
    assert refused > MUTATED // 4


def test_there_are_enough() -> None:
    assert sum(len(REQUESTS[name]) + 5 for name in SPLIT) + PIPELINED + MUTATED >= 4500
