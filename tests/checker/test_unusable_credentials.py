"""Credentials that no header can carry are refused before anything is sent, and shown nowhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from aione_mock.checker import Target, prepare
from aione_mock.checker.errors import CheckError
from aione_mock.checker.law import Law, LawResults
from aione_mock.checker.report import build_report
from aione_mock.checker.reports import RENDERERS
from aione_mock.cli import main
from aione_mock.server.http import Server
from aione_mock.structs import replace
from tests.checker.openai_gateway import KEY, OpenAIGateway

VARIABLES = {"--key": "AIONE_API_KEY", "--token": "AIONE_CONSOLE_TOKEN", "--access-key": "AIONE_ACCESS_KEY_ID"}
PROBLEMS = {
    f"{KEY}\n": "ends with a line break",
    f"{KEY}\r": "ends with a line break",
    f"{KEY} ": "ends with a space",
    f"\t{KEY}": "begins with a tab",
    f"{KEY}\0x": "has a control character inside",
    f"{KEY}\nx": "has a line break inside",
    f"{KEY}密": "has a character that is not ASCII",
}
FILES = ("html", "json", "junit", "sarif", "markdown")


@pytest.fixture
def openai_gateway() -> Iterator[tuple[str, OpenAIGateway]]:
    """Serve a gateway that speaks only OpenAI."""
    gateway = OpenAIGateway()
    with Server(gateway) as server:
        yield server.url, gateway


@pytest.mark.parametrize(("secret", "problem"), PROBLEMS.items())
@pytest.mark.parametrize("option", VARIABLES)
def test_an_unusable_credential_is_refused_by_its_name(
    option: str, secret: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    gateway = OpenAIGateway()
    with Server(gateway) as server:
        commands = {
            "check": [server.url, "--only", "listModels", *[f"--{name}={tmp_path / name}" for name in FILES]],
            "diff": [server.url, server.url, "--only", "listModels"],
            "mirror": [server.url, f"--out={tmp_path / 'world.yaml'}"],
        } | ({"canaries": ["--url", server.url]} if option == "--key" else {})
        for command, words in commands.items():
            assert main([command, *words, f"{option}={secret}"]) == 2
            assert capsys.readouterr() == ("", f"aione-mock: {option} {problem}; remove it\n")
            if "\0" not in secret:
                with monkeypatch.context() as environment:
                    environment.setenv(VARIABLES[option], secret)
                    assert main([command, *words]) == 2
                assert capsys.readouterr() == ("", f"aione-mock: {VARIABLES[option]} {problem}; remove it\n")
    assert not gateway.asked
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["coverage", "canaries", "mcp"])
def test_an_unusable_control_token_is_refused(command: str, capsys: Any) -> None:
    name = "--control-token:" if command == "mcp" else "the control token"
    for secret, problem in PROBLEMS.items():
        assert main([command, "--url", "http://127.0.0.1:1", "--control-token", secret]) == 2
        assert capsys.readouterr() == ("", f"aione-mock: {name} {problem}; remove it\n")


def test_a_header_has_no_control_character() -> None:
    target = Target("http://127.0.0.1:1", headers=(("x-gate-token", f"{KEY}\n"),))
    assert target.headers == (("x-gate-token", KEY),)
    assert main(["check", target.url, "--header", f"x-gate-token: {KEY}\x01"]) == 2


SPELLINGS = {
    "clear": str,
    "repr": repr,
    "bytes": lambda secret: repr(secret.encode()),
    "JSON": json.dumps,
    "URL": lambda secret: quote(secret, safe=""),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("secret", [KEY, "schlüssel-密-123456"])
def test_a_bug_of_a_law_shows_no_credential(
    openai_gateway: tuple[str, OpenAIGateway], spelling: str, secret: str, capsys: Any
) -> None:
    def check_with_bug(context: Any) -> LawResults:
        """Have a bug whose message has the credential."""
        raise RuntimeError(f"cannot use {SPELLINGS[spelling](secret)}")
        yield

    given = Target(openai_gateway[0], key=KEY, headers=(("x-gate-token", secret),))
    run = prepare(given, only=("read-answered",), phases=())
    run.plan = replace(run.plan, laws=(Law("buggy", "A bug", check_with_bug, ("listModels",), area="models"),))
    with pytest.raises(CheckError, match=r"internal error at .*, line \d+: RuntimeError: cannot use ") as raised:
        list(run.yield_events())
    report = build_report(run)
    shown = [str(raised.value), run.stopped, str(report), *(render(report).decode() for render in RENDERERS.values())]
    for text in shown:
        assert "123456" not in text
