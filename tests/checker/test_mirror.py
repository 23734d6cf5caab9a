"""`aione-mock mirror`: a gateway's models, keys, teams, plan and account become a configuration that looks like it."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from aione_mock.cli import main
from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings
from aione_mock.tenant.world import World
from tests.checker.faulty_gateway import Fault, FaultyGateway, SeenRequest, SentResponse, answer_with, edit_json
from tests.checker.openai_gateway import OpenAIGateway

SOURCE = """
models:
  models:
    - {id: house-model, aliases: [house], owner: us, context_length: 9000, max_output_tokens: 900,
       prices: {input: "1000.0001", cached_input: "1", output: "7000.5"}}
    - {id: claude-sonnet-4-6, aliases: [sonnet-4-6], prices: {input: "2", output: "4"}}
    - {id: picture-model, protocols: [openai, gemini], abilities: [vision, image_output], created: 2025-03-04}
    - {id: not-in-the-plan}
world:
  name: My Company
  plan: {name: Mine, rpm_limit: 10000, monthly_fee_rmb: "12.34",
         models: [house-model, claude-sonnet-4-6, picture-model]}
  account: {balance_rmb: "7700.0000", credit_limit_rmb: "3.0000", monthly_budget_rmb: "50.0000"}
  teams: [{name: Research}, {name: Sales, id: c2a9d1f4-6b3e-4f08-8e25-71d0a4b93c57}, {name: Quiet}]
  tokens:
    - {secret: console-for-engineers}
    - {secret: console-for-payers, view: business}
  access_keys:
    - {id: my-access, secret: my-access-secret}
    - {id: my-charts, secret: my-charts-secret, actions: ['aicontent:ModelRouterQueryObservationCharts']}
  keys:
    - {name: Switched off, secret: sk-nex-1off-by-hand, status: disabled}
    - {name: Main, secret: sk-nex-main-key-of-mine, rpm_limit: 5000}
    - {name: Old, secret: sk-nex-old0, expires_at: 2026-01-20T02:00:00Z}
    - {name: Later, secret: sk-nex-later, expires_at: 2099-11-21T00:00:00Z, team: Quiet}
    - {name: House only, secret: sk-nex-house, models_allowed: [house], team: Sales}
    - {name: House only, label: again, secret: sk-nex-again, models_allowed: [house, claude-sonnet-4-6]}
    - {name: Elsewhere, secret: sk-nex-elsewhere, allowed_ips: [10.1.0.0/16], tpm_limit: 20}
    - {name: Rotated, secret: sk-nex-after, rotated: {secret: sk-nex-before, grace_hours: 7}}
    - {name: "[b]x{,:} 名字 \\u202e\\e[1m", secret: sk-nex-odd0, is_sandbox: true}
    - {name: Research calls, secret: sk-nex-past, team: Research, past: &past {calls: 50, prompt: 1000,
       completion: 100, cached: 10, models: {house-model: 100}}}
    - {name: Sales calls, secret: sk-nex-past2, team: Sales, past: *past}
    - {name: Calls of nobody, secret: sk-nex-past3, past: *past}
  organisations:
    - {name: Second, keys: [{name: Second, secret: sk-nex-second}], tokens: [{secret: console-of-second}],
       plan: {models: [claude-sonnet-4-6]}}
