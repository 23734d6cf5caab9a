"""The command line: its output, its errors, its start and its end."""

from __future__ import annotations

import contextlib
import itertools
import json
import shlex
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest
import typer
import yaml
from rich.text import Text

from aione_mock.cli import create_program, main, terminal
from aione_mock.cli.banner import CLIENTS, StartupBanner, format_base_url
from aione_mock.contract import Contract
from aione_mock.contract.loading import load_contract
from aione_mock.settings import DOCUMENTS, locate_document
from aione_mock.tenant.organisation_file import list_credentials
from tests.timing import PATIENCE, Share, at_best, make_untraced_environment, measure_slowness, wait_until
from tests.wire_reader import ask, build_request

NOW = ("--now", "2026-11-20T10:30:00+08:00")
ENVIRONMENT = (
    "AIONE_API_KEY",
    "AIONE_CONSOLE_TOKEN",
    "AIONE_BUSINESS_TOKEN",
    "AIONE_OTHER_TOKEN",
    "AIONE_ACCESS_KEY_ID",
    "AIONE_ACCESS_KEY_SECRET",
)
EXTRA = {
    "overlay": "1.0.0",
    "info": {"title": "one operation more", "version": "1"},
    "actions": [
        {
            # the paths of the document that has this one: every document has paths
            "target": "$[?@['/v1/models']]",
            "update": {
                "/v1/audio/voices": {
                    "get": {
                        "operationId": "listVoices",
                        "summary": "Voices",
                        "responses": {"200": {"description": "All voices."}},
                    }
                }
            },
        }
    ],
}


def credentials() -> list[Any]:
    return list_credentials()


def contract() -> Contract:
    return load_contract([locate_document(name) for name in DOCUMENTS])


class Running:
    """`aione-mock serve` in its own process, ready."""

    def __init__(self, *options: str, **process: Any) -> None:
        port = () if "--uds" in options else ("--port", "0")
        command = [sys.executable, "-m", "aione_mock", "serve", *port, *options]
        given = {"stderr": subprocess.PIPE, **process}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **given)
        assert self.process.stdout is not None
        self.lines: list[str] = []
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if line.startswith("Ctrl-C"):
                break
        assert self.lines, self.process.communicate()[1]
        self.url = next(word for word in self.lines[0].split() if word.startswith("http"))

    def end(self, number: signal.Signals) -> tuple[int, float, str]:
        """Send a signal; return the exit code, the seconds it took, and the log."""
        started = time.monotonic()
        self.process.send_signal(number)
        log = self.process.communicate(timeout=PATIENCE)[1]
        return self.process.returncode, time.monotonic() - started, log


@contextlib.contextmanager
def run_server(*options: str, **process: Any) -> Iterator[Running]:
    running = Running(*options, **process)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.communicate()


# --- keys


def test_keys_as_environment(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "--format", "dotenv"]) == 0
    pairs = dict(line.split("=", 1) for line in capsys.readouterr().out.splitlines())
    assert set(pairs) == set(ENVIRONMENT)
    known = {value for credential in credentials() for value in (credential.secret, credential.id)}
    assert set(pairs.values()) <= known


def test_keys_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["secret"] for row in rows] == [credential.secret for credential in credentials()]
    assert all(row["purpose"] and row["kind"] in ("key", "token", "access_key") for row in rows)


@pytest.mark.parametrize("looked_at", [False, True])
def test_no_secret_is_cut_in_the_table(
    looked_at: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "is_interactive", lambda: looked_at)
    monkeypatch.setenv("COLUMNS", "110")
    assert main(["keys"]) == 0
    words = capsys.readouterr().out.split()
    assert {credential.secret for credential in credentials()} <= set(words)
    assert {f"{credential.id})" for credential in credentials() if credential.kind == "access_key"} <= set(words)


# --- spec


