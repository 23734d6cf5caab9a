"""What every test may use: one server in a thread, and a watch over all that is ever answered."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator
from functools import cache
from ssl import SSLContext
from typing import Any

import httpcore2
import httpx
import orjson
import pytest
from hypothesis import HealthCheck, settings

from aione_mock.clock import parse_instant
from aione_mock.contract import Contract
from aione_mock.server import http
from aione_mock.server.app import Mock, create_app
from aione_mock.server.http import Server
from aione_mock.server.journal import Exchange
from aione_mock.server.pipeline import Pipeline
from aione_mock.settings import EXTENSIONS, Settings
from aione_mock.text.credentials import MaskLogs
from aione_mock.text.sse import decode
from aione_mock.types import Response
from tests.store import servers

# how long it takes to draw an example says nothing on a machine that does something else at the same time
settings.register_profile("repeatable", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repeatable")

# a shell makes what it runs in the background deaf to Ctrl-C, `nohup` to the end of the terminal, and both do so to
# every program started from there
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def share_contexts(create: Callable[..., SSLContext]) -> Callable[..., SSLContext]:
    """Return a function that creates one TLS context for the same options and environment."""

    @cache
    def create_once(_: object, **options: Any) -> SSLContext:
        return create(**options)

    def create_shared(**options: Any) -> SSLContext:
        return create_once((os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")), **options)

    return create_shared


# each of the thousands of HTTP clients would take 30 ms to read all certificates of the system again
for module, name in ((httpcore2, "default_ssl_context"), (httpx._transports.default, "create_ssl_context")):
    setattr(module, name, share_contexts(getattr(module, name)))

NOW = "2026-11-20T10:30:00Z"
KEY = "sk-nex-demo-every-model"
VIOLATIONS: list[str] = []


def violations(contract: Contract, exchange: Exchange, sent: Response) -> Iterator[str]:
    """Return how an answer violates the contract, unless the path is unknown, a fault did it or it was recorded."""
    operation = exchange.operation
    if operation is None or sent.raw or sent.end != "finish" or sent.live is not None:
        return
    if exchange.damaged or exchange.findings:
        return
    response = operation.responses.get(str(sent.status))
    if response is None:
        if sent.status not in (405, 415):  # declared for a protocol, not for each operation
            yield f"{operation.id} answers {sent.status}, which it does not declare"
        return
    headers = dict(sent.headers)
    for name, header in response.get("headers", {}).items():
        header = contract.resolve(operation.document, header)
        if header.get("required") and name.lower() not in headers:
            yield f"{operation.id} {sent.status}: header {name} is missing"
    body = b"".join(data for _, data in sent.sends)
    media_type = headers.get("content-type", "")
    validator = operation.get_response_validator(sent.status, media_type)
    if validator is None:
        if body and media_type not in response.get("content", {}):
            yield f"{operation.id} {sent.status}: undeclared body of type {media_type}"
        return
    if "event-stream" in media_type:
        events = list(decode([body]))
        for event in events:
            value = {"data": event.data, **({"event": event.name} if event.name else {})}
            yield from (f"{operation.id} event: {e.message[:200]}" for e in validator.iter_errors(value))
        yield from (f"{operation.id} stream: {problem}" for problem in operation.stream.find_problems(events))
        return
    for error in validator.iter_errors(orjson.loads(body) if "json" in media_type else body.decode()):
        yield f"{operation.id} {sent.status}: {'/'.join(map(str, error.instance_path))}: {error.message[:300]}"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--store", choices=servers.MODES, default="memory", help="where servers of tests keep their state")


def pytest_configure(config: pytest.Config) -> None:
    servers.install(config.getoption("--store"))


def pytest_unconfigure() -> None:
    servers.stop()


@pytest.fixture(scope="session", autouse=True)
def _every_answer_keeps_the_contract() -> Iterator[None]:
    """All answers of the test run are checked against their schema, streamed events too."""
    original = Pipeline.respond

    async def respond(self: Pipeline, exchange: Exchange) -> Response:
        sent = await original(self, exchange)
        VIOLATIONS.extend(violations(self.contract, exchange, sent))
        return sent

    Pipeline.respond = respond  # type: ignore[method-assign]
    yield
    Pipeline.respond = original  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def _this_test_kept_the_contract() -> Iterator[None]:
    VIOLATIONS.clear()
    yield
    found, VIOLATIONS[:] = VIOLATIONS[:], []
    assert not found, "answers against the contract:\n" + "\n".join(dict.fromkeys(found))


@pytest.fixture(autouse=True)
def _unmask_logs() -> Iterator[None]:
    """Commands that run in this process mask the log; other tests look for credentials in it."""
    yield
    for handler in logging.getLogger().handlers:
        for mask in [each for each in handler.filters if isinstance(each, MaskLogs)]:
            handler.removeFilter(mask)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The mock on a real socket, with a clock that stands still."""
    with http.Server(create_app(Settings(now=parse_instant(NOW)))) as running:
        yield running


@pytest.fixture(scope="session")
def app(server: Server) -> Mock:
    """The mock behind that server."""
    found: Mock = server.app
    return found


@pytest.fixture
def session_url(server: Server, app: Mock, request: pytest.FixtureRequest) -> str:
    """A base URL with a session of the test's own."""
    name = "t-" + "".join(c if c.isalnum() else "-" for c in request.node.name)[:60]
    app.sessions.delete(name)
    return f"{server.url}/_session/{name}"


@pytest.fixture(scope="session")
def extended_server() -> Iterator[Server]:
    """A server with the operations of all extensions."""
    with http.Server(create_app(Settings(now=parse_instant(NOW), extensions=EXTENSIONS))) as running:
        yield running


@pytest.fixture(scope="session")
def extended_app(extended_server: Server) -> Mock:
    """The mock behind that server."""
    found: Mock = extended_server.app
    return found


@pytest.fixture
def extended_url(extended_server: Server, extended_app: Mock, request: pytest.FixtureRequest) -> str:
    """A base URL of that server with a session of the test's own."""
    name = "t-" + "".join(c if c.isalnum() else "-" for c in request.node.name)[:60]
    extended_app.sessions.delete(name)
    return f"{extended_server.url}/_session/{name}"
