"""Serve agents under `/_mock/mcp` of a mock, guarded as the control API is.

Source: Model Context Protocol 2025-11-25, "Streamable HTTP"; a server without a stream of its own answers GET with 405.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2
import orjson
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from aione_mock.errors import APIError
from aione_mock.server.mcp.agent_server import create_agent_server
from aione_mock.server.mcp.control_api import ControlAPI
from aione_mock.server.request import Request

if TYPE_CHECKING:
    from aione_mock.server.app import Mock

_PATH = "/_mock/mcp"


def add_endpoint(mock: Mock) -> None:
    """Serve agents beside the gateway, below the root path too."""
    endpoint = AgentEndpoint(mock)
    for path in dict.fromkeys([_PATH, mock.pipeline.settings.root_path + _PATH]):
        mock.router.routes.append(Route(path, endpoint))


class AgentEndpoint:
    """An ASGI application that answers one message with each request, and keeps no session."""

    def __init__(self, mock: Mock) -> None:
        self._mock = mock
        transport = httpx2.ASGITransport(app=mock.gateway)
        api = ControlAPI("http://localhost", mock.pipeline.settings.control_token, transport)
        self._server = create_agent_server(api)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        try:
            self._check(Request(scope["method"], _PATH.encode(), headers=tuple(scope["headers"]), scope=scope))
        except APIError as error:
            await self._render(error)(scope, receive, send)
            return
        # a manager lives as long as its task group, which has to be closed by the task that opened it
        manager = StreamableHTTPSessionManager(
            self._server, stateless=True, max_request_body_size=self._mock.pipeline.settings.max_body
        )
        async with manager.run():
            await manager.handle_request(scope, receive, send)

    def _check(self, request: Request) -> None:
        self._mock.pipeline.auth.check_control(request)
        if request.method != "POST":
            raise APIError("method_not_allowed", "Agents send POST.", headers={"allow": "POST"})

    def _render(self, error: APIError) -> Response:
        reply = self._mock.pipeline.errors.render("control", None, error, "")
        return Response(orjson.dumps(reply.body), reply.status, dict(reply.headers), "application/json")