@pytest.mark.parametrize("name", DOCUMENTS)
def test_bundle_is_the_document_in_one_piece(name: str, tmp_path: Path, capsysbinary: Any) -> None:
    assert main(["spec", "bundle", "--document", name.removesuffix(".yaml")]) == 0
    as_yaml = yaml.load(capsysbinary.readouterr().out, Loader=yaml.CSafeLoader)
    target = tmp_path / "bundle.json"
    assert main(["spec", "bundle", "--document", name, "--output", str(target)]) == 0
    as_json = json.loads(target.read_bytes())
    assert as_json == as_yaml == contract().documents[name]
    assert not [reference for reference in references(as_json) if not reference.startswith("#/")]


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_bundle_keeps_texts_readable(capsysbinary: Any) -> None:
    main(["spec", "bundle"])
    text = capsysbinary.readouterr().out.decode()
    assert "  description: |" in text
    assert "\\u" not in text.replace("\\uFEFF", "")
    assert "&id0" not in text


def test_overlay_adds_an_operation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    overlay = tmp_path / "more.yaml"
    overlay.write_text(json.dumps(EXTRA), encoding="utf-8")
    assert main(["spec", "routes", "--overlay", str(overlay)]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("listVoices"))
    assert line.split() == ["listVoices", "GET", "/v1/audio/voices", "assumed", "generated"]


def test_routes_list_every_operation(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spec", "routes"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["OPERATION", "METHOD", "PATH", "EVIDENCE", "ANSWERED", "BY"]
    rows = {line.split()[0]: line.split()[1:] for line in lines}
    operations = contract().operations
    assert {name: row[:3] for name, row in rows.items()} == {
        name: [operation.method, operation.path, operation.evidence] for name, operation in operations.items()
    }
    assert rows["createChatCompletion"][3] == "handler"
    assert rows["getHealth"][3] == "handler"


def test_lint_of_the_contract_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spec", "lint"]) == 0
    assert "no findings" in capsys.readouterr().out


def test_lint_names_what_an_overlay_breaks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    overlay = tmp_path / "wrong.yaml"
    update = {"minimun": 3}
    action = {"target": "$.components.schemas.ChatCompletionRequest", "update": update}
    overlay.write_text(json.dumps({"overlay": "1.0.0", "actions": [action]}), encoding="utf-8")
    assert main(["spec", "lint", "--overlay", str(overlay)]) == 2
    shown = capsys.readouterr()
    assert "wrong.yaml: action 1: aione.yaml#/components/schemas/ChatCompletionRequest/minimun" in shown.err
    assert "did you mean 'minimum'?" in shown.err
    assert not shown.out


def test_serve_and_lint_show_all_problems_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text(
        """overlay: 1.0.0
actions:
  - {target: $.nowhere, update: {}}
  - {update: {}}
  - {target: $.info, update: 5}
  - {target: $.components.schemas, update: {A: {typ: string, $ref: '#/components/schemas/None'}, B: {type: text}}}
  - {target: $.paths, update: {/v1/a: {get: {operationId: a, responses: {2XX: {description: A}}}}}}
""",
        encoding="utf-8",
    )
    second.write_text("overlay: 2.0.0", encoding="utf-8")
    overlays = ["--overlay", str(first), "--overlay", str(second)]
    lines = []
    for command in (["spec", "lint"], ["serve", "--port", "0"]):
        assert main([*command, *overlays]) == 2
        lines.append(capsys.readouterr().err.splitlines())
    assert lines[0] == lines[1]
    wanted = (
        "first.yaml: action 1: '$.nowhere' matches nothing",
        "first.yaml: action 2 has no `target`",
        "first.yaml: action 3: `update` needs",
        "second.yaml: not an OpenAPI Overlay 1.x",
        "first.yaml: action 5: aione.yaml#/paths/~1v1~1a/get/responses: '2XX' is no status",
        "first.yaml: action 4: aione.yaml#/components/schemas/A/$ref: '#/components/schemas/None' points to nothing",
        "aione.yaml#/components/schemas/A/typ: unknown schema keyword 'typ'; did you mean 'type'?",
        "first.yaml: action 4: aione.yaml#/components/schemas/B/type: 'text' is no type",
    )
    assert len(lines[0]) == len(wanted)
    for words, line in zip(wanted, lines[0], strict=True):
        assert words in line


# --- world


def test_world_is_the_same_for_the_same_seed_and_time(capsys: pytest.CaptureFixture[str]) -> None:
    outputs = []
    for seed in ("7", "7", "8"):
        assert main(["world", *NOW, "--seed", seed]) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1] != outputs[2]


