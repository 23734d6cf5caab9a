"""Failure messages: what was expected, what was sent, why each candidate does not count, where to read on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from aione_mock.testing.calls import RecordedCall
from aione_mock.testing.prepared_replies import Prepared

SECTION = "In your tests"
_MOST = 20
"""Calls told one by one; of more, the last."""


def read_on(topic: str) -> str:
    """Where the documentation is."""
    return f"Read on: README.md, “{SECTION}”, “{topic}”."


def nothing_sent(session: str, url: str) -> str:
    """There is no call to look at."""
    return "\n".join(
        [
            f"no call has reached the session '{session}'",
            "",
            f"  It listens at {url}. Does the code under test use that base URL?",
            "  The fixture aione_env sets it in the environment, for clients that are made after it.",
            "",
            read_on("Looking at calls"),
        ]
    )


def not_as_expected(
    expected: str, found: int, calls: Sequence[RecordedCall], reasons: Mapping[int, tuple[str, ...]], session: str
) -> str:
    """Calls were expected that did not come, or more came."""
    head = f"expected {expected}, found {found}"
    if not calls:
        return f"{head}; no call has reached the session '{session}'\n\n{read_on('Looking at calls')}"
    lines = [head, "", f"Calls in session '{session}':"]
    lines += _skipped(calls)
    for call in calls[-_MOST:]:
        lines.append(f"  {call.number}. {call}")
        against = reasons.get(call.number, ("further from it than those with reasons",))
        lines += [f"       {reason}" for reason in against] or ["       counts"]
    return "\n".join([*lines, "", read_on("Looking at calls")])


def unused(
    left: Iterable[tuple[Prepared, int, Mapping[int, tuple[str, ...]]]],
    calls: Sequence[RecordedCall],
    prepared: int,
    session: str,
) -> str:
    """Answers were prepared for calls that did not come: each with its uses and what is against each call."""
    rest = list(left)
    few = f"{len(rest)} of {prepared} prepared answers {'was' if len(rest) == 1 else 'were'} not used up"
    lines = [few]
    for answer, used, reasons in rest:
        lines += ["", f"  {answer.id}: {answer}", f"       used {used} of {answer.times} times"]
        lines += _against(answer, calls, reasons)
    if not calls:
        lines += ["", f"No call has reached the session '{session}'."]
    return "\n".join([*lines, "", read_on("Preparing answers")])


def _against(answer: Prepared, calls: Sequence[RecordedCall], reasons: Mapping[int, tuple[str, ...]]) -> list[str]:
    lines = _skipped(calls)
    for call in calls[-_MOST:]:
        why = reasons.get(call.number, ("further from it than those with reasons",))
        if call.rule == answer.id:
            why = ("answered by it",)
        elif not why:
            why = (_taken(call),)
        lines.append(f"       call {call.number}, {call}")
        lines += [f"         {reason}" for reason in why]
    return lines


def _taken(call: RecordedCall) -> str:
    if call.rule is not None:
        return f"answered by {call.rule}, which came before"
    return (
        "its conditions are met, but such a call cannot be answered so: an error must be one that the operation "
        "declares, a stream fault needs a stream, and a refused call is not replied to"
    )


def _skipped(calls: Sequence[RecordedCall]) -> list[str]:
    return [f"  … {len(calls) - _MOST} earlier calls"] if len(calls) > _MOST else []
