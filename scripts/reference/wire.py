"""What a scenario sends: the bytes that a socket receives for one small request."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import orjson

from aione_mock.clock import parse_instant
from aione_mock.scenarios.catalogue import Scenario
from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings
from aione_mock.types import Json

_OPTIONS: Mapping[str, str] = {
    "stall": "; after=1; seconds=0.1; then=cut",
    "drip": "; size=64; seconds=0",
    "slow_body": "; seconds=0.1; parts=2",
    "big_event": "; at=2; size=300",
    "split_events": "; size=64",
    "pace": "; ttft=0.01; tps=1000",
    "reply": '; text="Five days."',
    "realistic": "; ttft=0.01; tps=1000",
}
"""Options with which a scenario takes no time and sends few bytes."""
_SHAPE = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
_NEEDS: Mapping[str, Json] = {
    "tools": {"tools": [{"type": "function", "function": {"name": "plan_trip", "parameters": _SHAPE}}]},
    "schema": {"response_format": {"type": "json_schema", "json_schema": {"name": "trip", "schema": _SHAPE}}},
    "thinking": {"model": "gpt-5.4", "reasoning_effort": "low"},
}
_PATIENCE = 0.3
"""Seconds of silence after which a connection counts as hanging."""
_WIDTH, _LINES = 300, 24
_NAMES = {"\r": "\\r", "\ufeff": "<BOM>"}
_SAME = re.compile(r'"object":"[^"]*","created":\d+,"model":"[^"]*",(?:"system_fingerprint":"[^"]*",)?')
"""Members that say the same in each event; they are left out."""


@contextmanager
def run_server() -> Iterator[Server]:
    """Run a mock whose clock stands still."""
    app = create_app(Settings(seed="0", now=parse_instant("2026-04-07T09:30:00Z"), log="off"))
    server = Server(app).start()
    try:
        yield server
    finally:
        server.stop()


def record_scenario(server: Server, scenario: Scenario) -> tuple[str, str]:
    """Return the header that asks for a scenario, and what then came."""
    text = scenario.name + _OPTIONS.get(scenario.name, "")
    raw, is_open = _read(server, _make_request(scenario, text))
    return f"X-Mock-Scenario: {text}", _show(raw) + ("\n[nothing more comes; the connection stays open]" * is_open)


def _make_request(scenario: Scenario, text: str) -> bytes:
    question = "How many days in Rome, 3 or 4?" if scenario.needs else "Reply with exactly: Five days."
    body = {
        "model": "gpt-5.4",
        "messages": [{"role": "user", "content": question}],
        "stream": scenario.applies_to == "stream",
        "max_completion_tokens": 40,
        **_NEEDS.get(scenario.needs or "", {}),
    }
    data = orjson.dumps(body)
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer sk-nex-demo-every-model\r\n"
        f"content-type: application/json\r\nconnection: close\r\nx-mock-scenario: {text}\r\n"
        f"content-length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


def _read(server: Server, request: bytes) -> tuple[bytes, bool]:
    """Return what came, and whether the connection was still open after a while of silence."""
    pieces: list[bytes] = []
    with socket.create_connection(("127.0.0.1", server.port), timeout=_PATIENCE) as connection:
        connection.sendall(request)
        try:
            while piece := connection.recv(65536):
                pieces.append(piece)
        except TimeoutError:
            return b"".join(pieces), True
        except ConnectionResetError:
            pieces.append(b"\n[connection reset]")
    return b"".join(pieces), False


def _show(raw: bytes) -> str:
    """Return bytes as lines that fit on a page; carriage returns are visible in the body."""
    head, _, body = raw.partition(b"\r\n\r\n")
    wanted = ("HTTP", "content-", "transfer-", "retry-after")
    lines = [line for line in head.decode("latin-1").split("\r\n") if line.startswith(wanted)]
    text = body.decode("utf-8", "backslashreplace")
    if "transfer-encoding: chunked" in head.decode("latin-1"):
        text = _join_chunks(body).decode("utf-8", "backslashreplace")
    text = _SAME.sub("", text)
    for character, name in _NAMES.items():
        text = text.replace(character, name)
    text = "".join(c if c.isprintable() or c == "\n" else "\\x%02x" % ord(c) for c in text)
    shown = [line if len(line) <= _WIDTH else f"{line[:_WIDTH]}…" for line in text.split("\n")]
    cut = [*shown[:_LINES], "…"] if len(shown) > _LINES else shown
    return "\n".join([*lines, "", *cut]).strip() or "[nothing]"


def _join_chunks(body: bytes) -> bytes:
    """Return the body without its chunked encoding; an incomplete chunk is kept."""
    parts: list[bytes] = []
    while body:
        size, _, rest = body.partition(b"\r\n")
        try:
            length = int(size, 16)
        except ValueError:
            return b"".join([*parts, body])
        parts.append(rest[:length])
        body = rest[length + 2 :]
        if not length:
            break
    return b"".join(parts)
