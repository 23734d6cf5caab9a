"""Agents that control a mock, with the client of the package `mcp`: over standard streams and over HTTP."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp.types import CallToolRequestParams

from aione_mock import create_app
from aione_mock.checker.target import VARIABLES
from aione_mock.errors import ConfigError, ScenarioError
from aione_mock.server.http import Server
from aione_mock.server.mcp.agent_server import _AgentServer
from aione_mock.server.mcp.control_api import ControlAPI, ControlRequest
from aione_mock.server.mcp.gateway_check import _list_variables
from aione_mock.server.mcp.tools import build_tools
from aione_mock.settings import Settings, locate_docs
from tests.timing import PATIENCE, make_untraced_environment

KEY = "sk-nex-demo-every-model"
TOKEN = "a word of ours"
WORDS = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Where is my order?"}]}
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
TYPES = {"accept": "application/json, text/event-stream"}


@pytest.fixture(scope="module")
def agents() -> Iterator[Server]:
    """A mock that serves agents."""
    with Server(create_app(mcp=True, control_token=TOKEN)) as server:
        yield server


@asynccontextmanager
async def over_http(server: Server, token: str = TOKEN) -> AsyncIterator[Client]:
    headers = {"authorization": f"Bearer {token}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=PATIENCE, trust_env=False) as http,
        Client(streamable_http_client(f"{server.url}/_mock/mcp", http_client=http)) as client,
    ):
        yield client


@asynccontextmanager
async def over_streams(*arguments: str, **environment: str) -> AsyncIterator[Client]:
    words = ["-m", "aione_mock", "mcp", *arguments]
    async with Client(
        StdioServerParameters(command=sys.executable, args=words, env=make_untraced_environment() | environment)
    ) as client:
        yield client


async def call(client: Client, tool: str, **arguments: Any) -> Any:
    """Call a tool; return its result, of which text and structure are the same."""
    result = await client.call_tool(tool, arguments)
    (content,) = result.content
    assert not result.is_error, content.text
    assert orjson.loads(content.text) == result.structured_content
    return result.structured_content


async def fail(client: Client, tool: str, **arguments: Any) -> str:
    """Call a tool that fails; return its line."""
    result = await client.call_tool(tool, arguments)
    (content,) = result.content
    assert result.is_error
    assert len(content.text.splitlines()) == 1
    assert "Traceback" not in content.text
    return str(content.text)


def chat(url: str, **headers: str) -> httpx2.Response:
    return httpx2.post(f"{url}/v1/chat/completions", json=WORDS, headers={"authorization": f"Bearer {KEY}", **headers})


async def play_a_session(client: Client) -> None:
    """Do what an agent does: connect an application, prepare, break, read, verify."""
    connection = await call(client, "get_connection", session="shop")
    assert connection["api_key"] == KEY
    url = connection["base_urls"]["Anthropic"]
    await call(client, "prepare_reply", text="On its way.", when={"text": "order"}, session="shop")
    activated = await call(client, "activate_scenario", scenario="rate_limit_exceeded", times=1, session="shop")
    assert activated["rule"]["then"]["error"] == "rate_limit_exceeded"
    assert [chat(url).status_code for _ in range(2)] == [429, 200]
    listed = await call(client, "list_calls", session="shop", status="2xx")
    assert [each["status"] for each in listed["items"]] == [200]
    explained = await call(client, "explain_call", number=listed["items"][0]["number"], session="shop")
    assert explained["response"]["body"]["choices"][0]["message"]["content"] == "On its way."
    assert KEY not in orjson.dumps(explained).decode()
    verdict = await call(client, "verify_calls", when={"model": "gpt-5.4"}, exactly=3, session="shop")
    assert (verdict["passed"], verdict["count"]) == (False, 2)
    assert (await call(client, "list_calls"))["items"] == []


async def test_an_agent_starts_a_mock_of_its_own() -> None:
    async with over_streams("--seed", "7") as client:
        await play_a_session(client)


async def test_an_agent_controls_a_mock_that_runs(agents: Server) -> None:
    async with over_streams("--url", agents.url, AIONE_MOCK_CONTROL_TOKEN=TOKEN) as client:
        await play_a_session(client)
    chat(agents.url)


async def test_an_agent_controls_a_mock_over_http() -> None:
    with Server(create_app(mcp=True, control_token=TOKEN)) as server:
        async with over_http(server) as client:
            assert client.server_info.name == "aione-mock"
            await play_a_session(client)


async def test_rules(agents: Server) -> None:
    async with over_http(agents) as client:
        one = {"id": "one", "then": {"error": "upstream_timeout"}, "session": "rules"}
        assert (await call(client, "add_rule", **one))["id"] == "one"
        await call(client, "add_rule", first=True, **{**one, "id": "zero"})
        assert [each["id"] for each in (await call(client, "list_rules", session="rules"))["items"]] == ["zero", "one"]
        await call(client, "switch_rule", rule_id="zero", enabled=False, session="rules")
        assert (await call(client, "delete_rule", rule_id="zero", session="rules")) == {"done": True}
        replaced = await call(client, "replace_rules", rules=[{"then": {"reply": {"text": "Yes"}}}], session="rules")
        assert replaced["total"] == 1
        checked = await call(client, "check_rules", text="rules:\n  - when: {txt: refund}\n    then: {}\n")
        assert checked["mistakes"][0]["line"] == 2
        assert (await call(client, "get_rule_schema"))["type"] == "object"
        await call(client, "reset_session", name="rules")
        assert (await call(client, "list_rules", session="rules"))["total"] == 0


async def test_a_reply_for_every_call_and_an_awkward_one(agents: Server) -> None:
    async with over_http(agents) as client:
        rule = await call(client, "prepare_reply", json={"a": 1}, times=None, session="every")
        assert rule["rule"]["then"] == {"reply": {"json": {"a": 1}}}
        rule = await call(client, "prepare_reply", awkward="refusal", session="every")
        assert rule["rule"]["then"] == {"awkward": "refusal", "times": 1}
        assert "say what the model answers" in await fail(client, "prepare_reply", times=2)


async def test_long_lists_are_short_until_one_is_asked_for(agents: Server) -> None:
    async with over_http(agents) as client:
        listed = await call(client, "list_scenarios", kind="fault")
        assert {"name": "cut", "kind": "fault"}.items() <= next(
            e for e in listed["items"] if e["name"] == "cut"
        ).items()
        assert "options" not in listed["items"][0]
        (cut,) = (await call(client, "list_scenarios", name="cut"))["items"]
        assert cut["options"]
        (error, *_) = (await call(client, "list_errors", name="rate_limit_exceeded", dialect="openai"))["items"]
        assert error["body"]["error"]["message"]
        assert await fail(client, "list_errors", name="rate_limit") == (
            "there is no 'rate_limit'; did you mean 'rate_limit_exceeded'?"
        )


async def test_the_contract_is_looked_up_as_it_is_served(agents: Server) -> None:
    async with over_http(agents) as client:
        listed = await call(client, "describe_operation")
        assert listed["total"] > 60
        described = await call(client, "describe_operation", operation="createChatCompletion")
        assert described["method"] == "POST"
        references = set(re.findall(r'"\$ref":"([^"]+)"', orjson.dumps(described).decode()))
        assert references
        assert references <= set(described["components"])
        longer = await call(client, "describe_operation", operation="createChatCompletion", examples=True)
        assert len(orjson.dumps(longer)) > len(orjson.dumps(described))
        assert "did you mean" in await fail(client, "describe_operation", operation="createChatCompletions")


async def test_resources_are_the_contract_and_the_pages(agents: Server) -> None:
    async with over_http(agents) as client:
        listed = {str(each.uri): each for each in (await client.list_resources()).resources}
        pages = {f"aione-mock://docs/{path.relative_to(locate_docs())}" for path in locate_docs().rglob("*.md")}
        assert pages
        assert pages < set(listed)
        (document,) = (await client.read_resource("aione-mock://contract/aione.yaml")).contents
        assert "createChatCompletion" in document.text
        for uri in sorted(pages)[:3]:
            (page,) = (await client.read_resource(uri)).contents
            assert page.text == (locate_docs() / uri.removeprefix("aione-mock://docs/")).read_text(encoding="utf-8")
        for uri in ("aione-mock://docs/../pyproject.toml", "aione-mock://docs/", "file:///etc/passwd"):
            with pytest.raises(MCPError, match="there is no resource"):
                await client.read_resource(uri)


async def test_mistakes_are_one_line(agents: Server) -> None:
    async with over_http(agents) as client:
        assert await fail(client, "list_callz") == "there is no tool 'list_callz'; did you mean 'list_calls'?"
        assert "did you mean 'model'?" in await fail(client, "list_calls", modle="gpt-5.4")
        assert await fail(client, "explain_call") == "the argument 'number' is missing"
        assert "number" in await fail(client, "explain_call", number="x")
        assert "'text'" in await fail(client, "add_rule", when={"txt": "refund"}, then={"error": "upstream_timeout"})
        assert "scenario" in await fail(client, "activate_scenario", scenario="no_such_scenario")
        assert "session" in await fail(client, "list_calls", session="no/such name")
        assert await fail(client, "delete_rule", rule_id="../stats") == "no rule '../stats'"
        secret = "sk-proj-" + "a1B2" * 12
        assert secret not in await fail(client, "list_calls", **{secret: 1})


async def test_a_mock_that_is_gone() -> None:
    with Server(create_app()) as server:
        async with over_streams("--url", server.url) as client:
            assert (await call(client, "list_calls"))["total"] == 0
            server.stop()
            assert (await fail(client, "list_calls")).startswith(f"no mock answers at {server.url}")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(create_app()) as running:
        yield running


def test_without_a_mock_the_command_ends(server: Server) -> None:
    for words, message in {
        ("--url", "http://127.0.0.1:9"): "no mock answers at http://127.0.0.1:9",
        ("--url", f"{server.url}/v1"): f"{server.url}/v1 is no aione-mock: ",
        ("--url", "http://127.0.0.1:9", "--seed", "7"): "--seed is for a mock that is started here",
        ("--no-control",): "mcp needs the control API",
        ("--uds", "x.sock"): "mcp serves plain HTTP on a port",
    }.items():
        done = subprocess.run(
            [sys.executable, "-m", "aione_mock", "mcp", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=make_untraced_environment(),
            timeout=PATIENCE,
            check=False,
        )
        assert (done.returncode, done.stdout) == (2, ""), words
        (line,) = done.stderr.splitlines()
        assert message in line


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(b"<p>It works</p>", "it answers HTTP 200 without JSON"), (b'{"status":"ok"}', "it is another server")],
)
async def test_another_server_is_no_mock(answer: bytes, reason: str) -> None:
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, content=answer))
    api = ControlAPI("http://127.0.0.1:9", transport=transport)
    with pytest.raises(ConfigError, match=f"http://127.0.0.1:9 is no aione-mock: {reason}"):
        await api.check_reachable()


async def test_an_answer_without_json_is_an_error_of_the_tool() -> None:
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, content=b"<p>It works</p>"))
    with pytest.raises(ScenarioError, match="it answers HTTP 200 without JSON"):
        await ControlAPI("http://127.0.0.1:9", transport=transport).call("getHealth", ControlRequest({}, {}))


async def test_progress_and_result_of_a_check(server: Server, agents: Server) -> None:
    lines: list[str | None] = []

    async def report(_: float, __: float | None, message: str | None) -> None:
        lines.append(message)

    async with over_http(agents) as client:
        arguments = {"url": server.url, "only": ["listModels"], "api_key": KEY, "max_time": "30s"}
        result = await client.call_tool("check_gateway", arguments, progress_callback=report)
        (content,) = result.content
        assert not result.is_error, content.text
        assert result.structured_content["kept"] is True, content.text
        assert result.structured_content["counts"]["requests"] > 0
        assert KEY not in content.text
        assert any(line and line.startswith("Checking") for line in lines), lines


async def test_a_check_stays_within_bounds(agents: Server) -> None:
    async with over_http(agents) as client:
        url = "http://127.0.0.1:9"
        assert "must be from 0 to 600" in await fail(client, "check_gateway", url=url, max_time="11m")
        assert "must be from 0 to 250" in await fail(client, "check_gateway", url=url, max_paid_calls=251)
        assert "must be from 0 to 5" in await fail(client, "check_gateway", url=url, spend_limit=6)
        assert "is not a duration" in await fail(client, "check_gateway", url=url, max_time="soon")
        assert "cannot connect" in await fail(client, "check_gateway", url=url, api_key="k")
        assert "no credential" in await fail(client, "check_gateway", url="--json=x")
        assert "is a base URL such as" in await fail(client, "check_gateway", url="ftp://x")


async def test_no_gateway_gets_the_credentials_of_another_one(
    server: Server, agents: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(VARIABLES.values()) <= set(_list_variables())
    monkeypatch.setenv("AIONE_API_KEY", KEY)
    arguments = {"url": server.url, "only": ["listModels"]}
    async with over_http(agents) as client:
        monkeypatch.setenv("AIONE_BASE_URL", "http://127.0.0.1:9")
        assert "key" in await fail(client, "check_gateway", **arguments)
        monkeypatch.setenv("AIONE_BASE_URL", server.url + "/")
        assert (await call(client, "check_gateway", **arguments))["kept"] is True


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="this system does not list processes in /proc")
async def test_few_checks_run_at_a_time_and_end_with_their_agent(agents: Server) -> None:
    def list_processes(url: str) -> list[bytes]:
        lines = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):  # it has ended
                lines.append(path.read_bytes())
        return [line for line in lines if line.endswith(f"{url}\0".encode())]

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with over_http(agents) as client, asyncio.TaskGroup() as running:
            begun: list[str | None] = []

            async def report(_: float, __: float | None, message: str | None) -> None:
                begun.append(message)

            arguments = {"url": url, "api_key": KEY}
            checks = [
                running.create_task(client.call_tool("check_gateway", arguments, progress_callback=report))
                for _ in range(2)
            ]
            while len(begun) < 2:
                await asyncio.sleep(0.05)
            assert len(list_processes(url)) == 2
            assert "2 checks are running already" in await fail(client, "check_gateway", **arguments)
            for check in checks:
                check.cancel()
        for _ in range(200):
            if not list_processes(url):
                break
            await asyncio.sleep(0.05)
        assert list_processes(url) == []


def post(server: Server, message: Any = PING, **headers: str) -> httpx2.Response:
    return httpx2.post(f"{server.url}/_mock/mcp", json=message, headers={**TYPES, **headers}, trust_env=False)


def test_agents_are_guarded_as_the_control_api_is(agents: Server) -> None:
    token = {"authorization": f"Bearer {TOKEN}"}
    refused = {
        (401, "not_authenticated"): ({}, {"authorization": "Bearer another"}),
        (403, "forbidden"): ({**token, "origin": "http://another.example"}, {**token, "sec-fetch-site": "cross-site"}),
        (421, "misdirected_request"): ({**token, "host": "another.example"},),
    }
    for (status, name), attempts in refused.items():
        for headers in attempts:
            answer = post(agents, **headers)
            assert (answer.status_code, answer.json()["error"]["name"]) == (status, name), headers
    assert post(agents, **token).status_code == 200
    answer = httpx2.get(f"{agents.url}/_mock/mcp", headers={**TYPES, **token})
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"jsonrpc":"2.0"}', b"\xff", b"[" * 100_000])
def test_broken_messages_are_refused(agents: Server, body: bytes) -> None:
    headers = {**TYPES, "authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
    answer = httpx2.post(f"{agents.url}/_mock/mcp", content=body, headers=headers)
    assert 400 <= answer.status_code < 500, answer.text
    assert "Traceback" not in answer.text


def test_it_is_off_unless_asked_for(server: Server) -> None:
    assert post(server).status_code == 404


def test_the_rest_is_served_as_before(agents: Server) -> None:
    assert chat(agents.url).status_code == 200
    assert httpx2.get(f"{agents.url}/_mock/health").json()["status"] == "ok"


def test_below_a_root_path() -> None:
    with Server(create_app(mcp=True, root_path="/llm"), root_path="/llm") as server:
        for path in ("/_mock/mcp", "/llm/_mock/mcp"):
            answer = httpx2.post(server.url + path, json=PING, headers=TYPES)
            assert answer.status_code == 200, (path, answer.text)


def test_it_needs_the_control_api_and_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="mcp: needs the control API"):
        Settings(mcp=True, control=False)
    monkeypatch.setattr("aione_mock.server.app.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"pip install 'aione-mock\[mcp\]'"):
        create_app(mcp=True)


def test_serving_without_agents_loads_nothing_of_them() -> None:
    program = "import sys; from aione_mock import create_app; create_app(); print('mcp' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=Path(), check=True)
    assert done.stdout.strip() == "False"


async def test_the_page_names_every_tool(agents: Server) -> None:
    page = (locate_docs() / "how-to" / "coding-agents.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    async with over_http(agents) as client:
        tools = (await client.list_tools()).tools
    assert named == {tool.name for tool in tools}
    # an agent carries all of them in its context
    assert sum(len(tool.model_dump_json(exclude_none=True)) for tool in tools) < 25_000


def _nest(levels: int) -> Any:
    return [_nest(levels - 1)] if levels else 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
AWKWARD_VALUES = st.sampled_from(
    ["..", ".", "/", "\ud800", "\n", "ä", 1 << 70, float("inf"), _nest(400), {}, [], "x" * 9000]
)
TOOLS = {tool.name: tool for tool in build_tools(ControlAPI("http://localhost"))}


@st.composite
def make_calls(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """Draw a tool and arguments that it has, with values of any kind."""
    name = draw(st.sampled_from(sorted(set(TOOLS) - {"check_gateway"})))
    known = sorted(TOOLS[name].schema["properties"])
    required = TOOLS[name].schema["required"]
    chosen = draw(st.sets(st.sampled_from(known))) if known else set()
    return name, {argument: draw(JSON | AWKWARD_VALUES) for argument in sorted({*chosen, *required})}


@settings(max_examples=300)
@given(call=make_calls())
def test_no_arguments_lead_to_a_bug(call: tuple[str, dict[str, Any]], quiet_agent: _AgentServer) -> None:
    name, arguments = call
    result = asyncio.run(quiet_agent.call_tool(NoContext, CallToolRequestParams(name=name, arguments=arguments)))
    (content,) = result.content
    if result.is_error:
        assert "bug here" not in content.text, (name, arguments)
        assert "HTTP 5" not in content.text, (name, arguments, content.text)


class NoContext:
    """The context of a call that came over standard streams."""

    request = None
    session = None


@pytest.fixture(scope="module")
def quiet_agent() -> _AgentServer:
    app = create_app()
    return _AgentServer(ControlAPI("http://localhost", transport=httpx2.ASGITransport(app=app.gateway)))
