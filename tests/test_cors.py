"""Pages of other origins: which may use the gateway, and that none may use the control API."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from aione_mock import Settings, create_app
from aione_mock.errors import ConfigError
from aione_mock.server.app import Mock
from aione_mock.server.http import Server

KEY = "sk-nex-demo-every-model"
CHAT = "/v1/chat/completions"
BODY = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Hello"}]}
PAGE = "http://localhost:5173"


def send(server: Server, path: str = CHAT, origin: str | None = PAGE, **headers: str) -> httpx.Response:
    given = {"authorization": f"Bearer {KEY}"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.post(server.url + path, json=BODY, headers=given | ({"origin": origin} if origin else {}))


def preflight(
    server: Server, path: str = CHAT, origin: str = PAGE, method: str = "POST", **more: str
) -> httpx.Response:
    headers = {"origin": origin, "access-control-request-method": method, **more}
    return httpx.options(server.url + path, headers=headers)


def read_allowed_origin(response: httpx.Response) -> str | None:
    return response.headers.get("access-control-allow-origin")


@pytest.fixture(scope="module")
def strict() -> Iterator[Server]:
    """A server that names its origins."""
    with Server(create_app(cors=["https://app.example", "null"])) as running:
        yield running


@pytest.mark.parametrize("origin", [PAGE, "https://localhost", "http://127.0.0.1:3000", "https://[::1]:8443"])
def test_pages_of_this_machine_may_use_the_gateway(server: Server, origin: str) -> None:
    answer = preflight(server, origin=origin, **{"access-control-request-headers": "authorization,x-mock-scenario"})
    assert (answer.status_code, read_allowed_origin(answer)) == (200, origin)
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-headers"] == "authorization,x-mock-scenario"
    answer = send(server, origin=origin)
    assert (answer.status_code, read_allowed_origin(answer), answer.headers["vary"]) == (200, origin, "origin")


@pytest.mark.parametrize(
    "origin",
    ["http://localhost.example", "http://example.com", "null", "http://127.0.0.1.example:80", "http://10.0.0.1"],
)
def test_pages_of_other_machines_may_not(server: Server, origin: str) -> None:
    answer = preflight(server, origin=origin)
    assert (answer.status_code, read_allowed_origin(answer)) == (400, None)
    answer = send(server, origin=origin)
    assert (read_allowed_origin(answer), answer.headers["vary"]) == (None, "origin")


def test_the_headers_of_the_contract_are_exposed_and_those_of_this_answer(app: Mock, server: Server) -> None:
    answer = send(server, x_mock_explain="1")
    exposed = set(answer.headers["access-control-expose-headers"].split(", "))
    declared = app.contract.operations["createChatCompletion"].responses["429"]["headers"]
    assert {name.lower() for name in declared} | {"x-request-id", "x-mock-seed"} <= exposed


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        (CHAT, {"authorization": "Bearer wrong"}, 401),
        ("/chat/completions", {}, 404),
        ("/v1/models", {}, 405),
        (CHAT, {"x-mock-scenario": "rate_limit_exceeded"}, 429),
        (CHAT, {"x-mock-scenario": "internal_error"}, 500),
        (CHAT, {"x-mock-scenario": "html_page"}, 502),
        (CHAT, {"x-mock-scenario": "content_length_short"}, 200),  # writes its head itself
    ],
)
def test_errors_and_faults_can_be_read_too(server: Server, path: str, headers: dict[str, str], status: int) -> None:
    assert preflight(server, path).status_code == 200
    with httpx.stream(
        "POST", server.url + path, json=BODY, headers={"authorization": f"Bearer {KEY}", "origin": PAGE} | headers
    ) as answer:
        assert (answer.status_code, read_allowed_origin(answer)) == (status, PAGE)


def test_no_page_of_another_origin_may_use_the_control_api(server: Server) -> None:
    for path in ("/_mock/journal", "/_mock", "/_mock/ui", "/_session/other/_mock/journal"):
        answer = preflight(server, path, method="GET")
        assert (answer.status_code // 100, read_allowed_origin(answer)) == (4, None)
        assert read_allowed_origin(httpx.get(server.url + path, headers={"origin": PAGE})) is None


def test_a_preflight_leaves_no_trace(server: Server) -> None:
    app: Mock = server.app
    before, calls = len(app.sessions), app.sessions.default.journal.total
    assert preflight(server, f"/_session/only-asked{CHAT}").status_code == 200
    assert (len(app.sessions), app.sessions.default.journal.total) == (before, calls)


def test_a_program_gets_no_header_more(server: Server) -> None:
    answer = send(server, origin=None)
    assert not [name for name in answer.headers if name.startswith("access-control") or name == "vary"]
    assert httpx.options(server.url + CHAT).status_code == 405


def test_named_origins_replace_those_of_this_machine(strict: Server) -> None:
    assert read_allowed_origin(send(strict, origin="https://app.example")) == "https://app.example"
    assert read_allowed_origin(send(strict, origin="null")) == "null"
    assert read_allowed_origin(send(strict)) is None
    answer = preflight(strict, origin="https://app.example", **{"access-control-request-private-network": "true"})
    assert answer.headers["access-control-allow-private-network"] == "true"


def test_all_origins_or_none() -> None:
    with Server(create_app(cors="*")) as every, Server(create_app(cors=False)) as none:
        assert read_allowed_origin(preflight(every, origin="https://far.example")) == "*"
        assert read_allowed_origin(send(every, origin="https://far.example")) == "*"
        assert preflight(none).status_code == 405
        assert read_allowed_origin(send(none)) is None


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("example.com", "'example.com' is no origin; write https://example.com:8443 or 'loopback' or '*' or 'off'"),
        ("https://a.example/path", "'https://a.example/path' is no origin"),
        ("off,loopback", "'off' goes with no other origin; remove it or them"),
        (3, "must be a list of origins"),
    ],
)
def test_a_wrong_origin_is_refused(value: object, says: str) -> None:
    with pytest.raises(ConfigError, match=says.replace("*", r"\*")):
        Settings(cors=value)
