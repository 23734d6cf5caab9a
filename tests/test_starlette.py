"""The mock is a Starlette application: what users add to it, or put around it, works as with any other."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import httpx2
import orjson
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from aione_mock.clock import parse_instant
from aione_mock.server.app import Mock, create_app
from aione_mock.server.http import Server, bind_socket
from aione_mock.settings import Settings
from tests import wire_reader
from tests.conftest import KEY, NOW
from tests.timing import PATIENCE, wait_until

BEARER = {"authorization": f"Bearer {KEY}"}
CHAT = "/v1/chat/completions"
QUESTION = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Why do cats purr?"}]}
STREAMED = QUESTION | {"stream": True}
PACED = {"x-mock-scenario": "pace; ttft=0.02; tps=500"}
GEMINI = {"contents": [{"role": "user", "parts": [{"text": "Why do cats purr?"}]}]}
Serve = Callable[[Any], AbstractContextManager[str]]
"""Serves an application; gives its URL without a slash at the end."""


@contextlib.contextmanager
def serve_with_ours(app: Any) -> Iterator[str]:
    with Server(app) as running:
        yield running.url


def serve_with_uvicorn(implementation: str) -> Serve:
    """Return what serves with uvicorn as users configure it."""

    @contextlib.contextmanager
    def serve(app: Any) -> Iterator[str]:
        listener = bind_socket("127.0.0.1", 0)
        config = uvicorn.Config(app, http=implementation, log_level="warning")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            assert wait_until(lambda: server.started)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(PATIENCE)

    return serve


SERVERS = [
    pytest.param(serve_with_ours, id="ours"),
    pytest.param(serve_with_uvicorn("httptools"), id="uvicorn-httptools"),
    pytest.param(serve_with_uvicorn("h11"), id="uvicorn-h11"),
]


@pytest.fixture(params=SERVERS)
def serve(request: pytest.FixtureRequest) -> Serve:
    chosen: Serve = request.param
    return chosen


@pytest.fixture
def mock() -> Mock:
    return create_app(Settings(now=parse_instant(NOW)))


def call(url: str, body: Any = QUESTION, path: str = CHAT, **headers: str) -> httpx2.Response:
    """Call a model."""
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx2.post(url + path, json=body, headers=BEARER | more, timeout=PATIENCE, trust_env=False)


def text_of(answer: httpx2.Response) -> str:
    """Return what the model said, plain or streamed."""
    assert answer.status_code == 200, answer.text
    if "event-stream" not in answer.headers["content-type"]:
        text: str = answer.json()["choices"][0]["message"]["content"]
        return text
    assert answer.text.endswith("data: [DONE]\n\n")
    chunks = [orjson.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


def expected_text() -> str:
    """Return what the model says to the question where nothing was added."""
    with TestClient(create_app(Settings(now=parse_instant(NOW)))) as client:
        return text_of(client.post(CHAT, json=QUESTION, headers=BEARER))  # type: ignore[arg-type]


class AddHeader:
    """A pure ASGI middleware that adds a header to each response."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def adding(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-added", b"yes")]
            await send(message)

        await self.app(scope, receive, adding if scope["type"] == "http" else send)


class Dispatching(BaseHTTPMiddleware):
    """The same as Starlette's base class has it."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        response.headers["x-added"] = "yes"
        return response


class Translate:
    """A pure ASGI middleware that changes each piece of a body, and starts a response only when it has the first."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started: list[Message] = []

        async def translating(message: Message) -> None:
            if message["type"] == "http.response.start":
                started.append(message)
                return
            if started:
                await send(started.pop())
            await send(message | {"body": message.get("body", b"").replace(b"{", b"<")})

        await self.app(scope, receive, translating if scope["type"] == "http" else send)


class Redact:
    """A pure ASGI middleware that replaces the body of each request."""

    def __init__(self, app: ASGIApp, body: bytes) -> None:
        self.app, self.body = app, body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        headers = [(name, value) for name, value in scope["headers"] if name != b"content-length"]
        scope = {**scope, "headers": [*headers, (b"content-length", b"%d" % len(self.body))]}
        given = False

        async def replaced() -> Message:
            nonlocal given
            message = await receive()
            while message.get("more_body"):
                message = await receive()
            if given or message["type"] != "http.request":
                return message
            given = True
            return {"type": "http.request", "body": self.body, "more_body": False}

        await self.app(scope, replaced, send)


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"hello {request.path_params.get('name', '')}")


