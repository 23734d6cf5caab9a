"""Assertions about the calls that a session has received. Each message says what was wrong, why, and what to change."""

from __future__ import annotations

import contextlib
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from aione_mock.errors import ScenarioError
from aione_mock.testing import messages
from aione_mock.testing.answers import list_schema_problems
from aione_mock.testing.arguments import (
    CONDITIONS,
    COUNT,
    JSON,
    LIST,
    OPERATION_OR_CONDITIONS,
    PATTERN,
    TEXT,
    Kind,
    check_argument,
    check_optional,
)
from aione_mock.testing.conversation import ToolUse, calls_model, list_tool_uses, read_prompt
from aione_mock.testing.options import reject_unknown
from aione_mock.types import Json, Prompt

if TYPE_CHECKING:
    from aione_mock.testing.calls import RecordedCall
    from aione_mock.testing.control_client import ControlClient, MismatchReasons
    from aione_mock.testing.options import SessionOptions
    from aione_mock.testing.prepared_replies import PreparedReply
    from aione_mock.testing.snapshots import Snapshots

When = Mapping[str, Json]
ToolStep = str | tuple[str, Json]
"""The name of a tool, or its name and its arguments."""
_CONDITIONS = ("model", "key", "team", "header", "text", "pattern", "tool_offered", "tool_result", "stream", "body")
PLACE_IN_RULES = re.compile(r"^(rules(/\S*)?|when)(/\S*)?: ")
"""Where in a list of rules an error is, which means nothing to a test."""
_PLACE_IN_WHEN = re.compile(r"^when/(?!operation: )(\S+): ")


