"""Run a recorder in front of a gateway, both on real sockets, and gateways that misbehave."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest

from aione_mock.clock import parse_instant
from aione_mock.contract import Contract
from aione_mock.recorder.cassette import Cassette, CassetteWriter, load_cassette
from aione_mock.recorder.proxy import Recorder
from aione_mock.server.app import Mock, create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings
from tests.conftest import NOW
from tests.timing import PATIENCE
from tests.wire_reader import receive_bytes

KEY = "sk-nex-demo-every-model"
CHAT = "/v1/chat/completions"


class RecordingTape:
    """A running recorder: its URL, the lines it has reported, and its cassette."""

    def __init__(self, url: str, path: Path, reported: list[str]) -> None:
        self.url, self.path, self.reported = url, path, reported

    @property
    def cassette(self) -> Cassette:
        return load_cassette(self.path)

    @property
    def text(self) -> str:
        return self.path.read_text("utf-8")


StartRecorder = Callable[..., Any]


@pytest.fixture(scope="session")
def contract(app: Mock) -> Contract:
    return app.contract


@pytest.fixture
def start_recorder(contract: Contract, tmp_path: Path) -> StartRecorder:
    """Start a recorder: `with start_recorder(upstream, redact=…, slow=…) as tape` records calls to `tape.url`."""

    @contextmanager
    def recording(
        upstream: str, name: str = "calls.yaml", redact: bool = False, **options: Any
    ) -> Iterator[RecordingTape]:
        path, reported = tmp_path / name, list[str]()
        path.unlink(missing_ok=True)  # of an attempt before
        writer = CassetteWriter.create(path, upstream, redacted=redact)
        recorder = Recorder(contract, upstream, writer, redact=redact, report=reported.append, **options)
        with Server(recorder) as running:
            yield RecordingTape(running.url, path, reported)

    return recording


@contextmanager
def run_recorder(upstream: str, path: Path, *, log: Path | None = None) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `aione-mock record` as a process of its own, and yield it and its URL. It logs to its output or to a file."""
    command = [sys.executable, "-m", "aione_mock", "record", "--port", "0", "--upstream", upstream, "--out", str(path)]
    with log.open("w") if log else nullcontext(subprocess.STDOUT) as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().split(" at ")[1].split()[0]
    finally:
        process.kill()
        process.wait(PATIENCE)
        process.stdout.close()


@contextmanager
def replay_server(path: Path, **settings: Any) -> Iterator[str]:
    """Run a server that answers from a cassette, by default without delay, and return its URL."""
    config = Settings(now=parse_instant(NOW), replay=path, **{"replay_timing": "none", **settings})
    with Server(create_app(config)) as running:
        yield running.url


class Gateway:
    """An upstream that sends given bytes to each connection."""

    def __init__(self, respond: Callable[[socket.socket], None]) -> None:
        self._respond = respond
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Gateway:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, suppress(ConnectionError):
                self._read(connection)
                self._respond(connection)

    def _read(self, connection: socket.socket) -> None:
        asked = b""
        while b"\r\n\r\n" not in asked:
            asked += receive_bytes(connection)
        head, _, body = asked.partition(b"\r\n\r\n")
        lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        while lengths and len(body) < int(lengths[0]):
            body += receive_bytes(connection)


def send_parts(*parts: bytes) -> Callable[[socket.socket], None]:
    """Send the parts and close the connection."""

    def respond(connection: socket.socket) -> None:
        for part in parts:
            connection.sendall(part)

    return respond


def build_response(
    body: bytes, kind: bytes = b"application/json", status: bytes = b"200 OK", more: bytes = b""
) -> bytes:
    """Return the bytes of a plain response."""
    return b"HTTP/1.1 %b\r\ncontent-type: %b\r\ncontent-length: %d\r\n%b\r\n%b" % (status, kind, len(body), more, body)


def encode_chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
