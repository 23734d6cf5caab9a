"""The end of `aione-mock serve`: at once, after open streams, and even if the event loop hangs."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time

import pytest

from tests.test_cli import Running, run_server
from tests.timing import PATIENCE, wait_until
from tests.wire_reader import build_request, receive_bytes

HEADERS = {"authorization": "Bearer k"}
BODY = {"model": "gpt-5.4", "stream": True, "messages": [{"role": "user", "content": "Why do cats purr?"}]}
END = b"data: [DONE]\n\n\r\n0\r\n\r\n"


def connect(running: Running, scenario: str = "") -> socket.socket:
    """Ask for a stream, and return the connection on which it has begun; without a scenario the stream is over."""
    headers = {**HEADERS, "x-mock-scenario": scenario} if scenario else HEADERS
    host, _, port = running.url.removeprefix("http://").partition(":")
    connection = socket.create_connection((host, int(port)), timeout=PATIENCE)
    connection.sendall(build_request("/v1/chat/completions", BODY, headers=headers))
    got = b""
    while not got.endswith(b"\r\n\r\n" if not scenario else b"\n\n\r\n"):
        got += receive_bytes(connection)
    return connection


def rest(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def test_open_streams_end_first() -> None:
    with run_server("--auth", "any", "--drain", "60") as running:
        with connect(running, "pace; ttft=0.01; tps=15") as stream, connect(running) as idle:
            running.process.send_signal(signal.SIGTERM)
            assert rest(idle) == b"", "a connection without a request is closed at once"
            assert running.process.poll() is None
            with pytest.raises(ConnectionRefusedError):
                connect(running)
            assert rest(stream).endswith(END)
        assert running.end(signal.SIGCONT)[0] == -signal.SIGTERM


@pytest.mark.parametrize("sent", [0, 10, 40], ids=["nothing", "a part of the line", "a part of the head"])
def test_a_request_that_is_about_to_arrive_is_answered(sent: int) -> None:
    """It is too late for a connection that is not accepted yet, but not for one that is."""
    data = build_request("/_mock/ready", None, method="GET")
    with run_server("--auth", "any", "--drain", "60") as running:
        host, _, port = running.url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection, connect(running) as other:
            connection.sendall(data[:sent])
            running.process.send_signal(signal.SIGTERM)
            assert rest(other) == b"", "it drains"
            connection.sendall(data[sent:])
            answer = rest(connection)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nconnection: close\r\n" in answer
        assert answer.endswith(b'{"error":{"message":"The mock is shutting down.","name":"not_ready"}}')
        assert running.process.wait(PATIENCE) == -signal.SIGTERM


def test_a_connection_without_a_request_delays_the_end_little() -> None:
    with run_server("--auth", "any", "--drain", "60") as running:
        host, _, port = running.url.removeprefix("http://").partition(":")
        # the other one is accepted later
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection, connect(running):
            running.process.send_signal(signal.SIGTERM)
            assert rest(connection) == b""
            assert running.process.wait(PATIENCE) == -signal.SIGTERM


@pytest.mark.parametrize(
    ("options", "number", "least"),
    [
        ((), signal.SIGTERM, 1.0),
        (("--drain", "0.5"), signal.SIGTERM, 0.5),
        (("--drain", "0"), signal.SIGTERM, 0.0),
        (("--drain", "600"), signal.SIGINT, 0.0),
    ],
    ids=["default", "half a second", "none", "Ctrl-C"],
)
def test_streams_that_last_longer_are_cut(options: tuple[str, ...], number: signal.Signals, least: float) -> None:
    with run_server("--auth", "any", *options) as running, connect(running, "stall; after=1; then=hang") as stream:
        code, seconds, log = running.end(number)
        assert code == (130 if number == signal.SIGINT else -signal.SIGTERM)
        assert seconds >= least
        assert log == ""
        assert not rest(stream).endswith(END)


def test_a_second_signal_does_not_wait() -> None:
    with run_server("--auth", "any", "--drain", "600") as running, connect(running, "stall; after=1; then=hang"):
        running.process.send_signal(signal.SIGTERM)
        host, _, port = running.url.removeprefix("http://").partition(":")
        assert wait_until(lambda: socket.socket().connect_ex((host, int(port))) != 0)
        assert running.end(signal.SIGTERM)[0] == -signal.SIGTERM


HANG = """
import re, sys
from aione_mock.server.http import UvicornServer, bind_socket, create_uvicorn_config

async def app(scope, receive, send):
    print("hangs", flush=True)
    %s

with bind_socket("127.0.0.1", 0) as listener:
    config = create_uvicorn_config(app, lifespan="off")
    UvicornServer(config, lambda: print(listener.getsockname()[1], flush=True), drain=0.2).run(sockets=[listener])
"""


@pytest.mark.parametrize("signals", [1, 2])
@pytest.mark.parametrize("code", ["while True: pass", "re.match('(a+)+$', 'a' * 60 + '!')"], ids=["loop", "pattern"])
def test_a_server_that_hangs_ends_all_the_same(code: str, signals: int) -> None:
    process = subprocess.Popen([sys.executable, "-c", HANG % code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        with socket.create_connection(("127.0.0.1", json.loads(process.stdout.readline()))) as client:
            client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            assert process.stdout.readline() == "hangs\n"
            for _ in range(signals):
                process.send_signal(signal.SIGTERM)
                time.sleep(0.5)
            ended = process.wait(PATIENCE)
        assert ended == (-signal.SIGTERM if signals == 2 else -signal.SIGALRM)
    finally:
        process.kill()
        process.communicate()
