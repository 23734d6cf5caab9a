"""The calls of a session as files: a cassette that replays them, and an HTTP archive."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings
from tests.control.conftest import KEY, Client

MESSAGE = {"model": "claude-sonnet-4-6", "max_tokens": 50, "messages": [{"role": "user", "content": "你好"}]}
GEMINI = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}
CALLS: list[tuple[str, str, Any, dict[str, str]]] = [
    ("POST", "/v1/chat/completions", {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Hello"}]}, {}),
    (
        "POST",
        "/v1/chat/completions",
        {"model": "gpt-5.4", "stream": True, "messages": [{"role": "user", "content": "Stream"}]},
        {"x-mock-scenario": "pace; ttft=0.02; tps=900"},
    ),
    ("POST", "/v1/messages", MESSAGE, {}),
    ("POST", "/v1/messages", {**MESSAGE, "stream": True}, {}),
    ("POST", "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse", GEMINI, {}),
    ("POST", "/v1/chat/completions", {"model": "gpt-5.4", "temperature": "hot", "messages": []}, {}),
    ("GET", "/v1/models", None, {}),
]


def ask(client: httpx2.Client) -> list[httpx2.Response]:
    """Make all calls, without what asks the mock for something."""
    return [client.request(method, path, json=body) for method, path, body, _ in CALLS]


@pytest.fixture
def recorded(api: Client) -> list[httpx2.Response]:
    """The answers to all calls in the session."""
    api.headers["authorization"] = f"Bearer {KEY}"
    return [api.request(method, path, json=body, headers=headers) for method, path, body, headers in CALLS]


def test_a_server_replays_the_cassette_of_a_session(
    api: Client, recorded: list[httpx2.Response], name: str, tmp_path: Path
) -> None:
    answer = api.get("/_mock/cassette")
    assert answer.headers["content-type"] == "application/yaml"
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}.yaml"'
    file = tmp_path / "session.yaml"
    file.write_bytes(answer.content)
    with (
        Server(create_app(Settings(replay=file, replay_only=True, seed="other"))) as server,
        httpx2.Client(base_url=server.url, headers={"authorization": "Bearer sk-nex-another-key-altogether"}) as client,
    ):
        for before, after in zip(recorded, ask(client), strict=True):
            assert after.status_code == before.status_code
            assert after.content == before.content
            assert after.headers["x-request-id"] == before.headers["x-request-id"]
    document = yaml.safe_load(answer.text)
    assert document["upstream"].endswith(f"/_session/{name}")
    times = [event["at"] for event in document["interactions"][1]["response"]["events"]]
    assert times == sorted(times)
    assert times[0] >= 0.02
    done = subprocess.run(
        [sys.executable, "-m", "aione_mock", "cassette", "check", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_not_whole_is_left_out_of_a_cassette_and_counted(api: Client) -> None:
    api.chat("long" * 40_000)
    for scenario in ("cut; after=2", "reset"):
        with pytest.raises(httpx2.HTTPError):
            api.chat("Hello", headers={"x-mock-scenario": scenario}, stream=True)
    answer = api.get("/_mock/cassette").text
    assert answer.startswith("# Calls left out because they are not whole: 2\n")
    (only,) = yaml.safe_load(answer)["interactions"]
    assert only["response"]["end"] == "cut"
    assert len(only["response"]["events"]) == 2
    assert any("cut off" in finding for finding in only["findings"])


def test_the_archive_has_what_the_format_requires(api: Client, recorded: list[httpx2.Response], name: str) -> None:
    answer = api.get("/_mock/har")
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}.har"'
    log = answer.json()["log"]
    assert (log["version"], log["creator"]["name"]) == ("1.2", "aione-mock")
    assert len(log["entries"]) == len(recorded)
    for entry, before in zip(log["entries"], recorded, strict=True):
        assert REQUIRED["entry"] <= set(entry)
        assert REQUIRED["request"] <= set(entry["request"])
        assert REQUIRED["response"] <= set(entry["response"])
        assert entry["timings"].keys() >= {"send", "wait", "receive"}
        assert entry["time"] == pytest.approx(sum(entry["timings"].values()), abs=0.01)
        assert entry["request"]["url"] == str(before.request.url)
        assert entry["response"]["content"]["text"] == before.text
        assert entry["response"]["content"]["size"] == entry["response"]["bodySize"] == len(before.content)
        assert entry["response"]["status"] == before.status_code
    streamed, question = log["entries"][1], log["entries"][4]["request"]
    assert streamed["timings"]["wait"] >= 20
    assert streamed["timings"]["receive"] > 0
    assert question["queryString"] == [{"name": "alt", "value": "sse"}]
    assert question["postData"]["mimeType"] == "application/json"
    assert (log["entries"][5]["response"]["statusText"], log["entries"][5]["_finding"]) == (
        "Bad Request",
        "invalid_request",
    )


REQUIRED = {
    "entry": {"startedDateTime", "time", "request", "response", "cache", "timings"},
    "request": {
        "method", "url", "httpVersion", "cookies", "headers", "queryString", "headersSize", "bodySize",
    },
    "response": {
        "status", "statusText", "httpVersion", "cookies", "headers", "content", "redirectURL", "headersSize",
        "bodySize",
    },
}  # fmt: skip
"""Members that HAR 1.2 does not call optional."""


def test_no_credential_is_in_either(api: Client) -> None:
    secret, other = "sk-nex-demo-every-model", "opensesame-4711-opensesame"
    api.chat(f"my key is {secret}, not {other}", headers={"x-api-key": other, "cookie": f"a={other}"})
    api.get(f"/v1beta/models?key={secret}")
    console = {"authorization": "Bearer nex-console-tech"}
    made = api.post("/api/v1/gateway/keys", json={"name": "new"}, headers=console).json()
    for path in ("cassette", "har"):
        text = api.get(f"/_mock/{path}").text
        assert "my key is" in text
        for word in (secret, other, "nex-console-tech", made["key"]):
            assert word not in text, path


@pytest.mark.parametrize("path", ["cassette", "har"])
def test_a_session_without_calls_has_files_too(api: Client, path: str) -> None:
    answer = api.get(f"/_mock/{path}")
    assert answer.status_code == 200
    if path == "har":
        assert answer.json()["log"]["entries"] == []
    else:
        assert yaml.safe_load(answer.text)["interactions"] is None
