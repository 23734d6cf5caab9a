"""Record, then replay: every operation, plain and streamed, gives the same bytes back, and no secret is kept."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest

from aione_mock.contract import Contract
from aione_mock.recorder import contract_check
from aione_mock.server.http import Server
from aione_mock.tenant.organisation_file import list_credentials
from aione_mock.text import sse
from tests.recorder.calls import CONSOLE, KEY, Exchange, ask, list_requests
from tests.recorder.conftest import CHAT, StartRecorder, replay_server

SECRETS = [credential.secret for credential in list_credentials()]
FRESH = re.compile(rb"(sk-nex-)([A-Za-z0-9]{30,})")
ODD = "Chouette,no-usual-look/42"


def new_key(url: str) -> str:
    headers = {"authorization": f"Bearer {CONSOLE}"}
    made = httpx2.post(f"{url}/api/v1/gateway/keys", headers=headers, json={"name": "To be recorded"})
    key_id: str = made.json()["id"]
    return key_id


def record_all(contract: Contract, upstream: str, url: str) -> list[Exchange]:
    with httpx2.Client(trust_env=False) as client:
        return [ask(client, url, exchange) for exchange in list_requests(contract, new_key(upstream))]


def mask_key(raw: bytes) -> bytes:
    return FRESH.sub(lambda match: match[1] + b"x" * len(match[2]), raw)


def test_every_operation_gives_the_same_bytes_back(
    contract: Contract, session_url: str, start_recorder: StartRecorder
) -> None:
    with start_recorder(session_url) as tape:
        seen = record_all(contract, session_url, tape.url)
    operations = {o.id for o in contract.operations.values() if o.protocol != "control"}
    assert {exchange.operation for exchange in seen} == operations
    assert [e.operation for e in seen if not 200 <= e.status < 300] == []
    assert sum("event-stream" in e.answer_headers.get("content-type", "") for e in seen) == 3
    assert [f for item in tape.cassette.interactions for f in item.findings] == []
    with replay_server(tape.path, replay_only=True) as url, httpx2.Client(trust_env=False) as client:
        for exchange in seen:
            again = ask(client, url, exchange)
            assert (again.operation, again.status, again.seen) == (
                exchange.operation,
                exchange.status,
                mask_key(exchange.seen),
            )
            assert again.answer_headers == exchange.answer_headers


def test_new_secrets_are_in_answers_but_never_on_tape(
    contract: Contract, session_url: str, start_recorder: StartRecorder
) -> None:
    with start_recorder(session_url) as tape:
        seen = record_all(contract, session_url, tape.url)
    fresh = {match[0].decode() for exchange in seen for match in FRESH.finditer(exchange.seen)}
    assert len(fresh) == 2  # one made, one rotated
    assert [secret for secret in (*fresh, *SECRETS) if secret in tape.text] == []
    assert "Signature=" not in tape.text
    assert sum("Signature=" in e.headers.get("authorization", "") for e in seen) == 3


def chat(content: str, **more: Any) -> dict[str, Any]:
    return {"model": "gpt-5.4", "messages": [{"role": "user", "content": content}], **more}


@pytest.mark.parametrize("stream", [False, True])
def test_no_seeded_secret_is_kept_wherever_it_stands(
    session_url: str, start_recorder: StartRecorder, stream: bool
) -> None:
    with start_recorder(session_url) as tape:
        client = httpx2.Client(trust_env=False)
        for secret in SECRETS:
            asked = chat(f"Repeat exactly: {secret}", stream=stream, user=secret, metadata={secret: secret})
            headers = {"authorization": f"Bearer {KEY}", "x-note": secret}
            client.post(tape.url + CHAT + f"?note={secret}", headers=headers, json=asked)
            client.get(f"{tape.url}/v1beta/models?key={secret}", headers={"x-goog-api-key": secret})
            client.get(f"{tape.url}/v1/models/{secret}", headers={"cookie": f"session={secret}", "x-api-key": secret})
    items = tape.cassette.interactions
    assert len(items) == 3 * len(SECRETS)
    assert [secret for secret in SECRETS if secret in tape.text] == []
    said = [join_text(item.response.content, stream) for item in items if item.request.path == CHAT]
    assert [secret for secret in SECRETS for text in said if secret in text] == []
    assert any("sk-nex-xxxxxxxx" in text for text in said), "the mock did repeat them"


def join_text(body: bytes, stream: bool) -> str:
    """Return the text of an answer, joined from its pieces."""
    if not stream:
        return body.decode()
    events = [orjson.loads(event.data) for event in sse.decode([body]) if event.data != "[DONE]"]
    return "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"])


def test_a_credential_of_no_usual_look_is_masked_also_where_it_came_before(
    session_url: str, start_recorder: StartRecorder
) -> None:
    with start_recorder(session_url) as tape:
        httpx2.post(tape.url + CHAT, headers={"authorization": f"Bearer {KEY}"}, json=chat(f"My key is {ODD}"))
        httpx2.post(tape.url + CHAT, headers={"authorization": f"Bearer {ODD}"}, json=chat(f"Key: {ODD}"))
    assert ODD not in tape.text
    assert [item.response.status for item in tape.cassette.interactions] == [200, 401]


def test_what_is_masked_still_finds_its_recording(session_url: str, start_recorder: StartRecorder) -> None:
    asked = chat(f"Is {KEY} mine?")
    with start_recorder(session_url) as tape:
        first = httpx2.post(tape.url + CHAT, headers={"authorization": f"Bearer {KEY}"}, json=asked)
        listed = httpx2.get(f"{tape.url}/v1beta/models?pageSize=3&key={KEY}")
    other = chat("Is sk-nex-some-longer-key-of-mine-in-production mine?")
    with replay_server(tape.path, replay_only=True) as url:
        for headers in ({"authorization": "Bearer anything"}, {}):
            for body in (asked, other):
                again = httpx2.post(url + CHAT, headers=headers, json=body)
                assert (again.status_code, again.content) == (
                    200,
                    first.content.replace(KEY.encode(), mask_secret(KEY)),
                )
        for query in ("pageSize=3&key=other", "pageSize=3", "key=other&pageSize=3"):
            assert httpx2.get(f"{url}/v1beta/models?{query}").content == listed.content
        assert httpx2.get(f"{url}/v1beta/models?pageSize=4").status_code == 404


def mask_secret(secret: str) -> bytes:
    return b"sk-nex-" + b"x" * (len(secret) - 7)


def test_redacted_recordings_hold_no_words_and_still_answer(
    contract: Contract, session_url: str, start_recorder: StartRecorder
) -> None:
    with start_recorder(session_url, redact=True) as tape:
        seen = record_all(contract, session_url, tape.url)
        bodies = [chat("Tell Zacharias about 喜马拉雅", stream=stream) for stream in (False, True)]
        own = [httpx2.post(tape.url + CHAT, headers={"authorization": f"Bearer {KEY}"}, json=body) for body in bodies]
    assert join_text(own[1].content, True)[:20] not in tape.text
    assert [word for word in ("Zacharias", "喜马拉雅", "To be recorded") if word in tape.text] == []
    items = tape.cassette.interactions
    told = join_text(items[-1].response.content, True)
    assert told
    assert set(re.findall(r"[a-z]{7,}", told)) <= {("placeholder" * 4)[:n] for n in range(45)}
    assert orjson.loads(items[-2].response.content)["choices"][0]["message"]["content"] == told
    assert [finding for item in items for finding in contract_check.check_interaction(contract, item)] == []
    assert {item.request.operation for item in items} == {exchange.operation for exchange in seen}
    with replay_server(tape.path, replay_only=True) as url:
        for body, item in zip(bodies, items[-2:], strict=True):
            again = httpx2.post(url + CHAT, json=body)
            assert (again.status_code, again.content) == (200, item.response.content)


def test_ids_survive_redaction(session_url: str, start_recorder: StartRecorder) -> None:
    with start_recorder(session_url, redact=True) as tape:
        headers = {"authorization": f"Bearer {CONSOLE}"}
        made = httpx2.post(f"{tape.url}/api/v1/gateway/keys", headers=headers, json={"name": "Garden party"}).json()
        path = f"/api/v1/gateway/keys/{made['id']}"
        got = httpx2.get(tape.url + path, headers=headers).json()
    assert "Garden" not in tape.text
    first, second = (orjson.loads(item.response.content) for item in tape.cassette.interactions)
    assert first["id"] == second["id"] == made["id"]
    assert first["name"] == second["name"] == "placeh place"
    with replay_server(tape.path, replay_only=True) as url:
        assert httpx2.get(url + path).json() == {**got, "name": "placeh place"}


def test_the_control_api_is_passed_but_not_kept(server: Server, start_recorder: StartRecorder) -> None:
    with start_recorder(server.url) as tape:
        assert httpx2.get(f"{tape.url}/_mock/health").status_code == 200
        assert httpx2.get(f"{tape.url}/nowhere").status_code == 404
    assert [item.request.path for item in tape.cassette.interactions] == ["/nowhere"]


def test_the_cassette_reads_like_yaml(session_url: str, start_recorder: StartRecorder) -> None:
    with start_recorder(session_url) as tape:
        httpx2.post(tape.url + CHAT, headers={"authorization": f"Bearer {KEY}"}, json=chat("Why do cats purr?"))
    text = tape.text
    assert "      - role: user\n        content: Why do cats purr?\n" in text
    assert "authorization: Bearer ***\n" in text
    assert re.search(r"^  timing: \{first: [\d.]+, total: [\d.]+\}$", text, re.MULTILINE)
    assert Path(tape.path).stat().st_size < 4000