MIDDLEWARE = pytest.mark.parametrize("middleware", [AddHeader, Dispatching])


@MIDDLEWARE
def test_middleware_runs_for_plain_answers_and_streams(serve: Serve, mock: Mock, middleware: Any) -> None:
    mock.add_middleware(middleware)
    said = expected_text()
    with serve(mock) as url:
        for body, more in ((QUESTION, {}), (STREAMED, {}), (STREAMED, PACED), (QUESTION, PACED)):
            answer = call(url, body, **more)
            assert answer.headers["x-added"] == "yes"
            assert text_of(answer) == said
        refused = httpx2.post(url + CHAT, json=QUESTION, trust_env=False)
        assert (refused.status_code, refused.headers["x-added"]) == (401, "yes")
        assert httpx2.get(url + "/_mock/health", trust_env=False).headers["x-added"] == "yes"
    assert [entry.status for entry in mock.sessions.get().journal] == [200, 200, 200, 200, 401]


@pytest.mark.parametrize("more", [{}, PACED, {"x-mock-scenario": "packet_each"}], ids=["instant", "paced", "packets"])
def test_middleware_may_change_the_bytes_of_every_answer(serve: Serve, mock: Mock, more: dict[str, str]) -> None:
    mock.add_middleware(Translate)
    with serve(mock) as url:
        for body in (STREAMED, STREAMED) if "each" in str(more) else (QUESTION, STREAMED):
            answer = call(url, body, **more)
            assert answer.status_code == 200
            assert "<" in answer.text
            assert "{" not in answer.text


def test_middleware_may_replace_the_body_of_a_request(serve: Serve, mock: Mock) -> None:
    replaced = orjson.dumps({"model": "gpt-5.4", "messages": [{"role": "user", "content": "Reply with exactly: ok"}]})
    mock.add_middleware(Redact, body=replaced)
    with serve(mock) as url:
        for _ in range(3):
            assert text_of(call(url)) == "ok"
    assert {entry.logged_request.body for entry in mock.sessions.get().journal} == {replaced}


def test_an_application_around_the_mock_may_replace_it_too(serve: Serve, mock: Mock) -> None:
    replaced = orjson.dumps({"model": "gpt-5.4", "messages": [{"role": "user", "content": "Reply with exactly: ok"}]})
    with serve(Redact(mock, replaced)) as url:
        assert text_of(call(url)) == "ok"