"""
CREDENTIALS = {
    "key": "sk-nex-main-key-of-mine",
    "token": "console-for-engineers",
    "business-token": "console-for-payers",
    "other-token": "console-of-second",
    "access-key": "my-access",
    "access-secret": "my-access-secret",
}
OPTIONS = [f"--{name}={secret}" for name, secret in CREDENTIALS.items()]
DATA_PLANE, CONSOLE = "^/v1", "^/api/v1/(?!modelRouter)"


@pytest.fixture(scope="module")
def source_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "source.yaml"
    path.write_text(SOURCE, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def source(source_file: Path) -> Iterator[FaultyGateway]:
    gateway = FaultyGateway(create_app(Settings(config=source_file)))
    with Server(gateway) as server:
        gateway.url = server.url
        yield gateway


@pytest.fixture
def gateway(source: FaultyGateway) -> Iterator[FaultyGateway]:
    source.fault, source.seen = Fault(), []
    yield source
    source.fault = Fault()


def mirror(url: str, out: Path, *options: str, credentials: list[str] | None = None) -> int:
    given = OPTIONS if credentials is None else credentials
    return main(["mirror", url, f"--out={out}", *given, *options])


def load(out: Path) -> World:
    """Return the world of a written file, which holds no credential of the gateway."""
    text = out.read_text(encoding="utf-8")
    assert not [secret for name, secret in CREDENTIALS.items() if secret in text and name != "access-key"]
    return World.load(Settings(config=out))


def diff(url: str, out: Path, monkeypatch: pytest.MonkeyPatch, *only: str) -> int:
    """Serve a written file, and compare it with the gateway."""
    settings = Settings(config=out)
    for credential in World.load(settings).list_credentials():
        for name, value in credential.env:
            monkeypatch.setenv(f"{name}_B", value)
    with Server(create_app(settings)) as server:
        return main(["diff", url, server.url, *OPTIONS, *(f"--only={name}" for name in only)])


READING = ("area:models", "area:usage", "area:keys", "area:billing", "law:schema", "tag:Observation")


def test_the_mirror_looks_like_its_source(
    gateway: FaultyGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # paid calls lower the balance of a session
    out, url = tmp_path / "aione-mock.yaml", f"{gateway.url}/_session/reading"
    assert mirror(url, out) == 0
    requests, printed = gateway.seen, capsys.readouterr()
    assert {request.method for request in requests} == {"GET"}, "it only reads"
    assert f"Reading {url}." in printed.err
    assert "3 models, 13 keys, 3 teams" in printed.out
    assert not [secret for secret in CREDENTIALS.values() if secret in printed.out + printed.err]
    assert diff(url, out, monkeypatch, *READING) == 0, capsys.readouterr().out


@pytest.mark.slow
def test_the_mirror_has_no_difference_at_all(
    gateway: FaultyGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"{gateway.url}/_session/all"
    assert mirror(url, tmp_path / "all.yaml") == 0
    assert diff(url, tmp_path / "all.yaml", monkeypatch) == 0, capsys.readouterr().out


def test_members_are_carried_over(gateway: FaultyGateway, source_file: Path, tmp_path: Path) -> None:
    assert mirror(gateway.url, tmp_path / "a.yaml") == 0
    own, world = World.load(Settings(config=source_file)), load(tmp_path / "a.yaml")
    for name in ("house-model", "claude-sonnet-4-6", "picture-model"):
        assert world.catalogue.names[name] == own.catalogue.names[name]
    assert "not-in-the-plan" not in world.catalogue.names
    (main_org, second), (mine, other) = own.organisations.organisations, world.organisations.organisations
    assert (mine.id, other.id) == (main_org.id, second.id)
    assert mine.account == main_org.account
    assert mine.plan == main_org.plan.model_copy(update={"models": None, "concurrency_limit": 10_000})
    carried = ("id", "name", "status", "expires_at", "models_allowed", "allowed_ips", "rpm_limit", "tpm_limit")
    for old, new in zip(main_org.keys, mine.keys, strict=True):
        assert {name: getattr(old, name) for name in carried} == {name: getattr(new, name) for name in carried}
        assert old.is_sandbox == new.is_sandbox
        assert bool(old.past) == bool(new.past)
        assert old.secret != new.secret
    assert [key.rotated.grace_hours for key in mine.keys if key.rotated] == [7]
    assert [key.name for key in mine.keys if key.env == "AIONE_API_KEY"] == ["Main"]
    assert {team.id: team.name for team in mine.teams}.items() >= {
        (team.id, team.name) for team in main_org.teams if team.name != ("Quiet",)
    }
    assert [token.view for token in mine.tokens] == ["tech", "business"]


def test_a_restricted_access_key(gateway: FaultyGateway, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--access-key=my-charts", "--access-secret=my-charts-secret", f"--token={CREDENTIALS['token']}"]
    assert mirror(gateway.url, tmp_path / "a.yaml", credentials=given) == 0
    (pair,) = load(tmp_path / "a.yaml").organisations.organisations[0].access_keys
    assert pair.actions == ("aicontent:ModelRouterQueryObservationCharts",)
    assert "ModelRouterQueryObservationMetrics: 403" in capsys.readouterr().out


def test_without_a_console_the_log_shows_keys(gateway: FaultyGateway, tmp_path: Path) -> None:
    gateway.fault = answer_with(CONSOLE, 404, {"detail": "Not Found"})
    assert mirror(gateway.url, tmp_path / "a.yaml") == 0
    spec = load(tmp_path / "a.yaml").organisations.organisations[0]
    assert spec.keys
    assert spec.tokens == ()
    assert all(key.name == f"Key {key.number}" for key in spec.keys)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (403, "403 application/json; the console token (--token) has no right to it"),
        (401, "401 application/json; the console token (--token) is rejected"),
        (404, "404 application/json; the gateway does not have it"),
        (503, "503 application/json"),
    ],
)
def test_what_cannot_be_read_is_a_comment(gateway: FaultyGateway, tmp_path: Path, status: int, reason: str) -> None:
    gateway.fault = answer_with(CONSOLE, status, {"detail": "said the gateway"})
    given = [f"--{name}={CREDENTIALS[name]}" for name in ("key", "token")]
    assert mirror(gateway.url, tmp_path / "a.yaml", credentials=given) == 0
    text = (tmp_path / "a.yaml").read_text()
    for name in ("listKeys", "getPlan", "getBillingAccount", "listGatewayModels", "getDashboard"):
        assert re.search(rf"# .*could not be read: {name}: {re.escape(reason)}.*said the gateway", text), text
    world = load(tmp_path / "a.yaml")
    assert set(world.catalogue.names) >= {"house-model", "picture-model"}
    assert [key.name for key in world.organisations.organisations[0].keys] == ["Mirrored"]


def test_a_token_without_rights_makes_no_difference(
    gateway: FaultyGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.fault = answer_with(CONSOLE, 403, {"detail": "Not allowed"})
    assert mirror(gateway.url, tmp_path / "a.yaml") == 0
    assert diff(gateway.url, tmp_path / "a.yaml", monkeypatch, "area:models", "area:keys") == 0, capsys.readouterr().out


def test_a_missing_console_makes_no_difference_in_shapes(
    gateway: FaultyGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.fault = answer_with(CONSOLE, 404, {"detail": "Not Found"})
    url = f"{gateway.url}/_session/missing"
    assert mirror(url, tmp_path / "a.yaml") == 0
    assert diff(url, tmp_path / "a.yaml", monkeypatch, *READING) == 0, capsys.readouterr().out


# --- many keys


def make_keys(count: int) -> list[dict[str, Any]]:
    shared = {"team_id": None, "models_allowed": ["house-model"], "rpm_limit": 60, "status": "active", "key": "sk-leak"}
    return [{"id": f"0d3f9b62-8a14-4b7e-9c50-{n:012d}", "name": f"Key {n}", **shared} for n in range(count)]


def page_keys(count: int, size: int, *, ignore_page: bool = False) -> Fault:
    keys = make_keys(count)

    def on_response(request: SeenRequest, response: SentResponse) -> SentResponse:
        if not request.path.endswith("/gateway/keys"):
            return response
        page = 1 if ignore_page else int(parse_qs(request.query).get("page", ["1"])[0])
        return response.with_json({"items": keys[(page - 1) * size : page * size], "total": count})

    return Fault(on_response=on_response)


def test_keys_of_several_pages(gateway: FaultyGateway, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gateway.fault = page_keys(45, 20)
    assert mirror(gateway.url, tmp_path / "a.yaml") == 0
    assert len(load(tmp_path / "a.yaml").organisations.organisations[0].keys) == 45
    gateway.fault = page_keys(45, 20, ignore_page=True)
    assert mirror(gateway.url, tmp_path / "b.yaml") == 0
    assert len(load(tmp_path / "b.yaml").organisations.organisations[0].keys) == 20
    assert "listKeys showed 20 of 45" in capsys.readouterr().out


def test_gemini_models_of_several_pages(gateway: FaultyGateway, tmp_path: Path) -> None:
    def limit(request: SeenRequest) -> SeenRequest:
        query = f"{request.query}&pageSize=1".strip("&") if request.path.endswith("/v1beta/models") else request.query
        return SeenRequest(request.method, request.path, query, request.headers, request.body)

    gateway.fault = Fault(on_request=limit)
    assert mirror(gateway.url, tmp_path / "a.yaml", credentials=[OPTIONS[0]]) == 0
    assert len([request for request in gateway.seen if request.path == "/v1beta/models"]) == 3


def test_five_thousand_keys(gateway: FaultyGateway, tmp_path: Path) -> None:
    gateway.fault = page_keys(5000, 5000)
    started = time.monotonic()
    assert mirror(gateway.url, tmp_path / "a.yaml") == 0
    assert time.monotonic() - started < 30
    text = (tmp_path / "a.yaml").read_text()
    assert len(load(tmp_path / "a.yaml").organisations.organisations[0].keys) == 5000
    assert "sk-leak" not in text
    assert text.count("\n") < 5100, "a line for each"


# --- gateways that are none


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line about why nothing was written."""
    out, err = capsys.readouterr()
    reading, line = err.splitlines()
    assert reading.startswith("Reading ")
    assert out == ""
    return line


