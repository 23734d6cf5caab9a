"""Health, counts and the catalogue of errors, whose triggers are true."""

from __future__ import annotations

import http.client
import shlex
from hashlib import sha256
from typing import Any

import httpx2
import orjson
import pytest

from aione_mock.clock import SYSTEM_CLOCK, format_instant
from aione_mock.contract import Operation
from aione_mock.contract.loading import load_contract
from aione_mock.protocols import acs3_signature
from aione_mock.server.control.error_catalogue import ErrorCatalogue
from aione_mock.server.http import Server
from aione_mock.settings import DOCUMENTS, locate_document
from aione_mock.tenant.organisation_file import list_credentials
from aione_mock.testing.session import MockSession
from tests.timing import wait_until

from .conftest import KEY, Client

CONTRACT = load_contract([locate_document(name) for name in DOCUMENTS])
CREDENTIALS = list_credentials()
ERRORS = ErrorCatalogue(CONTRACT, CREDENTIALS, base_url="", max_body=32 << 20).list_errors()


def test_health(root: Client) -> None:
    told = root.ok("GET", "health")
    assert told == {**told, "status": "ok", "seed": "0"}
    assert told["contracts"][0] == "AIone 1.0"
    assert told["uptime_seconds"] > 0


def test_counts(root: Client, api: Client) -> None:
    before = root.ok("GET", "stats")
    api.chat()
    api.chat("x", headers={"x-mock-scenario": "rate_limit_exceeded"})
    api.chat("x", stream=True, headers={"x-mock-scenario": "comments, crlf"})
    api.get("/nowhere")
    after = root.ok("GET", "stats")

    def more(group: str, name: str) -> int:
        return int(after[group].get(name, 0) - before[group].get(name, 0))

    assert after["requests"] - before["requests"] == 4
    assert [more("by_operation", name) for name in ("createChatCompletion", "unknown")] == [3, 1]
    assert [more("by_status", status) for status in ("200", "429", "404")] == [2, 1, 1]
    assert [more("by_scenario", name) for name in ("rate_limit_exceeded", "comments", "crlf")] == [1, 1, 1]
    assert (after["streams_open"], before["streams_open"]) == (0, 0)
    assert after["journal_entries"] > 0
    assert after["journal_bytes"] > 0


def test_open_streams_are_counted_until_they_end_or_the_client_leaves(root: Client, api: Client) -> None:
    body = {"model": "gpt-5.4", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}
    headers = {"authorization": f"Bearer {KEY}", "x-mock-scenario": "stall; after=1; seconds=60"}
    with api.stream("POST", "/v1/chat/completions", json=body, headers=headers) as answer:
        arriving = answer.iter_bytes()
        next(arriving)
        assert root.ok("GET", "stats")["streams_open"] == 1
    assert wait_until(lambda: root.ok("GET", "stats")["streams_open"] == 0)


def test_errors_are_those_of_the_contract(root: Client) -> None:
    told = root.ok("GET", "errors")
    assert {(item["dialect"], item["name"]) for item in told["items"]} == set(CONTRACT.errors)
    assert told["total"] == len(CONTRACT.errors)
    order = [(item["dialect"], item["status"], item["name"]) for item in told["items"]]
    assert order == sorted(order)
    item = next(item for item in told["items"] if (item["dialect"], item["name"]) == ("openai", "rate_limit_exceeded"))
    assert item["operations"] == ["createChatCompletion", "listModels", "retrieveModel"]
    assert int(item["headers"]["retry-after"]) > 0
    assert item["body"]["error"]["code"] == "rate_limit_exceeded"


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("journal?statsu=4xx", "unknown parameter 'statsu'; did you mean 'status'?"),
        (
            "journal?limit=1&q=",
            "unknown parameter 'q'; known: operation, model, status, finding, key, since, until, text, limit",
        ),
        ("errors?opertion=createChatCompletion", "unknown parameter 'opertion'; did you mean 'operation'?"),
        ("scenarios?%6Binds=fault", "unknown parameter 'kinds'; did you mean 'kind'?"),
    ],
)
def test_a_filter_with_a_slip_in_its_name_does_not_find_everything(root: Client, path: str, told: str) -> None:
    assert root.read_error("GET", path) == (400, told)


