"""What a test says to the mock: prepare replies, move the clock, look at calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aione_mock.asgi import SESSION_PREFIX
from aione_mock.clock import parse_duration
from aione_mock.errors import MockError, ScenarioError
from aione_mock.testing import messages
from aione_mock.testing.assertions import PLACE_IN_RULES, CallAssertions, When
from aione_mock.testing.calls import RecordedCall
from aione_mock.testing.control_client import ControlClient
from aione_mock.testing.environment import make_session_variables
from aione_mock.testing.options import SessionOptions, format_instant, parse_pace, reject_unknown
from aione_mock.testing.prepared_replies import PreparedReply, build_reply, sort_by_priority
from aione_mock.testing.waiting import Waits
from aione_mock.types import Json

if TYPE_CHECKING:
    from aione_mock.testing.resilience.report import ResilienceReport


class MockSession(CallAssertions):
    """The mock as one test sees it: its replies, its clock, its calls. The same over HTTP and within the process."""

    def __init__(
        self,
        control: ControlClient,
        name: str,
        options: SessionOptions,
        folder: Path = Path(),
        api_key: str | None = None,
        make_session: Callable[[str, SessionOptions, Path, str | None], MockSession] | None = None,
    ) -> None:
        self._control, self.name, self._options = control, name, options
        self._folder, self._api_key, self._make_session = folder, api_key, make_session
        self._prepared: list[PreparedReply] = []
        self._rules: list[Mapping[str, Json]] = []
        self._pace: Mapping[str, Json] = {}
        self.waits = Waits()
        """The sleeps that `advance` shortens."""

    def __repr__(self) -> str:
        return f"<MockSession {self.base_url}>"

    # Address and credentials

    @property
    def base_url(self) -> str:
        """The session's root, without a trailing slash: the base URL for Anthropic's and Google's clients."""
        return f"{self._control.url}{SESSION_PREFIX}{self.name}"

    @property
    def openai_base_url(self) -> str:
        """The same with `/v1`: the base URL for OpenAI's clients."""
        return f"{self.base_url}/v1"

    @property
    def api_key(self) -> str:
        """The first key of the option `keys`, else one for every model."""
        if self._api_key is not None:
            return self._api_key
        own = next(iter(self._options.keys), None)
        return next(iter(self.api_keys.values())) if own is None else self.api_keys[_get_label(own)]

    @property
    def api_keys(self) -> dict[str, str]:
        """The keys of the organisations: label (the name, unless there is a label) to secret."""
        return {each.label: each.secret for each in self._control.list_credentials() if each.kind == "key"}

    @property
    def is_strict(self) -> bool:
        """Whether unanswered calls and unused replies fail the test."""
        return self._options.strict

    def env(self, *, no_proxy: str = "") -> dict[str, str]:
        """Return environment variables that point the official SDKs, and applications built on them, to the session."""
        credentials = self._control.list_credentials()
        return make_session_variables(self.base_url, self.api_key, no_proxy=no_proxy, credentials=credentials)

    def session(self, name: str = "other", *, api_key: str | None = None, **options: Any) -> MockSession:
        """Return a session of its own on the same server, for a second user: `with aione_mock.session() as other`.

        It has the options of this one, unless others are given. Raises TypeError for an option that does not exist.
        """
        __tracebackhide__ = True
        if self._make_session is None:
            raise TypeError("session() needs a session that a server has made")
        chosen = {field.name: getattr(self._options, field.name) for field in fields(SessionOptions)} | options
        return self._make_session(name, SessionOptions.parse("session()", chosen), self._folder, api_key)

    # Preparing replies

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
        """Answer with this: one call, or as many as `times` says; `times=None` for every call.

        `tool_calls` are `{"name": …, "arguments": {…}}`, or a mapping of names to arguments; `chunks` is the text as
        a stream delivers it; `body` is the complete answer of an operation that calls no model.
        """
        __tracebackhide__ = True
        spec, description = build_reply(
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
        self._prepare("reply", description, {"reply": spec}, when, times)

    def fail(
        self,
        error: str,
        times: int | None = 1,
        *,
        retry_after: int | None = 0,
        message: str | None = None,
        delay: float | str | None = None,
        when: When | None = None,
    ) -> None:
        """Refuse calls with an error of the contract, such as `rate_limit_exceeded`; `times=None` for every call.

        `retry_after` are the seconds that clients are told to wait; None for what the contract says. With 0, which
        comes with a header `retry-after-ms` of 1, the official SDKs repeat any error at once.
        """
        __tracebackhide__ = True
        details = {"retry_after": retry_after, "message": message, "delay": delay}
        then = {"error": error, **{name: value for name, value in details.items() if value is not None}}
        self._prepare("fail", f"fail {error}", then, when, times)

    def stream_fault(self, name: str, times: int | None = 1, *, when: When | None = None, **options: Json) -> None:
        """Damage streams, as in `stream_fault("cut", after=5)`; `times=None` for every stream."""
        __tracebackhide__ = True
        then = {"faults": [{"name": name, **options}]}
        self._prepare("stream_fault", f"stream_fault {name}", then, {"stream": True, **(when or {})}, times)

    def fault(self, name: str, times: int | None = 1, *, when: When | None = None, **options: Json) -> None:
        """Damage answers for which the fault is made, as in `fault("html_page", status=502)`."""
        __tracebackhide__ = True
        self._prepare("fault", f"fault {name}", {"faults": [{"name": name, **options}]}, when, times)

    def awkward(self, name: str, times: int | None = 1, *, when: When | None = None) -> None:
        """Answer as real models sometimes do, as in `awkward("fenced_json")`; `times=None` for every call.

        `docs/reference/awkward-answers.md` has the names. Calls without what an answer needs, such as tools, are passed
        over.
        """
        __tracebackhide__ = True
        self._prepare("awkward", f"awkward {name}", {"awkward": name}, when, times)

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
        """Set how fast answers come from now on: seconds to the first token, tokens per second after it.

        It applies to every reply prepared after it and to calls without a prepared reply. With `when` it applies only
        to calls that match and have no prepared reply.
        """
        __tracebackhide__ = True
        numbers = {"ttft": ttft, "tps": tps, "jitter": jitter, "tail": tail}
        pace = dict(parse_pace(profile)) if profile else {}
        pace |= {name: value for name, value in numbers.items() if value is not None}
        if not pace:
            raise TypeError("pace() needs instant, realistic, ttft, tps, jitter or tail")
        description = f"pace {', '.join(f'{name}={value}' for name, value in pace.items())}"
        if when:
            self._prepare("pace", description, {"pace": pace}, when, None)
            return
        others = [reply for reply in self._prepared if reply.id != "pace"]
        self._send_rules([*others, PreparedReply("pace", description, {"pace": pace}, {}, None)], description)
        self._pace = pace

    def set_rules(self, rules: Iterable[Mapping[str, Json]]) -> None:
        """Replace the rules of the marker. Prepared replies come before them."""
        __tracebackhide__ = True
        before, self._rules = self._rules, list(rules)
        try:
            self._send_rules(self._prepared, "rules")
        except ScenarioError:
            self._rules = before
            raise

    def _prepare(
        self, method: str, description: str, then: Mapping[str, Json], when: When | None, times: int | None
    ) -> None:
        __tracebackhide__ = True
        number = 1 + sum(reply.id.startswith(f"{method}-") for reply in self._prepared)
        pace = {"pace": self._pace} if self._pace and "pace" not in then and "error" not in then else {}
        reply = PreparedReply(f"{method}-{number}", description, {**then, **pace}, when or {}, times)
        self._send_rules([*self._prepared, reply], description)

    def _send_rules(self, prepared: list[PreparedReply], description: str) -> None:
        """Send all rules to the mock. Raises ScenarioError if one is not valid, and then changes nothing."""
        __tracebackhide__ = True
        ordered = sort_by_priority(prepared)
        replies = [reply.to_rule() for reply in ordered if reply.id != "pace"]
        pace = [reply.to_rule() for reply in ordered if reply.id == "pace"]
        try:
            self._control.replace_rules(self.name, [*replies, *self._rules, *pace])
        except ScenarioError as error:
            # the place of a prepared reply in the list of rules would mean nothing to a test
            message = f"{description}: {PLACE_IN_RULES.sub('', str(error))}" if prepared else str(error)
            raise ScenarioError(message) from None
        self._prepared = prepared

    # Time

    @property
    def now(self) -> datetime:
        """The time that the session's clock shows, in UTC."""
        return datetime.fromtimestamp(self._control.request(self.name, "getClock")["timestamp"], UTC)

    def advance(self, by: float | str, *, sleepers: int = 0) -> None:
        """Move the clock by seconds, or by a duration such as `61s`, `1d12h` or `-2h`. Raises ConfigError.

        Under the fixture `aione_mock`, clients that sleep before they try again sleep as much less; see
        `testing/waiting.py`. With `sleepers` it waits first until so many sleep. Raises AssertionError if too few do.
        """
        __tracebackhide__ = True
        seconds = parse_duration(by)
        self._change_clock(advance=by)
        self.waits.advance(seconds, sleepers)

    def freeze(self, at: datetime | str | None = None) -> None:
        """Stop the clock, at a time (ISO 8601, UTC if it has no offset) or where it is. Raises ConfigError."""
        __tracebackhide__ = True
        instant = None if at is None else format_instant(at)
        self._change_clock(frozen=True)
        if instant is not None:
            self._change_clock(set=instant)

    def run(self) -> None:
        """Let the clock run, from the time that it shows."""
        self._change_clock(frozen=False)

    def _change_clock(self, **change: Json) -> None:
        self._control.request(self.name, "changeClock", change)

    # Inspecting calls

    @property
    def calls(self) -> list[RecordedCall]:
        """Every call that the session has received, oldest first; at most the last thousand."""
        items = self._control.request(self.name, "queryJournal", limit=1000)["items"]
        return [self._get_call(item["number"]) for item in reversed(items)]

    @property
    def last_call(self) -> RecordedCall:
        """The newest of `calls`. Raises AssertionError if there is none."""
        __tracebackhide__ = True
        items = self._control.request(self.name, "queryJournal", limit=1)["items"]
        if not items:
            raise AssertionError(messages.format_no_calls(self.name, self.base_url))
        return self._get_call(items[0]["number"])

    def _get_call(self, number: int) -> RecordedCall:
        return self._control.read_call(self.name, number)

    # Resilience

    def assert_resilient(self, call: Callable[..., object], **options: Any) -> ResilienceReport:
        """See `aione_mock.assert_resilient`; the faults are injected into this session, which starts over after it."""
        __tracebackhide__ = True
        from aione_mock.testing.resilience.in_process import check_client

        reject_unknown("assert_resilient()", options, ["only", "include", "patience", "attempts"])
        return check_client(call, self, **options)

    # Opening and closing

    def open(self) -> MockSession:
        """Create the session. Raises ConfigError or ScenarioError for options that are not valid."""
        self._rules = self._options.load_rules(self._folder)
        self._control.request(self.name, "createSession", self._options.to_session(self.name))
        try:
            self._apply_options()
        except MockError:
            self.close()
            raise
        return self

    def _apply_options(self) -> None:
        """Apply the options to a session that has just been created or reset."""
        self._prepared, self._pace, options = [], {}, self._options
        if options.replay is not None:
            self._control.play_cassette(self.name, self._folder / options.replay, only=options.replay_only)
        if options.scenario is not None:
            self._control.request(self.name, "activateScenario", {"scenario": options.scenario})
        if self._rules:
            try:
                self._send_rules([], "rules")
            except ScenarioError as error:
                file = f"{Path(options.rules).name}: " if isinstance(options.rules, str | Path) else ""
                raise ScenarioError(f"{file}{error}") from None

    def close(self) -> None:
        """Delete the session."""
        self._control.request(self.name, "deleteSession", name=self.name)

    def reset(self) -> None:
        """Start over: no calls, no prepared replies, the clock at its first time."""
        self._rules = self._options.load_rules(self._folder)
        self._control.request(self.name, "resetSession", name=self.name)
        self._apply_options()

    def __enter__(self) -> MockSession:
        return self.open()

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        try:
            if self.is_strict and error is None:
                self.assert_strict()
        finally:
            self.close()


def _get_label(key: Mapping[str, Json]) -> str:
    """Return the label of a key as a world file has it."""
    name: Json = key.get("label") or key.get("name", "")
    return str(name[0] if isinstance(name, list) and name else name)
