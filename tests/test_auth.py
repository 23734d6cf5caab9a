"""Who calls: where a credential may stand, which addresses a key may be used from, and what a refusal says."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from tests.conftest import KEY

CONSOLE = {"authorization": "Bearer nex-console-tech"}
CHAT = ("/v1/chat/completions", {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Hello"}]})
MESSAGE = ("/v1/messages", {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": CHAT[1]["messages"]})
GEMINI = ("/v1beta/models/gemini-2.5-flash:generateContent", {"contents": [{"parts": [{"text": "Hello"}]}]})


def post(url: str, call: tuple[str, Any], query: str = "", **headers: str) -> httpx2.Response:
    path, body = call
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx2.post(f"{url}{path}{query}", json=body, headers=named)


@pytest.fixture
def key_for(session_url: str) -> Any:
    """Makes a key that may be used from some addresses alone."""

    def create(*ranges: str) -> str:
        body = {"name": "Test", "allowed_ips": list(ranges)}
        answer = httpx2.post(f"{session_url}/api/v1/gateway/keys", json=body, headers=CONSOLE)
        secret: str = answer.json()["key"]
        return secret

    return create


ADDRESSES = [
    ("203.0.113.7", 200),
    ("203.0.114.1", 403),
    ("198.51.100.1", 200),
    ("198.51.100.2", 403),
    ("::ffff:203.0.113.7", 200),
    ("::ffff:203.0.114.1", 403),
    ("203.0.113.7%eth0", 200),
    ("2001:db8::1", 200),
    ("2001:db9::1", 403),
    ("somebody", 403),
    ("203.0.114.1, 203.0.113.7", 200),
    ("203.0.113.7, 203.0.114.1", 403),
]


@pytest.mark.parametrize(("address", "status"), ADDRESSES)
def test_a_key_may_be_used_from_its_addresses_alone(session_url: str, key_for: Any, address: str, status: int) -> None:
    """A proxy on the same machine names the client last."""
    key = key_for("203.0.113.0/24", "198.51.100.1", "2001:db8::/32")
    answer = post(session_url, CHAT, authorization=f"Bearer {key}", x_forwarded_for=address)
    assert answer.status_code == status
    if status == 403:
        assert address.rpartition(" ")[2] in answer.json()["error"]["message"]


def test_a_client_on_this_machine_has_a_loopback_address(session_url: str, key_for: Any) -> None:
    for forwarded in ({}, {"x_forwarded_for": ""}):
        assert post(session_url, CHAT, authorization=f"Bearer {key_for('127.0.0.1')}", **forwarded).status_code == 200
        assert post(session_url, CHAT, authorization=f"Bearer {key_for('127.0.0.2')}", **forwarded).status_code == 403


PLACES = [
    (CHAT, "", {"authorization": f"Bearer {KEY}"}),
    (CHAT, "", {"authorization": f"bearer  {KEY}"}),
    (MESSAGE, "", {"x_api_key": KEY}),
    (MESSAGE, "", {"authorization": f"Bearer {KEY}"}),
    (GEMINI, "", {"x_goog_api_key": KEY}),
    (GEMINI, "", {"authorization": f"Bearer {KEY}"}),
    (GEMINI, f"?key={KEY}", {}),
    (GEMINI, f"?alt=json&key={KEY}", {}),
]


@pytest.mark.parametrize(("call", "query", "headers"), PLACES)
def test_where_a_key_may_stand(session_url: str, call: Any, query: str, headers: dict[str, str]) -> None:
    assert post(session_url, call, query, **headers).status_code == 200


MISPLACED = [
    (CHAT, "", {"authorization": KEY}, "`Authorization: Bearer …`"),
    (CHAT, "", {"authorization": f"Basic {KEY}"}, "`Authorization: Bearer …`"),
    (CHAT, "", {"authorization": "Bearer"}, "`Authorization: Bearer …`"),
    (CHAT, f"?key={KEY}", {}, "`Authorization: Bearer …`"),
    (MESSAGE, "", {"x_goog_api_key": KEY}, "`x-api-key: …`"),
    (GEMINI, f"?keys={KEY}", {}, "`x-goog-api-key: …`"),
    (GEMINI, "", {"x_api_key": KEY}, "`?key=…`"),
]


@pytest.mark.parametrize(("call", "query", "headers", "advice"), MISPLACED)
def test_a_refusal_says_where_the_key_belongs(
    session_url: str, call: Any, query: str, headers: dict[str, str], advice: str
) -> None:
    answer = post(session_url, call, query, **headers)
    assert answer.status_code == 401
    assert advice in answer.json()["error"]["message"]


@pytest.mark.parametrize(("first", "second"), [(KEY, "wrong"), ("wrong", KEY)])
def test_two_credentials_must_both_be_good(session_url: str, first: str, second: str) -> None:
    answer = post(session_url, GEMINI, f"?key={second}", x_goog_api_key=first)
    assert answer.status_code == 401
    assert KEY not in answer.text
    assert post(session_url, GEMINI, f"?key={KEY}", x_goog_api_key=KEY).status_code == 200


def test_of_two_credentials_the_first_is_billed_however_often(session_url: str) -> None:
    for _ in range(3):
        answer = post(session_url, GEMINI, x_goog_api_key=KEY, authorization="Bearer sk-nex-sandbox-for-trying")
        assert answer.status_code == 200
    assert {each["key"] for each in httpx2.get(f"{session_url}/_mock/journal").json()["items"]} == {"Sandbox"}


def test_an_unknown_token_of_the_console_is_called_a_token(session_url: str) -> None:
    url = f"{session_url}/api/v1/gateway/keys"
    answer = httpx2.get(url, headers={"authorization": "Bearer nex-console-unknown"})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert "token" in answer.json()["detail"]
    assert "www-authenticate" not in post(session_url, CHAT, authorization="Bearer wrong").headers


@pytest.mark.parametrize("call", [CHAT, MESSAGE, GEMINI])
def test_a_refusal_says_how_to_have_the_key_accepted(session_url: str, call: Any) -> None:
    answer = post(session_url, call, authorization="Bearer sk-of-somebody-else", x_api_key="", x_goog_api_key="")
    assert answer.status_code == 401
    for remedy in ("`aione-mock keys`", "`--auth any`"):
        assert remedy in answer.json()["error"]["message"]
    assert "somebody" not in answer.text
