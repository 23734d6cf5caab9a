"""The server that the package `mcp` runs: it lists and calls the tools, and reads the resources."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from itertools import count
from typing import Any

import anyio
import orjson
from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError

from aione_mock.errors import MockError, ScenarioError, did_you_mean
from aione_mock.server.mcp import resources
from aione_mock.server.mcp.control_api import ControlAPI
from aione_mock.server.mcp.tools import AgentTool, ToolContext, build_tools, run_tool
from aione_mock.settings import VERSION
from aione_mock.text.credentials import mask_text
from aione_mock.types import Json

_INSTRUCTIONS = """A mock of an LLM gateway, for tests of applications that call models.
Point the application at the base URLs of get_connection. Prepare what the model answers with prepare_reply, break calls
with activate_scenario, and let the application run. Then read its calls with list_calls and explain_call, and check
them with verify_calls. describe_operation and list_errors look up the contract of the gateway. check_gateway says how
far another implementation keeps it. Calls of one session do not show in another one."""
_UNMASKED = ("get_connection",)
"""Tools that are asked for a key of the mock."""
_log = logging.getLogger("aione_mock")


class _AgentServer:
    """Answer the requests of the protocol."""

    def __init__(self, api: ControlAPI) -> None:
        self._api = api
        self._tools = {tool.name: tool for tool in build_tools(api)}

    async def list_tools(self, _: Any, __: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[_describe_tool(tool) for tool in self._tools.values()])

    async def call_tool(self, context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        try:
            result = await self._run_tool(context, params.name, params.arguments or {})
        except MockError as error:
            return _make_error(str(error))
        except Exception:
            _log.exception("bug in the tool %s", params.name)
            return _make_error("The mock has a bug here; its log has the details.")
        text = orjson.dumps(result).decode()
        text = text if params.name in _UNMASKED else mask_text(text)
        return types.CallToolResult(
            content=[types.TextContent(type="text", text=text)], structured_content=orjson.loads(text)
        )

    async def _run_tool(self, context: Any, name: str, arguments: Mapping[str, Json]) -> Json:
        tool = self._tools.get(name)
        if tool is None:
            raise ScenarioError(f"there is no tool '{name}'{did_you_mean(name, self._tools)}")
        steps = count(1)

        async def report(line: str) -> None:
            await context.session.report_progress(next(steps), message=mask_text(line))

        return await run_tool(tool, arguments, ToolContext(_find_url(context, self._api.url), report))

    async def list_resources(self, _: Any, __: types.PaginatedRequestParams | None) -> types.ListResourcesResult:
        listed = [
            types.Resource(uri=each.uri, name=each.uri.rpartition("/")[2], title=each.title, mime_type=each.media_type)
            for each in resources.list_resources()
        ]
        return types.ListResourcesResult(resources=listed)

    async def read_resource(self, _: Any, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        try:
            resource, text = await resources.read_resource(self._api, str(params.uri))
        except MockError as error:
            raise MCPError(types.INVALID_PARAMS, str(error)) from None
        content = types.TextResourceContents(uri=resource.uri, mime_type=resource.media_type, text=text)
        return types.ReadResourceResult(contents=[content])


def create_agent_server(api: ControlAPI) -> Server[Any]:
    """Return a server of the Model Context Protocol for one mock."""
    agent = _AgentServer(api)
    return Server(
        "aione-mock",
        version=VERSION,
        instructions=_INSTRUCTIONS,
        on_list_tools=agent.list_tools,
        on_call_tool=agent.call_tool,
        on_list_resources=agent.list_resources,
        on_read_resource=agent.read_resource,
    )


def serve_standard_streams(url: str, token: str | None) -> None:
    """Serve an agent on standard input and output until it closes them. Raises ConfigError if no mock answers."""
    api = ControlAPI(url, token)

    async def serve() -> None:
        await api.check_reachable()
        server = create_agent_server(api)
        async with stdio_server() as (reading, writing):
            await server.run(reading, writing, server.create_initialization_options())

    anyio.run(serve)


def _describe_tool(tool: AgentTool) -> types.Tool:
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=dict(tool.schema),
        annotations=types.ToolAnnotations(
            read_only_hint=tool.reads, destructive_hint=False, open_world_hint=tool.name == "check_gateway"
        ),
    )


def _make_error(message: str) -> types.CallToolResult:
    line = mask_text(" ".join(message.split()))
    return types.CallToolResult(content=[types.TextContent(type="text", text=line)], is_error=True)


def _find_url(context: Any, url: str) -> str:
    """Return the URL at which an agent reaches the mock: that of its request, if it came over HTTP to the mock."""
    request = context.request
    return url if request is None else str(request.base_url).rstrip("/")
