"""Side effects of a request: what a refusal counts, takes, books and writes down, and which check refuses first.

All tests observe a real server from outside: over HTTP, through the control API and the `X-Mock-*` headers. They say
nothing about modules or functions, so they hold while code moves.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import httpx2
import orjson
import pytest

from tests.recorder.conftest import replay_server
from tests.timing import PATIENCE, wait_until
from tests.wire_reader import Wire, ask, build_request

DEMO = "sk-nex-demo-every-model"
DISABLED = "sk-nex-disabled-by-hand"
SONNET_ONLY = "sk-nex-models-sonnet-only"
OTHER_ADDRESS = "sk-nex-address-203-0-113"
TWO_A_MINUTE = "sk-nex-rpm-two-a-minute"
FEW_TOKENS = "sk-nex-tpm-few-tokens"
SPENT = "sk-nex-balance-used-up"
OTHER_ORGANISATION = "sk-nex-other-organisation"
CONSOLE = "nex-console-tech"
CONSOLE_OF = {SPENT: "nex-console-spent", OTHER_ORGANISATION: "nex-console-other"}
CONCURRENCY = 200
"""Calls at a time that the plan of the other organisation allows each key."""
TODAY = "2026-11-20"
CHAT = "/v1/chat/completions"
BODY = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Hello"}]}
BAD_BODY = BODY | {"model": 7}
UNKNOWN_MODEL = BODY | {"model": "no-such-model"}
GEMINI = "/v1beta/models/gemini-2.5-flash:generateContent"
GEMINI_BODY = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}
STREAM = BODY | {"stream": True}
PROBE = {"id": "probe", "then": {"headers": {"set": {"x-probe": "1"}}}}
"""A rule that fits every call and changes next to nothing: whether its count advances shows whether it was asked."""


def error_rule(name: str, **more: Any) -> dict[str, Any]:
    """Return a rule that answers every call with an error."""
    return {"id": "probe", "then": {"error": name, **more}}


@dataclass(frozen=True)
class Ask:
    """A request to send."""

    key: str = DEMO
    body: Any = field(default_factory=lambda: BODY)
    path: str = CHAT
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    announced: int | None = None
    """A content-length to send without any body."""

    def encode(self, session: str) -> bytes:
        """Return the bytes of the request in a session."""
        headers = {"x-mock-session": session, "x-mock-explain": "1", **self.headers}
        if self.key:
            headers["authorization"] = f"Bearer {self.key}"
        if self.announced is not None:
            return build_request(
                self.path, method=self.method, headers=headers | {"content-length": str(self.announced)}
            )
        return build_request(self.path, self.body, method=self.method, headers=headers)


@dataclass(frozen=True)
class Effects:
    """What one request left behind. The defaults are those of a request refused before it is known who calls."""

    status: int
    code: str | None = None
    """Code in the error body."""
    caller: str | None = None
    """Name of the key in the journal."""
    slots: int | None = 0
    """Requests counted against the limit of the key, those sent in advance included; None where nothing shows it."""
    tokens: bool = False
    """Whether its tokens were counted against the limit of the key."""
    rule_count: int = 0
    """How often the rule `probe` was counted."""
    booked: Literal["nothing", "failure", "answer"] = "nothing"
    """What the ledger has of it: a request without tokens, or one with all its tokens."""
    limit_headers: bool = False
    """Whether the answer has `x-ratelimit-…` headers."""
    rule: str | None = None
    """Rule in the journal."""
    scenario: str | None = None
    """Scenario in the journal."""
    limit: bool = False
    """Whether the journal names the limit that refused it, in the words of the answer."""
    model: str | None = None
    """Model in the journal."""
    end: str = "finish"
    """How the answer ended, in the journal."""


@dataclass(frozen=True)
class Case:
    """A request and its effects."""

    name: str
    ask: Ask
    effects: Effects
    rule: Any = field(default_factory=lambda: PROBE)
    before: tuple[Ask, ...] = ()
    """Requests sent in advance."""


class Observer:
    """Sends requests in a session of its own and measures what each one changes."""

    def __init__(self, url: str, session: str) -> None:
        self.session, self.port = session, int(url.rpartition(":")[2])
        self.http = httpx2.Client(base_url=url, headers={"x-mock-session": session}, timeout=PATIENCE, trust_env=False)

    def send(self, asked: Ask) -> Wire:
        """Send a request and return its answer, as far as it came."""
        return ask(self.port, asked.encode(self.session))

    def control(self, method: str, path: str, json: Any = None) -> Any:
        """Return the JSON of a successful call of the control API."""
        answer = self.http.request(method, f"/_mock/{path}", json=json)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def count_exchanges(self) -> int:
        """Return how many exchanges the journal has had."""
        total: int = self.control("GET", "journal?limit=1")["total"]
        return total

    def newest_exchange(self) -> dict[str, Any]:
        """Return the newest exchange in the journal."""
        found: dict[str, Any] = self.control("GET", f"journal/{self.count_exchanges()}")
        return found

    def set_rule(self, wanted: Any) -> None:
        """Set the only rule of the session."""
        self.control("PUT", "rules", {"rules": [wanted] if wanted else []})

    def usage_today(self, key: str) -> tuple[int, int]:
        """Return requests and tokens that the ledger of the key's organisation has for today."""
        token = CONSOLE_OF.get(key, CONSOLE)
        rows = self.http.get("/api/v1/obs/usage", headers={"authorization": f"Bearer {token}"}).json()
        today = [row for row in rows if row["date"] == TODAY]
        return sum(row["requests"] for row in today), sum(row["total_tokens"] for row in today)

    def count_against_limits(self, key: str) -> tuple[int | None, int]:
        """Return requests and tokens counted against a key, as one more call shows, which itself is left out."""
        answer = self.send(Ask(key, chat("How much is left?")))
        shown = limits_shown(answer)
        if shown is None:
            return None, 0
        own = json_of(answer)["usage"]["total_tokens"] if answer.status == 200 else 0
        return shown[0] - (answer.status != 429), shown[1] - own

    def measure(self, case: Case) -> Effects:
        """Send the request of a case and return its effects."""
        _, spent = max([limits_shown(self.send(earlier)) or (0, 0) for earlier in case.before], default=(0, 0))
        key = case.ask.key if case.ask.key.startswith("sk-nex-") else DEMO
        booked = self.usage_today(key)
        self.set_rule(case.rule)
        answer = self.send(case.ask)
        entry = self.newest_exchange()
        rule_count = self.control("GET", "rules")["items"][0]["seen"]
        self.set_rule(None)
        booked = tuple(now - then for now, then in zip(self.usage_today(key), booked, strict=True))
        slots, tokens = self.count_against_limits(key)
        used = entry["usage"]["prompt"] + entry["usage"]["completion"] if entry["usage"] else 0
        assert entry["request_id"] == answer.headers.get("x-request-id", entry["request_id"])
        assert entry["status"] == answer.status
        assert tokens - spent in (0, used), "all or none of the tokens are counted"
        return Effects(
            answer.status,
            error_code(answer),
            entry["key"],
            slots,
            tokens > spent,
            rule_count,
            {(0, 0): "nothing", (1, used): "answer", (1, 0): "failure"}[booked],
            any(name.startswith("x-ratelimit-") for name in answer.headers),
            entry["rule"],
            entry["explain"]["scenario"],
            names_limit(entry, answer),
            entry["model"],
            entry["response"]["end"],
        )


