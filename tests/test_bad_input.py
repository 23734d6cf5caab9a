"""Values that no command can use: one line on standard error, without secrets, and exit code 2."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aione_mock.cli import main
from aione_mock.server.http import Server
from tests.checker.test_hostile_servers import app
from tests.timing import PATIENCE, make_untraced_environment

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


@pytest.mark.parametrize(
    "command",
    ["check http://127.0.0.1:9 --seed {}", "serve --seed {}", "world --seed {}", "check {}", "keys --config {}"],
)
def test_an_argument_that_is_not_utf_8(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [word.format(f"{SECRET}{NO_TEXT}") for word in command.split()]
    assert refuse(capsys, *words) == f"argument {len(words)} is not UTF-8 text"


def test_arguments_of_another_program_may_have_any_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    assert refuse(capsys, "run", "--", f"/no-such-program{NO_TEXT}").startswith("cannot run /no-such-program")


@pytest.mark.parametrize("seed", [NO_TEXT, "a" * 201])
def test_a_seed_that_cannot_be_used(
    seed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "a seed is a number or a word of at most 200 characters, such as --seed 7"
    monkeypatch.setenv("AIONE_MOCK_SEED", seed)
    for command in ("world", "serve --port 0", "config show"):
        assert words in refuse(capsys, *command.split())
    assert words in refuse(capsys, "check", NOBODY, "--key", "key", "--seed", "")


@pytest.mark.parametrize("now", ["0001-01-01T00:00:00Z", "1999-12-31", "2200-01-01", "9999-12-31T23:59:59Z"])
def test_a_time_that_is_too_far_away(now: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("world", "serve --port 0", "run -- true"):
        name, *others = command.split()
        assert refuse(capsys, name, "--now", now, *others) == f"--now: '{now}' is outside the years 2000 to 2199"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("check http://127.0.0.1:9 --key key --timeout 9999999d", "'9999999d' is too long; give at most a year"),
        ("check http://127.0.0.1:9 --key key --rate-limit 1e-320", "'1e-320' is not a rate"),
        ("check http://127.0.0.1:9 --key key --spend-limit 1e30", "'1e30' is not an amount of RMB"),
        ("canaries --url http://127.0.0.1:9 --key key --timeout nan", "--timeout must be a number of seconds from 0.1"),
        ("canaries --url http://127.0.0.1:9 --key key --timeout 1e300", "--timeout must be a number of seconds"),
        ("coverage --min nan", "--min must be a percentage from 0 to 100"),
        ("probe --patience 1e308 -- true", "--patience must be a number of seconds above 0, at most a year"),
        ("store check --store redis://127.0.0.1:9 --store-timeout 1e308", "--store-timeout: must be less than or"),
        ("store check --store redis://127.0.0.1:9?foo=1", "its URL has a parameter that does not exist: foo"),
        ("serve --port 0 --drain 1e308", "--drain: must be less than or equal to"),
    ],
)
def test_a_number_that_is_too_large(command: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert words in refuse(capsys, *command.split())


async def answer_oddly(scope: Any, send: Any) -> None:
    """Answer /deep with nested lists, and everything else with a refusal that quotes the request."""
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    refusal = {"error": {"message": f"who are you,\n{headers.get('authorization')}?"}}
    deep = scope["path"].startswith("/deep")
    body = b"[" * 100_000 + b"]" * 100_000 if deep else json.dumps(refusal).encode()
    kind = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200 if deep else 401, "headers": kind})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def odd_server() -> Iterator[str]:
    """Serve answers that no mock gives."""
    with Server(app(answer_oddly)) as server:
        yield server.url


def test_an_answer_that_quotes_the_control_token(odd_server: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = refuse(capsys, "mcp", "--url", odd_server, "--control-token", SECRET)
    assert told == f"{odd_server} is no aione-mock: who are you, Bearer ***?"


def test_an_answer_that_is_nested_deeply(odd_server: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = refuse(capsys, "canaries", "--url", NOBODY, "--key", "key", "--upstream", f"{odd_server}/deep")
    assert "something else answers there" in told


@pytest.mark.parametrize("session", ["é", "a\nb"])
def test_a_name_of_a_session_that_no_header_can_hold(
    session: str, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refuse(capsys, "coverage", "--url", server.url, "--session", session)
    assert "cannot name a session; use up to 64 letters, digits, dots, hyphens and underscores" in told


def test_a_header_that_cannot_be_sent(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", server.url, "--key", "key", "--header", "content-length: x"]) == 2
    told = capsys.readouterr().err
    assert f"Could not check: no answer from {server.url}: the request cannot be sent: bad Content-Length." in told
    assert "internal error" not in told


def test_one_report_that_cannot_be_written_does_not_lose_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report.json"
    assert main(["check", NOBODY, "--key", "key", "--junit", "/dev/full", "--json", str(report)]) == 2
    assert capsys.readouterr().err.endswith("aione-mock: cannot write '/dev/full': No space left on device\n")
    assert json.loads(report.read_bytes())["exit_code"] == 2


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("SSL_CERT_FILE", "/no-such-file", "$SSL_CERT_FILE cannot be used: No such file or directory"),
        ("SSL_CERT_FILE", __file__, "the certificates of $SSL_CERT_FILE cannot be used: "),
        ("HTTPS_PROXY", f"ftp://u:{SECRET}@127.0.0.1:9", "$HTTPS_PROXY or $ALL_PROXY cannot be used: write it as"),
        ("HTTPS_PROXY", f"http://u:{SECRET}/@127.0.0.1:9", "$HTTPS_PROXY or $ALL_PROXY cannot be used: write it as"),
        ("ALL_PROXY", "http://[::1", "$HTTPS_PROXY or $ALL_PROXY cannot be used: write it as"),
    ],
)
def test_certificates_and_proxies_of_the_environment(
    variable: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, value)
    for command in ("check", "diff https://gateway.invalid"):
        assert words in refuse(capsys, *command.split(), "https://gateway.invalid", "--key", "key")


@pytest.mark.parametrize("module", ["typer", "aione_mock.cli.keys"])
def test_ctrl_c_while_modules_are_imported(module: str) -> None:
    code = f"""
import os, signal, sys
class Interrupt:
    def find_spec(self, name, *_):
        if name == "{module}":
            os.kill(os.getpid(), signal.SIGINT)
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Interrupt())
sys.argv = ["aione-mock", "keys"]
from aione_mock.__main__ import main
sys.exit(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_name_of_a_file_that_is_too_long(capsys: pytest.CaptureFixture[str]) -> None:
    name = f"{'a' * 300}.yaml"
    assert refuse(capsys, "init", "--output", name) == f"cannot use '{name}': File name too long"


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_an_output_that_has_not_all_characters(encoding: str) -> None:
    environment = make_untraced_environment() | {"PYTHONIOENCODING": encoding}
    words = [sys.executable, "-m", "aione_mock", "world"]
    done = subprocess.run(words, capture_output=True, timeout=PATIENCE, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"\u2588" in done.stdout