def test_errors_are_found_by_operation_dialect_and_status(root: Client) -> None:
    of_chat = root.ok("GET", "errors", operation="createChatCompletion")
    assert {item["name"] for item in of_chat["items"]} == set(CONTRACT.operations["createChatCompletion"].errors)
    assert {item["dialect"] for item in root.ok("GET", "errors", dialect="gemini")["items"]} == {"gemini"}
    found = root.ok("GET", "errors", dialect="console", status=422)["items"]
    assert [item["name"] for item in found] == ["validation_error"]
    status, message = root.read_error("GET", "errors", operation="createChatCompletions")
    assert (status, message) == (
        400,
        "unknown operation 'createChatCompletions'; did you mean 'createChatCompletion'?",
    )
    assert root.read_error("GET", "errors", dialect="french")[0] == 400
    assert root.read_error("GET", "errors", status=200)[0] == 400


def list_triggers(way: str) -> list[Any]:
    """Return each error with each trigger of a kind."""
    return [
        pytest.param(item, trigger["how"], id=f"{item['dialect']}-{item['name']}-{trigger['how'][:12]}")
        for item in ERRORS
        for trigger in item["triggers"]
        if trigger["by"] == way
    ]


def test_each_error_that_an_operation_declares_has_a_header() -> None:
    for item in ERRORS:
        ways = {trigger["by"] for trigger in item["triggers"]}
        if item["dialect"] != "control" and item["operations"]:
            assert {"header", "rule", "control", "pytest"} <= ways, item["name"]
        elif item["name"] not in ("internal_error", "not_ready", "service_unavailable"):  # no request causes them
            assert ways == {"request"} or item["name"] == "not_authenticated", item["name"]


def send(server: Server, line: str) -> tuple[int, Any]:
    """Send the request of a curl command."""
    words = iter(shlex.split(line)[1:])
    method, url, headers, body = "", "", {}, None
    for word in words:
        if word == "-X":
            method = next(words)
        elif word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word == "-d":
            body = next(words)
        else:
            url = word
    connection = http.client.HTTPConnection(server.host, server.port)
    connection.request(method or ("GET" if body is None else "POST"), url, body, headers)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, orjson.loads(data)


@pytest.mark.parametrize(("item", "how"), list_triggers("request"))
def test_each_request_that_is_told_meets_its_error(server: Server, item: Any, how: str) -> None:
    status, body = send(server, how)
    assert status == item["status"]
    assert body.keys() <= item["body"].keys() | {"details"}
    if item["dialect"] == "openai":
        assert body["error"]["code"] == item["body"]["error"]["code"]
    if item["dialect"] == "control":
        assert body["error"]["name"] == item["name"]


@pytest.mark.parametrize(("item", "how"), list_triggers("key"))
def test_each_key_that_is_told_meets_its_error(api: Client, item: Any, how: str) -> None:
    secret = how.partition(" ")[0]
    calls: dict[str, tuple[str, Any, str, str]] = {
        "openai": ("/v1/chat/completions", {"model": "gpt-5.4"}, "authorization", "Bearer "),
        "anthropic": ("/v1/messages", {"model": "gpt-5.4", "max_tokens": 50}, "x-api-key", ""),
        "gemini": ("/v1beta/models/gemini-2.5-flash:generateContent", {}, "x-goog-api-key", ""),
        "console": ("/api/v1/gateway/keys", None, "authorization", "Bearer "),
    }
    path, body, header, prefix = calls[item["dialect"]]
    headers = {header: prefix + secret, "anthropic-version": "2023-06-01"}
    if body is not None:
        text = "Say something. " * 20
        body |= (
            {"contents": [{"parts": [{"text": text}]}]}
            if "gemini" in path
            else {"messages": [{"role": "user", "content": text}]}
        )
    statuses = [api.request("POST" if body else "GET", path, json=body, headers=headers).status_code for _ in range(4)]
    assert statuses[-1] == item["status"]


