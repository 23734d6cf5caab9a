"""Answers that attack their reader: deeply nested, endless or huge. A run ends in time, in plain words."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from aione_mock.checker import Target, check
from aione_mock.checker.report import EXIT_COULD_NOT
from aione_mock.clock import SYSTEM_CLOCK
from aione_mock.server.http import Server
from tests.checker.conftest import CheckGateway, target
from tests.checker.faulty_gateway import KEY, Fault, SeenRequest, SentResponse
from tests.checker.test_hostile_servers import app, raw_server
from tests.timing import at_best

DEEP = b"[" * 100_000 + b"]" * 100_000
NESTED = b'{"a":' * 900 + b"1" + b"}" * 900
Chunks = Callable[[], AsyncIterator[bytes]]


async def repeat(chunk: bytes) -> AsyncIterator[bytes]:
    while True:
        yield chunk


async def once(body: bytes) -> AsyncIterator[bytes]:
    yield body


def hostile(content_type: str, chunks: Chunks, **headers: str) -> Any:
    """Return an application whose every answer is the same, until the client has left."""

    async def answer(scope: Any, send: Any) -> None:
        pairs = [(b"content-type", content_type.encode()), *((n.encode(), v.encode()) for n, v in headers.items())]
        await send({"type": "http.response.start", "status": 200, "headers": pairs})
        sent = 0
        async for chunk in chunks():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            sent += len(chunk)
            if sent > 100 << 20:
                return
        await send({"type": "http.response.body", "body": b""})

    return app(answer)


@pytest.mark.parametrize(
    ("content_type", "chunks", "words"),
    [
        ("application/json", lambda: once(DEEP), "nested more than 100 levels deep"),
        ("application/json", lambda: once(b'{"data":' + NESTED + b',"items":' + NESTED + b"}"), "nested more than"),
        ("text/event-stream", lambda: once(b"data: " + NESTED + b"\n\n"), "nested more than 100 levels deep"),
        ("text/event-stream", lambda: repeat(b"data: {}\n\n" * 1000), "not ended after 20000 lines"),
        ("text/event-stream", lambda: repeat(b": keep-alive\n" * 1000), "not ended after 20000 lines"),
        ("application/json", lambda: repeat(b" " * (1 << 20)), "not ended after"),
    ],
)
def test_a_server_of_nothing_else_is_told_in_one_line(content_type: str, chunks: Chunks, words: str) -> None:
    with Server(hostile(content_type, chunks)) as server:
        report = check(target(server.url), phases=())
    assert report.exit_code == EXIT_COULD_NOT
    assert report.verdict.startswith("Could not check: no answer can be read to its end")
    assert words in report.verdict


@at_best
def test_a_body_of_800_megabytes_is_not_read() -> None:
    body = {"content-length": str(800 << 20)}
    with Server(hostile("application/json", lambda: repeat(b" " * (1 << 20)), **body)) as server:
        started = SYSTEM_CLOCK.timestamp()
        command = [sys.executable, "-m", "aione_mock", "check", server.url, "--key", KEY]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert SYSTEM_CLOCK.timestamp() - started < 20
    assert "longer than 50331648 bytes" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("body", [DEEP, NESTED])
def test_one_such_answer_is_a_finding_and_the_run_goes_on(body: bytes, check_gateway: CheckGateway) -> None:
    def on_response(request: SeenRequest, response: SentResponse) -> SentResponse:
        return SentResponse(200, response.headers, body) if request.path.endswith("/billing/account") else response

    report = check_gateway("getPlan", "getBillingAccount", fault=Fault(on_response=on_response))
    findings = [finding for finding in report.findings if finding.law == "answers"]
    assert [finding.operation for finding in findings] == ["getBillingAccount"]
    assert "nested more than 100 levels deep" in findings[0].seen
    assert report.matrix["schema"]["getPlan"].state == "kept"


def test_generated_cases_do_not_meet_such_an_answer(capfd: Any, check_gateway: CheckGateway) -> None:
    """Schemathesis, which prints a traceback for each."""

    def on_response(request: SeenRequest, response: SentResponse) -> SentResponse:
        return SentResponse(200, response.headers, DEEP) if request.path.endswith("/models") else response

    report = check_gateway("listModels", phases=("coverage",), fault=Fault(on_response=on_response))
    assert report.matrix["answers"]["listModels"].state == "broken"
    assert "Traceback" not in capfd.readouterr().err


@at_best
@pytest.mark.parametrize(
    ("start", "drop"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"x-drop: 1\r\n"),
        (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    ],
    ids=["headers", "body"],
)
def test_an_answer_that_drips_ends_with_the_timeout(start: bytes, drop: bytes) -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(start)
        for _ in range(200):
            connection.sendall(drop)
            time.sleep(0.1)

    with raw_server(drip) as url:
        started = SYSTEM_CLOCK.timestamp()
        report = check(Target(url, key=KEY), timeout=1.0)
        assert SYSTEM_CLOCK.timestamp() - started < 15
    assert report.exit_code == EXIT_COULD_NOT
    assert "no answer from" in report.verdict
    assert "--timeout" in report.verdict
