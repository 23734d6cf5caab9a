"""Who may control the mock: the owner of the token, never a page of another origin, nobody without control."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings

from .conftest import Client

TOKEN = "a word of ours"
OPERATIONS = (
    ("GET", "credentials"), ("GET", "errors"), ("GET", "stats"), ("GET", "sessions"), ("POST", "sessions"),
    ("GET", "sessions/default"),
    ("DELETE", "sessions/default"), ("POST", "sessions/default/reset"), ("POST", "sessions/default/snapshot"),
    ("POST", "sessions/default/restore"), ("POST", "sessions/default/fork"), ("GET", "scenarios"),
    ("POST", "scenarios"), ("DELETE", "scenarios"), ("GET", "rules"), ("PUT", "rules"), ("POST", "rules"),
    ("DELETE", "rules/x"), ("PATCH", "rules/x"), ("GET", "rule-schema"), ("POST", "rule-check"), ("GET", "clock"),
    ("POST", "clock"), ("GET", "journal"), ("DELETE", "journal"), ("GET", "journal/1"), ("POST", "verify"),
    ("GET", "events?session=-"), ("GET", "limits"), ("POST", "signed-calls"), ("GET", "cassette"), ("GET", "har"),
    ("GET", "canaries"), ("GET", "metrics"),
)  # fmt: skip


@pytest.fixture(scope="module")
def guarded() -> Iterator[Client]:
    with Server(create_app(Settings(control_token=TOKEN))) as server, Client(base_url=server.url) as client:
        yield client


def test_the_list_above_is_whole(guarded: Client) -> None:
    listed = guarded.get("/_mock/errors", headers={"authorization": f"Bearer {TOKEN}"}, params={"dialect": "control"})
    forbidden = next(item for item in listed.json()["items"] if item["name"] == "not_authenticated")
    assert len(forbidden["operations"]) == len(OPERATIONS)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_the_token_guards_everything_but_health(guarded: Client, method: str, path: str) -> None:
    wrong = ({}, {"authorization": "Bearer a word"}, {"authorization": f"Basic {TOKEN}"}, {"authorization": "Bearer ä"})
    for headers in wrong:
        encoded = {name: value.encode() for name, value in headers.items()}
        answer = guarded.request(method, f"/_mock/{path}", headers=encoded, content=b"{bad")
        assert answer.status_code == 401, (headers, answer.text)
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["error"]["name"] == "not_authenticated"
    answer = guarded.request(method, f"/_mock/{path}", headers={"authorization": f"Bearer {TOKEN}"}, content=b"{}")
    assert answer.status_code != 401


def test_health_and_the_gateway_need_no_control_token(guarded: Client) -> None:
    assert guarded.get("/_mock/health").status_code == 200
    assert guarded.get("/_mock/ready").status_code == 200
    assert guarded.chat().status_code == 200


@pytest.mark.parametrize(("method", "path"), [("GET", "health"), ("GET", "ready"), *OPERATIONS])
def test_pages_of_other_origins_are_refused(root: Client, method: str, path: str) -> None:
    host = root.base_url.netloc.decode()
    foreign = (
        {"origin": "http://another.example"},
        {"origin": "null"},
        {"origin": f"http://{host}0"},
        {"origin": "http://localhost:3000"},
        {"origin": "http://["},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"},
    )
    for headers in foreign:
        answer = root.request(method, f"/_mock/{path}", headers=headers, content=b"{}")
        assert answer.status_code == 403, (headers, answer.text)
        assert answer.json()["error"]["name"] == "forbidden"
        assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_its_own_pages_and_programs_and_links_are_not(root: Client) -> None:
    origin = f"http://{root.base_url.netloc.decode()}"
    for headers in (
        {},
        {"origin": origin, "sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"},
        {"sec-fetch-site": "none", "sec-fetch-mode": "navigate"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"},
    ):
        answer = root.get("/_mock/stats", headers=headers)
        assert answer.status_code == 200
        assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_a_preflight_is_not_answered(root: Client) -> None:
    asked = {"origin": "http://another.example", "access-control-request-method": "POST"}
    answer = root.request("OPTIONS", "/_mock/clock", headers=asked)
    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_without_control_there_is_none() -> None:
    with Server(create_app(Settings(control=False))) as server, Client(base_url=server.url) as api:
        for method, path in (("GET", "health"), *OPERATIONS):
            answer = api.request(method, f"/_mock/{path}", json={})
            assert answer.status_code == 404, path
            assert answer.json()["error"]["code"] == "not_found"
        assert api.chat(headers={"x-mock-scenario": "internal_error"}).status_code == 500


def test_bodies_need_no_content_type(root: Client, name: str) -> None:
    for kind in ("application/x-www-form-urlencoded", "text/plain", None):
        headers = {"x-mock-session": name} | ({"content-type": kind} if kind else {})
        answer = root.post("/_mock/clock", content=b'{"advance": "1s"}', headers=headers)
        assert answer.status_code == 200


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b"{}" * 3, b"[" * 100_000])
def test_bad_bodies_are_refused_in_a_sentence(root: Client, body: bytes) -> None:
    for method, path in OPERATIONS:
        if method not in ("POST", "PUT") or path.endswith(("reset", "snapshot", "verify")):
            continue
        answer = root.request(method, f"/_mock/{path}", content=body)
        assert answer.status_code == 400, (path, answer.text)
        assert answer.json()["error"]["name"] == "invalid_request"
