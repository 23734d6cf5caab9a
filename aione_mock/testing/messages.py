"""Failure messages of assertions: what was expected, what was received, why each call does not match, where to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from aione_mock.testing.calls import RecordedCall
from aione_mock.testing.control_client import MismatchReasons
from aione_mock.testing.prepared_replies import PreparedReply
from aione_mock.types import Json

SECTION = "In your tests"
"""The heading in README.md that documents the test kit."""
_MAX_CALLS_SHOWN = 20
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
        """Whether so many matching calls are right; without a number, at least one is expected."""
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


def refer_to_readme(topic: str) -> str:
    """Return the line that names the section of the documentation."""
    return f"See README.md, “{SECTION}”, “{topic}”."


def format_no_calls(session: str, url: str) -> str:
    """Return the message for a session that has received no call."""
    return "\n".join(
        [
            f"the session '{session}' has received no call",
            "",
            f"  Its base URL is {url}. Does the code under test use it?",
            "  The fixture aione_env sets it in the environment, for clients that are created after it.",
            "",
            refer_to_readme("Inspecting calls"),
        ]
    )


def format_unexpected_calls(
    expected: Expectation, calls: Sequence[RecordedCall], reasons: MismatchReasons, session: str
) -> str:
    """Return the message for too few or too many matching calls."""
    head = f"expected {expected}, found {count_matches(reasons)}"
    see = ["", refer_to_readme("Inspecting calls")]
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
    return "\n".join([*lines, "", refer_to_readme("Preparing answers")])


def _explain_unused(item: UnusedReply, call: RecordedCall) -> Sequence[str]:
    """Return the reasons why a call did not use the reply, or that it did."""
    if call.rule == item.reply.id:
        return ["answered by this reply"]
    if reasons := item.reasons.get(call.number, _NO_REASONS_KNOWN):
        return reasons
    return [_REPLY_NOT_POSSIBLE if call.rule is None else f"answered by {call.rule}, which has priority"]


def _format_skipped(calls: Sequence[RecordedCall]) -> Iterator[str]:
    if len(calls) > _MAX_CALLS_SHOWN:
        yield f"  … {len(calls) - _MAX_CALLS_SHOWN} earlier calls"
