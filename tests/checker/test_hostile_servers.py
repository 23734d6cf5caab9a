"""Servers that are no gateway, or a bad one: the verdict is clear, in time, and has the results so far."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from aione_mock.checker import check
from aione_mock.checker.budget import Budget
from aione_mock.checker.client import TargetClient
from aione_mock.checker.errors import AnswerTimedOut
from aione_mock.checker.report import EXIT_COULD_NOT, EXIT_FOUND
from aione_mock.checker.target import Target
from aione_mock.clock import SYSTEM_CLOCK
from aione_mock.contract.loading import load_contract
from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.settings import DOCUMENTS, Settings, locate_document
from tests.checker.conftest import target
from tests.checker.faulty_gateway import FaultyGateway
from tests.timing import PATIENCE, at_best

Send = Callable[[Any], Any]


def app(answer: Callable[[Any, Send], Any]) -> Any:
    """Return an ASGI application that answers with a function."""

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": f"{message['type']}.complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        await answer(scope, send)

    return asgi


def make_application(status: int, content_type: str, body: bytes, **headers: str) -> Any:
    """Return an application with one answer to everything."""

    async def answer(scope: Any, send: Send) -> None:
        pairs = [(b"content-type", content_type.encode()), *((n.encode(), v.encode()) for n, v in headers.items())]
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        await send({"type": "http.response.body", "body": body})

    return app(answer)


@contextmanager
def raw_server(behave: Callable[[socket.socket], None]) -> Iterator[str]:
    """Run a server that handles each connection with a function."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.2)
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            with connection:
                connection.settimeout(PATIENCE)
                try:
                    connection.recv(65536)
                    behave(connection)
                except OSError:
                    pass

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        over.set()
        thread.join()
        listener.close()


def test_nobody_is_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    report = check(target(f"http://127.0.0.1:{port}"))
    assert report.exit_code == EXIT_COULD_NOT
    assert "cannot connect" in report.verdict


def test_a_name_that_does_not_exist() -> None:
    report = check(target("http://no-such-host.invalid"), timeout=5.0)
    assert report.exit_code == EXIT_COULD_NOT
    assert "no answer from" in report.verdict


def test_tls_where_there_is_none() -> None:
    with raw_server(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as url:
        report = check(target(url.replace("http:", "https:")), timeout=3.0)
    assert report.exit_code == EXIT_COULD_NOT
    assert "TLS error" in report.verdict


@pytest.mark.parametrize(
    ("status", "headers"), [(200, {}), (302, {"location": "https://login.example/?next=/v1/models"})]
)
def test_a_login_page(status: int, headers: dict[str, str]) -> None:
    with Server(make_application(status, "text/html", b"<html><body>Please log in</body></html>", **headers)) as server:
        report = check(target(server.url))
    assert report.exit_code == EXIT_COULD_NOT
    assert "a web page, not an API" in report.verdict


@pytest.mark.parametrize(
    ("status", "words"),
    [(429, "rejected with 429"), (401, "credentials are rejected"), (404, "base URL"), (503, "the server fails")],
)
def test_one_status_for_everything(status: int, words: str) -> None:
    with Server(make_application(status, "application/json", b"{}")) as server:
        report = check(target(server.url))
    assert report.exit_code == EXIT_COULD_NOT
    assert words in report.verdict
    assert {cell.state for cells in report.matrix.values() for cell in cells.values()} <= {
        "not checked",
        "broken",
        "kept",
    }


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"7", b'"x"', b"{", b'{"data":7,"items":null}', b"\xff\xfe", b"[[[{}]]]"]
)
def test_garbage_is_never_a_traceback(body: bytes) -> None:
    async def answer(scope: Any, send: Send) -> None:
        # a server that answers every path alike is left at once
        status = 404 if "no-such" in scope["path"] else 200
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    with Server(app(answer)) as server:
        report = check(target(server.url), phases=(), allow_writes=True)
    assert report.exit_code == EXIT_FOUND
    assert "schema" in {finding.law for finding in report.findings}


