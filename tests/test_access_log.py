"""The log of requests: its lines, its format, and that it never holds the server up."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import threading
from collections.abc import Iterator
from io import StringIO
from typing import Any

import httpx
import pytest

from aione_mock import create_app
from aione_mock.server import access_log
from aione_mock.server.access_log import AccessLog, LogEntry, format_json, format_text
from aione_mock.server.http import Server
from aione_mock.text.credentials import CredentialMask
from tests.test_cli import run_server
from tests.timing import PATIENCE, wait_until

KEY = "sk-nex-demo-every-model"
CHAT = "/v1/chat/completions"
BODY = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 20}
AUTHORIZATION = {"authorization": f"Bearer {KEY}"}


class Logging:
    """A server with its log."""

    def __init__(self, server: Server, written: StringIO) -> None:
        self.server, self._written, self._read = server, written, 0

    def post(self, path: str = CHAT, **headers: str) -> httpx.Response:
        given = AUTHORIZATION | {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.post(self.server.url + path, json=BODY, headers=given)

    def entry(self) -> Any:
        """Wait for the next line and return what it says."""
        assert wait_until(lambda: len(self._lines()) > self._read, 10)
        self._read += 1
        return json.loads(self._lines()[self._read - 1])

    def _lines(self) -> list[str]:
        return self._written.getvalue().splitlines()


@pytest.fixture(scope="module")
def running() -> Iterator[Logging]:
    app, written = create_app(), StringIO()
    app.gateway.access_log = AccessLog(written, format_json)
    with Server(app) as server:
        yield Logging(server, written)
    app.gateway.access_log.close()


def test_an_answer_is_logged_with_what_it_cost(running: Logging) -> None:
    usage = running.post().json()["usage"]
    entry = running.entry()
    assert list(entry) == list(LogEntry.__struct_fields__)  # type: ignore[attr-defined]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry.pop("time"))
    assert entry.pop("request_id").startswith("req_")
    assert entry.pop("duration_ms") > 0
    assert entry == {
        "method": "POST",
        "path": CHAT,
        "status": 200,
        "model": "gpt-5.4",
        "input_tokens": usage["prompt_tokens"],
        "output_tokens": usage["completion_tokens"],
        "operation": "createChatCompletion",
        "session": "default",
        "key": "Demo (sk-nex-demo...)",
        "rule": None,
        "scenario": None,
        "refused": None,
        "stream": False,
        "client_left": False,
        "cut": False,
    }


def test_a_refusal_is_logged_with_its_reason(running: Logging) -> None:
    running.post(authorization="Bearer wrong-key-1234567")
    entry = running.entry()
    assert (entry["status"], entry["model"]) == (401, "gpt-5.4")
    assert entry["refused"].startswith("invalid_api_key: ")
    running.post(f"/_session/named{CHAT}", x_mock_scenario="rate_limit_exceeded")
    entry = running.entry()
    assert [entry[name] for name in ("status", "session", "rule", "scenario", "refused")] == [
        429,
        "named",
        "header",
        "rate_limit_exceeded",
        "rate_limit_exceeded",
    ]
    headers = {"origin": "https://far.example", "access-control-request-method": "POST"}
    httpx.options(running.server.url + CHAT, headers=headers)
    assert running.entry()["refused"] == "Disallowed CORS origin; --cors allows other pages"


def test_of_the_control_api_only_refusals_are_logged(running: Logging) -> None:
    httpx.get(f"{running.server.url}/_mock/journal")
    httpx.get(f"{running.server.url}/_mock/journal", headers={"origin": "https://far.example"})
    entry = running.entry()
    assert (entry["path"], entry["status"]) == ("/_mock/journal", 403)


def test_a_stream_is_logged_when_it_ends(running: Logging) -> None:
    streamed = BODY | {"stream": True}
    slow = AUTHORIZATION | {"x-mock-scenario": "pace; ttft=0.3"}
    httpx.post(running.server.url + CHAT, json=streamed, headers=slow)
    entry = running.entry()
    assert (entry["stream"], entry["client_left"]) == (True, False)
    assert entry["duration_ms"] >= 299  # the clocks of waiting and of the log differ a little
    slow["x-mock-scenario"] = "pace; tps=1"
    with httpx.stream("POST", running.server.url + CHAT, json=streamed, headers=slow) as answer:
        next(answer.iter_raw())
    assert running.entry()["client_left"]


def test_who_has_ended_a_stream_is_said() -> None:
    app, written = create_app(), StringIO()
    app.gateway.access_log = AccessLog(written, format_text)
    slow = AUTHORIZATION | {"x-mock-scenario": "pace; tps=1"}
    with Server(app) as server:
        for goes in (True, False):
            with httpx.stream("POST", server.url + CHAT, json=BODY | {"stream": True}, headers=slow) as answer:
                body = answer.iter_raw()  # dropping it would close the connection
                assert next(body)
                if not goes:
                    server.stop()
            assert wait_until(lambda: "pace; " in written.getvalue())
    app.gateway.access_log.close()
    first, second = written.getvalue().splitlines()
    assert first.endswith("pace; the client left")
    assert second.endswith("pace; cut, because the server ended")


def test_what_clients_send_is_masked_and_cannot_control_a_terminal(running: Logging) -> None:
    running.post(f"/v1/nothing/{KEY}/%1b%5b31m")
    running.post("/v1beta/models/wrong-key-1234567:generateContent", authorization="Bearer wrong-key-1234567")
    body = BODY | {"model": "\x1b[31m\u202e\x85"}
    httpx.post(running.server.url + CHAT, json=body, headers=AUTHORIZATION)
    running.post(f"/_session/{KEY}{CHAT}")
    entries = [running.entry() for _ in range(4)]
    assert entries[0]["path"] == "/v1/nothing/sk-nex-***/%1b%5b31m"
    assert entries[1]["path"] == "/v1beta/models/***:generateContent"
    assert "wrong-key" not in str(entries[1])
    assert entries[3]["session"] == "sk-nex-***"
    assert entries[2]["model"] == "\x1b[31m\u202e\x85"
    assert KEY not in running._written.getvalue()
    assert running._written.getvalue().replace("\n", "").isprintable()
    line = format_text(LogEntry(**(entries[2] | {"time": 0.0})), colours=True)
    assert re.sub(r"\x1b\[\d+m", "", line).isprintable()
    assert line.count("\x1b") == 4  # the colours of time and status


def test_only_the_start_of_a_huge_name_is_searched(running: Logging, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search through megabytes would take seconds in which nobody is answered."""
    searched, mask_text = [], CredentialMask.mask_text
    monkeypatch.setattr(
        CredentialMask, "mask_text", lambda mask, text: (searched.append(len(text)), mask_text(mask, text))[1]
    )
    name = "a-" * 1_000_000
    assert httpx.post(running.server.url + CHAT, json=BODY | {"model": name}, headers=AUTHORIZATION).status_code == 404
    assert running.entry()["model"] == name[:300]
    assert 300 < max(searched) <= 4096


