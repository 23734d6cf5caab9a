"""The control API belongs to this machine: hosts, origins, exposed addresses and the sessions of strangers."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from aione_mock.cli import main
from aione_mock.server.app import Mock, create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings
from tests.timing import PATIENCE

from .conftest import KEY, Client

CROSS_SITE = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}


@contextlib.contextmanager
def run_server(**options: object) -> Iterator[Client]:
    with Server(create_app(Settings(**options))) as server, Client(base_url=server.url) as client:
        yield client


def names(api: Client) -> set[str]:
    return {item["name"] for item in api.ok("GET", "sessions")["items"]}


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.nip.example", "[", "10.0.0.1"]
)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "journal"), ("POST", "scenarios"), ("GET", "health"), ("GET", "ready")]
)
def test_a_name_that_was_rebound_is_misdirected(root: Client, method: str, path: str, host: str) -> None:
    for more in ({}, {"origin": f"http://{host}", "sec-fetch-site": "same-origin"}):
        answer = root.request(method, f"/_mock/{path}", headers={"host": host, **more}, json={})
        assert answer.status_code == 421, answer.text
        assert answer.json()["error"]["name"] == "misdirected_request"
        assert "--allowed-host" in answer.json()["error"]["message"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:9", "[::1]:80", "localhost."])
def test_names_of_this_machine_are_not(root: Client, host: str) -> None:
    assert root.get("/_mock/stats", headers={"host": host}).status_code == 200


def test_the_gateway_takes_any_name(root: Client) -> None:
    assert root.chat(headers={"host": "api.example"}).status_code == 200


def test_allowed_hosts() -> None:
    with run_server(allowed_hosts=("mock.local",)) as api:
        assert api.get("/_mock/stats", headers={"host": "Mock.Local:1"}).status_code == 200
        assert api.get("/_mock/stats", headers={"host": "other.local"}).status_code == 421
    with run_server(allowed_hosts="a.local, *") as api:
        assert api.get("/_mock/stats", headers={"host": "other.local"}).status_code == 200


def test_the_scheme_of_an_origin_counts(root: Client) -> None:
    host = root.base_url.netloc.decode()
    secure = {"origin": f"https://{host}"}
    assert root.get("/_mock/stats", headers=secure).status_code == 403
    assert root.get("/_mock/stats", headers={**secure, "x-forwarded-proto": "https"}).status_code == 200
    assert root.get("/_mock/stats", headers={"origin": f"http://{host}"}).status_code == 200


# --- addresses that other machines reach


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--host", "0.0.0.0"], ["--host 0.0.0.0", "--control-token", "--no-control", "--control open"]),
        (["--host", "::"], ["--host ::", "--control open"]),
        (["--host", "0.0.0.0", "--control", "on"], ["--control open"]),
        (["--host", ""], ["--host: must not be empty"]),
        (["--host", " ", "--no-control"], ["--host is empty"]),
        (["--control", "wide"], ["--control", "'open'"]),
    ],
)
def test_an_exposed_control_api_must_be_wanted(
    options: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--port", "0", *options]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert [word for word in words if word not in shown.err] == []


def test_record_refuses_an_empty_host(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["record", "--upstream", "http://127.0.0.1:9", "--out", "/no/such/tape.yaml", "--host", ""]) == 2
    assert "--host: must not be empty" in capsys.readouterr().err


def test_a_variable_that_was_left_empty_opens_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AIONE_MOCK_CONTROL_TOKEN", "")
    assert main(["serve", "--port", "0", "--host", "0.0.0.0", "--control", "open"]) == 2
    assert "AIONE_MOCK_CONTROL_TOKEN: must not be empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "status"),
    [(["--control", "open"], 200), (["--control-token", "word"], 401), (["--no-control"], 404)],
    ids=["open", "token", "none"],
)
def test_an_exposed_address_starts_when_told(options: list[str], status: int) -> None:
    command = [sys.executable, "-m", "aione_mock", "serve", "--host", "0.0.0.0", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "Ctrl-C" in line:
                break
        url = next(word for word in lines[0].split() if word.startswith("http"))
        with Client(base_url=url, timeout=PATIENCE) as api:
            answer = api.get("/_mock/stats", headers={"host": "mock:8000"})
        process.terminate()
    assert answer.status_code == status
    assert ("Anyone who can reach this address" in "".join(lines)) is (status == 200)


# --- sessions of strangers


def test_requests_without_a_credential_push_nobody_out() -> None:
    with run_server(max_sessions=5) as api:
        api.ok("POST", "sessions", {"name": "mine"})
        assert api.chat(headers={"x-mock-session": "worked"}).status_code == 200
        for number in range(20):
            assert api.get(f"/_session/x{number}/v1/models").status_code == 401
            wrong = {"authorization": "Bearer sk-nex-wrong"}
            assert api.get(f"/_session/y{number}/v1/models", headers=wrong).status_code == 401
        assert {"mine", "worked", "default"} <= names(api)
        # what a stranger did can be looked at until the place is needed
        assert "y19" in names(api)
        for number in range(3):
            assert api.chat(headers={"x-mock-session": f"z{number}"}).status_code == 200
        assert names(api) == {"default", "worked", "z0", "z1", "z2"}


def test_a_full_server_serves_a_new_session_with_a_credential() -> None:
    with run_server(max_sessions=2) as api:
        api.ok("POST", "sessions", {"name": "mine"})
        assert api.get("/_session/stranger/v1/models").status_code == 401
        assert names(api) == {"default", "mine"}
        # a credential gives the session a place, at the cost of the one not used for longest
        assert api.chat(headers={"x-mock-session": "other"}).status_code == 200
        assert names(api) == {"default", "other"}
        assert api.ok("GET", "sessions/other")["calls"] == 1


@pytest.mark.parametrize(
    "headers",
    [
        CROSS_SITE,
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"},
        {"origin": "http://another.example"},
        {"origin": "null"},
    ],
    ids=["image", "link", "form", "sandbox"],
)
def test_a_page_of_another_site_makes_no_session(headers: dict[str, str]) -> None:
    with run_server() as api:
        for path in ("/_session/made/v1/models", f"/_session/made/v1beta/models?key={KEY}"):
            answer = api.get(path, headers={"authorization": f"Bearer {KEY}", **headers})
            assert answer.status_code == 200
        assert names(api) == {"default"}
        # one that exists is used as by everybody else
        api.ok("POST", "sessions", {"name": "made"})
        assert api.get("/_session/made/v1/models", headers={"authorization": f"Bearer {KEY}", **headers}).is_success
        assert api.ok("GET", "sessions/made")["calls"] == 1


def test_other_ports_of_this_machine_are_the_same_site() -> None:
    with run_server() as api:
        headers = {"authorization": f"Bearer {KEY}", "origin": "http://127.0.0.1:3000", "sec-fetch-site": "same-site"}
        assert api.get("/_session/app/v1/models", headers=headers).status_code == 200
        assert "app" in names(api)


@pytest.mark.slow
def test_a_thousand_and_one_strangers(app: Mock, root: Client) -> None:
    """Item D14 of the attack, at the default bound."""
    with run_server() as api:
        api.ok("POST", "sessions", {"name": "mine"})
        for number in range(1001):
            assert api.get(f"/_session/x{number}/v1/models", headers=CROSS_SITE).status_code == 401
            assert api.get(f"/_session/x{number}/v1/models").status_code == 401
        assert "mine" in names(api)