def chat(text: str, **members: Any) -> dict[str, Any]:
    """Return the body of a chat request."""
    return {"model": "gpt-5.4", "messages": [{"role": "user", "content": text}], **members}


def json_of(answer: Wire) -> Any:
    """Return the JSON of an answer."""
    return orjson.loads(answer.body)


def limits_shown(answer: Wire) -> tuple[int, int] | None:
    """Return the requests and tokens counted against a key so far, None if the answer does not tell."""
    shown = re.match(r"rpm (\d+)/\d+, tpm (\d+)/", answer.headers.get("x-mock-limits", ""))
    return (int(shown[1]), int(shown[2])) if shown else None


def error_code(answer: Wire) -> str | None:
    """Return the code in the error body of an answer."""
    if answer.status < 400:
        return None
    body = json_of(answer)
    if "error" not in body:
        return body["detail"][0]["type"] if isinstance(body["detail"], list) else body["detail"]
    error = body["error"]
    code: str = error.get("status") or error.get("code") or error["name"]
    return code


def names_limit(entry: Any, answer: Wire) -> bool:
    """Return whether a journal entry names the limit that refused the request."""
    limit = entry["explain"]["limit"]
    assert limit is None or limit == json_of(answer)["error"]["message"]
    return limit is not None


@pytest.fixture
def observer(server: Any, session_url: str) -> Iterator[Observer]:
    """An observer with a fresh session."""
    made = Observer(server.url, session_url.rpartition("/")[2])
    with made.http:
        yield made


