"""Any sequence of operations and clock moves keeps a simple model of keys and the server in step."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from aione_mock.server.app import Mock

from .client import KEYS, TECH, make_bearer_headers

NAMES = count()
MODELS = ["gpt-5.4", "claude-sonnet-4-6", "haiku-4-5"]
HERE, ELSEWHERE = "127.0.0.0/8", "203.0.113.7"
DAY = 86400
LIMITS: dict[str, st.SearchStrategy[Any]] = {
    "name": st.text(min_size=1, max_size=20),
    "models_allowed": st.none() | st.lists(st.sampled_from(MODELS), max_size=2),
    "rpm_limit": st.none() | st.integers(1, 3),
    "allowed_ips": st.sampled_from([None, [], [HERE], [ELSEWHERE], [ELSEWHERE, HERE]]),
}
# few keys with much happening to each
PICK = st.integers(0, 2)


@dataclass
class Known:
    """What a client knows of a key."""

    id: str
    secret: str
    fields: dict[str, Any]
    expires: float | None
    enabled: bool = True
    old: str | None = None
    grace: float = 0.0
    dead: list[str] = field(default_factory=list)
    deleted: bool = False
    calls: list[float] = field(default_factory=list)

    def status(self, now: float) -> str:
        if self.expires is not None and self.expires <= now:
            return "expired"
        return "active" if self.enabled else "disabled"

    def opens(self, secret: str, now: float) -> bool:
        usable = not self.deleted and self.status(now) == "active"
        return usable and (secret == self.secret or (secret == self.old and now < self.grace))

    @property
    def secrets(self) -> list[str]:
        """Return the present secret, the one before it, and older ones."""
        return [secret for secret in (self.secret, self.old, *self.dead[::-1]) if secret]

    def door(self, secret: str, now: float) -> int:
        """Return the status that a request for the models should get."""
        if not self.opens(secret, now):
            return 401
        return 403 if self.fields.get("allowed_ips") and HERE not in self.fields["allowed_ips"] else 200

    def answer(self, secret: str, model: str, now: float) -> int:
        """Return the status that a call should get; an admitted call counts, whatever its answer."""
        if (status := self.door(secret, now)) != 200:
            return status
        self.calls = [at for at in self.calls if at > now - 60]
        limit = self.fields.get("rpm_limit")
        if limit and len(self.calls) >= limit:
            return 429
        self.calls.append(now)
        allowed = self.fields.get("models_allowed")
        return 403 if allowed and model not in allowed else 200


class KeyLife(RuleBasedStateMachine):
    app: Mock

    @initialize()
    def start(self) -> None:
        self.session = self.app.sessions.create(f"life-{next(NAMES)}")
        self.loop = asyncio.new_event_loop()
        headers = {"x-mock-session": self.session.name}
        self.http = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(self.app), base_url="http://mock", headers=headers
        )
        self.keys: list[Known] = []
        self.seeded = self.ask("GET", KEYS).json()["items"]
        # one without limits to begin with, so that something can happen from the first step on
        self.create({"name": "First"}, None)

    def teardown(self) -> None:
        self.app.sessions.delete(self.session.name)
        self.loop.close()

    @property
    def now(self) -> float:
        return self.session.clock.timestamp()

    def ask(self, method: str, path: str, secret: str = TECH, **more: Any) -> httpx2.Response:
        return self.loop.run_until_complete(
            self.http.request(method, path, headers=make_bearer_headers(secret), **more)
        )

    def change(self, key: Known, end: str, **more: Any) -> httpx2.Response:
        return self.ask("PUT", f"{KEYS}/{key.id}{end}", **more)

    def pick(self, number: int) -> Known:
        return self.keys[number % len(self.keys)]

    def check(self, key: Known, answer: httpx2.Response, status: int = 200) -> None:
        """Check that the answer shows the key as the client knows it, or is 404 if it was deleted."""
        if key.deleted:
            assert answer.status_code == 404
            return
        assert answer.status_code == status, answer.text
        if status == 200:
            self.assert_same(key, answer.json())

    def assert_same(self, key: Known, shown: dict[str, Any]) -> None:
        assert shown["key"] is None
        assert shown["id"] == key.id
        assert key.secret.startswith(shown["key_prefix"])
        assert shown["status"] == key.status(self.now)
        assert {name: shown[name] for name in LIMITS} == {name: key.fields.get(name) for name in LIMITS}
        assert (shown["rotate_grace_until"] is None) == (key.old is None)

    @rule(
        fields=st.fixed_dictionaries(
            {"name": LIMITS["name"]}, optional={n: s for n, s in LIMITS.items() if n != "name"}
        ),
        lives=st.none() | st.integers(1, 3 * DAY),
    )
    def create(self, fields: dict[str, Any], lives: int | None) -> None:
        expires = None if lives is None else self.now + lives
        text = expires and datetime.fromtimestamp(expires, UTC).isoformat()
        answer = self.ask("POST", KEYS, json={**fields, "expires_at": text})
        assert answer.status_code == 201, answer.text
        made = answer.json()
        self.keys.append(Known(made["id"], made["key"], fields, expires))

    @rule(number=PICK, changes=st.fixed_dictionaries({}, optional=LIMITS))
    def update(self, number: int, changes: dict[str, Any]) -> None:
        key = self.pick(number)
        answer = self.change(key, "", json=changes)
        if not key.deleted:
            key.fields = key.fields | changes
        self.check(key, answer)

    @rule(number=PICK)
    def rotate(self, number: int) -> None:
        key = self.pick(number)
        answer = self.change(key, "/rotate")
        if key.deleted or key.status(self.now) != "active":
            self.check(key, answer, 409)
            return
        made = answer.json()
        assert (answer.status_code, made["id"]) == (200, key.id)
        key.dead += [key.old] if key.old else []
        key.old, key.secret, key.grace = key.secret, made["key"], self.now + DAY
        until = datetime.fromisoformat(made["rotate_grace_until"])
        assert until - datetime.fromtimestamp(key.grace, UTC) == timedelta(0)

    @rule(number=PICK, enabled=st.booleans())
    def switch(self, number: int, enabled: bool) -> None:
        key = self.pick(number)
        answer = self.change(key, "/enable" if enabled else "/disable")
        if not key.deleted:
            key.enabled = enabled
        self.check(key, answer)

    @rule(number=PICK)
    def delete(self, number: int) -> None:
        key = self.pick(number)
        answer = self.ask("DELETE", f"{KEYS}/{key.id}")
        assert answer.status_code == (404 if key.deleted else 204)
        key.deleted = True

    @rule(seconds=st.sampled_from([1, 30, 60, DAY - 1, DAY]))
    def wait(self, seconds: int) -> None:
        self.session.clock.advance(seconds)

    @rule(number=PICK, which=st.integers(0, 2), model=st.sampled_from(MODELS))
    def call(self, number: int, which: int, model: str) -> None:
        key = self.pick(number)
        secret = key.secrets[which % len(key.secrets)]
        expected = key.answer(secret, model, self.now)
        body = {"model": model, "messages": [{"role": "user", "content": "Hi"}]}
        assert self.ask("POST", "/v1/chat/completions", secret, json=body).status_code == expected

    @rule(number=PICK)
    def read(self, number: int) -> None:
        key = self.pick(number)
        self.check(key, self.ask("GET", f"{KEYS}/{key.id}"))

    @invariant()
    def the_list_is_what_there_is(self) -> None:
        shown = self.ask("GET", KEYS).json()
        living = [key for key in self.keys if not key.deleted]
        assert shown["total"] == len(shown["items"]) == len(self.seeded) + len(living)
        by_id = {item["id"]: item for item in shown["items"]}
        for key in living:
            self.assert_same(key, by_id[key.id])
        secrets = [secret for key in self.keys for secret in key.secrets]
        assert len({*secrets}) == len(secrets)

    @invariant()
    def every_secret_opens_what_it_should(self) -> None:
        for key in self.keys[:3]:
            for secret in key.secrets[:3]:
                assert self.ask("GET", "/v1/models", secret).status_code == key.door(secret, self.now)


def test_model_and_server_stay_in_step(app: Mock) -> None:
    class Life(KeyLife):
        pass

    Life.app = app
    Life.TestCase.settings = settings(
        max_examples=12, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    Life.TestCase("runTest").runTest()


def test_the_model_can_disagree(app: Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server on which disabling does nothing fails the test."""
    from aione_mock.server.handlers import keys

    monkeypatch.setitem(app.pipeline.handlers, "disableKey", keys.get_key)

    class Life(KeyLife):
        pass

    Life.app = app
    Life.TestCase.settings = settings(
        max_examples=60, stateful_step_count=20, deadline=None, database=None, derandomize=True, phases=[Phase.generate]
    )
    with pytest.raises(AssertionError):
        Life.TestCase("runTest").runTest()
