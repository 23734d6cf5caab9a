"""`aione-mock errors`: the catalogue as text and as JSON."""

from __future__ import annotations

import json

import httpx2
import pytest

from aione_mock.cli import main
from aione_mock.server.http import Server


def read_error_output(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["errors", *arguments]) == 0
    return capsys.readouterr().out


def test_every_error_is_listed(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    text = read_error_output(capsys)
    answered = httpx2.get(f"{server.url}/_mock/errors").json()
    heads = [f"{entry['status']} {entry['name']} ({entry['dialect']})" for entry in answered["items"]]
    assert [line for line in text.splitlines() if line and not line.startswith(" ")] == heads


def test_one_operation(capsys: pytest.CaptureFixture[str]) -> None:
    text = read_error_output(capsys, "--operation", "createMessage")
    block = next(block for block in text.split("\n\n") if block.startswith("429 rate_limit_exceeded (anthropic)"))
    assert "  from        createMessage, countMessageTokens" in block
    assert "  header      retry-after: " in block
    assert '  body        {"type":"error","error":{"type":"rate_limit_error"' in block
    assert "  by header   X-Mock-Scenario: rate_limit_exceeded" in block
    assert "  by key      sk-nex-rpm-two-a-minute (Two requests a minute; the third gets 429)" in block
    assert "(openai)" not in text


def test_the_json_is_that_of_the_control_api(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(read_error_output(capsys, "--json", "--operation", "listKeys"))
    answered = httpx2.get(f"{server.url}/_mock/errors", params={"operation": "listKeys"}).json()
    assert told == json.loads(json.dumps(answered).replace(server.url, "http://127.0.0.1:8000"))


def test_an_unknown_operation(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["errors", "--operation", "createMesage"]) == 2
    near = "unknown operation 'createMesage'; did you mean 'createMessage'?"
    assert capsys.readouterr().err == f"aione-mock: {near}\n"
    assert main(["errors", "--operation", "x"]) == 2
    assert capsys.readouterr().err == "aione-mock: unknown operation 'x'; `aione-mock spec routes` lists them\n"