def make_refusal_effects(
    status: int, code: str, caller: str | None = None, slots: int | None = 0, **more: Any
) -> Effects:
    """Return the effects of a request that is refused before a rule is looked for."""
    return Effects(status, code, caller, slots, **more)


def make_probe_effects(
    status: int, code: str | None = None, caller: str = "Demo", slots: int = 1, **more: Any
) -> Effects:
    """Return the effects of a request that the probing rule applied to."""
    return Effects(status, code, caller, slots, **{"rule_count": 1, "rule": "probe", "scenario": "headers", **more})


def make_scripted_effects(status: int, code: str, *, by: Literal["header", "probe"], **more: Any) -> Effects:
    """Return the effects of a request to which a scenario gave an error, asked for by its header or a rule."""
    count = int(by == "probe")
    return Effects(status, code, "Demo", 1, rule_count=count, rule=by, **{"scenario": code, **more})


SERVED = make_probe_effects(200, tokens=True, booked="answer", limit_headers=True, model="gpt-5.4")
CUT = replace(SERVED, rule_count=0, rule="header", end="cut")
LONG = chat("word " * 300)

CASES = [
    Case("served", Ask(), SERVED),
    Case("served without a model", Ask(path="/v1/models", method="GET", body=None), make_probe_effects(200, slots=0)),
    # before anybody knows who calls
    Case("unknown path", Ask(path="/v1/nowhere"), make_refusal_effects(404, "not_found")),
    Case("wrong method", Ask(method="DELETE", body=None), make_refusal_effects(405, "method_not_allowed")),
    Case("body too large", Ask(announced=1 << 30), make_refusal_effects(413, "request_too_large")),
    Case("no key", Ask(key=""), make_refusal_effects(401, "invalid_api_key")),
    Case("unknown key", Ask(key="wrong"), make_refusal_effects(401, "invalid_api_key")),
    Case("disabled key", Ask(key=DISABLED), make_refusal_effects(401, "invalid_api_key", slots=None)),
    Case("address not allowed", Ask(key=OTHER_ADDRESS), make_refusal_effects(403, "ip_not_allowed", slots=None)),
    # limits: the caller is known, no slot is taken, and the journal says which limit it was
    Case(
        "balance used up",
        Ask(key=SPENT),
        make_refusal_effects(402, "insufficient_balance", "No money left", slots=None, limit=True),
    ),
    Case(
        "requests a minute",
        Ask(key=TWO_A_MINUTE),
        make_refusal_effects(429, "rate_limit_exceeded", "Two a minute", slots=2, limit=True, limit_headers=True),
        before=(Ask(key=TWO_A_MINUTE),) * 2,
    ),
    Case(
        "tokens a minute",
        Ask(key=FEW_TOKENS),
        make_refusal_effects(429, "rate_limit_exceeded", "Few tokens", slots=1, limit=True, limit_headers=True),
        before=(Ask(key=FEW_TOKENS, body=LONG),),
    ),
    # what the request says: a slot is taken, no rule is asked
    Case("invalid body", Ask(body=BAD_BODY), make_refusal_effects(400, "invalid_request", "Demo", 1)),
    Case(
        "invalid body of the console",
        Ask(key=CONSOLE, path="/api/v1/gateway/keys", body={}),
        make_refusal_effects(422, "missing", "沈明哲"),
    ),
    Case(
        "unknown scenario",
        Ask(headers={"x-mock-scenario": "nonsense"}),
        make_refusal_effects(400, "invalid_request", "Demo", 1),
    ),
    # scenarios: the caller's balance and limits are those of a call, and only a 5xx is on the ledger
    Case(
        "error by header",
        Ask(headers={"x-mock-scenario": "rate_limit_exceeded"}),
        make_scripted_effects(429, "rate_limit_exceeded", by="header", limit_headers=True),
    ),
    Case(
        "server error by header",
        Ask(headers={"x-mock-scenario": "upstream_unavailable"}),
        make_scripted_effects(503, "upstream_unavailable", by="header", booked="failure"),
    ),
    Case(
        "error by rule",
        Ask(),
        make_scripted_effects(429, "rate_limit_exceeded", by="probe", limit_headers=True),
        rule=error_rule("rate_limit_exceeded", times=1),
    ),
    Case(
        "server error by rule",
        Ask(),
        make_scripted_effects(500, "internal_error", by="probe", booked="failure"),
        rule=error_rule("internal_error", times=1),
    ),
    Case("cut stream", Ask(body=STREAM, headers={"x-mock-scenario": "cut; after=2"}), replace(CUT, scenario="cut")),
    Case(
        "connection reset",
        Ask(body=STREAM, headers={"x-mock-scenario": "reset"}),
        replace(CUT, status=0, scenario="reset", limit_headers=False),
    ),
    # the handler refuses: the rule is used up already
    Case("unknown model", Ask(body=UNKNOWN_MODEL), make_probe_effects(404, "model_not_found")),
    Case("model not allowed", Ask(key=SONNET_ONLY), make_probe_effects(403, "model_not_allowed", "Claude Sonnet only")),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_effects(observer: Observer, case: Case) -> None:
    assert observer.measure(case) == case.effects


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_every_request_is_numbered_and_written_down_whatever_becomes_of_it(observer: Observer, case: Case) -> None:
    entries = []
    for _ in range(2):
        observer.send(case.ask)
        entries.append(observer.newest_exchange())
    assert [entry["number"] for entry in entries] == [1, 2]
    assert [entry["explain"]["occurrence"] for entry in entries] == [1, 2]
    assert entries[0]["request_id"] != entries[1]["request_id"]


def test_a_bug_in_a_handler_is_a_failed_call(
    app: Any, observer: Observer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setitem(app.pipeline.handlers, "createChatCompletion", fail)
    expected = make_probe_effects(500, "internal_error", booked="failure", slots=1)
    assert observer.measure(Case("bug", Ask(), expected)) == expected
    assert caplog.records[0].exc_info, "the log has the traceback"


def test_a_rule_with_times_counts_the_calls_that_come_to_it(observer: Observer) -> None:
    observer.set_rule(error_rule("internal_error", times=2))
    asked = [Ask(), Ask(body=BAD_BODY), Ask(key="wrong"), Ask(body=UNKNOWN_MODEL), Ask(), Ask()]
    assert [observer.send(each).status for each in asked] == [500, 400, 401, 500, 200, 200]
    (state,) = observer.control("GET", "rules")["items"]
    assert (state["seen"], state["spent"]) == (4, True)


def test_an_error_by_header_with_times_is_counted_apart_from_rules(observer: Observer) -> None:
    observer.set_rule(PROBE)
    header = {"x-mock-scenario": "internal_error; times=1"}
    asked = [Ask(headers=header, body=BAD_BODY), Ask(headers=header), Ask(headers=header), Ask()]
    assert [observer.send(each).status for each in asked] == [400, 500, 200, 200]
    assert observer.control("GET", "rules")["items"][0]["seen"] == 1, "a call with the header asks no rule"


def test_a_call_of_the_control_api_leaves_no_trace(observer: Observer) -> None:
    observer.set_rule(PROBE)
    first, second = (observer.http.get("/_mock/rules") for _ in range(2))
    assert first.headers["x-request-id"] != second.headers["x-request-id"], "it has a number of its own all the same"
    assert first.json() == second.json()
    assert first.json()["items"][0]["seen"] == 0
    assert observer.http.post("/_mock/rules", json={}).status_code == 400
    assert observer.http.get("/_mock/nowhere").status_code == 404
    assert observer.count_exchanges() == 0
    assert observer.control("GET", f"sessions/{observer.session}")["calls"] == 0


def test_a_session_that_cannot_be_named_is_refused_in_the_default_session(server: Any) -> None:
    default = Observer(server.url, "default")
    before = default.count_exchanges()
    answer = Observer(server.url, "not a name!").send(Ask(path="/v1/nowhere"))
    assert (answer.status, answer.headers["x-mock-session"]) == (400, "default")
    assert default.count_exchanges() == before + 1


# Replay


CASSETTE = """\
cassette: 1
upstream: http://gateway.example
interactions:
- request:
    operation: createChatCompletion
    method: POST
    path: /v1/chat/completions
    headers: {content-type: application/json}
    body: {model: gpt-5.4, messages: [{role: user, content: Hello}]}
  response:
    status: 200
    headers: {content-type: application/json}
    body: {recorded: true}
  timing: {first: 0.0, total: 0.0}
"""


def test_a_recorded_answer_comes_before_everything_else(tmp_path: Path) -> None:
    """It asks for no key, takes no slot, uses no rule and costs nothing; it is numbered and written down."""
    path = tmp_path / "calls.yaml"
    path.write_text(CASSETTE)
    with replay_server(path) as url:
        observer = Observer(url, "replay")
        booked, before = observer.usage_today(DEMO), observer.count_exchanges()
        observer.set_rule(error_rule("internal_error"))
        for occurrence, key in enumerate((DEMO, "wrong", SPENT), start=1):
            answer = observer.send(Ask(key))
            assert (answer.status, json_of(answer)) == (200, {"recorded": True})
            entry = observer.newest_exchange()
            assert (entry["number"], entry["explain"]["occurrence"]) == (before + occurrence, occurrence)
            assert (entry["status"], entry["key"], entry["rule"], entry["usage"]) == (200, None, None, None)
        assert observer.control("GET", "rules")["items"][0]["seen"] == 0
        assert observer.send(Ask("wrong", BAD_BODY)).status == 401, "what was not recorded goes on to the mock"
        observer.set_rule(None)
        assert observer.usage_today(DEMO) == booked
        assert observer.count_against_limits(DEMO) == (0, 0)


def test_what_was_not_recorded_is_not_found_before_everything_else(tmp_path: Path) -> None:
    path = tmp_path / "calls.yaml"
    path.write_text(CASSETTE)
    with replay_server(path, replay_only=True) as url:
        observer = Observer(url, "replay")
        for asked in (Ask(body=BAD_BODY), Ask("wrong", BAD_BODY), Ask(SPENT, chat("Good evening"))):
            answer = observer.send(asked)
            assert (answer.status, error_code(answer)) == (404, "not_found")
            assert observer.newest_exchange()["key"] is None
        scenario = Ask("wrong", headers={"x-mock-scenario": "upstream_unavailable"})
        assert observer.send(scenario).status == 401, "a request with a scenario is not the cassette's"


# Which check refuses when several would


@dataclass(frozen=True)
class Clash:
    """A request with more than one thing wrong, and the refusal that it gets."""

    name: str
    ask: Ask
    status: int
    code: str


WRONG_SCENARIO = {"x-mock-scenario": "nonsense"}
ERROR_HEADER = {"x-mock-scenario": "upstream_unavailable"}
CLASHES = [
    Clash("unknown path, unknown key", Ask(path="/v1/nowhere", key="wrong"), 404, "not_found"),
    Clash("wrong method, unknown key", Ask(method="DELETE", key="wrong"), 405, "method_not_allowed"),
    Clash("body too large, unknown path", Ask(path="/v1/nowhere", announced=1 << 30), 404, "not_found"),
    Clash("body too large, unknown key", Ask(key="wrong", announced=1 << 30), 413, "request_too_large"),
    Clash("unknown key, invalid body", Ask(key="wrong", body=BAD_BODY), 401, "invalid_api_key"),
    Clash("unknown key, unknown scenario", Ask(key="wrong", headers=WRONG_SCENARIO), 401, "invalid_api_key"),
    Clash("unknown key, error by header", Ask(key="wrong", headers=ERROR_HEADER), 401, "invalid_api_key"),
    Clash("address not allowed, invalid body", Ask(key=OTHER_ADDRESS, body=BAD_BODY), 403, "ip_not_allowed"),
    Clash("good key, unknown key", Ask(path=f"{GEMINI}?key=wrong", body=GEMINI_BODY), 401, "UNAUTHENTICATED"),
    Clash("no balance, invalid body", Ask(key=SPENT, body=BAD_BODY), 402, "insufficient_balance"),
    Clash("no balance, unknown model", Ask(key=SPENT, body=UNKNOWN_MODEL), 402, "insufficient_balance"),
    Clash("no balance, error by header", Ask(key=SPENT, headers=ERROR_HEADER), 402, "insufficient_balance"),
    Clash("over limit, invalid body", Ask(key=TWO_A_MINUTE, body=BAD_BODY), 429, "rate_limit_exceeded"),
    Clash("over limit, unknown model", Ask(key=TWO_A_MINUTE, body=UNKNOWN_MODEL), 429, "rate_limit_exceeded"),
    Clash("over limit, unknown scenario", Ask(key=TWO_A_MINUTE, headers=WRONG_SCENARIO), 429, "rate_limit_exceeded"),
    Clash("over limit, error by header", Ask(key=TWO_A_MINUTE, headers=ERROR_HEADER), 429, "rate_limit_exceeded"),
    Clash("over limit, wrong method", Ask(key=TWO_A_MINUTE, method="DELETE"), 405, "method_not_allowed"),
    Clash("invalid body, unknown scenario", Ask(body=BAD_BODY, headers=WRONG_SCENARIO), 400, "invalid_request"),
    Clash("invalid body, error by header", Ask(body=BAD_BODY, headers=ERROR_HEADER), 400, "invalid_request"),
    Clash("invalid body, model not allowed", Ask(key=SONNET_ONLY, body=BAD_BODY), 400, "invalid_request"),
    Clash("unknown scenario, unknown model", Ask(body=UNKNOWN_MODEL, headers=WRONG_SCENARIO), 400, "invalid_request"),
    Clash("error by header, unknown model", Ask(body=UNKNOWN_MODEL, headers=ERROR_HEADER), 503, "upstream_unavailable"),
    Clash("error by header, model not allowed", Ask(SONNET_ONLY, headers=ERROR_HEADER), 503, "upstream_unavailable"),
    Clash("model not allowed, unknown model", Ask(SONNET_ONLY, UNKNOWN_MODEL), 404, "model_not_found"),
]


@pytest.mark.parametrize("clash", CLASHES, ids=lambda clash: clash.name.replace(", ", "+").replace(" ", "-"))
def test_the_first_check_refuses(observer: Observer, clash: Clash) -> None:
    if clash.ask.key == TWO_A_MINUTE:
        assert [observer.send(Ask(TWO_A_MINUTE)).status for _ in range(2)] == [200, 200]
    answer = observer.send(clash.ask)
    assert (answer.status, error_code(answer)) == (clash.status, clash.code)


RULE_CLASHES = [
    ("unknown key", Ask("wrong"), 401, 0),
    ("no balance", Ask(SPENT), 402, 0),
    ("invalid body", Ask(body=BAD_BODY), 400, 0),
    ("unknown scenario", Ask(headers=WRONG_SCENARIO), 400, 0),
    ("error by header", Ask(headers=ERROR_HEADER), 503, 0),
    ("unknown model", Ask(body=UNKNOWN_MODEL), 500, 1),
    ("model not allowed", Ask(SONNET_ONLY), 500, 1),
]


@pytest.mark.parametrize(("name", "asked", "status", "seen"), RULE_CLASHES)
def test_a_rule_is_used_only_by_a_request_that_was_let_in(
    observer: Observer, name: str, asked: Ask, status: int, seen: int
) -> None:
    observer.set_rule(error_rule("internal_error"))
    assert observer.send(asked).status == status
    assert observer.control("GET", "rules")["items"][0]["seen"] == seen


# Calls at a time


@pytest.fixture
def crowd(observer: Observer) -> Iterator[list[socket.socket]]:
    """All calls but one that the plan allows a key, each under way until its connection is closed."""
    hanging = Ask(OTHER_ORGANISATION, STREAM, headers={"x-mock-scenario": "hang"}).encode(observer.session)
    with ExitStack() as stack:
        connections = []
        for _ in range(CONCURRENCY - 1):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", observer.port), timeout=PATIENCE))
            connection.sendall(hanging)
            connections.append(connection)
        assert wait_until(lambda: observer.count_exchanges() == CONCURRENCY - 1)
        yield connections
    assert wait_until(lambda: observer.send(Ask(OTHER_ORGANISATION)).status == 200)


ENDED = [case for case in CASES if case.ask.key == DEMO and case.ask.path == CHAT]


def test_every_call_that_ends_leaves_its_place_to_the_next(observer: Observer, crowd: list[socket.socket]) -> None:
    for case in ENDED:
        observer.set_rule(case.rule)
        observer.send(replace(case.ask, key=OTHER_ORGANISATION))
        observer.set_rule(None)
        assert wait_until(lambda: observer.send(Ask(OTHER_ORGANISATION)).status == 200, 5), (
            f"{case.name} holds its place"
        )


def test_calls_at_a_time(observer: Observer, crowd: list[socket.socket]) -> None:
    """The last place is taken by one more call; what comes then is refused, and takes no slot."""
    last = socket.create_connection(("127.0.0.1", observer.port), timeout=PATIENCE)
    last.sendall(Ask(OTHER_ORGANISATION, STREAM, headers={"x-mock-scenario": "hang"}).encode(observer.session))
    assert wait_until(lambda: observer.count_exchanges() == CONCURRENCY)
    booked = observer.usage_today(OTHER_ORGANISATION)
    observer.set_rule(PROBE)
    for asked in (Ask(OTHER_ORGANISATION), Ask(OTHER_ORGANISATION, BAD_BODY)):
        answer = observer.send(asked)
        assert (answer.status, error_code(answer)) == (429, "concurrency_limit_exceeded")
        assert answer.headers["x-mock-limits"].startswith(f"rpm {CONCURRENCY}/")
        assert "x-ratelimit-remaining-requests" in answer.headers
        entry = observer.newest_exchange()
        assert names_limit(entry, answer)
        assert str(CONCURRENCY) in entry["explain"]["limit"]
        assert (entry["explain"]["occurrence"], entry["rule"]) == (1, None)
    assert observer.control("GET", "rules")["items"][0]["seen"] == 0
    assert observer.usage_today(OTHER_ORGANISATION) == booked
    last.close()
