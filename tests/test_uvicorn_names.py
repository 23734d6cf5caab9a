"""Names of uvicorn that `server/http_protocol.py` and `server/http.py` use although uvicorn does not document them.

If uvicorn renames one, these tests say which, instead of a fault that shows somewhere else.
"""

from __future__ import annotations

import ast
import asyncio
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http import httptools_impl
from uvicorn.server import ServerState

PACKAGE = Path(__file__).parent.parent / "aione_mock"
HTTP = PACKAGE / "server" / "http.py"
HTTP_PROTOCOL = PACKAGE / "server" / "http_protocol.py"
MODULE_NAMES = {"STATUS_LINE", "HttpToolsProtocol", "RequestResponseCycle"}
PROTOCOL_NAMES = {
    "access_log",
    "config",
    *("_start_asgi_task", "app", "cycle", "flow", "headers", "logger", "loop", "parser", "pipeline", "scope"),
    *("server_state", "shutdown", "tasks", "timeout_keep_alive", "transport", "url"),
    # overridden
    *(
        "connection_lost",
        "connection_made",
        "data_received",
        "eof_received",
        "on_body",
        "on_headers_complete",
        "on_message_begin",
    ),
    *("on_message_complete", "on_response_complete"),
}
CYCLE_NAMES = {
    "access_log",
    "body",
    "default_headers",
    "disconnected",
    "flow",
    "keep_alive",
    "message_event",
    "more_body",
    "on_response",
    "response_complete",
    "response_started",
    "run_asgi",
    "scope",
    "transport",
    "waiting_for_100_continue",
}
FLOW_NAMES = {"read_paused", "resume_reading", "write_paused"}
SERVER_NAMES = {"handle_exit", "lifespan", "run", "server_state", "servers", "should_exit", "shutdown", "startup"}


class Transport(asyncio.Transport):
    """A transport that drops what is written."""

    def write(self, data: Any) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer with an empty 200."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture
async def protocol() -> Any:
    """Return uvicorn's protocol after one request."""
    config = uvicorn.Config(app, lifespan="off")
    config.load()
    made = httptools_impl.HttpToolsProtocol(config=config, server_state=ServerState(), app_state={})
    made.connection_made(Transport())
    made.data_received(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
    await asyncio.gather(*made.tasks)
    yield made
    made.connection_lost(None)


def missing_names(value: Any, names: set[str]) -> list[str]:
    return sorted(name for name in names if not hasattr(value, name))


def attributes_of(variable: str) -> set[str]:
    """List the attributes of a variable that `server/http_protocol.py` uses."""
    return {
        node.attr
        for node in ast.walk(ast.parse(HTTP_PROTOCOL.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == variable
    }


def test_uvicorn_has_the_module_names() -> None:
    assert missing_names(httptools_impl, MODULE_NAMES) == []
    assert httptools_impl.STATUS_LINE[200] == b"HTTP/1.1 200 OK\r\n"


async def test_uvicorn_has_the_names_of_a_protocol(protocol: Any) -> None:
    assert missing_names(protocol, PROTOCOL_NAMES) == []


async def test_uvicorn_has_the_names_of_a_cycle(protocol: Any) -> None:
    assert missing_names(protocol.cycle, CYCLE_NAMES) == []
    assert missing_names(protocol.cycle.flow, FLOW_NAMES) == []
    assert protocol.cycle.response_complete


def test_uvicorn_has_the_names_of_a_server() -> None:
    server = uvicorn.Server(uvicorn.Config(app))
    # `startup` creates the other two
    assert missing_names(server, SERVER_NAMES - {"lifespan", "servers"}) == []
    assert missing_names(server.server_state, {"connections", "tasks", "total_requests"}) == []


def test_uvicorn_starts_requests_by_the_overridden_method() -> None:
    source = Path(httptools_impl.__file__).read_text(encoding="utf-8")
    assert source.count("self._start_asgi_task(") == 2, "uvicorn starts requests in another way"


def test_the_list_of_a_cycle_is_complete() -> None:
    assert attributes_of("cycle") | attributes_of("unread") <= CYCLE_NAMES


async def test_the_list_of_a_protocol_is_complete(protocol: Any) -> None:
    assert attributes_of("self") & set(dir(protocol)) <= PROTOCOL_NAMES


def test_no_other_module_imports_the_protocols_of_uvicorn() -> None:
    importing = [path for path in PACKAGE.rglob("*.py") if "uvicorn.protocols" in path.read_text(encoding="utf-8")]
    assert importing == [HTTP_PROTOCOL]