class Paused(StringIO):
    """What a terminal is after Ctrl-S."""

    def __init__(self) -> None:
        super().__init__()
        self.resumed = threading.Event()

    def write(self, text: str) -> int:
        self.resumed.wait(PATIENCE)
        return super().write(text)


def test_a_terminal_that_is_paused_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_log, "_MAX_WAITING", 3)
    app, paused = create_app(), Paused()
    log = app.gateway.access_log = AccessLog(paused, format_json)
    with Server(app) as server, httpx.Client(base_url=server.url) as client:
        assert client.get("/first").status_code == 404
        assert wait_until(lambda: not log._lines)
        for number in range(5):
            assert client.get(f"/{number}").status_code == 404
    paused.resumed.set()
    log.close()
    *lines, last = paused.getvalue().splitlines()
    assert [json.loads(line)["path"] for line in lines] == ["/first", "/0", "/1", "/2"]
    assert last == "2 lines were dropped, because they were not read in time"


class Writes(Paused):
    """Notes what is written at once."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def write(self, text: str) -> int:
        self.texts.append(text)
        return super().write(text)


def test_what_is_written_at_once_are_whole_lines_that_a_pipe_takes_undivided() -> None:
    app, paused = create_app(), Writes()
    log = app.gateway.access_log = AccessLog(paused, format_json)
    with Server(app) as server, httpx.Client(base_url=server.url) as client:
        for number in range(40):
            assert client.get(f"/{number}-模型").status_code == 404
    paused.resumed.set()
    log.close()
    assert len(paused.getvalue().splitlines()) == 40
    assert all(text.endswith("\n") and len(text.encode()) <= 4096 for text in paused.texts)
    assert len(paused.texts) < 10


def call(url: str) -> None:
    assert httpx.post(url + CHAT, json=BODY, headers=AUTHORIZATION).status_code == 200


@pytest.mark.parametrize("colours", [True, False])
def test_on_a_terminal_requests_are_logged_in_columns(colours: bool) -> None:
    controller, terminal = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | {"TERM": "xterm"}
    environment |= {} if colours else {"NO_COLOR": "1"}
    with run_server(stderr=terminal, env=environment) as running:
        os.close(terminal)
        call(running.url)
        written = os.read(controller, 10_000).decode()
        running.end(signal.SIGTERM)
    os.close(controller)
    time, status = (
        (r"\x1b\[2m\d\d:\d\d:\d\d\x1b\[0m", r"\x1b\[32m200\x1b\[0m") if colours else (r"\d\d:\d\d:\d\d", "200")
    )
    assert re.fullmatch(rf"{time}  POST    {CHAT} +{status}  gpt-5\.4 +\d+ in \d+ out +\d+\.\d ms\r\n", written)


def test_elsewhere_requests_are_logged_if_it_is_asked_for() -> None:
    with run_server("--log", "requests", "--log-format", "json") as running:
        call(running.url)
        # also the last line, whose thread has not yet got its turn
        assert json.loads(running.end(signal.SIGTERM)[2])["status"] == 200
