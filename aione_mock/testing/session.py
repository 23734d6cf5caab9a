"""What a test says to the mock: prepare answers, move time, look at calls."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aione_mock.asgi import SESSION_PREFIX
from aione_mock.clock import parse_duration
from aione_mock.errors import ScenarioError
from aione_mock.tenant.organisation_file import SeededCredential
from aione_mock.testing import messages
from aione_mock.testing.calls import RecordedCall
from aione_mock.testing.control_client import Channel
from aione_mock.testing.environment import variables
from aione_mock.testing.options import Options, instant_of, pace_of, refuse_unknown
from aione_mock.testing.prepared_replies import Prepared, in_order, reply_of
from aione_mock.types import Json

if TYPE_CHECKING:
    from aione_mock.testing.resilience import Report

When = Mapping[str, Json]
_CONDITIONS = ("model", "key", "team", "header", "text", "pattern", "tool_offered", "tool_result", "stream", "body")
_PLACE = re.compile(r"^(rules(/\S*)?|when)(/\S*)?: ")


class MockSession:
    """A world of one test: its answers, its clock, its calls. The same over HTTP and within the process."""

    def __init__(
        self,
        channel: Channel,
        name: str,
        options: Options,
        credentials: Iterable[SeededCredential],
        folder: Path = Path(),
        api_key: str | None = None,
    ) -> None:
        self._channel, self.name, self._options = channel, name, options
        self._credentials = tuple(credentials)
        self._folder, self._api_key = folder, api_key
        self._prepared: list[Prepared] = []
        self._standing: list[Mapping[str, Json]] = []
        self._pace: Mapping[str, Json] = {}

    def __repr__(self) -> str:
        return f"<MockSession {self.base_url}>"

    # Where it is

    @property
    def base_url(self) -> str:
        """The session's root, without a slash at the end: what Anthropic's and Google's clients want."""
        return f"{self._channel.url}{SESSION_PREFIX}{self.name}"

    @property
    def openai_base_url(self) -> str:
        """The same with `/v1`: what OpenAI's clients want."""
        return f"{self.base_url}/v1"

    @property
    def api_key(self) -> str:
        """A key for every model."""
        return self._api_key or next(credential.secret for credential in self._credentials if credential.kind == "key")

    def env(self, *, no_proxy: str = "") -> dict[str, str]:
        """Environment variables that aim the official SDKs, and applications built on them, at the session."""
        return variables(self.base_url, self.api_key, self._credentials, no_proxy=no_proxy)

    # Preparing answers

    def reply(
        self,
        text: str | None = None,
        *,
        tool_calls: Sequence[Mapping[str, Json]] | Mapping[str, Mapping[str, Json]] | None = None,
        json: Json = None,
        chunks: Sequence[str] | None = None,
        reasoning: str | None = None,
        finish: str | None = None,
        usage: Mapping[str, int] | None = None,
        body: Json = None,
        times: int | None = 1,
        when: When | None = None,
    ) -> None:
        """The model says this, to one call unless `times` says otherwise; `times=None` is for every call.

        `tool_calls` are `{"name": …, "arguments": {…}}`, or names and arguments as a mapping; `chunks` are the text as
        a stream delivers it; `body` is the whole answer of an operation that calls no model.
        """
        __tracebackhide__ = True
        spec, told = reply_of(
            text=text,
            tool_calls=tool_calls,
            json=json,
            chunks=chunks,
            reasoning=reasoning,
            finish=finish,
            usage=usage,
            body=body,
        )
        if not spec:
            raise TypeError("reply() needs a text, tool_calls, json, chunks or body")
        self._prepare("reply", told, {"reply": spec}, when, times)

    def fail(
        self,
        error: str,
        times: int | None = 1,
        *,
        retry_after: int | None = None,
        message: str | None = None,
        delay: float | str | None = None,
        when: When | None = None,
    ) -> None:
        """Refuse so many calls with an error of the contract, such as `rate_limit_exceeded`; `times=None` all."""
        __tracebackhide__ = True
        more = {"retry_after": retry_after, "message": message, "delay": delay}
        then = {"error": error, **{name: value for name, value in more.items() if value is not None}}
        self._prepare("fail", f"fail {error}", then, when, times)

    def stream_fault(self, name: str, times: int | None = 1, *, when: When | None = None, **options: Json) -> None:
        """Damage so many streams, as in `stream_fault("cut", after=5)`; `times=None` all. Plain answers stay whole."""
        __tracebackhide__ = True
        then = {"faults": [{"name": name, **options}]}
        self._prepare("stream_fault", f"stream_fault {name}", then, {"stream": True, **(when or {})}, times)

    def fault(self, name: str, times: int | None = 1, *, when: When | None = None, **options: Json) -> None:
        """Damage so many answers, as in `fault("html_page", status=502)`; only those that the fault is made for."""
        __tracebackhide__ = True
        self._prepare("fault", f"fault {name}", {"faults": [{"name": name, **options}]}, when, times)

    def pace(
        self,
        profile: str | None = None,
        *,
        ttft: float | None = None,
        tps: float | None = None,
        jitter: float | None = None,
        tail: float | None = None,
        when: When | None = None,
    ) -> None:
        """From now on answers take their time: seconds to the first token, tokens a second after it.

        It holds for every reply prepared after it and for calls that nothing is prepared for. With `when` it holds
        for such calls alone that nothing else is prepared for.
        """
        __tracebackhide__ = True
        figures = {"ttft": ttft, "tps": tps, "jitter": jitter, "tail": tail}
        pace = {
            **(pace_of(profile) if profile else {}),
            **{name: value for name, value in figures.items() if value is not None},
        }
        if not pace:
            raise TypeError("pace() needs instant, realistic, ttft, tps, jitter or tail")
        told = f"pace {', '.join(f'{name}={value}' for name, value in pace.items())}"
        if when:
            self._prepare("pace", told, {"pace": pace}, when, None)
            return
        kept = [prepared for prepared in self._prepared if prepared.id != "pace"]
        self._set([*kept, Prepared("pace", told, {"pace": pace}, {}, None)], told)
        self._pace = pace

    def set_rules(self, rules: Iterable[Mapping[str, Json]]) -> None:
        """Put these rules in force behind what is prepared, in place of those of the marker."""
        __tracebackhide__ = True
        before = self._standing
        self._standing = list(rules)
        try:
            self._set(self._prepared, "rules")
        except ScenarioError:
            self._standing = before
            raise

    def _prepare(self, verb: str, told: str, then: Mapping[str, Json], when: When | None, times: int | None) -> None:
        __tracebackhide__ = True
        place = 1 + sum(prepared.id.startswith(f"{verb}-") for prepared in self._prepared)
        pace = {"pace": self._pace} if self._pace and "pace" not in then and "error" not in then else {}
        prepared = Prepared(f"{verb}-{place}", told, {**then, **pace}, when or {}, times)
        self._set([*self._prepared, prepared], told)

    def _set(self, prepared: list[Prepared], told: str) -> None:
        """Put the rules in force. Raises ScenarioError when one is wrong; then all stays as it was."""
        __tracebackhide__ = True
        ordered = in_order(prepared)
        own = [answer.rule for answer in ordered if answer.id != "pace"]
        pace = [answer.rule for answer in ordered if answer.id == "pace"]
        try:
            self._channel.ask(self.name, "replaceRules", {"rules": [*own, *self._standing, *pace]})
        except ScenarioError as error:
            raise ScenarioError(f"{told}: {_PLACE.sub('', str(error))}") from None
        self._prepared = prepared

    # Time

    @property
    def now(self) -> datetime:
        """What the session's clock shows, in UTC."""
        return datetime.fromtimestamp(self._channel.ask(self.name, "getClock")["timestamp"], UTC)

    def advance(self, by: float | str) -> None:
        """Move the clock by seconds, or by a duration such as `61s`, `1d12h` or `-2h`. Raises ConfigError."""
        __tracebackhide__ = True
        parse_duration(by)
        self._channel.ask(self.name, "changeClock", {"advance": by})

    def freeze(self, at: datetime | str | None = None) -> None:
        """Stop the clock, at an instant (ISO 8601, UTC where it has no offset) or where it is. Raises ConfigError."""
        __tracebackhide__ = True
        instant = None if at is None else instant_of(at)
        self._channel.ask(self.name, "changeClock", {"frozen": True})
        if instant is not None:
            self._channel.ask(self.name, "changeClock", {"set": instant})

    def run(self) -> None:
        """Let time pass, from what the clock shows."""
        self._channel.ask(self.name, "changeClock", {"frozen": False})

    # Looking at calls

    @property
    def calls(self) -> list[RecordedCall]:
        """Every call that the session has seen, oldest first; of more than a thousand, the last."""
        numbers = [item["number"] for item in self._channel.ask(self.name, "queryJournal", limit=1000)["items"]]
        return [RecordedCall.of(self._channel.ask(self.name, "getExchange", number=n)) for n in reversed(numbers)]

    @property
    def last_call(self) -> RecordedCall:
        """The newest of `calls`. Raises AssertionError when there is none."""
        __tracebackhide__ = True
        found = self._channel.ask(self.name, "queryJournal", limit=1)["items"]
        if not found:
            raise AssertionError(messages.nothing_sent(self.name, self.base_url))
        return RecordedCall.of(self._channel.ask(self.name, "getExchange", number=found[0]["number"]))

    def assert_called(
        self,
        operation: str | None = None,
        *,
        times: int | None = None,
        at_least: int | None = None,
        at_most: int | None = None,
        status: int | None = None,
        when: When | None = None,
        **conditions: Json,
    ) -> None:
        """Such calls were made: at least one, or as often as said.

        Conditions are those of rules: `model`, `key`, `header`, `text`, `pattern`, `tool_offered`, `tool_result`,
        `stream`, `body`. Raises TypeError for another, ScenarioError for an operation that does not exist.
        """
        __tracebackhide__ = True
        refuse_unknown("assert_called()", conditions, [*_CONDITIONS, "times", "at_least", "at_most", "status", "when"])
        wanted = {**({} if operation is None else {"operation": operation}), **(when or {}), **conditions}
        reasons = self._weigh(wanted, status)
        found = sum(not against for against in reasons.values())
        low = times if times is not None else at_least if at_least is not None else 0 if at_most is not None else 1
        high = times if times is not None else at_most
        if found < low or (high is not None and found > high):
            said = _expected(times, at_least, at_most, wanted, status)
            raise AssertionError(messages.not_as_expected(said, found, self.calls, reasons, self.name))

    def assert_no_unused_replies(self) -> None:
        """Every answer prepared for so many calls has been given that often."""
        __tracebackhide__ = True
        limited = [prepared for prepared in self._prepared if prepared.times is not None]
        states = {item["id"]: item for item in self._channel.ask(self.name, "listRules")["items"]}
        left = [(answer, states[answer.id]["seen"]) for answer in limited if not states[answer.id]["spent"]]
        if left:
            told = [(answer, seen, self._weigh(answer.when, None)) for answer, seen in left]
            raise AssertionError(messages.unused(told, self.calls, len(limited), self.name))

    def _weigh(self, when: When, status: int | None) -> dict[int, tuple[str, ...]]:
        __tracebackhide__ = True
        try:
            return self._channel.weigh(self.name, when, status)
        except ScenarioError as error:
            raise ScenarioError(_PLACE.sub("", str(error))) from None

    # Verdicts

    def assert_resilient(self, call: Callable[..., object], **options: Any) -> Report:
        """See `aione_mock.assert_resilient`; the faults are played in this session, which starts over after it."""
        __tracebackhide__ = True
        from aione_mock.testing.resilience.assertion import assert_resilient

        return assert_resilient(call, mock=self, **options)

    # Beginning and end

    def open(self) -> MockSession:
        """Make the session. Raises ConfigError or ScenarioError for options that cannot be."""
        self._prepared, self._pace = [], {}
        self._standing = self._options.specs(self._folder)
        tape = self._options.replay
        play = None if tape is None else self._channel.replay(self._folder / tape, only=self._options.replay_only)
        self._channel.ask(self.name, "createSession", self._options.start(self.name))
        if play is not None:
            play(self.name)
        if self._options.scenario is not None:
            self._channel.ask(self.name, "activateScenario", {"scenario": self._options.scenario})
        if self._standing:
            self._set([], "rules")
        return self

    def close(self) -> None:
        """Forget the session."""
        self._channel.ask(self.name, "deleteSession", name=self.name)

    def reset(self) -> None:
        """Start over: no calls, no answers, the clock where it began."""
        self.close()
        self.open()

    def __enter__(self) -> MockSession:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()


def _expected(times: int | None, at_least: int | None, at_most: int | None, when: When, status: int | None) -> str:
    bounds = [
        f"{words} {n}" for words, n in (("", times), ("at least", at_least), ("at most", at_most)) if n is not None
    ]
    counts = " and ".join(bounds).strip() or "at least 1"
    traits = [f"{name} {value!r}" for name, value in when.items() if name != "operation"]
    traits += [] if status is None else [f"status {status}"]
    to = f" to {when['operation']}" if "operation" in when else ""
    return f"{counts} call{'' if counts.endswith(' 1') or counts == '1' else 's'}{to}" + (
        f" with {', '.join(traits)}" if traits else ""
    )