class CallAssertions(ABC):
    """What a test can assert about a session's calls."""

    name: str
    snapshots: Snapshots | None = None
    _control: ControlClient
    _options: SessionOptions
    _prepared: list[PreparedReply]

    @property
    @abstractmethod
    def calls(self) -> list[RecordedCall]:
        """Every call that the session has received, oldest first; at most the last thousand."""

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
        """Assert that the session has received such calls: at least one, or as many as given.

        Conditions are those of rules: `model`, `key`, `header`, `text`, `pattern`, `tool_offered`, `tool_result`,
        `stream`, `body`. Raises TypeError for another, ScenarioError for an operation that does not exist.
        """
        __tracebackhide__ = True
        reject_unknown("assert_called()", conditions, [*_CONDITIONS, "times", "at_least", "at_most", "status", "when"])
        check_optional("assert_called()", TEXT, operation=operation)
        check_optional("assert_called()", COUNT, times=times, at_least=at_least, at_most=at_most, status=status)
        check_optional("assert_called()", CONDITIONS, when=when)
        check_optional("assert_called()", JSON, **conditions)
        all_conditions = {**({} if operation is None else {"operation": operation}), **(when or {}), **conditions}
        expected = messages.Expectation(all_conditions, times, at_least, at_most, status)
        reasons = self._explain_matches(all_conditions, status)
        if not expected.accepts(messages.count_matches(reasons)):
            raise AssertionError(messages.format_unexpected_calls(expected, self.calls, reasons, self.name))

    def assert_order(self, steps: Sequence[str | When]) -> None:
        """Assert that such calls came in this order; others may lie between them.

        A step is an operation id, or conditions of rules such as `{"model": "gpt-5.4", "text": "refund"}`. Raises
        ScenarioError for an operation or a condition that does not exist.
        """
        __tracebackhide__ = True
        _check_steps("assert_order()", steps)
        for step in steps:
            check_argument("assert_order()", "step", step, OPERATION_OR_CONDITIONS)
        conditions = [{"operation": step} if isinstance(step, str) else step for step in steps]
        found: list[int] = []
        for position, when in enumerate(conditions):
            reasons = self._explain_matches(when, None)
            later = [number for number, against in reasons.items() if not against and number > max(found, default=0)]
            if not later:
                raise AssertionError(
                    messages.format_wrong_order(conditions, found, position, reasons, self.calls, self.name)
                )
            found.append(min(later))

    def assert_tool_trajectory(self, steps: Sequence[ToolStep]) -> None:
        """Assert which tools the application ran for the model, in which order, over all turns.

        A step is the name of a tool, or a pair of its name and its arguments. A tool counts when a request brings the
        model its result.
        """
        __tracebackhide__ = True
        _check_steps("assert_tool_trajectory()", steps)
        for step in steps:
            if not (isinstance(step, str) or _is_pair(step)):
                raise TypeError(f"assert_tool_trajectory() takes names, and pairs of name and arguments, not {step!r}")
        uses = list_tool_uses(self.calls, self._control.contract)
        if len(uses) != len(steps) or not all(map(_is_step, uses, steps)):
            raise AssertionError(messages.format_wrong_trajectory(steps, uses, self.calls, self.name))

    def assert_tokens(
        self, *, max_total: int | None = None, max_prompt: int | None = None, max_completion: int | None = None
    ) -> None:
        """Assert that all calls together used at most so many tokens, reported ones as they are billed."""
        __tracebackhide__ = True
        check_optional(
            "assert_tokens()", COUNT, max_total=max_total, max_prompt=max_prompt, max_completion=max_completion
        )
        usages = [call.usage for call in self.calls if call.usage]
        prompt, completion = sum(usage.prompt for usage in usages), sum(usage.completion for usage in usages)
        bounds = {
            "": (prompt + completion, max_total),
            "prompt ": (prompt, max_prompt),
            "completion ": (completion, max_completion),
        }
        if all(most is None for _, most in bounds.values()):
            raise TypeError("assert_tokens() needs max_total, max_prompt or max_completion")
        for kind, (used, most) in bounds.items():
            if most is not None and used > most:
                raise AssertionError(messages.format_spending(f"{used} {kind}tokens", str(most), self.calls, self.name))

    def assert_cost(self, *, max_rmb: Decimal | str | int) -> None:
        """Assert that all calls together cost at most so many RMB, a number such as `"0.05"`.

        Raises TypeError for a float, which is not exact, and for a text that is no number.
        """
        __tracebackhide__ = True
        if isinstance(max_rmb, float):
            raise TypeError(f"assert_cost() takes a text such as max_rmb='{max_rmb}': a float is not exact")
        check_argument("assert_cost()", "max_rmb", max_rmb, _AMOUNT)
        most = Decimal(max_rmb)
        cost = sum((call.cost for call in self.calls if call.cost), Decimal(0))
        if cost > most:
            raise AssertionError(messages.format_spending(f"{cost} RMB", f"{max_rmb} RMB", self.calls, self.name))

    def assert_prompt(
        self,
        *,
        contains: str | Iterable[str] = (),
        matches: str | re.Pattern[str] | None = None,
        system: str | Iterable[str] = (),
    ) -> None:
        """Assert that the prompt of at least one call contains all of these.

        `contains` are texts of any message but the system message, `matches` is a regular expression that is searched
        in the same messages, `system` are texts of the system message. Upper and lower case differ.
        """
        __tracebackhide__ = True
        tests = _list_prompt_tests(contains, matches, system)
        if not tests:
            raise TypeError("assert_prompt() needs contains, matches or system")
        reasons: dict[int, tuple[str, ...]] = {}
        for call in self.calls:
            if (prompt := read_prompt(call, self._control.contract)) is not None:
                reasons[call.number] = tuple(reason for fails, reason in tests if fails(prompt))
                if not reasons[call.number]:
                    return
        raise AssertionError(messages.format_no_such_prompt(reasons, self.calls, self.name))

    def assert_schema(self) -> None:
        """Assert that every answer satisfies what its request asked for.

        JSON satisfies the schema of the structured output, and arguments of tool calls the schema of the tool. Prepared
        replies may break both: then a test passes with answers that no model would give.
        """
        __tracebackhide__ = True
        contract = self._control.contract
        problems = {call.number: list_schema_problems(call, contract) for call in self.calls}
        if any(problems.values()):
            raise AssertionError(messages.format_schema_problems(problems, self.calls, self.name))

    def assert_matches_snapshot(self, name: str = "") -> None:
        """Assert that the conversation is as it was when the snapshot was written; credentials are masked.

        Snapshots lie in `__snapshots__` beside the test, and `pytest --aione-mock-update-snapshots` writes them. A test
        with several snapshots names them.
        """
        __tracebackhide__ = True
        check_argument("assert_matches_snapshot()", "name", name, TEXT)
        if self.snapshots is None:
            raise TypeError("assert_matches_snapshot() needs the fixture aione_mock, which knows the test")
        if problem := self.snapshots.compare(self.calls, self._control.contract, name):
            raise AssertionError(problem)

    def assert_no_unused_replies(self) -> None:
        """Assert that every reply for a limited number of calls has reached the client that often."""
        __tracebackhide__ = True
        if problem := self._find_unused_replies():
            raise AssertionError(problem)

    def _find_unused_replies(self) -> str:
        limited = [reply for reply in self._prepared if reply.times is not None]
        states = {item["id"]: item for item in self._control.request(self.name, "listRules")["items"]}
        calls = self.calls if limited else []
        refused = {reply.id: [call for call in calls if reply.was_refused(call)] for reply in limited}
        unused = [
            messages.UnusedReply(reply, states[reply.id]["seen"] - len(refused[reply.id]), self._explain(reply))
            for reply in limited
            if refused[reply.id] or not states[reply.id]["spent"]
        ]
        return messages.format_unused_replies(unused, calls, len(limited), self.name) if unused else ""

    def assert_strict(self) -> None:
        """Assert that prepared replies or rules answered every call to a model, and that no reply is left over.

        With `strict=True` this is asserted at the end of the test.
        """
        __tracebackhide__ = True
        if problem := self.find_strict_problem():
            raise AssertionError(problem)

    def find_strict_problem(self) -> str:
        """Return the message of `assert_strict`; empty if all is well."""
        unanswered = [call for call in self.calls if self._is_unanswered(call)]
        if not unanswered:
            return self._find_unused_replies()
        reasons = {reply.id: self._explain(reply) for reply in self._prepared}
        return messages.format_unanswered(unanswered, self._prepared, reasons, len(self.calls), self.name)

    def describe_calls(self) -> str:
        """Return a list of the session's calls for the report of a failed test."""
        return messages.format_calls(self.calls, self.name)

    def _is_unanswered(self, call: RecordedCall) -> bool:
        """Return whether nothing that the test prepared answered a call to a model."""
        if call.rule not in (None, "pace") or not calls_model(call, self._control.contract):
            return False
        return self._options.replay is None or call.status == 404

    def _explain(self, reply: PreparedReply) -> MismatchReasons:
        __tracebackhide__ = True
        return self._explain_matches(reply.when, None)

    def _explain_matches(self, when: When, status: int | None) -> MismatchReasons:
        __tracebackhide__ = True
        try:
            return self._control.explain_matches(self.name, when, status)
        except ScenarioError as error:
            raise ScenarioError(PLACE_IN_RULES.sub("", _PLACE_IN_WHEN.sub(r"\1: ", str(error)))) from None