def test_middleware_may_answer_by_itself(serve: Serve, mock: Mock) -> None:
    class Closed(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
            return PlainTextResponse("closed", 503)

    mock.add_middleware(Closed)
    with serve(mock) as url:
        assert (call(url).status_code, call(url).text) == (503, "closed")
    assert len(mock.sessions.get().journal) == 0


def test_added_routes_answer_and_all_other_requests_reach_the_gateway(serve: Serve, mock: Mock) -> None:
    mock.add_route("/hello/{name}", hello)
    mock.router.routes.append(Route("/v1/models/own-model", hello))
    mock.mount("/sub", Starlette(routes=[Route("/{name}", hello)]))
    with serve(mock) as url:
        assert httpx2.get(url + "/hello/you", trust_env=False).text == "hello you"
        assert httpx2.get(url + "/sub/below", trust_env=False).text == "hello below"
        assert httpx2.get(url + "/v1/models/own-model", headers=BEARER, trust_env=False).text == "hello "
        assert text_of(call(url)) == text_of(call(url, STREAMED)) == expected_text()
        missing = httpx2.get(url + "/nowhere", trust_env=False)
        assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")
        wrong = httpx2.delete(url + CHAT, trust_env=False)
        assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")


def test_a_route_may_be_added_while_requests_are_answered(mock: Mock) -> None:
    with serve_with_ours(mock) as url:
        assert call(url).status_code == 200
        mock.add_route("/late", hello)
        assert httpx2.get(url + "/late", trust_env=False).text == "hello "
        assert call(url).status_code == 200


def test_exceptions_of_added_routes_reach_the_handlers_of_the_application(serve: Serve, mock: Mock) -> None:
    async def teapot(request: Request) -> Response:
        raise HTTPException(418)

    async def raise_error(request: Request) -> Response:
        raise KeyError("missing")

    async def handle(request: Request, error: Exception) -> Response:
        return JSONResponse({"handled": type(error).__name__}, 500)

    mock.add_route("/teapot", teapot)
    mock.add_route("/broken", raise_error)
    mock.add_exception_handler(418, handle)
    mock.add_exception_handler(KeyError, handle)
    with serve(mock) as url:
        assert httpx2.get(url + "/teapot", trust_env=False).json() == {"handled": "HTTPException"}
        assert httpx2.get(url + "/broken", trust_env=False).json() == {"handled": "KeyError"}
        assert text_of(call(url)) == expected_text()


@pytest.mark.parametrize("prefix", ["/mock", "/two/parts", "/für%20alle"])
def test_mounted_under_a_prefix_everything_works(serve: Serve, mock: Mock, prefix: str) -> None:
    async def handle(request: Request, error: Exception) -> Response:
        return PlainTextResponse("theirs", 404)

    mount = prefix.replace("%20", " ")
    outer = Starlette(routes=[Route("/hello", hello), Mount(mount, mock)], exception_handlers={404: handle})
    anthropic = QUESTION | {"model": "claude-sonnet-4-6", "max_tokens": 50}
    gemini = "/v1beta/models/gemini-2.5-flash:generateContent"
    with serve(outer) as server:
        url = server + prefix
        assert httpx2.get(server + "/hello", trust_env=False).text == "hello "
        assert httpx2.get(server + "/nowhere", trust_env=False).text == "theirs"
        assert text_of(call(url)) == text_of(call(url, STREAMED)) == text_of(call(url, STREAMED, **PACED))
        assert call(url, anthropic, "/v1/messages", x_api_key=KEY).json()["type"] == "message"
        assert call(url, GEMINI, gemini, x_goog_api_key=KEY).json()["candidates"]
        assert call(url, GEMINI, gemini.replace("gemini-2.5", "gemini%2D2.5"), x_goog_api_key=KEY).status_code == 200
        keys = httpx2.get(
            url + "/api/v1/gateway/keys", headers={"authorization": "Bearer nex-console-tech"}, trust_env=False
        )
        assert keys.json()["items"]
        assert call(url + "/_session/own").status_code == 200
        missing = httpx2.get(url + "/nowhere", trust_env=False)
        assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")
        journal = httpx2.get(url + "/_mock/journal", trust_env=False).json()
        assert journal["total"] == 8
        assert {item["path"] for item in journal["items"]} >= {CHAT, "/v1/messages", gemini, "/nowhere"}
        own = httpx2.get(url + "/_mock/sessions/own", trust_env=False).json()
        assert own["calls"] == 1
        assert call(own["base_url"]).status_code == 200


def test_behind_a_root_path(mock: Mock) -> None:
    with Server(mock, root_path="/behind") as running:
        assert text_of(call(running.url)) == expected_text()
        assert [entry.request.path for entry in mock.sessions.get().journal] == [CHAT]


def test_lifespans_of_the_application_run(serve: Serve, mock: Mock) -> None:
    seen: list[str] = []

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, str]]:
        seen.append("up")
        yield {"name": "state"}
        seen.append("down")

    async def show(request: Request) -> Response:
        return PlainTextResponse(request.state.name)

    mock.router.lifespan_context = lifespan
    mock.add_route("/state", show)
    with serve(mock) as url:
        assert httpx2.get(url + "/state", trust_env=False).text == "state"
        assert call(url).status_code == 200
        assert seen == ["up"]
    assert seen == ["up", "down"]


def test_the_lifespan_of_an_application_around_the_mock_runs(serve: Serve, mock: Mock) -> None:
    seen: list[str] = []

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with mock.router.lifespan_context(mock):
            seen.append("up")
            yield
            seen.append("down")

    with serve(Starlette(routes=[Mount("/mock", mock)], lifespan=lifespan)) as url:
        assert call(url + "/mock").status_code == 200
    assert seen == ["up", "down"]


def test_a_lifespan_that_fails_stops_the_start(mock: Mock) -> None:
    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        raise RuntimeError("no database")
        yield

    mock.router.lifespan_context = lifespan
    with pytest.raises(RuntimeError, match="no database"), TestClient(mock):
        pass


def raw_call(url: str, body: Any, scenario: str) -> wire_reader.Wire:
    """Call a model through a raw socket."""
    headers = BEARER | {"x-mock-scenario": scenario}
    return wire_reader.ask(
        int(url.rpartition(":")[2]), wire_reader.build_request(CHAT, body, headers=headers), patience=1.0
    )


