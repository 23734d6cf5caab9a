"""Values that no command can use: one line on standard error, without secrets, and exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from aione_mock.cli import main

SECRET = "SECRET-0123456789"
NOBODY = "http://127.0.0.1:9"
NO_TEXT = "\udcff"
"""An argument that is not UTF-8, as Python hands it over."""


def refuse(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that has to end with exit code 2; return its one line without the name of the program."""
    assert main(arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert SECRET not in lines[0]
    return lines[0].removeprefix("aione-mock: ")


@pytest.mark.parametrize(
    "command",
    [
        "check {}",
        "diff http://127.0.0.1:9 {}",
        "mirror {} --out new.yaml",
        "canaries --url {}",
        "canaries --url http://127.0.0.1:9 --upstream {}",
        "coverage --url {}",
        "mcp --url {}",
        "record --port 0 --out new.yaml --upstream {}",
        "keys --format env --url {}",
    ],
)
@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"http://u:{SECRET}@127.0.0.1:9", "has a user, password, query or fragment; give only"),
        (f"http://u:{SECRET}@127.0.0.1:x", "is a base URL such as http://127.0.0.1:8000"),
        (f"http://u:{SECRET}/@127.0.0.1:9", "is a base URL such as http://127.0.0.1:8000"),
        ("http://[::1", "is a base URL such as http://127.0.0.1:8000, not 'http://[::1'"),
        ("http://127.0.0.1:99999", "is a base URL such as http://127.0.0.1:8000, not 'http://127.0.0.1:99999'"),
        ("http://a..b", "is a base URL such as http://127.0.0.1:8000, not 'http://a..b'"),
        (f"http://{NO_TEXT}", r"is a base URL such as http://127.0.0.1:8000, not 'http://\udcff'"),
        ("", "is a base URL such as http://127.0.0.1:8000, not ''"),
    ],
)
def test_an_address_that_cannot_be_used(
    command: str,
    url: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AIONE_API_KEY", "key")
    arguments = [url if word == "{}" else word for word in command.split()]
    assert words in refuse(capsys, *arguments)
    assert list(tmp_path.iterdir()) == []