def _check_steps(where: str, steps: object) -> None:
    __tracebackhide__ = True
    if isinstance(steps, str):
        raise TypeError(f'{where} takes a list such as ["{steps}"], not a text')
    check_argument(where, "steps", steps, LIST)


def _is_pair(step: object) -> bool:
    return isinstance(step, Sequence) and len(step) == 2 and isinstance(step[0], str)


def _is_amount(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, Decimal | str | int):
        return False
    with contextlib.suppress(InvalidOperation):
        return Decimal(value).is_finite()
    return False


_AMOUNT = Kind("a number", "'0.05'", _is_amount)


def _is_step(use: ToolUse, step: ToolStep) -> bool:
    return use.name == step if isinstance(step, str) else (use.name, use.arguments) == tuple(step)


def _list_prompt_tests(
    contains: str | Iterable[str], matches: str | re.Pattern[str] | None, system: str | Iterable[str]
) -> list[tuple[Callable[[Prompt], bool], str]]:
    """Return functions that say whether a prompt fails, each with the reason. Raises TypeError and ValueError."""
    __tracebackhide__ = True

    def find(words: str, *roles: str) -> Callable[[Prompt], bool]:
        return lambda prompt: not any(words in text for text in _list_texts(prompt, roles))

    turn_roles = ("user", "assistant", "tool")
    tests = [(find(words, *turn_roles), f"no message contains {words!r}") for words in _list("contains", contains)]
    tests += [
        (find(words, "system"), f"the system message does not contain {words!r}") for words in _list("system", system)
    ]
    if matches is not None:
        pattern = _compile(matches)
        tests.append(
            (
                lambda prompt: not any(map(pattern.search, _list_texts(prompt, turn_roles))),
                f"no message matches {pattern.pattern!r}",
            )
        )
    return tests


def _compile(matches: str | re.Pattern[str]) -> re.Pattern[str]:
    __tracebackhide__ = True
    check_argument("assert_prompt()", "matches", matches, PATTERN)
    try:
        return re.compile(matches)
    except re.error as error:
        raise ValueError(f"assert_prompt(): matches={matches!r} is no regular expression: {error}") from None


def _list(name: str, given: str | Iterable[str]) -> list[str]:
    __tracebackhide__ = True
    texts = [given] if isinstance(given, str) or not isinstance(given, Iterable) else list(given)
    for text in texts:
        check_argument("assert_prompt()", name, text, TEXT)
    return texts


def _list_texts(prompt: Prompt, roles: Sequence[str]) -> Iterator[str]:
    for turn in prompt.turns:
        if turn.role in roles:
            yield turn.text
            yield from (result.text for result in turn.results)