@at_best
def test_a_stream_that_never_ends_is_left(gateway: FaultyGateway) -> None:
    async def answer(scope: Any, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        while True:
            await send({"type": "http.response.body", "body": b"data: {}\n\n", "more_body": True})
            await asyncio.sleep(0.01)

    with Server(app(answer)) as server:
        started = SYSTEM_CLOCK.timestamp()
        with pytest.raises(AnswerTimedOut, match="not ended"):
            client(server.url, model_timeout=0.6).call("createChatCompletion", body={"model": "x"})
        assert SYSTEM_CLOCK.timestamp() - started < 20
        report = check(target(server.url), only=("stream-asked", "answers"), phases=(), model_timeout=0.6, timeout=0.6)
    assert SYSTEM_CLOCK.timestamp() - started < 60
    assert "answers" not in {finding.law for finding in report.findings}


def client(url: str, **options: Any) -> TargetClient:
    contract = load_contract([locate_document(name) for name in DOCUMENTS])
    return TargetClient(target(url), contract, **options)


def test_an_endless_body_is_left_at_its_limit() -> None:
    async def answer(scope: Any, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        for _ in range(50):
            await send({"type": "http.response.body", "body": b"data: {}\n\n" * 1000, "more_body": True})

    with Server(app(answer)) as server:
        exchange = client(server.url).call("listModels")
    assert exchange.failure == "not ended after 20000 lines"


@at_best
def test_a_plain_answer_that_drips_for_ever_is_left_too() -> None:
    async def answer(scope: Any, send: Send) -> None:
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for _ in range(200):
            await send({"type": "http.response.body", "body": b" ", "more_body": True})
            await asyncio.sleep(0.05)

    with Server(app(answer)) as server:
        started = SYSTEM_CLOCK.timestamp()
        with pytest.raises(AnswerTimedOut, match=r"not ended after .* when the time was over"):
            client(server.url, timeout=0.5).call("listModels")
        assert SYSTEM_CLOCK.timestamp() - started < 20


def test_silence_is_not_waited_for_beyond_the_timeout() -> None:
    told = threading.Event()
    with raw_server(lambda connection: told.wait(PATIENCE) and None) as url:
        started = SYSTEM_CLOCK.timestamp()
        with pytest.raises(AnswerTimedOut, match="no answer within the time limit"):
            client(url, timeout=0.4).call("listModels")
        elapsed = SYSTEM_CLOCK.timestamp() - started
        told.set()
    assert 0.35 < elapsed < 60


@at_best
def test_headers_that_drip_for_ever_are_left_too() -> None:
    over = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while not over.wait(0.05):
            connection.sendall(b"x")

    with raw_server(drip) as url:
        started = SYSTEM_CLOCK.timestamp()
        with pytest.raises(AnswerTimedOut, match="no answer within the time limit"):
            client(url, timeout=0.5).call("listModels")
        elapsed = SYSTEM_CLOCK.timestamp() - started
        over.set()
    assert elapsed < 5


def test_a_connection_that_breaks_off_in_the_middle() -> None:
    half = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"data": ['
    with raw_server(lambda connection: connection.sendall(half)) as url:
        exchange = client(url).call("listModels")
    assert exchange.status == 200
    assert "closed early" in exchange.failure


@pytest.mark.parametrize(("max_calls", "statuses"), [(2, [500, 200]), (1, [500, 0])])
def test_a_lost_call_counts_like_the_one_that_repeats_it(max_calls: int, statuses: list[int]) -> None:
    """A gateway that closes the connection may have billed the call."""
    answers = iter(
        [b"HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"]
    )
    with raw_server(lambda connection: connection.sendall(next(answers))) as url:
        sender = client(url, budget=Budget(max_calls=max_calls))
        body = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Hello"}]}
        assert [sender.call("createChatCompletion", body=body, auth=None).status for _ in range(2)] == statuses
        assert sender.budget.calls == max_calls


def test_one_that_dies_half_way(gateway: FaultyGateway) -> None:
    """The report has the results so far."""

    class Dying(FaultyGateway):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if len(self.seen) == 60:
                threading.Thread(target=server.stop).start()
            await super().__call__(scope, receive, send)

    server = Server(Dying(gateway.app))
    with server:
        report = check(target(server.url), phases=(), timeout=2.0)
    assert report.exit_code == EXIT_COULD_NOT
    assert "requests in a row had no answer" in report.verdict
    assert report.matrix["access-none"]["createChatCompletion"].state == "kept"
    assert "the run ended before" in report.matrix["usage-rows"]["queryUsage"].reason


def test_refused_connections_break_no_law(gateway: FaultyGateway) -> None:
    listeners: list[asyncio.Server] = []

    class Refusing(FaultyGateway):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            async def send_and_close(message: Any) -> None:
                if message["type"] == "http.response.start" and len(self.seen) > 12:
                    listeners[0].close()
                    message["headers"].append((b"connection", b"close"))
                await send(message)

            await super().__call__(scope, receive, send_and_close)

    with Server(Refusing(gateway.app)) as server:
        listeners += server._uvicorn.servers
        report = check(target(server.url), phases=(), only=("access-none", "access-wrong"), allow_writes=True)
    assert report.findings == ()
    cells = report.matrix["access-none"].values()
    assert {cell.state for cell in cells} == {"kept", "not checked"}
    assert "the gateway was not reached: cannot connect" in " ".join(cell.reason for cell in cells)


@at_best
def test_max_time_ends_a_run_with_a_partial_report(gateway: FaultyGateway) -> None:
    started = SYSTEM_CLOCK.timestamp()
    report = check(target(gateway.url), max_time=1.0)
    assert SYSTEM_CLOCK.timestamp() - started < 5
    assert "the time is up" in report.stopped
    assert report.counts.kept > 0
    assert report.counts.not_checked > 0


def test_little_time_is_not_spent_on_preparing_cases(gateway: FaultyGateway) -> None:
    """Schemathesis takes seconds to start; afterwards there is no time for a case."""
    program = """if 1:
        import sys
        from aione_mock.checker import Target, check
        target = Target(sys.argv[1], key="sk-nex-demo-every-model")
        report = check(target, only=("answers", "fuzzing"), max_time=3.0)
        assert "the time is up" in report.stopped
        assert "schemathesis" not in sys.modules
    """
    done = subprocess.run([sys.executable, "-c", program, gateway.url], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_one_that_refuses_for_the_rate_now_and_then_breaks_no_law(tmp_path: Path) -> None:
    """A 429 is allowed, so laws that get one are not checked."""
    rules = tmp_path / "busy.yaml"
    limited = "{error: rate_limit_exceeded, headers: {set: {retry-after: '900'}}}"  # too long to wait for
    rules.write_text(f"rules:\n- when: {{every: 3}}\n  then: {limited}\n", encoding="utf-8")
    with Server(create_app(Settings(scenarios=(rules,)))) as server:
        report = check(
            target(server.url),
            only=("errors", "access", "robustness", "coverage"),
        )
    assert report.counts.statuses[429] > 10
    assert report.all_kept, str(report)
    assert any("--rate-limit" in reason for reason, _ in report.unchecked)


def test_no_credential_at_all() -> None:
    report = check(Target("http://127.0.0.1:1"))
    assert report.exit_code == EXIT_COULD_NOT
    assert "no credential" in report.verdict