class Through:
    """A pure ASGI middleware that changes nothing."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


@pytest.mark.parametrize("middleware", [None, Through, AddHeader, Dispatching])
def test_faults_below_http_are_played_with_middleware_around(
    mock: Mock, middleware: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    if middleware is not None:
        mock.add_middleware(middleware)
    with serve_with_ours(mock) as url:
        whole = raw_call(url, STREAMED, "instant")
        cut = raw_call(url, STREAMED, "cut; after=3")
        assert (cut.end, cut.whole) == ("closed", False)
        assert cut.body.count(b"\n\n") == 3
        assert not whole.body.startswith(cut.body), "ids differ"
        reset = raw_call(url, QUESTION, "reset")
        assert (reset.end, reset.raw) == ("reset", b"")
        hang = raw_call(url, QUESTION, "hang")
        assert (hang.end, hang.raw) == ("open", b"")
        half = raw_call(url, QUESTION, "cut_body")
        assert (half.status, half.end, half.whole) == (200, "closed", False)
        assert len(half.body) == int(half.headers["content-length"]) // 2
        short = raw_call(url, QUESTION, "content_length_short")
        assert (short.status, short.end) == (200, "closed")
        assert len(short.body) == int(short.headers["content-length"]) + 16
        stalled = raw_call(url, STREAMED, "stall; after=2; then=hang")
        assert stalled.end == "open"
        assert stalled.body.count(b"\n\n") == 2
        drip = raw_call(url, STREAMED, "drip; size=400; seconds=0.001")
        assert drip.whole
        assert text_of(call(url)) == expected_text()
    assert capfd.readouterr().err == ""


def test_where_the_server_lends_no_connection_what_ends_early_still_ends_early(mock: Mock) -> None:
    with serve_with_uvicorn("h11")(mock) as url:
        cut = raw_call(url, STREAMED, "cut; after=3")
        assert (cut.end, cut.whole) == ("closed", False)
        assert cut.body.count(b"\n\n") == 3


def test_websockets_are_refused(mock: Mock) -> None:
    with pytest.raises(WebSocketDisconnect), TestClient(mock).websocket_connect(CHAT):
        pass
    for app in (mock, Starlette(routes=[Mount("/mock", mock)])):
        prefix = "/mock" if app is not mock else ""
        with serve_with_uvicorn("h11")(app) as url, pytest.raises(InvalidStatus) as refused:
            connect(url.replace("http", "ws") + prefix + CHAT).close()
        assert refused.value.response.status_code == 403


def test_our_server_speaks_no_websocket(mock: Mock) -> None:
    head = (
        f"GET {CHAT} HTTP/1.1\r\nhost: mock\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with Server(mock) as running, socket.create_connection((running.host, running.port), timeout=PATIENCE) as client:
        client.sendall(head.encode())
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 405")


def test_the_test_client_of_starlette_talks_to_it(mock: Mock) -> None:
    with TestClient(mock) as client:
        plain = client.post(CHAT, json=QUESTION, headers=BEARER)
        assert plain.status_code == 200
        with client.stream("POST", CHAT, json=STREAMED, headers=BEARER | PACED) as answer:
            assert "".join(answer.iter_text()).endswith("data: [DONE]\n\n")
        assert client.get("/_mock/stats").json()["requests"] == 2
        assert client.get("/_mock/stats").json()["streams_open"] == 0
        assert client.head("/v1/models", headers=BEARER).status_code == 405


async def test_it_is_called_like_any_application(mock: Mock) -> None:
    transport = httpx2.ASGITransport(mock)
    async with httpx2.AsyncClient(transport=transport, base_url="http://mock") as client:
        answers = await asyncio.gather(*[client.post(CHAT, json=QUESTION, headers=BEARER) for _ in range(5)])
    assert {answer.status_code for answer in answers} == {200}


def test_the_application_of_a_request_is_the_mock(mock: Mock) -> None:
    mock.state.answer = 42
    mock.debug = True

    async def show(request: Request) -> Response:
        return PlainTextResponse(f"{request.app is mock} {request.app.state.answer} {request.url_for('show')}")

    mock.add_route("/show", show, name="show")
    with TestClient(mock) as client:
        assert client.get("/show").text == "True 42 http://testserver/show"
    assert mock.url_path_for("show") == "/show"