def serve_all(body: bytes, media: str, status: int = 200) -> Server:
    def answer(request: Any) -> Response:
        return Response(body, status, media_type=media)

    return Server(Starlette(routes=[Route("/{path:path}", answer)]))


def test_a_gateway_that_is_down(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert mirror(f"http://127.0.0.1:{port}", tmp_path / "a.yaml") == 2
    assert "cannot connect" in last_line(capsys)
    assert not (tmp_path / "a.yaml").exists()


def test_a_gateway_that_never_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        assert mirror(url, tmp_path / "a.yaml", "--timeout=0.3s") == 2
        assert time.monotonic() - started < 10
        assert "no answer within the time limit" in last_line(capsys)
        assert mirror(url, tmp_path / "a.yaml", "--max-time=0.5s") == 2
        assert "the time is up" in last_line(capsys)


def test_a_gateway_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mirror", "http://127.0.0.1:9", "--key", "sk-x", "--out", str(tmp_path / "a.yaml")]) == 2
    assert "cannot connect" in last_line(capsys)


def test_a_key_that_is_rejected_is_told_before_the_token_that_was_not_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Server(OpenAIGateway()) as server:
        assert main(["mirror", server.url, "--key", "sk-x", "--out", str(tmp_path / "a.yaml")]) == 2
    assert "the API key (--key) is rejected" in last_line(capsys)


@pytest.mark.parametrize(
    ("body", "media", "status", "line"),
    [
        (b"<html>Welcome</html>", "text/html", 200, "there is a web page, not an API"),
        (b"not json", "application/json", 200, "is not JSON"),
        (b"{}", "application/json", 200, "has no 'items'"),
        (b'{"items": [5, null], "data": 7, "models": {}}', "application/json", 200, "nothing could be read"),
        (b'{"detail": "no"}', "application/json", 401, "the credentials are rejected"),
        (b"", "text/plain", 500, "the server fails"),
        (b"", "text/plain", 404, "is the base URL right?"),
    ],
)
def test_a_gateway_that_shows_nothing(
    body: bytes, media: str, status: int, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serve_all(body, media, status) as server:
        assert mirror(server.url, tmp_path / "a.yaml") == 2
    assert line in last_line(capsys)


def test_odd_members_are_left_out_with_a_note(gateway: FaultyGateway, tmp_path: Path) -> None:
    odd = [
        {"id": 7, "name": None, "status": "inactive", "rpm_limit": 0, "expires_at": "soon"},
        {"id": "key-1", "name": "Two", "models_allowed": ["no-such-model"], "team_id": "team-1"},
        {"name": "Two", "models_allowed": 5, "allowed_ips": ["everywhere"], "status": "expired"},
        "no key",
    ]
    gateway.fault = edit_json("/gateway/keys$", lambda value: {"items": odd})
    assert mirror(gateway.url, tmp_path / "a.yaml") == 0
    text = (tmp_path / "a.yaml").read_text()
    for note in (
        "a key of the status 'inactive' is disabled",
        "rpm_limit is left out",
        "expires_at is left out: it is no time",
        "team_id is left out: it is no UUID",
        "a model that a key allows is no model of the plan: 'no-such-model'",
        "allowed_ips is left out",
        "an item of the list is no key",
    ):
        assert f"# {note}" in text, text
    keys = load(tmp_path / "a.yaml").organisations.organisations[0].keys
    assert [key.status for key in keys] == ["disabled"] * 3, "none may do more than before"


def test_a_gateway_that_repeats_credentials(
    gateway: FaultyGateway, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def name_after_secrets(value: Any) -> None:
        for item, secret in zip(value["items"], CREDENTIALS.values(), strict=False):
            item["name"] = item["key"] = secret

    gateway.fault = edit_json("/gateway/keys$", name_after_secrets)
    assert mirror(gateway.url, tmp_path / "a.yaml") == 0
    assert "$AIONE_API_KEY" in (tmp_path / "a.yaml").read_text()
    load(tmp_path / "a.yaml")
    gateway.fault = answer_with("/api/", 403, {"detail": f"no: {CREDENTIALS['token']}"})
    assert mirror(gateway.url, tmp_path / "b.yaml") == 0
    load(tmp_path / "b.yaml")
    printed = capsys.readouterr()
    assert CREDENTIALS["token"] not in printed.out + printed.err
    assert "$AIONE_CONSOLE_TOKEN" in printed.out


# --- the file


def test_an_existing_file_is_kept(gateway: FaultyGateway, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "a.yaml"
    out.write_text("port: 1\n")
    assert mirror(gateway.url, out) == 2
    assert out.read_text() == "port: 1\n"
    assert capsys.readouterr().err == (
        f"aione-mock: {out} exists already; choose another --out, or replace it with --force\n"
    )
    assert not gateway.seen
    assert mirror(gateway.url, out, "--force") == 0
    assert "world:" in out.read_text()


def test_usage_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str], gateway: FaultyGateway) -> None:
    assert mirror(gateway.url, tmp_path / "a.toml") == 2
    assert "does not end in .yaml" in capsys.readouterr().err
    assert mirror(gateway.url, tmp_path / "a.yaml", credentials=[]) == 2
    assert "no credential was given" in capsys.readouterr().err
    assert mirror(gateway.url, Path("/proc/a.yaml")) == 2
    assert "cannot write '/proc/a.yaml'" in capsys.readouterr().err
    assert not gateway.seen
