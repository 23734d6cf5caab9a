"""The tools that agents call: operations of the control API, and some that put several of them together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from aione_mock.asgi import SESSION_PREFIX
from aione_mock.contract import Operation
from aione_mock.errors import ScenarioError, did_you_mean
from aione_mock.server.mcp import contract_lookup, gateway_check
from aione_mock.server.mcp.control_api import ControlAPI, ControlRequest
from aione_mock.server.mcp.tool_arguments import (
    SESSION,
    SESSION_SCHEMA,
    build_request,
    check_arguments,
    describe_arguments,
    describe_value,
    find_body_schema,
    make_object_schema,
)
from aione_mock.server.page import CLIENTS
from aione_mock.structs import frozen
from aione_mock.types import Json

_OPERATIONS = {
    "activate_scenario": "activateScenario",
    "clear_scenarios": "clearScenarios",
    "list_rules": "listRules",
    "add_rule": "addRule",
    "replace_rules": "replaceRules",
    "switch_rule": "switchRule",
    "delete_rule": "deleteRule",
    "check_rules": "checkRules",
    "get_rule_schema": "getRuleSchema",
    "list_calls": "queryJournal",
    "explain_call": "getExchange",
    "clear_calls": "clearJournal",
    "verify_calls": "verifyCalls",
    "change_clock": "changeClock",
    "reset_session": "resetSession",
}
"""Tool → the operation that it is."""
_LISTINGS = {
    "list_scenarios": ("listScenarios", ("name", "kind", "title")),
    "list_errors": ("listErrors", ("name", "status", "dialect")),
}
"""Tool → its operation, and the members of an item that are shown unless one item is asked for by its name."""
_READING = ("checkRules", "verifyCalls")
"""Operations that change nothing although they are no GET."""
_OUTCOMES = ("awkward", "error", "message", "retry_after", "delay")
"""Members of an outcome that `prepare_reply` takes beside those of a reply."""


@frozen
class ToolContext:
    """What a tool knows of the call of its agent."""

    url: str
    """The mock's root, as this agent reaches it."""
    report: gateway_check.Report
    """Sends the agent a line about the progress."""


Run = Callable[[Mapping[str, Json], ToolContext], Awaitable[Json]]


@frozen
class AgentTool:
    """A tool: its name, what it is for, its arguments, and what it does."""

    name: str
    title: str
    description: str
    schema: Mapping[str, Json]
    run: Run
    reads: bool = False
    """Whether it changes nothing."""


def build_tools(api: ControlAPI) -> list[AgentTool]:
    """Return all tools on one mock."""
    return [
        *[_make_operation_tool(api, name, api.operations[operation]) for name, operation in _OPERATIONS.items()],
        *[_make_listing(api, name, api.operations[operation], keep) for name, (operation, keep) in _LISTINGS.items()],
        _make_reply_tool(api),
        AgentTool(
            "get_connection",
            "How a client reaches the mock",
            "Base URLs for the SDKs and an API key, for a session of the mock.",
            make_object_schema({SESSION: SESSION_SCHEMA}, []),
            partial(_get_connection, api),
            reads=True,
        ),
        AgentTool(
            "describe_operation",
            "Look up an operation of the contract",
            "Parameters, body, answers and errors of an operation, with all components that it refers to. Without an "
            "operation, all of them are listed.",
            _DESCRIBE_SCHEMA,
            partial(_describe_operation, api),
            reads=True,
        ),
        AgentTool(
            "check_gateway",
            "Check a gateway against the contract",
            "Runs the checker on an implementation of the API: its laws and generated requests, within the budget. It "
            "only reads, and calls models. Answers with the verdict and what is wrong, the most important first.",
            gateway_check.SCHEMA,
            partial(_check_gateway, gateway_check.GatewayChecker()),
        ),
    ]


def _make_operation_tool(api: ControlAPI, name: str, operation: Operation) -> AgentTool:
    async def run(arguments: Mapping[str, Json], _: ToolContext) -> Json:
        return await api.call(operation.id, build_request(operation, arguments))

    reads = operation.method == "GET" or operation.id in _READING
    return AgentTool(name, operation.raw["summary"], _describe(operation), describe_arguments(operation), run, reads)