def test_world_shows_what_json_says(capsys: pytest.CaptureFixture[str]) -> None:
    main(["world", *NOW])
    shown = capsys.readouterr().out
    main(["world", *NOW, "--json"])
    content = json.loads(capsys.readouterr().out)
    org = content["organisations"][0]
    costs = org["daily_cost_rmb"]
    assert len(costs) == 30
    assert list(costs)[-1] == "2026-11-20"
    assert f"{sum(map(Decimal, costs.values()))} in all" in shown
    names = [org["name"], *[team["name"] for team in org["teams"]], *[key["secret"] for key in org["keys"]]]
    assert [name for name in names if name not in shown] == []
    assert [model["id"] for model in content["models"] if model["id"] not in shown] == []


# --- refusals


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["serve", "--seed", " "], ["seed", "--seed 7"]),
        (["serve", "--now", "yesterday"], ["'yesterday'", "2026-01-31T09:00:00Z"]),
        (["serve", "--port", "70000"], ["70000", "--port"]),
        (["serve", "--port", "eighty"], ["--port", "int"]),
        (["serve", "--host", "no.such.host.invalid"], ["no.such.host.invalid"]),
        (["serve", "--auth", "none"], ["--auth", "'keys'", "'any'"]),
        (["serve", "--pace", "sluggish"], ["--pace", "sluggish", "instant", "realistic"]),
        (["serve", "--time-scale", "0"], ["--time-scale", "greater than 0"]),
        (["serve", "--port", "0", "--overlay", "/no/such/overlay.yaml"], ["/no/such/overlay.yaml", "No such file"]),
        (["serve", "--port", "0", "--overlay", "/"], ["overlay '/'", "directory"]),
        (["serve", "--port", "0", "--scenarios", "/no/such/rules.yaml"], ["/no/such/rules.yaml", "no such file"]),
        (["serve", "--port", "0", "--replay", "/"], ["cassette '/'", "directory"]),
        (["serve", "--control-token", ""], ["--control-token", "must not be empty"]),
        (["serve", "--prot", "1"], ["--prot", "--port"]),
        (["sreve"], ["'sreve'", "'serve'"]),
        (["keys", "--format", "xml"], ["--format", "'env'"]),
        (["spec", "bundle", "--document", "modelrooter"], ["'modelrooter'", "did you mean 'modelrouter'?"]),
        (["spec", "bundle", "--output", "/no/such/folder/x.yaml"], ["/no/such/folder/x.yaml", "--output"]),
        (["world", "--now", "2026-13-01"], ["2026-13-01"]),
        (["cassette", "show", "/no/such.yaml"], ["cassette '/no/such.yaml'", "No such file"]),
        (["probe", "--only", "x", "--", "true"], ["unknown check 'x'", "there are retries_too_often, "]),
        (["probe"], ["COMMAND"]),
    ],
)
def test_a_refusal_is_one_line_and_code_2(
    arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert [word for word in words if word not in shown.err] == []


@pytest.mark.parametrize(
    "command",
    [
        ["serve", "--port", "0", "--overlay"],
        ["serve", "--port", "0", "--scenarios"],
        ["serve", "--port", "0", "--replay"],
        ["spec", "lint", "--overlay"],
        ["errors", "--overlay"],
        ["cassette", "show"],
        ["cassette", "check"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("content", [b"", b"- 1", b"a: [1", b"text", b"\xff\xfe\x00", b"[" * 2000])
def test_a_file_of_another_kind_is_refused_in_one_line(
    command: list[str], content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "file.yaml"
    path.write_bytes(content)
    assert main([*command, str(path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "file.yaml" in error


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [1", ["overlay.yaml:", "not YAML"]),
        ("- 1", ["mapping"]),
        ("overlay: 3.0.0", ["Overlay 1.x"]),
        ("{overlay: 1.0.0, actions: [{target: $.paths.nowhere, remove: true}]}", ["action 1", "matches nothing"]),
        ("{overlay: 1.0.0, actions: [{target: '$..[', remove: true}]}", ["action 1", "JSONPath"]),
        (
            "{overlay: 1.0.0, actions: [{target: $.paths, update: {/x: {get: {responses: {200: {}}}}}}]}",
            ["operationId is missing"],
        ),
    ],
)
def test_an_overlay_that_cannot_be_used(
    text: str, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(text, encoding="utf-8")
    assert main(["serve", "--port", "0", "--overlay", str(overlay)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert [word for word in words if word not in error] == []


def test_a_port_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["serve", "--port", port]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"127.0.0.1:{port}" in error
    assert "choose another with --port" in error


def _list_help(command: Any, path: str = "aione-mock") -> Iterator[tuple[str, str]]:
    """Yield each text of the help of a command and of those below it."""
    for text in [command.help, *[getattr(each, "help", None) for each in command.params]]:
        yield path, text or ""
    for name, each in getattr(command, "commands", {}).items():
        yield from _list_help(each, f"{path} {name}")


def test_help_shows_every_word() -> None:
    """Typer prints help as markup, in which a word in brackets is a style."""
    found = list(_list_help(typer.main.get_command(create_program())))
    assert len(found) > 200
    assert [(path, text) for path, text in found if Text.from_markup(text).plain != text] == []


def test_help_names_values_that_can_be_given() -> None:
    texts = [text for path, text in _list_help(typer.main.get_command(create_program())) if "control" in text]
    assert any(text.endswith("Default: on.") for text in texts)


def test_without_a_command_there_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert {"serve", "spec", "keys", "world"} <= set(capsys.readouterr().out.split())


# --- serve


def test_addresses_that_a_client_can_use() -> None:
    assert format_base_url("0.0.0.0", 80) == "http://127.0.0.1:80"
    assert format_base_url("::", 80) == "http://[::1]:80"
    assert format_base_url("example.test", 8000) == "http://example.test:8000"


def test_every_base_url_leads_somewhere() -> None:
    paths = [operation.path for operation in contract().operations.values()]
    assert [base for base, _ in CLIENTS.values() if not any(path.startswith(f"{base}/") for path in paths)] == []


def test_without_control_its_url_is_not_shown() -> None:
    shown = StartupBanner("http://x", "0", "key", "model", "/chat", control=False)
    assert "Control" not in [name for name, _, _ in shown.list_base_urls()]


def test_what_serve_prints_can_be_pasted() -> None:
    with run_server("--seed", "paste") as running:
        curl = shlex.split(next(line for line in running.lines if line.strip().startswith("curl ")))
        headers = dict(value.split(": ", 1) for flag, value in itertools.pairwise(curl) if flag == "-H")
        answer = httpx2.post(curl[1], headers=headers, content=curl[curl.index("-d") + 1])
        assert answer.status_code == 200, answer.text
        assert answer.json()["choices"][0]["message"]["content"]
        shell = shlex.split(next(line for line in running.lines if "OPENAI_BASE_URL" in line))
        variables = dict(word.split("=", 1) for word in shell[1:])
        assert variables["OPENAI_BASE_URL"] + "/chat/completions" == curl[1]
        assert f"Bearer {variables['OPENAI_API_KEY']}" == headers["Authorization"]
        python = [line.strip() for line in running.lines[running.lines.index("Python") + 1 :][:2]]
        names: dict[str, Any] = {}
        exec("\n".join(python), names)
        assert str(names["client"].base_url) == variables["OPENAI_BASE_URL"] + "/"
        assert any("Control" in line and f"{running.url}/_mock" in line for line in running.lines)
        assert httpx2.get(f"{running.url}/_mock/health").status_code == 200


@pytest.mark.parametrize("scenario", ["", "X-Mock-Scenario: stall; after=1; then=hang\r\n"], ids=["paced", "hanging"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
@at_best
def test_it_ends_at_once_streams_included(number: signal.Signals, code: int, scenario: str) -> None:
    with run_server("--pace", "realistic", "--time-scale", "0.01", "--auth", "any", "--drain", "0") as running:
        body = {"model": "gpt-5.4", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}
        address = running.url.removeprefix("http://").split(":")
        raw = json.dumps(body).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n"
            f"Content-Type: application/json\r\n{scenario}Content-Length: {len(raw)}\r\n\r\n"
        )
        with socket.create_connection((address[0], int(address[1]))) as client:
            client.sendall(head.encode() + raw)
            client.settimeout(PATIENCE)
            assert client.recv(15) == b"HTTP/1.1 200 OK"
            returned, seconds, log = running.end(number)
        assert returned == code
        assert seconds < 1.0
        assert log == ""


PROBE = """
import json, os, signal, sys, threading, urllib.request
from aione_mock.cli import main, serve

def probe(welcome):
    body = {"model": welcome.model, "messages": [{"role": "user", "content": "Hello"}], "stream": True}
    headers = {"Authorization": "Bearer " + welcome.key, "Content-Type": "application/json"}
    urllib.request.urlopen(welcome.url + "/_mock/health").read()
    for stream in (True, False):
        data = json.dumps({**body, "stream": stream}).encode()
        urllib.request.urlopen(urllib.request.Request(welcome.url + welcome.chat, data, headers)).read()
    for path in ("/api/v1/gateway/keys", "/api/v1/obs/dashboard", "/v1beta/models"):
        urllib.request.urlopen(urllib.request.Request(welcome.url + path, headers=headers)).read()
    print(json.dumps(sorted(sys.modules)))
    os.kill(os.getpid(), signal.SIGINT)

serve.print_banner = lambda welcome: threading.Thread(target=probe, args=(welcome,)).start()
sys.exit(main(["serve", "--port", "0"]))
"""


def test_serve_loads_no_test_library() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, timeout=300)
    assert done.returncode == 130, done.stderr
    modules = set(json.loads(done.stdout))
    loaded = {name.partition(".")[0] for name in modules}
    wanted = {"uvicorn", "starlette", "orjson"}
    unwanted = {"schemathesis", "hypothesis", "faker", "openai", "anthropic", "google", "pytest", "jsonpath", "httpx2"}
    assert wanted <= loaded
    assert loaded & unwanted == set()
    # only for what is looked at on a terminal
    assert "rich" not in loaded
    # only where it was asked for
    ours = {name.partition(".")[2] for name in modules if name.startswith("aione_mock.")}
    optional = {"checker", "mutants", "testing", "recorder.cassette", "server.replay", "server.session_cassette"}
    assert ours & optional == set()


def test_the_first_answer_comes_within_a_second() -> None:
    """The fastest of three starts counts, without the time that other processes used the core."""
    seconds = [first_answer() for _ in range(3)]
    assert min(seconds) < 1.0, seconds


def first_answer() -> float:
    """Return the seconds from the start to the first answer, scaled to the reference machine."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    before, started = measure_slowness(), time.monotonic()
    command = [sys.executable, "-m", "aione_mock", "serve", "--port", str(port)]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, env={**make_untraced_environment(), "PYTHONDONTWRITEBYTECODE": ""}
    )
    share = Share(process.pid)
    try:
        assert wait_until(lambda: answers(port)), "it never answered"
        return share.compute_fair_seconds(time.monotonic() - started, (before + measure_slowness()) / 2)
    finally:
        process.kill()
        process.wait()


def answers(port: int) -> bool:
    """Return whether the server answers. It uses a bare socket, to take no time from the process that starts."""
    with contextlib.suppress(ConnectionRefusedError):
        return ask(port, build_request("/_mock/health")).status == 200
    return False


def test_a_terminal_table_keeps_its_columns(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert terminal.align_columns([("云帆", "x"), ("abcde", "y")]) == ["云帆   x", "abcde  y"]
    assert terminal.measure_width(textwrap.dedent("号1")) == 3
