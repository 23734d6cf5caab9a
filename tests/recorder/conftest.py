"""A recorder in front of a gateway, both on real sockets; and gateways that misbehave."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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

KEY = "sk-nex-demo-every-model"
CHAT = "/v1/chat/completions"


class Tape:
    """A cassette being recorded: the recorder's URL, what it said, and the cassette itself once it has stopped."""

    def __init__(self, url: str, path: Path, said: list[str]) -> None:
        self.url, self.path, self.said = url, path, said

    @property
    def cassette(self) -> Cassette:
        return load_cassette(self.path)

    @property
    def text(self) -> str:
        return self.path.read_text("utf-8")


Taping = Callable[..., Any]


@pytest.fixture(scope="session")
def contract(app: Mock) -> Contract:
    return app.contract


@pytest.fixture
def taping(contract: Contract, tmp_path: Path) -> Taping:
    """`with taping(upstream, redact=…, slow=…) as tape`: what goes to `tape.url` is on `tape.path` afterwards."""

    @contextmanager
    def recording(upstream: str, name: str = "calls.yaml", redact: bool = False, **options: Any) -> Iterator[Tape]:
        path, said = tmp_path / name, list[str]()
        path.unlink(missing_ok=True)  # of an attempt before
        made = CassetteWriter.create(path, upstream, redacted=redact)
        recorder = Recorder(contract, upstream, made, redact=redact, report=said.append, **options)
        with Server(recorder) as running:
            yield Tape(running.url, path, said)

    return recording


@contextmanager
def replaying(path: Path, **settings: Any) -> Iterator[str]:
    """URL of a server that answers from a cassette, at once unless told otherwise."""
    config = Settings(now=parse_instant(NOW), replay=path, **{"replay_timing": "none", **settings})
    with Server(create_app(config)) as running:
        yield running.url


class Gateway:
    """An upstream that sends just the bytes it is told, once for each connection."""

    def __init__(self, play: Callable[[socket.socket], None]) -> None:
        self._play = play
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
            with connection:
                self._read(connection)
                self._play(connection)

    def _read(self, connection: socket.socket) -> None:
        asked = b""
        while b"\r\n\r\n" not in asked:
            asked += connection.recv(65536)
        head, _, body = asked.partition(b"\r\n\r\n")
        lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        while lengths and len(body) < int(lengths[0]):
            body += connection.recv(65536)


def answering(*parts: bytes) -> Callable[[socket.socket], None]:
    """Send the parts and hang up."""

    def play(connection: socket.socket) -> None:
        for part in parts:
            connection.sendall(part)

    return play


def whole(body: bytes, kind: bytes = b"application/json", status: bytes = b"200 OK", more: bytes = b"") -> bytes:
    """The bytes of a plain answer."""
    return b"HTTP/1.1 %b\r\ncontent-type: %b\r\ncontent-length: %d\r\n%b\r\n%b" % (status, kind, len(body), more, body)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
