"""The journal: bounded, searchable, whole where it is asked, and never with a credential."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx2
import orjson
import pytest

from aione_mock.clock import parse_instant
from aione_mock.server.app import Mock, create_app
from aione_mock.server.http import Server
from aione_mock.server.journal import mask_params
from aione_mock.server.journal_bodies import mask_events, shorten_events
from aione_mock.settings import Settings
from aione_mock.tenant.organisation_file import list_credentials
from aione_mock.text.credentials import MASK, CredentialMask, mask_bytes
from aione_mock.types import EventStream
from tests.console.client import Console
from tests.timing import cost

from .conftest import KEY, Client

CHAT_BODY = b'{"model":"gpt-5.4","messages":[{"role":"user","content":"%b"}]}'
GEMINI_STREAM = "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
PIECES = re.compile(r'"(?:content|text)":"(.*?)"')
SECRETS = tuple(credential.secret for credential in list_credentials())


def test_newest_first_and_as_many_as_wanted(api: Client) -> None:
    for n in range(4):
        api.chat(f"call {n}")
    found = api.ok("GET", "journal", limit=3)
    assert [item["number"] for item in found["items"]] == [4, 3, 2]
    assert (found["matched"], found["held"], found["total"]) == (4, 4, 4)
    first = found["items"][0]
    assert first == {
        **first,
        "at": "2026-11-20T10:30:00Z",
        "operation": "createChatCompletion",
        "method": "POST",
        "path": "/v1/chat/completions",
        "status": 200,
        "key": "Demo",
        "model": "gpt-5.4",
        "stream": False,
        "rule": None,
    }


def test_every_condition_must_hold(api: Client) -> None:
    api.chat("A refund for Łukasz, 请退款")
    api.chat("Hello", stream=True)
    api.get("/v1/models", headers={"authorization": "Bearer sk-nex-disabled-by-hand"})
    api.get("/nowhere")
    api.ok("POST", "clock", {"advance": "1h"})
    api.chat("later", key="sk-nex-review-bot", model="no-such-model")

    def numbers(**asked: str) -> list[int]:
        return [item["number"] for item in api.ok("GET", "journal", **asked)["items"]]

    assert numbers(operation="createChatCompletion") == [5, 2, 1]
    assert numbers(status="4xx") == [5, 4, 3]
    assert numbers(status="401") == [3]
    assert numbers(key="Demo") == [2, 1]
    assert numbers(key="Review bot") == numbers(key=api.ok("GET", "journal/5") and _key_id("reviews")) == [5]
    assert numbers(since="2026-11-20T11:30:00Z") == [5]
    assert numbers(until="2026-11-20T11:30:00Z") == [4, 3, 2, 1]
    assert numbers(text="REFUND") == numbers(text="łukasz") == numbers(text="请退款") == [1]
    assert numbers(text="no-such-model", status="404", key="Review bot") == [5]
    assert numbers(text="no-such-model", status="200") == []


def _key_id(label: str) -> str:
    return next(c.id or "" for c in list_credentials() if c.label == label)


@pytest.mark.parametrize(
    "wrong",
    [{"status": "700"}, {"status": "4"}, {"limit": "0"}, {"limit": "x"}, {"since": "then"}, {"text": ""}, {"key": ""}],
)
def test_conditions_that_make_no_sense_are_refused(api: Client, wrong: dict[str, str]) -> None:
    assert api.read_error("GET", "journal", **wrong)[0] == 400


def test_words_are_found_across_the_events_of_a_stream(api: Client) -> None:
    with api.stream("POST", "/v1/chat/completions", headers={"authorization": f"Bearer {KEY}"}, json={
        "model": "gpt-5.4", "stream": True, "messages": [{"role": "user", "content": "Tell me something"}],
    }) as answer:  # fmt: skip
        events = [orjson.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: {")]
    said = "".join(event["choices"][0]["delta"].get("content") or "" for event in events if event["choices"])
    words = said[: len(said) // 2]
    assert len(words) > 20
    assert api.ok("GET", "journal", text=words)["matched"] == 1


def test_a_plain_exchange_is_told_whole(api: Client) -> None:
    api.ok(
        "POST",
        "rules",
        {"id": "far", "when": {"text": "other words", "model": "gpt-*"}, "then": {"error": "internal_error"}},
    )
    answer = api.chat("Hello")
    told = api.ok("GET", "journal/1")
    headers = dict(told["request"]["headers"])
    assert headers["authorization"] == MASK
    assert headers["content-type"] == "application/json"
    assert told["request"]["body"] == {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Hello"}]}
    assert told["response"] == {
        "headers": [[name, value] for name, value in answer.headers.multi_items()],
        "body": answer.json(),
        "events": [],
        "times_ms": [],
        "end_ms": 0.0,
        "violations": [],
        "end": "finish",
        "truncated": False,
    }
    usage = answer.json()["usage"]
    assert (told["usage"]["prompt"], told["usage"]["completion"]) == (
        usage["prompt_tokens"],
        usage["completion_tokens"],
    )
    assert told["request_id"] == answer.headers["x-request-id"]
    assert told["duration_ms"] > 0
    explain = told["explain"]
    assert explain == {**explain, "seed": "0", "occurrence": 1, "scenario": None, "limit": None, "valid": True}
    assert explain["limits"]["requests_per_minute"]["used"] == 1
    assert explain["limits"]["tokens_per_minute"]["used"] == usage["total_tokens"]
    assert (explain["nearest"]["rule"], explain["nearest"]["satisfied"]) == ("far", 1)


def test_a_stream_is_told_event_by_event_as_it_was_sent(api: Client) -> None:
    answer = api.chat("Hello", stream=True, headers={"x-mock-scenario": "duplicate_event"})
    told = api.ok("GET", "journal/1")
    assert "".join(told["response"]["events"]).encode() == answer.content
    assert len(told["response"]["events"]) > 3
    assert (told["response"]["body"], told["stream"], told["rule"]) == (None, True, "header")
    assert told["explain"]["scenario"] == "duplicate_event"


@pytest.mark.parametrize(
    "then",
    [
        {"faults": [{"name": "cut", "after": 3}]},
        {"reply": {"text": "Five days."}, "faults": [{"name": "stall", "after": 2, "seconds": 0.1}]},
        {"error": "rate_limit_exceeded", "retry_after": 7, "message": "slow down"},
        {"body": {"set": {"/model": "x"}}, "headers": {"remove": ["x-request-id"]}, "delay": "10ms"},
        {"awkward": "refusal", "pace": {"ttft": 0.01}},
    ],
)
def test_what_was_played_is_told_with_its_options(api: Client, then: dict[str, Any]) -> None:
    api.ok("PUT", "rules", {"rules": [{"then": {**then, "times": 1}}]})
    with contextlib.suppress(httpx2.HTTPError):
        api.chat(stream="body" not in then)
    assert api.ok("GET", "journal/1")["explain"]["action"] == then
    api.chat()
    assert api.ok("GET", "journal/2")["explain"]["action"] is None


def test_what_was_played_is_told_as_it_was_sent_and_without_secrets(api: Client) -> None:
    reply = {"text": "{{call}}: {{last_user}}", "usage": {"prompt": 3}}
    api.ok(
        "PUT",
        "rules",
        {"rules": [{"then": {"reply": reply, "headers": {"set": {"x-key": "{{header.authorization}}"}}}}]},
    )
    api.chat("First")
    api.chat("Second")
    action = api.ok("GET", "journal/2")["explain"]["action"]
    assert action["reply"] == {"text": "2: Second", "usage": {"prompt": 3}}
    assert KEY not in str(action)


def test_how_it_ended_and_what_refused_it(api: Client) -> None:
    with pytest.raises(httpx2.HTTPError):
        api.chat(headers={"x-mock-scenario": "reset"})
    first = api.ok("GET", "journal/1")
    assert (first["status"], first["response"]["end"]) == (0, "cut")
    assert [api.chat(key="sk-nex-rpm-two-a-minute").status_code for _ in range(3)] == [200, 200, 429]
    assert "2 requests per minute" in api.ok("GET", "journal/4")["explain"]["limit"]
    api.get("/nowhere", params={"q": "x"})
    unknown = api.ok("GET", "journal/5")
    assert (unknown["operation"], unknown["key"], unknown["request"]["query"]) == (None, None, "q=x")
    api.post("/v1/chat/completions", content=b"{not json", headers={"authorization": f"Bearer {KEY}"})
    assert api.ok("GET", "journal/6")["request"]["body"] == "{not json"


def test_cleared_it_counts_on(api: Client) -> None:
    assert api.read_error("GET", "journal/1") == (404, "exchange 1 is not in the journal; it is empty")
    api.chat()
    assert api.request("DELETE", "/_mock/journal").status_code == 204
    assert api.ok("GET", "journal") == {"items": [], "matched": 0, "held": 0, "total": 1}
    api.chat()
    assert api.read_error("GET", "journal/1") == (404, "exchange 1 is not in the journal; it holds 2 to 2")
    assert api.ok("GET", "journal/2")["number"] == 2
    assert api.read_error("GET", "journal/x")[0] == 400


def test_the_control_api_leaves_no_trace(api: Client) -> None:
    api.ok("GET", "journal")
    api.ok("POST", "clock", {"advance": 1})
    assert api.ok("GET", "journal")["total"] == 0


@pytest.fixture(scope="module")
def small() -> Iterator[Server]:
    """Return a mock with a small journal."""
    app = create_app(Settings(now=parse_instant("2026-11-20T10:30:00Z"), journal_entries=50, journal_bytes=400_000))
    with Server(app) as running:
        yield running


def test_no_credential_is_ever_held_or_told(app: Mock, api: Client, name: str) -> None:
    ways = [
        {"authorization": "Bearer {}"}, {"x-api-key": "{}"}, {"x-goog-api-key": "{}"}, {"x-note": "mine is {}"},
        {"cookie": "key={}"}, {"proxy-authorization": "Basic {}"}, {"x-acs-security-token": "{}"},
    ]  # fmt: skip
    for secret in SECRETS:
        for way in ways:
            headers = {name: value.format(secret) for name, value in way.items()}
            api.get("/v1beta/models", headers=headers, params={"key": secret})
            api.get("/api/v1/modelRouter/open/observation/logs", headers=headers)
        api.get(f"/v1/models/{secret}", params={"token": secret})
        api.get(f"/nowhere/{secret}")
        escaped = orjson.dumps({"model": "gpt-5.4", "messages": [{"role": "user", "content": f"It is {secret}."}]})
        for body in (
            escaped,
            escaped.replace(b"-", b"\\u002d"),
            f"key={secret}".encode(),
            b"[" * 2000 + secret.encode(),
        ):
            for kind in ("plain", "stream"):
                api.post(
                    "/v1/chat/completions",
                    content=body if kind == "plain" else body.replace(b'{"model"', b'{"stream":true,"model"'),
                    headers={"authorization": f"Bearer {secret}"},
                )
    entries = "".join(map(repr, app.sessions.get(name).journal))
    for secret in SECRETS:
        assert secret not in entries
    for item in api.ok("GET", "journal", limit=1000)["items"]:
        told = api.get(f"/_mock/journal/{item['number']}").text
        assert not [secret for secret in SECRETS if secret in told]
    told = api.post("/_mock/verify", json={"when": {"body": {"/messages/0/content": "x"}}, "at_least": 1000}).text
    assert not [secret for secret in SECRETS if secret in told]


def test_credentials_of_others_are_not_held_either(app: Mock, api: Client, name: str) -> None:
    secret = "somebodys-real-secret"
    for header in ("authorization", "x-api-key", "x-goog-api-key", "cookie", "x-acs-security-token"):
        api.get("/v1/models", headers={header: secret}, params={"key": secret})
        # the signature is looked at first, so its other headers are only kept where it is whole
        api.get("/api/v1/modelRouter/open/observation/logs", headers={header: secret})
    headers = {"cookie": secret, "x-mock-explain": "1"}
    api.ok("POST", "rules", {"when": {"header": {"cookie": "other"}}, "then": {"error": "internal_error"}})
    assert secret in api.chat(headers=headers).headers["x-mock-nearest"]
    reply = {"text": "Yours: {{header.cookie}}"}
    api.ok("PUT", "rules", {"rules": [{"then": {"reply": reply, "headers": {"set": {"x-yours": reply["text"]}}}}]})
    assert [secret in api.chat(headers=headers, stream=stream).headers["x-yours"] for stream in (True, False)]
    assert secret not in "".join(map(repr, app.sessions.get(name).journal))
    assert MASK in api.get("/_mock/journal/1").text


def test_parameters_that_are_credentials_are_masked() -> None:
    params = {"x-acs-security-token": "somebodys", "model": "sk-nex-xxxxx"}
    assert mask_params(params, CredentialMask()) == {"x-acs-security-token": MASK, "model": f"sk-nex-{MASK}"}


def test_answers_that_hand_out_secrets_are_masked() -> None:
    body = orjson.dumps([{"plaintext_key": secret} for secret in SECRETS])
    kept = mask_bytes(body)
    assert not [secret for secret in SECRETS if secret.encode() in kept]
    assert len(orjson.loads(kept)) == len(SECRETS)
    events = mask_events(EventStream.of([b"data: " + secret.encode() for secret in SECRETS]), CredentialMask())
    assert not [secret for secret in SECRETS if secret.encode() in b"".join(events)]


def test_long_bodies_are_cut_and_stay_json(api: Client) -> None:
    api.chat("x" * 200_000)
    told = api.ok("GET", "journal/1")
    assert told["request"]["truncated"] is True
    assert told["request"]["body"]["model"] == "gpt-5.4"
    assert len(told["request"]["body"]["messages"][0]["content"]) == 4097
    api.chat("Hello", **{"metadata": {f"k{n}": "y" * 60 for n in range(2000)}})
    assert isinstance(api.ok("GET", "journal/2")["request"]["body"], str)


@pytest.mark.parametrize("more", [0, 1])
def test_a_body_is_kept_whole_up_to_64_kib(api: Client, more: int) -> None:
    rest = len(CHAT_BODY % b"")
    api.post("/v1/chat/completions", content=CHAT_BODY % (b"x" * ((64 << 10) - rest + more)))
    kept = api.ok("GET", "journal/1")["request"]
    assert kept["truncated"] is bool(more)
    assert len(kept["body"]["messages"][0]["content"]) == (4097 if more else (64 << 10) - rest)


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_a_long_body_is_kept_64_levels_deep(api: Client, opening: bytes, closing: bytes) -> None:
    deep = opening * 100 + b"1" + closing * 100
    api.post("/v1/chat/completions", content=b'{"deep":%b,"long":"%b"}' % (deep, b"x" * 70_000))
    kept = api.ok("GET", "journal/1")["request"]["body"]["deep"]
    levels = 0
    while kept:
        levels, kept = levels + 1, kept[0] if isinstance(kept, list) else kept["a"]
    assert levels == 63, "the body itself is one level, and the last one is empty"


def test_events_are_kept_up_to_256_kib() -> None:
    event = b"data: %b\n\n" % (b"x" * 1016)
    for more in ([], [b"data: y\n\n"]):
        kept, cut = shorten_events(EventStream.of([event] * 256 + more))
        assert ([*kept], cut) == ([event] * 256, bool(more))


def test_a_credential_at_the_very_beginning_is_masked() -> None:
    assert mask_bytes(b"nex-console-tech and more") == b"nex-console-*** and more"


async def test_memory_is_bounded_in_entries_and_in_bytes(small: Server) -> None:
    headers = {"authorization": f"Bearer {KEY}", "x-mock-session": "many"}
    async with httpx2.AsyncClient(base_url=small.url, headers=headers, timeout=60) as client:

        async def call(n: int, size: int) -> None:
            body = {"model": "gpt-5.4", "messages": [{"role": "user", "content": f"{n}" + "z" * size}]}
            await client.post("/v1/chat/completions", json=body)

        await asyncio.gather(*[call(n, 10) for n in range(120)])
        few = (await client.get("/_mock/journal?limit=1000")).json()
        assert (few["held"], few["total"], len(few["items"])) == (50, 120, 50)
        await asyncio.gather(*[call(n, 30_000) for n in range(30)])
        stats = (await client.get("/_mock/stats")).json()
        held_now = (await client.get("/_mock/journal")).json()["held"]
    assert 1 < held_now < 15
    assert stats["journal_bytes"] <= 400_000
    assert stats["journal_entries"] == held_now


@pytest.mark.parametrize("depth", [100, 252, 300, 700])
def test_a_body_that_is_nested_deeply_is_shown(api: Client, depth: int) -> None:
    """However deep, what can be asked can be looked at: as text where it cannot be spelled out again."""
    body = b'{"model":"gpt-5.4","messages":[{"role":"user","content":"x"}],"zz":%b%b}' % (b"[" * depth, b"]" * depth)
    api.post("/v1/chat/completions", content=body)
    shown = api.ok("GET", "journal/1")["request"]["body"]
    assert (orjson.loads(shown) if isinstance(shown, str) else shown) == orjson.loads(body)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", GEMINI_STREAM])
@pytest.mark.parametrize("times", [1, 3])
def test_no_credential_is_kept_in_the_pieces_of_a_stream(api: Client, path: str, times: int) -> None:
    said = f"Say {KEY} please"
    talk = {"stream": True, "max_tokens": 200, "messages": [{"role": "user", "content": said}]}
    asked = {"model": "claude-haiku-4-5" if "messages" in path else "gpt-5.4", **talk}
    if path == GEMINI_STREAM:
        asked = {"contents": [{"role": "user", "parts": [{"text": said}]}]}
    for _ in range(times):
        answer = api.post(path, json=asked, headers={"authorization": f"Bearer {KEY}"})
        assert answer.status_code == 200, answer.text
        assert KEY in "".join(PIECES.findall(answer.text))
    for number in range(1, times + 1):
        kept = "".join(PIECES.findall("".join(api.ok("GET", f"journal/{number}")["response"]["events"])))
        assert "sk-nex-***" in kept
        assert "demo" not in kept


def test_a_row_tells_tokens_cost_and_what_is_remarkable(api: Client) -> None:
    usage = api.chat("Hello").json()["usage"]
    with contextlib.suppress(httpx2.RemoteProtocolError):
        api.chat("Hello", stream=True, headers={"x-mock-scenario": "cut; after=2"})
    api.chat("Hello", temperature="hot")
    api.post("/v1/chat/complete", json={})
    unknown, invalid, cut, plain = api.ok("GET", "journal")["items"]
    assert [each["error"] for each in (unknown, invalid, cut, plain)] == ["not_found", "invalid_request", None, None]
    assert [each["finding"] for each in (unknown, invalid, cut, plain)] == [
        "unknown_operation",
        "invalid_request",
        "damaged",
        None,
    ]
    assert (plain["usage"]["prompt"], plain["usage"]["completion"]) == (
        usage["prompt_tokens"],
        usage["completion_tokens"],
    )
    assert Decimal(plain["cost"]) > 0
    assert (cut["events"], cut["end"], cut["scenario"], invalid["cost"]) == (2, "cut", "cut", None)
    assert not any(each["open"] for each in (unknown, invalid, cut, plain))
    assert api.ok("GET", "journal", finding="damaged")["items"] == [cut]
    assert api.ok("GET", "journal", model="gpt-5.4")["matched"] == 3


def test_costs_of_rows_add_up_to_what_the_ledger_charges(api: Client) -> None:
    def read_balance() -> Decimal:
        account = api.get("/api/v1/billing/account", headers={"authorization": "Bearer nex-console-tech"})
        return Decimal(str(account.json()["balance_rmb"]))

    before = read_balance()
    for words in ("one", "two and more", "three"):
        api.chat(words)
    rows = api.ok("GET", "journal", operation="createChatCompletion")["items"]
    assert sum(Decimal(each["cost"]) for each in rows) == before - read_balance() > 0


def test_events_have_their_times_and_their_violations(api: Client) -> None:
    api.chat("Hello", stream=True, headers={"x-mock-scenario": "pace; ttft=0.05; tps=400"})
    api.chat("Hello", stream=True, headers={"x-mock-scenario": "malformed_json; at=3"})
    paced, damaged = api.ok("GET", "journal/1"), api.ok("GET", "journal/2")
    times = paced["response"]["times_ms"]
    assert len(times) == len(paced["response"]["events"]) == paced["events"]
    assert times == sorted(times)
    assert times[0] == paced["first_event_ms"] >= 50
    assert paced["response"]["violations"] == []
    assert 3 in [each["event"] for each in damaged["response"]["violations"]]


def test_what_the_contract_says_is_told_by_part_and_member(api: Client) -> None:
    body = {"model": "gpt-5.4", "temperature": 9, "messages": [{"role": "user"}], "n": "many"}
    api.post("/v1/chat/completions", json=body)
    api.chat("Hello", stream=True, headers={"x-mock-scenario": "no_end"})
    api.chat("Hello", stream=True, headers={"x-mock-scenario": "wrong_content_type"})
    api.ok("POST", "rules", {"then": {"reply": {"text": "Hi."}, "headers": {"remove": ["x-request-id"]}}})
    api.chat("Hello")
    api.get("/nowhere")
    wrong, endless, mistyped, headless, unknown = (api.ok("GET", f"journal/{number}") for number in range(1, 6))
    found = [(each["part"], each["member"]) for each in wrong["request"]["violations"]]
    assert sorted(found) == [("body", "messages[0].content"), ("body", "n"), ("body", "temperature")]
    assert wrong["contract"]["document"] == "AIone 1.0"
    assert {"200", "400", "429"} <= set(wrong["contract"]["statuses"])
    assert wrong["response"]["violations"] == []
    assert {each["part"] for each in endless["response"]["violations"]} == {"stream"}
    assert endless["contract"]["grammar"] is True
    assert endless["request"]["violations"] == []
    assert {each["part"] for each in mistyped["response"]["violations"]} == {"content_type"}
    assert [(each["part"], each["member"]) for each in headless["response"]["violations"]] == [
        ("header", "x-request-id")
    ]
    declared = {each["name"]: (each["required"], each["sent"]) for each in headless["contract"]["headers"]}
    assert declared["x-request-id"] == (True, False)
    assert unknown["contract"] is None


def test_a_list_of_a_thousand_takes_less_than_thirty_milliseconds(server: Server, name: str) -> None:
    console = Console(server.url, name)
    with console.open_in_process(server.app) as inside:
        for number in range(1000):
            assert inside.chat(text=f"question {number}").status_code == 200
        assert len(inside.get("/_mock/journal", limit=1000)["items"]) == 1000
        assert cost(lambda: inside.get("/_mock/journal", limit=1000), 9) < 0.03