def example(operation: Operation) -> tuple[str, Any]:
    """Path and body of an example request of the contract."""
    media = operation.request_body.get("content", {}).get("application/json", {})
    path = operation.path.replace("{model}", "gemini-2.5-flash")
    path = path.replace("{key_id}", "0d3f9b62-8a14-4b7e-9c50-e6a1f27d4b83")
    return path, next((one["value"] for one in media.get("examples", {}).values()), None)


def sign_headers(operation: Operation, host: str) -> dict[str, str]:
    """Return the headers of a request to the observation API, without query or body."""
    headers = {
        "host": host,
        "x-acs-action": operation.id,
        "x-acs-version": "20240611",
        "x-acs-date": format_instant(SYSTEM_CLOCK.now()),
        "x-acs-signature-nonce": f"{SYSTEM_CLOCK.timestamp()}",
        "x-acs-content-sha256": sha256(b"").hexdigest(),
    }
    pair = next(credential for credential in CREDENTIALS if credential.kind == "access_key")
    assert pair.id is not None
    signature = acs3_signature.sign_request(
        operation.method, operation.path, "", list(headers.items()), b"", pair.id, pair.secret
    )
    return {**headers, "authorization": signature}


def credentials(operation: Operation, client: httpx2.Client) -> dict[str, str]:
    """Return the headers that an operation wants."""
    given = {
        "console": {"authorization": "Bearer nex-console-tech"},
        "gemini": {"x-goog-api-key": KEY},
        "modelrouter": sign_headers(operation, client.base_url.netloc.decode()),
    }.get(operation.protocol, {"authorization": f"Bearer {KEY}"})
    return {"anthropic-version": "2023-06-01", **given}


@pytest.mark.parametrize(("item", "how"), list_triggers("header"))
def test_each_header_that_is_told_meets_its_error(api: Client, item: Any, how: str) -> None:
    operation = CONTRACT.operations[item["operations"][0]]
    path, body = example(operation)
    name, _, value = how.partition(": ")
    headers = {name: value, **credentials(operation, api)}
    answer = api.request(operation.method, path, json=body, headers=headers)
    assert answer.status_code == item["status"], answer.text
    assert answer.json().keys() == item["body"].keys()
    for wanted in item["headers"]:
        assert wanted in answer.headers


@pytest.mark.parametrize(("item", "how"), list_triggers("pytest"))
def test_each_line_for_tests_meets_its_error(aione_mock: MockSession, item: Any, how: str) -> None:
    operation = CONTRACT.operations[item["operations"][0]]
    path, body = example(operation)
    eval(how, {"aione_mock": aione_mock})
    with httpx2.Client(base_url=aione_mock.base_url) as client:
        answer = client.request(operation.method, path, json=body, headers=credentials(operation, client))
    assert answer.status_code == item["status"], answer.text
    assert answer.json().keys() == item["body"].keys()


def test_credentials_are_those_of_the_command(root: Client) -> None:
    found = root.ok("GET", "credentials")
    assert [each["secret"] for each in found["items"]] == [each.secret for each in CREDENTIALS]
    views = {each["label"]: (each["view"], each["may_write"]) for each in found["items"] if each["kind"] == "token"}
    assert views["tech"] == ("tech", True)
    assert views["business"] == ("business", True)
    assert views["reader"] == ("tech", False)


def test_a_call_can_stay_out_of_the_journal(api: Client) -> None:
    api.chat("kept")
    before = api.ok("GET", "journal")["total"]
    assert api.chat("not kept", headers={"x-mock-journal": "off"}).status_code == 200
    assert api.chat("not kept", stream=True, headers={"x-mock-journal": "off"}).status_code == 200
    assert api.ok("GET", "journal")["total"] == before
    api.chat("kept too")
    assert api.ok("GET", "journal")["total"] == before + 1
