"""A request that leads nowhere is told what to ask for instead."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import httpx2
import pytest
from google import genai
from google.genai import errors

from aione_mock import mock_server

KEY = "sk-nex-demo-every-model"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with mock_server() as server:
        yield server.base_url.partition("/_session")[0]


@pytest.mark.parametrize(
    ("method", "path", "hint"),
    [
        ("POST", "/chat/completions", "did you mean /v1/chat/completions? The base URL lacks /v1."),
        ("GET", "/models", "did you mean /v1/models? The base URL lacks /v1."),
        ("POST", "/v1/v1/messages", "did you mean /v1/messages? The base URL must not end in /v1."),
        ("POST", "/v1/chat/completion", "did you mean '/v1/chat/completions'?"),
        ("POST", "/v1/models/gemini-2.5-flash:generateContent", "some SDKs call api_version."),
        ("POST", "/v1beta/models/gemini-2.5-flash:embedContent", "offers 'embedContent'; serve --with embeddings"),
        ("POST", "/v1/embeddings", "offers 'embeddings'; serve --with embeddings"),
        ("POST", "/v1/files", "does not offer 'files'; an OpenAPI overlay adds an operation"),
        ("POST", "/v1/responses", "offers 'responses'; serve --with responses"),
        ("POST", "/_mock/scenario", "did you mean '/_mock/scenarios'?"),
        ("GET", "/nothing/like/it", "Unknown path /nothing/like/it."),
    ],
)
def test_unknown_paths_are_answered_with_what_to_do(url: str, method: str, path: str, hint: str) -> None:
    answer = httpx2.request(method, url + path)
    assert answer.status_code == 404
    assert hint in answer.json()["error"]["message"]


def test_an_extension_that_is_served_is_not_recommended() -> None:
    with mock_server(extensions=["responses"]) as server:
        answer = httpx2.post(
            f"{server.base_url}/v1/responses/resp_1/cancel", headers={"authorization": f"Bearer {KEY}"}
        )
        other = httpx2.post(f"{server.base_url}/v1/embeddings", headers={"authorization": f"Bearer {KEY}"})
    assert answer.json()["error"]["message"] == (
        "Unknown path /v1/responses/resp_1/cancel. The extension 'responses' has no such operation."
    )
    assert "serve --with embeddings" in other.json()["error"]["message"]


def test_hints_come_in_the_protocol_that_was_meant(url: str) -> None:
    assert httpx2.post(f"{url}/v1/v1/messages").json()["type"] == "error"
    assert httpx2.post(f"{url}/v1/models/x:generateContent").json()["error"]["status"] == "NOT_FOUND"


def test_wrong_methods_are_still_told_the_right_one(url: str) -> None:
    answer = httpx2.delete(f"{url}/v1/chat/completions")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_googles_sdk_is_told_about_the_api_version(url: str) -> None:
    client = genai.Client(api_key=KEY, http_options={"base_url": url, "api_version": "v1"})
    with pytest.raises(errors.ClientError, match=r"did you mean /v1beta/models.*api_version"):
        client.models.generate_content(model="gemini-2.5-flash", contents="Hi")


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v1/chat/completions"), ("GET", "/v1/models"), ("POST", "/v1/messages"), ("GET", "/_mock/clock")],
)
def test_a_header_of_the_mock_that_does_not_exist_is_refused(url: str, method: str, path: str) -> None:
    headers = {"authorization": f"Bearer {KEY}", "X-Mock-Scenaro": "cut"}
    answer = httpx2.request(method, f"{url}{path}", headers=headers)
    assert answer.status_code == 400
    assert "Unknown header 'x-mock-scenaro'; did you mean 'x-mock-scenario'?" in answer.json()["error"]["message"]


def test_the_control_api_lists_itself(url: str) -> None:
    listed = httpx2.get(f"{url}/_mock").json()
    assert {"id": "getClock", "method": "GET", "path": "/_mock/clock"}.items() <= next(
        item for item in listed["items"] if item["id"] == "getClock"
    ).items()
    assert listed["total"] == len(listed["items"]) > 20


@pytest.mark.parametrize(
    ("path", "body", "hint"),
    [
        ("sessions", {"name": "x", "sed": "4"}, "sed (did you mean 'seed'?)"),
        ("scenarios", {"name": "rate_limit_exceeded"}, "name (known: scenario"),
        ("scenarios", {"scenrio": "rate_limit_exceeded"}, "scenrio (did you mean 'scenario'?)"),
        ("verify", {"wher": {}}, "wher (did you mean 'when'?)"),
    ],
)
def test_unknown_members_of_control_bodies(url: str, path: str, body: object, hint: str) -> None:
    answer = httpx2.post(f"{url}/_mock/{path}", json=body)
    assert answer.status_code == 400
    assert hint in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", ["rules", "scenarios"])
def test_a_control_body_that_is_not_json_is_called_so(url: str, path: str) -> None:
    answer = httpx2.post(f"{url}/_mock/{path}", content=b"{then", headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert "The body is not valid JSON" in answer.json()["error"]["message"]


def test_a_shell_evaluates_what_keys_prints() -> None:
    keys = f"{sys.executable} -m aione_mock keys"
    script = f'eval "$({keys} --format env)"; {sys.executable} -c "import os; print(os.environ[\'AIONE_API_KEY\'])"'
    run = subprocess.run(["sh", "-c", script], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True)
    assert run.stdout.strip() == KEY
    plain = subprocess.run([*keys.split(), "--format", "dotenv"], capture_output=True, text=True, check=True).stdout
    assert f"AIONE_API_KEY={KEY}\n" in plain
    assert "export" not in plain
