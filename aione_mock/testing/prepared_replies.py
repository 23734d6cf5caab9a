"""What a test has prepared, and the order in which it is asked.

Answers for so many calls come first, in the order in which they were prepared, each until it is used up; then
answers for every call, those with conditions before those without; then the rules of the marker; then the pace.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aione_mock.testing.calls import shown
from aione_mock.types import Json


@dataclass(frozen=True, slots=True)
class Prepared:
    """One answer that a test has prepared."""

    id: str
    """`reply-1`, `fail-2`: the verb and its place."""
    told: str
    """As a person would say it: `reply “Hello”`."""
    then: Mapping[str, Json]
    when: Mapping[str, Json]
    times: int | None
    """Calls that it is for; None for all."""

    @property
    def rule(self) -> dict[str, Json]:
        """It as a rule."""
        times = {} if self.times is None else {"times": self.times}
        return {"id": self.id, **({"when": self.when} if self.when else {}), "then": {**self.then, **times}}

    def __str__(self) -> str:
        return self.told + (f" when {dict(self.when)}" if self.when else "")


def in_order(prepared: Iterable[Prepared]) -> list[Prepared]:
    """The order in which they are asked; see the module."""
    return sorted(prepared, key=_rank)


def _rank(prepared: Prepared) -> int:
    if prepared.times is not None:
        return 0
    return 1 if prepared.when else 3 if prepared.id == "pace" else 2


_NOT_TEXT = {"tool_calls": "{'find_order': {'number': 7}}", "chunks": "['Five ', 'days.']"}
"""What is several, and how it is written. A text would be taken for the list of its characters."""


def reply_of(**given: Json) -> tuple[dict[str, Json], str]:
    """A `Reply` of the rule schema from what `reply` was given, and how to tell it.

    Raises TypeError for a text where several things are meant.
    """
    __tracebackhide__ = True
    reply = {name: value for name, value in given.items() if value is not None}
    for name, such in _NOT_TEXT.items():
        if isinstance(reply.get(name), str):
            raise TypeError(f"reply() takes {name} such as {such}, not the text {reply[name]!r}")
    if isinstance(calls := reply.get("tool_calls"), Mapping):
        reply["tool_calls"] = [{"name": name, "arguments": arguments} for name, arguments in calls.items()]
    for name in ("tool_calls", "chunks"):
        if name in reply:
            reply[name] = list(reply[name])
    words = reply.get("text") or "".join(part for part in reply.get("chunks", ()) if isinstance(part, str))
    told = [shown(words)] if isinstance(words, str) and words else []
    told += [f"{name}={reply[name]!r}" for name in ("json", "body") if name in reply]
    told += [f"calls {_names(reply['tool_calls'])}"] if "tool_calls" in reply else []
    return reply, " ".join(["reply", *told])


def _names(calls: Iterable[Json]) -> str:
    return ", ".join(str(call.get("name")) if isinstance(call, Mapping) else repr(call) for call in calls)
