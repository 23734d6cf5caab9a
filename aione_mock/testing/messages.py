"""Failure messages of assertions: what was expected, what was received, why each call does not match, where to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from aione_mock.settings import locate_docs
from aione_mock.testing.calls import RecordedCall
from aione_mock.testing.control_client import MismatchReasons
from aione_mock.testing.conversation import ToolUse
from aione_mock.testing.prepared_replies import PreparedReply
from aione_mock.types import Json

GUIDE = locate_docs() / "how-to" / "testing.md"
"""The page that documents the test kit, which is installed with the package."""
_MAX_CALLS_SHOWN = 20
_MAX_SUGGESTED = 60
_NO_REASONS_KNOWN = ("differs more than the calls with reasons",)
_REPLY_NOT_POSSIBLE = (
    "its conditions are met, but this reply is not possible for it: an error must be one that the operation "
    "declares, a stream fault needs a stream, and a refused call gets no reply"
)


@dataclass(frozen=True, slots=True)
class Expectation:
    """What `assert_called` expects."""

    when: Mapping[str, Json]
    times: int | None = None
    at_least: int | None = None
    at_most: int | None = None
    status: int | None = None

    def accepts(self, count: int) -> bool:
        """Return whether so many matching calls are right; without a number, at least one is expected."""
        if self.times is not None:
            return count == self.times
        low = self.at_least if self.at_least is not None else 0 if self.at_most is not None else 1
        return low <= count and (self.at_most is None or count <= self.at_most)

    def __str__(self) -> str:
        bounds = {"": self.times, "at least ": self.at_least, "at most ": self.at_most}
        counts = " and ".join(f"{words}{count}" for words, count in bounds.items() if count is not None)
        counts = counts or "at least 1"
        calls = "call" if counts.split()[-1] == "1" else "calls"
        to = f" to {self.when['operation']}" if "operation" in self.when else ""
        conditions = [f"{name} {value!r}" for name, value in self.when.items() if name != "operation"]
        conditions += [] if self.status is None else [f"status {self.status}"]
        return f"{counts} {calls}{to}" + (f" with {', '.join(conditions)}" if conditions else "")


@dataclass(frozen=True, slots=True)
class UnusedReply:
    """A prepared reply that was used too few times."""

    reply: PreparedReply
    used: int
    reasons: MismatchReasons


def refer_to_guide(topic: str) -> str:
    """Return the line that names the section of the documentation."""
    return f"See {GUIDE}, “{topic}”."


def format_no_calls(session: str, url: str) -> str:
    """Return the message for a session that has received no call."""
    return "\n".join(
        [
            f"the session '{session}' has received no call",
            "",
            f"  Its base URL is {url}. Does the code under test use it?",
            "  The fixture aione_env sets it in the environment, for clients that are created after it.",
            "",
            refer_to_guide("Inspecting calls"),
        ]
    )


def format_unexpected_calls(
    expected: Expectation, calls: Sequence[RecordedCall], reasons: MismatchReasons, session: str
) -> str:
    """Return the message for too few or too many matching calls."""
    head = f"expected {expected}, found {count_matches(reasons)}"
    see = ["", refer_to_guide("Inspecting calls")]
    if not calls:
        return "\n".join([f"{head}; the session '{session}' has received no call", *see])
    lines = [head, "", f"Calls in session '{session}':", *_format_skipped(calls)]
    for call in calls[-_MAX_CALLS_SHOWN:]:
        lines.append(f"  {call.number}. {call}")
        lines += [f"       {reason}" for reason in reasons.get(call.number, _NO_REASONS_KNOWN)] or ["       matches"]
    return "\n".join([*lines, *see])


def count_matches(reasons: MismatchReasons) -> int:
    """Return the number of calls that match."""
    return sum(not against for against in reasons.values())


def format_unused_replies(
    unused: Sequence[UnusedReply], calls: Sequence[RecordedCall], prepared: int, session: str
) -> str:
    """Return the message for replies that were used too few times, out of all that were `prepared`."""
    lines = [f"{len(unused)} of {prepared} prepared replies {'was' if len(unused) == 1 else 'were'} not used up"]
    for item in unused:
        lines += ["", f"  {item.reply.id}: {item.reply}", f"       used {item.used} of {item.reply.times} times"]
        lines += _format_skipped(calls)
        for call in calls[-_MAX_CALLS_SHOWN:]:
            lines.append(f"       call {call.number}, {call}")
            lines += [f"         {reason}" for reason in _explain_unused(item, call)]
    if not calls:
        lines += ["", f"The session '{session}' has received no call."]
    return "\n".join([*lines, "", refer_to_guide("Preparing answers")])


def format_wrong_order(
    steps: Sequence[Mapping[str, Json]],
    found: Sequence[int],
    position: int,
    reasons: MismatchReasons,
    calls: Sequence[RecordedCall],
    session: str,
) -> str:
    """Return the message for a step that no call matches after the calls that were `found` for the steps before it."""
    after = f" after call {found[-1]}" if found else ""
    lines = [f"step {position + 1} of {len(steps)} did not come{after}: {_format_conditions(steps[position])}", ""]
    lines += [f"  step {number}: call {call}" for number, call in enumerate(found, start=1)]
    notes = {number: against or ("matches, but came before",) for number, against in reasons.items()}
    return "\n".join([*lines, *_list_calls(calls, notes, session), "", refer_to_guide("Inspecting calls")])


def format_wrong_trajectory(
    expected: Sequence[str | tuple[str, Json]], uses: Sequence[ToolUse], calls: Sequence[RecordedCall], session: str
) -> str:
    """Return the message for tools that the application did not run as expected."""
    wanted = [step if isinstance(step, str) else ToolUse(*step, call=0) for step in expected]
    lines = [
        f"expected the tools {_join_words(wanted)}; the application ran {_join_words([use.name for use in uses])}",
        "",
    ]
    lines += [f"  {position}. {use}, result in call {use.call}" for position, use in enumerate(uses, start=1)]
    if not uses:
        lines.append("  A tool counts when a later request brings its result to the model.")
    return "\n".join([*lines, *_list_calls(calls, {}, session), "", refer_to_guide("Inspecting calls")])


def format_spending(used: str, most: str, calls: Sequence[RecordedCall], session: str) -> str:
    """Return the message for more tokens or money than expected."""
    notes: MismatchReasons = {
        call.number: (
            f"{call.usage.prompt} prompt tokens, {call.usage.completion} completion tokens, {call.cost or 0} RMB",
        )
        for call in calls
        if call.usage
    }
    lines = [f"expected at most {most}, used {used}"]
    return "\n".join([*lines, *_list_calls(calls, notes, session), "", refer_to_guide("Inspecting calls")])


def format_no_such_prompt(reasons: MismatchReasons, calls: Sequence[RecordedCall], session: str) -> str:
    """Return the message for prompts none of which is as expected."""
    notes = {call.number: reasons.get(call.number, ("asks no model",)) for call in calls}
    lines = ["no prompt is as expected"]
    return "\n".join([*lines, *_list_calls(calls, notes, session), "", refer_to_guide("Inspecting calls")])


def format_schema_problems(problems: MismatchReasons, calls: Sequence[RecordedCall], session: str) -> str:
    """Return the message for answers that violate the schemas of their requests."""
    wrong = sum(map(bool, problems.values()))
    lines = [f"{wrong} of {len(calls)} answers {'violates' if wrong == 1 else 'violate'} what the request asked for"]
    see = ["", "Change the prepared reply, or the schema that the application sends."]
    return "\n".join([*lines, *_list_calls(calls, problems, session), *see, "", refer_to_guide("Preparing answers")])


def format_unanswered(
    unanswered: Sequence[RecordedCall],
    prepared: Sequence[PreparedReply],
    reasons: Mapping[str, MismatchReasons],
    total: int,
    session: str,
) -> str:
    """Return the message of a strict test for calls that no prepared reply and no rule answered."""
    was = "call was" if len(unanswered) == 1 else "calls were"
    lines = [f"strict: {len(unanswered)} {was} answered by no prepared reply and no rule, of {total} in '{session}'"]
    for call in unanswered[:_MAX_CALLS_SHOWN]:
        lines += ["", f"  {call.number}. {call}", *_format_nearest(call, prepared, reasons)]
        lines.append(f"       to prepare an answer: {_suggest_reply(call)}")
    return "\n".join([*lines, "", refer_to_guide("Strict tests")])


def _format_nearest(
    call: RecordedCall, prepared: Sequence[PreparedReply], reasons: Mapping[str, MismatchReasons]
) -> Iterator[str]:
    """Yield the prepared reply that misses a call by the fewest conditions, and why it does."""
    candidates = [
        (reasons[reply.id].get(call.number, _NO_REASONS_KNOWN), reply) for reply in prepared if reply.id != "pace"
    ]
    if not candidates:
        yield "       no reply was prepared"
        return
    against, reply = min(candidates, key=lambda candidate: len(candidate[0]))
    yield f"       nearest is {reply.id}: {reply}"
    missing = _list_missing(call, reply) or ("earlier calls have used it up",)
    yield from (f"         {reason}" for reason in against or missing)


def _list_missing(call: RecordedCall, reply: PreparedReply) -> tuple[str, ...]:
    """Return what a call lacks for a reply whose conditions it meets: tools, for example."""
    lacking = call.nearest == reply.id and "awkward" in reply.then
    return tuple([reason for reason in call.nearest_reasons if "' needs " in reason]) if lacking else ()


def _suggest_reply(call: RecordedCall) -> str:
    whole = len(call.asked) <= _MAX_SUGGESTED and "\n" not in call.asked
    words = call.asked if whole else max(call.asked.split(), key=len)[:_MAX_SUGGESTED]
    when = f", when={{'text': {words!r}}}" if words else ""
    return f'aione_mock.reply("…"{when})'


def _format_conditions(when: Mapping[str, Json]) -> str:
    return ", ".join(f"{name} {value!r}" for name, value in when.items()) or "any call"


def _join_words(names: Sequence[object]) -> str:
    return ", ".join(map(str, names)) or "none"


def format_calls(calls: Sequence[RecordedCall], session: str) -> str:
    """Return the calls of a session and what answered them."""
    notes: MismatchReasons = {call.number: (f"answered by {call.rule}",) for call in calls if call.rule}
    return "\n".join(_list_calls(calls, notes, session)).strip()


def _list_calls(calls: Sequence[RecordedCall], notes: MismatchReasons, session: str) -> Iterator[str]:
    """Yield the calls of a session, each with its notes."""
    if not calls:
        yield f"The session '{session}' has received no call."
        return
    yield from ["", f"Calls in session '{session}':", *_format_skipped(calls)]
    for call in calls[-_MAX_CALLS_SHOWN:]:
        yield f"  {call.number}. {call}"
        yield from (f"       {note}" for note in notes.get(call.number, ()))


def _explain_unused(item: UnusedReply, call: RecordedCall) -> Sequence[str]:
    """Return the reasons why a call did not use the reply, or that it did."""
    if item.reply.was_refused(call):
        return [f"got status {call.status} and not this reply, which it used up"]
    if call.rule == item.reply.id:
        return ["answered by this reply"]
    if reasons := item.reasons.get(call.number, _NO_REASONS_KNOWN):
        return reasons
    if call.rule is not None:
        return [f"answered by {call.rule}, which has priority"]
    return _list_missing(call, item.reply) or [_REPLY_NOT_POSSIBLE]


def _format_skipped(calls: Sequence[RecordedCall]) -> Iterator[str]:
    if len(calls) > _MAX_CALLS_SHOWN:
        yield f"  … {len(calls) - _MAX_CALLS_SHOWN} earlier calls"