def _make_listing(api: ControlAPI, name: str, operation: Operation, keep: tuple[str, ...]) -> AgentTool:
    """Return a tool that lists in short, and shows one item whole."""
    schema = describe_arguments(operation)
    schema["properties"]["name"] = {"type": "string", "description": "Show this one whole, instead of all in short."}

    async def run(arguments: Mapping[str, Json], _: ToolContext) -> Json:
        wanted = arguments.get("name")
        rest = {key: value for key, value in arguments.items() if key != "name"}
        answer = await api.call(operation.id, build_request(operation, rest))
        if wanted is None:
            return {**answer, "items": [{key: item[key] for key in keep} for item in answer["items"]]}
        items = [item for item in answer["items"] if item["name"] == wanted]
        if not items:
            names = {item["name"]: None for item in answer["items"]}
            raise ScenarioError(f"there is no '{wanted}'{did_you_mean(str(wanted), names)}")
        return {**answer, "items": items, "total": len(items)}

    return AgentTool(name, operation.raw["summary"], _describe(operation), schema, run, reads=True)


def _describe(operation: Operation) -> str:
    text = " ".join(operation.raw.get("description", "").split())
    return f"{operation.raw['summary']}. {text}".strip()


def _make_reply_tool(api: ControlAPI) -> AgentTool:
    operation = api.operations["addRule"]
    rule = find_body_schema(operation)["properties"]
    then = operation.resolve(rule["then"])["properties"]
    reply = operation.resolve(then["reply"])["properties"]
    times = {"type": ["integer", "null"], "minimum": 1, "default": 1, "description": "How many calls; null for all."}
    properties = {
        **{name: describe_value(operation, node) for name, node in reply.items()},
        **{name: describe_value(operation, then[name]) for name in _OUTCOMES},
        "when": describe_value(operation, rule["when"]),
        "times": times,
        SESSION: SESSION_SCHEMA,
    }

    async def run(arguments: Mapping[str, Json], _: ToolContext) -> Json:
        answer = {name: arguments[name] for name in reply if name in arguments}
        outcome: dict[str, Json] = {name: arguments[name] for name in _OUTCOMES if name in arguments}
        if not answer and not outcome:
            raise ScenarioError(f"say what the model answers: {', '.join([*reply, *_OUTCOMES])}")
        outcome |= {"reply": answer} if answer else {}
        outcome |= {} if arguments.get("times", 1) is None else {"times": arguments.get("times", 1)}
        body = {**({"when": arguments["when"]} if arguments.get("when") else {}), "then": outcome}
        session = str(arguments.get(SESSION, "default"))
        return await api.call(operation.id, ControlRequest({}, {}, body, session))

    description = (
        "Prepares what the model answers to the next call, or to the next calls that `when` fits. Prepared replies "
        "are used up in their order. " + " ".join(operation.resolve(then["reply"])["description"].split())
    )
    return AgentTool(
        "prepare_reply", "Prepare an answer of the model", description, make_object_schema(properties, []), run
    )


_DESCRIBE_SCHEMA = make_object_schema(
    {
        "operation": {"type": "string", "description": "Its operationId, such as createChatCompletion."},
        "examples": {"type": "boolean", "default": False, "description": "Whether examples are shown, which are long."},
    },
    [],
)


async def _describe_operation(api: ControlAPI, arguments: Mapping[str, Json], _: ToolContext) -> Json:
    name = arguments.get("operation")
    if name is None:
        return await contract_lookup.list_served_operations(api)
    return await contract_lookup.describe_operation(api, str(name), examples=bool(arguments.get("examples")))


async def _get_connection(api: ControlAPI, arguments: Mapping[str, Json], context: ToolContext) -> Json:
    listed = await api.call("listCredentials", ControlRequest({}, {}))
    session = str(arguments.get(SESSION, "default"))
    root = context.url if session == "default" else f"{context.url}{SESSION_PREFIX}{session}"
    keys = [each["secret"] for each in listed["items"] if each["kind"] == "key"]
    return {"base_urls": {name: root + path for name, path in CLIENTS}, "api_key": keys[0] if keys else None}


async def _check_gateway(
    checker: gateway_check.GatewayChecker, arguments: Mapping[str, Json], context: ToolContext
) -> Json:
    return await checker.check(arguments, context.report)


async def run_tool(tool: AgentTool, arguments: Mapping[str, Json], context: ToolContext) -> Json:
    """Return the result of a tool. Raises ScenarioError in one line for everything that keeps it from working."""
    check_arguments(arguments, tool.schema)
    return await tool.run(arguments, context)
